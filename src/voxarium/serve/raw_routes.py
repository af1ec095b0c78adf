"""``/raw/``: the files as they are, and what is in their folders."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from voxarium.errors import ChecksumError, Code, NotFoundError
from voxarium.serve.access import current_visitor, leads_to, may_see
from voxarium.serve.addresses import key_of
from voxarium.serve.answers import Answer, WouldWait, failure
from voxarium.serve.guards import Asked, Guard, address_below
from voxarium.serve.listing import Entry, Lister, folder_page
from voxarium.serve.listing_pages import html_listing, json_listing, s3_listing
from voxarium.serve.raw import RawRequest, absent, answer_raw
from voxarium.serve.roots import Root
from voxarium.serve.sending import answered, send_answer
from voxarium.serve.site import Mount, Site
from voxarium.serve.sources import ByteSource, ReleaseSource

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

__all__ = ["RawApp", "listed_from_top", "mount"]

_PREFIX: Final = b"/raw"
_WANTED: Final = frozenset({
    b"range", b"if-range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since",
    b"accept-encoding", b"accept",
})  # fmt: skip
_MOST_ARGUMENTS: Final = 16
_FOR_EVER: Final = b"public, max-age=31536000, immutable"
_LOG: Final = logging.getLogger("voxarium.serve")


def mount(site: Site) -> Mount:
    """Return the routes of raw bytes."""
    app = RawApp(site)
    return Mount(name="raw", bare={"raw": app}, guards={"raw": Guard(_asked)})


def _asked(scope: Scope) -> Asked | None:
    """Return whose bytes a request is for; lists are of what may be seen."""
    path: bytes = scope["raw_path"]
    listed = path.endswith(b"/") or b"list-type" in scope["query_string"]
    if path.strip(b"/") == b"raw":
        return Asked()
    address = address_below(scope, "raw")
    return None if address is None else Asked((address,), folders=listed)


class RawApp:
    """Answers requests below ``/raw/``, without any framework between: chunks are many and small."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._roots = {name.encode(): root for name, root in site.catalogue.roots.items()}
        age = site.settings.max_age
        self._cache = b"public, max-age=%d" % age if age else b"no-cache"
        self._all = _RootsLister(site.catalogue.roots)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        method: str = scope["method"]
        if method not in ("GET", "HEAD"):
            allow = [(b"allow", b"GET, HEAD, OPTIONS"), (b"connection", b"close")]
            answer = failure(405, "only GET and HEAD are possible here", allow)
        else:
            answer = await self._answer(scope)
        if method == "HEAD":
            answer.first, answer.rest = b"", None
        await send_answer(self._site, answer, receive, send)

    async def _answer(self, scope: Scope) -> Answer:
        headers = _headers(scope["headers"])
        path: bytes = scope["raw_path"]
        if not path.startswith(_PREFIX):
            return absent()  # written in another way, such as /%72aw
        path = path[len(_PREFIX) :]
        name, slash, rest = path.removeprefix(b"/").partition(b"/")
        query = _query(scope["query_string"])
        if query.get("list-type") == "2":
            return await self._site.run(self._listed, name, rest, query)
        if not name:
            return self._top(scope, headers, query)
        root = self._root(name)
        if b"@" in path or b"%40" in path:
            try:
                root, slash, rest = await self._released(path[1:]) or (root, slash, rest)
            except NotFoundError as error:
                return _no_release(error)
        if root is None:
            return absent()
        if slash and (not rest or rest.endswith(b"/")):
            return await self._folder(root, rest, headers, query)
        return await self._key(root, rest if slash else None, scope, headers)

    async def _key(self, root: Root, rest: bytes | None, scope: Scope, headers: Mapping[bytes, bytes]) -> Answer:
        """Answer with an object; without `rest`, with the one that the root is."""
        key = key_of(rest, hidden=self._site.settings.hidden) if rest is not None else ""
        if key is None:
            return absent()
        method: str = scope["method"]
        answer = await self._object(root, key, method, headers)
        # Only for people: to programs, a folder is no object, and nothing else than absent.
        if answer.status == 404 and b"text/html" in headers.get(b"accept", b"") and await self._is_folder(root, key):
            return _moved(scope)
        return answer

    async def _released(self, path: bytes) -> tuple[Root, bytes, bytes] | None:
        """Return the release that a path lies in, the slash behind its name, and what follows that; else None.

        Raises
        ------
        NotFoundError
            If there is no release of this name, or it was withdrawn.
        """
        address = key_of(path.rstrip(b"/"), hidden=self._site.settings.hidden)
        if address is None:
            return None
        find = self._site.catalogue.releases.find
        try:
            found = find(address, wait=False)
        except WouldWait:  # reading a list of a million objects takes long
            found = await self._site.run_slow(find, address)
        if found is None:
            return None
        root = found[0]
        above = root.name.count("/") + 1  # no part of a path has an encoded slash in it
        parts = path.split(b"/", above)
        return (root, b"/", parts[above]) if len(parts) > above else (root, b"", b"")

    def _top(self, scope: Scope, headers: Mapping[bytes, bytes], query: Mapping[str, str]) -> Answer:
        """Answer with the list of roots."""
        path = scope["raw_path"][len(_PREFIX) :]
        if path == b"/":
            return self._folder_answer("raw", self._all.entries("") or [], headers, query)
        return absent() if path else _moved(scope)

    async def _object(self, root: Root, key: str, method: str, headers: Mapping[bytes, bytes]) -> Answer:
        source: ByteSource | None = root.source
        if not key:
            source, key = root.whole or (None, "")
        if source is None:
            return absent()
        request = RawRequest(method, key, source, headers, _FOR_EVER if root.frozen else self._cache)
        try:
            if method == "HEAD" and isinstance(source, ReleaseSource):
                await self._site.run(source.check, key)
            return await answered(self._site, lambda wait: answer_raw(request, wait=wait))
        except ChecksumError as error:
            _LOG.error("%r: %s", f"{root.name}/{key}"[:200], error)
            return failure(502, "the release lists this object, and what is stored in its place is gone or another one")

    async def _is_folder(self, root: Root, key: str) -> bool:
        lister = _seen(root)
        return lister is not None and await self._site.run(lister.entries, key) is not None

    def _root(self, raw: bytes) -> Root | None:
        root = self._roots.get(raw)
        if root is None and b"%" in raw:
            name = key_of(raw, hidden=True)
            return None if name is None else self._site.catalogue.roots.get(name)
        return root

    async def _folder(
        self, root: Root, rest: bytes, headers: Mapping[bytes, bytes], query: Mapping[str, str]
    ) -> Answer:
        folder = key_of(rest[:-1], hidden=self._site.settings.hidden) if rest else ""
        lister = _seen(root)
        if folder is None or lister is None:
            return absent()
        entries = await self._site.run_slow(folder_page, lister, folder)
        if entries is None:
            return absent()
        return self._folder_answer(f"{root.name}/{folder}".rstrip("/"), entries, headers, query)

    def _folder_answer(
        self, address: str, entries: list[Entry], headers: Mapping[bytes, bytes], query: Mapping[str, str]
    ) -> Answer:
        accept = headers.get(b"accept", b"")
        wants_json = b"application/json" in accept and b"text/html" not in accept
        if query.get("format", "json" if wants_json else "html") == "json":
            answer = json_listing(address, entries)
        else:
            answer = html_listing(address, entries, up=address != "raw")
        answer.headers.append((b"vary", b"accept"))
        return answer

    def _listed(self, name: bytes, rest: bytes, query: Mapping[str, str]) -> Answer:
        """Answer as S3 does: each root is a bucket, and all together are one named ``raw``."""
        if rest:
            return absent()
        if not name:
            return s3_listing("raw", self._all, query)
        root = self._root(name)
        address = key_of(name, hidden=self._site.settings.hidden)
        if root is None and address is not None:
            released = self._site.catalogue.releases.find(address)
            root = None if released is None else released[0]
        lister = None if root is None else _seen(root)
        return absent() if root is None or lister is None else s3_listing(root.name, lister, query)


def listed_from_top(site: Site, query: Mapping[str, str]) -> Answer:
    """Answer as S3 does for clients that take the first part of a path for part of the key."""
    return s3_listing("", _RootsLister(site.catalogue.roots), query, above="raw/")


def _no_release(error: NotFoundError) -> Answer:
    if error.code == Code.RELEASE_WITHDRAWN:
        return failure(410, " ".join(error.message.split()))
    return absent()


def _moved(scope: Scope) -> Answer:
    """Lead to a folder, relative to where the request was: something in front may have cut off parts of the address."""
    last = scope["raw_path"].rpartition(b"/")[2]
    return failure(308, "this is a folder", [(b"location", b"./" + last + b"/")])


def _headers(given: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Return the headers that matter; of several of one name, as one list."""
    found: dict[bytes, bytes] = {}
    for name, value in given:
        if name in _WANTED:
            found[name] = value if name not in found else found[name] + b", " + value
    return found


def _query(raw: bytes) -> dict[str, str]:
    if not raw:
        return {}
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_ARGUMENTS)
    except ValueError:
        return {}
    return dict(pairs)


def _seen(root: Root) -> Lister | None:
    """Return the lister of a root: of what the request may see."""
    return root.lister if root.lister is None or current_visitor() is None else _SeenLister(root.name, root.lister)


class _SeenLister:
    """Lists what the request that is being answered may see of a root, and what leads there."""

    def __init__(self, name: str, lister: Lister) -> None:
        self._name = name
        self._lister = lister

    def entries(self, folder: str) -> list[Entry] | None:
        """Return what is in a folder."""
        above = f"{self._name}/{folder}" if folder else self._name
        found = self._lister.entries(folder) if leads_to(above) else None
        if found is None:
            return None
        return [e for e in found if (leads_to if e.name.endswith("/") else may_see)(f"{above}/{e.name}")]

    def size(self, key: str) -> int:
        """Return the size of an object."""
        return self._lister.size(key) if may_see(f"{self._name}/{key}") else 0


class _RootsLister:
    """All roots as the folders of one."""

    def __init__(self, roots: Mapping[str, Root]) -> None:
        self._roots = roots

    def _split(self, key: str) -> tuple[Root | None, str]:
        name, _, below = key.partition("/")
        return self._roots.get(name), below

    def entries(self, folder: str) -> list[Entry] | None:
        """Return the roots, or what is in one of them."""
        if not folder:
            return [Entry(f"{n}/" if root.lister else n) for n, root in self._roots.items() if leads_to(n)]
        root, below = self._split(folder)
        lister = None if root is None else _seen(root)
        return None if lister is None else lister.entries(below)

    def size(self, key: str) -> int:
        """Return the size of an object, or of a root that is a file."""
        root, below = self._split(key)
        if root is None:
            return 0
        if root.lister is not None and below:
            return root.lister.size(below)
        if root.whole is None:
            return 0
        opened = root.whole[0].open(root.whole[1], wait=True)
        if opened is None:
            return 0
        opened.close()
        return opened.facts.size
