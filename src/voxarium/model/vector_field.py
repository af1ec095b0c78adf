"""Fields of vectors on a grid: of displacements or coordinates, read where they are needed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.splines import HALO, MARGIN, cubic_coefficients, interpolate
from voxarium.model.transforms import Identity, Transform, invalid

__all__ = ["INTERPOLATIONS", "ArrayField", "FieldSource", "VectorField"]

_Floats = NDArray[np.float64]

INTERPOLATIONS: Final = {"nearest": 0, "linear": 1, "bspline-cubic": 3}
_BUDGET: Final = 64 * 2**20  # bytes of blocks kept per field
_VOXELS: Final = {0: 2**15, 1: 2**15, 3: 2**18}  # of a block: cubic ones are read with a wide halo
_PART: Final = 2**16  # points at a time
_MOST_AXES: Final = 8


class FieldSource(Protocol):
    """Vectors on a grid."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Grid points along each axis, without the one of the components."""

    @property
    def components(self) -> int:
        """Numbers of a vector."""

    def read(self, box: Box, /) -> NDArray[Any]:  # Any: any real type
        r"""Return the vectors of a region of the grid; shape (\\*box.shape, components)."""


@dataclass(frozen=True, slots=True, eq=False)
class ArrayField:
    r"""Vectors in memory; shape (\\*grid, components)."""

    vectors: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Grid points along each axis."""
        return self.vectors.shape[:-1]

    @property
    def components(self) -> int:
        """Numbers of a vector."""
        return int(self.vectors.shape[-1])

    def read(self, box: Box, /) -> NDArray[Any]:
        """Return the vectors of a region."""
        part: NDArray[Any] = self.vectors[tuple(slice(a, a + n) for a, n in zip(box.origin, box.shape, strict=True))]
        return part


class VectorField:
    """A field of vectors: a grid, and where its points lie.

    Blocks of the grid are read when a point falls into them; the last ones are kept, at most 64 MiB per field. A field
    reaches half a grid step beyond its outermost points, where the values of the edge hold.

    Parameters
    ----------
    source : FieldSource
        The vectors.
    to_index : Transform
        From the coordinates of points to indices of the grid (of its points, counted from 0).
    interpolation : str
        nearest, linear, or bspline-cubic (through the points, mirrored at the edges).
    """

    def __init__(self, source: FieldSource, to_index: Transform | None = None, interpolation: str = "linear") -> None:
        if interpolation not in INTERPOLATIONS:
            raise UnsupportedError(
                f"fields are not interpolated by {interpolation!r}",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f"state one of {', '.join(INTERPOLATIONS)}",
            )
        if not 0 < len(source.shape) <= _MOST_AXES or min(source.shape) < 1 or not 0 < source.components <= 32:
            invalid(
                f"a field has the shape {source.shape} with vectors of {source.components} numbers",
                "give a grid of 1 to 8 axes that is not empty",
            )
        self.source = source
        self.to_index = Identity() if to_index is None else to_index
        self.interpolation = interpolation
        self._order = INTERPOLATIONS[interpolation]
        edge = max(4, int(_VOXELS[self._order] ** (1 / len(source.shape))))
        self._edges = tuple(min(n, edge) for n in source.shape)
        size = math.prod(n + 5 for n in self._edges) * source.components * 8
        self._block = lru_cache(max(2, _BUDGET // size))(self._load)

    @property
    def ndim(self) -> int:
        """Number of axes of the grid."""
        return len(self.source.shape)

    def at(self, points: _Floats) -> tuple[_Floats, NDArray[np.bool_]]:
        """Return the vectors at points of shape (N, axes), and which of them lie inside; outside, vectors are 0."""
        out = np.zeros((len(points), self.source.components))
        inside = np.zeros(len(points), np.bool_)
        last = np.asarray(self.source.shape, np.float64) - 1.0
        for start in range(0, len(points), _PART):
            stop = start + _PART
            index = self.to_index.apply(points[start:stop])
            if index.shape[-1] != self.ndim:
                raise InputError(
                    f"points of {points.shape[-1]} axes do not fit a field of {self.ndim}",
                    code=Code.TRANSFORM_INVALID,
                    fix="correct the axes of the field, or the systems that it joins",
                )
            within = ((index >= -0.5) & (index < last + 0.5)).all(axis=-1)  # False for what is no number
            held = np.clip(index[within], 0.0, last)
            found = np.empty((len(held), self.source.components))
            for chosen, block in self._blocks(held):
                first, values = self._block(block)
                found[chosen] = interpolate(values, first, self.source.shape, held[chosen], self._order)
            out[start:stop][within] = found
            inside[start:stop] = within
        return out, inside

    def _blocks(self, index: _Floats) -> Iterator[tuple[NDArray[np.int64], tuple[int, ...]]]:
        """Yield which points lie in a block, and the block."""
        if not len(index):
            return
        cells = np.floor(index).astype(np.int64) // np.asarray(self._edges)
        order = np.lexsort(cells.T[::-1])
        cells = cells[order]
        new = np.flatnonzero((cells[1:] != cells[:-1]).any(axis=1)) + 1
        for chosen in np.split(order, new):
            block = np.floor(index[chosen[0]]).astype(np.int64) // np.asarray(self._edges)
            yield chosen, tuple(block.tolist())

    def _load(self, block: tuple[int, ...]) -> tuple[tuple[int, ...], _Floats]:
        """Return where a block begins, and its values or coefficients."""
        before, behind = MARGIN[self._order]
        halo = HALO if self._order == 3 else 0
        shape = self.source.shape
        spans = [(b * e, min((b + 1) * e, n)) for b, e, n in zip(block, self._edges, shape, strict=True)]
        lows = [max(0, a - before) for a, _ in spans]
        highs = [min(n, b + behind) for (_, b), n in zip(spans, shape, strict=True)]
        wide_lows = [max(0, a - halo) for a in lows]
        wide_highs = [min(n, b + halo) for b, n in zip(highs, shape, strict=True)]
        values = np.asarray(self.source.read(Box.from_bounds(tuple(wide_lows), tuple(wide_highs))), np.float64)
        if halo:
            values = cubic_coefficients(values, self.ndim)
            values = values[tuple(slice(a - w, b - w) for a, b, w in zip(lows, highs, wide_lows, strict=True))].copy()
        return tuple(lows), values
