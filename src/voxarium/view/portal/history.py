"""Releases and provenance of a dataset, as the pages show them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from typing_extensions import Buffer

from voxarium.archive.log_reading import LOG_FOLDER, LogReader
from voxarium.core.releases import iter_releases, stored_tombstone
from voxarium.errors import NotFoundError, VoxariumError
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore
from voxarium.model.provenance import OPERATIONS, Artifact, RecordedActivity
from voxarium.view.portal.facts import History, PublishedRelease, Step
from voxarium.view.portal.words import safe_link, shown_address

__all__ = ["FolderStore", "history_of"]

_MOST_NAMES: Final = 6  # of what an operation read or wrote
_MOST_RELEASES: Final = 1000


class FolderStore:
    """A folder of a store, to be read.

    Parameters
    ----------
    store : ReadableStore
        Holds it.
    path : str
        Of the folder.
    """

    def __init__(self, store: ReadableStore, path: str) -> None:
        self._store = store
        self._path = path

    @property
    def uri(self) -> str:
        """Address of the folder."""
        return f"{self._store.uri}/{self._path}".rstrip("/")

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self._store.concurrency

    def _key(self, key: str) -> str:
        return f"{self._path}/{key}".strip("/") if self._path else key

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        return self._store.get(self._key(key))

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object."""
        return self._store.get_ranges(self._key(key), ranges)

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of an object."""
        return self._store.stat(self._key(key))


def history_of(store: ReadableStore, path: str, steps: int) -> History:
    """Return releases and provenance of the dataset at a path; what is damaged is said, and the rest is shown.

    Parameters
    ----------
    store, path
        The dataset.
    steps : int
        Entries of the log to show, from the newest; 0 = releases only; below 0 = nothing.
    """
    if steps < 0:
        return History()
    folder = FolderStore(store, path)
    problems: list[str] = []
    releases = tuple(_releases(folder, problems))
    shown: list[Step] = []
    more = 0
    if steps:
        shown, more = _steps(LogReader(store, f"{path}/{LOG_FOLDER}".lstrip("/")), steps, problems)
    return History(releases=releases, steps=tuple(shown), more=more, problems=tuple(problems))


def _releases(folder: FolderStore, problems: list[str]) -> Iterator[PublishedRelease]:
    found = []
    try:
        for stored in iter_releases(folder):
            tombstone = stored_tombstone(folder, stored.release.sequence)
            why = "" if tombstone is None else tombstone.reason or "withdrawn"
            found.append(PublishedRelease(release=stored.release, key=stored.key, digest=stored.digest, withdrawn=why))
            if len(found) >= _MOST_RELEASES:
                break
    except VoxariumError:
        problems.append("the documents of its releases are damaged: voxarium release list says where")
    yield from reversed(found)


def _steps(log: LogReader, most: int, problems: list[str]) -> tuple[list[Step], int]:
    try:
        entries = list(log.entries())
        steps = [_step(log.recorded(entry)) for entry in reversed(entries[-most:])]
    except NotFoundError:
        return [], 0
    except VoxariumError:
        problems.append("its provenance log is damaged: voxarium log verify says where")
        return [], 0
    return steps, max(0, len(entries) - most)


def _step(recorded: RecordedActivity) -> Step:
    activity = recorded.activity
    agent = activity.agent
    return Step(
        sequence=recorded.sequence,
        time=recorded.time,
        operation=activity.operation,
        meaning=OPERATIONS.get(activity.operation, ""),
        agent="" if agent is None else agent.name,
        agent_link="" if agent is None else safe_link(agent.identifier),
        inputs=_names(activity.inputs),
        outputs=_names(activity.outputs),
        note=activity.note or "",
        software=dict(activity.software or {}),
    )


def _names(artifacts: Sequence[Artifact]) -> tuple[str, ...]:
    names = [shown_address(a.address) for a in artifacts]
    more = len(names) - _MOST_NAMES
    return (*names[:_MOST_NAMES], f"and {more:,} more") if more > 0 else tuple(names)
