"""Shared threads, and the one way to run things on them.

Codecs, kernels and file reads release the interpreter lock, so threads are enough on one machine. A cutout takes a
millisecond; the machinery of futures would be a tenth of that, so the hand-over is two C-level queue operations.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

__all__ = ["cpu_count", "run_all"]

_T = TypeVar("_T")
_MOST_THREADS: Final = 64

_lock = threading.Lock()
_jobs: SimpleQueue[Callable[[], None]] = SimpleQueue()
_threads = 0


def cpu_count() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


def _serve(jobs: SimpleQueue[Callable[[], None]]) -> None:
    while True:
        jobs.get()()


def _grow(wanted: int) -> None:
    """Make sure that so many threads stand by; they wait for ever and end with the process."""
    global _threads  # noqa: PLW0603  one set of threads a process, made on first use
    with _lock:
        while _threads < min(wanted, _MOST_THREADS):
            _threads += 1
            threading.Thread(target=_serve, args=(_jobs,), name=f"voxarium-{_threads}", daemon=True).start()


def _forget_threads() -> None:
    global _jobs, _lock, _threads
    _jobs, _lock, _threads = SimpleQueue(), threading.Lock(), 0


os.register_at_fork(after_in_child=_forget_threads)


def run_all(function: Callable[[_T], object], items: Sequence[_T], workers: int) -> None:
    """Call `function` on every item, on up to `workers` threads including this one.

    The calling thread takes part, so a call from inside another cannot deadlock. The first error stops the taking
    of further items and is raised.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            function(item)
        return
    crew = _Crew(function, items, min(workers, len(items)) - 1)
    if _threads < crew.helpers:
        _grow(crew.helpers)
    for _ in range(crew.helpers):
        _jobs.put(crew.help_out)
    try:
        crew.work()
    finally:
        errors = crew.wait()
    for error in errors:
        if error is not None:
            raise error


class _Crew(Generic[_T]):
    """The threads that share one list of items."""

    __slots__ = ("_ended", "_function", "_items", "_stop", "_taken", "_tickets", "helpers")

    def __init__(self, function: Callable[[_T], object], items: Sequence[_T], helpers: int) -> None:
        self._function = function
        self._items = items
        self.helpers = helpers
        self._taken = itertools.count()  # next() on it is atomic
        self._tickets = [None] * helpers  # a helper that finds none has come too late and does nothing
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self._stop = False

    def work(self) -> None:
        """Take items until there are none, or one has failed."""
        for i in self._taken:
            if self._stop or i >= len(self._items):
                return
            try:
                self._function(self._items[i])
            except BaseException:
                self._stop = True
                raise

    def help_out(self) -> None:
        """Work, on a helping thread."""
        try:
            self._tickets.pop()
        except IndexError:
            return
        error: BaseException | None = None
        try:
            self.work()
        except BaseException as caught:  # noqa: BLE001  handed to the calling thread
            error = caught
        self._ended.put(error)

    def wait(self) -> list[BaseException | None]:
        """Take back the tickets of helpers that have not begun; wait for the others."""
        late = 0
        while self._tickets:
            try:
                self._tickets.pop()
            except IndexError:
                break
            late += 1
        return [self._ended.get() for _ in range(self.helpers - late)]
