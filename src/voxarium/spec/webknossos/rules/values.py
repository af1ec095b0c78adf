"""Values of ``datasource-properties.json``: what is wanted, and how to say that something else is there."""

from __future__ import annotations

from typing import Any

from voxarium.model.checked_values import Kind
from voxarium.model.checking import ABSENT, Place, short

__all__ = ["are_numbers", "is_number", "need", "triple", "whole"]

_FARTHEST = 2**40  # voxels along an axis


def need(parent: Place, name: str, kind: Kind, rule: str) -> Place | None:
    """Return a member that is of a kind; None where it is not, or is not there, which is reported."""
    place = parent[name]
    if place.value is ABSENT:
        parent.report(rule, f"has no {name!r}", f"add it: {kind.text}")
        return None
    if not kind.holds(place.value):
        place.report(rule, f"is {short(place.value)}", f"make it {kind.text}")
        return None
    return place


def whole(value: Any, low: int, high: int = _FARTHEST) -> int | None:
    """Return a whole number within bounds, written as 3 or 3.0; None for anything else."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return value if type(value) is int and low <= value <= high else None


def triple(value: Any, low: int, high: int = _FARTHEST) -> tuple[int, int, int] | None:
    """Return three whole numbers; None for anything else."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    x, y, z = (whole(v, low, high) for v in value)
    return None if x is None or y is None or z is None else (x, y, z)


def is_number(value: Any, low: float = -1e300, high: float = 1e300) -> bool:
    """Tell whether a value is a finite number within bounds."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def are_numbers(value: Any, count: int, low: float = -1e300, high: float = 1e300) -> bool:
    """Tell whether a value is a list of so many numbers."""
    return isinstance(value, list) and len(value) == count and all(is_number(v, low, high) for v in value)
