"""Values between the points of a grid: nearest, linear, and cubic B-splines that pass through the points."""

from __future__ import annotations

import itertools
import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["HALO", "MARGIN", "cubic_coefficients", "interpolate"]

_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]

_POLE: Final = math.sqrt(3.0) - 2.0
HALO: Final = 28
"""Points beyond a region that its coefficients depend on: further ones count for less than 1e-15."""
MARGIN: Final = {0: (0, 2), 1: (0, 2), 3: (2, 3)}
"""By order: points before and behind a cell of the grid that a value in it is made of, mirrored ends included."""


def cubic_coefficients(values: _Floats, ndim: int) -> _Floats:
    """Return the coefficients of the cubic B-spline through values, along the first `ndim` axes.

    The grid continues as its mirror image beyond its first and last points.
    """
    out = np.array(values, np.float64)
    for axis in range(ndim):
        if out.shape[axis] > 1:
            _filter_first(np.moveaxis(out, axis, 0))
    return out


def _filter_first(c: _Floats) -> None:
    """Filter along the first axis, in place: once upwards, once downwards."""
    count = len(c)
    c *= 6.0
    if count > 2 * HALO:  # the far end is too far away to be felt
        powers = _POLE ** np.arange(2 * HALO)
        first = np.tensordot(powers, c[: 2 * HALO], axes=1)
    else:
        powers = _POLE ** np.arange(count)
        powers[1:-1] += _POLE ** (2 * (count - 1) - np.arange(1, count - 1))
        first = np.tensordot(powers, c, axes=1) / (1.0 - _POLE ** (2 * (count - 1)))
    c[0] = first
    for i in range(1, count):
        c[i] += _POLE * c[i - 1]
    c[-1] = (_POLE / (_POLE * _POLE - 1.0)) * (c[-1] + _POLE * c[-2])
    for i in range(count - 2, -1, -1):
        c[i] = _POLE * (c[i + 1] - c[i])


def interpolate(
    values: _Floats, first: tuple[int, ...], shape: tuple[int, ...], points: _Floats, order: int
) -> _Floats:
    r"""Return values at points that lie in a part of a grid.

    Parameters
    ----------
    values : ndarray
        Of the part, shape (\\*part, components); coefficients for order 3.
    first : tuple of int
        Where the part begins in the grid.
    shape : tuple of int
        Of the grid; it is mirrored beyond its ends.
    points : ndarray
        Shape (N, axes), in indices of the grid, none beyond its first and last points.
    order : int
        0 nearest, 1 linear, 3 cubic.
    """
    if order == 0:
        at = np.floor(points + 0.5).astype(np.int64) - np.asarray(first)
        nearest: _Floats = values[tuple(at.T)]
        return nearest
    low = np.floor(points).astype(np.int64)
    taps = [
        (_mirrored(index, n) - start, weight)
        for n, start, (index, weight) in zip(
            shape, first, (_taps(low[:, i], points[:, i] - low[:, i], order) for i in range(len(shape))), strict=True
        )
    ]
    out = np.zeros((len(points), values.shape[-1]))
    for corner in itertools.product(range(order + 1), repeat=len(shape)):
        weight = math.prod((taps[i][1][k] for i, k in enumerate(corner)), start=np.ones(len(points)))
        out += values[tuple(taps[i][0][k] for i, k in enumerate(corner))] * weight[:, None]
    return out


def _taps(low: _Ints, t: _Floats, order: int) -> tuple[_Ints, list[_Floats]]:
    """Return the grid points a value depends on along one axis, and how much."""
    if order == 1:
        return np.stack([low, low + 1]), [1.0 - t, t]
    s = 1.0 - t
    weights = [
        s**3 / 6,
        (4 - 6 * t**2 + 3 * t**3) / 6,
        (4 - 6 * s**2 + 3 * s**3) / 6,
        t**3 / 6,
    ]
    return np.stack([low - 1, low, low + 1, low + 2]), weights


def _mirrored(index: _Ints, count: int) -> _Ints:
    if count == 1:
        return np.zeros_like(index)
    period = 2 * (count - 1)
    index = np.mod(index, period)
    return np.where(index >= count, period - index, index)
