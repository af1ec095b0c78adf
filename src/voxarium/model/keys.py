"""Keys and byte ranges of stores: what is allowed, what a range means, how names are ordered."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.protocols import ByteRange

__all__ = [
    "Fetch", "checked_key", "checked_prefix", "grid_index", "merged_ranges", "natural_key", "resolve_range",
    "resolved_key",
]  # fmt: skip

# An empty part (also from a leading, trailing or doubled slash), "." or "..", backslash, control character,
# half a surrogate pair (a name that is not UTF-8): none of them means the same to every store.
_UNSAFE: Final = re.compile(r"(?:^|/)\.{0,2}(?:/|\Z)|[\x00-\x1f\x7f\\\ud800-\udfff]")
_DIGITS: Final = re.compile(r"([0-9]+)")


def checked_key(key: str) -> str:
    """Return `key` if it is a safe relative key.

    Raises
    ------
    InputError
        If it is empty, absolute, has an empty part, ``.`` or ``..``, a backslash, or a control character.

    Examples
    --------
    >>> checked_key("em/s0/c/0/1/2")
    'em/s0/c/0/1/2'
    """
    if _UNSAFE.search(key) is None:
        return key
    raise InputError(
        f"{key!r} is not a key",
        code=Code.KEY_UNSAFE,
        fix='use names joined by single slashes, with no "..", no backslash and no slash at either end',
    )


def resolved_key(folder: str, path: str) -> str:
    """Return the key that a relative path means, seen from a folder of the same store.

    Raises
    ------
    InputError
        If it leads out of the store, is absolute, or names no key.

    Examples
    --------
    >>> resolved_key("ds/em", "./1"), resolved_key("ds/em", "../other/1")
    ('ds/em/1', 'ds/other/1')
    """
    parts = folder.split("/") if folder else []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return checked_key(path)  # raises: it begins with "..", as seen from the root
            parts.pop()
        elif part != ".":
            parts.append(part)
    return checked_key("/".join(parts))


def checked_prefix(prefix: str) -> str:
    """Return `prefix` if it names a folder: a safe key, or empty for the whole store."""
    return checked_key(prefix) if prefix else prefix


def resolve_range(byte_range: ByteRange, size: int) -> tuple[int, int]:
    """Return the first byte of a range and the one behind its last, for an object of `size` bytes.

    Raises
    ------
    InputError
        If the length is negative.
    StoreError
        If the range does not lie within the object; also when a suffix is longer than the object.

    Examples
    --------
    >>> resolve_range(ByteRange(-4, 3), 10)
    (6, 9)
    """
    start = byte_range.start if byte_range.start >= 0 else size + byte_range.start
    stop = size if byte_range.length is None else start + byte_range.length
    if 0 <= start <= stop <= size:
        return start, stop
    if byte_range.length is not None and byte_range.length < 0:
        raise InputError(
            f"a range of {byte_range.length} bytes was asked for",
            code=Code.ARGUMENT_INVALID,
            fix="give a length that is not negative, or None for everything up to the end",
        )
    what = "to the end" if byte_range.length is None else f"{byte_range.length} bytes long"
    raise StoreError(
        f"the range from byte {byte_range.start}, {what}, does not lie within an object of {size} bytes",
        code=Code.FILE_TRUNCATED,
        fix="the object is shorter than its index or metadata says; copy it again from its source",
    )


def natural_key(name: str) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a sort key that puts numbers in numeric order: ``c2`` before ``c10``.

    Examples
    --------
    >>> sorted(["c10", "c2", "c1"], key=natural_key)
    ['c1', 'c2', 'c10']
    """
    parts = _DIGITS.split(name)  # text, digits, text, digits, …
    # Digits are compared by length, then as text: int() refuses more than 4300 of them.
    stripped = [p.lstrip("0") if i % 2 else p for i, p in enumerate(parts)]
    order = tuple((0, len(p), p) if i % 2 else (1, 0, p) for i, p in enumerate(stripped) if i % 2 or p)
    return order, name


@dataclass(frozen=True, slots=True)
class Fetch:
    """One request for bytes ``start … stop`` and which of the asked ranges it answers."""

    start: int
    stop: int
    members: tuple[int, ...]


def merged_ranges(ranges: Sequence[tuple[int, int]], *, gap: int, limit: int) -> list[Fetch]:
    """Return the requests that cover absolute ranges, joining those less than `gap` bytes apart.

    Parameters
    ----------
    ranges : sequence of (int, int)
        Start and stop of each range, in any order; they may overlap.
    gap : int
        Bytes worth reading in vain to save a request.
    limit : int
        A request is not extended beyond this many bytes, so that large reads stay parallel.

    Examples
    --------
    >>> merged_ranges([(0, 4), (90, 99), (6, 8)], gap=8, limit=100)
    [Fetch(start=0, stop=8, members=(0, 2)), Fetch(start=90, stop=99, members=(1,))]
    """
    out: list[Fetch] = []
    members: list[int] = []
    first = last = 0
    for i in sorted(range(len(ranges)), key=ranges.__getitem__):
        start, stop = ranges[i]
        if members and start - last <= gap and max(stop, last) - first <= limit:
            last = max(last, stop)
            members.append(i)
            continue
        if members:
            out.append(Fetch(first, last, tuple(members)))
        first, last, members = start, stop, [i]
    if members:
        out.append(Fetch(first, last, tuple(members)))
    return out


def grid_index(text: str, separator: str, ndim: int) -> tuple[int, ...] | None:
    """Return the whole numbers a text consists of; None unless it is written exactly as they would be.

    Examples
    --------
    >>> grid_index("0/12/3", "/", 3), grid_index("0/012/3", "/", 3), grid_index("0.1", "/", 2)
    ((0, 12, 3), None, None)
    """
    try:
        index = tuple(map(int, text.split(separator)))
    except ValueError:  # no number, or one of thousands of digits
        return None
    if len(index) != ndim or min(index) < 0:
        return None
    return index if separator.join(map(str, index)) == text else None
