"""Regular grids of chunks, shards and blocks over an array."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from voxarium.errors import Code, InputError
from voxarium.model.box import Box

__all__ = ["ChunkGrid"]


@dataclass(frozen=True, slots=True)
class ChunkGrid:
    """A regular grid of `chunk_shape` over an array of `shape`; the last chunk along an axis may overhang.

    Examples
    --------
    >>> ChunkGrid((5, 7), (2, 4)).counts
    (3, 2)
    """

    shape: tuple[int, ...]
    chunk_shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.shape) != len(self.chunk_shape) or any(c <= 0 for c in self.chunk_shape):
            raise InputError(
                f"chunk shape {self.chunk_shape} does not fit array shape {self.shape}",
                code=Code.CHUNK_MISALIGNED,
                fix="give one positive chunk length per axis",
            )

    @property
    def counts(self) -> tuple[int, ...]:
        """Number of chunks along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True))

    @property
    def size(self) -> int:
        """Number of chunks."""
        return math.prod(self.counts)

    def box(self, index: tuple[int, ...]) -> Box:
        """Return the full region of a chunk, including any overhang beyond the array."""
        return Box(tuple(i * c for i, c in zip(index, self.chunk_shape, strict=True)), self.chunk_shape)

    def clipped_box(self, index: tuple[int, ...]) -> Box:
        """Return the region of a chunk that lies inside the array."""
        return self.box(index).intersection(Box.whole(self.shape))

    def indices(self, box: Box | None = None) -> Iterator[tuple[int, ...]]:
        """Yield, in C order, the indices of the chunks that touch `box` (the whole array by default)."""
        box = Box.whole(self.shape) if box is None else box.intersection(Box.whole(self.shape))
        ranges = [
            range(a // c, -(-b // c)) if b > a else range(0)
            for a, b, c in zip(box.origin, box.stop, self.chunk_shape, strict=True)
        ]
        return itertools.product(*ranges)
