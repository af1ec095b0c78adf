"""Kernels for median, minimum and maximum of windows. They compare voxels and never compute with them.

All voxels are unsigned integers here: signed integers and floats come as their bits. `order` says how bits
become keys that compare as the values do (see `reducers.key_order`).
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from voxarium.core.jit import kernel, part
from voxarium.pyramid.windows import RowGrid

__all__ = ["extreme", "middle", "sort"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype
# By value: as far as the compiler knows, items of an array may change under any store, so it cannot
# keep them in registers.
Order = tuple[Any, ...]  # Any: unsigned scalars as wide as a voxel


# ------------------------------------------------------------------------------------------------------- keys
@part
def _key(v: Any, order: Order) -> Any:
    D = type(v)
    all_xor, negative_xor, flip, least, greatest, _, top = order
    k = D(v ^ (D(D(0) - D(v >> top)) & negative_xor) ^ all_xor) ^ flip
    return D(0) if (k < least) | (k > greatest) else D(k)


@part
def _value(key: Any, order: Order) -> Any:
    D = type(key)
    all_xor, negative_xor, flip, _, _, _, top = order
    k = D(key ^ flip)
    return D(k ^ (D(D(0) - D(D(k >> top) ^ D(1))) & negative_xor) ^ all_xor)


# --------------------------------------------------------------------------------------------------- extremes
@part
def _least_of_rows(rows: RowGrid, start: int, order: Order, acc: Array) -> None:
    src, rel, n = rows.src, rows.rel, acc.size
    for j in range(rel.size):
        r = src[start + rel[j] : start + rel[j] + n]
        if j == 0:
            for x in range(n):
                acc[x] = _key(r[x], order)
        else:
            for x in range(n):
                acc[x] = min(acc[x], _key(r[x], order))


@part
def _least_along(acc: Array, wx: int, order: Order, q: Array) -> None:
    D = q.dtype.type
    has_nan, nan = order[3] > 0, order[5]
    for x in range(q.size):
        k = acc[wx * x]
        for p in range(1, wx):
            k = min(k, acc[wx * x + p])
        q[x] = nan if has_nan & (k == D(0)) else _value(k, order)


@part
def _least_along_2(acc: Array, order: Order, q: Array) -> None:
    D = q.dtype.type
    has_nan, nan = order[3] > 0, order[5]
    for x in range(q.size):
        k = min(acc[2 * x], acc[2 * x + 1])
        q[x] = nan if has_nan & (k == D(0)) else _value(k, order)


@kernel
def extreme(rows: RowGrid, order: Order, scratch: Array) -> None:
    """Voxel with the least key of each window; NaN where there is one. `scratch` has at least `wx` voxels."""
    dst, grid, wx = rows.dst, rows.grid, rows.wx
    step = scratch.size // wx
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                s = i0 * grid[4] + i1 * grid[5] + i2 * grid[6]
                d = i0 * grid[7] + i1 * grid[8] + i2 * grid[9]
                for x0 in range(0, grid[3], step):
                    m = min(step, grid[3] - x0)
                    _least_of_rows(rows, s + wx * x0, order, scratch[: wx * m])
                    if wx == 2:
                        _least_along_2(scratch, order, dst[d + x0 : d + x0 + m])
                    else:
                        _least_along(scratch, wx, order, dst[d + x0 : d + x0 + m])


# ---------------------------------------------------------------------------------------------------- sorting
@part
def _sift(a: Array, root: int, n: int) -> None:
    while 2 * root + 1 < n:
        child = 2 * root + 1
        if child + 1 < n and a[child] < a[child + 1]:
            child += 1
        if a[root] >= a[child]:
            return
        a[root], a[child] = a[child], a[root]
        root = child


@part
def sort(a: Array, n: int) -> None:
    """Sort the first `n` items in place: few by insertion, many by a heap, so never in quadratic time."""
    if n <= 32:
        for i in range(1, n):
            v, j = a[i], i
            while j > 0 and a[j - 1] > v:
                a[j] = a[j - 1]
                j -= 1
            a[j] = v
        return
    for root in range(n // 2 - 1, -1, -1):
        _sift(a, root, n)
    for last in range(n - 1, 0, -1):
        a[0], a[last] = a[last], a[0]
        _sift(a, 0, last)


# ----------------------------------------------------------------------------------------------------- median
@part
def _stage(rows: RowGrid, start: int, m: int, table: Array) -> None:
    # table[i, x] is voxel i of window x: vector code runs along x.
    src, rel, wx = rows.src, rows.rel, rows.wx
    for j in range(rel.size):
        r = src[start + rel[j] : start + rel[j] + wx * m]
        for p in range(wx):
            t = table[j * wx + p]
            for x in range(m):
                t[x] = r[wx * x + p]


@part
def _to_keys(table: Array, m: int, order: Order) -> None:
    for i in range(table.shape[0]):
        t = table[i]
        for x in range(m):
            t[x] = _key(t[x], order)


@part
def _middle_of_8(t: Array, m: int, lower: Array, upper: Array) -> None:
    # Two sorted halves; the four least of all are min(a[i], b[3-i]), and the greatest of those is the 4th.
    for x in range(m):
        a0, a1 = min(t[0, x], t[1, x]), max(t[0, x], t[1, x])
        a2, a3 = min(t[2, x], t[3, x]), max(t[2, x], t[3, x])
        a0, a2 = min(a0, a2), max(a0, a2)
        a1, a3 = min(a1, a3), max(a1, a3)
        a1, a2 = min(a1, a2), max(a1, a2)
        b0, b1 = min(t[4, x], t[5, x]), max(t[4, x], t[5, x])
        b2, b3 = min(t[6, x], t[7, x]), max(t[6, x], t[7, x])
        b0, b2 = min(b0, b2), max(b0, b2)
        b1, b3 = min(b1, b3), max(b1, b3)
        b1, b2 = min(b1, b2), max(b1, b2)
        lower[x] = max(min(a0, b3), min(a1, b2), min(a2, b1), min(a3, b0))
        upper[x] = min(max(a0, b3), max(a1, b2), max(a2, b1), max(a3, b0))


@part
def _middle_of_4(t: Array, m: int, lower: Array, upper: Array) -> None:
    for x in range(m):
        a0, a1 = min(t[0, x], t[1, x]), max(t[0, x], t[1, x])
        b0, b1 = min(t[2, x], t[3, x]), max(t[2, x], t[3, x])
        u, v = max(a0, b0), min(a1, b1)
        lower[x], upper[x] = min(u, v), max(u, v)


@part
def _middle_of_any(t: Array, m: int, column: Array, lower: Array, upper: Array) -> None:
    n = t.shape[0]
    for x in range(m):
        for i in range(n):
            column[i] = t[i, x]
        sort(column, n)
        lower[x], upper[x] = column[(n - 1) // 2], column[n // 2]


@part
def _spread_nan(t: Array, m: int, lower: Array, upper: Array) -> None:
    D = t.dtype.type
    for x in range(m):
        k = t[0, x]
        for i in range(1, t.shape[0]):
            k = min(k, t[i, x])
        if k == D(0):
            lower[x] = upper[x] = D(0)


@part
def _write_middle(lower: Array, upper: Array, pick: int, order: Order, q: Array) -> None:
    D = q.dtype.type
    if pick == 0:
        for x in range(q.size):
            a, b = lower[x], upper[x]
            half = D(D(a & b) + D(D(a ^ b) >> D(1)))  # cannot overflow
            q[x] = _value(D(half + D(D(a ^ b) & half & D(1))), order)
        return
    chosen = lower if pick < 0 else upper
    has_nan, nan = order[3] > 0, order[5]
    for x in range(q.size):
        q[x] = nan if has_nan & (chosen[x] == D(0)) else _value(chosen[x], order)


@kernel
def middle(rows: RowGrid, order: Order, table: Array, scratch: Array, pick: int) -> None:
    """Median of each window.

    An even window has two middle voxels. `pick` says what is written: the lower (-1), the upper (1), or their
    mean rounded half to even (0, integers only). `table` is scratch of (voxels per window, any); `scratch` of
    three rows, each as long as the longer axis of `table`.
    """
    dst, grid, wx = rows.dst, rows.grid, rows.wx
    column, lower, upper = scratch[0], scratch[1], scratch[2]
    step = table.shape[1]
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                s = i0 * grid[4] + i1 * grid[5] + i2 * grid[6]
                d = i0 * grid[7] + i1 * grid[8] + i2 * grid[9]
                for x0 in range(0, grid[3], step):
                    m = min(step, grid[3] - x0)
                    _stage(rows, s + wx * x0, m, table)
                    _to_keys(table, m, order)
                    if table.shape[0] == 8:
                        _middle_of_8(table, m, lower, upper)
                    elif table.shape[0] == 4:
                        _middle_of_4(table, m, lower, upper)
                    else:
                        _middle_of_any(table, m, column, lower, upper)
                    if order[3] > 0:
                        _spread_nan(table, m, lower, upper)
                    _write_middle(lower, upper, pick, order, dst[d + x0 : d + x0 + m])
