"""COSEM metadata of OpenOrganelle: an explicit transform for every level. JSON in and out, no I/O.

Each level has ``transform {axes, units, scale, translate, order}``: C order (z, y, x) unless `order` is ``F``.
``pixelResolution`` repeats the scale in F order (x, y, z). The group repeats all transforms in ``multiscales`` and
says the same once more for Neuroglancer and n5-viewer (``axes``, ``units``, ``scales``, ``pixelResolution``). Rule
ids (``M3``) are those of the conventions' rule table; readers here follow the arrays' transforms and note conflicts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.model.attribute_documents import kept_attributes, numbers, texts, unknown_attributes
from voxarium.model.image import ImageInfo, Role
from voxarium.model.stated_images import (
    StatedImage,
    StatedLevel,
    axes_named,
    check_levels,
    malformed,
    plain_transform,
    ratio,
    scale_and_translation,
    short_unit,
    stated_unit,
)

__all__ = ["FORMAT", "check_image", "dump_group", "dump_level", "findings", "level_paths", "parse_image", "role_of"]

FORMAT: Final = "cosem"
_GROUP: Final = frozenset({"axes", "units", "scales", "pixelResolution", "multiscales", "downsamplingFactors"})
_LEVEL: Final = frozenset({"transform", "pixelResolution", "downsamplingFactors"})
_MAX_LEVELS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """A ``transform``, in C order."""

    axes: tuple[str, ...]
    units: tuple[str, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]
    fortran: bool = False

    def like(self, other: _Stated) -> bool:
        """Tell whether both say the same; numbers may differ by rounding."""
        pairs = zip(self.scale + self.translate, other.scale + other.translate, strict=False)
        return (self.axes, self.units) == (other.axes, other.units) and all(
            math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9) for a, b in pairs
        )


def _transform(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the ``transform`` of an array or a dataset; None when there is none of this kind."""
    found = attributes.get("transform")
    return found if isinstance(found, Mapping) and "axes" in found and "scale" in found else None


def _by_path(group: Mapping[str, Any]) -> dict[str, Mapping[str, Any] | None]:
    return {str(d.get("path")).strip("/"): _transform(d) for d in _datasets(group) or []}


def _parse_transform(found: Mapping[str, Any], where: str) -> _Stated:
    axes = texts(found.get("axes"))
    if not axes:
        malformed(f"{where}.axes", "is not a list of names", "list the axes, such as z, y, x")
    count = len(axes)
    scale = numbers(found.get("scale"), count, positive=True)
    translate = numbers(found.get("translate", [0.0] * count), count)
    units = texts(found.get("units", [""] * count), count)
    if scale is None or translate is None or units is None:
        malformed(
            where,
            f"needs {count} positive numbers as scale, {count} numbers as translate and {count} units",
            "correct the transform; every list has one entry per axis",
        )
    order = found.get("order", found.get("ordering", "C"))  # n5-universe calls it `ordering`
    if order not in ("C", "F", None):
        malformed(f"{where}.order", f"is {order!r}", "give C or F")
    step = -1 if order == "F" else 1
    return _Stated(
        axes=axes[::step], units=units[::step], scale=scale[::step], translate=translate[::step], fortran=step < 0
    )


# ------------------------------------------------------------------------------------------------------ reading
def level_paths(group: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Return the paths of the levels that a group's ``multiscales`` lists; None when they are not of this kind.

    Raises
    ------
    FormatError
        If they are, and broken.
    """
    datasets = _datasets(group)
    if datasets is None or not any(map(_transform, datasets)):
        return None
    paths = [d.get("path") for d in datasets]
    if len(paths) > _MAX_LEVELS or not all(isinstance(p, str) and p for p in paths) or len(set(paths)) != len(paths):
        malformed("multiscales[0].datasets", "does not name a path of its own for every level", "correct the paths")
    return tuple(str(p).strip("/") for p in paths)


def _datasets(group: Mapping[str, Any]) -> list[Mapping[str, Any]] | None:
    found = group.get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    listed = first.get("datasets") if isinstance(first, Mapping) else None
    if not isinstance(listed, list) or not listed or not all(isinstance(d, Mapping) for d in listed):
        return None
    return listed


def parse_image(
    group: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]], address: str = ""
) -> StatedImage | None:
    """Return what a group and its levels state; None when they are of another convention.

    Parameters
    ----------
    group : mapping
        Attributes of the group; empty when it has none, or for a single array.
    levels : mapping of str to mapping
        Attributes of each level by its path; of a single array by the empty path.
    address : str
        Where the image is: the names of labels and predictions tell what they are.

    Raises
    ------
    FormatError
        If the metadata are of this convention and cannot be read.
    """
    by_group = _by_path(group)
    stated: list[tuple[str, _Stated, Mapping[str, Any]]] = []
    for path, attributes in levels.items():
        found = _transform(attributes) or by_group.get(path)
        if found is None:
            if stated:  # a level behind those that are described
                break
            return None
        stated.append((path, _parse_transform(found, f"{path or 'the array'}: transform"), found))
    if not stated:
        return None
    first = stated[0][1]
    for path, other, _ in stated[1:]:
        if other.axes != first.axes:
            malformed(
                f"level {path!r}", f"has the axes {other.axes}, the first one {first.axes}", "give all levels the same"
            )
    name = _name(group)
    told = [role_of(text) for text in (name or "", address)]
    role: Role = next((r for r in told if r != "intensity"), "intensity")
    notes = list(findings(group, levels))
    if role != "intensity":
        notes.append(f"taken for a {role} by its name")
    return StatedImage(
        format=FORMAT,
        axes=axes_named(first.axes, [stated_unit(u) for u in first.units], "transform"),
        levels=tuple(
            StatedLevel(path=p, transform=plain_transform(s.scale, s.translate, f"level {p!r}"), original=o)
            for p, s, o in stated
        ),
        metadata={"group": dict(group), "levels": {p: dict(a) for p, a in levels.items()}},
        name=name,
        role=role,
        extra=unknown_attributes(group, _GROUP | _LEVEL),
        notes=tuple(notes),
    )


def _name(group: Mapping[str, Any]) -> str:
    found = group.get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    name = first.get("name") if isinstance(first, Mapping) else None
    name = group.get("name") if name is None else name  # M10: at the level of the group
    return name if isinstance(name, str) else ""


def role_of(address: str) -> Role:
    """Return what an image is by its name (rule L6): ``x_seg`` a label image, ``x_pred`` a prediction.

    Examples
    --------
    >>> role_of("jrc.n5/labels/mito_seg"), role_of("labels/er_pred"), role_of("em/fibsem-uint8")
    ('label', 'prediction', 'intensity')
    """
    last = address.rstrip("/").rsplit("/", 1)[-1]
    if last.endswith("_seg"):
        return "label"
    return "prediction" if last.endswith("_pred") else "intensity"


# ------------------------------------------------------------------------------------------------------- checking
def findings(group: Mapping[str, Any], levels: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return where metadata that can be read break a rule, each with the rule's id first.

    Raises
    ------
    FormatError
        If a transform cannot be read.
    """
    out: list[str] = []
    listed = _by_path(group)
    stated: dict[str, _Stated] = {}
    for path, attributes in levels.items():
        where = f"{path or 'the array'}: transform"
        own, other = _transform(attributes), listed.get(path)
        used = own or other
        if used is None:
            continue
        stated[path] = _parse_transform(used, where)
        out += _array_findings(path, attributes, stated[path])
        if own is not None and other is not None and not _parse_transform(other, where).like(stated[path]):
            out.append(f"M5: the group states another transform for {path!r} than the array; the array's is used")
        elif own is None:
            out.append(f"M5: the array {path!r} states no transform; the group's is used")
    out += _group_findings(group, stated)
    return (*out, *_level_findings(levels, stated))


def _array_findings(path: str, attributes: Mapping[str, Any], stated: _Stated) -> list[str]:
    where = path or "the array"
    found = attributes.get("pixelResolution")
    if found is None:
        return [f"M1: {where} has no pixelResolution"]
    sizes = numbers(found.get("dimensions") if isinstance(found, Mapping) else found, len(stated.scale))
    out = []
    if sizes is None or not _close(sizes, stated.scale[::-1]):
        out.append(f"M3: pixelResolution of {where} is not its scale in (x, y, z) order; the transform is used")
    unit = found.get("unit") if isinstance(found, Mapping) else None
    if isinstance(unit, str) and any(stated_unit(u) != stated_unit(unit) for u in stated.units):
        out.append(f"M3: pixelResolution of {where} is in {unit!r}, the transform in {', '.join(stated.units)}")
    if stated.axes[-1] == "z" and not stated.fortran:
        out.append(f"M2: {where} lists the axes {', '.join(stated.axes)} in C order, so z is the fastest axis")
    return out


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-12) for x, y in zip(a, b, strict=True))


def _group_findings(group: Mapping[str, Any], stated: Mapping[str, _Stated]) -> list[str]:
    if not stated or not group.keys() & {"multiscales", "scales"}:
        return []
    finest = next(iter(stated.values()))
    out = []
    axes = texts(group.get("axes"))
    if axes is not None and axes != finest.axes[::-1]:
        out.append("M5: the group's axes are not those of the transforms in (x, y, z) order")
    scales = group.get("scales")
    if isinstance(scales, list):
        if len(scales) != len(stated):
            out.append(f"M4: the group states factors for {len(scales)} levels, {len(stated)} are there")
        for factors, (path, level) in zip(scales, stated.items(), strict=False):
            expected = [ratio(a, b) for a, b in zip(level.scale, finest.scale, strict=True)][::-1]
            if not _close(numbers(factors) or (), expected):
                out.append(f"M4: the group states the factors {factors} for {path!r}, its scale says {expected}")
    found = group.get("multiscales")
    if isinstance(found, list) and len(found) != 1:
        out.append(f"M5: the group has {len(found)} multiscales; the first is read")
    return out


def _level_findings(levels: Mapping[str, Mapping[str, Any]], stated: Mapping[str, _Stated]) -> list[str]:
    out: list[str] = []
    finest: tuple[str, _Stated] | None = None
    for path, level in stated.items():
        if finest is None:
            finest = (path, level)
            continue
        factors = [ratio(a, b) for a, b in zip(level.scale, finest[1].scale, strict=True)]
        if any(f != round(f) for f in factors):
            out.append(f"M7: {path!r} is {factors} times coarser, which are no whole numbers")
        if any(f > 1 for f in factors) and level.translate == finest[1].translate:
            out.append(f"M6: {path!r} is not shifted against {finest[0]!r}: right for stride, not for means")
        sizes = numbers(levels[path].get("dimensions")), numbers(levels[finest[0]].get("dimensions"))
        if sizes[0] is not None and sizes[1] is not None and len(sizes[0]) == len(sizes[1]) == len(factors):
            pairs = zip(sizes[1], sizes[0], reversed(factors), strict=True)
            if any(not n / f - 1 < m < n / f + 1 for n, m, f in pairs):
                out.append(f"M8: the shape of {path!r} does not fit its scale")
    return out


# -------------------------------------------------------------------------------------------------------- writing
def check_image(image: ImageInfo) -> None:
    """Raise unless the image can be written.

    Raises
    ------
    InputError
        If its axes are not all of space with one unit, or a level is not a whole number of times coarser.
    UnsupportedError
        If a level is more than scaled and translated.
    """
    check_levels(image, "COSEM")
    axes = image.axes
    if any(a.type != "space" for a in axes) or len({a.unit for a in axes}) != 1:
        found = ", ".join(f"{a.name} ({a.type}, {a.unit or 'no unit'})" for a in axes)
        raise InputError(
            f"COSEM holds axes of space with one unit, this image has {found}",
            code=Code.AXES_MISMATCH,
            fix="write one channel or time point at a time, and give one unit with --unit",
        )
    finest = scale_and_translation(image, 0, "COSEM")[0]
    for level in range(len(image.levels)):
        scale = scale_and_translation(image, level, "COSEM")[0]
        factors = _factors(scale, finest)
        if min(scale) <= 0 or any(f != round(f) or f < 1 for f in factors):
            raise InputError(
                f"level {level} is {factors} times coarser than the first; COSEM needs whole numbers and no mirroring",
                code=Code.TRANSFORM_INVALID,
                fix="choose whole factors, such as --factors 2,2,2",
            )


def _factors(scale: Sequence[float], finest: Sequence[float]) -> list[float]:
    return [ratio(a, b) for a, b in zip(scale, finest, strict=True)]


def _dump_transform(image: ImageInfo, level: int) -> dict[str, Any]:
    scale, translation = scale_and_translation(image, level, "COSEM")
    return {
        "axes": [a.name for a in image.axes],
        "order": "C",
        "scale": list(scale),
        "translate": list(translation),
        "units": [short_unit(a.unit) for a in image.axes],
    }


def _dump_resolution(image: ImageInfo, level: int) -> dict[str, Any]:
    scale = scale_and_translation(image, level, "COSEM")[0]
    return {"dimensions": list(scale[::-1]), "unit": short_unit(image.axes[0].unit)}


def dump_level(image: ImageInfo, level: int) -> dict[str, Any]:
    """Return the attributes that the array of a level gets besides its own."""
    own = {"pixelResolution": _dump_resolution(image, level), "transform": _dump_transform(image, level)}
    return kept_attributes(image, image.levels[level].path, _GROUP | _LEVEL) | own


def dump_group(image: ImageInfo) -> dict[str, Any]:
    """Return the attributes of the group, in the form Neuroglancer, n5-viewer and cellmap-schemas read."""
    finest = scale_and_translation(image, 0, "COSEM")[0]
    levels = range(len(image.levels))
    factors = [_factors(scale_and_translation(image, i, "COSEM")[0], finest) for i in levels]
    datasets = [{"path": lv.path, "transform": _dump_transform(image, i)} for i, lv in enumerate(image.levels)]
    own = {
        "axes": [a.name for a in reversed(image.axes)],
        "multiscales": [{"datasets": datasets, "name": image.name or None}],
        "pixelResolution": _dump_resolution(image, 0),
        "scales": [[int(f) for f in reversed(row)] for row in factors],
        "units": [short_unit(a.unit) for a in reversed(image.axes)],
    }
    return unknown_attributes(image.bag.extra, _GROUP | _LEVEL) | own
