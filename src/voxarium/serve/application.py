"""The whole server as one ASGI application: routes, and around them what every request goes through.

A file of routes is a function that takes the `Site` and returns a `Mount`; `MOUNTS` lists them. Nothing else changes
when one is added.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Sequence
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from voxarium.errors import InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.serve import (
    bossdb,
    cutouts,
    login,
    niivue,
    openapi,
    operation,
    pages,
    portal,
    raw_routes,
    translated,
    viewer,
    webknossos,
)
from voxarium.serve.access import Visitor, answering
from voxarium.serve.access_log import AccessLog, shown_path
from voxarium.serve.answers import Answer, Header, failure
from voxarium.serve.credentials import client_of, credential_of, without_path_token
from voxarium.serve.cross_origin import CrossOrigin
from voxarium.serve.guards import Guard, permits
from voxarium.serve.limiter import Buckets, network_of
from voxarium.serve.sending import send_answer
from voxarium.serve.site import Mount, Site

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["MOUNTS", "Application"]

MOUNTS: Final[tuple[Callable[[Site], Mount], ...]] = (
    raw_routes.mount, translated.mount, cutouts.mount, viewer.mount, niivue.mount, webknossos.mount, bossdb.mount,
    openapi.mount, operation.mount, login.mount, portal.mount, pages.mount,
)  # fmt: skip

_LOG: Final = logging.getLogger("voxarium.serve")
_MOST_HEAD: Final = 64 << 10
_MOST_TARGET: Final = 16 << 10
_FLUSHED: Final = 0.5  # seconds until a line of the access log is written, and counts are shared, at the latest
_RETRY: Final = (b"retry-after", b"2")
_CLOSE: Final = (b"connection", b"close")
# Under access control: an answer is for those who ask so, and no page of another site learns an address with a token.
_GUARDED: Final[tuple[Header, ...]] = (
    (b"vary", b"authorization, cookie, x-auth-token"),
    (b"referrer-policy", b"same-origin"),  # with none at all, browsers say of forms that no page sends them
)


class Application:
    """Answers every request: with limits around, and counted.

    Parameters
    ----------
    site : Site
        What the routes share.
    access_log : AccessLog or None
        Where requests are noted.
    mounts : sequence of callable
        Files of routes.
    """

    def __init__(
        self,
        site: Site,
        access_log: AccessLog | None = None,
        mounts: Sequence[Callable[[Site], Mount]] = MOUNTS,
    ) -> None:
        from starlette.routing import Router

        self.site = site
        self._log = access_log
        self._cross = CrossOrigin(site.settings.origins)
        self._requests = Buckets(site.settings.rate)
        self._bytes = Buckets(site.settings.rate_bytes)
        self._guards: dict[str, Guard] = {}
        self._asks = bool(site.gate is not None or site.settings.rate or site.settings.rate_bytes)
        self._bare: dict[str, tuple[str, ASGIApp]] = {}
        routes: list[Any] = []  # Any: BaseRoute
        self._names: dict[str, str] = {}
        for mount in mounts:
            mounted = mount(site)
            self._bare |= {first: (mounted.name, app) for first, app in mounted.bare.items()}
            routes.extend(mounted.routes)
            self._guards |= mounted.guards
            self._names |= {_first(getattr(r, "path", "/")): mounted.name for r in mounted.routes}
        self._router = Router(routes, redirect_slashes=False, default=_nothing)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or follow the server's life."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._counted(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        tasks: list[asyncio.Future[Any]] = []  # Any: nobody looks at what they return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                # The first visitor is not to wait until all folders were looked through.
                tasks.append(asyncio.ensure_future(self.site.look()))
                tasks.append(asyncio.ensure_future(self._flushing()))
                await send({"type": "lifespan.startup.complete"})
            else:
                for task in tasks:
                    task.cancel()
                self.site.close()
                self.site.metrics.share()
                if self._log is not None:
                    self._log.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _flushing(self) -> None:
        while True:
            await asyncio.sleep(_FLUSHED)
            self.site.metrics.share()
            if self._log is not None:
                self._log.flush()
            gate = self.site.gate
            if gate is not None and gate.pending:
                await self.site.run(gate.flush)

    # ---------------------------------------------------------------------------------------------------- requests
    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        metrics = self.site.metrics
        began = perf_counter()
        whole, prefix = scope, ""
        added = self._cross.headers(scope["headers"])
        if self.site.gate is not None:
            scope, prefix = without_path_token(scope)
            added = (*added, *_GUARDED)
        sent = _Sent(send, added, head=scope["method"] == "HEAD")
        first = _first(scope["path"])
        name, app = self._bare.get(first, ("", self._router))
        route = name or self._names.get(first, "other")
        if self._log is not None:
            sent.client = client_of(scope, self.site.settings.proxies)
        metrics.in_flight += 1
        try:
            await self._guarded(app, scope, receive, sent, prefix)
        finally:
            metrics.in_flight -= 1
            seconds = perf_counter() - began
            metrics.add(route, scope["method"], sent.status, sent.bytes, seconds)
            if self._log is not None:
                self._log.add(
                    whole, route=route, status=sent.status, sent=sent.bytes, seconds=seconds, client=sent.client,
                    who=sent.who,
                )  # fmt: skip

    async def _guarded(self, app: ASGIApp, scope: Scope, receive: Receive, send: _Sent, prefix: str) -> None:
        refusal = self._refusal(scope)
        if refusal is not None:
            await send_answer(self.site, refusal, receive, send)
            return
        if scope["method"] == "OPTIONS":
            await send_answer(self.site, self._cross.preflight(scope["headers"]), receive, send)
            return
        limited = partial(_limited, receive, [self.site.settings.most_body])
        try:
            admitted = await self._admitted(scope, prefix, send) if self._asks else None
            if admitted is None:
                await app(scope, limited, send)
                return
            if isinstance(admitted, Answer):
                await send_answer(self.site, admitted, receive, send)
                return
            with answering(admitted):
                await app(scope, limited, send)
        except Exception as error:  # whatever it is: others are served on, and visitors are told nothing of the inside
            if send.status:
                # Bytes are on their way: closing the connection is the only way left to say that they are not all.
                _LOG.warning("%r was cut off: %s", shown_path(scope["path"])[:200], error)
                raise
            await send_answer(self.site, _failed(scope, error), receive, send)
        finally:
            self._bytes.charge(send.counted, send.bytes)

    async def _admitted(self, scope: Scope, prefix: str, send: _Sent) -> Visitor | Answer | None:
        """Return who asks, when they may; what they are answered, when not. Without access control nobody is known."""
        send.client = client_of(scope, self.site.settings.proxies)
        send.counted = network_of(send.client)
        visitor = await self._visitor(scope, prefix, send)
        if isinstance(visitor, Answer):
            self.site.metrics.refused += 1
            return visitor
        wait = max(self._requests.wait(send.counted), self._bytes.wait(send.counted))
        if wait:
            self.site.metrics.refused += 1
            return failure(429, "more than one client may ask for", [(b"retry-after", b"%d" % math.ceil(wait))])
        self._requests.charge(send.counted, 1)
        gate = self.site.gate
        if gate is None or visitor is None:
            return None
        asked, refusal = permits(visitor, self._guards.get(_first(scope["path"])), scope)
        if refusal is not None:
            return refusal
        if visitor.who:
            for address in asked.addresses:
                gate.note_read(visitor, address)
        return visitor

    async def _visitor(self, scope: Scope, prefix: str, send: _Sent) -> Visitor | Answer | None:
        """Return who asks, or what is answered to a wrong token."""
        gate = self.site.gate
        if gate is None:
            return None
        credential = credential_of(scope, prefix, url=self.site.settings.url)
        send.private = credential is not None
        if gate.kept(credential):
            visitor = gate.visitor(credential, send.client, prefix)
        else:
            visitor = await self.site.run(gate.visitor, credential, send.client, prefix)
        if isinstance(visitor, Visitor) and visitor.who:
            send.who = send.counted = visitor.who
        return visitor

    def _refusal(self, scope: Scope) -> Answer | None:
        """Return why a request is not answered; None when it is."""
        settings = self.site.settings
        answer = None
        if self.site.metrics.in_flight > settings.most_requests:
            answer = failure(503, "too many requests at a time", [_RETRY])
        elif len(scope["raw_path"]) + len(scope["query_string"]) > _MOST_TARGET:
            answer = failure(414, "the address is too long", [_CLOSE])
        elif sum(len(name) + len(value) for name, value in scope["headers"]) > _MOST_HEAD:
            answer = failure(431, "the headers are too large", [_CLOSE])
        elif _body_size(scope["headers"]) > settings.most_body:
            answer = failure(413, "the body is too large", [_CLOSE])
        if answer is not None:
            self.site.metrics.refused += 1
        return answer


class _Sent:
    """Sends, with the headers that every answer has, and remembers what was sent."""

    __slots__ = ("_added", "_head", "_send", "bytes", "client", "counted", "private", "status", "who")

    def __init__(self, send: Send, added: tuple[tuple[bytes, bytes], ...], *, head: bool) -> None:
        self._send = send
        self._added = added
        self._head = head
        self.status = 0
        self.bytes = 0
        self.client = ""
        self.who = ""
        self.counted = ""  # under which name requests and bytes are counted
        self.private = False  # whether the answer is for whoever brought a token, and no cache may give it to others

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if self.private:
                headers = [(n, v.replace(b"public", b"private") if n == b"cache-control" else v) for n, v in headers]
            message["headers"] = [*headers, *self._added]
            await self._send(message)
            self.status = message["status"]
            return
        await self._send(message)
        if not self._head:
            self.bytes += len(message.get("body", b""))


async def _limited(receive: Receive, left: list[int]) -> Message:
    """Receive a part of a body, no more than is left of what is allowed."""
    message = await receive()
    left[0] -= len(message.get("body", b""))
    if left[0] < 0:
        raise _BodyError
    return message


class _BodyError(Exception):
    """A body is larger than it may be, and did not say so in front."""


def _failed(scope: Scope, error: Exception) -> Answer:
    """Return what a visitor is told of an error; nothing of where things are on the server's machine."""
    if isinstance(error, _BodyError):
        return failure(413, "the body is too large", [_CLOSE])
    if isinstance(error, NotFoundError):
        return failure(404, "not found")
    if isinstance(error, InputError):
        return failure(400, "the request cannot be answered as it is")
    if isinstance(error, UnsupportedError):
        return failure(501, "this server cannot do that")
    if isinstance(error, VoxariumError):
        _LOG.error("%r: %s", shown_path(scope["path"])[:200], error)
        return failure(500, "what is stored here cannot be read")
    _LOG.error("%r failed", shown_path(scope["path"])[:200], exc_info=error)
    return failure(500, "an error of the server")


def _first(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]


def _body_size(headers: Sequence[tuple[bytes, bytes]]) -> int:
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() and len(value) < 19 else 1 << 62
    return 0


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer where there is no route."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    answer = failure(404, "not found")
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else answer.first})
