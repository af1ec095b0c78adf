"""Values of an ``info`` as Neuroglancer takes them, and what should be written in their place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar

from voxarium.errors import InputError
from voxarium.model.checking import Place, short
from voxarium.model.keys import resolved_key
from voxarium.spec.precomputed.lenient import read_number, read_whole

__all__ = ["folder", "number", "several", "whole", "word"]

T = TypeVar("T")
FORM: Final = "PC-004"
OUTSIDE: Final = "PC-006"


def _wrong(place: Place, rule: str, what: str) -> None:
    if place.there:
        place.report(rule, f"is {short(place.value)}", f"write {what}")
    else:
        parent, _, name = place.pointer.rpartition("/")
        Place({}, parent, place.sheet).report(rule, f"has no {name!r}", f"add it: {what}")


def whole(place: Place, rule: str, low: int, high: int) -> int | None:
    """Return a whole number within bounds, or report it; one that is written otherwise is reported as such."""
    found = read_whole(place.value)
    if found is None or not low <= found <= high:
        _wrong(place, rule, f"a whole number from {low}" + (f" to {high}" if high < 2**32 else ""))
        return None
    _note_form(place, found, fits=isinstance(place.value, int))
    return found


def number(place: Place, rule: str, *, positive: bool = False) -> float | None:
    """Return a finite number, or report it."""
    found = read_number(place.value)
    if found is None or (positive and not 1e-30 <= found <= 1e30):
        _wrong(place, rule, "a positive number" if positive else "a number")
        return None
    _note_form(place, found, fits=not isinstance(place.value, str))
    return found


def _note_form(place: Place, found: float, *, fits: bool) -> None:
    if not fits:
        place.report(FORM, f"is written as {short(place.value)}", f"write {found}", repair=(place.put(found),))


def several(place: Place, rule: str, take: Callable[[Place], T | None], count: int = 3) -> tuple[T, ...] | None:
    """Return a list of so many values, or report it."""
    if not isinstance(place.value, list) or len(place.value) != count:
        _wrong(place, rule, f"a list of {count} numbers")
        return None
    found = [take(item) for item in place.items()]
    return tuple(v for v in found if v is not None) if None not in found else None


def word(place: Place, rule: str, known: Collection[str], *, fix: str = "") -> str | None:
    """Return a word in lower case, one of a few, or report it."""
    value: Any = place.value
    lower = value.lower() if isinstance(value, str) else ""
    if lower not in known:
        _wrong(place, rule, fix or f"one of {', '.join(known)}")
        return None
    if value != lower:
        place.report(FORM, f"is {short(value)}, not in lower case", f"write {lower!r}", repair=(place.put(lower),))
    return lower


def folder(place: Place, rule: str) -> str | None:
    """Return the key of a folder that a document names; report what names none, or none inside the store."""
    value: Any = place.value
    if not isinstance(value, str) or not value:
        _wrong(place, rule, "the path of a folder")
        return None
    path = value.rstrip("/")
    base = place.sheet.key.rpartition("/")[0]
    try:
        return resolved_key(base, path)
    except InputError:
        pass
    if value.startswith("/") or "://" in value or ".." not in path.split("/"):
        place.report(rule, f"is {short(value)}, no path of a folder", "write a path seen from this document's folder")
    else:
        place.report(OUTSIDE, f"is {short(value)}, outside of what is checked", "check the folder around both")
    return None
