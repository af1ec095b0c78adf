"""Micro-Manager's NDTiff, version 3: an index of planes that lie uncompressed in TIFF files.

Spec: https://github.com/micro-manager/NDTiffStorage. The index is one record after the other: where a plane is along
its axes (JSON), the name of its file, position, width, height, type. Axes have numbers or texts as places.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.keys import checked_key
from voxarium.model.transforms import Scale, Transform

__all__ = [
    "HEADER_BYTES",
    "LARGEST_METADATA",
    "NdTiffIndex",
    "Plane",
    "parse_index",
    "parse_metadata",
    "summary_length",
]

HEADER_BYTES: Final = 28
LARGEST_METADATA: Final = 16 << 20
_MAGIC: Final = 483729
_SUMMARY: Final = 2355492
_LONGEST_AXES: Final = 1 << 16
_MOST_AXES: Final = 16
_MOST_BYTES: Final = 1 << 48
_TYPES: Final = {0: ("u1", 1), 1: ("u2", 1), 2: ("u1", 3), 3: ("u2", 1), 4: ("u2", 1), 5: ("u2", 1), 6: ("u2", 1)}
_NAMES: Final = {"position": "p", "time": "t", "channel": "c", "z": "z"}
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_ -]{0,63}\Z")
_TYPE_OF: Final = {"t": "time", "c": "channel", "z": "space"}
_FIX: Final = "copy the folder again from its source, and compare sizes"

Place = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Plane:
    """Where the voxels and the metadata of a plane are."""

    file: str
    byte_offset: int
    metadata_offset: int
    metadata_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NdTiffIndex:
    """What an index says.

    Parameters
    ----------
    axes : tuple of Axis
        In C order; the last two, or three with colours, are one plane.
    shape : tuple of int
        Voxels.
    planes : mapping
        The planes that were recorded, by index along the axes before.
    """

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    plane_axes: int
    dtype: np.dtype[Any]
    planes: Mapping[Place, Plane]

    def transform(self, summary: Mapping[str, Any], first: Mapping[str, Any]) -> Transform | None:  # Any: JSON
        """Return voxel centre → micrometers, by the metadata of the whole and of the first plane."""
        size = _positive(first, "PixelSizeUm", "PixelSize_um") or _positive(summary, "PixelSize_um", "PixelSizeUm")
        step = _positive(summary, "z-step_um", "ZStep_um")
        if size is None:
            return None
        known = {"y": size, "x": size, "z": step or 1.0}
        return Scale(tuple(known.get(a.name, 1.0) for a in self.axes))


def parse_index(data: bytes, where: str) -> NdTiffIndex:
    """Parse a whole index.

    Raises
    ------
    FormatError
        If it is broken, names files outside its folder, or planes differ.
    UnsupportedError
        If voxels have a type that is not read.
    """
    places: list[dict[str, Any]] = []  # Any: a number or a text
    planes: list[Plane] = []
    kinds: set[tuple[int, int, int]] = set()
    at = 0
    while at < len(data):
        record = _record(data, at, where)
        if record is None:
            break
        place, plane, kind, at = record
        places.append(place)
        planes.append(plane)
        kinds.add(kind)
    if not planes:
        raise _invalid(f"{where} has no planes")
    if len(kinds) > 1:
        raise UnsupportedError(
            f"{where} has planes of {len(kinds)} sizes or types",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save those of one size as a dataset of their own",
        )
    return _arranged(places, planes, kinds.pop(), where)


def summary_length(head: bytes) -> int:
    """Return the bytes of the JSON behind the first 28 of a file; 0 when it has none.

    Examples
    --------
    >>> summary_length(b"junk")
    0
    """
    if len(head) < HEADER_BYTES:
        return 0
    magic, _, _, mark, length = struct.unpack_from("<5I", head, 8)
    return int(length) if (magic, mark) == (_MAGIC, _SUMMARY) and length <= LARGEST_METADATA else 0


def parse_metadata(raw: bytes) -> dict[str, Any]:  # Any: JSON
    """Return the metadata of a plane or of all; empty when they cannot be read, which does not spoil voxels."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _invalid(message: str) -> FormatError:
    return FormatError(message, code=Code.METADATA_INVALID, fix=_FIX)


def _record(
    data: bytes, at: int, where: str
) -> tuple[dict[str, Any], Plane, tuple[int, int, int], int] | None:  # Any: a number or a text
    """Return place, plane, (width, height, type) and the position of the next record; None at the end."""
    axes, at = _text(data, at, where)
    if not axes:  # an index that was not closed is padded with zeros
        return None
    name, at = _text(data, at, where)
    if at + 32 > len(data):
        raise _invalid(f"{where} is cut off")
    offset, width, height, kind, packed, md_offset, md_bytes, _ = struct.unpack_from("<8I", data, at)
    if packed or kind not in _TYPES:
        raise UnsupportedError(
            f"{where} has planes of type {kind}, compression {packed}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it uncompressed, with 8 or 16 bits to a voxel",
        )
    if not 0 < width < 1 << 24 or not 0 < height < 1 << 24:
        raise _invalid(f"{where} claims planes of {width} x {height}")
    place = parse_metadata(axes.encode())
    if len(place) > _MOST_AXES or not all(_is_place(k, v) for k, v in place.items()):
        raise _invalid(f"{where} has a plane at {axes[:80]!r}")
    try:
        plane = Plane(checked_key(name), offset, md_offset, min(md_bytes, LARGEST_METADATA))
    except ValueError as error:
        raise _invalid(f"{where} names the file {name[:80]!r}") from error
    return place, plane, (width, height, kind), at + 32


def _text(data: bytes, at: int, where: str) -> tuple[str, int]:
    if at + 4 > len(data):
        raise _invalid(f"{where} is cut off")
    (length,) = struct.unpack_from("<I", data, at)
    if length > min(_LONGEST_AXES, len(data) - at - 4):
        raise _invalid(f"{where} is cut off, or no index")
    return data[at + 4 : at + 4 + length].decode("utf-8", "replace"), at + 4 + length


def _is_place(name: str, value: object) -> bool:
    known = isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 48)
    return known and _WORD.match(name) is not None and name not in ("x", "y")


def _arranged(
    places: Sequence[Mapping[str, Any]], planes: Sequence[Plane], kind: tuple[int, int, int], where: str
) -> NdTiffIndex:
    names = list(dict.fromkeys(name for place in places for name in place))
    names.sort(key=lambda n: ["position", "time", "channel", "z"].index(n) if n in _NAMES else -1)
    values = {n: _values([p[n] for p in places if n in p], any(n not in p for p in places)) for n in names}
    found = {_index(place, names, values): plane for place, plane in zip(places, planes, strict=True)}
    width, height, code = kind
    dtype, samples = _TYPES[code]
    shape = (*(len(values[n]) for n in names), height, width, *((samples,) if samples > 1 else ()))
    if math.prod(shape) * 2 > _MOST_BYTES:
        raise _invalid(f"{where} claims {' x '.join(map(str, shape))} voxels")
    axes = [_axis(n, values[n], {_NAMES.get(m, m) for m in names if m != n}) for n in names]
    axes += [Axis(name=n, type="space", unit="micrometer") for n in "yx"]
    if samples > 1:
        axes.append(Axis(name="c" if all(a.name != "c" for a in axes) else "sample", type="channel"))
    return NdTiffIndex(
        axes=tuple(axes), shape=shape, plane_axes=2 + (samples > 1), dtype=np.dtype(f"<{dtype}"), planes=found
    )


def _values(found: Sequence[Any], some_without: bool) -> dict[Any, int]:  # Any: a number or a text
    """Return the places along an axis in order: numbers by size, texts as they came; planes without one are at 0."""
    distinct = list(dict.fromkeys(found))
    if some_without:
        distinct = list(dict.fromkeys([0, *distinct]))
    numbers = sorted(v for v in distinct if isinstance(v, int))
    return {v: i for i, v in enumerate([*numbers, *(v for v in distinct if isinstance(v, str))])}


def _index(place: Mapping[str, Any], names: Sequence[str], values: Mapping[str, Mapping[Any, int]]) -> Place:
    return tuple(values[n][place.get(n, 0)] if n in place or 0 in values[n] else 0 for n in names)


def _axis(name: str, values: Mapping[Any, int], others: set[str]) -> Axis:
    short = _NAMES.get(name, name if name not in _NAMES.values() else f"{name}_axis")
    if short in others:
        short = name
    labels = tuple(map(str, values)) if any(isinstance(v, str) for v in values) else ()
    kind = _TYPE_OF.get(short, "other")
    return Axis(name=short, type=kind, unit="micrometer" if kind == "space" else None, labels=labels)


def _positive(found: Mapping[str, Any], *names: str) -> float | None:  # Any: JSON
    for name in names:
        value = found.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9:
            return float(value)
    return None
