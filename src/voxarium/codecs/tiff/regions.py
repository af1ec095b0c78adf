"""Voxels of TIFF files by region: only the strips or tiles that are needed are read and decoded.

tifffile parses the file once, at opening; then it is closed. Byte ranges go through the store and decoding
is free of shared state, so any number of threads may read.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.tiff.planes import read_planes
from voxarium.codecs.tiff.segments import Pages, TiffLevel
from voxarium.errors import Code, FormatError, StoreError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.model.sources import gone, place

__all__ = ["read_level"]


def read_level(level: TiffLevel, store: ReadableStore, box: Box, out: NDArray[Any]) -> None:
    """Fill `out` (shape of `box`) with voxels. The level's layout or pages are known.

    Raises
    ------
    FormatError
        If data is cut off or corrupt.
    """
    if level.layout is not None:
        _read_flat(level, level.layout, store, box, out)
        return
    pages = level.pages
    if pages is None:
        raise FormatError(
            f"{place(store, level.key)} changed since it was opened",
            code=Code.METADATA_INVALID,
            fix="open it again",
        )
    lead = len(level.shape) - len(pages.axes)
    part = _normal_box(box, pages.axes, lead)
    for index in np.ndindex(box.shape[:lead]):
        number = 0
        for i, o, n in zip(index, box.origin, level.shape, strict=False):
            number = number * n + i + o
        target = _in_normal_axes(out[(*index, ...)], pages.axes)
        _read_page((pages, number), store, part, target)


def _read_flat(level: TiffLevel, layout: FlatArray, store: ReadableStore, box: Box, out: NDArray[Any]) -> None:
    if level.starts is None:
        layout.read(store, level.key, box, out)
        return
    lead = len(level.shape) - len(layout.shape)
    part = Box(box.origin[lead:], box.shape[lead:])
    numbers = np.arange(level.starts.size).reshape(level.shape[:lead])[Box(box.origin[:lead], box.shape[:lead]).slices]
    if out.flags.c_contiguous or not lead:
        read_planes((store, level.key), layout, level.starts[numbers.reshape(-1)], part, out.reshape(-1, *part.shape))
        return
    for index in np.ndindex(numbers.shape[:-1]):
        read_planes((store, level.key), layout, level.starts[numbers[index]].reshape(-1), part, out[index])


_SLOTS: Final = {"Z": 1, "Y": 2, "X": 3}


def _slots(axes: str) -> tuple[int, ...]:
    """Return the place of each page axis among the five normal ones. Samples before Y are separate planes."""
    return tuple(_SLOTS.get(a, 0 if i < axes.find("Y") else 4) for i, a in enumerate(axes))


def _normal_box(box: Box, axes: str, lead: int) -> Box:
    origin, shape = [0] * 5, [1] * 5
    for slot, o, n in zip(_slots(axes), box.origin[lead:], box.shape[lead:], strict=True):
        origin[slot], shape[slot] = o, n
    return Box(tuple(origin), tuple(shape))


def _in_normal_axes(target: NDArray[Any], axes: str) -> NDArray[Any]:
    slots = _slots(axes)
    return np.expand_dims(target, tuple(i for i in range(5) if i not in slots))


def _read_page(page: tuple[Pages, int], store: ReadableStore, part: Box, out: NDArray[Any]) -> None:
    pages, number = page
    key = pages.key(number)
    grid = ChunkGrid(pages.normal_shape[:4], pages.segment_shape)
    counts = grid.counts
    wanted = [
        (int(np.ravel_multi_index(i, counts)), grid.clipped_box(i))
        for i in grid.indices(Box(part.origin[:4], part.shape[:4]))
    ]
    ranges = [ByteRange(int(pages.offsets[number, i]), int(pages.counts[number, i])) for i, _ in wanted]
    payloads = _fetched(store, key, ranges)
    for (i, where), span in zip(wanted, ranges, strict=True):
        region = Box((*where.origin, 0), (*where.shape, pages.normal_shape[4]))
        piece = region.intersection(part)
        target = out[piece.relative_to(part.origin).slices]
        if not span.length:
            target[...] = 0  # a sparse segment: never written
            continue
        data = _decoded(pages, number, i, next(payloads), place(store, key))
        target[...] = data[piece.relative_to(region.origin).slices[1:]]


def _fetched(store: ReadableStore, key: str, ranges: Iterable[ByteRange]) -> Any:  # Any: an iterator of bytes
    present = [r for r in ranges if r.length]
    if not present:
        return iter(())
    found = store.get_ranges(key, present)
    if found is None:
        raise gone(store, key)
    return (bytes(part) for part in found)


def _decoded(pages: Pages, number: int, segment: int, payload: bytes, where: str) -> NDArray[Any]:
    try:
        tables = pages.tables[number] if pages.tables else None
        data, _, _ = pages.decode(payload, segment, jpegtables=tables, jpegheader=pages.header)
    except (MemoryError, StoreError):
        raise
    except Exception as error:  # every codec has its own exceptions
        raise FormatError(
            f"{where}: strip or tile {segment} of page {number} cannot be decoded: {str(error)[:200]}",
            code=Code.CHUNK_CORRUPT,
            fix="copy the file again from its source, or restore it from a backup",
        ) from error
    return np.asarray(data)
