"""A release as a store: exactly the objects that its manifest lists, as they were, or an error."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Final, TypeVar
from urllib.parse import urlsplit

import numpy as np
from typing_extensions import Buffer

from voxarium.core.composed import ComposedStore
from voxarium.core.drafts import find_draft
from voxarium.core.releases import StoredRelease, find_release, iter_releases, release_manifest, stored_tombstone
from voxarium.errors import ChecksumError, Code, ConflictError, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore
from voxarium.spec.manifest import Manifest, Strings, make_manifest, matching, selected, sorted_strings
from voxarium.spec.release import PIECES, POOL, DraftState, Edit, is_composed, is_draft_name, is_name

__all__ = ["ReleaseStore", "draft_base", "open_draft_store", "open_release_store", "split_reference", "with_edits"]

_T = TypeVar("_T")
_PARTS: Final = re.compile(r"([^/@]+)(?:/(.*))?")


class ReleaseStore:
    """What a release consists of, read-only.

    What was added to the dataset later is not seen. What the release lists and is gone, or has another size, raises:
    it is never taken for absent.

    Parameters
    ----------
    inner : ReadableStore
        The dataset.
    manifest : Manifest
        What the release lists.
    name : str
        For messages and the address.
    verify : bool
        Check the digest of each object before anything of it is used: every object is then read whole once.
    """

    def __init__(self, inner: ReadableStore, manifest: Manifest, name: str, *, verify: bool = False) -> None:
        self.inner = inner
        self.manifest = manifest
        self.name = name
        # A manifest of version 1 knows no lists of pieces: what looks like one is an object like any other.
        self._objects = ComposedStore(inner) if manifest.composed else inner
        self._verify = verify
        self._seen: set[int] = set()  # positions of objects that were looked at

    def __repr__(self) -> str:
        return f"ReleaseStore({self.uri!r})"

    @property
    def uri(self) -> str:
        """Address of the release."""
        return f"{self.inner.uri.rstrip('/')}@{self.name}"

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self.inner.concurrency

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object; None when the release has none of this key.

        Raises
        ------
        ChecksumError
            If it is gone or has changed since.
        """
        i = self.manifest.find(checked_key(key))
        if i < 0:
            return None
        place, start, size = self._place(i)
        if self._is_whole(i, place):
            data = self._read(i, lambda: self._objects.get(place))
        else:
            found = self._read(i, lambda: self._objects.get_ranges(place, [ByteRange(start, size)]))
            data = None if found is None else bytes(found[0])
        if data is None:
            raise self._changed(i, "is gone")
        if len(data) != size:
            raise self._changed(i, f"has {len(data):,} bytes instead of {size:,}")
        if self._verify and sha256(data).digest() != self.manifest.sha256[i].tobytes():
            raise self._changed(i, "has other content")
        return data

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object.

        Raises
        ------
        ChecksumError
            If it is gone or has changed since.
        """
        i = self.manifest.find(checked_key(key))
        if i < 0:
            return None
        place, start, size = self._place(i)
        self._look_at(i, key, place, start + size)
        wanted = []
        for r in ranges:
            begin, end = resolve_range(r, size)
            wanted.append(ByteRange(start + begin, end - begin))
        found = self._read(i, lambda: self._objects.get_ranges(place, wanted))
        if found is None:
            raise self._changed(i, "is gone")
        return found

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and digest of an object, as the release states them: the dataset is not asked."""
        i = self.manifest.find(checked_key(key))
        if i < 0:
            return None
        return ObjectStat(int(self.manifest.sizes[i]), self.manifest.sha256[i].tobytes().hex())

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of every object of the release below a folder, sorted by the bytes of the key."""
        start = f"{checked_prefix(prefix)}/" if prefix else ""
        for i in range(self._lower_bound(start), len(self.manifest)):
            key = self.manifest.keys[i]
            if not key.startswith(start):
                return
            yield key, int(self.manifest.sizes[i])

    def list_dir(self, prefix: str = "", /) -> tuple[Sequence[str], Sequence[str]]:
        """Return (object names, folder names) directly in a folder."""
        start = f"{checked_prefix(prefix)}/" if prefix else ""
        files: set[str] = set()
        folders: set[str] = set()
        i = self._lower_bound(start)
        while i < len(self.manifest) and (key := self.manifest.keys[i]).startswith(start):
            name, inside, _ = key[len(start) :].partition("/")
            (folders if inside else files).add(name)
            i = self._lower_bound(f"{start}{name}0") if inside else i + 1  # "0" follows "/": behind the whole folder
        return sorted(files, key=natural_key), sorted(folders, key=natural_key)

    def _lower_bound(self, text: str) -> int:
        wanted, low, high = text.encode("utf-8", "surrogatepass"), 0, len(self.manifest)
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.manifest.keys.raw(middle) < wanted else (low, middle)
        return low

    def _place(self, i: int) -> tuple[str, int, int]:
        """Return where an object is: key in the dataset, first byte, bytes."""
        place, start = self.manifest.location(i)
        try:
            return checked_key(place), start, int(self.manifest.sizes[i])
        except InputError as error:
            raise UnsupportedError(
                f"{self.manifest.keys[i]} of release {self.name} lies outside of the dataset, at {place}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="open it by that address; a manifest is not followed to other places",
            ) from error

    def _is_whole(self, i: int, place: str) -> bool:
        """Tell whether an object is all that is stored at its place, not a part of it."""
        return place == self.manifest.keys[i] or place.startswith((f"{POOL}/", f"{PIECES}/"))

    def _read(self, i: int, call: Callable[[], _T]) -> _T:
        """Read something of an object, and say which when it cannot be put together."""
        try:
            return call()
        except StoreError as error:
            if error.code != Code.CHECKSUM_MISMATCH:
                raise
            raise self._changed(i, f"cannot be put together: {error.message}") from error

    def _look_at(self, i: int, key: str, place: str, end: int) -> None:
        """Check an object before parts of it are used, once."""
        if i in self._seen:
            return
        if self._verify:
            self.get(key)
        else:
            stat = self._read(i, lambda: self._objects.stat(place))
            if stat is None:
                raise self._changed(i, "is gone")
            if stat.size != end if self._is_whole(i, place) else stat.size < end:
                raise self._changed(i, f"has {stat.size:,} bytes instead of {end:,}")
        self._seen.add(i)

    def _changed(self, i: int, what: str) -> ChecksumError:
        return ChecksumError(
            f"{self.manifest.keys[i]} of release {self.name} {what} in {self.inner.uri}",
            code=Code.CHECKSUM_MISMATCH,
            fix=f"restore it from a copy; `voxarium verify DATASET@{self.name}` names all that is not as it was",
        )


def open_release_store(
    store: ReadableStore, name: str, *, verify: bool = False, withdrawn: bool = False
) -> ReleaseStore:
    """Open a release of a dataset, or an open draft as it is now.

    Parameters
    ----------
    store : ReadableStore
        The dataset.
    name : str
        Of the release, or ``draft…``.
    verify : bool
        Check digests; see `ReleaseStore`.
    withdrawn : bool
        Open it also if it was withdrawn.

    Raises
    ------
    NotFoundError
        If there is no such release or open draft, or it was withdrawn.
    """
    found = _published(store, name) if is_draft_name(name) else find_release(store, name)
    if found is None:
        return open_draft_store(store, find_draft(store, name).state)
    tombstone = None if withdrawn else stored_tombstone(store, found.release.sequence)
    if tombstone is not None:
        raise NotFoundError(
            f"release {name} of {store.uri} was withdrawn: {tombstone.reason}",
            code=Code.RELEASE_WITHDRAWN,
            fix="use another release; `voxarium release list` shows them",
        )
    return ReleaseStore(store, release_manifest(store, found.release), name, verify=verify)


def _published(store: ReadableStore, name: str) -> StoredRelease | None:
    """Return a release that was named like a draft before drafts were known."""
    return next((stored for stored in iter_releases(store) if stored.release.name == name), None)


# -------------------------------------------------------------------------------------------------------------- drafts
def draft_base(store: ReadableStore, state: DraftState) -> StoredRelease:
    """Return the release that a draft edits.

    Raises
    ------
    NotFoundError
        If it is not there.
    ConflictError
        If it is another one than when the draft was created.
    """
    found = find_release(store, state.base)
    if found.digest == state.base_document:
        return found
    raise ConflictError(
        f"release {state.base} of {store.uri} is not the one that {state.name} edits",
        code=Code.PLAN_CHANGED,
        fix="find out who changed it: voxarium release verify; or discard the draft",
    )


def open_draft_store(store: ReadableStore, state: DraftState) -> ReleaseStore:
    """Open what a state of a draft shows: the release it edits, with its edits. Digests are not known yet."""
    manifest = release_manifest(store, draft_base(store, state).release)
    return ReleaseStore(store, with_edits(manifest, state.edits), state.name)


def with_edits(manifest: Manifest, edits: Mapping[str, Edit]) -> Manifest:
    """Return a manifest with other objects at some keys. Their digests stand for the location, not for the content."""
    there = matching(manifest.keys, _sorted(edits))[0]
    kept = selected(manifest, np.flatnonzero(there < 0))
    new = {key: edit for key, edit in edits.items() if edit.location}
    count = len(kept), len(new)
    digests = [np.frombuffer(sha256(e.location.encode()).digest(), np.uint8) for e in new.values()]
    old = Strings.of([""] * count[0]) if kept.locations is None else kept.locations
    starts = np.zeros(count[0], np.int64) if kept.byte_offsets is None else kept.byte_offsets
    made = make_manifest(
        Strings.joined([kept.keys, Strings.of(new)]),
        np.concatenate([kept.sizes, np.array([e.size for e in new.values()], np.int64)]),
        np.concatenate([kept.sha256, np.array(digests, np.uint8).reshape(-1, 32)]),
        places=(
            Strings.joined([old, Strings.of(e.location for e in new.values())]),
            np.concatenate([starts, np.zeros(count[1], np.int64)]),
        ),
    )
    return replace(made, composed=manifest.composed or any(is_composed(e.location) for e in new.values()))


def _sorted(keys: Iterable[str]) -> Strings:
    return sorted_strings(Strings.of(keys))[0]


def split_reference(base: str, *, local: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (dataset, name, path in it) for each way to read an address as that of a release: pure.

    Examples
    --------
    >>> list(split_reference("data/brain@v1.0/em/cells", local=True))
    [('data/brain', 'v1.0', 'em/cells')]
    >>> list(split_reference("https://me@example.org/brain", local=False))
    []
    """
    begin = 0 if local else len(base) - len(urlsplit(base).path) if urlsplit(base).netloc else 0
    at = base.find("@", begin)
    while at >= 0:
        parts = _PARTS.fullmatch(base[at + 1 :])
        dataset = base[:at].rstrip("/")
        if parts and dataset and is_name(parts[1]):
            yield dataset, parts[1], (parts[2] or "").strip("/")
        at = base.find("@", at + 1)
