"""Kernel for weighted sums along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.core.jit import kernel, part

__all__ = ["weigh_axis"]

Array = NDArray[Any]  # Any: compiled per dtype of the source


@part
def _weigh_rows(plane: Array, first: int, weights: Array, row: Array) -> None:
    for x in range(row.size):
        row[x] = weights[0] * np.float64(plane[first, x])
    for j in range(1, weights.size):
        for x in range(row.size):
            row[x] += weights[j] * np.float64(plane[first + j, x])


@kernel
def weigh_axis(src: Array, dst: Array, first: Array, count: Array, weights: Array) -> None:
    """Write ``dst[a, i, b] = sum(weights[i, j] * src[a, first[i] + j, b] for j < count[i])``, in that order
    of j.

    `src` has shape (a, n, b) and `dst` (a, m, b) and dtype float64, both in C order; `weights` has one row
    per i.
    """
    for a in range(dst.shape[0]):
        if dst.shape[2] == 1:
            for i in range(dst.shape[1]):
                t = weights[i, 0] * np.float64(src[a, first[i], 0])
                for j in range(1, count[i]):
                    t += weights[i, j] * np.float64(src[a, first[i] + j, 0])
                dst[a, i, 0] = t
        else:
            for i in range(dst.shape[1]):
                _weigh_rows(src[a], first[i], weights[i, : count[i]], dst[a, i])
