"""Checking what a document says of the dataset as a whole, and each of its layers."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from voxarium.model.axes import SPACE_UNITS, canonical_unit
from voxarium.model.checked_values import OBJECT, TEXT, Kind, matching, objects
from voxarium.model.checking import ABSENT, Place, short
from voxarium.spec.webknossos.properties import FORMATS
from voxarium.spec.webknossos.rules.extras import check_attachments, check_transformations, check_view
from voxarium.spec.webknossos.rules.mags import check_axes, check_mags
from voxarium.spec.webknossos.rules.values import are_numbers, is_number, need, triple, whole

__all__ = ["check_dataset", "check_layer"]

_NAME: Final = re.compile(r"[A-Za-z0-9_$@\-]+[A-Za-z0-9_$@\-.]*", re.ASCII)
_FACTOR: Final = Kind(
    "three positive numbers",
    lambda v: isinstance(v, list) and len(v) == 3 and all(is_number(n, 1e-30, 1e30) for n in v),
)
_ELEMENT: Final = re.compile(r"(u?int|float)([0-9]{1,5})", re.ASCII)
_TYPES: Final = frozenset({"float32", "float64"} | {f"{u}int{bits}" for u in ("", "u") for bits in (8, 16, 32, 64)})
_CATEGORY: Final = matching("color|segmentation", "color or segmentation")
_FORMAT: Final = matching("|".join(FORMATS), f"one of {', '.join(FORMATS)}")
_ONLY_SEGMENTS: Final = ("largestSegmentId", "mappings", "attachments")
_POSITION: Final = Kind("three numbers", lambda v: are_numbers(v, 3))
_VIEW: Final = {"position": _POSITION, "rotation": _POSITION, "zoom": Kind("a number", is_number)}


def check_dataset(root: Place) -> list[Place]:
    """Check a document but for what single layers say; return the entries of layers."""
    own = need(root, "id", OBJECT, "WK-003")
    for name in ("name", "team") if own is not None else ():
        need(root["id"], name, TEXT, "WK-003")
    _check_scale(root)
    _check_version(root)
    check_view(root["defaultViewConfiguration"], _VIEW)
    if root["dataLayers"].value is ABSENT:
        root.report("WK-008", "has no 'dataLayers'", "describe each layer")
    layers = objects(root["dataLayers"], "WK-008", least=0)
    seen: dict[str, int] = {}
    for i, layer in enumerate(layers):
        stated = layer.text("name")
        if stated is not None:
            if stated in seen:
                layer["name"].report("WK-010", f"is {short(stated)}, as in layer {seen[stated]}", "rename one of them")
            seen.setdefault(stated, i)
    return layers


def _check_scale(root: Place) -> None:
    place = root["scale"]
    if _FACTOR.holds(place.value):
        written = place.put({"factor": place.value, "unit": "nanometer"})
        place.report("WK-005", "is a bare list", "write factor and unit", repair=(written,))
        return
    if need(root, "scale", OBJECT, "WK-004") is None:
        return
    need(place, "factor", _FACTOR, "WK-004")
    unit = place["unit"]
    if unit.value is ABSENT:
        place.report("WK-005", "has no 'unit'", "add it", repair=(unit.put("nanometer"),))
    elif not isinstance(unit.value, str) or unit.value not in SPACE_UNITS:
        known = canonical_unit(unit.value) if isinstance(unit.value, str) else ""
        repair = (unit.put(known),) if known in SPACE_UNITS else ()
        unit.report("WK-006", f"is {short(unit.value)}", "write the whole name of a unit of length", repair=repair)


def _check_version(root: Place) -> None:
    place = root["version"]
    if place.value is ABSENT:
        root.report("WK-007", "has no 'version'", "add it: 1", repair=(place.put(1),))
    elif whole(place.value, 1, 1) is None:
        repair = (place.put(1),) if place.value == "1" else ()
        place.report("WK-007", f"is {short(place.value)}", "write 1", expected=1, repair=repair)


# ---------------------------------------------------------------------------------------------------- layers
def check_layer(layer: Place) -> None:
    """Check the entry of a layer."""
    name = layer["name"]
    if not isinstance(name.value, str) or not _NAME.fullmatch(name.value):
        at, what = (name, f"is {short(name.value)}") if name.there else (layer, "has no 'name'")
        at.report("WK-009", what, "use letters, digits, _, $, @ and -")
    category = need(layer, "category", _CATEGORY, "WK-011")
    _check_box(layer)
    dtype = _check_type(layer)
    need(layer, "dataFormat", _FORMAT, "WK-016")
    check_mags(layer)
    check_axes(layer)
    check_transformations(layer["coordinateTransformations"])
    check_view(layer["defaultViewConfiguration"], _LAYER_VIEW)
    if category is not None and category.value == "color":
        _check_color(layer, dtype)
    else:
        _check_segments(layer, dtype)


def _check_box(layer: Place) -> None:
    box = need(layer, "boundingBox", OBJECT, "WK-012")
    if box is None:
        return
    if triple(box["topLeft"].value, -(2**40)) is None:
        at = box["topLeft"] if box["topLeft"].there else box
        at.report("WK-012", f"has no sound topLeft: {short(at.value)}", "write three whole numbers")
    for side in ("width", "height", "depth"):
        if whole(box[side].value, 0) is None:
            at, what = (box[side], f"is {short(box[side].value)}") if box[side].there else (box, f"has no {side!r}")
            at.report("WK-012", what, "write a whole number from 0")


def _check_type(layer: Place) -> str | None:
    """Check element class and channels; return the type of a channel where it is known."""
    channels = layer["numChannels"]
    count: int | None = 1
    if channels.there and channels.value is not None:
        count = whole(channels.value, 1, 2**16)
        if count is None:
            channels.report("WK-014", f"is {short(channels.value)}", "write a whole number from 1")
    place = need(layer, "elementClass", TEXT, "WK-013")
    if place is None or count is None:
        return None
    if place.value == "uint24" and (not channels.there or channels.value is None):
        layer.report("WK-015", "has no 'numChannels' beside uint24", "add it: 3", repair=(channels.put(3),))
        return "uint8"
    found = _ELEMENT.fullmatch({"float": "float32", "double": "float64"}.get(place.value, place.value))
    bits, rest = divmod(int(found[2]), count) if found else (0, 0)
    name = f"{found[1]}{bits}" if found and not rest else ""
    if name not in _TYPES:
        what = f"is {short(place.value)} for {count} channels" if count > 1 else f"is {short(place.value)}"
        place.report("WK-013", what, "write the type of a channel with the bits of all channels")
        return None
    return name


def _check_color(layer: Place, dtype: str | None) -> None:
    for name in _ONLY_SEGMENTS:
        if layer[name].there and layer[name].value not in (None, [], {}):
            layer[name].report("WK-029", "is there for a color layer", "remove it")
    if dtype in ("uint64", "int64", "float64"):
        layer["elementClass"].report("WK-035", f"is {dtype}, which WEBKNOSSOS does not show", "write it as float")


def _check_segments(layer: Place, dtype: str | None) -> None:
    largest = layer["largestSegmentId"]
    if not largest.there or largest.value is None:
        layer.report("WK-028", "has no 'largestSegmentId'", "add it: the largest id there is")
    else:
        bits = int(dtype.lstrip("uintfloa")) - (not dtype.startswith("u")) if dtype and "int" in dtype else 64
        if whole(largest.value, 0, 2**bits - 1) is None:
            largest.report("WK-027", f"is {short(largest.value)}, no id of {dtype}", "write the largest id there is")
    mappings = layer["mappings"]
    if mappings.there and mappings.value is not None and not _are_texts(mappings.value):
        mappings.report("WK-030", f"is {short(mappings.value)}", "list names of files")
    check_attachments(layer["attachments"])


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _range(value: Any) -> bool:
    return are_numbers(value, 2) and value[0] <= value[1]


def _kind(text: str, holds: Callable[[Any], bool]) -> Kind:
    return Kind(text, holds)


_LAYER_VIEW: Final = {
    "color": _kind("three numbers from 0 to 255", lambda v: are_numbers(v, 3, 0, 255)),
    "alpha": _kind("a number from 0 to 100", lambda v: is_number(v, 0, 100)),
    "intensityRange": _kind("two numbers that ascend", _range),
    "min": _kind("a number", is_number),
    "max": _kind("a number", is_number),
    "isDisabled": _kind("true or false", _flag),
    "isInverted": _kind("true or false", _flag),
    "isInEditMode": _kind("true or false", _flag),
    "mapping": _kind("an object", lambda v: isinstance(v, dict)),
}
