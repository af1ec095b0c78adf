"""Editing voxels of a draft: ``draft["em/s0"][10:20, 5, :] = values``."""

from __future__ import annotations

import os
import random
import time
from types import TracebackType
from typing import Any, Final, Literal, Self, cast

from numpy.typing import NDArray

from voxarium.archive.content_pool import ContentPool
from voxarium.archive.draft_arrays import DraftArray
from voxarium.archive.drafts import advance, create_draft, end_draft
from voxarium.archive.level_following import Following, coarser_writes, following
from voxarium.archive.releases import Releases, open_dataset_store
from voxarium.archive.shard_pieces import EditedShard
from voxarium.archive.voxel_edits import Writes, digests_beside, edited_objects
from voxarium.core.array import Array
from voxarium.core.cropped import PartOfArray
from voxarium.core.drafts import StoredDraft, find_draft, newest_draft
from voxarium.core.image import Image
from voxarium.core.opening import open_in
from voxarium.core.release_store import ReleaseStore, open_draft_store
from voxarium.core.releases import has_releases
from voxarium.errors import Code, ConflictError, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.protocols import WritableArrayDriver, WritableStore
from voxarium.spec.release import DraftState, Edit, is_composed

__all__ = ["Draft", "DraftArray", "open_draft"]

_ATTEMPTS: Final = 1000
_PATIENCE: Final = 120.0  # seconds
_LONGEST_PAUSE: Final = 0.25
_MOST_WAITING: Final = 256 << 20  # bytes of edits that are kept in memory


class Draft:
    """An open draft. A context manager: what was assigned is stored at its end, or not at all if an error ends it.

    Parameters
    ----------
    store : WritableStore
        The dataset.
    found : StoredDraft
        Its newest state.

    Examples
    --------
    >>> import voxarium
    >>> with voxarium.open_draft("brain") as draft:  # doctest: +SKIP
    ...     draft["em/s0"][10:20, 10:20, 10:20] = 0
    """

    def __init__(self, store: WritableStore, found: StoredDraft) -> None:
        self.store = store
        self._found = found
        self._view: ReleaseStore | None = None
        self._arrays: dict[str, Array] = {}
        self._writes: dict[str, Writes] = {}
        self._followed: dict[str, Following] = {}
        self._bytes = 0
        self._most_waiting: float = _MOST_WAITING

    @property
    def state(self) -> DraftState:
        """The state that was last stored or read."""
        return self._found.state

    @property
    def view(self) -> ReleaseStore:
        """What is stored of the draft, as a store."""
        if self._view is None:
            self._view = open_draft_store(self.store, self.state)
        return self._view

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _where: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def __getitem__(self, path: str) -> DraftArray:
        """Return an array, or level 0 of an image, to be read and edited; see `array`."""
        return self.array(path)

    def array(
        self,
        path: str,
        *,
        levels: Literal["follow", "keep"] = "follow",
        method: str | None = None,
        ignore_zero: bool = False,
    ) -> DraftArray:
        """Return an array, or level 0 of an image, to be read and edited.

        Parameters
        ----------
        path : str
            An image, of which level 0 is meant, or a stored array, such as ``em/s0``.
        levels : str
            What coarser levels do when level 0 of an image is edited: ``follow``, or ``keep`` what they show.
        method : str or None
            How coarser levels are made; None = as they were.
        ignore_zero : bool
            For ``method="mode"``: zeros do not vote.

        Raises
        ------
        NotFoundError
            If nothing is there.
        InputError
            If it is no image, or the method is none.
        UnsupportedError
            If its format cannot be written chunk by chunk, or coarser levels are not made of whole windows of voxels.
        """
        path = path.strip("/")
        found = open_in(self.view, path)
        arrays = found.arrays if isinstance(found, Image) else ()
        if not isinstance(found, Image) or not arrays:
            raise InputError(
                f"{path} is no image", code=Code.ARGUMENT_INVALID, fix="name an image, or one of its levels"
            )
        array = self._editable(arrays[0])
        image = found if len(arrays) > 1 else self._image_around(array.path)
        if levels == "keep" or image is None:
            self._followed.pop(array.path, None)
        else:
            self._followed[array.path] = following(image, method=method, ignore_zero=ignore_zero)
        return DraftArray(self, array.path)

    def _editable(self, array: Array) -> Array:
        if isinstance(array, PartOfArray) or not isinstance(array.driver, WritableArrayDriver):
            raise UnsupportedError(
                f"{array.path} ({array.info.format}) cannot be edited",
                code=Code.FEATURE_UNSUPPORTED,
                fix="convert it to Zarr v3 first",
            )
        self._arrays[array.path] = array
        return array

    def _image_around(self, path: str) -> Image | None:
        """Return the image of which an array is level 0; None when it has no coarser levels."""
        folder = path
        while folder:
            folder = folder.rpartition("/")[0]
            try:
                found = open_in(self.view, folder)
            except (NotFoundError, InputError, UnsupportedError, FormatError):
                continue
            if isinstance(found, Image) and len(found.arrays) > 1:
                return found if found.arrays[0].path == path else None
        return None

    def opened(self, path: str) -> Array:
        """Return an array as stored in the draft."""
        if path not in self._arrays:
            found = open_in(self.view, path)
            arrays = found.arrays if isinstance(found, Image) else ()
            if not arrays or arrays[0].path != path:
                raise InputError(
                    f"{path} is no stored array", code=Code.ARGUMENT_INVALID, fix="name a level of an image"
                )
            self._editable(arrays[0])
        return self._arrays[path]

    def waiting(self, path: str) -> Writes:
        """Return what was assigned to an array and is not stored yet."""
        return self._writes.get(path) or Writes()

    def add(self, path: str, box: Box, values: NDArray[Any]) -> None:
        """Take an assignment; store everything when memory gets scarce."""
        if not box.size:
            return
        writes = self._writes.setdefault(path, Writes())
        writes.boxes.append(box)
        writes.values.append(values)
        self._bytes += values.nbytes
        if self._bytes > self._most_waiting:
            self.flush()

    def flush(self) -> None:
        """Store what was assigned: all of it in one step, or, if this is stopped, nothing.

        Raises
        ------
        NotFoundError, ConflictError
            If the draft was ended meanwhile, or others kept editing it.
        """
        if not self._writes:
            return
        self._commit(self.edits_made)
        self._writes.clear()
        self._bytes = 0

    def consolidate(self) -> None:
        """Store every edited shard whole, without unused bytes, instead of as ranges of published ones."""
        self.flush()
        self._commit(self._whole)

    def discard(self) -> None:
        """Give up the draft."""
        self._writes.clear()
        end_draft(self.store, self.state.name, self.state.draft, state="discarded")

    # --------------------------------------------------------------------------------------------------------- storing
    def _commit(self, make: Any) -> None:  # Any: a method that takes a `ContentPool` and returns edits
        give_up = time.monotonic() + _PATIENCE
        for attempt in range(_ATTEMPTS):
            self._refresh()
            pool = ContentPool(self.store)
            edits = {**self.state.edits, **make(pool)}
            if edits == dict(self.state.edits):
                return
            made = advance(self.store, self._found, edits=edits)
            if made is not None:
                pool.make_sure()
                self._take(made)
                return
            if time.monotonic() > give_up:
                break
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.001 * 2 ** min(attempt, 8))))
        raise ConflictError(
            f"others kept editing {self.state.name} of {self.store.uri}",
            code=Code.RELEASE_BUSY,
            fix="try again when fewer writers are at work",
        )

    def _refresh(self) -> None:
        """Read the newest state, which others may have stored."""
        found = find_draft(self.store, self.state.name)
        if found.state.draft != self.state.draft:
            raise ConflictError(
                f"{self.state.name} of {self.store.uri} was ended, and another draft of this name begun",
                code=Code.PLAN_CHANGED,
                fix="open the draft again, and make the edits in that",
            )
        if found.state.sequence != self.state.sequence:
            self._take(found)

    def _take(self, found: StoredDraft) -> None:
        self._found = found
        self._view = None
        self._arrays.clear()

    def edits_made(self, pool: ContentPool) -> dict[str, Edit]:
        """Store the objects that assignments change, and return where they are; nothing names them yet."""
        made: dict[str, Edit] = {}
        for path, writes in self._all_writes().items():
            edits = dict(edited_objects(self.view, self.opened(path), writes, pool))
            if edits:
                made |= edits | {key: Edit("") for key in digests_beside(self.view, path)}
        return made

    def _all_writes(self) -> dict[str, Writes]:
        """Return what was assigned, and what follows from it for coarser levels."""
        found = dict(self._writes)
        for path in self._writes:
            for step in self._followed[path].steps if path in self._followed else ():
                if not found[step.finer].boxes:
                    break
                finer, coarser = self.opened(step.finer), self.opened(step.coarser)
                made = coarser_writes(step, finer, coarser, found[step.finer])
                own = found.get(step.coarser, Writes())
                found[step.coarser] = Writes(own.boxes + made.boxes, own.values + made.values)
        return found

    def _whole(self, pool: ContentPool) -> dict[str, Edit]:
        composed = [key for key, e in self.state.edits.items() if e.location and is_composed(e.location)]
        return {key: self._shard_at(key, pool).whole() for key in composed}

    def _shard_at(self, key: str, pool: ContentPool) -> EditedShard:
        """Return a shard by its key, whosever it is."""
        path, index = self.place_of(key)
        return EditedShard(self.view, self.opened(path), index, {}, pool.put)

    def place_of(self, key: str) -> tuple[str, tuple[int, ...]]:
        """Return the array that a stored object belongs to, and which of it the object is.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        folder = key
        while folder:
            folder = folder.rpartition("/")[0]
            try:
                array = self.opened(folder)
            except (NotFoundError, InputError, UnsupportedError):
                continue
            driver = cast("Any", array.driver)
            index = driver.object_index(array.path, array.info, key) if hasattr(driver, "object_index") else None
            if index is not None:
                return array.path, tuple(index)
        raise NotFoundError(
            f"nothing that opens has the shard {key}",
            code=Code.PATH_MISSING,
            fix="publish without consolidating, or discard the draft",
        )


def open_draft(
    dataset: str | os.PathLike[str] | WritableStore, name: str = "draft", *, base: str = "", note: str = ""
) -> Draft:
    """Open a draft of a dataset's next release, to edit voxels of what was published; begin it if there is none.

    Published objects stay as they are: a draft stores each changed chunk once, and where everything else is.

    Parameters
    ----------
    dataset : str, path or WritableStore
        The dataset.
    name : str
        Of the draft: ``draft``, or ``draft-`` and more.
    base, note : str
        For a new draft: the release it edits (empty: the last), and what it is for.

    Returns
    -------
    Draft
        A context manager; ``draft[path]`` is an array that can be assigned to.

    Raises
    ------
    NotFoundError
        If nothing was published yet.
    ConflictError
        If there is an open draft that edits another release than `base`.

    Examples
    --------
    >>> import voxarium
    >>> with voxarium.open_draft("brain") as draft:  # doctest: +SKIP
    ...     draft["em/s0"][10:20, 10:20, 10:20] = 0
    """
    store = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    found = newest_draft(store, name) if has_releases(store) else None
    if found is None or not found.state.is_open:
        return Draft(store, create_draft(store, name, base=base, note=note))
    if base and found.state.base != base:
        raise ConflictError(
            f"{name} of {store.uri} edits {found.state.base}, not {base}",
            code=Code.PLAN_CHANGED,
            fix="choose another name for the draft",
        )
    Releases(store).check_exclusive(store)
    return Draft(store, found)
