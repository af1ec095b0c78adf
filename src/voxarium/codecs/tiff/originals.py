"""What a TIFF file says about itself, as JSON: the metadata tifffile knows of, and the tags people read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime
from enum import Enum
from typing import Any, Final

import numpy as np

__all__ = ["as_json", "kinds_of", "stated_by"]

_KINDS: Final = (
    "imagej", "lsm", "stk", "scn", "philips", "indica", "avs", "fluoview", "nih", "fei", "sem", "sis", "mdgel", "eer",
    "nuvu", "andor", "epics", "tvips", "metaseries", "pilatus", "micromanager", "scanimage", "geotiff", "gdal",
    "gdal_structural", "astrotiff", "streak", "svs", "qpi",
)  # fmt: skip
# Tags that say where voxels are, or what is told elsewhere.
_SKIPPED: Final = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325, 330, 338, 339,
     347, 530, 531, 532, 32997, 32998}
)  # fmt: skip
_LARGEST_TEXT: Final = 16 << 20
_MOST_ITEMS: Final = 1_000_000
_LARGEST_ARRAY: Final = 100_000
_LARGEST_BYTES: Final = 4096
_DEEPEST: Final = 16


def stated_by(tiff: Any, page: Any) -> dict[str, Any]:  # Any: tifffile is untyped here; JSON
    """Return what the file states, by kind of metadata, and ``tags`` of its first page."""
    out: dict[str, Any] = {}
    for kind in kinds_of(tiff):
        found = _metadata(tiff, page, kind)
        if found:
            out[kind] = as_json(found)
    tags = {}
    for tag in page.tags:
        code = int(tag.code)
        if code in _SKIPPED or tag.count > _LARGEST_TEXT:
            continue
        try:
            value = as_json(tag.value)
        except Exception as error:  # noqa: BLE001  tifffile raises anything; one tag does not spoil the others
            value = _unreadable(error)
        if value is not None:
            tags[str(tag.name)] = value
    return out | ({"tags": tags} if tags else {})


def kinds_of(tiff: Any) -> tuple[str, ...]:  # Any: tifffile is untyped here
    """Return the kinds of metadata a file has."""
    return tuple(k for k in _KINDS if getattr(tiff, f"is_{k}", False))


def _metadata(tiff: Any, page: Any, kind: str) -> Any:  # Any: as tifffile gives it
    try:
        if kind == "svs":
            return _pairs(page.description)
        if kind == "qpi":
            return page.description
        return getattr(tiff, f"{kind}_metadata", None)
    except Exception as error:  # noqa: BLE001  tifffile raises anything; metadata do not hide the voxels
        return _unreadable(error)


def _unreadable(error: Exception) -> str:
    """Return a word in the place of what is there and cannot be read."""
    return f"unreadable: {error}"[:200]


def _pairs(description: str) -> dict[str, str]:
    """Return ``key = value`` pairs between bars, as Aperio writes them; what stands before them is the header."""
    header, *parts = description.split("|")
    found = (part.partition("=") for part in parts)
    return {"Header": header.strip()} | {k.strip(): v.strip() for k, _, v in found}


def as_json(value: Any, depth: int = 0) -> Any:  # Any: whatever tifffile gives; JSON
    r"""Return a value as JSON; what is too large or too deep becomes a word about it.

    Examples
    --------
    >>> as_json({"a": (1, np.float32(0.5)), 3: b"x\0"})
    {'a': [1, 0.5], '3': 'x'}
    """
    if value is None or isinstance(value, (bool, str)):
        return value if not isinstance(value, str) or len(value) <= _LARGEST_TEXT else value[:_LARGEST_TEXT]
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return _text(bytes(value))
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    return _container(value, depth)


def _text(value: bytes) -> str:
    plain = value.rstrip(b"\0")
    try:
        text = plain.decode("utf-8")
        if "\0" not in text:
            return text
    except UnicodeDecodeError:
        pass
    return f"{len(value)} bytes: {value[:_LARGEST_BYTES].hex()}"


def _container(value: Any, depth: int) -> Any:  # Any: whatever tifffile gives; JSON
    if depth >= _DEEPEST:
        return f"{type(value).__name__}, nested too deeply"
    if isinstance(value, np.ndarray):
        small = value.size <= _LARGEST_ARRAY and value.dtype.kind in "biuf"
        return as_json(value.tolist(), depth) if small else _described(value)
    if isinstance(value, Mapping):
        return {str(k): as_json(v, depth + 1) for k, v in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [as_json(v, depth + 1) for v in list(value)[:_MOST_ITEMS]]
    return str(value)[:_LARGEST_BYTES]


def _described(value: np.ndarray[Any, Any]) -> str:
    return f"array of {value.dtype} {value.shape}"
