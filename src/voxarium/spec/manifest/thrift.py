"""Thrift's compact protocol, as far as the footers and page headers of Parquet files use it.

https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md. A struct becomes a dict by field
number, a list a list, binary bytes. Anything that does not fit into the bytes given raises ValueError.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

__all__ = ["read_struct"]

_MOST_DEPTH: Final = 12
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12


def read_struct(data: memoryview, at: int, stop: int) -> tuple[dict[int, Any], int]:
    """Return the struct that begins at a byte, and where it ends.

    Raises
    ------
    ValueError
        If there is none.
    """
    return _struct(data, at, stop, 0)


def _struct(data: memoryview, at: int, stop: int, depth: int) -> tuple[dict[int, Any], int]:
    found: dict[int, Any] = {}
    number = 0
    while True:
        head, at = _byte(data, at, stop)
        if not head:
            return found, at
        if head >> 4:
            number += head >> 4
        else:
            number, at = _integer(data, at, stop, depth)
        kind = head & 15
        if number in found:
            raise ValueError("a field comes twice")
        if kind in (_TRUE, _FALSE):
            found[number] = kind == _TRUE
        else:
            found[number], at = _value(kind)(data, at, stop, depth)


def _byte(data: memoryview, at: int, stop: int, _depth: int = 0) -> tuple[int, int]:
    if at >= stop:
        raise ValueError("a header is cut off")
    return data[at], at + 1


def _varint(data: memoryview, at: int, stop: int) -> tuple[int, int]:
    value = shift = 0
    while shift <= 63:
        byte, at = _byte(data, at, stop)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a number in a header has no end")


def _integer(data: memoryview, at: int, stop: int, _depth: int) -> tuple[int, int]:
    value, at = _varint(data, at, stop)
    return (value >> 1) ^ -(value & 1), at


def _binary(data: memoryview, at: int, stop: int, _depth: int) -> tuple[bytes, int]:
    length, at = _varint(data, at, stop)
    if length > stop - at:
        raise ValueError("a text in a header is cut off")
    return bytes(data[at : at + length]), at + length


def _double(_data: memoryview, at: int, stop: int, _depth: int) -> tuple[None, int]:
    if stop - at < 8:
        raise ValueError("a number in a header is cut off")
    return None, at + 8


def _list(data: memoryview, at: int, stop: int, depth: int) -> tuple[list[Any], int]:
    head, at = _byte(data, at, stop)
    count = head >> 4
    if count == 15:
        count, at = _varint(data, at, stop)
    if count > stop - at:  # every element takes a byte at least
        raise ValueError("a list in a header is cut off")
    read = _byte if head & 15 in (_TRUE, _FALSE) else _value(head & 15)
    found = []
    for _ in range(count):
        value, at = read(data, at, stop, depth)
        found.append(value)
    return found, at


def _inner(data: memoryview, at: int, stop: int, depth: int) -> tuple[dict[int, Any], int]:
    if depth == _MOST_DEPTH:
        raise ValueError("headers inside headers")
    return _struct(data, at, stop, depth + 1)


_READERS: Final[dict[int, Callable[[memoryview, int, int, int], tuple[Any, int]]]] = {
    _BYTE: _byte,
    4: _integer,
    5: _integer,
    6: _integer,
    _DOUBLE: _double,
    _BINARY: _binary,
    _STRUCT: _inner,
}


def _value(kind: int) -> Callable[[memoryview, int, int, int], tuple[Any, int]]:
    if kind in (_LIST, _SET):
        return _nested_list
    if kind not in _READERS:
        raise ValueError("a header with a value of unknown kind")
    return _READERS[kind]


def _nested_list(data: memoryview, at: int, stop: int, depth: int) -> tuple[list[Any], int]:
    if depth == _MOST_DEPTH:
        raise ValueError("lists inside lists")
    return _list(data, at, stop, depth + 1)
