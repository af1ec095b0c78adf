"""Bringing a draft onto a later release: its voxels are assigned again, where nobody else changed the same ones.

Two drafts of one release nearly always touch the same shards of coarse levels, and often the same of fine ones. What
counts is whether they touch the same voxels of level 0; coarser levels are made anew.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from voxarium.archive.content_pool import ContentPool
from voxarium.archive.draft_editing import Draft
from voxarium.archive.drafts import advance, newest_release
from voxarium.archive.releases import Releases, open_dataset_store
from voxarium.core.array import Array
from voxarium.core.drafts import StoredDraft, find_draft
from voxarium.core.image import Image
from voxarium.core.opening import open_array, open_in
from voxarium.core.release_store import open_release_store
from voxarium.errors import Code, ConflictError, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.protocols import WritableStore
from voxarium.spec.release import DraftState

__all__ = ["Rebased", "rebase_draft"]

_ATTEMPTS: Final = 20
_Shards = dict[str, set[tuple[int, ...]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebased:
    """What became of a draft.

    Parameters
    ----------
    state : DraftState
        Its state now.
    before : str
        Name of the release that it edited.
    voxels : int
        Voxels that were assigned again, those of coarser levels not counted.
    """

    state: DraftState
    before: str
    voxels: int


class _Anew(Draft):
    """A draft without edits, of another release; what is assigned is kept until the end, whatever it takes."""

    def __init__(self, store: WritableStore, found: StoredDraft) -> None:
        super().__init__(store, found)
        self._most_waiting = math.inf


def rebase_draft(dataset: str | os.PathLike[str] | WritableStore, name: str = "draft") -> Rebased:
    """Let a draft edit the last release instead of an earlier one.

    Parameters
    ----------
    dataset : str, path or WritableStore
        The dataset.
    name : str
        Of the draft.

    Raises
    ------
    NotFoundError
        If there is no such draft.
    ConflictError
        If a release since changed voxels that the draft changes too, or others kept editing it. Nothing is changed.
    """
    store = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    for _ in range(_ATTEMPTS):
        found = find_draft(store, name)
        last = newest_release(store, Releases(store))
        if last.digest == found.state.base_document:
            return Rebased(state=found.state, before=found.state.base, voxels=0)
        start = replace(found.state, base=last.release.name, base_document=last.digest, edits={})
        anew = _Anew(store, StoredDraft(start, found.document))
        voxels = _assigned(Draft(store, found), anew)
        pool = ContentPool(store)
        made = advance(store, found, base=start.base, base_document=start.base_document, edits=anew.edits_made(pool))
        if made is not None:
            pool.make_sure()
            return Rebased(state=made.state, before=found.state.base, voxels=voxels)
    raise ConflictError(
        f"others kept editing {name} of {store.uri}", code=Code.RELEASE_BUSY, fix="try again when they have ended"
    )


def _assigned(mine: Draft, anew: Draft) -> int:
    """Assign what a draft changes to another one; return how many voxels."""
    base = open_release_store(mine.store, mine.state.base)
    voxels = 0
    shards = _edited(mine)
    for path in sorted(shards):
        if _follows(mine, path, shards):
            continue
        after, before, target = mine.opened(path), open_array(base, path), _same(anew, mine.opened(path))
        for box in _chunks(after, shards[path]):
            old, new = before.read(box, threads=1), after.read(box, threads=1)
            changed = _differs(old, new)
            if not changed.any():
                continue
            theirs = target.read(box)
            if (_differs(old, theirs) & _differs(new, theirs) & changed).any():
                raise ConflictError(
                    f"voxels of {path} within {box.origin} + {box.shape} were changed by a release since "
                    f"{mine.state.name} was begun from {mine.state.base}, and otherwise",
                    code=Code.RELEASE_REFUSED,
                    fix="discard the draft, and make these edits in one of the last release",
                )
            voxels += int(changed.sum())
            target.write(box, np.where(changed, new, theirs))
    return voxels


def _same(anew: Draft, array: Array) -> Any:  # Any: a DraftArray
    """Return an array in the new draft, if it is still one of the same voxels."""
    try:
        target = anew.array(array.path)
    except NotFoundError:
        target = None
    if target is None or (target.shape, target.dtype) != (array.shape, array.dtype):
        raise ConflictError(
            f"{array.path} is gone or another one in release {anew.state.base}",
            code=Code.RELEASE_REFUSED,
            fix="discard the draft, and make the edits in one of the last release",
        )
    return target


def _edited(draft: Draft) -> _Shards:
    """Return the stored objects of arrays that a draft edits, by array."""
    found: _Shards = {}
    for key, edit in draft.state.edits.items():
        if edit.location:
            path, index = draft.place_of(key)
            found.setdefault(path, set()).add(index)
    return found


def _follows(draft: Draft, path: str, shards: _Shards) -> bool:
    """Tell whether an array is a coarser level of an image whose level 0 is edited."""
    folder = path
    while folder:
        folder = folder.rpartition("/")[0]
        try:
            image = open_in(draft.view, folder)
        except (NotFoundError, InputError, UnsupportedError, FormatError):
            continue
        if isinstance(image, Image) and any(a.path == path for a in image.arrays[1:]):
            return image.arrays[0].path in shards
    return False


def _chunks(array: Array, shards: set[tuple[int, ...]]) -> Iterator[Box]:
    """Yield the regions of all chunks of some stored objects."""
    shape = array.info.object_shape
    for index in sorted(shards):
        whole = Box(tuple(i * n for i, n in zip(index, shape, strict=True)), shape)
        yield from (array.grid.clipped_box(chunk) for chunk in array.grid.indices(whole))


def _differs(a: Any, b: Any) -> Any:  # Any: arrays of any type
    unequal = a != b
    return unequal & ~((a != a) & (b != b)) if a.dtype.kind in "fc" else unequal  # noqa: PLR0124  NaN is NaN
