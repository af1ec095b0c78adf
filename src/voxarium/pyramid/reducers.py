"""From an array and a method to kernel calls. Imports numba, by way of the kernels; hence imported late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.pyramid import kernels_mean, kernels_mode, kernels_rank
from voxarium.pyramid.windows import RowGrid, is_addressable, row_grids, uniform_parts

__all__ = ["key_order", "narrow_mean", "reduce_extreme", "reduce_mean", "reduce_median", "reduce_mode"]

Array = NDArray[Any]  # Any: every dtype
_ROW: Final = 2048  # source voxels of a row reduced at a time: sums stay in the first-level cache
_LABEL_ROW: Final = 128  # windows whose labels are looked at together
_TABLE: Final = 16384  # voxels of windows staged for a median


def _bits(array: Array) -> Array:
    return array.view(np.dtype(f"u{array.itemsize}"))


def _sign_bit(dtype: np.dtype[Any]) -> int:
    return 1 << (8 * dtype.itemsize - 1) if dtype.kind == "i" else 0


def _shift(count: int) -> int:
    return count.bit_length() - 1 if count & (count - 1) == 0 else -1


def _run(source: Array, result: Array, factors: tuple[int, ...], call: Callable[[RowGrid], None]) -> None:
    if not is_addressable(source):
        source = np.ascontiguousarray(source)
    target = result if is_addressable(result) else np.empty(result.shape, result.dtype)
    for src, dst, window in uniform_parts(source.shape, factors):
        for rows in row_grids(source[src], target[dst], window):
            call(rows)
    if target is not result:
        result[...] = target


def reduce_mean(source: Array, result: Array, factors: tuple[int, ...]) -> None:
    """Write the mean of each window of real numbers to `result`."""
    dtype = source.dtype
    if dtype == np.float16:  # no arithmetic of its own on common processors; float64 rounds once
        wide = np.empty(result.shape, np.float64)
        reduce_mean(source.astype(np.float64), wide, factors)
        result[...] = wide
        return
    if dtype.kind == "f":
        _run(source, result, factors, _mean_of_floats)
        return
    flip = np.dtype(f"u{dtype.itemsize}").type(_sign_bit(dtype))
    _run(_bits(source), _bits(result), factors, lambda rows: _mean_of_integers(rows, flip))


def _mean_of_floats(rows: RowGrid) -> None:
    scratch = np.empty((2, max(_ROW, rows.wx)), np.float64)
    kernels_mean.mean_float(rows, scratch)


def narrow_mean(itemsize: int, count: int, wx: int) -> int | None:
    """Return the logarithm of the voxels of a window that `kernels_mean.mean_narrow` can take; None for others."""
    able = itemsize <= 2 and wx <= 2 and 2 <= count <= 256 and count & (count - 1) == 0
    return _shift(count) if able else None


def _mean_of_integers(rows: RowGrid, flip: Any) -> None:
    count, size = rows.rel.size * rows.wx, rows.src.itemsize
    shift = _shift(count)
    if narrow_mean(size, count, rows.wx) is not None:
        sums = np.empty(2 * _ROW, np.dtype(f"u{2 * size}"))
        pairs = sums.view(np.dtype(f"u{4 * size}"))
        kernels_mean.mean_narrow(rows, flip, sums, pairs, shift)
        return
    scratch = np.empty((4, max(_ROW, rows.wx)), np.uint64)
    kernels_mean.mean_integer(rows, flip, scratch, shift)


def key_order(dtype: np.dtype[Any], *, reverse: bool = False) -> tuple[Any, ...]:
    """Return how the bits of `dtype` become unsigned keys that compare as its values do.

    The entries: bits to flip always, bits to flip of negative floats, bits to flip to reverse, the least and
    the greatest key of a number that is not NaN, the bits of NaN, and the place of the sign.
    """
    unsigned = np.dtype(f"u{dtype.itemsize}")
    every, sign = int(np.iinfo(unsigned).max), 1 << (8 * dtype.itemsize - 1)
    flip = every if reverse else 0
    if dtype.kind != "f":
        entries = (_sign_bit(dtype), 0, flip, 0, every, 0)
    else:
        infinity = int(np.array(np.inf, dtype).view(unsigned))
        ends = ((sign | infinity) ^ every ^ flip, infinity ^ sign ^ flip)
        entries = (
            sign,
            every ^ sign,
            flip,
            min(ends),
            max(ends),
            int(np.array(np.nan, dtype).view(unsigned)),
        )
    return tuple(unsigned.type(v) for v in (*entries, 8 * dtype.itemsize - 1))


def reduce_extreme(source: Array, result: Array, factors: tuple[int, ...], *, greatest: bool) -> None:
    """Write the smallest or the greatest voxel of each window to `result`; NaN where there is one."""
    order = key_order(source.dtype, reverse=greatest)

    def call(rows: RowGrid) -> None:
        scratch = np.empty(max(_ROW, rows.wx), rows.src.dtype)
        kernels_rank.extreme(rows, order, scratch)

    _run(_bits(source), _bits(result), factors, call)


def reduce_median(source: Array, result: Array, factors: tuple[int, ...]) -> None:
    """Write the median of each window to `result`; of two middle voxels their rounded mean."""
    order = key_order(source.dtype)

    def reduce(target: Array, pick: int) -> None:
        def call(rows: RowGrid) -> None:
            count = rows.rel.size * rows.wx
            table = np.empty((count, min(256, max(1, _TABLE // count))), rows.src.dtype)
            scratch = np.empty((3, max(table.shape)), rows.src.dtype)
            kernels_rank.middle(rows, order, table, scratch, pick)

        _run(_bits(source), _bits(target), factors, call)

    if source.dtype.kind != "f":
        reduce(result, 0)
        return
    lower, upper = np.empty(result.shape, result.dtype), np.empty(result.shape, result.dtype)
    reduce(lower, -1)
    reduce(upper, 1)
    result[...] = _mean_of_two(lower, upper)


def _mean_of_two(a: Array, b: Array) -> Array:
    with np.errstate(all="ignore"):
        x, y = a.astype(np.float64), b.astype(np.float64)
        mean = (x + y) * 0.5
        mean = np.where(np.isinf(mean), x * 0.5 + y * 0.5, mean)  # the sum overflowed
        # One middle voxel is returned bit for bit, a negative zero or a subnormal included.
        return np.where(_bits(a) == _bits(b), a, mean.astype(a.dtype))


def reduce_mode(source: Array, result: Array, factors: tuple[int, ...], *, ignore_zero: bool) -> None:
    """Write the most frequent voxel of each window to `result`; of several the smallest."""
    if source.dtype.kind == "f":
        signed = np.dtype(f"i{source.itemsize}")
        keys = np.empty(result.shape, signed)
        reduce_mode(_float_keys(source.view(signed), zeros_alike=ignore_zero), keys, factors, ignore_zero=ignore_zero)
        result.view(signed)[...] = _float_keys(keys)
        return
    unsigned = np.dtype(f"u{source.itemsize}").type
    flip, always = unsigned(_sign_bit(source.dtype)), unsigned(0 if ignore_zero else np.iinfo(unsigned).max)

    def call(rows: RowGrid) -> None:
        marks = np.empty(_LABEL_ROW, rows.src.dtype)
        column = np.empty(rows.rel.size * rows.wx, rows.src.dtype)
        kernels_mode.mode(rows, (flip, always), marks, column)

    _run(_bits(source), _bits(result), factors, call)


def _float_keys(bits: Array, *, zeros_alike: bool = False) -> Array:
    # Signed integers that compare as the floats do. Applied twice it gives the bits back.
    top = bits.dtype.type(8 * bits.itemsize - 1)
    keys: Array = bits ^ ((bits >> top) & bits.dtype.type(np.iinfo(bits.dtype).max))
    if zeros_alike:
        keys[bits == np.iinfo(bits.dtype).min] = 0
    return keys
