"""What of a dataset is published, and copies of the documents among it that may change later."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from hashlib import sha256
from typing import Final

import numpy as np

from voxarium.archive.log_reading import LOG_FOLDER
from voxarium.archive.named_objects import located, piece_places
from voxarium.archive.trees import Listing, Tree, is_temporary
from voxarium.core.journal import JOB_FOLDER
from voxarium.core.releases import StoredRelease, read_bounded, release_manifest
from voxarium.errors import ChecksumError, Code, ConflictError, FormatError, NotFoundError, StoreError
from voxarium.model.protocols import WritableStore
from voxarium.spec.manifest import Manifest, Strings, matching
from voxarium.spec.release import DATASET_KEY, FOLDER, POOL, Edit, is_composed, may_change, pool_key

__all__ = ["ContentTree", "count_new", "leftovers", "put_named", "with_copies"]

_MOST_COPIED: Final = 16 << 20


class ContentTree(Tree):
    """What of a dataset is published: all but the log, what tells of releases, and what stopped writers left."""

    __slots__ = ()

    def iter_objects(self) -> Iterator[tuple[str, int]]:
        """Yield (key, size)."""
        for key, size in Tree.iter_objects(self):
            inside = key.startswith((f"{FOLDER}/", f"{LOG_FOLDER}/"))
            if not inside and not is_temporary(key) and f"/{JOB_FOLDER}" not in f"/{key}":
                yield key, size


def _is_leftover(key: str) -> bool:
    return is_temporary(key) or f"/{JOB_FOLDER}/" in f"/{key}"


def leftovers(store: WritableStore) -> list[str]:
    """Return keys of what jobs and stopped writers left among the content."""
    tree = Tree(store)
    inside = (f"{FOLDER}/", f"{LOG_FOLDER}/")  # what a stopped publisher left there is nobody's content
    return [key for key, _ in tree.iter_objects() if not key.startswith(inside) and _is_leftover(key)]


def count_new(
    store: WritableStore, listing: Listing, known: Sequence[StoredRelease], edits: Mapping[str, Edit]
) -> tuple[int, int]:
    """Return number and bytes of objects that the last release does not have, by key and size.

    Of edited shards those bytes count that were stored for the edit.
    """
    everything = len(listing.sizes), int(listing.sizes.sum())
    if not known:
        return everything
    try:
        before = release_manifest(store, known[-1].release)
        named = {p for place, _ in located(before) for p in _places(store, place)}
    except (NotFoundError, FormatError):  # damage to an earlier release, which `verify` names
        return everything
    there = matching(listing.keys, before.keys)[0]
    same = there >= 0
    same[same] = before.sizes[there[same]] == listing.sizes[same]
    edited = [i for i in np.flatnonzero(~same).tolist() if edits.get(listing.keys[i], Edit("")).location]
    nbytes = int(listing.sizes[~same].sum()) - sum(int(listing.sizes[i]) for i in edited)
    new = {p for i in edited for p in _places(store, edits[listing.keys[i]].location)} - named
    stats = [store.stat(place) for place in sorted(new)]
    return int((~same).sum()), nbytes + sum(s.size for s in stats if s is not None)


def _places(store: WritableStore, place: str) -> Iterator[str]:
    """Yield the keys of objects that were stored for what is at a location."""
    yield place
    if is_composed(place):
        yield from (key for key in piece_places(store, place) if key.startswith(f"{POOL}/"))


def with_copies(
    store: WritableStore, manifest: Manifest, named: Set[str] = frozenset(), edited: Mapping[str, str] | None = None
) -> Manifest:
    """Copy documents that may change after the release, and return the manifest that leads to the copies.

    Copies that are there already and not `named` are stored once more: as leftovers they might be removed any moment.
    `edited`: locations of other objects, by key.
    """
    edited = {} if edited is None else edited
    places = {i: place for key, place in edited.items() if (i := manifest.find(key)) >= 0}
    own = manifest.find(DATASET_KEY) >= 0
    for i, key in enumerate(manifest.keys):
        if i in places or not may_change(key, in_dataset=own) or manifest.sizes[i] > _MOST_COPIED:
            continue
        data = read_bounded(store, key, _MOST_COPIED)
        digest = manifest.sha256[i].tobytes()
        if data is None or sha256(data).digest() != digest:
            raise ConflictError(
                f"{key} changed while it was read", code=Code.PLAN_CHANGED, fix="publish when nothing writes there"
            )
        place = places[i] = pool_key(digest.hex())
        put_named(store, place, data, fresh=place not in named)
    if not places:
        return manifest
    locations = Strings.of(places.get(i, "") for i in range(len(manifest)))
    return replace(
        manifest,
        locations=locations,
        byte_offsets=np.zeros(len(manifest), np.int64),
        composed=any(map(is_composed, edited.values())),
    )


def put_named(store: WritableStore, key: str, data: bytes, *, fresh: bool) -> None:
    """Store an object named by its content; one that is there and says something else was tampered with.

    `fresh`: one that is there is stored once more, so that it is young again and nobody takes it for a leftover.
    """
    try:
        if store.put_if_absent(key, data):
            return
    except StoreError:
        if store.stat(key) is None:
            raise
    found = read_bounded(store, key, max(len(data), _MOST_COPIED))
    if found == data and fresh:
        store.put(key, data)
    elif found is None:  # removed this moment
        store.put_if_absent(key, data)
    elif found != data:
        raise ChecksumError(
            f"{key} in {store.uri} is not what its name says",
            code=Code.CHECKSUM_MISMATCH,
            fix="find out who changed it; remove it, then publish again",
        )
