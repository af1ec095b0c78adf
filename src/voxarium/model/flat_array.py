"""An uncompressed array that lies in one piece inside a file: NumPy, raw binary, contiguous HDF5 and TIFF."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.model.protocols import ByteRange, FileStore, ReadableStore
from voxarium.model.sources import gone, place, truncated

__all__ = ["FlatArray", "leading_axes", "slab_shape", "whole_slabs"]

# Measured on Linux with a warm page cache: reading into place costs 0.15 CPU seconds per GB for runs of 64
# KiB, against 0.3 to 0.7 for a fresh memory map; below some 4 KiB per call the map wins by far.
_LONG_RUN: Final = 64 << 10
_SHORT_RUN: Final = 1024
_SLAB: Final = 64
_LARGEST_SLAB: Final = 64 << 20
_TILE: Final = 64
_SLAB_BYTES: Final = 16 << 20
_RANGES_AT_ONCE: Final = 512
_BYTES_AT_ONCE: Final = 32 << 20


def slab_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return a piece of a C-ordered array that is cheap to read: whole rows, 64 of them, in 64 planes.

    Examples
    --------
    >>> slab_shape((500, 3000, 2000), 1)
    (64, 64, 2000)
    """
    out = [1] * len(shape)
    room = max(1, _LARGEST_SLAB // itemsize)
    run, slabs = itemsize, 2
    for i in reversed(range(len(shape))):
        if run >= _SHORT_RUN:
            if not slabs:
                break
            slabs -= 1
        wanted = shape[i] if run < _SHORT_RUN else _SLAB
        out[i] = max(1, min(shape[i], wanted, room))
        room = max(1, room // out[i])
        run *= out[i]
    return tuple(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlatArray:
    """Where the voxels of an uncompressed array are.

    Parameters
    ----------
    shape : tuple of int
        Voxels, as the reader sees them.
    dtype : numpy.dtype
        As stored, with its byte order.
    byte_offset : int
        Bytes before the first voxel.
    order : str
        ``C``: the last axis runs fastest in the file; ``F``: the first.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    byte_offset: int = 0
    order: Literal["C", "F"] = "C"

    @property
    def stop(self) -> int:
        """Byte behind the last voxel."""
        return self.byte_offset + math.prod(self.shape) * self.dtype.itemsize

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """A piece that is cheap to read."""
        if self.order == "C":
            return slab_shape(self.shape, self.dtype.itemsize)
        return slab_shape(self.shape[::-1], self.dtype.itemsize)[::-1]

    def read(self, store: ReadableStore, path: str, box: Box, out: NDArray[Any]) -> None:
        """Fill `out` (shape of `box`, native byte order) with the voxels of `box`.

        Raises
        ------
        NotFoundError
            If the file is gone.
        FormatError
            If the file has become too short.
        """
        if box.size == 0:
            return
        if self.order == "F":
            mirrored = FlatArray(shape=self.shape[::-1], dtype=self.dtype, byte_offset=self.byte_offset)
            mirrored.read(store, path, Box(box.origin[::-1], box.shape[::-1]), out.T)
            return
        lead = leading_axes(self.shape, box.shape)
        run = math.prod(box.shape[lead:]) * self.dtype.itemsize
        first = out[_at((0,) * lead)]
        in_place = self.dtype.isnative and first.flags.c_contiguous and out.dtype == self.dtype
        if isinstance(store, FileStore) and (local := store.local_path(path)) is not None:
            if in_place and run >= _LONG_RUN:
                self._read_runs(store, path, box, out, lead)
            else:
                self._read_mapped(store, path, local, box, out)
        else:
            self._read_ranges(store, path, box, out, lead)

    def read_new(self, store: ReadableStore, path: str, box: Box) -> NDArray[Any]:
        """Return the voxels of `box` as a new array."""
        out = np.empty(box.shape, self.dtype.newbyteorder("="))
        self.read(store, path, box, out)
        return out

    def run_starts(self, box: Box, lead: int) -> list[int]:
        """Return the byte offsets of all contiguous runs of a box, in C order of its leading axes."""
        starts = np.array([self.byte_offset], np.int64)
        stride = self.dtype.itemsize * math.prod(self.shape)
        for i, n in enumerate(self.shape):
            stride //= max(1, n)
            starts += box.origin[i] * stride
            if i < lead:
                starts = (starts[:, None] + np.arange(box.shape[i], dtype=np.int64) * stride).ravel()
        found: list[int] = starts.tolist()
        return found

    def _read_runs(self, store: FileStore, path: str, box: Box, out: NDArray[Any], lead: int) -> None:
        with store.open_file(path) as file:
            for view, start in zip(_runs(out, lead), self.run_starts(box, lead), strict=True):
                file.seek(start)
                while view.nbytes:
                    count = file.readinto(view)  # type: ignore[attr-defined]  # BinaryIO does not name it
                    if not count:
                        raise truncated(place(store, path), file.tell(), self.stop)
                    view = view[count:]

    def _read_mapped(self, store: FileStore, path: str, local: str, box: Box, out: NDArray[Any]) -> None:
        # A map of its own per call: unmapping gives the pages back, so memory stays at what is being read.
        stat = store.stat(path)
        if stat is None:
            raise gone(store, path)
        if stat.size < self.stop:  # touching pages beyond the end would kill the process
            raise truncated(place(store, path), stat.size, self.stop)
        mapped = np.memmap(local, dtype=self.dtype, mode="r", offset=self.byte_offset, shape=self.shape)
        _copy(out, np.asarray(mapped[box.slices]))

    def _read_ranges(self, store: ReadableStore, path: str, box: Box, out: NDArray[Any], lead: int) -> None:
        shape = box.shape[lead:]
        length = math.prod(shape) * self.dtype.itemsize
        count = max(1, min(_RANGES_AT_ONCE, _BYTES_AT_ONCE // length))
        starts = self.run_starts(box, lead)
        places = itertools.product(*map(range, box.shape[:lead]))
        for at in range(0, len(starts), count):
            batch = starts[at : at + count]
            parts = store.get_ranges(path, [ByteRange(start, length) for start in batch])
            if parts is None:
                raise gone(store, path)
            for start, part, index in zip(batch, parts, places, strict=False):
                if memoryview(part).nbytes != length:
                    raise truncated(place(store, path), start + memoryview(part).nbytes, self.stop)
                out[_at(index)] = np.frombuffer(memoryview(part), self.dtype).reshape(shape)


def whole_slabs(layout: FlatArray) -> tuple[tuple[int, ...], Iterator[tuple[tuple[int, ...], int, int]]]:
    """Return a chunk shape, and (index, first byte, number of bytes) of the chunks, each in one piece in the file.

    Chunks divide the array, so that none is cut.
    """
    shape = layout.shape if layout.order == "C" else layout.shape[::-1]
    chunk = [1] * len(shape)
    room = max(1, _SLAB_BYTES // layout.dtype.itemsize)
    for i in reversed(range(len(shape))):
        chunk[i] = max(d for d in range(1, min(shape[i], room) + 1) if shape[i] % d == 0) if shape[i] else 1
        if chunk[i] != shape[i]:
            break
        room //= max(1, chunk[i])
    counts = [n // c for n, c in zip(shape, chunk, strict=True)]
    nbytes = math.prod(chunk) * layout.dtype.itemsize

    def places() -> Iterator[tuple[tuple[int, ...], int, int]]:
        # One axis at most is cut into pieces, and axes before it into single steps: C order is the order of the file.
        for number, index in enumerate(itertools.product(*map(range, counts))):
            yield (index if layout.order == "C" else index[::-1]), layout.byte_offset + number * nbytes, nbytes

    return (tuple(chunk) if layout.order == "C" else tuple(chunk[::-1])), places()


def _runs(out: NDArray[Any], lead: int) -> Iterator[memoryview]:
    """Yield the bytes of the contiguous parts of an array, one for each index of its leading axes, in C order."""
    if out.flags.c_contiguous:
        whole = out.reshape(-1).view(np.uint8).data
        length = len(whole) // math.prod(out.shape[:lead])
        yield from (whole[at : at + length] for at in range(0, len(whole), length))
        return
    for index in itertools.product(*map(range, out.shape[:lead])):
        yield out[_at(index)].reshape(-1).view(np.uint8).data


def _copy(out: NDArray[Any], source: NDArray[Any]) -> None:
    """Copy voxels; between opposite orders by tiles of the first and last axes, which stay in the cache."""
    if out.ndim < 2 or abs(out.strides[-1]) <= abs(out.strides[0]):
        np.copyto(out, source, casting="equiv")
        return
    rows, columns = out.shape[0], out.shape[-1]
    for middle in np.ndindex(out.shape[1:-1]):
        for r in range(0, rows, _TILE):
            for c in range(0, columns, _TILE):
                part: Any = (slice(r, r + _TILE), *middle, slice(c, c + _TILE))  # Any: an index expression
                out[part] = source[part]


def _at(index: tuple[int, ...]) -> Any:  # Any: an index expression that always gives an array
    return (*index, ...)


def leading_axes(shape: tuple[int, ...], part: tuple[int, ...]) -> int:
    """Return how many leading axes must be stepped through so that the rest is contiguous."""
    lead = len(shape)
    while lead > 0 and part[lead - 1] == shape[lead - 1]:
        lead -= 1
    return max(0, lead - 1)
