"""What was published stays: stores that refuse to change objects that a release lists.

Every writer opens its target with `voxarium.core.uri.open_target_store`, which asks `voxarium.core.guarding` for this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from hashlib import sha256
from typing import Final, TypeVar, cast

import numpy as np
from typing_extensions import Buffer

from voxarium.core.journal import JOB_FOLDER
from voxarium.core.releases import iter_releases, release_manifest
from voxarium.errors import Code, ReleaseFrozenError
from voxarium.model.protocols import ObjectWriter, ReadableStore, WritableStore
from voxarium.model.wrapping import Operation, StoreWrapper
from voxarium.spec.manifest import Manifest, matching, selected
from voxarium.spec.release import DATASET_KEY, FOLDER, may_change

__all__ = ["FrozenKeys", "FrozenStore"]

_T = TypeVar("_T")
_CHANGES: Final = frozenset({"delete", "append"})


class FrozenKeys:
    """Keys of a dataset that its releases list, read when they are first asked for.

    Parameters
    ----------
    store : ReadableStore
        The dataset.
    """

    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._found: list[tuple[str, Manifest]] | None = None

    @property
    def uri(self) -> str:
        """Address of the dataset."""
        return self._store.uri

    def find(self, key: str) -> tuple[str, bytes] | None:
        """Return a release that lists a key, and the SHA-256 of the object there; None when no release does.

        Of an object that lies elsewhere since it was edited, that of the release that has it at its key is meant.
        """
        for name, manifest in self._manifests():
            i = manifest.find(key)
            if i >= 0:
                return name, manifest.sha256[i].tobytes()
        return None

    def find_below(self, folder: str) -> str | None:
        """Return a release that lists something in a folder (empty: in the dataset); None when no release does."""
        start = f"{folder}/".encode() if folder else b""
        for name, manifest in self._manifests():
            low, high = 0, len(manifest)
            while low < high:
                middle = (low + high) // 2
                low, high = (middle + 1, high) if manifest.keys.raw(middle) < start else (low, middle)
            if low < len(manifest) and manifest.keys.raw(low).startswith(start):
                return name
        return None

    def _manifests(self) -> list[tuple[str, Manifest]]:
        """Return what each release lists in place and no later one does, the newest first."""
        with self._lock:
            if self._found is None:
                newest = [
                    (s.release.name, release_manifest(self._store, s.release))
                    for s in reversed(list(iter_releases(self._store)))
                ]
                found: list[tuple[str, Manifest]] = []
                for part in (_in_place, _edited):
                    for name, whole in newest:
                        manifest = part(whole)
                        for _, newer in found:
                            manifest = _without(manifest, newer)
                        found.append((name, manifest))
                self._found = found
            return self._found


def _in_place(manifest: Manifest) -> Manifest:
    """Return the entries whose bytes lie at their keys, keys and digests only."""
    bare = _bare(manifest)
    return bare if manifest.locations is None else selected(bare, np.flatnonzero(manifest.locations.lengths == 0))


def _edited(manifest: Manifest) -> Manifest:
    """Return the entries whose bytes lie elsewhere although they are no descriptions, of which copies are made."""
    numbers = []
    if manifest.locations is not None:
        own = manifest.find(DATASET_KEY) >= 0
        elsewhere = np.flatnonzero(manifest.locations.lengths).tolist()
        numbers = [i for i in elsewhere if not may_change(manifest.keys[i], in_dataset=own)]
    return selected(_bare(manifest), np.array(numbers, np.int64))


def _bare(manifest: Manifest) -> Manifest:
    return Manifest(keys=manifest.keys, sizes=manifest.sizes, sha256=manifest.sha256)


def _without(manifest: Manifest, other: Manifest) -> Manifest:
    """Return the entries whose keys another manifest does not have."""
    kept = matching(manifest.keys, other.keys)[0] < 0
    return manifest if kept.all() else selected(manifest, np.flatnonzero(kept))


class FrozenStore(StoreWrapper):
    """A store in or of a dataset that refuses to change what was published.

    Writing an object again with the bytes that it has in the release is allowed: that is how damage is repaired.

    Parameters
    ----------
    inner : ReadableStore
        The wrapped store.
    keys : FrozenKeys
        Of the dataset.
    prefix : str
        Path of the store in the dataset; empty when it is the dataset.
    """

    hides_path = True

    def __init__(self, inner: ReadableStore, keys: FrozenKeys, prefix: str = "") -> None:
        super().__init__(inner)
        self._keys = keys
        self._prefix = f"{prefix}/" if prefix else ""

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do an operation unless it changes something published."""
        if operation.method in _CHANGES:
            self.check(operation.key)
        return call()

    def put(self, key: str, data: Buffer, /) -> None:
        """Store an object, replacing any that was not published."""
        self.check(key, data)
        cast("WritableStore", self.inner).put(key, data)

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store an object unless the key exists."""
        if not (self._prefix + key).startswith(f"{FOLDER}/") and self.inner.stat(key) is None:
            self.check(key, data)
        return cast("WritableStore", self.inner).put_if_absent(key, data)

    def create(self, key: str, /) -> ObjectWriter:
        """Begin an object that is written piece by piece."""
        self.check(key)
        return cast("WritableStore", self.inner).create(key)

    def restore(self, key: str, digest: bytes, /) -> ObjectWriter:
        """Begin an object anew that is to have a SHA-256, which the caller checks before it lets it appear.

        Raises
        ------
        ReleaseFrozenError
            If it was published with another one.
        """
        found = self._keys.find(self._prefix + key)
        if found is None or found[1] != digest:
            self.check(key)
        return cast("WritableStore", self.inner).create(key)

    def check(self, key: str, data: Buffer | None = None) -> None:
        """Refuse to change an object of a release, a document about releases, or to begin a job over them.

        Raises
        ------
        ReleaseFrozenError
            If that would be so; not if `data` are what the release has.
        """
        full = self._prefix + key
        if full.startswith(f"{FOLDER}/"):
            raise self._frozen(full, "tells of releases")
        folder, inside, _ = f"/{full}".partition(f"/{JOB_FOLDER}")
        if inside:
            # A job or upgrade that was begun makes its folder count as incomplete, whatever it does then.
            name = self._keys.find_below(folder.strip("/"))
            if name is not None:
                raise self._frozen(folder.strip("/") or "the dataset", f"holds objects of release {name}")
            return
        found = self._keys.find(full)
        if found is not None and (data is None or sha256(data).digest() != found[1]):
            raise self._frozen(full, f"is part of release {found[0]}")

    def _frozen(self, what: str, why: str) -> ReleaseFrozenError:
        return ReleaseFrozenError(
            f"{what} in {self._keys.uri} {why}, which never changes",
            code=Code.RELEASE_FROZEN,
            fix="write to another place in the dataset, and publish that with the next release",
        )
