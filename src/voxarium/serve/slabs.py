"""Voxels of files whose chunks are much larger than what viewers ask for, decoded once for many requests.

A folder of PNG slices has a chunk for each slice; a cube of 64³ voxels takes 64 of them, and so does the one beside it.
What was decoded is kept in slabs: whole chunks along all axes, as many of them as a cube needs.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.recent import Recent
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid

__all__ = ["MadeOnce", "SlabArray", "cube_of", "in_slabs"]

_EDGE: Final = 64  # of a cube that viewers ask for
_SLAB: Final = 64 << 20  # bytes of several chunks together
_MOST: Final = 256 << 20  # bytes of all slabs that are kept, and of a chunk that can be one
_WASTE: Final = 4  # how much more than a cube may be decoded for it

_K = TypeVar("_K", bound=Hashable)


class MadeOnce(Generic[_K]):
    """Voxels that were made, within a number of bytes. Thread-safe: what several ask for at once is made once.

    Parameters
    ----------
    most : int
        Bytes that are kept together.
    """

    def __init__(self, most: int) -> None:
        self._kept: Recent[_K, NDArray[Any]] = Recent(most, lambda found: found.nbytes)
        self._lock = threading.Lock()
        self._busy: dict[_K, threading.Lock] = {}

    def get(self, key: _K, make: Callable[[], NDArray[Any]], *, wait: bool = True) -> NDArray[Any] | None:
        """Return the voxels of a key, calling `make` where they are not kept; None while another makes them.

        With `wait` they are waited for.
        """
        with self._lock:
            mine = self._busy.setdefault(key, threading.Lock())
        if not mine.acquire(blocking=wait):
            return None
        try:
            return self._kept.get(key, make)
        finally:
            mine.release()
            with self._lock:
                self._busy.pop(key, None)


_numbers: Final = itertools.count()
_kept: Final = MadeOnce[tuple[int, tuple[int, ...]]](_MOST)
_known: Final[WeakKeyDictionary[Image, Image]] = WeakKeyDictionary()


def in_slabs(image: Image) -> Image:
    """Return an image that keeps what it decodes, where its levels have large chunks; else the image itself.

    Asked twice about the same, the answer is the same: all views of an image share what was decoded.
    """
    found = _known.get(image)
    if found is None:
        found = _in_slabs(image)
        if found is not image:
            found = _known.setdefault(image, found)
    return found


def _in_slabs(image: Image) -> Image:
    arrays = tuple(SlabArray(array, slab) if (slab := _slab_of(array)) else array for array in image.arrays)
    if all(a is b for a, b in zip(arrays, image.arrays, strict=True)):
        return image
    return Image(image.store, image.path, image.info, arrays)


def cube_of(image: Image, space: Sequence[int]) -> tuple[int, ...]:
    """Return the chunk in which an image is best shown: a cube, or a flat one where a slab is no deeper.

    Parameters
    ----------
    image : Image
        Perhaps from `in_slabs`.
    space : sequence of int
        Its axes of space.
    """
    first = image.arrays[0]
    if not isinstance(first, SlabArray) or len(space) != 3:
        return (_EDGE,) * max(1, len(space))
    depth = min(_EDGE, first.slab[space[0]])
    if depth == min(_EDGE, first.shape[space[0]]):
        return (_EDGE,) * 3
    across = _EDGE * 2 ** min(2, round(math.log2(_EDGE / depth) / 2))
    return (depth, across, across)


def _slab_of(array: Array) -> tuple[int, ...] | None:
    """Return the shape of slabs of an array; None where cubes waste little, or chunks are too large."""
    info = array.info
    if info.contiguous or 0 in info.shape:
        return None
    chunk = [min(max(1, c), n) for c, n in zip(info.chunk_shape, info.shape, strict=True)]
    cube = [min(_EDGE, n) for n in info.shape]
    decoded = math.prod(-(-e // c) * c for e, c in zip(cube, chunk, strict=True))
    size = math.prod(chunk) * info.dtype.itemsize
    if decoded <= _WASTE * math.prod(cube) or size > _MOST // 2:
        return None
    slab = list(chunk)
    for i in reversed(range(len(slab))):
        fits = max(1, _SLAB // (math.prod(slab) * info.dtype.itemsize))
        slab[i] = min(chunk[i] * min(fits, max(1, _EDGE // chunk[i])), info.shape[i])
    return tuple(slab)


class SlabArray(Array):
    """An array that keeps what was decoded. Thread-safe: what several ask for at once is decoded once.

    Parameters
    ----------
    stored : Array
        Reads.
    slab : tuple of int
        Shape of what is decoded together.
    """

    def __init__(self, stored: Array, slab: tuple[int, ...]) -> None:
        super().__init__(stored.driver, stored.store, stored.path, stored.info)
        self.slab = slab
        self._stored = stored
        self._grid = ChunkGrid(stored.shape, slab)
        self._number = next(_numbers)

    @override
    def read(
        self, box: Box | None = None, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]:
        box, out = self._checked(box, out)
        if box.size * self.dtype.itemsize > _MOST:
            return self._stored.read(box, out=out, threads=threads)
        for index in self._grid.indices(box):
            cell = self._grid.clipped_box(index)
            voxels = self._slab(index, cell)
            part = cell.intersection(box)
            out[part.relative_to(box.origin).slices] = voxels[part.relative_to(cell.origin).slices]
        return out

    def _slab(self, index: tuple[int, ...], cell: Box) -> NDArray[Any]:
        found = _kept.get((self._number, index), partial(self._decoded, cell))
        return self._decoded(cell) if found is None else found

    def _decoded(self, cell: Box) -> NDArray[Any]:
        voxels = self._stored.read(cell)
        voxels.setflags(write=False)
        return np.asarray(voxels)
