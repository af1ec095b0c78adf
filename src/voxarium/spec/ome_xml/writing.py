"""From an image to OME-XML: its original document with what changed put right, or a new one.

What an original says stays, element by element, wherever it still holds; sizes, type, order and the places of planes
are those of the file that is written. Facts that OME-XML has no place for (where the first voxel is, what readers that
know this package may want) go into a MapAnnotation with the namespace ``urn:voxarium:image``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.acquisition import ACQUISITION, acquisition_of
from voxarium.model.axes import unit_factor
from voxarium.model.image import Bag, ChannelDisplay, ImageInfo
from voxarium.model.transforms import scale_translation
from voxarium.model.xml_tree import Element, dump_xml
from voxarium.spec.ome_xml.carrying import annotate, without_private
from voxarium.spec.ome_xml.composing import channel_element, new_document
from voxarium.spec.ome_xml.document import OmeImage
from voxarium.spec.ome_xml.reading import parse_ome_xml
from voxarium.spec.ome_xml.tree import children, copied, first, local, short_unit

__all__ = ["OME_XML", "RECORD", "dump_ome_xml"]

OME_XML: Final = "ome_xml"
"""The key under which an image carries its document (`Bag.extra`)."""
RECORD: Final = "ome-xml"
"""The format of the record that holds a whole document, untouched."""

_TYPES: Final = {
    "int8": "int8", "int16": "int16", "int32": "int32", "uint8": "uint8", "uint16": "uint16", "uint32": "uint32",
    "float32": "float", "float64": "double",
}  # fmt: skip
_SIZES: Final = {"Z": "PhysicalSizeZ", "Y": "PhysicalSizeY", "X": "PhysicalSizeX", "T": "TimeIncrement"}
_WHITE: Final = "FFFFFF"  # what the schema means where no colour is stated


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Size, unit and place per axis letter; a unit is None where OME cannot name it."""

    names: tuple[str, ...]
    units: tuple[str | None, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]

    def size(self, letter: str) -> tuple[float, str] | None:
        """Return what the attributes of Pixels can say about an axis."""
        if letter.lower() not in self.names:
            return None
        i = self.names.index(letter.lower())
        unit = self.units[i]
        return None if unit is None or short_unit(unit) is None else (abs(self.scale[i]), unit)

    def rest(self) -> dict[str, Any] | None:  # Any: JSON
        """Return everything, when the attributes of Pixels cannot say it."""
        fine = all(
            t == 0 and s > 0 and (s == 1 or (self.size(n.upper()) is not None and n != "c"))
            for n, s, t in zip(self.names, self.scale, self.translation, strict=True)
        )
        if fine:
            return None
        return {
            "axes": list(self.names),
            "units": list(self.units),
            "scale": list(self.scale),
            "translation": list(self.translation),
        }


def dump_ome_xml(image: ImageInfo) -> bytes:
    """Return the document of an image of one file, whose planes are its first pages, z fastest, then c, then t.

    Raises
    ------
    InputError
        If OME-XML cannot describe the image.
    """
    names = tuple(a.name for a in image.axes)
    shape, dtype = image.levels[0].array.shape, image.levels[0].array.dtype
    placed = scale_translation(image.levels[0].transform, len(names))
    if dtype.name not in _TYPES or not set(names) <= set("tczyx") or placed is None:
        raise InputError(
            f"OME-XML cannot describe a {dtype.name} image with the axes {', '.join(names)}",
            code=Code.AXES_MISMATCH,
            fix="use the axes t, c, z, y, x and a type of at most 32 bits",
        )
    geometry = _Geometry(names, tuple(a.unit for a in image.axes), *placed)
    sizes = {a: shape[names.index(a.lower())] if a.lower() in names else 1 for a in "XYZCT"}
    root, element, known = _base(image, sizes)
    pixels = first(element, "Pixels")
    if pixels is None:  # a document that described an image without pixels
        pixels = Element(f"{_prefix(element)}Pixels", {"ID": "Pixels:0"})
        element.children.append(pixels)
    if image.name:
        element.attributes = {**element.attributes, "Name": image.name}
    pixels.attributes = _pixels(pixels, known, sizes, dtype.name, geometry)
    _put_channels(pixels, known, sizes["C"], image)
    _put_planes(pixels, known, sizes)
    without_private(root, element)
    annotate(root, element, _facts(image, geometry, known))
    return dump_xml(root)


def _prefix(element: Element) -> str:
    return element.tag[: -len(local(element))]


def _base(image: ImageInfo, sizes: Mapping[str, int]) -> tuple[Element, Element, OmeImage]:
    """Return a document that may be changed, its image, and what that said before."""
    for raw, number in _originals(image.bag):
        try:
            document = parse_ome_xml(raw, "the source")
        except FormatError:
            continue
        if number >= len(document.images):
            continue
        root = copied(document.root)
        images = list(children(root, "Image"))
        root.children = [e for e in root.children if local(e) not in ("Image", "BinaryOnly") or e is images[number]]
        root.attributes = {k: v for k, v in root.attributes.items() if k != "UUID"} | {"Creator": "Voxarium"}
        return root, images[number], document.images[number]
    root = new_document(acquisition_of(image.bag), sizes)
    element = next(children(root, "Image"))
    known = parse_ome_xml(dump_xml(root), "a new document").images[0]
    return root, element, replace(known, sizes=dict(sizes), physical={})


def _originals(bag: Bag) -> list[tuple[bytes, int]]:
    """Return documents an image brings along, and the number of the image in each, the best first."""
    text = bag.extra.get(OME_XML)
    out = [(text.encode("utf-8", "replace"), 0)] if isinstance(text, str) else []
    for record in bag.records:
        if record.format == RECORD and record.header is not None:
            number = record.metadata.get("image", 0)
            out.append((record.header, number if isinstance(number, int) else 0))
    return out


def _pixels(
    pixels: Element, known: OmeImage, sizes: Mapping[str, int], dtype: str, geometry: _Geometry
) -> dict[str, str]:
    out = {k: v for k, v in pixels.attributes.items() if k not in ("Interleaved", "PixelType")}
    out.setdefault("ID", "Pixels:0")
    out |= {"DimensionOrder": "XYZCT", "Type": _TYPES[dtype], "BigEndian": "false"}
    out |= {f"Size{a}": str(n) for a, n in sizes.items()}
    if known.dtype != dtype:
        out.pop("SignificantBits", None)
    for letter, name in _SIZES.items():
        before, now = known.physical.get(letter), geometry.size(letter)
        if letter == "T" and sizes["T"] == 1 and now is None:
            continue  # the axis is gone, the step is not wrong
        if now is None:
            if before is not None and letter.lower() in geometry.names:
                out.pop(name, None)
                out.pop(f"{name}Unit", None)
        elif before is None or not math.isclose(now[0] * unit_factor(now[1], before[1]), before[0], rel_tol=1e-9):
            out |= {name: repr(now[0]), f"{name}Unit": str(short_unit(now[1]))}
    return out


def _put_channels(pixels: Element, known: OmeImage, count: int, image: ImageInfo) -> None:
    prefix = _prefix(pixels)
    found = list(children(pixels, "Channel"))
    samples = known.samples or (1,) * len(found)
    shown = image.display.channels if len(image.display.channels) == count else ()
    if not found or sum(samples) != count:
        facts = known.acquisition.channels if len(known.acquisition.channels) == count else ()
        made = [channel_element(f"{prefix}Channel", i, facts[i] if facts else None) for i in range(count)]
    else:
        made = [e for e, n in zip(found, samples, strict=True) for e in _separate(e, n)]
    for i, element in enumerate(made):
        facts_now = known.acquisition.channels[i] if i < len(known.acquisition.channels) else None
        label = None if facts_now is None else facts_now.name or facts_now.fluor
        color = None if facts_now is None else facts_now.color
        if shown and sum(samples) == len(samples):
            _show(element, shown[i], label, color)
        elif shown:
            _show(element, shown[i], None, None)
    rest = [e for e in pixels.children if local(e) != "Channel"]
    pixels.children = [*made, *rest]


def _separate(element: Element, samples: int) -> list[Element]:
    """Return a channel for each sample: planes of one sample each are written."""
    if samples == 1:
        return [element]
    out = []
    for i in range(samples):
        one = copied(element)
        one.attributes = {**one.attributes, "SamplesPerPixel": "1"}
        if i and "ID" in one.attributes:
            one.attributes = {**one.attributes, "ID": f"{one.attributes['ID']}:{i}"}
        out.append(one)
    return out


def _show(element: Element, shown: ChannelDisplay, label: str | None, color: str | None) -> None:
    attributes = dict(element.attributes)
    if shown.label and shown.label != label:
        attributes["Name"] = shown.label
    if shown.color and shown.color.upper() not in (color, _WHITE if color is None else color):
        value = int(shown.color, 16) << 8 | 0xFF
        attributes["Color"] = str(value - (1 << 32) if value >= 1 << 31 else value)
    element.attributes = attributes


def _put_planes(pixels: Element, known: OmeImage, sizes: Mapping[str, int]) -> None:
    """Say where planes are. What is known of single planes stays while there are the same planes."""
    same = all(known.sizes.get(a, 1) == sizes[a] for a in "ZCT")
    dropped = {"TiffData", "BinData", "MetadataOnly"} | (set() if same else {"Plane"})
    rest = [e for e in pixels.children if local(e) not in dropped]
    count = sizes["Z"] * sizes["C"] * sizes["T"]
    planes = Element(f"{_prefix(pixels)}TiffData", {"IFD": "0", "PlaneCount": str(count)})
    at = sum(local(e) == "Channel" for e in rest)
    pixels.children = [*rest[:at], planes, *rest[at:]]


def _facts(image: ImageInfo, geometry: _Geometry, known: OmeImage) -> dict[str, Any]:  # Any: JSON
    out: dict[str, Any] = {}
    geometry_now = geometry.rest()
    if geometry_now is not None:
        out["geometry"] = geometry_now
    if image.role != "intensity":
        out["role"] = image.role
    windows = [_window(c, image) for c in image.display.channels]
    if any(w is not None for w in windows):
        out["windows"] = windows
    extra = {k: v for k, v in image.bag.extra.items() if k not in (OME_XML, ACQUISITION)}
    facts = acquisition_of(image.bag)
    if facts and facts != known.acquisition:
        extra[ACQUISITION] = facts.to_json()
    if extra:
        out["extra"] = extra
    return out


def _window(channel: ChannelDisplay, image: ImageInfo) -> list[float] | None:
    """Return the shown range; None when it is the whole range, which stands in where none is known."""
    if channel.window is None:
        return None
    dtype = image.levels[0].array.dtype
    whole: tuple[float, float] = (0.0, 1.0)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        whole = (float(limits.min), float(limits.max))
    return None if tuple(channel.window) == whole else [*channel.window, *(channel.limits or ())]
