"""Where neurites run: random pipes through the faces of two cubic lattices, found from coordinates alone.

Every cell of a lattice pairs its six faces into three passages (a random Truchet tiling). A passage
leads from one face through a point inside the cell to another face, so passages join into long winding
paths without any global state: what a cell holds is a hash of its position. The coarse lattice carries
thick trunks, the fine one thin twigs. A twig whose face lies within a trunk either ends there or grows
out of that trunk, which makes branching neurons.

All lengths are in units of 8 nm, in the frame the specimen is warped from (see `field.warp`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["CLOSED", "JOINED", "OPEN", "Lattice", "World", "kernel", "ray"]

F = TypeVar("F", bound=Callable[..., Any])


def kernel(function: F) -> F:
    """Compile a function to machine code that releases the interpreter lock; the type stays as written.

    No fast-math: results must not depend on how a loop is cut into vectors, or blocks would not fit together.
    """
    return cast("F", numba.njit(nogil=True, cache=True, error_model="numpy")(function))


class Lattice(NamedTuple):
    """One cubic lattice of passages. Cells have signed indices; `margin` of them lie before index 0."""

    seed: np.uint64
    pitch: float
    margin: int
    dims: tuple[int, int, int]
    closed: float  # probability that a face is closed
    branch: float  # probability that two passages of a cell are joined
    thin: float  # least and greatest calibre, the weight of a passage when space is divided
    thick: float


class World(NamedTuple):
    """Both lattices and the frame of the specimen."""

    twigs: Lattice
    trunks: Lattice
    trunk_keys: int  # passages of trunks have keys below this, passages of twigs from here on
    scale: tuple[float, float, float]  # units per voxel
    shape: tuple[int, int, int]


CLOSED: Final = 0
OPEN: Final = 1
JOINED: Final = 2
_TRUNK_REACH: Final = 40.0  # no trunk is wider
_INSIDE: Final = 0.85  # twigs are cut within this part of a trunk's calibre
_JOIN: Final = 0.45  # probability that a twig cut by a trunk grows out of it
_PULLED_BACK: Final = 0.6  # where the tip of a dead end lies between the middle of a cell and the closed face


def _pairings() -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """All 15 ways to pair six faces: slot by face, faces by slot, cumulative odds (straight is likelier)."""
    found = set()
    for p in itertools.permutations(range(6)):
        found.add(tuple(sorted(tuple(sorted(p[i : i + 2])) for i in (0, 2, 4))))
    pairings = sorted(found)
    faces = np.array(pairings, np.int64)
    slots = np.empty((15, 6), np.int64)
    for m, s in itertools.product(range(15), range(3)):
        slots[m, faces[m, s]] = s
    straight = (faces[:, :, 0] // 2 == faces[:, :, 1] // 2).sum(axis=1)
    odds = np.array([0.5, 1.4, 0.0, 4.0])[straight]
    return slots, faces, np.cumsum(odds / odds.sum())


_SLOTS, _FACES, _ODDS = _pairings()


# ------------------------------------------------------------------------------------------------ hashing
@kernel
def mix(x: np.uint64) -> np.uint64:
    """Scramble 64 bits (the finaliser of SplitMix64)."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


@kernel
def position_hash(seed: np.uint64, kind: int, z: int, y: int, x: int) -> np.uint64:
    """Hash three signed indices of at most 21 bits; `kind` separates independent draws."""
    low = np.uint64(0x1FFFFF)
    packed = (np.uint64(z + 0x100000) & low) << np.uint64(42)
    packed |= (np.uint64(y + 0x100000) & low) << np.uint64(21)
    packed |= np.uint64(x + 0x100000) & low
    return mix(seed + mix(packed ^ (np.uint64(kind) * np.uint64(0x9E3779B97F4A7C15))))


@kernel
def unit(h: np.uint64) -> float:
    """Turn a hash into a number in [0, 1)."""
    return np.float64(np.float64(h >> np.uint64(11)) * 1.1102230246251565e-16)


@kernel
def part(h: np.uint64, i: int) -> float:
    """Return the i-th (0–3) of four coarser numbers in [0, 1) held by one hash."""
    return np.float64(np.float64((h >> np.uint64(16 * i)) & np.uint64(0xFFFF)) * (1.0 / 65536.0))


# ----------------------------------------------------------------------------------------------- topology
@kernel
def holds(lat: Lattice, z: int, y: int, x: int) -> bool:
    """Tell whether the lattice has this cell."""
    m = lat.margin
    return -m <= z < lat.dims[0] - m and -m <= y < lat.dims[1] - m and -m <= x < lat.dims[2] - m


@kernel
def cell_key(lat: Lattice, z: int, y: int, x: int) -> int:
    """Return the linear index of a cell."""
    m = lat.margin
    return ((z + m) * lat.dims[1] + y + m) * lat.dims[2] + x + m


@kernel
def cell_at(lat: Lattice, key: int) -> tuple[int, int, int]:
    """Return the indices of the cell with this linear index."""
    m = lat.margin
    row = key // lat.dims[2]
    return row // lat.dims[1] - m, row % lat.dims[1] - m, key % lat.dims[2] - m


@kernel
def step(z: int, y: int, x: int, face: int) -> tuple[int, int, int]:
    """Return the cell on the other side of a face. Faces are 2 × axis + (1 for the upper side)."""
    d = 1 if face & 1 else -1
    if face < 2:
        return z + d, y, x
    if face < 4:
        return z, y + d, x
    return z, y, x + d


@kernel
def pairing(lat: Lattice, z: int, y: int, x: int) -> int:
    """Return which of the 15 pairings of faces a cell has."""
    u = unit(position_hash(lat.seed, 0, z, y, x))
    m = 0
    while m < 14 and u >= _ODDS[m]:
        m += 1
    return m


@kernel
def branches(lat: Lattice, z: int, y: int, x: int) -> bool:
    """Tell whether the first two passages of a cell are joined."""
    return unit(position_hash(lat.seed, 4, z, y, x)) < lat.branch


@kernel
def face_hash(lat: Lattice, z: int, y: int, x: int, face: int) -> np.uint64:
    """Return the hash of a face, the same from both of its cells."""
    if face & 1:
        z, y, x = step(z, y, x, face)
    return position_hash(lat.seed, 8 + (face >> 1), z, y, x)


# ----------------------------------------------------------------------------------------------- geometry
@kernel
def port(lat: Lattice, z: int, y: int, x: int, face: int) -> tuple[float, float, float, float]:
    """Return where a path crosses a face, and its calibre there."""
    h = mix(face_hash(lat, z, y, x, face) + np.uint64(1))
    u, v = 0.12 + 0.76 * part(h, 0), 0.12 + 0.76 * part(h, 1)
    w = part(h, 2)
    calibre = lat.thin + (lat.thick - lat.thin) * w * w
    g = lat.pitch
    if face < 2:
        return (z + (face & 1)) * g, (y + u) * g, (x + v) * g, calibre
    if face < 4:
        return (z + u) * g, (y + (face & 1)) * g, (x + v) * g, calibre
    return (z + u) * g, (y + v) * g, (x + (face & 1)) * g, calibre


@kernel
def middle(lat: Lattice, z: int, y: int, x: int, slot: int) -> tuple[float, float, float, float]:
    """Return the point inside a cell that a passage runs through, and its calibre there."""
    h = position_hash(lat.seed, 1 + slot, z, y, x)
    w = part(h, 3)
    g = lat.pitch
    return (
        (z + 0.2 + 0.6 * part(h, 0)) * g,
        (y + 0.2 + 0.6 * part(h, 1)) * g,
        (x + 0.2 + 0.6 * part(h, 2)) * g,
        lat.thin + (lat.thick - lat.thin) * w * w,
    )


Spoke = tuple[float, float, float, float, float, float, float, float]  # a, b - a (z, y, x), calibre at a, its change


@kernel
def spoke(m: tuple[float, float, float, float], p: tuple[float, float, float, float], reach: float) -> Spoke:
    """Return the piece of a passage from its middle towards a port; `reach` below 1 makes a tapered tip."""
    taper = 1.0 if reach >= 1.0 else 0.6
    return (
        m[0], m[1], m[2], (p[0] - m[0]) * reach, (p[1] - m[1]) * reach, (p[2] - m[2]) * reach,
        m[3], p[3] * taper - m[3],
    )  # fmt: skip


@kernel
def nearness(s: Spoke, z: float, y: float, x: float) -> float:
    """Return the distance of a point from a piece in calibres, squared."""
    rz, ry, rx = z - s[0], y - s[1], x - s[2]
    n = s[3] * s[3] + s[4] * s[4] + s[5] * s[5]
    t = min(1.0, max(0.0, (rz * s[3] + ry * s[4] + rx * s[5]) / (n + 1e-9)))
    rz, ry, rx = rz - t * s[3], ry - t * s[4], rx - t * s[5]
    w = s[6] + t * s[7]
    return (rz * rz + ry * ry + rx * rx) / (w * w)


@kernel
def trunk_open(lat: Lattice, z: int, y: int, x: int, face: int) -> bool:
    """Tell whether a trunk passes a face."""
    nz, ny, nx = step(z, y, x, face)
    return holds(lat, nz, ny, nx) and unit(face_hash(lat, z, y, x, face)) >= lat.closed


@kernel
def _near_passage(lat: Lattice, cell: tuple[int, int, int], slot: int, point: tuple[float, float, float]) -> float:
    z, y, x = cell
    m = middle(lat, z, y, x, slot)
    best = np.inf
    which = pairing(lat, z, y, x)
    for e in range(2):
        face = _FACES[which, slot, e]
        reach = 1.0 if trunk_open(lat, z, y, x, face) else _PULLED_BACK
        best = min(best, nearness(spoke(m, port(lat, z, y, x, face), reach), point[0], point[1], point[2]))
    if slot == 0 and branches(lat, z, y, x):
        best = min(best, nearness(spoke(m, middle(lat, z, y, x, 1), 1.0), point[0], point[1], point[2]))
    return best


@kernel
def trunk_at(lat: Lattice, z: float, y: float, x: float) -> int:
    """Return the key of the trunk passage whose core holds a point, or -1."""
    g = lat.pitch
    best, key = _INSIDE * _INSIDE, -1
    for cz in range(int(np.floor((z - _TRUNK_REACH) / g)), int(np.floor((z + _TRUNK_REACH) / g)) + 1):
        for cy in range(int(np.floor((y - _TRUNK_REACH) / g)), int(np.floor((y + _TRUNK_REACH) / g)) + 1):
            for cx in range(int(np.floor((x - _TRUNK_REACH) / g)), int(np.floor((x + _TRUNK_REACH) / g)) + 1):
                if holds(lat, cz, cy, cx):
                    for slot in range(3):
                        q = _near_passage(lat, (cz, cy, cx), slot, (z, y, x))
                        if q < best:
                            best, key = q, cell_key(lat, cz, cy, cx) * 3 + slot
    return key


@kernel
def exists(world: World, z: int, y: int, x: int, slot: int) -> bool:
    """Tell whether a twig passage is there, and not swallowed by a trunk."""
    m = middle(world.twigs, z, y, x, slot)
    return trunk_at(world.trunks, m[0], m[1], m[2]) < 0


@kernel
def twig_port(world: World, z: int, y: int, x: int, face: int) -> tuple[int, int]:
    """Return the state of a face of a twig cell, and the trunk passage it is joined to (or -1)."""
    lat = world.twigs
    p = port(lat, z, y, x, face)
    h = face_hash(lat, z, y, x, face)
    trunk = trunk_at(world.trunks, p[0], p[1], p[2])
    if trunk >= 0:
        return (JOINED, trunk) if unit(mix(h + np.uint64(2))) < _JOIN else (CLOSED, -1)
    nz, ny, nx = step(z, y, x, face)
    if unit(h) < lat.closed or not holds(lat, nz, ny, nx):
        return CLOSED, -1
    slot = _SLOTS[pairing(lat, nz, ny, nx), face ^ 1]
    return (OPEN, -1) if exists(world, nz, ny, nx, slot) else (CLOSED, -1)


@kernel
def face_of(lat: Lattice, cell: tuple[int, int, int], slot: int, end: int) -> int:
    """Return the face at one end (0 or 1) of a passage."""
    return int(_FACES[pairing(lat, cell[0], cell[1], cell[2]), slot, end])


@kernel
def slot_of(lat: Lattice, z: int, y: int, x: int, face: int) -> int:
    """Return which passage of a cell uses a face."""
    return int(_SLOTS[pairing(lat, z, y, x), face])


@kernel
def ray(lat: Lattice, cell: tuple[int, int, int], slot: int, face: int, whole: bool) -> Spoke:
    """Return the piece of a passage towards a face: all the way, or to a tip before it."""
    z, y, x = cell
    p = port(lat, z, y, x, face)
    return spoke(middle(lat, z, y, x, slot), p, 1.0 if whole else _PULLED_BACK)
