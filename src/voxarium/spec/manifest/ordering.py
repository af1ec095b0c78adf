"""Kernels that look at keys: their order, their safety, and how two sorted lists match."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.spec.manifest.compiling import kernel, part

__all__ = ["first_disorder", "first_unsafe", "match", "sorting", "taken"]

Offsets = NDArray[np.int64]
Data = NDArray[np.uint8]


@part
def _compare(offsets: Offsets, data: Data, i: Any, others: Offsets, other: Data, j: Any) -> int:  # Any: integers
    # Compare two keys as unsigned bytes: -1, 0, 1.
    a, m = offsets[i], offsets[i + 1] - offsets[i]
    b, n = others[j], others[j + 1] - others[j]
    for k in range(min(m, n)):
        x, y = data[a + k], other[b + k]
        if x != y:
            return -1 if x < y else 1
    if m == n:
        return 0
    return -1 if m < n else 1


@kernel
def first_disorder(offsets: Offsets, data: Data) -> int:
    """Return the first position whose key is not greater than the one before; -1 when all are."""
    for i in range(1, offsets.size - 1):
        if _compare(offsets, data, i - 1, offsets, data, i) >= 0:
            return i
    return -1


@kernel
def first_unsafe(offsets: Offsets, data: Data) -> int:
    """Return the first position whose key `model.keys.checked_key` would refuse; -1 when there is none."""
    for i in range(offsets.size - 1):
        length, dots = 0, 0  # of the part at hand
        for k in range(offsets[i], offsets[i + 1] + 1):
            end = k == offsets[i + 1]
            c = 47 if end else data[k]
            if c < 32 or c in (127, 92):
                return i
            if c == 47:
                if length == dots and length <= 2:
                    return i
                length, dots = 0, 0
            else:
                length += 1
                if c == 46:
                    dots += 1
    return -1


@kernel
def sorting(offsets: Offsets, data: Data) -> NDArray[np.int64]:
    """Return the positions of keys in their order; equal keys stay in theirs. Stretches in order cost nothing."""
    n = offsets.size - 1
    order, spare = np.arange(n), np.empty(n, np.int64)
    width = 1
    while width < n:
        for low in range(0, n, 2 * width):
            middle, high = min(low + width, n), min(low + 2 * width, n)
            if middle >= high or _compare(offsets, data, order[middle - 1], offsets, data, order[middle]) <= 0:
                spare[low:high] = order[low:high]
                continue
            i, j = low, middle
            for k in range(low, high):
                left = i < middle
                if left and j < high:
                    left = _compare(offsets, data, order[i], offsets, data, order[j]) <= 0
                if left:
                    spare[k] = order[i]
                    i += 1
                else:
                    spare[k] = order[j]
                    j += 1
        order, spare = spare, order
        width *= 2
    return order


@kernel
def match(offsets: Offsets, data: Data, others: Offsets, other: Data) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for each key of two sorted lists, its position in the other list; -1 where it is not there."""
    m, n = offsets.size - 1, others.size - 1
    there, back = np.full(m, -1, np.int64), np.full(n, -1, np.int64)
    i = j = 0
    while i < m and j < n:
        c = _compare(offsets, data, i, others, other, j)
        if c == 0:
            there[i], back[j] = j, i
            i += 1
            j += 1
        elif c < 0:
            i += 1
        else:
            j += 1
    return there, back


@kernel
def taken(offsets: Offsets, data: Data, order: NDArray[np.int64]) -> tuple[Offsets, Data]:
    """Return keys in another order."""
    new = np.zeros(order.size + 1, np.int64)
    for i in range(order.size):
        new[i + 1] = new[i] + offsets[order[i] + 1] - offsets[order[i]]
    out = np.empty(new[-1], np.uint8)
    for i in range(order.size):
        at = offsets[order[i]]
        for k in range(new[i + 1] - new[i]):
            out[new[i] + k] = data[at + k]
    return new, out
