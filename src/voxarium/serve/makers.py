"""A few threads that make answers: no more than the processors can use, and handed over at little cost.

What is decoded needs a processor, not patience. With many threads at it, most of the time they take the interpreter's
lock from each other; and an executor's futures cost as much as a small answer.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final, ParamSpec, TypeVar

__all__ = ["Makers"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_Call = tuple[asyncio.AbstractEventLoop, asyncio.Future[Any], Callable[[], Any]]  # Any: what is made


class Makers:
    """Threads, begun when they are needed.

    Parameters
    ----------
    count : int
        How many.
    """

    def __init__(self, count: int) -> None:
        self._count: Final = count
        self._begun = 0
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._made: deque[tuple[asyncio.Future[Any], Any, BaseException | None]] = deque()
        self._told = False  # whether the event loop knows that something was made

    async def run(self, function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Call a function in one of the threads."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()
        if self._begun < self._count:
            self._begun += 1
            threading.Thread(target=self._work, name=f"serve-maker-{self._begun}", daemon=True).start()
        context = contextvars.copy_context()  # whose request it is
        self._calls.put((loop, future, lambda: context.run(function, *args, **options)))
        return await future

    def close(self) -> None:
        """Let the threads end when they have nothing more to do."""
        for _ in range(self._begun):
            self._calls.put(None)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            loop, future, make = call
            if future.cancelled():
                continue
            try:
                self._made.append((future, make(), None))
            except BaseException as error:  # noqa: BLE001  whoever waits is told
                self._made.append((future, None, error))
            del call, future, make
            if not self._told:
                self._told = True
                with suppress(RuntimeError):  # the loop is closed: nobody waits
                    loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        self._told = False  # before looking: what is made from now on is told again
        while self._made:
            future, result, error = self._made.popleft()
            if future.cancelled():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)
