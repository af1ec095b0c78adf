"""Images as datasets of WEBKNOSSOS: the requests that its client sends, with the answers it needs."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from urllib.parse import quote, urlencode

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.serve.webknossos_datasets import address_of, dataset_id, parsed_mag

SHAPE = (21, 45, 70)
PLACE = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nanometer"}


def noise(shape=SHAPE, dtype="u2", seed=0):
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


def written(folder):
    """Write one volume in many formats, and other kinds of images; return what they hold."""
    truth = {"em": noise(), "rgb": noise((*SHAPE, 3), "u1", 1), "cells": noise(dtype="u8", seed=2) << 40}
    truth["time"] = noise((3, 2, 5, 45, 70), "u1", 3)
    for name, data in truth.items():
        np.save(folder / f"{name}.npy", data)
    with h5py.File(folder / "em.h5", "w") as file:
        file.create_dataset("volumes/raw", data=truth["em"], chunks=(8, 16, 32))
    (folder / "slices").mkdir()
    for i, plane in enumerate(truth["em"]):
        tifffile.imwrite(folder / f"slices/z{i:03}.tif", plane)
    em = folder / "em.npy"
    voxarium.convert(em, folder / "wk/em", format="webknossos", **PLACE, chunk=16, levels=2)
    voxarium.convert(folder / "rgb.npy", folder / "wk/rgb", format="webknossos", **PLACE | {"axes": "zyxc"}, levels=1)
    voxarium.convert(folder / "cells.npy", folder / "wk/cells", format="webknossos", **PLACE, role="label", levels=1)
    voxarium.convert(em, folder / "em.ome.zarr", **PLACE, levels=1)
    voxarium.convert(folder / "time.npy", folder / "time.ome.zarr", **PLACE | {"axes": "tczyx"}, levels=1)
    voxarium.convert(em, folder / "far.ome.zarr", **PLACE, levels=2, translation=(30.5 * 40, 20.5 * 8, 10.5 * 8))
    truth["half"] = voxarium.open(folder / "wk/em").level(1)[...]
    return truth


@pytest.fixture(scope="module")
def lab(tmp_path_factory, client_of):
    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    folder = tmp_path_factory.mktemp("served") / "lab"
    folder.mkdir()
    truth = written(folder)
    with BackgroundServer([str(folder)], settings=Settings()) as server:
        yield client_of(server), truth, folder


def told(client, path, **headers):
    answer = client.get(path, headers=headers)
    assert answer.status == 200, (path, answer.status, answer.body)
    return json.loads(answer.body)


def data(address, rest=""):
    return f"/data/v15/zarr/{dataset_id(address)}/{rest}"


def bucket(client, address, layer, mag, index, dtype, first=(1,)):
    """Return a bucket along c (t) x y z, reversed: z, y, x … c; None where there is none."""
    answer = client.get(data(address, f"{quote(layer)}/{mag}/{'.'.join(map(str, index))}"))
    if answer.status == 404:
        return None
    assert answer.status == 200
    return np.frombuffer(answer.body, dtype).reshape((*first, 32, 32, 32)[::-1])


# -------------------------------------------------------------------------------------------------------------- API
def test_the_versions_are_told_and_others_are_not_found(lab):
    client = lab[0]
    versions = told(client, "/api/buildinfo")["httpApiVersioning"]
    assert versions == {"currentApiVersion": 16, "oldestSupportedApiVersion": 13}
    assert told(client, "/api/v16/user")["organization"] == "voxarium"
    for version in (12, 17, 99999999999999999999):
        assert client.get(f"/api/v{version}/user").status == 404


@pytest.mark.parametrize("token", [None, "anything"])
def test_a_dataset_says_where_its_data_are(lab, token):
    client = lab[0]
    headers = {} if token is None else {"X-Auth-Token": token}
    found = told(client, f"/api/v16/datasets/{dataset_id('lab/wk')}?sharingToken=", **headers)
    assert found["id"] == dataset_id("lab/wk") and found["name"] == "lab/wk"
    assert found["dataStore"] == {"name": "voxarium", "url": client.url.rstrip("/"), "allowsUpload": False}
    assert found["dataSource"]["scale"] == {"factor": [8, 8, 40], "unit": "nanometer"}
    served = told(client, data("lab/wk", "datasource-properties.json"), **headers)
    assert served["scale"] == [8, 8, 40]
    assert served["dataLayers"] == found["dataSource"]["dataLayers"]
    layers = {layer["name"]: layer for layer in served["dataLayers"]}
    assert set(layers) == {"em", "rgb", "cells"}
    assert (layers["rgb"]["elementClass"], layers["rgb"]["numChannels"]) == ("uint24", 3)
    assert layers["cells"]["category"] == "segmentation"
    assert layers["em"]["boundingBox"] == {"topLeft": [0, 0, 0], "width": 70, "height": 45, "depth": 21}
    assert [m["mag"] for m in layers["em"]["mags"]] == [[1, 1, 1], [2, 2, 1]]
    assert layers["em"]["mags"][1]["path"] == "./em/2-2-1"


def test_datasets_are_found_by_name(lab):
    client = lab[0]
    query = urlencode({"isActive": "true", "organizationId": "voxarium", "searchQuery": "lab/em.npy"})
    found = told(client, f"/api/v16/datasets?{query}")
    assert found[0]["id"] == dataset_id("lab/em.npy")
    assert told(client, "/api/v16/datasets/disambiguate/voxarium/lab/wk/toId") == {"id": dataset_id("lab/wk")}
    assert client.get("/api/v16/datasets/disambiguate/voxarium/lab/none/toId").status == 404
    names = [d["name"] for d in told(client, "/api/v16/datasets")]
    assert {"lab/wk", "lab/wk/em", "lab/em.h5", "lab/slices", "lab"} <= set(names)
    shown = client.get(f"/datasets/em-{dataset_id('lab/em.npy')}/view")
    assert (shown.status, shown.getheader("location")) == (307, f"{client.url}/datasets/lab/em.npy")


# --------------------------------------------------------------------------------------------------------- buckets
@pytest.mark.parametrize("address", ["lab/em.h5", "lab/em.h5::/volumes/raw", "lab/slices", "lab/em.npy", "lab/wk/em"])
def test_buckets_of_every_format_hold_exact_voxels(lab, address):
    client, truth, _ = lab
    (layer,) = told(client, data(address, "datasource-properties.json"))["dataLayers"]
    name = layer["name"]
    array = told(client, data(address, f"{quote(name)}/1/.zarray"))
    assert array == {
        "zarr_format": 2, "dtype": "<u2", "order": "F", "chunks": [1, 32, 32, 32], "compressor": None,
        "filters": None, "fill_value": 0, "dimension_separator": ".", "shape": [1, 70, 45, 21],
    }  # fmt: skip
    whole = np.zeros((32, 64, 96), "<u2")
    for x, y in np.ndindex(3, 2):
        whole[:, 32 * y : 32 * y + 32, 32 * x : 32 * x + 32] = bucket(client, address, name, 1, (0, x, y, 0), "<u2")[
            ..., 0
        ]
    np.testing.assert_array_equal(whole[:21, :45, :70], truth["em"])
    assert not whole[21:].any() and not whole[:, 45:].any()
    assert bucket(client, address, name, 1, (0, 0, 0, 1), "<u2") is None
    assert bucket(client, address, name, 1, (1, 0, 0, 0), "<u2") is None


def test_channels_times_and_coarser_mags(lab):
    client, truth, _ = lab
    rgb = bucket(client, "lab/wk", "rgb", "1", (0, 1, 0, 0), "u1", (3,))
    np.testing.assert_array_equal(rgb[:21], truth["rgb"][:, :32, 32:64])
    half = bucket(client, "lab/wk", "em", "2-2-1", (0, 1, 0, 0), "<u2")
    np.testing.assert_array_equal(half[:21, :23, :3, 0], truth["half"][:, :, 32:])
    (layer,) = told(client, data("lab/time.ome.zarr", "datasource-properties.json"))["dataLayers"]
    assert layer["additionalAxes"] == [{"name": "t", "bounds": [0, 3], "index": 1}]
    assert layer["mags"][0]["axisOrder"] == {"c": 0, "t": 1, "x": 2, "y": 3, "z": 4}
    assert (layer["numChannels"], layer["elementClass"]) == (2, "uint16")
    got = bucket(client, "lab/time.ome.zarr", layer["name"], 1, (0, 2, 0, 1, 0), "u1", (2, 1))
    np.testing.assert_array_equal(got[:5, :13, :, 0].transpose(3, 0, 1, 2), truth["time"][2, :, :, 32:, :32])
    assert bucket(client, "lab/time.ome.zarr", layer["name"], 1, (0, 3, 0, 0, 0), "u1", (2, 1)) is None
    assert bucket(client, "lab/time.ome.zarr", layer["name"], 1, (0, 0, 0, 0), "u1", (2, 1)) is None


def test_images_that_begin_elsewhere_have_offsets_and_only_mags_that_fit(lab):
    client, truth, _ = lab
    (layer,) = told(client, data("lab/far.ome.zarr", "datasource-properties.json"))["dataLayers"]
    assert layer["boundingBox"]["topLeft"] == [10, 20, 30]
    assert "coordinateTransformations" not in layer
    assert [m["mag"] for m in layer["mags"]] == [[1, 1, 1], [2, 2, 1]]
    got = bucket(client, "lab/far.ome.zarr", layer["name"], 1, (0, 0, 0, 0), "<u2")
    np.testing.assert_array_equal(got[30:, 20:, 10:, 0], truth["em"][:2, :12, :22])
    assert not got[:30].any() and not got[:, :20].any() and not got[..., :10, :].any()
    half = bucket(client, "lab/far.ome.zarr", layer["name"], "2-2-1", (0, 1, 1, 1), "<u2")
    np.testing.assert_array_equal(half[:19, :1, :8, 0], truth["half"][2:, 22:, 27:])


def test_images_between_voxels_have_a_transformation(lab):
    (layer,) = told(lab[0], data("lab/em.npy", "datasource-properties.json"))["dataLayers"]
    assert layer["boundingBox"]["topLeft"] == [0, 0, 0]
    matrix = layer["coordinateTransformations"][0]["matrix"]
    assert matrix == [[1, 0, 0, -0.5], [0, 1, 0, -0.5], [0, 0, 1, -0.5], [0, 0, 0, 1]]


def test_all_zero_buckets_are_absent_and_voxel_sizes_may_differ(serve, tmp_path):
    em = np.zeros((4, 40, 40), "u1")
    em[0, 0, 0] = 7
    np.save(tmp_path / "a.npy", em)
    for name, size in (("fine", 4), ("coarse", 8), ("odd", 6)):
        voxarium.convert(
            tmp_path / "a.npy", tmp_path / f"set/{name}.ome.zarr", axes="zyx", voxel_size=size, unit="nanometer",
            translation=size / 2, levels=1,
        )  # fmt: skip
    client = serve(tmp_path / "set")
    found = told(client, data("set", "datasource-properties.json"))
    layers = {layer["name"]: layer for layer in found["dataLayers"]}
    assert found["scale"] == [4, 4, 4]
    assert layers["coarse.ome.zarr"]["mags"][0]["mag"] == [2, 2, 2]
    assert layers["coarse.ome.zarr"]["boundingBox"]["width"] == 80
    odd = layers["odd.ome.zarr"]
    assert odd["mags"][0]["mag"] == [1, 1, 1]
    assert odd["coordinateTransformations"][0]["matrix"][0] == [1.5, 0, 0, 0]
    assert bucket(client, "set", "coarse.ome.zarr", "2", (0, 0, 0, 0), "u1")[0, 0, 0] == 7
    assert bucket(client, "set", "coarse.ome.zarr", "2", (0, 1, 0, 0), "u1") is None
    assert bucket(client, "set", "coarse.ome.zarr", "1", (0, 0, 0, 0), "u1") is None


# --------------------------------------------------------------------------------------------------------- cuboids
def cuboid(client, address, layer, **query):
    names = dict(zip(("mag", "x", "y", "z", "width", "height", "depth"), ("1-1-1", 0, 0, 0, 1, 1, 1), strict=True))
    path = f"/data/v15/datasets/{dataset_id(address)}/layers/{quote(layer)}/data"
    return client.get(f"{path}?{urlencode(names | query)}")


def test_cuboids_are_raw_and_padded_with_zeros(lab):
    client, truth, _ = lab
    answer = cuboid(client, "lab/wk", "em", x=-3, y=5, z=2, width=80, height=45, depth=7)
    assert answer.status == 200 and answer.getheader("missing-buckets") == "[]"
    got = np.frombuffer(answer.body, "<u2").reshape(7, 45, 80)
    np.testing.assert_array_equal(got[:, :40, 3:73], truth["em"][2:9, 5:])
    assert not got[..., :3].any() and not got[..., 73:].any() and not got[:, 40:].any()
    answer = cuboid(client, "lab/wk", "em", mag="2-2-1", x=4, y=2, z=1, width=5, height=6, depth=7)
    got = np.frombuffer(answer.body, "<u2").reshape(7, 6, 5)
    np.testing.assert_array_equal(got, truth["half"][1:8, 1:7, 2:7])
    answer = cuboid(client, "lab/wk", "rgb", width=70, height=45, depth=21)
    np.testing.assert_array_equal(np.frombuffer(answer.body, "u1").reshape(*SHAPE, 3), truth["rgb"])


def test_large_cuboids_come_slab_by_slab(lab):
    client, truth, _ = lab
    answer = cuboid(client, "lab/wk", "cells", width=1500, height=900, depth=3)
    got = np.frombuffer(answer.body, "<u8").reshape(3, 900, 1500)
    np.testing.assert_array_equal(got[:, :45, :70], truth["cells"][:3])
    assert np.count_nonzero(got) == 3 * 45 * 70


# --------------------------------------------------------------------------------------------------------- attacks
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"width": 2**16 + 1}, 413), ({"width": 65536, "height": 65536, "depth": 2}, 413), ({"width": 2**62}, 400),
        ({"width": 0}, 400), ({"depth": -1}, 400), ({"x": "1.5"}, 400), ({"x": ""}, 400), ({"x": -(2**62)}, 400),
        ({"mag": "3"}, 404), ({"mag": "0-0-0"}, 404), ({"mag": "../1"}, 404), ({"mag": "2-2-1", "x": 1}, 400),
        ({"halfByte": "true"}, 400), ({"x": 10**12}, 200),
    ],
)  # fmt: skip
def test_cuboids_that_cannot_be_are_refused(lab, query, status):
    assert cuboid(lab[0], "lab/wk", "em", **query).status == status


@pytest.mark.parametrize(
    "path",
    [
        "/data", "/data/", "/data/v15", "/data/v12/zarr/6c6162/datasource-properties.json", "/data/v15/zarr/zz/.zarray",
        "/data/v15/zarr/6c/datasource-properties.json", "/data/v15/zarr/ff/datasource-properties.json",
        data("lab/none", "datasource-properties.json"), data("lab/../lab/wk", "datasource-properties.json"),
        data("/etc", "datasource-properties.json"), data("lab/wk", ".zattrs"), data("lab/wk", "em/1/.zgroup"),
        data("lab/wk", "em/1/0.0.0"), data("lab/wk", "em/1/0.0.0.-1"), data("lab/wk", "em/1/0.0.0.9999999999"),
        data("lab/wk", "em/1/0.0.0.99999999999999999999"), data("lab/wk", "em/0/.zarray"),
        data("lab/wk", "em/16/.zarray"),
        data("lab/wk", "none/1/.zarray"), data("lab/wk", "em/1/%2e%2e/.zarray"), data("lab/wk", "em/1"),
        "/api", "/api/", "/api/v16", "/api/v16/none", "/api/v16/datasets/", "/api/v16/datasets/zz",
        "/api/v16/datasets/6c6",
        f"/api/v16/datasets/{dataset_id('lab/none')}", f"/api/v16/datasets/{'ab' * 3000}",
        f"/api/v16/datasets/{dataset_id('lab' + chr(0) + 'wk')}", f"/api/v16/datasets/{dataset_id('../lab')}",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(lab, path):
    assert lab[0].get(path).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff\xfe", b'{"a":' * 1000])
def test_nothing_is_written(lab, method, body):
    for path in (data("lab/wk", "em/1/0.0.0.0"), "/api/v16/datasets", f"/api/v16/datasets/{dataset_id('lab/wk')}"):
        assert lab[0].request(path, method, {"content-type": "application/json"}, body).status == 405


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_no_request_is_the_servers_fault(lab, data_):
    part = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0 "), max_size=20)
    known = st.sampled_from(
        ["v15", "v16", "zarr", "datasets", dataset_id("lab/wk"), "em", "1", "2-2-1", ".zarray", "layers", "data"]
    )
    parts = data_.draw(st.lists(known | part, max_size=8))
    query = data_.draw(
        st.dictionaries(st.sampled_from(["x", "y", "width", "mag", "searchQuery"]) | part, part, max_size=4)
    )
    first = data_.draw(st.sampled_from(["api", "data", "datasets"]))
    path = f"/{first}/" + "/".join(quote(p, safe="") for p in parts) + f"?{urlencode(query)}"
    assert lab[0].get(path, headers={"X-Auth-Token": "x"}).status < 500


@given(st.text(max_size=50))
def test_ids_stand_for_addresses(text):
    address = text.encode("utf-8", "replace").decode()
    if address:
        assert address_of(dataset_id(address)) == address
    assert parsed_mag(text) is None or all(n >= 0 for n in parsed_mag(text))


# ------------------------------------------------------------------------------------------------- the real client
@pytest.mark.parametrize("private", [False, True])
def test_the_real_client_reads_exact_voxels(lab, tmp_path, serve, private):
    interpreter = os.environ.get("VOXARIUM_WEBKNOSSOS_PYTHON")
    if not interpreter:
        pytest.skip("VOXARIUM_WEBKNOSSOS_PYTHON names no interpreter that has the webknossos client (it is AGPL)")
    client, truth, folder = lab
    token = "anything"
    if private:
        pytest.importorskip("sqlalchemy", reason="SQLAlchemy is not installed")
        from voxarium.serve.database import open_database
        from voxarium.serve.database.tokens import create_token

        database = open_database(str(tmp_path / "server.db"))
        token, _ = create_token(database, "script", [("read", "lab")])
        database.close()
        client = serve(folder, private=True, database=str(tmp_path / "server.db"))
    np.savez(tmp_path / "truth.npz", **truth)
    script = Path(__file__).with_name("webknossos_script.py")
    done = subprocess.run(
        [interpreter, str(script), client.url.rstrip("/"), str(tmp_path / "truth.npz"), token],
        capture_output=True, text=True, timeout=300, check=False,
        env={k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "WK_TOKEN", "WK_URL")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


def test_a_layer_is_opened_by_its_address_without_a_format(serve, tmp_path):
    data = np.random.default_rng(7).integers(1, 255, (20, 40, 33)).astype("uint8")
    np.save(tmp_path / "em.npy", data)
    voxarium.convert(tmp_path / "em.npy", tmp_path / "wk/em", format="webknossos", **PLACE, chunk=16, levels=1)
    client = serve(f"wk={tmp_path / 'wk'}")
    identifier = b"wk".hex()
    layers = json.loads(client.get(f"/data/v13/zarr/{identifier}/datasource-properties.json").body)["dataLayers"]
    image = voxarium.open(f"{client.url}/data/v13/zarr/{identifier}/{layers[0]['name']}")
    assert image.info.format == "webknossos" and voxels(image, data.size) == data.tobytes()


def voxels(image, count):
    found = np.asarray(image[...]).squeeze()
    corner = [np.flatnonzero(found.any(axis=tuple(j for j in range(found.ndim) if j != i)))[0] for i in range(3)]
    part = found[tuple(slice(c, c + n) for c, n in zip(corner, (20, 40, 33), strict=True))]
    return part.tobytes() if part.size == count else b""
