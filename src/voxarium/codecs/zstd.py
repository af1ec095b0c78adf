"""Zstandard. https://datatracker.ietf.org/doc/html/rfc8878

What a payload says about its size is read before memory is set aside. Frames without a size (streaming
writers), several frames in a row, and skippable frames are all found in stores and read.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numcodecs.zstd as _zstd
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import FormatError
from voxarium.model.codec import (
    CodecKind,
    SizeBounds,
    allocate,
    check_plausible,
    check_size,
    corrupt,
    truncated,
)
from voxarium.model.fields import Fields

__all__ = ["Zstd"]

_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BLOCK: Final = 1 << 17  # no block decodes to more
_RATIO: Final = 1 << 15  # a run of 128 KiB takes four bytes
_SLACK: Final = 1 << 24
_DICT_BYTES: Final = (0, 1, 2, 4)


@dataclass(frozen=True, slots=True)
class Zstd:
    """Zstandard at a level; with `checksum`, frames end with one."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    key: ClassVar[Hashable] = "zstd"
    level: int
    checksum: bool = False

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a configuration (Zarr v3, and numcodecs)."""
        level = fields.integer("level", -131072, 22, 0)
        checksum = fields.boolean("checksum", False)
        fields.done()
        return cls(level, checksum)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"zstd:{self.level}:checksum" if self.checksum else f"zstd:{self.level}"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 1, given[1] + given[1] // 4 + 65536

    def check(self, data: Buffer, size: SizeBounds) -> None:
        """Raise FormatError when frames are cut off, or state another size than expected; nothing is decoded."""
        total, _ = _walk(memoryview(data))
        if total is not None:
            check_size("zstd payload", total, size)

    def encode(self, data: Buffer) -> bytes:
        """Compress; releases the GIL."""
        packed: bytes = _zstd.compress(data, self.level, self.checksum)
        return packed

    def decode(self, data: Buffer, size: SizeBounds, out: NDArray[np.uint8] | None = None) -> memoryview:
        """Decompress, straight into `out` when it is given; releases the GIL."""
        view = memoryview(data)
        low, high = size
        stated = _stated_size(view)
        if stated != low or stated != high:
            stated = _unusual_size(view, size)
        if out is None:
            check_plausible("zstd payload", view.nbytes, stated, _RATIO)
            out = allocate(stated)
        try:
            _zstd.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise _diagnosis(view, error) from error
        return out.data


def _stated_size(view: memoryview) -> int | None:
    """Return the content size in the header of the first frame; None when it states none or is no frame."""
    head = bytes(view[:18])
    if len(head) < 9:
        raise truncated(f"zstd payload has only {len(head)} bytes")
    if head[:4] != _MAGIC:
        return None
    descriptor = head[4]
    single = descriptor & 0x20
    at = 5 + (0 if single else 1) + _DICT_BYTES[descriptor & 3]
    flag = descriptor >> 6
    if flag == 0:
        return head[at] if single else None
    n = 1 << flag
    return int.from_bytes(head[at : at + n], "little") + (256 if flag == 1 else 0)


def _unusual_size(view: memoryview, size: SizeBounds) -> int:
    """Return how many bytes to decode to, for anything but one frame of the expected size."""
    low, high = size
    total, most = _walk(view)
    if total is not None:
        check_size("zstd payload", total, size)
        return total
    if low == high:
        return low  # the decoder fails unless exactly this many come out
    if most > high + _SLACK:
        raise corrupt(f"zstd payload may hold {most} bytes instead of at most {high}")
    try:
        found = len(_zstd.decompress(view))
    except (RuntimeError, ValueError) as error:
        raise _diagnosis(view, error) from error
    check_size("zstd payload", found, size)
    return found


def _walk(view: memoryview) -> tuple[int | None, int]:
    """Return (bytes all frames state together, or None if one does not; most bytes their blocks can hold)."""
    total: int | None = 0
    most = at = 0
    while at < view.nbytes:
        if bytes(view[at + 1 : at + 4]) == b"\x2a\x4d\x18" and view[at] & 0xF0 == 0x50:  # skippable frame
            at += 8 + int.from_bytes(view[at + 4 : at + 8], "little")
            continue
        if bytes(view[at : at + 4]) != _MAGIC:
            raise corrupt("payload is not zstd")
        stated = _stated_size(view[at:])
        at, held = _walk_blocks(view, at)
        total = None if stated is None or total is None else total + stated
        most += held
    if at > view.nbytes:
        raise truncated("zstd payload ends within a frame")
    return total, most


def _walk_blocks(view: memoryview, at: int) -> tuple[int, int]:
    """Return the position behind a frame and the most bytes its blocks can hold."""
    descriptor = view[at + 4]
    single = descriptor & 0x20
    flag = descriptor >> 6
    at += 5 + (0 if single else 1) + _DICT_BYTES[descriptor & 3]
    at += (1 << flag) if flag else (1 if single else 0)
    most = 0
    last = 0
    while not last:
        header = view[at : at + 3]
        if len(header) < 3:
            raise truncated("zstd payload ends within a frame")
        value = int.from_bytes(header, "little")
        last, kind, n = value & 1, (value >> 1) & 3, value >> 3
        if kind == 3:
            raise corrupt("zstd payload has a block of an unknown kind")
        most += min(n, _BLOCK) if kind < 2 else _BLOCK
        at += 3 + (1 if kind == 1 else n)
    return at + (4 if descriptor & 4 else 0), most


def _diagnosis(view: memoryview, error: Exception) -> FormatError:
    try:
        _walk(view)
    except FormatError as found:
        return found
    return corrupt(f"zstd payload cannot be decoded: {error}")
