"""Blosc 1, as Zarr v2 and v3 use it. https://github.com/Blosc/c-blosc/blob/main/README_CHUNK_FORMAT.rst

The C library trusts the lengths in the header, so they are compared with the payload first.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numcodecs.blosc as _blosc
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.codec import (
    ChunkType,
    CodecKind,
    SizeBounds,
    allocate,
    as_bytes_array,
    check_plausible,
    check_size,
    corrupt,
    truncated,
)
from voxarium.model.fields import Fields

__all__ = ["Blosc"]

_SHUFFLES: Final = ("noshuffle", "shuffle", "bitshuffle")
_CNAMES: Final = ("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd")
_HEADER: Final = 16
_RATIO: Final = 1 << 15


@dataclass(frozen=True, slots=True)
class Blosc:
    """Blocks of bytes, shuffled and compressed.

    Parameters
    ----------
    cname : str
        Compressor inside: blosclz, lz4, lz4hc, snappy, zlib or zstd.
    clevel : int
        0 to 9.
    shuffle : int
        0 none, 1 bytes, 2 bits.
    typesize : int
        Bytes of the elements to shuffle.
    blocksize : int
        Bytes per block, 0 = the library's choice.
    """

    kind: ClassVar[CodecKind] = "bytes->bytes"
    key: ClassVar[Hashable] = "blosc"  # payloads say themselves how they were made
    cname: str
    clevel: int
    shuffle: int
    typesize: int
    blocksize: int = 0

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a configuration: Zarr v3 names the shuffle, numcodecs numbers it."""
        cname = fields.choice("cname", _CNAMES, "lz4")
        clevel = fields.integer("clevel", 0, 9, 5)
        typesize = fields.integer("typesize", 1, 2**31 - 1, given.dtype.itemsize)
        blocksize = fields.integer("blocksize", 0, 2**31 - 1, 0)
        value = fields.raw("shuffle", 1)
        if isinstance(value, str):
            shuffle = _SHUFFLES.index(value) if value in _SHUFFLES else -2
        else:
            shuffle = value if type(value) is int else -2
        if shuffle == -1:  # numcodecs: chosen by element size
            shuffle = 2 if typesize == 1 else 1
        if shuffle not in (0, 1, 2):
            fields.wrong("shuffle", "noshuffle, shuffle or bitshuffle")
        fields.done()
        return cls(cname, clevel, shuffle, min(typesize, 255), blocksize)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"blosc:{self.cname}:{self.clevel}:{_SHUFFLES[self.shuffle]}"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return _HEADER, given[1] + given[1] // 4 + 65536

    def encode(self, data: Buffer) -> bytes:
        """Compress; releases the GIL."""
        flat = as_bytes_array(data)
        if self.typesize > 1 and flat.size % self.typesize == 0:
            flat = flat.view(f"V{self.typesize}")  # the library takes the element size from the buffer
        packed: bytes = _blosc.compress(flat, self.cname.encode(), self.clevel, self.shuffle, self.blocksize)
        return packed

    def decode(self, data: Buffer, size: SizeBounds, out: NDArray[np.uint8] | None = None) -> memoryview:
        """Decompress, straight into `out` when it is given; releases the GIL."""
        view = memoryview(data)
        head = bytes(view[:_HEADER])
        if len(head) < _HEADER:
            raise truncated(f"blosc payload has only {len(head)} bytes")
        nbytes, blocksize, cbytes = (int.from_bytes(head[i : i + 4], "little") for i in (4, 8, 12))
        if head[0] != 2:
            raise corrupt(f"payload is not in the format of Blosc 1 (format byte {head[0]})")
        check_size("blosc payload", nbytes, size)
        if cbytes != view.nbytes:
            fault = truncated if cbytes > view.nbytes else corrupt
            raise fault(f"blosc payload has {view.nbytes} bytes, its header says {cbytes}")
        if not head[3] or not 0 < blocksize <= max(nbytes, 1):
            raise corrupt("blosc payload has an impossible header")
        if out is None:
            check_plausible("blosc payload", cbytes, nbytes, _RATIO)
            out = allocate(nbytes)
        try:
            _blosc.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise corrupt(f"blosc payload cannot be decoded: {error}") from error
        return out.data
