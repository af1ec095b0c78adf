"""Objects being written: chunks arrive in any order and are laid down in one order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.crc32c import crc32c_combine, crc32c_extend
from voxarium.conversion.finished import FinishedObject
from voxarium.conversion.order import Steps, chunk_order
from voxarium.core.digests import Digester, digests_of
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import (
    ObjectWriter,
    PatchableWriter,
    ShardedArrayDriver,
    ShardLayout,
    WritableArrayDriver,
    WritableStore,
)

__all__ = ["LevelWriter"]

_ABSENT: Final = np.uint64(2**64 - 1)
_MOST_QUEUED: Final = 64 << 20
Index = tuple[int, ...]


class LevelWriter:
    """Writes the objects of one level. Each object is written once, by whichever thread completes a run of it.

    Parameters
    ----------
    driver, store : WritableArrayDriver, WritableStore
        Who encodes, and where to.
    path : str
        The level's array in the store.
    info : ArrayInfo
        The level's array.
    order : (cell, scale, steps)
        Defines the order of chunks in a shard; see `order.chunk_order`.
    finished : callable
        Called once per object when it has its final name.
    checksum : bool
        Whether to take a CRC-32C of objects as their bytes pass.
    digests : tuple of str
        Which digests to take of them.
    """

    def __init__(
        self,
        driver: WritableArrayDriver,
        store: WritableStore,
        path: str,
        info: ArrayInfo,
        *,
        order: tuple[tuple[int, ...], tuple[int, ...], Steps],
        finished: Callable[[FinishedObject], None],
        checksum: bool,
        digests: tuple[str, ...] = (),
    ) -> None:
        self._driver = driver
        self._store = store
        self._path = path
        self._digests = digests
        self.info = info
        self._order = order
        self._finished = finished
        self._checksum = checksum
        self._sharded = driver if isinstance(driver, ShardedArrayDriver) and info.shard_shape is not None else None
        self.layout = ShardLayout() if self._sharded is None else self._sharded.shard_layout(info)
        self._grid = ChunkGrid(info.shape, info.chunk_shape)
        self.per_object = tuple(s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True))
        self._filler: bytes | None = None
        # Position of each slot in the order the format demands, if it does.
        self._ranks = None if self.layout.order is None else np.argsort(self.layout.order)
        self._open: dict[Index, _Shard] = {}
        self._lock = threading.Lock()

    def key(self, index: Index) -> str:
        """Return the key of a stored object."""
        return self._driver.object_key(self._path, self.info, index)

    def put(self, index: Index, chunks: Iterable[tuple[Index, Buffer | None]]) -> None:
        """Take chunks (index within the level, payload; None = absent) of the object at grid `index`."""
        if self.info.shard_shape is None:
            for _, payload in chunks:
                self._put_plain(index, payload)
            return
        shard = self._shard(index)
        if shard.put(chunks):
            self._finish(index, shard)

    def put_run(self, index: Index, chunks: list[Index], packed: NDArray[np.uint8], sizes: NDArray[np.int64]) -> None:
        """Take chunks of the object at grid `index`, encoded one behind the other; size 0 = absent."""
        if self.info.shard_shape is None:
            end = 0
            for n in sizes.tolist():
                end += n
                self._put_plain(index, packed[end - n : end].data if n else None)
            return
        shard = self._shard(index)
        if shard.put_run(chunks, packed, sizes):
            self._finish(index, shard)

    def _shard(self, index: Index) -> _Shard:
        with self._lock:
            shard = self._open.get(index)
            if shard is None:
                shard = self._open[index] = self._begin(index)
            return shard

    def _finish(self, index: Index, shard: _Shard) -> None:
        with self._lock:
            del self._open[index]
        self._finished(shard.finish())

    def in_order(self, index: Index, chunks: list[Index]) -> list[Index]:
        """Return chunks of the object at grid `index` in the order in which it holds them."""
        return chunks if self.info.shard_shape is None else self._shard(index).in_order(chunks)

    def _ranked(self, chunks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return chunk indices of one object, shape (n, axes), in the order in which a shard holds them."""
        if self._ranks is not None:
            inside = chunks % np.asarray(self.per_object)
            return chunks[np.argsort(self._ranks[np.ravel_multi_index(tuple(inside.T), self.per_object)])]
        cell, scale, steps = self._order
        return chunks[chunk_order(chunks, self.info.chunk_shape, cell, scale, steps)]

    def _put_plain(self, index: Index, payload: Buffer | None) -> None:
        key = self.key(index)
        if payload is None:
            self._finished(FinishedObject(key, 0, 0))
            return
        writer = self._store.create(key)
        try:
            writer.write(payload)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
        crc = crc32c_extend(0, payload) if self._checksum else None
        digester = Digester(self._digests)
        digester.update(payload)
        self._finished(FinishedObject(key, memoryview(payload).nbytes, crc, **digester.digests()))

    def _begin(self, index: Index) -> _Shard:
        """Lay out a shard: which chunks it will hold, and in which order."""
        first = tuple(i * n for i, n in zip(index, self.per_object, strict=True))
        stop = tuple(f + n for f, n in zip(first, self.per_object, strict=True))
        ends = stop if self.layout.dense else self._grid.counts
        spans = [range(f, min(f + n, c)) for f, n, c in zip(first, self.per_object, ends, strict=True)]
        mesh = np.meshgrid(*(np.asarray(s, np.int64) for s in spans), indexing="ij")
        ranked = self._ranked(np.stack([m.ravel() for m in mesh], axis=1))
        slots = np.ravel_multi_index(tuple((ranked - np.asarray(first)).T), self.per_object)
        place = {
            tuple(c): (rank, slot) for rank, (c, slot) in enumerate(zip(ranked.tolist(), slots.tolist(), strict=True))
        }
        if self._sharded is None:  # pragma: no cover  callers checked
            raise TypeError("no shards")
        where = (self.key(index), index)
        shard = _Shard(
            self._sharded, self._store, where, self.info, place, head=self.layout.head, checksum=self._checksum
        )
        shard.take_digests(self._digests)
        if self.layout.optional:
            shard.blank = self.fill_chunk()
        counts = self._grid.counts
        outside = [c for c in place if any(i >= n for i, n in zip(c, counts, strict=True))]
        if outside:
            filler = self.fill_chunk()
            shard.put((c, filler) for c in outside)
        return shard

    def fill_chunk(self) -> bytes:
        """Return a chunk of nothing but fill value, as stored."""
        if self._filler is None:
            chunk = np.full(self.info.chunk_shape, self.info.fill_value, self.info.dtype)
            self._filler = bytes(self._driver.encode(self.info, chunk))
        return self._filler

    def abort(self) -> None:
        """Forget unfinished objects."""
        with self._lock:
            for shard in self._open.values():
                shard.abort()
            self._open.clear()


class _Shard:
    """One open shard. Chunks are laid down in one order, by one thread at a time, and nobody waits for that thread.

    Whoever completes a run of chunks queues it. If another thread is writing, it takes the queue along; so threads
    go on encoding meanwhile. The index comes last.
    """

    def __init__(
        self,
        driver: ShardedArrayDriver,
        store: WritableStore,
        where: tuple[str, Index],
        info: ArrayInfo,
        place: dict[Index, tuple[int, int]],
        *,
        head: int,
        checksum: bool,
    ) -> None:
        self._driver = driver
        self._store = store
        self._key, self._index = where
        self._info = info
        self._place = place  # chunk → position in the writing order, slot in the index
        per_shard = ChunkGrid(info.object_shape, info.chunk_shape).size
        self._table: NDArray[np.uint64] = np.full((per_shard, 2), _ABSENT, np.uint64)
        self._position = head
        self._head = head
        self._held: list[Buffer] | None = None
        self._early: dict[int, tuple[int, Buffer | None]] = {}
        self._next = 0
        self._queue: list[Buffer] = []
        self._queued = 0
        self._writing = self._told = self._failed = False
        self._crc = 0 if checksum else None
        self._digests: tuple[str, ...] = ()
        self._digester: Digester | None = None
        self.blank: bytes | None = None  # the chunk of fill value, until there is any other: such a shard is absent
        self._writer: ObjectWriter | None = None
        self._state = threading.Condition()

    def take_digests(self, digests: tuple[str, ...]) -> None:
        """Take digests of the object as its bytes pass. Those of one that begins with its head have to wait for it."""
        self._digests = digests
        self._digester = Digester(digests) if digests and not self._head else None

    def in_order(self, chunks: list[Index]) -> list[Index]:
        """Return chunks in the order in which they are laid down."""
        return sorted(chunks, key=self._place.__getitem__)  # the position comes first there

    def put(self, chunks: Iterable[tuple[Index, Buffer | None]]) -> bool:
        """Take chunks; tell whether this call completed the shard."""
        with self._state:
            for index, payload in chunks:
                rank, slot = self._place[index]
                self._early[rank] = (slot, payload)
            self._take_early()
        return self._drain()

    def put_run(self, chunks: list[Index], packed: NDArray[np.uint8], sizes: NDArray[np.int64]) -> bool:
        """Take chunks encoded one behind the other (size 0 = absent); tell whether this call completed the shard.

        A run that continues the shard, as most do, is written in one piece.
        """
        ends = np.cumsum(sizes)
        with self._state:
            places = [self._place[i] for i in chunks]
            first = places[0][0]
            if first == self._next and [p[0] for p in places] == list(range(first, first + len(places))):
                present = sizes > 0
                slots = np.array([p[1] for p in places])[present]
                self._table[slots, 0] = (self._position + ends - sizes)[present]
                self._table[slots, 1] = sizes[present]
                self._next += len(places)
                self._enqueue(packed.data)
            else:
                view = packed.data
                for (rank, slot), end, n in zip(places, ends.tolist(), sizes.tolist(), strict=True):
                    self._early[rank] = (slot, view[end - n : end] if n else None)
            self._take_early()
        return self._drain()

    def _take_early(self) -> None:
        """Queue the chunks that came before their turn, as far as their turn has come."""
        while self._next in self._early:
            slot, payload = self._early.pop(self._next)
            self._next += 1
            if payload is not None:
                self._table[slot] = (self._position, memoryview(payload).nbytes)
                self._enqueue(payload)

    def _enqueue(self, data: Buffer) -> None:
        nbytes = memoryview(data).nbytes
        if not nbytes:
            return
        if data is not self.blank:
            self.blank = None
        self._position += nbytes
        self._queue.append(data)
        self._queued += nbytes

    def _drain(self) -> bool:
        """Write the queue, unless another thread does; tell whether everything is written by this call."""
        with self._state:
            if self._failed:
                return False  # the thread that failed has told; a shard with a hole is never finished
            if self._writing:
                # The writer takes this along. Only when it falls far behind does anybody wait.
                self._state.wait_for(lambda: self._queued < _MOST_QUEUED or not self._writing)
                if self._busy():
                    return False
            self._writing = True
        try:
            while True:
                with self._state:
                    queue: list[Buffer] = []
                    if self.blank is None:
                        queue, self._queue = self._queue, []
                    if not queue:
                        self._writing = False
                        complete = self._next == len(self._place) and not self._told
                        self._told = self._told or complete
                        return complete
                self._write(queue)
                with self._state:
                    self._queued -= sum(memoryview(q).nbytes for q in queue)
                    self._state.notify_all()
        except BaseException:
            with self._state:
                self._failed, self._writing = True, False
                self._state.notify_all()
            raise

    def _busy(self) -> bool:
        return self._writing or self._failed

    def _write(self, parts: list[Buffer]) -> None:
        if self._writer is None:
            self._writer = self._store.create(self._key)
            if self._head and isinstance(self._writer, PatchableWriter):
                self._writer.write(bytes(self._head))
            elif self._head:
                self._held = []
        if self._crc is not None:
            for part in parts:
                self._crc = crc32c_extend(self._crc, part)
        if self._digester is not None:
            for part in parts:
                self._digester.update(part)
        if self._held is not None:
            self._held.extend(parts)  # this store writes from first to last, and the head is not known yet
        else:
            _append(self._writer, parts)

    def finish(self) -> FinishedObject:
        """Write head and tail and give the object its name; an object without any chunk is not written."""
        if self.blank is not None or bool((self._table == _ABSENT).all()):
            return FinishedObject(self._key, 0, 0)
        head, tail = self._driver.pack_shard(self._info, self._index, self._table)
        self._write([tail])
        writer: Any = self._writer
        if self._held is not None:
            _append(writer, [head, *self._held])
        elif head:
            writer.patch(0, head)
        if self._crc is not None and head:
            self._crc = crc32c_combine(crc32c_extend(0, head), self._crc, self._position + len(tail) - len(head))
        writer.commit()
        size = self._position + len(tail)
        return FinishedObject(self._key, size, self._crc, **self._taken(head, size))

    def _taken(self, head: bytes, size: int) -> dict[str, bytes]:
        """Return the digests of the whole object."""
        if not self._digests:
            return {}
        if self._digester is not None:
            return self._digester.digests()
        if self._held is None:
            # The head came last, and these digests go from first to last: the object is read once more, which the
            # system has in memory still. Holding it back instead would take a shard of memory for each one at work.
            return digests_of(self._store, self._key, size, self._digests) or {}
        digester = Digester(self._digests)
        for part in (head, *self._held):
            digester.update(part)
        return digester.digests()

    def abort(self) -> None:
        """Forget what was written."""
        if self._writer is not None:
            self._writer.abort()


def _append(writer: ObjectWriter, parts: list[Buffer]) -> None:
    write_many = getattr(writer, "write_many", None)
    if write_many is not None:
        write_many(parts)
        return
    for part in parts:
        writer.write(part)
