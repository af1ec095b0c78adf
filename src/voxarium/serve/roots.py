"""What is served: folders, files and places in other stores, each under a name of its own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from typing_extensions import Buffer

from voxarium.core.release_store import ReleaseStore
from voxarium.core.releases import find_release
from voxarium.core.uri import open_source_store, parse_uri
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.native import NativeFiles
from voxarium.model.protocols import ReadableStore
from voxarium.serve.listing import FolderLister, Lister, StoreLister
from voxarium.serve.sources import ByteSource, FolderSource, ReleaseSource, StoreSource
from voxarium.stores.local import LocalStore

__all__ = ["ConfinedStore", "Root", "open_roots"]

_NAMED: Final = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)=(.+)$", re.DOTALL)
_ODD: Final = re.compile(r"[^\w.+-]+")
_TRUSTED: Final = 5.0  # seconds until a folder is looked at again


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """A place that is served.

    Parameters
    ----------
    name : str
        In addresses; no two roots have the same.
    uri : str
        Where it is, without credentials. For the log: visitors are not told.
    store : ReadableStore
        Holds it; nothing outside the root is reached through it.
    path : str
        Of the root in the store; empty for all of it.
    source : ByteSource or None
        Objects in it; None for a file.
    lister : Lister or None
        Of its folders; None for a file.
    whole : (ByteSource, str) or None
        The object that the root itself is: a file, also one that holds others.
    frozen : bool
        Nothing in it ever changes: it is (part of) a release.
    """

    name: str
    uri: str
    store: ReadableStore
    path: str
    source: ByteSource | None = None
    lister: Lister | None = None
    whole: tuple[ByteSource, str] | None = None
    frozen: bool = False

    def image_path(self, below: str) -> str:
        """Return the path in the store of something below the root, ``""`` being the root.

        Examples: ``em/0`` in a folder, ``::/0`` in a file.
        """
        if not self.path:
            return below
        if not below:
            return self.path
        return f"{self.path}{below}" if below.startswith("::") else f"{self.path}/{below}"

    def below(self, path: str) -> str:
        """Return what follows the root's name in the address of something at a path of the store."""
        return path.removeprefix(self.path).lstrip("/") if self.path else path


class ConfinedStore(LocalStore):
    """A folder of this machine in which links that lead out of it are dead, or all links.

    Parameters
    ----------
    root : str or path
        The folder.
    links : bool
        Follow links that stay inside.
    """

    def __init__(self, root: str | os.PathLike[str], *, links: bool = True) -> None:
        super().__init__(root)
        self._links = links
        self._real = os.path.realpath(self.root).rstrip("/") + "/"
        self._inside: dict[str, float] = {}

    def _path(self, key: str) -> str:
        path = super()._path(key)
        if os.path.islink(path):
            if not self._links or not (os.path.realpath(path) + "/").startswith(self._real):
                raise FileNotFoundError(f"{key} leads out of the folder")
            return path
        folder = os.path.dirname(path)
        if self._inside.get(folder, 0.0) < monotonic():
            real = os.path.realpath(folder) + "/"
            below = key.rstrip("/").rpartition("/")[0]
            whole = f"{self._real}{below}/" if below else self._real
            if not real.startswith(self._real) or not (self._links or real == whole):
                raise FileNotFoundError(f"{key} leads out of the folder")
            if len(self._inside) > 4096:
                self._inside.clear()
            self._inside[folder] = monotonic() + _TRUSTED
        return path

    def get_many(self, keys: Sequence[str], most: int, /) -> Sequence[Buffer | None]:
        """Return whole files; those that links lead to outside are absent."""
        try:
            return super().get_many(keys, most)
        except FileNotFoundError:
            return [self.get(key) for key in keys]

    def open_native(self, keys: Sequence[str], /) -> NativeFiles | None:
        """Return files for compiled code; None when one leads outside."""
        try:
            return super().open_native(keys)
        except FileNotFoundError:
            return None

    def local_path(self, key: str, /) -> str | None:
        """Return the path of a file; None when it leads outside."""
        try:
            return super().local_path(key)
        except FileNotFoundError:
            return None


def open_roots(
    uris: Iterable[str], *, hidden: bool = False, follow: bool = False, links: bool = True
) -> tuple[Root, ...]:
    """Open what is to be served.

    Parameters
    ----------
    uris : iterable of str
        Paths and URIs, each optionally with a name in front: ``em=/data/2024/em.zarr``.
    hidden : bool
        Serve names that begin with a dot too.
    follow : bool
        Follow symbolic links that lead out of a root.
    links : bool
        Follow those that stay in it. With access control they are dead: they would show a dataset under another name.

    Raises
    ------
    NotFoundError
        If a local path does not exist.
    InputError
        If an address cannot be understood, or two roots were given the same name.
    """
    roots: list[Root] = []
    taken: set[str] = set()
    for given in uris:
        name, uri = _name_of(given)
        unique = _unique(name or _last_part(uri), taken, stated=name is not None)
        taken.add(unique)
        roots.append(_opened(unique, uri, hidden=hidden, follow=follow, links=links))
    return tuple(roots)


def _name_of(given: str) -> tuple[str | None, str]:
    match = _NAMED.match(given)
    return (None, given) if match is None or os.path.exists(given) else (match[1], match[2])


def _last_part(uri: str) -> str:
    where = parse_uri(uri)
    base = os.path.abspath(where.base) if where.scheme == "file" else where.base.split("?")[0]
    return _ODD.sub("-", base.rstrip("/").rsplit("/", 1)[-1]).strip("-.") or "root"


def _unique(name: str, taken: set[str], *, stated: bool) -> str:
    if name not in taken:
        return name
    if stated:
        raise InputError(
            f"two roots are named {name}", code=Code.ARGUMENT_INVALID, fix=f"give one another name: {name}-2=URI"
        )
    return next(f"{name}-{i}" for i in range(2, len(taken) + 3) if f"{name}-{i}" not in taken)


def _opened(name: str, uri: str, *, hidden: bool, follow: bool, links: bool) -> Root:
    where = parse_uri(uri)
    whole: tuple[ByteSource, str] | None = None
    if where.scheme == "file" and os.path.isfile(where.base):
        real = os.path.realpath(where.base)  # a link that was named is meant
        uri = f"{real}::{where.inner}" if where.inner else real
        whole = (FolderSource(os.path.dirname(real)), os.path.basename(real))
    store, path = open_source_store(uri)
    if type(store) is LocalStore and not follow:
        store = ConfinedStore(store.root, links=links)
    shown = "/".join(p for p in (store.uri, path) if p)
    known: dict[str, Any] = {"name": name, "uri": shown, "store": store, "path": path}  # Any: of `Root`
    if isinstance(store, LocalStore) and not path:
        source = FolderSource(store.root, follow=follow, links=links)
        lister = FolderLister(store.root, hidden=hidden, follow=follow, links=links)
        return Root(**known, source=source, lister=lister)
    if isinstance(store, ReleaseStore) and _is_published(store):
        return _release_root(known, store, path, hidden=hidden)
    object_key = path.partition("::")[0]
    if isinstance(store, LocalStore) or (object_key and store.stat(object_key) is not None):
        # One object; its neighbours are not served.
        return Root(**known, whole=whole or (StoreSource(store), object_key))
    return Root(**known, source=StoreSource(store, path), lister=StoreLister(store, path, hidden=hidden), whole=whole)


def _is_published(store: ReleaseStore) -> bool:
    """Tell whether a store shows a release, which never changes, and nothing that only looks like one."""
    try:
        return find_release(store.inner, store.name).release.name == store.name
    except NotFoundError:
        return False


def _release_root(known: dict[str, Any], store: ReleaseStore, path: str, *, hidden: bool) -> Root:
    """Return the root that a release, or something in it, is."""
    object_key = path.partition("::")[0]
    if object_key and store.stat(object_key) is not None:
        return Root(**known, whole=(ReleaseSource(store), object_key), frozen=True)
    lister = StoreLister(store, path, hidden=hidden)
    return Root(**known, source=ReleaseSource(store, path), lister=lister, frozen=True)
