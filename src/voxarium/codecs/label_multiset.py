"""Label multisets of Paintera: for every voxel, which labels it covers how often. https://github.com/saalfeldlab/imglib2-label-multisets

A block is: a big-endian 32-bit number of labels and so many 64-bit labels, the most frequent of each voxel (recent
writers leave them out); a 32-bit byte offset for each voxel; then, little-endian, lists: a 32-bit length, and 64-bit
label and 32-bit count for each entry. Voxels share lists.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.codec import as_bytes_array, corrupt, truncated

__all__ = ["INVALID", "decode_label_multisets"]

INVALID: Final = 2**64 - 2
"""Label of a voxel that covers none, as Paintera has it."""

_ENTRY: Final = 12


def decode_label_multisets(data: Buffer, count: int) -> NDArray[np.uint64]:
    """Return the most frequent label of each voxel; of equally frequent ones the lowest, taken as signed.

    Parameters
    ----------
    data : bytes-like
        A decompressed block.
    count : int
        Voxels of the block.

    Raises
    ------
    FormatError
        If it is cut off, or a list does not lie within the block.
    """
    raw = as_bytes_array(data)
    if raw.size < 4:
        raise truncated(f"block of label multisets has only {raw.size} bytes")
    known = int.from_bytes(raw[:4].tobytes(), "big")
    start = 4 + 8 * known
    if known not in (0, count):
        raise corrupt(f"block of label multisets has {known} labels for {count} voxels")
    if raw.size < start + 4 * count:
        raise truncated(f"block of label multisets has only {raw.size} bytes for {count} voxels")
    if known:
        return raw[4:start].view(">u8").astype(np.uint64)
    at = raw[start : start + 4 * count].view(">i4").astype(np.int64)
    unique, which = np.unique(at, return_inverse=True)
    most: NDArray[np.uint64] = _most_frequent(raw[start + 4 * count :], unique)[which]
    return most


def _most_frequent(lists: NDArray[np.uint8], at: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return the most frequent label of the lists at some places."""
    if at.size and not (at[0] >= 0 and at[-1] + 4 <= lists.size):
        raise corrupt("a list of labels begins outside its block")
    lengths = _numbers(lists, at, "<i4")
    if lengths.size and (lengths.min() < 0 or int((at + 4 + _ENTRY * lengths).max()) > lists.size):
        raise corrupt("a list of labels ends outside its block")
    total = int(lengths.sum())
    if _ENTRY * total > lists.size:  # also bounds the work: lists do not overlap
        raise corrupt("lists of labels overlap")
    starts = np.cumsum(lengths) - lengths
    entries = np.repeat(at + 4 - _ENTRY * starts, lengths) + _ENTRY * np.arange(total)
    labels, counts = _numbers(lists, entries, "<i8"), _numbers(lists, entries + 8, "<i4")
    order = np.lexsort((labels, -counts, np.repeat(np.arange(at.size), lengths)))
    best = np.full(at.size, INVALID, np.uint64)
    some = np.flatnonzero(lengths)
    first = order[starts[some]]
    counted = counts[first] > 0
    best[some[counted]] = labels[first[counted]].view(np.uint64)
    return best


def _numbers(raw: NDArray[np.uint8], at: NDArray[np.int64], dtype: str) -> NDArray[np.int64]:
    """Return integers at byte offsets."""
    width = np.dtype(dtype).itemsize
    gathered: NDArray[Any] = raw[at[:, None] + np.arange(width)]
    return gathered.view(dtype).reshape(-1).astype(np.int64)
