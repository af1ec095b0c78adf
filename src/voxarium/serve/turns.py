"""Turns of the loop: requests are begun in the order they came, a few at a time, and what they answer is sent together.

If all that came were answered in the turn that read them, the client answered last would ask again just after the loop
looked for requests, wait for a whole turn of others, and be last again: always the same ones would wait twice.

If each answer were sent as soon as it is made, its receiver would be woken, find one answer, and sleep again: to wake
somebody costs the system as much as to read a file. And each call of a transport is a system call and a packet, so the
head of an answer goes with its first bytes.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

__all__ = ["TURN", "HeldAnswer", "Turns"]

TURN: Final = 8  # requests that are begun before the loop looks for new ones
_HELD: Final = 512 << 10  # bytes that wait to be sent together: no more than the processor's second cache keeps


class Turns:
    """What the connections of one server, in one loop, share."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[Any, Any], None], Any, Any]] = deque()  # Any: of uvicorn
        self._answers: deque[HeldAnswer] = deque()
        self._held = 0
        self._turning = False
        self._sending = False

    def begin(self, loop: asyncio.AbstractEventLoop, start: Callable[[Any, Any], None], cycle: Any, app: Any) -> None:
        """Begin a request when those have been that came before; `start` is how."""
        self._waiting.append((start, cycle, app))
        if not self._turning:
            self._turning = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for _ in range(min(TURN, len(self._waiting))):
                start, cycle, app = self._waiting.popleft()
                if not cycle.disconnected:
                    start(cycle, app)
        finally:  # whatever one of them does, the others go on
            self._send_soon(loop)  # behind what was just begun
            self._turning = bool(self._waiting)
            if self._turning:
                loop.call_soon(self._turn, loop)

    def hold(self, loop: asyncio.AbstractEventLoop, answer: HeldAnswer, size: int) -> None:
        """Send the beginning of an answer with those of others, at the end of this turn or when they are too much."""
        self._answers.append(answer)
        self._held += size
        if self._held > _HELD:
            self._send()
        else:
            self._send_soon(loop)

    def _send_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self._sending:
            self._sending = True
            loop.call_soon(self._end)

    def _end(self) -> None:
        self._sending = False
        self._send()

    def _send(self) -> None:
        self._held = 0
        while self._answers:
            self._answers.popleft().flush()


class HeldAnswer:
    """What the answers of a connection are written to: head and first bytes are held until the end of the turn."""

    __slots__ = ("_body", "_fresh", "_head", "_loop", "_transport", "_turns", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, turns: Turns) -> None:
        self._transport = transport
        self._loop = loop
        self._turns = turns
        self._head: bytes | None = None
        self._body: bytes | None = None
        self._fresh = False
        self.is_closing = transport.is_closing

    def begin(self) -> None:
        """Expect an answer, behind what was said before."""
        self.flush()
        self._fresh = True

    def write(self, data: bytes) -> None:
        """Send; the first piece of an answer and the second are held."""
        if self._fresh:
            self._fresh, self._head = False, data
            self._turns.hold(self._loop, self, 0)
        elif self._head is not None and self._body is None:
            self._body = data
            self._turns.hold(self._loop, self, len(data))
        else:
            self.flush()
            self._transport.write(data)

    def flush(self) -> None:
        """Send what is held, unless the connection has ended meanwhile."""
        head, self._head = self._head, None
        body, self._body = self._body, None
        if head is None or self.is_closing():
            return
        if body is None:
            self._transport.write(head)
        else:
            self._transport.writelines((head, body))

    def close(self) -> None:
        """Send what is held, and end."""
        self.flush()
        self._transport.close()
