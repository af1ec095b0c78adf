"""gzip and zlib. https://datatracker.ietf.org/doc/html/rfc1951, 1950, 1952"""

from __future__ import annotations

import zlib
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final, Self

from typing_extensions import Buffer

from voxarium.model.codec import (
    CodecKind,
    SizeBounds,
    check_plausible,
    check_size,
    corrupt,
    truncated,
    wrong_size,
)
from voxarium.model.fields import Fields

__all__ = ["Gzip", "Zlib", "inflated_head"]

_RATIO: Final = 1032  # of deflate, at most


@dataclass(frozen=True, slots=True)
class _Deflate:
    """Deflate in one of its wrappings."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    name: ClassVar[str]
    key: ClassVar[Hashable]
    window_bits: ClassVar[int]
    level: int

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a configuration (Zarr v3, and numcodecs)."""
        level = fields.integer("level", -1, 9, 1)
        fields.done()
        return cls(level)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"{self.name}:{self.level}"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 1, given[1] + given[1] // 4 + 65536

    def encode(self, data: Buffer) -> bytes:
        """Compress; the same bytes always give the same result, as no time is written."""
        packer = zlib.compressobj(self.level, zlib.DEFLATED, self.window_bits)
        return packer.compress(data) + packer.flush()

    def decode(self, data: Buffer, size: SizeBounds, _out: object = None) -> bytes:
        """Decompress no more than `size` allows, whatever the payload holds."""
        low, high = size
        rest: Buffer = data
        check_plausible(f"{self.name} payload", memoryview(data).nbytes, low, _RATIO)
        parts: list[bytes] = []
        found = 0
        while True:
            unpacker = _inflater().decompressobj(self.window_bits)
            try:
                part = unpacker.decompress(rest, high - found + 1)
            except _inflater().error as error:
                raise corrupt(f"{self.name} payload cannot be decoded: {error}") from error
            parts.append(part)
            found += len(part)
            if found > high:
                raise wrong_size(f"{self.name} payload", found, size)
            if not unpacker.eof:
                raise truncated(f"{self.name} payload ends early, after {found} of {low} bytes")
            rest = unpacker.unused_data.lstrip(b"\0")  # gzip files may be padded with zeros, and have several members
            if not rest:
                break
            if self.window_bits < 16:
                raise corrupt(f"{self.name} payload has {memoryview(rest).nbytes} bytes behind its end")
        check_size(f"{self.name} payload", found, size)
        return parts[0] if len(parts) == 1 else b"".join(parts)


@cache
def _inflater() -> Any:  # Any: a module like zlib
    """Return what decompresses: ISA-L, nearly twice as fast, where its package exists for the machine; else zlib."""
    try:
        from isal import isal_zlib
    except ImportError:
        return zlib
    return isal_zlib


class Gzip(_Deflate):
    """Deflate in a gzip member."""

    __slots__ = ()
    name: ClassVar[str] = "gzip"
    key: ClassVar[Hashable] = "gzip"
    window_bits: ClassVar[int] = 31


class Zlib(_Deflate):
    """Deflate in a zlib stream."""

    __slots__ = ()
    name: ClassVar[str] = "zlib"
    key: ClassVar[Hashable] = "zlib"
    window_bits: ClassVar[int] = 15


def inflated_head(data: Buffer, length: int) -> bytes:
    """Return up to `length` first bytes of what a gzip stream holds, of which `data` is the beginning."""
    try:
        return zlib.decompressobj(31).decompress(data, length)
    except zlib.error as error:
        raise corrupt(f"gzip stream cannot be decoded: {error}") from error
