"""Checking releases: documents against each other and the log, that against checkpoints, objects against manifests."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np

from voxarium.archive.keys import remembered_checkpoints
from voxarium.archive.log_checks import check_log
from voxarium.archive.log_reading import LogReader
from voxarium.archive.log_report import LogReport
from voxarium.archive.manifests import HashingProgress
from voxarium.archive.releases import open_dataset_store
from voxarium.archive.trees import Listing, Tree
from voxarium.archive.verify import VerifyOptions, VerifyReport, verify
from voxarium.archive.verify.logical import check_logical
from voxarium.archive.verify.running import with_voxels
from voxarium.core.composed import ComposedStore
from voxarium.core.guarding import is_published
from voxarium.core.release_store import ReleaseStore, split_reference
from voxarium.core.releases import (
    StoredRelease,
    find_release,
    has_releases,
    read_bounded,
    release_manifest,
    stored_release,
)
from voxarium.core.uri import open_folder, parse_uri
from voxarium.errors import FormatError, NotFoundError
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.spec.manifest import Manifest, Strings, matching
from voxarium.spec.provenance import Entry
from voxarium.spec.release import (
    FOLDER,
    MOST_DOCUMENT,
    entry_id,
    manifest_key,
    parse_tombstone,
    release_key,
    tombstone_key,
)
from voxarium.spec.transparency_log import PublicKey

__all__ = ["ReleaseProblem", "ReleaseReport", "release_of", "release_tree", "verify_release"]

_DOCUMENT: Final = re.compile(r"([0-9]{6})\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseProblem:
    """One thing that is wrong.

    Parameters
    ----------
    key : str
        Object in the dataset.
    kind : str
        Of releases: ``missing``, ``malformed``, ``chain`` (the document before was changed), ``renamed`` (a name is
        used twice), ``unlogged``, ``manifest``, ``tombstone``. Those of the log begin with ``log-``; those of objects
        are those of `voxarium.archive.verify`.
    message : str
        What is wrong.
    expected, found : str or None
        What was to be there, what is.
    """

    key: str
    kind: str
    message: str
    expected: str | None = None
    found: str | None = None

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the problem for ``--json``."""
        return {n: getattr(self, n) for n in ("key", "kind", "message", "expected", "found")}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseReport:
    """What a check found.

    Parameters
    ----------
    name, sequence : str, int
        The release; of the whole history, this one and those before were looked at most closely.
    digest : str
        SHA-256 of its document.
    releases : int
        Releases of the dataset.
    log : LogReport or None
        The log; None when there is none.
    signed_by : tuple of str
        Keys whose signatures cover the release.
    kept : bool
        Whether a checkpoint from elsewhere covers it: without one, a history that was replaced as a whole looks good.
    objects : VerifyReport or None
        The objects; None when they were not looked at.
    problems : tuple of ReleaseProblem
        Everything.
    """

    name: str
    sequence: int
    digest: str
    releases: int
    log: LogReport | None
    signed_by: tuple[str, ...] = ()
    kept: bool = False
    objects: VerifyReport | None = None
    problems: tuple[ReleaseProblem, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        return {
            "ok": self.ok,
            "problems": [p.to_json() for p in self.problems],
            "release": self.name,
            "sequence": self.sequence,
            "document": f"sha256:{self.digest}",
            "releases": self.releases,
            "signed_by": list(self.signed_by),
            "kept_checkpoint": self.kept,
            "log": None if self.log is None else self.log.to_json(),
            "objects": None if self.objects is None else self.objects.to_json(),
        }


@dataclass(slots=True)
class _History:
    """All releases, and what is wrong with them."""

    found: dict[int, StoredRelease] = field(default_factory=dict)
    problems: list[ReleaseProblem] = field(default_factory=list)

    def add(self, key: str, kind: str, message: str, expected: str | None = None, found: str | None = None) -> None:
        self.problems.append(ReleaseProblem(key=key, kind=kind, message=message, expected=expected, found=found))


def verify_release(
    dataset: str | os.PathLike[str] | ReadableStore,
    name: str,
    options: VerifyOptions | None = None,
    *,
    kept: Sequence[tuple[str, bytes]] = (),
    keys: Sequence[PublicKey] = (),
    with_objects: bool = True,
    resume: bool = False,
    progress: Callable[[HashingProgress], None] | None = None,
) -> ReleaseReport:
    """Tell whether a release is what was published.

    Parameters
    ----------
    dataset : str, path or ReadableStore
        The dataset.
    name : str
        Of the release.
    options : VerifyOptions or None
        How closely to look at objects; None = every byte.
    kept : sequence of (str, bytes)
        Checkpoints kept elsewhere, each with a name for messages. The last one signed on this machine is added.
    keys : sequence of PublicKey
        Keys to believe; one of them must then have signed.
    with_objects : bool
        Look at the objects; else at documents and the log only.
    resume, progress
        See `voxarium.archive.verify.verify`.

    Raises
    ------
    NotFoundError
        If there is no such release.
    """
    store = dataset if isinstance(dataset, ReadableStore) else open_dataset_store(dataset)
    history = _History()
    _read_history(store, history)
    log = _check_log(store, history, kept, keys)
    chosen = next((s for s in history.found.values() if s.release.name == name), None)
    if chosen is None:
        if not history.problems:
            find_release(store, name)  # says which there are
        history.add(f"{FOLDER}/", "missing", f"no release that can be read is named {name}", name)
        return ReleaseReport(
            name=name, sequence=0, digest="", releases=len(history.found), log=log, problems=tuple(history.problems)
        )
    manifest = _manifest(store, chosen, history)
    objects = None
    if manifest is not None and with_objects:
        tree = release_tree(store, manifest)
        logical = options is not None and options.level == "logical"
        asked = replace(options, level="full", digests=()) if options is not None and logical else options
        objects = verify(tree, manifest, asked, resume=resume, progress=progress)
        if options is not None and logical:
            content = Tree(ReleaseStore(store, manifest, name))
            log_reader = LogReader(store)
            found = check_logical(
                content, given=options.digests, log=log_reader, threads=options.threads, progress=progress
            )
            objects = with_voxels(objects, found)
        for p in objects.problems:
            history.add(p.key, p.kind, f"{p.key} is {p.kind}", p.expected, p.found)
    at = _entry_number(store, chosen) if log is not None else None
    covering = [] if log is None or at is None else [c for c in log.checkpoints if c.size > at]
    names = {source for source, _ in kept}
    return ReleaseReport(
        name=name,
        sequence=chosen.release.sequence,
        digest=chosen.digest,
        releases=len(history.found),
        log=log,
        signed_by=tuple(sorted({who for c in covering for who in c.signed_by})),
        kept=any(c.source in names for c in covering),
        objects=objects,
        problems=tuple(history.problems),
    )


def release_of(target: str) -> tuple[str, str] | None:
    """Return dataset and name that an address such as ``DATASET@v1.0`` means; None when it means something else."""
    where = parse_uri(target)
    local = where.scheme == "file"
    if local and os.path.lexists(where.base):
        return None
    for dataset, name, path in split_reference(where.base, local=local):
        if path or where.inner:
            continue
        if is_published(dataset) if local else has_releases(open_folder(dataset)):
            return dataset, name
    return None


# ----------------------------------------------------------------------------------------------------------- documents
def _read_history(store: ReadableStore, history: _History) -> None:
    """Read all documents; note those that are missing, broken, or do not hang together."""
    names: dict[str, str] = {}
    for sequence in _sequences(store):
        key = release_key(sequence)
        try:
            stored = stored_release(store, sequence)
        except FormatError as error:
            history.add(key, "malformed", error.message)
            continue
        if stored is None:
            history.add(key, "missing", f"{key} is missing, yet later releases are there")
            continue
        history.found[sequence] = stored
        before = history.found.get(sequence - 1)
        if before is not None and stored.release.parent != before.digest:
            message = f"{before.key} is not the document that {key} names as the one before"
            history.add(before.key, "chain", message, stored.release.parent, before.digest)
        other = names.setdefault(stored.release.name.casefold(), key)
        if other != key:
            history.add(key, "renamed", f"{key} has the name {stored.release.name}, which {other} has too")


def _sequences(store: ReadableStore) -> Iterator[int]:
    last = 0
    if isinstance(store, ListableStore):
        last = max((int(m[1]) for n in store.list_dir(FOLDER)[0] if (m := _DOCUMENT.fullmatch(n))), default=0)
    sequence = 1
    while sequence <= last or store.stat(release_key(sequence)) is not None:
        yield sequence
        sequence += 1


def _manifest(store: ReadableStore, chosen: StoredRelease, history: _History) -> Manifest | None:
    try:
        return release_manifest(store, chosen.release)
    except (FormatError, NotFoundError) as error:
        history.add(manifest_key(chosen.release.manifest.sha256), "manifest", error.message)
        return None


# ----------------------------------------------------------------------------------------------------------------- log
def _check_log(
    store: ReadableStore, history: _History, kept: Sequence[tuple[str, bytes]], keys: Sequence[PublicKey]
) -> LogReport | None:
    """Check the log, what releases say of it, and what it says of releases."""
    log = LogReader(store)
    try:
        log_id = log.existing().log_id()
    except NotFoundError as error:
        history.add(log.folder, "log-missing", error.message)
        return None
    except FormatError:
        log_id = ""  # the check says so
    known = [*kept, *(p for p in remembered_checkpoints(log_id) if log_id)]
    report = check_log(log, kept=known, keys=keys)
    for problem in report.problems:
        history.add(
            problem.key, f"log-{problem.kind}", problem.message, problem.expected or None, problem.found or None
        )
    if any(p.kind in ("missing", "extra", "malformed", "misplaced", "foreign", "changed") for p in report.problems):
        return report
    entries = list(log.entries())
    _compare_with_entries(store, log, entries, history)
    tree = log.tree()
    for stored in history.found.values():
        state = stored.release.log
        if state is not None and (
            state.log != log_id or state.size > len(tree) or tree.root(state.size).hex() != state.root
        ):
            message = f"the log is not the one that {stored.key} goes on from"
            history.add(log.folder, "log-rewritten", message, state.root)
    return report


def _compare_with_entries(store: ReadableStore, log: LogReader, entries: list[Entry], history: _History) -> None:
    published = {entry_id(s.document): s for s in history.found.values()}
    tombstones = _tombstones(store, history)
    logged = {e.write_id: e for e in entries}
    for write_id, stored in published.items():
        if write_id not in logged or logged[write_id].operation != "publish":
            message = f"the log has no entry about {stored.key} as it is"
            history.add(stored.key, "unlogged", message, f"an entry {write_id}")
    for write_id, key in tombstones.items():
        if write_id not in logged or logged[write_id].operation != "tombstone":
            history.add(key, "unlogged", f"the log has no entry about {key} as it is", f"an entry {write_id}")
    for entry in entries:
        known = set(published if entry.operation == "publish" else tombstones)
        if entry.operation in ("publish", "tombstone") and entry.write_id not in known:
            where = _written(log, entry)
            if where:
                what = "a release" if entry.operation == "publish" else "a tombstone"
                message = f"entry {entry.sequence} of the log is about {what} that is not there as it was"
                history.add(where, "missing", message)


def _written(log: LogReader, entry: Entry) -> str:
    """Return the key of the document that an entry is about; empty when it is about none of ours."""
    try:
        outputs = log.recorded(entry).activity.outputs
    except FormatError:  # the check of the log says so
        return f"{FOLDER}/"
    if not outputs:  # its details were removed
        return f"{FOLDER}/" if "outputs" in entry.payloads else ""
    return next((a.address for a in outputs if a.address.startswith(f"{FOLDER}/")), "")


def _tombstones(store: ReadableStore, history: _History) -> dict[str, str]:
    """Return the keys of tombstones by the ids of the entries about them."""
    found = {}
    for sequence, stored in history.found.items():
        key = tombstone_key(sequence)
        try:
            data = read_bounded(store, key, MOST_DOCUMENT)
            tombstone = None if data is None else parse_tombstone(data, key)
        except FormatError as error:
            history.add(key, "malformed", error.message)
            continue
        if data is None or tombstone is None:
            continue
        found[entry_id(data)] = key
        if (tombstone.sequence, tombstone.name, tombstone.document) != (sequence, stored.release.name, stored.digest):
            history.add(key, "tombstone", f"{key} is about another document than {stored.key}", tombstone.document)
    return found


def _entry_number(store: ReadableStore, stored: StoredRelease) -> int | None:
    wanted = entry_id(stored.document)
    try:
        return next((e.sequence for e in LogReader(store).entries() if e.write_id == wanted), None)
    except FormatError:
        return None


# ------------------------------------------------------------------------------------------------------------- objects
class _ReleaseTree(Tree):
    """A dataset of which only what a manifest lists is seen: what was added since is no problem."""

    __slots__ = ("manifest",)
    manifest: Manifest

    def listing(self, objects: Any = None) -> Listing:  # Any: as in Tree
        """Return what is there of the manifest's objects."""
        found = Tree.listing(self, objects)
        kept = np.flatnonzero(matching(self.manifest.keys, found.keys)[1] >= 0)
        if len(kept) == len(found.sizes):
            return found
        return Listing(Strings.of(found.keys.name(i) for i in kept.tolist()), found.sizes[kept])


def release_tree(store: ReadableStore, manifest: Manifest) -> Tree:
    """Return a tree that shows what is there of the objects of a manifest, and nothing else."""
    tree = _ReleaseTree(ComposedStore(store) if manifest.composed else store)
    object.__setattr__(tree, "manifest", manifest)
    return tree
