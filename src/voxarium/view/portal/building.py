"""The portal as files: the pages of the live server, for an object store or any other place that hands out files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

from voxarium.core.hierarchy import walk
from voxarium.core.uri import open_folder, open_source_store, parse_uri
from voxarium.errors import Code, ExistsError, FormatError, InputError, NotFoundError
from voxarium.model.protocols import ReadableStore
from voxarium.view.portal.catalogue import PAGE_SIZE, Query, Summary, choose
from voxarium.view.portal.gathering import Thing, dataset_facts, iter_things
from voxarium.view.portal.pages import ASSETS, CataloguePage, SiteFacts, asset_bytes, catalogue_html
from voxarium.view.portal.static_dataset import DataPlace, StaticLinks, dataset_files

__all__ = ["MANIFEST", "BuiltPortal", "PortalOptions", "build_portal", "index_bytes"]

MANIFEST: Final = "portal.json"
"""Lists the files of a portal, by which the next build knows what it may replace and remove."""

_DEPTHS: Final = (8, 4, 2, 1)
_MOST_MANIFEST: Final = 256 << 20
_ODD: Final = re.compile(r"[^A-Za-z0-9._-]+")
_TYPES: Final[Mapping[str, str]] = {
    "html": "text/html; charset=utf-8", "json": "application/json", "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8", "svg": "image/svg+xml", "png": "image/png", "jpg": "image/jpeg",
    "webp": "image/webp",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class PortalOptions:
    """How a portal is made.

    Parameters
    ----------
    title, description : str
        Of the catalogue.
    base_url : str
        Address under which others find what is in the roots; with several roots, each below its name. Empty: pages
        link to the data where the portal lies in or beside the root, and to nothing otherwise.
    viewer : str
        Address of a Neuroglancer that links lead to; empty = no such links.
    validate : bool
        Check the metadata of each dataset, and put the report beside its page.
    """

    title: str = "Datasets"
    description: str = ""
    base_url: str = ""
    viewer: str = "https://neuroglancer-demo.appspot.com/"
    validate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltPortal:
    """What was written, or would be.

    Parameters
    ----------
    out : str
        Where.
    datasets : tuple of str
        Their names in addresses.
    written, kept, removed : tuple of str
        Keys of files that are new or changed; that are as they were; that belong to no page any more.
    problems : tuple of (str, str)
        Places in the roots where nothing could be opened, and why.
    nbytes : int
        Of all files.
    """

    out: str
    datasets: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    problems: tuple[tuple[str, str], ...] = ()
    nbytes: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return this for ``voxarium portal build --json``."""
        return {
            "out": self.out,
            "datasets": list(self.datasets),
            "written": list(self.written),
            "kept": len(self.kept),
            "removed": list(self.removed),
            "bytes": self.nbytes,
            "problems": [{"place": place, "problem": why} for place, why in self.problems],
        }


def build_portal(
    roots: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    options: PortalOptions | None = None,
    *,
    dry_run: bool = False,
    progress: Callable[[str, int, int], None] | None = None,
) -> BuiltPortal:
    """Write pages about all datasets below some roots: a catalogue, a page for each, pictures, an index for searching.

    The same data give the same bytes. Files that are as they should be are not written again, and files of an earlier
    portal that no page needs any more are removed; others' files are never touched.

    Parameters
    ----------
    roots : sequence of str or path
        Folders and places in object stores.
    out : str or path
        A folder, or a place in an object store.
    options : PortalOptions or None
        How.
    dry_run : bool
        Make all pages, and write none.
    progress : callable or None
        Told (dataset, number, of how many).

    Raises
    ------
    NotFoundError
        If there is no such root.
    ExistsError
        If a file that is none of a portal's has the name of a page.
    UnsupportedError
        If jinja2 or Pillow is not installed.
    """
    options = options or PortalOptions()
    writer = _Writer(_target(out), dry_run)
    places = [_place(os.fspath(root), out, options, alone=len(roots) == 1) for root in roots]
    if len({p.name for p in places}) != len(places):
        raise InputError(
            "two roots have the same name", code=Code.ARGUMENT_INVALID, fix="build a portal for the folder above both"
        )
    groups, problems = [], []
    for place in places:
        for key, things in _groups(place):
            opened = any(t.image is not None or t.kind == "dataset" for t in things)
            groups.append((place, key, things)) if opened else problems.append(_problem(place, key, things))
    slugs = _slugs([place.address(key) for place, key, _ in groups])
    brand = "Voxarium" if options.title == PortalOptions().title else options.title
    site = SiteFacts(title=options.title, description=options.description, brand=brand, static=True)
    summaries = []
    for number, ((place, key, things), slug) in enumerate(zip(groups, slugs, strict=True), 1):
        if progress is not None:
            progress(place.address(key), number, len(groups))
        facts = dataset_facts(place.store, key, things, address=place.address(key))
        summary, files = dataset_files(site, facts, place, slug, validate=options.validate, viewer=options.viewer)
        summaries.append(summary)
        for name, data in files:
            writer.put(f"datasets/{slug}/{name}", data)
    for name, data in _catalogue(site, summaries):
        writer.put(name, data)
    return writer.finish(tuple(s.name for s in summaries), tuple(problems))


def index_bytes(summaries: Sequence[Summary]) -> bytes:
    """Return the index that the catalogue's script searches."""
    document = {"datasets": [s.to_json() for s in summaries]}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()


def _catalogue(site: SiteFacts, summaries: Sequence[Summary]) -> Iterator[tuple[str, bytes]]:
    ordered = sorted(summaries, key=lambda s: (s.title.lower(), s.name))
    pages = choose(ordered, Query()).pages
    for page in range(1, pages + 1):
        turning = [(rel, _page_name(n)) for rel, n in (("prev", page - 1), ("next", page + 1)) if 1 <= n <= pages]
        shown = CataloguePage(chosen=choose(ordered, Query(page=page), PAGE_SIZE), action="index.html", turning=turning)
        yield _page_name(page), catalogue_html(site, StaticLinks.of_catalogue(), shown).encode()
    yield "index.json", index_bytes(ordered)
    for name in ASSETS:
        yield f"assets/{name}", asset_bytes(name)


def _page_name(page: int) -> str:
    return "index.html" if page == 1 else f"page-{page}.html"


# -------------------------------------------------------------------------------------------------------------- roots
def _place(root: str, out: str | os.PathLike[str], options: PortalOptions, *, alone: bool) -> DataPlace:
    store, path = open_source_store(root)
    where = parse_uri(root)
    base = os.path.abspath(where.base) if where.scheme == "file" else where.base.split("?")[0]
    name = _ODD.sub("-", base.rstrip("/").rpartition("/")[2]).strip("-.") or "root"
    url = options.base_url.rstrip("/")
    relative = ""
    target = parse_uri(out)
    if not url and where.scheme == target.scheme == "file":
        between = os.path.relpath(base, os.path.abspath(target.base)).replace(os.sep, "/")
        # Above the portal everything moves with it; what lies elsewhere on this machine is not there for others.
        relative = between if re.fullmatch(r"\.|(\.\./)*\.\.", between) else ""
    folder = not where.inner and "::" not in path and (where.scheme != "file" or os.path.isdir(base))
    return DataPlace(
        store=store,
        root=path,
        name=name,
        alone=alone,
        folder=folder,
        url=(url if alone else f"{url}/{name}") if url else "",
        relative=relative,
    )


def _groups(place: DataPlace) -> list[tuple[str, list[Thing]]]:
    for depth in _DEPTHS:
        try:
            node = walk(place.store, place.root, depth=depth)
        except InputError:
            if depth == _DEPTHS[-1]:
                raise
            continue  # too many things to show
        except NotFoundError as error:
            if error.code not in (Code.FORMAT_UNRECOGNISED, Code.METADATA_MISSING):
                raise
            return []
        groups: dict[str, list[Thing]] = {}
        for thing in iter_things(node, place.root):
            groups.setdefault(thing.group, []).append(thing)
        return list(groups.items())
    return []


def _problem(place: DataPlace, key: str, things: Sequence[Thing]) -> tuple[str, str]:
    return place.address(key), next((t.problem or t.kind for t in things), "nothing opens")


def _slugs(addresses: Sequence[str]) -> list[str]:
    """Return names of folders for addresses, the same ones every time."""
    out, taken = [], set()
    for address in addresses:
        parts = [_ODD.sub("-", p).strip("-.") or "x" for p in re.split(r"[/:]+", address.strip("/:"))]
        slug = "/".join(p[:80] for p in parts[:20])
        if slug.lower() in taken or slug.lower() != "/".join(parts).lower():
            slug += f"-{sha256(address.encode()).hexdigest()[:8]}"
        taken.add(slug.lower())
        out.append(slug)
    return out


# ------------------------------------------------------------------------------------------------------------ writing
def _target(out: str | os.PathLike[str]) -> Any:  # Any: a store that can be written
    where = parse_uri(out)
    if where.inner or where.scheme in ("http", "https"):
        raise InputError(
            f"cannot write a portal to {os.fspath(out)}",
            code=Code.URI_INVALID,
            fix="give a folder or an object-store prefix",
        )
    return open_folder(out)


@dataclass(slots=True)
class _Writer:
    """Writes what changed, and remembers what belongs to the portal."""

    store: Any  # Any: capabilities differ by kind
    dry_run: bool
    before: dict[str, str] | None = None
    files: dict[str, str] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    nbytes: int = 0

    def put(self, key: str, data: bytes) -> None:
        if self.before is None:
            self.before = _files_before(self.store)
        digest = sha256(data).hexdigest()
        self.files[key] = digest
        self.nbytes += len(data)
        stat = self.store.stat(key)
        if stat is not None and key not in self.before and self.store.get(key) != data:
            raise ExistsError(
                f"{key} in {self.store.uri} is no file of a portal",
                code=Code.TARGET_EXISTS,
                fix="choose another folder for the portal, or move the file",
            )
        if stat is not None and self.before.get(key) == digest and stat.size == len(data):
            self.kept.append(key)
            return
        self.written.append(key)
        if not self.dry_run:
            self._store(key, data)

    def _store(self, key: str, data: bytes) -> None:
        typed = getattr(self.store, "put_typed", None)
        if typed is None:
            self.store.put(key, data)
        else:
            typed(key, data, _TYPES.get(key.rpartition(".")[2], "application/octet-stream"))

    def finish(self, datasets: tuple[str, ...], problems: tuple[tuple[str, str], ...]) -> BuiltPortal:
        removed = sorted(set(self.before or {}) - set(self.files) - {MANIFEST})
        for key in removed if not self.dry_run else ():
            self.store.delete(key)
        document = {"format": "voxarium-portal", "version": 1, "files": self.files}
        data = (json.dumps(document, indent=1, sort_keys=True) + "\n").encode()
        if not self.dry_run:
            self._store(MANIFEST, data)
        return BuiltPortal(
            out=self.store.uri,
            datasets=datasets,
            written=tuple(self.written),
            kept=tuple(self.kept),
            removed=tuple(removed),
            problems=problems,
            nbytes=self.nbytes + len(data),
        )


def _files_before(store: ReadableStore) -> dict[str, str]:
    """Return the files that an earlier build wrote, and their digests."""
    stat = store.stat(MANIFEST)
    if stat is None:
        return {}
    try:
        document: Any = json.loads(store.get(MANIFEST) or b"null") if stat.size <= _MOST_MANIFEST else None
        known = document["files"] if document["format"] == "voxarium-portal" else None
        if isinstance(known, dict) and all(isinstance(k, str) and isinstance(v, str) for k, v in known.items()):
            return {k: v for k, v in known.items() if _is_ours(k)}
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise FormatError(
        f"{MANIFEST} in {store.uri} is no list of a portal's files",
        code=Code.METADATA_INVALID,
        fix="remove it, or choose another folder for the portal",
    )


def _is_ours(key: str) -> bool:
    """Tell whether a key can be one of a portal's: a list that somebody changed must not remove other files."""
    return ".." not in key.split("/") and (
        key in ("index.html", "index.json")
        or re.fullmatch(r"page-[0-9]+\.html|(assets|datasets)/[A-Za-z0-9._/-]+", key) is not None
    )
