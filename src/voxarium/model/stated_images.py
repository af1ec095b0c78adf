"""From what the documents of a convention state to an image: the part that all conventions have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.axes import Axis, canonical_unit, guess_axis_type
from voxarium.model.image import (
    ArrayInfo,
    Bag,
    Display,
    ImageInfo,
    LevelInfo,
    Role,
    SourceRecord,
    TransformEdge,
    Value,
)
from voxarium.model.keys import resolved_key
from voxarium.model.transforms import Affine, Scale, Transform, Translation, scale_translation

__all__ = [
    "WORLD",
    "StatedImage",
    "StatedLevel",
    "affine_transform",
    "axes_named",
    "check_levels",
    "half_pixel",
    "malformed",
    "open_levels",
    "plain_transform",
    "ratio",
    "scale_and_translation",
    "short_unit",
    "stated_unit",
    "window_factors",
]

WORLD: Final = "physical"
_NO_UNIT: Final = frozenset({"", "px", "pixel", "pixels", "voxel", "voxels", "none", "null", "unitless"})
_SHORT: Final = {
    "nanometer": "nm", "micrometer": "um", "millimeter": "mm", "centimeter": "cm", "meter": "m", "picometer": "pm",
    "second": "s", "millisecond": "ms", "microsecond": "us", "nanosecond": "ns",
}  # fmt: skip


def malformed(where: str, message: str, fix: str) -> NoReturn:
    """Raise the error of metadata that cannot be read."""
    raise FormatError(f"{where} {message}", code=Code.METADATA_INVALID, fix=fix)


# ------------------------------------------------------------------------------------------------ axes and units
def stated_unit(unit: Any) -> str | None:
    """Return the unit of a file in the form of this library; None when it names none.

    Examples
    --------
    >>> stated_unit("nm"), stated_unit("pixel"), stated_unit(3)
    ('nanometer', None, None)
    """
    if not isinstance(unit, str) or unit.strip().lower() in _NO_UNIT:
        return None
    return canonical_unit(unit.strip())


def short_unit(unit: str | None) -> str:
    """Return the short form of a unit, ``pixel`` for none.

    Examples
    --------
    >>> short_unit("nanometer"), short_unit(None), short_unit("angstrom")
    ('nm', 'pixel', 'angstrom')
    """
    return "pixel" if unit is None else _SHORT.get(unit, unit)


def axes_named(names: Sequence[str], units: Sequence[str | None], where: str) -> tuple[Axis, ...]:
    """Return axes, in stored order; FormatError when a name is empty or comes twice."""
    if len(set(names)) != len(names) or not all(names):
        malformed(where, f"names its axes {', '.join(map(repr, names))}", "give every axis a name of its own")
    return tuple(Axis(name=n, type=guess_axis_type(n), unit=u) for n, u in zip(names, units, strict=True))


# ---------------------------------------------------------------------------------------------------- transforms
def plain_transform(scale: Sequence[float], translation: Sequence[float], where: str) -> Transform:
    """Return scale and then translation; FormatError when a scale is 0."""
    try:
        return Scale(tuple(scale)).then(Translation(tuple(translation)))
    except InputError as error:
        malformed(where, f"cannot be used: {error.message}", error.fix)


def affine_transform(matrix: NDArray[np.float64], where: str) -> Transform:
    """Return the transform of a matrix, as scale and translation where it is no more."""
    try:
        full = Affine(tuple(map(tuple, matrix.tolist())))
    except InputError as error:
        malformed(where, f"cannot be used: {error.message}", error.fix)
    pair = scale_translation(full, len(matrix))
    return full if pair is None else Scale(pair[0]).then(Translation(pair[1]))


def half_pixel(factors: Sequence[float]) -> Transform:
    """Return the map from voxels of a level to those of level 0 that average windows: ``f·i + (f − 1)/2``.

    Examples
    --------
    >>> half_pixel((1, 4)).apply((5, 5)).tolist()
    [5.0, 21.5]
    """
    return Scale(tuple(factors)).then(Translation(tuple((f - 1) / 2 for f in factors)))


def ratio(a: float, b: float) -> float:
    """Return a/b, as a whole number when it is one but for rounding: 0.6/0.2 is 3.

    Examples
    --------
    >>> ratio(0.6, 0.2), ratio(1.2, 0.4), ratio(5.0, 2.0)
    (3.0, 3.0, 2.5)
    """
    found = a / b
    nearest = round(found)
    return float(nearest) if nearest and math.isclose(found, nearest, rel_tol=1e-6) else found


# ---------------------------------------------------------------------------------------------------------- reading
@dataclass(frozen=True, slots=True, kw_only=True)
class StatedLevel:
    """Where a level is, below the image, how its voxel centres map to the world, and the numbers this came from."""

    path: str
    transform: Transform
    original: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True, kw_only=True)
class StatedImage:
    """What documents say of an image, before its arrays are looked at.

    Parameters
    ----------
    axes : tuple of Axis
        In C order, the slowest first.
    levels : tuple of StatedLevel
        Finest first, where the documents list them so.
    metadata : mapping
        The documents, unchanged.
    extra : mapping
        Their keys that nobody here understands.
    notes : tuple of str
        What was guessed, mapped or in conflict.
    """

    format: str
    axes: tuple[Axis, ...]
    levels: tuple[StatedLevel, ...]
    metadata: Mapping[str, Any]  # Any: JSON as found
    name: str = ""
    role: Role = "intensity"
    axes_stated: bool = True
    spec_version: str | None = None
    display: Display = field(default_factory=Display)
    value: Value = field(default_factory=Value)
    edges: tuple[TransformEdge, ...] = ()
    largest_label: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    notes: tuple[str, ...] = ()

    def with_arrays(self, arrays: Mapping[str, ArrayInfo], more: Iterable[str] = ()) -> ImageInfo:
        """Return the image; `arrays` holds the array of each level by its path, `more` are further notes.

        Raises
        ------
        FormatError
            If an array has another number of axes than stated.
        """
        notes = [*self.notes, *more]
        names = ", ".join(a.name for a in self.axes)
        for level in self.levels:
            if arrays[level.path].ndim != len(self.axes):
                malformed(
                    f"the image has the axes {names}, but its level {level.path or 'array'!r}",
                    f"has {arrays[level.path].ndim} axes",
                    "correct the list of axes, or the path of the level",
                )
        levels = sorted(self.levels, key=lambda lv: -math.prod(arrays[lv.path].shape))
        if levels != list(self.levels):
            notes.append("the levels are not stated from fine to coarse; sorted by size")
        first = arrays[levels[0].path].dtype
        notes += [
            f"level {lv.path!r} has type {arrays[lv.path].dtype}, the finest one {first}"
            for lv in levels
            if arrays[lv.path].dtype != first
        ]
        role = self.role
        if role == "label" and first.kind not in "iu":
            role = "intensity"
            notes.append(f"not taken for labels, which are integers: the type is {first}")
        record = SourceRecord(
            format=self.format, spec_version=self.spec_version, metadata=self.metadata, notes=tuple(notes)
        )
        return ImageInfo(
            format=self.format,
            axes=self.axes,
            levels=tuple(LevelInfo(path=v.path, array=arrays[v.path], transform=v.transform) for v in levels),
            name=self.name,
            role=role,
            largest_label=self.largest_label if role == "label" else None,
            spec_version=self.spec_version,
            axes_stated=self.axes_stated,
            world=WORLD,
            edges=(
                *(
                    TransformEdge(
                        source=v.path, target=WORLD, transform=v.transform, role=self.format, original=v.original
                    )
                    for v in levels
                ),
                *self.edges,
            ),
            display=self.display,
            value=self.value,
            bag=Bag(records=(record,), extra=self.extra),
        )


def open_levels(path: str, names: Iterable[str], open_array: Callable[[str], ArrayInfo]) -> dict[str, ArrayInfo]:
    """Return the array of each level by its path, relative to the image.

    Raises
    ------
    FormatError
        If one cannot be opened.
    """
    found: dict[str, ArrayInfo] = {}
    for name in names:
        key = resolved_key(path, name)
        try:
            found[name] = open_array(key)
        except NotFoundError as error:
            raise FormatError(
                f"the image lists the level {key!r}, where no array can be opened: {error.message}",
                code=Code.LEVEL_MISSING,
                fix="copy the missing level, or remove it from the list of levels",
            ) from error
    return found


# ---------------------------------------------------------------------------------------------------------- writing
def scale_and_translation(image: ImageInfo, level: int, convention: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation of a level.

    Raises
    ------
    UnsupportedError
        If the level's transform is more than that.
    """
    found = scale_translation(image.levels[level].transform, len(image.axes))
    if found is not None:
        return found
    raise UnsupportedError(
        f"level {level} is rotated, sheared or warped, which {convention} cannot express",
        code=Code.FEATURE_UNSUPPORTED,
        fix="write ome-zarr 0.6, which holds such transforms",
    )


def check_levels(image: ImageInfo, convention: str) -> None:
    """Raise InputError unless the image has levels of one type and of as many axes as it names."""
    if not image.levels:
        raise InputError("the image has no level", code=Code.ARGUMENT_INVALID, fix="give at least the full resolution")
    first = image.levels[0].array
    for level in image.levels:
        if level.array.ndim != len(image.axes) or level.array.dtype != first.dtype:
            raise InputError(
                f"level {level.path!r} is {level.array.dtype} of shape {level.array.shape}, the first one "
                f"{first.dtype} with {len(image.axes)} axes; {convention} needs all levels alike",
                code=Code.AXES_MISMATCH,
                fix="write all levels with one type and the same axes",
            )


def window_factors(image: ImageInfo, level: int, convention: str) -> tuple[int, ...]:
    """Return the whole factors by which a level is coarser than the first, as means of windows are.

    Raises
    ------
    InputError
        If it is not: its readers would misplace it.
    UnsupportedError
        If a transform is no matrix.
    """
    ndim = len(image.axes)
    try:
        fine, own = (image.levels[i].transform.matrix(ndim) for i in (0, level))
        relative = np.linalg.inv(fine[:, :-1]) @ np.column_stack([own[:, :-1], own[:, -1] - fine[:, -1]])
    except np.linalg.LinAlgError:
        relative = np.full((ndim, ndim + 1), np.nan)
    factors = np.diagonal(relative)
    whole = np.rint(np.where(np.isfinite(factors), factors, 0.0))
    expected = np.column_stack([np.diag(whole), (whole - 1) / 2])
    if min(whole, default=0) >= 1 and np.allclose(relative, expected, rtol=1e-6, atol=1e-6):
        return tuple(int(f) for f in whole)
    raise InputError(
        f"level {level} does not stand where means of whole windows do, as readers of {convention} assume",
        code=Code.TRANSFORM_INVALID,
        fix="make levels with --method mean or mode and whole factors, or write cosem, which states every position",
    )
