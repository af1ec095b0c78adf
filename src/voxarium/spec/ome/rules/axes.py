"""Axes: rules AX, and orientation: rules OR."""

from __future__ import annotations

from typing import Any, Final

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS
from voxarium.model.checked_values import FLAG, TEXT, Field, check_fields, check_unique, one_of
from voxarium.model.checking import Place, short
from voxarium.spec.ome.orientation import ORIENTATIONS, clashes
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_axes"]

RULES: Final = rules("""
AX-001 must=all
    Axes are a list of objects, each with a `name`.
    why: Without names, software cannot tell which dimension is depth and which is a channel, and guesses by order.
    mend: Write {"name": "z", "type": "space", "unit": "micrometer"} for each dimension of the arrays, in order.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1/name remove
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1 = 5
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1/name = ""
AX-002 must=all
    No two axes share a name; in 0.9 they should not differ by case alone either.
    why: Axes are referred to by name, so one of the two cannot be reached.
    mend: Rename one of them.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/3/name = "x"
    bad: ome09 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes/1/name = "X"
AX-003 should=all
    An axis states its `type`.
    why: Viewers make sliders of time and channels and a picture of space by the type; names are a guess.
    mend: Say space, time or channel.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1/type remove
AX-004 should=all
    The type is a text: space, time, channel (0.6 also array, coordinate, displacement, frequency), or a
    custom one.
    why: Readers compare it with these words.
    mend: Write one of them as a text.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1/type = 7
AX-005 should=all
    Axes of space and time state a `unit`, a text.
    why: Sizes without a unit cannot be measured, and images cannot be laid over each other.
    mend: Add it, such as nanometer or second.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/4/unit remove
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/4/unit = 1
AX-006 should=all
    The unit is a name of UDUNITS-2 that measures what the type says.
    why: Software that converts units knows this list; with another word it shows none, or refuses the image.
    mend: Write the long name in singular: micrometer, not µm or micron.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/4/unit = "micron"
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/0/unit = "micrometer"
AX-007 must=all needs=arrays
    There is an axis per dimension of every level's array, in the same order.
    why: Readers pair axes with dimensions by position; with a different number they refuse the image.
    mend: Describe every dimension; one of length 1 has an axis too.
    bad: ome05 s0/zarr.json#/shape = [2, 3, 6, 5]
AX-008 must=0.4,0.5,0.6
    There are 2 to 5 axes.
    why: Software for these versions reserves places for time, channel and three of space.
    mend: Split the image along further axes, or use a version after 0.6.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/- = {"name": "w", "type": "angle"}
AX-009 must=0.4,0.5,0.6
    2 or 3 axes are of type space (0.6: or at least 2 of type array).
    why: An image needs a plane to be shown in.
    mend: Give the axes of the picture the type space.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/3/type = "angle"
    and: zarr.json#/attributes/ome/multiscales/0/axes/4/type = "angle"
AX-010 must=0.4,0.5,0.6
    At most one axis is of type time.
    why: Viewers have one slider of time, and step through the wrong one.
    mend: Give the second one a type of its own.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1/type = "time"
AX-011 must=0.4,0.5,0.6
    At most one axis is a channel, of a custom type, or of none.
    why: Software for these versions has one place for them, between time and space.
    mend: Merge the axes into one of channels, or make one image of each.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/0/type = "angle"
AX-012 must=0.4,0.5,0.6
    Time comes first, then the channel or custom axis, then space.
    why: Many readers never look at the axes and take this order for granted: they show channels as depth.
    mend: Transpose the arrays while copying: `voxarium convert`.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/0 = {"name": "c", "type": "channel"}
    and: zarr.json#/attributes/ome/multiscales/0/axes/1 = {"name": "t", "type": "time", "unit": "second"}
AX-013 should=all
    Three axes of space are ordered z, y, x; in 0.9, space and time are called z, y, x and t.
    why: Readers that show slices of the first axis of space are fast only if planes are stacked along it.
    mend: Transpose the arrays while copying.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/2/name = "x"
    and: zarr.json#/attributes/ome/multiscales/0/axes/4/name = "z"
    bad: ome09 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes/2/name = "depth"
AX-014 must=0.6,0.9
    `discrete` is true or false, `longName` a text.
    why: `discrete` tells whether positions between samples mean anything; readers interpolate by it.
    mend: Correct the value, or remove it.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes/1/discrete = "yes"
AX-015 must=all
    Axes are objects; bare names are those of 0.3.
    why: Readers of this version look for a name in each axis and find a text.
    mend: Write objects, or run `voxarium upgrade`, which knows 0.3.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes/1 = "c"
OR-001 must=0.9
    `orientation` is {type: anatomical, value: one of 24}, and belongs to axes of type space.
    why: Software that lays a brain over an atlas turns it by this; with a word it does not know, it must guess.
    mend: Use one of the 24 values, or remove the orientation.
    bad: ome09 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes/4/orientation = {"type": "anatomical",
    "value": "up"}
OR-002 must=0.9
    The axes of one coordinate system run along different anatomical directions: of a pair such as
    left-to-right and right-to-left at most one, once.
    why: Two axes along the same direction describe no space.
    mend: Correct the direction of one of them.
    bad: ome09 zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes/3/orientation = {"type": "anatomical",
    "value": "left-to-right"}
    and: zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes/4/orientation = {"type": "anatomical",
    "value": "right-to-left"}
""")

# UDUNITS-2 knows these two; the lists of the specification do not.
_UNITS: Final = {
    "space": frozenset(SPACE_UNITS) - {"decameter"},
    "time": frozenset(TIME_UNITS) - {"decasecond"},
}
_MIN_ARRAY_AXES: Final = 2

_AXIS: Final = (
    Field("name", TEXT, "AX-001", "must"),
    Field("type", TEXT, "AX-004"),
    Field("unit", TEXT, "AX-005", text_kind="0.4 0.5"),
    Field("discrete", FLAG, "AX-014"),
    Field("longName", TEXT, "AX-014"),
)
_ORIENTATION: Final = (
    Field("type", one_of("anatomical"), "OR-001", "must"),
    Field("value", one_of(*ORIENTATIONS), "OR-001", "must"),
)


def check_axes(place: Place) -> list[Place]:
    """Check a list of axes; return the axes that are objects."""
    if not isinstance(place.value, list):
        place.report("AX-001", "is not a list", "list the axes as objects")
        return []
    axes = [item for item in place.items() if _is_object(item)]
    for axis in axes:
        _check_axis(axis)
    check_unique(axes, "AX-002", "name")
    _check_numbers(place, axes)
    _check_order(place, axes)
    _check_case(axes)
    _check_directions(axes)
    return axes


def _is_object(item: Place) -> bool:
    if isinstance(item.value, str):
        item.report("AX-015", f"is the bare name {short(item.value)}", 'write {"name": …, "type": …, "unit": …}')
    elif not isinstance(item.value, dict):
        item.report("AX-001", "is not an object", 'write {"name": …, "type": …, "unit": …}')
    return isinstance(item.value, dict)


def _check_axis(axis: Place) -> None:
    check_fields(axis, _AXIS)
    if axis.text("name") == "":
        axis["name"].report("AX-001", "is empty", "give the axis a name", text="0.4 0.5")
    kind = axis.text("type")
    if not axis["type"].there:
        axis.report("AX-003", "has no 'type'", "add it, such as space, time or channel", basis="text")
    units = _UNITS.get(kind or "")
    if units is not None and not axis["unit"].there:
        axis.report("AX-005", "has no 'unit'", "add it, such as micrometer or second", basis="text")
    unit = axis.text("unit")
    if units is not None and unit is not None and unit not in units:
        fix = f"use a name of UDUNITS-2 for {kind}, such as {'micrometer' if kind == 'space' else 'second'}"
        axis["unit"].report("AX-006", f"is {short(unit)}", fix, basis="text")
    if axis["orientation"].there:
        _check_orientation(axis)


def _check_orientation(axis: Place) -> None:
    found = axis["orientation"]
    if not isinstance(found.value, dict):
        found.report("OR-001", "is not an object", 'write {"type": "anatomical", "value": "left-to-right"}')
        return
    check_fields(found, _ORIENTATION)
    if axis.text("type") != "space":
        found.report("OR-001", "belongs to an axis that is not of type space", "remove it", basis="text")


# -- how many
def _check_numbers(place: Place, axes: list[Place]) -> None:
    count = len(place.value)
    if count == 0:
        place.report("AX-008" if place.version != "0.9" else "AX-001", "is empty", "list the axes")
    elif not 2 <= count <= 5:
        place.report("AX-008", f"has {count} axes", "keep 2 to 5 axes in an image")
    kinds = [axis.text("type") for axis in axes]
    _check_space(place, axes, kinds)
    if kinds.count("time") > 1:
        place.report("AX-010", "has several axes of type time", "keep one", basis="text")
    others = [a for a, kind in zip(axes, kinds, strict=True) if kind not in ("space", "time", "array")]
    if len(others) > 1:
        place.report("AX-011", f"has {len(others)} axes that are neither space nor time", "keep one", basis="text")


def _check_space(place: Place, axes: list[Place], kinds: list[str | None]) -> None:
    """Count axes of space. Before 0.6 the schema counts axes without a type as such; the text does not."""
    stated = kinds.count("space")
    enough = 2 <= stated <= 3
    if place.version == "0.6":
        arrays = kinds.count("array") >= _MIN_ARRAY_AXES
        schema, enough = enough != arrays, enough or arrays
    else:
        schema = 2 <= sum(_may_be_space(axis) for axis in axes) <= 3
    if not (schema and enough):
        basis: Any = "both" if not schema and not enough else "text" if schema else "schema"
        place.report("AX-009", f"has {stated} axes of type space", "give 2 or 3 axes the type space", basis=basis)


def _may_be_space(axis: Place) -> bool:
    texts = all(not axis[k].there or isinstance(axis[k].value, str) for k in ("name", "unit"))
    return texts and (not axis["type"].there or axis["type"].value == "space")


# -- in which order
def _check_order(place: Place, axes: list[Place]) -> None:
    kinds = [axis.text("type") for axis in axes]
    order = [{"time": 0, "space": 2, "array": 2}.get(kind or "", 1) for kind in kinds]
    if order != sorted(order):
        place.report("AX-012", "does not follow the order time, channel, space", "transpose the arrays", basis="text")
    names = [axis.text("name") for axis, kind in zip(axes, kinds, strict=True) if kind == "space"]
    if sorted(n or "" for n in names) == ["x", "y", "z"] and names != ["z", "y", "x"]:
        place.report("AX-013", "does not order the axes z, y, x", "transpose the arrays", basis="text")
    if place.version == "0.9":
        _check_usual_names(axes)


def _check_usual_names(axes: list[Place]) -> None:
    usual = {"space": ("z", "y", "x"), "time": ("t",)}
    for axis in axes:
        names, name = usual.get(axis.text("type") or ""), axis.text("name")
        if names is not None and name is not None and name not in names:
            fix = f"call it {' or '.join(names)}"
            axis["name"].report("AX-013", f"is {short(name)}", fix, basis="text")


def _check_case(axes: list[Place]) -> None:
    if axes and axes[0].version != "0.9":
        return
    seen: dict[str, str] = {}
    for axis in axes:
        name = axis.text("name") or ""
        other = seen.setdefault(name.lower(), name)
        if other != name:
            message = f"is {short(name)}, which differs from {short(other)} by case alone"
            axis["name"].report("AX-002", message, "call it something else", basis="text", level="should")


def _check_directions(axes: list[Place]) -> None:
    """Report axes that run along a direction that another one has, or its opposite."""
    places = [axis["orientation"]["value"] for axis in axes]
    values = [p.value if isinstance(p.value, str) else None for p in places]
    for i, other in clashes(values).items():
        message = f"is {values[i]}, beside {other} in the same coordinate system"
        places[i].report("OR-002", message, "give each axis another direction", basis="text")
