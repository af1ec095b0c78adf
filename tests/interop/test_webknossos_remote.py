"""Datasets of servers in the words of WEBKNOSSOS' scripts: of our own server, and of others, some of them hostile."""

from __future__ import annotations

import json
import pickle
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, VoxariumError
from voxarium.interop.datastore import TokenStore
from voxarium.interop.webknossos import WebknossosServers, _parsed

pytest.importorskip("uvicorn", reason="uvicorn is not installed")
pytest.importorskip("starlette", reason="Starlette is not installed")

SHAPE = (21, 45, 70)
PLACE = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nanometer"}


def noise(shape=SHAPE, dtype="u2", seed=0):
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


def identifier(address):
    return address.encode().hex()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    folder = tmp_path_factory.mktemp("served") / "lab"
    folder.mkdir()
    truth = {"em": noise(), "rgb": noise((*SHAPE, 3), "u1", 1), "cells": noise(dtype="u4", seed=2)}
    truth["time"] = noise((3, 2, 5, 45, 70), "u1", 3)
    for name, data in truth.items():
        np.save(folder / f"{name}.npy", data)
    em = folder / "em.npy"
    far = {"translation": (30.5 * 40, 20.5 * 8, 10.5 * 8)}
    voxarium.convert(em, folder / "set/em.ome.zarr", **PLACE, **far, levels=2)
    voxarium.convert(folder / "cells.npy", folder / "set/cells.ome.zarr", **PLACE, **far, role="label", levels=1)
    voxarium.convert(folder / "rgb.npy", folder / "wk/rgb", format="webknossos", **PLACE | {"axes": "zyxc"}, levels=1)
    voxarium.convert(folder / "time.npy", folder / "time.ome.zarr", **PLACE | {"axes": "tczyx"}, levels=1)
    truth["half"] = voxarium.open(folder / "set/em.ome.zarr").level(1)[...]
    with BackgroundServer([str(folder)], settings=Settings()) as server:
        yield server.url.rstrip("/"), truth


# ------------------------------------------------------------------------------------------------------ our server
@pytest.mark.parametrize("how", ["page", "id", "name", "token in the address"])
def test_layers_mags_and_offsets(lab, how):
    url, truth = lab
    page = f"{url}/datasets/set-{identifier('lab/set')}/view"
    arguments = {
        "page": (page,), "id": (page.removesuffix("/view").replace("set-", ""),), "name": (url, "lab/set"),
        "token in the address": (f"{page}?token=secret",),
    }[how]  # fmt: skip
    dataset = voxarium.Dataset.remote_open(*arguments, token=None if "?" in arguments[0] else "secret")
    assert dataset.name == "lab/set"
    assert dataset.voxel_size == (8, 8, 40)
    assert set(dataset.layers) == {"em.ome.zarr", "cells.ome.zarr"}
    layer = dataset.get_color_layer()
    assert layer.bounding_box == ((10, 20, 30), (70, 45, 21))
    assert layer.mags == ("1", "2-2-1")
    mag = layer.get_mag(1)
    np.testing.assert_array_equal(mag.read()[0], truth["em"].T)
    part = mag.read(absolute_offset=(15, 21, 33), size=(9, 8, 7))
    np.testing.assert_array_equal(part[0], truth["em"][3:10, 1:9, 5:14].T)
    half = layer.get_mag("2-2-1").read((12, 22, 31), (20, 10, 4))
    np.testing.assert_array_equal(half[0], truth["half"][1:5, 1:6, 1:11].T)
    around = layer.get_mag((1, 1, 1)).read((0, 0, 0), (200, 100, 60))
    assert around.shape == (1, 200, 100, 60) and np.count_nonzero(around) == truth["em"].size
    np.testing.assert_array_equal(around[0, 10:80, 20:65, 30:51], truth["em"].T)
    cells = dataset.get_segmentation_layer()
    assert cells.image.role == "label" and cells.dtype == np.uint32
    np.testing.assert_array_equal(cells.get_mag(1).read()[0], truth["cells"].T)
    assert cells.image.scale_translation()[1] == (30.5 * 40, 20.5 * 8, 10.5 * 8)
    assert "secret" not in repr(dataset) + repr(layer) + layer.image.store.uri + repr(layer.image.store)


def test_channels_and_times(lab):
    url, truth = lab
    rgb = voxarium.Dataset.remote_open(url, "lab/wk/rgb").get_color_layer("rgb").get_mag(1)
    np.testing.assert_array_equal(rgb.read((2, 3, 4), (5, 6, 7)), truth["rgb"][4:11, 3:9, 2:7].transpose(3, 2, 1, 0))
    time = voxarium.Dataset.remote_open(url, "lab/time.ome.zarr").get_color_layer().get_mag(1)
    np.testing.assert_array_equal(time.read(), truth["time"].transpose(1, 0, 4, 3, 2))


def test_what_cannot_be_read_is_said(lab):
    url, _ = lab
    dataset = voxarium.Dataset.remote_open(url, "lab/set")
    mag = dataset.get_color_layer().get_mag("2-2-1")
    for arguments in (((1, 0, 0), (2, 2, 1)), ((0, 0, 0), (3, 2, 1)), ((0, 0), (2, 2, 1)), ((0, 0, 0), (-2, 2, 1)),
                      ((0, 0, 0), (2**40, 2**39, 1)), ((2**62, 0, 0), (2, 2, 2)),
                      ((0, 0, 0), (2**20, 2**20, 2))):  # fmt: skip
        with pytest.raises(InputError):
            mag.read(*arguments)
    for call in (lambda: dataset.get_layer("none"), lambda: dataset.get_color_layer("cells.ome.zarr"),
                 lambda: dataset.get_color_layer().get_mag(3), lambda: dataset.get_color_layer().get_mag((2, 2)),
                 lambda: voxarium.Dataset.remote_open(url, "lab/none"),
                 lambda: voxarium.Dataset.remote_open(f"{url}/datasets/{identifier('lab/none')}")):  # fmt: skip
        with pytest.raises(NotFoundError):
            call()
    with pytest.raises(InputError):
        voxarium.Dataset.remote_open(url)
    with pytest.raises(VoxariumError):
        voxarium.Dataset.remote_open(url, "lab/set", kind="unknown")


def test_stores_travel_to_other_processes(lab):
    url, _ = lab
    store = pickle.loads(pickle.dumps(TokenStore(url, token="secret")))
    assert b"httpApiVersioning" in store.get("api/buildinfo")
    assert store.get("api/none") is None
    assert "secret" not in repr(store)


# -------------------------------------------------------------------------------------------------- other servers
@contextmanager
def answering(answers):
    """Serve `answers`: path → document, bytes, or (status, headers, bytes); yield the address and what was asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            asked.append((self.path, self.headers.get("X-Auth-Token")))
            found = answers.get(self.path, (404, {}, b"{}"))
            if not isinstance(found, tuple):
                found = (200, {}, found if isinstance(found, bytes) else json.dumps(found).encode())
            status, headers, body = found
            self.send_response(status)
            for name, value in ({"content-length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


VERSIONS = {"httpApiVersioning": {"currentApiVersion": 15, "oldestSupportedApiVersion": 13}}
LAYER = {
    "name": "em", "category": "color", "boundingBox": {"topLeft": [0, 0, 0], "width": 5, "height": 4, "depth": 3},
    "dataFormat": "zarr", "numChannels": 1, "elementClass": "uint8",
    "mags": [{"mag": [1, 1, 1], "path": "./em/1", "axisOrder": {"c": 0, "x": 1, "y": 2, "z": 3}}],
}  # fmt: skip
ARRAY = {
    "zarr_format": 2, "dtype": "|u1", "order": "F", "chunks": [1, 32, 32, 32], "compressor": None, "filters": None,
    "fill_value": 0, "dimension_separator": ".", "shape": [1, 5, 4, 3],
}  # fmt: skip
ID = "59e9cfbdba632ac2ab8b23b5"


def contract(url, **changes):
    source = {"id": {"name": "em", "team": ""}, "scale": [8, 8, 40], "dataLayers": [LAYER]}
    data = f"/data/v15/zarr/{ID}"
    bucket = np.zeros((32, 32, 32), "u1")
    bucket[:3, :4, :5] = np.arange(60).reshape(3, 4, 5)
    return {
        "/api/buildinfo": VERSIONS,
        f"/api/v15/datasets/{ID}": {"id": ID, "name": "em", "dataStore": {"url": url}},
        "/api/v15/user": {"organization": "lab"},
        "/api/v15/datasets/disambiguate/lab/em/toId": {"id": ID},
        f"{data}/datasource-properties.json": source,
        f"{data}/em/1/.zarray": ARRAY,
        f"{data}/em/1/0.0.0.0": bucket.tobytes(),
    } | changes


def test_the_same_contract_elsewhere():
    answers = {}
    with answering(answers) as (url, asked):
        answers |= contract(url)
        for arguments in ((url, "em"), (f"{url}/datasets/lab/em/view",), (f"{url}/datasets/em-{ID}",)):
            dataset = voxarium.Dataset.remote_open(*arguments, token="abc")
            read = dataset.get_color_layer().get_mag(1).read((1, 1, 1), (9, 2, 2))
            want = np.zeros((1, 9, 2, 2), "u1")
            want[0, :4] = np.arange(60).reshape(3, 4, 5)[1:3, 1:3, 1:].T
            np.testing.assert_array_equal(read, want)
        assert {token for _, token in asked} == {"abc"}


@pytest.mark.parametrize(
    "place", ["http://169.254.169.254", "file:///etc", "https://example.org", "//x", "http://localhost:1"]
)
def test_voxels_on_other_servers_are_not_followed(place):
    with answering(contract(place)) as (url, asked):
        with pytest.raises(InputError, match="another server"):
            voxarium.Dataset.remote_open(f"{url}/datasets/{ID}", token="abc")
        assert not any("/data/" in path for path, _ in asked)


def test_another_server_that_was_named_is_asked():
    with answering({}) as (second, asked), answering(contract("https://example.org")) as (first, _):
        with pytest.raises(NotFoundError):
            WebknossosServers().open(f"{first}/datasets/{ID}", token="abc", datastore=second)
        assert asked == [(f"/data/v15/zarr/{ID}/datasource-properties.json", "abc")]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_redirects_are_not_followed_and_get_no_token(status):
    with answering({}) as (second, stolen):
        redirect = (status, {"location": f"{second}/api/buildinfo"}, b"")
        with answering({"/api/buildinfo": redirect}) as (url, _), pytest.raises(StoreError, match="not followed"):
            voxarium.Dataset.remote_open(url, "em", token="abc")
        assert stolen == []


def test_tokens_do_not_travel_in_the_clear():
    for url in ("http://example.org/datasets/a-00", "http://10.0.0.1/datasets/a-00"):
        with pytest.raises(InputError, match="encryption") as caught:
            voxarium.Dataset.remote_open(url, token="topsecret")
        assert "topsecret" not in f"{caught.value} {caught.value.fix}"
    for token in ("line\r\nX-Other: 1", "", "ü"):
        with pytest.raises(InputError):
            TokenStore("https://example.org", token=token)


@pytest.mark.parametrize("status", [401, 403, 500])
def test_refusals_are_errors_and_never_zeros(status):
    answers = {}
    with answering(answers) as (url, _):
        answers |= contract(url)
        mag = voxarium.Dataset.remote_open(f"{url}/datasets/{ID}").get_color_layer().get_mag(1)
        answers[f"/data/v15/zarr/{ID}/em/1/0.0.0.0"] = (status, {}, b"")
        with pytest.raises(StoreError) as caught:
            mag.read()
        assert caught.value.code == (Code.STORE_PERMISSION if status < 500 else Code.STORE_UNREADABLE)
        del answers[f"/data/v15/zarr/{ID}/em/1/0.0.0.0"]
        assert not mag.read().any()


def test_answers_that_are_too_large_or_cut_off_are_errors():
    for headers, body in (({"content-length": str(2**40)}, b""), ({"content-length": "100"}, b"{}")):
        broken = (200, {**headers, "connection": "close"}, body)
        with answering({"/api/buildinfo": broken}) as (url, _), pytest.raises(StoreError):
            TokenStore(url, timeout=0.3).get("api/buildinfo")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=5) | st.sampled_from(["../..", "zarr"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["url", "id", "mag", "path"]), inner),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def junk():
    answers = {}
    with answering(answers) as (url, _):
        yield url, answers


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_answers_give_a_dataset_or_our_errors(junk, data):
    url, answers = junk
    answers.clear()
    answers |= contract(url)
    for path in data.draw(st.lists(st.sampled_from(sorted(answers)), min_size=1, max_size=2)):
        if isinstance(answers[path], dict) and answers[path]:
            key = data.draw(st.sampled_from(sorted(answers[path])))
            answers[path] = answers[path] | {key: data.draw(JSON)}
        else:
            answers[path] = data.draw(st.binary(max_size=40))
    try:
        dataset = voxarium.Dataset.remote_open(url, "em")
        for layer in dataset.layers.values():
            layer.get_mag(layer.mags[0]).read((0, 0, 0), (4, 4, 4))
    except VoxariumError:
        pass


def test_addresses_that_are_none():
    for uri in (
        "file:///etc/datasets/00",
        "https://user:pass@example.org/datasets/00",
        "datasets/00",
        "https://example.org",
    ):
        with pytest.raises(InputError):
            _parsed(uri, None, None, None)
    for name in ("../x", "a//b", "a?b", "a/../b", "%2e%2e"):
        with pytest.raises(InputError):
            _parsed("https://example.org", name, None, None)
    assert _parsed("https://example.org/wk/datasets/my-em-00ff/view?token=t", None, None, None) == (
        "https://example.org/wk", "00ff", None, None, "t",
    )  # fmt: skip
    with pytest.raises(FormatError), answering({"/api/buildinfo": {"httpApiVersioning": {}}}) as (url, _):
        voxarium.Dataset.remote_open(url, "em")
