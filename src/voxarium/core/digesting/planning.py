"""Which boxes to read for a digest, in which order: every chunk once, in bounded memory.

The array is cut into columns that run along the slowest axis of the blocks. A column is read step by step from its
first to its last voxel, so that a block which a step cuts in two is hashed on with the next step. Columns are
independent of each other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo

__all__ = ["DigestPlan", "digest_plan"]

_STEP_BYTES: Final = 4 << 20  # what is read stays near the cores until it is hashed
_SLAB_BYTES: Final = 64 << 20  # for as many slices as a block is thick
_COLUMNS_EACH: Final = 4  # for every thread, so that all end at about the same time
_MOST_COMMON: Final = 4  # a common multiple of chunk and block up to so many of the longer


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestPlan:
    """Columns and steps.

    Parameters
    ----------
    shape : tuple of int
        Of the array, in stored order.
    slow : int or None
        The stored axis along which a column is read; None when there is none.
    step : tuple of int
        Voxels of one step.
    side_by_side : bool
        True: threads take columns of their own; False: they share the steps of one column.
    """

    shape: tuple[int, ...]
    slow: int | None
    step: tuple[int, ...]
    side_by_side: bool

    def iter_columns(self) -> Iterator[Box]:
        """Yield the columns in C order."""
        tile = tuple(n if i == self.slow else s for i, (n, s) in enumerate(zip(self.shape, self.step, strict=True)))
        return Box.whole(self.shape).tiles(tuple(max(1, n) for n in tile))

    def iter_steps(self, column: Box) -> Iterator[Box]:
        """Yield the boxes to read, in order."""
        return column.tiles(self.step)


def digest_plan(info: ArrayInfo, order: Sequence[int], block: Sequence[int], memory: int, threads: int) -> DigestPlan:
    """Return how to read an array for its digest.

    Parameters
    ----------
    info : ArrayInfo
        The array.
    order : sequence of int
        Canonical order of its axes.
    block : sequence of int
        Lengths of a block along the axes that count, in canonical order.
    memory : int
        Bytes for voxels that are read and not yet hashed. A step is never less than a chunk.
    threads : int
        Threads that read and hash.
    """
    counting = [i for i in order if info.shape[i] != 1]
    lengths = [1] * info.ndim
    for axis, length in zip(counting, block, strict=True):
        lengths[axis] = length
    slow = counting[max(0, len(counting) - 3)] if counting else None
    sizes = _Sizes(info, tuple(lengths), slow)
    fits = sizes.nbytes <= memory // threads and sizes.columns >= threads
    sizes.grow(memory // threads if fits else memory, least=_COLUMNS_EACH * threads if fits else 1)
    side_by_side = fits and sizes.columns >= threads
    return DigestPlan(shape=info.shape, slow=slow, step=tuple(sizes.step), side_by_side=side_by_side)


class _Sizes:
    """The voxels of a step, while they are being decided."""

    def __init__(self, info: ArrayInfo, block: tuple[int, ...], slow: int | None) -> None:
        self._shape = info.shape
        self._block = block
        self._slow = slow
        self._itemsize = info.dtype.itemsize
        pairs = zip(info.chunk_shape, info.shape, strict=True)
        chunk = block if info.contiguous else tuple(min(c, max(n, 1)) for c, n in pairs)
        self._unit = [c if i == slow else _common(c, b) for i, (c, b) in enumerate(zip(chunk, block, strict=True))]
        self._seams = [i for i in range(info.ndim) if i != slow and self._unit[i] % chunk[i]]
        self.step = [self._cut(i, n) for i, n in enumerate(self._unit)]

    def _cut(self, axis: int, length: int) -> int:
        return max(1, min(length, self._shape[axis]))

    @property
    def nbytes(self) -> int:
        """Bytes of a step."""
        return math.prod(self.step) * self._itemsize

    @property
    def columns(self) -> int:
        """Number of columns."""
        pairs = enumerate(zip(self._shape, self.step, strict=True))
        return math.prod(-(-n // s) for i, (n, s) in pairs if i != self._slow)

    def grow(self, most: int, least: int) -> None:
        """Make steps larger, up to `most` bytes where that saves reading chunks twice, and at least `least` columns."""
        for axis in self._seams:  # chunks that reach over the sides of a column are read again by the next one
            self._lengthen(axis, most, 1, self._shape[axis])
        if self._slow is not None:
            self._lengthen(self._slow, min(most, _SLAB_BYTES), 1, self._block[self._slow])
        for axis in reversed(range(len(self.step))):
            self._lengthen(axis, min(most, _STEP_BYTES), least, self._shape[axis])

    def _lengthen(self, axis: int, most: int, least: int, longest: int) -> None:
        """Double the length along an axis as long as limits are kept."""
        while self.step[axis] < min(longest, self._shape[axis]):
            before = self.step[axis]
            self.step[axis] = self._cut(axis, -(-2 * before // self._unit[axis]) * self._unit[axis])
            if self.nbytes > most or (axis != self._slow and self.columns < least):
                self.step[axis] = before
                return


def _common(chunk: int, block: int) -> int:
    """Return the length of a column's side: whole chunks and whole blocks, or whole blocks when that is too long."""
    both = math.lcm(chunk, block)
    return both if both <= _MOST_COMMON * max(chunk, block) else -(-chunk // block) * block
