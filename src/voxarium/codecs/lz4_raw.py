"""LZ4 blocks without any frame: what WKW stores. Who decodes must know the number of bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, UnsupportedError
from voxarium.model.codec import CodecKind, SizeBounds, allocate, as_bytes_array, check_plausible, corrupt, wrong_size

__all__ = ["Lz4Raw"]

_RATIO: Final = 256
_MOST: Final = 0x7E000000


class _Library:
    """The functions of the LZ4 inside numcodecs. Calls through ctypes release the interpreter lock."""

    def __init__(self, path: str) -> None:
        library = ctypes.CDLL(path)
        word, pointer = ctypes.c_int, ctypes.c_void_p
        self.decompress: Any = library.LZ4_decompress_safe  # Any: ctypes functions have no static type
        self.decompress.argtypes = [pointer, pointer, word, word]
        self.compress: Any = library.LZ4_compress_fast
        self.compress.argtypes = [pointer, pointer, word, word, word]
        self.compress_high: Any = library.LZ4_compress_HC
        self.compress_high.argtypes = [pointer, pointer, word, word, word]


@cache
def _library() -> _Library | None:
    """Return the functions, or None where they cannot be reached."""
    import numcodecs.lz4

    try:
        return _Library(numcodecs.lz4.__file__)
    except (OSError, AttributeError):
        return None


@dataclass(frozen=True, slots=True)
class Lz4Raw:
    """One LZ4 block of a known number of bytes.

    Parameters
    ----------
    level : int
        0 = fast; 1 to 12 = high compression, which any reader of LZ4 can read.
    """

    kind: ClassVar[CodecKind] = "bytes->bytes"
    key: ClassVar[Hashable] = "lz4.raw"
    level: int = 0

    @property
    def text(self) -> str:
        """Description for people."""
        return f"lz4hc:{self.level}" if self.level else "lz4"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 1, given[1] + given[1] // 255 + 16

    def encode(self, data: Buffer) -> Buffer:
        """Compress; releases the GIL.

        Raises
        ------
        UnsupportedError
            If high compression is asked for where its function cannot be reached.
        """
        source = as_bytes_array(data)
        bound = source.size + source.size // 255 + 16
        library = _library()
        if library is None:
            return self._encode_slowly(source)
        packed = np.empty(bound, np.uint8)
        places = source.ctypes.data, packed.ctypes.data, source.size, bound
        size = library.compress_high(*places, self.level) if self.level else library.compress(*places, 1)
        if size <= 0:
            raise MemoryError("LZ4 could not set up its tables")
        return packed[:size].data

    def _encode_slowly(self, source: NDArray[np.uint8]) -> Buffer:
        if self.level:
            raise UnsupportedError(
                "this build of numcodecs does not offer high compression of LZ4",
                code=Code.CODEC_NOT_INSTALLED,
                fix="use lz4 instead of lz4hc; readers treat both alike",
            )
        import numcodecs.lz4

        framed: bytes = numcodecs.lz4.compress(source)
        return memoryview(framed)[4:]

    def decode(self, data: Buffer, size: SizeBounds, out: NDArray[np.uint8] | None = None) -> memoryview:
        """Decompress, straight into `out` when it is given; releases the GIL.

        Raises
        ------
        FormatError
            If the bytes are no LZ4 block of this size.
        """
        source = as_bytes_array(data)
        low, expected = size
        if low != expected or expected > _MOST:
            raise wrong_size("lz4 block", expected, (0, _MOST))
        if out is None:
            check_plausible("lz4 block", source.size, expected, _RATIO)
            out = allocate(expected)
        found = self._decode(source, out)
        if found != expected:
            raise corrupt(f"lz4 block of {source.size} bytes does not hold {expected} bytes")
        return out.data

    def _decode(self, source: NDArray[np.uint8], out: NDArray[np.uint8]) -> int:
        """Return the number of bytes decoded, negative for damage."""
        library = _library()
        if library is not None:
            if source.size > _MOST * 2:
                return -1
            return int(library.decompress(source.ctypes.data, out.ctypes.data, source.size, out.size))
        import numcodecs.lz4

        try:
            framed = len(out).to_bytes(4, "little") + source.tobytes()
            numcodecs.lz4.decompress(framed, out)
        except (RuntimeError, ValueError):
            return -1
        return out.size
