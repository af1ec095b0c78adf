"""Where the bytes of each chunk are: of those in shards, by the index of the shard.

A repository has no idea of shards that are split: an array whose chunks are referred to one by one is one without the
sharding codec, and a chunk that a shard does not have is one that the array does not have.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voxarium.archive.icechunk_export.planning import ExportedArray
from voxarium.core.composed import ComposedStore, Composition
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.index_cache import BoundedIndexCache
from voxarium.core.registry import array_driver
from voxarium.core.release_store import ReleaseStore
from voxarium.errors import Code, FormatError, StoreError, UnsupportedError
from voxarium.model.protocols import ByteRange
from voxarium.spec.release import Piece, is_composed

__all__ = ["Reference", "iter_references"]

_MOST_THREADS: Final = 32
_MOST_STORED: Final = 64 << 20  # of a chunk that lies in pieces


@dataclass(frozen=True, slots=True)
class Reference:
    """A chunk: its place in the grid, and a range of an object; or its bytes, where it lies in no single one."""

    index: tuple[int, ...]
    place: str
    start: int
    length: int
    data: bytes | None = None


def iter_references(store: ReleaseStore, array: ExportedArray) -> Iterator[Reference]:
    """Yield the chunks of an array that are there.

    Raises
    ------
    FormatError, ChecksumError, StoreError
        If an object is gone or has another size, or the index of a shard cannot be read.
    """
    pieces = ComposedStore(store.inner)
    objects = iter(sorted(array.objects.items()))
    if not array.split:
        for index, i in objects:
            store.get_ranges(store.manifest.keys[i], [])  # refuses what is gone or has another size
            yield _whole(store, pieces, index, i)
        return

    def read(one: tuple[tuple[int, ...], int]) -> list[Reference]:
        return _of_shard(store, pieces, array, *one)

    threads = ThreadExecutor(max(1, min(_MOST_THREADS, store.concurrency)))
    for found in threads.map_unordered(read, objects, Cancel()):
        yield from found


def _whole(store: ReleaseStore, pieces: ComposedStore, index: tuple[int, ...], i: int) -> Reference:
    return _reference(store, _places(store, pieces, i), index, 0, int(store.manifest.sizes[i]))


def _places(store: ReleaseStore, pieces: ComposedStore, i: int) -> Composition:
    """Return the ranges of objects that an object of the release consists of."""
    place, start = store.manifest.location(i)
    if not is_composed(place):
        return Composition.of([Piece(place, start, int(store.manifest.sizes[i]))])
    found = pieces.composition(place)
    if found is None:
        raise StoreError(f"{place} is gone", code=Code.STORE_UNREADABLE, fix="restore it from a copy")
    return found


def _of_shard(
    store: ReleaseStore, pieces: ComposedStore, array: ExportedArray, shard: tuple[int, ...], i: int
) -> list[Reference]:
    driver: Any = array_driver("zarr3")  # Any: of its abilities, `locate` is needed
    info = array.info
    per_shard = [s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True)]
    counts = [math.ceil(n / c) for n, c in zip(info.shape, info.chunk_shape, strict=True)]
    axes = zip(shard, per_shard, counts, strict=True)
    cells = list(itertools.product(*(range(s * n, min((s + 1) * n, count)) for s, n, count in axes)))
    spans = driver.locate(store, array.path, info, cells, BoundedIndexCache())
    composition, key = _places(store, pieces, i), store.manifest.keys[i]
    found = []
    for cell, span in zip(cells, spans, strict=True):
        if span is None:
            continue
        if not span.length or span.start + span.length > composition.size:
            raise FormatError(
                f"{key} of release {store.name} has no bytes for the chunk {cell}",
                code=Code.SHARD_INDEX_CORRUPT,
                fix="copy the shard again from its source, or leave its image out: --without",
            )
        found.append(_reference(store, composition, cell, span.start, span.length))
    return found


def _reference(
    store: ReleaseStore, composition: Composition, index: tuple[int, ...], start: int, length: int
) -> Reference:
    parts = list(composition.parts(start, start + length))
    if len(parts) == 1 and parts[0].key:
        return Reference(index, parts[0].key, parts[0].start, length)
    if length > _MOST_STORED:
        raise UnsupportedError(
            f"the chunk {index} lies in {len(parts)} pieces, of which a repository can refer to one",
            code=Code.FEATURE_UNSUPPORTED,
            fix="publish the release with --consolidate, or export chunks instead of whole shards",
        )
    return Reference(index, "", 0, length, b"".join(_bytes_of(store, part) for part in parts))


def _bytes_of(store: ReleaseStore, piece: Piece) -> bytes:
    if not piece.key:
        return piece.data
    found = store.inner.get_ranges(piece.key, [ByteRange(piece.start, piece.length)])
    if found is None:
        raise StoreError(f"{piece.key} is gone", code=Code.STORE_UNREADABLE, fix="restore it from a copy")
    return bytes(found[0])
