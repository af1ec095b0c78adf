"""Every windowed method against a slow reference in plain Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.pyramid import (
    Method,
    check_method,
    default_method,
    downsample,
    level_shape,
    parse_method,
    prepare,
)

INTEGERS = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"]
DTYPES = [*INTEGERS, "float16", "float32", "float64", "bool"]
WINDOWED = ["mean", "median", "mode", "min", "max", "stride"]
KINDS = ["few", "ends", "any"]

property_test = settings(
    max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)


@st.composite
def cases(draw):
    """An odd shape of up to four axes, factors of 1 to 5, a seed and a kind of voxels."""
    ndim = draw(st.integers(1, 4))
    longest = {1: 40, 2: 11, 3: 7, 4: 5}[ndim]
    shape = tuple(draw(st.integers(1, longest)) for _ in range(ndim))
    factors = tuple(draw(st.integers(1, 5)) for _ in range(ndim))
    if draw(st.booleans()):  # the factors with kernels of their own
        factors = tuple(draw(st.integers(1, 2)) for _ in range(ndim))
    return shape, factors, draw(st.integers(0, 2**32)), draw(st.sampled_from(KINDS))


@pytest.fixture(scope="module")
def compiled():
    """Compile what this module runs, once."""
    for method in ("mean", "median", "mode", "min"):
        for dtype in ("uint8", "uint16", "uint32", "uint64", "float32", "float64"):
            prepare(np.dtype(dtype), (2, 2), method)
            prepare(np.dtype(dtype), (3,), method)


def equal(a, b):
    np.testing.assert_array_equal(a, b)
    assert a.dtype == b.dtype
    if a.dtype.kind == "f":  # signs of zeros too
        np.testing.assert_array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", WINDOWED)
def test_result_is_that_of_the_reference(method, dtype, reference, samples, compiled):
    """Bit for bit, for odd shapes, edge windows of every size, and the extremes of each dtype."""

    @property_test
    @given(cases())
    def check(case):
        shape, factors, seed, kind = case
        array = samples(seed, shape, dtype, kind)
        expected = reference.reduce(array, factors, getattr(reference, method))
        equal(downsample(array, factors, method), expected)

    check()


@pytest.mark.parametrize("dtype", DTYPES)
def test_zeros_may_abstain_from_the_mode(dtype, reference, samples, compiled):
    @property_test
    @given(cases())
    def check(case):
        shape, factors, seed, kind = case
        array = samples(seed, shape, dtype, "few" if kind == "any" else kind)
        expected = reference.reduce(array, factors, lambda w: reference.mode(w, ignore_zero=True))
        np.testing.assert_array_equal(downsample(array, factors, "mode", ignore_zero=True), expected)

    check()


FACTORS = [(2, 2, 2), (1, 2, 2), (2, 2, 1), (2, 1, 1), (1, 1, 2), (2, 1, 2), (3, 2, 4), (1, 1, 5)]


@pytest.mark.parametrize("factors", FACTORS)
@pytest.mark.parametrize("method", ["mean", "median", "mode", "min", "max"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "uint64", "float32"])
def test_long_rows_are_reduced_in_pieces(dtype, method, factors, samples, compiled):
    """Rows longer than any scratch: compared with numpy, window position by window position."""
    array = samples(5, (3, 4, 9001), dtype, "few" if method == "mode" else "any")
    result = downsample(array, factors, method)
    whole = tuple(n // f for n, f in zip(array.shape, factors, strict=True))
    part = array[tuple(slice(0, n * f) for n, f in zip(whole, factors, strict=True))]
    split = part.reshape([n for pair in zip(whole, factors, strict=True) for n in pair])
    windows = split.transpose(0, 2, 4, 1, 3, 5).reshape(*whole, -1)
    if method == "mode":
        votes = np.stack([(windows == v).sum(-1) for v in range(3)], -1)
        expected = votes.argmax(-1).astype(dtype)
    elif np.dtype(dtype).kind == "f" or method in ("min", "max"):
        expected = getattr(np, method)(windows.astype(np.float64) if method == "mean" else windows, axis=-1)
    else:
        ordered = np.sort(windows, axis=-1).astype(object)
        n = ordered.shape[-1]
        total = ordered.sum(-1) if method == "mean" else ordered[..., (n - 1) // 2] + ordered[..., n // 2]
        count = n if method == "mean" else 2
        quotient, twice_rest = total // count, total % count * 2
        up = (twice_rest > count) | ((twice_rest == count) & (quotient % 2 == 1))
        expected = quotient + up
    got = result[tuple(slice(0, n) for n in whole)]
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(got, expected.astype(dtype), rtol=1e-6)
    else:
        np.testing.assert_array_equal(got, expected.astype(dtype))


@pytest.mark.parametrize("shape", [(300,), (17, 19), (7, 7, 7)])
@pytest.mark.parametrize("method", ["mean", "median", "mode", "min"])
def test_big_windows_of_many_labels(method, shape, reference, compiled):
    """Windows too large for insertion sort and for counting label by label."""
    rng = np.random.default_rng(3)
    for dtype, high in (("uint8", 256), ("uint64", 2**64 - 1), ("int32", 40)):
        array = rng.integers(0, high, shape, dtype=dtype)
        factors = tuple(n - 1 for n in shape)
        expected = reference.reduce(array, factors, getattr(reference, method))
        equal(downsample(array, factors, method), expected)


def test_many_equal_voxels_do_not_overflow_narrow_counters(compiled):
    array = np.full((33, 33), 255, np.uint8)
    for method in ("mean", "median", "mode", "min", "max"):
        assert (downsample(array, (32, 32), method) == 255).all()


# -------------------------------------------------------------------------------------------------- exact identifiers
@pytest.mark.parametrize("method", ["mode", "min", "max", "stride", "median", "mean"])
def test_ids_beyond_float64_stay_exact(method, compiled):
    """720575940699565974 would come back as …952 from any float64."""
    array = np.full((4, 5, 6), 720575940699565974, np.uint64)
    for factors in ((2, 2, 2), (1, 2, 2), (3, 3, 3)):
        assert (downsample(array, factors, method) == 720575940699565974).all()


def test_mode_takes_the_smallest_of_equally_frequent_labels(compiled):
    a, b = 2**60 + 1, 2**60
    assert downsample(np.array([a, b], np.uint64), (2,), "mode").tolist() == [b]
    assert downsample(np.array([[a, a], [b, b]], np.uint64), (2, 2), "mode").tolist() == [[b]]
    assert downsample(np.array([3, -3], np.int32), (2,), "mode").tolist() == [-3]
    assert downsample(np.array([0.5, -0.5, -2.0], np.float32), (3,), "mode").tolist() == [-2.0]


def test_mean_rounds_half_to_even(compiled):
    array = np.array([0, 1, 1, 2, 2, 3, 255, 254], np.uint8)
    assert downsample(array, (2,), "mean").tolist() == [0, 2, 2, 254]
    assert downsample(-array[:6].astype(np.int64), (2,), "mean").tolist() == [0, -2, -2]
    assert downsample(np.array([True, False, True, True]), (2,), "mean").tolist() == [False, True]


def test_nan_spreads_but_only_within_its_window(compiled):
    array = np.ones((4, 4), np.float32)
    array[0, 1] = np.nan
    for method in ("mean", "median", "min", "max"):
        result = downsample(array, (2, 2), method)
        assert np.isnan(result[0, 0])
        assert (result.ravel()[1:] == 1).all()
    assert (downsample(array, (2, 2), "mode") == 1).all()


def test_complex_voxels_have_a_mean(compiled):
    array = np.arange(6).reshape(2, 3) * (1 + 2j)
    np.testing.assert_array_equal(downsample(array, (2, 2), "mean"), [[2 + 4j, 3.5 + 7j]])
    np.testing.assert_array_equal(downsample(array, (2, 2), "stride"), [[0, 2 + 4j]])
    with pytest.raises(UnsupportedError) as info:
        downsample(array, (2, 2), "median")
    assert info.value.code is Code.DTYPE_UNSUPPORTED


# ------------------------------------------------------------------------------------------------------------ layouts
def layouts(array):
    """The same voxels in other memory: read-only, strided, reversed, transposed, misaligned, swapped, repeated."""
    frozen = array.copy()
    frozen.flags.writeable = False
    yield frozen
    padded = np.zeros([2 * n + 1 for n in array.shape], array.dtype)
    strided = padded[tuple(slice(1, None, 2) for _ in array.shape)]
    strided[...] = array
    yield strided
    wide = np.zeros([n + 3 for n in array.shape], array.dtype)
    inner = wide[tuple(slice(1, n + 1) for n in array.shape)]
    inner[...] = array
    yield inner
    yield np.asfortranarray(array)
    yield array[::-1].copy()[::-1]
    yield array[..., ::-1].copy()[..., ::-1]
    raw = np.zeros(array.nbytes + 1, np.uint8)[1:]
    odd = raw.view(array.dtype).reshape(array.shape)
    odd[...] = array
    yield odd
    yield array.astype(array.dtype.newbyteorder())


@pytest.mark.parametrize("method", [*WINDOWED, "gaussian"])
@pytest.mark.parametrize("dtype", ["uint8", "uint64", "float32"])
def test_memory_layout_does_not_matter(method, dtype, samples, compiled):
    array = samples(1, (5, 6, 7), dtype, "few")
    for factors in ((2, 2, 2), (1, 3, 2), (2, 2, 1)):
        expected = downsample(array, factors, method)
        for other in layouts(array):
            before = other.copy()
            result = downsample(other, factors, method)
            equal(result, expected)
            assert result.dtype.isnative
            np.testing.assert_array_equal(other, before)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16"])
@pytest.mark.parametrize("length", [*range(14, 20), 32, 33, 47, 64, 80, 127, 128, 146])
def test_means_of_long_rows(dtype, length, samples, compiled):
    """Rows are taken by whole vectors first."""
    array = samples(length, (6, 8, length), dtype, "any")
    array[:2] = np.iinfo(dtype).max
    array[2:4] = np.iinfo(dtype).min
    even = array[..., : length // 2 * 2].astype(np.int64)
    total = even.reshape(3, 2, 4, 2, length // 2, 2).sum(axis=(1, 3, 5))
    whole, rest = total // 8, total % 8
    expected = whole + (rest + (whole & 1) > 4)
    result = downsample(array, (2, 2, 2), "mean")
    np.testing.assert_array_equal(result[..., : length // 2], expected)
    inner = np.zeros((6, 8, length + 9), dtype)[..., 5 : 5 + length]
    inner[...] = array
    equal(downsample(inner, (2, 2, 2), "mean"), result)


def test_repeated_memory_is_read_as_it_looks(compiled):
    array = np.broadcast_to(np.arange(6, dtype=np.uint16), (4, 5, 6))
    np.testing.assert_array_equal(downsample(array, (2, 2, 2), "mean"), downsample(array.copy(), (2, 2, 2), "mean"))


@pytest.mark.parametrize("method", [*WINDOWED, "gaussian"])
def test_result_can_go_to_any_given_array(method, samples, compiled):
    array = samples(2, (5, 6, 7), "int16", "any")
    expected = downsample(array, (2, 2, 2), method)
    for target in (
        np.zeros((3, 3, 4), np.int16),
        np.zeros((3, 3, 4), np.int16, order="F"),
        np.zeros((5, 5, 9), np.int16)[1:4, 1:4, 2:6],
        np.zeros((3, 3, 8), np.int16)[..., ::2],
    ):
        assert downsample(array, (2, 2, 2), method, out=target) is target
        np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("method", ["mean", "stride", "mode"])
def test_result_may_overwrite_the_source(method, samples, compiled):
    array = samples(2, (6, 8), "uint8", "any")
    expected = downsample(array, (2, 1), method)
    target = array[3:]
    downsample(array, (2, 1), method, out=target)
    np.testing.assert_array_equal(target, expected)


@pytest.mark.parametrize("method", list(Method))
def test_shapes_without_voxels_or_axes(method, compiled):
    assert downsample(np.zeros((0, 5), np.uint8), (2, 2), method).shape == (0, 3)
    assert downsample(np.array(7, np.uint8), (), method).item() == 7
    one = downsample(np.full((1, 1, 1), 9, np.int32), (2, 2, 2), method)
    assert one.tolist() == [[[9]]]


def test_six_axes(reference, samples, compiled):
    array = samples(7, (3, 2, 3, 2, 3, 5), "uint8", "any")
    for factors in ((1, 1, 2, 2, 2, 2), (2, 2, 2, 2, 2, 2), (2, 1, 2, 1, 2, 1)):
        for method in ("mean", "mode", "median"):
            expected = reference.reduce(array, factors, getattr(reference, method))
            equal(downsample(array, factors, method), expected)
    with pytest.raises(UnsupportedError, match="7 axes"):
        downsample(np.zeros((1,) * 7, np.uint8), (1,) * 7, "mean")


# -------------------------------------------------------------------------------------------------------------- blocks
@pytest.mark.parametrize("method", WINDOWED)
@pytest.mark.parametrize("dtype", ["uint8", "uint64", "float32", "float64"])
def test_blocks_give_the_whole(method, dtype, samples, compiled):
    """Blocks aligned to the factors, the thinnest included, give bit for bit the same result."""
    rng = np.random.default_rng(11)
    array = samples(4, (7, 9, 11), dtype, "any")
    for factors in ((2, 2, 2), (1, 2, 2), (2, 2, 1), (3, 1, 4)):
        whole = downsample(array, factors, method)
        for _ in range(4):
            result = np.empty_like(whole)
            cuts = []
            for n, f in zip(whole.shape, factors, strict=True):
                inner = sorted(rng.choice(np.arange(1, n), size=min(2, n - 1), replace=False).tolist())
                cuts.append([(a, b, f) for a, b in zip([0, *inner], [*inner, n], strict=True)])
            for az, bz, fz in cuts[0]:
                for ay, by, fy in cuts[1]:
                    for ax, bx, fx in cuts[2]:
                        block = array[az * fz : bz * fz, ay * fy : by * fy, ax * fx : bx * fx]
                        result[az:bz, ay:by, ax:bx] = downsample(block, factors, method)
            equal(result, whole)


# -------------------------------------------------------------------------------------------------------------- errors
@pytest.mark.parametrize("factors", [(2,), (2, 2, 2), (0, 2), (-1, 2), (1.5, 2), ("2", 2)])
def test_factors_that_do_not_fit_are_refused(factors):
    with pytest.raises(InputError) as info:
        downsample(np.zeros((4, 4), np.uint8), factors, "mean")
    assert info.value.code is Code.ARGUMENT_INVALID
    assert "per axis" in info.value.fix


def test_misuse_is_refused():
    array = np.zeros((4, 4), np.uint8)
    with pytest.raises(InputError, match="no downsampling method 'cubic'"):
        downsample(array, (2, 2), "cubic")
    with pytest.raises(InputError, match="ignore_zero"):
        downsample(array, (2, 2), "mean", ignore_zero=True)
    frozen = np.zeros((2, 2), np.uint8)
    frozen.flags.writeable = False
    for out in (np.zeros((2, 3), np.uint8), np.zeros((2, 2), np.int8), frozen):
        with pytest.raises(InputError, match="out is a"):
            downsample(array, (2, 2), "mean", out=out)
    for dtype in ("S4", "M8[s]", "O", [("a", "u1")]):
        with pytest.raises(UnsupportedError) as info:
            downsample(np.zeros((4, 4), dtype), (2, 2), "mean")
        assert info.value.code is Code.DTYPE_UNSUPPORTED
    assert downsample(np.zeros((4, 4), "M8[s]"), (2, 2), "stride").shape == (2, 2)


def test_methods_by_role():
    assert default_method("label") is Method.MODE
    assert default_method("intensity") is Method.MEAN
    assert default_method("prediction") is Method.MEAN
    assert check_method("mode", "label") is Method.MODE
    assert check_method("gaussian", "intensity") is parse_method("gaussian")
    for method in ("mean", "median", "gaussian"):
        with pytest.raises(InputError, match="invent labels"):
            check_method(method, "label")


def test_sizes_are_rounded_up():
    assert downsample(np.zeros((7, 5, 1), np.uint8), (2, 3, 2), "mean").shape == (4, 2, 1)
    assert level_shape((7, 5, 1), (2, 3, 2)) == (4, 2, 1)


# -------------------------------------------------------------------------------------------------------------- oracle
@pytest.mark.oracle
@pytest.mark.parametrize("method", ["mean", "min", "max", "stride"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "int64", "float32"])
def test_tensorstore_agrees(method, dtype, samples, compiled):
    ts = pytest.importorskip("tensorstore")
    array = samples(8, (7, 10, 13), dtype, "any")
    if dtype == "int64":
        array >>= 8  # the oracle sums in 64 bits
    for factors in ((2, 2, 2), (1, 2, 2), (3, 1, 4)):
        expected = ts.downsample(ts.array(array), list(factors), method).read().result()
        result = downsample(array, factors, method)
        if dtype == "float32":
            np.testing.assert_allclose(result, expected, rtol=1e-4)
        else:
            np.testing.assert_array_equal(result, expected)
