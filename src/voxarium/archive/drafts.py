"""Drafts: created, brought to another state, ended. Each state is a document that is created where none is.

So two writers never overwrite each other's edits: of two that want the same number one wins, and the other looks at
what it wrote, and makes its own edits on top of that.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.archive.named_objects import piece_places
from voxarium.archive.releases import Releases, create_document, now_text, open_dataset_store
from voxarium.core.drafts import StoredDraft, find_draft, iter_drafts, newest_draft
from voxarium.core.releases import StoredRelease, find_release, has_releases, stored_tombstone
from voxarium.errors import Code, ConflictError, ExistsError, InputError, NotFoundError
from voxarium.model.protocols import ReadableStore, WritableStore
from voxarium.spec.release import MOST_DRAFT, POOL, DraftState, check_draft_name, draft_key, dump_draft, is_composed

__all__ = [
    "DraftStatus",
    "advance",
    "create_draft",
    "discard_draft",
    "draft_status",
    "end_draft",
    "list_drafts",
    "newest_release",
]

_ATTEMPTS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftStatus:
    """A draft as it is now.

    Parameters
    ----------
    state : DraftState
        Its newest state.
    stored : int
        Bytes of the objects that only it needs, each once.
    behind : tuple of str
        Names of releases that were made since the one it edits.
    """

    state: DraftState
    stored: int
    behind: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return it for ``--json``."""
        state = self.state
        return {
            "name": state.name,
            "state": state.state,
            "revision": state.sequence,
            "base": state.base,
            "behind": list(self.behind),
            "release": state.release or None,
            "time": state.time,
            "note": state.note,
            "edits": [{"key": k, "bytes": e.size if e.location else None} for k, e in sorted(state.edits.items())],
            "stored_bytes": self.stored,
        }


def create_draft(
    dataset: str | os.PathLike[str] | WritableStore, name: str = "draft", *, base: str = "", note: str = ""
) -> StoredDraft:
    """Begin a draft of the next release.

    Parameters
    ----------
    dataset : str, path or WritableStore
        The dataset.
    name : str
        Of the draft: ``draft``, or ``draft-`` and more.
    base : str
        Release to begin from; empty = the last that was not withdrawn.
    note : str
        What it is for.

    Raises
    ------
    ExistsError
        If there is an open draft of this name.
    NotFoundError
        If there is no release to begin from.
    """
    store = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    check_draft_name(name)
    before = newest_draft(store, name) if has_releases(store) else None
    if before is not None and before.state.is_open:
        raise _exists(store, name)
    releases = Releases(store)
    stored = find_release(store, base) if base else newest_release(store, releases)
    if stored_tombstone(store, stored.release.sequence) is not None:
        raise InputError(
            f"release {base} was withdrawn", code=Code.ARGUMENT_INVALID, fix="begin from one that is to be used"
        )
    releases.check_exclusive(store)
    state = DraftState(
        name=name,
        sequence=1 if before is None else before.state.sequence + 1,
        draft=secrets.token_hex(16),
        write_id=secrets.token_hex(16),
        base=stored.release.name,
        base_document=stored.digest,
        time=now_text(),
        note=note,
    )
    made = _store(store, state)
    if made is None:
        raise _exists(store, name)
    return made


def _exists(store: ReadableStore, name: str) -> ExistsError:
    return ExistsError(
        f"{store.uri} has an open draft {name}",
        code=Code.TARGET_EXISTS,
        fix="go on with it, publish it, or end it: voxarium release draft discard",
    )


def newest_release(store: ReadableStore, releases: Releases) -> StoredRelease:
    """Return the last release that was not withdrawn.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    for stored in reversed(releases.all()):
        if stored_tombstone(store, stored.release.sequence) is None:
            return stored
    raise NotFoundError(
        f"{store.uri} has no release to begin from",
        code=Code.RELEASE_MISSING,
        fix="publish it first; what was not published can be changed where it lies",
    )


def advance(store: WritableStore, before: StoredDraft, **changes: Any) -> StoredDraft | None:
    """Bring a draft to its next state; None when somebody else was faster.

    Parameters
    ----------
    before : StoredDraft
        Its newest state.
    **changes
        What is different then.
    """
    state = replace(
        before.state,
        sequence=before.state.sequence + 1,
        write_id=secrets.token_hex(16),
        time=now_text(),
        **changes,
    )
    return _store(store, state)


def _store(store: WritableStore, state: DraftState) -> StoredDraft | None:
    document = dump_draft(state)
    made = create_document(store, draft_key(state.name, state.sequence), document, MOST_DRAFT)
    return StoredDraft(state, document) if made else None


def end_draft(store: WritableStore, name: str, draft: str, *, state: str, release: str = "") -> None:
    """Close a draft, so that it names nothing any more; nothing happens when it is closed already.

    Raises
    ------
    ConflictError
        If others kept editing it.
    """
    for _ in range(_ATTEMPTS):
        found = newest_draft(store, name)
        if found is None or not found.state.is_open or found.state.draft != draft:
            return
        if advance(store, found, state=state, release=release, edits={}) is not None:
            return
    raise ConflictError(
        f"others keep editing {name} of {store.uri}", code=Code.RELEASE_BUSY, fix="try again when they have ended"
    )


def discard_draft(dataset: str | os.PathLike[str] | WritableStore, name: str = "draft") -> DraftState:
    """Give up a draft. What only it needs goes with the next garbage collection.

    Raises
    ------
    NotFoundError
        If there is no open draft of this name.
    """
    store = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    found = find_draft(store, name)
    end_draft(store, name, found.state.draft, state="discarded")
    return found.state


def list_drafts(dataset: str | os.PathLike[str] | ReadableStore) -> Sequence[StoredDraft]:
    """Return the newest state of every draft, open or not."""
    store = dataset if isinstance(dataset, ReadableStore) else open_dataset_store(dataset)
    return list(iter_drafts(store))


def draft_status(dataset: str | os.PathLike[str] | ReadableStore, name: str = "draft") -> DraftStatus:
    """Return how a draft is.

    Raises
    ------
    NotFoundError
        If there is no open draft of this name.
    """
    store = dataset if isinstance(dataset, ReadableStore) else open_dataset_store(dataset)
    state = find_draft(store, name).state
    places = {e.location for e in state.edits.values() if e.location}
    for place in sorted(p for p in places if is_composed(p)):
        places.update(key for key in piece_places(store, place) if key.startswith(f"{POOL}/"))
    stats = [store.stat(place) for place in sorted(places)]
    names = [s.release.name for s in Releases(store).all()]
    behind = names[names.index(state.base) + 1 :] if state.base in names else []
    return DraftStatus(state=state, stored=sum(s.size for s in stats if s is not None), behind=tuple(behind))
