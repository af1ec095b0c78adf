"""Axes and voxel sizes that TIFF files state: OME-XML and ImageJ's description.

Specs: https://docs.openmicroscopy.org/ome-model/latest/, https://imagej.net/ij/developer/api/ (FileInfo).
Resolution tags alone say nothing about z, so they are carried as attributes and never used by themselves.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from xml.etree import ElementTree as ET

from voxarium.errors import Code, FormatError
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit, guess_axis_type
from voxarium.model.transforms import Scale, Transform

__all__ = ["PlaneMetadata", "axes_of", "parse_imagej", "parse_ome_xml"]

_MOST_CHANNELS: Final = 10_000
_NAMES: Final = {"Z": "z", "Y": "y", "X": "x", "T": "t", "C": "c"}
_UNSTATED: Final = frozenset("IQ")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneMetadata:
    """What a description says: (size, unit) per axis letter, channel names, name of the image."""

    sizes: Mapping[str, tuple[float, str]]
    channels: tuple[str, ...] = ()
    name: str = ""


def _invalid(reason: str) -> FormatError:
    return FormatError(
        f"the OME-XML {reason}",
        code=Code.METADATA_INVALID,
        fix="export the file again, or open it without OME-XML",
    )


def _positive(text: str | None) -> float | None:
    try:
        value = float(text) if text is not None else 0.0
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 else None


def parse_ome_xml(text: str, image: int = 0) -> PlaneMetadata:
    """Return what OME-XML says about one of its images.

    Raises
    ------
    FormatError
        If it is no OME-XML, or has no such image.

    Examples
    --------
    >>> xml = '<OME><Image><Pixels PhysicalSizeX="4" PhysicalSizeXUnit="nm"/></Image></OME>'
    >>> parse_ome_xml(xml).sizes
    {'X': (4.0, 'nanometer')}
    """
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise _invalid("declares entities")
    try:
        root = ET.fromstring(text)
    except (ET.ParseError, ValueError) as error:
        raise _invalid(f"is not well-formed: {error}") from error
    images = [e for e in root if _local(e) == "Image"]
    if not image < len(images):
        raise _invalid(f"describes {len(images)} images, not {image + 1}")
    pixels = next((e for e in images[image] if _local(e) == "Pixels"), None)
    if pixels is None:
        raise _invalid(f"has no Pixels in image {image}")
    sizes = {}
    for letter in "ZYX":
        value = _positive(pixels.get(f"PhysicalSize{letter}"))
        unit = canonical_unit(pixels.get(f"PhysicalSize{letter}Unit", "µm"))  # the schema's default
        if value is not None and unit in SPACE_UNITS:
            sizes[letter] = (value, unit)
    step = _positive(pixels.get("TimeIncrement"))
    unit = canonical_unit(pixels.get("TimeIncrementUnit", "s"))
    if step is not None and unit in TIME_UNITS:
        sizes["T"] = (step, unit)
    named = [e.get("Name", "") for e in pixels if _local(e) == "Channel"][:_MOST_CHANNELS]
    return PlaneMetadata(sizes=sizes, channels=tuple(named) if all(named) else (), name=images[image].get("Name", ""))


def _local(element: ET.Element) -> str:
    return str(element.tag).rsplit("}", 1)[-1]


def parse_imagej(description: Mapping[str, Any], per_unit_x: float | None, per_unit_y: float | None) -> PlaneMetadata:
    """Return what ImageJ's description and the resolution tags say together.

    Parameters
    ----------
    description : mapping
        ImageJ's key-value pairs.
    per_unit_x, per_unit_y : float or None
        The resolution tags: voxels per unit. ImageJ writes them in the unit of its description.
    """
    sizes: dict[str, tuple[float, str]] = {}
    unit = canonical_unit(_unescaped(str(description.get("unit", ""))))
    if unit in SPACE_UNITS:
        for letter, per_unit in (("Y", per_unit_y), ("X", per_unit_x)):
            if per_unit is not None and per_unit > 0:
                # Rationals of 32 bits carry some nine digits; more would be noise.
                sizes[letter] = (float(f"{1 / per_unit:.9g}"), unit)
        spacing = _positive(str(description.get("spacing", "")))
        if spacing is not None:
            sizes["Z"] = (spacing, unit)
    interval = _positive(str(description.get("finterval", "")))
    if interval is not None:
        sizes["T"] = (interval, "second")
    return PlaneMetadata(sizes=sizes)


def _unescaped(text: str) -> str:
    return re.sub(r"\\u([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), text).strip()


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
    found = found or PlaneMetadata(sizes={})
    axes = tuple(
        Axis(
            name=n,
            type="channel" if letter == "S" else guess_axis_type(n),
            unit=found.sizes[letter][1] if letter in found.sizes else None,
            labels=found.channels if letter == "C" and len(found.channels) == size else (),
        )
        for n, letter, size in zip(names, letters, shape, strict=True)
    )
    if any(a.type == "space" and letter not in found.sizes for a, letter in zip(axes, letters, strict=True)):
        return axes, None
    return axes, Scale(tuple(found.sizes[letter][0] if letter in found.sizes else 1.0 for letter in letters))
