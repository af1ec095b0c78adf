"""Connections: clients that are slow, that vanish, or that send too much, are let go."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from voxarium.errors import Code, UnsupportedError
from voxarium.serve.site import Site

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
_TURN = 8  # requests that are begun before the loop looks for new ones
_CORS = b"access-control-allow-origin: *\r\n"


class GuardedProtocol(_Base):
    """A connection with limits: of the time a head takes, of its size, and of the time an answer is left unread."""

    site: ClassVar[Site]
    queue: ClassVar[_Queue]
    _head: int | None = 0  # bytes of a head that is not complete; None between its end and the next
    _clock: asyncio.TimerHandle | None = None
    _stall: asyncio.TimerHandle | None = None
    _joining: _Joining | None = None

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
        """Begin to answer when those have been who came before; head and first bytes go out together."""
        if self._joining is None:
            self._joining = _Joining(self.transport, self.loop)
        self._joining.begin()
        cycle.transport = self._joining
        self.queue.put(self.loop, super()._start_asgi_task, cycle, app)

    def on_response_complete(self) -> None:
        """End an answer, which may be a head alone."""
        if self._joining is not None:
            self._joining.flush()
        super().on_response_complete()

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
        head = b"HTTP/1.1 " + status + b"\r\n" + _CORS + header
        self.transport.write(head + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()


class _Queue:
    """Requests that wait to be begun, in the order in which they came: a few in each turn of the loop.

    If all that came were answered in the turn that read them, the client answered last would ask again just after the
    loop looked for requests, wait for a whole turn of others, and be last again: always the same ones wait twice.
    """

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[Any, Any], None], Any, Any]] = deque()  # Any: of uvicorn
        self._called = False

    def put(self, loop: asyncio.AbstractEventLoop, begin: Callable[[Any, Any], None], cycle: Any, app: Any) -> None:
        """Add a request, and how it is begun."""
        self._waiting.append((begin, cycle, app))
        if not self._called:
            self._called = True
            loop.call_soon(self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        for _ in range(min(_TURN, len(self._waiting))):
            begin, cycle, app = self._waiting.popleft()
            if not cycle.disconnected:
                begin(cycle, app)
        self._called = bool(self._waiting)
        if self._called:
            loop.call_soon(self._turn, loop)


class _Joining:
    """What an answer is written to: its head waits for its first bytes, within one turn of the loop.

    Each call of a transport is a system call and a packet: about a tenth of what an answer of 64 KiB costs.
    """

    __slots__ = ("_fresh", "_head", "_loop", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head: bytes | None = None
        self._fresh = False
        self.is_closing = transport.is_closing

    def begin(self) -> None:
        """Expect an answer."""
        self._fresh = True

    def write(self, data: bytes) -> None:
        """Send; the first piece of an answer with the second, if that comes at once."""
        if self._fresh:
            self._fresh, self._head = False, data
            self._loop.call_soon(self.flush)
        elif self._head is not None:
            head, self._head = self._head, None
            self._transport.writelines((head, data))
        else:
            self._transport.write(data)

    def flush(self) -> None:
        """Send what waits, unless the connection has ended meanwhile."""
        head, self._head = self._head, None
        if head is not None and not self.is_closing():
            self._transport.write(head)

    def close(self) -> None:
        """Send what waits, and end."""
        self.flush()
        self._transport.close()


def guarded(site: Site) -> Any:  # Any: a class of uvicorn's protocols
    """Return the class of connections of one server."""
    return type("Connection", (GuardedProtocol,), {"site": site, "queue": _Queue()})
