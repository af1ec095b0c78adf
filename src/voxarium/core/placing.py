"""Where the parts of chunks go in a region that is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo

__all__ = ["Placer"]


class Placer:
    """Copies the part of a chunk that lies in the box to its place in the output."""

    __slots__ = ("_box", "_fill", "_lengths", "_start", "_stop", "out")

    def __init__(self, info: ArrayInfo, box: Box, out: NDArray[Any]) -> None:
        self._fill = info.fill_value
        self._lengths = np.array(info.chunk_shape, np.int64)
        self._start, self._stop = np.array(box.origin, np.int64), np.array(box.stop, np.int64)
        self._box = tuple(zip(box.origin, box.stop, info.chunk_shape, strict=True))
        self.out = out

    def _slices(self, index: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
        target, part = [], []
        for i, (start, stop, n) in zip(index, self._box, strict=True):
            at = i * n
            lo, hi = max(start, at), min(stop, at + n)
            target.append(slice(lo - start, hi - start))
            part.append(slice(lo - at, hi - at))
        return tuple(target), tuple(part)

    def places(self, indices: Sequence[tuple[int, ...]] | NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the places of chunks as `BatchDriver.decode_many` wants them, shape (chunks, 3, axes)."""
        at = np.asarray(indices, np.int64) * self._lengths
        low, high = np.maximum(self._start, at), np.minimum(self._stop, at + self._lengths)
        found = np.empty((len(at), 3, at.shape[1]), np.int64)
        np.subtract(low, at, out=found[:, 0])
        np.subtract(low, self._start, out=found[:, 1])
        np.subtract(high, low, out=found[:, 2])
        return found

    def absent(self, index: tuple[int, ...]) -> None:
        """Put the fill value where a chunk would be."""
        self.out[self._slices(index)[0]] = self._fill

    def chunk(self, index: tuple[int, ...], chunk: NDArray[Any]) -> None:
        """Put the wanted part of a chunk in its place."""
        target, part = self._slices(index)
        self.out[target] = chunk[part]
