"""The description of the server is complete, and no request that follows or breaks it fails inside.

Requests are made by hypothesis from the document itself. Answers say nothing of the machine, threads and open files do
not grow, and memory stays bounded.
"""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from urllib.parse import quote, urlencode

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.serve.openapi import DEEP, ROUTES, document

ADDRESSES = (
    "lab/em.zarr",
    "lab/em.npy",
    "lab/em.npy::/x",
    "lab/five.npy",
    "lab/junk.zarr",
    "lab",
    "lab/none",
    "one.npy",
)
WORDS = (
    "neuroglancer", "precomputed", "ome-zarr-0.5", "n5", "v15", "v16", "view", "info", "s0", "zarr.json", "c", "0",
    "datasource-properties.json", "color", "1-1-1", "collection", "experiment", "channel", "cutout", "0:9", "page.js",
    b"lab/em.zarr".hex(), "..", "%2e%2e", "%00", "%ff", "%2F", "a" * 300, "🧠", "-1", "99999999999999999999",
)  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory, client_of):
    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    folder = tmp_path_factory.mktemp("openapi") / "lab"
    folder.mkdir()
    data = np.random.default_rng(3).integers(0, 255, (9, 21, 33)).astype("uint8")
    np.save(folder / "em.npy", data)
    np.save(folder / "five.npy", np.zeros((2, 3, 4, 5, 6), "uint8"))
    np.save(folder.parent / "one.npy", data)
    voxarium.convert(
        folder / "em.npy", folder / "em.zarr", axes="zyx", voxel_size=(4, 2, 1), unit="nanometer", chunk=16, levels=2
    )
    (folder / "junk.zarr").mkdir()
    (folder / "junk.zarr/zarr.json").write_text("{")
    roots = [str(folder), str(folder.parent / "one.npy")]
    with BackgroundServer(roots, settings=Settings(most_cutout=1 << 20)) as server:
        yield client_of(server), str(folder.parent)


def test_the_document_is_served_and_names_every_route(lab):
    client, _ = lab
    answer = client.get("/openapi.json")
    assert answer.status == 200 and json.loads(answer.body) == document()
    from voxarium.serve.application import Application
    from voxarium.serve.site import Site

    application = Application(Site([]))
    mounted = {*application._bare, *application._names} - {"events"}
    assert mounted == {r.path.removeprefix("/").partition("/")[0] for r in ROUTES}
    application.site.close()


def test_the_document_follows_its_specification(lab):
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    shown = document()
    assert shown["openapi"] == "3.1.0" and shown["info"]["version"]
    for path, operations in shown["paths"].items():
        for operation in operations.values():
            named = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
            assert named == {part.partition("}")[0] for part in path.split("{")[1:]}
            assert len({(p["in"], p["name"]) for p in operation["parameters"]}) == len(operation["parameters"])
            for parameter in operation["parameters"]:
                jsonschema.Draft202012Validator.check_schema(parameter["schema"])


def values(schema):
    """Return what fits a schema, and what nearly does."""
    odd = st.one_of(
        st.text(max_size=20), st.sampled_from(("", "-1", "1e9", "nan", "0,0,0", "0:3,0:4,:", "9" * 30, "\0"))
    )
    if "enum" in schema:
        return st.one_of(st.sampled_from(schema["enum"]).map(str), odd)
    if schema["type"] == "integer":
        within = st.integers(schema["minimum"], schema.get("maximum"))
        return st.one_of(within.map(str), st.integers(0, 9).map(str), odd)
    if schema["type"] == "array":
        return st.one_of(st.sampled_from(ADDRESSES), odd)
    return odd


@st.composite
def requests(draw):
    path, operations = draw(st.sampled_from(sorted(document()["paths"].items())))
    method, operation = draw(st.sampled_from(sorted(operations.items())))
    query = []
    for parameter in operation["parameters"]:
        name = parameter["name"]
        if parameter["in"] == "query":
            if draw(st.booleans()):
                query.append((name, draw(values(parameter["schema"]))))
            continue
        word = st.one_of(
            st.sampled_from(WORDS), st.integers(0, 20).map(str), st.text(min_size=1, max_size=9).map(quote)
        )
        deep = st.one_of(
            st.sampled_from(ADDRESSES).map(quote),
            st.tuples(st.sampled_from(ADDRESSES).map(quote), st.lists(word, max_size=4)).map(
                lambda t: "/".join((t[0], *t[1]))
            ),
            st.lists(word, min_size=1, max_size=6).map("/".join),
        )
        chosen = draw(deep if name in DEEP else word)
        path = path.replace(f"{{{name}}}", quote(chosen, safe="/%:"))
    body = None
    if "requestBody" in operation:
        json_value = st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(("s", "pg", "c", "x")), inner),
            max_leaves=6,
        )
        body = draw(st.one_of(json_value.map(lambda v: json.dumps(v).encode()), st.binary(max_size=40)))
    method = draw(st.sampled_from((method.upper(), method.upper(), method.upper(), "HEAD", "POST", "DELETE")))
    headers = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "Range": st.sampled_from(("bytes=0-3", "bytes=-2", "bytes=9-1", "bytes=0-0,2-3", "x")),
                "If-None-Match": st.sampled_from(("*", '"x"', "x")),
                "Accept": st.sampled_from(("text/html", "application/json", "*/*", ";")),
                "X-Auth-Token": st.sampled_from(("x", "é".encode().decode("latin-1"))),
            },
        )
    )
    query_text = f"?{urlencode(query, errors='surrogatepass')}" if query else ""
    return method, path + query_text, headers, body if method == "POST" else None


def descriptors():
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0


def test_no_request_fails_inside_leaks_or_holds_anything(lab):
    client, folder = lab
    client.get("/images.json")
    before, threads = descriptors(), threading.active_count()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seen = set()

    @settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
    @given(requests())
    def check(request):
        method, path, headers, body = request
        answer = client.request(path, method=method, headers=headers, body=body)
        if answer.status >= 500:
            told = b"" if method == "HEAD" else b"what is stored here cannot be read\n"
            broken = "junk.zarr" in path and answer.body == told  # damaged data are not absent
            assert broken or answer.status == 501, (request, answer.status, answer.body)
        if answer.status >= 400 and method != "HEAD":
            assert folder.encode() not in answer.body and b"Traceback" not in answer.body, request
            assert len(answer.body) < 2000, request
        assert answer.getheader("access-control-allow-origin") == "*", request
        assert answer.getheader("x-content-type-options") == "nosniff", request
        seen.add((path.split("/")[1].partition("?")[0], answer.status))

    check()
    assert len({route for route, _ in seen}) > 15 and any(status == 200 for _, status in seen)
    end = time.monotonic() + 30
    while time.monotonic() < end and (descriptors() > before + 8 or threading.active_count() > threads + 24):
        time.sleep(0.1)
    assert descriptors() <= before + 8, "files or connections stay open"
    assert threading.active_count() <= threads + 24
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown < 700 << 10, f"{grown} KiB"
