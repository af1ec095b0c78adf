"""Which passage a voxel belongs to: space divided among the passages by distance over calibre.

A voxel belongs to the passage it is nearest to, measured in calibres, after the specimen is warped by smooth
noise. Work is done in bricks of 8³ voxels on a grid fixed to the specimen, each always computed the same way,
so a voxel's value never depends on the region asked for. Passages that cannot win are discarded first.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxarium.testing.specimen.lattice import World, kernel, nearness, part, position_hash
from voxarium.testing.specimen.window import BRICK, PER_CELL, RING, WARP_REACH, Window

__all__ = ["Work", "new_work", "open_brick", "open_quarter", "warp"]

_LONG: Final = 46.0  # wavelengths and amplitudes of the warp, in units of 8 nm
_SHORT: Final = 17.0
_SHORT_REACH: Final = 2.5
_LONG_REACH: Final = WARP_REACH - _SHORT_REACH
_FAR: Final = np.float32(1e18)
_QUARTER: Final = 64  # voxels of a quarter brick
# Columns of the slate. One flat array with constant distances between columns is what compilers vectorise.
_Z, _Y, _X, _Q1, _Q2, _T, _I1, _I2, _N1, _N2 = (k * _QUARTER for k in range(10))


class Work(NamedTuple):
    """Scratch of one thread, and the answer for one brick: 512 values each, in C order."""

    found: NDArray[np.int64]  # rows of pieces that matter in the brick
    lower: NDArray[np.float64]
    near: NDArray[np.float32]  # (n, 8) pieces that matter in the quarter, relative to its middle
    near_row: NDArray[np.int32]
    corner: NDArray[np.float64]  # (8, 3) warped corners of the brick
    slate: NDArray[np.float32]  # the contest for the 64 voxels of a quarter
    row: NDArray[np.int32]  # nearest piece
    neuron: NDArray[np.int32]  # its neuron, numbered within the window
    along: NDArray[np.float32]  # place along the nearest piece, 0–1
    axis: NDArray[np.float32]  # distance from it, in units
    depth: NDArray[np.float32]  # 0 on it, 1 at the border of the neuron
    gap: NDArray[np.float32]  # distance from the border of the neuron, in units


def new_work(pieces: int) -> Work:
    """Return scratch for windows of at most this many pieces."""
    n, voxels = max(1, pieces), BRICK**3
    return Work(
        np.empty(n, np.int64), np.empty(n), np.empty((n, 8), np.float32), np.empty(n, np.int32),
        np.empty((8, 3)), np.zeros(10 * _QUARTER, np.float32), np.empty(voxels, np.int32),
        np.empty(voxels, np.int32), *[np.empty(voxels, np.float32) for _ in range(4)],
    )  # fmt: skip


# --------------------------------------------------------------------------------------------------- warp
@kernel
def _noise(seed: np.uint64, kind: int, p: tuple[float, float, float], out: NDArray[np.float64], reach: float) -> None:
    z, y, x = np.floor(p[0]), np.floor(p[1]), np.floor(p[2])
    fz, fy, fx = p[0] - z, p[1] - y, p[2] - x
    fz = fz * fz * fz * (fz * (fz * 6.0 - 15.0) + 10.0)
    fy = fy * fy * fy * (fy * (fy * 6.0 - 15.0) + 10.0)
    fx = fx * fx * fx * (fx * (fx * 6.0 - 15.0) + 10.0)
    for corner in range(8):
        dz, dy, dx = corner >> 2, (corner >> 1) & 1, corner & 1
        w = (fz if dz else 1.0 - fz) * (fy if dy else 1.0 - fy) * (fx if dx else 1.0 - fx) * 2.0 * reach
        h = position_hash(seed, kind, int(z) + dz, int(y) + dy, int(x) + dx)
        for a in range(3):
            out[a] += w * (part(h, a) - 0.5)


@kernel
def warp(world: World, z: float, y: float, x: float, out: NDArray[np.float64]) -> None:
    """Write where a point of the specimen (in units) lies in the frame of the lattices."""
    out[0], out[1], out[2] = z, y, x
    _noise(world.twigs.seed, 20, (z / _LONG, y / _LONG, x / _LONG), out, _LONG_REACH)
    _noise(world.twigs.seed, 21, (z / _SHORT, y / _SHORT, x / _SHORT), out, _SHORT_REACH)


# ------------------------------------------------------------------------------------------------- bricks
@kernel
def _consider(work: Work, win: Window, row: int, i: int, ball: tuple[float, float, float, float]) -> float:
    """Write the least nearness (root) a piece can have in a ball and return the greatest."""
    p = win.pieces[row]
    d = np.sqrt(nearness((p[0], p[1], p[2], p[3], p[4], p[5], 1.0, 0.0), ball[0], ball[1], ball[2]))
    a, b = p[6], p[6] + p[7]
    work.lower[i] = max(0.0, d - ball[3]) / max(a, b)
    return np.float64((d + ball[3]) / min(a, b))


@kernel
def _gather(world: World, win: Window, work: Work) -> int:
    """List the rows of all pieces in cells around the brick; return how many."""
    n, base = 0, 0
    lo, hi = np.empty(3, np.int64), np.empty(3, np.int64)
    for kind in range(2):
        pitch = world.trunks.pitch if kind == 0 else world.twigs.pitch
        ring = min(pitch, RING)
        for a in range(3):
            c0, c1 = work.corner[:, a].min() - ring, work.corner[:, a].max() + ring
            lo[a] = max(0, int(np.floor(c0 / pitch)) - win.low[kind, a])
            hi[a] = min(win.dims[kind, a], int(np.floor(c1 / pitch)) - win.low[kind, a] + 1)
        for z in range(lo[0], hi[0]):
            for y in range(lo[1], hi[1]):
                for x in range(lo[2], hi[2]):
                    cell = base + (z * win.dims[kind, 1] + y) * win.dims[kind, 2] + x
                    for k in range(win.held[cell]):
                        work.found[n] = cell * PER_CELL + k
                        n += 1
        base += win.dims[kind, 0] * win.dims[kind, 1] * win.dims[kind, 2]
    return n


@kernel
def _rival(win: Window, work: Work, n: int, ball: tuple[float, float, float, float]) -> float:
    """Return a nearness (root) within which a second neuron is met everywhere in a ball."""
    best, second, holder = np.inf, np.inf, -1
    for i in range(n):
        upper = _consider(work, win, work.found[i], i, ball)
        neuron = win.local[win.owner[work.found[i]]]
        if neuron == holder:
            best = min(best, upper)
        elif upper < best:
            best, second, holder = upper, best, neuron
        else:
            second = min(second, upper)
    return np.float64(second)


@kernel
def _keep(win: Window, work: Work, n: int, ball: tuple[float, float, float, float]) -> int:
    """Keep of the first n rows those that can be first or second somewhere in a ball; return how many."""
    second = _rival(win, work, n, ball)
    kept = 0
    for i in range(n):
        if work.lower[i] <= second:
            work.found[kept] = work.found[i]
            kept += 1
    return kept


@kernel
def _near(win: Window, work: Work, n: int, ball: tuple[float, float, float, float]) -> int:
    """Copy the pieces that can be first or second in a ball, relative to its centre; return how many."""
    second = _rival(win, work, n, ball)
    kept = 0
    for i in range(n):
        if work.lower[i] <= second:
            p = win.pieces[work.found[i]]
            for k in range(8):
                work.near[kept, k] = np.float32(p[k] - ball[k] if k < 3 else p[k])
            work.near_row[kept] = work.found[i]
            kept += 1
    return kept


@kernel
def open_brick(world: World, win: Window, work: Work, brick: tuple[int, int, int]) -> int:
    """Prepare a brick (by its index); return how many pieces matter in it."""
    s = world.scale
    for c in range(8):
        z, y, x = (
            (brick[0] + (c >> 2)) * BRICK,
            (brick[1] + ((c >> 1) & 1)) * BRICK,
            (brick[2] + (c & 1)) * BRICK,
        )
        warp(world, z * s[0], y * s[1], x * s[2], work.corner[c])
    cz, cy, cx = work.corner[:, 0].mean(), work.corner[:, 1].mean(), work.corner[:, 2].mean()
    radius = 0.0
    for c in range(8):
        dz, dy, dx = work.corner[c, 0] - cz, work.corner[c, 1] - cy, work.corner[c, 2] - cx
        radius = max(radius, dz * dz + dy * dy + dx * dx)
    return _keep(win, work, _gather(world, win, work), (cz, cy, cx, np.sqrt(radius)))


@kernel
def _lanes(work: Work, quarter: int, centre: tuple[float, float, float]) -> float:
    """Write the warped voxels of a quarter relative to `centre`; return the radius that holds them."""
    radius = np.float32(0.0)
    for v in range(64):
        fz = ((quarter >> 2) * 4 + (v >> 4)) / 8.0
        fy = (((quarter >> 1) & 1) * 4 + ((v >> 2) & 3)) / 8.0
        fx = ((quarter & 1) * 4 + (v & 3)) / 8.0
        r = np.float32(0.0)
        for a in range(3):
            c = work.corner[:, a]
            low = (c[0] + fx * (c[1] - c[0])) * (1.0 - fy) + (c[2] + fx * (c[3] - c[2])) * fy
            high = (c[4] + fx * (c[5] - c[4])) * (1.0 - fy) + (c[6] + fx * (c[7] - c[6])) * fy
            p = np.float32(low + fz * (high - low) - centre[a])
            work.slate[a * _QUARTER + v] = p
            r += p * p
        radius = max(radius, r)
    return np.float64(np.sqrt(radius))


@kernel
def _centre(work: Work, quarter: int) -> tuple[float, float, float]:
    fz, fy, fx = (
        ((quarter >> 2) * 4 + 1.5) / 8.0,
        (((quarter >> 1) & 1) * 4 + 1.5) / 8.0,
        ((quarter & 1) * 4 + 1.5) / 8.0,
    )
    out = np.zeros(3)
    for c in range(8):
        w = (fz if c & 4 else 1.0 - fz) * (fy if c & 2 else 1.0 - fy) * (fx if c & 1 else 1.0 - fx)
        for a in range(3):
            out[a] += w * work.corner[c, a]
    return out[0], out[1], out[2]


@kernel
def open_quarter(win: Window, work: Work, pieces: int, quarter: int) -> None:
    """Divide one quarter (4³ voxels) of the prepared brick among its pieces."""
    centre = _centre(work, quarter)
    radius = _lanes(work, quarter, centre)
    n = _near(win, work, pieces, (centre[0], centre[1], centre[2], radius))
    slate = work.slate
    slate[_Q1 : _Q2 + _QUARTER] = _FAR
    slate[_I1 : _N2 + _QUARTER] = -1
    for i in range(n):
        _compete(slate, work.near, i, np.float32(win.local[win.owner[work.near_row[i]]]))
    _conclude(work, quarter)


@kernel
def _compete(s: NDArray[np.float32], near: NDArray[np.float32], i: int, neuron: np.float32) -> None:
    """Enter one piece: keep the nearest piece, and the nearest of another neuron."""
    az, ay, ax, bz, by, bx, w0, dw = (
        near[i, 0], near[i, 1], near[i, 2], near[i, 3], near[i, 4], near[i, 5], near[i, 6], near[i, 7],
    )  # fmt: skip
    one, zero, me = np.float32(1.0), np.float32(0.0), np.float32(i)
    inverse = one / (bz * bz + by * by + bx * bx + np.float32(1e-9))
    for v in range(_QUARTER):
        rz, ry, rx = s[_Z + v] - az, s[_Y + v] - ay, s[_X + v] - ax
        t = min(one, max(zero, (rz * bz + ry * by + rx * bx) * inverse))
        rz, ry, rx = rz - t * bz, ry - t * by, rx - t * bx
        w = w0 + t * dw
        q = (rz * rz + ry * ry + rx * rx) / (w * w)
        q1, q2, n1 = s[_Q1 + v], s[_Q2 + v], s[_N1 + v]
        i1, i2, n2 = s[_I1 + v], s[_I2 + v], s[_N2 + v]
        first, same = q < q1, n1 == neuron
        second = (q < q2) & (not same) & (not first)
        passed = first & (not same)
        s[_Q2 + v] = q1 if passed else (q if second else q2)
        s[_I2 + v] = i1 if passed else (me if second else i2)
        s[_N2 + v] = n1 if passed else (neuron if second else n2)
        s[_T + v] = t if first else s[_T + v]
        s[_Q1 + v] = q if first else q1
        s[_I1 + v] = me if first else i1
        s[_N1 + v] = neuron if first else n1


@kernel
def _pull(s: NDArray[np.float32], v: int, near: NDArray[np.float32], i: int) -> tuple[float, float, float, float]:
    """Return the direction away from piece i at a lane divided by its calibre, and the calibre."""
    bz, by, bx = near[i, 3], near[i, 4], near[i, 5]
    rz, ry, rx = s[_Z + v] - near[i, 0], s[_Y + v] - near[i, 1], s[_X + v] - near[i, 2]
    t = (rz * bz + ry * by + rx * bx) / (bz * bz + by * by + bx * bx + np.float32(1e-9))
    t = min(np.float32(1.0), max(np.float32(0.0), t))
    rz, ry, rx = rz - t * bz, ry - t * by, rx - t * bx
    w = near[i, 6] + t * near[i, 7]
    n = np.sqrt(rz * rz + ry * ry + rx * rx) * w + np.float32(1e-6)
    return rz / n, ry / n, rx / n, w


@kernel
def _conclude(work: Work, quarter: int) -> None:
    """Write the answer of a quarter to its place in the brick."""
    s, near = work.slate, work.near
    start = ((quarter >> 2) * 256) + ((quarter >> 1) & 1) * 32 + (quarter & 1) * 4
    for v in range(_QUARTER):
        at = start + (v >> 4) * 64 + ((v >> 2) & 3) * 8 + (v & 3)
        i, k = int(s[_I1 + v]), int(s[_I2 + v])
        work.row[at] = work.near_row[i]
        work.neuron[at] = np.int32(s[_N1 + v])
        work.along[at] = s[_T + v]
        r1 = np.sqrt(s[_Q1 + v])
        work.axis[at] = r1 * (near[i, 6] + s[_T + v] * near[i, 7])
        if k < 0:
            work.depth[at], work.gap[at] = np.float32(0.0), np.float32(100.0)
            continue
        r2 = np.sqrt(s[_Q2 + v])
        work.depth[at] = r1 / r2
        az, ay, ax, aw = _pull(s, v, near, i)
        bz, by, bx, bw = _pull(s, v, near, k)
        dz, dy, dx = az - bz, ay - by, ax - bx
        # the difference of both nearnesses over its own gradient is a distance
        slope = max(
            np.sqrt(dz * dz + dy * dy + dx * dx),
            np.float32(0.4) * (np.float32(1.0) / aw + np.float32(1.0) / bw),
        )
        work.gap[at] = (r2 - r1) / slope
