"""Cells of coarser levels, assembled from the parts that finer cells send up."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box

__all__ = ["Gatherer"]


class Gatherer:
    """Collects parts of one level into cells; hands out each cell once, when its last voxel has come.

    Parameters
    ----------
    shape : tuple of int
        Voxels of the level.
    cell : tuple of int
        Voxels per cell; the last along an axis is cut off by the level's end.
    dtype : numpy.dtype
        Type of a voxel.
    """

    def __init__(self, shape: tuple[int, ...], cell: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._whole = Box.whole(shape)
        self._cell = cell
        self._dtype = dtype
        self._pending: dict[tuple[int, ...], tuple[Box, NDArray[Any], list[int]]] = {}
        self._lock = threading.Lock()

    def room(self, box: Box) -> NDArray[Any] | None:
        """Return where a part goes, for whoever makes it to put it there; None for one that is not part of one cell."""
        key = tuple(a // c for a, c in zip(box.origin, self._cell, strict=True))
        last = tuple((b - 1) // c for b, c in zip(box.stop, self._cell, strict=True))
        if key != last or self._is_whole_cells(box):
            return None
        cell, data, _ = self._entry(key)
        room: NDArray[Any] = data[box.relative_to(cell.origin).slices]
        return room

    def insert(
        self, origin: tuple[int, ...], part: NDArray[Any], *, placed: bool = False
    ) -> Iterator[tuple[tuple[int, ...], NDArray[Any]]]:
        """Place a part (unless it is in its `room`); yield (origin, voxels) of every cell it completes."""
        box = Box(origin, part.shape)
        if self._is_whole_cells(box):
            yield origin, part  # nothing to wait for, nothing to copy
            return
        for piece in box.tiles(self._cell):
            key = tuple(a // c for a, c in zip(piece.origin, self._cell, strict=True))
            cell, data, left = self._entry(key)
            if not placed:
                data[piece.relative_to(cell.origin).slices] = part[piece.relative_to(origin).slices]
            with self._lock:
                left[0] -= piece.size
                complete = left[0] == 0
                if complete:
                    del self._pending[key]
            if complete:
                yield cell.origin, data

    def _entry(self, key: tuple[int, ...]) -> tuple[Box, NDArray[Any], list[int]]:
        """Return a cell: its region, its voxels, and how many are missing."""
        with self._lock:
            entry = self._pending.get(key)
            if entry is None:
                start = tuple(k * c for k, c in zip(key, self._cell, strict=True))
                cell = Box(start, self._cell).intersection(self._whole)
                entry = self._pending[key] = (cell, np.empty(cell.shape, self._dtype), [cell.size])
            return entry

    def _is_whole_cells(self, box: Box) -> bool:
        return all(
            a % c == 0 and (b % c == 0 or b == n)
            for a, b, c, n in zip(box.origin, box.stop, self._cell, self._whole.shape, strict=True)
        )

    @property
    def pending_bytes(self) -> int:
        """Bytes held by cells that are not complete."""
        with self._lock:
            return sum(data.nbytes for _, data, _ in self._pending.values())
