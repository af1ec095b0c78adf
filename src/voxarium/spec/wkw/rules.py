"""The rules of ``header.wkw``, and its check: WW."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import numpy as np

from voxarium.errors import FormatError
from voxarium.model.checking import Place, Sheet
from voxarium.model.rules import Rule, rules
from voxarium.spec.wkw.header import BLOCK_TYPES, HEADER_SIZE, VOXEL_TYPES, Header, check_header

__all__ = ["RULES", "check_header_file"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in rules(r"""
WW-001 must needs=document
    `header.wkw` has 16 bytes and begins with WKW.
    why: It says how all files of the array are laid out; without it none can be read.
    mend: Copy it again. Any file of the array begins with the same bytes, but for the last eight.
    bad: wkw header.wkw truncate 15
    bad: wkw header.wkw = "WKV\u0001\u0013\u0001\u0002\u0002\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"
WW-002 must needs=document
    Its version is 1.
    why: There is no other.
    mend: Restore the header from a copy.
    bad: wkw header.wkw flip 3
WW-003 must needs=document
    The type of blocks is 1 (raw), 2 (LZ4) or 3 (LZ4HC).
    why: It says how blocks are decoded.
    mend: Restore the header from a copy.
    bad: wkw header.wkw flip 5
WW-004 must needs=document
    The type of voxels is 1 to 10: uint8, uint16, uint32, uint64, float32, float64, int8, int16, int32, int64.
    why: It says what the bytes mean.
    mend: Restore the header from a copy.
    bad: wkw header.wkw = "WKW\u0001\u0013\u0001\u000b\u0002\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"
WW-005 should needs=document
    It is 1 to 6.
    why: Signed integers are in the library and not in its documentation; readers written after that refuse them.
    mend: Write the layer again as unsigned integers, or as Zarr.
    bad: wkw header.wkw = "WKW\u0001\u0013\u0001\u0008\u0002\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"
WW-006 must needs=document
    The size of a voxel is that of its channels, one or more.
    why: A voxel of 3 bytes is none of uint16.
    mend: Restore the header from a copy.
    bad: wkw header.wkw flip 7
    bad: wkw header.wkw = "WKW\u0001\u0013\u0001\u0002\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"
WW-007 should needs=document
    `header.wkw` says that data begin at byte 0: it has none.
    why: It is a copy of some file's header; a reader that looks for blocks there finds nothing.
    mend: Write zeros into its last eight bytes.
    bad: wkw header.wkw flip 8
WW-008 must needs=document basis=house
    Blocks have at most 2,113,929,216 bytes, the most LZ4 takes at once, and files at most 2^25 blocks.
    why: Readers hold a block, and the table of a file's blocks, in memory.
    mend: Write the array again; usual are 32 voxels along a side of a block, and 32 blocks along a side of a file.
    bad: wkw header.wkw = "WKW\u0001\u001f\u0001\u0002\u0002\u0000\u0000\u0000\u0000\u0000\u0000\u0000\u0000"
WW-009 quality needs=hierarchy basis=house
    There are files of blocks.
    why: An array without any reads as zeros everywhere; nobody can tell it from one that was lost.
    mend: Copy the files again, unless nothing but zeros is meant.
    bad: wkw z0/y0/x0.wkw remove
    and: z0/y0/x1.wkw remove
""")
    }
)

_LAYOUT: Final = struct.Struct("<3sBBBBBQ")
_DOCUMENTED: Final = 6
_RESTORE: Final = "restore the header from a copy"


def check_header_file(raw: bytes, key: str) -> tuple[Sheet, Header | None]:
    """Check a ``header.wkw``; return what is wrong, and what it says where that can be used."""
    sheet = Sheet("", RULES, key)
    place = Place(None, "", sheet)
    if len(raw) < HEADER_SIZE or raw[:3] != b"WKW":
        place.report("WW-001", f"has {len(raw)} bytes and begins with {raw[:3]!r}", "copy it again")
        return sheet, None
    if len(raw) > HEADER_SIZE:
        place.report("WW-001", f"has {len(raw):,} bytes", "cut it to its first 16", level="should")
    _, version, sides, blocks, voxels, size, byte_offset = _LAYOUT.unpack(raw[:HEADER_SIZE])
    if version != 1:
        place.report("WW-002", f"is of version {version}", _RESTORE, expected=1)
    if blocks not in BLOCK_TYPES:
        place.report("WW-003", f"has the block type {blocks}", _RESTORE)
    if byte_offset:
        place.report("WW-007", f"says that data begin at byte {byte_offset}", "write zeros there", expected=0)
    channels = _check_voxels(place, voxels, size)
    if channels is None or version != 1 or blocks not in BLOCK_TYPES:
        return sheet, None
    header = Header(
        block_len=1 << (sides & 15),
        file_len=1 << (sides >> 4),
        block_type=BLOCK_TYPES[blocks],
        dtype=np.dtype(VOXEL_TYPES[voxels]),
        channels=channels,
        byte_offset=byte_offset,
    )
    try:
        check_header(header, "it")
    except FormatError as error:
        place.report("WW-008", error.message.removeprefix("it: "), error.fix)
        return sheet, None
    return sheet, header


def _check_voxels(place: Place, voxels: int, size: int) -> int | None:
    """Check type and size of a voxel; return how many channels it has, None where that cannot be."""
    if voxels not in VOXEL_TYPES:
        place.report("WW-004", f"has the voxel type {voxels}", _RESTORE)
        return None
    if voxels > _DOCUMENTED:
        place.report("WW-005", f"has voxels of {VOXEL_TYPES[voxels]}", "write unsigned integers")
    dtype = np.dtype(VOXEL_TYPES[voxels])
    channels, rest = divmod(size, dtype.itemsize)
    if rest or not channels:
        place.report("WW-006", f"has voxels of {size} bytes of {dtype.name}", _RESTORE)
        return None
    return channels
