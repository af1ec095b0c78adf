"""BigDataViewer's XML (SpimData): which views there are, where their voxels lie, and how they map to the world.

A view is one setup (channel, tile, angle …) at one time point. Its registration is a chain of 3×4 matrices, (x, y, z),
from voxel centres of the full resolution to the world; the last one listed is applied first. Bytes in and out, no
I/O; nothing is ever followed (see `voxarium.model.xml_tree`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError
from voxarium.model.attribute_documents import numbers
from voxarium.model.stated_images import malformed
from voxarium.model.xml_tree import Element, dump_xml, parse_xml

__all__ = ["SpimData", "ViewSetup", "ViewTransform", "dump_spim_data", "parse_spim_data", "view_name"]

_MAX_VIEWS: Final = 10_000_000
_ID: Final = re.compile(r"[0-9]{1,9}\Z")
_RANGE: Final = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*(?::\s*([0-9]{1,9})\s*)?)?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewTransform:
    """One matrix of a registration: 12 numbers, row by row, (x, y, z)."""

    affine: tuple[float, ...]
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSetup:
    """What all time points of a channel, tile or angle share; sizes are (x, y, z)."""

    id: int
    name: str = ""
    size: tuple[int, ...] | None = None
    voxel_size: tuple[float, ...] | None = None
    unit: str | None = None
    attributes: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpimData:
    """The document.

    Parameters
    ----------
    loader : str
        Kind of container, such as ``bdv.n5`` or ``bdv.hdf5``.
    container : str
        Path of the container, relative to the folder of the document.
    timepoints : tuple of int
        In ascending order.
    registrations : mapping
        (time point, setup) → chain of transforms, the one applied last first.
    missing : frozenset
        (time point, setup) of views that were never taken.
    """

    loader: str
    container: str
    setups: tuple[ViewSetup, ...]
    timepoints: tuple[int, ...]
    registrations: Mapping[tuple[int, int], tuple[ViewTransform, ...]]
    missing: frozenset[tuple[int, int]] = frozenset()

    def views(self) -> list[tuple[int, int]]:
        """Return (time point, setup) of every view that is there."""
        if len(self.timepoints) * len(self.setups) > _MAX_VIEWS:
            raise FormatError(
                f"the document lists {len(self.timepoints)} time points of {len(self.setups)} setups",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="check the time points of the document",
            )
        pairs = [(t, s.id) for s in self.setups for t in self.timepoints]
        return [p for p in pairs if p not in self.missing]

    def setup(self, number: int) -> ViewSetup | None:
        """Return the setup of a number; None when there is none."""
        return next((s for s in self.setups if s.id == number), None)

    def matrix(self, timepoint: int, setup: int) -> NDArray[np.float64] | None:
        """Return voxel centre → world as a matrix of shape (3, 4), (x, y, z); None for a view without registration."""
        chain = self.registrations.get((timepoint, setup))
        if chain is None:
            return None
        out = np.eye(4)
        for step in chain:
            with np.errstate(all="ignore"):
                out = out @ np.vstack([np.reshape(step.affine, (3, 4)), [0.0, 0.0, 0.0, 1.0]])
        if not np.isfinite(out).all():
            malformed(f"the registration of {view_name(timepoint, setup)}", "has numbers that are too large", "mend it")
        return out[:3]


def view_name(timepoint: int, setup: int) -> str:
    """Return the name of a view, as its folder in N5 is called.

    Examples
    --------
    >>> view_name(0, 12)
    'setup12/timepoint0'
    """
    return f"setup{setup}/timepoint{timepoint}"


# ------------------------------------------------------------------------------------------------------ reading
def parse_spim_data(raw: bytes, where: str) -> SpimData | None:
    """Return what a document says; None when it is another kind of XML.

    Raises
    ------
    FormatError
        If it is no XML, or breaks the structure of SpimData.
    """
    root = parse_xml(raw, where)
    if root.tag != "SpimData":
        return None
    sequence = root.find("SequenceDescription")
    if sequence is None:
        malformed(where, "has no SequenceDescription", "save the project again with the program that made it")
    loader, container = _parse_loader(root, sequence, where)
    setups = tuple(_parse_setup(e, where) for views in sequence.iter("ViewSetups") for e in views.iter("ViewSetup"))
    if len({s.id for s in setups}) != len(setups):
        malformed(where, "has two setups of one number", "give every ViewSetup an id of its own")
    registrations: dict[tuple[int, int], tuple[ViewTransform, ...]] = {}
    for holder in root.iter("ViewRegistrations"):
        for element in holder.iter("ViewRegistration"):
            view = _view(element, where)
            registrations[view] = tuple(_parse_transform(t, where) for t in element.iter("ViewTransform"))
    missing = sequence.find("MissingViews")
    return SpimData(
        loader=loader,
        container=container,
        setups=setups,
        timepoints=_parse_timepoints(sequence, where),
        registrations=registrations,
        missing=frozenset(_view(e, where) for e in missing.iter("MissingView")) if missing is not None else frozenset(),
    )


def _parse_loader(root: Element, sequence: Element, where: str) -> tuple[str, str]:
    element = sequence.find("ImageLoader")
    if element is None:
        malformed(where, "has no ImageLoader", "save the project again with the program that made it")
    base = root.content("BasePath")
    for tag in ("n5", "hdf5", "zarr"):
        found = element.find(tag)
        if found is not None:
            text = found.text.strip()
            absolute = found.attributes.get("type") == "absolute" or text.startswith("/")
            parts = [text] if absolute else [base, text]
            return element.attributes.get("format", ""), "/".join(p for p in parts if p)
    return element.attributes.get("format", ""), ""


def _number(text: str, what: str) -> int:
    if _ID.match(text.strip()) is None:
        malformed(what, f"is {text[:40]!r}", "give a whole number")
    return int(text)


def _view(element: Element, where: str) -> tuple[int, int]:
    numbers_of = [_number(element.attributes.get(k, ""), f"{where}: {k}") for k in ("timepoint", "setup")]
    return numbers_of[0], numbers_of[1]


def _parse_setup(element: Element, where: str) -> ViewSetup:
    here = f"{where}: ViewSetup"
    number = _number(element.content("id"), f"{here} id")
    size = _floats(element.content("size"), 3)
    sizes = _floats(element.content("voxelSize", "size"), 3)
    attributes = element.find("attributes")
    own = {c.tag: c.text.strip() for c in attributes.children} if attributes is not None else {}
    return ViewSetup(
        id=number,
        name=element.content("name"),
        size=tuple(map(int, size)) if size is not None and min(size) >= 1 else None,
        voxel_size=sizes if sizes is not None and min(sizes) > 0 else None,
        unit=element.content("voxelSize", "unit") or None,
        attributes={k: int(v) for k, v in own.items() if _ID.match(v)},
    )


def _floats(text: str, count: int) -> tuple[float, ...] | None:
    parts = text.replace(",", " ").split()
    if len(parts) != count:
        return None
    try:
        return numbers([float(p) for p in parts], count)
    except ValueError:
        return None


def _parse_transform(element: Element, where: str) -> ViewTransform:
    values = _floats(element.content("affine"), 12)
    if values is None:
        malformed(f"{where}: a ViewTransform", "has no affine of 12 numbers", "save the project again")
    return ViewTransform(affine=values, name=element.content("Name"))


def _parse_timepoints(sequence: Element, where: str) -> tuple[int, ...]:
    element = sequence.find("Timepoints")
    if element is None:
        return (0,)
    here = f"{where}: Timepoints"
    if element.attributes.get("type") == "range":
        first, last = (_number(element.content(k), f"{here} {k}") for k in ("first", "last"))
        return _span(first, last, 1, here)
    found: set[int] = set()
    pattern = element.content("integerpattern") or "0"
    for part in pattern.split(","):
        match = _RANGE.match(part)
        if match is None:
            malformed(here, f"has the pattern {pattern[:60]!r}", "list numbers and ranges, such as 0-9 or 0-90:10")
        low, high, step = match.groups()
        found |= {*_span(int(low), int(high or low), int(step or 1), here)}
    return tuple(sorted(found))


def _span(first: int, last: int, step: int, here: str) -> tuple[int, ...]:
    if step < 1 or last < first or (last - first) // step >= _MAX_VIEWS:
        malformed(here, f"run from {first} to {last} in steps of {step}", "correct the range")
    return tuple(range(first, last + 1, step))


# -------------------------------------------------------------------------------------------------------- writing
def _spaced(values: tuple[float, ...]) -> str:
    return " ".join(repr(float(v)) for v in values)


def dump_spim_data(data: SpimData) -> bytes:
    """Return the document, as BigDataViewer and BigStitcher read it."""
    root = Element("SpimData", {"version": "0.2"})
    root.add("BasePath", ".", type="relative")
    sequence = root.add("SequenceDescription")
    loader = sequence.add("ImageLoader", format=data.loader, version="1.0")
    loader.add("hdf5" if data.loader == "bdv.hdf5" else "n5", data.container, type="relative")
    _dump_setups(sequence.add("ViewSetups"), data.setups)
    times = sequence.add("Timepoints", type="pattern")
    times.add("integerpattern", ", ".join(map(str, data.timepoints)))
    missing = sequence.add("MissingViews")
    for timepoint, number in sorted(data.missing):
        missing.add("MissingView", timepoint=str(timepoint), setup=str(number))
    registrations = root.add("ViewRegistrations")
    for (timepoint, number), chain in sorted(data.registrations.items()):
        element = registrations.add("ViewRegistration", timepoint=str(timepoint), setup=str(number))
        for step in chain:
            one = element.add("ViewTransform", type="affine")
            if step.name:
                one.add("Name", step.name)
            one.add("affine", _spaced(step.affine))
    return dump_xml(root)


def _dump_setups(holder: Element, setups: tuple[ViewSetup, ...]) -> None:
    for setup in setups:
        element = holder.add("ViewSetup")
        element.add("id", str(setup.id))
        if setup.name:
            element.add("name", setup.name)
        if setup.size is not None:
            element.add("size", " ".join(map(str, setup.size)))
        if setup.voxel_size is not None:
            voxel = element.add("voxelSize")
            voxel.add("unit", setup.unit or "pixel")
            voxel.add("size", _spaced(setup.voxel_size))
        own = element.add("attributes")
        for name, number in setup.attributes.items():
            own.add(name, str(number))
    for name in sorted({n for s in setups for n in s.attributes}):
        group = holder.add("Attributes", name=name)
        for number in sorted({s.attributes[name] for s in setups if name in s.attributes}):
            entity = group.add(name.capitalize())
            entity.add("id", str(number))
            entity.add("name", str(number))
