"""Reference files: which bytes of which files, together, look like a Zarr hierarchy (kerchunk, VirtualiZarr).

Specs: https://fsspec.github.io/kerchunk/spec.html (versions 0 and 1) and the Parquet layout of fsspec's
``LazyReferenceMapper``. A reference is text or base64 given in place, a whole file, or a range of one.
"""

from __future__ import annotations

import ast
import base64
import binascii
import itertools
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, InputError, VoxariumError
from voxarium.model.fields import dump_json, parse_json_object
from voxarium.model.keys import checked_key

__all__ = [
    "ParquetArray",
    "ParquetReferences",
    "Pointer",
    "Reference",
    "check_pointer",
    "dump_references",
    "is_references",
    "parse_parquet",
    "parse_references",
]

_MOST_KEYS: Final = 20_000_000
_MOST_INLINE: Final = 64 << 20
_TEMPLATE: Final = re.compile(r"\{\{\s*(.*?)\s*\}\}")
_LARGEST: Final = 2**62
_BASE64: Final = "base64:"


@dataclass(frozen=True, slots=True)
class Pointer:
    """Bytes of a file: `length` from `start` on, or all of it when `length` is None."""

    url: str
    start: int = 0
    length: int | None = None


Reference = bytes | Pointer


def _refuse(where: str, message: str, fix: str = "make the reference file again") -> NoReturn:
    raise FormatError(f"{where}: {message}", code=Code.METADATA_INVALID, fix=fix)


def is_references(document: Mapping[str, Any]) -> bool:
    """Tell whether a JSON object is a reference file of version 1, or of version 0 with a Zarr hierarchy at its root.

    Examples
    --------
    >>> is_references({"version": 1, "refs": {}}), is_references({"zarr_format": 3})
    (True, False)
    """
    if isinstance(document.get("refs"), Mapping):
        return document.get("version") == 1
    roots = (".zgroup", ".zattrs", ".zarray", "zarr.json")
    return any(isinstance(document.get(name), str | Mapping) and name in document for name in roots)


def parse_references(data: Buffer | str | Mapping[str, Any], where: str) -> dict[str, Reference]:
    """Return the references of a JSON file, or of the object it holds, by key.

    Raises
    ------
    FormatError
        If it is no reference file, or asks for something that cannot be.
    """
    document = data if isinstance(data, Mapping) else parse_json_object(data, where)
    if not is_references(document):
        _refuse(where, "is no file of references", "give a JSON file of kerchunk's version 0 or 1")
    templates: dict[str, str] = {}
    found: Mapping[str, Any] = document
    if "refs" in document:
        templates = _templates(document.get("templates", {}), where)
        found = document["refs"]
    out = {}
    for key, value in found.items():
        out[_key(key, where)] = _reference(value, templates, f"{where}: {key!r}")
    if "refs" in document:
        for key, pointer in _generated(document.get("gen", []), templates, where):
            out[_key(key, where)] = pointer
            if len(out) > _MOST_KEYS:
                _refuse(where, f"makes more than {_MOST_KEYS:,} references", "split it")
    return out


def _key(key: str, where: str) -> str:
    try:
        return checked_key(key)
    except InputError as error:
        _refuse(where, error.message)


def _templates(found: Any, where: str) -> dict[str, str]:
    if not isinstance(found, Mapping) or not all(isinstance(v, str) for v in found.values()):
        _refuse(where, "templates is not an object of texts")
    if any("{{" in v for v in found.values()):
        _refuse(where, "a template with parameters", "write the addresses out")
    return dict(found)


def _reference(found: Any, templates: Mapping[str, str], where: str) -> Reference:
    if isinstance(found, str):
        return _inline(found, where)
    if isinstance(found, Mapping):  # metadata documents as objects, which some writers leave as they are
        return dump_json(found)
    if not isinstance(found, list) or len(found) not in (1, 3) or not isinstance(found[0], str):
        _refuse(where, "is neither text, nor [address], nor [address, offset, length]")
    return check_pointer(_filled(found[0], templates, where), *found[1:], where=where)


def _inline(text: str, where: str) -> bytes:
    if len(text) > _MOST_INLINE:
        _refuse(where, f"holds {len(text):,} characters in place", "refer to a file instead")
    if not text.startswith(_BASE64):
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text[len(_BASE64) :], validate=True)
    except (binascii.Error, ValueError) as error:
        _refuse(where, f"is not base64: {error}")


def check_pointer(url: str, start: Any = 0, length: Any = None, *, where: str) -> Pointer:
    """Return a pointer after a look at its numbers."""
    for number in (start, 0 if length is None else length):
        if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= _LARGEST:
            _refuse(where, f"asks for {length!r} bytes from {start!r} on")
    if not url or "\0" in url:
        _refuse(where, "names no file")
    return Pointer(url, start, length)


def _filled(text: str, values: Mapping[str, Any], where: str) -> str:
    """Return a text with ``{{…}}`` replaced: by a value, or by whole-number arithmetic on values."""

    def one(match: re.Match[str]) -> str:
        inner = match[1]
        if inner in values:
            return str(values[inner])
        return str(_computed(inner, values, where))

    return _TEMPLATE.sub(one, text) if "{{" in text else text


_OPERATORS: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _computed(text: str, values: Mapping[str, Any], where: str) -> int:
    """Work out ``i * 1000 + 8``: whole numbers, names, + - * // % and brackets, nothing else."""
    try:
        if len(text) > 200:
            raise ValueError("too long")
        return _value(ast.parse(text, mode="eval").body, values)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError, MemoryError) as error:
        _refuse(where, f"cannot work out {text[:60]!r}: {error}", "write the references out")


def _value(node: ast.expr, values: Mapping[str, Any]) -> int:
    match node:
        case ast.Constant(value=int(number)) if not isinstance(number, bool):
            result = number
        case ast.Name(id=name) if isinstance(values.get(name), int):
            result = values[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            result = _OPERATORS[type(op)](_value(left, values), _value(right, values))
        case _:
            raise ValueError("only whole numbers, names, + - * // % are understood")
    if abs(result) > _LARGEST:
        raise ValueError("a number is too large")
    return result


def _generated(found: Any, templates: Mapping[str, str], where: str) -> Iterator[tuple[str, Pointer]]:
    if not isinstance(found, list):
        _refuse(where, "gen is not a list")
    for i, item in enumerate(found):
        at = f"{where}: gen[{i}]"
        if not isinstance(item, Mapping) or not isinstance(item.get("dimensions"), Mapping):
            _refuse(at, "has no dimensions")
        names = list(item["dimensions"])
        ranges = [_range(item["dimensions"][n], at) for n in names]
        if math.prod(len(r) for r in ranges) > _MOST_KEYS:
            _refuse(at, f"makes more than {_MOST_KEYS:,} references", "split it")
        texts = {k: item.get(k) for k in ("key", "url", "offset", "length")}
        for index in itertools.product(*ranges):
            values: dict[str, Any] = {**templates, **dict(zip(names, index, strict=True))}
            yield _one_generated(texts, values, at)


def _one_generated(texts: Mapping[str, Any], values: Mapping[str, Any], at: str) -> tuple[str, Pointer]:
    key, url = texts["key"], texts["url"]
    if not isinstance(key, str) or not isinstance(url, str):
        _refuse(at, "has no key or no url")
    numbers = []
    for name in ("offset", "length"):
        given = texts[name]
        numbers.append(_computed(_TEMPLATE.sub(r"\1", given), values, at) if isinstance(given, str) else given)
    start, length = numbers
    pointer = check_pointer(_filled(url, values, at), 0 if start is None else start, length, where=at)
    return _filled(key, values, at), pointer


def _range(found: Any, where: str) -> range | list[int]:
    if isinstance(found, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in found):
        return found
    if isinstance(found, Mapping):
        parts = [found.get("start", 0), found.get("stop"), found.get("step", 1)]
        if all(isinstance(p, int) and not isinstance(p, bool) and abs(p) < _LARGEST for p in parts) and parts[2]:
            made = range(*parts)
            if (made.stop - made.start) // made.step <= _MOST_KEYS:
                return made
    _refuse(where, "has a dimension that is neither a list of whole numbers nor start, stop, step")


def dump_references(references: Mapping[str, Reference]) -> bytes:
    """Return a JSON file of version 1. Metadata documents stand as text, other bytes as base64."""
    refs: dict[str, Any] = {}
    for key, value in references.items():
        if isinstance(value, Pointer):
            refs[key] = [value.url] if value.length is None else [value.url, value.start, value.length]
        else:
            refs[key] = _text(value)
    return dump_json({"version": 1, "refs": refs})


def _text(value: bytes) -> str:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = ""
    if text[:1] in ("{", "["):
        return text
    return _BASE64 + base64.b64encode(value).decode("ascii")


# ---------------------------------------------------------------------------------------------- in Parquet
@dataclass(frozen=True, slots=True)
class ParquetArray:
    """The chunk grid of an array whose references stand in Parquet files, in C order of the grid."""

    grid: tuple[int, ...]
    separator: str

    def number(self, name: str) -> int | None:
        """Return the position of a chunk, such as ``0.4.1``; None when it is none of the grid."""
        parts = name.split(self.separator) if self.grid else [] if name == "0" else [name]
        if len(parts) != len(self.grid) or not all(p.isascii() and p.isdigit() and len(p) < 19 for p in parts):
            return None
        at = 0
        for part, count in zip(parts, self.grid, strict=True):
            if int(part) >= count:
                return None
            at = at * count + int(part)
        return at

    @property
    def count(self) -> int:
        """Number of chunks."""
        return math.prod(self.grid)


@dataclass(frozen=True, slots=True)
class ParquetReferences:
    """What ``.zmetadata`` says: documents by key, arrays by path, and references per Parquet file."""

    documents: Mapping[str, bytes]
    arrays: Mapping[str, ParquetArray]
    record_size: int


def parse_parquet(data: Buffer, where: str) -> ParquetReferences:
    """Return what stands beside the Parquet files of a folder of references.

    Raises
    ------
    FormatError
        If it does not describe Zarr arrays of version 2.
    """
    document = parse_json_object(data, where)
    metadata, size = document.get("metadata"), document.get("record_size")
    if not isinstance(metadata, Mapping):
        _refuse(where, "has no metadata")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size <= _MOST_KEYS:
        _refuse(where, f"has the record size {size!r}")
    documents, arrays = {}, {}
    for key, value in metadata.items():
        path, _, name = _key(key, where).rpartition("/")
        documents[_key(key, where)] = dump_json(value) if isinstance(value, Mapping) else b""
        if name == ".zarray":
            arrays[path] = _parquet_array(value, f"{where}: {key}")
    return ParquetReferences({k: v for k, v in documents.items() if v}, arrays, size)


def _parquet_array(found: Any, where: str) -> ParquetArray:
    try:
        shape, chunks = found["shape"], found["chunks"]
        grid = tuple(-(-int(n) // int(c)) for n, c in zip(shape, chunks, strict=True))
        separator = found.get("dimension_separator") or "."
    except (VoxariumError, TypeError, KeyError, ValueError, ZeroDivisionError, OverflowError, AttributeError) as error:
        _refuse(where, f"describes no array: {error}")
    if separator not in (".", "/") or any(not 0 <= n <= _LARGEST for n in grid):
        _refuse(where, "describes no array")
    return ParquetArray(grid, separator)
