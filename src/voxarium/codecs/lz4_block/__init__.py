"""LZ4 as N5 stores it: the framing of the Java library; blocks without any, which z5py writes, are read.

https://github.com/lz4/lz4-java/blob/master/src/java/net/jpountz/lz4/LZ4BlockOutputStream.java

A frame is ``LZ4Block``, a token (method, size class), three little-endian 32-bit integers (stored length, length,
checksum), and one LZ4 block or the bytes themselves. A frame of length 0 ends the stream. The checksum is XXH32 of
the decoded bytes without its upper four bits.
"""

from __future__ import annotations

import struct
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple, Self

import numcodecs.lz4 as _lz4
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code
from voxarium.model.codec import (
    CodecKind,
    SizeBounds,
    allocate,
    as_bytes_array,
    check_plausible,
    corrupt,
    truncated,
    wrong_size,
)
from voxarium.model.fields import Fields

__all__ = ["Lz4Block"]

_MAGIC: Final = b"LZ4Block"
_HEAD: Final = struct.Struct("<8sBIII")
_RAW, _PACKED = 0x10, 0x20
_SEED: Final = 0x9747B28C
_LEAST, _USUAL, _MOST = 64, 1 << 16, 1 << 25  # bytes per frame
_CLASS: Final = 10  # log2 of the largest frame of size class 0
_RATIO: Final = 256


class _Frame(NamedTuple):
    method: int
    data: memoryview
    length: int
    checksum: int


@dataclass(frozen=True, slots=True)
class Lz4Block:
    """LZ4 in frames of `frame_bytes` decoded bytes at most."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    text: ClassVar[str] = "lz4"
    key: ClassVar[Hashable] = "lz4-java"
    frame_bytes: int = _USUAL

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of N5's settings. The block size of z5py is a level; what is no size is not used."""
        size = fields.integer("blockSize", -(2**31), 2**31 - 1, _USUAL)
        fields.done()
        return cls(size if _LEAST <= size <= _MOST else _USUAL)

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        frames = given[1] // self.frame_bytes + 2
        return 1, given[1] + _HEAD.size * frames

    def encode(self, data: Buffer) -> bytes:
        """Compress; releases the GIL."""
        flat = as_bytes_array(data)
        size_class = max(0, (self.frame_bytes - 1).bit_length() - _CLASS)
        parts: list[Buffer] = []
        for at in range(0, flat.size, self.frame_bytes):
            piece = flat[at : at + self.frame_bytes]
            packed: Buffer = memoryview(_lz4.compress(piece, 1))[4:]  # without the size numcodecs puts in front
            method = _PACKED
            if memoryview(packed).nbytes >= piece.size:
                packed, method = piece.data, _RAW
            nbytes = memoryview(packed).nbytes
            parts += [_HEAD.pack(_MAGIC, method | size_class, nbytes, piece.size, _checksum(piece)), packed]
        parts.append(_HEAD.pack(_MAGIC, _RAW | size_class, 0, 0, 0))
        return b"".join(parts)

    def check(self, data: Buffer, size: SizeBounds) -> None:
        """Raise FormatError when frames are cut off, or hold another size than expected; nothing is decoded."""
        view = memoryview(data)
        if bytes(view[:8]) == _MAGIC:
            _frames(view, size)

    def decode(self, data: Buffer, size: SizeBounds, out: NDArray[np.uint8] | None = None) -> memoryview:
        """Decompress, straight into `out` when it is given; releases the GIL.

        Raises
        ------
        ChecksumError
            If a frame and its checksum disagree.
        """
        view = memoryview(data)
        if bytes(view[:8]) != _MAGIC:
            return _bare(view, size, out)
        frames = _frames(view, size)
        if out is None:
            out = allocate(sum(f.length for f in frames))
        at = 0
        for frame in frames:
            piece = out[at : at + frame.length]
            if frame.method == _RAW:
                piece[:] = np.frombuffer(frame.data, np.uint8)
            else:
                _decompress(frame.data, piece)
            found = _checksum(piece)
            if found != frame.checksum:
                raise ChecksumError(
                    f"xxh32 checksum of {frame.length} bytes is {found:08x}, stored is {frame.checksum:08x}",
                    code=Code.CHECKSUM_MISMATCH,
                    fix="the stored bytes are damaged; copy the object again from its source",
                )
            at += frame.length
        return out.data


def _checksum(data: NDArray[np.uint8]) -> int:
    from voxarium.codecs.lz4_block.xxhash32 import xxh32

    # The Java library masks with seven digits, not eight.
    return int(xxh32(data, _SEED)) & 0x0FFFFFFF


def _frames(view: memoryview, size: SizeBounds) -> list[_Frame]:
    """Return the frames of a payload, checked against each other and the expected size; nothing is decoded."""
    frames: list[_Frame] = []
    total = at = 0
    while at < view.nbytes:
        frame = _frame(view, at)
        at += _HEAD.size + frame.data.nbytes
        if not frame.length:
            break
        total += frame.length
        if total > size[1]:
            raise wrong_size("lz4 payload", total, size)
        frames.append(frame)
    if total < size[0]:
        raise truncated(f"lz4 payload ends early, after {total} of {size[0]} bytes")
    if at != view.nbytes:
        raise corrupt(f"lz4 payload has {view.nbytes - at} bytes behind its end")
    return frames


def _frame(view: memoryview, at: int) -> _Frame:
    if view.nbytes - at < _HEAD.size:
        raise truncated("lz4 payload ends within the header of a frame")
    magic, token, stored, length, checksum = _HEAD.unpack_from(view, at)
    method, most = token & 0xF0, 1 << (_CLASS + (token & 0x0F))
    raw = method == _RAW
    if magic != _MAGIC or method not in (_RAW, _PACKED) or length > most or (raw and stored != length):
        raise corrupt(f"lz4 payload has a broken frame at byte {at}")
    if (stored == 0) != (length == 0):
        raise corrupt(f"lz4 payload has a broken frame at byte {at}")
    body = view[at + _HEAD.size : at + _HEAD.size + stored]
    if body.nbytes < stored:
        raise truncated(f"lz4 payload ends within the frame at byte {at}")
    check_plausible("lz4 frame", stored, length, _RATIO)
    return _Frame(method, body, length, checksum)


def _bare(view: memoryview, size: SizeBounds, out: NDArray[np.uint8] | None) -> memoryview:
    """Decode one LZ4 block that says nothing about itself."""
    if size[0] != size[1]:
        raise corrupt("payload is not in the framing of LZ4 that the Java library writes")
    check_plausible("lz4 payload", view.nbytes, size[0], _RATIO)
    if out is None:
        out = allocate(size[0])
    _decompress(view, out)
    return out.data


def _decompress(block: memoryview, out: NDArray[np.uint8]) -> None:
    """Fill `out` with what one LZ4 block holds."""
    try:
        _lz4.decompress(out.size.to_bytes(4, "little") + bytes(block), out)
    except (RuntimeError, ValueError, OverflowError) as error:
        raise corrupt(f"lz4 payload cannot be decoded: {error}") from error
