"""Making a release: what a dataset holds, its manifest, copies of documents that may change, then the commit."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any, Final

import numpy as np

from voxarium.archive.agents import default_agent, software_versions
from voxarium.archive.checkpoints import sign_checkpoint
from voxarium.archive.draft_editing import open_draft
from voxarium.archive.drafts import end_draft
from voxarium.archive.keys import SigningKey
from voxarium.archive.log_reading import LogReader
from voxarium.archive.manifests import HashingProgress, default_algorithms, manifest_of
from voxarium.archive.named_objects import located
from voxarium.archive.provenance import ProvenanceLog
from voxarium.archive.release_content import ContentTree, count_new, leftovers, with_copies
from voxarium.archive.release_overlay import OverlaidStore, overlay_of
from voxarium.archive.release_policy import MENDS, Policy, check_policy, own_license
from voxarium.archive.releases import Releases, now_text, open_dataset_store
from voxarium.archive.trees import Tree
from voxarium.core.drafts import newest_draft
from voxarium.core.releases import StoredRelease, check_manifest, find_release, release_manifest
from voxarium.errors import ChecksumError, Code, ConflictError, FormatError, InputError, NotFoundError, StoreError
from voxarium.model.protocols import WritableStore
from voxarium.model.provenance import Activity, Agent, Artifact
from voxarium.spec.manifest import Manifest, Strings, dump_manifest, manifest_root, matching
from voxarium.spec.release import (
    DATASET_KEY,
    DraftState,
    LogState,
    ManifestReference,
    Pin,
    PolicyResult,
    Release,
    check_name,
    manifest_key,
)

_MOST_LOGGED: Final = 1000

__all__ = ["Published", "ReleaseOptions", "create_release"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseOptions:
    """How a release is made.

    Parameters
    ----------
    policy : Policy
        What is checked before.
    accept : mapping of str to str
        Checks that may fail, each with the reason; both become part of the release.
    license : str
        Where the dataset does not state one itself.
    doi, concept_doi : str
        Identifiers reserved for this version, and for all.
    pins : sequence of (kind, key, version)
        Parts of the dataset that have a version of their own.
    note : str
        For readers.
    agent : Agent or None
        Who publishes; goes into the log.
    draft : str
        Draft to publish; empty = what lies in the dataset.
    consolidate : bool
        Store edited shards whole first, instead of as ranges of published ones.
    key : SigningKey or None
        Signs a checkpoint of the log when the release is in it.
    threads : int or None
        None = one per processor.
    dry_run : bool
        Check, count, and write nothing.
    """

    policy: Policy = field(default_factory=Policy)
    accept: Mapping[str, str] = field(default_factory=dict)
    license: str = ""
    doi: str = ""
    concept_doi: str = ""
    pins: Sequence[tuple[str, str, str]] = ()
    note: str = ""
    agent: Agent | None = field(default_factory=default_agent)
    draft: str = ""
    consolidate: bool = False
    key: SigningKey | None = None
    threads: int | None = None
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What came of it.

    Parameters
    ----------
    release : StoredRelease or None
        The release; None after a dry run.
    created : bool
        Whether this call made it; a release of the same name and content is not made again.
    policy : tuple of PolicyResult
        What was checked.
    objects, nbytes : int
        What it consists of.
    new_objects, new_bytes : int
        Of that, what the release before did not have, by key and size.
    checkpoint : bytes or None
        The signed checkpoint, to be kept elsewhere.
    """

    release: StoredRelease | None
    created: bool
    policy: tuple[PolicyResult, ...]
    objects: int
    nbytes: int
    new_objects: int
    new_bytes: int
    checkpoint: bytes | None = None

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        stored = self.release
        return {
            "release": None if stored is None else stored.release.name,
            "sequence": None if stored is None else stored.release.sequence,
            "document": None if stored is None else f"sha256:{stored.digest}",
            "root": None if stored is None else f"sha256:{stored.release.manifest.sha256}",
            "created": self.created,
            "objects": self.objects,
            "bytes": self.nbytes,
            "new_objects": self.new_objects,
            "new_bytes": self.new_bytes,
            "policy": [
                {"check": r.check, "state": r.state, "detail": r.detail, "reason": r.reason} for r in self.policy
            ],
            "signed": self.checkpoint is not None,
        }


def create_release(
    dataset: str | os.PathLike[str] | WritableStore,
    name: str,
    options: ReleaseOptions | None = None,
    *,
    tell: Callable[[PolicyResult], None] | None = None,
    progress: Callable[[HashingProgress], None] | None = None,
) -> Published:
    """Publish what a dataset holds now, under a name that is never used again.

    Parameters
    ----------
    dataset : str, path or WritableStore
        The dataset.
    name : str
        Of the release.
    options : ReleaseOptions or None
        See there.
    tell : callable or None
        Called with what came of each check, before anything is written.
    progress : callable or None
        Called with a `HashingProgress` while objects are read.

    Raises
    ------
    InputError
        If the name cannot be one, or a pin names nothing.
    ConflictError
        If a check of the policy failed, or the dataset changed meanwhile. Nothing is published then.
    ExistsError
        If another release has the name.
    """
    options = ReleaseOptions() if options is None else options
    check_name(name)
    store = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    releases = Releases(store)
    known = _before(releases.all(), name)
    if options.draft:
        done = _published_before(store, releases, name, options.draft)
        if done is not None:
            return done
    if options.draft and options.consolidate and not options.dry_run:
        open_draft(store, options.draft).consolidate()
    overlay = overlay_of(store, known, options.draft)
    view = OverlaidStore(store, overlay.edits) if overlay.edits else store
    tree = ContentTree(view)
    listing = tree.listing()
    results = check_policy(
        view,
        listing,
        options.policy,
        accept=options.accept,
        license=options.license,
        left=leftovers(store),
        tell=tell,
    )
    new_objects, new_bytes = count_new(store, listing, known, overlay.edits)
    report = Published(
        release=None,
        created=False,
        policy=results,
        objects=len(listing.sizes),
        nbytes=int(listing.sizes.sum()),
        new_objects=new_objects,
        new_bytes=new_bytes,
    )
    _refuse_failed(results, name, dry_run=options.dry_run)
    if options.dry_run:
        _refuse_taken(releases, name)
        return report
    _flush(store)
    unchanged = overlay.unchanged()
    algorithms = default_algorithms() if unchanged is None else unchanged.algorithms
    manifest = manifest_of(tree, algorithms, known=unchanged, threads=options.threads, progress=progress).manifest
    if overlay.draft is not None:
        _log_edits(store, overlay.draft, options.agent)
    draft = replace(_draft(store, name, options, manifest, results), omits=overlay.omits)
    named = _named(store, known)
    manifest = with_copies(store, manifest, named, overlay.places)
    draft = _put_manifest(store, manifest, draft, named)
    _refuse_changed(tree, manifest)
    stored, created = releases.commit(draft, lambda found: overlay.check(store, found))
    # From now on nobody removes these; somebody who was about to, since nothing named them, may just have done it.
    if any(store.stat(place) is None for place in {p for p, _ in located(manifest)} - named):
        with_copies(store, manifest, edited=overlay.places)
    _put_manifest(store, manifest, draft, named | {manifest_key(draft.manifest.sha256)})
    releases.complete(stored, options.agent)
    if overlay.draft is not None:
        end_draft(store, options.draft, overlay.draft.draft, state="published", release=stored.release.name)
    note = None if options.key is None else sign_checkpoint(LogReader(store), options.key)
    return replace(report, release=stored, created=created, checkpoint=note)


# ---------------------------------------------------------------------------------------------------------------- steps
def _before(known: Sequence[StoredRelease], name: str) -> Sequence[StoredRelease]:
    """Return the releases before one of this name: a writer that was stopped goes on from where it was."""
    numbers = [i for i, s in enumerate(known) if s.release.name.casefold() == name.casefold()]
    return known[: numbers[0]] if numbers else known


def _published_before(store: WritableStore, releases: Releases, name: str, draft: str) -> Published | None:
    """Return the release that a draft was published as, if it is the one that is wanted."""
    found = newest_draft(store, draft)
    if found is None or found.state.is_open or found.state.release != name:
        return None
    stored = find_release(store, name)
    releases.complete(stored)
    manifest = stored.release.manifest
    return Published(
        release=stored,
        created=False,
        policy=stored.release.policy,
        objects=manifest.objects,
        nbytes=manifest.nbytes,
        new_objects=0,
        new_bytes=0,
    )


def _log_edits(store: WritableStore, state: DraftState, agent: Agent | None) -> None:
    """Note what a draft changes; once, whoever publishes it."""
    edits = sorted(state.edits.items())
    ProvenanceLog(store).append(
        Activity(
            operation="edit",
            inputs=[Artifact(find_release(store, state.base).key, f"sha256:{state.base_document}")],
            outputs=[Artifact(key, size=edit.size) for key, edit in edits[:_MOST_LOGGED] if edit.location],
            parameters={"draft": state.name, "revision": state.sequence, "objects": len(edits)},
            software=software_versions("numpy"),
            agent=agent,
            note=state.note,
        ),
        write_id=sha256(f"{state.draft} {state.sequence}".encode()).hexdigest()[:32],
    )


def _flush(store: WritableStore) -> None:
    """Have local objects on the disk before anything says that they are published."""
    from voxarium.stores.local import LocalStore

    if isinstance(store, LocalStore) and store.durable:
        os.sync()


def _refuse_failed(results: Sequence[PolicyResult], name: str, *, dry_run: bool) -> None:
    failed = [r for r in results if r.state == "failed"]
    if not failed or dry_run:
        return
    raise ConflictError(
        f"{name} is not published: " + "; ".join(f"{r.check}: {r.detail}" for r in failed),
        code=Code.RELEASE_REFUSED,
        fix=f"{MENDS.get(failed[0].check, 'put it right')}; or accept it with --accept {failed[0].check}='why', which "
        "becomes part of the release",
    )


def _refuse_taken(releases: Releases, name: str) -> None:
    for stored in releases.all():
        if stored.release.name.casefold() == name.casefold():
            raise InputError(
                f"there is a release {stored.release.name}",
                code=Code.ARGUMENT_INVALID,
                fix="choose another name: a name stands for one content, for ever",
            )


def _refuse_changed(tree: Tree, manifest: Manifest) -> None:
    listing = tree.listing()
    same = len(listing.sizes) == len(manifest) and bool((matching(listing.keys, manifest.keys)[0] >= 0).all())
    if not same or not np.array_equal(listing.sizes, manifest.sizes):
        raise ConflictError(
            f"{tree.uri} changed while it was read",
            code=Code.PLAN_CHANGED,
            fix="publish when nothing writes there",
        )


# ----------------------------------------------------------------------------------------------------------- documents
def _draft(
    store: WritableStore, name: str, options: ReleaseOptions, manifest: Manifest, results: Sequence[PolicyResult]
) -> Release:
    at = manifest.find(DATASET_KEY)
    tree = LogReader(store).tree()
    log = LogState(LogReader(store).log_id(), len(tree), tree.root().hex()) if len(tree) else None
    return Release(
        name=name,
        sequence=1,
        time=now_text(),
        write_id=secrets.token_hex(16),
        manifest=_reference(manifest),
        dataset="" if at < 0 else manifest.sha256[at].tobytes().hex(),
        license=options.license or own_license(store),
        doi=options.doi,
        concept_doi=options.concept_doi,
        pins=tuple(_pin(manifest, *pin) for pin in options.pins),
        software=software_versions("numpy", "pyarrow"),
        log=log,
        policy=tuple(results),
        note=options.note,
    )


def _reference(manifest: Manifest) -> ManifestReference:
    return ManifestReference(
        sha256=manifest_root(manifest).hex(),
        blake3="" if manifest.blake3 is None else manifest_root(manifest, "blake3").hex(),
        objects=len(manifest),
        nbytes=manifest.nbytes,
    )


def _pin(manifest: Manifest, kind: str, key: str, version: str) -> Pin:
    key = key.strip("/")
    numbers = [i for i, k in enumerate(manifest.keys) if k == key or k.startswith(f"{key}/")]
    if not numbers:
        raise InputError(
            f"there is nothing at {key} to pin", code=Code.ARGUMENT_INVALID, fix="name a folder or an object of it"
        )
    part = Manifest(
        keys=Strings.of(manifest.keys[i] for i in numbers),
        sizes=manifest.sizes[numbers],
        sha256=manifest.sha256[numbers],
    )
    return Pin(kind=kind, key=key, version=version, sha256=manifest_root(part).hex())


def _named(store: WritableStore, known: Sequence[StoredRelease]) -> set[str]:
    """Return keys of copies and manifests that nobody removes, since the last release names them."""
    found = {manifest_key(s.release.manifest.sha256) for s in known}
    try:
        return found | {p for p, _ in located(release_manifest(store, known[-1].release))} if known else found
    except (NotFoundError, FormatError):  # damage to an earlier release, which `verify` names
        return found


def _put_manifest(store: WritableStore, manifest: Manifest, draft: Release, named: Set[str]) -> Release:
    """Store the manifest; return the release as that of the manifest that is there, which may lack BLAKE3 digests."""
    key, data = manifest_key(draft.manifest.sha256), dump_manifest(manifest)
    try:
        if store.put_if_absent(key, data):
            return draft
    except StoreError:
        if store.stat(key) is None:
            raise
    try:
        found = release_manifest(store, replace(draft, manifest=replace(draft.manifest, blake3="")))
    except FormatError as error:
        raise ChecksumError(
            f"{key} in {store.uri} is not what its name says: {error.message}",
            code=Code.CHECKSUM_MISMATCH,
            fix="find out who changed it; remove it, then publish again",
        ) from error
    draft = replace(draft, manifest=_reference(found))
    check_manifest(found, draft)
    if key not in named:
        store.put(key, dump_manifest(found))  # it is young again, so that nobody takes it for a leftover
    return draft
