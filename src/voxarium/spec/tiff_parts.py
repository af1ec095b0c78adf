"""TIFF in parts: tiles as objects of their own until they are put together, and the pages that say where they are.

Specs: TIFF 6.0; BigTIFF, https://www.awaresystems.be/imaging/tiff/bigtiff.html. ``<level>/level.json`` describes a
level, ``<level>/c/0/0/7/1/2`` is a tile by its grid index (plane axes, then rows and columns of tiles), with the bytes
that the file will hold, and ``file.json`` has the OME-XML and the levels. Pages are written behind all tiles.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError
from voxarium.model.fields import Fields, Problems, dump_json, parse_json_object

__all__ = [
    "CHUNKS",
    "DTYPES",
    "FILE",
    "LEVEL",
    "FileParts",
    "PageLayout",
    "TileParts",
    "dump_file",
    "dump_level",
    "dump_page",
    "dump_start",
    "is_big",
    "parse_file",
    "parse_level",
    "pointer",
    "tile_index",
]

FILE: Final = "file.json"
LEVEL: Final = "level.json"
CHUNKS: Final = "c"
DTYPES: Final = ("int8", "int16", "int32", "uint8", "uint16", "uint32", "float32", "float64")
_COMPRESSIONS: Final = {"none": 1, "gzip": 8, "zstd": 50000}
_LARGEST_TILE: Final = 1 << 16
_CLASSIC_LIMIT: Final = (1 << 32) - (1 << 20)
_MOST_LEVELS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class TileParts:
    """A level in parts.

    Parameters
    ----------
    shape : tuple of int
        Voxels; the last two axes are y and x.
    tile : (int, int)
        Rows and columns of a tile, multiples of 16. Tiles at the end are padded.
    dtype : numpy.dtype
        Stored little-endian.
    compression, level : str, int
        ``gzip``, ``zstd`` or ``none``, and how hard.
    fill_value : number
        Value of tiles that have no object.
    """

    shape: tuple[int, ...]
    tile: tuple[int, int]
    dtype: np.dtype[Any]
    compression: str = "gzip"
    level: int = 1
    fill_value: float = 0

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Voxels of a tile, along all axes."""
        return (1,) * (len(self.shape) - 2) + self.tile

    @property
    def planes(self) -> int:
        """Number of planes, each a page."""
        return math.prod(self.shape[:-2])

    @property
    def grid(self) -> tuple[int, ...]:
        """Tiles along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunk_shape, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class FileParts:
    """What becomes one file: its OME-XML, names of its levels, voxels per centimeter along x and y if known."""

    description: str
    levels: tuple[str, ...]
    per_centimeter: tuple[float, float] | None = None


# ----------------------------------------------------------------------------------------------------- documents
def dump_level(parts: TileParts) -> bytes:
    """Return the document of a level."""
    return dump_json(
        {
            "shape": list(parts.shape),
            "tile": list(parts.tile),
            "dtype": parts.dtype.name,
            "compression": parts.compression,
            "compression_level": parts.level,
            "fill_value": parts.fill_value,
        }
    )


def parse_level(raw: bytes, where: str) -> TileParts:
    """Parse the document of a level.

    Raises
    ------
    FormatError
        If it is none.
    """
    problems = Problems(where)
    found = Fields(parse_json_object(raw, where), problems)
    shape, tile, name = found.raw("shape"), found.raw("tile"), found.text("dtype")
    compression, level = found.text("compression"), found.integer("compression_level", -131072, 22, 1)
    fill = found.raw("fill_value", 0)
    if not _lengths(shape, 0) or not 2 <= len(shape) <= 5:
        problems.add("shape is not a list of two to five lengths")
    if not _lengths(tile, 16) or len(tile) != 2 or any(n % 16 or n > _LARGEST_TILE for n in tile):
        problems.add("tile is not two multiples of 16")
    if name not in DTYPES or compression not in _COMPRESSIONS:
        problems.add(f"dtype {name!r} or compression {compression!r} is not known")
    if isinstance(fill, bool) or not isinstance(fill, (int, float)) or not -(2**64) < fill < 2**64:
        problems.add("fill_value is not a number")
    problems.check()
    return TileParts(
        shape=tuple(shape),
        tile=(tile[0], tile[1]),
        dtype=np.dtype(name),
        compression=str(compression),
        level=int(level),
        fill_value=fill,
    )


def _lengths(value: Any, least: int) -> bool:  # Any: JSON
    return isinstance(value, list) and all(type(n) is int and least <= n < 2**40 for n in value)


def dump_file(parts: FileParts) -> bytes:
    """Return the document of a file."""
    return dump_json(
        {
            "description": parts.description,
            "levels": list(parts.levels),
            "per_centimeter": None if parts.per_centimeter is None else list(parts.per_centimeter),
        }
    )


def parse_file(raw: bytes, where: str) -> FileParts:
    """Parse the document of a file.

    Raises
    ------
    FormatError
        If it is none.
    """
    found = parse_json_object(raw, where)
    text, levels, density = found.get("description"), found.get("levels"), found.get("per_centimeter")
    fine = isinstance(levels, list) and 0 < len(levels) <= _MOST_LEVELS and all(isinstance(v, str) for v in levels)
    if density is not None:
        fine = (
            fine
            and isinstance(density, list)
            and len(density) == 2
            and all(type(v) is float and 1e-6 < v < 4e9 for v in density)
        )
    if not fine or not isinstance(text, str):
        raise FormatError(
            f"{where} does not list levels and a description",
            code=Code.METADATA_INVALID,
            fix="begin the conversion anew",
        )
    return FileParts(
        description=text,
        levels=tuple(levels or ()),
        per_centimeter=None if density is None else (density[0], density[1]),
    )


def tile_index(key: str, parts: TileParts) -> tuple[int, ...] | None:
    """Return the grid index in the key of a tile, relative to its level; None for other keys.

    Examples
    --------
    >>> parts = TileParts(shape=(3, 40, 40), tile=(16, 16), dtype=np.dtype("u1"))
    >>> tile_index("c/2/0/1", parts), tile_index("c/3/0/1", parts), tile_index("level.json", parts)
    ((2, 0, 1), None, None)
    """
    head, *numbers = key.split("/")
    if head != CHUNKS or len(numbers) != len(parts.shape) or not all(n.isascii() and n.isdecimal() for n in numbers):
        return None
    index = tuple(int(n) for n in numbers if len(n) < 20)
    inside = len(index) == len(parts.grid) and all(i < n for i, n in zip(index, parts.grid, strict=True))
    return index if inside else None


# --------------------------------------------------------------------------------------------------------- pages
@dataclass(frozen=True, slots=True, kw_only=True)
class PageLayout:
    """One page.

    Parameters
    ----------
    parts : TileParts
        The level it belongs to.
    offsets, counts : ndarray
        Byte offset and length of each tile, row by row.
    smaller : sequence of int
        Byte offsets of the pages that are smaller copies of this one.
    reduced : bool
        True for such a copy.
    description : bytes
        For the first page.
    per_centimeter : (float, float) or None
        Voxels per centimeter along x and y.
    """

    parts: TileParts
    offsets: NDArray[np.uint64]
    counts: NDArray[np.uint64]
    smaller: Sequence[int] = ()
    reduced: bool = False
    description: bytes = b""
    per_centimeter: tuple[float, float] | None = None


def is_big(nbytes: int, pages: int, tiles: int, description: int) -> bool:
    """Tell whether a file needs offsets of 64 bits.

    Examples
    --------
    >>> is_big(1 << 20, 10, 100, 5000), is_big(5 << 30, 10, 100, 5000)
    (False, True)
    """
    return nbytes + pages * 512 + tiles * 16 + description > _CLASSIC_LIMIT


def dump_start(big: bool) -> bytes:
    """Return the first bytes of a file; the last of them point to the first page, once it is known."""
    return struct.pack("<2sHHHQ", b"II", 43, 8, 0, 0) if big else struct.pack("<2sHI", b"II", 42, 0)


def pointer(at: int, big: bool) -> bytes:
    """Return a byte offset as the file stores it."""
    return struct.pack("<Q" if big else "<I", at)


_SHORT, _LONG, _RATIONAL, _ASCII, _LONG8, _IFD8 = 3, 4, 5, 2, 16, 18
_CODES: Final = {_SHORT: "<u2", _LONG: "<u4", _LONG8: "<u8", _IFD8: "<u8"}


def dump_page(page: PageLayout, at: int, big: bool) -> tuple[bytes, int]:
    """Return a page that will stand at byte `at`, and where in it the pointer to the next page is."""
    entries = sorted(_entries(page, big))
    head, step, field = (8, 20, 8) if big else (2, 12, 4)
    pointer_at = head + step * len(entries)
    behind = bytearray()
    start = at + pointer_at + field
    table = bytearray(len(entries).to_bytes(head, "little"))
    for tag, kind, count, data in entries:
        table += struct.pack("<HHQ" if big else "<HHI", tag, kind, count)
        if len(data) <= field:
            table += data.ljust(field, b"\0")
            continue
        behind += b"\0" * (-(start + len(behind)) % 8)
        table += pointer(start + len(behind), big)
        behind += data
    behind += b"\0" * (-(start + len(behind)) % 8)
    return bytes(table) + b"\0" * field + bytes(behind), pointer_at


def _entries(page: PageLayout, big: bool) -> list[tuple[int, int, int, bytes]]:
    parts = page.parts
    offset_kind = _LONG8 if big else _LONG
    kinds = {"u": 1, "i": 2, "f": 3}
    entries = [
        _integers(254, _LONG, [int(page.reduced)]),
        _integers(256, _LONG, [parts.shape[-1]]),
        _integers(257, _LONG, [parts.shape[-2]]),
        _integers(258, _SHORT, [parts.dtype.itemsize * 8]),
        _integers(259, _SHORT, [_COMPRESSIONS[parts.compression]]),
        _integers(262, _SHORT, [1]),
        _integers(277, _SHORT, [1]),
        _integers(322, _LONG, [parts.tile[1]]),
        _integers(323, _LONG, [parts.tile[0]]),
        _integers(324, offset_kind, page.offsets),
        _integers(325, _LONG, page.counts),
        _integers(339, _SHORT, [kinds[parts.dtype.kind]]),
    ]
    if parts.compression != "none" and parts.dtype.kind in "iu":
        entries.append(_integers(317, _SHORT, [2]))
    if page.smaller:
        entries.append(_integers(330, _IFD8 if big else _LONG, page.smaller))
    if page.description:
        text = page.description + b"\0"
        entries.append((270, _ASCII, len(text), text))
        entries.append((305, _ASCII, 9, b"Voxarium\0"))
    if page.per_centimeter is not None:
        for tag, value in zip((282, 283), page.per_centimeter, strict=True):
            entries.append((tag, _RATIONAL, 1, _rational(value)))
        entries.append(_integers(296, _SHORT, [3]))
    return entries


def _integers(tag: int, kind: int, values: Sequence[int] | NDArray[np.uint64]) -> tuple[int, int, int, bytes]:
    return tag, kind, len(values), np.asarray(values, _CODES[kind]).tobytes()


def _rational(value: float) -> bytes:
    """Return a fraction of two numbers of 32 bits."""
    most = max(1, min((1 << 31) - 1, int(((1 << 32) - 1) / max(value, 1))))
    found = Fraction(value).limit_denominator(most)
    return struct.pack("<II", found.numerator, found.denominator)
