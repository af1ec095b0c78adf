"""Where the voxels of a target lie in its source: by a matrix, or point by point."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxarium.core.resampling.grid import MOST_SPACE
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.transforms import Transform

__all__ = ["Bent", "Bounds", "Positions", "Straight", "positions_of", "quantised"]

_Floats = NDArray[np.float64]

_FINE: Final = 2.0**24
_CELL: Final = 32
_TILES: Final = {1: (1, 1, 16384), 2: (1, 128, 128), 3: (16, 32, 32)}


def quantised(values: _Floats) -> _Floats:
    """Return positions as they are used: rounded to 2⁻²⁴ voxel, so that noise of the arithmetic does not show."""
    with np.errstate(over="ignore", invalid="ignore"):  # what is too large to be rounded lies outside of every image
        return np.rint(values * _FINE) / _FINE


@dataclass(frozen=True, slots=True)
class Bounds:
    """Smallest and greatest position in each of some cells; shape (cells, 3). A cell without points has NaN."""

    low: _Floats
    high: _Floats


class Positions(Protocol):
    """Positions in the source, of three axes; images of fewer space axes have axes of length 1 in front."""

    exact: bool

    def bounds(self, box: Box, /) -> Bounds:
        """Return where the cells of a box lie; exactly if `exact`, else as far as a lattice shows, and a margin."""

    def coarse(self, box: Box, /) -> Bounds:
        """Return where a box lies, as one cell."""

    def steps(self, shape: tuple[int, ...], /) -> _Floats:
        """Return how far, along each source axis, neighbouring voxels of the target lie apart, at the least."""


def positions_of(chain: Transform, shape: tuple[int, ...], source_ndim: int) -> Positions:
    """Return the positions that a chain, target index → source index, gives to a target of this shape.

    Raises
    ------
    InputError
        If the chain does not take that many axes, or gives another number.
    """
    try:
        matrix = chain.matrix(len(shape))
    except UnsupportedError:
        return Bent(chain, len(shape), source_ndim)
    if matrix.shape[0] != source_ndim:
        raise wrong_axes(matrix.shape[0], source_ndim)
    if not np.isfinite(matrix).all():
        raise InputError(
            "the transform has entries that are no numbers", code=Code.TRANSFORM_INVALID, fix="correct the transform"
        )
    lead = MOST_SPACE - source_ndim if source_ndim == len(shape) else MOST_SPACE
    return Straight(_padded(matrix, shape), lead)


def wrong_axes(given: int, wanted: int) -> InputError:
    """Return the error for a transform to another number of axes."""
    return InputError(
        f"the transform leads to {given} axes; the image has {wanted} space axes",
        code=Code.AXES_MISMATCH,
        fix="give a transform of space axes only, in the order of the images",
    )


def _padded(matrix: _Floats, shape: tuple[int, ...]) -> _Floats:
    """Return a matrix for three axes, without noise that would move no voxel of the target noticeably."""
    rows, columns = matrix.shape[0], len(shape)
    out = np.zeros((MOST_SPACE, MOST_SPACE + 1))
    out[MOST_SPACE - rows :, MOST_SPACE - columns : -1] = matrix[:, :-1]
    out[MOST_SPACE - rows :, -1] = matrix[:, -1]
    lengths = np.array([*(1,) * (MOST_SPACE - columns), *shape, 1], np.float64)
    whole = np.rint(out)
    return np.where(np.abs(out - whole) * np.maximum(lengths, 1.0) < 0.25 / _FINE, whole, out)


@dataclass(frozen=True, slots=True)
class Straight:
    """Positions by a matrix of shape (3, 4).

    Its `lead` first axes stand for no axis of source and target; 3 if these have different numbers of axes.
    """

    matrix: _Floats
    lead: int
    exact = True

    @property
    def shift(self) -> tuple[int, ...] | None:
        """How many voxels the target lies behind the source, where that is all the difference."""
        own = self.matrix[self.lead :, self.lead : -1]
        if self.lead == MOST_SPACE or not (own == np.eye(len(own))).all():
            return None
        moved = self.matrix[:, -1]
        return tuple(int(t) for t in moved) if (moved == np.rint(moved)).all() else None

    def bounds(self, box: Box, /) -> Bounds:
        """Return where the cells of a box lie, exactly."""
        starts = [np.arange(o, o + n, _CELL) for o, n in zip(box.origin, box.shape, strict=True)]
        cells = np.stack([g.ravel() for g in np.meshgrid(*starts, indexing="ij")], axis=1).astype(np.float64)
        last = np.minimum(cells + _CELL, np.array(box.stop, np.float64)) - 1.0
        return self._between(cells, last)

    def coarse(self, box: Box, /) -> Bounds:
        """Return where a box lies, as one cell."""
        first = np.array([box.origin], np.float64)
        return self._between(first, first + np.array(box.shape) - 1.0)

    def _between(self, first: _Floats, last: _Floats) -> Bounds:
        # As the kernel computes, step by step: rounding keeps the order of values, so corners are the extremes.
        m = self.matrix
        ends = []
        for low in (True, False):
            corner = np.where((m[None, :, :-1] >= 0) == low, first[:, None, :], last[:, None, :])
            with np.errstate(over="ignore", invalid="ignore"):
                start = (m[:, 3] + m[:, 0] * corner[..., 0]) + m[:, 1] * corner[..., 1]
                ends.append(quantised(start + m[:, 2] * corner[..., 2]))
        return Bounds(*ends)

    def steps(self, shape: tuple[int, ...], /) -> _Floats:
        """Return how far neighbouring voxels of the target lie apart along each source axis."""
        with np.errstate(over="ignore"):
            return np.asarray(np.linalg.norm(self.matrix[:, :-1], axis=1))


class Bent:
    """Positions by any transform.

    They are evaluated for whole tiles of a fixed grid, so that a point meets the same arithmetic whatever is read.
    """

    exact = False

    def __init__(self, chain: Transform, ndim: int, source_ndim: int) -> None:
        self.chain = chain
        self._ndim = ndim
        self._source_ndim = source_ndim
        self.tile = _TILES[ndim]
        self._check()

    def _check(self) -> None:
        found = self.chain.apply(np.zeros((1, self._ndim)))
        if found.shape[-1] != self._source_ndim:
            raise wrong_axes(found.shape[-1], self._source_ndim)

    def apply(self, points: _Floats) -> _Floats:
        """Return positions, shape (n, 3), of indices in the target, shape (n, 3); not rounded."""
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            found = self.chain.apply(points[:, MOST_SPACE - self._ndim :])
        out = np.zeros((len(points), MOST_SPACE))
        out[:, MOST_SPACE - self._source_ndim :] = found
        return out

    def evaluated(self, origin: tuple[int, ...]) -> _Floats:
        r"""Return the positions of the tile that begins at `origin`; shape (3, \*tile)."""
        axes = [np.arange(o, o + n, dtype=np.float64) for o, n in zip(origin, self.tile, strict=True)]
        points = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=1)
        return np.ascontiguousarray(quantised(self.apply(points)).T).reshape(MOST_SPACE, *self.tile)

    @cached_property
    def _lattice(self) -> _Floats:
        """Corners and middles of a tile; shape (3, 3, 3, 3), single for axes of length 1."""
        ticks = [np.array([0.0, (n - 1) / 2, n - 1]) for n in self.tile]
        return np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1)

    def bounds(self, box: Box, /) -> Bounds:
        """Return where the tiles of a box lie: 27 points of each, eight times the bend between them, and a voxel."""
        whole = box.snapped_to(self.tile)
        starts = [np.arange(o, o + n, t) for o, n, t in zip(whole.origin, whole.shape, self.tile, strict=True)]
        cells = np.stack([g.ravel() for g in np.meshgrid(*starts, indexing="ij")], axis=1).astype(np.float64)
        points = cells[:, None, None, None, :] + self._lattice
        found = self.apply(points.reshape(-1, MOST_SPACE)).reshape(len(cells), 3, 3, 3, MOST_SPACE)
        margin = np.ones((len(cells), MOST_SPACE))
        with np.errstate(invalid="ignore"):
            for axis in (1, 2, 3):
                bend = np.abs(np.diff(found, n=2, axis=axis))
                margin += np.nan_to_num(bend).max(axis=(1, 2, 3))
        flat = found.reshape(len(cells), -1, MOST_SPACE)
        low = np.where(np.isnan(flat), np.inf, flat).min(axis=1) - margin
        high = np.where(np.isnan(flat), -np.inf, flat).max(axis=1) + margin
        return Bounds(low, high)

    def coarse(self, box: Box, /) -> Bounds:
        """Return where a box lies, as one cell."""
        found = self.bounds(box)
        return Bounds(found.low.min(axis=0, keepdims=True), found.high.max(axis=0, keepdims=True))

    def steps(self, shape: tuple[int, ...], /) -> _Floats:
        """Return how far neighbouring voxels lie apart along each source axis, where they are closest."""
        ticks = [np.unique(np.linspace(0, n - 1, 5)) for n in (*(1,) * (MOST_SPACE - len(shape)), *shape)]
        points = np.array(list(itertools.product(*ticks)))
        squares = np.zeros((len(points), MOST_SPACE))
        for axis in range(MOST_SPACE - self._ndim, MOST_SPACE):
            half = np.zeros(MOST_SPACE)
            half[axis] = 0.5
            squares += (self.apply(points + half) - self.apply(points - half)) ** 2
        known = squares[np.isfinite(squares).all(axis=1)]
        return np.sqrt(known.min(axis=0)) if len(known) else np.zeros(MOST_SPACE)
