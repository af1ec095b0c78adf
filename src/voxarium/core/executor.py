"""Running many coarse tasks with a bounded number under way.

The interface is what threads, processes and a cluster have in common: tasks come from an iterator, in order, a window
at a time; results come back as they finish; the first error or a cancel stops the taking of new tasks.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Protocol, TypeVar

from voxarium.core.pools import cpu_count

__all__ = ["Cancel", "Executor", "ThreadExecutor"]

_T = TypeVar("_T")
_R = TypeVar("_R")


class Cancel:
    """A flag that asks a job to stop at the next good moment. Set from any thread or a signal handler."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = threading.Event()

    def set(self) -> None:
        """Ask to stop."""
        self._event.set()

    def __bool__(self) -> bool:
        return self._event.is_set()


class Executor(Protocol):
    """Runs independent tasks."""

    @property
    def workers(self) -> int:
        """How many tasks run at a time."""

    def map_unordered(
        self, function: Callable[[_T], _R], tasks: Iterator[_T], cancel: Cancel, /
    ) -> Generator[_R, None, None]:
        """Yield results as tasks finish; at most a window of tasks is taken from the iterator ahead of time.

        Tasks are started in order. When `cancel` is set, running tasks finish and no further one starts. When the
        generator is closed, it returns after the running tasks have finished.
        """


class ThreadExecutor:
    """Tasks on threads of this process.

    Parameters
    ----------
    threads : int or None
        How many; None = one per processor.
    """

    def __init__(self, threads: int | None = None) -> None:
        self.workers = max(1, cpu_count() if threads is None else threads)

    def map_unordered(
        self, function: Callable[[_T], _R], tasks: Iterator[_T], cancel: Cancel, /
    ) -> Generator[_R, None, None]:
        """Yield results as they finish; see `Executor`."""
        if self.workers == 1:
            for task in tasks:
                if cancel:
                    return
                yield function(task)
            return
        with ThreadPoolExecutor(self.workers, "voxarium-task") as pool:
            running: set[Future[_R]] = set()
            done: SimpleQueue[Future[_R]] = SimpleQueue()  # cheaper than to wait for a set of futures
            try:
                while True:
                    # One task more than workers, so that no worker waits for this thread.
                    free = 0 if cancel else self.workers + 1 - len(running)
                    for task in itertools.islice(tasks, free):
                        future = pool.submit(function, task)
                        running.add(future)
                        future.add_done_callback(done.put)
                    if not running:
                        return
                    future = done.get()
                    running.remove(future)
                    yield future.result()
            except BaseException:
                cancel.set()
                for future in running:
                    future.cancel()
                raise
