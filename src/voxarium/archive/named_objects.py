"""Which objects of a dataset releases and drafts name."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Any, Final, cast

from voxarium.core.drafts import draft_numbers, iter_drafts
from voxarium.core.releases import StoredRelease, iter_releases, read_bounded, release_manifest
from voxarium.errors import ChecksumError, Code, NotFoundError
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.spec.manifest import Manifest
from voxarium.spec.release import (
    DRAFTS,
    FOLDER,
    MOST_PIECES,
    is_composed,
    manifest_key,
    parse_pieces,
    pool_key,
)

__all__ = ["Named", "located", "piece_places"]

_DOCUMENT: Final = re.compile(r"[0-9]{6}\.json")
_EMPTY: Final = pool_key(sha256(b"").hexdigest())  # publishing asks the store for it; see `Releases`


class Named:
    """What releases and drafts name.

    Parameters
    ----------
    store : ReadableStore
        The dataset; one that can be listed.
    without : sequence of str
        Releases whose objects do not count, unless an open draft edits them; their documents and manifests do.

    Raises
    ------
    FormatError, ChecksumError, NotFoundError
        If anything that tells cannot be read.
    """

    def __init__(self, store: ReadableStore, without: Sequence[str] = ()) -> None:
        self._store = store
        self._without = without
        self.signature = _signature(store)
        self.releases = _all_releases(store)
        self.drafts = {d.state.name: d for d in iter_drafts(store)}
        self._manifests: list[Manifest] = []
        self._places = {_EMPTY, *(manifest_key(s.release.manifest.sha256) for s in self.releases)}
        composed: set[str] = set()
        edited = {d.state.base for d in self.drafts.values() if d.state.is_open}
        for stored in self.releases:
            if stored.release.name not in without or stored.release.name in edited:
                manifest = release_manifest(store, stored.release)
                self._manifests.append(manifest)
                composed.update(self._take(place for place, _ in located(manifest)))
        for draft in self.drafts.values():
            composed.update(self._take(e.location for e in draft.state.edits.values() if e.location))
            self._places.add(draft.key)
        for place in composed:
            self._places.update(piece_places(store, place))

    def _take(self, places: Iterable[str]) -> set[str]:
        """Note places; return those that are put together of others."""
        found = set(places)
        self._places |= found
        return {place for place in found if is_composed(place)}

    def has(self, key: str) -> bool:
        """Tell whether anything names an object."""
        return key in self._places or any(m.find(key) >= 0 for m in self._manifests)

    def renewed(self) -> Named:
        """Return what is named now: this, when nothing was published or edited since."""
        return self if _signature(self._store) == self.signature else Named(self._store, self._without)


def piece_places(store: ReadableStore, place: str) -> Iterator[str]:
    """Yield the keys of objects of which another is put together.

    Raises
    ------
    NotFoundError, FormatError
        If the list is missing or broken.
    """
    data = read_bounded(store, place, MOST_PIECES)
    if data is None:
        raise NotFoundError(
            f"{place} is missing, yet a release or draft names it", code=Code.PATH_MISSING, fix="restore it from a copy"
        )
    for piece in parse_pieces(data, place):
        if piece.key:
            yield piece.key


def located(manifest: Manifest) -> Iterator[tuple[str, int]]:
    """Yield (location, position) of entries whose bytes are not at their key."""
    if manifest.locations is not None:
        for i in (manifest.locations.lengths > 0).nonzero()[0].tolist():
            yield manifest.location(i)[0], i


def _signature(store: ReadableStore) -> tuple[Any, ...]:  # Any: compared only
    listing = cast("ListableStore", store)
    drafts = [(name, tuple(draft_numbers(store, name))) for name in listing.list_dir(DRAFTS)[1]]
    return tuple(sorted(n for n in listing.list_dir(FOLDER)[0] if n.endswith(".json"))), tuple(sorted(drafts))


def _all_releases(store: ReadableStore) -> list[StoredRelease]:
    """Return all releases; refuse a history with gaps."""
    found = list(iter_releases(store))
    documents = [name for name in cast("ListableStore", store).list_dir(FOLDER)[0] if _DOCUMENT.fullmatch(name)]
    chained = all(b.release.parent == a.digest for a, b in itertools.pairwise(found))
    if len(documents) > len(found) or not chained:
        raise ChecksumError(
            f"the releases of {store.uri} do not follow each other: a document is missing or was changed",
            code=Code.CHECKSUM_MISMATCH,
            fix="run voxarium release verify, and restore what it names; nothing is removed before",
        )
    return found
