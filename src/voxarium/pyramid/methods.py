"""Downsampling of arrays in memory."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.image import Role
from voxarium.pyramid.geometry import checked_factors, level_shape

__all__ = ["Method", "check_dtype", "check_method", "default_method", "downsample", "parse_method", "prepare"]

Array = NDArray[Any]  # Any: every dtype
_MAX_AXES: Final = 6
_MAX_WINDOW: Final = 2**31 - 1  # sums of this many voxels' halves fit 64 bits


class Method(StrEnum):
    """How a window of voxels becomes one voxel."""

    MEAN = "mean"
    MEDIAN = "median"
    MODE = "mode"
    MIN = "min"
    MAX = "max"
    STRIDE = "stride"
    GAUSSIAN = "gaussian"


def parse_method(name: str) -> Method:
    """Return the method of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    try:
        return Method(name)
    except ValueError:
        raise InputError(
            f"there is no downsampling method {name!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"use one of {', '.join(Method)}",
        ) from None


def default_method(role: Role) -> Method:
    """Return the method for images of a role: mode for labels, mean for everything else."""
    return Method.MODE if role == "label" else Method.MEAN


def check_method(method: str, role: Role) -> Method:
    """Return the method if it may be used on images of this role.

    Raises
    ------
    InputError
        If it would invent labels: mean, median and gaussian compute new values from neighbouring ids.
    """
    chosen = parse_method(method)
    if role == "label" and chosen in (Method.MEAN, Method.MEDIAN, Method.GAUSSIAN):
        raise InputError(
            f"method {chosen} would invent labels that no voxel has",
            code=Code.ARGUMENT_INVALID,
            fix="use mode, or stride, min or max; or declare the image to be intensity",
        )
    return chosen


def downsample(
    array: Array,
    factors: Sequence[int],
    method: str,
    *,
    ignore_zero: bool = False,
    out: Array | None = None,
) -> Array:
    """Reduce an array by whole windows. One thread, without the GIL: callers split blocks among threads.

    Parameters
    ----------
    array : NDArray
        Up to six axes, any strides, read-only or not. Not changed.
    factors : sequence of int
        Voxels per window along each axis, at least 1. The window of result voxel i holds source voxels i·f to
        i·f + f - 1; at the far edge it holds those that exist.
    method : str
        A `Method`. ``mean`` and ``median`` round half to even and are exact for every integer dtype; ``mode``
        takes the smallest of equally frequent values; NaN anywhere in a window makes its mean, median, min
        and max NaN. ``gaussian`` treats the array as the whole image; for a block of a larger one use
        `downsample_gaussian`.
    ignore_zero : bool
        For ``mode``: zeros do not vote unless the whole window is zero.
    out : NDArray or None
        Where to write the result: an array of its shape and dtype.

    Returns
    -------
    NDArray
        Shape ``ceil(n / f)`` along each axis; the source's dtype in native byte order; `out` if it was given.

    Raises
    ------
    InputError
        If factors, method or `out` do not fit.
    UnsupportedError
        If the method has no meaning for the dtype.

    Examples
    --------
    >>> downsample(np.array([[1, 3, 5], [1, 3, 6]], np.uint8), (2, 2), "mean")
    array([[2, 6]], dtype=uint8)
    """
    chosen = parse_method(method)
    array = np.asarray(array)
    steps = checked_factors(factors, array.ndim)
    check_dtype(array, chosen)
    if ignore_zero and chosen is not Method.MODE:
        raise InputError(
            f"ignore_zero does not apply to method {chosen}",
            code=Code.ARGUMENT_INVALID,
            fix="use it with mode only",
        )
    if chosen is not Method.GAUSSIAN:  # whose width depends on the factor
        steps = tuple(min(f, max(n, 1)) for f, n in zip(steps, array.shape, strict=True))
    result = _result(array, level_shape(array.shape, steps), out)
    # A result that shares memory with the source would be read after it was written.
    target = np.empty_like(result) if out is not None and np.may_share_memory(array, result) else result
    if chosen is Method.STRIDE or all(f == 1 for f in steps):
        target[...] = array[tuple(slice(None, None, f) for f in steps)]
    elif array.size:
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
        _reduce(native, target, steps, chosen, ignore_zero=ignore_zero)
    if target is not result:
        result[...] = target
    return result


def prepare(dtype: np.dtype[Any], factors: Sequence[int], method: str) -> None:
    """Compile, or load from the cache, what `downsample` needs for blocks of this kind.

    Compiling takes about a second and holds a lock: a pool of threads starts sooner when this was called
    first.
    """
    steps = checked_factors(factors, len(factors))
    downsample(np.zeros(tuple(2 * f for f in steps), dtype), steps, method)


def check_dtype(array: Array, method: Method) -> None:
    """Raise UnsupportedError if the method has no meaning for an array."""
    if array.ndim > _MAX_AXES:
        raise UnsupportedError(
            f"an array with {array.ndim} axes cannot be downsampled",
            code=Code.FEATURE_UNSUPPORTED,
            fix=f"downsample parts of at most {_MAX_AXES} axes",
        )
    if method is Method.STRIDE:
        return
    kind = array.dtype.kind
    fits = kind in "biu" or (kind == "f" and array.itemsize <= 8)
    if kind == "c" and array.itemsize <= 16:
        fits = method in (Method.MEAN, Method.GAUSSIAN)
    if not fits:
        raise UnsupportedError(
            f"voxels of dtype {array.dtype} have no {method}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="use method stride, or convert the voxels first",
        )


def _result(array: Array, shape: tuple[int, ...], out: Array | None) -> Array:
    dtype = array.dtype.newbyteorder("=")
    if out is None:
        return np.empty(shape, dtype)
    if out.shape != shape or out.dtype != dtype or not out.flags.writeable:
        state = "writable" if out.flags.writeable else "read-only"
        raise InputError(
            f"out is a {state} array of shape {out.shape} and dtype {out.dtype}; the result has "
            f"shape {shape} and dtype {dtype}",
            code=Code.ARGUMENT_INVALID,
            fix="give a writable array of that shape and dtype, or none",
        )
    return out


def _reduce(array: Array, result: Array, factors: tuple[int, ...], method: Method, *, ignore_zero: bool) -> None:
    if prod(factors) > _MAX_WINDOW:
        raise InputError(
            f"factors {factors} make windows of {prod(factors)} voxels",
            code=Code.ARGUMENT_INVALID,
            fix="use smaller factors and more levels",
        )
    if method is Method.GAUSSIAN:
        from voxarium.pyramid.gaussian import reduce_gaussian

        none = (0,) * array.ndim
        reduce_gaussian(array, result, factors, none, none)
        return
    from voxarium.pyramid import reducers

    if array.dtype.kind == "c":
        reducers.reduce_mean(np.ascontiguousarray(array.real), result.real, factors)
        reducers.reduce_mean(np.ascontiguousarray(array.imag), result.imag, factors)
        return
    if array.dtype.kind == "b":
        array, result = array.view(np.uint8), result.view(np.uint8)
    match method:
        case Method.MEAN:
            reducers.reduce_mean(array, result, factors)
        case Method.MEDIAN:
            reducers.reduce_median(array, result, factors)
        case Method.MODE:
            reducers.reduce_mode(array, result, factors, ignore_zero=ignore_zero)
        case _:
            reducers.reduce_extreme(array, result, factors, greatest=method is Method.MAX)
