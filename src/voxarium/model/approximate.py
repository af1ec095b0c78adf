"""Inverses by iteration, of transforms that have none in closed form. They are only made when asked for."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from voxarium.errors import Code, UnsupportedError
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Affine, Identity, Sequence, Transform, invalid
from voxarium.model.warps import AxisTransform, ByDimension, Coordinates, Displacements

__all__ = ["ApproximateInverse", "approximate_inverse"]

_Floats = NDArray[np.float64]
_PART: Final = 2**16


def approximate_inverse(transform: Transform, *, tolerance: float = 1e-6, most: int = 100) -> Transform:
    """Return a transform back: exact where there is one, by fixed-point iteration for fields and splines.

    Parameters
    ----------
    transform : Transform
        Forward; its fields must have been opened.
    tolerance : float
        How far from a point the image of the answer may lie, in units of the output.
    most : int
        Iterations. A point that needs more becomes NaN: it is never a guess.

    Raises
    ------
    UnsupportedError
        If part of the transform loses axes, or is neither a field nor a spline.
    """
    if not tolerance > 0 or most < 1:
        invalid(f"the tolerance is {tolerance}, the number of iterations {most}", "give positive ones")
    try:
        return transform.inverse()
    except UnsupportedError as error:
        problem = error
    match transform:
        case Sequence(steps):
            back = [approximate_inverse(t, tolerance=tolerance, most=most) for t in reversed(steps)]
            return Sequence(tuple(back))
        case ByDimension(items) if transform.ndim_in is not None:
            return ByDimension(
                tuple(
                    AxisTransform(
                        i.output_axes, i.input_axes, approximate_inverse(i.transform, tolerance=tolerance, most=most)
                    )
                    for i in items
                )
            )
        case Displacements() if transform.field is not None:
            return ApproximateInverse(transform, Identity(), tolerance, most)
        case Coordinates() if transform.field is not None and transform.ndim_in == transform.ndim_out:
            return ApproximateInverse(transform, _back(transform, _samples(transform)), tolerance, most)
        case ThinPlateSpline(source, _):
            return ApproximateInverse(transform, _back(transform, np.asarray(source)), tolerance, most)
        case _:
            raise problem


def _samples(transform: Coordinates) -> _Floats:
    """Return points all over a field."""
    if transform.field is None:  # the caller has looked
        return np.empty((0, 0))
    axes = [np.unique(np.linspace(0, n - 1, 5)) for n in transform.field.source.shape]
    index = np.array(list(itertools.product(*axes)))
    return transform.field.to_index.inverse().apply(index)


def _back(transform: Transform, points: _Floats) -> Transform:
    """Return the inverse of the affine transform that is nearest to a transform at some points."""
    images = transform.apply(points)
    rows = np.column_stack([points, np.ones(len(points))])
    fitted = np.linalg.lstsq(rows, images, rcond=None)[0].T
    try:
        return Affine(tuple(map(tuple, fitted.tolist()))).inverse()
    except UnsupportedError:
        return Identity()


@dataclass(frozen=True, slots=True)
class ApproximateInverse(Transform):
    """The way back through `forward`, found by iteration: the answer is corrected by what `guess` makes of the error.

    Points for which `most` iterations do not come within `tolerance` become NaN.
    """

    forward: Transform
    guess: Transform
    tolerance: float = 1e-6
    most: int = 100

    @property
    @override
    def ndim_in(self) -> int | None:
        return self.forward.ndim_out

    @property
    @override
    def ndim_out(self) -> int | None:
        return self.forward.ndim_in

    @override
    def apply(self, points: ArrayLike) -> _Floats:
        p = self._points(points)
        flat = p.reshape(-1, p.shape[-1])
        out = np.empty_like(flat)
        for start in range(0, len(flat), _PART):
            out[start : start + _PART] = self._solved(flat[start : start + _PART])
        return out.reshape(p.shape)

    def _solved(self, goal: _Floats) -> _Floats:
        out = np.full_like(goal, np.nan)
        at = np.array(self.guess.apply(goal))
        zero = self.guess.apply(np.zeros((1, goal.shape[-1])))
        left = np.flatnonzero(np.isfinite(goal).all(axis=-1))
        for _ in range(self.most):
            if not len(left):
                break
            with np.errstate(all="ignore"):  # what runs away is left as NaN
                error = goal[left] - self.forward.apply(at[left])
                size = np.abs(error).max(axis=-1)
            done = size <= self.tolerance
            out[left[done]] = at[left[done]]
            going = ~done & (size < math.inf)
            left, error = left[going], error[going]
            at[left] += self.guess.apply(error) - zero
        return out

    @override
    def inverse(self) -> Transform:
        return self.forward

    @override
    def matrix(self, ndim: int) -> _Floats:
        raise UnsupportedError(
            "an approximate inverse is no affine transform",
            code=Code.FEATURE_UNSUPPORTED,
            fix="apply it to points instead",
        )
