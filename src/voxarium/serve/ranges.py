"""Parts of an object that a request asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MOST_RANGES", "RangeError", "parse_ranges"]

# Scripts that know what they want ask for a few parts; more are what attacks ask for.
MOST_RANGES: Final = 64
_HUGE: Final = 1 << 63
_SPEC: Final = re.compile(rb"[ \t]*(?:([0-9]+)-([0-9]*)|-([0-9]+))[ \t]*")


class RangeError(Exception):
    """No part asked for can be sent: the answer is 416."""


def parse_ranges(value: bytes, size: int) -> list[tuple[int, int]] | None:
    """Return first byte and the one behind the last of each part of an object of `size` bytes.

    Parameters
    ----------
    value : bytes
        Of the header Range.
    size : int
        Bytes of the object.

    Returns
    -------
    list of (int, int), or None
        In the order asked, without parts beyond the end. None when the header counts something else than bytes: it is
        ignored then.

    `RangeError` tells that the header is malformed, that no part lies within the object, that the parts together are
    larger than the object, or that they are more than `MOST_RANGES`.

    Examples
    --------
    >>> parse_ranges(b"bytes=2-5", 100), parse_ranges(b"bytes=-5", 100), parse_ranges(b"bytes=90-", 100)
    ([(2, 6)], [(95, 100)], [(90, 100)])
    """
    unit, equals, specs = value.partition(b"=")
    if not equals or unit.strip().lower() != b"bytes":
        return None
    asked = specs.split(b",", MOST_RANGES)
    if len(asked) > MOST_RANGES:
        raise RangeError
    found = [part for spec in asked if (part := _part(spec, size)) is not None]
    if not found or (len(found) > 1 and sum(b - a for a, b in found) > size):
        raise RangeError
    return found


def _part(spec: bytes, size: int) -> tuple[int, int] | None:
    """Return one part; None when it lies beyond the end."""
    match = _SPEC.fullmatch(spec)
    if match is None:
        raise RangeError
    first, last, suffix = match.groups()
    if suffix is not None:
        count = min(_number(suffix), size)
        return (size - count, size) if count else None
    start = _number(first)
    stop = min(_number(last) + 1, size) if last else size
    if last and _number(last) < start:
        raise RangeError
    return (start, stop) if start < size else None


def _number(digits: bytes) -> int:
    """Return a number; any beyond what objects can have is as good as another."""
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) < 19 else _HUGE
