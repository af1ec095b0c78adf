"""Going through a tree of nodes: parents are understood first, and yielded last.

Arrays are never listed, so that millions of chunks cost nothing. Memory holds what lies on one way from the root to a
node, and the documents of a few siblings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from voxarium.conversion.upgrading.report import Change, Refusal
from voxarium.errors import Code, FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import FileStore, ListableStore
from voxarium.model.upgrades import NodeUpgrade, UpgradeDriver

__all__ = ["HIDDEN", "Visit", "Walk"]

HIDDEN: Final = "."
"""Folders whose names begin so hold no nodes: they are other software's, or ours."""

_DEEPEST: Final = 32
_AHEAD: Final = 64  # siblings whose first documents are asked for together


@dataclass(frozen=True, slots=True)
class Visit:
    """One folder.

    Parameters
    ----------
    path : str
        In the store.
    kind : {"array", "group", "refused"} or None
        None for a folder that is no node; nothing below a refused one is visited.
    documents : dict
        Those found, by name.
    change : Change or None
        None where nothing changes.
    files, hidden : sequence of str
        Other objects in the folder, and folders that are not visited. Not known of arrays.
    """

    path: str
    kind: Literal["array", "group", "refused"] | None
    documents: dict[str, bytes] = field(default_factory=dict)
    change: Change | None = None
    refusal: Refusal | None = None
    notes: tuple[str, ...] = ()
    files: Sequence[str] = ()
    hidden: Sequence[str] = ()


class Walk:
    """All folders below the root of a tree, each after those in it.

    Parameters
    ----------
    store, root : ListableStore, str
        Where the tree is.
    driver, target : UpgradeDriver, str
        Who knows what becomes of a node, and the version.
    keep : bool
        Documents that later ones stand for are kept.
    pool : Executor or None
        For requests side by side.
    """

    def __init__(
        self,
        store: ListableStore,
        root: str,
        driver: UpgradeDriver,
        target: str,
        *,
        keep: bool,
        pool: Executor | None = None,
    ) -> None:
        self._store = store
        self._files = store if isinstance(store, FileStore) else None
        self._root = root
        self._driver = driver
        self._target = target
        self._keep = keep
        self._pool = pool
        self._told: dict[str, Any] = {}  # Any: between a driver and itself
        self._read: dict[str, dict[str, bytes]] = {}  # first documents of nodes that were asked for early

    def __iter__(self) -> Iterator[Visit]:
        return self._visit(self._root, 0)

    def _visit(self, path: str, depth: int) -> Iterator[Visit]:
        try:
            if depth > _DEEPEST:
                raise _refused(path, f"lies more than {_DEEPEST} folders deep", "move it up")
            if self._is_link(path):
                raise _refused(path, "is a link to another folder", "upgrade what it leads to")
            found = self._take(path)
        except (FormatError, UnsupportedError, InputError) as error:
            yield Visit(path, "refused", refusal=Refusal.of(self._shown(path), error))
            return
        if self._driver.kind(found) == "array":
            found |= self._get(path, [n for n in self._driver.documents if n not in self._driver.first])
            yield self._judged(path, found, (), (), self._told.pop(path, None))[0]
            return
        yield from self._folder(path, found, depth)

    def _folder(self, path: str, found: dict[str, bytes], depth: int) -> Iterator[Visit]:
        files, folders = self._store.list_dir(path)
        names = [n for n in self._driver.documents if n in set(files) and n not in found]
        found |= self._get(path, names)
        others = [n for n in files if n not in self._driver.documents]
        hidden = [n for n in folders if n.startswith(HIDDEN)]
        visit, below = self._judged(path, found, others, hidden, self._told.pop(path, None))
        if visit.kind == "refused":
            self._forget(path)
            yield visit
            return
        told = {_join(path, name): value for name, value in below.items()}
        self._told |= told
        inside = [_join(path, n) for n in folders if not n.startswith(HIDDEN)]
        for start in range(0, len(inside), _AHEAD):
            some = inside[start : start + _AHEAD]
            self._read_ahead(some)
            for child in some:
                yield from self._visit(child, depth + 1)
        self._forget(path)
        yield visit

    def _judged(
        self, path: str, found: dict[str, bytes], files: Sequence[str], hidden: Sequence[str], told: Any
    ) -> tuple[Visit, dict[str, Any]]:
        """Return what is to become of a folder, and what nodes below must be told."""
        kind = self._driver.kind(found)
        if kind is None:
            return Visit(path, None, found, files=files, hidden=hidden), {}
        try:
            done = self._driver.upgrade(self._shown(path), found, self._target, told, lambda p: self._below(path, p))
        except (FormatError, UnsupportedError, InputError) as error:
            return Visit(path, "refused", found, refusal=Refusal.of(self._shown(path), error)), {}
        change = self._change(path, found, done)
        return Visit(path, kind, found, change, None, done.notes, files, hidden), dict(done.below)

    def _change(self, path: str, found: dict[str, bytes], done: NodeUpgrade) -> Change | None:
        after: dict[str, bytes | None] = {n: data for n, data in done.written.items() if found.get(n) != data}
        if not self._keep:
            after |= dict.fromkeys(n for n in done.replaced if n in found and n not in done.written)
        return Change(path, {n: found.get(n) for n in after}, after) if after else None

    # --------------------------------------------------------------------------------------------- documents
    def _get(self, path: str, names: Sequence[str]) -> dict[str, bytes]:
        found = ((name, self._store.get(_join(path, name))) for name in names)
        return {name: data for name, data in found if data is not None}

    def _take(self, path: str) -> dict[str, bytes]:
        known = self._read.pop(path, None)
        return self._get(path, self._driver.first) if known is None else known

    def _below(self, path: str, name: str) -> dict[str, bytes]:
        """Return the documents of a node below, for its parent, which is judged first."""
        key = _join(path, checked_key(name))
        if self._is_link(key):
            raise _refused(key, "is a link to another folder", "upgrade what it leads to")
        if key not in self._read:
            self._read[key] = self._get(key, self._driver.first)
        rest = [n for n in self._driver.documents if n not in self._driver.first]
        return self._read[key] | self._get(key, rest)

    def _read_ahead(self, paths: Sequence[str]) -> None:
        if self._pool is None:
            return
        wanted = [p for p in paths if p not in self._read]
        for path, found in zip(wanted, self._pool.map(lambda p: self._get(p, self._driver.first), wanted), strict=True):
            self._read[path] = found

    def _forget(self, path: str) -> None:
        """Drop what was kept for nodes below that are not there, or are not visited."""
        start = f"{path}/" if path else ""
        for kept in (self._told, self._read):
            for key in [k for k in kept if k.startswith(start)]:
                del kept[key]

    def _shown(self, path: str) -> str:
        return path.removeprefix(self._root).strip("/") if self._root else path

    def _is_link(self, path: str) -> bool:
        """Tell whether a folder is a link: what it leads to may be no part of the tree."""
        if path == self._root or self._files is None:
            return False
        place = self._files.local_path(path)
        return place is not None and os.path.islink(place)


def _refused(path: str, why: str, fix: str) -> VoxariumError:
    return UnsupportedError(f"{path} {why}", code=Code.FEATURE_UNSUPPORTED, fix=fix)


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
