"""bzip2 and LZMA, through the standard library; decompression stops at the expected size."""

from __future__ import annotations

import bz2
import lzma
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, Protocol, Self

from typing_extensions import Buffer

from voxarium.model.codec import CodecKind, SizeBounds, check_size, corrupt, truncated, wrong_size
from voxarium.model.fields import Fields

__all__ = ["Bzip2", "Lzma"]

_MEMORY: Final = 1 << 30  # for LZMA dictionaries, which the payload asks for


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: Any, max_length: int = -1) -> bytes: ...  # Any: bytes-like


def _unpack(name: str, begin: Callable[[], _Unpacker], data: Buffer, size: SizeBounds, *, marked: bool) -> bytes:
    """Decompress streams one after another; `marked` tells that a stream says where it ends."""
    what = f"{name} payload"
    parts: list[bytes] = []
    found = 0
    rest = data
    while True:
        try:
            unpacker = begin()
            part = unpacker.decompress(rest, size[1] - found + 1)
        except (OSError, lzma.LZMAError, ValueError, TypeError, OverflowError, MemoryError) as error:
            raise corrupt(f"{what} cannot be decoded: {error}") from error
        parts.append(part)
        found += len(part)
        if found > size[1]:
            raise wrong_size(what, found, size)
        if not unpacker.eof and (marked or found < size[0]):
            raise truncated(f"{what} ends early, after {found} of {size[0]} bytes")
        rest = unpacker.unused_data.lstrip(b"\0") if unpacker.eof else b""
        if not rest:
            break
    check_size(what, found, size)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True, slots=True)
class Bzip2:
    """bzip2 at a level."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    key: ClassVar[Hashable] = "bz2"
    level: int = 1

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a numcodecs configuration."""
        level = fields.integer("level", 1, 9, 1)
        fields.done()
        return cls(level)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"bz2:{self.level}"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 1, given[1] + given[1] // 4 + 65536

    def encode(self, data: Buffer) -> bytes:
        """Compress; releases the GIL."""
        return bz2.compress(data, self.level)

    def decode(self, data: Buffer, size: SizeBounds, _out: object = None) -> bytes:
        """Decompress; releases the GIL."""
        return _unpack("bz2", bz2.BZ2Decompressor, data, size, marked=True)


@dataclass(frozen=True, slots=True)
class Lzma:
    """LZMA in one of its containers: xz, the old ``.lzma``, or raw with the filters in the metadata."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    format: int
    integrity: int  # which check the container has; a method called check would verify a payload
    preset: int | None
    filters: tuple[tuple[tuple[str, int], ...], ...] | None

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a numcodecs configuration."""
        container = fields.integer("format", 0, 3, 1)
        check = fields.integer("check", -1, 16, -1)
        preset = fields.raw("preset", None)
        if preset is not None and (type(preset) is not int or not 0 <= preset < 2**32):
            fields.wrong("preset", "null or an integer")
        filters = fields.raw("filters", None)
        if filters is not None and not _are_filters(filters):
            fields.wrong("filters", "null or a list of LZMA filters")
        fields.done()
        return cls(container, check, preset, None if filters is None else tuple(tuple(f.items()) for f in filters))

    @property
    def text(self) -> str:
        """Description for people."""
        return "lzma"

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return "lzma", self.format, self.filters if self.format == lzma.FORMAT_RAW else None

    @property
    def _filters(self) -> list[Mapping[str, int]] | None:
        return None if self.filters is None else [dict(f) for f in self.filters]

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 1, given[1] + given[1] // 4 + 65536

    def encode(self, data: Buffer) -> bytes:
        """Compress; releases the GIL."""
        container = self.format or lzma.FORMAT_XZ
        return lzma.compress(data, container, self.integrity, self.preset, self._filters)

    def decode(self, data: Buffer, size: SizeBounds, _out: object = None) -> bytes:
        """Decompress; releases the GIL."""
        raw = self.format == lzma.FORMAT_RAW
        begin = partial(lzma.LZMADecompressor, self.format, None if raw else _MEMORY, self._filters if raw else None)
        return _unpack("lzma", begin, data, size, marked=not raw)


def _are_filters(value: object) -> bool:
    if not isinstance(value, list) or not 0 < len(value) <= 4:
        return False
    for item in value:
        if not isinstance(item, Mapping) or not all(isinstance(k, str) and type(v) is int for k, v in item.items()):
            return False
        if not 0 <= item.get("dict_size", 0) <= _MEMORY:
            return False
    return True
