"""What tells of the releases of a dataset, and its log: found without a listing, and read beside a release."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from typing_extensions import Buffer

from voxarium.archive.log_reading import LOG_FOLDER, LogReader
from voxarium.archive.trees import is_temporary
from voxarium.core.release_store import ReleaseStore
from voxarium.core.releases import iter_releases, release_manifest
from voxarium.model.protocols import ByteRange, ListableStore, ObjectStat, ReadableStore
from voxarium.spec.provenance import parse_entry
from voxarium.spec.release import FOLDER, POOL, manifest_key, release_key, tombstone_key

__all__ = ["WithHistory", "is_history", "iter_history"]


def is_history(key: str) -> bool:
    """Tell whether an object tells of releases, or belongs to the log."""
    return key.startswith((f"{FOLDER}/", f"{LOG_FOLDER}/"))


def iter_history(store: ReadableStore) -> Iterator[tuple[str, int]]:
    """Yield (key, size) of all that tells of releases, and of the log."""
    if isinstance(store, ListableStore):
        for folder in (FOLDER, LOG_FOLDER):
            yield from ((key, size) for key, size in store.list(folder) if not is_temporary(key))
        return
    for key in dict.fromkeys((*_release_keys(store), *_log_keys(store))):
        stat = store.stat(key)
        if stat is not None:
            yield key, stat.size


def _release_keys(store: ReadableStore) -> Iterator[str]:
    for stored in iter_releases(store):
        release = stored.release
        yield release_key(release.sequence)
        yield tombstone_key(release.sequence)
        yield manifest_key(release.manifest.sha256)
        manifest = release_manifest(store, release)
        if manifest.locations is not None:
            places = (manifest.location(i)[0] for i in range(len(manifest)))
            yield from (place for place in places if place.startswith(f"{POOL}/"))


def _log_keys(store: ReadableStore) -> Iterator[str]:
    log = LogReader(store)
    count = 0
    for _, key in log.segments():
        yield key
        for line in log.read_segment(key) or ():
            count += 1
            yield log.payload_key(parse_entry(line, key).write_id)
    if count:
        yield log.latest_key


class WithHistory:
    """A release, and beside its content what tells of the dataset's releases.

    Parameters
    ----------
    content : ReleaseStore
        The release.
    dataset : ReadableStore
        Where it lies.
    """

    def __init__(self, content: ReleaseStore, dataset: ReadableStore) -> None:
        self.content = content
        self.dataset = dataset

    def __repr__(self) -> str:
        return f"WithHistory({self.content!r})"

    @property
    def uri(self) -> str:
        """Address of the release."""
        return self.content.uri

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self.dataset.concurrency

    def _of(self, key: str) -> ReadableStore:
        return self.dataset if is_history(key) else self.content

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        return self._of(key).get(key)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object."""
        return self._of(key).get_ranges(key, ranges)

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of an object."""
        return self._of(key).stat(key)
