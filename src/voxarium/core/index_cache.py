"""Keeps parsed shard indexes, so that a cutout costs one index read per shard, once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from voxarium.model.protocols import ReadableStore

__all__ = ["BoundedIndexCache"]


class BoundedIndexCache:
    """Parsed indexes by key, the least recently used forgotten first.

    In local stores every use checks the file's generation (one ``stat``), so a rewritten shard is noticed. In remote
    stores an index is trusted for the life of the opened array: published objects do not change.

    Parameters
    ----------
    max_bytes : int
        Bound on the sum of the entries' ``nbytes``.
    """

    def __init__(self, max_bytes: int = 256 << 20) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, tuple[str, object, int]] = OrderedDict()

    def get(self, store: ReadableStore, key: str, load: Callable[[], object | None], /) -> object | None:
        """Return the parsed index of `key`, calling `load` when it is not known or the object changed."""
        generation = ""
        if store.concurrency == 1:
            stat = store.stat(key)
            if stat is None:
                return None
            generation = stat.generation
        with self._lock:
            found = self._entries.get(key)
            if found is not None and found[0] == generation:
                self._entries.move_to_end(key)
                return found[1]
        index = load()
        if index is None:
            return None
        size = int(getattr(index, "nbytes", 1024))
        with self._lock:
            old = self._entries.pop(key, None)
            self._bytes += size - (old[2] if old else 0)
            self._entries[key] = (generation, index, size)
            while self._bytes > self._max_bytes and len(self._entries) > 1:
                self._bytes -= self._entries.popitem(last=False)[1][2]
        return index
