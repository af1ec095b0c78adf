"""Imaris 5.5 files: what the groups of an HDF5 file with the ending ``.ims`` say about the image in it.

Spec: https://imaris.oxinst.com/support/imaris-file-format. Facts read from the published writer: attributes are
arrays of single characters; ``ExtMin`` and ``ExtMax`` are the outer corners of the image, x y z, the unit is
micrometres unless ``Unit`` says otherwise; a level has half the voxels of the one before it along an axis,
rounded down, and its data are padded to whole chunks, so that only ``ImageSizeX``, ``Y``, ``Z`` tell its size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError
from voxarium.model.axes import SPACE_UNITS, Axis, canonical_unit
from voxarium.model.image import ChannelDisplay
from voxarium.model.transforms import Scale, Transform, Translation

__all__ = [
    "ImarisInfo",
    "attribute_text",
    "axes",
    "axis_names",
    "level_transform",
    "numbered",
    "parse_info",
    "parse_size",
]

_MOST_TEXT: Final = 100_000
_MOST: Final = 1 << 48
_FORMATS: Final = ("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%d %H:%M:%S")
_HALVINGS: Final = 48
_SMALLEST, _LARGEST = 1e-30, 1e30


@dataclass(frozen=True, slots=True, kw_only=True)
class ImarisInfo:
    """What ``DataSetInfo`` says.

    Parameters
    ----------
    name : str
        Name of the image; empty when there is none.
    unit : str
        UDUNITS-2 name of the unit of the extent.
    extent : tuple of three (float, float) or None
        First and last outer corner along z, y, x, where all are stated and differ.
    size : tuple of int or None
        Voxels along z, y, x, as stated for the whole image.
    step : float or None
        Seconds between time points, where they are evenly spaced.
    channels : tuple of ChannelDisplay
        How each channel is to be shown.
    metadata : mapping
        Every attribute as text, by group.
    notes : tuple of str
        What could not be used.
    """

    name: str = ""
    unit: str = "micrometer"
    extent: tuple[tuple[float, float], ...] | None = None
    size: tuple[int, int, int] | None = None
    step: float | None = None
    channels: tuple[ChannelDisplay, ...] = ()
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def attribute_text(value: Any) -> str:  # Any: whatever the HDF5 library returns
    """Return an attribute as text; Imaris stores an array of single characters.

    Examples
    --------
    >>> attribute_text(np.array([b"1", b"2", b".", b"5"]))
    '12.5'
    """
    if isinstance(value, np.ndarray):
        if value.size > _MOST_TEXT:
            return ""
        value = value.reshape(-1).tolist()
    if isinstance(value, list):
        if not all(isinstance(v, (bytes, str)) for v in value):
            return " ".join(str(v) for v in value)
        value = b"".join(v if isinstance(v, bytes) else v.encode("utf-8", "replace") for v in value)
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return str(value).strip("\0 \t\r\n")[:_MOST_TEXT]


def numbered(names: Sequence[str], kind: str, most: int) -> int:
    """Return how many of ``kind 0``, ``kind 1`` … there are, without a gap.

    Raises
    ------
    FormatError
        If there are more than `most`.

    Examples
    --------
    >>> numbered(["Channel 1", "Channel 0", "Histogram"], "Channel", 9)
    2
    """
    there = set(names)
    count = 0
    while f"{kind} {count}" in there:
        count += 1
        if count > most:
            raise FormatError(
                f"there are more than {most} groups called {kind!r}",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="name one dataset inside the file, as in file.ims::/DataSet/…/Data",
            )
    return count


def parse_info(groups: Mapping[str, Mapping[str, str]], channels: int, times: int) -> ImarisInfo:
    """Return what the groups below ``DataSetInfo`` say; what cannot be read is noted, never refused.

    Parameters
    ----------
    groups : mapping
        Attributes as text, by name of the group.
    channels, times : int
        How many there are in the file.
    """
    notes: list[str] = []
    image = groups.get("Image", {})
    unit = canonical_unit(image.get("Unit", "") or "um")
    if unit not in SPACE_UNITS:
        notes.append(f"the unit {unit!r} is not known; positions are left out")
    extent = _extent(image, notes) if unit in SPACE_UNITS else None
    return ImarisInfo(
        name=image.get("Name", "").removesuffix("(name not specified)").strip(),
        unit=unit,
        extent=extent,
        size=_size(image, ("Z", "Y", "X")),
        step=_step(groups.get("TimeInfo", {}), times, notes) if times > 1 else None,
        channels=tuple(_channel(groups.get(f"Channel {i}", {}), i, notes) for i in range(channels)),
        metadata=groups,
        notes=tuple(notes),
    )


def parse_size(
    attributes: Mapping[str, str], stored: tuple[int, ...], stated: tuple[int, int, int] | None, where: str
) -> tuple[int, int, int]:
    """Return voxels along z, y, x of one level.

    Parameters
    ----------
    attributes : mapping
        Of the group of a channel.
    stored : tuple of int
        Shape of its data, which may be padded.
    stated : tuple of int or None
        Size of the whole image, at level 0.
    where : str
        The level, for messages.

    Raises
    ------
    FormatError
        If the data have not three axes, or are smaller than the image.
    """
    if len(stored) != 3:
        raise _invalid(f"{where}: the data have {len(stored)} axes instead of three")
    size = _size(attributes, ("ImageSizeZ", "ImageSizeY", "ImageSizeX")) or stated
    if size is None:
        return stored[0], stored[1], stored[2]
    if any(n > s for n, s in zip(size, stored, strict=True)):
        raise _invalid(f"{where}: the image is {size}, but only {tuple(stored)} voxels are stored")
    return size


def axis_names(channels: int, times: int) -> tuple[str, ...]:
    """Return the axes of the image: time and channels are left out where there is one only."""
    return (("t",) if times > 1 else ()) + (("c",) if channels > 1 else ()) + ("z", "y", "x")


def axes(info: ImarisInfo, names: Sequence[str]) -> tuple[Axis, ...]:
    """Return the axes with their units, and the names of the channels."""
    labels = tuple(c.label or "" for c in info.channels)
    out = []
    for name in names:
        if name == "t":
            out.append(Axis(name="t", type="time", unit=None if info.step is None else "second"))
        elif name == "c":
            out.append(Axis(name="c", type="channel", labels=labels if any(labels) else ()))
        else:
            out.append(Axis(name=name, type="space", unit=None if info.extent is None else info.unit))
    return tuple(out)


def level_transform(
    info: ImarisInfo, finest: tuple[int, int, int], size: tuple[int, int, int], names: Sequence[str]
) -> Transform:
    """Return voxel centre → world of a level.

    Parameters
    ----------
    info : ImarisInfo
        What the file says.
    finest, size : tuple of int
        Voxels along z, y, x of level 0 and of this level.
    names : sequence of str
        The image's axes.

    Examples
    --------
    >>> info = ImarisInfo(extent=((0.0, 10.0), (0.0, 5.0), (0.0, 5.0)))
    >>> level_transform(info, (10, 5, 5), (5, 2, 2), "zyx").apply([0, 0, 0]).tolist()
    [1.0, 1.0, 1.0]
    """
    extent = info.extent or tuple((-0.5, n - 0.5) for n in finest)
    scale, shift = [], []
    for (low, high), whole, part in zip(extent, finest, size, strict=True):
        length = (high - low) / whole * _factor(whole, part)
        scale.append(length)
        shift.append(low + length / 2)
    lead = len(names) - 3
    first = [1.0] * lead
    if lead and names[0] == "t":
        first[0] = info.step or 1.0
    return Scale((*first, *scale)).then(Translation((*(0.0,) * lead, *shift)))


def _factor(whole: int, part: int) -> float:
    """Return how many voxels of level 0 one voxel covers. The writer halves and drops what is left over."""
    for halvings in range(_HALVINGS):
        if whole >> halvings == part or -(-whole >> halvings) == part:
            return float(1 << halvings)
    return whole / part


def _invalid(message: str) -> FormatError:
    return FormatError(
        message, code=Code.METADATA_INVALID, fix="save the file again with Imaris, or copy it again from its source"
    )


def _size(attributes: Mapping[str, str], keys: tuple[str, str, str]) -> tuple[int, int, int] | None:
    found = [attributes.get(key, "") for key in keys]
    if not all(text.isascii() and text.isdecimal() and len(text) < 16 for text in found):
        return None
    z, y, x = (int(text) for text in found)
    return (z, y, x) if min(z, y, x) > 0 and max(z, y, x) < _MOST else None


def _floats(text: str, count: int) -> tuple[float, ...] | None:
    try:
        values = tuple(float(part) for part in text.split()[: count + 1])
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _extent(image: Mapping[str, str], notes: list[str]) -> tuple[tuple[float, float], ...] | None:
    pairs = []
    for axis in (2, 1, 0):  # x y z → z y x
        low, high = (_floats(image.get(f"{key}{axis}", ""), 1) for key in ("ExtMin", "ExtMax"))
        if low is None or high is None or not _SMALLEST < abs(high[0] - low[0]) < _LARGEST:
            notes.append("the extent of the image is not stated; voxels have no physical size")
            return None
        pairs.append((low[0], high[0]))
    return tuple(pairs)


def _step(info: Mapping[str, str], times: int, notes: list[str]) -> float | None:
    moments = [_moment(info.get(f"TimePoint{i + 1}", "")) for i in range(times)]
    known = [m for m in moments if m is not None]
    steps = [(b - a).total_seconds() for a, b in pairwise(known)]
    if len(known) == times and steps and steps[0] > 0 and max(steps) - min(steps) <= 0.001 + steps[0] * 1e-6:
        return round(sum(steps) / len(steps), 6)
    notes.append("time points are not evenly spaced, or not stated; they are counted")
    return None


def _moment(text: str) -> datetime | None:
    for pattern in _FORMATS:
        try:
            return datetime.strptime(text, pattern)
        except ValueError:
            continue
    return None


def _channel(attributes: Mapping[str, str], index: int, notes: list[str]) -> ChannelDisplay:
    name = attributes.get("Name", "")
    window = _floats(attributes.get("ColorRange", ""), 2)
    rgb = _floats(attributes.get("Color", ""), 3) if attributes.get("ColorMode", "BaseColor") == "BaseColor" else None
    color = None
    if rgb is not None and all(0 <= v <= 1 for v in rgb):
        color = "".join(f"{round(v * 255):02X}" for v in rgb)
    elif "Color" in attributes or attributes.get("ColorMode") == "TableColor":
        notes.append(f"channel {index} has no plain colour")
    return ChannelDisplay(
        label=None if name in ("", "(name not specified)") else name,
        color=color,
        window=None if window is None or window[0] >= window[1] else (window[0], window[1]),
    )
