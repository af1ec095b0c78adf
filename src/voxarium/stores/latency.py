"""A store made slow on purpose: to see on one's own machine how a program behaves over a network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from voxarium.model.protocols import ReadableStore
from voxarium.model.wrapping import Operation, StoreWrapper

__all__ = ["LatencyStore"]

_T = TypeVar("_T")
_FREE = frozenset({"write", "local_path"})  # buffered, or no request at all


class LatencyStore(StoreWrapper):
    """A store whose every request takes at least some time.

    Parameters
    ----------
    inner : ReadableStore
        The wrapped store.
    seconds : float
        Time of a round trip.
    bytes_per_second : float or None
        Speed of transfer, per request; None for no limit.
    concurrency : int
        What the store claims about itself, as a network store would.
    """

    watches_files = True
    hides_path = True

    def __init__(
        self,
        inner: ReadableStore,
        seconds: float,
        *,
        bytes_per_second: float | None = None,
        concurrency: int = 32,
    ) -> None:
        super().__init__(inner)
        self._seconds = seconds
        self._speed = bytes_per_second
        self._concurrency = concurrency

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self._concurrency

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Wait, then do the operation, then wait for the bytes to arrive."""
        if operation.method not in _FREE:
            time.sleep(self._seconds)
        result = call()
        if self._speed is not None:
            size = operation.size
            if isinstance(result, bytes):
                size += len(result)
            elif operation.method == "get_ranges" and isinstance(result, list | tuple):
                size += sum(memoryview(part).nbytes for part in result)
            time.sleep(size / self._speed)
        return result
