"""Stored files of a WKW array by their names: which one an object is, and whether it is in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from voxarium.codecs import Chain
from voxarium.errors import Code, FormatError, StoreError
from voxarium.model.array_specs import join_key
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.spec import wkw

__all__ = ["WkwDetails", "WkwObjects"]

_FILE: Final = re.compile(r"z(0|[1-9][0-9]{0,17})/y(0|[1-9][0-9]{0,17})/x(0|[1-9][0-9]{0,17})\.wkw", re.ASCII)
_COPY: Final = "the file is damaged; copy it again from its source"


@dataclass(frozen=True, slots=True)
class WkwDetails:
    """Parsed header, what coding a block needs, and the place of the first file along z, y, x."""

    header: wkw.Header
    chain: Chain
    origin: tuple[int, int, int] = (0, 0, 0)


class WkwObjects:
    """What tells the files of an array apart; a part of its driver."""

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a file."""
        details: WkwDetails = info.details
        return join_key(path, wkw.file_key(tuple(i + o for i, o in zip(index[:3], details.origin, strict=True))))

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a file by its key; None for other objects."""
        name = key
        if path:
            if not key.startswith(path) or key[len(path) : len(path) + 1] != "/":
                return None
            name = key[len(path) + 1 :]
        found = _FILE.fullmatch(name)
        if found is None:
            return None
        details: WkwDetails = info.details
        z, y, x = details.origin
        return (int(found[1]) - z, int(found[2]) - y, int(found[3]) - x) + (0,) * (info.ndim - 3)

    def check_object(
        self, store: ReadableStore, path: str, info: ArrayInfo, key: str, _index: tuple[int, ...], /
    ) -> Sequence[tuple[str, str]]:
        """Return what is wrong with a file: its header, its table of blocks, its size."""
        details: WkwDetails = info.details
        expected = details.header
        stat = store.stat(key)
        if stat is None:
            return ()
        if stat.size < expected.head_size:
            return [(f"it has {stat.size} bytes, fewer than header and table, {expected.head_size}", _COPY)]
        try:
            parts = store.get_ranges(key, [ByteRange(0, expected.head_size)])
        except StoreError as error:
            if error.code is not Code.FILE_TRUNCATED:
                raise
            parts = None
        if parts is None:
            return [("it is gone, or cut off", _COPY)]
        head = memoryview(parts[0])
        try:
            header = wkw.parse_header(head, key)
            found = _differences(header, expected)
            if not found:
                found = _check_size(header, head, stat.size, key)
        except FormatError as error:
            return [(error.message, error.fix)]
        return found


def _differences(header: wkw.Header, expected: wkw.Header) -> list[tuple[str, str]]:
    """Return where the header of a file is not that of its array."""
    fix = "the file belongs to another array, or is damaged; copy the array again from its source"
    out = []
    for what, found, wanted in (
        ("blocks of {} voxels", header.block_len, expected.block_len),
        ("{} blocks along a side", header.file_len, expected.file_len),
        ("the block type {}", header.block_type, expected.block_type),
        ("voxels of {}", header.dtype.name, expected.dtype.name),
        ("{} channels", header.channels, expected.channels),
    ):
        if found != wanted and {found, wanted} != {"lz4", "lz4hc"}:  # these two are decoded alike
            out.append((f"its header says {what.format(found)}, {wkw.HEADER_NAME} {wanted}", fix))
    if not out and header.byte_offset != expected.head_size:
        out.append((f"its header says that blocks begin at byte {header.byte_offset}, not {expected.head_size}", fix))
    return out


def _check_size(header: wkw.Header, head: memoryview, size: int, key: str) -> list[tuple[str, str]]:
    """Return what is wrong with the size of a file, and with its table, where that is none that readers notice."""
    if not header.compressed:
        wanted = header.head_size + header.blocks * header.block_bytes
        return [] if size == wanted else [(f"it has {size} bytes instead of {wanted}", _COPY)]
    starts = wkw.parse_ends(head[wkw.HEADER_SIZE :], header, size, key)
    out = []
    if int(starts[-1]) != size:
        out.append((f"its table ends at byte {int(starts[-1])}, the file at {size}", _COPY))
    empty = np.count_nonzero(np.diff(starts) == 0)
    if empty:
        out.append((f"{empty} of its {header.blocks} blocks take no bytes", _COPY))
    return out
