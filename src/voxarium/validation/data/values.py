"""What the voxels of a level are: within the stated range, numbers, and how many of each."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.model.checking import Sheet

__all__ = ["Values"]

_MOST_VALUES: Final = 1 << 22


class Values:
    """Counts over one level. Safe to use from several threads.

    Parameters
    ----------
    image : Image
        The image.
    level : int
        Which level.
    histogram : bool
        Whether every value is counted.
    """

    def __init__(self, image: Image, level: int, *, histogram: bool) -> None:
        array = image.arrays[level]
        self.level, self.path, self.dtype = level, array.path, array.dtype
        self.nans = self.voxels = 0
        self._size, self._fill = array.size, array.info.fill_value
        self.least: Any = None
        self.most: Any = None
        self._range = _stated_range(image) if level == 0 and array.dtype.kind in "iuf" else None
        self._counts: Counter[int] | None = Counter() if histogram and array.dtype.kind in "iub" else None
        self._lock = threading.Lock()

    @property
    def histogram(self) -> dict[int, int] | None:
        """Voxels per value; None when they were not counted, or are too many different ones."""
        return None if self._counts is None else dict(self._counts)

    @property
    def looks(self) -> bool:
        """Whether anything is to be learned from the voxels."""
        return self.dtype.kind == "f" or self._range is not None or self._counts is not None

    def take_unseen(self, count: int) -> None:
        """Count voxels that somebody else has looked at."""
        with self._lock:
            self.voxels += count

    def take(self, voxels: NDArray[Any], unknown: NDArray[np.bool_] | None) -> None:
        """Count a block."""
        with self._lock:
            self.voxels += voxels.size
        if voxels.dtype.kind == "f" and voxels.size:
            self._take_nans(voxels)
        if self._range is not None and unknown is None and voxels.size:
            self._take_range(voxels)
        if self._counts is not None:
            self._take_counts(voxels if unknown is None else voxels[~unknown])

    def take_fill(self, fill: Any, count: int) -> None:
        """Count voxels of chunks that do not exist."""
        if not count:
            return
        self.take(np.full(1, fill, self.dtype), None)
        with self._lock:
            self.voxels += count - 1
        if self._counts is not None:
            with self._lock:
                self._counts[int(fill)] += count - 1

    def take_rest(self) -> int:
        """Count all voxels that were not seen as fill value; return how many."""
        rest = self._size - self.voxels
        self.take_fill(self._fill, rest)
        return rest

    def _take_nans(self, voxels: NDArray[Any]) -> None:
        if np.isnan(np.min(voxels)):  # the least of all is NaN when any is
            count = int(np.isnan(voxels).sum())
            with self._lock:
                self.nans += count

    def _take_range(self, voxels: NDArray[Any]) -> None:
        least, most = np.fmin.reduce(voxels, None), np.fmax.reduce(voxels, None)
        with self._lock:
            self.least = least if self.least is None else min(self.least, least)
            self.most = most if self.most is None else max(self.most, most)

    def _take_counts(self, voxels: NDArray[Any]) -> None:
        values, counts = np.unique(voxels, return_counts=True)
        with self._lock:
            if self._counts is None:
                return
            self._counts.update(dict(zip(values.tolist(), counts.tolist(), strict=True)))
            if len(self._counts) > _MOST_VALUES:
                self._counts = None

    def report(self, sheet: Sheet) -> None:
        """Report what is out of the ordinary."""
        sheet.key = self.path
        if self.nans:
            says = f"{self.nans:,} voxels of level {self.level} are no numbers (NaN)"
            sheet.report("DA-029", says, "say what they stand for", values=(0, self.nans))
        if self._range is None or self.least is None:
            return
        low, high = self._range
        if self.least < low or self.most > high:
            says = f"voxels run from {self.least} to {self.most}, the range that is stated from {low:g} to {high:g}"
            sheet.report("DA-028", says, "correct the range", values=([low, high], [str(self.least), str(self.most)]))


def _stated_range(image: Image) -> tuple[float, float] | None:
    """Return the range that all voxels are said to lie in."""
    if image.info.value.valid_range is not None:
        return image.info.value.valid_range
    limits = [c.limits for c in image.info.display.channels]
    known = [pair for pair in limits if pair is not None]
    if not known or len(known) < len(limits):
        return None
    return min(a for a, _ in known), max(b for _, b in known)
