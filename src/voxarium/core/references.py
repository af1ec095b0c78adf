"""Reference files: recognising them, and which of the addresses in them may be followed.

A reference file can name any file of this machine and any server. Addresses are followed only below the folder the
reference file is in, and below prefixes that the user allows.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import unquote, urlsplit

from voxarium.errors import Code, InputError
from voxarium.model.protocols import ReadableStore

__all__ = ["FOLDERS", "SUFFIXES", "allowed_prefixes", "open_reference_store"]

SUFFIXES: Final = (".json",)
"""Names of files that may hold references."""
FOLDERS: Final = (".parq", ".parquet")
"""Names of folders that may hold references."""
ALLOWED: Final = "VOXARIUM_REFERENCES"
"""Environment variable: further prefixes that references may lead to, with commas between them."""

_SCHEME: Final = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_MOST_KNOWN: Final = 65536

OpenStore = Callable[[str], tuple[ReadableStore, str]]


def open_reference_store(
    base: ReadableStore, name: str, folder: str, open_address: OpenStore, allowed: Sequence[str] = ()
) -> ReadableStore | None:
    """Return the hierarchy a reference file describes; None when it is no reference file.

    Parameters
    ----------
    base, name
        Store of the folder it is in, and its name there: a JSON file, or a folder of Parquet files.
    folder : str
        Address of that folder: a path, or a URI.
    open_address
        From an address to (store, key).
    allowed : sequence of str
        Prefixes of addresses that may be followed, besides those below `folder`.
    """
    from voxarium.stores.references import has_parquet_references, open_parquet_references, open_references

    follow = _Follow(folder, allowed_prefixes(folder, allowed), open_address)
    if name.lower().endswith(FOLDERS):
        return open_parquet_references(base, name, follow) if has_parquet_references(base, name) else None
    return open_references(base, name, follow) if base.stat(name) is not None else None


def allowed_prefixes(folder: str, allowed: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the prefixes of addresses that what is in a folder may lead to: itself, and what the user allows."""
    given = (*allowed, *filter(None, os.environ.get(ALLOWED, "").split(",")))
    return (folder.rstrip("/"), *(_normal(p).rstrip("/") for p in given))


class _Follow:
    """Opens addresses that may be followed; stores are kept, since many references lead to few of them."""

    def __init__(self, folder: str, allowed: Sequence[str], open_address: OpenStore) -> None:
        self._folder = folder.rstrip("/")
        self._prefixes = tuple(allowed)
        self._open = open_address
        self._known: dict[str, tuple[ReadableStore, str]] = {}

    def __call__(self, url: str) -> tuple[ReadableStore, str]:
        found = self._known.get(url)
        if found is None:
            if len(self._known) > _MOST_KNOWN:
                self._known.clear()
            found = self._known[url] = self._open(self._checked(url))
        return found

    def _checked(self, url: str) -> str:
        address = _normal(url if _SCHEME.match(url) or url.startswith("/") else f"{self._folder}/{url}")
        if any(address == p or address.startswith(f"{p}/") for p in self._prefixes):
            return address
        raise InputError(
            f"a reference leads to {url}, outside {self._folder}",
            code=Code.KEY_UNSAFE,
            fix=f"if you trust it, allow it: {ALLOWED}={posixpath.dirname(address)}, or references= of voxarium.open",
        )


def _normal(address: str) -> str:
    """Return an address without ``file://``, ``..`` and ``//``."""
    match = _SCHEME.match(address)
    if match is None:
        return posixpath.normpath(address)
    if match[1].lower() == "file":
        return posixpath.normpath(unquote(urlsplit(address).path))
    rest = address[match.end() :]
    return f"{match[1].lower()}://{posixpath.normpath(rest) if rest else ''}"
