"""Axes, voxel sizes and channels that TIFF files of microscopes state, in dialects other than OME-XML.

Specs: https://imagej.net/ij/developer/api/ (FileInfo); LSM, MetaMorph STK, Aperio SVS, Hamamatsu NDPI, Akoya QPTIFF and
Micro-Manager as tifffile presents them. Resolution tags alone say nothing about z and are often a printer's, so they
are used only where the format is one that means micrometers by them; else they are carried.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from voxarium.model.acquisition import Acquisition, ChannelFacts, ObjectiveFacts, even_step
from voxarium.model.axes import SPACE_UNITS, Axis, canonical_unit, guess_axis_type, unit_factor
from voxarium.model.image import ChannelDisplay
from voxarium.model.transforms import Scale, Transform

__all__ = ["PlaneMetadata", "Resolution", "axes_of", "parse_imagej", "parse_stated"]

Resolution = tuple[float | None, float | None, str]
"""Voxels per unit along x and y, and the unit: inch, centimeter, or empty."""

_MOST_CHANNELS: Final = 10_000
_NAMES: Final = {"Z": "z", "Y": "y", "X": "x", "T": "t", "C": "c"}
_UNSTATED: Final = frozenset("IQ")
_TYPES: Final = {"E": "frequency"}
_METER: Final = "meter"
_MICRO: Final = "micrometer"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneMetadata:
    """What a description says: (size, unit) per axis letter, names, how channels are shown and were recorded."""

    sizes: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    channels: tuple[str, ...] = ()
    name: str = ""
    acquisition: Acquisition = field(default_factory=Acquisition)
    displays: tuple[ChannelDisplay, ...] = ()


def parse_stated(kind: str, stated: Mapping[str, Any], resolution: Resolution) -> PlaneMetadata:  # Any: JSON
    """Return what a file of a kind says, as far as it is understood; never raises.

    Parameters
    ----------
    kind : str
        As tifffile names it: ``imagej``, ``lsm``, ``stk``, ``svs``, ``ndpi``, ``qpi``, ``mmstack`` …
    stated : mapping
        Its metadata as JSON, by kind.
    resolution : tuple
        The resolution tags.
    """
    parser = _PARSERS.get(kind)
    if parser is None:
        return PlaneMetadata()
    found = stated.get("micromanager" if kind == "mmstack" else kind)
    return parser(found if isinstance(found, Mapping) else {}, resolution)


# -------------------------------------------------------------------------------------------------- small parts
def _number(value: Any) -> float | None:  # Any: JSON
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _positive(value: Any) -> float | None:  # Any: JSON
    number = _number(value)
    return number if number is not None and number > 0 else None


def _text(value: Any) -> str:  # Any: JSON
    return value.strip() if isinstance(value, str) else ""


def _mapping(value: Any) -> Mapping[str, Any]:  # Any: JSON
    return value if isinstance(value, Mapping) else {}


def _list(value: Any) -> Sequence[Any]:  # Any: JSON
    return value[:_MOST_CHANNELS] if isinstance(value, list) else ()


def _rounded(value: float) -> float:
    """Rationals of 32 bits carry some nine digits; more would be noise."""
    return float(f"{value:.9g}")


def _sized(found: Mapping[str, float | None], unit: str) -> dict[str, tuple[float, str]]:
    return {letter: (value, unit) for letter, value in found.items() if value is not None}


# ----------------------------------------------------------------------------------------------------- dialects
def parse_imagej(found: Mapping[str, Any], resolution: Resolution) -> PlaneMetadata:  # Any: JSON
    """Return what ImageJ's description and the resolution tags say together.

    Parameters
    ----------
    found : mapping
        ImageJ's key-value pairs.
    resolution : tuple
        The resolution tags. ImageJ writes them in the unit of its description.
    """
    sizes: dict[str, tuple[float, str]] = {}
    unit = canonical_unit(_unescaped(str(found.get("unit", ""))))
    per_unit_x, per_unit_y, _ = resolution
    if unit in SPACE_UNITS:
        for letter, per_unit in (("Y", per_unit_y), ("X", per_unit_x)):
            if per_unit is not None and per_unit > 0:
                sizes[letter] = (_rounded(1 / per_unit), unit)
        spacing = _number(found.get("spacing"))
        if spacing:
            sizes["Z"] = (abs(spacing), unit)  # ImageJ writes negative steps of stages that moved down
    interval = _positive(found.get("finterval"))
    if interval is not None:
        sizes["T"] = (interval, "second")
    return PlaneMetadata(sizes=sizes, displays=_imagej_displays(found))


def _imagej_displays(found: Mapping[str, Any]) -> tuple[ChannelDisplay, ...]:
    ranges, tables = _list(found.get("Ranges")), _list(found.get("LUTs"))
    count = max(len(ranges) // 2, len(tables))
    out = []
    for i in range(count):
        low, high = (_number(v) for v in (*ranges[2 * i : 2 * i + 2], None, None)[:2])
        window = (low, high) if low is not None and high is not None and low < high else None
        out.append(ChannelDisplay(color=_lut_color(tables[i]) if i < len(tables) else None, window=window))
    return tuple(out) if any(c != ChannelDisplay() for c in out) else ()


def _lut_color(table: Any) -> str | None:  # Any: JSON
    """Return the colour of the highest value of a table of three rows."""
    rows = _list(table)
    last = [row[-1] for row in rows if isinstance(row, list) and row]
    if len(last) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in last):
        return None
    return "".join(f"{v:02X}" for v in last)


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text).strip()


def _parse_lsm(found: Mapping[str, Any], _: Resolution) -> PlaneMetadata:
    meters = {a: _positive(found.get(f"VoxelSize{a}")) for a in "ZYX"}
    sizes = _sized({a: None if v is None else _rounded(v * 1e6) for a, v in meters.items()}, _MICRO)
    listed = found.get("TimeStamps")
    stamps = [_number(t) for t in listed] if isinstance(listed, list) else []
    step = _positive(found.get("TimeIntervall")) or even_step(stamps)
    if step is not None:
        sizes["T"] = (step, "second")
    scan = _mapping(found.get("ScanInformation"))
    colors = _mapping(found.get("ChannelColors"))
    names, rgb = _list(colors.get("ColorNames")), _list(colors.get("Colors"))
    channels = []
    for i in range(max(len(names), len(rgb))):
        values = rgb[i][:3] if i < len(rgb) and isinstance(rgb[i], list) else ()
        fine = len(values) == 3 and all(type(v) is int and 0 <= v <= 255 for v in values)
        color = "".join(f"{v:02X}" for v in values) if fine else None
        channels.append(ChannelFacts(name=_text(names[i]) if i < len(names) else "", color=color))
    known = tuple(s for s in stamps if s is not None)
    first = known[0] if known else 0.0
    acquisition = Acquisition(
        description=_text(scan.get("Description")),
        objective=ObjectiveFacts(model=_text(scan.get("Objective"))) if _text(scan.get("Objective")) else None,
        channels=_with_tracks(tuple(channels), scan),
        times=tuple(t - first for t in known) if len(known) == len(stamps) > 1 and "T" not in sizes else (),
    )
    return PlaneMetadata(sizes=sizes, acquisition=acquisition, name=_text(scan.get("Name")))


def _with_tracks(channels: tuple[ChannelFacts, ...], scan: Mapping[str, Any]) -> tuple[ChannelFacts, ...]:
    """Add what an LSM file says about its detection channels, where there are as many."""
    detected: list[tuple[Mapping[str, Any], float | None]] = []
    for track in _list(scan.get("Tracks")):
        lights = [_positive(_mapping(c).get("Wavelength")) for c in _list(_mapping(track).get("IlluminationChannels"))]
        light = lights[0] if len(lights) == 1 else None
        detected.extend((_mapping(c), light) for c in _list(_mapping(track).get("DetectionChannels")))
    if len(detected) != len(channels):
        return channels
    out = []
    for facts, (found, light) in zip(channels, detected, strict=True):
        out.append(
            replace(
                facts,
                name=facts.name or _text(found.get("DetectionChannelName")),
                fluor=_text(found.get("DyeName")),
                excitation=light,
                pinhole=_positive(found.get("PinholeDiameter")),
                gain=_positive(found.get("DetectorGain")),
            )
        )
    return tuple(out)


def _parse_stk(found: Mapping[str, Any], _: Resolution) -> PlaneMetadata:
    unit = canonical_unit(_text(found.get("CalibrationUnits")))
    sizes: dict[str, tuple[float, str]] = {}
    if unit in SPACE_UNITS and found.get("SpatialCalibration", 1):
        sizes = _sized({"Y": _positive(found.get("YCalibration")), "X": _positive(found.get("XCalibration"))}, unit)
    distances = [_positive(d) for d in _list(found.get("ZDistance"))]
    if distances and distances[0] is not None and all(d == distances[0] for d in distances):
        sizes["Z"] = (distances[0], _MICRO if unit not in SPACE_UNITS else unit)
    waves = {_positive(w) for w in _list(found.get("Wavelengths"))}
    wave = waves.pop() if len(waves) == 1 else None
    dates = _list(found.get("DatetimeCreated"))
    acquisition = Acquisition(
        date=_text(dates[0])[:19] if dates else "",
        channels=(ChannelFacts(emission=wave),) if wave is not None and wave > 1 else (),
    )
    return PlaneMetadata(sizes=sizes, acquisition=acquisition, name=_text(found.get("Name")))


def _parse_svs(found: Mapping[str, Any], _: Resolution) -> PlaneMetadata:
    size = _positive(found.get("MPP"))
    power = _positive(found.get("AppMag"))
    stamp = f"{_text(found.get('Date'))} {_text(found.get('Time'))}"
    acquisition = Acquisition(
        date=_date(stamp, "%m/%d/%y %H:%M:%S") or _date(stamp, "%m/%d/%Y %H:%M:%S"),
        instrument=_text(found.get("ScanScope ID")),
        objective=None if power is None else ObjectiveFacts(magnification=power),
    )
    return PlaneMetadata(sizes=_sized({"Y": size, "X": size}, _MICRO), acquisition=acquisition)


def _date(text: str, pattern: str) -> str:
    try:
        return datetime.strptime(text, pattern).isoformat()
    except ValueError:
        return ""


def _parse_resolution(_: Mapping[str, Any], resolution: Resolution) -> PlaneMetadata:
    x, y, unit = resolution
    if unit not in ("inch", "centimeter") or not x or not y:
        return PlaneMetadata()
    factor = unit_factor(unit, _MICRO)
    return PlaneMetadata(sizes=_sized({"Y": _rounded(factor / y), "X": _rounded(factor / x)}, _MICRO))


def _parse_micromanager(found: Mapping[str, Any], _: Resolution) -> PlaneMetadata:
    summary = _mapping(found.get("Summary"))
    pixel = _positive(summary.get("PixelSize_um")) or _positive(summary.get("PixelSizeUm"))
    step = _number(summary.get("z-step_um"))
    sizes = _sized({"Z": abs(step) if step else None, "Y": pixel, "X": pixel}, _MICRO)
    interval = _positive(summary.get("Interval_ms"))
    if interval is not None:
        sizes["T"] = (interval / 1000, "second")
    names, colors = _list(summary.get("ChNames")), _list(summary.get("ChColors"))
    channels = tuple(
        ChannelFacts(name=_text(name), color=_packed_color(colors[i]) if i < len(colors) else None)
        for i, name in enumerate(names)
    )
    acquisition = Acquisition(
        date=_text(summary.get("StartTime")),
        channels=channels,
        description=_text(_mapping(found.get("Comments")).get("Summary")),
    )
    return PlaneMetadata(
        sizes=sizes, channels=acquisition.labels(), acquisition=acquisition, name=_text(summary.get("Prefix"))
    )


def _packed_color(value: Any) -> str | None:  # Any: JSON
    return f"{value & 0xFFFFFF:06X}" if type(value) is int else None


_PARSERS: Final[Mapping[str, Callable[[Mapping[str, Any], Resolution], PlaneMetadata]]] = {
    "imagej": parse_imagej,
    "lsm": _parse_lsm,
    "stk": _parse_stk,
    "svs": _parse_svs,
    "ndpi": _parse_resolution,
    "qpi": _parse_resolution,
    "mmstack": _parse_micromanager,
}


# --------------------------------------------------------------------------------------------------------- axes
def axes_of(
    letters: str, found: PlaneMetadata | None, shape: tuple[int, ...]
) -> tuple[tuple[Axis, ...] | None, Transform | None]:
    """Return axes and voxel centre → world transform, each None where it is not stated.

    Parameters
    ----------
    letters : str
        A letter per axis; S = samples, I and Q = not said.
    found : PlaneMetadata or None
        What the description said.
    shape : tuple of int
        Voxels.
    """
    names = [_NAMES.get(a, "c" if a == "S" and "C" not in letters else a.lower()) for a in letters]
    if _UNSTATED & set(letters):
        # A series of colour images would be ambiguous without names; a series of grey ones is not.
        if len(letters) != 4 or not letters.endswith("YXS"):
            return None, None
        names[0] = "z"
    if len(set(names)) != len(names):
        return None, None
    found = found or PlaneMetadata()
    axes = tuple(
        Axis(
            name=n,
            type="channel" if letter == "S" else _TYPES.get(letter, guess_axis_type(n)),
            unit=found.sizes[letter][1] if letter in found.sizes else None,
            labels=found.channels if letter == "C" and len(found.channels) == size else (),
        )
        for n, letter, size in zip(names, letters, shape, strict=True)
    )
    if any(a.type == "space" and letter not in found.sizes for a, letter in zip(axes, letters, strict=True)):
        return axes, None
    return axes, Scale(tuple(found.sizes[letter][0] if letter in found.sizes else 1.0 for letter in letters))
