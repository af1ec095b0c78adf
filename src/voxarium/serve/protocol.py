"""Connections: clients that are slow, that vanish, or that send too much, are let go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, ClassVar

from voxarium.errors import Code, UnsupportedError
from voxarium.serve.site import Site
from voxarium.serve.turns import HeldAnswer, Turns

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Base
else:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as _Base
    except ImportError as e:
        raise UnsupportedError(
            "the server needs uvicorn and httptools, which are not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[serve]'",
        ) from e

__all__ = ["GuardedProtocol", "guarded"]

_MOST_HEAD = 128 << 10
_CORS = b"access-control-allow-origin: *\r\n"


class GuardedProtocol(_Base):
    """A connection with limits: of the time a head takes, of its size, and of the time an answer is left unread."""

    site: ClassVar[Site]
    turns: ClassVar[Turns]
    _head: int | None = 0  # bytes of a head that is not complete; None between its end and the next
    _clock: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _answer: HeldAnswer | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; turn away what is too many."""
        super().connection_made(transport)
        self._wait_for_head()
        if len(self.connections) > self.site.settings.most_connections:
            self._refuse(b"503 Service Unavailable", b"retry-after: 2\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        for timer in (self._clock, self._stall):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """End: the server was told to stop."""
        self.site.stopping.set()
        self._flush()
        super().shutdown()

    # ----------------------------------------------------------------------------------------------------- reading
    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._head is not None:
            self._head += len(data)
            if self._head > _MOST_HEAD:
                self._refuse(b"431 Request Header Fields Too Large")
                return
        if self.parser is not None and not self.transport.is_closing():
            super().data_received(data)

    def on_message_begin(self) -> None:
        """Wait for the rest of a head."""
        super().on_message_begin()
        if self._clock is None:
            self._wait_for_head()
        if self._head is None:
            self._head = 0

    def on_headers_complete(self) -> None:
        """Begin to answer."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None
        self._head = None
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: Any, app: Any) -> None:  # Any: of uvicorn, which calls this
        """Begin to answer, in turn."""
        if self._answer is None:
            self._answer = HeldAnswer(self.transport, self.loop, self.turns)
        self._answer.begin()
        cycle.transport = self._answer
        self.turns.begin(self.loop, super()._start_asgi_task, cycle, app)

    def _wait_for_head(self) -> None:
        self._clock = self.loop.call_later(self.site.settings.head_seconds, self._too_slow)

    def _too_slow(self) -> None:
        self._refuse(b"408 Request Timeout")

    # ----------------------------------------------------------------------------------------------------- writing
    def pause_writing(self) -> None:
        """Wait until the client has read some of what was sent; not for ever."""
        super().pause_writing()
        if self._stall is None:
            self._stall = self.loop.call_later(self.site.settings.stall_seconds, self._stalled)

    def resume_writing(self) -> None:
        """Send on."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _stalled(self) -> None:
        self.site.metrics.refused += 1
        self.transport.abort()  # closing would wait until the client reads

    def _flush(self) -> None:
        """Send what was answered and is held."""
        if self._answer is not None:
            self._answer.flush()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._refuse(b"400 Bad Request")

    def _refuse(self, status: bytes, header: bytes = b"") -> None:
        """Say why, and close; in the middle of an answer there is nothing to say."""
        self.site.metrics.refused += 1
        if self.transport.is_closing():
            return
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        self._flush()
        head = b"HTTP/1.1 " + status + b"\r\n" + _CORS + header
        self.transport.write(head + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


def guarded(site: Site) -> Any:  # Any: a class of uvicorn's protocols
    """Return the class of connections of one server."""
    return type("Connection", (GuardedProtocol,), {"site": site, "turns": Turns()})
