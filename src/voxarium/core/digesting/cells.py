"""Reading some blocks of an image: about one read for each chunk that holds some of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import numpy as np

from voxarium.core.digesting.source import DigestSource
from voxarium.model.box import Box
from voxarium.spec.logical_digest import BlockGrid

__all__ = ["around", "iter_cells"]

_MOST_VOXELS: Final = 1 << 24  # that are read at a time


def around(boxes: Sequence[Box]) -> Box | None:
    """Return the smallest box around others."""
    if not boxes:
        return None
    start = np.min([b.origin for b in boxes], axis=0).tolist()
    return Box.from_bounds(tuple(start), tuple(np.max([b.stop for b in boxes], axis=0).tolist()))


def iter_cells(
    images: Sequence[DigestSource], grid: BlockGrid, numbers: Iterable[int]
) -> Iterator[tuple[Box, list[Box]]]:
    """Yield boxes to read, about one for each chunk, and the blocks in them; in the axes that count."""
    cell = _cell(images, grid)
    groups: dict[tuple[int, ...], list[Box]] = {}
    for number in numbers:
        box = grid.box(int(number))
        groups.setdefault(tuple(a // c for a, c in zip(box.origin, cell, strict=True)), []).append(box)
    for boxes in groups.values():
        whole = around(boxes)
        if whole is not None:
            yield whole, boxes


def _cell(images: Sequence[DigestSource], grid: BlockGrid) -> tuple[int, ...]:
    """Return the lengths of a piece that is read at a time: whole blocks, and where memory allows whole chunks."""
    chunks = [[image.array.info.chunk_shape[i] for i in image.counting] for image in images]
    lengths = tuple(-(-max(pair) // b) * b for b, *pair in zip(grid.block, *chunks, strict=True))
    return lengths if math.prod(lengths) <= _MOST_VOXELS else grid.block
