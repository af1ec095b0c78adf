"""Neuroglancer, served from its installed package: ``/view/``, ``/v/``, ``/s/`` and what the client asks for.

The package holds a client that is made for Python programs: its page lies under ``/v/TOKEN/``, and it expects
``/events/``, ``/state/``, ``/action/`` and ``/credentials/`` beside. A page with a state behind ``#!`` is all in the
browser; without one, all browsers with the same token share their view.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from voxarium.errors import Code, UnsupportedError
from voxarium.serve.access import current_visitor
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, failure
from voxarium.serve.arguments import RefusedError, position_of
from voxarium.serve.guards import OPEN, Guard, images_asked
from voxarium.serve.layers import begin_overviews, state_of
from voxarium.serve.pages import base_url, plain_url
from voxarium.serve.saved_states import SavedStates, Sessions
from voxarium.serve.site import Mount, Site
from voxarium.serve.state_text import places_in, portable, prefixed
from voxarium.spec.neuroglancer_state import dump_link
from voxarium.view.neuroglancer_state import moved

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["client_folder", "mount", "viewer_url"]

_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILE: Final = re.compile(r"[a-z0-9][A-Za-z0-9_.-]*\.(js|css|wasm|html|map)")
_TYPES: Final = {
    "js": "text/javascript", "css": "text/css", "wasm": "application/wasm", "html": "text/html; charset=utf-8",
    "map": "application/json",
}  # fmt: skip
_ICON: Final = b'<head><link rel="icon" href="data:,">'  # browsers ask for one elsewhere, and complain
_LONGEST: Final = 12_000  # letters of a link that browsers and servers between still take
_PING: Final = 15.0  # seconds until a client that has gone is noticed
_MOST_STREAMS: Final = 128  # browsers that wait for news; each is a request that is being answered
_MOST_ADDRESSES: Final = 24


def client_folder() -> Path:
    """Return the folder of the client.

    Raises
    ------
    UnsupportedError
        If it is not installed.
    """
    found = find_spec("neuroglancer")
    folder = None if found is None or found.origin is None else Path(found.origin).parent / "static" / "client"
    if folder is None or not (folder / "index.html").is_file():
        raise UnsupportedError(
            "the viewer needs Neuroglancer, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[view]'",
        )
    return folder


def viewer_url(base: str, state: dict[str, Any], saved: SavedStates | None = None) -> str:
    """Return the address of the viewer with a state; one that is too long for that is saved, where that is possible."""
    link = dump_link(state, f"{base}/v/view/")
    if len(link) <= _LONGEST or saved is None:
        return link
    return f"{base}/v/view/#!{base}/s/{saved.save(state)}.json"


@cache
def _client_file(folder: Path, name: str) -> bytes | None:
    """Return a file of the client; they are few, and never change."""
    path = folder / name
    found = path.read_bytes() if path.is_file() else None
    return found.replace(b"<head>", _ICON, 1) if found is not None and name == "index.html" else found


def mount(site: Site) -> Mount:
    """Return the routes of the viewer."""
    from starlette.routing import Route

    viewer = Viewer(site)
    routes = [
        Route("/view", viewer.view),
        Route("/view/{address:path}", viewer.view),
        Route("/view.json", viewer.state_json),
        Route("/v/{token}", viewer.page),
        Route("/v/{token}/{name:path}", viewer.page),
        Route("/s", viewer.save, methods=["POST"]),
        Route("/states", viewer.save, methods=["POST"]),
        Route("/s/{name}", viewer.saved),
        Route("/events/{token}", viewer.events),
        Route("/state/{token}", viewer.change, methods=["POST"]),
        Route("/action/{token}", viewer.action, methods=["POST"]),
        Route("/credentials/{token}", viewer.credentials, methods=["POST"]),
    ]
    shown = {name: Guard(partial(images_asked, first=name), _absent) for name in ("view", "view.json")}
    # What states show is known when they were found: they are looked up as far as the visitor may see all of it.
    others = dict.fromkeys(("v", "s", "states", "events", "state", "action", "credentials"), OPEN)
    return Mount(name="viewer", routes=routes, guards={**shown, **others})


def _absent() -> Answer:
    return failure(404, "no image is at this address")


class Viewer:
    """The routes.

    Parameters
    ----------
    site : Site
        With the catalogue.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._saved = SavedStates(site.settings.shared)
        self._sessions = Sessions()
        self._streams = 0

    # ------------------------------------------------------------------------------------------------------- states
    async def _state(self, request: Request) -> dict[str, Any]:
        given = request.query_params.getlist("image")
        if request.path_params.get("address"):
            raw = request.scope["raw_path"].removeprefix(b"/view/").rstrip(b"/")
            given = [*given, key_of(raw, hidden=self._site.settings.hidden) or ""]
        addresses = [key_of(a.encode("utf-8", "replace"), hidden=self._site.settings.hidden) for a in given]
        if not given or len(given) > _MOST_ADDRESSES:
            raise RefusedError(400, f"image is needed: the address of an image, up to {_MOST_ADDRESSES} times")
        if None in addresses:
            raise RefusedError(404, "no image is at this address")
        base = base_url(request, self._site.settings)
        found = [str(a) for a in addresses]
        state = await self._site.run_slow(state_of, self._site, found, base)
        self._site.begin(begin_overviews, self._site, found)
        where = request.query_params.get("position")
        return state if where is None else moved(state, position_of(where))

    async def view(self, request: Request) -> Response:
        """Answer with the viewer, showing images."""
        from starlette.responses import Response

        try:
            client_folder()
            state = await self._state(request)
        except RefusedError as refused:
            return _told(refused)
        except UnsupportedError as error:
            return _plain(501, f"{error.message}: {error.fix}")
        url = viewer_url(base_url(request, self._site.settings), state, self._saved)
        return Response(status_code=302, headers={"location": url, "cache-control": "no-cache"})

    async def state_json(self, request: Request) -> Response:
        """Answer with the state alone, for other viewers and for scripts."""
        from starlette.responses import JSONResponse

        try:
            return JSONResponse(await self._state(request), headers={"cache-control": "no-cache"})
        except RefusedError as refused:
            return _told(refused)

    async def save(self, request: Request) -> Response:
        """Keep a state, and answer with its short link, as the viewer expects it: a text in JSON."""
        from starlette.responses import JSONResponse

        state, _ = await self._document(request)
        if not isinstance(state, dict):
            return _plain(400, "a state is a JSON object")
        try:
            name = await self._site.run(self._keep, state)
        except RefusedError as refused:
            return _told(refused)
        # Without the token of who saved it: others open it with their own.
        return JSONResponse(f"{plain_url(request, self._site.settings)}/s/{name}", status_code=201)

    def _keep(self, state: dict[str, Any]) -> str:
        """Keep a state and return its name; under access control, for those who may annotate what it shows."""
        gate, visitor = self._site.gate, current_visitor()
        if gate is None or visitor is None:
            return self._saved.save(state)
        from voxarium.serve.database.states import FullError, StateLimits, save_state

        text = portable(json.dumps(state, separators=(",", ":")))
        shown = places_in(text, self._site.catalogue.roots)
        allowed = visitor.grants.anywhere("annotate") and all(
            visitor.rules.public(place) or visitor.may(place, "annotate") for place in shown
        )
        if not allowed:
            raise RefusedError(403, "saving a state needs a token with the scope annotate for what it shows")
        try:
            return save_state(gate.database, text, who=visitor.who, client=visitor.client, limits=StateLimits())
        except FullError as error:
            raise RefusedError(507, "there is no room for one more state") from error

    def _found(self, name: str, base: str) -> bytes | None:
        """Return a saved state, as the visitor may see it; None when there is none, or they may not."""
        found = self._saved.get(name)
        gate = self._site.gate
        if found is None and gate is not None:
            from voxarium.serve.database.states import get_state

            text = get_state(gate.database, name)
            found = None if text is None else text.encode()
        if found is None:
            return None
        text = self._shown(found.decode(), base)
        return None if text is None else text.encode()

    def _shown(self, text: str, base: str) -> str | None:
        """Return a state as the visitor may see it: with their own token in its addresses, if they need one there."""
        visitor = current_visitor()
        if visitor is None:
            return text
        text = portable(text)
        if not all(visitor.may(place) for place in places_in(text, self._site.catalogue.roots)):
            return None
        return prefixed(text, base, visitor.prefix)

    async def saved(self, request: Request) -> Response:
        """Answer with a saved state: ``/s/NAME`` is the viewer with it, ``/s/NAME.json`` the state."""
        from starlette.responses import Response

        name, dot, kind = request.path_params["name"].partition(".")
        found = await self._site.run(self._found, name, plain_url(request, self._site.settings))
        if found is None or (dot and kind != "json"):
            return _plain(404, "not found")
        if dot:
            keep = "max-age=3600" if self._site.gate is None else "no-cache"
            return Response(found, media_type="application/json", headers={"cache-control": keep})
        base = base_url(request, self._site.settings)
        return Response(status_code=302, headers={"location": f"{base}/v/view/#!{base}/s/{name}.json"})

    # ------------------------------------------------------------------------------------------------------- client
    async def page(self, request: Request) -> Response:
        """Answer with a file of the client."""
        from starlette.responses import RedirectResponse, Response

        token, name = request.path_params["token"], request.path_params.get("name")
        if _TOKEN.fullmatch(token) is None:
            return _plain(404, "not found")
        if name is None:
            return RedirectResponse(f"{base_url(request, self._site.settings)}/v/{token}/", 307)
        match = _FILE.fullmatch(name or "index.html")
        try:
            body = None if match is None else await self._site.run(_client_file, client_folder(), match[0])
        except UnsupportedError as error:
            return _plain(501, f"{error.message}: {error.fix}")
        if match is None or body is None:
            return _plain(404, "not found")
        keep = "no-cache" if match[1] == "html" else "public, max-age=86400"
        return Response(body, headers={"content-type": _TYPES[match[1]], "cache-control": keep})

    async def events(self, request: Request) -> Response:
        """Tell a browser what others changed, for as long as it listens."""
        from starlette.responses import StreamingResponse

        if _TOKEN.fullmatch(request.path_params["token"]) is None:
            return _plain(404, "not found")
        if self._streams >= _MOST_STREAMS:
            return _plain(503, "too many viewers are open")
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(self._stream(request), media_type="text/event-stream", headers=headers)

    async def _stream(self, request: Request) -> AsyncIterator[str]:
        query, base = request.query_params, plain_url(request, self._site.settings)
        client, known = query.get("c", "")[:64], query.get("gs")
        self._streams += 1
        try:
            yield ": hello\n\n"
            while not self._site.stopping.is_set():
                session = self._sessions.get(request.path_params["token"])
                changed = session.changed
                if known is not None and session.generation != known:
                    known = session.generation
                    state = self._shown(json.dumps(session.state), base)
                    if not known.startswith(f"{client}/") and state is not None:
                        yield f'data: {{"k": "s", "s": {state}, "g": {json.dumps(known)}}}\n\n'
                waits = [asyncio.ensure_future(e.wait()) for e in (changed, self._site.stopping)]
                done, _ = await asyncio.wait(waits, timeout=_PING, return_when=asyncio.FIRST_COMPLETED)
                for wait in waits:
                    wait.cancel()
                if not done:
                    yield ": still here\n\n"
        finally:
            self._streams -= 1

    async def change(self, request: Request) -> Response:
        """Take the state of a browser; 412 when another one was faster."""
        from starlette.responses import JSONResponse

        told, size = await self._document(request)
        token = request.path_params["token"]
        texts = [told.get(k) for k in ("c", "pg")] if isinstance(told, dict) else []
        whole = bool(texts) and all(isinstance(t, str) and len(t) < 200 for t in texts)
        if _TOKEN.fullmatch(token) is None or not whole or not isinstance(told.get("s"), dict):
            return _plain(400, "a change of a state has s, pg and c")
        visitor = current_visitor()
        if visitor is not None and not visitor.who:
            return _plain(404, "not found")  # what browsers share may show what not everybody sees
        client, before = str(texts[0]).replace("/", ""), str(texts[1])
        generation = self._sessions.change(token, told.get("s"), client=client, before=before, size=size)
        return _plain(412, "changed meanwhile") if generation is None else JSONResponse({"g": generation})

    async def action(self, request: Request) -> Response:
        """Take what somebody did in the viewer; nobody here waits for it."""
        told, _ = await self._document(request)
        if _TOKEN.fullmatch(request.path_params["token"]) is None:
            return _plain(404, "not found")
        return _plain(200, "") if isinstance(told, dict) else _plain(400, "an action is a JSON object")

    async def credentials(self, request: Request) -> Response:
        """Answer that there are none: the server holds no secrets of others."""
        await self._document(request)
        return _plain(404, "no credentials are kept here")

    async def _document(self, request: Request) -> tuple[Any, int]:  # Any: JSON
        """Return the JSON of a body, None when it is none; pages of other sites may not change anything."""
        origin = request.headers.get("origin")
        own = urlsplit(plain_url(request, self._site.settings)).netloc
        same = request.headers.get("sec-fetch-site") == "same-origin"
        if origin is not None and not same and urlsplit(origin).netloc not in (own, request.headers.get("host")):
            return None, 0
        raw = await request.body()
        try:
            return json.loads(raw), len(raw)
        except (ValueError, RecursionError):
            return None, 0


def _plain(status: int, text: str) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(f"{text}\n" if text else "", status, headers={"cache-control": "no-store"})


def _told(refused: RefusedError) -> Response:
    return _plain(refused.status, str(refused))
