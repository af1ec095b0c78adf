"""Reading chunks with threads that never hold the interpreter lock, where store and container allow it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.batch.crew import Crew, announcing
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.model.native import ChunkJudge, NativeReads
from voxarium.model.protocols import IndexCache, NativeDriver, NativeStore, ProbeStore

__all__ = ["NativeReader", "crew_of", "on_disk"]

_MOST_THREADS: Final = 64
_FEW: Final = 3
_WAITING: Final = 6  # readers of a disk that cannot be told ahead: most of them wait, each for a chunk of its own

Careful = Callable[[list[tuple[int, ...]], int], None]


class NativeReader:
    """Reads one array.

    Parameters
    ----------
    driver, store, path, info, cache
        The opened array.
    most_stored : int
        Bytes a chunk is expected to take at most; longer ones go the careful way.
    """

    def __init__(
        self,
        driver: NativeDriver,
        store: NativeStore,
        path: str,
        info: ArrayInfo,
        cache: IndexCache,
        *,
        most_stored: int,
    ) -> None:
        self._driver = driver
        self._store = store
        self._path = path
        self._info = info
        self._cache = cache
        self._most = most_stored
        self._probe = store if isinstance(store, ProbeStore) else None

    def read(self, box: Box, out: NDArray[Any], workers: int, careful: Careful) -> bool:
        """Fill `out` with the voxels of `box`; tell whether it was tried.

        `careful` is called with the indices of chunks that compiled code could not deal with (absent, damaged, of
        unusual form), and a number of threads.
        """
        indices = _indices(self._info.chunk_shape, box)
        status = self._run(indices, box, out, workers, None)
        if status is None:
            return False
        if not status.all():
            careful([tuple(i) for i in indices[status == 0].tolist()], workers)
        return True

    def judge(self, box: Box, judge: ChunkJudge, workers: int) -> NDArray[np.bool_] | None:
        """Decode the chunks of a box, of whole chunks, for a judge; return which it finds good.

        False for chunks that compiled code could not deal with, too; None where it can deal with none.
        """
        info = self._info
        status = self._run(_indices(info.chunk_shape, box), box, np.empty(info.chunk_shape, info.dtype), workers, judge)
        counts = tuple(n // c for n, c in zip(box.shape, info.chunk_shape, strict=True))
        return None if status is None else status.reshape(counts).astype(np.bool_)

    def _run(
        self, indices: NDArray[np.int64], box: Box, out: NDArray[Any], workers: int, judge: ChunkJudge | None
    ) -> NDArray[np.uint8] | None:
        """Fetch and decode chunks; return which are done, or None if nothing was tried."""
        info, store = self._info, self._store
        if not self._driver.can_decode_fetched(info, out, len(indices)):
            return None
        found = self._driver.locate_many(store, self._path, info, indices, self._cache)
        slow = workers > 1 and len(indices) >= _FEW and on_disk(self._probe, found.keys, found.objects, found.starts)
        files = store.open_native(found.keys)
        if files is None:
            return None
        with files, crew_of(workers, slow=slow) as crew:
            reads = NativeReads(
                chunk_shape=info.chunk_shape,
                indices=indices,
                files=files,
                objects=found.objects,
                starts=found.starts,
                lengths=found.lengths,
                most=self._most,
                announce=slow,
                judge=judge,
            )
            return self._driver.decode_fetched(info, reads, box, out, crew)


def on_disk(
    probe: ProbeStore | None, keys: Sequence[str], objects: NDArray[np.int64], starts: NDArray[np.int64]
) -> bool:
    """Tell whether reading will wait for a disk, judged by the first and the last chunk."""
    if probe is None:
        return False
    for i in (0, -1):
        at = int(objects[i])
        if at >= 0 and not probe.in_memory(keys[at], int(starts[i])):
            return True
    return False


@lru_cache(maxsize=64)
def _grid(counts: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the indices of a grid in C order, shape (chunks, axes)."""
    return np.ascontiguousarray(np.indices(counts, np.int64).reshape(len(counts), -1).T)


def _indices(chunk_shape: tuple[int, ...], box: Box) -> NDArray[np.int64]:
    """Return the indices of the chunks that touch a box, shape (chunks, axes), in C order."""
    first = [a // c for a, c in zip(box.origin, chunk_shape, strict=True)]
    counts = tuple(-(-b // c) - f for b, c, f in zip(box.stop, chunk_shape, first, strict=True))
    grid = _grid(counts) if max(counts) <= 16 else _grid.__wrapped__(counts)
    return grid + np.array(first, np.int64)


# Crews at rest, by number of helpers. A crew serves one call at a time; when too many threads stand by already, a call
# works alone.
_resting: dict[int, list[Crew]] = {}
_lock = threading.Lock()
_threads = 0


def _forget_crews() -> None:
    global _resting, _lock, _threads
    _resting, _lock, _threads = {}, threading.Lock(), 0


os.register_at_fork(after_in_child=_forget_crews)


@contextmanager
def crew_of(workers: int, *, slow: bool) -> Iterator[Crew]:
    """Lend a crew of so many threads, this one included; more where they wait for a disk that cannot be told ahead."""
    helpers = (max(workers, _WAITING) if slow and not announcing() else workers) - 1
    try:
        crew = _resting[helpers].pop()
    except (KeyError, IndexError):
        crew = _new_crew(helpers)
    try:
        yield crew
    finally:
        _resting.setdefault(crew.helpers, []).append(crew)


def _new_crew(helpers: int) -> Crew:
    global _threads  # noqa: PLW0603  one count a process
    with _lock:
        if _threads + helpers > _MOST_THREADS:
            helpers = 0
        _threads += helpers
    crew = Crew(helpers)
    for i in range(helpers):
        threading.Thread(target=crew.serve, name=f"voxarium-reader-{i}", daemon=True).start()
    return crew
