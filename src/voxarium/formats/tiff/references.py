"""Strips and tiles that other readers can use where they are."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from voxarium.codecs.tiff import TiffLevel
from voxarium.codecs.tiff.segments import Pages
from voxarium.model.grid import ChunkGrid
from voxarium.model.native import Span
from voxarium.model.references import Referable, flat_chunks, flat_referable, not_referable

__all__ = ["referable", "stored_chunks"]

_Found = Iterator[tuple[tuple[int, ...], Span | None]]


def referable(level: TiffLevel) -> Referable:
    """Return how others decode the strips or tiles of a level.

    Raises
    ------
    UnsupportedError
        If other readers could not: a predictor, JPEG, LZW, bits that are no whole bytes.
    """
    if level.layout is not None and level.starts is None:
        return flat_referable(level.layout)
    if level.layout is not None:
        lead = len(level.shape) - len(level.layout.shape)
        return Referable(chunk_shape=(1,) * lead + level.layout.shape, dtype=level.layout.dtype)
    pages = level.pages
    if pages is None or pages.stored is None:
        raise not_referable(level.key, f"other readers do not know how its pages are stored ({level.compression})")
    lead = len(level.shape) - len(pages.axes)
    return Referable(
        chunk_shape=(1,) * lead + _page_chunk(pages), dtype=pages.stored.dtype, compressor=pages.stored.compressor
    )


def stored_chunks(level: TiffLevel) -> _Found:
    """Yield where strips and tiles are; None for a strip that is cut, where the image ends."""
    if level.layout is not None and level.starts is None:
        yield from flat_chunks(level.layout, level.key)
    elif level.layout is not None and level.starts is not None:
        lead = len(level.shape) - len(level.layout.shape)
        length = math.prod(level.layout.shape) * level.layout.dtype.itemsize
        rest = (0,) * len(level.layout.shape)
        for index, start in zip(np.ndindex(level.shape[:lead]), level.starts.tolist(), strict=True):
            yield (*index, *rest), Span(level.key, start, length)
    elif level.pages is not None:
        lead = len(level.shape) - len(level.pages.axes)
        for number, index in enumerate(np.ndindex(level.shape[:lead])):
            for place, span in _page_chunks(level.pages, number):
                yield (*index, *place), span


def _axes(pages: Pages) -> list[int]:
    """Return, for each axis of a page, which of (samples, depth, rows, columns, interleaved samples) it is."""
    normal = {"Z": 1, "Y": 2, "X": 3}
    return [normal.get(a, 0 if i == 0 else 4) for i, a in enumerate(pages.axes)]


def _page_chunk(pages: Pages) -> tuple[int, ...]:
    segment = (*pages.segment_shape, pages.normal_shape[4])
    return tuple(segment[i] for i in _axes(pages))


def _page_chunks(pages: Pages, number: int) -> _Found:
    grid = ChunkGrid(pages.normal_shape[:4], pages.segment_shape)
    nbytes = math.prod(pages.segment_shape) * pages.normal_shape[4]
    axes = _axes(pages)
    stored = pages.stored
    for i, place in enumerate(grid.indices()):
        start, length = int(pages.offsets[number, i]), int(pages.counts[number, i])
        if length == 0 or stored is None:
            continue
        whole = stored.padded or grid.clipped_box(place).shape == pages.segment_shape
        whole = whole and (stored.compressor is not None or length == nbytes * stored.dtype.itemsize)
        index = (*place, 0)
        yield tuple(index[a] for a in axes), Span(pages.key(number), start, length) if whole else None
