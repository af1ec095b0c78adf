"""The order of work: a depth-first walk of the octree of shards and cells.

Blocks of level 0 are visited so that every coarser cell is completed as early as possible; few cells and few shards
are open at a time. The same order decides where a chunk stands in its shard, so that the bytes of a shard do not
depend on which thread finished first.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box

__all__ = ["Steps", "chunk_order", "iter_blocks", "nesting_steps"]

Steps = tuple[tuple[int, ...], ...]


def nesting_steps(steps: Sequence[tuple[int, ...]]) -> Steps:
    """Return grid steps, in level-0 voxels, coarsest first and without repetition."""

    def volume(step: tuple[int, ...]) -> int:
        n = 1
        for s in step:
            n *= s
        return n

    return tuple(sorted(dict.fromkeys(steps), key=volume, reverse=True))


def iter_blocks(shape: tuple[int, ...], block: tuple[int, ...], steps: Steps) -> Iterator[Box]:
    """Yield the blocks of level 0, depth first: grouped by the first step, within it by the second, and so on.

    A block belongs to the tile that holds its origin, so grids need not nest.

    Examples
    --------
    >>> [b.origin for b in iter_blocks((4, 4), (1, 2), ((2, 4), (1, 2)))][:3]
    [(0, 0), (0, 2), (1, 0)]
    """
    counts = tuple(-(-n // b) for n, b in zip(shape, block, strict=True))
    if not all(counts):
        return
    yield from _walk([tuple((0, n) for n in counts)], shape, block, steps)


def _walk(
    tiles: Iterable[tuple[tuple[int, int], ...]], shape: tuple[int, ...], block: tuple[int, ...], steps: Steps
) -> Iterator[Box]:
    for tile in tiles:
        if steps and any(stop - first > 1 for first, stop in tile):
            cuts = [_cuts(*span, size, step) for span, size, step in zip(tile, block, steps[0], strict=True)]
            yield from _walk(itertools.product(*cuts), shape, block, steps[1:])
            continue
        for index in itertools.product(*(range(*span) for span in tile)):
            origin = tuple(map(operator.mul, index, block))
            yield Box(origin, tuple(min(b, n - o) for b, n, o in zip(block, shape, origin, strict=True)))


def _cuts(first: int, stop: int, block: int, step: int) -> list[tuple[int, int]]:
    """Cut the block indices ``first … stop`` where their origins cross multiples of `step`."""
    if step <= block:
        return [(i, i + 1) for i in range(first, stop)]
    cuts = []
    while first < stop:
        boundary = (first * block // step + 1) * step
        nxt = min(stop, -(-boundary // block))
        cuts.append((first, nxt))
        first = nxt
    return cuts


def chunk_order(
    chunks: NDArray[np.int64], chunk_shape: tuple[int, ...], cell: tuple[int, ...], scale: tuple[int, ...], steps: Steps
) -> NDArray[np.intp]:
    """Return the positions of `chunks` in writing order.

    Parameters
    ----------
    chunks : ndarray, shape (n, axes)
        Chunk indices of one level.
    chunk_shape, cell : tuple of int
        Voxels of that level per chunk, and per cell (the region encoded at once).
    scale : tuple of int
        Level-0 voxels per voxel of that level.
    steps : Steps
        The nesting of the walk, in level-0 voxels.

    Returns
    -------
    ndarray, shape (n,)
        Indices into `chunks`, first to last.
    """
    origin = chunks * np.asarray(chunk_shape)
    cells = origin // np.asarray(cell) * np.asarray(cell)
    base = cells * np.asarray(scale)
    keys: list[NDArray[np.int64]] = []
    for step in steps:
        keys.extend((base // np.asarray(step)).T)
    keys.extend(cells.T)
    keys.extend(chunks.T)
    if not keys:
        return np.arange(len(chunks))
    return np.lexsort(keys[::-1])
