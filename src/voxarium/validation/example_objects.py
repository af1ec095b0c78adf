"""The stored objects of small arrays, made by a driver in memory, for trees of examples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ShardedArrayDriver, WritableArrayDriver

__all__ = ["halves", "stored_objects"]

_ABSENT = 2**64 - 1


def halves(dtype: str, shape: tuple[int, ...], many: int) -> list[NDArray[Any]]:
    """Return a volume and its half: blocks of 2 × 2 × 2 equal voxels, so that any method makes the same of it.

    Voxels are 1 to `many`.
    """
    half = tuple(-(-n // 2) for n in shape)
    coarse = (np.arange(math.prod(half)) // 7 % many + 1).astype(dtype).reshape(half)
    fine = coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)[tuple(slice(n) for n in shape)]
    return [np.ascontiguousarray(fine), coarse]


def stored_objects(driver: WritableArrayDriver, path: str, info: ArrayInfo, data: NDArray[Any]) -> dict[str, bytes]:
    """Return all objects of an array by key, chunks or shards."""
    chunks = ChunkGrid(info.shape, info.chunk_shape)
    out: dict[str, bytes] = {}
    if info.shard_shape is None or not isinstance(driver, ShardedArrayDriver):
        for index in chunks.indices():
            out[driver.object_key(path, info, index)] = _payload(driver, info, data, chunks, index)
        return out
    for index in ChunkGrid(info.shape, info.shard_shape).indices():
        out[driver.object_key(path, info, index)] = _shard(driver, info, data, chunks, index)
    return out


def _payload(
    driver: WritableArrayDriver, info: ArrayInfo, data: NDArray[Any], chunks: ChunkGrid, index: tuple[int, ...]
) -> bytes:
    part = data[chunks.clipped_box(index).slices]
    if not info.clipped:
        whole = np.full(info.chunk_shape, info.fill_value, data.dtype)
        whole[tuple(slice(n) for n in part.shape)] = part
        part = whole
    return bytes(memoryview(driver.encode(info, np.ascontiguousarray(part))))


def _shard(
    driver: ShardedArrayDriver, info: ArrayInfo, data: NDArray[Any], chunks: ChunkGrid, index: tuple[int, ...]
) -> bytes:
    layout = driver.shard_layout(info)
    table = np.full((math.prod(_counts(info)), 2), _ABSENT, np.uint64)
    body = bytes(layout.head)
    for slot, at in _slots(info, index, layout.order):
        inside = all(a < n for a, n in zip(at, chunks.counts, strict=True))
        if not inside and not layout.dense:
            continue
        if inside:
            payload = _payload(driver, info, data, chunks, at)
        else:
            payload = bytes(memoryview(driver.encode(info, np.full(info.chunk_shape, info.fill_value, info.dtype))))
        table[slot] = len(body), len(payload)
        body += payload
    head, tail = driver.pack_shard(info, index, table)
    return head + body[len(head) :] + tail


def _counts(info: ArrayInfo) -> tuple[int, ...]:
    return tuple(s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True))


def _slots(
    info: ArrayInfo, index: tuple[int, ...], order: NDArray[np.int64] | None
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """Yield slots of a shard, in the order in which chunks stand, and their places in the grid of chunks."""
    counts = _counts(info)
    for slot in range(math.prod(counts)) if order is None else order.tolist():
        inside = np.unravel_index(slot, counts)
        yield slot, tuple(i * n + int(k) for i, n, k in zip(index, counts, inside, strict=True))
