"""From answers to ASGI messages: the only place where bytes leave."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from voxarium.serve.answers import Answer, Body, WouldWait
from voxarium.serve.site import Site

if TYPE_CHECKING:
    from starlette.types import Receive, Send
    from typing_extensions import Buffer

__all__ = ["answered", "send_answer"]


async def answered(site: Site, make: Callable[[bool], Answer]) -> Answer:
    """Return an answer: at once where everything is at hand, else from a thread. `make` is told whether it may wait."""
    try:
        return make(False)
    except WouldWait:
        return await site.run(make, True)


async def send_answer(site: Site, answer: Answer, receive: Receive, send: Send) -> None:
    """Send an answer, piece by piece, until it is complete or nobody wants it any more."""
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    if answer.rest is None:
        await send({"type": "http.response.body", "body": answer.first})
        return
    gone = asyncio.ensure_future(_gone(receive))
    try:
        await send({"type": "http.response.body", "body": answer.first, "more_body": True})
        while piece := await _next(site, answer.rest):
            if gone.done():
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    finally:
        gone.cancel()


async def _next(site: Site, rest: Body) -> Buffer:
    try:
        return rest.read(wait=False)
    except WouldWait:
        return await site.run(rest.read, wait=True)


async def _gone(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        continue
