"""One object after the other from store to store: read, compared with what is known of it, and stored whole."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from voxarium.archive.copying.limiting import RateLimit
from voxarium.archive.copying.order import only_created
from voxarium.archive.trees import Tree
from voxarium.archive.verify.listing import size_text
from voxarium.archive.verify.report import Kind, Problem
from voxarium.core.digests import Digester, digests_of
from voxarium.core.executor import Cancel
from voxarium.core.guarding import restoring_writer
from voxarium.errors import Code, InputError, InterruptedJobError, ReleaseFrozenError, StoreError, UnsupportedError
from voxarium.model.protocols import ByteRange, ObjectWriter, WritableStore

__all__ = ["Moved", "Mover", "Task"]

_PIECE: Final = 8 << 20
_SMALLEST_PIECE: Final = 64 << 10
_SIDE_BY_SIDE: Final = 4  # pieces of one object, where requests take long
_ROOM: Final = 128 << 20  # bytes of pieces of all large objects together
_SHARE: Final = 8  # pieces per second, where there is a limit


@dataclass(frozen=True, slots=True)
class Task:
    """An object to be copied.

    Parameters
    ----------
    number : int
        Its position in the plan.
    key : str
        In the source's tree, and in the target. (A single file may get another name: then that.)
    size : int
        Bytes.
    sha256 : bytes or None
        What its digest must be, if that is known.
    look : bool
        An object of this size is there: look first whether it is the same.
    """

    number: int
    key: str
    size: int
    sha256: bytes | None
    look: bool


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a task: its digests, or why there are none."""

    task: Task
    how: Literal["copied", "same", "failed"]
    digests: Mapping[str, bytes]
    problem: Problem | None = None
    error: StoreError | InputError | None = None


class Mover:
    """Copies objects; used by several threads.

    Parameters
    ----------
    source : Tree
        Where they are.
    target : WritableStore
        Where they go.
    algorithms : tuple of str
        Digests to take.
    edits : mapping of str to bytes
        Documents that say something else at the target.
    limit : RateLimit
        How fast.
    cancel : Cancel
        Set it to stop, also amid a large object.
    """

    def __init__(
        self,
        source: Tree,
        target: WritableStore,
        *,
        algorithms: tuple[str, ...],
        edits: Mapping[str, bytes],
        limit: RateLimit,
        cancel: Cancel,
    ) -> None:
        self._source = source
        self._target = target
        self._algorithms = algorithms
        self._edits = edits
        self._limit = limit
        self._cancel = cancel
        rate = limit.rate
        self._piece = _PIECE if rate is None else max(_SMALLEST_PIECE, min(_PIECE, rate // _SHARE))
        self._most_at_once = _SIDE_BY_SIDE if rate is None and source.store.concurrency > 1 else 1
        self._lock = threading.Lock()
        self._large = 0  # large objects under way

    def move(self, task: Task) -> Moved:
        """Copy an object, or find that it is there.

        Raises
        ------
        StoreError
            If the target cannot be written.
        InterruptedJobError
            If the job was stopped amid the object.
        """
        try:
            if task.look:
                there = self._digests_there(task)
                if there is not None:
                    return Moved(task, "same", there)
            moved = self._copied(task)
            if moved.problem is not None and moved.problem.kind == "changed":
                moved = self._copied(task)  # a network may have damaged it
        except ReleaseFrozenError as error:
            return _failed(task, "frozen", "", error.message)
        return moved

    def _digests_there(self, task: Task) -> Mapping[str, bytes] | None:
        """Return the digests of an object of the target that has the content it should have."""
        if task.sha256 is None:
            return None
        found = digests_of(self._target, task.key, task.size, self._algorithms)
        return found if found is not None and found["sha256"] == task.sha256 else None

    def _copied(self, task: Task) -> Moved:
        if task.key not in self._edits and task.size > self._piece:
            with self._lock:
                self._large += 1
            try:
                return self._in_pieces(task)
            finally:
                with self._lock:
                    self._large -= 1
        try:
            data = self._read(task)
        except (StoreError, InputError) as error:
            return _failed(task, "unreadable", size_text(task.size), error.message, error)
        if data is None:
            return _failed(task, "missing", size_text(task.size), None)
        if len(data) != task.size:
            kind: Kind = "truncated" if len(data) < task.size else "changed"
            return _failed(task, kind, size_text(task.size), size_text(len(data)))
        digester = Digester(self._algorithms)
        digester.update(data)
        digests = digester.digests()
        if task.sha256 is not None and digests["sha256"] != task.sha256:
            return _other(task, digests)
        if only_created(task.key):
            return self._created(task, data, digests)
        if (
            task.look
            and task.sha256 is None
            and digests_of(self._target, task.key, task.size, ("sha256",)) == {"sha256": digests["sha256"]}
        ):
            return Moved(task, "same", digests)
        self._target.put(task.key, data)
        return Moved(task, "copied", digests)

    def _read(self, task: Task) -> bytes | None:
        edited = self._edits.get(task.key)
        if edited is not None:
            return edited
        self._limit.take(task.size, self._cancel.__bool__)
        return self._source.store.get(self._place(task))

    def _place(self, task: Task) -> str:
        return self._source.at(self._source.file or task.key)

    def _created(self, task: Task, data: bytes, digests: Mapping[str, bytes]) -> Moved:
        """Add to a history; what is there already must be the same."""
        if self._create(task.key, data):
            return Moved(task, "copied", digests)
        there = digests_of(self._target, task.key, task.size, ("sha256",)) if self._has_size(task) else None
        if there is not None and there["sha256"] == digests["sha256"]:
            return Moved(task, "same", digests)
        return _failed(task, "frozen", _text(digests["sha256"]), "the target has a history of its own")

    def _create(self, key: str, data: bytes) -> bool:
        """Store an object unless it is there. Where the store cannot decide that, nobody can publish either."""
        try:
            return self._target.put_if_absent(key, data)
        except UnsupportedError:
            if self._target.stat(key) is not None:
                return False
        self._target.put(key, data)
        return True

    def _has_size(self, task: Task) -> bool:
        stat = self._target.stat(task.key)
        return stat is not None and stat.size == task.size

    # ------------------------------------------------------------------------------------------------- large objects
    def _in_pieces(self, task: Task) -> Moved:
        store, key = self._source.store, self._place(task)
        try:
            before = store.stat(key)
        except (StoreError, InputError) as error:
            return _failed(task, "unreadable", size_text(task.size), error.message, error)
        if before is None or before.size != task.size:
            found = None if before is None else size_text(before.size)
            return _failed(task, "missing" if before is None else "changed", size_text(task.size), found)
        if only_created(task.key) and self._target.stat(task.key) is not None:
            return self._compared(task)
        digester = Digester(self._algorithms)
        writer = self._writer(task)
        try:
            problem = self._pour(task, digester, writer)
            if problem is None and store.stat(key) != before:
                problem = _failed(task, "changed", "the same object all the time", "it changed while it was copied")
            digests = digester.digests()
            if problem is None and task.sha256 is not None and digests["sha256"] != task.sha256:
                problem = _other(task, digests)
            if problem is not None:
                writer.abort()
                return problem
            writer.commit()
        except BaseException:
            writer.abort()
            raise
        return Moved(task, "copied", digests)

    def _writer(self, task: Task) -> ObjectWriter:
        if task.sha256 is not None:
            return restoring_writer(self._target, task.key, task.sha256)
        return self._target.create(task.key)

    def _pour(self, task: Task, digester: Digester, writer: ObjectWriter) -> Moved | None:
        """Hand an object over piece by piece; return what went wrong with reading it."""
        pieces = self._pieces(task)
        try:
            for data in pieces:
                digester.update(data)
                writer.write(data)
        except _UnreadableError as caught:
            error = caught.error
            if error is None:
                return _failed(task, "missing", size_text(task.size), None)
            return _failed(task, "unreadable", size_text(task.size), error.message, error)
        finally:
            pieces.close()
        return None

    def _pieces(self, task: Task) -> Generator[memoryview, None, None]:
        store, key = self._source.store, self._place(task)
        start = 0
        while start < task.size:
            if self._cancel:
                raise InterruptedJobError(
                    f"stopped amid {task.key}", code=Code.JOB_INTERRUPTED, fix="run the same command to go on"
                )
            stop = min(start + self._piece * self._at_once(), task.size)
            starts = range(start, stop, self._piece)
            ranges = [ByteRange(at, min(self._piece, stop - at)) for at in starts]
            self._limit.take(stop - start, self._cancel.__bool__)
            try:
                parts = store.get_ranges(key, ranges)
            except (StoreError, InputError) as error:
                raise _UnreadableError(error) from error
            if parts is None:
                raise _UnreadableError(None)
            yield from (memoryview(part).cast("B") for part in parts)
            start = stop

    def _at_once(self) -> int:
        """Return how many pieces of an object are read side by side: fewer, the more objects there are."""
        return max(1, min(self._most_at_once, _ROOM // (self._piece * max(1, self._large))))

    def _compared(self, task: Task) -> Moved:
        """Compare a large object of a history with the one that is there."""
        digester = Digester(self._algorithms)
        for data in self._pieces(task):
            digester.update(data)
        digests = digester.digests()
        there = digests_of(self._target, task.key, task.size, ("sha256",)) if self._has_size(task) else None
        if there is not None and there["sha256"] == digests["sha256"]:
            return Moved(task, "same", digests)
        return _failed(task, "frozen", _text(digests["sha256"]), "the target has a history of its own")


class _UnreadableError(Exception):
    """The source did not give a piece: why, or None when the object is gone."""

    def __init__(self, error: StoreError | InputError | None) -> None:
        super().__init__()
        self.error = error


def _failed(
    task: Task, kind: Kind, expected: str, found: str | None, error: StoreError | InputError | None = None
) -> Moved:
    return Moved(task, "failed", {}, Problem(task.key, kind, expected or None, found), error)


def _other(task: Task, digests: Mapping[str, bytes]) -> Moved:
    return _failed(task, "changed", _text(task.sha256 or b""), _text(digests["sha256"]))


def _text(digest: bytes) -> str:
    return f"sha256:{digest.hex()}"
