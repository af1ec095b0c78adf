"""Gaussian downsampling: values, and independence of how an image is cut into blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxarium.errors import Code, InputError
from voxarium.model.box import Box
from voxarium.pyramid import (
    downsample,
    downsample_gaussian,
    downsampled_box,
    gaussian_sigma,
    halo,
    source_box,
)


def slow_gaussian(line, f):
    """One axis, one result voxel after another, from the definition."""
    sigma = math.sqrt((f * f - 1) / (8 * math.log(2)))
    reach = math.ceil(3 * sigma - (f - 1) / 2)
    result = []
    for i in range(-(-len(line) // f)):
        centre = i * f + (f - 1) / 2
        at = [k for k in range(i * f - reach, i * f + f + reach) if 0 <= k < len(line)]
        weights = [math.exp(-0.5 * ((k - centre) / sigma) ** 2) for k in at]
        result.append(sum(w * line[k] for w, k in zip(weights, at, strict=True)) / sum(weights))
    return np.array(result)


@pytest.mark.parametrize("f", [2, 3, 4, 5])
@pytest.mark.parametrize("n", [1, 2, 5, 17, 64])
def test_values_are_those_of_the_definition(f, n):
    line = np.random.default_rng(n).standard_normal(n)
    np.testing.assert_allclose(downsample(line, (f,), "gaussian"), slow_gaussian(line, f), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("factors", [(2, 2, 2), (1, 2, 3), (3, 1, 2), (2, 4, 1)])
def test_axes_are_smoothed_one_after_another(factors):
    array = np.random.default_rng(0).standard_normal((7, 9, 11))
    expected = array
    for axis, f in enumerate(factors):
        if f > 1:
            expected = np.apply_along_axis(slow_gaussian, axis, expected, f)
    np.testing.assert_allclose(downsample(array, factors, "gaussian"), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "bool"])
def test_results_are_rounded_once(dtype):
    array = np.random.default_rng(1).integers(0, 2, (9, 10)).astype(dtype)
    if dtype != "bool":
        array *= 100
    exact = downsample(array.astype(np.float64), (2, 2), "gaussian")
    expected = exact if np.dtype(dtype).kind == "f" else np.rint(exact)
    result = downsample(array, (2, 2), "gaussian")
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected.astype(dtype))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int64", "uint64", "float32", "complex64"])
def test_constant_images_stay_constant(dtype):
    """The ends of the 64-bit ranges included, which float64 cannot hold."""
    ends = [7] if np.dtype(dtype).kind in "fc" else [np.iinfo(dtype).min, np.iinfo(dtype).max]
    for value in ends:
        array = np.full((5, 6), value, dtype)
        np.testing.assert_array_equal(downsample(array, (2, 3), "gaussian"), np.full((3, 2), value, dtype))


def test_factor_one_changes_nothing():
    array = np.array([[2**63 - 1, 5], [7, 9]], np.int64)
    np.testing.assert_array_equal(downsample_gaussian(array, (1, 1), (0, 0), (0, 0)), array)
    assert downsample_gaussian(np.array(3.5), (), (), ()).item() == 3.5


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("factors", [(2, 2), (3, 2), (1, 4)])
@pytest.mark.parametrize("shape", [(13, 26), (17, 31), (12, 24)])
def test_blocks_give_the_whole_bit_for_bit(shape, factors, dtype):
    rng = np.random.default_rng(5)
    array = (rng.standard_normal(shape) * 50 + 100).astype(dtype)
    whole = downsample(array, factors, "gaussian")
    reach = halo("gaussian", factors)
    for block in ((1, 1), (2, 3), (4, 5), (3, 100)):
        result = np.zeros_like(whole)
        for box in Box.whole(whole.shape).tiles(block):
            source, lo, hi = source_box(box, factors, shape, reach)
            result[box.slices] = downsample_gaussian(array[source.slices], factors, lo, hi)
        np.testing.assert_array_equal(result, whole)


def test_source_and_result_boxes_agree():
    for origin in ((0, 0), (3, 5)):
        box = Box(origin, (4, 2))
        source, lo, hi = source_box(box, (2, 3), (13, 40))
        assert (lo, hi) == ((0, 0), (0, 0))
        assert downsampled_box(source, (2, 3)) == box
    with pytest.raises(InputError) as info:
        downsampled_box(Box((1, 0), (4, 4)), (2, 2))
    assert info.value.code is Code.CHUNK_MISALIGNED


def test_nan_reaches_as_far_as_the_kernel():
    array = np.zeros(32)
    array[15] = np.nan
    bad = np.flatnonzero(np.isnan(downsample(array, (2,), "gaussian")))
    assert bad.tolist() == [6, 7, 8]  # taps of result voxel i are 2i - 2 … 2i + 3


def test_margins_that_do_not_fit_are_refused():
    array = np.zeros((10, 10))
    for lo, hi in (((3, 0), (0, 0)), ((0, 0), (0, 3)), ((-1, 0), (0, 0)), ((0,), (0, 0)), ((0, 0), (0,))):
        with pytest.raises(InputError):
            downsample_gaussian(array, (2, 2), lo, hi)
    with pytest.raises(InputError, match="ends within a window"):
        downsample_gaussian(array, (2, 2), (0, 0), (1, 0))
    assert downsample_gaussian(array, (2, 2), (2, 2), (2, 2)).shape == (3, 3)


def test_width_and_halo():
    assert gaussian_sigma(1) == 0
    for f in range(2, 9):
        (reach,) = halo("gaussian", (f,))
        assert (f - 1) / 2 + reach >= 3 * gaussian_sigma(f) > (f - 1) / 2 + reach - 1
    assert halo("mode", (2, 3)) == (0, 0)
    # A point of one voxel's width, smoothed, is one result voxel wide: full widths add in squares.
    fwhm = math.sqrt(8 * math.log(2))
    assert math.isclose(math.hypot(1, fwhm * gaussian_sigma(4)), 4)
