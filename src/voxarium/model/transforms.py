"""Transforms between coordinate systems. They map points forward; index systems name voxel centres."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray
from typing_extensions import override

from voxarium.errors import Code, InputError, UnsupportedError

__all__ = [
    "Affine",
    "Identity",
    "MapAxis",
    "Rotation",
    "Scale",
    "Sequence",
    "Transform",
    "Translation",
    "scale_translation",
]

ROTATION_TOLERANCE: Final = 1e-6  # OME-Zarr 0.6 demands orthonormal, det +1, and names no tolerance (rule TR-016)


def invalid(message: str, fix: str) -> NoReturn:
    """Raise the error of a transform that cannot be."""
    raise InputError(message, code=Code.TRANSFORM_INVALID, fix=fix)


def not_invertible(what: str, why: str) -> NoReturn:
    """Raise the error of a transform without inverse."""
    raise UnsupportedError(
        f"{what} has no inverse: {why}",
        code=Code.NOT_INVERTIBLE,
        fix="map points in the forward direction, or give a transform that keeps every axis apart",
    )


def _numbers(values: Iterable[float], what: str) -> tuple[float, ...]:
    out = tuple(float(v) + 0.0 for v in values)  # + 0.0: no negative zeros, so that equal transforms look equal
    if not out or not all(map(math.isfinite, out)):
        invalid(f"{what} is {out}", "give one finite number per axis")
    return out


def checked_ndim(ndim: int | None, given: int) -> int:
    """Return `given` unless the number of axes is known to differ."""
    if ndim is not None and ndim != given:
        invalid(f"a transform of {ndim} axes meets {given} axes", "use a transform with one parameter per axis")
    return given


class Transform(ABC):
    """A map from points of one coordinate system to points of another."""

    __slots__ = ()

    @property
    def ndim_in(self) -> int | None:
        """Number of coordinates of an input point; None when any number will do."""
        return None

    @property
    def ndim_out(self) -> int | None:
        """Number of coordinates of an output point; None when it follows from the input."""
        return self.ndim_in

    @abstractmethod
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        """Map points of shape (..., ndim_in) to points of shape (..., ndim_out).

        Raises
        ------
        InputError
            If the points do not have `ndim_in` coordinates.
        UnsupportedError
            If the transform needs data that is not in memory (fields, matrices stored as arrays).
        """

    @abstractmethod
    def inverse(self) -> Transform:
        """Return the transform that maps outputs back to inputs.

        Raises
        ------
        UnsupportedError
            If there is none (`NOT_INVERTIBLE`).
        """

    @abstractmethod
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        """Return the affine matrix, of shape (outputs, ndim + 1), whose last column is the translation.

        Raises
        ------
        InputError
            If the transform does not take points of `ndim` coordinates.
        UnsupportedError
            If the transform is not affine.
        """

    def then(self, other: Transform) -> Transform:
        """Return the transform that applies this one and then `other`.

        Scales and translations that meet are merged into one scale followed by one translation.

        Examples
        --------
        >>> Translation((1.0, 0.0)).then(Scale((2.0, 3.0)))
        Sequence(transforms=(Scale(scale=(2.0, 3.0)), Translation(translation=(2.0, 0.0))))
        """
        steps: list[Transform] = []
        for t in itertools.chain(_steps(self), _steps(other)):
            _append(steps, t)
        if not steps:
            return Identity()
        return steps[0] if len(steps) == 1 else Sequence(tuple(steps))

    def _points(self, points: ArrayLike) -> NDArray[np.float64]:
        p = np.asarray(points, np.float64)
        if p.ndim == 0 or (self.ndim_in is not None and p.shape[-1] != self.ndim_in):
            invalid(
                f"points of shape {p.shape} do not fit a transform of {self.ndim_in} axes",
                "give points whose last axis holds one coordinate per axis",
            )
        return p


def _steps(t: Transform) -> Iterable[Transform]:
    if isinstance(t, Sequence):
        for inner in t.transforms:
            yield from _steps(inner)
    elif not isinstance(t, Identity):
        yield t


def _append(steps: list[Transform], t: Transform) -> None:
    """Add a step, keeping each run of scales and translations in the form scale, translation."""
    last = steps[-1] if steps else None
    if isinstance(t, Scale) and isinstance(last, Translation):
        steps.pop()
        checked_ndim(last.ndim_out, len(t.scale))
        _append(steps, t)
        steps.append(Translation(tuple(a * s for a, s in zip(last.translation, t.scale, strict=True))))
    elif isinstance(t, Scale) and isinstance(last, Scale):
        checked_ndim(last.ndim_out, len(t.scale))
        steps[-1] = Scale(tuple(a * b for a, b in zip(last.scale, t.scale, strict=True)))
    elif isinstance(t, Translation) and isinstance(last, Translation):
        checked_ndim(last.ndim_out, len(t.translation))
        steps[-1] = Translation(tuple(a + b for a, b in zip(last.translation, t.translation, strict=True)))
    else:
        steps.append(t)


@dataclass(frozen=True, slots=True)
class Identity(Transform):
    """Points stay where they are."""

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        return self._points(points)

    @override
    def inverse(self) -> Transform:
        return self

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        return np.eye(ndim, ndim + 1)


@dataclass(frozen=True, slots=True)
class Scale(Transform):
    """Multiply each coordinate. No factor is 0; a negative one mirrors its axis."""

    scale: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _numbers(self.scale, "scale"))
        if 0.0 in self.scale:
            invalid(
                f"scale {self.scale} has a 0",
                "give a distance between voxels for every axis",
            )

    @property
    @override
    def ndim_in(self) -> int:
        return len(self.scale)

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        return np.multiply(self._points(points), self.scale, dtype=np.float64)

    @override
    def inverse(self) -> Transform:
        return Scale(tuple(1.0 / s for s in self.scale))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        out = np.eye(checked_ndim(ndim, self.ndim_in), ndim + 1)
        np.fill_diagonal(out, self.scale)
        return out


@dataclass(frozen=True, slots=True)
class Translation(Transform):
    """Add to each coordinate."""

    translation: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "translation", _numbers(self.translation, "translation"))

    @property
    @override
    def ndim_in(self) -> int:
        return len(self.translation)

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        return np.add(self._points(points), self.translation, dtype=np.float64)

    @override
    def inverse(self) -> Transform:
        return Translation(tuple(-t for t in self.translation))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        out = np.eye(checked_ndim(ndim, self.ndim_in), ndim + 1)
        out[:, -1] = self.translation
        return out


def _rows(matrix: Iterable[Iterable[float]], what: str) -> tuple[tuple[float, ...], ...]:
    rows = tuple(_numbers(row, what) for row in matrix)
    if not rows or len({len(row) for row in rows}) != 1:
        invalid(f"{what} is not a matrix", "give rows of equal length")
    return rows


@dataclass(frozen=True, slots=True)
class Affine(Transform):
    """Multiply by the matrix of shape (M, N) and add its last, additional column: N axes in, M axes out."""

    rows: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", _rows(self.rows, "affine"))
        if len(self.rows[0]) < 2:
            invalid("affine has a single column", "give the matrix with the translation as its last column")

    @property
    @override
    def ndim_in(self) -> int:
        return len(self.rows[0]) - 1

    @property
    @override
    def ndim_out(self) -> int:
        return len(self.rows)

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        m = np.asarray(self.rows)
        out: NDArray[np.float64] = self._points(points) @ m[:, :-1].T + m[:, -1]
        return out

    @override
    def inverse(self) -> Transform:
        m = np.asarray(self.rows)
        linear = m[:, :-1]
        if self.ndim_in != self.ndim_out:
            not_invertible("the affine", f"it maps {self.ndim_in} axes to {self.ndim_out}")
        # Units may differ widely between axes: judge the matrix with columns and rows of unit length.
        even = linear / np.maximum(np.abs(linear).max(axis=0), 1e-300)
        even = even / np.maximum(np.abs(even).max(axis=1, keepdims=True), 1e-300)
        if not np.linalg.cond(even) < 1e14:
            not_invertible("the affine", "its matrix is singular")
        back = np.linalg.inv(linear)
        return Affine(tuple(map(tuple, np.column_stack([back, -back @ m[:, -1]]).tolist())))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        checked_ndim(ndim, self.ndim_in)
        return np.asarray(self.rows)


@dataclass(frozen=True, slots=True)
class Rotation(Transform):
    """Multiply by an orthonormal matrix with determinant +1 (to within 1e-6)."""

    rows: tuple[tuple[float, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "rows", _rows(self.rows, "rotation"))
        m = np.asarray(self.rows)
        if m.shape[0] != m.shape[1]:
            invalid(f"rotation has shape {m.shape}", "give a square matrix")
        with np.errstate(all="ignore"):  # huge numbers overflow; the comparison then fails, as it should
            even = np.abs(m @ m.T - np.eye(len(m))).max() <= ROTATION_TOLERANCE
            right = abs(np.linalg.det(m) - 1.0) <= ROTATION_TOLERANCE * len(m)
        if not (even and right):
            invalid("rotation is not orthonormal with determinant +1", "use an affine transform for this matrix")

    @property
    @override
    def ndim_in(self) -> int:
        return len(self.rows)

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        out: NDArray[np.float64] = self._points(points) @ np.asarray(self.rows).T
        return out

    @override
    def inverse(self) -> Transform:
        return Rotation(tuple(zip(*self.rows, strict=True)))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        checked_ndim(ndim, self.ndim_in)
        return np.column_stack([np.asarray(self.rows), np.zeros(ndim)])


@dataclass(frozen=True, slots=True)
class MapAxis(Transform):
    """Reorder the axes: output i takes input ``permutation[i]``.

    Examples
    --------
    >>> MapAxis((2, 0, 1)).apply((10, 20, 30)).tolist()
    [30.0, 10.0, 20.0]
    """

    permutation: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "permutation", tuple(self.permutation))
        if not self.permutation or sorted(self.permutation) != list(range(len(self.permutation))):
            invalid(
                f"axis map {self.permutation} is not a permutation",
                "name every input axis exactly once, from 0 on",
            )

    @property
    @override
    def ndim_in(self) -> int:
        return len(self.permutation)

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        return self._points(points)[..., list(self.permutation)]

    @override
    def inverse(self) -> Transform:
        return MapAxis(tuple(self.permutation.index(i) for i in range(len(self.permutation))))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        return np.eye(checked_ndim(ndim, self.ndim_in), ndim + 1)[list(self.permutation)]


def walk(steps: Iterable[Transform], ndim: int | None) -> int | None:
    """Follow the number of axes through a chain; None where it is not known."""
    for t in steps:
        if ndim is not None and t.ndim_in is not None:
            checked_ndim(t.ndim_in, ndim)
        if not isinstance(t, Identity):
            ndim = t.ndim_out
    return ndim


@dataclass(frozen=True, slots=True)
class Sequence(Transform):
    """Apply transforms one after another, first to last."""

    transforms: tuple[Transform, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "transforms", tuple(self.transforms))
        if not self.transforms:
            invalid("a sequence of transforms is empty", "use Identity()")
        walk(self.transforms, None)

    @property
    @override
    def ndim_in(self) -> int | None:
        first = next((t for t in self.transforms if not isinstance(t, Identity)), None)
        return None if first is None else first.ndim_in

    @property
    @override
    def ndim_out(self) -> int | None:
        return walk(self.transforms, self.ndim_in)

    @override
    def apply(self, points: ArrayLike) -> NDArray[np.float64]:
        p = self._points(points)
        for t in self.transforms:
            p = t.apply(p)
        return p

    @override
    def inverse(self) -> Transform:
        return Sequence(tuple(t.inverse() for t in reversed(self.transforms)))

    @override
    def matrix(self, ndim: int) -> NDArray[np.float64]:
        out = np.eye(ndim, ndim + 1)
        for t in self.transforms:
            m = t.matrix(len(out))
            out = m[:, :-1] @ out
            out[:, -1] += m[:, -1]
        return out


def scale_translation(transform: Transform, ndim: int) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return (scale, translation) of a transform that is no more than that, else None.

    Examples
    --------
    >>> scale_translation(Sequence((Scale((2.0, 4.0)), Translation((0.5, 1.5)))), 2)
    ((2.0, 4.0), (0.5, 1.5))
    """
    try:
        m = transform.matrix(ndim)
    except (InputError, UnsupportedError):
        return None
    if m.shape != (ndim, ndim + 1):
        return None
    scale = np.diagonal(m)
    if np.count_nonzero(m[:, :-1]) != ndim or not np.all(scale):
        return None
    return tuple(scale.tolist()), tuple(m[:, -1].tolist())
