"""Half-open integer regions of an array."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from voxarium.errors import Code, InputError

__all__ = ["Box"]


@dataclass(frozen=True, slots=True)
class Box:
    """The voxels ``origin <= index < origin + shape``.

    Parameters
    ----------
    origin : tuple of int
        First index along each axis.
    shape : tuple of int
        Number of voxels along each axis, not negative.

    Examples
    --------
    >>> Box((3, 64), (10, 1)).stop
    (13, 65)
    """

    origin: tuple[int, ...]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.origin) != len(self.shape) or min(self.shape, default=0) < 0:
            raise InputError(
                f"box with origin {self.origin} and shape {self.shape} is not a region",
                code=Code.ARGUMENT_INVALID,
                fix="give one origin and one non-negative length per axis",
            )

    @classmethod
    def from_bounds(cls, start: tuple[int, ...], stop: tuple[int, ...]) -> Self:
        """Return the box of indices ``start <= index < stop``; empty along an axis where stop is before start."""
        return cls(start, tuple(max(0, b - a) for a, b in zip(start, stop, strict=True)))

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Self:
        """Return the box that covers an array of this shape."""
        return cls((0,) * len(shape), tuple(shape))

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def stop(self) -> tuple[int, ...]:
        """First index behind the box along each axis."""
        return tuple(a + n for a, n in zip(self.origin, self.shape, strict=True))

    @property
    def size(self) -> int:
        """Number of voxels."""
        n = 1
        for m in self.shape:
            n *= m
        return n

    @property
    def slices(self) -> tuple[slice, ...]:
        """The box as an index expression for a whole array."""
        return tuple(slice(a, a + n) for a, n in zip(self.origin, self.shape, strict=True))

    def intersection(self, other: Box) -> Box:
        """Return the common region (of zero size when there is none)."""
        start, shape = [], []
        for a, n, b, m in zip(
            self.origin, self.shape, other.origin, other.shape, strict=True
        ):  # asked for all the time
            first, stop = a if a > b else b, min(a + n, b + m)
            start.append(first)
            shape.append(stop - first if stop > first else 0)
        return Box(tuple(start), tuple(shape))

    def contains(self, other: Box) -> bool:
        """Tell whether every voxel of `other` lies inside."""
        return other.size == 0 or all(
            a <= b and b + m <= a + n
            for a, n, b, m in zip(self.origin, self.shape, other.origin, other.shape, strict=True)
        )

    def shifted(self, by: tuple[int, ...]) -> Box:
        """Return the box moved by `by` voxels."""
        return Box(tuple(a + d for a, d in zip(self.origin, by, strict=True)), self.shape)

    def relative_to(self, origin: tuple[int, ...]) -> Box:
        """Return the box as seen from `origin`, as for indexing a cut-out array."""
        return Box(tuple(a - o for a, o in zip(self.origin, origin, strict=True)), self.shape)

    def snapped_to(self, chunk_shape: tuple[int, ...]) -> Box:
        """Return the smallest box of whole chunks that covers this box.

        Parameters
        ----------
        chunk_shape : tuple of int
            Voxels per chunk along each axis. The grid starts at index 0.

        Raises
        ------
        InputError
            If `chunk_shape` does not name one positive length per axis.

        Examples
        --------
        >>> Box((3, 64), (10, 1)).snapped_to((8, 64))
        Box(origin=(0, 64), shape=(16, 64))
        """
        if len(chunk_shape) != self.ndim or any(c <= 0 for c in chunk_shape):
            raise InputError(
                f"chunk shape {chunk_shape} does not fit a box with {self.ndim} axes",
                code=Code.CHUNK_MISALIGNED,
                fix="give one positive length per axis",
            )
        start = tuple(a // c * c for a, c in zip(self.origin, chunk_shape, strict=True))
        stop = tuple(-(-b // c) * c for b, c in zip(self.stop, chunk_shape, strict=True))
        return Box.from_bounds(start, stop)

    def tiles(self, shape: tuple[int, ...]) -> Iterator[Box]:
        """Yield, in C order, the parts of this box cut along a grid of `shape` that starts at index 0."""
        cuts = [
            [(max(a, at), min(b, at + n) - max(a, at)) for at in range(a // n * n, b, n)] if b > a else []
            for a, b, n in zip(self.origin, self.stop, shape, strict=True)
        ]
        for parts in itertools.product(*cuts):
            yield Box(tuple(part[0] for part in parts), tuple(part[1] for part in parts))
