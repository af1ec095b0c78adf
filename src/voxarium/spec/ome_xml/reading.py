"""From OME-XML to what its images are, read tolerantly: what is not understood is left out, and stays in the text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from voxarium.errors import Code, FormatError
from voxarium.model.acquisition import Acquisition, ChannelFacts, ObjectiveFacts, PlaneFacts, even_step
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS
from voxarium.model.xml_tree import Element, parse_xml
from voxarium.spec.ome_xml.carrying import private_of
from voxarium.spec.ome_xml.document import OmeDocument, OmeImage, TiffBlock, WellImage
from voxarium.spec.ome_xml.tree import children, converted, first, float_attribute, int_attribute, local, unit_name

__all__ = ["image_of", "parse_ome_xml"]

_MOST_IMAGES: Final = 1_000_000
_MOST_CHANNELS: Final = 10_000
_MOST_VOXELS: Final = 1 << 48
_LETTERS: Final = "XYZCT"
_DTYPES: Final[Mapping[str, str]] = {
    "int8": "int8", "int16": "int16", "int32": "int32", "uint8": "uint8", "uint16": "uint16", "uint32": "uint32",
    "float": "float32", "double": "float64", "complex": "complex64", "double-complex": "complex128", "bit": "bool",
}  # fmt: skip


def _invalid(where: str, reason: str) -> FormatError:
    return FormatError(
        f"{where}: the OME-XML {reason}",
        code=Code.METADATA_INVALID,
        fix="export the file again, or check the document against the OME schema",
    )


def parse_ome_xml(raw: bytes, where: str) -> OmeDocument:
    """Parse a document.

    Raises
    ------
    FormatError
        If it is no OME-XML, has a document type, or is implausibly large.

    Examples
    --------
    >>> xml = b'<OME><Image Name="a"><Pixels SizeX="5" PhysicalSizeX="4" PhysicalSizeXUnit="nm"/></Image></OME>'
    >>> parse_ome_xml(xml, "a.tif").images[0].physical
    {'X': (4.0, 'nanometer')}
    """
    root = parse_xml(raw, f"the OME-XML of {where}")
    if local(root) != "OME":
        raise _invalid(where, f"begins with {root.tag[:80]!r}")
    found = list(children(root, "Image"))
    if len(found) > _MOST_IMAGES:
        raise _invalid(where, f"describes {len(found)} images")
    named = _by_id(root)
    wells = _wells(root)
    binary_only = first(root, "BinaryOnly")
    return OmeDocument(
        root=root,
        images=tuple(
            replace(_image(e, named), well=wells.get(e.attributes.get("ID", "")), private=private_of(root, e))
            for e in found
        ),
        metadata_file="" if binary_only is None else binary_only.attributes.get("MetadataFile", ""),
        creator=root.attributes.get("Creator", ""),
    )


def image_of(document: OmeDocument, number: int, where: str) -> OmeImage:
    """Return one image.

    Raises
    ------
    FormatError
        If there is no such image.
    """
    if not 0 <= number < len(document.images):
        raise _invalid(where, f"describes {len(document.images)} images, not {number + 1}")
    return document.images[number]


def _by_id(root: Element) -> dict[str, Element]:
    """Return what images refer to, by ID, with the microscope under the ID of its instrument."""
    out: dict[str, Element] = {}
    for instrument in children(root, "Instrument"):
        out[instrument.attributes.get("ID", "")] = instrument
        for part in instrument.children:
            if "ID" in part.attributes:
                out.setdefault(part.attributes["ID"], part)
    return out


def _wells(root: Element) -> dict[str, WellImage]:
    """Return the place of images in plates by their ID."""
    out: dict[str, WellImage] = {}
    for plate in children(root, "Plate"):
        name = plate.attributes.get("Name") or plate.attributes.get("ID", "")
        for well in children(plate, "Well"):
            row, column = int_attribute(well, "Row"), int_attribute(well, "Column")
            if row is None or column is None or not (0 <= row < 1 << 20 and 0 <= column < 1 << 20):
                continue
            for i, sample in enumerate(children(well, "WellSample")):
                reference = first(sample, "ImageRef")
                if reference is not None:
                    place = WellImage(plate=name, row=row, column=column, field=i)
                    out.setdefault(reference.attributes.get("ID", ""), place)
    return out


# ----------------------------------------------------------------------------------------------------- an image
def _image(element: Element, named: Mapping[str, Element]) -> OmeImage:
    pixels = first(element, "Pixels")
    about = {} if pixels is None else pixels.attributes
    notes: list[str] = []
    if pixels is None:
        notes.append("the image has no Pixels")
    planes = tuple(_planes(pixels))
    physical = _physical(pixels)
    if "T" not in physical:
        step = even_step(_times(planes))
        if step is not None:
            physical["T"] = (step, "second")
            notes.append("the time step was derived from the times of the planes")
    order = about.get("DimensionOrder", "XYZCT")
    return OmeImage(
        id=element.attributes.get("ID", ""),
        name=element.attributes.get("Name", ""),
        sizes=_sizes(pixels),
        order=order if sorted(order) == sorted(_LETTERS) and order.startswith("XY") else "XYZCT",
        dtype=_DTYPES.get(about.get("Type", about.get("PixelType", "")), ""),
        physical=physical,
        samples=tuple(_samples(pixels)),
        blocks=tuple(_block(e) for e in children(pixels, "TiffData")),
        acquisition=_acquisition(element, pixels, named, planes),
        notes=tuple(notes),
    )


def _sizes(pixels: Element | None) -> dict[str, int]:
    found = {} if pixels is None else {a: int_attribute(pixels, f"Size{a}") for a in _LETTERS}
    return {a: n for a, n in found.items() if n is not None and 0 < n < _MOST_VOXELS}


def _samples(pixels: Element | None) -> Iterator[int]:
    for i, channel in enumerate(children(pixels, "Channel")):
        if i >= _MOST_CHANNELS:
            return
        n = int_attribute(channel, "SamplesPerPixel", 1)
        yield n if n is not None and 0 < n < _MOST_CHANNELS else 1


def _block(element: Element) -> TiffBlock:
    def number(name: str) -> int | None:
        value = int_attribute(element, name)
        return None if value is None or value < 0 else min(value, 1 << 40)

    identifier = first(element, "UUID")
    return TiffBlock(
        page=number("IFD"),
        z=number("FirstZ"),
        c=number("FirstC"),
        t=number("FirstT"),
        count=number("PlaneCount"),
        file="" if identifier is None else identifier.attributes.get("FileName", ""),
    )


def _physical(pixels: Element | None) -> dict[str, tuple[float, str]]:
    out: dict[str, tuple[float, str]] = {}
    if pixels is None:
        return out
    for letter, name, default, units in (
        ("Z", "PhysicalSizeZ", "µm", SPACE_UNITS),
        ("Y", "PhysicalSizeY", "µm", SPACE_UNITS),
        ("X", "PhysicalSizeX", "µm", SPACE_UNITS),
        ("T", "TimeIncrement", "s", TIME_UNITS),
    ):
        value = float_attribute(pixels, name)
        unit = unit_name(pixels.attributes.get(f"{name}Unit", default))
        if value is not None and value > 0 and unit in units:
            out[letter] = (value, str(unit))
    return out


def _times(planes: tuple[PlaneFacts, ...]) -> list[float | None]:
    """Return the time of the first plane of every time point; empty when there are gaps."""
    found: dict[int, float | None] = {}
    for plane in planes:
        if plane.index["z"] == plane.index["c"] == 0:
            found.setdefault(plane.index["t"], plane.time)
    return [found[t] for t in range(len(found))] if set(found) == set(range(len(found))) else []


def _planes(pixels: Element | None) -> Iterator[PlaneFacts]:
    for element in children(pixels, "Plane"):
        index = {a.lower(): int_attribute(element, f"The{a}") for a in "TCZ"}
        known = {a: n for a, n in index.items() if n is not None and 0 <= n < _MOST_VOXELS}
        if len(known) < 3:
            continue
        z, y, x = (converted(element, f"Position{a}", "reference frame", "micrometer") for a in "ZYX")
        yield PlaneFacts(
            index=known,
            time=converted(element, "DeltaT", "s", "second"),
            exposure=converted(element, "ExposureTime", "s", "second"),
            position=None if z is y is x is None else (z, y, x),
        )


def _acquisition(
    element: Element, pixels: Element | None, named: Mapping[str, Element], planes: tuple[PlaneFacts, ...]
) -> Acquisition:
    date, description = first(element, "AcquisitionDate"), first(element, "Description")
    instrument = named.get(_reference(element, "InstrumentRef"))
    times = _times(planes)
    known = tuple(t for t in times if t is not None)
    stage = first(element, "StageLabel")
    z, y, x = (converted(stage, a, "reference frame", "micrometer") for a in "ZYX")
    told = tuple(p for p in planes if (p.time, p.exposure, p.position) != (None, None, None))
    return Acquisition(
        date="" if date is None else date.text.strip(),
        description="" if description is None else description.text.strip(),
        instrument=_model(first(instrument, "Microscope")),
        objective=_objective(element, named),
        channels=_channels(pixels, named, planes),
        planes=told,
        times=known if len(known) == len(times) > 1 and even_step(times) is None else (),
        position=None if z is y is x is None else (z, y, x),
    )


def _reference(element: Element, name: str) -> str:
    found = first(element, name)
    return "" if found is None else found.attributes.get("ID", "")


def _model(element: Element | None) -> str:
    if element is None:
        return ""
    words = (element.attributes.get(name, "") for name in ("Manufacturer", "Model"))
    return " ".join(w for w in words if w)


def _objective(element: Element, named: Mapping[str, Element]) -> ObjectiveFacts | None:
    settings = first(element, "ObjectiveSettings")
    found = None if settings is None else named.get(settings.attributes.get("ID", ""))
    if found is None or local(found) != "Objective":
        return None
    about = found.attributes
    return ObjectiveFacts(
        model=about.get("Model", ""),
        manufacturer=about.get("Manufacturer", ""),
        magnification=float_attribute(found, "NominalMagnification"),
        aperture=float_attribute(found, "LensNA"),
        immersion=about.get("Immersion", ""),
        correction=about.get("Correction", ""),
        refractive_index=float_attribute(settings, "RefractiveIndex"),
    )


def _channels(
    pixels: Element | None, named: Mapping[str, Element], planes: tuple[PlaneFacts, ...]
) -> tuple[ChannelFacts, ...]:
    exposures: dict[int, set[float | None]] = {}
    for plane in planes:
        exposures.setdefault(plane.index["c"], set()).add(plane.exposure)
    out = []
    for i, element in enumerate(children(pixels, "Channel")):
        if i >= _MOST_CHANNELS:
            break
        one = exposures.get(i, set())
        out.append(_channel(element, named, next(iter(one)) if len(one) == 1 else None))
    return tuple(out)


def _channel(element: Element, named: Mapping[str, Element], exposure: float | None) -> ChannelFacts:
    about = element.attributes
    settings = first(element, "DetectorSettings")
    detector = None if settings is None else named.get(settings.attributes.get("ID", ""))
    extra: dict[str, Any] = {}  # Any: JSON
    density = float_attribute(element, "NDFilter")
    if density is not None:
        extra["nd_filter"] = density
    return ChannelFacts(
        name=about.get("Name", ""),
        fluor=about.get("Fluor", ""),
        color=_color(element),
        excitation=converted(element, "ExcitationWavelength", "nm", "nanometer"),
        emission=converted(element, "EmissionWavelength", "nm", "nanometer"),
        exposure=exposure,
        pinhole=converted(element, "PinholeSize", "µm", "micrometer"),
        gain=float_attribute(settings, "Gain"),
        mode=about.get("AcquisitionMode", ""),
        contrast=about.get("ContrastMethod", ""),
        illumination=about.get("IlluminationType", ""),
        detector=_model(detector),
        extra=extra,
    )


def _color(element: Element) -> str | None:
    """Return six hexadecimal digits of a signed number of 32 bits: red, green, blue, alpha."""
    value = int_attribute(element, "Color")
    if value is None or not -(1 << 31) <= value < 1 << 32:
        return None
    return f"{(value & 0xFFFFFFFF) >> 8:06X}"
