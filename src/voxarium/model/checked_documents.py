"""Documents as checks read them: nothing that is stored raises, and what is no JSON is a finding."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from voxarium.model.checking import Place, Sheet, short
from voxarium.model.checks import CheckNode, NodeKind
from voxarium.model.rules import Rule

__all__ = [
    "Parsed",
    "group_kind",
    "is_integer",
    "json_of",
    "lengths_problem",
    "opened",
    "parse_checked",
    "special_text",
    "specials",
]

_LARGEST: Final = 64 * 2**20  # bytes; real documents stay far below
_DEEPEST: Final = 64
_MOST_PLACES: Final = 100_000
_FIX: Final = "restore the document from a copy, or correct it with a text editor"


class Parsed(NamedTuple):
    """What a document holds.

    Parameters
    ----------
    value : mapping or None
        Its object; None where there is none.
    problem : str
        Why not; empty where there is one.
    """

    value: dict[str, Any] | None  # Any: JSON as found, with NaN and infinities
    problem: str = ""


def parse_checked(raw: bytes) -> Parsed:
    """Return the object in a document.

    Examples
    --------
    >>> parse_checked(b'{"a": NaN}').value, parse_checked(b"[1]").problem
    ({'a': nan}, 'is no JSON object')
    """
    if len(raw) > _LARGEST:
        return Parsed(None, f"has {len(raw)} bytes, more than metadata ever need")
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return Parsed(None, f"is not JSON: {str(error)[:120]}")
    return Parsed(value) if isinstance(value, dict) else Parsed(None, "is no JSON object")


def json_of(raw: bytes | None) -> dict[str, Any] | None:  # Any: JSON as found
    """Return the object in a document; None where there is no document, or no object in it."""
    return None if raw is None else parse_checked(raw).value


def opened(node: CheckNode, name: str, rules: Mapping[str, Rule], rule: str) -> Place | None:
    """Return the place of a whole document on a sheet of its own; None when the document is not there.

    Where it holds no object, `rule` is broken and the value is None.
    """
    raw = node.document(name)
    if raw is None:
        return None
    parsed = parse_checked(raw)
    place = Place(parsed.value, "", Sheet("", rules, node.key(name)))
    if parsed.problem:
        place.report(rule, parsed.problem, _FIX)
    return place


def specials(place: Place) -> Iterator[Place]:
    """Yield places of numbers that are not finite, at most so many and so deep as documents ever need."""
    waiting: list[tuple[Place, int]] = [(place, 0)]
    seen = 0
    while waiting:
        found, depth = waiting.pop()
        seen += 1
        if seen > _MOST_PLACES:
            return
        if isinstance(found.value, float) and not math.isfinite(found.value):
            yield found
        elif depth < _DEEPEST and isinstance(found.value, dict):
            waiting += [(found[key], depth + 1) for key in found.value]
        elif depth < _DEEPEST and isinstance(found.value, list):
            waiting += [(item, depth + 1) for item in found.items()]


def special_text(value: float) -> str:
    """Return the text that stands for a number which JSON does not have.

    Examples
    --------
    >>> special_text(float("-inf"))
    '-Infinity'
    """
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def is_integer(value: object) -> bool:
    """Tell whether a value is a whole number, written as one."""
    return isinstance(value, int) and not isinstance(value, bool)


def lengths_problem(value: Any, least: int, count: int | None = None) -> str:  # Any: JSON as found
    """Return why a value is no list of lengths, each at least so much; the empty text where it is one.

    Examples
    --------
    >>> lengths_problem([3, -1], 0), lengths_problem([3, 4], 1, 3), lengths_problem([3, 4], 1)
    ('has -1', 'has 2 lengths', '')
    """
    if not isinstance(value, list):
        return "is no list"
    wrong = next((v for v in value if not is_integer(v) or not least <= v < 2**63), None)
    if wrong is not None or None in value:
        return f"has {short(wrong)}"
    return "" if count is None or len(value) == count else f"has {len(value)} lengths"


def group_kind(attributes: Any) -> NodeKind:  # Any: JSON as found
    """Return what a group is by its attributes: an image where they list multiscales, which image drivers then open."""
    listed = attributes.get("multiscales") if isinstance(attributes, dict) else None
    return "image" if isinstance(listed, list) and listed else "group"
