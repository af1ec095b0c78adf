"""What a release consists of where that is not what lies in the dataset: edits, and what was left out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import numpy as np

from voxarium.archive.named_objects import located, piece_places
from voxarium.core.composed import ComposedStore
from voxarium.core.drafts import find_draft
from voxarium.core.release_store import draft_base
from voxarium.core.releases import StoredRelease, release_manifest
from voxarium.errors import Code, ConflictError, NotFoundError
from voxarium.model.keys import natural_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.ranged import open_ranged
from voxarium.model.wrapping import Operation, StoreWrapper
from voxarium.spec.manifest import Manifest, selected
from voxarium.spec.release import (
    DATASET_KEY,
    PIECES,
    POOL,
    DraftState,
    Edit,
    is_composed,
    may_change,
)

__all__ = ["OverlaidStore", "Overlay", "overlay_of"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """Objects that are not what lies at their keys.

    Parameters
    ----------
    edits : mapping of str to Edit
        What they are; an edit without location: not there.
    last : Manifest or None
        What the last release lists.
    draft : DraftState or None
        The draft that is published.
    count : int
        How many releases there were.
    """

    edits: Mapping[str, Edit] = field(default_factory=dict)
    last: Manifest | None = None
    draft: DraftState | None = None
    count: int = 0

    @property
    def omits(self) -> tuple[str, ...]:
        """Keys of what lies in the dataset, and is left out."""
        return tuple(sorted(key for key, e in self.edits.items() if not e.location))

    @property
    def places(self) -> dict[str, str]:
        """Locations by key."""
        return {key: e.location for key, e in self.edits.items() if e.location}

    def check(self, store: ReadableStore, known: Sequence[StoredRelease]) -> None:
        """Refuse to go on when another release with other edits was made since this was put together.

        Raises
        ------
        ConflictError
            If so.
        """
        if len(known) <= self.count:
            return
        last = known[-1].release
        theirs = {key: Edit("") for key in last.omits} | dict(_inherited(release_manifest(store, last)))
        if any(self.edits.get(key) != edit for key, edit in theirs.items()):
            raise ConflictError(
                f"release {last.name} was made meanwhile, with other edits",
                code=Code.RELEASE_REFUSED,
                fix="run the same command again: it goes on from that release",
            )

    def unchanged(self) -> Manifest | None:
        """Return entries of the last release whose bytes nobody had a right to change, in a release made of a draft."""
        if self.last is None or self.draft is None:
            return None
        places = self.places
        kept = np.ones(len(self.last), np.bool_)
        for place, i in located(self.last):
            kept[i] = places.get(self.last.keys[i]) == place
        for key, place in places.items():
            i = self.last.find(key)
            if i >= 0:
                kept[i] = self.last.location(i)[0] == place
        return selected(self.last, np.flatnonzero(kept))


def overlay_of(store: ReadableStore, known: Sequence[StoredRelease], draft: str = "") -> Overlay:
    """Return what of a new release does not lie at its key: edits of the last release, and of a draft.

    Parameters
    ----------
    store : ReadableStore
        The dataset.
    known : sequence of StoredRelease
        All releases.
    draft : str
        Name of the draft to publish; empty = none.

    Raises
    ------
    ConflictError
        If objects that the draft edits were changed since by another release, or lie in the dataset too.
    """
    if not known:
        if draft:
            find_draft(store, draft)
        return Overlay()
    last = known[-1].release
    if not draft and not last.omits and not _has_edits(store, known[-1]):
        return Overlay(count=len(known))
    manifest = release_manifest(store, last)
    edits = {key: Edit("") for key in last.omits} | dict(_inherited(manifest))
    _refuse_doubles(store, known, edits)
    state = find_draft(store, draft).state if draft else None
    if state is not None:
        _refuse_outdated(store, state, known[-1], manifest)
        edits |= state.edits
    return Overlay(edits=edits, last=manifest, draft=state, count=len(known))


def _has_edits(store: ReadableStore, stored: StoredRelease) -> bool:
    try:
        return next(_inherited(release_manifest(store, stored.release)), None) is not None
    except NotFoundError:  # damage, which `verify` names; a manifest that is gone cannot be gone on from
        return False


def _inherited(manifest: Manifest) -> Iterator[tuple[str, Edit]]:
    """Yield what is edited in a release; descriptions, of which releases have copies, are not."""
    own = manifest.find(DATASET_KEY) >= 0
    for place, i in located(manifest):
        key = manifest.keys[i]
        if place.startswith((f"{POOL}/", f"{PIECES}/")) and not may_change(key, in_dataset=own):
            yield key, Edit(place, int(manifest.sizes[i]))


def _refuse_outdated(store: ReadableStore, state: DraftState, last: StoredRelease, manifest: Manifest) -> None:
    """Refuse a draft of an earlier release if what it edits was changed since."""
    base = draft_base(store, state)
    if base.digest == last.digest:
        return
    before = release_manifest(store, base.release)
    for key in state.edits:
        i, j = before.find(key), manifest.find(key)
        if (i < 0) != (j < 0) or (i >= 0 and not np.array_equal(before.sha256[i], manifest.sha256[j])):
            raise ConflictError(
                f"{key} was changed by release {last.release.name} since {state.name} was begun from {state.base}",
                code=Code.RELEASE_REFUSED,
                fix=f"bring the draft onto that release: voxarium release draft rebase DATASET {state.name}",
            )


def _refuse_doubles(store: ReadableStore, known: Sequence[StoredRelease], edits: Mapping[str, Edit]) -> None:
    """Refuse objects that somebody wrote to the dataset where a release has edits: which one is meant?"""
    doubtful = []
    for key, edit in edits.items():
        if not edit.location or store.stat(key) is None:
            continue
        if not is_composed(edit.location) or key not in piece_places(store, edit.location):
            doubtful.append(key)
    for stored in reversed(known) if doubtful else ():
        manifest = release_manifest(store, stored.release)
        doubtful = [k for k in doubtful if (i := manifest.find(k)) < 0 or manifest.location(i)[0] != k]
        if not doubtful:
            return
    if doubtful:
        raise ConflictError(
            f"{doubtful[0]} was written to {store.uri}, although the last release has an edit there",
            code=Code.RELEASE_REFUSED,
            fix="remove it from the dataset; change it in a draft",
        )


# --------------------------------------------------------------------------------------------------------------- store
class OverlaidStore(StoreWrapper):
    """A dataset in which some objects are others than those that lie at their keys.

    Parameters
    ----------
    inner : ReadableStore
        The dataset.
    edits : mapping of str to Edit
        See `Overlay`.
    """

    def __init__(self, inner: ReadableStore, edits: Mapping[str, Edit]) -> None:
        super().__init__(inner)
        self._objects = ComposedStore(inner)
        self._edits = edits

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do an operation, on the other object where there is one."""
        result: Any
        if operation.method == "list":
            result = self._listed(operation.key, cast("Iterable[tuple[str, int]]", call()))
        elif operation.method == "list_dir":
            result = self._folder(operation.key, cast("tuple[Sequence[str], Sequence[str]]", call()))
        else:
            edit = self._edits.get(operation.key)
            result = call() if edit is None else self._other(operation, edit)
        return cast("_T", result)

    def _other(self, operation: Operation, edit: Edit) -> Any:  # Any: whatever the operation returns
        place = edit.location
        if not place or operation.method == "local_path":
            return None
        if operation.method == "get_ranges":
            return self._objects.get_ranges(place, operation.ranges)
        if operation.method == "open_file":
            return open_ranged(self._objects, place, edit.size)
        return getattr(self._objects, operation.method)(place)

    def _listed(self, prefix: str, found: Iterable[tuple[str, int]]) -> Iterator[tuple[str, int]]:
        start = f"{prefix}/" if prefix else ""
        mine = [(k, e.size) for k, e in self._edits.items() if e.location and k.startswith(start)]
        return itertools.chain((item for item in found if item[0] not in self._edits), sorted(mine))

    def _folder(self, prefix: str, found: tuple[Sequence[str], Sequence[str]]) -> tuple[list[str], list[str]]:
        start = f"{prefix}/" if prefix else ""
        files, folders = set(found[0]), set(found[1])
        for key, edit in self._edits.items():
            if key.startswith(start):
                name, inside, _ = key[len(start) :].partition("/")
                if edit.location:
                    (folders if inside else files).add(name)
                elif not inside:
                    files.discard(name)
        return sorted(files, key=natural_key), sorted(folders, key=natural_key)
