"""The header of WKW files, and the table of block ends."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError

__all__ = [
    "BLOCK_TYPES",
    "HEADER_NAME",
    "HEADER_SIZE",
    "MOST_SIDE",
    "VOXEL_TYPES",
    "BlockType",
    "Header",
    "check_header",
    "dump_ends",
    "dump_header",
    "parse_ends",
    "parse_header",
]

HEADER_NAME: Final = "header.wkw"
HEADER_SIZE: Final = 16
MOST_SIDE: Final = 2**15  # of blocks and files: a nibble holds the logarithm
_MAGIC: Final = b"WKW"
_LAYOUT: Final = struct.Struct("<3sBBBBBQ")
MOST_BLOCK: Final = 0x7E000000  # bytes LZ4 can take at once; also a bound on what a header may ask for
_MOST_TABLE: Final = 1 << 28

BlockType = Literal["raw", "lz4", "lz4hc"]
BLOCK_TYPES: Final[dict[int, BlockType]] = {1: "raw", 2: "lz4", 3: "lz4hc"}
# 7 to 10 are in the library, not in its documentation.
VOXEL_TYPES: Final = {
    1: "uint8", 2: "uint16", 3: "uint32", 4: "uint64", 5: "float32", 6: "float64",
    7: "int8", 8: "int16", 9: "int32", 10: "int64",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """How files of one array are laid out.

    Parameters
    ----------
    block_len : int
        Voxels along a side of a block.
    file_len : int
        Blocks along a side of a file.
    block_type : str
        ``raw``, ``lz4`` or ``lz4hc``; the last two differ for writers only.
    dtype : numpy.dtype
        Of one channel, native byte order; stored little-endian.
    channels : int
        Values per voxel.
    byte_offset : int
        Where blocks begin in a file; 0 in ``header.wkw``.
    """

    block_len: int
    file_len: int
    block_type: BlockType
    dtype: np.dtype[Any]
    channels: int = 1
    byte_offset: int = 0

    @property
    def side(self) -> int:
        """Voxels along a side of a file."""
        return self.block_len * self.file_len

    @property
    def blocks(self) -> int:
        """Blocks in a file."""
        return self.file_len**3

    @property
    def block_bytes(self) -> int:
        """Bytes of a block, uncompressed."""
        return self.block_len**3 * self.channels * self.dtype.itemsize

    @property
    def compressed(self) -> bool:
        """Whether files have a table of block ends."""
        return self.block_type != "raw"

    @property
    def head_size(self) -> int:
        """Bytes in front of the first block of a file."""
        return HEADER_SIZE + (8 * self.blocks if self.compressed else 0)

    def agrees_with(self, other: Header) -> bool:
        """Tell whether files of this header can be among those of another."""
        same = (self.block_len, self.file_len, self.compressed, self.dtype, self.channels)
        return same == (other.block_len, other.file_len, other.compressed, other.dtype, other.channels)


def _broken(where: str, what: str) -> FormatError:
    return FormatError(
        f"{where}: {what}",
        code=Code.METADATA_INVALID,
        fix="copy the file again from its source, or write the layer again",
    )


def parse_header(data: Buffer, where: str) -> Header:
    """Parse the 16 bytes in front of every file.

    Raises
    ------
    FormatError
        If they are no header, or one that no array can have.

    Examples
    --------
    >>> header = parse_header(bytes.fromhex("574b5701230101030000000000000000"), "header.wkw")
    >>> header.block_len, header.file_len, header.channels, header.dtype.name
    (8, 4, 3, 'uint8')
    """
    raw = bytes(memoryview(data)[:HEADER_SIZE])
    if len(raw) < HEADER_SIZE or raw[:3] != _MAGIC:
        raise _broken(where, "this is no WKW header of 16 bytes")
    _, version, sides, block_type, voxel_type, voxel_size, byte_offset = _LAYOUT.unpack(raw)
    if version != 1:
        raise _broken(where, f"WKW version {version} is not known, only 1 is")
    if block_type not in BLOCK_TYPES:
        raise _broken(where, f"block type {block_type} is not known")
    if voxel_type not in VOXEL_TYPES:
        raise _broken(where, f"voxel type {voxel_type} is not known")
    dtype = np.dtype(VOXEL_TYPES[voxel_type])
    channels, rest = divmod(voxel_size, dtype.itemsize)
    if rest or not channels:
        raise _broken(where, f"voxels of {voxel_size} bytes are not made of {dtype.name}")
    header = Header(
        block_len=1 << (sides & 15),
        file_len=1 << (sides >> 4),
        block_type=BLOCK_TYPES[block_type],
        dtype=dtype,
        channels=channels,
        byte_offset=byte_offset,
    )
    check_header(header, where)
    return header


def check_header(header: Header, where: str = "the new array") -> None:
    """Raise FormatError for blocks or tables that are too large to be handled."""
    if header.block_bytes > MOST_BLOCK:
        raise FormatError(
            f"{where}: blocks of {header.block_bytes} bytes are not credible",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="blocks usually have 32 voxels along a side",
        )
    if header.head_size > _MOST_TABLE or header.file_len > MOST_SIDE:
        raise FormatError(
            f"{where}: a table of {header.blocks} blocks per file is not credible",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="files usually have 32 blocks along a side",
        )


def dump_header(header: Header) -> bytes:
    """Return the 16 bytes of a header."""
    sides = (header.file_len.bit_length() - 1) << 4 | (header.block_len.bit_length() - 1)
    block_type = next(k for k, v in BLOCK_TYPES.items() if v == header.block_type)
    voxel_type = next(k for k, v in VOXEL_TYPES.items() if v == header.dtype.name)
    voxel_size = header.channels * header.dtype.itemsize
    return _LAYOUT.pack(_MAGIC, 1, sides, block_type, voxel_type, voxel_size, header.byte_offset)


def parse_ends(data: Buffer, header: Header, size: int | None, where: str) -> NDArray[np.int64]:
    """Return where blocks of a compressed file begin and end.

    Parameters
    ----------
    data : bytes-like
        The table, as it stands behind the header.
    header : Header
        Of this file.
    size : int or None
        Bytes of the file, where known.
    where : str
        The file, for messages.

    Returns
    -------
    ndarray of int64, shape (blocks + 1,)
        Byte offset of each block's first byte, by place in the file, and the end of the last.

    Raises
    ------
    FormatError
        If blocks overlap, lie outside the file, or are longer than LZ4 can make them.
    """
    view = memoryview(data)
    if view.nbytes != 8 * header.blocks:
        raise _corrupt(where, f"the table has {view.nbytes} bytes instead of {8 * header.blocks}")
    ends = np.frombuffer(view, "<u8").astype(np.uint64)
    limit = np.uint64(min(size if size is not None else 2**62, 2**62))
    first = np.uint64(min(header.byte_offset, 2**62))
    if header.byte_offset < header.head_size:
        raise _corrupt(where, f"blocks begin at byte {header.byte_offset}, inside the table")
    before = np.concatenate([np.array([first], np.uint64), ends[:-1]])
    if np.any(ends < before) or ends[-1] > limit:
        raise _corrupt(where, "the table points outside the file, or backwards")
    longest = int((ends - before).max())
    most = header.block_bytes + header.block_bytes // 255 + 16
    if longest > most:
        raise _corrupt(where, f"a block is said to take {longest} bytes, more than the {most} LZ4 ever needs")
    starts = np.concatenate([before[:1], ends]).astype(np.int64)
    starts.flags.writeable = False
    return starts


def _corrupt(where: str, what: str) -> FormatError:
    return FormatError(
        f"{where}: {what}", code=Code.SHARD_INDEX_CORRUPT, fix="the file is damaged; copy it again from its source"
    )


def dump_ends(ends: NDArray[np.uint64]) -> bytes:
    """Return the table of a compressed file; `ends` by place in the file."""
    return ends.astype("<u8").tobytes()
