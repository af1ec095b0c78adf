"""An array in one file or several: raw, or packed as a whole, which is then unpacked once and kept."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.model.sources import gone, place, truncated

__all__ = ["LARGEST_WHOLE", "Kept", "Pieces", "check_whole", "numbers_of_text"]

LARGEST_WHOLE: Final = 8 << 30
_FIRST_LINES: Final = 1 << 20


class Kept:
    """What was unpacked last. Whoever finds nothing unpacks, the others wait; pickled empty."""

    __slots__ = ("_found", "_turn")

    def __init__(self) -> None:
        self._found: tuple[int, NDArray[Any]] | None = None
        self._turn: SimpleQueue[None] = SimpleQueue()  # holds one entry, which whoever unpacks takes out
        self._turn.put(None)

    def __reduce__(self) -> tuple[object, ...]:
        return (Kept, ())

    def get(self, number: int, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return what `make` gives for a piece."""
        found = self._found
        if found is not None and found[0] == number:
            return found[1]
        self._turn.get()
        try:
            found = self._found
            if found is None or found[0] != number:
                self._found = None  # two at a time need not fit
                found = self._found = (number, make())
            return found[1]
        finally:
            self._turn.put(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pieces:
    """Where the voxels of an array are.

    Parameters
    ----------
    keys : tuple of str
        Files, each with an equal part of the first axis.
    shape : tuple of int
        Voxels of the whole array, in C order.
    dtype : numpy.dtype
        As stored.
    byte_offset : int
        Bytes before the first voxel of every file, behind the lines; -1: the voxels are the last bytes.
    lines : int
        Lines before that.
    unpack : callable or None
        Takes the bytes of a file behind the lines, and how many voxels are expected; None: they are raw.
    """

    keys: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_offset: int = 0
    lines: int = 0
    unpack: Callable[[bytes, int], NDArray[Any]] | None = None
    kept: Kept

    @property
    def part(self) -> tuple[int, ...]:
        """Voxels of one file."""
        return (self.shape[0] // len(self.keys), *self.shape[1:])

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """A piece that is cheap to read."""
        return self.part if self.unpack else FlatArray(shape=self.part, dtype=self.dtype).chunk_shape

    @property
    def contiguous(self) -> bool:
        """Whether reading a region costs what it covers."""
        return self.unpack is None

    def check(self, store: ReadableStore) -> None:
        """Look at the first and the last file.

        Raises
        ------
        NotFoundError
            If one is not there.
        FormatError
            If one is too short.
        """
        for key in dict.fromkeys((self.keys[0], self.keys[-1])):
            self._layout(store, key)

    def read(self, store: ReadableStore, box: Box, out: NDArray[Any]) -> None:
        """Fill `out` with the voxels of `box`."""
        if box.size == 0:
            return
        depth = self.part[0]
        start, stop = box.origin[0], box.stop[0]
        for number in range(start // depth, -(-stop // depth)):
            a, b = max(start, number * depth), min(stop, (number + 1) * depth)
            part = Box((a - number * depth, *box.origin[1:]), (b - a, *box.shape[1:]))
            self._read_piece(store, number, part, out[a - start : b - start])

    def _read_piece(self, store: ReadableStore, number: int, box: Box, out: NDArray[Any]) -> None:
        key = self.keys[number]
        if self.unpack is None:
            self._layout(store, key).read(store, key, box, out)
        else:
            out[...] = self.kept.get(number, lambda: self._unpacked(store, key))[box.slices]

    def _layout(self, store: ReadableStore, key: str) -> FlatArray:
        """Return where the voxels of a file are; for packed files only the first byte is right."""
        stat = store.stat(key)
        if stat is None:
            raise gone(store, key)
        size = math.prod(self.part) * self.dtype.itemsize
        if self.byte_offset < 0:
            at = stat.size - size
            if at < 0:
                raise truncated(place(store, key), stat.size, size)
        else:
            at = self._behind_lines(store, key, stat.size) + (0 if self.unpack else self.byte_offset)
        layout = FlatArray(shape=self.part, dtype=self.dtype, byte_offset=at)
        if self.unpack is None and stat.size < layout.stop:
            raise truncated(place(store, key), stat.size, layout.stop)
        return layout

    def _behind_lines(self, store: ReadableStore, key: str, size: int) -> int:
        if not self.lines:
            return 0
        parts = store.get_ranges(key, [ByteRange(0, min(size, _FIRST_LINES))])
        text = bytes(parts[0]) if parts else b""
        at = 0
        for _ in range(self.lines):
            at = text.find(b"\n", at) + 1
            if not at:
                raise truncated(place(store, key), size, None)
        return at

    def _unpacked(self, store: ReadableStore, key: str) -> NDArray[Any]:
        stat = store.stat(key)
        if stat is None or self.unpack is None:
            raise gone(store, key)
        start = self._layout(store, key).byte_offset
        parts = store.get_ranges(key, [ByteRange(start, stat.size - start)]) if start < stat.size else [b""]
        if parts is None:
            raise gone(store, key)
        try:
            found = self.unpack(bytes(parts[0]), math.prod(self.part))
        except FormatError as error:
            where = place(store, key)
            raise type(error)(f"{where}: {error.message}", code=error.code, fix=error.fix) from error
        return found.reshape(self.part).astype(self.dtype.newbyteorder("="), copy=False)


def check_whole(size: int, where: str) -> None:
    """Refuse what would be unpacked as a whole and is too large for that.

    Raises
    ------
    FormatError
        If it is above 8 GiB.
    """
    if size > LARGEST_WHOLE:
        raise FormatError(
            f"{where} is packed as a whole and claims {size} bytes, too many to unpack at once",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="save it uncompressed, then any part can be read by itself",
        )


def numbers_of_text(text: bytes, count: int, dtype: np.dtype[Any], base: int = 10) -> NDArray[Any]:
    """Return voxels that are written as text, separated by blanks; with `base` 16 as pairs of digits, one a byte.

    Raises
    ------
    FormatError
        If there are not exactly as many, or one is no number of this type.
    """
    plain = dtype.newbyteorder("=")
    try:
        if base == 16:
            raw = bytes.fromhex(text.decode("ascii"))
            found = np.frombuffer(raw[: len(raw) // dtype.itemsize * dtype.itemsize], dtype)
        else:
            parts = text.split(maxsplit=count)
            found = np.array([float(p) if plain.kind == "f" else int(p) for p in parts[:count]]).astype(plain)
            if len(parts) > count or (plain.kind != "f" and not _fits(parts[:count], plain)):
                raise ValueError("numbers beyond the type, or too many")
    except (ValueError, OverflowError, TypeError) as error:
        raise FormatError(
            f"the text holds no {count} numbers of type {plain}: {str(error)[:100]}",
            code=Code.CHUNK_CORRUPT,
            fix="save the file again in a binary encoding",
        ) from error
    if len(found) < count:
        raise truncated("the text", len(found), count)
    return found[:count]


def _fits(parts: list[bytes], dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return all(limits.min <= int(p) <= limits.max for p in parts)
