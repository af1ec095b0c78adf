"""Regions of arrays that were assigned, and which stored objects they change."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.content_pool import ContentPool
from voxarium.archive.shard_pieces import EditedShard
from voxarium.core.array import Array
from voxarium.core.index_cache import BoundedIndexCache
from voxarium.core.release_store import ReleaseStore
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.protocols import ShardedArrayDriver, WritableArrayDriver
from voxarium.spec.release import Edit, pool_key

__all__ = ["Writes", "digests_beside", "edited_objects", "fitting"]

_BESIDE: Final = (".vldtree", ".manifest.parquet")  # digests of an image, wrong once it is edited


@dataclass(slots=True)
class Writes:
    """Regions of one array that were assigned, in order."""

    boxes: list[Box] = field(default_factory=list)
    values: list[NDArray[Any]] = field(default_factory=list)

    def paste(self, box: Box, out: NDArray[Any], numbers: list[int] | None = None) -> None:
        """Put what was assigned within a box into `out`, its voxels; of some assignments only, if numbers are given."""
        for i in range(len(self.boxes)) if numbers is None else numbers:
            part = self.boxes[i].intersection(box)
            if part.size:
                out[_within(part, box)] = self.values[i][_within(part, self.boxes[i])]


def _within(part: Box, box: Box) -> tuple[slice, ...]:
    return tuple(slice(a - o, b - o) for a, b, o in zip(part.origin, part.stop, box.origin, strict=True))


def fitting(values: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:  # Any: as in `write`
    """Return values as an array of its own of a shape and type; nothing is rounded, wrapped or cut off."""
    given = np.asarray(values)
    try:
        broad = np.broadcast_to(given, shape)
    except ValueError:
        raise InputError(
            f"values of shape {given.shape} do not fit a region of {shape}",
            code=Code.ARGUMENT_INVALID,
            fix="give one value for each voxel, or one for all",
        ) from None
    if not _holds(dtype, given):
        raise InputError(
            f"values of type {given.dtype} do not all fit into {dtype}",
            code=Code.DTYPE_RANGE,
            fix="convert them yourself, so that it is plain what becomes of them",
        )
    return broad.astype(dtype)


def _holds(dtype: np.dtype[Any], given: NDArray[Any]) -> bool:
    if given.dtype == dtype or not given.size or np.can_cast(given.dtype, dtype, "safe"):
        return True
    if dtype.kind in "iu" and given.dtype.kind in "iub":
        info = np.iinfo(dtype)
        return int(given.min()) >= info.min and int(given.max()) <= info.max
    if dtype.kind in "fc" and given.dtype.kind in "iubfc":
        return given.dtype.kind not in "iub" or bool((given.astype(dtype).astype(given.dtype) == given).all())
    return False


def digests_beside(view: ReleaseStore, path: str) -> Iterator[str]:
    """Yield keys of digests beside an array or an image around it, which an edit makes wrong."""
    while path:
        yield from (key for end in _BESIDE if view.stat(key := f"{path}{end}") is not None)
        path = path.rpartition("/")[0]


def edited_objects(view: ReleaseStore, array: Array, writes: Writes, pool: ContentPool) -> Iterator[tuple[str, Edit]]:
    """Yield (key, edit) of the stored objects that assignments change."""
    driver, info = cast("WritableArrayDriver", array.driver), array.info
    sharded = info.shard_shape is not None and isinstance(driver, ShardedArrayDriver)
    shards: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    per_shard = tuple(s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True))
    touched: dict[tuple[int, ...], list[int]] = {}
    for i, box in enumerate(writes.boxes):
        for chunk in array.grid.indices(box):
            touched.setdefault(chunk, []).append(i)
    for chunk in sorted(touched):
        shards.setdefault(tuple(c // n for c, n in zip(chunk, per_shard, strict=True)), []).append(chunk)
    for index, chunks in shards.items():
        payloads = _payloads(array, chunks, writes, touched)
        if not payloads:
            continue
        if sharded:
            slots = {_slot(chunk, per_shard): data for chunk, data in payloads.items()}
            shard = EditedShard(view, array, index, slots, pool.put)
            yield shard.key, shard.edit()
        for chunk, data in () if sharded else payloads.items():
            key = _own_object(view, array, chunk)
            whole = _fill_payload(array, chunk) if data is None else data
            yield key, Edit(pool.put(pool_key, whole), len(whole))


def _slot(chunk: tuple[int, ...], per_shard: tuple[int, ...]) -> int:
    return int(np.ravel_multi_index([c % n for c, n in zip(chunk, per_shard, strict=True)], per_shard))


def _own_object(view: ReleaseStore, array: Array, chunk: tuple[int, ...]) -> str:
    """Return the key of the object that is a chunk.

    Raises
    ------
    UnsupportedError
        If chunks of this array lie in objects that hold several.
    """
    driver = cast("WritableArrayDriver", array.driver)
    key = driver.object_key(array.path, array.info, chunk)
    span = driver.locate(view, array.path, array.info, [chunk], BoundedIndexCache())[0]
    if span is None or span.key != key or span.start:
        raise UnsupportedError(
            f"chunks of {array.path} cannot be written one by one",
            code=Code.FEATURE_UNSUPPORTED,
            fix="convert it to Zarr v3 first",
        )
    return key


def _payloads(
    array: Array, chunks: list[tuple[int, ...]], writes: Writes, touched: Mapping[tuple[int, ...], list[int]]
) -> dict[tuple[int, ...], bytes | None]:
    """Return the chunks that assignments change, encoded; None for nothing but fill value."""
    found: dict[tuple[int, ...], bytes | None] = {}
    info, driver = array.info, cast("WritableArrayDriver", array.driver)
    for chunk in chunks:
        box = array.grid.clipped_box(chunk)
        before = array.read(box, threads=1)
        after = before.copy()
        writes.paste(box, after, touched[chunk])
        if after.tobytes() == before.tobytes():
            continue
        whole = after if info.clipped else _padded(after, array)
        empty = np.full(whole.shape, info.fill_value, info.dtype)
        found[chunk] = None if whole.tobytes() == empty.tobytes() else bytes(driver.encode(info, whole))
    return found


def _padded(data: NDArray[Any], array: Array) -> NDArray[Any]:
    info = array.info
    if data.shape == info.chunk_shape:
        return np.ascontiguousarray(data)
    whole = np.full(info.chunk_shape, info.fill_value, info.dtype)
    whole[tuple(slice(0, n) for n in data.shape)] = data
    return whole


def _fill_payload(array: Array, chunk: tuple[int, ...]) -> bytes:
    """Return a chunk of nothing but fill value: an object that was published is never taken away."""
    info = array.info
    shape = array.grid.clipped_box(chunk).shape if info.clipped else info.chunk_shape
    driver = cast("WritableArrayDriver", array.driver)
    return bytes(driver.encode(info, np.full(shape, info.fill_value, info.dtype)))
