"""How fast bytes may pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["RateLimit"]

_SAVED: Final = 0.25  # seconds of allowance that may pile up while nothing passes
_NAP: Final = 0.2  # seconds between two looks whether the job was stopped


class RateLimit:
    """A token bucket that all threads of a job share: takes are granted in the order in which they are asked for.

    Parameters
    ----------
    rate : int or None
        Bytes per second; None = no limit.
    clock, sleep : callable
        For tests.
    """

    def __init__(
        self,
        rate: int | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._free_at = clock()  # when everything granted so far has passed

    def take(self, nbytes: int, stopped: Callable[[], bool] = bool) -> None:
        """Wait until so many bytes may pass, or the job was stopped."""
        if self.rate is None:
            return
        with self._lock:
            due = max(self._free_at, self._clock() - _SAVED)
            self._free_at = due + nbytes / self.rate
        while not stopped():
            left = due - self._clock()
            if left <= 0:
                return
            self._sleep(min(left, _NAP))
