"""Saved states under access control: who may save one, who sees it, and whose token stands in it."""

from __future__ import annotations

import json
import threading
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.serve.state_text import places_in, portable, prefixed
from voxarium.serve.webknossos_datasets import dataset_id

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")

PLACE = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer"}
TOKEN = f"vx_{'a' * 12}_{'B' * 43}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    lab = tmp_path_factory.mktemp("states") / "lab"
    lab.mkdir()
    np.save(lab / "x.npy", np.arange(4 * 5 * 6, dtype="uint8").reshape(4, 5, 6))
    for name in ("secret.zarr", "other.zarr"):
        voxarium.convert(lab / "x.npy", lab / name, **PLACE)
    return lab


@pytest.fixture
def tokens(tmp_path):
    from voxarium.serve.database import open_database
    from voxarium.serve.database.tokens import create_token

    database = open_database(str(tmp_path / "server.db"))
    granted = {
        "writer": [("annotate", "lab/secret.zarr")], "reader": [("read", "lab/secret.zarr")],
        "other": [("annotate", "lab/other.zarr")], "all": [("admin", "*")],
    }  # fmt: skip
    yield {name: create_token(database, name, g)[0] for name, g in granted.items()}
    database.close()


@pytest.fixture
def client(folder, tokens, serve, tmp_path):
    return serve(folder, private=True, database=str(tmp_path / "server.db"))


def state_of(client, token, prefix=""):
    return json.loads(client.get(f"{prefix}/view.json?image=lab/secret.zarr", headers=head(token)).body)


def head(token):
    return {} if token is None else {"x-auth-token": token}


def saved(client, state, token, path="/states", prefix=""):
    answer = client.request(f"{prefix}{path}", "POST", head(token), json.dumps(state).encode())
    return answer.status, answer.body


def test_those_who_may_annotate_save_states_and_those_who_may_read_see_them(client, tokens):
    state = state_of(client, tokens["writer"])
    for path in ("/states", "/s"):
        status, body = saved(client, state, tokens["writer"], path)
        assert status == 201
        link = json.loads(body)
        assert link.startswith(f"{client.url}/s/") and TOKEN[:3] not in link
        name = link.rpartition("/")[2]
        for who in ("writer", "reader", "all"):
            answer = client.get(f"/s/{name}.json", headers=head(tokens[who]))
            assert (answer.status, json.loads(answer.body)) == (200, state)
            assert client.get(f"/s/{name}", headers=head(tokens[who])).status == 302
        for who in (None, "other"):
            token = None if who is None else tokens[who]
            for kind in ("", ".json"):
                answer = client.get(f"/s/{name}{kind}", headers=head(token))
                absent = client.get(f"/s/{'0' * 12}{kind}", headers=head(token))
                assert answer.status == absent.status == 404 and answer.body == absent.body


def test_others_do_not_save_states(client, tokens):
    state = state_of(client, tokens["reader"])
    for who in (None, "reader", "other"):
        status, body = saved(client, state, None if who is None else tokens[who])
        assert status == 403 and b"secret" not in body
    assert saved(client, {}, None)[0] == 403 and saved(client, {}, tokens["other"])[0] == 201
    assert saved(client, [], tokens["all"])[0] == 400
    assert saved(client, {"x": "\ud800\x00"}, tokens["all"])[0] == 201
    origin = {"origin": "https://evil.example", **head(tokens["all"])}
    assert client.request("/states", "POST", origin, b"{}").status == 400


def test_no_token_stays_in_a_state_and_each_visitor_gets_their_own(client, tokens, tmp_path):
    writer, reader = f"/t/{tokens['writer']}", f"/t/{tokens['reader']}"
    state = state_of(client, None, writer)
    assert tokens["writer"] in json.dumps(state)
    status, body = saved(client, state, None, prefix=writer)
    assert status == 201
    name = json.loads(body).rpartition("/")[2]
    seen = client.get(f"{reader}/s/{name}.json").body.decode()
    assert tokens["writer"] not in seen and f"{client.url}{reader}/raw/lab/secret.zarr" in seen
    plain = client.get(f"/s/{name}.json", headers=head(tokens["reader"])).body.decode()
    assert "/t/" not in plain and f"{client.url}/raw/lab/secret.zarr" in plain
    assert client.get(f"{reader}/s/{name}").getheader("location").startswith(f"{client.url}{reader}/v/view/#!")
    client.server.stop()
    for file in tmp_path.iterdir():
        assert file.is_dir() or tokens["writer"][16:].encode() not in file.read_bytes()


def test_states_outlive_the_server(client, tokens, folder, serve, tmp_path):
    name = json.loads(saved(client, {"title": "kept"}, tokens["all"])[1]).rpartition("/")[2]
    client.server.stop()
    again = serve(folder, private=True, database=str(tmp_path / "server.db"))
    assert json.loads(again.get(f"/s/{name}.json").body) == {"title": "kept"}


def test_saving_is_noted(client, tokens, tmp_path):
    from voxarium.serve.database import open_database
    from voxarium.serve.database.audit import list_events

    saved(client, {"title": "x"}, tokens["all"])
    database = open_database(str(tmp_path / "server.db"))
    assert [e.who.startswith("token:") for e in list_events(database, action="state-saved")] == [True]
    database.close()


def test_long_states_of_private_images_are_not_shown_to_others(client, tokens, monkeypatch):
    monkeypatch.setattr("voxarium.serve.viewer._LONGEST", 10)
    answer = client.get("/view/lab/secret.zarr", headers=head(tokens["reader"]))
    path = urlsplit(answer.getheader("location").partition("#!")[2]).path
    assert client.get(path, headers=head(tokens["reader"])).status == 200
    assert client.get(path).status == client.get(path, headers=head(tokens["other"])).status == 404


def test_shared_views_are_shown_to_those_who_may_see_what_is_in_them(client, tokens):
    state = state_of(client, None, f"/t/{tokens['writer']}")
    change = json.dumps({"c": "A", "pg": "", "s": state}).encode()
    assert client.request("/state/room", "POST", {}, change).status == 404
    assert client.request(f"/t/{tokens['writer']}/state/room", "POST", {}, change).status == 200
    for who, visible in (("reader", True), ("other", False), (None, False)):
        host = urlsplit(client.url)
        connection = HTTPConnection(host.hostname, host.port, timeout=30)
        connection.request("GET", "/events/room?c=B&gc=&gs=", headers={} if who is None else head(tokens[who]))
        stream = connection.getresponse()
        lines = []
        reading = threading.Thread(target=lambda s=stream, found=lines: found.extend(iter(s.readline, b"")))
        if visible:
            while not (line := stream.readline()).startswith(b"data:"):
                pass
            told = json.loads(line.removeprefix(b"data:"))
            assert told["s"]["layers"] and tokens["writer"] not in line.decode()
        else:
            reading.start()
            assert client.request(f"/t/{tokens['all']}/state/room2", "POST", {}, change).status in (200, 412)
        client_closed = connection.sock
        if not visible:
            import time

            time.sleep(1)
            client_closed.shutdown(2)
            reading.join(20)
            assert b"secret" not in b"".join(lines)
        stream.close()
        connection.close()


# --------------------------------------------------------------------------------------------------------------- text
@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("zarr3://http://h/raw/lab/em.zarr", {"lab/em.zarr"}),
        ("http://h/t/x/as/precomputed/lab/x.h5::/em/|precomputed:", {"lab/x.h5::/em"}),
        ("http://other/raw/theirs/em", set()),
        ("http://h/view?image=lab/a&image=lab/b", {"lab/a", "lab/b"}),
        ("http://h/view.json?x=1&image=lab%2Fa", {"*"}),
        ("http://h/raw/lab/../x", {"*"}), ("http://h/raw/%6cab/em", {"lab/em"}),
        (f"http://h/data/v15/zarr/{dataset_id('lab/em')}/x", {"lab/em"}),
        (f"http://h/datasets/em-{dataset_id('lab/em')}/view", {"lab/em"}),
        ("precomputed://gs://bucket/raw/data", set()), ("no address", set()),
    ],
)  # fmt: skip
def test_what_a_state_shows_is_found(text, places):
    for state in ({"layers": [{"source": {"url": text}}]}, {text: 1}, [[text]]):
        assert places_in(json.dumps(state), ["lab"]) == places


def test_a_long_state_is_searched_in_linear_time():
    for piece in ("/view?", "/raw/", "&image=", "/as/", "/zarr/ab-", "/t/vx_", "a-" * 3):
        assert places_in(json.dumps({"x": piece * 150_000}), ["lab"]) is not None


@given(st.recursive(st.text() | st.integers() | st.none(), lambda s: st.lists(s) | st.dictionaries(st.text(), s)))
def test_states_without_tokens_stay_as_they_are(state):
    text = json.dumps(state)
    assert portable(text) == text
    assert prefixed(text, "http://h", "") == text
    assert isinstance(places_in(text, ["lab"]), frozenset)


def test_names_that_only_begin_like_a_token_stay():
    assert portable('{"shader":"float vx_coordinates = 1.0;"}') == '{"shader":"float vx_coordinates = 1.0;"}'
    text = portable(json.dumps({"a": f"http://h/raw/x?token={TOKEN}", "b": f"http://h/t/{TOKEN}/raw/x"}))
    assert text == '{"a": "http://h/raw/x?token=vx_***", "b": "http://h/raw/x"}'
