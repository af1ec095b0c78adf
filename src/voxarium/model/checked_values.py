"""Kinds of JSON values, and tables of members: most rules are no more than these."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from voxarium.model.checking import ABSENT, Place, short

__all__ = [
    "FLAG", "LIST", "NAME", "NUMBER", "NUMBERS", "OBJECT", "TEXT",
    "Field", "Kind", "check_fields", "check_unique", "frozen", "list_of", "matching", "objects", "one_of", "whole",
]  # fmt: skip

_DEEP: Final = 64


@dataclass(frozen=True, slots=True)
class Kind:
    """What a value may be, and how to say so in a message."""

    text: str
    holds: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


TEXT: Final = Kind("a text", lambda v: isinstance(v, str))
NAME: Final = Kind("a text that is not empty", lambda v: isinstance(v, str) and v != "")
FLAG: Final = Kind("true or false", lambda v: isinstance(v, bool))
NUMBER: Final = Kind("a number", _is_number)
LIST: Final = Kind("a list", lambda v: isinstance(v, list))
OBJECT: Final = Kind("an object", lambda v: isinstance(v, dict))
NUMBERS: Final = Kind("a list of numbers", lambda v: isinstance(v, list) and all(map(_is_number, v)))


def whole(least: int | None = None, most: int | None = None) -> Kind:
    """Return the kind of whole numbers within limits."""
    limits = "" if least is None else f" from {least}" + ("" if most is None else f" to {most}")

    def holds(value: Any) -> bool:
        return _is_whole(value) and (least is None or value >= least) and (most is None or value <= most)

    return Kind(f"a whole number{limits}", holds)


def matching(pattern: str, text: str) -> Kind:
    """Return the kind of texts that match a pattern as a whole."""
    compiled = re.compile(pattern)
    return Kind(text, lambda v: isinstance(v, str) and compiled.fullmatch(v) is not None)


def one_of(*values: str) -> Kind:
    """Return the kind of texts out of a few."""
    return Kind(f"one of {', '.join(values)}", lambda v: isinstance(v, str) and v in values)


def list_of(kind: Kind, least: int = 0, most: int | None = None) -> Kind:
    """Return the kind of lists of a length within limits, all of one kind."""
    length = f"{least}" if most == least else f"at least {least}" if most is None else f"{least} to {most}"
    text = f"a list of {length} items, each {kind.text}" if least or most is not None else f"a list, each {kind.text}"

    def holds(value: Any) -> bool:
        return isinstance(value, list) and least <= len(value) <= (most or len(value)) and all(map(kind.holds, value))

    return Kind(text, holds)


@dataclass(frozen=True, slots=True)
class Field:
    """A member of an object.

    Parameters
    ----------
    name : str
        Its key.
    kind : Kind
        What it is, where it is there.
    rule : str
        Which rule says so.
    needed : str
        Whether it ``may``, ``should`` or ``must`` be there.
    text : str
        Versions in which only the text of the specification needs it, not the schema.
    text_kind : str
        Versions in which only the text says of what kind it is.
    default : JSON
        What repairs it where it is not there; ABSENT where that is not certain.
    """

    name: str
    kind: Kind
    rule: str
    needed: Literal["may", "should", "must"] = "may"
    text: str = ""
    text_kind: str = ""
    default: Any = ABSENT


def check_fields(place: Place, fields: Iterable[Field]) -> None:
    """Report members that lack, or are of another kind."""
    for field in fields:
        member = place[field.name]
        if member.value is ABSENT:
            if field.needed != "may":
                place.report(
                    field.rule,
                    f"has no {field.name!r}",
                    f"add it: {field.kind.text}",
                    level=field.needed,
                    text=field.text,
                    repair=() if field.default is ABSENT else (member.put(field.default),),
                )
        elif not field.kind.holds(member.value):
            member.report(
                field.rule,
                f"is {_shown(member.value)}",
                f"make it {field.kind.text}",
                level="must",
                text=field.text_kind,
            )


_CONSTANTS: Final = {True: "true", False: "false", None: "null"}


def _shown(value: Any) -> str:
    """Return what a value is, in a few words."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        simple = len(value) <= 5 and not any(isinstance(v, list | dict) for v in value)
        return short(value) if simple else f"a list of {len(value)}"
    return _CONSTANTS[value] if value is None or isinstance(value, bool) else short(value)


def objects(place: Place, rule: str, *, least: int = 1, text: str = "") -> list[Place]:
    """Return the items of a list that are objects; report what is no list, too short, or no object."""
    if not isinstance(place.value, list):
        if place.there:
            place.report(rule, f"is {_shown(place.value)}", "make it a list of objects", text=text)
        return []
    if len(place.value) < least:
        place.report(rule, "is empty", "list at least one object", text=text)
    items = place.items()
    for item in items:
        if not isinstance(item.value, dict):
            item.report(rule, f"is {_shown(item.value)}", "make it an object", text=text)
    return [item for item in items if isinstance(item.value, dict)]


def check_unique(
    items: Sequence[Place], rule: str, name: str | None = None, *, text: str = "", names_rule: str | None = None
) -> None:
    """Report items that repeat an earlier one; and, as the text alone demands, those that only share its `name`."""
    seen: dict[Any, int] = {}
    named: dict[Any, int] = {}
    for i, item in enumerate(items):
        own, key = frozen(item.value), None if name is None else frozen(item[name].value)
        if own in seen:
            item.report(rule, f"repeats item {seen[own]}", "list everything once", text=text)
        elif name is not None and item[name].there and key in named:
            shown = _shown(item[name].value)
            item[name].report(
                names_rule or rule,
                f"is {shown}, as in item {named[key]}",
                f"give each a {name} of its own",
                basis="text",
            )
        seen.setdefault(own, i)
        named.setdefault(key, i)


def frozen(value: Any, depth: int = 0) -> Any:
    """Return something hashable that is equal for equal JSON values: 1 and 1.0 are, 1 and true are not."""
    if depth > _DEEP:
        return id(value)
    if isinstance(value, dict):
        return frozenset((k, frozen(v, depth + 1)) for k, v in value.items())
    if isinstance(value, list):
        return tuple(frozen(v, depth + 1) for v in value)
    return (type(value).__name__, value) if isinstance(value, bool | str) or value is None else value
