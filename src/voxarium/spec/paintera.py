"""Paintera's sources: what a group, its folder ``data`` and the levels in it state. JSON in and out, no I/O.

``painteraData {type}`` of the group is raw, label or channel. ``data`` has ``multiScale``, ``resolution`` and
``offset`` (of the centre of the first voxel), each level its ``downsamplingFactors``; all (x, y, z). Levels are means
or most frequent labels of windows, shifted by half a voxel without saying so. Labels may be stored as multisets,
which the array driver reads as the most frequent label of each voxel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.model.attribute_documents import is_array, kept_attributes, numbers, unknown_attributes
from voxarium.model.image import ImageInfo, Role
from voxarium.model.stated_images import (
    StatedImage,
    StatedLevel,
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

__all__ = ["DATA", "FORMAT", "check_image", "dump_data", "dump_group", "dump_level", "is_source", "parse_image"]

FORMAT: Final = "paintera"
DATA: Final = "data"
_KNOWN: Final = frozenset(
    {"painteraData", "multiScale", "resolution", "offset", "maxId", "isLabelMultiset", "downsamplingFactors", "unit"}
    | {"labelBlockLookup"}
)
_ROLES: Final[Mapping[str, Role]] = {"raw": "intensity", "channel": "intensity", "label": "label"}
_NAMES: Final = {2: ("y", "x"), 3: ("z", "y", "x"), 4: ("c", "z", "y", "x")}


def is_source(group: Mapping[str, Any]) -> bool:
    """Tell whether attributes are those of a source of Paintera, around the folder with its data."""
    return isinstance(group.get("painteraData"), Mapping)


def parse_image(
    group: Mapping[str, Any], data: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]
) -> StatedImage | None:
    """Return what a source states; None when it is of another convention.

    Parameters
    ----------
    group, data : mapping
        Attributes of the source, and of the folder with the levels; equal where only that folder is there.
    levels : mapping of str to mapping
        Attributes of each level by its path, the finest first.

    Raises
    ------
    FormatError
        If the metadata are of this convention and cannot be read.
    """
    ours = is_source(group) or (data.get("multiScale") is True and "resolution" in data)
    if not ours or not levels or not is_array(next(iter(levels.values()))):
        return None
    dimensions = numbers(next(iter(levels.values()))["dimensions"])
    names = _NAMES.get(0 if dimensions is None else len(dimensions))
    if names is None:
        malformed("dimensions", "are not those of an image with 2 to 4 axes", "restore the metadata of level 0")
    notes: list[str] = []
    place = _place(group, data, next(iter(levels.values())), len(names), notes)
    unit = next((u for a in (data, group) if (u := stated_unit(a.get("unit"))) is not None), None)
    if unit is None:
        notes.append("the voxel size is stated without a unit")
    sizes = plain_transform(place[0][::-1], place[1][::-1], "resolution and offset")
    stated = []
    for path, attributes in levels.items():
        factors = _spatial(attributes.get("downsamplingFactors", [1.0] * min(3, len(names))), len(names), 1.0)
        if factors is None or min(factors) <= 0:
            malformed(f"downsamplingFactors of {path!r}", "are not positive numbers", "give one per axis, (x, y, z)")
        original = {k: v for k, v in attributes.items() if k in _KNOWN}
        transform = half_pixel(factors[::-1]).then(sizes)
        stated.append(StatedLevel(path=path, transform=transform, original=original))
    kind = group["painteraData"].get("type") if is_source(group) else None
    multisets = any(a.get("isLabelMultiset") is True for a in (data, *levels.values()))
    if multisets:
        notes.append("labels are stored as multisets; the most frequent label of each voxel is read")
    role: Role = "label" if multisets else _ROLES.get(str(kind), "intensity")
    return StatedImage(
        format=FORMAT,
        axes=axes_named(names, [None if n == "c" else unit for n in names], "axes"),
        levels=tuple(stated),
        role=role,
        largest_label=_largest(data, group),
        metadata={
            "group": dict(group),
            "data": dict(data),
            "levels": {p: dict(a) for p, a in levels.items()},
        },
        extra=unknown_attributes(group, _KNOWN),
        notes=tuple(notes),
    )


def _spatial(found: Any, ndim: int, rest: float) -> tuple[float, ...] | None:
    """Return numbers for every axis, the fastest first; those beyond the three of space count as `rest`."""
    values = numbers(found)
    if values is None or len(values) > ndim:
        return None
    return values + (rest,) * (ndim - len(values))


def _place(
    group: Mapping[str, Any], data: Mapping[str, Any], level_0: Mapping[str, Any], ndim: int, notes: list[str]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    holders = (data, group, level_0)
    resolution = next((h["resolution"] for h in holders if "resolution" in h), None)
    offset = next((h["offset"] for h in holders if "offset" in h), None)
    if resolution is None:
        notes.append("no voxel size is stated; voxels count by 1")
    sizes = (1.0,) * ndim if resolution is None else _spatial(resolution, ndim, 1.0)
    start = (0.0,) * ndim if offset is None else _spatial(offset, ndim, 0.0)
    if sizes is None or start is None or min(sizes) <= 0:
        malformed("resolution and offset", "are not lists of numbers, one per axis", "give them as (x, y, z)")
    return sizes, start


# -------------------------------------------------------------------------------------------------------- writing
def check_image(image: ImageInfo) -> None:
    """Raise unless the image can be written.

    Raises
    ------
    InputError
        If its axes are not z, y, x (behind c) in one unit, or a level is not where means of windows are.
    UnsupportedError
        If a level is more than scaled and translated.
    """
    check_levels(image, "Paintera")
    names = tuple(a.name for a in image.axes)
    units = {a.unit for a in image.axes if a.type == "space"}
    if names not in (_NAMES[3], _NAMES[4]) or len(units) != 1:
        raise InputError(
            f"Paintera holds the axes z, y, x, and c before them, in one unit; this image has {', '.join(names)}",
            code=Code.AXES_MISMATCH,
            fix="transpose it with --order, write one time point at a time, and give one unit with --unit",
        )
    for level in range(len(image.levels)):
        scale = scale_and_translation(image, level, "Paintera")[0]
        factors = window_factors(image, level, "Paintera's metadata")
        if min(scale) <= 0 or factors[: len(names) - 3] not in ((), (1,)):
            raise InputError(
                f"level {level} is mirrored or averages channels",
                code=Code.TRANSFORM_INVALID,
                fix="flip the image before, and downsample along z, y, x only",
            )


def _dump_ids(image: ImageInfo) -> dict[str, Any]:
    """Return the largest label, where it is known."""
    known = image.role == "label" and image.largest_label is not None
    return {"maxId": image.largest_label} if known else {}


def _largest(*holders: Mapping[str, Any]) -> int | None:
    """Return the largest label, of the first document that states a possible one."""
    found = next((h["maxId"] for h in holders if "maxId" in h), None)
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 <= found < 2**64 else None


def dump_level(image: ImageInfo, level: int) -> dict[str, Any]:
    """Return the attributes that the array of a level gets besides its own."""
    factors = list(reversed(window_factors(image, level, FORMAT)[-3:]))
    return kept_attributes(image, image.levels[level].path, _KNOWN) | {"downsamplingFactors": factors}


def dump_data(image: ImageInfo) -> dict[str, Any]:
    """Return the attributes of the folder with the levels."""
    scale, translation = scale_and_translation(image, 0, "Paintera")
    unit = next(a.unit for a in image.axes if a.type == "space")
    out: dict[str, Any] = {
        "multiScale": True,
        "resolution": list(reversed(scale[-3:])),
        "offset": list(reversed(translation[-3:])),
    }
    return out | _dump_ids(image) | ({} if unit is None else {"unit": short_unit(unit)})


def dump_group(image: ImageInfo) -> dict[str, Any]:
    """Return the attributes of the source."""
    kind = "label" if image.role == "label" else "channel" if image.axes[0].name == "c" else "raw"
    return unknown_attributes(image.bag.extra, _KNOWN) | {"painteraData": {"type": kind}} | _dump_ids(image)
