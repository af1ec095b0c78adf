"""Which voxels of a source a box of the target needs: the region, and the chunks of it that are really touched."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.resampling.positions import Bounds
from voxarium.model.box import Box

__all__ = ["Cover", "cover", "merged", "region_of"]

_BEFORE: Final = {"nearest": 0, "linear": 0, "cubic": 1}
_BEHIND: Final = {"nearest": 0, "linear": 0, "cubic": 1}  # beyond the voxel at or after the position


@dataclass(frozen=True, slots=True)
class Cover:
    """Part of a source.

    Parameters
    ----------
    region : Box
        Smallest box with every voxel that is needed; three space axes.
    boxes : tuple of Box
        Disjoint boxes inside it: all chunks that are touched, and no others.
    mask : NDArray of bool
        Which chunks those are, of all that the region touches.
    chunk : tuple of int
        Voxels per chunk.
    """

    region: Box
    boxes: tuple[Box, ...]
    mask: NDArray[np.bool_]
    chunk: tuple[int, ...]

    def holds(self, box: Box) -> bool:
        """Tell whether a box of the source is part of it."""
        if not self.region.contains(box):
            return False
        first = [o // c for o, c in zip(self.region.origin, self.chunk, strict=True)]
        part = tuple(
            slice(o // c - f, (e - 1) // c - f + 1)
            for o, e, c, f in zip(box.origin, box.stop, self.chunk, first, strict=True)
        )
        return bool(self.mask[part].all())


def _voxels(
    bounds: Bounds, shape: tuple[int, ...], interpolation: str, whole: tuple[bool, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last voxel that each cell with any position in the source needs."""
    n = np.array(shape, np.float64)
    with np.errstate(invalid="ignore"):
        touched = ((bounds.high >= -0.5) & (bounds.low < n - 0.5)).all(axis=1)  # False for NaN
    low = np.clip(bounds.low[touched], 0.0, n - 1.0)
    high = np.clip(bounds.high[touched], 0.0, n - 1.0)
    if interpolation == "nearest":
        return np.floor(low + 0.5).astype(np.int64), np.minimum(np.floor(high + 0.5), n - 1.0).astype(np.int64)
    reach = np.where(whole, 0, 1)  # positions on whole voxels need no neighbours
    first = np.floor(low).astype(np.int64) - _BEFORE[interpolation] * reach
    last = np.ceil(high).astype(np.int64) + _BEHIND[interpolation] * reach
    return np.maximum(first, 0), np.minimum(last, np.array(shape) - 1)


def region_of(
    bounds: Bounds, shape: tuple[int, ...], interpolation: str, whole: tuple[bool, ...] = (False,) * 3
) -> Box | None:
    """Return the smallest box of the source that positions within bounds need; None when they are all outside.

    Examples
    --------
    >>> at = np.array([[0.0, 0.0, 2.25]])
    >>> region_of(Bounds(at, at), (1, 1, 9), "cubic")
    Box(origin=(0, 0, 1), shape=(1, 1, 4))
    """
    first, last = _voxels(bounds, shape, interpolation, whole)
    if not len(first):
        return None
    return Box.from_bounds(tuple(first.min(axis=0).tolist()), tuple((last.max(axis=0) + 1).tolist()))


def cover(
    bounds: Bounds,
    shape: tuple[int, ...],
    chunk: tuple[int, ...],
    interpolation: str,
    whole: tuple[bool, ...] = (False,) * 3,
) -> Cover | None:
    """Return what a set of cells needs of a source; None when all of them are outside."""
    first, last = _voxels(bounds, shape, interpolation, whole)
    if not len(first):
        return None
    region = Box.from_bounds(tuple(first.min(axis=0).tolist()), tuple((last.max(axis=0) + 1).tolist()))
    steps = np.array(chunk)
    base = np.array(region.origin) // steps
    mask = np.zeros(tuple(((np.array(region.stop) - 1) // steps - base + 1).tolist()), np.bool_)
    for a, b in zip((first // steps - base).tolist(), (last // steps - base + 1).tolist(), strict=True):
        mask[a[0] : b[0], a[1] : b[1], a[2] : b[2]] = True
    boxes = []
    for found in merged(mask):
        start = (np.array(found.origin) + base) * steps
        stop = (np.array(found.stop) + base) * steps
        boxes.append(Box.from_bounds(tuple(start.tolist()), tuple(stop.tolist())).intersection(region))
    return Cover(region, tuple(boxes), mask, chunk)


def merged(mask: NDArray[Any]) -> Iterator[Box]:
    """Yield disjoint boxes that together are the cells set in a mask of three axes; rows first.

    Examples
    --------
    >>> list(merged(np.array([[[1, 1, 0], [1, 1, 1]]], bool)))
    [Box(origin=(0, 0, 0), shape=(1, 2, 2)), Box(origin=(0, 1, 2), shape=(1, 1, 1))]
    """
    left = mask.astype(np.bool_)
    for k, j, i in np.argwhere(mask).tolist():
        if not left[k, j, i]:
            continue
        row = left[k, j, i:]
        width = len(row) if row.all() else int(np.argmin(row))
        columns = slice(i, i + width)
        depth = 1
        while j + depth < mask.shape[1] and left[k, j + depth, columns].all():
            depth += 1
        rows = slice(j, j + depth)
        height = 1
        while k + height < mask.shape[0] and left[k + height, rows, columns].all():
            height += 1
        left[k : k + height, rows, columns] = False
        yield Box((k, j, i), (height, depth, width))
