"""Which format holds what, from the declarations of the drivers: the table of reference/formats.md."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxarium.core.registry import image_drivers
from voxarium.model.abilities import Holds, holds_of

__all__ = ["formats_page"]

_PLACES = {"any": "anywhere", "voxels": "whole voxels", "none": "origin only"}
_TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")


def _yes(value: bool) -> str:
    return "yes" if value else "–"


def _units(holds: Holds) -> str:
    if holds.units is None:
        return "any"
    return (
        ", ".join(sorted(holds.units))
        if 0 < len(holds.units) < 4
        else f"{len(holds.units)} names"
        if holds.units
        else "–"
    )


def _types(holds: Holds) -> str:
    groups = (("u8–64", _TYPES[:4]), ("i8–64", _TYPES[4:8]), ("f32, f64", _TYPES[8:]))
    parts = []
    for name, members in groups:
        held = [m for m in members if m in holds.dtypes]
        parts += [name] if len(held) == len(members) else held
    others = sorted(holds.dtypes - set(_TYPES))
    return ", ".join([*parts, *others]) or "–"


_ROWS: tuple[tuple[str, Callable[[Holds], str]], ...] = (
    ("types", _types),
    ("axes", lambda h: f"{h.ndim[0]}–{h.ndim[1]}" if h.ndim[0] != h.ndim[1] else str(h.ndim[0])),
    ("names of axes", lambda h: "any" if h.axis_names is None else " ".join(sorted(h.axis_names))),
    ("units of length", _units),
    (
        "position of level 0",
        lambda h: {"any": "anywhere", "voxels": "whole voxels", "none": "origin only"}[h.translation],
    ),
    ("rotation, shear", lambda h: _yes(h.affine)),
    ("further systems", lambda h: _yes(h.transforms)),
    ("name", lambda h: _yes(h.name)),
    ("role", lambda h: ", ".join(sorted(h.roles)) or "–"),
    ("shown range", lambda h: _yes(h.windows)),
    ("channel colours, names", lambda h: _yes(h.colors)),
    ("label colours", lambda h: _yes(h.label_colors)),
    ("label properties", lambda h: _yes(h.label_properties)),
    ("largest label", lambda h: _yes(h.largest_label)),
    ("raw → real values", lambda h: _yes(h.value)),
    ("unknown metadata", lambda h: _yes(h.metadata)),
)


def _cell(cell: Callable[[Holds], str], driver: Any) -> str:
    """Return what a driver holds; where its versions differ, those that do."""
    found = {version: cell(holds_of(driver, version)) for version in sorted(driver.spec_versions)}
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    return ", ".join(
        version if text == "yes" else f"{version}: {text}" for version, text in found.items() if text != "–"
    )


def formats_page(notice: str, table: str) -> str:
    """Return the page: the table of all formats; then a column per writable format, a row per capability."""
    drivers: list[Any] = [d for d in image_drivers() if "write" in d.capabilities]
    drivers = [d for d in drivers if type(d).__module__.startswith("voxarium.")]
    lines = [
        notice,
        "# Formats\n",
        "## What is read and written\n",
        table + "\n",
        "## What formats hold\n",
        "As their drivers declare it. `voxarium convert` tells what of an image the target cannot hold and refuses",
        "unless the loss is [accepted](../how-to/accept-losses.md). Lengths are converted to a unit the target names.",
        "Types not stored are refused with the type that would do.\n",
        "| | " + " | ".join(f"`{d.name}`" for d in drivers) + " |",
        "| --- |" + " --- |" * len(drivers),
    ]
    for name, cell in _ROWS:
        lines.append(f"| {name} | " + " | ".join(_cell(cell, d) for d in drivers) + " |")
    limits = [(d.name, limit) for d in drivers for limit in d.holds.reader_limits]
    if limits:
        lines += [
            "",
            "## What common readers do not show\n",
            "| format | reader | what | mend |",
            "| --- | --- | --- | --- |",
        ]
        lines += [f"| `{name}` | {x.reader} | {x.message} | {x.fix} |" for name, x in limits]
    return "\n".join(lines) + "\n"
