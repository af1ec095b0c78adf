"""Kernels for the mean of windows.

Every kernel takes a `RowGrid` first: result rows on a regular grid, each reduced from the same number of
source rows. Windows are complete; edges come as calls of their own. A row is reduced in two steps, first to
one row of sums, then along the row: each step becomes plain vector code, where strided loads of narrow types
would need shuffles and run at a third of the speed.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.core.jit import kernel, part
from voxarium.pyramid.vectors import LONG, SHORT, mean_of_four_long, mean_of_four_short
from voxarium.pyramid.windows import RowGrid

__all__ = ["mean_float", "mean_integer", "mean_narrow"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype


@part
def _sum_rows_narrow(rows: RowGrid, start: int, flip: Any, acc: Array) -> None:
    src, rel, n, A = rows.src, rows.rel, acc.size, acc.dtype.type
    if rel.size == 4:
        r0, r1 = src[start + rel[0] : start + rel[0] + n], src[start + rel[1] : start + rel[1] + n]
        r2, r3 = src[start + rel[2] : start + rel[2] + n], src[start + rel[3] : start + rel[3] + n]
        for x in range(n):
            acc[x] = A(r0[x] ^ flip) + A(r1[x] ^ flip) + A(r2[x] ^ flip) + A(r3[x] ^ flip)
        return
    acc[:] = 0
    for j in range(rel.size):
        r = src[start + rel[j] : start + rel[j] + n]
        for x in range(n):
            acc[x] += A(r[x] ^ flip)


@part
def _means_of_vectors(rows: RowGrid, s: int, d: int, flip: Any) -> int:
    """Make as much of a row as there are whole vectors; return how many results that is."""
    src, dst, rel = rows.src, rows.dst, rows.rel
    if rel.size != 4 or rows.wx != 2:
        return 0
    at, n, long, short = 0, 2 * rows.grid[3], LONG // src.itemsize, SHORT // src.itemsize
    while at + long <= n:
        t = s + at
        mean_of_four_long(dst, d + at // 2, src, t + rel[0], t + rel[1], t + rel[2], t + rel[3], flip)
        at += long
    while at + short <= n:
        t = s + at
        mean_of_four_short(dst, d + at // 2, src, t + rel[0], t + rel[1], t + rel[2], t + rel[3], flip)
        at += short
    return at // 2


@kernel
def mean_narrow(rows: RowGrid, flip: Any, sums: Array, pairs: Array, shift: int) -> None:
    """Mean of windows of ``2**shift`` voxels of one or two bytes, one or two voxels long along the row.

    `flip` is the sign bit for signed voxels, else 0: as unsigned numbers offset by it they keep order, sums
    and parity. `sums` has twice the width of a voxel; `pairs` is the same memory in words of two sums, so
    that neighbours can be added without moving data between vector lanes.
    """
    dst, grid, wx = rows.dst, rows.grid, rows.wx
    D, P = dst.dtype.type, pairs.dtype.type
    low, width = P((1 << (8 * sums.itemsize)) - 1), P(8 * sums.itemsize)
    k, below_half, one = P(shift), P((1 << (shift - 1)) - 1), P(1)
    step = sums.size // wx
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                s = i0 * grid[4] + i1 * grid[5] + i2 * grid[6]
                d = i0 * grid[7] + i1 * grid[8] + i2 * grid[9]
                first = _means_of_vectors(rows, s, d, flip)
                for x0 in range(first, grid[3], step):
                    m = min(step, grid[3] - x0)
                    _sum_rows_narrow(rows, s + wx * x0, flip, sums[: wx * m])
                    q = dst[d + x0 : d + x0 + m]
                    if wx == 2:
                        for x in range(m):
                            t = P((pairs[x] & low) + (pairs[x] >> width))
                            q[x] = D(P(t + below_half + ((t >> k) & one)) >> k) ^ flip
                    else:
                        for x in range(m):
                            t = P(sums[x])
                            q[x] = D(P(t + below_half + ((t >> k) & one)) >> k) ^ flip


@part
def _sum_rows_wide(rows: RowGrid, start: int, flip: Any, sums: Array) -> None:
    # Sums of the low and of the high 32 bits: neither can overflow for fewer than 2**31 voxels.
    src, rel, U = rows.src, rows.rel, np.uint64
    lo, hi, n = sums[0], sums[1], sums.shape[1]
    low, width = U(0xFFFFFFFF), U(32)
    first = 0
    if rel.size >= 4:
        first = 4
        r0, r1 = src[start + rel[0] : start + rel[0] + n], src[start + rel[1] : start + rel[1] + n]
        r2, r3 = src[start + rel[2] : start + rel[2] + n], src[start + rel[3] : start + rel[3] + n]
        for x in range(n):
            a, b, c, d = U(r0[x] ^ flip), U(r1[x] ^ flip), U(r2[x] ^ flip), U(r3[x] ^ flip)
            lo[x] = (a & low) + (b & low) + (c & low) + (d & low)
            if src.itemsize == 8:
                hi[x] = (a >> width) + (b >> width) + (c >> width) + (d >> width)
    else:
        lo[:] = 0
        hi[:] = 0
    for j in range(first, rel.size):
        r = src[start + rel[j] : start + rel[j] + n]
        for x in range(n):
            a = U(r[x] ^ flip)
            lo[x] += a & low
            if src.itemsize == 8:
                hi[x] += a >> width


@part
def _sum_along(acc: Array, wx: int, m: int, total: Array) -> None:
    if wx == 1:
        total[:m] = acc[:m]
    elif wx == 2:
        for x in range(m):
            total[x] = acc[2 * x] + acc[2 * x + 1]
    else:
        for x in range(m):
            t = acc[wx * x]
            for p in range(1, wx):
                t += acc[wx * x + p]
            total[x] = t


@part
def _divide_by_shift(lo: Array, hi: Array, shift: int, flip: Any, q: Array) -> None:
    U, D = np.uint64, q.dtype.type
    k, below_half, one, mask = U(shift), U(0), U(0), U((1 << shift) - 1)
    if shift > 0:  # a single voxel has nothing to round
        below_half, one = U((1 << (shift - 1)) - 1), U(1)
    for x in range(q.size):
        t = lo[x] >> k
        if q.itemsize == 8:
            t += hi[x] << (U(32) - k)
        r = lo[x] & mask
        up = (r + below_half + (t & one)) >> k
        q[x] = D(t + up) ^ flip


@part
def _divide(lo: Array, hi: Array, count: int, flip: Any, q: Array) -> None:
    U, D = np.uint64, q.dtype.type
    n, one = U(count), U(1)
    for x in range(q.size):
        t, r = lo[x] // n, lo[x] % n
        if q.itemsize == 8:
            rest = ((hi[x] % n) << U(32)) + lo[x]
            t, r = ((hi[x] // n) << U(32)) + rest // n, rest % n
        up = U(r + r > n) | (U(r + r == n) & t & one)
        q[x] = D(t + up) ^ flip


@kernel
def mean_integer(rows: RowGrid, flip: Any, scratch: Array, shift: int) -> None:
    """Mean of any window of unsigned integers of any width, exact, half to even.

    `scratch` has four rows of at least `wx` uint64. `shift` is the logarithm of the number of voxels in a
    window, or -1 when that is not a power of two. `flip` as in `mean_narrow`.
    """
    dst, grid, wx = rows.dst, rows.grid, rows.wx
    lo, hi, lo_total, hi_total = scratch[0], scratch[1], scratch[2], scratch[3]
    step = lo.size // wx
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                s = i0 * grid[4] + i1 * grid[5] + i2 * grid[6]
                d = i0 * grid[7] + i1 * grid[8] + i2 * grid[9]
                for x0 in range(0, grid[3], step):
                    m = min(step, grid[3] - x0)
                    _sum_rows_wide(rows, s + wx * x0, flip, scratch[:2, : wx * m])
                    _sum_along(lo, wx, m, lo_total)
                    if dst.itemsize == 8:
                        _sum_along(hi, wx, m, hi_total)
                    if shift >= 0:
                        _divide_by_shift(lo_total, hi_total, shift, flip, dst[d + x0 : d + x0 + m])
                    else:
                        _divide(lo_total, hi_total, rows.rel.size * wx, flip, dst[d + x0 : d + x0 + m])


@part
def _sum_rows_float(rows: RowGrid, start: int, acc: Array) -> None:
    src, rel, n, F = rows.src, rows.rel, acc.size, np.float64
    if rel.size == 4:
        r0, r1 = src[start + rel[0] : start + rel[0] + n], src[start + rel[1] : start + rel[1] + n]
        r2, r3 = src[start + rel[2] : start + rel[2] + n], src[start + rel[3] : start + rel[3] + n]
        for x in range(n):
            acc[x] = F(r0[x]) + F(r1[x]) + F(r2[x]) + F(r3[x])
        return
    for j in range(rel.size):
        r = src[start + rel[j] : start + rel[j] + n]
        if j == 0:
            for x in range(n):
                acc[x] = r[x]
        else:
            for x in range(n):
                acc[x] += r[x]


@kernel
def mean_float(rows: RowGrid, scratch: Array) -> None:
    """Mean of windows of floats, summed in float64, always in the same order: row by row, then along the row.

    `scratch` has two rows of at least `wx` float64.
    """
    dst, grid, wx = rows.dst, rows.grid, rows.wx
    sums, totals = scratch[0], scratch[1]
    count = np.float64(rows.rel.size * wx)
    step = sums.size // wx
    for i0 in range(grid[0]):
        for i1 in range(grid[1]):
            for i2 in range(grid[2]):
                s = i0 * grid[4] + i1 * grid[5] + i2 * grid[6]
                d = i0 * grid[7] + i1 * grid[8] + i2 * grid[9]
                for x0 in range(0, grid[3], step):
                    m = min(step, grid[3] - x0)
                    _sum_rows_float(rows, s + wx * x0, sums[: wx * m])
                    _sum_along(sums, wx, m, totals)
                    q = dst[d + x0 : d + x0 + m]
                    for x in range(m):
                        q[x] = totals[x] / count
