"""Cutting an array into windows: from any axes, strides and edges to the few shapes kernels work on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

__all__ = ["RowGrid", "row_grids", "uniform_parts"]

Array = NDArray[Any]  # Any: every dtype
_LEADING: Final = 3  # axes of rows a kernel walks by itself; further ones are walked here


class RowGrid(NamedTuple):
    """Work for one kernel call: result rows on a regular grid, each made of the same number of source rows.

    A named tuple, because numba passes those into compiled code as they are.

    Parameters
    ----------
    src, dst : NDArray
        Memory of the source (read-only) and of the result as flat arrays that begin at the first voxel.
    grid : NDArray of int64
        Result rows along three axes, result voxels per row, then the distance between neighbouring windows
        along those axes in `src`, and in `dst`, all in voxels.
    rel : NDArray of int64
        Where the source rows of a window start, relative to its first voxel, in C order.
    wx : int
        Source voxels per result voxel along the row.
    """

    src: Array
    dst: Array
    grid: NDArray[np.int64]
    rel: NDArray[np.int64]
    wx: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    n: int  # windows along the axis
    window: int  # source voxels per window
    src: int  # voxels between neighbours in the source
    dst: int  # voxels between neighbours in the result


def uniform_parts(
    shape: tuple[int, ...], factors: tuple[int, ...]
) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...], tuple[int, ...]]]:
    """Yield (source slices, result slices, window) of the parts whose windows all have the same shape.

    One part holds the complete windows; up to one more per axis and combination of axes holds the shorter
    windows at the far edges.

    Examples
    --------
    >>> [(src, window) for src, dst, window in uniform_parts((5,), (2,))]
    [((slice(0, 4, None),), (2,)), ((slice(4, 5, None),), (1,))]
    """
    per_axis = []
    for n, f in zip(shape, factors, strict=True):
        full, rest = divmod(n, f)
        pieces = []
        if full:
            pieces.append((slice(0, full * f), slice(0, full), f))
        if rest:
            pieces.append((slice(full * f, n), slice(full, full + 1), rest))
        per_axis.append(pieces)
    for part in itertools.product(*per_axis):
        yield tuple(p[0] for p in part), tuple(p[1] for p in part), tuple(p[2] for p in part)


def is_addressable(array: Array) -> bool:
    """Tell whether rows of the array can be reached as slices of flat memory."""
    return (
        bool(array.flags.aligned)
        and (array.shape[-1] <= 1 or array.strides[-1] == array.itemsize)
        and all(s >= 0 and s % array.itemsize == 0 for s in array.strides)
    )


def _flat(array: Array, *, writeable: bool) -> Array:
    if array.flags.c_contiguous:
        row = np.asarray(array).reshape(-1)
        row.flags.writeable = writeable
        return row
    extent = 1 + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) // array.itemsize
    return as_strided(array, (extent,), (array.itemsize,), writeable=writeable)


def _merged(axes: list[_Axis]) -> list[_Axis]:
    # An axis without windows joins the next one where both arrays continue seamlessly from one to the other.
    result: list[_Axis] = []
    for axis in axes:
        last = result[-1] if result else None
        if (
            last is not None
            and last.window == 1
            and last.src == axis.src * axis.n * axis.window
            and last.dst == axis.dst * axis.n
        ):
            result[-1] = _Axis(n=last.n * axis.n, window=axis.window, src=axis.src, dst=axis.dst)
        else:
            result.append(axis)
    return result


def row_grids(source: Array, result: Array, window: tuple[int, ...]) -> Iterator[RowGrid]:
    """Yield the kernel calls that reduce `source` to `result` by complete windows.

    Parameters
    ----------
    source, result : NDArray
        Addressable arrays of at least one axis and one voxel; ``source.shape`` is ``result.shape`` times
        `window`.
    window : tuple of int
        Voxels per window along each axis.
    """
    calls = _row_calls(result.shape, source.strides, result.strides, window, source.itemsize)
    src, dst = _flat(source, writeable=False), _flat(result, writeable=True)
    for index in itertools.product(*(range(a.n) for a in calls.outer)):
        s = sum(i * a.src * a.window for i, a in zip(index, calls.outer, strict=True))
        d = sum(i * a.dst for i, a in zip(index, calls.outer, strict=True))
        yield RowGrid(src=src[s:], dst=dst[d:], grid=calls.grid, rel=calls.rel, wx=calls.wx)


class _RowCalls(NamedTuple):
    """What kernel calls of arrays of one layout share, and the axes along which there is a call for each step."""

    outer: tuple[_Axis, ...]
    grid: NDArray[np.int64]
    rel: NDArray[np.int64]
    wx: int


@lru_cache(maxsize=256)
def _row_calls(
    shape: tuple[int, ...], src: tuple[int, ...], dst: tuple[int, ...], window: tuple[int, ...], size: int
) -> _RowCalls:
    axes = [
        _Axis(n=n, window=w, src=s // size, dst=d // size) for n, w, s, d in zip(shape, window, src, dst, strict=True)
    ]
    # The last axis stays the row even when it is short: the order in which floats are summed must not depend
    # on how an image was cut into blocks.
    lead = [a for a in axes[:-1] if a.n * a.window > 1]
    row = _Axis(n=axes[-1].n, window=axes[-1].window, src=1, dst=1)
    *lead, row = _merged([*lead, row])
    starts = [np.arange(a.window, dtype=np.int64) * a.src for a in lead]
    rel = np.zeros(1, np.int64)
    for start in starts:
        rel = (rel[:, None] + start[None, :]).ravel()
    outer, inner = lead[: max(0, len(lead) - _LEADING)], lead[-_LEADING:]
    inner = [_Axis(n=1, window=1, src=0, dst=0)] * (_LEADING - len(inner)) + inner
    grid = np.array(
        [*(a.n for a in inner), row.n, *(a.src * a.window for a in inner), *(a.dst for a in inner)], np.int64
    )
    return _RowCalls(tuple(outer), grid, rel, row.window)
