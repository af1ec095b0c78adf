"""Ramp images: what is stored at a voxel of any level is the world coordinate that its metadata state."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest

import voxarium
from voxarium.pyramid import halo

SHAPES = [(64, 64, 64), (67, 67, 67), (9, 67, 130), (5, 6, 1027)]
VOXEL = (40.0, 4.04, 0.3)
ORIGIN = (-100.0, 12.5, 7.1)


def ramp(shape, voxel, origin, dtype):
    """Return channels z, y, x: at every voxel, the coordinates of its centre."""
    lines = [o + v * np.arange(n) for n, v, o in zip(shape, voxel, origin, strict=True)]
    return np.stack(np.meshgrid(*lines, indexing="ij")).astype(dtype)


def interior(count, steps, reach):
    """Return, per level, which voxels along an axis depend on whole windows only."""
    clean = np.ones(count, bool)
    yield clean
    for f, h in zip(steps, reach, strict=True):
        n = len(clean)
        needed = [(i * f - h, (i + 1) * f + h) for i in range(-(-n // f))]
        clean = np.array([a >= 0 and b <= n and bool(clean[a:b].all()) for a, b in needed])
        yield clean


def stored_geometry(target):
    """Return (path, scale, translation) of every level as anybody's JSON parser sees them."""
    document = json.loads((target / "zarr.json").read_text())["attributes"]["ome"]["multiscales"][0]
    for dataset in document["datasets"]:
        by_type = {t["type"]: t[t["type"]] for t in dataset["coordinateTransformations"]}
        yield dataset["path"], by_type["scale"][1:], by_type.get("translation", [0.0] * 4)[1:]


def largest_errors(target, method, shape):
    """Yield per level the largest |stored − (scale·i + translation)| of the interior, in voxels of the level."""
    image = voxarium.open(target)
    shapes = [shape, *(lv.array.shape[1:] for lv in image.levels[1:])]
    geometry = list(stored_geometry(target))
    steps = [
        tuple(round(b / a) for a, b in zip(fine[1], coarse[1], strict=True))
        for fine, coarse in itertools.pairwise(geometry)
    ]
    reach = [halo(method, s) for s in steps]
    inside = []
    for axis, n in enumerate(shape):
        inside.append(list(interior(n, [s[axis] for s in steps], [r[axis] for r in reach])))
    for i, (_, scale, translation) in enumerate(geometry):
        if i:
            expected = tuple(-(-n // f) for n, f in zip(shapes[i - 1], steps[i - 1], strict=True))
            assert shapes[i] == expected, "voxels were dropped"
        data, worst = image.read(level=i), -1.0
        for axis in range(3):
            count = shapes[i][axis]
            world = np.arange(count) * scale[axis] + translation[axis]
            column = [1, 1, 1]
            column[axis] = count
            error = np.abs(data[axis] - world.reshape(column)) / scale[axis]
            chosen = error[np.ix_(*(inside[a][i] if a == axis else np.ones(shapes[i][a], bool) for a in range(3)))]
            worst = max(worst, float(chosen.max(initial=-1.0)))
        yield worst


def convert(npy, tmp_path, data, voxel, origin, **choices):
    voxarium.convert(
        npy(data), tmp_path / "t", axes="czyx", voxel_size=voxel, translation=origin, unit="nanometer",
        chunk=16, shard=64, memory=1, **choices,
    )  # fmt: skip
    return tmp_path / "t"


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("method", ["mean", "median", "stride", "gaussian"])
def test_interior_voxels_hold_their_own_coordinates(npy, tmp_path, method, shape, factor):
    data = ramp(shape, VOXEL, ORIGIN, np.float64)
    target = convert(npy, tmp_path, data, VOXEL, ORIGIN, method=method, factors=factor, levels=5)
    errors = list(largest_errors(target, method, shape))
    assert len(errors) == 5 or factor == 4
    judged = [e for e in errors if e >= 0]
    assert len(judged) >= (2 if method == "gaussian" and factor == 4 else 3)
    assert max(judged) < 1e-6, errors


@pytest.mark.parametrize("method", ["mean", "median", "stride"])
def test_single_precision_is_exact_where_coordinates_are(npy, tmp_path, method):
    voxel, origin, shape = (4.0, 0.5, 8.0), (-16.0, 0.25, 1024.0), (33, 67, 130)
    data = ramp(shape, voxel, origin, np.float32)
    target = convert(npy, tmp_path, data, voxel, origin, method=method, factors=2, levels=5)
    errors = list(largest_errors(target, method, shape))
    assert len(errors) == 5 and max(errors) == 0.0, errors


@pytest.mark.parametrize("factors", [None, (1, 2, 2), (2, 2, 1), (3, 1, 5)])
def test_unequal_factors_and_automatic_choice(npy, tmp_path, factors):
    shape = (15, 66, 129)
    data = ramp(shape, VOXEL, ORIGIN, np.float64)
    target = convert(npy, tmp_path, data, VOXEL, ORIGIN, method="mean", factors=factors, levels=5)
    errors = list(largest_errors(target, "mean", shape))
    assert len(errors) == 5 and max(errors) < 1e-6, errors


@pytest.mark.parametrize("method", ["min", "max"])
def test_extremes_lie_half_a_window_from_the_centre(npy, tmp_path, method):
    """An extreme belongs to the whole window, so its centre is stated; along a ramp it is the first or last voxel."""
    shape = (17, 40, 67)
    data = ramp(shape, VOXEL, ORIGIN, np.float64)
    target = convert(npy, tmp_path, data, VOXEL, ORIGIN, method=method, factors=2, levels=4)
    image = voxarium.open(target)
    sign = -1 if method == "min" else 1
    for i, (_, scale, translation) in enumerate(stored_geometry(target)):
        windows = shape[2] // 2**i  # whole ones
        world = np.arange(windows) * scale[2] + translation[2]
        half = VOXEL[2] * (2**i - 1) / 2
        np.testing.assert_allclose(image.read(level=i)[2, 0, 0, :windows], world + sign * half, atol=1e-9)


@pytest.mark.parametrize("method", ["mean", "stride"])
@pytest.mark.parametrize("shape", [(67, 9, 35), (1, 1, 131)])
def test_the_cut_windows_at_the_end_are_kept(npy, tmp_path, references, method, shape):
    data = ramp(shape, VOXEL, ORIGIN, np.float64)
    target = convert(npy, tmp_path, data, VOXEL, ORIGIN, method=method, factors=2, levels=5)
    image = voxarium.open(target)
    expected = data
    for i in range(1, len(image.levels)):
        before = expected.shape
        steps = (1, *(2 if n > 1 else 1 for n in before[1:]))
        if method == "mean":
            total, count = references.sums(expected, steps, np.float64)
            expected = total / count
        else:
            expected = references.stride(expected, steps)
        assert image.levels[i].array.shape == tuple(-(-n // f) for n, f in zip(before, steps, strict=True))
        np.testing.assert_allclose(image.read(level=i), expected, rtol=0, atol=1e-9)


def test_a_crop_and_an_order_keep_the_world(npy, tmp_path):
    shape = (33, 40, 67)
    data = ramp(shape, VOXEL, ORIGIN, np.float64)
    crop = voxarium.Box((0, 3, 5, 10), (3, 29, 31, 50))
    target = convert(
        npy, tmp_path, data, VOXEL, ORIGIN, method="mean", factors=2, levels=3, crop=crop, order="cxzy"
    )  # fmt: skip
    image = voxarium.open(target)
    assert [a.name for a in image.axes] == ["c", "x", "z", "y"]
    for i in range(3):
        scale, translation = image.scale_translation(i)
        found = image.read(level=i)
        for axis, channel in ((1, 2), (2, 0), (3, 1)):
            n = crop.shape[{1: 3, 2: 1, 3: 2}[axis]] // 2**i
            line = np.moveaxis(found[channel], axis - 1, 0)[:n, 0, 0]
            np.testing.assert_allclose(line, np.arange(n) * scale[axis] + translation[axis], atol=1e-9)


def test_level_zero_of_a_pyramid_that_is_converted_again_keeps_its_place(npy, tmp_path):
    shape = (20, 30, 40)
    data = ramp(shape, VOXEL, ORIGIN, np.float64)
    first = convert(npy, tmp_path, data, VOXEL, ORIGIN, method="mean", factors=2, levels=3)
    voxarium.convert(first, tmp_path / "again", chunk=32, method="mean", factors=2, levels=3)
    for i in range(3):
        assert voxarium.open(first).scale_translation(i) == voxarium.open(tmp_path / "again").scale_translation(i)
    assert max(largest_errors(tmp_path / "again", "mean", shape)) < 1e-6
