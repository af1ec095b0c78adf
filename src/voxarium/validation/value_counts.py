"""Values of arrays that state how many voxels they have of which: counted, and given to whose rules need it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from itertools import product

import numpy as np

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.core.registry import check_drivers
from voxarium.model.box import Box
from voxarium.model.histogram_checks import HistogramCheckDriver
from voxarium.model.image import ArrayInfo
from voxarium.validation.collecting import Collector

__all__ = ["check_values", "counted_values", "wanting"]

_AT_ONCE = 32 << 20  # bytes of voxels in memory, unless a chunk has more
_LARGEST = 1 << 36  # bytes of an array that is counted: annotated crops are far below


def wanting(info: ArrayInfo) -> tuple[HistogramCheckDriver, ...]:
    """Return the drivers of checks with rules about the values of an array; none for most arrays."""
    asked = (driver for driver in check_drivers() if isinstance(driver, HistogramCheckDriver))
    return tuple(driver for driver in asked if driver.wants_histogram(info))


def counted_values(array: Array, threads: int | None = None) -> dict[int, int]:
    """Return the number of voxels of an array of whole numbers by value, those in absent chunks too.

    Memory: some blocks of chunks, and an entry per value.
    """
    counts: Counter[int] = Counter()
    for box in _slabs(array):
        values, numbers = np.unique(array.read(box, threads=threads), return_counts=True)
        counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    return dict(counts)


def _slabs(array: Array) -> Iterator[Box]:
    """Yield boxes that cover an array: whole chunks along the first axes, as many axes as have to be divided."""
    shape, steps = array.shape, list(array.shape)
    for axis, chunk in enumerate(array.info.object_shape):
        if math.prod(steps) * array.dtype.itemsize <= _AT_ONCE:
            break
        steps[axis] = min(chunk, steps[axis])
    for origin in product(*(range(0, n, step or 1) for n, step in zip(shape, steps, strict=True))):
        yield Box(origin, tuple(min(s, n - o) for o, s, n in zip(origin, steps, shape, strict=True)))


def check_values(found: Collector, image: Image, threads: int | None = None) -> None:
    """Count the values of an image's levels where a rule needs them, and add what is wrong.

    Raises
    ------
    FormatError, StoreError
        If a level cannot be read.
    """
    for array in image.arrays:
        drivers = wanting(array.info) if array.dtype.kind in "iu" and array.nbytes <= _LARGEST else ()
        histogram = counted_values(array, threads) if drivers else {}
        for driver in drivers:
            found.extend(driver.check_histogram(array.path, array.info, histogram))
