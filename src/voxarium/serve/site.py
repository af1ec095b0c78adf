"""What all routes share: settings, the catalogue of images, threads for what waits, counters."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from voxarium.core.pools import cpu_count
from voxarium.serve.catalogue import Catalogue, Scan
from voxarium.serve.gate import open_gate
from voxarium.serve.guards import Guard
from voxarium.serve.makers import Makers
from voxarium.serve.metrics import Metrics
from voxarium.serve.roots import Root, open_roots

if TYPE_CHECKING:
    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

__all__ = ["Mount", "Settings", "Site", "open_site"]

_FRESH: Final = 30.0  # seconds for which what was found is shown again
_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a server behaves.

    Parameters
    ----------
    max_age : int
        Seconds for which clients may keep an object without asking again.
    origins : tuple of str
        Web sites whose pages may read what is served; ``*`` for all.
    hidden : bool
        Serve names that begin with a dot; those of Zarr are served always.
    follow : bool
        Follow symbolic links that lead out of a root.
    url : str or None
        Address under which others reach the server, when something stands in front of it.
    most_requests : int
        Requests answered at a time; more are told to come back.
    most_connections : int
        Open connections; more are turned away.
    most_body : int
        Bytes of a request's body.
    most_cutout : int
        Bytes of voxels that one request may ask for; chunks of four times as many may be decoded for it. Boxes of
        WEBKNOSSOS, which are sent piece by piece, may have eight times as many, cutouts of a Boss twice.
    threads : int
        For what waits for disks and networks.
    head_seconds, stall_seconds : float
        How long a client may take for the head of a request, and how long it may leave an answer unread.
    shared : str or None
        Folder in which the processes of one server tell each other their counts.
    private : bool
        Whether datasets are private that no rule is about.
    access, database : str or None
        File about access, and database; with either of them, or with `private`, access is controlled.
    audit_log : str or None
        File that the audit log is written to, besides the database; ``-`` for the standard error stream.
    rate, rate_bytes : float
        Requests, and bytes, that one client may ask for each second; 0 = there is no limit.
    proxies : tuple of str
        Addresses of machines in front, whose X-Forwarded-For tells where clients are.
    """

    max_age: int = 0
    origins: tuple[str, ...] = ("*",)
    hidden: bool = False
    follow: bool = False
    url: str | None = None
    most_requests: int = 1024
    most_connections: int = 8192
    most_body: int = 1 << 20
    most_cutout: int = 256 << 20
    threads: int = 16
    head_seconds: float = 20.0
    stall_seconds: float = 60.0
    shared: str | None = None
    private: bool = False
    access: str | None = None
    database: str | None = None
    audit_log: str | None = None
    rate: float = 0.0
    rate_bytes: float = 0.0
    proxies: tuple[str, ...] = ()

    @property
    def guarded(self) -> bool:
        """Whether access is controlled."""
        return bool(self.private or self.access or self.database)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """What a file of routes adds to the server.

    Parameters
    ----------
    name : str
        For metrics and the access log.
    bare : mapping
        First part of a path → ASGI application, reached without anything between: for bytes, where speed counts.
    routes : sequence of BaseRoute
        Routes of Starlette: for everything else.
    guards : mapping
        First part of a path → what a request for it shows. Where there is none, only those who may see everything are
        answered.
    """

    name: str
    bare: Mapping[str, ASGIApp] = field(default_factory=dict)
    routes: Sequence[BaseRoute] = ()
    guards: Mapping[str, Guard] = field(default_factory=dict)


class Site:
    """One server's shared things.

    Parameters
    ----------
    roots : sequence of Root
        What is served.
    settings : Settings
        How.
    """

    def __init__(self, roots: Sequence[Root], settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.catalogue = Catalogue(roots, hidden=self.settings.hidden)
        self.gate = open_gate(self.settings)
        self.metrics = Metrics(self.settings.shared)
        self.stopping = asyncio.Event()  # set when the server is told to stop: answers without an end are to end
        self._looking: asyncio.Future[Scan] | None = None
        self._threads = ThreadPoolExecutor(self.settings.threads, thread_name_prefix="serve")
        self._makers = Makers(2 * cpu_count())
        # Looking through folders and drawing pictures take long: they must not keep the others from their bytes.
        self._slow = ThreadPoolExecutor(4, thread_name_prefix="serve-slow")

    async def run(self, function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Call what waits for a disk or a network, in a thread."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()  # whose request it is
        return await loop.run_in_executor(self._threads, lambda: context.run(function, *args, **options))

    async def run_maker(self, function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Call what decodes voxels that are nearby, in a thread: few at a time, since it needs a processor."""
        return await self._makers.run(function, *args, **options)

    async def run_slow(self, function: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """Call what takes long, few at a time."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._slow, lambda: context.run(function, *args, **options))

    def begin(self, function: Callable[_P, object], *args: _P.args, **options: _P.kwargs) -> None:
        """Call what somebody will soon ask for, in a thread; whether it succeeds is told to whoever asks."""
        context = contextvars.copy_context()
        with suppress(RuntimeError):  # the server is being stopped
            self._slow.submit(lambda: context.run(function, *args, **options))

    async def look(self, patience: float | None = None) -> Scan:
        """Return what is served, looked through anew when that is some time ago.

        Parameters
        ----------
        patience : float or None
            Seconds to wait; then what was found before is returned, and looking goes on.
        """
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(self.run_slow(self.catalogue.scan, _FRESH))
        await asyncio.wait([self._looking], timeout=patience)
        if self._looking.done():
            self._looking.result()  # raises what went wrong
        return self.catalogue.latest  # others, who may see other things, wait for the same

    def close(self) -> None:
        """Begin nothing new."""
        self._makers.close()
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._slow.shutdown(wait=False, cancel_futures=True)
        if self.gate is not None:
            self.gate.close()


def open_site(uris: Iterable[str], settings: Settings | None = None) -> Site:
    """Open what is to be served.

    Raises
    ------
    NotFoundError, InputError
        As `open_roots` and `open_gate` do.
    """
    settings = settings or Settings()
    roots = open_roots(uris, hidden=settings.hidden, follow=settings.follow, links=not settings.guarded)
    return Site(roots, settings)
