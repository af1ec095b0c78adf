"""Images as channels of a Boss: read by the service's own client, and by our own."""

from __future__ import annotations

import json
import sys
from urllib.parse import quote

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.serve.bossdb_channels import BossNames

SHAPE = (21, 45, 70)
PLACE = {"axes": "zyx", "voxel_size": (40, 8, 8), "unit": "nanometer"}


def noise(shape=SHAPE, dtype="u2", seed=0):
    return np.random.default_rng(seed).integers(1, 250, shape).astype(dtype)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, client_of):
    import h5py
    import tifffile

    from voxarium.serve.running import BackgroundServer
    from voxarium.serve.site import Settings

    folder = tmp_path_factory.mktemp("served") / "lab"
    folder.mkdir()
    em = noise()
    with h5py.File(folder / "em.h5", "w") as file:
        file.create_dataset("raw", data=em, chunks=(8, 16, 32))
    (folder / "slices").mkdir()
    for i, plane in enumerate(em):
        tifffile.imwrite(folder / f"slices/z{i:03}.tif", plane)
    np.save(folder / "em.npy", em)
    cells, rgb, times = noise(dtype="u4", seed=1), noise((*SHAPE, 3), "u1", 2), noise((3, 5, 45, 70), "u1", 3)
    for name, data in (("cells", cells), ("rgb", rgb), ("times", times), ("float", em.astype("f4"))):
        np.save(folder / f"{name}.npy", data)
    source = folder / "em.npy"
    voxarium.convert(source, folder / "em.ome.zarr", **PLACE, levels=3)
    voxarium.convert(source, folder / "far.ome.zarr", **PLACE, translation=(40 * 7, 8 * 200, 8 * 100), levels=2)
    voxarium.convert(folder / "cells.npy", folder / "cells.ome.zarr", **PLACE, role="label", levels=1)
    voxarium.convert(folder / "rgb.npy", folder / "wk/rgb", format="webknossos", **PLACE | {"axes": "zyxc"}, levels=1)
    voxarium.convert(folder / "times.npy", folder / "times.ome.zarr", **PLACE | {"axes": "tzyx"}, levels=1)
    with BackgroundServer([str(folder)], settings=Settings()) as server:
        yield client_of(server), {"em": em, "cells": cells, "rgb": rgb, "times": times}


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch):
    for name in ("INTERN_TOKEN", "INTERN_HOST", "INTERN_PROTOCOL", "BOSSDB_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def told(client, path):
    answer = client.get(path, headers={"authorization": "Token anything", "accept": "application/json"})
    assert answer.status == 200, (path, answer.body)
    return json.loads(answer.body)


def opened(client, experiment, channel):
    return voxarium.open(f"bossdb://http://{client.host}:{client.port}/lab/{experiment}/{channel}")


# ---------------------------------------------------------------------------------------------------------- clients
@pytest.mark.filterwarnings("default")  # of the client's own dependencies
@pytest.mark.oracle
def test_intern_reads_exact_voxels(lab):
    intern = pytest.importorskip("intern", reason="intern is not installed")
    from intern.remote.boss import BossRemote

    client, truth = lab
    remote = BossRemote({"protocol": "http", "host": f"{client.host}:{client.port}", "token": "anything"})
    assert remote.list_collections() == ["lab"]
    assert {"em_h5", "slices", "em_ome_zarr", "wk_rgb"} <= set(remote.list_experiments("lab"))
    assert remote.list_channels("lab", "wk_rgb") == ["image_0", "image_1", "image_2"]
    for experiment in ("em_h5", "slices", "em_npy", "em_ome_zarr"):
        channel = remote.get_channel("image", "lab", experiment)
        got = remote.get_cutout(channel, 0, [10, 70], [3, 45], [0, 21], parallel=False)
        np.testing.assert_array_equal(got, truth["em"][:, 3:, 10:], err_msg=experiment)
    array = intern.array(
        remote.get_channel("image", "lab", "em_ome_zarr"),
        volume_provider=sys.modules["intern.convenience.array"]._BossDBVolumeProvider(remote),
    )
    assert array.shape == SHAPE and array.voxel_size == (8, 8, 40) and array.voxel_unit == "nanometers"
    np.testing.assert_array_equal(array[3:5, 10:20, 30:40], truth["em"][3:5, 10:20, 30:40])
    cells = remote.get_channel("labels", "lab", "cells_ome_zarr")
    assert (cells.type, cells.datatype) == ("annotation", "uint64")
    np.testing.assert_array_equal(
        remote.get_cutout(cells, 0, [0, 70], [0, 45], [0, 21], parallel=False), truth["cells"]
    )
    times = remote.get_channel("image", "lab", "times_ome_zarr")
    got = remote.get_cutout(times, 0, [1, 9], [2, 8], [0, 5], time_range=[1, 3], parallel=False)
    np.testing.assert_array_equal(got, truth["times"][1:, :, 2:8, 1:9])


def test_our_own_client_sees_levels_places_and_channels(lab):
    client, truth = lab
    image = opened(client, "em_ome_zarr", "image")
    np.testing.assert_array_equal(image[...], truth["em"])
    assert image.voxel_size() == (40, 8, 8) and image.unit == "nanometer"
    served = voxarium.open(f"{client.url}/raw/lab/em.ome.zarr")
    assert len(image.levels) == 3
    for level in range(3):
        np.testing.assert_array_equal(image.level(level)[...], served.level(level)[...])
        assert image.scale_translation(level) == served.scale_translation(level)
    far = opened(client, "far_ome_zarr", "image")
    assert far.scale_translation()[1] == (40 * 7, 8 * 200, 8 * 100)
    np.testing.assert_array_equal(far[2:9, 5:, :30], truth["em"][2:9, 5:, :30])
    for channel in range(3):
        np.testing.assert_array_equal(opened(client, "wk_rgb", f"image_{channel}")[...], truth["rgb"][..., channel])
    times = opened(client, "times_ome_zarr", "image")
    assert times.shape == (3, 5, 45, 70)
    np.testing.assert_array_equal(times[...], truth["times"])
    assert opened(client, "cells_ome_zarr", "labels").role == "label"


def test_what_no_channel_can_be_is_said(lab):
    answer = lab[0].get("/v1/collection/lab/experiment/float_npy/")
    assert answer.status == 404 and b"float32" in answer.body
    assert set(told(lab[0], "/v1/coord/")["coords"]) >= {"lab-slices", "lab-em_npy"}
    assert told(lab[0], "/v1/coord/lab-far_ome_zarr")["x_start"] == 100


# ---------------------------------------------------------------------------------------------------------- attacks
def cutout(client, ranges, level=0, experiment="em_npy", **headers):
    return client.get(f"/v1/cutout/lab/{experiment}/image/{level}/{ranges}/?access-mode=no-cache", headers=headers)


@pytest.mark.parametrize(
    ("ranges", "status"),
    [
        ("0:1/0:1/0:1", 200), ("0:70/0:45/0:21", 200), ("0:71/0:45/0:21", 400), ("-1:5/0:4/0:4", 400),
        ("5:5/0:4/0:4", 400), ("5:4/0:4/0:4", 400), ("0:999999999999999/0:4/0:4", 400), ("0:1/0:1/0:1/0:1", 200),
        ("0:1/0:1/0:1/0:2", 400), ("0:1/0:1/0:1/1:2", 400), ("0:1/0:1", 404), ("a:b/0:1/0:1", 400),
        ("0:1/0:1/0:1/0:1/0:1", 404), (f"0:{'9' * 40}/0:4/0:4", 400), ("0:1/0:1/%2e%2e", 404), ("٣:٤/0:1/0:1", 400),
    ],
)  # fmt: skip
def test_cutouts_stay_inside_the_frame(lab, ranges, status):
    assert cutout(lab[0], quote(ranges, safe="/:%")).status == status


def test_levels_types_and_names_that_are_not_there(lab):
    client = lab[0]
    assert cutout(client, "0:1/0:1/0:1", level=9).status == 400
    assert cutout(client, "0:1/0:1/0:1", level=999).status == 404
    assert cutout(client, "0:1/0:1/0:1", experiment="none").status == 404
    assert cutout(client, "0:1/0:1/0:1", accept="image/jpeg").status == 406
    assert client.get("/v1/cutout/lab/em_npy/image/0/0:1/0:1/0:1/?filter=1,2").status == 400
    for path in ("", "/", "/collection/none/", "/collection/lab/experiment/none", "/coord/none", "/meta/lab", "/none",
                 "/collection/lab/experiment/em_npy/channel/none", "/downsample/lab/em_npy/none"):  # fmt: skip
        assert client.get(f"/v1{path}").status == 404, path


def test_large_cutouts_are_refused_before_anything_is_read(serve, tmp_path):
    import h5py

    with h5py.File(tmp_path / "big.h5", "w") as file:
        file.create_dataset("raw", (2000, 2000, 2000), "u1", chunks=(64, 64, 64))
    client = serve(tmp_path)
    root = told(client, "/v1/collection/")["collections"][0]
    base = f"/v1/cutout/{root}/big_h5/image/0"
    assert client.get(f"{base}/0:2000/0:2000/0:2000").status == 413
    assert client.get(f"{base}/0:20/0:2000/0:20").status == 200


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b'{"a":' * 1000])
def test_nothing_is_written(lab, body):
    for path in ("/v1/collection/new", "/v1/cutout/lab/em_npy/image/0/0:1/0:1/0:1"):
        for method in ("POST", "PUT", "DELETE"):
            assert lab[0].request(path, method, {"content-type": "application/json"}, body).status == 405


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from(
            ["collection", "lab", "experiment", "em_npy", "channel", "image", "coord", "downsample", "cutout", "0"]
        )
        | st.from_regex(r"\A-?[0-9]{0,25}:-?[0-9]{0,25}\Z")
        | st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0 "), max_size=12),
        max_size=9,
    )
)
def test_no_request_is_the_servers_fault(lab, parts):
    assert lab[0].get("/v1/" + "/".join(quote(p, safe=":") for p in parts)).status < 500


@given(st.lists(st.text(max_size=12), max_size=8))
def test_every_image_has_a_name_of_its_own(rests):
    addresses = [("r", f"r/{rest}") for rest in rests]
    names = BossNames.of(["r"], addresses)
    assert list(names.experiments["r"].values()) == [a for _, a in addresses]
    assert len(names.frames) == len(addresses)
    assert all(n.replace("-", "").replace("_", "").isalnum() or set(n) <= {"_", "-"} for n in names.experiments["r"])
