"""Which regions are read at a time."""

from __future__ import annotations

import numpy as np
import pytest

import voxarium
from voxarium import Box
from voxarium.conversion import ConvertOptions, blocks, plan


def planned(tmp_path, shape, dtype="u1", chunk=(64, 64, 64), order="C", **options):
    zarr = pytest.importorskip("zarr")
    path = tmp_path / "raw.zarr"
    zarr.create_array(path, shape=shape, dtype=dtype, chunks=chunk, compressors=None, order=order, zarr_format=2)
    options = {"chunk": (64,), "shard": (128,), "axes": ("z", "y", "x"), "voxel_size": (8,)} | options
    return plan(voxarium.open(str(path)), ConvertOptions(unit="nanometer", **options))


def test_chunks_like_the_targets_are_read_in_columns(tmp_path):
    assert planned(tmp_path, (1100, 130, 190)).block == (1024, 64, 64)


@pytest.mark.parametrize(
    "case",
    [
        {"shape": (200, 900, 1100)},  # columns would be short
        {"shape": (1100, 900, 1100), "chunk": (64, 64, 128)},
        {"shape": (1100, 900, 1100), "crop": Box((64, 64, 1), (1036, 836, 1099))},  # chunks of the source are cut
        {"shape": (1100, 900, 1100), "dtype": "i2", "role": "label"},  # another type of voxels
    ],
)
def test_others_grow_along_rows(tmp_path, case):
    block = planned(tmp_path, case.pop("shape"), **case).block
    assert block[2] > 64


def test_voxels_do_not_depend_on_the_block(tmp_path, monkeypatch):
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr(blocks, "_SMALL_BLOCK", 9 << 10)
    data = np.random.default_rng(3).integers(0, 250, (190, 37, 29)).astype("u1")
    how = {"axes": ("z", "y", "x"), "voxel_size": (8,), "unit": "nanometer", "chunk": (8,), "shard": (32,), "levels": 3}
    made = []
    for chunks, block in (((8, 8, 8), (128, 8, 8)), ((9, 7, 5), None)):
        source, target = (str(tmp_path / f"{name}{chunks[0]}.ome.zarr") for name in ("raw", "out"))
        zarr.create_array(source, shape=data.shape, dtype="u1", chunks=chunks, compressors=None)[...] = data
        if block is not None:
            assert plan(voxarium.open(source), ConvertOptions(**how)).block == block
        voxarium.convert(source, target, **how)
        made.append(voxarium.open(target))
    assert np.array_equal(made[0].read(level=0), data)
    for level in range(3):
        assert np.array_equal(made[0].read(level=level), made[1].read(level=level))
