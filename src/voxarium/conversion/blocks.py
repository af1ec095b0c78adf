"""How much is read, encoded and made smaller at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Final

from voxarium.conversion.plan import PlannedLevel
from voxarium.core.pools import cpu_count

__all__ = ["block_of", "grown_cells"]

# Raw and encoded voxels of a small block stay in a processor's cache between one step and the next. A large one asks
# for more at a time.
_SMALL_BLOCK: Final = 4 << 20
_LARGE_BLOCK: Final = 16 << 20
_CELL: Final = 2 << 20


def block_of(
    finest: PlannedLevel, source_chunk: tuple[int, ...], memory: int, *, large: bool, as_stored: bool = False
) -> tuple[int, ...]:
    """Choose the region one task reads: whole units of the target, whole chunks of the source where memory allows.

    Parameters
    ----------
    finest : PlannedLevel
        Level 0; its cell is the smallest block, a multiple of the target's chunk and of the first factors.
    source_chunk : tuple of int
        Chunks of the source, in target order.
    memory : int
        Bytes that all blocks of all threads may take.
    large : bool
        Whether what is read at a time matters more than what a cache holds.
    as_stored : bool
        Whether whole chunks of the source are read, and need no other order of axes or type of voxels. If they have the
        shape of the target's, a block is a column of them, where columns are long enough: each is one piece of memory,
        which is read into and encoded from.
    """
    budget = max(memory // (2 * (cpu_count() + 1)), 1)
    shape, itemsize = finest.info.shape, finest.info.dtype.itemsize
    wished = _LARGE_BLOCK if large else _SMALL_BLOCK
    if as_stored and not large and source_chunk == finest.info.chunk_shape == finest.cell:
        first = next((i for i, n in enumerate(source_chunk) if n > 1), len(source_chunk))
        column = _grown(
            shape, finest.cell, source_chunk, itemsize=itemsize, budget=budget, wished=wished, axes=first + 1
        )
        if math.prod(column) * itemsize * 2 >= wished:
            return column
    return _grown(shape, finest.cell, source_chunk, itemsize=itemsize, budget=budget, wished=wished)


def grown_cells(levels: tuple[PlannedLevel, ...], block: tuple[int, ...]) -> tuple[PlannedLevel, ...]:
    """Let level 0 have `block` as its cell, and cells of coarser levels be as large as what one cell below becomes.

    So they are fewer, and each is encoded and made smaller at once.
    """
    grown = [replace(levels[0], cell=block)]
    for level in levels[1:]:
        below = grown[-1].cell
        parts = (-(-b // f) for b, f in zip(below, level.factors, strict=True))
        whole = tuple(-(-n // unit) * unit for n, unit in zip(parts, level.cell, strict=True))
        shape, itemsize = level.info.shape, level.info.dtype.itemsize
        grown.append(replace(level, cell=_grown(shape, whole, whole, itemsize=itemsize, budget=_CELL, wished=_CELL)))
    return tuple(grown)


def _grown(
    shape: tuple[int, ...],
    unit: tuple[int, ...],
    source_chunk: tuple[int, ...],
    *,
    itemsize: int,
    budget: int,
    wished: int,
    axes: int | None = None,
) -> tuple[int, ...]:
    """Return a region of whole units, and whole chunks of a source where `budget` allows, of about `wished` bytes.

    It grows along the first `axes` axes, if that is given, else along all.
    """
    extent = tuple(-(-n // u) * u if n else u for n, u in zip(shape, unit, strict=True))
    wanted = tuple(min(math.lcm(u, c), e) for u, c, e in zip(unit, source_chunk, extent, strict=True))
    block = list(wanted)
    # Too large: give up alignment where it saves most; the plan tells the re-read factor.
    while math.prod(block) * itemsize > budget and block != list(unit):
        axis = max(range(len(block)), key=lambda i: block[i] / unit[i])
        block[axis] = unit[axis] * max(1, block[axis] // unit[axis] // 2)
    # Too small: grow towards the source's own long rows first, then towards a cube.
    target = min(wished, budget)
    while True:
        room = math.prod(block) * itemsize * 2 <= target
        able = [i for i in range(len(block))[:axes] if block[i] < extent[i] and room]
        if not able:
            return tuple(block)
        axis = min(able, key=lambda i: (block[i] / max(unit[i], 1), -i))  # long rows are made smaller faster
        block[axis] = min(block[axis] * 2, extent[axis])
