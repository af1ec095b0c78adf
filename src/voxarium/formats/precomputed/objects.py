"""Stored objects of a scale by their names: which chunk or shard an object is, and whether a shard is in order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar, Final

from voxarium.codecs.deflate import Gzip
from voxarium.errors import Code, FormatError, StoreError
from voxarium.formats.precomputed.scale import ScaleDetails
from voxarium.formats.precomputed.shards import shard_number
from voxarium.model.array_specs import join_key
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.spec.precomputed import ScaleInfo, ShardCheck, Sharding, chunk_name

__all__ = ["ScaleObjects"]

_SHARD: Final = re.compile(r"([0-9a-f]{1,16})\.(shard|index|data)", re.ASCII)
_GZIP: Final = Gzip(6)
_AT_ONCE: Final = 256  # indexes of minishards that are read in one call
_MOST_ENTRIES: Final = 1 << 22
_MOST_UNREADABLE: Final = 8  # then the rest of a shard is not looked at: hostile indexes may unpack to much
_COPY: Final = "the shard is damaged; copy it again from its source"


class ScaleObjects:
    """What tells the objects of a scale apart; a part of the driver of scales."""

    packed_suffixes: ClassVar[tuple[str, ...]] = (".gz", ".br", ".zst", ".zstd")
    """What CloudVolume adds to the names of chunks on local disks: such an object stands for the bare key."""

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a shard, or of a chunk when there are no shards."""
        details: ScaleDetails = info.details
        scale, counts = details.scale, details.counts()
        folder = path if details.folder is None else details.folder
        if scale.sharding is None:
            return join_key(folder, chunk_name(index[:-4:-1], scale.chunk, scale.voxel_offset, scale.size))
        cell = [i * n for i, n in zip(index[:-4:-1], counts or (1, 1, 1), strict=True)]
        suffix = ".data" if details.naming.legacy else ".shard"
        return join_key(folder, f"{scale.sharding.file_name(shard_number(scale, cell))}{suffix}")

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a chunk or shard by its key; None for other objects.

        Also None for every object where shards are no boxes, see `shares_objects`.
        """
        details: ScaleDetails = info.details
        folder = path if details.folder is None else details.folder
        name = key
        if folder:
            if not key.startswith(folder) or key[len(folder) : len(folder) + 1] != "/":
                return None
            name = key[len(folder) + 1 :]
        found = details.names.cell(name) if details.scale.sharding is None else _shard_cell(details, name)
        return None if found is None else (0,) * (info.ndim - 3) + found[::-1]

    def shares_objects(self, info: ArrayInfo, /) -> bool:
        """Tell whether chunks that are no neighbours share shards, by a hash or for want of bits."""
        details: ScaleDetails = info.details
        return details.scale.sharding is not None and details.counts() is None

    def check_object(
        self, store: ReadableStore, _path: str, info: ArrayInfo, key: str, _index: tuple[int, ...], /
    ) -> Sequence[tuple[str, str]]:
        """Return what is wrong with the indexes of a shard; what is wrong with chunks shows when they are decoded."""
        details: ScaleDetails = info.details
        found = _SHARD.fullmatch(key.rpartition("/")[2])
        if details.scale.sharding is None or found is None:
            return ()
        stem = key.rpartition(".")[0]
        index_key = key if found[2] == "shard" else f"{stem}.index"
        data_key = key if found[2] == "shard" else f"{stem}.data"
        return _checked(store, (index_key, data_key), details.scale, details.scale.sharding, int(found[1], 16))


def _shard_cell(details: ScaleDetails, name: str) -> tuple[int, int, int] | None:
    """Return the place (x, y, z) of a shard in the grid of shards; None when it is none, or has no place."""
    scale, counts = details.scale, details.counts()
    found = _SHARD.fullmatch(name)
    if found is None or scale.sharding is None or counts is None:
        return None
    if found[2] != ("data" if details.naming.legacy else "shard"):
        return None
    number = int(found[1], 16)
    if found[1] != scale.sharding.file_name(number) or number >> scale.sharding.shard_bits:
        return None
    cell = details.names.shard_cell(number << scale.sharding.local_bits)
    if cell is None:
        return None
    x, y, z = (i // n for i, n in zip(cell, counts, strict=True))
    return x, y, z


def _checked(
    store: ReadableStore, keys: tuple[str, str], scale: ScaleInfo, sharding: Sharding, number: int
) -> list[tuple[str, str]]:
    index_key, data_key = keys
    base = sharding.index_size if index_key == data_key else 0
    stat = store.stat(data_key)
    if stat is None:
        return [("its data are gone", _COPY)]
    check = ShardCheck(sharding, number, stat.size - base, scale.grid)
    head = _ranges(store, index_key, [ByteRange(0, sharding.index_size)])
    if head is None:
        return [(f"it is shorter than its index of {sharding.index_size} bytes", _COPY)]
    most = 1
    for n in scale.grid:
        most = min(most * n, _MOST_ENTRIES)
    places = check.index(head[0])
    failed = 0
    for i in range(0, len(places), _AT_ONCE):
        part = [(m, a, b) for m, a, b in places[i : i + _AT_ONCE] if _is_credible(check, m, b - a, most)]
        tables = _ranges(store, data_key, [ByteRange(base + a, b - a) for _, a, b in part])
        for (m, _, _), table in zip(part, tables or (), strict=False):
            try:
                packed = sharding.minishard_index_encoding == "gzip"
                if not check.minishard(m, _GZIP.decode(table, (0, 24 * most)) if packed else table):
                    return check.found
            except FormatError as error:
                check.unreadable(m, error.message)
                failed += 1
                if failed >= _MOST_UNREADABLE:
                    return check.found
    check.overlaps()
    return check.found


def _is_credible(check: ShardCheck, minishard: int, size: int, most: int) -> bool:
    if size <= 48 * most + (1 << 16):
        return True
    check.unreadable(minishard, f"it has {size} bytes")
    return False


def _ranges(store: ReadableStore, key: str, ranges: list[ByteRange]) -> Sequence[bytes | memoryview] | None:
    """Return parts of an object; None when it ends before them, or is gone."""
    if not ranges:
        return ()
    try:
        return store.get_ranges(key, ranges)  # type: ignore[return-value]
    except StoreError as error:
        if error.code is not Code.FILE_TRUNCATED:
            raise
        return None
