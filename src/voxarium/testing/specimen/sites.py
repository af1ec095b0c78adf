"""Where synapses are: on the membrane nearest to a few random passages, found by walking to another label."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxarium.testing.specimen.field import Work, new_work, open_brick, open_quarter, warp
from voxarium.testing.specimen.lattice import World, cell_key, kernel, middle, mix, part, position_hash, unit
from voxarium.testing.specimen.neurons import Memo
from voxarium.testing.specimen.window import BRICK, Window, collect

__all__ = ["GROUP", "REACH", "SITE", "find_sites"]

GROUP: Final = 4  # cells of the fine lattice along an edge of a group; a group is found as a whole
REACH: Final = 64.0  # a site lies within this many units of its cell
_CHANCE: Final = 0.035  # per passage
_WALKS: Final = 7
_LONGEST: Final = 44  # steps of one unit

SITE: Final = np.dtype(
    [
        ("anchor", np.int64),
        ("place", np.float64, (3,)),
        ("direction", np.float64, (3,)),
        ("centre", np.int64, (3,)),
        ("pre_voxel", np.int64, (3,)),
        ("post_voxel", np.int64, (3,)),
        ("pre", np.int64),
        ("post", np.int64),
    ]
)


_Ray = tuple[float, float, float, float, float, float]  # a point and a direction


class _Site(NamedTuple):
    numbers: NDArray[np.float64]  # place, direction
    voxels: NDArray[np.int64]  # (3, 3) centre, pre, post
    owners: NDArray[np.int64]  # anchor, pre, post


@kernel
def _neuron_at(world: World, win: Window, work: Work, last: NDArray[np.int64], p: tuple[float, float, float]) -> int:
    """Return the neuron of the voxel nearest to a point (in units), or -1 outside the specimen.

    `last` keeps the brick prepared last (0–2), its number of pieces (3), and the voxel found (4–6).
    """
    for a in range(3):
        last[4 + a] = int(np.floor(p[a] / world.scale[a] + 0.5))
        if last[4 + a] < 0 or last[4 + a] >= world.shape[a]:
            return -1
    z, y, x = last[4], last[5], last[6]
    brick = (z // BRICK, y // BRICK, x // BRICK)
    if brick[0] != last[0] or brick[1] != last[1] or brick[2] != last[2]:
        last[0], last[1], last[2] = brick
        last[3] = open_brick(world, win, work, brick)
    z, y, x = z % BRICK, y % BRICK, x % BRICK
    open_quarter(win, work, last[3], (z >> 2) << 2 | (y >> 2) << 1 | x >> 2)
    return int(win.neuron[win.owner[work.row[z * 64 + y * 8 + x]]])


@kernel
def _unwarp(world: World, m: tuple[float, float, float, float], q: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the point of the specimen that is warped to (about) `m`."""
    z, y, x = m[0], m[1], m[2]
    for _ in range(6):
        warp(world, z, y, x, q)
        z, y, x = z - 0.8 * (q[0] - m[0]), y - 0.8 * (q[1] - m[1]), x - 0.8 * (q[2] - m[2])
    return z, y, x


@kernel
def _direction(h: np.uint64) -> tuple[float, float, float]:
    a, b, c = part(h, 0) + part(h, 3) - 1.0, part(h, 1) - 0.5, part(h, 2) - 0.5
    n = np.sqrt(a * a + b * b + c * c) + 1e-6
    return a / n, b / n, c / n


@kernel
def _walk(world: World, win: Window, work: Work, last: NDArray[np.int64], ray: _Ray) -> int:
    """Return the number of steps after which another neuron begins; `_LONGEST` when none does."""
    p, u = (ray[0], ray[1], ray[2]), (ray[3], ray[4], ray[5])
    home = _neuron_at(world, win, work, last, p)
    for i in range(1, _LONGEST):
        found = _neuron_at(world, win, work, last, (p[0] + i * u[0], p[1] + i * u[1], p[2] + i * u[2]))
        if found != home:
            return i if found >= 0 else _LONGEST
    return _LONGEST


@kernel
def _settle(world: World, win: Window, work: Work, last: NDArray[np.int64], site: _Site) -> bool:
    """Check that both sides are what they seem a few voxels from the membrane, and write the three voxels."""
    s = site.numbers
    for k in range(3):
        step = -3.5 if k == 1 else (3.5 if k == 2 else -0.5)
        reach = step * max(1.0, min(world.scale) / 2.0)
        p = (s[0] + reach * s[3], s[1] + reach * s[4], s[2] + reach * s[5])
        found = _neuron_at(world, win, work, last, p)
        if k > 0 and found != site.owners[k]:
            return False
        for a in range(3):
            if last[4 + a] < 0 or last[4 + a] >= world.shape[a]:
                return False
            site.voxels[k, a] = last[4 + a]
    return True


@kernel
def _find(world: World, win: Window, work: Work, cell: tuple[int, int, int, int], site: _Site) -> bool:
    """Try to place a synapse at one passage of the fine lattice; cell = z, y, x, slot."""
    z, y, x, slot = cell
    h = position_hash(world.twigs.seed, 70 + slot, z, y, x)
    if unit(h) >= _CHANCE:
        return False
    last = np.full(7, -1, np.int64)
    p = _unwarp(world, middle(world.twigs, z, y, x, slot), np.empty(3))
    home = _neuron_at(world, win, work, last, p)
    if home <= 0:
        return False
    shortest, best = _LONGEST, (0.0, 0.0, 0.0)
    for i in range(_WALKS):
        u = _direction(mix(h + np.uint64(1 + i)))
        n = _walk(world, win, work, last, (p[0], p[1], p[2], u[0], u[1], u[2]))
        if n < shortest:
            shortest, best = n, u
    if shortest == _LONGEST:
        return False
    sign = 1.0 if part(mix(h + np.uint64(99)), 0) < 0.6 else -1.0  # this passage is pre, or post
    for a in range(3):
        site.numbers[a] = p[a] + (shortest - 0.5) * best[a]
        site.numbers[3 + a] = sign * best[a]
    p = (p[0] + shortest * best[0], p[1] + shortest * best[1], p[2] + shortest * best[2])
    other = _neuron_at(world, win, work, last, p)
    site.owners[0] = cell_key(world.twigs, z, y, x) * 3 + slot
    site.owners[1] = home if sign > 0 else other
    site.owners[2] = other if sign > 0 else home
    return _settle(world, win, work, last, site)


@kernel
def _search(world: World, win: Window, work: Work, cells: NDArray[np.int64], found: _Site) -> int:
    """Try every passage of the given cells (n, 3); return how many synapses were written to `found`."""
    n = 0
    site = _Site(np.empty(6), np.empty((3, 3), np.int64), np.empty(3, np.int64))
    for i in range(cells.shape[0]):
        for slot in range(3):
            if _find(world, win, work, (cells[i, 0], cells[i, 1], cells[i, 2], slot), site):
                found.numbers[n] = site.numbers
                found.voxels[n] = site.voxels.ravel()
                found.owners[n] = site.owners
                n += 1
    return n


def find_sites(world: World, memo: Memo, group: tuple[int, int, int]) -> NDArray[np.void]:
    """Return the synapses anchored in one group of cells, as an array of `SITE`."""
    pitch, scale = world.twigs.pitch, np.array(world.scale)
    first = np.array(group) * GROUP
    cells = first + np.stack(np.meshgrid(*[np.arange(GROUP)] * 3, indexing="ij"), -1).reshape(-1, 3)
    cells = cells[(cells < np.array(world.twigs.dims) - world.twigs.margin).all(axis=1)]
    start = np.maximum(np.floor((first * pitch - REACH) / scale), 0).astype(np.int64)
    stop = np.minimum(np.ceil(((first + GROUP) * pitch + REACH) / scale), world.shape).astype(np.int64)
    sites = np.zeros(0, SITE)
    if (stop <= start).any() or not len(cells):
        return sites
    win = collect(world, memo, tuple(start.tolist()), tuple(stop.tolist()))
    found = _Site(
        np.empty((len(cells) * 3, 6)),
        np.empty((len(cells) * 3, 9), np.int64),
        np.empty((len(cells) * 3, 3), np.int64),
    )
    n = _search(world, win, new_work(len(win.pieces)), cells, found)
    sites = np.zeros(n, SITE)
    sites["place"], sites["direction"] = found.numbers[:n, :3], found.numbers[:n, 3:]
    for k, name in enumerate(("centre", "pre_voxel", "post_voxel")):
        sites[name] = found.voxels[:n, 3 * k : 3 * k + 3]
    for k, name in enumerate(("anchor", "pre", "post")):
        sites[name] = found.owners[:n, k]
    return sites
