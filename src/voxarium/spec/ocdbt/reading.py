"""Envelopes, and the numbers, texts and tables that all documents of OCDBT are made of."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NoReturn

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code, FormatError, InputError, UnsupportedError
from voxarium.model.keys import checked_key

__all__ = ["LARGEST", "MOST_DECODED", "NONE", "DataFile", "Place", "Reader", "parse_envelope", "refuse"]

MOST_DECODED: Final = 32 << 20
"""Bytes of a decompressed body; writers split nodes of the B+tree at 8 MiB unless told otherwise."""
NONE: Final = 2**64 - 1
"""Offset and length of what is nowhere."""
LARGEST: Final = 2**62

_MOST_ENTRIES: Final = 1 << 20  # of a node
_MOST_KEY: Final = 65535
_MOST_EXPANDED: Final = 128 << 20  # bytes of all keys of a node, or paths of a table, written out
_SMALLEST: Final = 16  # bytes of an envelope
_HEAD: Final = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file of the database: its key, and the folder below which files that it mentions lie."""

    key: str
    folder: str


@dataclass(frozen=True, slots=True)
class Place:
    """Bytes of a data file."""

    file: DataFile
    start: int
    length: int


def refuse(where: str, message: str, code: Code = Code.METADATA_INVALID) -> NoReturn:
    """Raise the FormatError for a document."""
    raise FormatError(f"{where}: {message}", code=code, fix="restore the database from a copy")


def parse_envelope(data: Buffer, magic: int, where: str) -> tuple[Literal["none", "zstd"], memoryview]:
    """Return how the body of a document is compressed, and the body.

    Raises
    ------
    FormatError
        If it is another document, cut off, or damaged.
    UnsupportedError
        If it is of a later version of the format.
    """
    view = memoryview(data).cast("B")
    if view.nbytes < _SMALLEST or int.from_bytes(view[:4], "big") != magic:
        refuse(where, f"no document of OCDBT that begins with {magic:08x}")
    (length,) = _HEAD.unpack(view[4:12])
    if length != view.nbytes:
        refuse(where, f"{view.nbytes:,} bytes instead of {length:,}", Code.FILE_TRUNCATED)
    if google_crc32c.value(bytes(view[:-4])) != int.from_bytes(view[-4:], "little"):
        raise ChecksumError(
            f"{where} does not have its checksum",
            code=Code.CHECKSUM_MISMATCH,
            fix="restore the database from a copy",
        )
    reader = Reader(view[12:-4], where)
    version, compression = reader.number(), reader.number()
    if version or compression > 1:
        raise UnsupportedError(
            f"{where} is of version {version} of OCDBT, compression {compression}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="versions 0 with none or zstd are read; see whether a newer release of this package reads it",
        )
    return ("zstd" if compression else "none"), reader.rest()


class Reader:
    """Numbers and bytes of a body, one behind the other."""

    def __init__(self, view: memoryview, where: str) -> None:
        self._data = np.frombuffer(view, np.uint8)
        self._at = 0
        self.where = where

    def _left(self) -> int:
        return self._data.size - self._at

    def rest(self) -> memoryview:
        """Return all that follows."""
        return self._data[self._at :].data

    def done(self) -> None:
        """Refuse more bytes."""
        if self._left():
            refuse(self.where, f"{self._left():,} bytes too many")

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        if not 0 <= count <= self._left():
            refuse(self.where, f"it ends {count - self._left():,} bytes early", Code.FILE_TRUNCATED)
        found = self._data[self._at : self._at + count].tobytes()
        self._at += count
        return found

    def byte(self) -> int:
        """Return the next byte."""
        return self.take(1)[0]

    def number(self) -> int:
        """Return one number."""
        return int(self.numbers(1)[0])

    def count(self, most: int = _MOST_ENTRIES) -> int:
        """Return how many entries follow, each of which takes a byte at least."""
        found = self.number()
        if found > min(most, self._left()):
            refuse(self.where, f"{found:,} entries in {self._left():,} bytes", Code.SIZE_IMPLAUSIBLE)
        return found

    def numbers(self, count: int) -> NDArray[np.uint64]:
        """Return numbers of seven bits a byte, the lowest first."""
        window = self._data[self._at : self._at + 10 * count]
        ends = np.flatnonzero(window < 0x80)[:count]
        if ends.size < count:
            refuse(self.where, "a number has no end", Code.FILE_TRUNCATED)
        starts = np.empty_like(ends)
        starts[:1] = 0
        starts[1:] = ends[:-1] + 1
        sizes = ends - starts + 1
        out = np.zeros(count, np.uint64)
        for k in range(int(sizes.max(initial=0))):
            has = sizes > k
            byte = window[starts[has] + k].astype(np.uint64)
            if k > 9 or (k == 9 and byte.max() > 1):
                refuse(self.where, "a number above 2**64")
            out[has] |= (byte & np.uint64(0x7F)) << np.uint64(7 * k)
        self._at += int(ends[-1]) + 1 if count else 0
        return out

    def times(self, count: int) -> list[int]:
        """Return numbers of eight bytes."""
        return [int(t) for t in np.frombuffer(self.take(8 * count), "<u8")]

    def lengths(self, count: int) -> list[int]:
        """Return lengths of keys or paths, or parts of them."""
        found = self.numbers(count)
        if found.max(initial=0) > _MOST_KEY:
            refuse(self.where, f"a key of {int(found.max()):,} bytes", Code.SIZE_IMPLAUSIBLE)
        return [int(n) for n in found]

    def texts(self, shared: Sequence[int], own: Sequence[int]) -> list[bytes]:
        """Return texts of which each has the beginning in common with the one before."""
        total, length = 0, 0
        parts = list(zip([0, *shared][: len(own)], own, strict=True))
        for common, rest in parts:
            if common > length or common + rest > _MOST_KEY:
                refuse(self.where, "a key shares more than there is, or is too long")
            length = common + rest
            total += length
        if total > _MOST_EXPANDED:
            refuse(self.where, f"keys of {total:,} bytes", Code.SIZE_IMPLAUSIBLE)
        packed, at, last = self.take(sum(own)), 0, b""
        out = []
        for common, rest in parts:
            last = last[:common] + packed[at : at + rest]
            at += rest
            out.append(last)
        return out

    def files(self, folder: str) -> list[DataFile]:
        """Return the table of data files; `folder` is what paths in this document begin with."""
        count = self.count()
        shared, own = self.lengths(max(0, count - 1)), self.lengths(count)
        bases = self.lengths(count)
        return [self._file(folder, path, base) for path, base in zip(self.texts(shared, own), bases, strict=True)]

    def _file(self, folder: str, path: bytes, base: int) -> DataFile:
        try:
            key, inner = folder + path.decode(), folder + path[:base].decode()
        except UnicodeDecodeError:
            refuse(self.where, "a data file whose name is no text")
        if base > len(path) or len(key) > _MOST_KEY:
            refuse(self.where, "a data file whose name is not as long as said, or too long")
        return DataFile(key, inner)

    def columns(self, count: int, files: Sequence[DataFile]) -> list[NDArray[np.uint64]]:
        """Return numbers of data files, offsets and lengths."""
        found = [self.numbers(count) for _ in range(3)]
        self.check_places(files, *found)
        return found

    def check_places(
        self, files: Sequence[DataFile], ids: NDArray[Any], starts: NDArray[Any], lengths: NDArray[Any]
    ) -> None:
        """Refuse places that cannot be; what stands for no place at all is let through."""
        there = (starts != NONE) | (lengths != NONE)
        if ids[there].max(initial=0) >= max(1, len(files)) or (not files and there.any()):
            refuse(self.where, f"a data file beyond the {len(files)} of the table")
        if starts[there].max(initial=0) > LARGEST or lengths[there].max(initial=0) > LARGEST:
            refuse(self.where, "a place beyond 2**62", Code.SIZE_IMPLAUSIBLE)
        for i in np.unique(ids[there]):
            self._check_file(files[int(i)])

    def _check_file(self, file: DataFile) -> None:
        try:
            checked_key(file.key)
        except InputError as error:
            raise FormatError(
                f"{self.where} leads to {file.key!r}",
                code=Code.KEY_UNSAFE,
                fix="do not trust this database; it was not written by the library of this format",
            ) from error
