"""Images of any format, read through the server by the field's own clients as formats they are not stored in."""

from __future__ import annotations

import json

import numpy as np
import pytest

import voxarium
from voxarium.serve.translated import VIEWS

SHAPE = (21, 45, 70)


def written(folder):
    """Write one volume as HDF5, TIFF slices, WEBKNOSSOS and npy; return it."""
    import h5py
    import tifffile

    data = np.random.default_rng(4).integers(1, 60_000, SHAPE).astype("uint16")
    with h5py.File(folder / "em.h5", "w") as file:
        file.create_dataset("volumes/raw", data=data, chunks=(8, 16, 32))
        file.create_dataset("volumes/other", data=data[::-1])
    (folder / "slices").mkdir()
    for i, plane in enumerate(data):
        tifffile.imwrite(folder / f"slices/z{i:03}.tif", plane)
    np.save(folder / "em.npy", data)
    place = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nanometer"}
    voxarium.convert(folder / "em.npy", folder / "wk/em", format="webknossos", **place, chunk=16, levels=2)
    return data


ADDRESSES = ["em.h5::/volumes/raw", "slices", "em.npy", "wk/em"]


@pytest.fixture
def lab(serve, tmp_path):
    folder = tmp_path / "lab"
    folder.mkdir()
    data = written(folder)
    return serve(folder), data


def opened(url, driver, path=""):
    ts = pytest.importorskip("tensorstore")
    return ts.open({"driver": driver, "kvstore": f"{url}{path}"}).result()


@pytest.mark.parametrize("address", ADDRESSES)
def test_tensorstore_reads_every_view_of_every_format(lab, address):
    client, data = lab
    for view, driver, path in (
        ("ome-zarr-0.4", "zarr", "/s0/"), ("ome-zarr-0.5", "zarr3", "/s0/"), ("ome-zarr-0.6", "zarr3", "/s0/"),
        ("n5", "n5", "/s0/"), ("precomputed", "neuroglancer_precomputed", "/"),
    ):  # fmt: skip
        url = f"{client.url}/as/{view}/lab/{address}"
        found = np.asarray(opened(url, driver, path).read().result())
        if view in ("n5", "precomputed"):
            found = found.T.squeeze()
        np.testing.assert_array_equal(found, data, err_msg=f"{view} of {address}")


@pytest.mark.parametrize("view", ["ome-zarr-0.4", "ome-zarr-0.5"])
def test_zarr_python_reads_through_fsspec(lab, view):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("aiohttp")
    client, data = lab
    array = zarr.open_array(f"{client.url}/as/{view}/lab/em.npy/s0", mode="r")
    np.testing.assert_array_equal(array[3:9, 10:30], data[3:9, 10:30])


def test_voxarium_reads_what_it_shows(lab):
    client, data = lab
    image = voxarium.open(f"{client.url}/as/ome-zarr-0.6/lab/wk/em")
    np.testing.assert_array_equal(image.level(0).read(), data)
    assert image.voxel_size() == (40, 8, 8) and image.unit == "nanometer"
    again = voxarium.open(f"{client.url}/as/precomputed/lab/wk/em")
    for level in range(2):
        np.testing.assert_array_equal(again.level(level).read(), image.level(level).read())


def test_missing_levels_are_there(serve, tmp_path):
    big = np.zeros((5, 900, 700), "uint8")
    big[:, 100:300, 200:600] = 200
    np.save(tmp_path / "big.npy", big)
    client = serve(tmp_path)
    image = voxarium.open(f"{client.url}/as/ome-zarr-0.5/{tmp_path.name}/big.npy")
    assert len(image.levels) > 2 and image.level(len(image.levels) - 1).read().max() == 200


def test_objects_have_tags_sizes_and_ranges(lab):
    client, _ = lab
    path = "/as/precomputed/lab/em.npy/1_1_1/0-64_0-45_0-21"
    info = json.loads(client.get("/as/precomputed/lab/em.npy/info").body)
    assert info["scales"][0]["key"] == "1_1_1"
    whole = client.get(path)
    assert whole.status == 200 and len(whole.body) == 64 * 45 * 21 * 2
    head = client.request(path, "HEAD")
    assert head.getheader("content-length") == str(len(whole.body)) and head.body == b""
    assert client.get(path, headers={"range": "bytes=10-19"}).body == whole.body[10:20]
    tag = whole.getheader("etag")
    assert client.get(path, headers={"if-none-match": tag}).status == 304
    assert whole.getheader("access-control-allow-origin") == "*"


@pytest.mark.parametrize(
    "path",
    [
        "/as", "/as/", "/as/precomputed", "/as/precomputed/", "/as/precomputed/lab", "/as/none/lab/em.npy/info",
        "/as/precomputed/lab/em.npy", "/as/precomputed/lab/em.npy/", "/as/precomputed/lab/em.npy/nothing",
        "/as/precomputed/lab/none.npy/info", "/as/precomputed/../lab/em.npy/info", "/as/precomputed/lab/%2e%2e/info",
        "/as/precomputed/lab/em.npy/1_1_1/0-64_0-45_0-99", "/as/precomputed/lab/em.npy/1_1_1/64-128_0-64_0-64",
        "/as/ome-zarr-0.5/lab/em.npy/s0/c/99/0/0", "/as/ome-zarr-0.5/lab/em.npy/s0/c/0/0/0/0",
        "/as/ome-zarr-0.5/lab/em.npy/.zattrs", "/as/%ff/lab/em.npy/info",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(lab, path):
    assert lab[0].get(path).status == 404


def test_what_cannot_be_shown_says_why(serve, tmp_path):
    np.save(tmp_path / "complex.npy", np.zeros((4, 5, 6), "complex64"))
    answer = serve(tmp_path).get(f"/as/precomputed/{tmp_path.name}/complex.npy/info")
    assert answer.status == 422 and b"cannot be shown as" in answer.body


def test_every_view_is_known(lab):
    known = {"ome-zarr-0.4", "ome-zarr-0.5", "ome-zarr-0.6", "precomputed", "n5"}
    assert set(VIEWS) == known | {"neuroglancer", "neuroglancer-channels"}
    assert lab[0].request("/as/precomputed/lab/em.npy/info", "PUT", body=b"{}").status == 405


def test_an_image_that_is_replaced_is_shown_anew(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("voxarium.serve.catalogue._FRESH", 0.0)
    client = serve(tmp_path)
    for value in (3, 4):
        np.save(tmp_path / "a.npy", np.full((8, 9, 10), value, "uint8"))
        body = client.get(f"/as/precomputed/{tmp_path.name}/a.npy/1_1_1/0-10_0-9_0-8").body
        assert set(body) == {value}


def test_the_page_offers_views_of_what_clients_do_not_read(lab):
    """Every address that is offered works."""
    client, _ = lab
    images = {i["address"]: i for i in json.loads(client.get("/images.json").body)["images"]}
    offered = json.dumps(images["lab/em.npy"])
    assert "/as/precomputed/lab/em.npy" in offered and "/as/ome-zarr-0.5/lab/em.npy/s0" in offered
    assert client.get("/as/precomputed/lab/em.npy/info").status == 200
    assert client.get("/as/ome-zarr-0.5/lab/em.npy/s0/zarr.json").status == 200


def test_labels_inside_an_image_are_images_of_their_own(serve, tmp_path):
    place = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer", "chunk": 16, "levels": 1}
    data = np.arange(8 * 20 * 30, dtype="uint16").reshape(8, 20, 30)
    np.save(tmp_path / "a.npy", data)
    voxarium.convert(tmp_path / "a.npy", tmp_path / "em.zarr", **place)
    np.save(tmp_path / "b.npy", data[::-1].astype("uint32"))
    voxarium.convert(tmp_path / "b.npy", tmp_path / "em.zarr/labels/cells", role="label", **place)
    client = serve(tmp_path)
    for _ in range(2):
        for path, expected in (("em.zarr", data), ("em.zarr/labels/cells", data[::-1])):
            found = voxarium.open(f"{client.url}/as/precomputed/{tmp_path.name}/{path}")
            np.testing.assert_array_equal(found.level(0).read(), expected)
