"""The passages around a region, gathered once before its voxels are computed."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxarium.testing.specimen.lattice import (
    JOINED,
    OPEN,
    Lattice,
    Spoke,
    World,
    branches,
    cell_at,
    cell_key,
    face_of,
    kernel,
    middle,
    mix,
    part,
    ray,
    spoke,
    trunk_open,
    twig_port,
    unit,
)
from voxarium.testing.specimen.neurons import Memo, end_state, first_supervoxel, neuron_of_key

__all__ = ["BRICK", "PER_CELL", "RING", "WARP_REACH", "Window", "collect"]

BRICK: Final = 8  # voxels along an edge of the unit of work
WARP_REACH: Final = 11.5  # the warp moves no point further, in units of 8 nm
RING: Final = 64.0  # passages further away than this (or than one cell) are not looked at
PER_CELL: Final = 7  # pieces a cell can hold: two per passage and one where passages are joined


class Window(NamedTuple):
    """The passages around a region: per cell `PER_CELL` rows of pieces, 3 of passages; trunks first."""

    low: NDArray[np.int64]  # (2, 3) first cell of trunks, of twigs
    dims: NDArray[np.int64]  # (2, 3) number of cells
    pieces: NDArray[np.float64]  # (n, 8) see lattice.Spoke
    owner: NDArray[np.int32]  # passage of each piece
    side: NDArray[np.int8]  # -1 or 1: towards which end; 0: between passages
    held: NDArray[np.int64]  # number of pieces in each cell
    supervoxel: NDArray[np.int64]  # number of each passage's first supervoxel; 0 where there is none
    neuron: NDArray[np.int64]  # number
    local: NDArray[np.int32]  # neuron numbered within the window
    shade: NDArray[np.float32]  # brightness of the cytoplasm
    mito: NDArray[np.float32]  # radius of the mitochondrion, 0 = none


def window_cells(lat: Lattice, low: NDArray[np.float64], high: NDArray[np.float64]) -> tuple[NDArray[np.int64], ...]:
    """Return first cell and number of cells (3 each) that matter in a range of the warped frame."""
    ring = lat.pitch if lat.pitch < RING else RING
    first = np.floor((low - ring) / lat.pitch).astype(np.int64)
    stop = np.floor((high + ring) / lat.pitch).astype(np.int64) + 1
    first = np.maximum(first, -lat.margin)
    stop = np.minimum(stop, np.array(lat.dims) - lat.margin)
    return first, np.maximum(stop - first, 1)


@kernel
def _put(win: Window, cell: int, piece: Spoke, slot: int, side: int) -> None:
    row = cell * PER_CELL + win.held[cell]
    for k in range(8):
        win.pieces[row, k] = piece[k]
    win.side[row] = side
    win.owner[row] = cell * 3 + slot
    win.held[cell] += 1


@kernel
def _goes_on(world: World, memo: Memo, key: int, neuron: int, end: int) -> bool:
    """Tell whether a passage goes on at its end."""
    if key < world.trunk_keys:
        z, y, x = cell_at(world.trunks, key // 3)
        return trunk_open(world.trunks, z, y, x, face_of(world.trunks, (z, y, x), key % 3, end))
    state = end_state(memo, key, end)
    if state == JOINED:
        twig = key - world.trunk_keys
        z, y, x = cell_at(world.twigs, twig // 3)
        _, grown_from = twig_port(world, z, y, x, face_of(world.twigs, (z, y, x), twig % 3, end))
        return neuron_of_key(world, memo, grown_from) == neuron
    return bool(state == OPEN)


@kernel
def _fill_passage(world: World, memo: Memo, win: Window, trunk: bool, place: tuple[int, int, int, int, int]) -> None:
    """Write one passage; place = (cell row, z, y, x, slot)."""
    cell, z, y, x, slot = place
    lat = world.trunks if trunk else world.twigs
    key = cell_key(lat, z, y, x) * 3 + slot + (0 if trunk else world.trunk_keys)
    neuron = neuron_of_key(world, memo, key)
    p = cell * 3 + slot
    win.neuron[p] = neuron
    win.supervoxel[p] = 0
    if neuron == 0:
        return
    win.supervoxel[p] = first_supervoxel(world, key)
    for end in range(2):
        whole = _goes_on(world, memo, key, neuron, end)
        face = face_of(lat, (z, y, x), slot, end)
        _put(win, cell, ray(lat, (z, y, x), slot, face, whole), slot, 2 * end - 1)
    if slot == 1 and branches(lat, z, y, x) and win.supervoxel[p - 1] > 0:
        m = middle(lat, z, y, x, 1)
        _put(win, cell, spoke(m, middle(lat, z, y, x, 0), 1.0), slot, slot - 1)


@kernel
def _paint_passage(world: World, win: Window, p: int, trunk: bool) -> None:
    h = mix(world.twigs.seed + mix(np.uint64(win.neuron[p]) + np.uint64(77)))
    u = part(h, 0) + part(h, 1) - 1.0
    win.shade[p] = np.float32(157.0 + 26.0 * u)
    h = mix(world.twigs.seed + mix(np.uint64(win.supervoxel[p]) + np.uint64(78)))
    chance, size = (0.75, 8.0 + 7.0 * part(h, 1)) if trunk else (0.13, 5.5 + 3.5 * part(h, 1))
    win.mito[p] = np.float32(size if unit(mix(h)) < chance else 0.0)


@kernel
def fill_window(world: World, memo: Memo, win: Window) -> None:
    """Write pieces and passages of all cells of a window."""
    cell = win.held.shape[0] * 0  # a plain 0 would be compiled as a constant, and all below it twice
    for kind in range(2):
        for cz in range(win.dims[kind, 0]):
            for cy in range(win.dims[kind, 1]):
                for cx in range(win.dims[kind, 2]):
                    z, y, x = win.low[kind, 0] + cz, win.low[kind, 1] + cy, win.low[kind, 2] + cx
                    win.held[cell] = 0
                    for slot in range(3):
                        _fill_passage(world, memo, win, kind == 0, (cell, z, y, x, slot))
                        if win.supervoxel[cell * 3 + slot] > 0:
                            _paint_passage(world, win, cell * 3 + slot, kind == 0)
                    cell += 1


def collect(world: World, memo: Memo, start: tuple[int, ...], stop: tuple[int, ...]) -> Window:
    """Return the window for the voxels ``start <= index < stop``, grown to whole bricks."""
    scale = np.array(world.scale)
    low = np.floor_divide(start, BRICK) * BRICK * scale - WARP_REACH
    high = -np.floor_divide(np.negative(stop), BRICK) * BRICK * scale + WARP_REACH
    t_low, t_dims = window_cells(world.trunks, low, high)
    f_low, f_dims = window_cells(world.twigs, low, high)
    cells = int(t_dims.prod() + f_dims.prod())
    win = Window(
        np.stack([t_low, f_low]), np.stack([t_dims, f_dims]), np.zeros((cells * PER_CELL, 8)),
        np.zeros(cells * PER_CELL, np.int32), np.zeros(cells * PER_CELL, np.int8), np.zeros(cells, np.int64),
        np.zeros(cells * 3, np.int64),
        np.zeros(cells * 3, np.int64), np.zeros(cells * 3, np.int32), np.zeros(cells * 3, np.float32),
        np.zeros(cells * 3, np.float32),
    )  # fmt: skip
    fill_window(world, memo, win)
    win.local[:] = np.unique(win.neuron, return_inverse=True)[1]
    return win
