"""The canonical metadata of n5-universe: ``spatialTransform`` with any affine. JSON in and out, no I/O.

An array, or a dataset in the group's ``multiscales {datasets}``, has ``spatialTransform {transform {type, …}, unit,
axes}``: voxel centre → world in the order of N5's dimensions, (x, y, z). ``intensityLimits {min, max}`` is the range
to show. Transforms: identity, scale, translation, scale_offset, affine (rows, one behind the other), sequence.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.attribute_documents import is_array, kept_attributes, numbers, unknown_attributes
from voxarium.model.axes import Axis, guess_axis_type
from voxarium.model.image import ChannelDisplay, Display, ImageInfo
from voxarium.model.stated_images import (
    StatedImage,
    StatedLevel,
    affine_transform,
    axes_named,
    check_levels,
    malformed,
    short_unit,
    stated_unit,
)

__all__ = ["FORMAT", "check_image", "dump_group", "dump_level", "level_paths", "parse_image"]

FORMAT: Final = "n5-canonical"
_GROUP: Final = frozenset({"multiscales", "spatialTransform", "intensityLimits"})
_MAX_LEVELS: Final = 64
_MAX_STEPS: Final = 32
_DEFAULT_AXES: Final = ("x", "y", "z")


def _spatial(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    found = attributes.get("spatialTransform")
    return found if isinstance(found, Mapping) and isinstance(found.get("transform"), Mapping) else None


# ------------------------------------------------------------------------------------------------------ reading
def _datasets(group: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = group.get("multiscales")
    listed = found.get("datasets") if isinstance(found, Mapping) else None
    if not isinstance(listed, list) or not listed or not all(isinstance(d, Mapping) for d in listed):
        return None
    return listed


def level_paths(group: Mapping[str, Any]) -> dict[str, Mapping[str, Any]] | None:
    """Return the datasets of a group's ``multiscales`` by their paths below it; None when it has none of this kind.

    Raises
    ------
    FormatError
        If it has, and they are broken.
    """
    listed = _datasets(group)
    if listed is None:
        return None
    base = group["multiscales"].get("path")
    prefix = f"{base.strip('/')}/" if isinstance(base, str) and base.strip("/") else ""
    out: dict[str, Mapping[str, Any]] = {}
    for dataset in listed:
        path = dataset.get("path")
        if not isinstance(path, str) or not path.strip("/"):
            malformed("multiscales.datasets", "does not name a path for every level", "correct the paths")
        out[path.strip("/").removeprefix(prefix)] = dataset  # some write paths from the root of the container
    if len(out) != len(listed) or len(out) > _MAX_LEVELS:
        malformed("multiscales.datasets", "names one path twice, or too many", "correct the paths")
    return out


def parse_image(group: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]) -> StatedImage | None:
    """Return what a group and its levels state; None when they are of another convention.

    Parameters
    ----------
    group : mapping
        Attributes of the group; empty when it has none, or for a single array.
    levels : mapping of str to mapping
        Attributes of each level by its path; of a single array by the empty path.

    Raises
    ------
    FormatError
        If the metadata are of this convention and cannot be read.
    """
    listed = level_paths(group) or {}
    found: dict[str, Mapping[str, Any]] = {}
    for path, attributes in levels.items():
        spatial = _spatial(attributes) or _spatial(listed.get(path, {}))
        if spatial is None:
            break
        found[path] = spatial
    if not found or not is_array(next(iter(levels.values()))):
        return None
    first = next(iter(levels.values()))
    dimensions = numbers(first["dimensions"])
    if dimensions is None:
        malformed("dimensions", "is not a list of numbers", "restore the metadata of level 0")
    ndim = len(dimensions)
    notes: list[str] = []
    axes, axes_stated = _axes(next(iter(found.values())), ndim, notes)
    limits = group.get("intensityLimits", first.get("intensityLimits"))
    stated = []
    for path, spatial in found.items():
        matrix = _matrix(spatial["transform"], ndim, f"spatialTransform of {path or 'the array'}", 0)
        flipped = matrix[::-1, [*range(ndim - 1, -1, -1), ndim]]
        transform = affine_transform(flipped, f"spatialTransform of {path or 'the array'}")
        stated.append(StatedLevel(path=path, transform=transform, original=spatial))
    return StatedImage(
        format=FORMAT,
        axes=axes,
        levels=tuple(stated),
        axes_stated=axes_stated,
        metadata={"group": dict(group), "levels": {p: dict(a) for p, a in levels.items()}},
        display=_display(limits),
        extra=unknown_attributes(group, _GROUP),
        notes=tuple(notes),
    )


def _axes(spatial: Mapping[str, Any], ndim: int, notes: list[str]) -> tuple[tuple[Axis, ...], bool]:
    """Return the axes in C order, and whether anybody stated them."""
    unit = stated_unit(spatial.get("unit"))
    found = spatial.get("axes")
    if isinstance(found, list) and len(found) == ndim and all(isinstance(a, Mapping) for a in found):
        names = [str(a.get("label", a.get("name", ""))) for a in found]
        units = [stated_unit(a.get("unit")) for a in found]
        if unit is not None and any(u not in (None, unit) for u in units):
            notes.append(f"spatialTransform is in {spatial.get('unit')}, its axes in other units, which do not count")
        if unit is not None:
            units = [unit if guess_axis_type(n) == "space" else u for n, u in zip(names, units, strict=True)]
        return axes_named(names[::-1], units[::-1], "spatialTransform.axes"), True
    if found is not None:
        notes.append("spatialTransform.axes do not fit the array; ignored")
    names = [*_DEFAULT_AXES[:ndim], *(f"d{i}" for i in range(3, ndim))]
    return axes_named(names[::-1], [unit if n in _DEFAULT_AXES else None for n in names[::-1]], "axes"), ndim <= 3


def _display(limits: Any) -> Display:
    if not isinstance(limits, Mapping):
        return Display()
    window = numbers([limits.get("min"), limits.get("max")], 2)
    return Display() if window is None else Display(channels=(ChannelDisplay(window=(window[0], window[1])),))


def _matrix(found: Any, ndim: int, where: str, depth: int) -> NDArray[np.float64]:
    """Return a matrix of shape (ndim, ndim + 1), (x, y, z)."""
    kind = found.get("type") if isinstance(found, Mapping) else None
    out = np.eye(ndim, ndim + 1)
    if not isinstance(found, Mapping) or depth > 4:
        malformed(where, "is no transform, or nested too deeply", "give it a type and numbers")
    if kind == "identity":
        return out
    if isinstance(found.get("path"), str) and not {"affine", "scale", "translation"} & found.keys():
        malformed(where, f"keeps its numbers in the array {found['path'][:60]!r}", "write them into the attributes")
    if kind == "sequence":
        return _sequence(found.get("transformations"), ndim, where, depth)
    if kind == "affine":
        return _affine(found.get("affine"), ndim, where)
    if kind in ("scale", "scale_offset"):
        np.fill_diagonal(out, _checked(found.get("scale"), ndim, f"{where}: scale"))
    if kind in ("translation", "scale_offset"):
        key = "translation" if kind == "translation" else "offset"
        out[:, -1] = _checked(found.get(key), ndim, f"{where}: {key}")
    if kind not in ("scale", "translation", "scale_offset"):
        malformed(where, f"has the type {str(kind)[:40]!r}", "use identity, scale, translation, affine or sequence")
    return out


def _checked(found: Any, ndim: int, where: str) -> Sequence[float]:
    values = numbers(found, ndim)
    if values is None:
        malformed(where, f"is not a list of {ndim} numbers", "give one per dimension")
    return values


def _affine(found: Any, ndim: int, where: str) -> NDArray[np.float64]:
    values = numbers(found)
    if values is not None and len(values) == ndim * (ndim + 1):
        return np.reshape(values, (ndim, ndim + 1))
    if values is None or len(values) != 12 or ndim != 2:  # those of a plane in space are read too
        malformed(where, f"does not have {ndim} × {ndim + 1} numbers", "give the rows of the matrix, one by one")
    return np.reshape(values, (3, 4))[:2, [0, 1, 3]]


def _sequence(found: Any, ndim: int, where: str, depth: int) -> NDArray[np.float64]:
    if not isinstance(found, list) or len(found) > _MAX_STEPS:
        malformed(where, "is no list of transformations", "list them, the first to be applied first")
    out = np.eye(ndim, ndim + 1)
    for step in found:
        m = _matrix(step, ndim, where, depth + 1)
        with np.errstate(all="ignore"):
            out = m[:, :-1] @ out
            out[:, -1] += m[:, -1]
    if not np.isfinite(out).all():
        malformed(where, "has numbers that are too large", "correct them")
    return out


# -------------------------------------------------------------------------------------------------------- writing
def check_image(image: ImageInfo) -> None:
    """Raise unless the image can be written.

    Raises
    ------
    InputError
        If axes of space differ in their unit.
    UnsupportedError
        If a transform is no matrix.
    """
    check_levels(image, "canonical metadata of N5")
    if len({a.unit for a in image.axes if a.type == "space"}) > 1:
        raise InputError(
            "canonical metadata of N5 need one unit for all axes of space",
            code=Code.AXES_MISMATCH,
            fix="give one unit with --unit",
        )
    for level in image.levels:
        level.transform.matrix(len(image.axes))


def _dump_spatial(image: ImageInfo, level: int) -> dict[str, Any]:
    ndim = len(image.axes)
    matrix = image.levels[level].transform.matrix(ndim)[::-1, [*range(ndim - 1, -1, -1), ndim]]
    unit = next((a.unit for a in image.axes if a.type == "space"), None)
    return {
        "transform": {"type": "affine", "affine": matrix.ravel().tolist()},
        "unit": short_unit(unit),
        "axes": [{"type": a.type, "label": a.name, "unit": short_unit(a.unit)} for a in reversed(image.axes)],
    }


def _limits(image: ImageInfo) -> dict[str, Any]:
    windows = [c.window for c in image.display.channels if c.window is not None]
    sound = len(windows) == 1 and all(map(math.isfinite, windows[0]))
    return {"intensityLimits": {"min": windows[0][0], "max": windows[0][1]}} if sound else {}


def dump_level(image: ImageInfo, level: int) -> dict[str, Any]:
    """Return the attributes that the array of a level gets besides its own."""
    kept = kept_attributes(image, image.levels[level].path, _GROUP)
    return kept | {"spatialTransform": _dump_spatial(image, level)}


def dump_group(image: ImageInfo) -> dict[str, Any]:
    """Return the attributes of the group."""
    datasets = [{"path": lv.path, "spatialTransform": _dump_spatial(image, i)} for i, lv in enumerate(image.levels)]
    own = {"multiscales": {"path": "", "datasets": datasets}}
    return unknown_attributes(image.bag.extra, _GROUP) | own | _limits(image)
