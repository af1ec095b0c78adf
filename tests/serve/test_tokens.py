"""Tokens on the wire: where they are taken from, how they end, how guessing fails, and where they never show up."""

from __future__ import annotations

import json
import logging
import time
from urllib.parse import urlsplit

import numpy as np
import pytest

import voxarium
from voxarium.serve.access_log import AccessLog, shown_path, shown_query
from voxarium.serve.credentials import client_of, credential_of, own_page, without_path_token
from voxarium.serve.limiter import Buckets, Guesses
from voxarium.serve.secret_text import new_token
from voxarium.serve.webknossos_datasets import dataset_id

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")

PLACE = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer"}
PATH = "/raw/lab/em.zarr/zarr.json"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    lab = tmp_path_factory.mktemp("tokens") / "lab"
    lab.mkdir()
    data = np.random.default_rng(4).integers(1, 200, (9, 11, 13)).astype("uint8")
    np.save(lab / "x.npy", data)
    voxarium.convert(lab / "x.npy", lab / "em.zarr", **PLACE)
    return lab


@pytest.fixture
def database(tmp_path):
    from voxarium.serve.database import open_database

    found = open_database(str(tmp_path / "server.db"))
    yield found
    found.close()


@pytest.fixture
def make(database):
    from voxarium.serve.database.tokens import create_token

    def made(*granted, **options):
        return create_token(database, "test", [g.split(":", 1) for g in granted or ("read:lab",)], **options)[0]

    return made


@pytest.fixture
def client(folder, database, serve, tmp_path):
    return serve(folder, private=True, database=str(tmp_path / "server.db"))


def until(check):
    """Wait until something is so."""
    for _ in range(400):
        if check():
            return True
        time.sleep(0.05)
    return False


def wrong(i):
    return f"vx_{i:012d}_{'A' * 43}"


# ------------------------------------------------------------------------------------------------------------- where
def test_tokens_are_taken_from_headers_and_paths(client, make):
    token = make()
    for headers in (
        {"x-auth-token": token}, {"X-Auth-Token": token}, {"authorization": f"Bearer {token}"},
        {"authorization": f"bearer  {token}"}, {"authorization": f"Token {token}"},
    ):  # fmt: skip
        assert client.get(PATH, headers=headers).status == 200, headers
    assert client.get(f"/t/{token}{PATH}").status == 200
    assert client.get(f"/t/{token}/as/precomputed/lab/em.zarr/info").status == 200
    assert client.get(PATH).status == 404
    for path in (f"{PATH}?token={token}", f"/x/t/{token}{PATH}", f"/t/{token}", f"/t/{token}x{PATH}",
                 f"//t/{token}{PATH}", f"/t/{token}/t/{token}{PATH}", f"/%74/{token}{PATH}"):  # fmt: skip
        assert client.get(path).status == 404, path
    for headers in ({"authorization": token}, {"authorization": f"Basic {token}"}, {"cookie": f"voxarium={token}"}):
        assert client.get(PATH, headers=headers).status == 404


def test_clients_of_webknossos_send_tokens_as_arguments(client, make):
    token, identifier = make(), dataset_id("lab/em.zarr")
    for path in (f"/api/v15/datasets/{identifier}", f"/data/v15/zarr/{identifier}/datasource-properties.json"):
        assert client.get(path).status == 404
        for name in ("token", "sharingToken"):
            assert client.get(f"{path}?{name}={token}").status == 200
        assert client.get(path, headers={"x-auth-token": token}).status == 200


def test_our_own_client_of_remote_datasets_reads_private_ones(client, make, folder):
    page = f"{client.url}/datasets/em-{dataset_id('lab/em.zarr')}/view"
    with pytest.raises(voxarium.VoxariumError):
        voxarium.Dataset.remote_open(page)
    mag = voxarium.Dataset.remote_open(page, token=make()).get_color_layer().get_mag(1)
    np.testing.assert_array_equal(mag.read()[0].T, np.load(folder / "x.npy"))


def test_images_are_read_through_addresses_with_a_token(client, make, folder):
    token = make("read:lab/em.zarr")
    data = np.load(folder / "x.npy")
    np.testing.assert_array_equal(voxarium.open(f"{client.url}/t/{token}/raw/lab/em.zarr")[:], data)
    np.testing.assert_array_equal(voxarium.open(f"{client.url}/t/{token}/as/n5/lab/em.zarr")[:], data)
    tensorstore = pytest.importorskip("tensorstore")
    spec = {"driver": "zarr3", "kvstore": f"{client.url}/t/{token}/raw/lab/em.zarr/s0/"}
    np.testing.assert_array_equal(tensorstore.open(spec).result().read().result(), data)


def test_the_client_of_boss_reads_private_channels(client, make, folder):
    intern = pytest.importorskip("intern")
    from intern.remote.boss import BossRemote

    host = urlsplit(client.url).netloc
    remote = BossRemote({"protocol": "http", "host": host, "token": make()})
    channel = remote.get_channel("image", "lab", "em_zarr")
    cut = remote.get_cutout(channel, 0, [0, 13], [0, 11], [0, 9])
    np.testing.assert_array_equal(cut, np.load(folder / "x.npy"))
    remote = BossRemote({"protocol": "http", "host": host, "token": "public"})
    with pytest.raises(Exception, match="404"):
        remote.get_channel("image", "lab", "em_zarr")
    assert intern


def test_the_viewer_keeps_the_token_that_stands_in_its_address(client, make):
    pytest.importorskip("neuroglancer")
    token = make()
    state = json.loads(client.get(f"/t/{token}/view.json?image=lab/em.zarr").body)
    assert f"{client.url}/t/{token}/raw/lab/em.zarr" in json.dumps(state)
    location = client.get(f"/t/{token}/view/lab/em.zarr").getheader("location")
    assert location.startswith(f"{client.url}/t/{token}/v/view/#!")
    state = client.get("/view.json?image=lab/em.zarr", headers={"x-auth-token": token}).body
    assert token.encode() not in state and f"{client.url}/raw/lab/em.zarr".encode() in state


# ------------------------------------------------------------------------------------------------------------ endings
def test_tokens_of_other_services_are_nobodys_and_public_data_are_read_with_them(client, database):
    from voxarium.serve.database.rules import set_rule

    set_rule(database, "lab/em.zarr", True)
    assert until(lambda: client.get(PATH).status == 200)
    for headers in ({"authorization": "Token public"}, {"x-auth-token": "theirs"}, {"authorization": "Bearer vx_x"}):
        assert client.get(PATH, headers=headers).status == 200
    assert client.get(PATH, headers={"x-auth-token": wrong(1)}).status == 401


def test_tokens_end(client, make, database):
    from voxarium.serve.database.tokens import list_tokens, revoke_token

    token = make(expires_at=time.time() + 3600)
    assert client.get(PATH, headers={"x-auth-token": token}).status == 200
    revoke_token(database, list_tokens(database)[0].id)
    assert until(lambda: client.get(PATH, headers={"x-auth-token": token}).status == 401)
    answer = client.get(f"/t/{token}{PATH}")
    assert answer.status == 401 and "invalid_token" in answer.getheader("www-authenticate")
    assert client.get(PATH, headers={"x-auth-token": make(expires_at=time.time() - 1)}).status == 401


def test_it_is_known_when_a_token_was_used_and_what_was_read(client, make, database):
    from voxarium.serve.database.audit import list_events
    from voxarium.serve.database.tokens import list_tokens

    token = make("read:lab/em.zarr")
    for _ in range(3):
        assert client.get(PATH, headers={"x-auth-token": token}).status == 200
    client.server.stop()
    assert time.time() - list_tokens(database)[0].last_used_at < 600
    read = [e for e in list_events(database) if e.action == "read"]
    assert [(e.who, e.what, e.client) for e in read] == [
        (f"token:{list_tokens(database)[0].id}", "lab/em.zarr", "127.0.0.1")
    ]


def test_public_data_are_served_while_the_database_is_gone(client, make, database, tmp_path, monkeypatch):
    from voxarium.errors import Code, StoreError
    from voxarium.serve.database.rules import set_rule

    set_rule(database, "lab/em.zarr", True)
    assert until(lambda: client.get(PATH).status == 200)
    token, gate = make(), client.server.site.gate

    def gone():
        raise StoreError("gone", code=Code.STORE_UNREADABLE, fix="wait")

    monkeypatch.setattr(
        gate,
        "database",
        type("Gone", (), {"reading": staticmethod(gone), "writing": staticmethod(gone), "close": lambda _: None})(),
    )
    gate._until = 0.0
    assert client.get(PATH).status == 200 and client.get("/raw/lab/x.npy").status == 404
    answer = client.get("/raw/lab/x.npy", headers={"x-auth-token": token})
    assert answer.status == 500 and b"gone" not in answer.body


# ----------------------------------------------------------------------------------------------------------- guessing
def test_guessing_is_stopped_and_tells_nothing(client, make):
    token = make()
    real = token[:16]
    answers = [client.get(PATH, headers={"x-auth-token": t}) for t in (wrong(1), real + "B" * 43)]
    assert {(a.status, a.body) for a in answers} == {(401, b"the token is not valid, or no longer\n")}
    statuses = [client.get(PATH, headers={"x-auth-token": wrong(i)}).status for i in range(2, 40)]
    assert statuses[:18] == [401] * 18 and set(statuses[20:]) == {429}
    answer = client.get(PATH, headers={"x-auth-token": wrong(99)})
    assert 1 <= int(answer.getheader("retry-after")) <= 60 and answer.getheader("access-control-allow-origin") == "*"
    assert client.get(PATH, headers={"x-auth-token": token}).status == 429  # a right guess is not told either
    assert client.get(f"/t/{wrong(50)}{PATH}").status == 429
    assert client.get(PATH).status == 404 and client.get("/healthz").status == 200


def test_a_script_whose_token_ended_does_not_shut_out_its_neighbours(client, make):
    token = make()
    assert {client.get(PATH, headers={"x-auth-token": wrong(1)}).status for _ in range(50)} == {401}
    assert client.get(PATH, headers={"x-auth-token": token}).status == 200


def test_guesses_are_forgotten_after_a_while():
    now = [0.0]
    guesses = Guesses(3, 60, lambda: now[0])
    assert [guesses.add("a", d) for d in "xyz"] == [True, False, False]
    assert guesses.wait("a") == 60 and guesses.wait("b") == 0
    now[0] = 61
    assert guesses.wait("a") == 0 and guesses.add("a", "x")


def test_clients_share_nothing_but_their_own_limit():
    now = [0.0]
    buckets = Buckets(2, lambda: now[0])
    for _ in range(21):
        buckets.charge("a", 1)
    assert buckets.wait("a") == 0.5 and buckets.wait("b") == 0
    now[0] = 0.5
    assert buckets.wait("a") == 0
    buckets.charge("a", 100)
    assert buckets.wait("a") == 50
    for i in range(70_000):
        buckets.charge(str(i), 1)
    assert len(buckets._kept) == 65_536
    assert Buckets(0).wait("a") == 0


def test_too_many_requests_are_told_to_come_back(folder, serve):
    client = serve(folder, rate=1.0)
    answers = [client.get(PATH) for _ in range(30)]
    refused = [a for a in answers if a.status == 429]
    assert answers[0].status == 200 and refused
    assert int(refused[0].getheader("retry-after")) >= 1 and refused[0].getheader("access-control-allow-origin") == "*"
    assert b"voxarium_refused_total" in client.server.site.metrics.text().encode()


def test_bytes_are_counted_for_each_token(folder, serve, make, tmp_path):
    client = serve(folder, private=True, database=str(tmp_path / "server.db"), rate_bytes=100.0)
    first, second = make(), make()
    statuses = [client.get("/raw/lab/x.npy", headers={"x-auth-token": first}).status for _ in range(4)]
    assert statuses[0] == 200 and statuses[-1] == 429
    assert client.get("/raw/lab/x.npy", headers={"x-auth-token": second}).status == 200


def test_one_request_is_not_answered_beyond_its_limit(folder, serve):
    client = serve(folder, most_cutout=500)
    identifier = dataset_id("lab/em.zarr")
    assert client.get("/cutout/lab/em.zarr?box=0:9,0:11,0:13").status == 413
    assert client.get("/v1/cutout/lab/em_zarr/image/0/0:13/0:11/0:9").status == 413
    query = "mag=1&x=0&y=0&z=0&width=64&height=64&depth=64"
    assert client.get(f"/data/v15/datasets/{identifier}/layers/em.zarr/data?{query}").status == 413
    assert client.get("/cutout/lab/em.zarr?box=0:2,0:2,0:2").status == 200


# ------------------------------------------------------------------------------------------------------------- secrets
def test_no_token_is_written_down_anywhere(folder, serve, make, database, tmp_path, caplog):
    from voxarium.serve.database.audit import list_events

    token, other = make(), new_token()[2]
    log, audit = tmp_path / "access.jsonl", tmp_path / "audit.jsonl"
    with caplog.at_level(logging.DEBUG):
        client = serve(folder, private=True, database=str(tmp_path / "server.db"), audit_log=str(audit),
                       access_log=AccessLog(str(log)))  # fmt: skip
        identifier = dataset_id("lab/em.zarr")
        for t in (token, other):
            for path in (
                f"/t/{t}{PATH}", f"//t/{t}{PATH}", f"/T/{t}/x", f"/x/{t}", f"/{t}", f"{PATH}?token={t}",
                f"/?prefix={t}",
                f"/?list-type=2&prefix=raw/{t}", f"/api/v15/datasets/{identifier}?token={t}", f"/?{t}=1",
                f"/t/{t}/view/lab/em.zarr", f"/t/{t}/v/{t}/", f"/t/{t}/t/{t}/", f"/raw/lab/{t}", f"/v1/cutout/{t}",
                f"/cutout/lab/em.zarr?format={t}", f"/x/{t.replace('vx_', 'v%78_')}", f"/events/{t[:60]}?c=1",
            ):  # fmt: skip
                if "events" in path:
                    continue
                client.get(path, headers={"user-agent": f"script {t}", "referer": f"http://x/t/{t}/"})
            client.get(PATH, headers={"x-auth-token": t, "range": f"bytes={t}"})
            client.get(PATH, headers={"authorization": f"Bearer {t}"})
            client.request("/login", "POST", {"origin": client.url}, f"token={t}".encode())
        client.server.stop()
    written = log.read_text() + audit.read_text() + caplog.text + str(list_events(database, most=1000))
    assert len(log.read_text().splitlines()) > 30 and "vx_***" in written and "/t/***" in written
    for t in (token, other):
        assert t not in written and t[16:] not in written and t[20:40] not in written
    for line in log.read_text().splitlines():
        json.loads(line)
    assert '"action":"read"' in audit.read_text() and '"action":"wrong-token"' in audit.read_text()


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/t/abc/raw/em/0", "/t/***/raw/em/0"), ("/v/abc/", "/v/***/"), ("/t/abc/v/def/x", "/t/***/v/***/x"),
        ("/events/abc", "/events/***"), ("//t/abc/x", "//t/***/x"), ("/raw/t/abc", "/raw/t/abc"),
        ("/x/vx_0123456789ab_secretsecret/y", "/x/vx_***/y"), ("/", "/"),
    ],
)  # fmt: skip
def test_paths_are_logged_without_tokens(path, shown):
    assert shown_path(path) == shown


def test_arguments_are_logged_without_tokens():
    assert shown_query(b"token=x&prefix=vx_0123456789ab_secret&level=1") == "token=***&prefix=vx_***&level=1"


def test_pages_with_a_token_in_their_address_tell_nobody_of_it(client, make):
    token = make()
    for path in (f"/t/{token}/", f"/t/{token}/raw/lab/", f"/t/{token}/nothing", f"/t/{token}/raw/lab/em.zarr/zarr.json",
                 "/login", f"/t/{wrong(1)}/"):  # fmt: skip
        answer = client.get(path, headers={"accept": "text/html"})
        policies = [v for k, v in answer.getheaders() if k.lower() == "referrer-policy"]
        assert policies[-1] == "same-origin", path  # the last one counts
    page = client.get(f"/t/{token}/").body.decode()
    assert 'href="http' not in page and 'src="http' not in page  # nothing leads away with it


def test_nothing_private_is_left_in_caches_that_others_share(folder, serve, make, tmp_path, database):
    from voxarium.serve.database.rules import set_rule

    set_rule(database, "lab/x.npy", True)
    client = serve(folder, private=True, database=str(tmp_path / "server.db"), max_age=60)
    token = make()
    for path, headers in ((PATH, {"x-auth-token": token}), (f"/t/{token}{PATH}", {}),
                          (f"/t/{token}/as/n5/lab/em.zarr/attributes.json", {})):  # fmt: skip
        answer = client.get(path, headers=headers)
        assert answer.getheader("cache-control") == "private, max-age=60"
        assert "authorization" in answer.getheader("vary")
    assert client.get("/raw/lab/x.npy").getheader("cache-control") == "public, max-age=60"
    assert client.get(PATH).getheader("cache-control") == "no-store"


# -------------------------------------------------------------------------------------------------------------- parts
def scope_of(path="/", headers=(), query=b"", method="GET", client="192.0.2.1"):
    return {"path": path, "raw_path": path.encode(), "query_string": query, "method": method, "client": (client, 1),
            "headers": [(k.encode(), v.encode("latin-1")) for k, v in headers]}  # fmt: skip


def test_headers_cannot_smuggle_anything_in(client, make):
    token = make()
    for value in (f"{token}\r\nx: y", f"{token}\n", f"\x00{token}", f"{token}, {token}", f"{token};"):
        raw = b"GET " + PATH.encode() + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Auth-Token: "
        answer = client.raw(raw + value.encode() + b"\r\n\r\n")
        assert b"\r\nx: y" not in answer and answer.split(b" ")[1] in (b"200", b"400", b"404", b"401")
    answer = client.raw(
        f"GET /t/{token}%0d%0aSet-Cookie:a=b/raw/lab HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode()
    )
    assert b"Set-Cookie" not in answer and b" 404 " in answer
    location = client.get(f"/t/{token}/view/lab/em.zarr", headers={"host": "evil.example/%0d%0a"}).getheader("location")
    assert "evil" not in location


def test_only_proxies_of_our_own_say_where_a_client_is():
    far = [("x-forwarded-for", "198.51.100.1, 203.0.113.9")]
    assert client_of(scope_of(headers=far), ()) == "192.0.2.1"
    assert client_of(scope_of(headers=far), ("192.0.2.1",)) == "203.0.113.9"
    assert client_of(scope_of(headers=far), ("192.0.2.1", "203.0.113.9")) == "198.51.100.1"
    assert client_of(scope_of(headers=[("x-forwarded-for", "junk, \x00")]), ("192.0.2.1",)) == "192.0.2.1"
    assert client_of(scope_of(), ("192.0.2.1",)) == "192.0.2.1"


def test_cookies_count_for_pages_of_this_server_alone():
    cookie = ("cookie", f"x=1; voxarium={'s' * 43}; y")
    kind = {"origin": "http://data.example", "host": "data.example"}
    assert credential_of(scope_of(headers=[cookie]), "", url=None).secret == "s" * 43
    for method in ("POST", "PUT", "DELETE"):
        assert credential_of(scope_of(method=method, headers=[cookie]), "", url=None) is None
        assert credential_of(scope_of(method=method, headers=[cookie, *kind.items()]), "", url=None) is not None
        for other in ({"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "same-site"},
                      {"sec-fetch-site": "cross-site"}, {"origin": "http://data.example.evil.example"}):  # fmt: skip
            assert (
                credential_of(scope_of(method=method, headers=[cookie, *(kind | other).items()]), "", url=None) is None
            )
    assert own_page(scope_of(headers=[("origin", "https://d.example"), ("host", "inner")]), "https://d.example")
    assert not own_page(scope_of(), None)


def test_a_token_in_a_path_is_taken_off_as_it_is_written():
    token = wrong(1)
    scope = scope_of(f"/t/{token}/raw/x")
    assert without_path_token(scope)[0]["path"] == "/raw/x" and without_path_token(scope)[1] == f"/t/{token}"
    scope = {**scope, "raw_path": scope["raw_path"].replace(b"/t/", b"/%74/")}
    assert without_path_token(scope) == (scope, "")
