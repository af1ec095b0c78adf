"""Telling OME metadata from other attributes, and small checks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.keys import checked_key

__all__ = [
    "Levels",
    "Upgraded",
    "cannot",
    "items",
    "malformed",
    "numbers",
    "ome_content",
    "path_of",
]

Levels = Mapping[str, tuple[int, ...]]
"""Shape of each level's array, by path below the group."""

MAX_AXES: Final = 32
_MAX_ITEMS: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The ``ome`` object of the later version, and what a reader should know about how it came to be."""

    ome: dict[str, Any]  # Any: JSON
    notes: tuple[str, ...] = ()


def malformed(message: str, fix: str = "correct the metadata first") -> NoReturn:
    """Raise the error of metadata that cannot be understood."""
    raise FormatError(message, code=Code.METADATA_INVALID, fix=fix)


def cannot(message: str, fix: str) -> NoReturn:
    """Raise the error of metadata that the later version has no words for."""
    raise UnsupportedError(message, code=Code.FEATURE_UNSUPPORTED, fix=fix)


def items(value: Any, what: str) -> list[dict[str, Any]]:
    """Return a list of objects, or raise FormatError."""
    if isinstance(value, list) and len(value) <= _MAX_ITEMS and all(isinstance(v, dict) for v in value):
        return value
    malformed(f"{what} is not a list of objects")


def numbers(value: Any, count: int, what: str) -> list[Any]:
    """Return a list of finite numbers as they are written, or raise FormatError."""
    if isinstance(value, list) and len(value) == count and all(_finite(v) for v in value):
        return value
    malformed(f"{what} is not a list of {count} numbers")


def _finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value))
    except OverflowError:
        return False


def path_of(value: Any, what: str) -> str:
    """Return a path below the group, or raise FormatError."""
    if isinstance(value, str) and value:
        text = value.rstrip("/")
        while text.startswith("./"):
            text = text[2:].lstrip("/")
        try:
            return checked_key(text)
        except InputError:
            pass
    malformed(f"{what} is {str(value)[:60]!r}, no path below its group")


def _is_objects(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) for v in value)


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in value)


def ome_content(attributes: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what OME-Zarr of 0.1 to 0.4 says in a group's attributes, and all other attributes.

    Only what has the form the specification gives it counts: other software uses words such as ``labels`` too.

    Parameters
    ----------
    attributes : mapping
        Content of ``.zattrs``.
    name : str
        Name of the group; ``OME`` is where a series list stands.

    Examples
    --------
    >>> ome_content({"labels": ["cells"], "note": 1}, "labels")
    ({'labels': ['cells']}, {'note': 1})
    """
    image = _is_objects(attributes.get("multiscales"))
    known = {
        "multiscales": image,
        "omero": image and isinstance(attributes.get("omero"), dict),
        "image-label": isinstance(attributes.get("image-label"), dict),
        "labels": _is_texts(attributes.get("labels")),
        "plate": _has(attributes.get("plate"), "wells"),
        "well": _has(attributes.get("well"), "images"),
        "bioformats2raw.layout": "bioformats2raw.layout" in attributes,
        "series": name == "OME" and _is_texts(attributes.get("series")),
    }
    ome = {k: v for k, v in attributes.items() if known.get(k)}
    return ome, {k: v for k, v in attributes.items() if k not in ome}


def _has(value: Any, key: str) -> bool:
    return isinstance(value, dict) and isinstance(value.get(key), list)
