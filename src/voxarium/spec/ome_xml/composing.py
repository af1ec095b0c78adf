"""A new document for an image that had none: what is known of its acquisition, in the words of the schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from voxarium.model.acquisition import Acquisition, ChannelFacts, ObjectiveFacts, PlaneFacts
from voxarium.model.xml_tree import Element

__all__ = ["channel_element", "new_document"]

_SCHEMA: Final = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_MOST_PLANES: Final = 100_000
_DATE: Final = re.compile(r"-?\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)?\Z", re.ASCII)
_IMMERSIONS: Final = ("Oil", "Water", "WaterDipping", "Air", "Multi", "Glycerol")
_CORRECTIONS: Final = (
    "UV", "PlanApo", "PlanFluor", "SuperFluor", "VioletCorrected", "Achro", "Achromat", "Fluor", "Fl", "Fluar",
    "Neofluar", "Fluotar", "Apo", "PlanNeofluar",
)  # fmt: skip
_CONTRASTS: Final = (
    "Brightfield", "Phase", "DIC", "HoffmanModulation", "ObliqueIllumination", "PolarizedLight", "Darkfield",
    "Fluorescence",
)  # fmt: skip
_MODES: Final = (
    "WideField", "LaserScanningConfocalMicroscopy", "SpinningDiskConfocal", "SlitScanConfocal",
    "MultiPhotonMicroscopy", "StructuredIllumination", "SingleMoleculeImaging", "TotalInternalReflection",
    "FluorescenceLifetime", "SpectralImaging", "FluorescenceCorrelationSpectroscopy",
    "NearFieldScanningOpticalMicroscopy", "SecondHarmonicGenerationImaging", "PALM", "STORM", "STED", "TIRF", "FSM",
    "LCM", "BrightField", "SweptFieldConfocal", "SPIM",
)  # fmt: skip
_ILLUMINATIONS: Final = ("Transmitted", "Epifluorescence", "Oblique", "NonLinear")


def new_document(acquisition: Acquisition, sizes: Mapping[str, int]) -> Element:
    """Return a document with one image, whose Pixels have channels and planes, and no sizes yet."""
    root = Element(
        "OME",
        {
            "xmlns": _SCHEMA,
            "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
            "xsi:schemaLocation": f"{_SCHEMA} {_SCHEMA}/ome.xsd",
            "Creator": "Voxarium",
        },
    )
    image = Element("Image", {"ID": "Image:0"})
    if _DATE.match(acquisition.date):
        image.add("AcquisitionDate", acquisition.date)
    if acquisition.description:
        image.add("Description", acquisition.description)
    if acquisition.instrument or acquisition.objective is not None:
        root.children.append(_instrument(acquisition))
        image.add("InstrumentRef", ID="Instrument:0")
    if acquisition.objective is not None:
        settings = image.add("ObjectiveSettings", ID="Objective:0:0")
        if acquisition.objective.refractive_index is not None:
            settings.attributes = {
                **settings.attributes,
                "RefractiveIndex": repr(acquisition.objective.refractive_index),
            }
    position = _position(acquisition.position, "")
    if position:
        image.add("StageLabel", **{"Name": "stage", **position})
    pixels = image.add("Pixels", ID="Pixels:0")
    channels = acquisition.channels if len(acquisition.channels) == sizes["C"] else (None,) * sizes["C"]
    pixels.children.extend(channel_element("Channel", i, facts) for i, facts in enumerate(channels))
    pixels.children.extend(_planes(acquisition, sizes))
    root.children.append(image)
    return root


def _numbers(**found: float | None) -> dict[str, str]:
    return {k: repr(v) for k, v in found.items() if v is not None}


def _words(**found: str) -> dict[str, str]:
    return {k: v for k, v in found.items() if v}


def _listed(name: str, value: str, allowed: tuple[str, ...]) -> dict[str, str]:
    """Return an attribute that takes certain words only."""
    return {name: value if value in allowed else "Other"} if value else {}


def _instrument(acquisition: Acquisition) -> Element:
    instrument = Element("Instrument", {"ID": "Instrument:0"})
    if acquisition.instrument:
        instrument.add("Microscope", Model=acquisition.instrument)
    found: ObjectiveFacts | None = acquisition.objective
    if found is not None:
        instrument.add(
            "Objective",
            ID="Objective:0:0",
            **_words(Manufacturer=found.manufacturer, Model=found.model),
            **_numbers(LensNA=found.aperture, NominalMagnification=found.magnification),
            **_listed("Immersion", found.immersion, _IMMERSIONS),
            **_listed("Correction", found.correction, _CORRECTIONS),
        )
    return instrument


def _position(place: tuple[float | None, float | None, float | None] | None, prefix: str) -> dict[str, str]:
    out: dict[str, str] = {}
    for letter, value in zip("ZYX", place or (), strict=False):
        if value is not None:
            out |= {f"{prefix}{letter}": repr(value), f"{prefix}{letter}Unit": "µm"}
    return out


def channel_element(tag: str, number: int, facts: ChannelFacts | None) -> Element:
    """Return a channel; None for one nothing is known of."""
    out = Element(tag, {"ID": f"Channel:0:{number}", "SamplesPerPixel": "1"})
    if facts is None:
        return out
    positive = {
        k: v
        for k, v in (("ExcitationWavelength", facts.excitation), ("EmissionWavelength", facts.emission))
        if v is not None and v > 0
    }
    attributes = {**out.attributes, **_words(Name=facts.name, Fluor=facts.fluor), **_numbers(**positive)}
    attributes |= {f"{k}Unit": "nm" for k in positive}
    if facts.color is not None and len(facts.color) == 6:
        value = int(facts.color, 16) << 8 | 0xFF
        attributes["Color"] = str(value - (1 << 32) if value >= 1 << 31 else value)
    if facts.pinhole is not None:
        attributes |= {"PinholeSize": repr(facts.pinhole), "PinholeSizeUnit": "µm"}
    attributes |= _listed("AcquisitionMode", facts.mode, _MODES)
    attributes |= _listed("ContrastMethod", facts.contrast, _CONTRASTS)
    attributes |= _listed("IlluminationType", facts.illumination, _ILLUMINATIONS)
    out.attributes = attributes
    return out


def _planes(acquisition: Acquisition, sizes: Mapping[str, int]) -> Iterator[Element]:
    """Yield planes: those something is known of, or all where channels or time points say it for all."""
    known = {(p.index.get("t", 0), p.index.get("c", 0), p.index.get("z", 0)): p for p in acquisition.planes}
    exposures = [c.exposure for c in acquisition.channels] if len(acquisition.channels) == sizes["C"] else []
    times = acquisition.times if len(acquisition.times) == sizes["T"] else ()
    total = sizes["T"] * sizes["C"] * sizes["Z"]
    if total <= _MOST_PLANES and (times or any(e is not None for e in exposures)):
        wanted = [(t, c, z) for t in range(sizes["T"]) for c in range(sizes["C"]) for z in range(sizes["Z"])]
    else:
        wanted = [(t, c, z) for t, c, z in known if t < sizes["T"] and c < sizes["C"] and z < sizes["Z"]]
    for index in wanted:
        t, c, z = index
        plane = known.get(index, PlaneFacts(index={}))
        time = times[t] if plane.time is None and times else plane.time
        exposure = exposures[c] if plane.exposure is None and exposures else plane.exposure
        attributes = {"TheZ": str(z), "TheC": str(c), "TheT": str(t)}
        if time is not None:
            attributes |= {"DeltaT": repr(time), "DeltaTUnit": "s"}
        if exposure is not None:
            attributes |= {"ExposureTime": repr(exposure), "ExposureTimeUnit": "s"}
        yield Element("Plane", attributes | _position(plane.position, "Position"))
