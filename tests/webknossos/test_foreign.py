"""Data that WEBKNOSSOS's own software wrote, and the `wkw` library as a second opinion, in both directions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image as Picture

import voxarium
from voxarium.core.opening import open_array
from voxarium.model.box import Box
from voxarium.stores.local import LocalStore

pytestmark = pytest.mark.oracle


def test_every_array_of_the_matrix_has_the_sum_its_manifest_tells(shared):
    manifest = json.loads((shared / "wkw_matrix" / "manifest.json").read_text())
    assert len(manifest) == 36
    for entry in manifest:
        image = voxarium.open(shared / entry["path"])
        voxels = image[...]
        assert voxels.dtype == np.dtype(entry["dtype"])
        assert image.level(0).info.chunk_shape[:3] == (entry["block_len"],) * 3
        assert image.level(0).info.shard_shape[:3] == (entry["block_len"] * entry["file_len"],) * 3
        assert (voxels.shape[3] if voxels.ndim == 4 else 1) == entry["channels"]
        assert float(voxels.astype("f8").sum()) == entry["sum"], entry["path"]
        inside = tuple(slice(o, o + n) for o, n in zip(entry["offset_xyz"][::-1], entry["size_xyz"][::-1], strict=True))
        assert float(voxels[inside].astype("f8").sum()) == entry["sum"]  # nothing outside the box that was written


def test_every_array_of_the_matrix_is_read_as_the_library_reads_it(shared):
    wkw = pytest.importorskip("wkw", reason="the wkw library is not installed")
    for entry in json.loads((shared / "wkw_matrix" / "manifest.json").read_text()):
        theirs = wkw.Dataset.open(str(shared / entry["path"]))
        want = theirs.read((0, 0, 0), (64, 64, 64)).transpose(3, 2, 1, 0)
        theirs.close()
        found = open_array(LocalStore(shared / entry["path"]), format="wkw")
        assert found.shape[:3] == (64, 64, 64)
        assert (found[...].reshape(want.shape) == want).all(), entry["path"]
        box = Box((3, 30, 7), (40, 9, 31))
        part = found.read(Box(box.origin + (0,) * (found.ndim - 3), box.shape + found.shape[3:]))
        assert (part.reshape(*box.shape, -1) == want[box.slices]).all()


@pytest.mark.parametrize("dataset", ["fib25_wkw", "fib25_zarr3"])
def test_a_real_dataset_is_read_with_its_layers_and_positions(shared, dataset):
    found = voxarium.open(shared / dataset)
    assert sorted(found.keys()) == ["bodies", "color", "segmentation"] and not found.problems
    pictures = sorted((shared.parent / "fib25" / "grayscale_maps").glob("*.png"))
    truth = np.stack([np.asarray(Picture.open(p)) for p in pictures[:160]])[:, :192, :192]
    color = found["color"]
    assert (color[...] == truth).all()
    assert color.unit == "nanometer" and color.scale_translation() == ((10.0,) * 3, (965.0, 325.0, 645.0))
    for level, factor in enumerate((1, 2, 4)):
        scale, translation = color.scale_translation(level)
        assert scale == (10.0 * factor,) * 3
        assert translation == tuple((o + factor / 2) * 10 for o in (96, 32, 64))
    assert found["segmentation"].role == found["bodies"].role == "label"
    assert found["segmentation"].info.bag.records[0].metadata["layer"]["largestSegmentId"] == 14030
    assert found["segmentation"][...].max() == 14030


def test_wkw_and_zarr3_layers_of_one_dataset_hold_the_same_voxels(shared):
    first, second = (voxarium.open(shared / d) for d in ("fib25_wkw", "fib25_zarr3"))
    for name in first:
        for level in range(3):
            assert (first[name].read(level=level) == second[name].read(level=level)).all()


def test_a_layer_opens_by_its_own_folder(shared):
    image = voxarium.open(shared / "fib25_zarr3" / "color")
    assert image.info.format == "webknossos" and image.shape == (160, 192, 192)
    array = voxarium.open(shared / "fib25_wkw" / "color" / "2")
    assert array.shape == ((96 + 160) // 2, (32 + 192) // 2, (64 + 192) // 2)


def test_its_ome_zarr_becomes_a_true_ome_zarr(shared, tmp_path):
    voxarium.convert(shared / "fib25_zarr3" / "color", tmp_path / "em.ome.zarr", levels=2)
    source, target = voxarium.open(shared / "fib25_zarr3" / "color"), voxarium.open(tmp_path / "em.ome.zarr")
    assert [a.name for a in target.axes] == list("zyx")
    assert (target[...] == source[...]).all()
    assert target.scale_translation(0) == source.scale_translation(0)
    assert target.scale_translation(1) == source.scale_translation(1)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "f4", "f8", "i1", "i2", "i4", "i8"])
@pytest.mark.parametrize("codec", ["lz4", "lz4hc", "none"])
def test_the_library_reads_what_is_written(tmp_path, dtype, codec):
    wkw = pytest.importorskip("wkw", reason="the wkw library is not installed")
    data = np.random.default_rng(5).integers(0, 100, (37, 50, 71)).astype(dtype)
    data[:20, :, :40] = 0
    np.save(tmp_path / "a.npy", data)
    voxarium.convert(
        tmp_path / "a.npy", tmp_path / "ds" / "em", format="webknossos", axes="zyx", voxel_size=8, unit="nanometer",
        translation=4, codec=codec, chunk=16, shard=32, levels=2, role="intensity",
    )  # fmt: skip
    theirs = wkw.Dataset.open(str(tmp_path / "ds" / "em" / "1"))
    assert (theirs.header.block_len, theirs.header.file_len) == (16, 2)
    assert theirs.header.block_type == {"none": 1, "lz4": 2, "lz4hc": 3}[codec]
    assert (theirs.read((0, 0, 0), (71, 50, 37))[0].transpose(2, 1, 0) == data).all()
    assert not theirs.read((64, 32, 32), (32, 32, 32))[:, 7:].any()
    theirs.close()
    coarse = wkw.Dataset.open(str(tmp_path / "ds" / "em" / "2"))
    want = voxarium.open(tmp_path / "ds" / "em").read(level=1)
    assert (coarse.read((0, 0, 0), (36, 25, 19))[0].transpose(2, 1, 0) == want).all()
    coarse.close()


@pytest.mark.parametrize("codec", ["lz4", "none"])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_of_nothing_but_zeros_is_not_written_and_read_as_zeros(tmp_path, codec, threads):
    data = np.zeros((50, 70, 70), "u2")
    data[45, 40, 69] = 7  # the last file but one along y; a single voxel of it
    np.save(tmp_path / "a.npy", data)
    voxarium.convert(
        tmp_path / "a.npy", tmp_path / "ds" / "em", format="webknossos", axes="zyx", voxel_size=8, unit="nanometer",
        translation=4, codec=codec, chunk=16, shard=32, levels=2, method="max", threads=threads,
    )  # fmt: skip
    files = {p.relative_to(tmp_path / "ds").as_posix() for p in (tmp_path / "ds").rglob("*.wkw")}
    assert files == {
        "em/1/header.wkw", "em/1/z1/y1/x2.wkw", "em/2/header.wkw", "em/2/z0/y0/x1.wkw",
    }  # fmt: skip
    image = voxarium.open(tmp_path / "ds" / "em")
    assert (image[...] == data).all()
    assert image.read(level=1).max() == 7
    wkw = pytest.importorskip("wkw", reason="the wkw library is not installed")
    theirs = wkw.Dataset.open(str(tmp_path / "ds" / "em" / "1"))
    assert (theirs.read((0, 0, 0), (70, 70, 50))[0].transpose(2, 1, 0) == data).all()
    theirs.close()


def test_an_image_of_nothing_but_zeros_is_read(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((20, 30, 40), "u4"))
    voxarium.convert(
        tmp_path / "a.npy", tmp_path / "ds" / "em", format="webknossos", axes="zyx", voxel_size=8, unit="nanometer"
    )
    assert {p.name for p in (tmp_path / "ds").rglob("*.wkw")} == {"header.wkw"}
    assert not voxarium.open(tmp_path / "ds" / "em")[...].any()
    wkw = pytest.importorskip("wkw", reason="the wkw library is not installed")
    theirs = wkw.Dataset.open(str(tmp_path / "ds" / "em" / "1"))
    assert not theirs.read((0, 0, 0), (40, 30, 20)).any()
    theirs.close()


def test_the_library_reads_channels(tmp_path):
    wkw = pytest.importorskip("wkw", reason="the wkw library is not installed")
    data = np.random.default_rng(5).integers(0, 255, (3, 20, 30, 40)).astype("u1")
    np.save(tmp_path / "a.npy", data)
    voxarium.convert(
        tmp_path / "a.npy", tmp_path / "ds" / "em", format="webknossos", axes="czyx", voxel_size=8, unit="nanometer",
        translation=(4, 4, 4), levels=1,
    )  # fmt: skip
    theirs = wkw.Dataset.open(str(tmp_path / "ds" / "em" / "1"))
    assert (theirs.read((0, 0, 0), (40, 30, 20)).transpose(0, 3, 2, 1) == data).all()
    theirs.close()
    assert (voxarium.open(tmp_path / "ds" / "em")[...] == data).all()


@pytest.mark.parametrize("block_type", [1, 2, 3])
def test_what_the_library_writes_is_read(tmp_path, block_type):
    wkw = pytest.importorskip("wkw", reason="the wkw library is not installed")
    data = np.random.default_rng(5).integers(0, 2**31, (2, 64, 64, 64)).astype("i4")
    header = wkw.Header(np.int32, num_channels=2, block_len=16, file_len=2, block_type=block_type)
    theirs = wkw.Dataset.create(str(tmp_path / "a"), header)
    theirs.write((32, 0, 64), np.asfortranarray(data))
    theirs.close()
    found = voxarium.open(tmp_path / "a")
    assert found.shape == (128, 64, 96, 2)
    assert (found[64:, :64, 32:96] == data.transpose(3, 2, 1, 0)).all()
    assert not found[:64].any()
