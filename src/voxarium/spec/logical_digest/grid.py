"""The fixed grid of blocks: canonical order of axes, axes that count, block lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from voxarium.model.axes import Axis
from voxarium.model.box import Box

__all__ = ["BlockGrid", "block_lengths", "canonical_order", "content_shape", "with_single_axes"]

_CLASSES: Final = {"time": 0, "channel": 1, "space": 3}
_OTHER: Final = 2
_LAST: Final = {"z": 1, "y": 2, "x": 3}
_CUBE: Final = (64, 64, 64)
_FEWER: Final[tuple[tuple[int, ...], ...]] = ((), (1 << 18,), (512, 512))


def canonical_order(axes: Sequence[Axis]) -> tuple[int, ...]:
    """Return which stored axis stands where in canonical order: time, channels, others, space with z, y, x last.

    Axes that this does not tell apart keep their stored order.

    Examples
    --------
    >>> canonical_order([Axis(name=n, type=t) for n, t in (("x", "space"), ("z", "space"), ("c", "channel"))])
    (2, 1, 0)
    """

    def place(i: int) -> tuple[int, int]:
        kind = axes[i].type
        return _CLASSES.get(kind, _OTHER), _LAST.get(axes[i].name.lower(), 0) if kind == "space" else 0

    return tuple(sorted(range(len(axes)), key=place))


def content_shape(shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape without its axes of length 1: they say nothing about voxels.

    Examples
    --------
    >>> content_shape((1, 1, 30, 1, 50))
    (30, 50)
    """
    return tuple(n for n in shape if n != 1)


def with_single_axes(box: Box, shape: Sequence[int]) -> Box:
    """Return a box of the axes that count as one of an array of `shape`.

    Examples
    --------
    >>> with_single_axes(Box((3,), (4,)), (1, 9))
    Box(origin=(0, 3), shape=(1, 4))
    """
    origin, lengths = iter(box.origin), iter(box.shape)
    return Box(
        tuple(0 if n == 1 else next(origin) for n in shape), tuple(1 if n == 1 else next(lengths) for n in shape)
    )


def block_lengths(ndim: int) -> tuple[int, ...]:
    """Return the lengths of a block along axes that count: 2**18 voxels, in a cube along the last three.

    Examples
    --------
    >>> block_lengths(5), block_lengths(2)
    ((1, 1, 64, 64, 64), (512, 512))
    """
    return _FEWER[ndim] if ndim < len(_CUBE) else (1,) * (ndim - len(_CUBE)) + _CUBE


@dataclass(frozen=True, slots=True)
class BlockGrid:
    """The blocks of an array; those at the end of an axis are cut.

    Parameters
    ----------
    shape : tuple of int
        In canonical order, without axes of length 1.

    Examples
    --------
    >>> BlockGrid((3, 65, 200)).counts
    (1, 2, 4)
    """

    shape: tuple[int, ...]
    block: tuple[int, ...] = field(init=False)
    counts: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        block = block_lengths(len(self.shape))
        object.__setattr__(self, "block", block)
        object.__setattr__(self, "counts", tuple(-(-n // b) for n, b in zip(self.shape, block, strict=True)))

    @property
    def size(self) -> int:
        """Number of blocks."""
        return math.prod(self.counts)

    def number(self, index: Sequence[int]) -> int:
        """Return the number of a block in C order by its index along each axis."""
        found = 0
        for at, count in zip(index, self.counts, strict=True):
            found = found * count + at
        return found

    def box(self, number: int) -> Box:
        """Return the voxels of a block by its number in C order."""
        index = []
        for count in reversed(self.counts):
            number, at = divmod(number, count)
            index.append(at)
        origin = tuple(i * b for i, b in zip(reversed(index), self.block, strict=True))
        lengths = tuple(min(b, n - a) for a, b, n in zip(origin, self.block, self.shape, strict=True))
        return Box(origin, lengths)
