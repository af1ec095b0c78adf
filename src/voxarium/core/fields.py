"""Transforms whose numbers lie in arrays: opened from the store when they are needed."""

from __future__ import annotations

import math
import posixpath
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.errors import Code, FormatError, InputError, NotFoundError, VoxariumError
from voxarium.model.box import Box
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.transforms import Affine, Rotation, Scale, Sequence, Transform, Translation
from voxarium.model.vector_field import VectorField
from voxarium.model.warps import AxisTransform, Bijection, ByDimension, Coordinates, Displacements, Unresolved

__all__ = ["resolved"]

_MOST_NUMBERS: Final = 4096  # of a matrix that is stored as an array
_VECTORS: Final = ("displacement", "coordinate")


def resolved(transform: Transform, store: ReadableStore, folder: str) -> Transform:
    """Return a transform with its matrices read and its fields opened; their vectors are read when points need them.

    Parameters
    ----------
    transform : Transform
        With paths relative to `folder`.
    store : ReadableStore
        Where the arrays are.
    folder : str
        Path of the group that states the transform.

    Raises
    ------
    FormatError
        If a path leads nowhere or out of the store, or what is there does not fit the transform.
    """
    match transform:
        case Sequence(steps):
            return Sequence(tuple(resolved(t, store, folder) for t in steps))
        case ByDimension(items):
            return ByDimension(
                tuple(AxisTransform(i.input_axes, i.output_axes, resolved(i.transform, store, folder)) for i in items)
            )
        case Bijection(forward, backward):
            return Bijection(resolved(forward, store, folder), resolved(backward, store, folder))
        case Displacements() | Coordinates() if transform.field is None:
            kind = _VECTORS[0] if isinstance(transform, Displacements) else _VECTORS[1]
            field = _open_field(store, _key(folder, transform.path), transform.interpolation, kind)
            return _checked(lambda: replace(transform, field=field), transform.path)
        case Unresolved(kind, str(path)) if kind in _MATRICES:
            numbers = _numbers(store, _key(folder, path))
            return _checked(lambda: _MATRICES[kind](numbers), path)
        case _:
            return transform


def _wrong(path: str, what: str, fix: str) -> FormatError:
    return FormatError(f"the transform at {path!r} {what}", code=Code.METADATA_INVALID, fix=fix)


def _checked(make: Callable[[], Transform], path: str) -> Transform:
    try:
        return make()
    except InputError as error:
        raise _wrong(path, f"cannot be used: {error.message}", error.fix) from error


def _key(folder: str, path: str) -> str:
    """Return the path of an array; it lies below the group that names it, with or without a slash in front."""
    try:
        return posixpath.join(folder, checked_key(path.strip("/")))
    except InputError as error:
        raise FormatError(
            f"a transform names the array {path!r}, which is not below its group",
            code=Code.KEY_UNSAFE,
            fix="correct the path in the metadata",
        ) from error


def _open(store: ReadableStore, path: str) -> Image:
    try:
        return open_image(store, path)
    except NotFoundError as error:
        raise FormatError(
            f"a transform names {path!r}, where nothing can be opened: {error.message}",
            code=Code.LEVEL_MISSING,
            fix="copy the missing array, or correct the path",
        ) from error


def _numbers(store: ReadableStore, path: str) -> Any:  # Any: a nested list of numbers
    array = _open(store, path).arrays[0]
    if math.prod(array.shape) > _MOST_NUMBERS or array.dtype.kind not in "iuf":
        raise _wrong(path, f"is an array of {array.shape} {array.dtype}, no matrix", "correct the path")
    return np.asarray(array.read(), np.float64).tolist()


_MATRICES: Final[dict[str, Callable[[Any], Transform]]] = {
    "affine": lambda found: Affine(_rows(found)),
    "rotation": lambda found: Rotation(_rows(found)),
    "scale": lambda found: Scale(_row(found)),
    "translation": lambda found: Translation(_row(found)),
}


def _row(found: Any) -> tuple[float, ...]:
    if isinstance(found, list) and found and all(isinstance(v, float) for v in found):
        return tuple(found)
    raise InputError("its array is no row of numbers", code=Code.TRANSFORM_INVALID, fix="store one number per axis")


def _rows(found: Any) -> tuple[tuple[float, ...], ...]:
    if isinstance(found, list) and found:
        return tuple(map(_row, found))
    raise InputError("its array is no matrix", code=Code.TRANSFORM_INVALID, fix="store a matrix, row by row")


@dataclass(frozen=True, slots=True, eq=False)
class _StoredField:
    """The vectors of an image: the axis of their components goes last."""

    array: Array
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape[: self.axis] + self.array.shape[self.axis + 1 :]

    @property
    def components(self) -> int:
        return self.array.shape[self.axis]

    def read(self, box: Box, /) -> NDArray[Any]:
        def whole(values: tuple[int, ...], at_axis: int) -> tuple[int, ...]:
            return (*values[: self.axis], at_axis, *values[self.axis :])

        region = Box(whole(box.origin, 0), whole(box.shape, self.components))
        return np.moveaxis(self.array.read(region, threads=1), self.axis, -1)


def _open_field(store: ReadableStore, path: str, interpolation: str, kind: str) -> VectorField:
    image = _open(store, path)
    axes = [i for i, a in enumerate(image.axes) if a.type in _VECTORS]
    if len(axes) != 1 or image.axes[axes[0]].type != kind or image.ndim < 2:
        names = ", ".join(f"{a.name} ({a.type})" for a in image.axes)
        raise _wrong(path, f"has the axes {names}, not one of type {kind}", "give its vectors an axis of this type")
    if image.dtype.kind not in "iuf":
        raise _wrong(path, f"holds {image.dtype}, no real numbers", "store the vectors as float32 or float64")
    axis = axes[0]
    try:
        matrix = image.levels[0].transform.matrix(image.ndim)
    except VoxariumError as error:
        raise _wrong(path, f"is not placed by an affine: {error.message}", error.fix) from error
    rest = [i for i in range(image.ndim) if i != axis]
    if matrix.shape[0] != image.ndim or matrix[rest, axis].any():
        raise _wrong(path, "mixes the components of its vectors with its axes", "correct its transform")
    rows = matrix[np.ix_(rest, [*rest, image.ndim])]
    try:
        to_index = Affine(tuple(map(tuple, rows.tolist()))).inverse()
        return VectorField(_StoredField(image.arrays[0], axis), to_index, interpolation)
    except VoxariumError as error:
        raise _wrong(path, f"cannot be used: {error.message}", error.fix) from error
