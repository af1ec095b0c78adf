"""Visiting what is stored below an address: who knows its documents, what they name, and what is wrong with them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, get_args

from voxarium.core.array_opening import open_array
from voxarium.core.recent import Recent
from voxarium.core.registry import array_drivers, collection_drivers
from voxarium.errors import InputError, NotFoundError, StoreError
from voxarium.model.checks import CheckDriver, Checked, CheckNode, NodeKind
from voxarium.model.image import ArrayInfo
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.rules import Depth
from voxarium.validation.collecting import Collector
from voxarium.validation.general import RULES, note_error

__all__ = ["Visit", "Walk"]

_MOST_NODES: Final = 500_000
_MOST_FOLDERS: Final = 8  # one inside the other, that are searched for images
_LARGEST: Final = 64 << 20  # bytes of a document
_RECENT: Final = 64 << 20  # bytes of documents that are not asked for twice
_KINDS: Final[tuple[NodeKind, ...]] = get_args(NodeKind)  # what a node is, when drivers differ: the first of these


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A node to be visited, or that was.

    Parameters
    ----------
    path : str
        In the store.
    kind : str or None
        What it is; None when no driver of checks knows it.
    drivers : sequence of CheckDriver or None
        Who is asked; None = everybody.
    teller : str
        Name of the driver that named this node; empty for none.
    told : object
        What that driver said.
    depth : int
        Folders below the one where the search began; counted only while searching.
    """

    path: str
    kind: NodeKind | None = None
    drivers: Sequence[CheckDriver] | None = None
    teller: str = ""
    told: Any = None  # Any: between a driver and itself
    depth: int = 0


@dataclass(slots=True)
class Walk:
    """A walk through a store. Findings collect in `found`; `visits` yields what was found.

    Parameters
    ----------
    store : ReadableStore
    depth : str
        How deep checks go.
    drivers : sequence of CheckDriver
    within : str
        Only what is at this path, around it and below is visited; empty for everything.
    """

    store: ReadableStore
    depth: Depth
    drivers: Sequence[CheckDriver]
    within: str = ""
    found: Collector = field(default_factory=Collector)
    documents: set[str] = field(default_factory=set)
    taken: set[str] = field(default_factory=set)  # paths that were opened, and are not searched
    closed: set[str] = field(default_factory=set)  # folders of collections that hold nothing to look at
    recent: Recent[str, bytes | None] = field(
        default_factory=lambda: Recent(_RECENT, _size)
    )  # parents look at children
    nodes: int = 0
    _seen: set[str] = field(default_factory=set)
    _waiting: deque[Visit] = field(default_factory=deque)

    def visits(self, path: str) -> Iterator[Visit]:
        """Yield what is at `path` and below: images, label images, arrays, and what no driver of checks knows.

        Of these last, who can open one adds its path to `taken` before asking for more; others are searched.
        """
        self._waiting.append(Visit(path=path))
        while self._waiting:
            visit = self._waiting.popleft()
            if visit.path in self._seen or visit.path in self.closed or not self._is_wanted(visit.path):
                continue
            if len(self._seen) >= _MOST_NODES:
                self.found.note(RULES, "GE-004", path, f"names more than {_MOST_NODES:,} nodes", "validate its parts")
                return
            self._seen.add(visit.path)
            yield from self._visit(visit)

    def add(self, path: str, like: Visit) -> None:
        """Visit a further node, asking whoever was asked at another one."""
        self._waiting.append(Visit(path=path, drivers=like.drivers))

    def _is_wanted(self, path: str) -> bool:
        return (
            not (self.within and path)
            or f"{path}/".startswith(f"{self.within}/")
            or f"{self.within}/".startswith(f"{path}/")
        )

    # -- one node
    def _visit(self, visit: Visit) -> Iterator[Visit]:
        documents = _Documents(self, visit.path)
        kinds: list[NodeKind] = []
        named = False
        try:
            for driver in visit.drivers if visit.drivers is not None else self.drivers:
                checked = self._checked(driver, visit, documents)
                if checked is None:
                    continue
                kinds.append(checked.kind)
                self.found.extend(checked.findings)
                self.documents.update(f"{visit.path}/{n}" if visit.path else n for n in checked.documents)
                named = named or bool(checked.below)
                self._name(visit, driver, checked)
        except StoreError as error:
            note_error(self.found, visit.path, error)
        if kinds:
            self.nodes += 1
        kind = next((k for k in _KINDS if k in kinds), None)
        found = Visit(path=visit.path, kind=kind, drivers=visit.drivers, teller=visit.teller)
        # What a driver named and none of its own knows is missing, which the driver has said: nobody else is asked.
        if kind in ("image", "label", "array") or (not visit.teller and not named and kind != "collection"):
            yield found
        if visit.drivers is None and not named and kind in (None, "group", "collection"):
            self._search(visit)

    def _checked(self, driver: CheckDriver, visit: Visit, documents: _Documents) -> Checked | None:
        if not any(documents.get(name) is not None for name in driver.documents):
            return None
        return driver.check(
            CheckNode(
                path=visit.path,
                depth=self.depth,
                document=documents.get,
                array=documents.array,
                names=documents.names,
                told=visit.told if visit.teller == driver.name else None,
            )
        )

    def _name(self, visit: Visit, driver: CheckDriver, checked: Checked) -> None:
        """Remember to visit what a node names: with its driver, those it names, and those of the same documents."""
        also: Sequence[str] = getattr(driver, "also", ())
        alike = [d for d in self.drivers if d is driver or d.name in also or set(d.documents) & set(driver.documents)]
        for below in checked.below:
            try:
                path = resolved_key("" if below.path.startswith("/") else visit.path, below.path.lstrip("/"))
            except InputError:
                continue  # a path out of the store: the driver has said so
            self._waiting.append(Visit(path=path, drivers=alike, teller=driver.name, told=below.told))

    # -- searching
    def _search(self, visit: Visit) -> None:
        """Look into a folder that names nothing, and that nobody could open."""
        if visit.path in self.taken or visit.depth >= _MOST_FOLDERS:
            return
        files, folders = self._listed(visit.path) or ((), ())
        suffixes = _file_suffixes()
        for name in (
            *(f for f in folders if not f.startswith(".")),
            *(f for f in files if f.lower().endswith(suffixes) and not f.lower().startswith("thumbnail.")),
        ):
            path = f"{visit.path}/{name}" if visit.path else name
            self._waiting.append(Visit(path=path, depth=visit.depth + 1))

    def _listed(self, path: str) -> tuple[Sequence[str], Sequence[str]] | None:
        if not isinstance(self.store, ListableStore):
            return None
        try:
            return self.store.list_dir(path)
        except StoreError as error:
            note_error(self.found, path, error)
            return None


class _Documents:
    """What a node's check asks for, once; opened arrays and listings too."""

    def __init__(self, walk: Walk, path: str) -> None:
        self._walk = walk
        self._path = path
        self._found: dict[str, bytes | None] = {}  # also what is too large to be kept among the recent ones

    def get(self, name: str) -> bytes | None:
        if name not in self._found:
            try:
                key = resolved_key(self._path, name)
            except InputError:
                return None  # it leads out of the store
            self._found[name] = self._walk.recent.get(key, partial(self._read, key))
        return self._found[name]

    def _read(self, key: str) -> bytes | None:
        walk = self._walk
        if walk.store.concurrency == 1:  # elsewhere the question costs a request
            stat = walk.store.stat(key)
            if stat is not None and stat.size > _LARGEST:
                message = f"has {stat.size:,} bytes, more than metadata ever need"
                walk.found.note(RULES, "GE-004", key, message, "look at what the file is")
                walk.documents.add(key)
                return None
        raw = walk.store.get(key)
        if raw is not None:
            walk.documents.add(key)
        return raw

    def array(self, path: str) -> ArrayInfo | None:
        try:
            return open_array(self._walk.store, resolved_key(self._path, path)).info
        except (NotFoundError, InputError):
            return None

    def names(self, folder: str = "") -> tuple[Sequence[str], Sequence[str]] | None:
        store = self._walk.store
        if not isinstance(store, ListableStore):
            return None
        return store.list_dir(resolved_key(self._path, folder) if folder else self._path)


def _size(document: bytes | None) -> int:
    return 200 + len(document or b"")


def _file_suffixes() -> tuple[str, ...]:
    drivers = (*array_drivers(), *collection_drivers())
    return tuple(s for d in drivers for s in getattr(d, "suffixes", ()))
