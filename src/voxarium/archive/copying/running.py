"""`copy` and `plan_copy`: from the list of objects to a copy of which every object was looked at."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.copying.journal import CopyJournal, Done
from voxarium.archive.copying.limiting import RateLimit
from voxarium.archive.copying.moving import Moved, Mover, Task
from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.copying.order import is_sequential, rank
from voxarium.archive.copying.partial import narrow
from voxarium.archive.copying.report import CopyPlan, CopyReport
from voxarium.archive.copying.sources import CopySource, open_copy_source
from voxarium.archive.copying.targets import CopyTarget, existing_target, open_copy_target, refuse_overlap
from voxarium.archive.manifests import (
    HashingProgress,
    default_algorithms,
    make_tree_manifest,
    manifest_address,
    roots_of,
)
from voxarium.archive.trees import Listing, existing, object_exists, write_object
from voxarium.archive.verify.report import Problem
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.pools import cpu_count
from voxarium.core.uri import is_archive
from voxarium.errors import Code, ConflictError, InputError, InterruptedJobError, StoreError
from voxarium.model.protocols import ReadableStore, WritableStore
from voxarium.spec.manifest import Strings, dump_manifest, format_root

__all__ = ["copy", "plan_copy"]

_MOST_THREADS: Final = 32
_MOST_UNREADABLE: Final = 20
_GUESSED_RATE: Final = 100e6  # bytes per second
_GUESSED_LATENCY: Final = 0.05  # seconds of a request, where stores are far

Source = str | os.PathLike[str] | ReadableStore
Target = str | os.PathLike[str] | WritableStore


def copy(
    source: Source,
    target: Target,
    *,
    register: bool = True,
    progress: Callable[[HashingProgress], None] | None = None,
    cancel: Cancel | None = None,
    **choices: Any,
) -> CopyReport:
    """Copy an archive object by object: a dataset with its releases, one release, an image, a file.

    What arrives is compared with the digests that a manifest or a release states, where there are some. Documents come
    last, so that a copy that was stopped is not taken for a whole one; the same call again goes on with it.

    Parameters
    ----------
    source : str, path or ReadableStore
        A folder, an address of a store or server, an ``.ozx``, a release (``DATASET@v1.0``), or a part of it.
    target : str, path or WritableStore
        A folder or prefix that holds nothing else; for a single file, the file or the folder it goes to.
    register : bool
        Whether an image that is copied into a dataset becomes a member of it, as one that is converted does: its layout
        says where it goes, and the log tells of it.
    progress : callable or None
        Called with a `HashingProgress` now and then.
    cancel : Cancel or None
        Set it to stop.
    **choices
        The fields of `CopyOptions`: ``images``, ``levels``, ``box``, ``manifest``, ``write_manifest``, ``update``,
        ``limit``, ``threads``.

    Returns
    -------
    CopyReport
        If it is not ``ok``, objects of the source are not what they should be; their documents were not copied.

    Raises
    ------
    NotFoundError
        If there is nothing to copy.
    ExistsError
        If the target holds something.
    ConflictError
        If another job was begun in the target, or has not finished the source.
    InputError
        If the layout of the dataset around the target forbids the name.
    InterruptedJobError
        If `cancel` was set.

    Examples
    --------
    >>> import voxarium
    >>> voxarium.copy("https://example.org/brain@v1.0", "brain", limit=50_000_000)  # doctest: +SKIP
    """
    del register  # see `registering`
    started = time.perf_counter()
    job = _Job.open(source, target, CopyOptions(**choices))
    return job.run(progress, Cancel() if cancel is None else cancel, started)


def plan_copy(source: Source, target: Target, *, register: bool = True, **choices: Any) -> CopyPlan:
    """Return what `copy` would do, after everything was listed; nothing is written.

    Raises
    ------
    NotFoundError, ExistsError, ConflictError
        As `copy`.
    """
    del register
    return _Job.open(source, target, CopyOptions(**choices)).plan()


@dataclass(slots=True)
class _Counts:
    """What happened so far."""

    done: int = 0
    done_bytes: int = 0
    copied: int = 0
    copied_bytes: int = 0
    same: int = 0
    unreadable: int = 0
    problems: list[Problem] = field(default_factory=list)


class _Job:
    """One copy."""

    def __init__(self, source: CopySource, target: CopyTarget, options: CopyOptions) -> None:
        self.source = source
        self.target = target
        self.options = options
        self.algorithms = default_algorithms() if options.write_manifest else ("sha256",)
        identity = {"source": source.tree.uri, "file": target.file, "selection": options.selection()}
        self.journal = CopyJournal(target.plain, identity)
        count = len(source.listing.sizes)
        self.done: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.digests = {a: np.zeros((count, 32), np.uint8) for a in self.algorithms}
        self.resumes = False
        self.replaces = False
        self.resumed = 0
        self.counts = _Counts()

    @classmethod
    def open(cls, source: Source, target: Target, options: CopyOptions) -> _Job:
        """Look at source and target, and refuse what cannot be done."""
        options.check()
        as_file = isinstance(target, (str, os.PathLike)) and is_archive(target)
        found = open_copy_source(source, options, as_file=as_file)
        narrow(found, options)
        place = open_copy_target(target, found.tree.file)
        if as_file and not place.file:
            raise InputError(
                f"a folder cannot be copied to {place.uri}, which is an archive by its name",
                code=Code.URI_INVALID,
                fix="write an archive with voxarium convert, or copy to a folder",
            )
        if place.file:
            found.listing = Listing(Strings.of([place.file]), found.listing.sizes)
        refuse_overlap(found.tree, place)
        job = cls(found, place, options)
        job.check_target()
        return job

    def check_target(self) -> None:
        """Refuse a target that is in use; take over what earlier runs finished."""
        try:
            self.resumes = not self.target.file and self.journal.exists()
        except ConflictError:
            if not self.options.update:
                raise
            self.replaces = True  # another copy: what is there is compared, so nothing of it has to be believed
        if not self.resumes:
            if not self.replaces:
                self.target.refuse_other_jobs()
            if not self.options.update and not self.target.is_empty():
                raise existing_target(self.target)
            if self.options.write_manifest and not self.options.update and object_exists(self.manifest):
                raise existing(self.manifest)
        else:
            self._take_over()

    def _take_over(self) -> None:
        position = {self.source.listing.keys.name(i): i for i in range(len(self.done))}
        for entry in self.journal.entries():
            i = position.get(entry.key, -1)
            if i < 0 or entry.size != int(self.there[i]) or entry.size != int(self.source.listing.sizes[i]):
                continue
            if self.source.known[i] and self.source.sha256[i].tobytes() != entry.sha256:
                continue
            self.digests["sha256"][i] = np.frombuffer(entry.sha256, np.uint8)
            if entry.blake3 is None:
                self.algorithms = ("sha256",)  # the manifest then has no others: nothing is read twice
            elif "blake3" in self.digests:
                self.digests["blake3"][i] = np.frombuffer(entry.blake3, np.uint8)
            self.done[i] = True
        self.resumed = int(self.done.sum())

    @cached_property
    def there(self) -> NDArray[np.int64]:
        """Size of what is in the target, by position."""
        return self.target.sizes(self.source)

    @property
    def manifest(self) -> str:
        """Where the manifest of the target goes."""
        return manifest_address(self.target.uri.removeprefix("file://"))

    # --------------------------------------------------------------------------------------------------------- planning
    def plan(self) -> CopyPlan:
        """Return what would be done."""
        source = self.source
        left = ~self.done
        nbytes = int(source.listing.sizes[left].sum())
        return CopyPlan(
            source=source.tree.uri,
            target=self.target.uri,
            objects=len(self.done),
            nbytes=source.nbytes,
            left_objects=int(left.sum()),
            left_bytes=nbytes,
            compared=int(source.known.sum()),
            absent=source.absent,
            left_out=tuple(source.left_out),
            resumes=self.resumes,
            seconds=self._guess(int(left.sum()), nbytes),
            notes=tuple(source.notes),
        )

    def _guess(self, objects: int, nbytes: int) -> float:
        seconds = nbytes / min(self.options.limit or _GUESSED_RATE, _GUESSED_RATE)
        if max(self.source.tree.store.concurrency, self.target.plain.concurrency) > 1:
            seconds += objects * 2 * _GUESSED_LATENCY / self.threads
        return seconds

    @property
    def threads(self) -> int:
        """How many objects are under way at a time."""
        pays_off = max(self.source.tree.store.concurrency, self.target.plain.concurrency, cpu_count())
        return self.options.threads or min(_MOST_THREADS, pays_off)

    # ---------------------------------------------------------------------------------------------------------- running
    def run(self, progress: Callable[[HashingProgress], None] | None, cancel: Cancel, started: float) -> CopyReport:
        """Copy what is left."""
        self._begin()
        limit = RateLimit(self.options.limit)
        mover = Mover(
            self.source.tree,
            self.target.store,
            algorithms=self.algorithms,
            edits=self.source.edits,
            limit=limit,
            cancel=cancel,
        )
        counts = self.counts
        counts.done, counts.done_bytes = self.resumed, int(self.source.listing.sizes[self.done].sum())
        try:
            for numbers, threads in self._rounds():
                for moved in ThreadExecutor(threads).map_unordered(mover.move, self._tasks(numbers), cancel):
                    self._note(moved)
                    if progress is not None:
                        progress(self._progress())
                self.journal.flush()
                if cancel:
                    raise InterruptedJobError(
                        f"stopped after {counts.done:,} of {len(self.done):,} objects",
                        code=Code.JOB_INTERRUPTED,
                        fix="run the same command again to go on",
                    )
                if counts.problems:
                    break
        except BaseException:
            self._save()
            raise
        return self._finish(started)

    def _begin(self) -> None:
        if self.target.file:
            return
        if self.resumes:
            self.target.clear_partial()
        else:
            if self.replaces:
                self.journal.clear()
            self.journal.begin()
        self.target.mark()

    def _save(self) -> None:
        """Keep what is known for the next run, whatever stopped this one."""
        try:
            self.journal.flush()
            self.target.clear_partial()
        except StoreError:
            return  # what stopped the job says more

    def _rounds(self) -> Iterator[tuple[NDArray[np.int64], int]]:
        """Yield positions of objects that may be copied side by side, and on how many threads, in order."""
        keys = self.source.listing.keys
        ranks = np.fromiter((rank(keys.name(i)) for i in range(len(keys))), np.uint8, len(keys))
        for which in np.unique(ranks[~self.done]).tolist():
            numbers = np.flatnonzero((ranks == which) & ~self.done)
            yield numbers, 1 if is_sequential(which) else self.threads

    def _tasks(self, numbers: NDArray[np.int64]) -> Iterator[Task]:
        source, look = self.source, self.options.update or self.resumes
        for i in numbers.tolist():
            size = int(source.listing.sizes[i])
            expected = source.sha256[i].tobytes() if source.known[i] else None
            there = look and int(self.there[i]) == size
            yield Task(i, source.listing.keys.name(i), size, expected, there)

    def _note(self, moved: Moved) -> None:
        task, counts = moved.task, self.counts
        if moved.problem is not None:
            counts.problems.append(moved.problem)
            counts.unreadable += moved.error is not None
            if moved.error is not None and counts.unreadable >= _MOST_UNREADABLE:
                raise moved.error
            return
        for algorithm in self.algorithms:
            self.digests[algorithm][task.number] = np.frombuffer(moved.digests[algorithm], np.uint8)
        self.done[task.number] = True
        counts.done, counts.done_bytes = counts.done + 1, counts.done_bytes + task.size
        if moved.how == "copied":
            counts.copied, counts.copied_bytes = counts.copied + 1, counts.copied_bytes + task.size
        else:
            counts.same += 1
        if not self.target.file:
            self.journal.add(Done(task.key, task.size, moved.digests["sha256"], moved.digests.get("blake3")))

    def _progress(self) -> HashingProgress:
        counts = self.counts
        return HashingProgress(
            objects=counts.done,
            total_objects=len(self.done),
            nbytes=counts.done_bytes,
            total_bytes=self.source.nbytes,
        )

    def _finish(self, started: float) -> CopyReport:
        source, counts = self.source, self.counts
        roots: tuple[str, ...] = ()
        if not counts.problems:
            if self.options.write_manifest:
                roots = self._write_manifest()
            if not self.target.file:
                self.target.unmark()  # whole from here on; while the journal is there, the same command finishes it
                self.journal.clear()
        self.target.clear_partial()
        return CopyReport(
            source=source.tree.uri,
            target=self.target.uri,
            objects=len(self.done),
            nbytes=source.nbytes,
            copied=counts.copied,
            copied_bytes=counts.copied_bytes,
            resumed=self.resumed,
            same=counts.same,
            compared=int((source.known & self.done).sum()),
            edited=tuple(sorted(source.edits)),
            absent=source.absent,
            left_out=tuple(source.left_out),
            manifest=self.manifest if roots else None,
            roots=roots,
            problems=tuple(sorted(counts.problems, key=lambda p: p.key)),
            notes=tuple(source.notes),
            seconds=time.perf_counter() - started,
        )

    def _write_manifest(self) -> tuple[str, ...]:
        made = make_tree_manifest(self.source.listing, {a: self.digests[a] for a in self.algorithms})
        write_object(self.manifest, dump_manifest(made), overwrite=self.options.update or self.resumes)
        found = roots_of(made)
        return tuple(format_root(a, found[a]) for a in made.algorithms)
