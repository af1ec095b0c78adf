"""n5-viewer's and Neuroglancer's metadata of pyramids in N5. JSON in and out, no I/O.

All lists are in the order of N5's dimensions, (x, y, z). A group may state ``axes``, ``units`` with ``resolution``
(Neuroglancer) or ``pixelResolution`` (n5-viewer), and the factors of all levels as ``scales`` or
``downsamplingFactors``; a level its own ``downsamplingFactors`` and the ``pixelResolution`` of level 0. Where no
factors are stated, the number in a level's name is a power of two. Levels hold means of windows, so they are
shifted by half a voxel without saying so: ``0.5·(f − 1)``. An ``affineTransform`` of a level comes on top.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, InputError
from voxarium.model.attribute_documents import is_array, kept_attributes, numbers, texts, unknown_attributes
from voxarium.model.axes import Axis
from voxarium.model.image import ImageInfo
from voxarium.model.stated_images import (
    StatedImage,
    StatedLevel,
    affine_transform,
    axes_named,
    check_levels,
    half_pixel,
    malformed,
    plain_transform,
    scale_and_translation,
    short_unit,
    stated_unit,
    window_factors,
)
from voxarium.model.transforms import Transform

__all__ = ["FORMAT", "check_image", "dump_group", "dump_level", "joined", "parse_image"]

FORMAT: Final = "n5-viewer"
_KNOWN: Final = frozenset(
    {"axes", "units", "resolution", "pixelResolution", "scales", "downsamplingFactors", "affineTransform"}
    | {"coordinateArrays"}
)
_DEFAULT_AXES: Final = ("x", "y", "z", "t", "c")  # Neuroglancer's
_BEYOND: Final = ("painteraData", "multiScale", "spatialTransform")  # marks of other conventions
_MAX_FACTOR: Final = 1e9


@dataclass(frozen=True, slots=True)
class _Resolution:
    """Size of a voxel of level 0, (x, y, z), with a unit per axis."""

    sizes: tuple[float, ...]
    units: tuple[str | None, ...]

    def over(self, ndim: int) -> _Resolution:
        """Return it for more axes: those behind the spatial ones count by 1."""
        more = ndim - len(self.sizes)
        return _Resolution(self.sizes + (1.0,) * more, self.units + (None,) * more)


@dataclass(slots=True)
class _Reader:
    group: Mapping[str, Any]
    levels: Mapping[str, Mapping[str, Any]]
    ndim: int
    notes: list[str] = field(default_factory=list)

    def axes(self) -> tuple[tuple[str, ...], bool]:
        """Return the names of the axes, the fastest first, and whether anybody stated them."""
        stated = self.group.get("axes", next(iter(self.levels.values())).get("axes"))
        names = texts(stated, self.ndim)
        if names is not None:
            return names, True
        if stated is not None:
            malformed("axes", f"is not a list of {self.ndim} names", "name every dimension, as in x, y, z")
        if self.ndim > 3:
            self.notes.append("no axes are stated; more than three have no agreed order")
        names = _DEFAULT_AXES[: self.ndim] + tuple(f"d{i}" for i in range(len(_DEFAULT_AXES), self.ndim))
        return names, self.ndim <= 3

    def resolution(self) -> _Resolution:
        """Return what the group states, else what level 0 states."""
        found = _stated_resolution(self.group, self.ndim)
        own = {p: _stated_resolution(a, self.ndim) for p, a in self.levels.items()}
        first = next(iter(own.values()))
        if found is None:
            found = first
        if found is None:
            self.notes.append("no voxel size is stated; voxels count by 1")
            return _Resolution((1.0,) * self.ndim, (None,) * self.ndim)
        others = [p for p, r in own.items() if r is not None and not _close(r.sizes, found.sizes)]
        if others:
            self.notes.append(f"pixelResolution of {', '.join(others)} is not that of level 0, which is used")
        if found.units[0] is None:
            self.notes.append("the voxel size is stated without a unit")
        return found.over(self.ndim)

    def factors(self, path: str, number: int) -> tuple[float, ...]:
        """Return the factors of a level: its own, else the group's, else a power of two."""
        own = self._checked(self.levels[path].get("downsamplingFactors"), path)
        listed = self.group.get("scales", self.group.get("downsamplingFactors"))
        groups = None
        if isinstance(listed, list) and number < len(listed) and isinstance(listed[number], list):
            groups = self._checked(listed[number], path)
        if own is not None and groups is not None and not _close(own, groups):
            self.notes.append(f"the group states the factors {groups} for {path!r}, the level {own}, which are used")
        found = own or groups
        if found is not None:
            return found
        if number:
            self.notes.append(f"no factors are stated for {path!r}; taken for 2^{number} by its name")
        spatial = min(self.ndim, 3)
        return (float(2**number),) * spatial + (1.0,) * (self.ndim - spatial)

    def _checked(self, found: Any, path: str) -> tuple[float, ...] | None:
        if found is None or (isinstance(found, list) and found and isinstance(found[0], list)):
            return None
        factors = numbers(found, positive=True)
        if factors is None or not len(factors) <= self.ndim or max(factors) > _MAX_FACTOR:
            malformed(f"the factors {found!r} of {path!r}", f"do not fit {self.ndim} dimensions", "give one for each")
        return factors + (1.0,) * (self.ndim - len(factors))

    def transform(self, path: str, number: int, resolution: _Resolution) -> Transform:
        """Return voxel centre → world, in C order."""
        factors = self.factors(path, number)
        sizes = plain_transform(resolution.sizes[::-1], (0.0,) * self.ndim, "the voxel size")
        out = half_pixel(factors[::-1]).then(sizes)
        affine = self.levels[path].get("affineTransform")
        if affine is None:
            return out
        values = numbers(_flat(affine), 12)
        if values is None or self.ndim != 3:
            self.notes.append(f"affineTransform of {path!r} is no 3×4 matrix of three axes; ignored")
            return out
        matrix = np.asarray(values).reshape(3, 4)[::-1, [2, 1, 0, 3]]
        whole = out.then(affine_transform(matrix, f"affineTransform of {path!r}"))
        return affine_transform(whole.matrix(3), f"the transform of {path!r}")


def _flat(value: Any) -> Any:
    rows = isinstance(value, list) and value and all(isinstance(r, list) for r in value)
    return [v for row in value for v in row] if rows else value


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return all(math.isclose(x, y, rel_tol=1e-6) for x, y in zip(a, b, strict=False))


def _stated_resolution(attributes: Mapping[str, Any], ndim: int) -> _Resolution | None:
    found = attributes.get("pixelResolution")
    if found is not None:
        sizes = numbers(found.get("dimensions") if isinstance(found, Mapping) else found, positive=True)
        if sizes is None or len(sizes) > ndim:
            malformed("pixelResolution", f"is not a list of up to {ndim} positive numbers", "give a size per axis")
        # A plain list has no unit: n5-viewer's documentation says micrometres, its code pixels.
        unit = stated_unit(found.get("unit")) if isinstance(found, Mapping) else None
        own = texts(attributes.get("units"), len(sizes))
        return _Resolution(sizes, tuple(map(stated_unit, own)) if own is not None else (unit,) * len(sizes))
    if "resolution" not in attributes:
        return None
    sizes = numbers(attributes["resolution"], ndim, positive=True)
    if sizes is None:
        malformed("resolution", f"is not a list of {ndim} positive numbers", "give the size along each axis")
    units = attributes.get("units")
    listed = texts([units] * ndim if isinstance(units, str) else units, ndim)
    return _Resolution(sizes, (None,) * ndim if listed is None else tuple(map(stated_unit, listed)))


# ------------------------------------------------------------------------------------------------------ reading
def _is_ours(group: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]) -> bool:
    if not levels or any(mark in group for mark in _BEYOND):
        return False
    first = next(iter(levels.values()))
    if not is_array(first) or any(mark in first for mark in _BEYOND):
        return False
    listed = group.get("scales", group.get("downsamplingFactors"))
    return (
        (isinstance(listed, list) and bool(listed) and isinstance(listed[0], list))
        or "pixelResolution" in group
        or ("resolution" in group and "units" in group)
        or any(key in first for key in ("pixelResolution", "downsamplingFactors", "coordinateArrays"))
        or {"axes", "units", "resolution"} <= first.keys()
    )


def parse_image(group: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]) -> StatedImage | None:
    """Return what a group and its levels state; None when they are of another convention.

    Parameters
    ----------
    group : mapping
        Attributes of the group; empty when it has none, or for a single array.
    levels : mapping of str to mapping
        Attributes of each level by its path, the finest first; of a single array by the empty path.

    Raises
    ------
    FormatError
        If the metadata are of this convention and cannot be read.
    """
    if not _is_ours(group, levels):
        return None
    dimensions = numbers(next(iter(levels.values()))["dimensions"], positive=False)
    if dimensions is None:
        malformed("dimensions", "is not a list of numbers", "restore the metadata of level 0")
    reader = _Reader(group, levels, len(dimensions))
    names, axes_stated = reader.axes()
    resolution = reader.resolution()
    stated = tuple(
        StatedLevel(
            path=path,
            transform=reader.transform(path, i if path else 0, resolution),
            original={k: v for k, v in attributes.items() if k in _KNOWN},
        )
        for i, (path, attributes) in enumerate(levels.items())
    )
    axes = axes_named(names[::-1], resolution.units[::-1], "axes")
    return StatedImage(
        format=FORMAT,
        axes=_labelled(axes, group, levels),
        levels=stated,
        axes_stated=axes_stated,
        metadata={"group": dict(group), "levels": {p: dict(a) for p, a in levels.items()}},
        extra=unknown_attributes(group, _KNOWN),
        notes=tuple(reader.notes),
    )


def _labelled(
    axes: tuple[Axis, ...], group: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]
) -> tuple[Axis, ...]:
    """Return the axes with Neuroglancer's ``coordinateArrays``: a label per index, such as names of channels."""
    found = group.get("coordinateArrays", next(iter(levels.values())).get("coordinateArrays"))
    if not isinstance(found, Mapping):
        return axes
    return tuple(
        Axis(name=a.name, type=a.type, unit=None if a.name in found else a.unit, labels=texts(found.get(a.name)) or ())
        for a in axes
    )


def joined(channels: Sequence[StatedImage]) -> StatedImage | None:
    """Return images of single channels as one with a channel axis in front; None unless all lie at the same place.

    Examples
    --------
    >>> level = {"dimensions": [9, 8, 7], "dataType": "uint8", "downsamplingFactors": [1, 1, 1]}
    >>> one = parse_image({}, {"s0": level})
    >>> both = joined([one, one])
    >>> [a.name for a in both.axes], both.levels[0].path
    (['c', 'z', 'y', 'x'], 'c*/s0')
    """
    if len(channels) < 2 or any(a.type == "channel" for a in channels[0].axes):
        return None
    first = channels[0]
    ndim = len(first.axes)
    for other in channels[1:]:
        if [a.name for a in other.axes] != [a.name for a in first.axes] or len(other.levels) != len(first.levels):
            return None
        pairs = zip(first.levels, other.levels, strict=True)
        if not all(np.allclose(a.transform.matrix(ndim), b.transform.matrix(ndim), rtol=1e-9) for a, b in pairs):
            return None
    levels = []
    for level in first.levels:
        matrix = np.zeros((ndim + 1, ndim + 2))
        matrix[0, 0] = 1
        matrix[1:, 1:] = level.transform.matrix(ndim)
        transform = affine_transform(matrix, f"the transform of {level.path!r}")
        levels.append(StatedLevel(path=f"c*/{level.path}", transform=transform, original=level.original))
    return replace(
        first,
        axes=(Axis(name="c", type="channel"), *first.axes),
        levels=tuple(levels),
        metadata={"channels": [dict(c.metadata) for c in channels]},
        notes=(*first.notes, f"{len(channels)} groups, c0 to c{len(channels) - 1}, are its channels"),
    )


# -------------------------------------------------------------------------------------------------------- writing
def _parts(image: ImageInfo) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the voxel size and the position of level 0, in C order."""
    return scale_and_translation(image, 0, "n5-viewer metadata")


def _factors(image: ImageInfo, level: int) -> tuple[int, ...]:
    return window_factors(image, level, "n5-viewer metadata")


def check_image(image: ImageInfo) -> None:
    """Raise unless the image can be written.

    Raises
    ------
    InputError
        If axes of space differ in their unit, factors are no whole numbers, or a level does not stand where means of
        windows do: readers assume it without being told.
    UnsupportedError
        If a level is more than scaled and translated.
    """
    check_levels(image, "n5-viewer metadata")
    units = {a.unit for a in image.axes if a.type == "space"}
    if len(units) > 1 or min(_parts(image)[0]) <= 0:
        raise InputError(
            "n5-viewer metadata need one unit for all axes of space, and no mirrored axis",
            code=Code.AXES_MISMATCH,
            fix="give one unit with --unit, and flip the image before",
        )
    start = _parts(image)[1]
    if len(image.axes) != 3 and any(start):
        raise InputError(
            f"n5-viewer metadata hold the position {start} of three axes only, this image has {len(image.axes)}",
            code=Code.AXES_MISMATCH,
            fix="write ome-zarr, or give --translation 0",
        )
    for level in range(len(image.levels)):
        scale_and_translation(image, level, "n5-viewer metadata")
        _factors(image, level)


def dump_level(image: ImageInfo, level: int) -> dict[str, Any]:
    """Return the attributes that the array of a level gets besides its own."""
    own: dict[str, Any] = {
        "downsamplingFactors": list(reversed(_factors(image, level))),
        "pixelResolution": _dump_resolution(image),
    }
    start = _parts(image)[1]
    if any(start):
        rows = [[1.0 if i == j else 0.0 for j in range(3)] + [t] for i, t in enumerate(reversed(start))]
        own["affineTransform"] = [v for row in rows for v in row]
    return kept_attributes(image, image.levels[level].path, _KNOWN) | own


def _dump_resolution(image: ImageInfo) -> dict[str, Any]:
    unit = next((a.unit for a in image.axes if a.type == "space"), None)
    return {"dimensions": list(reversed(_parts(image)[0])), "unit": short_unit(unit)}


def dump_group(image: ImageInfo) -> dict[str, Any]:
    """Return the attributes of the group, as both Neuroglancer and n5-viewer read them."""
    factors = [list(reversed(_factors(image, i))) for i in range(len(image.levels))]
    out: dict[str, Any] = {
        "axes": [a.name for a in reversed(image.axes)],
        "downsamplingFactors": factors,
        "resolution": list(reversed(_parts(image)[0])),
        "scales": factors,
        "units": ["" if a.unit is None else short_unit(a.unit) for a in reversed(image.axes)],
    }
    resolution = _dump_resolution(image)
    if resolution["unit"] != "pixel":  # Neuroglancer refuses it
        out["pixelResolution"] = resolution
    labels = {a.name: list(a.labels) for a in image.axes if a.labels}
    if labels:
        out["coordinateArrays"] = labels
    return unknown_attributes(image.bag.extra, _KNOWN) | out
