"""Kernels that interpolate a grid of voxels at positions given by a matrix or one by one.

Every value is a function of the voxel's index in the whole target and of the source alone, never of the block it is
computed in: positions come from absolute indices by one formula, and sums are always made in the same order (axis 0,
then 1, then 2). There is no fastmath and no contraction, so blocks meet without a seam, to the last bit.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxarium.core.jit import kernel, part

__all__ = ["Work", "cubic", "linear", "nearest"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype
_Ints = NDArray[np.int64]
_Floats = NDArray[np.float64]

_FINE: Final = 2.0**24
_STEP: Final = 2.0**-24
_RUN: Final = 1024  # voxels of a row at a time: what is noted of them stays in the cache


class Work(NamedTuple):
    r"""Work for one kernel call; a named tuple, because numba passes those into compiled code as they are.

    Parameters
    ----------
    src, dst : NDArray
        Memory of the source region and of the result, flat.
    src_at, dst_at : NDArray of int64
        First voxel of each outer index (channel, time point) in `src` and `dst`.
    fill : NDArray
        Value outside the source, for each outer index.
    limits : NDArray
        Smallest and greatest value of the dtype; for integers only.
    strides : NDArray of int64
        Of the three axes in `src`, then in `dst`, in voxels.
    target : NDArray of int64
        First index of the block in the whole target, along three axes, then its shape.
    region : NDArray of int64
        First index of the source region in the whole source, its shape, then the shape of the whole source.
    matrix : NDArray of float64
        Shape (3, 4): index in the whole target → index in the whole source.
    given : NDArray of float64
        Positions in the whole source, shape (3, \*block); empty = by the matrix.
    integer : bool
        Values are rounded half to even and clamped to `limits`.
    exact : bool
        Voxels are copied where a position meets one: float64 cannot carry them.
    """

    src: Array
    dst: Array
    src_at: _Ints
    dst_at: _Ints
    fill: Array
    limits: Array
    strides: _Ints
    target: _Ints
    region: _Ints
    matrix: _Floats
    given: _Floats
    integer: bool
    exact: bool


@part
def _row(work: Work, axis: int, at: tuple[int, int, int], out: _Floats) -> None:
    """Write the positions along a run of voxels, rounded to 2⁻²⁴ voxel."""
    k, j, x0 = at
    if work.given.size:
        given = work.given[axis, k, j, x0 : x0 + out.size]
        for x in range(out.size):
            out[x] = np.rint(given[x] * _FINE) * _STEP
        return
    m, first = work.matrix, work.target
    start = (m[axis, 3] + m[axis, 0] * np.float64(first[0] + k)) + m[axis, 1] * np.float64(first[1] + j)
    step, x1 = m[axis, 2], first[2] + x0
    for x in range(out.size):
        out[x] = np.rint((start + step * np.float64(x1 + x)) * _FINE) * _STEP


@part
def _look(work: Work, axis: int, row: _Floats, inside: NDArray[np.uint8], index: _Ints) -> None:
    """Turn positions into the voxel at or before each, and the fraction behind it; note which lie outside."""
    n = np.float64(work.region[6 + axis])
    for x in range(row.size):
        p = row[x]
        inside[x] &= np.uint8((p >= -0.5) & (p < n - 0.5))
        p = p if p > 0.0 else 0.0  # NaN too
        p = min(p, n - 1.0)
        i = np.int64(p)
        index[x] = i
        row[x] = p - np.float64(i)


@part
def _local(work: Work, axis: int, index: int) -> int:
    """Return where the voxels of an index begin in the region; never outside of it."""
    i = min(max(index - work.region[axis], 0), work.region[3 + axis] - 1)
    return int(i * work.strides[axis])


@part
def _any(inside: NDArray[np.uint8]) -> bool:
    found = np.uint8(0)
    for x in range(inside.size):
        found |= inside[x]
    return bool(found != 0)


@part
def _begin(work: Work, at: tuple[int, int, int], frac: _Floats, index: _Ints, inside: NDArray[np.uint8]) -> bool:
    """Locate a run of voxels along all axes; tell whether any lies in the source."""
    inside[:] = 1
    for axis in range(3):
        _row(work, axis, at, frac[axis])
        _look(work, axis, frac[axis], inside, index[axis])
    return _any(inside)


@part
def _put_fill(work: Work, d: int, n: int) -> None:
    step = work.strides[5]
    for o in range(work.dst_at.size):
        q, value = work.dst_at[o] + d, work.fill[o]
        for x in range(n):
            work.dst[q + x * step] = value


@part
def _put(work: Work, o: int, d: int, values: _Floats, inside: NDArray[np.uint8]) -> None:
    """Store a run of values, rounded and clamped for integers."""
    dst, fill, step = work.dst, work.fill[o], work.strides[5]
    D = dst.dtype.type
    q = work.dst_at[o] + d
    if work.integer:
        bottom, top = work.limits[0], work.limits[1]
        low, high = np.float64(bottom), np.float64(top)  # of 64 bits: 2⁶³ and 2⁶⁴, which do not fit themselves
        for x in range(values.size):
            values[x] = np.rint(values[x])
        if work.exact:
            for x in range(values.size):
                v = values[x]
                if inside[x] == 0:
                    dst[q + x * step] = fill
                elif v >= high:
                    dst[q + x * step] = top
                else:
                    dst[q + x * step] = D(max(v, low))
        else:
            for x in range(values.size):
                v = D(np.int64(min(max(values[x], low), high)))
                dst[q + x * step] = v if inside[x] else fill
    else:
        for x in range(values.size):
            dst[q + x * step] = D(values[x]) if inside[x] else fill


@part
def _put_exact(work: Work, o: int, d: int, frac: _Floats, at: _Ints, inside: NDArray[np.uint8]) -> None:
    """Copy voxels whose positions meet one of the source."""
    s, q, step = work.src_at[o], work.dst_at[o] + d, work.strides[5]
    for x in range(at.size):
        if inside[x] and frac[0, x] == 0.0 and frac[1, x] == 0.0 and frac[2, x] == 0.0:
            work.dst[q + x * step] = work.src[s + at[x]]


@kernel
def nearest(work: Work) -> None:
    """Take the voxel in which a position lies; a position between two belongs to the one with the higher index."""
    nz, ny, nx = work.target[3], work.target[4], work.target[5]
    run = min(nx, _RUN)
    row = np.empty(run, np.float64)
    at, inside = np.empty(run, np.int64), np.empty(run, np.uint8)
    for k in range(nz):
        for j in range(ny):
            for x0 in range(0, nx, run):
                m = min(run, nx - x0)
                d = k * work.strides[3] + j * work.strides[4] + x0 * work.strides[5]
                at[:m] = 0
                inside[:m] = 1
                for axis in range(3):
                    _row(work, axis, (k, j, x0), row[:m])
                    n = np.float64(work.region[6 + axis])
                    for x in range(m):
                        p = row[x]
                        inside[x] &= np.uint8((p >= -0.5) & (p < n - 0.5))
                        p = np.floor(p + 0.5)
                        p = p if p > 0.0 else 0.0
                        at[x] += _local(work, axis, int(min(p, n - 1.0)))
                if not _any(inside[:m]):
                    _put_fill(work, d, m)
                    continue
                step = work.strides[5]
                for o in range(work.src_at.size):
                    s, q, fill = work.src_at[o], work.dst_at[o] + d, work.fill[o]
                    for x in range(m):
                        work.dst[q + x * step] = work.src[np.uint64(s + at[x])] if inside[x] else fill


@part
def _mix(a: float, b: float, f: float) -> float:
    # Equal values stay what they are, infinite ones too; at a sample point both are the same voxel.
    return a if a == b else a * (1.0 - f) + b * f


@kernel
def linear(work: Work) -> None:
    """Interpolate linearly along each axis in turn, in float64."""
    nz, ny, nx = work.target[3], work.target[4], work.target[5]
    run, F, U, src = min(nx, _RUN), np.float64, np.uint64, work.src
    frac, index = np.empty((3, run), np.float64), np.empty((3, run), np.int64)
    at, up, inside = np.empty(run, np.int64), np.empty((3, run), np.int64), np.empty(run, np.uint8)
    values = np.empty(run, np.float64)
    for k in range(nz):
        for j in range(ny):
            for x0 in range(0, nx, run):
                m = min(run, nx - x0)
                d = k * work.strides[3] + j * work.strides[4] + x0 * work.strides[5]
                if not _begin(work, (k, j, x0), frac[:, :m], index[:, :m], inside[:m]):
                    _put_fill(work, d, m)
                    continue
                at[:m] = 0
                for axis in range(3):
                    stride = work.strides[axis]
                    for x in range(m):
                        at[x] += _local(work, axis, index[axis, x])
                        up[axis, x] = stride if frac[axis, x] > 0.0 else 0
                for o in range(work.src_at.size):
                    begin = work.src_at[o]
                    for x in range(m):
                        # Unsigned indices: numba would ask of signed ones whether they count from the end.
                        p, z, y, r = U(begin + at[x]), U(up[0, x]), U(up[1, x]), U(up[2, x])
                        fz, fy, fx = frac[0, x], frac[1, x], frac[2, x]
                        a = _mix(F(src[p]), F(src[p + z]), fz)
                        b = _mix(F(src[p + y]), F(src[p + y + z]), fz)
                        c = _mix(F(src[p + r]), F(src[p + r + z]), fz)
                        e = _mix(F(src[p + y + r]), F(src[p + y + r + z]), fz)
                        values[x] = _mix(_mix(a, b, fy), _mix(c, e, fy), fx)
                    _put(work, o, d, values[:m], inside[:m])
                    if work.exact:
                        _put_exact(work, o, d, frac[:, :m], at[:m], inside[:m])


@part
def _weigh(work: Work, axis: int, frac: _Floats, index: _Ints, taps: _Ints, weights: _Floats) -> None:
    """Write where the four voxels around a position lie, as seen from the second, and their weights (a = -1/2)."""
    stride, last = work.strides[axis], work.region[6 + axis] - 1
    for x in range(frac.size):
        f, i = frac[x], index[x]
        between = f > 0.0
        taps[0, x] = -stride if between and i > 0 else 0
        taps[1, x] = stride if between else 0
        taps[2, x] = (2 * stride if i + 2 <= last else stride) if between else 0
        g = 1.0 - f
        weights[0, x] = -0.5 * f * g * g
        weights[1, x] = 1.0 + f * f * (1.5 * f - 2.5)
        weights[2, x] = 1.0 + g * g * (1.5 * g - 2.5)
        weights[3, x] = -0.5 * g * f * f


@part
def _along(src: Array, p: int, taps: _Ints, w: _Floats, f: float) -> float:
    """Interpolate along axis 0."""
    F, U = np.float64, np.uint64  # unsigned: numba asks of signed indices whether they count from the end
    if f == 0.0:
        return F(src[U(p)])
    before, here = F(src[U(p + taps[0])]), F(src[U(p)])
    after, next_one = F(src[U(p + taps[1])]), F(src[U(p + taps[2])])
    return float(w[0] * before + w[1] * here + w[2] * after + w[3] * next_one)


@kernel
def cubic(work: Work) -> None:
    """Interpolate along each axis in turn by cubics through the voxels (Catmull-Rom, a = -1/2), in float64."""
    nz, ny, nx = work.target[3], work.target[4], work.target[5]
    run, src = min(nx, _RUN), work.src
    frac, index = np.empty((3, run), np.float64), np.empty((3, run), np.int64)
    at, inside = np.empty(run, np.int64), np.empty(run, np.uint8)
    taps, weights = np.empty((3, 3, run), np.int64), np.empty((3, 4, run), np.float64)
    values = np.empty(run, np.float64)
    tz, wz = np.empty(3, np.int64), np.empty(4, np.float64)
    for k in range(nz):
        for j in range(ny):
            for x0 in range(0, nx, run):
                m = min(run, nx - x0)
                d = k * work.strides[3] + j * work.strides[4] + x0 * work.strides[5]
                if not _begin(work, (k, j, x0), frac[:, :m], index[:, :m], inside[:m]):
                    _put_fill(work, d, m)
                    continue
                at[:m] = 0
                for axis in range(3):
                    _weigh(work, axis, frac[axis, :m], index[axis, :m], taps[axis, :, :m], weights[axis, :, :m])
                    for x in range(m):
                        at[x] += _local(work, axis, index[axis, x])
                for o in range(work.src_at.size):
                    for x in range(m):
                        p = work.src_at[o] + at[x]
                        fz, fy, fx = frac[0, x], frac[1, x], frac[2, x]
                        tz[0], tz[1], tz[2] = taps[0, 0, x], taps[0, 1, x], taps[0, 2, x]
                        for t in range(4):
                            wz[t] = weights[0, t, x]
                        total = 0.0
                        for c in range(4):
                            if fx == 0.0 and c != 1:
                                continue
                            r = p if c == 1 else p + taps[2, c - 1 if c > 1 else 0, x]
                            if fy == 0.0:
                                v = _along(src, r, tz, wz, fz)
                            else:
                                v = weights[1, 0, x] * _along(src, r + taps[1, 0, x], tz, wz, fz)
                                v += weights[1, 1, x] * _along(src, r, tz, wz, fz)
                                v += weights[1, 2, x] * _along(src, r + taps[1, 1, x], tz, wz, fz)
                                v += weights[1, 3, x] * _along(src, r + taps[1, 2, x], tz, wz, fz)
                            if fx == 0.0:
                                total = v
                            elif c == 0:
                                total = weights[2, 0, x] * v
                            else:
                                total += weights[2, c, x] * v
                        values[x] = total
                    _put(work, o, d, values[:m], inside[:m])
                    if work.exact:
                        _put_exact(work, o, d, frac[:, :m], at[:m], inside[:m])
