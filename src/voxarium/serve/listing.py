"""What is in a folder: names for people and programs, and keys in the order of S3."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

from voxarium.model.keys import checked_key, natural_key
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.serve.addresses import is_shown
from voxarium.serve.sources import opened_path

__all__ = ["Entry", "FolderLister", "KeyPage", "Lister", "StoreLister", "folder_page", "keys_page"]

_DEEPEST: Final = 64  # folders in folders: links may go round in circles


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder in a folder.

    Parameters
    ----------
    name : str
        Its name; that of a folder ends with a slash.
    size : int or None
        Bytes of a file, where that is known without asking.
    modified : float or None
        Seconds since 1970.
    """

    name: str
    size: int | None = None
    modified: float | None = None


class Lister(Protocol):
    """Lists folders."""

    def entries(self, folder: str) -> list[Entry] | None:
        """Return what is shown of a folder, in no order; None when there is no such folder, or it cannot be listed."""

    def size(self, key: str) -> int:
        """Return the size of an object."""


class FolderLister:
    """Lists folders of this machine, and nothing that lies outside one of them.

    Parameters
    ----------
    folder : str
        The outermost.
    hidden, follow : bool
        Show names that begin with a dot; follow links that lead out of the folder.
    links : bool
        Follow links at all.
    """

    def __init__(self, folder: str, *, hidden: bool = False, follow: bool = False, links: bool = True) -> None:
        self._links = links
        self._prefix = os.path.abspath(folder).rstrip("/") + "/"
        self._real = os.path.realpath(folder).rstrip("/") + "/"
        self._hidden = hidden
        self._follow = follow

    def entries(self, folder: str) -> list[Entry] | None:
        """Read the folder; the opened one is looked at, whatever its name leads to a moment later."""
        if folder and not self._hidden and not is_shown(folder):
            return None
        try:
            fd = os.open(self._prefix + folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            if not self._follow and not self._is_inside(opened_path(fd) + "/", folder):
                return None
            with os.scandir(fd) as found:
                return [e for item in found if (e := self._entry(fd, item)) is not None]
        except OSError:
            return None
        finally:
            os.close(fd)

    def _entry(self, folder: int, item: os.DirEntry[str]) -> Entry | None:
        try:
            checked_key(item.name)
            if not (self._hidden or is_shown(item.name)):
                return None
            status = item.stat()
            if item.is_symlink() and not self._follow and not (self._links and self._leads_inside(folder, item.name)):
                return None
        except (OSError, ValueError):
            return None  # gone meanwhile, a link to nowhere, or a name that is no key
        if stat.S_ISDIR(status.st_mode):
            return Entry(item.name + "/", None, status.st_mtime)
        return Entry(item.name, status.st_size, status.st_mtime) if stat.S_ISREG(status.st_mode) else None

    def _is_inside(self, real: str, folder: str) -> bool:
        return (
            real.startswith(self._real) if self._links else real == (f"{self._real}{folder}/" if folder else self._real)
        )

    def _leads_inside(self, folder: int, name: str) -> bool:
        return (os.path.realpath(f"{opened_path(folder)}/{name}") + "/").startswith(self._real)

    def size(self, key: str) -> int:
        """Return the size of a file."""
        return os.stat(self._prefix + key).st_size


class StoreLister:
    """Lists folders of a store that can be listed.

    Parameters
    ----------
    store : ReadableStore
        Which.
    outermost : str
        The folder of it that others are seen from.
    hidden : bool
        Show names that begin with a dot.
    """

    def __init__(self, store: ReadableStore, outermost: str = "", *, hidden: bool = False) -> None:
        self._store = store
        self._outermost = outermost
        self._hidden = hidden

    def _key(self, below: str) -> str:
        return "/".join(p for p in (self._outermost, below) if p)

    def entries(self, folder: str) -> list[Entry] | None:
        """Ask the store for names."""
        if not isinstance(self._store, ListableStore) or (folder and not self._hidden and not is_shown(folder)):
            return None
        files, folders = self._store.list_dir(self._key(folder))
        if folder and not files and not folders:
            return None
        names = [*files, *(f"{name}/" for name in folders)]
        return [Entry(name) for name in names if self._hidden or is_shown(name.rstrip("/"))]

    def size(self, key: str) -> int:
        """Ask the store."""
        found = self._store.stat(self._key(key))
        return 0 if found is None else found.size


def folder_page(lister: Lister, folder: str) -> list[Entry] | None:
    """Return what is in a folder, folders first, in natural order; None when there is no such folder."""
    found = lister.entries(folder)
    return found if found is None else sorted(found, key=lambda e: (not e.name.endswith("/"), natural_key(e.name)))


# ---------------------------------------------------------------------------------------------------------------- S3
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPage:
    """A page of keys, as S3 lists them.

    Parameters
    ----------
    objects : list of (str, Entry)
        Keys, and what is known of them.
    folders : list of str
        Common prefixes, each ending with the delimiter.
    last : str or None
        Where the next page begins; None at the end.
    """

    objects: list[tuple[str, Entry]]
    folders: list[str]
    last: str | None


def keys_page(lister: Lister, prefix: str, *, after: str, most: int, deep: bool) -> KeyPage:
    """Return keys that begin with a prefix, in the order of their UTF-8 bytes.

    Parameters
    ----------
    lister : Lister
        Of the folders.
    prefix : str
        Any beginning of keys: ``em/`` for what is in the folder, ``em/c`` for what begins so there.
    after : str
        Only what comes behind this key, or behind everything in this folder (ending with a slash).
    most : int
        Keys and folders together.
    deep : bool
        List what is in folders, instead of the folders.
    """
    folder, _, start = prefix.rpartition("/")
    found: list[tuple[str, Entry]] = []
    if most and _is_folder(folder) and not prefix.startswith("/"):
        found = list(islice(_Walk(lister, deep).keys(folder, start, after), most + 1))
    more, found = len(found) > most, found[:most]
    return KeyPage(
        objects=[(key, e) for key, e in found if not key.endswith("/")],
        folders=[key for key, _ in found if key.endswith("/")],
        last=found[-1][0] if more else None,
    )


def _is_folder(folder: str) -> bool:
    try:
        return not folder or bool(checked_key(folder))
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class _Walk:
    """Goes through folders in the order of S3."""

    lister: Lister
    deep: bool

    def keys(self, folder: str, start: str, after: str) -> Iterator[tuple[str, Entry]]:
        """Yield keys of a folder behind `after`; folders that lie wholly before it are not looked into."""
        above = f"{folder}/" if folder else ""
        limit = after.encode()
        # "em/" sorts behind "em.json": a folder stands where its keys do.
        for entry in sorted(self.lister.entries(folder) or (), key=lambda e: e.name.encode()):
            if not entry.name.startswith(start):
                continue
            key = above + entry.name
            raw = key.encode()
            inside = entry.name.endswith("/") and raw != limit and limit.startswith(raw)
            if self.deep and entry.name.endswith("/"):
                if (raw >= limit or inside) and key.count("/") < _DEEPEST:
                    yield from self.keys(key[:-1], "", after if inside else "")
            elif raw > limit or inside:
                yield key, entry
