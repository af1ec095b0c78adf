"""Reading scene documents: numbers, colours, matrices of JSON that others wrote, checked one by one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeGuard

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.fields import Fields, parse_json_object
from voxarium.model.transforms import Affine

__all__ = [
    "LARGEST",
    "SMALLEST",
    "affine_from_xyz",
    "carried",
    "color",
    "guarded",
    "listed",
    "number",
    "numbers",
    "own",
    "pair",
    "parse_document",
    "refuse",
    "reversed_matrix",
    "short",
    "texts",
    "tidy",
    "unique_ids",
    "xyz_from_matrix",
]

_MAX_DOCUMENT: Final = 64 * 2**20
_MAX_ITEMS: Final = 100_000
LARGEST: Final = 1e60
"""Largest number that a scene is credited with: products of a few of them stay finite."""
SMALLEST: Final = 1e-40
"""Smallest length of a voxel, likewise."""
_HEX: Final = re.compile(r"#?([0-9A-Fa-f]{6})\Z")


def refuse(where: str, message: str, fix: str = "restore the document from a copy, or correct it") -> FormatError:
    """Return the error of a document that cannot be read."""
    return FormatError(f"{where} {message}", code=Code.METADATA_INVALID, fix=fix)


def parse_document(document: bytes | str | Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """Return the JSON object in a document; one that is parsed already passes through.

    Raises
    ------
    FormatError
        If it is no JSON object, or implausibly large.
    """
    if isinstance(document, Mapping):
        return document
    if len(document) > _MAX_DOCUMENT:
        raise FormatError(
            f"{where} has {len(document)} bytes, more than a scene ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    return parse_json_object(document, where)


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST


def number(fields: Fields, key: str) -> float | None:
    """Return a finite number; None when it is absent or null."""
    value = fields.raw(key, None)
    if value is None or _is_number(value):
        return None if value is None else float(value)
    fields.wrong(key, "a finite number", value)
    return None


def numbers(fields: Fields, key: str, count: int | None = None) -> tuple[float, ...] | None:
    """Return a list of finite numbers, `count` of them if it is given; None when it is absent or null."""
    value = fields.raw(key, None)
    if value is None:
        return None
    fits = isinstance(value, list) and (len(value) == count if count is not None else len(value) <= _MAX_ITEMS)
    if fits and all(map(_is_number, value)):
        return tuple(float(v) + 0.0 for v in value)
    fields.wrong(key, f"a list of {count if count is not None else 'finite'} numbers", value)
    return None


def pair(fields: Fields, key: str) -> tuple[float, float] | None:
    """Return two numbers; None when they are absent."""
    found = numbers(fields, key, 2)
    return None if found is None else (found[0], found[1])


def texts(fields: Fields, key: str) -> tuple[str, ...] | None:
    """Return a list of strings; None when it is absent or null."""
    value = fields.raw(key, None)
    if value is None:
        return None
    if isinstance(value, list) and len(value) <= _MAX_ITEMS and all(isinstance(v, str) for v in value):
        return tuple(value)
    fields.wrong(key, "a list of strings", value)
    return None


def listed(fields: Fields, key: str, limit: int = _MAX_ITEMS) -> list[Any]:  # Any: JSON as found
    """Return a list; empty when it is absent or null."""
    value = fields.raw(key, None)
    if value is None:
        return []
    if isinstance(value, list) and len(value) <= limit:
        return value
    fields.wrong(key, f"a list of at most {limit} items", value)
    return []


def color(value: object) -> str | None:
    """Return six upper-case hexadecimal digits; None for anything else.

    Examples
    --------
    >>> color("#ff8000")
    'FF8000'
    """
    match = _HEX.match(value) if isinstance(value, str) else None
    return None if match is None else match[1].upper()


def carried(fields: Fields, prefix: str) -> dict[str, Any]:  # Any: JSON as found
    """Return what nobody has asked for, under keys with the dialect's prefix."""
    return {f"{prefix}:{k}": v for k, v in fields.rest().items()}


def own(extra: Mapping[str, Any], prefix: str) -> dict[str, Any]:  # Any: JSON as found
    """Return what a dialect said itself, under its own keys again."""
    start = f"{prefix}:"
    return {k[len(start) :]: v for k, v in extra.items() if k.startswith(start)}


def short(value: float) -> float:
    """Return whole numbers as integers, so that JSON shows no decimal point."""
    return int(value) if float(value).is_integer() and abs(value) < 2**53 else float(value)


def tidy(value: float) -> float:
    """Return a number freed from the rounding error of a unit conversion.

    Examples
    --------
    >>> 8e-9 * 1e9, tidy(8e-9 * 1e9)
    (8.000000000000002, 8.0)
    """
    return float(f"{value:.15g}")


# -- matrices of dialects that say x, y, z
def reversed_matrix(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return an affine matrix, of shape (outputs, inputs + 1), for axes in the opposite order."""
    return np.column_stack([matrix[::-1, -2::-1], matrix[::-1, -1]])


def affine_from_xyz(values: Sequence[float], columns: int = 4) -> Affine:
    """Return the transform of rows in x, y, z order, for points in z, y, x order.

    Examples
    --------
    >>> affine_from_xyz((1, 0, 0, 10, 0, 2, 0, 20, 0, 0, 3, 30)).apply((1, 1, 1)).tolist()
    [33.0, 22.0, 11.0]
    """
    matrix = np.asarray(values, np.float64).reshape(-1, columns)
    return Affine(tuple(map(tuple, reversed_matrix(matrix).tolist())))


def xyz_from_matrix(matrix: NDArray[np.float64]) -> list[float]:
    """Return the numbers of a matrix, row by row, in x, y, z order."""
    return [float(v) + 0.0 for v in reversed_matrix(matrix).ravel()]


def unique_ids(wanted: Iterable[str]) -> list[str]:
    """Return names that are all different: a repeated one gets a number."""
    out: list[str] = []
    taken: dict[str, int] = {}
    used: set[str] = set()
    for name in wanted:
        new = name
        while new in used:
            taken[name] = taken.get(name, 1) + 1
            new = f"{name}-{taken[name]}"
        used.add(new)
        out.append(new)
    return out


def guarded(error: InputError, where: str) -> FormatError:
    """Return the error of a document whose numbers make no transform or whose names contradict each other."""
    return refuse(where, f"contradicts itself: {error.message}", error.fix)
