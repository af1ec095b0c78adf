"""Releases of what is served: ``ROOT@v1.0`` and ``ROOT/FOLDER@v1.0`` are roots too, opened when they are asked for.

Their objects are those of the manifest, with its digests as tags, and may be kept for ever. What the manifest lists
and is gone is an error, never absent.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from typing_extensions import Buffer

from voxarium.archive.releases import Releases
from voxarium.core.release_store import ReleaseStore, split_reference
from voxarium.core.releases import StoredRelease, has_releases, release_manifest, stored_tombstone
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore
from voxarium.serve.addresses import is_shown
from voxarium.serve.answers import WouldWait
from voxarium.serve.listing import StoreLister
from voxarium.serve.roots import Root
from voxarium.serve.sources import ReleaseSource

__all__ = ["ReleaseEntry", "ReleaseRoots"]

_FRESH: Final = 30.0  # seconds until it is looked again whether there is a release, and whether it was withdrawn
_MOST_ANSWERS: Final = 4096  # addresses of which it is known whether they are releases
_MOST_OBJECTS: Final = 4 << 20  # in lists of opened releases, at about 100 bytes each; one may be larger
_MOST_DATASETS: Final = 256
_MOST_FAR: Final = 32  # folders of a store far away that are looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEntry:
    """A release that is served.

    Parameters
    ----------
    dataset, name : str
        Address of the dataset; name of the release.
    time : str
        When it was published.
    objects, nbytes : int
        What it consists of.
    withdrawn : str
        Why it was withdrawn; empty when it was not.
    """

    dataset: str
    name: str
    time: str
    objects: int
    nbytes: int
    withdrawn: str = ""

    @property
    def address(self) -> str:
        """Where it is: like the address of a root."""
        return f"{self.dataset}@{self.name}"


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an address was found to be: a release, none (and why), or no address of a release at all."""

    until: float
    found: Root | NotFoundError | None
    objects: int = 0


class ReleaseRoots:
    """Releases by address. Thread-safe.

    Parameters
    ----------
    roots : mapping
        What is served, by name.
    hidden : bool
        Serve names that begin with a dot.
    """

    def __init__(self, roots: Mapping[str, Root], *, hidden: bool = False) -> None:
        self._roots = roots
        self._hidden = hidden
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._histories: OrderedDict[str, Releases] = OrderedDict()
        self._tombstones: dict[tuple[str, int], str] = {}

    # ------------------------------------------------------------------------------------------------------ one release
    def find(self, address: str, *, wait: bool = True) -> tuple[Root, str] | None:
        """Return the release that an address lies in, and what follows it; None for other addresses.

        `WouldWait` tells that it takes long to find out, where waiting was not allowed.

        Raises
        ------
        NotFoundError
            If there is no release of this name, or it was withdrawn. The message may be shown to visitors.
        """
        if "@" not in address:
            return None
        for dataset, name, rest in split_reference(address, local=True):
            base = f"{dataset}@{name}"
            kept = self._kept.get(base)
            if kept is None or kept.until < monotonic():
                if not wait:
                    raise WouldWait
                kept = self._look(dataset, name, base)
            if isinstance(kept.found, NotFoundError):
                raise kept.found.with_traceback(None)
            if kept.found is not None:
                return kept.found, rest
        return None

    def _look(self, dataset: str, name: str, base: str) -> _Kept:
        with self._lock:
            kept = self._kept.get(base)
            if kept is not None and kept.until >= monotonic():
                return kept
            before = kept.found if kept is not None and isinstance(kept.found, Root) else None
            found: Root | NotFoundError | None
            try:
                found = self._found(dataset, name, before)
            except NotFoundError as error:
                found = error
            store = found.store if isinstance(found, Root) else None
            objects = len(store.manifest) if isinstance(store, ReleaseStore) else 0
            kept = self._kept[base] = _Kept(monotonic() + _FRESH, found, objects)
            self._kept.move_to_end(base)
            self._forget()
            return kept

    def _forget(self) -> None:
        """Forget what was not asked for lately."""
        while len(self._kept) > _MOST_ANSWERS:
            self._kept.popitem(last=False)
        large = [base for base, kept in self._kept.items() if kept.objects]
        left = sum(self._kept[base].objects for base in large)
        for base in large[:-1]:
            if left <= _MOST_OBJECTS:
                return
            left -= self._kept.pop(base).objects

    def _found(self, dataset: str, name: str, before: Root | None) -> Root | None:
        history = self._history(dataset)
        if history is None or self._is_there(f"{dataset}@{name}"):
            return None
        stored = next((s for s in history.all() if s.release.name == name), None)
        if stored is None:
            raise NotFoundError(
                f"{dataset} has no release {name}", code=Code.RELEASE_MISSING, fix="see the list of releases at /"
            )
        reason = self._reason(history.store, dataset, stored)
        if reason:
            raise NotFoundError(
                f"release {name} of {dataset} was withdrawn: {reason}",
                code=Code.RELEASE_WITHDRAWN,
                fix="use another release",
            )
        if before is not None:
            return before
        store = ReleaseStore(history.store, release_manifest(history.store, stored.release), name)
        return Root(
            name=f"{dataset}@{name}",
            uri=store.uri,
            store=store,
            path="",
            source=ReleaseSource(store),
            lister=StoreLister(store, hidden=self._hidden),
            frozen=True,
        )

    # -------------------------------------------------------------------------------------------------------- datasets
    def entries(self, addresses: Iterable[str]) -> Iterator[ReleaseEntry]:
        """Yield the releases of all roots, and of the folders around these addresses, oldest first."""
        folders = dict.fromkeys(name for name, root in self._roots.items() if root.lister is not None)
        for address in addresses:
            parts = address.partition("::")[0].split("/")
            folders |= dict.fromkeys("/".join(parts[:n]) for n in range(2, len(parts)))
        far: dict[str, int] = {}
        for dataset in folders:
            name = dataset.partition("/")[0]
            root = self._roots.get(name)
            if root is None or (root.store.concurrency > 1 and far.get(name, 0) >= _MOST_FAR):
                continue
            far[name] = far.get(name, 0) + 1
            with self._lock:
                yield from self._of(dataset)

    def _of(self, dataset: str) -> list[ReleaseEntry]:
        history = self._history(dataset)
        if history is None:
            return []
        return [
            ReleaseEntry(
                dataset=dataset,
                name=s.release.name,
                time=s.release.time,
                objects=s.release.manifest.objects,
                nbytes=s.release.manifest.nbytes,
                withdrawn=self._reason(history.store, dataset, s),
            )
            for s in history.all()
        ]

    def _history(self, dataset: str) -> Releases | None:
        """Return the releases of a dataset, read as far as they were before; None when there are none."""
        history = self._histories.get(dataset)
        if history is None:
            store = self._store(dataset)
            if store is None or not has_releases(store):
                return None
            history = self._histories[dataset] = Releases(store)
        self._histories.move_to_end(dataset)
        while len(self._histories) > _MOST_DATASETS:
            self._histories.popitem(last=False)
        return history

    def _store(self, dataset: str) -> ReadableStore | None:
        name, _, folder = dataset.partition("/")
        root = self._roots.get(name)
        if root is None or root.lister is None:
            return None
        try:
            if folder and not (checked_key(folder) and (self._hidden or is_shown(folder))):
                return None
        except InputError:
            return None
        path = root.image_path(folder)
        return _Below(root.store, path) if path else root.store

    def _is_there(self, address: str) -> bool:
        """Tell whether a folder or object has the name of a release: it is meant then."""
        name, _, folder = address.partition("/")
        root = self._roots.get(name)
        if root is None or root.lister is None:
            return False
        return root.lister.entries(folder) is not None or root.store.stat(root.image_path(folder)) is not None

    def _reason(self, store: ReadableStore, dataset: str, stored: StoredRelease) -> str:
        """Return why a release was withdrawn; empty when it was not."""
        known = self._tombstones.get((dataset, stored.release.sequence))
        if known is None:
            tombstone = stored_tombstone(store, stored.release.sequence)
            if tombstone is None:
                return ""
            known = self._tombstones[dataset, stored.release.sequence] = tombstone.reason
        return known


class _Below:
    """A folder of a store as a store: what releases need of a dataset."""

    def __init__(self, inner: ReadableStore, folder: str) -> None:
        self._inner = inner
        self._above = f"{folder}/"

    @property
    def uri(self) -> str:
        """Address of the folder."""
        return f"{self._inner.uri.rstrip('/')}/{self._above}".rstrip("/")

    @property
    def concurrency(self) -> int:
        """As of the store."""
        return self._inner.concurrency

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        return self._inner.get(self._above + key)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object."""
        return self._inner.get_ranges(self._above + key, ranges)

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of an object."""
        return self._inner.stat(self._above + key)
