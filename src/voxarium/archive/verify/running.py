"""`verify`: one listing, then as many objects read as the level asks for."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.hashing import hash_objects
from voxarium.archive.manifests import HashingProgress, manifest_address, own_key, read_manifest, roots_of
from voxarium.archive.trees import Tree, open_tree
from voxarium.archive.verify.contents import Contents
from voxarium.archive.verify.journal import Journal, journal_path
from voxarium.archive.verify.listing import Census, census
from voxarium.archive.verify.logical import LogicalResult, check_logical
from voxarium.archive.verify.options import VerifyOptions, check_roots, chosen_algorithm
from voxarium.archive.verify.report import Problem, VerifyReport
from voxarium.core.executor import Cancel
from voxarium.errors import Code, InterruptedJobError, NotFoundError
from voxarium.spec.manifest import Manifest, format_root

__all__ = ["verify", "with_voxels"]


def verify(
    target: str | os.PathLike[str] | Tree,
    manifest: str | os.PathLike[str] | Manifest | None = None,
    options: VerifyOptions | None = None,
    *,
    journal: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Callable[[HashingProgress], None] | None = None,
    cancel: Cancel | None = None,
) -> VerifyReport:
    """Tell whether what is stored is what a manifest says.

    Parameters
    ----------
    target : str, path or Tree
        A folder, an object-store prefix or a file.
    manifest : str, path, Manifest or None
        What should be there; None = the manifest beside the target, which level ``logical`` can do without.
    options : VerifyOptions or None
        How closely to look; None = everything is read.
    journal : str, path or None
        Where the state of an audit is kept that reads objects; None = in the user's cache.
    resume : bool
        Go on with an audit of the same target, manifest and options that was stopped. Objects it had read are not read
        again: the report vouches for each object at the time at which it was read.
    progress : callable or None
        Called with a `HashingProgress` after each batch.
    cancel : Cancel or None
        Set it to stop after the batches at work.

    Raises
    ------
    NotFoundError
        If the target or the manifest is not there; at level ``logical`` also if no logical digest is recorded.
    FormatError, ChecksumError
        If the manifest is broken, or has another root than the one given.
    InterruptedJobError
        If `cancel` was set; the audit can be resumed.
    """
    options = VerifyOptions() if options is None else options
    cancel = Cancel() if cancel is None else cancel
    options.check()
    tree = target if isinstance(target, Tree) else open_tree(target)
    how = _How(None if journal is None else Path(journal), resume, progress, cancel)
    if options.level != "logical":
        return _verify_objects(tree, manifest or _default(target), options, how)
    try:
        report = _verify_objects(tree, manifest or _default(target), replace(options, level="full"), how)
    except NotFoundError:
        if manifest is not None or options.roots:
            raise
        report = _nothing(tree)
    return with_voxels(
        report,
        check_logical(tree, given=options.digests, threads=options.threads, progress=progress, cancel=cancel),
    )


def with_voxels(report: VerifyReport, result: LogicalResult) -> VerifyReport:
    """Return a report with what voxels told besides."""
    problems = {(p.key, p.kind): p for p in (*report.problems, *result.problems)}
    return replace(
        report,
        level="logical",
        problems=tuple(p for _, p in sorted(problems.items())),
        images=result.compared,
        unrecorded=tuple(result.unrecorded),
        seconds=report.seconds + result.seconds,
    )


def _nothing(tree: Tree) -> VerifyReport:
    """Return the report of a tree without a manifest: nothing is known of its objects."""
    return VerifyReport(
        target=tree.uri,
        level="logical",
        algorithm="",
        seed=None,
        roots=(),
        objects=0,
        read=0,
        nbytes=0,
        resumed=0,
        listed=True,
        problems=(),
        seconds=0.0,
    )


@dataclass(frozen=True, slots=True)
class _How:
    """How an audit runs."""

    journal: Path | None
    resume: bool
    progress: Callable[[HashingProgress], None] | None
    cancel: Cancel


def _verify_objects(
    tree: Tree, manifest: str | os.PathLike[str] | Manifest, options: VerifyOptions, how: _How
) -> VerifyReport:
    """Compare what is stored with a manifest."""
    started = time.perf_counter()
    cancel = how.cancel
    address = "" if isinstance(manifest, Manifest) else os.fspath(manifest)
    known = manifest if isinstance(manifest, Manifest) else read_manifest(address)
    roots = roots_of(known)
    trusted = check_roots(roots, options.roots)
    found = census(tree, known, own_key(tree, address), cancel)
    reading = options.level in ("sample", "full")
    algorithm = chosen_algorithm(trusted) if reading else ""
    problems = {p.key: p for p in found.iter_problems(known, with_sizes=options.level != "list")}
    texts = tuple(format_root(a, roots[a]) for a in known.algorithms)
    audit = _Audit(tree, known, options, (algorithm, texts))
    if reading:
        audit.run(found, how)
    return VerifyReport(
        target=tree.uri,
        level=options.level,
        algorithm=algorithm,
        seed=audit.seed if options.level == "sample" else None,
        roots=audit.roots,
        objects=len(known),
        read=audit.journal.read,
        nbytes=audit.journal.nbytes,
        resumed=audit.resumed,
        listed=found.listed,
        # What reading says about an object says more than its size.
        problems=tuple(p for _, p in sorted((problems | audit.journal.problems).items())),
        seconds=time.perf_counter() - started,
    )


def _default(target: str | os.PathLike[str] | Tree) -> str:
    return manifest_address(target.uri if isinstance(target, Tree) else target)


class _Audit:
    """The part of an audit that reads objects."""

    def __init__(
        self, tree: Tree, manifest: Manifest, options: VerifyOptions, how: tuple[str, tuple[str, ...]]
    ) -> None:
        self._tree = tree
        self._manifest = manifest
        self._options = options
        self._algorithm, self.roots = how
        self.seed = options.seed
        self.journal = Journal(None, {}, 0)
        self.resumed = 0

    def run(self, found: Census, how: _How) -> None:
        """Read what the level asks for, except what an earlier run has read."""
        progress, cancel = how.progress, how.cancel
        identity = self._identity()
        self.journal = Journal(how.journal or journal_path(identity), identity, len(self._manifest))
        if how.resume:
            noted = self.journal.resume()
            if noted is not None and isinstance(noted.get("seed"), int):
                self.seed = noted["seed"]
        self.resumed = self.journal.read
        numbers = self._chosen(found)
        total = int(found.sizes[numbers].sum())
        left = numbers[~self.journal.done[numbers]]
        contents = Contents(self._manifest, self._algorithm, found.sizes)
        elsewhere: list[Problem] = []
        complete = False
        self.journal.begin({"seed": self.seed})
        try:
            wanted = contents.iter_wanted(left.tolist(), elsewhere)
            threads = self._options.threads
            for batch in hash_objects(self._tree, wanted, [self._algorithm], threads=threads, cancel=cancel):
                self.journal.add(
                    [f.wanted.number for f in batch],
                    sum(f.wanted.size for f in batch if f.digests is not None),
                    [p for f in batch if (p := contents.problem(f)) is not None],
                )
                if progress is not None:
                    progress(
                        HashingProgress(
                            objects=self.journal.read,
                            total_objects=len(numbers),
                            nbytes=self.journal.nbytes,
                            total_bytes=total,
                        )
                    )
            complete = int(self.journal.done[numbers].sum()) + len(elsewhere) >= len(numbers)
        finally:
            self.journal.end(complete=complete)
        if not complete:
            raise InterruptedJobError(
                f"stopped after {self.journal.read:,} of {len(numbers):,} objects",
                code=Code.JOB_INTERRUPTED,
                fix="run the same command with --resume to go on",
            )
        self.journal.problems |= {p.key: p for p in elsewhere}

    def _identity(self) -> dict[str, Any]:
        sampled = self._options.level == "sample"
        return {
            "target": self._tree.uri,
            "roots": list(self.roots),
            "level": self._options.level,
            "algorithm": self._algorithm,
            "sample": self._options.sample if sampled else None,
        }

    def _chosen(self, found: Census) -> NDArray[np.int64]:
        """Return the positions of what has to be read, in order."""
        there = np.flatnonzero(found.sizes >= 0)
        if self._options.level == "full":
            return there
        share = self._options.sample
        count = int(share) if isinstance(share, int) else int(np.ceil(share * len(self._manifest)))
        # Drawn from the manifest, not from what is there: what vanishes meanwhile must not change the draw.
        drawn = np.random.default_rng(self.seed).permutation(len(self._manifest))[:count]
        return np.intersect1d(drawn, there)
