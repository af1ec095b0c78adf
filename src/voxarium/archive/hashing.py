"""Digests of many objects: on several threads, in pieces, small objects in batches."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, cast

from voxarium.archive.trees import Tree
from voxarium.core.digests import Digester, digests_of
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.pools import cpu_count
from voxarium.errors import Code, InputError, NotFoundError, StoreError
from voxarium.model.protocols import FileStore, ManyStore

__all__ = ["Found", "Wanted", "hash_objects"]

_BATCH_BYTES: Final = 16 << 20
_BATCH_OBJECTS: Final = 512
_SMALL: Final = 1 << 20
_PIECE: Final = 1 << 20  # stays in a processor's own cache between reading and hashing
_MOST_THREADS: Final = 32


@dataclass(frozen=True, slots=True)
class Wanted:
    """An object to be read: its number, its key in the tree, and the bytes of it that count.

    `whole`: they are all of it, so a byte more is a change.
    """

    number: int
    key: str
    size: int
    byte_offset: int = 0
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Found:
    """What was read: digests; none for an object that is absent or could not be read, and why."""

    wanted: Wanted
    digests: dict[str, bytes] | None
    error: StoreError | InputError | None = None


def hash_objects(
    tree: Tree,
    objects: Iterable[Wanted],
    algorithms: Sequence[str],
    *,
    threads: int | None = None,
    cancel: Cancel | None = None,
) -> Iterator[list[Found]]:
    """Yield the digests of objects, a batch at a time, in whatever order batches finish.

    Parameters
    ----------
    tree : Tree
        Where they are.
    objects : iterable of Wanted
        Neighbours are read together, so they should be in the order of keys.
    algorithms : sequence of str
        Which digests.
    threads : int or None
        None = one per processor, or as many as the store takes requests.
    cancel : Cancel or None
        Set it to stop after the batches at work.
    """
    workers = threads or min(_MOST_THREADS, max(cpu_count(), tree.store.concurrency))
    reader = _Reader(tree, tuple(algorithms))
    yield from ThreadExecutor(workers).map_unordered(
        reader.read, _batches(objects), Cancel() if cancel is None else cancel
    )


def _batches(objects: Iterable[Wanted]) -> Iterator[list[Wanted]]:
    batch: list[Wanted] = []
    total = 0
    for wanted in objects:
        if batch and (total + wanted.size > _BATCH_BYTES or len(batch) == _BATCH_OBJECTS):
            yield batch
            batch, total = [], 0
        batch.append(wanted)
        total += wanted.size
    if batch:
        yield batch


class _Reader:
    """Reads batches; every thread has a buffer of its own."""

    def __init__(self, tree: Tree, algorithms: tuple[str, ...]) -> None:
        self._tree = tree
        self._algorithms = algorithms
        self._own = threading.local()
        store = tree.store
        self._files = store if isinstance(store, FileStore) and store.concurrency == 1 else None
        self._many = store if isinstance(store, ManyStore) else None

    def read(self, batch: list[Wanted]) -> list[Found]:
        """Return what is found of a batch."""
        small = [w for w in batch if w.whole and w.size <= _SMALL] if self._many is not None else []
        if len(small) < 2:
            return [self._one(wanted) for wanted in batch]
        found = self._several(small)
        return [found.get(wanted.number) or self._one(wanted) for wanted in batch]

    def _several(self, small: list[Wanted]) -> dict[int, Found]:
        """Return what is found of small objects; those that are not as expected are left out, to be looked at."""
        out: dict[int, Found] = {}
        if self._many is None:  # pragma: no cover  the caller looked
            return out
        try:
            got = self._many.get_many([self._tree.at(w.key) for w in small], max(w.size for w in small))
        except (StoreError, InputError):
            return out
        for wanted, data in zip(small, got, strict=True):
            if data is not None and memoryview(data).nbytes == wanted.size:
                digester = Digester(self._algorithms)
                digester.update(data)
                out[wanted.number] = Found(wanted, digester.digests())
        return out

    def _one(self, wanted: Wanted) -> Found:
        try:
            if self._files is not None and wanted.whole:
                return Found(wanted, self._file(self._files, wanted))
            key = self._tree.at(wanted.key)
            return Found(wanted, digests_of(self._tree.store, key, wanted.size, self._algorithms, wanted.byte_offset))
        except (StoreError, InputError) as error:
            return Found(wanted, None, error)

    def _file(self, store: FileStore, wanted: Wanted) -> dict[str, bytes] | None:
        """Read a file to its end through one small buffer: nothing is allocated, and no byte leaves the cache."""
        buffer: bytearray | None = getattr(self._own, "buffer", None)
        if buffer is None:
            buffer = self._own.buffer = bytearray(_PIECE)
        digester, view, size = Digester(self._algorithms), memoryview(buffer), 0
        key = self._tree.at(wanted.key)
        try:
            with store.open_file(key) as file:
                while count := cast("io.RawIOBase", file).readinto(buffer):
                    digester.update(view[:count])
                    size += count
        except NotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                f"{key} could not be read: {error.strerror or error}",
                code=Code.STORE_UNREADABLE,
                fix="check the disk or mount, then try again",
            ) from error
        if size != wanted.size:
            raise StoreError(
                f"{key} had {wanted.size:,} bytes when it was listed, and {size:,} when it was read",
                code=Code.FILE_TRUNCATED,
                fix="something writes there; try again when it has ended",
            )
        return digester.digests()
