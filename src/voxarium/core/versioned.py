"""Folders that keep versions of what is in them (OCDBT, Icechunk …): from an address to one of the versions.

Which kinds there are is known by entry points alone. An address names one as ``FOLDER@VERSION/PATH``, or as
TensorStore and Neuroglancer do, ``FOLDER/|kind:@VERSION/PATH``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, TypeAlias
from urllib.parse import unquote, urlsplit

from voxarium.core import references as reference_files
from voxarium.core.registry import versioned_store_driver, versioned_store_drivers
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.protocols import ReadableStore
from voxarium.model.versioned import StoredVersion, VersionedFolder, VersionedStoreDriver

__all__ = ["is_likely", "iter_versions", "open_newest", "open_version", "recognised", "split_version"]

OpenFolder: TypeAlias = Callable[..., Any]  # Any: stores whose abilities differ


def split_version(base: str, *, local: bool) -> Iterator[tuple[str, str, str]]:
    """Yield (folder, version, path in it) for each way to read an address as that of a version: pure.

    Examples
    --------
    >>> list(split_version("data/em.ocdbt@2026-01-31T06:00:00Z/s0", local=True))
    [('data/em.ocdbt', '2026-01-31T06:00:00Z', 's0')]
    """
    begin = 0 if local else len(base) - len(urlsplit(base).path) if urlsplit(base).netloc else 0
    at = base.find("@", begin)
    while at >= 0:
        version, _, path = base[at + 1 :].partition("/")
        folder = base[:at].rstrip("/")
        if folder and version:
            yield folder, unquote(version), path.strip("/")
        at = base.find("@", at + 1)


def recognised(store: ReadableStore) -> VersionedStoreDriver | None:
    """Return the driver of a folder that has versions; None for all others."""
    for driver in versioned_store_drivers():
        if any(store.stat(marker) is not None for marker in driver.markers):
            return driver
    return None


def open_version(
    base: str, *, local: bool, open_folder: OpenFolder, references: Sequence[str], options: dict[str, Any]
) -> tuple[ReadableStore, str] | None:
    """Return the store of a version and the path in it, of an address that names one; None for others.

    Raises
    ------
    NotFoundError
        If the folder is of a kind that has versions, and has none of this name.
    """
    if "|" in base:
        return _open_piped(base, open_folder, references, options)
    for address, version, path in split_version(base, local=local) if "@" in base else ():
        store = open_folder(address, **options)
        driver = recognised(store)
        if driver is not None:
            return driver.open(_folder(store, address, references, options), version), path
    return None


def _folder(store: ReadableStore, address: str, references: Sequence[str], options: dict[str, Any]) -> VersionedFolder:
    allowed = reference_files.allowed_prefixes(address, references)
    return VersionedFolder(store=store, address=address, allowed=allowed, options=options)


def _open_piped(
    base: str, open_folder: OpenFolder, references: Sequence[str], options: dict[str, Any]
) -> tuple[ReadableStore, str]:
    address, _, rest = base.partition("|")
    kind, colon, place = rest.partition(":")
    if "|" in place:
        _refuse_pipe(base, f"leave off what follows the second |: {base.rpartition('|')[0]}")
    if not colon or not address.rstrip("/"):
        _refuse_pipe(base, "write it as FOLDER|ocdbt:PATH or FOLDER|icechunk:@tag.NAME/PATH")
    driver = versioned_store_driver(kind)
    version, path = "", place
    if place.startswith("@"):
        version, _, path = place[1:].partition("/")
    address = address.rstrip("/")
    store = open_folder(address, **options)
    return driver.open(_folder(store, address, references, options), unquote(version)), unquote(path).strip("/")


def _refuse_pipe(base: str, fix: str) -> NoReturn:
    raise InputError(f"{base} cannot be understood", code=Code.URI_INVALID, fix=fix)


def open_newest(
    store: ReadableStore, address: str, references: Sequence[str] = (), options: dict[str, Any] | None = None
) -> ReadableStore | None:
    """Return the newest version in a folder that has versions; None for all others."""
    driver = recognised(store)
    return None if driver is None else driver.open(_folder(store, address, references, options or {}), "")


def is_likely(address: str) -> bool:
    """Tell by its name whether a folder is likely to have versions: asking it may take a request."""
    return address.lower().endswith(tuple(s for d in versioned_store_drivers() for s in d.suffixes))


def iter_versions(address: str, open_folder: OpenFolder, **options: Any) -> Iterator[StoredVersion]:
    """Yield the versions in a folder: of a store that has such, or the releases of a dataset.

    Raises
    ------
    NotFoundError
        If it is nothing that has versions.
    """
    base, _, kind = address.partition("|")
    base = base.rstrip("/")
    store = open_folder(base, **options)
    driver = versioned_store_driver(kind.partition(":")[0]) if kind else recognised(store)
    if driver is not None:
        yield from driver.versions(_folder(store, base, (), options))
        return
    from voxarium.core.releases import has_releases  # its manifests need a compiler

    if has_releases(store):
        yield from _releases(store)
    else:
        known = ", ".join(d.name for d in versioned_store_drivers())
        raise NotFoundError(
            f"{base} has no versions",
            code=Code.VERSION_MISSING,
            fix=f"name a dataset with releases, or the folder of a store that keeps versions ({known})",
        )


def _releases(store: ReadableStore) -> Iterator[StoredVersion]:
    from voxarium.core.releases import iter_releases, stored_tombstone

    for found in reversed(list(iter_releases(store))):
        release = found.release
        withdrawn = stored_tombstone(store, release.sequence)
        facts: dict[str, Any] = {"sequence": release.sequence, "document": found.digest}
        if withdrawn is not None:
            facts["withdrawn"] = withdrawn.reason
        yield StoredVersion(name=release.name, kind="release", time=release.time, message=release.note, facts=facts)
