"""Reading SpimData."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn

import numpy as np

from voxarium.errors import InputError
from voxarium.model.axes import Axis, CoordinateSystem, canonical_unit
from voxarium.model.box import Box
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.scene import (
    VOXELS,
    WORLD,
    Placement,
    Scene,
    SceneNode,
    SceneSource,
    Step,
    matrix_of,
)
from voxarium.model.scene_fields import LARGEST, SMALLEST, affine_from_xyz, guarded, refuse, unique_ids
from voxarium.model.xml_tree import Element, parse_xml
from voxarium.spec.scene_bdv.elements import CONTAINERS, MOST_PLACEMENTS, P, to_json

__all__ = ["parse_spim_data"]

_ID: Final = re.compile(r"[0-9]{1,9}\Z")
_RUN: Final = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*(?::\s*([0-9]{1,9})\s*)?)?\Z")
_MOST_RUNS: Final = 100_000
_SETUP: Final = frozenset({"id", "name", "size", "voxelSize", "attributes"})
_ROOT: Final = frozenset({"BasePath", "SequenceDescription", "ViewRegistrations"})
_Chains = dict[int, dict[int, tuple[Step, ...]]]  # by setup and timepoint


def parse_spim_data(raw: bytes) -> Scene:
    """Return the scene of a document.

    Raises
    ------
    FormatError
        If it is no XML, or breaks the structure of SpimData.
    """
    root = parse_xml(raw, "the XML")
    if root.tag != "SpimData":
        _refuse(f"begins with {root.tag!r} instead of SpimData")
    sequence = root.find("SequenceDescription")
    if sequence is None:
        _refuse("has no SequenceDescription")
    setups = [e for views in sequence.iter("ViewSetups") for e in views.iter("ViewSetup")]
    numbers = [_whole(e.content("id"), "the id of a ViewSetup") for e in setups]
    if len(set(numbers)) != len(numbers):
        _refuse("has two setups of one id")
    times = _parse_timepoints(sequence)
    try:
        chains = _parse_registrations(root)
        source = _parse_loader(root, sequence)
        ids = unique_ids(e.content("name") or f"setup{n}" for e, n in zip(setups, numbers, strict=True))
        nodes = []
        for element, number, id in zip(setups, numbers, ids, strict=True):
            placements = _placements(chains.pop(number, {}), times)
            nodes.append(_parse_setup(element, number, id, source, placements))
        unit = _world_unit(nodes)
        axes = tuple(Axis(name=n, type="space", unit=unit) for n in "zyx")
        notes = (f"registrations of setups that are not there: {sorted(chains)[:20]}",) if chains else ()
        return Scene(
            format=P,
            nodes=tuple(nodes),
            systems=(CoordinateSystem(name=WORLD, axes=axes),),
            timepoints=times,
            bag=Bag(records=(SourceRecord(format=P, notes=notes),), extra=_carried(root, sequence, set(chains))),
        )
    except InputError as error:
        raise guarded(error, "the XML") from error


def _refuse(message: str) -> NoReturn:
    raise refuse("the XML", message, "save the project again with the program that made it")


def _whole(text: str, what: str) -> int:
    if _ID.match(text.strip()) is None:
        _refuse(f"has {text.strip()[:40]!r} as {what}")
    return int(text)


def _floats(text: str, count: int) -> tuple[float, ...] | None:
    parts = text.replace(",", " ").split()
    try:
        values = tuple(float(p) + 0.0 for p in parts) if len(parts) == count else ()
    except ValueError:
        return None
    return values if values and all(abs(v) <= LARGEST for v in values) else None


def _parse_timepoints(sequence: Element) -> tuple[tuple[int, int], ...]:
    element = sequence.find("Timepoints")
    if element is None:
        return ()
    if element.attributes.get("type") == "range":
        runs = [tuple(_whole(element.content(k), f"the {k} timepoint") for k in ("first", "last"))]
    else:
        runs = []
        for text in (element.content("integerpattern") or "0").split(","):
            runs += _run(text)
            if len(runs) > _MOST_RUNS:
                _refuse("lists implausibly many timepoints")
    if any(last < first for first, last in runs):
        _refuse("has timepoints that end before they begin")
    out: list[tuple[int, int]] = []
    for first, last in sorted(set((a, b) for a, b in runs)):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return tuple(out)


def _run(text: str) -> list[tuple[int, ...]]:
    match = _RUN.match(text)
    if match is None:
        _refuse(f"has the timepoints {text[:40]!r}")
    low, high, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
    if step < 1 or (step > 1 and (high - low) // step > _MOST_RUNS):
        _refuse(f"has the timepoints {text[:40]!r}")
    return [(low, high)] if step == 1 else [(t, t) for t in range(low, high + 1, step)]


def _parse_registrations(root: Element) -> _Chains:
    out: _Chains = {}
    count = 0
    for holder in root.iter("ViewRegistrations"):
        for element in holder.iter("ViewRegistration"):
            view = tuple(
                _whole(element.attributes.get(k, ""), f"the {k} of a registration") for k in ("timepoint", "setup")
            )
            steps = []
            for transform in element.iter("ViewTransform"):
                values = _floats(transform.content("affine"), 12)
                if values is None:
                    _refuse("has a ViewTransform without an affine of 12 numbers")
                steps.append(Step(transform=affine_from_xyz(values), name=transform.content("Name")))
            out.setdefault(view[1], {})[view[0]] = tuple(steps[::-1])
            count += 1
            if count > MOST_PLACEMENTS:
                _refuse("has implausibly many registrations")
    return out


def _placements(chains: Mapping[int, tuple[Step, ...]], times: Sequence[tuple[int, int]]) -> tuple[Placement, ...]:
    """Return one placement for all timepoints when they agree, else one for each."""
    count = sum(last - first + 1 for first, last in times) or 1
    if chains and len(chains) == count and len(set(map(repr, chains.values()))) == 1:
        return (Placement(source=VOXELS, steps=next(iter(chains.values()))),)
    return tuple(Placement(source=VOXELS, steps=steps, timepoint=t) for t, steps in sorted(chains.items()))


def _parse_loader(root: Element, sequence: Element) -> SceneSource | None:
    element = sequence.find("ImageLoader")
    if element is None:
        return None
    # Elsewhere (MoBIE) bdv.n5 names the XML: here it is the container that the XML names.
    format = element.attributes.get("format", "").replace("bdv.", "bdv-", 1)
    for tag in CONTAINERS:
        found = element.find(tag)
        if found is not None:
            text, base = found.text.strip(), root.content("BasePath")
            absolute = found.attributes.get("type") == "absolute" or text.startswith("/")
            return SceneSource(uri=text if absolute or base in ("", ".") else f"{base}/{text}", format=format)
    return SceneSource(uri="", format=format)


def _parse_setup(
    element: Element, number: int, id: str, source: SceneSource | None, placements: tuple[Placement, ...]
) -> SceneNode:
    size, sides = _floats(element.content("size"), 3), _floats(element.content("voxelSize", "size"), 3)
    unit = element.content("voxelSize", "unit")
    known = canonical_unit(unit) if unit and unit not in ("pixel", "px", "pixels") else None
    extra: dict[str, Any] = {f"{P}:setup": number}
    attributes = element.find("attributes")
    if attributes is not None and attributes.children:
        extra[f"{P}:attributes"] = {c.tag: c.text.strip() for c in attributes.children}
    others = [to_json(c) for c in element.children if c.tag not in _SETUP]
    if others:
        extra[f"{P}:elements"] = others
    fits = size is not None and all(v.is_integer() and 0 <= v < 2**62 for v in size)
    return SceneNode(
        id=id,
        kind="image",
        sources=() if source is None else (source,),
        axes=tuple(Axis(name=n, type="space", unit=known) for n in "zyx"),
        voxel_size=sides[::-1] if sides is not None and min(sides) >= SMALLEST else None,
        box=Box((0, 0, 0), tuple(int(v) for v in size[::-1])) if size is not None and fits else None,
        placements=placements,
        extra=extra,
    )


def _world_unit(nodes: Sequence[SceneNode]) -> str | None:
    """Return the unit of the setups when their first matrices bring voxels to it; else the world's unit is unknown."""
    units = {n.axes[0].unit for n in nodes}
    if len(units) != 1:
        return None
    for node in nodes:
        for placement in node.placements:
            first = matrix_of(placement.steps[0].transform, 3) if placement.steps else None
            size = node.voxel_size
            if first is None or size is None or not np.allclose(np.diagonal(first), size, rtol=1e-6, atol=0):
                return None
    return units.pop()


def _carried(root: Element, sequence: Element, strangers: set[int]) -> dict[str, Any]:
    """Return elements that the model has no place for, as JSON; `strangers` are setups that only registrations name."""
    out: dict[str, Any] = {}
    views = [e for r in root.iter("ViewRegistrations") for e in r.iter("ViewRegistration")]
    known = frozenset({"ViewSetups", "Timepoints"})
    for key, items in (
        ("elements", [c for c in root.children if c.tag not in _ROOT]),
        ("sequence", [c for c in sequence.children if c.tag not in known and (c.children or c.tag == "ImageLoader")]),
        ("registrations", [e for e in views if int(e.attributes["setup"]) in strangers] if strangers else []),
        ("setups", [c for v in sequence.iter("ViewSetups") for c in v.children if c.tag != "ViewSetup"]),
    ):
        if items:
            out[f"{P}:{key}"] = [to_json(c) for c in items]
    if root.content("BasePath") not in ("", "."):
        out[f"{P}:BasePath"] = root.content("BasePath")
    return out
