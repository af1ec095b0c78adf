"""How levels are cut into blocks that are read once and hold whole windows of several levels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.validation.data.methods import Trial
from voxarium.validation.objects import ObjectMap

__all__ = ["Pair", "Run", "grouped", "sampled_boxes", "stored_boxes"]

_LEAST_BLOCK: Final = 16 << 20
_PIECE_BYTES: Final = 4 << 20
_LARGEST_BLOCK: Final = 64 << 20
_MOST_UNITS: Final = 1 << 22
_MOST_SCANNED: Final = 1 << 15
_MOST_PLACES: Final = 1 << 20
_MOST_SPANS: Final = 1 << 19


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A level that is compared with a finer one.

    Parameters
    ----------
    fine, coarse : int
        Levels.
    factors : tuple of int
        From the one to the other.
    trial : Trial
        How it is taken to be made.
    firm : bool
        Whether that is sure; else only what no method could do is wrong.
    exact : bool
        Whether it is sure how means are rounded.
    """

    fine: int
    coarse: int
    factors: tuple[int, ...]
    trial: Trial
    firm: bool = True
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Levels that are read side by side, block by block.

    Parameters
    ----------
    level : int
        The finest of them.
    pairs : tuple of Pair
        What is compared, each with the level before.
    block : tuple of int
        Voxels of the finest level, a multiple of all factors.
    piece : tuple of int
        Voxels of the finest level that are read and compared at a time: few enough to stay in a processor's cache.
    """

    level: int
    pairs: tuple[Pair, ...]
    block: tuple[int, ...]
    piece: tuple[int, ...]


def grouped(arrays: Sequence[Array], pairs: Sequence[Pair], *, most: int) -> Iterator[Run]:
    """Yield runs that read every level, and compare every pair.

    Levels join a run while their part of a block is no less than a chunk; smaller parts would have chunks decoded
    again and again. Blocks take up to `most` bytes; more only where a chunk of either level does. With 0 they are
    hardly more than a stored object.
    """
    done: set[int] = set()
    waiting = list(pairs)
    while waiting:
        chain = [waiting.pop(0)]
        block = _block(arrays[chain[0].fine], arrays[chain[0].coarse], chain[0].factors, most=most)
        total = chain[0].factors
        while waiting and waiting[0].fine == chain[-1].coarse and not _looks_beyond(chain[-1], waiting[0]):
            after = tuple(a * b for a, b in zip(total, waiting[0].factors, strict=True))
            if not _fits(block, after, arrays[waiting[0].coarse]):
                break
            total = after
            chain.append(waiting.pop(0))
        done.update({chain[0].fine, *(p.coarse for p in chain)})
        piece = block if _looks_beyond(chain[0]) else _piece(arrays[chain[0].fine], chain[0].factors, block)
        yield Run(level=chain[0].fine, pairs=tuple(chain), block=block, piece=piece)
    for level in sorted(set(range(len(arrays))) - done):
        ones = (1,) * arrays[level].ndim
        block = _block(arrays[level], None, ones, most=most)
        yield Run(level=level, pairs=(), block=block, piece=_piece(arrays[level], ones, block))


def _looks_beyond(*pairs: Pair) -> bool:
    return any(p.trial.method == "gaussian" for p in pairs)


def _fits(block: Sequence[int], total: Sequence[int], array: Array) -> bool:
    return all(
        b % f == 0 and (b // f >= min(c, n) or f == 1)
        for b, f, c, n in zip(block, total, array.info.chunk_shape, array.shape, strict=True)
    )


def _block(array: Array, coarse: Array | None, factors: tuple[int, ...], *, most: int) -> tuple[int, ...]:
    """Return the shape of blocks: whole chunks of a level, and of the next coarser one where they are not too large."""
    info = array.info
    chunk = (64,) * info.ndim if info.contiguous else info.chunk_shape
    unit = [_unit(c, f, n) for c, f, n in zip(chunk, factors, info.shape, strict=True)]
    if coarse is not None and not coarse.info.contiguous:
        wider = [
            math.lcm(u, c * f) if f > 1 else u for u, c, f in zip(unit, coarse.info.chunk_shape, factors, strict=True)
        ]
        if math.prod(wider) * info.dtype.itemsize <= _LARGEST_BLOCK:
            unit = wider
    # One step more than that, so that two coarser levels fit: the last one of a run is read twice.
    limit = tuple(u * max(4, 2 * f) if f > 1 else u for u, f in zip(unit, factors, strict=True))
    ends = info.shape if most else tuple(map(min, info.object_shape, info.shape))
    while math.prod(unit) * info.dtype.itemsize * 2 <= max(most, _LEAST_BLOCK):
        small = math.prod(unit) * info.dtype.itemsize * 2 <= _LEAST_BLOCK
        open_axes = [i for i, (u, n, m) in enumerate(zip(unit, ends, limit, strict=True)) if u < n and (small or u < m)]
        if not open_axes:
            break
        unit[min(open_axes, key=lambda i: unit[i])] *= 2
    return _cut(unit, factors, info.dtype.itemsize)


def _piece(array: Array, factors: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of pieces of a block: whole chunks and windows, as many as stay in a cache."""
    chunk = (16,) * array.ndim if array.info.contiguous else array.info.chunk_shape
    piece = [
        unit if b % (unit := _unit(c, f, n)) == 0 else b
        for c, f, n, b in zip(chunk, factors, array.shape, block, strict=True)
    ]
    for axis in reversed(range(array.ndim)):  # along rows first
        while math.prod(piece) * array.dtype.itemsize * 2 <= _PIECE_BYTES and block[axis] % (2 * piece[axis]) == 0:
            piece[axis] *= 2
    return tuple(piece)


def _cut(unit: list[int], factors: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return a block that fits in memory, whatever the metadata say of chunks."""
    while math.prod(unit) * itemsize > 4 * _LARGEST_BLOCK:
        axis = max(range(len(unit)), key=lambda i: unit[i] / factors[i])
        if unit[axis] <= factors[axis]:
            break
        unit[axis] = -(-unit[axis] // 2 // factors[axis]) * factors[axis]
    return tuple(unit)


def _unit(chunk: int, factor: int, length: int) -> int:
    """Return the shortest block along an axis: whole chunks and whole windows."""
    least = math.lcm(min(chunk, max(length, 1)), factor)
    # Chunks that no few windows fill are cut: a little is decoded twice then.
    return least if least <= 4 * max(chunk, factor) else -(-chunk // factor) * factor


# -------------------------------------------------------------------------------------------------------- samples
def sampled_boxes(array: Array, block: tuple[int, ...], sample: float) -> Iterator[Box]:
    """Yield blocks of a level: all, or those of some of its stored objects, the same each time."""
    whole = Box.whole(array.shape)
    if not whole.size:
        return
    blocks = ChunkGrid(array.shape, block).size
    if blocks > _MOST_UNITS:
        sample = min(sample, _MOST_UNITS / blocks)
    if sample >= 1:
        yield from whole.tiles(block)
        return
    unit = tuple(-(-min(o, n) // b) * b for o, n, b in zip(array.info.object_shape, array.shape, block, strict=True))
    grid = ChunkGrid(array.shape, unit)
    for number in _chosen(grid.size, sample):
        index, rest = [], number
        for n in reversed(grid.counts):
            rest, i = divmod(rest, n)
            index.append(i)
        yield from grid.clipped_box(tuple(reversed(index))).tiles(block)


def stored_boxes(
    array: Array,
    block: tuple[int, ...],
    stored: Sequence[tuple[ObjectMap, tuple[int, ...]]],
    sample: float,
) -> list[Box] | None:
    """Return the blocks of a level that hold anything, where they are few among many; else None.

    Parameters
    ----------
    array : Array
        The level.
    block : tuple of int
        Shape of blocks.
    stored : sequence of (ObjectMap, tuple of int)
        Of this level and coarser ones, what is stored, and the factors from this level.
    sample : float
        Share of the blocks wanted.
    """
    grid = ChunkGrid(array.shape, block)
    if grid.size <= _MOST_SCANNED:
        return None
    found: set[tuple[int, ...]] = set()
    for known, factors in stored:
        places = _places(known)
        if places is None:
            return None
        lengths = np.array(known.object_shape) * np.array(factors)
        first = places * lengths // np.array(block)
        last = np.minimum(((places + 1) * lengths - 1) // np.array(block), np.array(grid.counts) - 1)
        spans = np.unique(np.concatenate([first, last], 1), axis=0).reshape(-1, 2, array.ndim)
        if len(spans) > _MOST_SPANS:
            return None
        for a, b in spans.tolist():
            found.update(itertools.product(*(range(i, j + 1) for i, j in zip(a, b, strict=True))))
            if len(found) > _MOST_SPANS:
                return None
    indices = sorted(found)
    if sample < 1 and indices:
        indices = [indices[i] for i in _chosen(len(indices), sample)]
    return [grid.clipped_box(index) for index in indices]


def _places(known: ObjectMap) -> NDArray[np.int64] | None:
    """Return the grid indices of objects that exist; None where they are many, or not known."""
    if known.states is None:
        return known.places
    return np.argwhere(known.states) if np.count_nonzero(known.states) <= _MOST_PLACES else None


def _chosen(count: int, sample: float) -> Iterator[int]:
    """Yield numbers below `count`, scattered but always the same: one of each run of `1 / sample`."""
    wanted = min(max(1, round(count * sample)), _MOST_UNITS)
    for i in range(wanted):
        first, stop = count * i // wanted, count * (i + 1) // wanted
        yield first + _scattered(i) % max(1, stop - first)


def _scattered(number: int) -> int:
    """Return a number without relation to another (splitmix64)."""
    mixed = (number + 1) * 0x9E3779B97F4A7C15 & (2**64 - 1)
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & (2**64 - 1)
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & (2**64 - 1)
    return mixed ^ mixed >> 31
