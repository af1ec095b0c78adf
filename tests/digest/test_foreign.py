"""Copies of one image that other programs wrote in several formats have one digest."""

from __future__ import annotations

from pathlib import Path

import pytest

import voxarium

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.fixture
def shared():
    if not SHARED.is_dir():
        pytest.skip(f"shared data are not at {SHARED}")
    return SHARED


@pytest.mark.parametrize("layer", ["color", "segmentation", "bodies"])
@pytest.mark.parametrize("level", [0, 1, 2])
def test_wkw_and_zarr_v3_of_webknossos(shared, layer, level):
    pair = [shared / "webknossos" / name / layer for name in ("fib25_wkw", "fib25_zarr3")]
    found = voxarium.compare(*pair, level=level)
    assert found.equal and found.placed_equal and found.a.bound == found.b.bound


def test_chunks_as_files_and_in_shards_of_igneous(shared):
    folder = shared / "precomputed" / "golden_generated"
    found = voxarium.compare(folder / "seg", folder / "seg_sharded")
    assert found.equal and found.placed_equal


def test_other_types_of_the_same_labels_are_told_apart(shared):
    folder = shared / "precomputed" / "golden_generated"
    found = voxarium.compare(folder / "seg", folder / "seg_compresso")
    assert not found.equal and found.reason == "dtype" and found.placed_equal


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_n5_of_two_programs_in_every_codec(shared, dtype):
    folder = shared / "n5" / "golden"
    arrays = sorted(p for p in folder.glob(f"n5_codecs_*.n5/*_{dtype}") if (p / "attributes.json").exists())
    assert len(arrays) > 8
    assert len({voxarium.logical_digest(path).content for path in arrays}) == 1
