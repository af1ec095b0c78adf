"""Running a server: in front, or beside the program that starts it."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from voxarium.errors import Code, StoreError, UnsupportedError
from voxarium.serve.access_log import AccessLog
from voxarium.serve.site import Settings, Site, open_site

if TYPE_CHECKING:
    import uvicorn

__all__ = ["BackgroundServer", "bound", "run", "url_of"]

_GRACE = 10  # seconds that requests may take to end when the server stops
_KEEP_ALIVE = 75  # seconds; longer than what proxies in front keep, so that they never write to a closed connection
_BACKLOG = 2048


def bound(host: str, port: int) -> socket.socket:
    """Return a listening socket; port 0 = any free one.

    Raises
    ------
    StoreError
        If the address is taken, or not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _watch_connections(listening)
        listening.bind((host, port))
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except (OSError, OverflowError) as error:
        listening.close()
        raise StoreError(
            f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}",
            code=Code.STORE_UNREADABLE,
            fix="choose another port; 0 takes any free one",
        ) from error
    return listening


def _watch_connections(listening: socket.socket) -> None:
    """Let the system notice clients that vanished without a word. Connections inherit it from the socket."""
    options = [(socket.SOL_SOCKET, "SO_KEEPALIVE", 1), (socket.IPPROTO_TCP, "TCP_NODELAY", 1)]
    options += [(socket.IPPROTO_TCP, name, value) for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15))]
    options += [(socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", 120_000)]
    for level, name, value in options:
        with suppress(OSError, AttributeError):
            listening.setsockopt(level, getattr(socket, name), value)


def url_of(listening: socket.socket) -> str:
    """Return the address of a server on a socket."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def make_server(site: Site, access_log: AccessLog | None, ready: Callable[[], None]) -> uvicorn.Server:
    """Return a server that is not running yet; `ready` is called when it is.

    Raises
    ------
    UnsupportedError
        If uvicorn or Starlette are not installed.
    """
    try:
        import uvicorn

        from voxarium.serve.application import Application
        from voxarium.serve.protocol import guarded

        application = Application(site, access_log)
    except ImportError as error:
        raise UnsupportedError(
            f"the server needs {error.name}, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[serve]'",
        ) from error

    class _Server(uvicorn.Server):
        """Stops when told to, and then lets the program end as it would have."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready()

        @contextlib.contextmanager
        def capture_signals(self) -> Iterator[None]:
            if threading.current_thread() is not threading.main_thread():
                yield
                return
            before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGINT, signal.SIGTERM)}
            try:
                yield
            finally:
                for number, handler in before.items():
                    signal.signal(number, handler)

    config = uvicorn.Config(
        application,
        http=guarded(site),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=_GRACE,
        proxy_headers=False,
        backlog=_BACKLOG,
    )
    # It repeats, with a traceback, what the application has logged, and that answers were cut off on purpose.
    logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
    return _Server(config)


def _more_files() -> None:
    """Allow as many open files as the system lets us: each connection is one."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 1 << 16 if hard == resource.RLIM_INFINITY else min(hard, 1 << 16)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def run(
    site: Site,
    listening: socket.socket,
    *,
    access_log: AccessLog | None = None,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until SIGINT or SIGTERM; those that are being answered then are ended first."""
    _more_files()
    server = make_server(site, access_log, ready)
    server.run(sockets=[listening])


class BackgroundServer:
    """A server in a thread of this program: for notebooks, viewers and tests. Use it in a ``with`` statement.

    Parameters
    ----------
    uris : sequence of str
        What to serve.
    host : str
        Address of this machine to listen on.
    port : int
        0 = any free one.
    settings : Settings or None
        How.
    access_log : AccessLog or None
        Where requests are noted.

    Examples
    --------
    >>> with BackgroundServer(["em.ome.zarr"]) as server:  # doctest: +SKIP
    ...     print(server.url)
    """

    def __init__(
        self,
        uris: Sequence[str],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        settings: Settings | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        self.site = open_site(uris, settings)
        self._ready = threading.Event()
        self._server: Any = make_server(self.site, access_log, self._ready.set)  # Any: uvicorn is optional
        self._socket = bound(host, port)
        self._thread = threading.Thread(target=self._run, name="voxarium-serve", daemon=True)

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ready.set()

    @property
    def url(self) -> str:
        """Address of the server."""
        return url_of(self._socket)

    def __enter__(self) -> BackgroundServer:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End what is being answered, and stop."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
