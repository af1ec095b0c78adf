"""Thin plate splines: the smoothest map that takes some points exactly to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from voxarium.errors import Code, UnsupportedError
from voxarium.model.transforms import Transform, invalid, not_invertible

__all__ = ["ThinPlateSpline"]

_MOST: Final = 4000  # solving takes a matrix of this size squared
_PART: Final = 4096


@dataclass(frozen=True, slots=True)
class ThinPlateSpline(Transform):
    """Take each point of `source` to its partner in `target`, and bend as little as possible in between.

    The kernel is the distance in three dimensions and r² log r in two.

    Examples
    --------
    >>> corners = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
    >>> spline = ThinPlateSpline(corners, tuple((y + 2, x) for y, x in corners))
    >>> spline.apply((0.5, 0.25)).round(9).tolist()
    [2.5, 0.25]
    """

    source: tuple[tuple[float, ...], ...]
    target: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        rows = (*self.source, *self.target)
        even = len(self.source) == len(self.target) and len({len(r) for r in rows}) == 1
        if not even or not self.source or not np.isfinite(np.asarray(rows, np.float64)).all():
            invalid("the points of a thin plate spline are not pairs", "give as many target points as source points")

    @property
    @override
    def ndim_in(self) -> int:
        return len(self.source[0])

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        p = self._points(points)
        flat = p.reshape(-1, self.ndim_in)
        weights = self._weights()
        out = np.empty_like(flat)
        for start in range(0, len(flat), _PART):
            out[start : start + _PART] = self._basis(flat[start : start + _PART]) @ weights
        return out.reshape(p.shape)

    def _basis(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return kernel values to every source point, then 1 and the coordinates, for each point."""
        away = np.linalg.norm(points[:, None, :] - np.asarray(self.source)[None], axis=-1)
        if self.ndim_in == 2:
            with np.errstate(divide="ignore", invalid="ignore"):
                away = np.where(away > 0, away**2 * np.log(away), 0.0)
        return np.column_stack([away, np.ones(len(points)), points])

    def _weights(self) -> NDArray[np.float64]:
        count, ndim = len(self.source), self.ndim_in
        if count > _MOST:
            raise UnsupportedError(
                f"a thin plate spline through {count} points is not evaluated",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f"use at most {_MOST} pairs of points",
            )
        top = self._basis(np.asarray(self.source))
        whole = np.zeros((count + ndim + 1, count + ndim + 1))
        whole[:count] = top
        whole[count:, :count] = top[:, count:].T
        goal = np.zeros((count + ndim + 1, ndim))
        goal[:count] = self.target
        # Points in one plane leave the spline undetermined across it: the smallest solution is as good as any.
        return np.asarray(np.linalg.lstsq(whole, goal, rcond=None)[0], np.float64)

    @override
    def inverse(self) -> Transform:
        not_invertible("a thin plate spline", "its inverse is not another one")

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        raise UnsupportedError(
            "a thin plate spline is not an affine transform",
            code=Code.FEATURE_UNSUPPORTED,
            fix="apply it to points instead",
        )
