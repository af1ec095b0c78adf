"""Carrying out a journal, forwards or backwards, from whatever point an earlier run was stopped at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TypeVar

from voxarium.conversion.upgrading.journal import Journal, Tree, keys
from voxarium.conversion.upgrading.report import ProgressCallback, UpgradeProgress
from voxarium.errors import Code, ConflictError
from voxarium.model.protocols import WritableStore

__all__ = ["apply", "side_by_side", "store_whole", "undo"]

_T = TypeVar("_T")
_WINDOW = 256

_Item = tuple[str, bytes | None, bytes | None]
"""Key, bytes expected, bytes wanted; None = no document."""


def side_by_side(pool: Executor | None, work: Callable[[_T], object], items: Iterable[_T]) -> Iterator[None]:
    """Do something with every item, a few at a time where there is a pool; yield after each."""
    if pool is None:
        for item in items:
            work(item)
            yield
        return
    waiting: list[Future[object]] = []
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= _WINDOW:
                waiting.pop(0).result()
                yield
        while waiting:
            waiting.pop(0).result()
            yield
    finally:
        for future in waiting:
            future.cancel()


def _settle(store: Tree, key: str, expected: bytes | None, wanted: bytes | None) -> None:
    """Bring a document from one state to the other, unless it is there already.

    Raises
    ------
    ConflictError
        If it is in neither state: somebody else changed it.
    """
    found = store.get(key)
    if found == wanted:
        return
    if found != expected:
        raise ConflictError(
            f"{key} in {store.uri} was changed by something else since the upgrade began",
            code=Code.PLAN_CHANGED,
            fix="put it back as it was, or correct it by hand from the journal, then run the same command again",
        )
    if wanted is None:
        store.delete(key)
    else:
        store_whole(store, key, wanted)


def store_whole(store: WritableStore, key: str, data: bytes) -> None:
    """Store a document, whole or not at all; for many small ones cheaper than `put`, which tidies after each."""
    writer = store.create(key)
    try:
        writer.write(data)
        writer.commit()
    except BaseException:
        writer.abort()
        raise


@dataclass(slots=True)
class _Job:
    """The documents of a journal, brought from one side of it to the other."""

    journal: Journal
    pool: Executor | None
    progress: ProgressCallback
    back: bool
    done: int = 0

    def run(self, phase: str, *, root: bool | None, removing: bool) -> None:
        """Store documents, or remove them; those of the root only, or all but those, or (None) all."""
        total = self.journal.written + self.journal.removed
        for _ in side_by_side(self.pool, self._settle, self._chosen(root, removing)):
            self.done = min(self.done + 1, total)
            self.progress(UpgradeProgress(phase, self.done, total))

    def _chosen(self, root: bool | None, removing: bool) -> Iterator[_Item]:
        chosen = (c for c in self.journal.changes() if root is None or (c.path == "") == root)
        for key, before, after in keys(chosen):
            expected, wanted = (after, before) if self.back else (before, after)
            if (wanted is None) == removing:
                yield key, expected, wanted

    def _settle(self, item: _Item) -> None:
        _settle(self.journal.store, *item)


def apply(journal: Journal, pool: Executor | None, progress: ProgressCallback) -> None:
    """Store all new documents, those of the root last; then remove the old ones."""
    job = _Job(journal, pool, progress, back=False)
    job.run("writing", root=False, removing=False)
    job.run("writing", root=True, removing=False)
    if journal.removed:
        job.run("removing", root=None, removing=True)
    journal.enter("done")


def undo(journal: Journal, pool: Executor | None, progress: ProgressCallback) -> None:
    """Restore all old documents; then remove the new ones, those of the root first; then forget the journal."""
    journal.enter("undoing")
    job = _Job(journal, pool, progress, back=True)
    job.run("restoring", root=None, removing=False)
    job.run("removing", root=True, removing=True)
    job.run("removing", root=False, removing=True)
    journal.drop()
