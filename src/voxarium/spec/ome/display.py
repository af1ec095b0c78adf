"""Display hints: ``omero`` (rule OM-001) and ``image-label`` (rules LB-008 … LB-014)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxarium.model.image import ChannelDisplay, Display, ImageInfo, LabelColor
from voxarium.spec.ome.document import json_ready

__all__ = ["dump_image_label", "dump_omero", "parse_image_label", "parse_omero"]

_CHANNEL: Final = frozenset({"label", "color", "window", "active"})
_WINDOW: Final = ("min", "max", "start", "end")
_LABEL: Final = frozenset({"version", "colors", "properties", "source"})
_HEX: Final = re.compile(r"#?([0-9A-Fa-f]{6})\Z")
_WHITE: Final = "FFFFFF"


# -- omero
def parse_omero(found: Any, notes: list[str]) -> tuple[tuple[ChannelDisplay, ...], Mapping[str, Any]]:
    """Return channels and the rest of an ``omero`` object. What cannot be read is noted, not refused."""
    if not isinstance(found, dict):
        if found is not None:
            notes.append("omero is not an object; ignored")
        return (), {}
    channels = found.get("channels", [])
    extra = {k: v for k, v in found.items() if k != "channels"}
    if not isinstance(channels, list) or not all(isinstance(c, dict) for c in channels):
        notes.append("omero.channels is not a list of objects; ignored")
        return (), extra
    return tuple(_parse_channel(c, f"omero.channels[{i}]", notes) for i, c in enumerate(channels)), extra


def _parse_channel(found: Mapping[str, Any], where: str, notes: list[str]) -> ChannelDisplay:
    extra = {k: v for k, v in found.items() if k not in _CHANNEL}
    label, color, active = found.get("label"), found.get("color"), found.get("active", True)
    match = _HEX.match(color) if isinstance(color, str) else None
    if color is not None and match is None:
        notes.append(f"{where}.color {color!r} is not six hexadecimal digits; ignored")
    window, limits = _parse_window(found.get("window"), where, notes)
    return ChannelDisplay(
        label=label if isinstance(label, str) else None,
        color=None if match is None else match[1],
        window=window,
        limits=limits,
        active=active if isinstance(active, bool) else True,
        extra=extra,
    )


_Range = tuple[float, float] | None


def _parse_window(found: Any, where: str, notes: list[str]) -> tuple[_Range, _Range]:
    if found is None:
        return None, None
    numbers = {k: _number(found.get(k)) for k in _WINDOW} if isinstance(found, dict) else {}
    low, high, start, end = (numbers.get(k) for k in _WINDOW)
    window = None if start is None or end is None else (start, end)
    limits = None if low is None or high is None else (low, high)
    if window is None or limits is None:
        notes.append(f"{where}.window lacks one of {', '.join(_WINDOW)}")
    return window, limits


def _number(value: Any) -> float | None:
    """Return a finite number; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def dump_omero(display: Display, dtype: np.dtype[Any], spec_version: str) -> dict[str, Any] | None:
    """Return the ``omero`` object; None when there is nothing to say.

    Every channel must have a colour and a window: white and the range of the data type stand in.
    """
    if not display.channels:
        return None
    channels = [_dump_channel(c, dtype) for c in display.channels]
    extra = {k: v for k, v in json_ready(display.extra).items() if k != "channels"}
    if "version" in extra:
        extra.pop("version")
        if spec_version == "0.4":
            extra["version"] = "0.4"
    return {"channels": channels} | extra


def _dump_channel(channel: ChannelDisplay, dtype: np.dtype[Any]) -> dict[str, Any]:
    out: dict[str, Any] = {} if channel.label is None else {"label": channel.label}
    match = _HEX.match(channel.color or "")
    out["color"] = _WHITE if match is None else match[1]
    whole = _range(dtype)
    limits = _finite(channel.limits) or (whole if dtype.kind in "iu" else _finite(channel.window)) or whole
    window = _finite(channel.window) or limits
    out["window"] = dict(zip(_WINDOW, map(_short, (*limits, *window)), strict=True))
    out["active"] = channel.active
    return out | {k: v for k, v in json_ready(channel.extra).items() if k not in out}


def _short(value: float) -> float:
    """Return whole numbers as such; JSON then shows no decimal point."""
    return int(value) if float(value).is_integer() and abs(value) <= 2**53 else float(value)


def _finite(pair: _Range) -> _Range:
    return pair if pair is not None and all(map(math.isfinite, pair)) else None


def _range(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        return float(info.min), float(info.max)
    return 0.0, 1.0


# -- image-label
def parse_image_label(
    found: Mapping[str, Any], notes: list[str]
) -> tuple[tuple[LabelColor, ...], tuple[Mapping[str, Any], ...], str | None]:
    """Return colours, properties and the stated source image of an ``image-label`` object."""
    colors: dict[int, LabelColor] = {}
    for i, item in enumerate(_items(found, "colors", notes)):
        color = _parse_color(item)
        if color is None:
            notes.append(f"image-label.colors[{i}] has no label-value with four numbers 0–255; ignored")
        else:
            colors.pop(color.label, None)  # of equal label-values the last counts (LB-011)
            colors[color.label] = color
    properties = tuple(p for p in _items(found, "properties", notes) if isinstance(p, dict))
    source = found.get("source")
    image = source.get("image") if isinstance(source, dict) else None
    return tuple(colors.values()), properties, image if isinstance(image, str) and image else None


def _items(found: Mapping[str, Any], key: str, notes: list[str]) -> list[Any]:
    items = found.get(key, [])
    if isinstance(items, list):
        return items
    notes.append(f"image-label.{key} is not a list; ignored")
    return []


def _parse_color(found: Any) -> LabelColor | None:
    if not isinstance(found, dict):
        return None
    value, rgba = found.get("label-value"), found.get("rgba")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not isinstance(rgba, list) or len(rgba) != 4:
        return None
    if not all(isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255 for v in rgba):
        return None
    return LabelColor(label=value, rgba=(rgba[0], rgba[1], rgba[2], rgba[3]))


def dump_image_label(
    image: ImageInfo, spec_version: str, default_source: str | None, original: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the ``image-label`` object of a label image; unknown keys of `original` are kept."""
    out: dict[str, Any] = {"version": spec_version} if spec_version < "0.6" else {}  # LB-014
    display = image.display
    if display.label_colors:
        last = {c.label: c for c in display.label_colors}
        out["colors"] = [{"label-value": c.label, "rgba": list(c.rgba)} for c in last.values()]
    properties = [json_ready(p) for p in display.label_properties]
    unique = {json.dumps(p, sort_keys=True): p for p in properties if "label-value" in p}  # the schema demands it
    if unique:
        out["properties"] = list(unique.values())
    source = image.source_image or default_source
    if source is not None:
        stated = original.get("source")
        out["source"] = (dict(stated) if isinstance(stated, dict) else {}) | {"image": source}
    return out | {k: v for k, v in original.items() if k not in _LABEL}
