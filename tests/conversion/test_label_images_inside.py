"""A label image takes version and levels from the image it is put into, unless something else is asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import voxarium
from voxarium.validation import validate

SHAPE = (37, 150, 170)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(8)
    np.save(tmp_path / "em.npy", rng.integers(0, 250, SHAPE, np.uint8))
    np.save(tmp_path / "cells.npy", rng.integers(0, 40, SHAPE, np.uint32))
    return tmp_path


def geometry(image: voxarium.Image) -> list[object]:
    return [(a.shape, image.scale_translation(i)) for i, a in enumerate(image.arrays)]


@pytest.mark.parametrize("version", ["0.4", "0.6"])
@pytest.mark.parametrize("factors", [None, (2, 3, 3)])
def test_it_gets_the_levels_of_its_image(data: Path, version: str, factors: tuple[int, ...] | None) -> None:
    target = data / "em.ome.zarr"
    kind = {"axes": "zyx", "unit": "nanometer", "voxel_size": (40, 8, 8)}
    voxarium.convert(data / "em.npy", target, spec_version=version, chunk=32, factors=factors, levels=4, **kind)
    voxarium.convert(data / "cells.npy", target / "labels/cells", role="label", **kind)
    image, labels = voxarium.open(target), voxarium.open(target / "labels/cells")
    assert labels.info.spec_version == version
    assert geometry(labels) == geometry(image)
    assert {f.rule[5:] for f in validate(target, depth="data", profile="spec").findings} == {"LB-010"}


def test_it_follows_an_image_with_channels_inside_a_collection(data: Path) -> None:
    np.save(data / "two.npy", np.random.default_rng(8).integers(0, 250, (2, *SHAPE), np.uint8))
    (data / "series").mkdir()
    target = data / "series/0"
    voxarium.convert(
        data / "two.npy", target, axes="czyx", voxel_size=8, unit="nanometer", chunk=16, spec_version="0.4"
    )
    voxarium.convert(data / "cells.npy", target / "labels/cells", axes="zyx", voxel_size=8, unit="um", role="label")
    image, labels = voxarium.open(target), voxarium.open(target / "labels/cells")
    assert labels.info.spec_version == "0.4"
    assert [a.shape for a in labels.arrays] == [a.shape[1:] for a in image.arrays]


def test_what_is_asked_for_is_done_and_remarked_upon(data: Path) -> None:
    target = data / "em.ome.zarr"
    kind = {"axes": "zyx", "unit": "nanometer", "voxel_size": 8}
    voxarium.convert(data / "em.npy", target, chunk=32, **kind)
    report = voxarium.convert(data / "cells.npy", target / "labels/few", role="label", levels=2, **kind)
    assert report.levels == 2 and "the image around has 4" in " ".join(report.notes)
    report = voxarium.convert(data / "cells.npy", target / "labels/thin", role="label", factors=(1, 2, 2), **kind)
    assert report.levels == 4 and not report.notes
    assert voxarium.open(target / "labels/thin").arrays[3].shape == (37, 19, 22)


def test_one_on_a_coarser_grid_gets_as_many_levels_by_its_own_voxels(data: Path) -> None:
    target = data / "em.ome.zarr"
    voxarium.convert(data / "em.npy", target, chunk=32, axes="zyx", voxel_size=8, unit="nanometer")
    half = np.load(data / "cells.npy")[::2, ::2, ::2]
    np.save(data / "half.npy", half)
    voxarium.convert(
        data / "half.npy", target / "labels/half", axes="zyx", voxel_size=16, unit="nanometer", role="label"
    )
    assert len(voxarium.open(target / "labels/half").levels) == len(voxarium.open(target).levels) == 4
