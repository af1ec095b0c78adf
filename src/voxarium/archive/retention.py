"""Removing what nothing names any more: leftovers of stopped writers, superseded drafts, withdrawn releases if asked.

What releases and drafts name is read first, strictly: as long as one of their documents cannot be read, nothing is
removed. Ages are told by the store alone: an object is written now, and what the store says of it is "now".
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final, cast

from voxarium.archive.agents import default_agent, software_versions
from voxarium.archive.log_reading import LOG_FOLDER
from voxarium.archive.named_objects import Named, located, piece_places
from voxarium.archive.provenance import ProvenanceLog
from voxarium.archive.releases import open_dataset_store
from voxarium.archive.trees import is_temporary
from voxarium.core.drafts import StoredDraft
from voxarium.core.journal import JOB_FOLDER
from voxarium.core.releases import iter_releases, release_manifest, stored_tombstone
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import (
    ListableStore,
    PartialStore,
    ReadableStore,
    TimedStore,
    Upload,
    UploadingStore,
    WritableStore,
)
from voxarium.model.provenance import Activity, Agent, Artifact
from voxarium.spec.release import (
    DRAFTS,
    FOLDER,
    PIECES,
    POOL,
    is_composed,
)

__all__ = ["GRACE", "CollectOptions", "Collected", "Doomed", "collect", "parse_duration"]

GRACE: Final = 7 * 86400.0
"""Seconds for which everything is kept: longer than any writer takes between an object and what names it."""

_STATE: Final = re.compile(rf"{DRAFTS}/([^/]+)/([0-9]{{6}})\.json")
_FOLDERS: Final = {f"{FOLDER}/manifests/": "manifest", f"{POOL}/": "object", f"{PIECES}/": "pieces"}
_BATCH: Final = 256
_LOGGED: Final = 1000
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d|w)")
_UNITS: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectOptions:
    """What may be removed.

    Parameters
    ----------
    grace : float
        Seconds for which everything is kept.
    apply : bool
        Remove; else only tell what would be removed.
    withdrawn : sequence of str
        Names of withdrawn releases whose objects may go, if no other release or draft names them.
    reason : str
        Why; needed for withdrawn releases.
    agent : Agent or None
        Who decides; goes into the log.
    """

    grace: float = GRACE
    apply: bool = False
    withdrawn: Sequence[str] = ()
    reason: str = ""
    agent: Agent | None = field(default_factory=default_agent)


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object that nothing names: key, bytes, when it was written (store's clock), and what it is.

    `kind`: ``manifest``, ``object``, ``pieces``, ``draft`` (a superseded state), ``temporary``, ``withdrawn``, or
    ``upload``: an object that was begun in parts, with the server's name of the upload; `modified` is when it began.
    """

    key: str
    size: int
    modified: float
    kind: str
    upload: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """What came of it.

    Parameters
    ----------
    applied : bool
        Whether it was removed.
    now : float
        Seconds since 1970 by the store's clock.
    grace : float
        Seconds for which everything is kept.
    objects : tuple of Doomed
        What was removed, or would be, sorted by key.
    young : int
        Objects that nothing names, kept since they are younger than that.
    notes : tuple of str
        What could not be looked at, and why.
    """

    applied: bool
    now: float
    grace: float
    objects: tuple[Doomed, ...]
    young: int
    notes: tuple[str, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of all objects."""
        return sum(o.size for o in self.objects)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        rows = [
            {"key": o.key, "bytes": o.size, "kind": o.kind, "age_seconds": round(self.now - o.modified, 3)}
            | ({"upload": o.upload} if o.upload else {})
            for o in self.objects
        ]
        return {
            "applied": self.applied,
            "now": datetime.fromtimestamp(self.now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "grace_seconds": self.grace,
            "objects": rows,
            "bytes": self.nbytes,
            "young": self.young,
            "notes": list(self.notes),
        }


def parse_duration(text: str) -> float:
    """Return the seconds that ``7d``, ``12h``, ``90m`` or ``30s`` mean.

    Raises
    ------
    InputError
        If it is no duration.

    Examples
    --------
    >>> parse_duration("36h")
    129600.0
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"{text!r} is no duration", code=Code.ARGUMENT_INVALID, fix="give a number and s, m, h, d or w, such as 7d"
        )
    return float(found[1]) * _UNITS[found[2]]


def collect(dataset: str | os.PathLike[str] | WritableStore, options: CollectOptions | None = None) -> Collected:
    """Remove what neither a release nor a draft names, or tell what that would be.

    Parameters
    ----------
    dataset : str, path or WritableStore
        The dataset.
    options : CollectOptions or None
        See there.

    Raises
    ------
    FormatError, ChecksumError, NotFoundError
        If a document of a release or draft cannot be read: then nobody knows what is named, and nothing is removed.
    InputError
        If a release to be removed was not withdrawn, or no reason is given.
    UnsupportedError
        If the store cannot be listed, written, or does not say how old its objects are.
    """
    options = CollectOptions() if options is None else options
    store: Any = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    _check_able(store)
    _check_options(store, options)
    names = Named(store, options.withdrawn)
    found = [c for c in _candidates(store, names, options.withdrawn) if not names.has(c.key)]
    uploads, notes = _uploads(store)
    now = _clock(store)
    doomed, young = [], 0
    for candidate in (*found, *uploads):
        modified = candidate.modified if candidate.upload else store.modified(candidate.key)
        if modified is None:
            continue  # gone meanwhile
        if now - modified < options.grace:
            young += 1
        else:
            doomed.append(replace(candidate, modified=modified))
    report = Collected(
        applied=options.apply,
        now=now,
        grace=options.grace,
        objects=tuple(sorted(doomed, key=lambda d: (d.key, d.upload))),
        young=young,
        notes=notes,
    )
    if not options.apply or not doomed:
        return report
    _log(store, report, options)
    return replace(report, objects=tuple(_remove(store, names, report.objects)))


# ----------------------------------------------------------------------------------------------------------- candidates
def _candidates(store: ReadableStore, names: Named, withdrawn: Sequence[str]) -> Iterator[Doomed]:
    """Yield what might be removed, each key once; ages are not known yet."""
    seen: set[str] = set()
    for one in (*_listed(store, names), *_withdrawn(store, names, withdrawn)):
        if one.key not in seen:
            seen.add(one.key)
            yield one


def _listed(store: ReadableStore, names: Named) -> Iterator[Doomed]:
    for key, size in cast("ListableStore", store).list(""):
        if key.startswith(f"{LOG_FOLDER}/") or f"/{JOB_FOLDER}/" in f"/{key}":
            continue  # a job that was stopped may be resumed
        kind = "temporary" if is_temporary(key) else _kind(key, names.drafts)
        if kind:
            yield Doomed(key, size, 0.0, kind)
    if isinstance(store, PartialStore):
        for key, size in store.list_partial():
            yield Doomed(key, size, 0.0, "temporary")


def _uploads(store: ReadableStore) -> tuple[list[Doomed], tuple[str, ...]]:
    """Return objects that were begun in parts, and why nobody can tell, where that is so."""
    if not isinstance(store, UploadingStore):
        return [], ()
    try:
        return [Doomed(u.key, u.size, u.started, "upload", u.name) for u in store.list_uploads()], ()
    except UnsupportedError as error:
        return [], (f"{error}; {error.fix}",)


def _kind(key: str, drafts: Mapping[str, StoredDraft]) -> str:
    """Return what an object of the folder of releases is, if it may be removed."""
    state = _STATE.fullmatch(key)
    if state is not None:
        newest = drafts.get(state[1])
        return "draft" if newest is not None and int(state[2]) < newest.state.sequence else ""
    return next((kind for folder, kind in _FOLDERS.items() if key.startswith(folder)), "")


def _withdrawn(store: ReadableStore, names: Named, withdrawn: Sequence[str]) -> Iterator[Doomed]:
    """Yield all that withdrawn releases consist of."""
    for stored in names.releases:
        if stored.release.name not in withdrawn:
            continue
        manifest = release_manifest(store, stored.release)
        elsewhere = {i: place for place, i in located(manifest)}
        for i, key in enumerate(manifest.keys):
            if i not in elsewhere and _may_go(key):
                yield Doomed(key, int(manifest.sizes[i]), 0.0, "withdrawn")
        for place in elsewhere.values():
            for key in (place, *(piece_places(store, place) if is_composed(place) else ())):
                stat = store.stat(key) if _may_go(key) else None
                if stat is not None:
                    yield Doomed(key, stat.size, 0.0, "withdrawn")


def _may_go(key: str) -> bool:
    """Tell whether a manifest can name an object for removal: part of the content, or named by its content."""
    try:
        checked_key(key)
    except InputError:
        return False
    return not key.startswith((f"{FOLDER}/", f"{LOG_FOLDER}/")) or key.startswith((f"{POOL}/", f"{PIECES}/"))


# ------------------------------------------------------------------------------------------------------------- removing
def _check_able(store: Any) -> None:  # Any: asked what it can do
    able = isinstance(store, WritableStore) and isinstance(store, ListableStore) and isinstance(store, TimedStore)
    if not able:
        raise UnsupportedError(
            f"{getattr(store, 'uri', store)} cannot be listed and written, or does not say how old its objects are",
            code=Code.FEATURE_UNSUPPORTED,
            fix="do it where the files are: a local folder, or an address such as s3://",
        )


def _check_options(store: ReadableStore, options: CollectOptions) -> None:
    if not options.grace >= 0:
        raise InputError(
            f"{options.grace} seconds are no time to wait", code=Code.ARGUMENT_INVALID, fix="give a time such as 7d"
        )
    if options.withdrawn and not options.reason.strip():
        raise InputError(
            f"objects of {', '.join(options.withdrawn)} are not removed without a reason",
            code=Code.ARGUMENT_INVALID,
            fix="say why; it goes into the log",
        )
    known = {s.release.name: s for s in iter_releases(store)}
    for name in options.withdrawn:
        stored = known.get(name)
        if stored is None or stored_tombstone(store, stored.release.sequence) is None:
            raise InputError(
                f"{name} is no release that was withdrawn",
                code=Code.ARGUMENT_INVALID,
                fix="objects of a release are removed after voxarium release tombstone only",
            )


def _clock(store: Any) -> float:  # Any: a store that can write and tell times
    """Return what time it is for the store."""
    key = f"{FOLDER}/.clock-{secrets.token_hex(8)}.tmp"
    try:
        store.put(key, b"now")
        now: float | None = store.modified(key)
    finally:
        store.delete(key)
    if now is None:
        raise UnsupportedError(
            f"{store.uri} does not show what was just written",
            code=Code.FEATURE_UNSUPPORTED,
            fix="use a store that is consistent",
        )
    return now


def _log(store: WritableStore, report: Collected, options: CollectOptions) -> None:
    """Note what is going to be removed, before anything is."""
    keys = "\n".join(o.key for o in report.objects).encode()
    ProvenanceLog(store).append(
        Activity(
            operation="collect",
            inputs=[Artifact(o.key, size=o.size, role=o.kind) for o in report.objects[:_LOGGED]],
            parameters={
                "objects": len(report.objects),
                "bytes": str(report.nbytes),
                "keys_sha256": sha256(keys).hexdigest(),
                "grace_seconds": report.grace,
                "withdrawn": list(options.withdrawn),
            },
            software=software_versions("numpy"),
            agent=options.agent,
            note=options.reason,
        )
    )


def _remove(store: Any, names: Named, doomed: Sequence[Doomed]) -> Iterator[Doomed]:  # Any: as in `_clock`
    """Remove objects, unless somebody names or writes them again meanwhile."""
    for i in range(0, len(doomed), _BATCH):
        names = names.renewed()
        for one in doomed[i : i + _BATCH]:
            if one.upload:
                store.abort_upload(Upload(one.key, one.upload, one.modified, one.size))
                yield one
            elif not names.has(one.key) and store.modified(one.key) == one.modified:
                store.delete(one.key)
                yield one
