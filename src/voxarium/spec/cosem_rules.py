"""Rules of COSEM's metadata (OpenOrganelle): three layers that say the same, and have to agree.

An array states ``transform`` and ``pixelResolution``; the group repeats the transforms in ``multiscales``, and says the
same once more for Neuroglancer and n5-viewer (``axes``, ``units``, ``scales``, ``pixelResolution``). These are the
conventions of cellmap-schemas; CO-003 is the rule M3 of our table of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from voxarium.model.checked_documents import lengths_problem
from voxarium.model.checked_values import NUMBER
from voxarium.model.checking import Place, short
from voxarium.model.rules import Rule, rules
from voxarium.model.stated_images import ratio, stated_unit

__all__ = ["RULES", "check_array", "check_group", "dataset_paths", "has_transform", "is_group"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in rules("""
CO-001 must needs=document basis=text
    An array has `pixelResolution` with `dimensions`, a positive number for each axis in the order x, y, z, and a
    `unit`.
    why: n5-viewer and Fiji read nothing else, and take voxels for 1 wide.
    mend: Add it: the scale of the transform, reversed.
    bad: cosem s1/attributes.json#/pixelResolution remove
    bad: cosem s1/attributes.json#/pixelResolution/dimensions = [16, 16]
    bad: cosem s1/attributes.json#/pixelResolution/unit remove
CO-002 must needs=document basis=text
    `transform` has axes, units, scale and translate of one length, one entry for each dimension of the array, and the
    order "C" (z, y, x; meant where nothing is said) or "F".
    why: The image cannot be placed.
    mend: Write one entry for each dimension in every list.
    bad: cosem s1/attributes.json#/transform/scale = [30, 16]
    bad: cosem s1/attributes.json#/transform/scale = [30, 0, 16]
    bad: cosem s1/attributes.json#/transform/axes = ["z", "y", "y"]
    bad: cosem s1/attributes.json#/transform/order = "A"
    bad: cosem s1/attributes.json#/transform/units remove
    bad: cosem attributes.json#/multiscales/0/datasets/1/transform/translate = [0, "4", 4]
CO-003 must needs=document basis=text
    `pixelResolution` is the scale of the transform, in the order x, y, z and in the same unit.
    why: Fiji and Python show voxels of different sizes; for anisotropic images z and x are exchanged.
    mend: Reverse the scale where the order is "C"; take it as it is where it is "F".
    bad: cosem s1/attributes.json#/pixelResolution/dimensions = [30, 16, 16]
    bad: cosem s1/attributes.json#/pixelResolution/dimensions = [16, 16, 31]
    bad: cosem s1/attributes.json#/pixelResolution/unit = "um"
    bad: cosem attributes.json#/pixelResolution/dimensions = [8, 8, 31]
CO-004 must needs=document basis=text
    A group has `axes`, `units`, `scales` and `pixelResolution` in the order x, y, z: one entry for each dimension,
    factors for each level, those of the first all 1, and each factor what the transforms say.
    why: Neuroglancer and n5-viewer place levels by them alone.
    mend: Write them from the transforms: axes and units reversed, scales the ratios to s0.
    bad: cosem attributes.json#/scales/0 = [2, 1, 1]
    bad: cosem attributes.json#/scales/1 = [1, 2, 2]
    bad: cosem attributes.json#/scales/1 = [2, 2]
    bad: cosem attributes.json#/scales/2 = [4, 4, 1]
    bad: cosem attributes.json#/units = ["nm", "nm"]
    bad: cosem attributes.json#/pixelResolution remove
CO-005 must needs=document basis=text
    A group has one `multiscales`, which names every level and repeats the transform of its array; its axes are those of
    the group reversed (order "C").
    why: fibsem-tools and xarray read the group, others the array: they place the level differently.
    mend: Copy the transforms of the arrays into the group.
    bad: cosem attributes.json#/multiscales/0/datasets/1/transform/scale = [30, 32, 32]
    bad: cosem attributes.json#/multiscales/0/datasets/1/path = "s7"
    bad: cosem attributes.json#/multiscales/0/datasets/1/path = 1
    bad: cosem attributes.json#/multiscales/1 = {"datasets": []}
    bad: cosem attributes.json#/axes = ["z", "y", "x"]
    bad: cosem s1/attributes.json#/transform remove
CO-006 should needs=document basis=text
    Levels made of means over windows are shifted: translate_0 + scale_0 · (f − 1) / 2.
    why: Levels do not lie on each other: features jump by half a voxel when one zooms.
    mend: Write the shift; where levels were made by taking every f-th voxel, leave the translation of s0.
    bad: cosem s1/attributes.json#/transform/translate = [0, 0, 0]
    and: attributes.json#/multiscales/0/datasets/1/transform/translate = [0, 0, 0]
    bad: cosem s1/attributes.json#/transform/translate = [0, 3, 4]
    and: attributes.json#/multiscales/0/datasets/1/transform/translate = [0, 3, 4]
CO-007 must needs=document basis=text
    Levels are a whole number of times coarser than s0, and `scales` states that number, rounded and not cut.
    why: 0.6 // 0.2 is 2 in floating point: levels are placed by a wrong factor.
    mend: Compute ratios by rounding.
    bad: cosem s1/attributes.json#/transform/scale = [30, 20, 20]
    bad: cosem s0/attributes.json#/transform/scale = [30, 0.2, 0.2]
    and: s1/attributes.json#/transform/scale = [30, 0.6, 0.6]
CO-008 should needs=document basis=text
    Levels are as many times smaller as they are coarser, within one voxel.
    why: The coarse level covers more or less than the image, and is stretched by viewers.
    mend: Correct the scale, or write the level again.
    bad: cosem s1/attributes.json#/dimensions = [3, 3, 2]
CO-009 should needs=document basis=house
    Where a group has metadata of OME-NGFF, it has none of COSEM: OME-NGFF wins.
    why: Readers of the one and of the other show the image at different places.
    mend: Remove the transforms of COSEM.
    bad: cosem attributes.json#/multiscales/0/axes = [{"name": "z"}, {"name": "y"}, {"name": "x"}]
CO-010 quality needs=document basis=house
    Transforms state their order, and images a name.
    why: n5-universe and cellmap-schemas call the key differently; most real data say nothing, which means "C".
    mend: Add "order": "C".
    bad: cosem s1/attributes.json#/transform/order remove
    bad: cosem attributes.json#/multiscales/0/name remove
CO-011 should needs=hierarchy basis=house
    All levels that are stored are listed.
    why: Readers never look at the others.
    mend: List the level, or remove it.
    bad: cosem attributes.json#/multiscales/0/datasets/1 remove
    and: attributes.json#/scales/1 remove
""")
    }
)

_CLOSE: Final = 1e-6
_MOST: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stated:
    """A transform in C order, and its place."""

    place: Place
    axes: tuple[str, ...]
    units: tuple[str, ...]
    scale: tuple[float, ...]
    translate: tuple[float, ...]

    def like(self, other: _Stated) -> bool:
        same = (self.axes, self.units) == (other.axes, other.units)
        return same and _close(self.scale, other.scale) and _close(self.translate, other.translate)


def _close(a: Sequence[float], b: Sequence[float]) -> bool:
    return len(a) == len(b) and all(math.isclose(x, y, rel_tol=_CLOSE, abs_tol=1e-9) for x, y in zip(a, b, strict=True))


def has_transform(attributes: Any) -> bool:  # Any: JSON as found
    """Tell whether attributes have a transform of this convention."""
    found = attributes.get("transform") if isinstance(attributes, dict) else None
    return isinstance(found, dict) and "axes" in found and "scale" in found


def is_group(attributes: Any) -> bool:  # Any: JSON as found
    """Tell whether attributes are those of a group of this convention."""
    return any(has_transform(item) for item in _datasets(attributes))


def _datasets(attributes: Any) -> list[Any]:  # Any: JSON as found
    listed = attributes.get("multiscales") if isinstance(attributes, dict) else None
    first = listed[0] if isinstance(listed, list) and listed else None
    found = first.get("datasets") if isinstance(first, dict) else None
    return found[:_MOST] if isinstance(found, list) else []


def dataset_paths(attributes: Any) -> tuple[str, ...]:  # Any: JSON as found
    """Return the paths of levels that a group lists, each once."""
    paths = (item.get("path") for item in _datasets(attributes) if isinstance(item, dict))
    return tuple(dict.fromkeys(p.strip("/") for p in paths if isinstance(p, str) and p.strip("/")))


# -------------------------------------------------------------------------------------------------------- transforms
def _parse(place: Place, ndim: int | None = None) -> _Stated | None:
    """Return a transform; None, reported, where it cannot be read."""
    if not isinstance(place.value, dict):
        return None
    order = place["order"] if place["order"].there else place["ordering"]
    if order.there and order.value not in ("C", "F", None):
        order.report("CO-002", f"is {short(order.value)}", 'make it "C" or "F"')
        return None
    if not order.there:
        repair = (place["order"].put("C"),)
        place.report("CO-010", "states no order", 'add "order": "C"', expected="C", repair=repair)
    axes = place["axes"].value
    count = len(axes) if isinstance(axes, list) else None
    wrong = count is None or not all(isinstance(a, str) and a for a in axes) or len(set(axes)) != count or not count
    if wrong or ndim not in (None, count):
        fix = "name every dimension once" if ndim is None else f"name each of the {ndim} dimensions once"
        place["axes"].report("CO-002", f"is {short(axes)}", fix)
        return None
    lists: dict[str, list[Any]] = {}
    for key in ("units", "scale", "translate"):
        found = place[key].value
        well = isinstance(found, list) and len(found) == count and all(_fits(key, v) for v in found)
        if not well:
            shown = short(found) if place[key].there else "absent"
            place[key].report("CO-002", f"is {shown}", f"list {_WANTED[key]} for each of {', '.join(axes)[:80]}")
            continue
        lists[key] = found
    if len(lists) < len(_WANTED):
        return None
    step = -1 if order.value == "F" else 1
    scale, translate = (tuple(float(v) for v in lists[key])[::step] for key in ("scale", "translate"))
    return _Stated(
        place=place, axes=tuple(axes)[::step], units=tuple(lists["units"])[::step], scale=scale, translate=translate
    )


_WANTED: Final = {"units": "a text", "scale": "a positive number", "translate": "a number"}


def _fits(key: str, value: Any) -> bool:
    if key == "units":
        return isinstance(value, str)
    return NUMBER.holds(value) and abs(value) < 1e300 and (key == "translate" or value > 1e-300)


# ------------------------------------------------------------------------------------------------------------ arrays
def check_array(root: Place) -> _Stated | None:
    """Check the attributes of an array; return its transform."""
    dimensions = root["dimensions"].value
    ndim = None if lengths_problem(dimensions, 0) else len(dimensions)
    stated = _parse(root["transform"], ndim)
    if stated is not None:
        _check_resolution(root, stated)
    return stated


def _check_resolution(root: Place, stated: _Stated) -> None:
    place = root["pixelResolution"]
    right = {"dimensions": list(stated.scale[::-1]), "unit": stated.units[0]}
    repair = (place.put(right),) if len(set(stated.units)) == 1 else ()
    if not place.there:
        fix = f"add it: {short(right)}"
        root.report("CO-001", "has no 'pixelResolution'", fix, level="should", expected=right, repair=repair)
        return
    sizes, unit = place["dimensions"], place["unit"]
    if not isinstance(sizes.value, list) or len(sizes.value) != len(stated.scale) or not all(map(_size, sizes.value)):
        shown = short(sizes.value) if sizes.there else "absent"
        sizes.report("CO-001", f"is {shown}", f"write {right['dimensions']}", expected=right["dimensions"])
    elif not _close(sizes.value, stated.scale[::-1]):
        turned = _close(sizes.value, stated.scale)
        message = f"is {short(sizes.value)}, the transform says {right['dimensions']} in the order x, y, z"
        mend = (sizes.put(right["dimensions"]),) if turned else ()
        sizes.report(
            "CO-003", message, "reverse it" if turned else "correct it", expected=right["dimensions"], repair=mend
        )
    if not isinstance(unit.value, str):
        unit.report("CO-001", "is no text", f"write {right['unit']!r}", expected=right["unit"], repair=repair)
    elif any(stated_unit(u) != stated_unit(unit.value) for u in stated.units):
        message = f"is {short(unit.value)}, the transform is in {', '.join(stated.units)[:80]}"
        unit.report("CO-003", message, "state one unit", expected=right["unit"])


def _size(value: Any) -> bool:
    return _fits("scale", value)


# ------------------------------------------------------------------------------------------------------------ groups
def check_group(root: Place, levels: Mapping[str, Place | None]) -> None:
    """Check the attributes of a group against those of the arrays it lists.

    Parameters
    ----------
    levels : mapping of str to Place or None
        Attributes by the paths that `dataset_paths` returns; None where there is no array.
    """
    image = root["multiscales"][0]
    listed = root["multiscales"].value
    if len(listed) != 1:
        root["multiscales"].report("CO-005", f"has {len(listed)} images", "list one: readers take the first")
    if isinstance(image["axes"].value, list) and any(isinstance(a, dict) for a in image["axes"].value):
        image.report("CO-009", "has metadata of OME-NGFF and of COSEM", "remove the transforms of COSEM")
    if not isinstance(image["name"].value, str):
        image.report("CO-010", "has no name", "name the image")
    stated: dict[str, _Stated] = {}
    for item in image["datasets"].items()[:_MOST]:
        first = next(iter(stated.values()), None)
        found = _check_dataset(item, levels, None if first is None else first.axes)
        if found is not None:
            stated.setdefault((item.text("path") or "").strip("/"), found)
    if stated:
        finest = next(iter(stated.values()))
        _check_axes(root, finest)
        _check_scales(root, finest, stated, len(image["datasets"].items()))
        if root["pixelResolution"].there:
            _check_resolution(root, finest)
        else:
            root.report("CO-004", "has no 'pixelResolution'", "add that of s0", level="should")
        _check_levels(stated, levels)


def _check_dataset(item: Place, levels: Mapping[str, Place | None], axes: tuple[str, ...] | None) -> _Stated | None:
    """Check one item of a group's datasets; return the transform of its array.

    Where the array has other axes than the first level, `axes`, it may be what is wrong, and not the group.
    """
    path = item["path"]
    if not isinstance(path.value, str) or not path.value.strip("/"):
        path.report("CO-005", f"is {short(path.value) if path.there else 'absent'}", "write the path of the array")
        return None
    level = levels.get(path.value.strip("/"))
    group = _parse(item["transform"])
    if level is None or level.value is None:
        path.report("CO-005", "leads to no array", "correct the path, or remove the level from the list")
        return None
    if not level["transform"].there:
        repair = (level["transform"].put(item["transform"].value),) if group is not None else ()
        level.report("CO-005", "has no 'transform', and the group states one", "copy it", repair=repair)
        return group
    own = check_array(level)
    if own is not None and group is not None and not own.like(group):
        message = "is not the transform of the array"
        expected = level["transform"].value
        odd = axes is not None and own.axes != axes
        fix = (
            "correct the one that is wrong: the array has other axes than the first level"
            if odd
            else "copy it from the array"
        )
        repair = () if odd else (item["transform"].put(expected),)
        item["transform"].report("CO-005", message, fix, expected=expected, repair=repair)
    return own or group


def _check_axes(root: Place, finest: _Stated) -> None:
    for key, right, rule in (("axes", finest.axes, "CO-005"), ("units", finest.units, "CO-004")):
        place, expected = root[key], list(right[::-1])
        if not place.there:
            repair = (place.put(expected),)
            root.report(
                "CO-004", f"has no {key!r}", f"add {expected}", level="should", expected=expected, repair=repair
            )
        elif place.value != expected:
            message = f"is {short(place.value)}, the transforms say {expected} in the order x, y, z"
            place.report(rule, message, f"write {expected}", expected=expected, repair=(place.put(expected),))


def _check_scales(root: Place, finest: _Stated, stated: Mapping[str, _Stated], count: int) -> None:
    place = root["scales"]
    factors = [[ratio(a, b) for a, b in zip(s.scale, finest.scale, strict=False)][::-1] for s in stated.values()]
    whole = all(f == round(f) and len(row) == len(finest.scale) for row in factors for f in row)
    right = [[round(f) for f in row] for row in factors] if whole else None
    repair = (place.put(right),) if right is not None and len(stated) == count else ()
    if not place.there:
        root.report("CO-004", "has no 'scales'", "add the factors of each level", level="should", repair=repair)
        return
    rows = place.value if isinstance(place.value, list) else []
    shaped = all(isinstance(r, list) and len(r) == len(finest.scale) and all(map(_size, r)) for r in rows)
    if not rows or not shaped or len(rows) != count:
        message = f"states factors for {len(rows)} levels" if rows and shaped else f"is {short(place.value)}"
        place.report("CO-004", message, f"list one set for each of {count} levels", expected=right, repair=repair)
        return
    for i, (row, want) in enumerate(zip(rows, factors, strict=False)):
        if _close(row, want):
            continue
        level = list(stated.values())[i]
        cut = [a // b for a, b in zip(level.scale, finest.scale, strict=False)][::-1]
        rule, why = ("CO-007", "as if cut") if _close(row, cut) else ("CO-004", "which the transforms do not say")
        fix = f"write {[round(f, 6) for f in want]}"
        place[i].report(rule, f"is {short(row)}, {why}", fix, expected=want, repair=repair)


def _check_levels(stated: Mapping[str, _Stated], levels: Mapping[str, Place | None]) -> None:
    """Compare each level with the first: factors, shapes, shifts."""
    path, finest = next(iter(stated.items()))
    least = levels.get(path)
    coarser = {p: s for p, s in stated.items() if p != path and len(s.scale) == len(finest.scale)}
    shifts: dict[str, tuple[_Stated, tuple[float, ...]]] = {}
    for name, level in coarser.items():
        factors = [ratio(a, b) for a, b in zip(level.scale, finest.scale, strict=True)]
        if any(f != round(f) for f in factors):
            message = f"makes the level {[round(f, 4) for f in factors]} times coarser"
            level.place["scale"].report("CO-007", message, "make each factor a whole number")
        zipped = zip(finest.translate, finest.scale, factors, strict=True)
        shifts[name] = level, tuple(t + s * (f - 1) / 2 for t, s, f in zipped)
        _check_shape(levels.get(name), least, factors)
    right = [
        name for name, (level, shift) in shifts.items() if _close(level.translate, shift) and shift != finest.translate
    ]
    for name, (level, shift) in shifts.items():
        if not _close(level.translate, shift):
            _report_shift(level, finest, shift, certain=any(other != name for other in right))


def _report_shift(level: _Stated, finest: _Stated, shift: tuple[float, ...], *, certain: bool) -> None:
    place = level.place["translate"]
    fortran = level.place.text("order") == "F" or level.place.text("ordering") == "F"
    expected = list(shift[::-1] if fortran else shift)
    if _close(level.translate, finest.translate):
        message = "is that of the first level: right for every f-th voxel, not for means"
    else:
        message = f"is {short(place.value)}, means over windows lie at {[round(v, 6) for v in expected]}"
    repair = (place.put(expected),) if certain else ()
    place.report("CO-006", message, "write the shift of half a window", expected=expected, repair=repair)


def _check_shape(level: Place | None, finest: Place | None, factors: Sequence[float]) -> None:
    if level is None or finest is None:
        return
    sizes, least = level["dimensions"], finest["dimensions"].value
    if lengths_problem(sizes.value, 0, len(factors)) or lengths_problem(least, 0, len(factors)):
        return
    turned = tuple(reversed(factors))
    if any(not n / f - 1 < m < n / f + 1 for n, m, f in zip(least, sizes.value, turned, strict=True)):
        message = f"is {short(sizes.value)}, where {short(least)} by {[round(f, 4) for f in turned]} is expected"
        sizes.report("CO-008", message, "correct the scale, or write the level again")
