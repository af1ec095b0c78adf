"""Shared thread pools, and the one way to run things in them.

Codecs, kernels and file reads release the interpreter lock, so threads are enough on one machine. Two pools:
one as wide as the processors for decoding, one wider for waiting on a network.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

__all__ = ["cpu_count", "run_all"]

_T = TypeVar("_T")
_MOST_WAITING: Final = 64

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None


def cpu_count() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this platform
        return os.cpu_count() or 1


def _shared_pool() -> ThreadPoolExecutor:
    global _pool  # noqa: PLW0603  one pool a process, made on first use
    with _lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(_MOST_WAITING, cpu_count()), "voxarium")
        return _pool


def _forget_pool() -> None:
    global _pool  # noqa: PLW0603  threads do not survive a fork
    _pool = None


os.register_at_fork(after_in_child=_forget_pool)


def run_all(function: Callable[[_T], object], items: Sequence[_T], workers: int) -> None:
    """Call `function` on every item, on up to `workers` threads including this one.

    The calling thread takes part, so a call from inside the pool cannot deadlock. The first error stops the taking
    of further items and is raised.
    """
    if workers <= 1 or len(items) <= 1:
        for item in items:
            function(item)
        return
    taken = itertools.count()  # next() on it is atomic
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

    pool = _shared_pool()
    others = [pool.submit(work) for _ in range(min(workers, len(items)) - 1)]
    try:
        work()
    finally:
        error: BaseException | None = None
        for other in others:
            if not other.cancel():
                error = other.exception() or error
    if error is not None:
        raise error
