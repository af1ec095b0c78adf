"""Reading and writing JSON documents whose content is not to be trusted."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import numpy as np

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.keys import checked_key

__all__ = [
    "as_index",
    "as_list",
    "as_mapping",
    "as_numbers",
    "as_path",
    "as_text",
    "dump_json",
    "json_ready",
    "malformed",
    "parse_json",
]

MAX_DOCUMENT: Final = 64 * 2**20  # bytes; real documents of plates with many wells stay below one
MAX_AXES: Final = 32
_DROPPED: Final = object()


def malformed(where: str, message: str, fix: str) -> NoReturn:
    """Raise the error of a document that cannot be read."""
    raise FormatError(f"{where} {message}", code=Code.METADATA_INVALID, fix=fix)


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def parse_json(raw: bytes, where: str) -> Mapping[str, Any]:
    """Return the object a document holds.

    Raises
    ------
    FormatError
        If it is not strict JSON, not an object, or implausibly large.
    """
    if len(raw) > MAX_DOCUMENT:
        raise FormatError(
            f"{where} has {len(raw)} bytes, more than metadata ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    try:
        found = json.loads(raw, parse_constant=_constant)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        malformed(where, f"is not JSON: {error}", "restore the document, or correct it with a text editor")
    return as_mapping(found, where)


def dump_json(document: Mapping[str, Any]) -> bytes:
    """Return the bytes of a document: two spaces of indent, keys in the order given, a final newline."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, carried along from a foreign document as an escape
        return (json.dumps(document, indent=2, allow_nan=False) + "\n").encode()


def json_ready(value: Any) -> Any:
    """Return `value` in JSON types, leaving out what JSON cannot hold (bytes, NaN, objects).

    Examples
    --------
    >>> json_ready({"a": np.float32(0.5), "b": b"no", "c": (1, float("nan"))})
    {'a': 0.5, 'c': [1]}
    """
    found = _ready(value, 0)
    return None if found is _DROPPED else found


def _ready(value: Any, depth: int) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if depth > 64:
        return _DROPPED
    if isinstance(value, Mapping):
        pairs = ((k, _ready(v, depth + 1)) for k, v in value.items() if isinstance(k, str))
        return {k: v for k, v in pairs if v is not _DROPPED}
    if isinstance(value, list | tuple):
        return [v for v in (_ready(v, depth + 1) for v in value) if v is not _DROPPED]
    if isinstance(value, float):
        return value if math.isfinite(value) else _DROPPED
    return value if value is None or isinstance(value, str | int) else _DROPPED


def as_mapping(value: Any, where: str) -> Mapping[str, Any]:
    """Return a JSON object, or raise FormatError."""
    if isinstance(value, dict):
        return value
    malformed(where, "is not an object", "write it as {…}, as the specification shows")


def as_list(value: Any, where: str, limit: int) -> list[Any]:
    """Return a JSON array of 1 to `limit` items, or raise FormatError."""
    if not isinstance(value, list) or not value:
        malformed(where, "is not a list with at least one item", "write it as […] and fill it")
    if len(value) > limit:
        raise FormatError(
            f"{where} has {len(value)} items; at most {limit} are read",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the document is not damaged",
        )
    return value


def as_text(value: Any, where: str) -> str:
    """Return a string that is not empty, or raise FormatError."""
    if isinstance(value, str) and value:
        return value
    malformed(where, "is not a text", "give it as a string that is not empty")


def as_path(value: Any, where: str) -> str:
    """Return a path below the group, or raise FormatError."""
    text = as_text(value, where).rstrip("/")
    while text.startswith("./"):
        text = text[2:].lstrip("/")
    try:
        return checked_key(text)
    except InputError:
        malformed(where, f"is {text!r}, no path below its group", 'name a folder inside the group, without ".."')


def as_numbers(value: Any, where: str) -> tuple[float, ...]:
    """Return a list of finite numbers, or raise FormatError."""
    items = as_list(value, where, MAX_AXES + 1)
    try:
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in items):
            numbers = tuple(map(float, items))
            if all(map(math.isfinite, numbers)):
                return numbers
    except OverflowError:
        pass
    malformed(where, "is not a list of numbers", "give one finite number per axis")


def as_index(value: Any, where: str) -> int:
    """Return the number of an axis, counted from 0, or raise FormatError."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_AXES:
        return value
    malformed(where, "is not the number of an axis", "count axes from 0")
