"""A look at the pages of a Parquet file before anything decodes them.

What a footer says about sizes is only a claim: pages say themselves how large they get and how they are encoded, and a
dictionary or shared prefixes make gigabytes of few bytes. So the header of every page is read here (Thrift's compact
protocol; https://github.com/apache/parquet-format), and a column is refused whose pages hold more values or bytes than
its rows may need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["page_bytes"]

# https://github.com/apache/parquet-format/blob/master/Encodings.md
_PLAIN: Final = 0
_DICTIONARY: Final = (2, 8)
_DELTA_LENGTHS: Final = 6
_DATA, _DICTIONARY_PAGE, _DATA_V2 = 0, 2, 3
_MOST_DEPTH: Final = 8
_LARGEST_PAGE: Final = 256 << 20


def page_bytes(data: memoryview, start: int, length: int, values: int, *, dictionary: int = 0) -> int:
    """Return the bytes that the pages of a column's chunk need when decoded, dictionary included.

    Parameters
    ----------
    data : memoryview
        The file.
    start, length : int
        The column's chunk.
    values : int
        Its rows.
    dictionary : int
        Bytes that a dictionary may have; 0 = none is allowed, so that nothing grows beyond what this returns.

    Raises
    ------
    ValueError
        If a page cannot be understood, is encoded otherwise, or the values are not as many.
    """
    at, stop, total, seen = start, start + length, 0, 0
    if not 0 <= start <= stop <= len(data):
        raise ValueError("a column lies outside the file")
    while seen < values:
        header, at = _struct(data, at, stop, 0)
        grown, stored = header.get(2), header.get(3)
        if not isinstance(grown, int) or not isinstance(stored, int) or not 0 <= grown <= _LARGEST_PAGE:
            raise ValueError("the size of a page is not credible")
        if not 0 <= stored <= stop - at:
            raise ValueError("a page lies outside its column")
        at += stored
        total += grown
        seen += _values(header, grown, dictionary)
    if seen != values:
        raise ValueError("pages hold more values than there are rows")
    return total


def _values(header: Mapping[int, Any], grown: int, dictionary: int) -> int:
    """Return the number of rows in a page."""
    kind = header.get(1)
    if kind == _DICTIONARY_PAGE:
        if grown > dictionary:
            raise ValueError("a dictionary where none may be, or too large a one")
        return 0
    inner = header.get({_DATA: 5, _DATA_V2: 8}.get(kind, -1)) if isinstance(kind, int) else None
    if not isinstance(inner, dict):
        raise ValueError("a page of unknown kind")
    encoding = inner.get(4 if kind == _DATA_V2 else 2)
    if encoding not in (_PLAIN, _DELTA_LENGTHS) and not (dictionary and encoding in _DICTIONARY):
        raise ValueError(f"a page in encoding {encoding}")
    count = inner.get(1)
    if not isinstance(count, int) or count <= 0:
        raise ValueError("a page without values")
    return count


# ------------------------------------------------------------------------------------------ Thrift's compact protocol
def _varint(data: memoryview, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= stop or shift > 63:
            raise ValueError("a number in the header of a page is cut off")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def _integer(data: memoryview, at: int, stop: int) -> tuple[int, int]:
    value, at = _varint(data, at, stop)
    return (value >> 1) ^ -(value & 1), at


def _struct(data: memoryview, at: int, stop: int, depth: int) -> tuple[dict[int, Any], int]:
    found: dict[int, Any] = {}
    number = 0
    while True:
        if at >= stop:
            raise ValueError("the header of a page is cut off")
        head = data[at]
        at += 1
        if not head:
            return found, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at, stop)
        found[number], at = _field(data, at, stop, head & 15, depth)


def _field(data: memoryview, at: int, stop: int, kind: int, depth: int) -> tuple[Any, int]:
    """Return a value and where it ends."""
    if kind in (1, 2):
        return kind == 1, at
    if kind == 3:
        return None, at + 1
    if kind in (4, 5, 6):
        return _integer(data, at, stop)
    if kind == 7:
        return None, at + 8
    if kind == 8:
        length, at = _varint(data, at, stop)
        if length > stop - at:
            raise ValueError("the header of a page is cut off")
        return None, at + length
    if kind == 12 and depth < _MOST_DEPTH:
        return _struct(data, at, stop, depth + 1)
    raise ValueError("something in the header of a page that is never there")
