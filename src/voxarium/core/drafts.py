"""Drafts of a dataset as they are stored: the newest state of each counts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from voxarium.core.releases import read_bounded
from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.spec.release import (
    DRAFTS,
    MOST_DRAFT,
    DraftState,
    check_draft_name,
    draft_key,
    is_draft_name,
    parse_draft,
)

__all__ = ["StoredDraft", "draft_numbers", "find_draft", "iter_drafts", "newest_draft"]

_STATE: Final = re.compile(r"([0-9]{6})\.json")
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class StoredDraft:
    """A state of a draft and its document as stored."""

    state: DraftState
    document: bytes

    @property
    def key(self) -> str:
        """Key of the document."""
        return draft_key(self.state.name, self.state.sequence)


def draft_numbers(store: ReadableStore, name: str) -> list[int]:
    """Return the numbers of the states of a draft that are there, in order.

    Raises
    ------
    UnsupportedError
        If the store cannot be listed: nobody could tell which state is the newest.
    """
    return sorted(int(m[1]) for n in _listable(store).list_dir(f"{DRAFTS}/{name}")[0] if (m := _STATE.fullmatch(n)))


def _listable(store: ReadableStore) -> ListableStore:
    if isinstance(store, ListableStore):
        return store
    raise UnsupportedError(
        f"{store.uri} cannot be listed, so drafts in it cannot be found",
        code=Code.FEATURE_UNSUPPORTED,
        fix="do it where the files are, or through an address that can be listed, such as s3://",
    )


def newest_draft(store: ReadableStore, name: str) -> StoredDraft | None:
    """Return the newest state of a draft, whatever it is; None when there never was one of this name.

    Raises
    ------
    FormatError
        If its document is broken, or that of something else.
    """
    for _ in range(_ATTEMPTS):
        numbers = draft_numbers(store, check_draft_name(name))
        if not numbers:
            return None
        key = draft_key(name, numbers[-1])
        data = read_bounded(store, key, MOST_DRAFT)
        if data is None:
            continue  # a newer one was stored, and this one removed, since the folder was listed
        state = parse_draft(data, key)
        if (state.name, state.sequence) != (name, numbers[-1]):
            break
        return StoredDraft(state, data)
    raise FormatError(
        f"the newest state of {name} in {store.uri} is not one of this draft",
        code=Code.METADATA_INVALID,
        fix="restore it from a copy, or discard the draft",
    )


def find_draft(store: ReadableStore, name: str) -> StoredDraft:
    """Return the state of an open draft.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    found = newest_draft(store, name)
    if found is not None and found.state.is_open:
        return found
    why = "" if found is None else f": it was {found.state.state}"
    as_what = f" as {found.state.release}" if found is not None and found.state.release else ""
    raise NotFoundError(
        f"{store.uri} has no open draft {name}{why}{as_what}",
        code=Code.RELEASE_MISSING,
        fix="create it: voxarium release draft create DATASET",
    )


def iter_drafts(store: ReadableStore) -> Iterator[StoredDraft]:
    """Yield the newest state of every draft, open or not."""
    for name in _listable(store).list_dir(DRAFTS)[1]:
        found = newest_draft(store, name) if is_draft_name(name) else None
        if found is not None:
            yield found
