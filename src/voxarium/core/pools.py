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
from typing import Final, TypeVar

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
    count = min(workers, len(items)) - 1
    taken = itertools.count()  # next() on it is atomic
    tickets = [None] * count  # a helper that finds none has come too late and does nothing
    ended: SimpleQueue[BaseException | None] = SimpleQueue()
    stop = False

    def work() -> None:
        nonlocal stop
        for i in taken:
            if stop or i >= len(items):
                return
            try:
                function(items[i])
            except BaseException:
                stop = True
                raise

    def help_out() -> None:
        try:
            tickets.pop()
        except IndexError:
            return
        error: BaseException | None = None
        try:
            work()
        except BaseException as caught:  # noqa: BLE001  handed to the calling thread
            error = caught
        ended.put(error)

    if _threads < count:
        _grow(count)
    for _ in range(count):
        _jobs.put(help_out)
    try:
        work()
    finally:
        late = 0
        while tickets:
            try:
                tickets.pop()
                late += 1
            except IndexError:
                break
        errors = [ended.get() for _ in range(count - late)]
    for error in errors:
        if error is not None:
            raise error
