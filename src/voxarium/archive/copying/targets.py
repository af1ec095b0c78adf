"""Where a copy goes."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.copying.sources import CopySource
from voxarium.archive.trees import Tree, is_temporary
from voxarium.core.guarding import check_published
from voxarium.core.journal import JOB_FOLDER, JOB_KEY
from voxarium.core.uri import open_folder, open_target_store, parse_uri
from voxarium.errors import Code, ConflictError, ExistsError, InputError, ReleaseFrozenError
from voxarium.model.protocols import ListableStore, ReadableStore, ResumableStore, WritableStore
from voxarium.spec.manifest import matching

__all__ = ["CopyTarget", "existing_target", "open_copy_target", "refuse_overlap"]

_MARK = b'{"copy": true}\n'


@dataclass(frozen=True, slots=True)
class CopyTarget:
    """A folder or prefix that receives a copy.

    Parameters
    ----------
    store : WritableStore
        Keeps what was published.
    plain : WritableStore
        The same place as it is, for the journal.
    uri : str
        Its address.
    file : str
        Name of the file that the copy is to be; empty for a tree.
    """

    store: WritableStore
    plain: WritableStore
    uri: str
    file: str = ""

    def is_empty(self) -> bool:
        """Tell whether nothing is there, but for journals and leftovers."""
        if self.file:
            return self.plain.stat(self.file) is None
        if not isinstance(self.plain, ListableStore):
            return True  # what is in the way is found when it is written
        return not any(not _is_own(key) for key, _ in self.plain.list())

    def refuse_other_jobs(self) -> None:
        """Refuse a target in which another job was begun.

        Raises
        ------
        ConflictError
            If one was.
        """
        if not self.file and self.plain.stat(JOB_KEY) is not None:
            raise ConflictError(
                f"a job was begun in {self.uri} that is not finished",
                code=Code.IMAGE_INCOMPLETE,
                fix="finish it first, or remove the target",
            )

    def mark(self) -> None:
        """Let readers know that the copy is not whole; what was published there stays open to them."""
        try:
            check_published(self.store, JOB_KEY)
        except ReleaseFrozenError:
            return
        self.plain.put(JOB_KEY, _MARK)

    def unmark(self) -> None:
        """Take the mark away."""
        self.plain.delete(JOB_KEY)

    def sizes(self, source: CopySource) -> NDArray[np.int64]:
        """Return the size of every object that is there, by its position in the source; -1 where there is none."""
        keys = source.listing.keys
        sizes = np.full(len(keys), -1, np.int64)
        if self.file or not isinstance(self.plain, ListableStore):
            for i in range(len(keys)):
                stat = self.plain.stat(keys.name(i))
                sizes[i] = -1 if stat is None else stat.size
            return sizes
        listing = Tree(self.plain).listing()
        if len(listing.sizes):
            there = matching(keys, listing.keys)[0]
            found = there >= 0
            sizes[found] = listing.sizes[there[found]]
        return sizes

    def clear_partial(self) -> None:
        """Remove what a killed run had begun."""
        if isinstance(self.plain, ResumableStore):
            self.plain.clear_partial()


def _is_own(key: str) -> bool:
    return key.startswith(f"{JOB_FOLDER}/") or is_temporary(key)


def open_copy_target(target: str | os.PathLike[str] | WritableStore, file: str = "") -> CopyTarget:
    """Open the place a copy goes to.

    Parameters
    ----------
    target : str, path or WritableStore
        A folder or prefix; or the file that a single file becomes.
    file : str
        The name of the file that is copied; empty for a tree.

    Raises
    ------
    InputError
        If nothing can be written there.
    ExistsError
        If a file is in the way of a folder.
    """
    if not isinstance(target, (str, os.PathLike)):
        return CopyTarget(target, target, target.uri, file)
    text = os.fspath(target)
    where = parse_uri(text)
    if where.inner:
        raise InputError(
            f"{text} is a part of a file", code=Code.URI_INVALID, fix="copy to a folder, or to a file as a whole"
        )
    folder, name = text, ""
    if file:
        base = os.path.abspath(where.base) if where.scheme == "file" else where.base
        into = text.endswith("/") or (where.scheme == "file" and os.path.isdir(base))
        folder, _, name = (base, "", file.rpartition("/")[2]) if into else base.rpartition("/")
        folder = folder or "/"
    store = open_target_store(folder)
    plain = open_folder(os.path.abspath(parse_uri(folder).base) if where.scheme == "file" else folder)
    return CopyTarget(store, plain, f"{store.uri.rstrip('/')}/{name}" if name else store.uri, name)


def refuse_overlap(source: ReadableStore | Tree, target: CopyTarget) -> None:
    """Refuse to copy a tree into itself, or over itself.

    Raises
    ------
    InputError
        If that was asked for.
    """
    first, second = _place(source.uri), _place(target.uri)
    if first == second or second.startswith(f"{first}/") or (not target.file and first.startswith(f"{second}/")):
        raise InputError(
            f"{target.uri} and the source lie in each other",
            code=Code.TARGET_IN_SOURCE,
            fix="choose a target beside the source",
        )


def _place(uri: str) -> str:
    if uri.startswith("file://") or "://" not in uri:
        return os.path.realpath(uri.removeprefix("file://")).rstrip("/")
    return uri.rstrip("/")


def existing_target(target: CopyTarget) -> ExistsError:
    """Return the error for a target that is not empty."""
    return ExistsError(
        f"{target.uri} exists",
        code=Code.TARGET_EXISTS,
        fix="choose another target, or complete what is there with --update",
    )
