"""Axes: rules AX-001 … AX-015, OR-001 and OR-002."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit, guess_axis_type
from voxarium.spec.ome.document import MAX_AXES, as_list, as_text, json_ready, malformed
from voxarium.spec.ome.orientation import ORIENTATIONS, clashes

__all__ = ["FIVE_AXES", "dump_axis", "parse_axes"]

# 0.1 and 0.2 have no axes: arrays are five-dimensional in this order.
FIVE_AXES: Final = tuple(Axis(name=n, type=guess_axis_type(n)) for n in "tczyx")
_KNOWN: Final = frozenset({"name", "type", "unit", "orientation"})


def parse_axes(found: Any, where: str, notes: list[str]) -> tuple[Axis, ...]:
    """Return the axes of an image or coordinate system.

    A missing type is guessed from the name; a missing unit stays unknown; abbreviated units are spelled out.

    Raises
    ------
    FormatError
        If an axis has no name, or a name comes twice.
    """
    items = as_list(found, where, MAX_AXES)
    axes = tuple(_parse_axis(item, f"{where}[{i}]", notes) for i, item in enumerate(items))
    names = [a.name for a in axes]
    if len(set(names)) != len(names):
        malformed(where, f"repeats a name: {', '.join(names)}", "give every axis a name of its own")
    for i, other in clashes(a.orientation for a in axes).items():
        notes.append(f"{where}[{i}] runs {axes[i].orientation}, beside {other}: at most one of them is true (OR-002)")
    return axes


def _parse_axis(found: Any, where: str, notes: list[str]) -> Axis:
    if isinstance(found, str):  # 0.3
        name = as_text(found, where)
        return Axis(name=name, type=guess_axis_type(name))
    if not isinstance(found, dict):
        malformed(where, "is not an axis", 'write it as {"name": …, "type": …, "unit": …}')
    name = as_text(found.get("name"), f"{where}.name")
    extra = {k: v for k, v in found.items() if k not in _KNOWN}
    orientation = found.get("orientation")
    anatomical = _anatomical(orientation)
    if orientation is not None and anatomical is None:
        extra["orientation"] = orientation
        notes.append(f"{where}.orientation is none of those known (OR-001); carried along")
    return Axis(
        name=name,
        type=_parse_type(found, name, where, notes),
        unit=_parse_unit(found.get("unit"), where, notes),
        orientation=anatomical,
        extra=extra,
    )


def _anatomical(found: Any) -> str | None:
    """Return the direction of an RFC-4 orientation; None for anything else."""
    if isinstance(found, dict) and found.keys() == {"type", "value"} and found["type"] == "anatomical":
        value = found["value"]
        return value if value in ORIENTATIONS else None
    return None


def _parse_type(found: Mapping[str, Any], name: str, where: str, notes: list[str]) -> str:
    kind = found.get("type")
    if isinstance(kind, str) and kind:
        return kind
    if kind is not None:
        notes.append(f"{where}.type is not a text; guessed from the name")
    return guess_axis_type(name)


def _parse_unit(found: Any, where: str, notes: list[str]) -> str | None:
    if found is None or found == "":
        return None
    if not isinstance(found, str):
        notes.append(f"{where}.unit is not a text; taken as unknown")
        return None
    unit = canonical_unit(found)
    if unit != found and (unit in SPACE_UNITS or unit in TIME_UNITS):
        notes.append(f"{where}.unit {found!r} read as {unit!r}")
        return unit
    return found


def dump_axis(axis: Axis) -> dict[str, Any]:
    """Return the JSON of an axis; the same in 0.4, 0.5 and 0.6."""
    out: dict[str, Any] = {"name": axis.name}
    if axis.type != "other":  # "other" is this library's word for no type
        out["type"] = axis.type
    if axis.unit:
        out["unit"] = canonical_unit(axis.unit)
    if axis.orientation:
        out["orientation"] = {"type": "anatomical", "value": axis.orientation}
    return out | {k: v for k, v in json_ready(axis.extra).items() if k not in out}
