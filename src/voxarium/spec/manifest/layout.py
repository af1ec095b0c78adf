"""What a Parquet file says about itself, looked at before anything decodes it.

Footers and pages make claims, and libraries follow them: a dictionary or shared prefixes make gigabytes of few bytes,
and an unknown number where a codec should be ends the process. So the footer and the header of every page are read here
(https://github.com/apache/parquet-format/blob/master/src/main/thrift/parquet.thrift), and a file is refused that says
anything else than a manifest has to, or more values or bytes than its rows may need.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxarium.spec.manifest.thrift import read_struct

__all__ = ["Column", "Footer", "check_pages", "parse_footer"]

_MAGIC: Final = b"PAR1"
_MOST_FOOTER: Final = 4 << 20
_LARGEST_PAGE: Final = 256 << 20
_LARGEST: Final = 2**62
# https://github.com/apache/parquet-format/blob/master/Encodings.md, Compression.md
PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY, DELTA_LENGTHS, RLE_DICTIONARY = 0, 2, 3, 5, 6, 8
_ENCODINGS: Final = (PLAIN, PLAIN_DICTIONARY, RLE, DELTA_BINARY, DELTA_LENGTHS, RLE_DICTIONARY)
UNCOMPRESSED, ZSTD = 0, 6
_DATA, _DICTIONARY_PAGE, _DATA_V2 = 0, 2, 3
# Physical types.
_INT64, _BYTES, _FIXED = 2, 6, 7
_REQUIRED: Final = 0


@dataclass(frozen=True, slots=True)
class Column:
    """A column's part of one group of rows: name, rows, whether it is compressed, and where its pages are."""

    name: str
    rows: int
    compressed: bool
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What matters of a footer."""

    rows: int
    columns: tuple[Column, ...]
    metadata: Mapping[bytes, bytes]


def parse_footer(data: memoryview, schema: Mapping[str, str]) -> Footer:
    """Return the footer of a file.

    Parameters
    ----------
    schema : mapping of str to str
        The columns that there may be: ``text``, ``int64`` or ``digest``.

    Raises
    ------
    ValueError
        If it is not one that a manifest may have.
    """
    size = len(data)
    if size < 12 or bytes(data[:4]) != _MAGIC or bytes(data[-4:]) != _MAGIC:
        raise ValueError("not a Parquet file")
    length = int.from_bytes(data[-8:-4], "little")
    if length > min(size - 12, _MOST_FOOTER):
        raise ValueError("the footer is not credible")
    found, _ = read_struct(data, size - 8 - length, size - 8)
    _only(found, (1, 2, 3, 4, 5, 6, 7), "the footer")
    names = _names(_list(found.get(2)), schema)
    rows = _number(found.get(3))
    columns: list[Column] = []
    counted = 0
    for group in _list(found.get(4)):
        part = _group(group, names, schema)
        columns.extend(part)
        counted += part[0].rows
    if counted != rows:
        raise ValueError("groups of rows do not add up")
    pairs = [(p.get(1), p.get(2)) for p in _list(found.get(5, [])) if isinstance(p, dict)]
    return Footer(rows, tuple(columns), {k: v for k, v in pairs if isinstance(k, bytes) and isinstance(v, bytes)})


def _only(found: Any, allowed: Collection[int], what: str) -> dict[int, Any]:
    if not isinstance(found, dict) or not {*found} <= {*allowed}:
        raise ValueError(f"{what} says what manifests do not say")
    return found


def _list(found: Any) -> list[Any]:
    if not isinstance(found, list):
        raise ValueError("a list is missing")
    return found


def _number(found: Any) -> int:
    if type(found) is not int or not 0 <= found <= _LARGEST:
        raise ValueError("a number is not credible")
    return found


def _names(elements: list[Any], schema: Mapping[str, str]) -> list[str]:
    """Return the names of the columns, which are flat, required, and of the types they must be."""
    if not elements or not isinstance(elements[0], dict) or elements[0].get(5) != len(elements) - 1:
        raise ValueError("the columns are nested")
    _only(elements[0], (3, 4, 5), "the schema")
    names = []
    for element in elements[1:]:
        _only(element, (1, 2, 3, 4, 6, 9, 10), "a column")
        name = element.get(4, b"").decode("utf-8", "replace") if isinstance(element.get(4), bytes) else ""
        kind = (element.get(1), element.get(2, 0), element.get(6), element.get(10))
        if element.get(3) != _REQUIRED or kind not in _TYPES.get(schema.get(name, ""), ()):
            raise ValueError(f"a column {name!r} of another type")
        names.append(name)
    if len({*names}) != len(names):
        raise ValueError("a column comes twice")
    return names


_STRING: Final[Mapping[int, Any]] = {1: {}}
_SIGNED: Final[Mapping[int, Any]] = {10: {1: 64, 2: True}}
# Physical type, bytes, and what it stands for in the old words and in the new ones.
_TYPES: Final[Mapping[str, tuple[tuple[Any, ...], ...]]] = {
    "text": ((_BYTES, 0, 0, _STRING), (_BYTES, 0, 0, None), (_BYTES, 0, None, _STRING)),
    "int64": ((_INT64, 0, None, None), (_INT64, 0, 10, _SIGNED), (_INT64, 0, None, _SIGNED)),
    "digest": ((_FIXED, 32, None, None),),
}
_PHYSICAL: Final = {"text": _BYTES, "int64": _INT64, "digest": _FIXED}


def _group(found: Any, names: list[str], schema: Mapping[str, str]) -> list[Column]:
    group = _only(found, (1, 2, 3, 5, 6, 7), "a group of rows")
    chunks = _list(group.get(1))
    if len(chunks) != len(names) or not chunks:
        raise ValueError("a group of rows lacks a column")
    return [_column(c, name, schema[name], _number(group.get(3))) for c, name in zip(chunks, names, strict=True)]


def _column(found: Any, name: str, kind: str, rows: int) -> Column:
    chunk = _only(_only(found, (2, 3), "a column").get(3), (1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 16), "a column")
    if chunk.get(1) != _PHYSICAL[kind] or chunk.get(3) != [name.encode()] or chunk.get(5) != rows:
        raise ValueError(f"column {name} is described in two ways")
    if chunk.get(4) not in (UNCOMPRESSED, ZSTD) or any(e not in _ENCODINGS for e in _list(chunk.get(2))):
        raise ValueError(f"column {name} is compressed or encoded otherwise")
    for stated in _list(chunk.get(13, [])):
        _only(stated, (1, 2, 3), "a column")
        if stated.get(1) not in (_DATA, _DICTIONARY_PAGE, _DATA_V2) or stated.get(2) not in _ENCODINGS:
            raise ValueError(f"column {name} is encoded otherwise")
    _only(chunk.get(16, {}), (1, 2, 3), "a column")
    start = _number(chunk.get(9))
    if 11 in chunk:
        start = min(start, _number(chunk[11])) if chunk[11] else start
    _number(chunk.get(6))
    return Column(name, rows, chunk[4] != UNCOMPRESSED, start, _number(chunk.get(7)))


# ------------------------------------------------------------------------------------------------------------- pages
def check_pages(data: memoryview, column: Column, *, most: int, dictionary: int = 0) -> int:
    """Look at the pages of a column's part, and return the bytes they need when decoded.

    Parameters
    ----------
    data : memoryview
        The file.
    column : Column
        From its footer.
    most : int
        Bytes that it may need.
    dictionary : int
        Bytes that a dictionary may have; 0 = none is allowed, so that nothing grows beyond the pages.

    Raises
    ------
    ValueError
        If a page cannot be understood, is encoded otherwise, or values and bytes are not as many as they may be.
    """
    at, stop, total, seen = column.start, column.start + column.length, 0, 0
    if stop > len(data):
        raise ValueError(f"column {column.name} lies outside the file")
    while seen < column.rows:
        header, at = read_struct(data, at, stop)
        _only(header, (1, 2, 3, 4, 5, 7, 8), "a page")
        grown, stored = _number(header.get(2)), _number(header.get(3))
        if grown > _LARGEST_PAGE or stored > stop - at or (not column.compressed and grown != stored):
            raise ValueError("the size of a page is not credible")
        at += stored
        total += grown
        seen += _values(header, grown, dictionary)
        if total > most:
            raise ValueError(f"column {column.name} needs more than {most:,} bytes for {column.rows:,} rows")
    if seen != column.rows:
        raise ValueError("pages hold more values than there are rows")
    return total


def _values(header: Mapping[int, Any], grown: int, dictionary: int) -> int:
    """Return the number of rows in a page."""
    kind = header.get(1)
    if kind == _DICTIONARY_PAGE:
        inner = _only(header.get(7), (1, 2, 3), "a dictionary")
        if grown > dictionary or inner.get(2) not in (PLAIN, PLAIN_DICTIONARY) or _number(inner.get(1)) > dictionary:
            raise ValueError("a dictionary where none may be, or too large a one")
        return 0
    if kind == _DATA:
        inner = _only(header.get(5), (1, 2, 3, 4, 5), "a page")
        _only(inner.get(5, {}), (), "a page")  # statistics: none
        encoding, fits = inner.get(2), inner.get(3) == inner.get(4) == RLE
    elif kind == _DATA_V2:
        inner = _only(header.get(8), (1, 2, 3, 4, 5, 6, 7, 8), "a page")
        _only(inner.get(8, {}), (), "a page")
        encoding, fits = inner.get(4), inner.get(2) == inner.get(5) == inner.get(6) == 0
        fits = fits and inner.get(3) == inner.get(1)
    else:
        raise ValueError("a page of unknown kind")
    if encoding not in _encodings(dictionary):
        raise ValueError(f"a page in encoding {encoding}")
    count = _number(inner.get(1))
    if not fits or not count:
        raise ValueError("a page with levels, or without values")
    return count


def _encodings(dictionary: int) -> tuple[int, ...]:
    plain = (PLAIN, DELTA_BINARY, DELTA_LENGTHS)
    return (*plain, PLAIN_DICTIONARY, RLE_DICTIONARY) if dictionary else plain
