"""``/``: the catalogue of datasets; ``/datasets/``: their pages. `voxarium portal build` writes the same as files."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from voxarium.errors import UnsupportedError
from voxarium.serve.access import current_visitor
from voxarium.serve.addresses import quoted
from voxarium.serve.dataset_links import LiveLinks
from voxarium.serve.datasets import Datasets, Group
from voxarium.serve.guards import OPEN
from voxarium.serve.pages import Pictures, base_url
from voxarium.serve.raw_routes import listed_from_top
from voxarium.serve.site import Mount, Site
from voxarium.serve.webknossos_datasets import address_of
from voxarium.view.portal.building import index_bytes
from voxarium.view.portal.catalogue import Query, Summary, choose, summary_of
from voxarium.view.portal.pages import (
    ASSETS,
    POLICY,
    CataloguePage,
    Extras,
    SiteFacts,
    asset_bytes,
    catalogue_html,
    dataset_html,
)
from voxarium.view.portal.pictures import cover_png

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

__all__ = ["mount"]

_PATIENCE: Final = 2.0  # seconds that a page waits for what is new
_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": f"{POLICY}; frame-ancestors 'self'",
    "referrer-policy": "no-referrer",
}
_REPORT_HEADERS: Final = {
    "cache-control": "no-cache",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "referrer-policy": "no-referrer",
}
_WEBKNOSSOS: Final = re.compile(r"(?:[^/]*-)?([0-9a-f]{2,8192})/view", re.ASCII)
_FOOTER: Final = (
    "Served by Voxarium: every image here can be read as OME-Zarr, precomputed and N5, whatever it is stored as."
)


def mount(site: Site) -> Mount:
    """Return the routes."""
    from starlette.routing import Route

    portal = Portal(site)
    routes = [
        Route("/", portal.catalogue),
        Route("/index.json", portal.index),
        Route("/datasets/{address:path}", portal.dataset),
        Route("/cover/{address:path}", portal.cover),
        Route("/validation/{address:path}", portal.validation),
        Route("/assets/{name}", portal.asset),
    ]
    # Lists are cut, and pages looked up, by what the visitor may see: see `Portal`.
    return Mount(name="portal", routes=routes, guards={route.path.split("/")[1]: OPEN for route in routes})


@cache
def _version(name: str) -> str:
    return hashlib.sha256(asset_bytes(name)).hexdigest()[:12]


class Portal:
    """The pages.

    Parameters
    ----------
    site : Site
        With the catalogue of images.
    """

    def __init__(self, site: Site) -> None:
        self._site = site
        self._datasets = Datasets(site)
        self._covers = Pictures(self._drawn)

    # ---------------------------------------------------------------------------------------------------- catalogue
    async def catalogue(self, request: Request) -> Response:
        """Answer with the datasets that the address asks for; or, to clients of S3, with a listing."""
        from starlette.responses import HTMLResponse, Response

        query = request.query_params
        if query.get("list-type") == "2":
            answer = await self._site.run(listed_from_top, self._site, dict(query))
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
            return Response(bytes(answer.first), answer.status, headers=headers)
        summaries = self._shown(await self._datasets.summaries(_PATIENCE))
        asked = Query.parse(("q" if name == "search" else name, value) for name, value in query.multi_items())
        try:
            text = await self._site.run(self._catalogue_page, summaries, asked)
        except UnsupportedError as error:
            return _plain(501, f"{error.message}: {error.fix}")
        return HTMLResponse(text, headers=_HEADERS)

    def _catalogue_page(self, summaries: list[Summary], asked: Query) -> str:
        chosen = choose(summaries, asked)
        pages = (("prev", chosen.page - 1), ("next", chosen.page + 1))
        turning = [(rel, asked.address(page=n) or "./") for rel, n in pages if 1 <= n <= chosen.pages]
        page = CataloguePage(
            chosen=chosen,
            query=asked,
            action="./",
            turning=turning,
            looking=self._site.catalogue.latest.at is None,
        )
        return catalogue_html(_site_facts(""), LiveLinks(up="", version=_version), page)

    async def index(self, request: Request) -> Response:
        """Answer with what the page's script searches."""
        from starlette.responses import Response

        summaries = self._shown(await self._datasets.summaries())
        body = await self._site.run(index_bytes, summaries)
        tag = f'"{hashlib.sha256(body).hexdigest()[:24]}"'
        headers = {"cache-control": "no-cache", "etag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="application/json", headers=headers)

    def _shown(self, summaries: list[Summary]) -> list[Summary]:
        """Return the datasets that this visitor may see: the one place where a catalogue is cut to what is allowed."""
        unseen = self._datasets.unseen()
        return [s for s in summaries if s.name not in unseen] if unseen else summaries

    async def _group(self, request: Request) -> Group | None:
        """Return the dataset of a path, if there is one that this visitor may see all of."""
        group = await self._datasets.group(request.path_params["address"].rstrip("/"), _PATIENCE)
        return None if group is None or group.address in self._datasets.unseen() else group

    # ------------------------------------------------------------------------------------------------------ datasets
    async def dataset(self, request: Request) -> Response:
        """Answer with the page of a dataset; addresses of WEBKNOSSOS and of layers lead to the page they belong to."""
        from starlette.responses import HTMLResponse, RedirectResponse

        address = request.path_params["address"]
        group = await self._group(request)
        if group is None:
            found = _WEBKNOSSOS.fullmatch(address)
            named = address_of(found[1]) if found is not None else address.rstrip("/")
            around = None if named is None else await self._datasets.around(named)
            if around is not None and around not in self._datasets.unseen():
                return RedirectResponse(f"{base_url(request, self._site.settings)}/datasets/{quoted(around)}", 307)
            if found is not None:
                return RedirectResponse(f"{base_url(request, self._site.settings)}/", 307)
            return _plain(404, "not found")
        if address.endswith("/"):
            where = f"{base_url(request, self._site.settings)}/datasets/{quoted(address.rstrip('/'))}"
            return RedirectResponse(where, 308)
        try:
            text = await self._site.run_slow(self._dataset_page, group, base_url(request, self._site.settings))
        except UnsupportedError as error:
            return _plain(501, f"{error.message}: {error.fix}")
        return HTMLResponse(text, headers=_HEADERS)

    def _dataset_page(self, group: Group, base: str) -> str:
        from voxarium.view.portal.checking import stored_summary  # much code, which nothing else here needs

        facts = self._datasets.facts(group)
        up = "../" * (group.address.count("/") + 1)
        links = LiveLinks(up=up, version=_version, base=base, facts=facts, root=group.root)
        reports = [(f"Report {name}", href) for name in facts.reports if (href := links.files(name))]
        summary = stored_summary(group.root.store, facts)
        if summary is None:
            reports.append(("Check it now", f"{up}validation/{quoted(group.address)}"))
        return dataset_html(
            _site_facts(up), links, facts, summary_of(facts, "", ""), Extras(reports=reports, validation=summary)
        )

    async def cover(self, request: Request) -> Response:
        """Answer with the picture of a dataset."""
        if await self._group(request) is None:
            return _plain(404, "not found")
        return await self._covers.answer(self._site, request)

    def _drawn(self, address: str, size: int) -> bytes:
        group = self._datasets.known(address.rstrip("/"))
        return b"" if group is None else cover_png(self._datasets.facts(group), size)

    async def validation(self, request: Request) -> Response:
        """Answer with a report about the metadata of a dataset, made now or some minutes ago."""
        from starlette.responses import HTMLResponse

        group = await self._group(request)
        if group is None:
            return _plain(404, "not found")
        page = await self._site.run_slow(self._datasets.report, group)
        if page is None:
            busy = _plain(503, "another dataset is being checked: try again in a moment")
            busy.headers["retry-after"] = "5"
            return busy
        return HTMLResponse(page, headers=_REPORT_HEADERS) if page else _plain(501, "this cannot be checked")

    # -------------------------------------------------------------------------------------------------------- assets
    async def asset(self, request: Request) -> Response:
        """Answer with a file that pages need."""
        from starlette.responses import Response

        name = request.path_params["name"]
        if name not in ASSETS:
            return _plain(404, "not found")
        current = request.query_params.get("v") == _version(name)
        keep = "public, max-age=31536000, immutable" if current else "no-cache"
        headers = {"cache-control": keep, "etag": f'"{_version(name)}"', "content-type": ASSETS[name]}
        return Response(asset_bytes(name), headers=headers)


def _site_facts(up: str) -> SiteFacts:
    navigation = [("All images", f"{up}images"), ("Files", f"{up}raw/")]
    visitor = current_visitor()
    if visitor is not None and not visitor.prefix:
        navigation.append((f"Signed in as {visitor.who}" if visitor.who else "Sign in", f"{up}login"))
    return SiteFacts(footer=_FOOTER, navigation=tuple(navigation))


def _plain(status: int, text: str) -> Response:
    from starlette.responses import PlainTextResponse

    return PlainTextResponse(f"{text}\n", status, headers={"cache-control": "no-store"})
