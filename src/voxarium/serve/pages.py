"""``/images``: all images with pictures, addresses and lines to copy; ``/images.json``; ``/thumbnail/``."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Final

from voxarium.errors import NotFoundError, VoxariumError
from voxarium.serve.access import current_visitor, may_see
from voxarium.serve.account import account_line
from voxarium.serve.answers import Answer, failure
from voxarium.serve.guards import OPEN, Guard, address_guard
from voxarium.serve.index_page import INDEX_SCRIPT, image_json, index_page, release_json
from voxarium.serve.site import Mount, Settings, Site
from voxarium.view.thumbnail import thumbnail_png

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["PICTURES", "Pictures", "base_url", "mount"]

_LONGEST: Final = 4096  # of the address of a release
_PATIENCE: Final = 2.0  # seconds that a page waits for what is new
_HOST: Final = re.compile(r"[A-Za-z0-9._\-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?")
_HASH: Final = base64.b64encode(hashlib.sha256(INDEX_SCRIPT.encode()).digest()).decode()
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": (
        f"default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; script-src 'sha256-{_HASH}'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    ),
    "referrer-policy": "no-referrer",
}
_SIZES: Final = (128, 256, 512)
PICTURES: Final = {"png": "image/png", "jpg": "image/jpeg", "webp": "image/webp"}
"""What pictures are drawn as, and the types of that."""
_DRAWN: Final = 300.0  # seconds until a picture is drawn anew
_FRESH: Final = 30.0  # seconds until it is tried again where there was none
_KEPT: Final = 2048
_KEPT_BYTES: Final = 32 << 20


def base_url(request: Request, settings: Settings) -> str:
    """Return the address that visitors know the server under; for those who come with a token in it, with the token."""
    visitor = current_visitor()
    return plain_url(request, settings) + ("" if visitor is None else visitor.prefix)


def plain_url(request: Request, settings: Settings) -> str:
    """Return the address of the server, without anything secret."""
    if settings.url is not None:
        return settings.url.rstrip("/")
    host = request.headers.get("host", "")
    if _HOST.fullmatch(host) is None:
        server = request.scope.get("server") or ("localhost", None)
        host = f"{server[0]}:{server[1]}" if server[1] else str(server[0])
    return f"{request.scope['scheme']}://{host}"


def mount(site: Site) -> Mount:
    """Return the routes."""
    from starlette.responses import HTMLResponse, JSONResponse, Response
    from starlette.routing import Route

    def drawn(address: str, size: int) -> bytes:
        return thumbnail_png(site.catalogue.image(address), size=size)

    thumbnails = Pictures(drawn)

    async def index(request: Request) -> Response:
        release = request.query_params.get("release", "")[:_LONGEST]
        try:
            scan = await site.run_slow(site.catalogue.scan_release, release) if release else await site.look(_PATIENCE)
        except NotFoundError:
            return Response("no such release\n", 404, media_type="text/plain", headers={"cache-control": "no-store"})
        first = request.query_params.get("from", "0")
        if not first.isdecimal():
            return Response("from is the number of an image\n", 400, media_type="text/plain")
        text = await site.run(
            index_page,
            scan,
            list(site.catalogue.seen_roots().values()),
            base_url(request, site.settings),
            first=min(int(first[:12]), 10**9),
            search=request.query_params.get("search", "")[:200],
            release=release,
            account=account_line(current_visitor()),
        )
        return HTMLResponse(text, headers=_HEADERS)

    async def images(request: Request) -> Response:
        release = request.query_params.get("release", "")[:_LONGEST]
        try:
            scan = await (site.run_slow(site.catalogue.scan_release, release) if release else site.look())
        except NotFoundError:
            return Response("no such release\n", 404, media_type="text/plain", headers={"cache-control": "no-store"})
        base = base_url(request, site.settings)
        return JSONResponse(
            {
                "images": [image_json(e, base) for e in scan.entries],
                "releases": [release_json(r, base) for r in scan.releases],
            },
            headers={"cache-control": "no-cache"},
        )

    async def thumbnail(request: Request) -> Response:
        return await thumbnails.answer(site, request)

    routes = [Route("/images", index), Route("/images.json", images), Route("/thumbnail/{address:path}", thumbnail)]
    guards = {"images": OPEN, "images.json": OPEN, "thumbnail": Guard(address_guard("thumbnail"), _absent)}
    return Mount(name="pages", routes=routes, guards=guards)


def _absent() -> Answer:
    return failure(404, "not found")


@dataclass(frozen=True, slots=True)
class _Picture:
    body: bytes
    tag: str
    until: float


class Pictures:
    """Pictures, drawn when they are asked for, and kept for a while.

    Parameters
    ----------
    draw : callable
        Returns the PNG of an address and a size; what it raises, or nothing at all, means that there is none.
    """

    def __init__(self, draw: Callable[[str, int], bytes]) -> None:
        self._draw = draw
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, int, str], _Picture] = OrderedDict()
        self._bytes = 0

    def get(self, address: str, size: int, kind: str = "png") -> _Picture:
        """Return a picture; an empty one where there is no image, or drawing it takes too much."""
        if not may_see(address):
            return _Picture(b"", "", 0.0)
        with self._lock:
            kept = self._kept.get((address, size, kind))
        if kept is not None and monotonic() < kept.until:
            return kept
        body = self._drawn(address, size) if kind == "png" else _as(kind, self.get(address, size).body)
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        made = _Picture(body, tag, monotonic() + (_DRAWN if body else _FRESH))
        with self._lock:
            old = self._kept.pop((address, size, kind), None)
            self._bytes += len(body) - (len(old.body) if old else 0)
            self._kept[address, size, kind] = made
            while self._bytes > _KEPT_BYTES or len(self._kept) > _KEPT:
                self._bytes -= len(self._kept.popitem(last=False)[1].body)
        return made

    def _drawn(self, address: str, size: int) -> bytes:
        try:
            return self._draw(address, size)
        except VoxariumError:
            return b""

    async def answer(self, site: Site, request: Request) -> Response:
        """Answer with the picture of the address in a path."""
        from starlette.responses import Response

        size = request.query_params.get("size", "256")
        if not size.isdecimal() or len(size) > 4 or int(size) not in _SIZES:
            return Response(f"size is one of {_SIZES}\n", 400, media_type="text/plain")
        kind = request.query_params.get("format", "png")
        if kind not in PICTURES:
            return Response(f"format is one of {', '.join(PICTURES)}\n", 400, media_type="text/plain")
        picture = await site.run_slow(self.get, request.path_params["address"], int(size), kind)
        if not picture.body:
            return Response("not found\n", 404, media_type="text/plain", headers={"cache-control": "no-store"})
        headers = {"etag": picture.tag, "cache-control": "max-age=60"}
        if request.headers.get("if-none-match") == picture.tag:
            return Response(status_code=304, headers=headers)
        return Response(picture.body, media_type=PICTURES[kind], headers=headers)


def _as(kind: str, png: bytes) -> bytes:
    """Return a picture in another format."""
    if not png:
        return png
    from PIL import Image

    out = io.BytesIO()
    with Image.open(io.BytesIO(png)) as picture:
        picture.convert("RGB").save(out, PICTURES[kind].removeprefix("image/"), quality=85)
    return out.getvalue()
