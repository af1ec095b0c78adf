"""Copying the objects of a release: each is read once, in pieces, and must have its digest before it appears."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.manifests import HashingProgress
from voxarium.core.digests import Digester
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.pools import cpu_count
from voxarium.core.release_store import ReleaseStore
from voxarium.errors import ChecksumError, Code
from voxarium.model.protocols import ByteRange, ReadableStore, ResumableStore, WritableStore

__all__ = ["DIGEST_BYTES", "Copier"]

DIGEST_BYTES: Final = {"md5": 16, "sha1": 20, "sha224": 28, "sha256": 32, "sha384": 48, "sha512": 64}
_PIECE: Final = 8 << 20
_BATCH_BYTES: Final = 32 << 20
_BATCH_OBJECTS: Final = 256
_MOST_THREADS: Final = 32

Place = Callable[[str], str]
Digests = dict[str, NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class _Task:
    """An object to be copied: the row of its result, where it comes from and goes to, what it must be."""

    row: int
    key: str
    to: str
    size: int
    expected: bytes


class Copier:
    """Copies objects into a place and counts them.

    Parameters
    ----------
    target : WritableStore
        Where to.
    objects, nbytes : int
        What will be copied in all, for progress.
    threads : int or None
        None = one per processor, or as many as the stores take requests.
    progress : callable or None
        Called after each batch.
    """

    def __init__(
        self,
        target: WritableStore,
        *,
        objects: int = 0,
        nbytes: int = 0,
        threads: int | None = None,
        progress: Callable[[HashingProgress], None] | None = None,
    ) -> None:
        self._target = target
        self._totals = objects, nbytes
        self._threads = threads
        self._progress = progress
        self._done = [0, 0]
        self._lock = threading.Lock()

    def expect(self, objects: int, nbytes: int) -> None:
        """Say how much will be copied in all."""
        self._totals = objects, nbytes

    def copy_release(
        self,
        source: ReleaseStore,
        rows: Sequence[int] | NDArray[np.int64],
        place: Place | None,
        extra: Sequence[str] = (),
    ) -> Digests:
        """Copy objects of a release.

        Parameters
        ----------
        source : ReleaseStore
            The release.
        rows : sequence of int
            Positions in its manifest.
        place : callable or None
            Returns the key in the target for a key of the release; None: objects are read and not written.
        extra : sequence of str
            Digests to take besides SHA-256, of `DIGEST_BYTES`.

        Returns
        -------
        dict of array of uint8, shape (rows, bytes)
            The extra digests.

        Raises
        ------
        ChecksumError
            If an object is not what the release has; nothing appears under its key then.
        """
        manifest = source.manifest
        tasks = (
            _Task(
                n,
                key := manifest.keys[i],
                "" if place is None else place(key),
                int(manifest.sizes[i]),
                manifest.sha256[i].tobytes(),
            )
            for n, i in enumerate(int(r) for r in rows)
        )
        return self._run(source, tasks, len(rows), "sha256", extra=extra, whose=f"release {source.name}")

    def copy_objects(
        self, source: ReadableStore, objects: Iterator[tuple[str, str, int, bytes]], count: int, algorithm: str
    ) -> None:
        """Copy objects given as (key, key in the target, size, digest by `algorithm`).

        Raises
        ------
        ChecksumError
            If one is gone, or is not what its digest says.
        """
        tasks = (_Task(n, key, to, size, digest) for n, (key, to, size, digest) in enumerate(objects))
        self._run(source, tasks, count, algorithm, whose=source.uri)

    def _run(
        self,
        source: ReadableStore,
        tasks: Iterator[_Task],
        count: int,
        algorithm: str,
        *,
        extra: Sequence[str] = (),
        whose: str,
    ) -> Digests:
        found = {a: np.zeros((count, DIGEST_BYTES[a]), np.uint8) for a in extra}

        def batch_done(batch: list[_Task]) -> int:
            for task in batch:
                digests = self._one(source, task, algorithm, extra, whose)
                for a, rows in found.items():
                    rows[task.row] = np.frombuffer(digests[a], np.uint8)
            self._count(len(batch), sum(t.size for t in batch))
            return len(batch)

        wanted = max(source.concurrency, self._target.concurrency)
        workers = self._threads or min(_MOST_THREADS, max(cpu_count(), wanted))
        for _ in ThreadExecutor(workers).map_unordered(batch_done, _batches(tasks), Cancel()):
            pass
        if isinstance(self._target, ResumableStore):
            self._target.clear_partial()
        return found

    def _one(
        self, source: ReadableStore, task: _Task, algorithm: str, extra: Sequence[str], whose: str
    ) -> dict[str, bytes]:
        digester = Digester(tuple(dict.fromkeys((algorithm, *extra))))
        writer = self._target.create(task.to) if task.to else None
        try:
            for piece in _pieces(source, task, whose):
                digester.update(piece)
                if writer is not None:
                    writer.write(piece)
            digests = digester.digests()
            if digests[algorithm] != task.expected:
                raise _changed(task, whose, "is not what its digest says")
            if writer is not None:
                writer.commit()
        except BaseException:
            if writer is not None:
                writer.abort()
            raise
        return digests

    def _count(self, objects: int, nbytes: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done[0] += objects
            self._done[1] += nbytes
            self._progress(
                HashingProgress(
                    objects=self._done[0],
                    total_objects=max(self._totals[0], self._done[0]),
                    nbytes=self._done[1],
                    total_bytes=max(self._totals[1], self._done[1]),
                )
            )


def _pieces(source: ReadableStore, task: _Task, whose: str) -> Iterator[memoryview]:
    if task.size <= _PIECE:
        stat = source.stat(task.key)
        if stat is not None and stat.size != task.size:
            raise _changed(task, whose, f"has {stat.size:,} bytes instead of {task.size:,}")
        data = source.get(task.key)
        if data is None:
            raise _changed(task, whose, "is gone")
        yield memoryview(data)
        return
    for start in range(0, task.size, _PIECE):
        parts = source.get_ranges(task.key, [ByteRange(start, min(_PIECE, task.size - start))])
        if parts is None:
            raise _changed(task, whose, "is gone")
        yield memoryview(parts[0]).cast("B")


def _changed(task: _Task, whose: str, what: str) -> ChecksumError:
    return ChecksumError(
        f"{task.key} of {whose} {what}",
        code=Code.CHECKSUM_MISMATCH,
        fix="restore it from a copy, then try again; nothing of it was written",
    )


def _batches(tasks: Iterator[_Task]) -> Iterator[list[_Task]]:
    batch: list[_Task] = []
    nbytes = 0
    for task in tasks:
        if batch and (len(batch) == _BATCH_OBJECTS or nbytes + task.size > _BATCH_BYTES):
            yield batch
            batch, nbytes = [], 0
        batch.append(task)
        nbytes += task.size
    if batch:
        yield batch
