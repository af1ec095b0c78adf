"""``/healthz`` and ``/metrics``: for those who run the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voxarium.serve.guards import OPEN, Asked, Guard
from voxarium.serve.site import Mount, Site

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["mount"]


def mount(site: Site) -> Mount:
    """Return the routes."""
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    fresh = {"cache-control": "no-store"}

    async def healthz(_: Request) -> Response:
        scan = site.catalogue.latest
        return JSONResponse({"status": "ok", "scanned": scan.at is not None, "found": len(scan.entries)}, headers=fresh)

    async def metrics(_: Request) -> Response:
        return PlainTextResponse(site.metrics.text(), media_type="text/plain; version=0.0.4", headers=fresh)

    return Mount(
        name="operation",
        routes=[Route("/healthz", healthz), Route("/metrics", metrics)],
        guards={"healthz": OPEN, "metrics": Guard(lambda _: Asked(("*",), scope="admin"))},
    )
