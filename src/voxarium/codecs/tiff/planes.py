"""Pages that lie uncompressed in a file, each in one piece: many of them are read with one look at the file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.protocols import ByteRange, FileStore, ReadableStore
from voxarium.model.sources import gone, place, truncated

__all__ = ["read_planes"]

_LONG_RUN: Final = 64 << 10  # as in `model.flat_array`: reading beats mapping from here on
_RANGES_AT_ONCE: Final = 512
_BYTES_AT_ONCE: Final = 32 << 20


def read_planes(
    source: tuple[ReadableStore, str], layout: FlatArray, starts: NDArray[np.int64], part: Box, out: NDArray[Any]
) -> None:
    """Fill `out` with the same part of several pages.

    Parameters
    ----------
    source : (ReadableStore, str)
        The file: its store and key.
    layout : FlatArray
        Shape and type of a page.
    starts : ndarray of int64, shape (pages,)
        Where the pages begin.
    part : Box
        What is wanted of each page.
    out : ndarray, shape (pages, *part.shape)
        Where it goes.

    Raises
    ------
    NotFoundError
        If the file is gone.
    FormatError
        If it has become too short.
    """
    store, key = source
    if not out.size:
        return
    stat = store.stat(key)
    if stat is None:
        raise gone(store, key)
    stop = int(starts.max()) + layout.stop
    if stat.size < stop:
        raise truncated(place(store, key), stat.size, stop)
    lead, run = _run(layout, part)
    local = store.local_path(key) if isinstance(store, FileStore) else None
    if local is None or run >= _LONG_RUN:
        _read_runs((store, key), _runs(layout, starts, part, lead), run, layout.dtype, out)
        return
    # A map of its own per call: unmapping gives the pages back, so memory stays at what is being read.
    mapped = np.memmap(local, np.uint8, "r", shape=(stop,))
    whole = np.asarray(mapped)
    nbytes = math.prod(layout.shape) * layout.dtype.itemsize
    for i, start in enumerate(starts.tolist()):
        page = whole[start : start + nbytes].view(layout.dtype).reshape(layout.shape)
        np.copyto(out[i], page[part.slices], casting="equiv")


def _run(layout: FlatArray, part: Box) -> tuple[int, int]:
    """Return (leading axes that must be stepped through, bytes of a run of the rest)."""
    lead = len(layout.shape)
    while lead > 0 and part.shape[lead - 1] == layout.shape[lead - 1]:
        lead -= 1
    lead = max(0, lead - 1)
    return lead, math.prod(part.shape[lead:]) * layout.dtype.itemsize


_Run = tuple[tuple[int, ...], int]


def _runs(layout: FlatArray, starts: NDArray[np.int64], part: Box, lead: int) -> Iterator[_Run]:
    """Yield (index into the output, byte offset) of every contiguous run."""
    strides = [layout.dtype.itemsize] * len(layout.shape)
    for i in reversed(range(len(layout.shape) - 1)):
        strides[i] = strides[i + 1] * layout.shape[i + 1]
    base = sum(o * s for o, s in zip(part.origin, strides, strict=True))
    for number, start in enumerate(starts.tolist()):
        for index in itertools.product(*(range(n) for n in part.shape[:lead])):
            yield (number, *index), start + base + sum(i * s for i, s in zip(index, strides, strict=False))


def _read_runs(
    source: tuple[ReadableStore, str], runs: Iterator[_Run], length: int, dtype: np.dtype[Any], out: NDArray[Any]
) -> None:
    store, key = source
    count = max(1, min(_RANGES_AT_ONCE, _BYTES_AT_ONCE // length))
    while batch := list(itertools.islice(runs, count)):
        parts = store.get_ranges(key, [ByteRange(start, length) for _, start in batch])
        if parts is None:
            raise gone(store, key)
        for (index, _), found in zip(batch, parts, strict=True):
            at: Any = (*index, ...)  # Any: an index expression that always gives an array
            target = out[at]
            target[...] = np.frombuffer(memoryview(found), dtype).reshape(target.shape)
