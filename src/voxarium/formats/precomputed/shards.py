"""Reading the two steps of a shard's index, and packing them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.deflate import Gzip
from voxarium.codecs.sharding import ABSENT
from voxarium.errors import Code, FormatError, StoreError
from voxarium.model.array_specs import join_key
from voxarium.model.native import Located
from voxarium.model.protocols import ByteRange, IndexCache, ReadableStore
from voxarium.spec.precomputed import (
    ScaleInfo,
    Sharding,
    dump_minishard_index,
    dump_shard_index,
    morton_codes,
    parse_minishard_index,
    parse_shard_index,
)

__all__ = ["local_codes", "locate_in_shards", "pack_indexes", "shard_number"]

_GZIP: Final = Gzip(6)
_MOST_ENTRIES: Final = 1 << 22
_MOST_JOINED: Final = 64
_MOST_JOINED_ENTRIES: Final = 1 << 15
_FAR: Final = np.uint64(1 << 62)
_MEND: Final = "the shard is damaged; copy it again from its source"


class _Shard:
    """What is known of one shard: its index, and those of the minishards that were asked for."""

    __slots__ = ("_joined", "_known", "_sharding", "_size", "_table", "base", "data_key", "index_key", "nbytes")

    def __init__(
        self, keys: tuple[str, str], table: NDArray[np.uint64], sharding: Sharding, base: int, size: int | None
    ) -> None:
        self.index_key, self.data_key = keys
        self.base = base  # where the data begin in their object
        self._table = table
        self._sharding = sharding
        self._size = size
        self._known: dict[int, NDArray[np.uint64]] = {}
        self._joined: tuple[frozenset[int], NDArray[np.uint64]] = frozenset(), np.zeros((3, 0), np.uint64)
        # The tables to come are counted in advance: they unpack to about four times as much, and are kept twice.
        self.nbytes = table.nbytes + 8 * int((table[:, 1] - table[:, 0]).sum() & np.uint64((1 << 40) - 1))

    def find(
        self, store: ReadableStore, codes: NDArray[np.uint64], minishards: NDArray[np.uint64], most: int
    ) -> tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.uint64]]:
        """Return which of the chunks are there, and their places and lengths."""
        wanted = _unique(minishards)
        self._load(store, wanted, most)
        joined = self._join(wanted)
        if joined is not None:
            return _look_up(joined, codes)
        parts = []
        for m in wanted:
            rows = np.flatnonzero(minishards == np.uint64(m))
            found, first, length = _look_up(self._known[m], codes[rows])
            parts.append((rows[found], first, length))
        rows, first, length = (np.concatenate(part) for part in zip(*parts, strict=True))
        return rows, first, length

    def _join(self, wanted: Sequence[int]) -> NDArray[np.uint64] | None:
        """Return the indexes known, those wanted among them, as one; None where they are many or long."""
        numbers, joined = self._joined
        if not numbers.issuperset(wanted):
            if len(self._known) > _MOST_JOINED:
                return None
            known = dict(self._known)  # other threads may add to it
            if sum(table.shape[1] for table in known.values()) > _MOST_JOINED_ENTRIES:
                return None
            joined = np.concatenate(list(known.values()), axis=1)
            joined = joined[:, np.argsort(joined[0], kind="stable")]
            self._joined = frozenset(known), joined  # at once: it may be older than another thread's, never wrong
        return joined

    def _load(self, store: ReadableStore, minishards: Sequence[int], most: int) -> None:
        """Read the indexes of minishards that are not known yet, in one call."""
        wanted = [m for m in minishards if m not in self._known]
        if not wanted:
            return
        ranges = []
        for m in wanted:
            start, end = (int(v) for v in self._table[m])
            if end - start > 48 * most + (1 << 16) or (self._size is not None and end > self._size):
                raise self._broken(f"the index of minishard {m} is said to be at {start}–{end}")
            ranges.append(ByteRange(self.base + start, end - start))
        for m, part in zip(wanted, self._read(store, ranges), strict=True):
            table = self._parsed(part, most)
            # A chunk in a minishard that is not its own is not found there.
            self._known[m] = table[:, self._sharding.place(table[0])[1] == np.uint64(m)]

    def _read(self, store: ReadableStore, ranges: list[ByteRange]) -> Sequence[Buffer]:
        present = [r for r in ranges if r.length]
        try:
            parts = store.get_ranges(self.data_key, present) if present else []
        except StoreError as error:
            if error.code is not Code.FILE_TRUNCATED:
                raise
            raise self._broken("it ends before the index of a minishard") from error
        if parts is None:
            raise self._broken("its data are gone")
        found = iter(parts)
        return [next(found) if r.length else b"" for r in ranges]

    def _parsed(self, data: Buffer, most: int) -> NDArray[np.uint64]:
        try:
            if memoryview(data).nbytes and self._sharding.minishard_index_encoding == "gzip":
                data = _GZIP.decode(data, (0, 24 * most))
            return parse_minishard_index(data, self._size)
        except FormatError as error:
            raise self._broken(error.message) from error

    def _broken(self, what: str) -> FormatError:
        return FormatError(f"shard {self.index_key}: {what}", code=Code.SHARD_INDEX_CORRUPT, fix=_MEND)


def _load(store: ReadableStore, keys: tuple[str, str], sharding: Sharding) -> _Shard | None:
    """Read the index of a shard; None when there is no such object."""
    index_key, data_key = keys
    n = sharding.index_size
    try:
        parts = store.get_ranges(index_key, [ByteRange(0, n)])
    except StoreError as error:
        if error.code is not Code.FILE_TRUNCATED:
            raise
        raise FormatError(
            f"shard {index_key} is shorter than its index of {n} bytes", code=Code.SHARD_INDEX_CORRUPT, fix=_MEND
        ) from error
    if parts is None:
        return None
    base = n if index_key == data_key else 0
    # The size costs nothing for a local file, a round trip elsewhere; there, reading beyond the end fails.
    stat = store.stat(data_key) if store.concurrency == 1 else None
    try:
        table = parse_shard_index(parts[0], sharding)
    except FormatError as error:
        raise type(error)(f"shard {index_key}: {error.message}", code=error.code, fix=error.fix) from error
    return _Shard(keys, table, sharding, base, None if stat is None else stat.size - base)


def _find(store: ReadableStore, stem: str, sharding: Sharding, cache: IndexCache, legacy: bool | None) -> _Shard | None:
    kinds = [(f"{stem}.shard", f"{stem}.shard"), (f"{stem}.index", f"{stem}.data")]
    for keys in kinds[:1] if legacy is False else kinds[1:] if legacy else kinds:
        found = cache.get(store, keys[0], partial(_load, store, keys, sharding))
        if isinstance(found, _Shard):
            return found
    return None


def locate_in_shards(
    store: ReadableStore,
    folder: str,
    scale: ScaleInfo,
    cells: NDArray[np.int64],
    cache: IndexCache,
    *,
    legacy: bool | None,
) -> Located:
    """Return where chunks are, by their cells (x, y, z), of shape (chunks, 3)."""
    objects, starts, sizes = np.full((3, len(cells)), -1, np.int64)
    keys: list[str] = []
    sharding = scale.sharding
    if sharding is None:  # pragma: no cover  callers checked
        return Located(keys=keys, objects=objects, starts=starts, lengths=sizes)
    codes = morton_codes(cells, scale.grid)
    shards, minishards = sharding.place(codes)
    most = min(math.prod(scale.grid), _MOST_ENTRIES)
    for number in _unique(shards):
        stem = join_key(folder, sharding.file_name(number))
        shard = _find(store, stem, sharding, cache, legacy)
        if shard is None:
            continue
        members = np.flatnonzero(shards == np.uint64(number))
        found, first, length = shard.find(store, codes[members], minishards[members], most)
        rows = members[found]
        objects[rows] = len(keys)
        # Absurd numbers stay absurd, but fit: whoever reads there finds nothing.
        starts[rows] = shard.base + np.minimum(first, _FAR).astype(np.int64)
        sizes[rows] = np.minimum(length, _FAR).astype(np.int64)
        keys.append(shard.data_key)
    return Located(keys=keys, objects=objects, starts=starts, lengths=sizes)


def _look_up(
    table: NDArray[np.uint64], codes: NDArray[np.uint64]
) -> tuple[NDArray[np.intp], NDArray[np.uint64], NDArray[np.uint64]]:
    """Return which of the codes an index has, and the places and lengths it gives."""
    known, first, length = table
    if not len(known):
        return np.zeros(0, np.intp), first, length
    places = np.minimum(np.searchsorted(known, codes), len(known) - 1)
    found = np.flatnonzero(known[places] == codes)
    places = places[found]
    return found, first[places], length[places]


def _unique(values: NDArray[np.uint64]) -> list[int]:
    return sorted(set(values.tolist()))  # they are few, and numpy.unique takes 10 µs for one


# ---------------------------------------------------------------------------------------------------- write
def shard_number(scale: ScaleInfo, cell: Sequence[int]) -> int:
    """Return the number of the shard that holds a cell (x, y, z)."""
    if scale.sharding is None:  # pragma: no cover  callers checked
        return 0
    return int(scale.sharding.place(morton_codes(np.array([cell], np.int64), scale.grid))[0][0])


@lru_cache(maxsize=64)
def local_codes(counts: tuple[int, int, int], grid: tuple[int, int, int]) -> NDArray[np.uint64]:
    """Return the codes of the slots of a shard at the origin, in C order of (z, y, x), from counts (x, y, z)."""
    z, y, x = np.indices(counts[::-1]).reshape(3, -1)
    codes = morton_codes(np.stack([x, y, z], axis=1), grid)
    codes.flags.writeable = False
    return codes


def pack_indexes(sharding: Sharding, keys: NDArray[np.uint64], table: NDArray[np.uint64]) -> tuple[bytes, bytes]:
    """Return the index of a shard, which stands before its chunks, and those of its minishards, behind them.

    Parameters
    ----------
    sharding : Sharding
        Of the scale.
    keys : ndarray of uint64, shape (slots,)
        Code of each slot.
    table : ndarray of uint64, shape (slots, 2)
        Byte offset within the object, and length; 2**64 - 1 where no chunk is.
    """
    base = sharding.index_size
    present = np.flatnonzero(table[:, 1] != np.uint64(ABSENT))
    present = present[np.argsort(keys[present])]
    starts, sizes = table[present].T
    end = int((starts + sizes).max(initial=np.uint64(base))) - base
    starts = starts - np.uint64(base)
    minishards = sharding.place(keys[present])[1]
    index = np.full((1 << sharding.minishard_bits, 2), end, np.uint64)
    tail: list[bytes] = []
    for m in range(len(index)):
        index[m] = end
        rows = np.flatnonzero(minishards == np.uint64(m))
        if len(rows):
            packed = dump_minishard_index(keys[present][rows], starts[rows], sizes[rows])
            if sharding.minishard_index_encoding == "gzip":
                packed = _GZIP.encode(packed)
            tail.append(packed)
            end += len(packed)
        index[m, 1] = end
    return dump_shard_index(index), b"".join(tail)
