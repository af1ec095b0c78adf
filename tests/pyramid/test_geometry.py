"""Sizes, offsets, factors and boxes; and ramps, which show whether voxels are where the metadata says."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, InputError
from voxarium.model.box import Box
from voxarium.pyramid import (
    downsample,
    level_offset,
    level_shape,
    level_transform,
    plan_factors,
    plan_levels,
    split_boxes,
)

ZYX = ("space", "space", "space")
TCZYX = ("time", "channel", "space", "space", "space")


# --------------------------------------------------------------------------------------------------------------- ramps
@pytest.mark.parametrize("n", [64, 67, 1000, 1023])
@pytest.mark.parametrize("factor", [2, 4, 3])
@pytest.mark.parametrize("method", ["mean", "median", "stride", "gaussian"])
def test_ramp_keeps_its_world_values_over_five_levels(method, factor, n):
    """Each voxel holds its own position: error in voxels of the level, away from the edge that is cut short."""
    scale, translation = 0.5, -3.25
    image = np.tile(scale * np.arange(n) + translation, (3, 1))
    steps = [(1, factor)] * 5
    levels = plan_levels(
        image.shape, steps, base_scale=(1.0, scale), base_translation=(0.0, translation), method=method
    )
    for level in levels[1:]:
        image = downsample(image, level.step, method)
        assert image.shape == level.shape
        position = level.scale[1] * np.arange(image.shape[1]) + level.translation[1]
        error = np.abs(image[1] - position) / level.scale[1]
        complete = n // level.factors[1]  # windows of level 0 that are whole
        # A Gaussian sees the edges from further away, and each level sees those of the one before.
        first, last = (0, complete) if method != "gaussian" else (4, complete - 4)
        assert last <= first or error[first:last].max() < 1e-6


@pytest.mark.parametrize("method", ["min", "max"])
def test_extremes_of_a_ramp_are_the_ends_of_each_window(method):
    image = np.arange(67.0)
    expected = np.arange(0, 67, 2) if method == "min" else np.minimum(np.arange(0, 67, 2) + 1, 66)
    np.testing.assert_array_equal(downsample(image, (2,), method), expected)


@pytest.mark.parametrize("method", ["mean", "max"])
@pytest.mark.parametrize("n", [64, 65, 67, 101])
def test_no_voxel_is_dropped(method, n):
    """A single bright voxel anywhere is seen at every level."""
    for at in (0, n // 2, n - 1):
        image = np.zeros((2, n))
        image[0, at] = 1.0
        for _ in range(5):
            image = downsample(image, (1, 2), method)
            assert image.sum() > 0
            assert image.argmax() == at // 2
            at //= 2


def test_edge_windows_average_what_exists():
    np.testing.assert_array_equal(downsample(np.array([1.0, 3.0, 9.0]), (2,), "mean"), [2.0, 9.0])
    np.testing.assert_array_equal(downsample(np.array([1, 3, 9, 9, 3], np.uint8), (4,), "mean"), [6, 3])


# ------------------------------------------------------------------------------------------------------------ geometry
@settings(deadline=None, database=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 7), st.integers(1, 7)), max_size=8),
    st.floats(1e-9, 1e9),
    st.floats(-1e9, 1e9),
)
def test_transforms_accumulate_exactly(steps, scale, translation):
    s, t = Fraction(scale), Fraction(translation)
    for step in steps:
        t += s * Fraction(step[0] - 1, 2)
        s *= step[0]
    result = level_transform((scale, 1.0), (translation, 0.0), steps, "mean")
    assert (result[0][0], result[1][0]) == (float(s), float(t))
    strided = level_transform((scale, 1.0), (translation, 0.0), steps, "stride")
    assert (strided[0][0], strided[1][0]) == (float(s), translation)


def test_levels_of_a_plan():
    levels = plan_levels((5, 67, 64), [(1, 2, 2), (2, 2, 2)], base_scale=(40, 4, 4), base_translation=(10, 0, 0))
    assert [g.shape for g in levels] == [(5, 67, 64), (5, 34, 32), (3, 17, 16)]
    assert [g.factors for g in levels] == [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    assert [g.scale for g in levels] == [(40, 4, 4), (40, 8, 8), (80, 16, 16)]
    assert [g.translation for g in levels] == [(10, 0, 0), (10, 2, 2), (30, 6, 6)]
    assert level_offset((1, 2, 3), "median") == (0.0, 0.5, 1.0)
    assert level_offset((1, 2, 3), "stride") == (0.0, 0.0, 0.0)
    assert level_shape((7,), (3,)) == (3,)


# ------------------------------------------------------------------------------------------------------------ planning
@pytest.mark.parametrize(
    ("shape", "size", "expected"),
    [
        ((250, 250, 250), None, [(2, 2, 2)] * 2),
        ((64, 64, 64), None, []),
        ((65, 64, 3), None, [(2, 2, 2)]),
        ((1, 1, 1), None, []),
        # 4×4×40 nm: x and y alone until 32 nm, which is within √2 of 40, then all.
        ((1000, 4096, 4096), (40, 4, 4), [(1, 2, 2)] * 3 + [(2, 2, 2)] * 4),
        ((1000, 1000, 1000), (8, 8, 8), [(2, 2, 2)] * 4),
        # 32 and 45 are within √2 of each other, 30 and 45 are not.
        ((512, 512, 512), (45, 32, 32), [(2, 2, 2)] * 3),
        ((512, 512, 512), (45, 30, 30), [(1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)]),
        # One slice: z cannot be halved and does not hold the others back.
        ((1, 300, 300), (1, 5, 5), [(1, 2, 2)] * 3),
        ((10, 1, 300), (1, 1, 1), [(2, 1, 2)] * 3),
        # Steps go on until the longest axis fits, though x and y are small from the start.
        ((200, 8, 8), (40, 10, 10), [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 1, 1)]),
    ],
)
def test_automatic_factors(shape, size, expected):
    steps = plan_factors(shape, ZYX, size)
    assert steps == expected


def test_space_axes_only_are_halved():
    steps = plan_factors((500, 300, 100, 200, 200), TCZYX, (1, 1, 2, 1, 1))
    assert steps == [(1, 1, 1, 2, 2), (1, 1, 2, 2, 2)]
    assert plan_factors((900,), ("channel",)) == []


@settings(deadline=None, database=None, derandomize=True)
@given(
    st.tuples(*[st.integers(1, 5000)] * 3),
    st.tuples(*[st.floats(0.1, 1000)] * 3),
    st.integers(1, 256),
)
def test_automatic_pyramids_end_small_and_nearly_cubic(shape, size, stop):
    steps = plan_factors(shape, ZYX, size, stop_size=stop)
    spread = None
    for step in steps:
        assert set(step) <= {1, 2}
        assert 2 in step
        assert all(f == 1 for f, n in zip(step, shape, strict=True) if n == 1)
        open_sizes = [s for s, n in zip(size, shape, strict=True) if n > 1]
        now = max(open_sizes) / min(open_sizes)
        assert spread is None or now <= max(spread, 2.0) * (1 + 1e-9)
        spread = now
        shape = level_shape(shape, step)
        size = tuple(s * f for s, f in zip(size, step, strict=True))
        if min(shape) == 1:
            spread = None
    assert max(shape) <= stop


def test_number_of_levels_counts_the_finest():
    assert plan_factors((64, 64, 64), ZYX, levels=1) == []
    assert plan_factors((64, 64, 64), ZYX, levels=3) == [(2, 2, 2)] * 2
    assert plan_factors((5000, 5000, 5000), ZYX, levels=2) == [(2, 2, 2)]
    with pytest.raises(InputError, match="no more than 4 levels") as info:
        plan_factors((1, 8, 8), ZYX, levels=9)
    assert info.value.fix == "ask for at most 4 levels"


def test_given_factors():
    assert plan_factors((500, 500, 500), ZYX, factors=(1, 2, 2)) == [(1, 2, 2)] * 3
    assert plan_factors((1, 500, 500), ZYX, factors=(2, 2, 2)) == [(1, 2, 2)] * 3
    assert plan_factors((500, 500, 500), ZYX, factors=(4, 4, 4), levels=3) == [(4, 4, 4)] * 2
    assert plan_factors((10, 2, 500, 500, 500), TCZYX, factors=(2, 2, 2), levels=2) == [(1, 1, 2, 2, 2)]
    listed = [(1, 2, 2), (2, 2, 2), (3, 1, 1)]
    assert plan_factors((50, 50, 50), ZYX, factors=listed) == listed
    assert plan_factors((50, 50, 50), ZYX, factors=listed, levels=4) == listed
    assert plan_factors((50, 1, 50), ZYX, factors=[(2, 2, 2)], stop_size=64) == [(2, 1, 2)]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"levels": 0}, Code.ARGUMENT_INVALID),
        ({"stop_size": 0}, Code.ARGUMENT_INVALID),
        ({"factors": (1, 1, 1)}, Code.ARGUMENT_INVALID),
        ({"factors": (2, 2)}, Code.ARGUMENT_INVALID),
        ({"factors": (0, 2, 2)}, Code.ARGUMENT_INVALID),
        ({"factors": [(2, 2, 2), 2]}, Code.ARGUMENT_INVALID),
        ({"factors": [(2, 2, 2), (2, 2, 2)], "levels": 2}, Code.ARGUMENT_INVALID),
        ({"voxel_size": (4, 4)}, Code.AXES_MISMATCH),
        ({"voxel_size": (0, 4, 4)}, Code.VOXEL_SIZE_UNKNOWN),
        ({"voxel_size": (math.nan, 4, 4)}, Code.VOXEL_SIZE_UNKNOWN),
    ],
)
def test_plans_that_cannot_be_made_are_refused(arguments, code):
    with pytest.raises(InputError) as info:
        plan_factors((100, 100, 100), ZYX, **arguments)
    assert info.value.code is code


def test_channels_are_never_mixed():
    with pytest.raises(InputError, match="mix channels"):
        plan_factors((4, 100, 100), ("channel", "space", "space"), factors=(2, 2, 2))


# -------------------------------------------------------------------------------------------------------------- blocks
@settings(deadline=None, database=None, derandomize=True)
@given(st.tuples(*[st.integers(0, 40)] * 3), st.tuples(*[st.integers(1, 5)] * 3), st.integers(1, 9))
def test_split_boxes_cover_the_block_and_cut_no_window(shape, factors, parts):
    boxes = split_boxes(shape, factors, parts)
    assert 1 <= len(boxes) <= parts
    seen = np.zeros(shape, int)
    for box in boxes:
        seen[box.slices] += 1
        assert all(o % f == 0 for o, f in zip(box.origin, factors, strict=True))
    assert (seen == 1).all()
    if level_shape(shape, factors)[0] >= parts and seen.size:
        assert len(boxes) == parts


def test_split_prefers_the_first_axis():
    assert split_boxes((2, 64, 64), (2, 2, 2), 2) == [
        Box((0, 0, 0), (2, 32, 64)),
        Box((0, 32, 0), (2, 32, 64)),
    ]
    assert split_boxes((), (), 4) == [Box((), ())]
