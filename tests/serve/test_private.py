"""Private datasets: no route shows them, or tells that they are there, to those who may not see them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import Route

import voxarium
from voxarium.serve.application import MOUNTS, Application
from voxarium.serve.site import Mount, Settings, Site
from voxarium.serve.webknossos_datasets import dataset_id

pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
pytest.importorskip("neuroglancer", reason="Neuroglancer is not installed")
h5py = pytest.importorskip("h5py", reason="h5py is not installed")

PLACE = {"axes": "zyx", "voxel_size": (40, 8, 4), "unit": "nanometer"}
NAME = "secret.zarr"
ID = "{id}"  # of the dataset, in hexadecimal digits

# What asks for the private dataset on every route. `None`: a route that shows nothing of any dataset.
SAMPLES = {
    "raw": [
        "/raw/lab/{name}/zarr.json", "/raw/lab/{name}/", "/raw/lab/{name}", "/raw/lab/{name}/?format=json",
        "/raw/lab/{name}/s0/", "/raw/lab/{name}/labels/cells/zarr.json", "/raw/lab/{name}/zarr.json?list-type=3",
    ],
    "as": [
        "/as/ome-zarr-0.5/lab/{name}/zarr.json", "/as/precomputed/lab/{name}/info", "/as/n5/lab/{name}/attributes.json",
        "/as/ome-zarr-0.4/lab/{name}/.zattrs", "/as/ome-zarr-0.6/lab/{name}/zarr.json",
        "/as/neuroglancer/lab/{name}/s0/zarr.json", "/as/precomputed/lab/{name}/labels/cells/info",
    ],
    "cutout": ["/cutout/lab/{name}?box=0:2,0:2,0:2", "/cutout/lab/{name}/labels/cells?box=0:2,0:2,0:2"],
    "tile": ["/tile/lab/{name}/0/0/0/0.png"],
    "value": ["/value/lab/{name}?at=0,0,0"],
    "histogram": ["/histogram/lab/{name}"],
    "thumbnail": ["/thumbnail/lab/{name}?size=128", "/thumbnail/lab/{name}/labels/cells?size=128"],
    "datasets": ["/datasets/lab/{name}"],
    "cover": ["/cover/lab/{name}?size=128"],
    "validation": ["/validation/lab/{name}"],
    "/datasets/{address:path}": "datasets",
    "/cover/{address:path}": "cover",
    "/validation/{address:path}": "validation",
    "niivue": ["/niivue/lab/{name}", "/niivue?image=lab/{name}"],
    "nii": ["/nii/volume/lab/{name}?unit=nm"],
    "/niivue": "niivue",
    "/niivue/{address:path}": "niivue",
    "/nii/volume/{address:path}": "nii",
    "view": ["/view/lab/{name}", "/view?image=lab/{name}"],
    "view.json": ["/view.json?image=lab/{name}", "/view.json?image=lab/{name}/labels/cells"],
    "data": [
        f"/data/v15/zarr/{ID}/datasource-properties.json", f"/data/v15/zarr/{ID}/{{layer}}/1/.zarray",
        f"/data/v15/zarr/{ID}/{{layer}}/1/0.0.0.0",
        f"/data/v15/datasets/{ID}/layers/{{layer}}/data?mag=1&x=0&y=0&z=0&width=4&height=4&depth=4",
    ],
    "/api/v{version:int}/datasets/{id}": [f"/api/v15/datasets/{ID}"],
    "/api/v{version:int}/datasets/disambiguate/{organization}/{name:path}/toId": [
        "/api/v15/datasets/disambiguate/voxarium/lab/{name}/toId"
    ],
    "v1": [
        "/v1/collection/lab/experiment/{boss}", "/v1/collection/lab/experiment/{boss}/channel",
        "/v1/collection/lab/experiment/{boss}/channel/image", "/v1/coord/lab-{boss}",
        "/v1/downsample/lab/{boss}/image", "/v1/cutout/lab/{boss}/image/0/0:4/0:4/0:4",
    ],
    "/thumbnail/{address:path}": "thumbnail",
    "/view": "view",
    "/view/{address:path}": "view",
    "/view.json": "view.json",
    # lists
    "/": None, "/index.json": None, "/images": None, "/images.json": None, "/api/v{version:int}/datasets": None,
    # nothing of any dataset
    "/healthz": None, "/metrics": None, "/api/buildinfo": None, "/api/v{version:int}/buildinfo": None,
    "/api/v{version:int}/health": None, "/api/v{version:int}/user": None, "/assets/{name}": None,
    "/nii/client.js": None, "/nii/page.js": None, "/openapi.json": None,
    "/v/{token}": None, "/v/{token}/{name:path}": None, "/credentials/{token}": None, "/action/{token}": None,
    "/login": None, "/login/start": None, "/login/done": None, "/logout": None,
    # states: test_saved_states.py
    "/s": None, "/states": None, "/s/{name}": None, "/events/{token}": None, "/state/{token}": None,
}  # fmt: skip

LISTS = [
    "/", "/images.json", "/?search=secret", "/?list-type=2", "/?list-type=2&prefix=raw/lab/", "/raw/",
    "/raw?list-type=2",
    "/raw?list-type=2&delimiter=/&prefix=lab/", "/raw/lab?list-type=2", "/raw/lab?list-type=2&delimiter=/", "/raw/lab/",
    "/raw/lab?list-type=2&prefix=sec", "/raw/lab?list-type=2&max-keys=1", "/raw/lab?list-type=2&start-after=a",
    "/raw/lab/?format=json", "/api/v15/datasets", "/api/v15/datasets?searchQuery=lab/secret.zarr", "/v1/collection",
    "/v1/collection/lab", "/v1/collection/lab/experiment", "/v1/coord", "/view.json?image=lab", "/view?image=lab",
    f"/api/v15/datasets/{dataset_id('lab')}", f"/data/v15/zarr/{dataset_id('lab')}/datasource-properties.json",
    "/healthz",
]  # fmt: skip


def filled(sample, name):
    address = f"lab/{name}"
    boss = "".join(c if c.isalnum() else "_" for c in name).strip("_")
    return sample.format(name=name, id=dataset_id(address), layer=name.replace("::/", "_"), boss=boss)


def paths(name):
    return [filled(s, name) for found in SAMPLES.values() if isinstance(found, list) for s in found]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    lab = tmp_path_factory.mktemp("private") / "lab"
    lab.mkdir()
    data = np.random.default_rng(4).integers(1, 200, (9, 11, 13)).astype("uint8")
    np.save(lab / "x.npy", data)
    for name in (NAME, "open.zarr"):
        voxarium.convert(lab / "x.npy", lab / name, **PLACE)
        voxarium.convert(lab / "x.npy", lab / name / "labels/cells", role="label", dtype="uint64", **PLACE)
    with h5py.File(lab / "part.h5", "w") as file:
        file["em"] = file["other"] = data
    (lab / "x.npy").rename(lab / "hidden-secret.npy")
    return lab


@pytest.fixture(scope="module")
def servers(folder, tmp_path_factory, client_of):
    """Two servers: one is private but for one dataset; of the other, one dataset is private."""
    from voxarium.serve.database import open_database
    from voxarium.serve.database.rules import set_rule
    from voxarium.serve.database.tokens import create_token
    from voxarium.serve.running import BackgroundServer

    found = {}
    with_all = {}
    for kind in ("closed", "open"):
        address = str(tmp_path_factory.mktemp(kind) / "server.db")
        database = open_database(address)
        tokens = {
            name: create_token(database, name, granted)[0]
            for name, granted in {
                "secret": [("read", f"lab/{NAME}")], "other": [("admin", "lab/other")], "all": [("admin", "*")],
                "open": [("read", "lab/open.zarr")], "part": [("read", "lab/part.h5::/em")],
            }.items()
        }  # fmt: skip
        if kind == "closed":
            set_rule(database, "lab/open.zarr", True)
        else:
            set_rule(database, f"lab/{NAME}", False)
            set_rule(database, "lab/hidden-secret.npy", False)
            set_rule(database, "lab/part.h5", False)
        database.close()
        server = BackgroundServer([str(folder)], settings=Settings(database=address, private=kind == "closed"))
        found[kind] = (server, tokens)
    with found["closed"][0] as a, found["open"][0] as b:
        for server, (kind, (_, tokens)) in zip((a, b), found.items(), strict=True):
            server.site.catalogue.scan()
            with_all[kind] = (client_of(server), tokens)
        yield with_all


@pytest.fixture(params=["closed", "open"])
def served(request, servers):
    return servers[request.param]


def token_of(tokens, name):
    return {} if name is None else {"x-auth-token": tokens[name]}


def shown(answer):
    headers = {(k.lower(), v) for k, v in answer.getheaders() if k.lower() != "date"}
    return answer.status, answer.body, headers


# ------------------------------------------------------------------------------------------------------------ routes
def test_every_route_has_a_sample(served):
    client, _ = served
    site = client.server.site
    known = set(SAMPLES)
    for make in MOUNTS:
        mount = make(site)
        for name in (*mount.bare, *(route.path for route in mount.routes)):
            assert name in known, f"add to SAMPLES what asks {name} for a private dataset"
        firsts = {*mount.bare, *(route.path.split("/")[1] for route in mount.routes)}
        assert firsts <= set(mount.guards), "a route without a guard is for those who see everything"


@pytest.mark.parametrize("path", paths(NAME))
@pytest.mark.parametrize("visitor", [None, "other", "open"])
def test_private_datasets_are_not_there_for_others(served, path, visitor):
    client, tokens = served
    for method in ("GET", "HEAD", "POST"):
        answer = client.request(path, method, token_of(tokens, visitor))
        assert answer.status == (405 if method == "POST" else 404), answer.body
        assert b"secret" not in answer.body and b"secret" not in str(answer.getheaders()).encode()
        absent = client.request(path.replace(NAME, "absent.zarr").replace("secret_zarr", "absent_zarr").replace(
            dataset_id(f"lab/{NAME}"), dataset_id("lab/absent.zarr")), method, token_of(tokens, visitor))  # fmt: skip
        assert shown(answer) == shown(absent)


@pytest.mark.parametrize("path", paths(NAME))
@pytest.mark.parametrize("visitor", ["secret", "all"])
def test_they_are_there_for_those_who_may_see_them(served, path, visitor):
    client, tokens = served
    answer = client.get(path, headers=token_of(tokens, visitor))
    absent = path.endswith(("/0.0.0.0", f"lab/{NAME}", "list-type=3")) and "/raw/" in path
    assert answer.status in ((200, 302, 404) if absent else (200, 302)), answer.body
    assert answer.status == 404 or "public" not in answer.getheader("cache-control", "")


@pytest.mark.parametrize("path", LISTS)
def test_lists_do_not_name_them(served, path):
    client, tokens = served
    for visitor in (None, "other", "open"):
        answer = client.get(path, headers=token_of(tokens, visitor))
        text = answer.body.replace(b'value="secret"', b"").replace("“secret”".encode(), b"")
        assert b"secret" not in text.replace(b"<Prefix>sec</Prefix>", b""), path
        assert b"secret" not in (answer.getheader("location") or "").encode()
    body = client.get(path, headers=token_of(tokens, "all")).body
    if path not in ("/raw/", "/healthz", "/raw/lab?list-type=2&max-keys=1", "/v1/collection", "/?list-type=2"):
        assert (
            b"secret" in body
            or b"secret" in client.get(path, headers=token_of(tokens, "all")).getheader("location", "").encode()
        )


def test_lists_name_what_may_be_seen(served):
    client, tokens = served
    names = json.loads(client.get("/raw/lab/?format=json", headers=token_of(tokens, "secret")).body)
    assert names["folders"] == ["open.zarr", "secret.zarr"] and "hidden-secret.npy" not in str(names)
    images = json.loads(client.get("/images.json", headers=token_of(tokens, "secret")).body)["images"]
    assert f"lab/{NAME}" in [i["address"] for i in images]
    assert client.get("/raw/lab/open.zarr/zarr.json").status == 200


def test_one_image_of_a_file_can_be_shared(served):
    client, tokens = served
    headers = token_of(tokens, "part")
    assert client.get("/as/ome-zarr-0.5/lab/part.h5::/em/s0/zarr.json", headers=headers).status == 200
    for path in (
        "/raw/lab/part.h5",
        "/as/ome-zarr-0.5/lab/part.h5::/other/s0/zarr.json",
        "/value/lab/part.h5::/other?at=0,0,0",
    ):
        assert client.get(path, headers=headers).status == 404
    assert client.get("/raw/lab/part.h5").status == 404


def test_the_size_of_voxels_of_a_dataset_does_not_follow_from_what_is_hidden(tmp_path, serve):
    from voxarium.serve.database import open_database
    from voxarium.serve.database.rules import set_rule

    np.save(tmp_path / "x.npy", np.ones((4, 5, 6), np.uint8))
    for name, size in (("coarse", 8), ("fine-secret", 3)):
        voxarium.convert(tmp_path / "x.npy", tmp_path / f"lab/{name}.zarr", axes="zyx", voxel_size=size, unit="nm")
    database = open_database(str(tmp_path / "server.db"))
    set_rule(database, "lab/fine-secret.zarr", False)
    database.close()
    client = serve(tmp_path / "lab", database=str(tmp_path / "server.db"))
    assert client.get("/images.json").status == 200
    document = json.loads(client.get(f"/api/v15/datasets/{dataset_id('lab')}").body)
    assert document["dataSource"]["scale"]["factor"] == [8, 8, 8] and "secret" not in str(document)


# ----------------------------------------------------------------------------------------------------------- spelling
@pytest.mark.parametrize(
    "path",
    [
        "/raw/lab/%73ecret.zarr/zarr.json", "/raw/lab//secret.zarr/zarr.json", "//raw/lab/secret.zarr/zarr.json",
        "/%72aw/lab/secret.zarr/zarr.json", "/raw/lab/./secret.zarr/zarr.json",
        "/raw/lab/open.zarr/../secret.zarr/zarr.json",
        "/raw/lab/open.zarr/%2e%2e/secret.zarr/zarr.json", "/raw/lab/open.zarr%2f..%2fsecret.zarr/zarr.json",
        "/raw/lab%2Fsecret.zarr/zarr.json", "/raw/lab::/secret.zarr/zarr.json", "/raw/lab/secret.zarr::/zarr.json",
        "/as/precomputed/lab::/secret.zarr/info", "/as/precomputed/lab/open.zarr::/../secret.zarr/info",
        "/as/precomputed/./lab/secret.zarr/info", "/as//lab/secret.zarr/info", "/as/precomputed//lab/secret.zarr/info",
        "/thumbnail/lab%2Fsecret.zarr", "/thumbnail//lab/secret.zarr", "/thumbnail/lab/open.zarr/%2e%2e/secret.zarr",
        "/thumbnail/lab::secret.zarr", "/value/lab/secret.zarr/?at=0,0,0", "/value//lab/secret.zarr?at=0,0,0",
        "/%76alue/lab/secret.zarr?at=0,0,0", "/view/lab%2Fsecret.zarr", "/view.json?image=lab%2Fsecret.zarr",
        "/view.json?image=lab/open.zarr&image=lab/secret.zarr", "/view.json?image=lab/%2573ecret.zarr",
        "/view.json?%69mage=lab/secret.zarr", "/view.json?image=lab/secret.zarr/", "/view.json/?image=lab/secret.zarr",
        "/view/lab/open.zarr?image=lab/secret.zarr", "/raw?list-type=2&prefix=lab/secret.zarr/",
        "/raw/lab?list-type=2&prefix=secret.zarr/", "/raw/lab/?list-type=2&prefix=secret.zarr/",
        "/raw/lab/open.zarr?list-type=2&prefix=../secret.zarr/", "/?list-type=2&prefix=raw/lab/secret.zarr/",
        "/raw/lab?list-type=2&prefix=secret.zarr/&delimiter=/", "/raw/lab?list-type=2&start-after=secret.zarr/",
        "/t/raw/lab/secret.zarr/zarr.json", "/t//raw/lab/secret.zarr/zarr.json",
    ],
)  # fmt: skip
def test_no_spelling_leads_to_them(served, path):
    client, tokens = served
    for visitor in (None, "open"):
        answer = client.get(path, headers=token_of(tokens, visitor))
        assert answer.status < 500
        body = answer.body.replace(b"<Prefix>secret.zarr/</Prefix>", b"").replace(b"lab/secret.zarr/</Prefix>", b"")
        body = body.replace(b"<StartAfter>secret.zarr/</StartAfter>", b"").replace(b"<Prefix>../secret.zarr/", b"")
        assert answer.status in (404, 400) or (b"secret" not in body and b"node_type" not in body), answer.body


def test_a_route_that_nobody_guards_is_closed(served):
    client, _ = served

    async def hello(request):
        return PlainTextResponse("hello")

    def forgotten(_):
        return Mount(name="new", routes=[Route("/new", hello), Route("/raw2/{x:path}", hello)], bare={"bare": None})

    from voxarium.serve.access import answering

    from .test_application import asked

    site = client.server.site
    application = Application(site, mounts=(*MOUNTS, forgotten))
    for path in ("/new", "/raw2/lab/open.zarr", "/bare/x"):
        status, _, body = asked(application, path)
        assert (status, body) == (404, b"not found\n")
    with answering(None):
        assert asked(application, "/healthz")[0] == 200


def test_only_those_who_run_the_server_read_its_metrics(served):
    client, tokens = served
    assert client.get("/metrics").status == 404
    assert client.get("/metrics", headers=token_of(tokens, "open")).status == 404
    assert client.get("/metrics", headers=token_of(tokens, "all")).status == 200


def test_errors_have_cross_origin_headers_too(served):
    client, _ = served
    wrong = f"vx_{'a' * 12}_{'A' * 43}"
    for path, headers, status in (
        (f"/raw/lab/{NAME}/zarr.json", {}, 404), ("/raw/lab/open.zarr/zarr.json", {"x-auth-token": wrong}, 401),
    ):  # fmt: skip
        answer = client.get(path, headers={**headers, "origin": "https://viewer.example"})
        assert answer.status == status and answer.getheader("access-control-allow-origin") == "*"
        assert "Retry-After" in answer.getheader("access-control-expose-headers")
        assert answer.getheader("access-control-allow-credentials") is None
    answer = client.request(f"/raw/lab/{NAME}/zarr.json", "OPTIONS",
        {"origin": "https://v.example", "access-control-request-headers": "x-auth-token, authorization"})  # fmt: skip
    assert answer.status == 204 and "x-auth-token" in answer.getheader("access-control-allow-headers")


def test_without_access_control_nothing_changes(folder, serve):
    client = serve(folder)
    assert client.server.site.gate is None
    answer = client.get(f"/raw/lab/{NAME}/zarr.json", headers={"x-auth-token": "anything"})
    assert answer.status == 200 and answer.getheader("vary") is None
    assert client.get("/login").status == 404 and client.get("/metrics").status == 200


def test_settings_are_told_to_other_servers_too(folder, tmp_path):
    site = Site((), Settings(private=True, database=str(tmp_path / "x.db")))
    assert site.gate is not None and not site.gate.rules.default
    site.close()


def test_links_show_no_dataset_under_another_name(folder, tmp_path, serve):
    from voxarium.serve.database import open_database
    from voxarium.serve.database.rules import set_rule

    lab = tmp_path / "lab"
    (lab / "open").mkdir(parents=True)
    np.save(lab / "secret.npy", np.zeros((2, 3, 4), np.uint8))
    (lab / "secret").mkdir()
    np.save(lab / "secret/x.npy", np.zeros((2, 3, 4), np.uint8))
    (lab / "open/a.npy").symlink_to("../secret.npy")
    (lab / "open/b").symlink_to("../secret")
    database = open_database(str(tmp_path / "server.db"))
    for place in ("lab/secret.npy", "lab/secret"):
        set_rule(database, place, False)
    database.close()
    client = serve(lab, database=str(tmp_path / "server.db"))
    for path in ("/raw/lab/open/a.npy", "/raw/lab/open/b/x.npy", "/raw/lab/open/b/", "/value/lab/open/a.npy?at=0,0,0",
                 "/as/ome-zarr-0.5/lab/open/b/x.npy/s0/zarr.json", "/thumbnail/lab/open/a.npy"):  # fmt: skip
        assert client.get(path).status == 404, path
    for path in ("/images.json", "/raw/lab/open/?format=json", "/raw/lab?list-type=2"):
        body = client.get(path).body
        assert b"secret" not in body and b"a.npy" not in body and b"x.npy" not in body and b'"b"' not in body
    assert serve(lab).get("/raw/lab/open/a.npy").status == 200


PIECES = st.sampled_from([
    "raw", "as", "precomputed", "ome-zarr-0.5", "lab", "secret.zarr", "open.zarr", "zarr.json", "..", ".", "%2e%2e",
    "::", "", "%2F", "labels", "cells", "t", "view", "view.json", "thumbnail", "value", "tile", "cutout", "0", "info",
    "v1", "api", "data", "v15", "zarr", "datasets", dataset_id("lab/secret.zarr"), "SECRET.zarr", "%73ecret.zarr", "s",
    "collection", "coord", "secret_zarr", "experiment", "part.h5", "em", "datasource-properties.json", "?list-type=2",
    "?image=lab/secret.zarr", "?prefix=lab/secret.zarr", "?at=0,0,0", "&delimiter=/", "?format=json", "%00", "metrics",
    "images.json", "secret.zarr.gz",
])  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(PIECES, max_size=8), st.sampled_from([None, "open", "other"]), st.sampled_from(["GET", "HEAD", "POST"]))
def test_no_path_that_somebody_makes_up_shows_them(servers, parts, visitor, method):
    path = "/" + "/".join(parts).replace("/?", "?").replace("/&", "&").replace("/::", "::").replace("/%2F/", "%2F")
    for client, tokens in servers.values():
        answer = client.request(path, method, token_of(tokens, visitor))
        assert answer.status < 500 or answer.status == 501, path
        if answer.status < 300 and "prefix" not in path:
            assert b"secret" not in answer.body and b"part.h5" not in answer.body, path
            assert b'"node_type"' not in answer.body or "open" in path, path


def test_a_server_keeps_its_tokens_in_postgresql(folder, serve, postgresql_url):
    from voxarium.serve.database import open_database
    from voxarium.serve.database.audit import list_events
    from voxarium.serve.database.tokens import create_token

    database = open_database(postgresql_url)
    token, about = create_token(database, "x", [("annotate", f"lab/{NAME}")])
    client = serve(folder, private=True, database=postgresql_url)
    assert client.get(f"/raw/lab/{NAME}/zarr.json").status == 404
    assert client.get(f"/t/{token}/raw/lab/{NAME}/zarr.json").status == 200
    state = client.get(f"/t/{token}/view.json?image=lab/{NAME}").body
    link = json.loads(client.request(f"/t/{token}/states", "POST", {}, state).body)
    path = link.removeprefix(client.url)
    assert token not in link and client.get(path).status == 404
    assert client.get(f"/t/{token}{path}").status == 302
    client.server.stop()
    assert {e.action for e in list_events(database) if e.who == f"token:{about.id}"} == {"read", "state-saved"}
    database.close()
