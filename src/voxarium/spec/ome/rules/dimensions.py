"""How many dimensions transformations take and give: rule TR-011, and what of others follows from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from voxarium.model.checked_values import NUMBERS, list_of, whole
from voxarium.model.checking import Place
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_dimensions", "given_by"]

RULES: Final = rules("""
TR-011 must=0.6,0.9
    Parameters fit the number of axes a transformation takes and gives, all along a chain.
    why: Such a chain cannot be computed.
    mend: Give one number, or one row, per axis.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/translation = [1, 2]
""")

_INDICES: Final = list_of(whole(0))
_DEEPEST: Final = 32


def check_dimensions(item: Place, taken: int | None, wanted: int | None) -> None:
    """Report a transformation that does not take the axes of one system to those of another; None is unknown."""
    given = given_by(item, taken)
    if given is not None and wanted is not None and given != wanted:
        message = f"gives {given} coordinates where the output has {wanted} axes"
        item.report("TR-011", message, "correct its parameters, or the coordinate systems it joins", basis="text")


def given_by(item: Place, taken: int | None, depth: int = 0) -> int | None:
    """Return how many coordinates a transformation gives for so many; None when that is unknown."""
    rule_of = _GIVEN.get(item.text("type") or "")
    if rule_of is None or depth > _DEEPEST:
        return None
    return rule_of(item, taken, depth)


def _expect(place: Place, found: int, taken: int | None) -> None:
    if taken is not None and found != taken:
        message = f"is for {found} coordinates, and gets {taken}"
        place.report("TR-011", message, "give it as many numbers as there are axes", basis="text")


def _same(item: Place, taken: int | None, depth: int) -> int | None:
    return taken


def _list(item: Place, taken: int | None, depth: int) -> int | None:
    """Of scale, translation, mapAxis and rotation: as many numbers or rows as axes."""
    numbers = item[item.text("type") or ""]
    if not isinstance(numbers.value, list):
        return taken
    _expect(numbers, len(numbers.value), taken)
    return len(numbers.value) if taken is None else taken  # a breach is reported once


def _affine(item: Place, taken: int | None, depth: int) -> int | None:
    rows = item["affine"].value
    if not isinstance(rows, list) or not rows or not all(NUMBERS.holds(row) for row in rows):
        return None
    if len({len(row) for row in rows}) == 1:
        _expect(item["affine"], len(rows[0]) - 1, taken)
    return len(rows)


def _project(item: Place, taken: int | None, depth: int) -> int | None:
    dropped, created = (
        item[k].value if _INDICES.holds(item[k].value) else [] for k in ("droppedInputs", "createdOutputs")
    )
    if taken is None:
        return None
    given = taken - len(dropped) + len(created)
    for key, numbers, count in (("droppedInputs", dropped, taken), ("createdOutputs", created, given)):
        if any(n >= count for n in numbers):
            item[key].report("TR-013", f"names an axis beyond the {count} there are", "count axes from 0", basis="text")
    return max(given, 0)


def _sequence(item: Place, taken: int | None, depth: int) -> int | None:
    for step in item["transformations"].items():
        taken = given_by(step, taken, depth + 1)
    return taken


def _by_dimension(item: Place, taken: int | None, depth: int) -> int | None:
    total = 0
    for part in item["transformations"].items():
        inputs, outputs = (part[k].value for k in ("inputAxes", "outputAxes"))
        if not _INDICES.holds(inputs) or not _INDICES.holds(outputs):
            return None
        if taken is not None and any(n >= taken for n in inputs):
            part["inputAxes"].report(
                "TR-019", f"names an axis beyond the {taken} there are", "count axes from 0", basis="text"
            )
        given = given_by(part["transformation"], len(inputs), depth + 1)
        if given is not None and given != len(outputs):
            part["outputAxes"].report(
                "TR-019", f"names {len(outputs)} axes for {given}", "name one axis per coordinate", basis="text"
            )
        total += len(outputs)
    return total


def _bijection(item: Place, taken: int | None, depth: int) -> int | None:
    given = given_by(item["forward"], taken, depth + 1)
    back = given_by(item["inverse"], given, depth + 1)
    if taken is not None and back is not None and back != taken:
        item["inverse"].report("TR-020", f"gives {back} coordinates instead of {taken}", "correct it", basis="text")
    return given


def _unknown(item: Place, taken: int | None, depth: int) -> int | None:
    return None


_GIVEN: Final[Mapping[str, Callable[[Place, int | None, int], int | None]]] = MappingProxyType(
    {
        "identity": _same,
        "scale": _list,
        "translation": _list,
        "mapAxis": _list,
        "rotation": _list,
        "displacements": _same,
        "affine": _affine,
        "projectAxis": _project,
        "sequence": _sequence,
        "byDimension": _by_dimension,
        "bijection": _bijection,
        "coordinates": _unknown,
    }
)
