"""Scenes at an address: which dialect a document is of, and the same scene in another one."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Final

from voxarium.core.uri import open_source_store, parse_uri
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.axes import SPACE_UNITS, canonical_unit
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.scene import Scene, SceneLoss, SceneNode
from voxarium.model.scene_dialect import LinkDialect, SceneDialect

__all__ = [
    "SceneDocuments",
    "dump_scene",
    "open_scene",
    "scene_dialect",
    "scene_dialects",
    "scene_json",
    "scene_link",
    "with_base",
    "with_unit",
    "with_view",
]

_GROUP: Final = "voxarium.scene_dialects"
_MAX_BYTES: Final = 256 * 2**20
_MOST_DOCUMENTS: Final = 1000
_DOCUMENT: Final = re.compile(r"\.(?:json|xml)\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneDocuments:
    """A scene written down: documents by name, the main one first, and what they do not say as the scene did."""

    format: str
    documents: Mapping[str, bytes]
    losses: tuple[SceneLoss, ...]


@cache
def scene_dialects() -> tuple[SceneDialect, ...]:
    """Return every dialect that installed packages offer; our own first."""
    found = sorted(entry_points(group=_GROUP), key=lambda e: (not e.value.startswith("voxarium."), e.name))
    return tuple(e.load()() for e in found)


def scene_dialect(name: str) -> SceneDialect:
    """Return the dialect of this name.

    Raises
    ------
    UnsupportedError
        If there is none.
    """
    for dialect in scene_dialects():
        if dialect.name == name:
            return dialect
    raise UnsupportedError(
        f"no scene dialect is called {name!r}",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"use one of {', '.join(sorted(d.name for d in scene_dialects()))}",
    )


# -- reading
def open_scene(uri: str | os.PathLike[str], *, format: str | None = None) -> Scene:
    """Read the scene at an address.

    Parameters
    ----------
    uri : str or path
        A document, or a folder with one of a known name, local or remote; or a link that carries a scene behind ``#!``.
        Nothing that a scene names is opened.
    format : str or None
        Name of the dialect; None = by content.

    Raises
    ------
    NotFoundError
        If nothing is there, or no dialect recognises it.
    FormatError
        If it is there and broken.

    Examples
    --------
    >>> open_scene("https://example.org/#!{'layers':[],'title':'empty'}").name
    'empty'
    """
    text = os.fspath(uri)
    dialects = scene_dialects() if format is None else (scene_dialect(format),)
    if "#!" in text:
        return _by_content({"link": text.encode()}, "link", dialects, None)
    store, path = _open_store(text)
    for key in _candidates(store, path, dialects):
        raw = _read(store, key)
        if raw is not None and any(d.claims(key, raw) for d in dialects):
            return _by_content({key: raw}, key, dialects, store)
    raise NotFoundError(
        f"no scene at {text}",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"name a document of one of these: {', '.join(d.title for d in scene_dialects())}",
    )


def _open_store(text: str) -> tuple[ReadableStore, str]:
    """Return the store around a document, and its key; the key of a folder is its path, or empty."""
    where = parse_uri(text)
    if where.scheme == "file" or not _DOCUMENT.search(where.base):
        return open_source_store(text)
    folder, _, name = where.base.rpartition("/")
    store, path = open_source_store(folder)
    return store, posixpath.join(path, name)


def _candidates(store: ReadableStore, path: str, dialects: tuple[SceneDialect, ...]) -> list[str]:
    if _DOCUMENT.search(path) or (path and store.stat(path) is not None):
        return [path]
    names = dict.fromkeys(name for d in dialects for name in d.files)
    return [posixpath.join(path, name) for name in names]


def _read(store: ReadableStore, key: str) -> bytes | None:
    stat = store.stat(key)
    if stat is None:
        return None
    if stat.size > _MAX_BYTES:
        raise FormatError(
            f"{key} in {store.uri} has {stat.size} bytes, more than a scene ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    return store.get(key)


def _by_content(
    documents: dict[str, bytes], key: str, dialects: tuple[SceneDialect, ...], store: ReadableStore | None
) -> Scene:
    """Return the scene of the first dialect that claims a document, with the further documents it names."""
    raw = documents[key]
    name = posixpath.basename(key)
    dialect = next((d for d in dialects if d.claims(name, raw)), dialects[0])
    found = {name: raw}
    folder = posixpath.dirname(key)
    further = dialect.more(name, raw)
    if len(further) > _MOST_DOCUMENTS:
        raise FormatError(
            f"{name} names {len(further)} further documents",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="open one of them",
        )
    for other in further if store is not None else ():
        try:
            place = checked_key(posixpath.join(folder, checked_key(other)))
        except InputError as error:
            raise FormatError(
                f"{name} names the document {other!r}, which is not below it",
                code=Code.KEY_UNSAFE,
                fix="correct the name in the document",
            ) from error
        body = None if store is None else _read(store, place)
        if body is not None:
            found[other] = body
    return dialect.parse(found)


# -- writing
def dump_scene(scene: Scene, format: str, *, view: str | None = None) -> SceneDocuments:
    """Write a scene down in a dialect.

    Parameters
    ----------
    scene : Scene
        From `open_scene`, or made.
    format : str
        Name of the dialect.
    view : str or None
        View to put first: dialects that hold one view hold that one.

    Returns
    -------
    SceneDocuments
        The documents, and everything that they do not say as the scene does.

    Raises
    ------
    UnsupportedError
        If there is no such dialect.
    InputError
        If the scene has no such view.
    """
    dialect = scene_dialect(format)
    documents, losses = dialect.dump(scene if view is None else with_view(scene, view))
    return SceneDocuments(format=dialect.name, documents=documents, losses=losses)


def scene_link(written: SceneDocuments, viewer: str | None = None) -> str:
    """Return a link that opens what was written in a viewer.

    Parameters
    ----------
    viewer : str or None
        Address of the viewer; None = the public one of the dialect.

    Raises
    ------
    UnsupportedError
        If the dialect has no links.
    """
    dialect = scene_dialect(written.format)
    if isinstance(dialect, LinkDialect):
        return dialect.link(next(iter(written.documents.values())), viewer)
    able = ", ".join(d.name for d in scene_dialects() if isinstance(d, LinkDialect))
    raise UnsupportedError(
        f"a {dialect.title} does not fit into a link",
        code=Code.FEATURE_UNSUPPORTED,
        fix=f"write {able}, or the document itself",
    )


def with_view(scene: Scene, name: str) -> Scene:
    """Return the scene with one of its views first.

    Raises
    ------
    InputError
        If it has no such view.
    """
    chosen = [v for v in scene.views if v.name == name]
    if not chosen:
        known = ", ".join(repr(v.name) for v in scene.views[:20])
        raise InputError(
            f"the scene has no view {name!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"choose one of {known}" if known else "leave it out: the scene has no views",
        )
    return replace(scene, views=(*chosen, *(v for v in scene.views if v.name != name)))


def with_base(scene: Scene, base: str) -> Scene:
    """Return the scene with relative addresses made absolute, as if its document lay in the folder `base`.

    Examples
    --------
    >>> from voxarium.model.scene import SceneSource
    >>> node = SceneNode(id="em", kind="image", sources=(SceneSource(uri="./em"),))
    >>> with_base(Scene(nodes=(node,)), "https://example.org/data/").nodes[0].sources[0].uri
    'https://example.org/data/em'
    """
    head, mark, tail = base.partition("://")

    def absolute(uri: str) -> str:
        if not uri or "://" in uri or uri.startswith("/") or uri.partition(":")[0] in ("local", "data"):
            return uri
        if not mark:
            return posixpath.normpath(posixpath.join(base, uri))
        return f"{head}://{posixpath.normpath(posixpath.join(tail, uri))}"

    def placed(node: SceneNode) -> SceneNode:
        return replace(node, sources=tuple(replace(s, uri=absolute(s.uri)) for s in node.sources))

    return replace(scene, nodes=tuple(placed(n) for n in scene.nodes))


def with_unit(scene: Scene, unit: str) -> Scene:
    """Return the scene with a unit for the axes of its world that have none: some dialects do not say it.

    Raises
    ------
    InputError
        If it is not a unit of length.
    """
    name = canonical_unit(unit)
    if name not in SPACE_UNITS:
        raise InputError(
            f"{unit!r} is not a unit of length", code=Code.UNIT_UNKNOWN, fix="use nanometer, micrometer, millimeter …"
        )
    systems = []
    for system in scene.systems:
        axes = tuple(replace(a, unit=name) if a.unit is None and a.type == "space" else a for a in system.axes)
        systems.append(replace(system, axes=axes) if system.name == scene.world else system)
    return replace(scene, systems=tuple(systems))


def scene_json(scene: Scene) -> dict[str, Any]:  # Any: JSON
    """Return what a scene holds, for ``voxarium scene --json``."""
    return {
        "format": scene.format,
        "name": scene.name,
        "description": scene.description,
        "axes": [{"name": a.name, "unit": a.unit} for a in scene.axes],
        "nodes": [
            {
                "id": n.id,
                "kind": n.kind,
                "name": n.name or n.id,
                "parent": n.parent,
                "sources": [{"uri": s.uri, "format": s.format} for s in n.sources],
            }
            for n in scene.nodes
        ],
        "views": [
            {
                "name": v.name,
                "position": None if v.position is None else list(v.position),
                "scale": v.scale,
                "visible": None if v.visible is None else list(v.visible),
            }
            for v in scene.views
        ],
        "notes": [note for r in scene.bag.records for note in r.notes],
    }
