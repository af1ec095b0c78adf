"""Gaussian downsampling: separable, with a halo, the same whatever the blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.pyramid.geometry import checked_factors
from voxarium.pyramid.methods import Method, check_dtype, parse_method

__all__ = ["downsample_gaussian", "gaussian_sigma", "halo", "reduce_gaussian"]

Array = NDArray[Any]  # Any: every dtype
_TRUNCATE: Final = 3.0  # standard deviations on each side of the centre that are summed, at least


def gaussian_sigma(factor: int) -> float:
    """Return the standard deviation of the smoothing before taking every `factor`-th voxel, in source voxels.

    It widens a Gaussian point spread whose full width at half maximum is one source voxel to one result voxel
    (Cardoso et al., MICCAI 2015): ``sqrt(f² - 1) / sqrt(8 ln 2)``.

    Examples
    --------
    >>> round(gaussian_sigma(2), 4), gaussian_sigma(1)
    (0.7355, 0.0)
    """
    return math.sqrt((factor * factor - 1) / (8.0 * math.log(2.0)))


def _reach(factor: int) -> int:
    # Voxels beyond the window on each side, so that at least 3 sigma from the window's centre are covered.
    return math.ceil(_TRUNCATE * gaussian_sigma(factor) - (factor - 1) / 2) if factor > 1 else 0


def halo(method: str, factors: Sequence[int]) -> tuple[int, ...]:
    """Return how many voxels beyond its windows a method reads, on each side of each axis.

    Examples
    --------
    >>> halo("gaussian", (1, 2, 3)), halo("mean", (1, 2, 3))
    ((0, 2, 3), (0, 0, 0))
    """
    steps = checked_factors(factors, len(factors))
    if parse_method(method) is not Method.GAUSSIAN:
        return (0,) * len(steps)
    return tuple(_reach(f) for f in steps)


def downsample_gaussian(
    padded: Array, factors: Sequence[int], lo_margin: Sequence[int], hi_margin: Sequence[int]
) -> Array:
    """Reduce a block of an image by Gaussian smoothing, given some of the voxels around it.

    The result is bit for bit the same part of the result for the whole image, if blocks begin at multiples of
    the factors and margins are as wide as `halo` says, or as the image allows.

    Parameters
    ----------
    padded : NDArray
        The block with its margins.
    factors : sequence of int
        As in `downsample`.
    lo_margin, hi_margin : sequence of int
        Voxels before and after the block along each axis, 0 to `halo`. Fewer than `halo` means that the image
        ends there; weights are then those of the voxels that exist, made to sum to 1.

    Returns
    -------
    NDArray
        Shape ``ceil((n - lo_margin - hi_margin) / f)``; dtype of `padded` in native byte order. Integers are
        rounded half to even. Sums are made in float64: 64-bit integers beyond 2**53 keep 53 significant bits.

    Raises
    ------
    InputError
        If margins do not fit, or the block ends within a window that the margin continues.
    """
    padded = np.asarray(padded)
    steps = checked_factors(factors, padded.ndim)
    check_dtype(padded, Method.GAUSSIAN)
    lo, hi = tuple(map(int, lo_margin)), tuple(map(int, hi_margin))
    _check_margins(padded.shape, steps, lo, hi)
    shape = tuple(-(-(n - a - b) // f) for n, a, b, f in zip(padded.shape, lo, hi, steps, strict=True))
    native = padded.astype(padded.dtype.newbyteorder("="), copy=False)
    result = np.empty(shape, native.dtype)
    if result.size:
        reduce_gaussian(native, result, steps, lo, hi)
    return result


def _check_margins(shape: tuple[int, ...], factors: tuple[int, ...], lo: tuple[int, ...], hi: tuple[int, ...]) -> None:
    if not len(lo) == len(hi) == len(shape):
        raise InputError(
            f"margins {lo} and {hi} do not fit a block with {len(shape)} axes",
            code=Code.AXES_MISMATCH,
            fix="give one margin per axis and side",
        )
    for axis, (n, f, a, b) in enumerate(zip(shape, factors, lo, hi, strict=True)):
        reach = _reach(f)
        core = n - a - b
        if not (0 <= a <= reach and 0 <= b <= reach and core >= 0):
            raise InputError(
                f"margins {a} and {b} on axis {axis} do not fit a length of {n} and a halo of {reach}",
                code=Code.ARGUMENT_INVALID,
                fix="give margins from 0 to halo(method, factors) that leave a block between them",
            )
        if b and core % f:
            raise InputError(
                f"the block ends within a window on axis {axis}: {core} voxels are not a multiple of {f}",
                code=Code.CHUNK_MISALIGNED,
                fix="cut blocks at multiples of the factors",
            )


def reduce_gaussian(
    array: Array, result: Array, factors: tuple[int, ...], lo: tuple[int, ...], hi: tuple[int, ...]
) -> None:
    """Write the reduced block to `result`; see `downsample_gaussian`. Arguments are taken to fit."""
    if array.dtype.kind == "c":
        reduce_gaussian(array.real, result.real, factors, lo, hi)
        reduce_gaussian(array.imag, result.imag, factors, lo, hi)
    elif all(f == 1 for f in factors):
        result[...] = array[tuple(slice(a, n - b) for n, a, b in zip(array.shape, lo, hi, strict=True))]
    else:
        _store(_smooth(array, factors, lo, hi), result)


def _smooth(array: Array, factors: tuple[int, ...], lo: tuple[int, ...], hi: tuple[int, ...]) -> Array:
    from voxarium.pyramid.kernels_gaussian import weigh_axis

    work = array.view(np.uint8) if array.dtype.kind == "b" else array
    work = np.ascontiguousarray(work, np.float64 if array.dtype == np.float16 else None)
    for axis, f in enumerate(factors):
        if f == 1:
            continue
        shape = work.shape
        first, count, weights = _weights(shape[axis], f, lo[axis], hi[axis])
        source = work.reshape(math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))
        source.flags.writeable = False  # one compiled version serves read-only and writable sources
        target = np.empty((source.shape[0], first.size, source.shape[2]), np.float64)
        weigh_axis(source, target, first, count, weights)
        work = target.reshape(*shape[:axis], first.size, *shape[axis + 1 :])
    return work


def _weights(n: int, f: int, lo: int, hi: int) -> tuple[Array, Array, Array]:
    """Return, for each result voxel along an axis, the first source voxel, how many, and their weights."""
    reach = _reach(f)
    windows = -(-(n - lo - hi) // f)
    sigma, taps = gaussian_sigma(f), f + 2 * reach
    distance = np.arange(taps) - (taps - 1) / 2
    kernel = np.exp(-0.5 * (distance / sigma) ** 2)
    begin = lo - reach + f * np.arange(windows)
    first, stop = np.maximum(begin, 0), np.minimum(begin + taps, n)
    weights = np.zeros((windows, taps))
    for i in range(windows):
        part = kernel[first[i] - begin[i] : stop[i] - begin[i]]
        weights[i, : part.size] = part / math.fsum(part)
    return first, stop - first, weights


def _store(values: Array, result: Array) -> None:
    kind = result.dtype.kind
    if kind in "biu":
        values = np.rint(values)
    if kind == "b":
        result[...] = values != 0
    elif kind in "iu" and result.itemsize == 8:
        # The greatest integers are no float64: what would leave the range becomes the greatest.
        top = float(np.iinfo(result.dtype).max)
        inside = values < top
        result[...] = np.where(inside, np.maximum(values, np.iinfo(result.dtype).min), 0).astype(result.dtype)
        result[~inside] = np.iinfo(result.dtype).max
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            result[...] = values.astype(result.dtype)
