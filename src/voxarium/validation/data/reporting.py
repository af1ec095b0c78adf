"""Findings about what cannot be read, and the maps that show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from voxarium.model.checking import Sheet
from voxarium.validation.data.reading import Fault, Faults, LevelReader, place_text
from voxarium.validation.objects import ObjectMap, ObjectState

__all__ = ["marked_maps", "report_faults"]

_NAMED: Final = 50
_SAYS: Final = {"DA-001": "cannot be decoded", "DA-002": "is damaged", "DA-003": "has no index that can be read"}


def report_faults(faults: Faults, readers: Sequence[LevelReader], sheet: Sheet) -> None:
    """Report every fault, up to a few dozen of each kind and level, and how many more there are."""
    kinds: dict[tuple[int, str], list[Fault]] = {}
    for fault in faults.found.values():
        kinds.setdefault((fault.level, fault.rule), []).append(fault)
    for (level, rule), some in sorted(kinds.items()):
        some.sort(key=lambda f: f.index)
        for fault in some[:_NAMED]:
            sheet.key = fault.key
            sheet.report(
                rule,
                f"{place_text(fault)} of level {level} {_SAYS[rule]}: {fault.message}",
                "copy the object again from its source",
                values=(None, _found(fault)),
            )
        if len(some) > _NAMED:
            sheet.key = readers[level].stored.path
            number = f"{len(some) - _NAMED:,} further chunks" + (" at least" if faults.more else "")
            sheet.report(rule, f"{number} of level {level} likewise", "copy the objects again from their source")
    for reader in readers:
        if reader.unsupported is not None:
            sheet.key = reader.stored.path
            says = f"level {reader.level} cannot be decoded here, so it was not checked: {reader.unsupported}"
            sheet.report("DA-008", says, "install what is named, and check again")


def _found(fault: Fault) -> dict[str, object]:
    """Return where a fault is, for programs."""
    place: dict[str, object] = {"index": list(fault.index), "origin": list(fault.box.origin)}
    place["shape"] = list(fault.box.shape)
    if fault.span is not None and fault.span.length is not None:
        place["bytes"] = [fault.span.start, fault.span.start + fault.span.length]
    return place


def marked_maps(
    census: Mapping[str, ObjectMap], faults: Faults, readers: Sequence[LevelReader]
) -> dict[str, ObjectMap]:
    """Return maps of a census with the objects marked that cannot be read, wholly or in part."""
    out = dict(census)
    for fault in faults.found.values():
        reader = readers[fault.level]
        known = out.get(reader.stored.path)
        if known is None or known.states is None:
            continue
        if known is census.get(reader.stored.path):
            known = out[reader.stored.path] = replace(known, states=known.states.copy())
        states = known.states
        if states is not None:
            index = fault.index if fault.whole else reader.object_of(fault.index)
            states[index] = np.uint8(ObjectState.CORRUPT)
    return out
