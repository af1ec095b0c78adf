"""From what a user types to a store and a path inside it."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from voxarium.core import references as reference_files
from voxarium.core import versioned
from voxarium.core.guarding import guarded, is_published
from voxarium.core.registry import array_drivers, collection_drivers, image_drivers
from voxarium.errors import Code, ExistsError, InputError, NotFoundError
from voxarium.model.protocols import ReadableStore, WritableImageDriver, WritableStore

__all__ = [
    "Location", "iter_above", "open_folder", "open_hierarchy", "open_release_of", "open_source_store",
    "open_target_store", "parse_uri",
]  # fmt: skip

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]+)://")
_NAMES_VERSION = re.compile(r"[@|]")
_GLOB = re.compile(r"[*?\[]")
_ARCHIVES: Final = (".zip", ".ozx")
_REFERENCES: Final = (*reference_files.SUFFIXES, *reference_files.FOLDERS)
_OBJECTS: Final = ("s3", "gs", "gcs", "az", "azure", "abfs", "abfss")
# Files at the end of a remote address: the store is then the folder around them. Drivers name most others.
_FILES: Final = (".gz", ".bz2", ".xml", ".toml", ".conf", ".mat", ".ilp", ".n5h5", *reference_files.SUFFIXES)


def is_archive(uri: str | os.PathLike[str]) -> bool:
    """Tell whether an address is that of an archive file (``.zip``, ``.ozx``), or of something inside one."""
    return os.fspath(uri).split("::")[0].rstrip("/").lower().endswith(_ARCHIVES)


@dataclass(frozen=True, slots=True)
class Location:
    """A parsed URI.

    Parameters
    ----------
    scheme : str
        ``file``, ``https``, ``s3`` …
    base : str
        A local path, or the address with its scheme.
    inner : str
        What follows ``::``: the place inside the file or archive; empty when there is none.
    """

    scheme: str
    base: str
    inner: str = ""


def parse_uri(uri: str | os.PathLike[str]) -> Location:
    """Split a URI or path.

    Examples
    --------
    >>> parse_uri("stack.h5::/em")
    Location(scheme='file', base='stack.h5', inner='/em')
    >>> parse_uri("s3://bucket/em.zarr").scheme
    's3'
    """
    text = os.fspath(uri)
    if not text or "\0" in text:
        raise InputError(
            "the address is empty", code=Code.URI_INVALID, fix="give a path or a URI such as s3://bucket/x.zarr"
        )
    base, _, inner = text.partition("::")
    match = _SCHEME.match(base)
    if match is None:
        return Location("file", os.path.expanduser(base), inner)
    scheme = match.group(1).lower()
    if scheme == "file":
        return Location("file", unquote(urlsplit(base).path), inner)
    return Location(scheme, base.rstrip("/"), inner)


def open_source_store(
    uri: str | os.PathLike[str], *, references: Sequence[str] = (), **options: Any
) -> tuple[ReadableStore, str]:
    """Return the store of something to be read, and the path inside it.

    `references` are prefixes of addresses that a reference file may lead to, besides its own folder.

    Raises
    ------
    NotFoundError
        If a local path does not exist.
    InputError
        If the URI cannot be understood.
    """
    where = parse_uri(uri)
    named = open_release_of(where, **options) or _open_version_of(where, references, options)
    if named is not None:
        return named
    if where.scheme == "file":
        return _local_source(where, references)
    if versioned.is_likely(where.base):
        newest = versioned.open_newest(open_folder(where.base, **options), where.base, references, options)
        if newest is not None:
            return newest, where.inner.strip("/")
    folder, name = _split_remote(where.base)
    store = _remote_store(where.scheme, folder, options)
    if name.lower().endswith(_REFERENCES):
        referring = reference_files.open_reference_store(store, name, folder, _referred, references)
        if referring is not None:
            return referring, where.inner.strip("/")
    if name.endswith(_ARCHIVES):
        from voxarium.stores.zip import ZipStore

        return ZipStore(store, name), where.inner.strip("/")
    return store, f"{name}::{where.inner}" if where.inner else name


def open_release_of(where: Location, **options: Any) -> tuple[ReadableStore, str] | None:
    """Return the store of a release and the path in it, of an address such as ``DATASET@v1.0/em``; None for others.

    A local file or folder whose name has an ``@`` in it is meant as it is.

    Raises
    ------
    NotFoundError
        If the dataset has releases, and none of this name.
    """
    local = where.scheme == "file"
    if "@" not in where.base or (local and os.path.lexists(where.base)):
        return None
    from voxarium.core.release_store import open_release_store, split_reference
    from voxarium.core.releases import has_releases

    for dataset, name, path in split_reference(where.base, local=local):
        if local and not is_published(dataset):
            continue
        store = open_folder(dataset, **options)
        if not local and not has_releases(store):
            continue
        released = open_release_store(store, name)
        if path.lower().endswith(_ARCHIVES):
            from voxarium.stores.zip import ZipStore

            return ZipStore(released, path), where.inner.strip("/")
        return released, f"{path}::{where.inner}" if where.inner else path
    return None


def _open_version_of(
    where: Location, references: Sequence[str], options: dict[str, Any]
) -> tuple[ReadableStore, str] | None:
    """Return the store of a version and the path in it, of an address that names one."""
    local = where.scheme == "file"
    if not _NAMES_VERSION.search(where.base) or (local and os.path.lexists(where.base)):
        return None
    found = versioned.open_version(
        where.base, local=local, open_folder=open_folder, references=references, options=options
    )
    if found is None or not where.inner:
        return found
    return found[0], f"{found[1]}::{where.inner}"


def open_folder(uri: str | os.PathLike[str], **options: Any) -> Any:  # Any: capabilities differ by kind
    """Return the store of a folder as it is: for those who know what they may change in it.

    Others write through `open_target_store`, which keeps what was published.
    """
    where = parse_uri(uri)
    if where.scheme != "file":
        return _remote_store(where.scheme, where.base, options)
    from voxarium.stores.local import LocalStore

    return LocalStore(where.base)


def _suffixes_of_drivers() -> set[str]:
    """Return the ends of names of files that drivers read, those of other packages too."""
    drivers = (*image_drivers(), *array_drivers(), *collection_drivers())
    return {s for d in drivers for s in getattr(d, "suffixes", ()) if s.startswith(".")}


def _split_remote(base: str) -> tuple[str, str]:
    parts = urlsplit(base)
    head, _, tail = parts.path.rpartition("/")
    if not tail.lower().endswith((*_FILES, *_ARCHIVES, *reference_files.FOLDERS, *_suffixes_of_drivers())):
        return base, ""
    return urlunsplit((parts.scheme, parts.netloc, head, parts.query, "")), unquote(tail)


def _remote_store(scheme: str, base: str, options: dict[str, Any]) -> Any:  # Any: capabilities differ by kind
    if scheme in ("http", "https"):
        from voxarium.stores.http import HttpStore

        return HttpStore.from_uri(base, **options)
    if scheme in _OBJECTS:
        from voxarium.stores.objects import ObjectStore

        return ObjectStore.from_uri(base, **options)
    if scheme in ("bossdb", "boss"):
        from voxarium.stores.bossdb import BossStore

        return BossStore.from_uri(base, **options)
    if scheme == "mem":
        raise InputError(
            "mem:// stores live inside one program",
            code=Code.URI_INVALID,
            fix="make a voxarium.stores.memory.MemoryStore and hand it over",
        )
    from voxarium.stores.fsspec_store import FsspecStore

    return FsspecStore.from_uri(base, **options)


def _referred(address: str) -> tuple[ReadableStore, str]:
    """Open the folder of a file that a reference names; stores of a place are shared."""
    folder, _, name = address.rpartition("/")
    return _folder_store(folder), name


@lru_cache(maxsize=32)
def _folder_store(folder: str) -> ReadableStore:
    where = parse_uri(folder or "/")
    if where.scheme != "file":
        found: ReadableStore = _remote_store(where.scheme, where.base, {})
        return found
    from voxarium.stores.local import LocalStore

    return LocalStore(where.base)


def _local_source(where: Location, references: Sequence[str]) -> tuple[ReadableStore, str]:
    from voxarium.stores.local import LocalStore

    path = os.path.abspath(where.base)
    folder, name = os.path.split(path)
    suffix = f"::{where.inner}" if where.inner else ""
    if name.lower().endswith(_REFERENCES) and os.path.exists(path):
        referring = reference_files.open_reference_store(LocalStore(folder), name, folder, _referred, references)
        if referring is not None:
            return referring, where.inner.strip("/")
    if os.path.isdir(path):
        store = LocalStore(path)
        return versioned.open_newest(store, path, references) or store, where.inner.strip("/")
    if os.path.isfile(path):
        if name.lower().endswith(_ARCHIVES):
            from voxarium.stores.zip import ZipStore

            return ZipStore(LocalStore(folder), name), where.inner.strip("/")
        return LocalStore(folder), name + suffix
    if "{" in path:
        return _pattern_source(path, suffix)
    if _GLOB.search(name):
        return LocalStore(folder), name + suffix
    raise _no_such_path(path)


def _pattern_source(path: str, suffix: str) -> tuple[ReadableStore, str]:
    """Return the last folder that a path with placeholders names as it is, and the pattern below it."""
    from voxarium.stores.local import LocalStore

    folder = os.path.dirname(path[: path.index("{")])
    if wild := _GLOB.search(folder):
        folder = os.path.dirname(folder[: wild.start()])
    if not os.path.isdir(folder):
        raise _no_such_path(folder)
    return LocalStore(folder), path[len(folder) :].lstrip("/") + suffix


def _no_such_path(path: str) -> NotFoundError:
    """Say which part of a path is missing, and what is there instead."""
    folder, name = os.path.split(path)
    while folder and not os.path.exists(folder):
        folder, name = os.path.split(folder)
    if os.path.isfile(folder):
        inner = path[len(folder) :].lstrip("/")
        fix = f"{folder} is a file; address what is inside it as {folder}::/{inner}"
    else:
        near = difflib.get_close_matches(name, os.listdir(folder) if os.access(folder, os.R_OK) else [], 3)
        fix = (
            f"{folder} exists and has {' and '.join(near)}"
            if near
            else f"check the path; {folder} exists, {name!r} in it does not"
        )
    return NotFoundError(f"nothing at {path}", code=Code.PATH_MISSING, fix=fix)


def open_target_store(uri: str | os.PathLike[str], **options: Any) -> WritableStore:
    """Return the store whose root is the image to be written; what releases list of it cannot be changed.

    Raises
    ------
    InputError
        If nothing can be written there.
    ExistsError
        If a file is in the way.
    """
    where = parse_uri(uri)
    if where.inner:
        raise InputError(
            f"cannot write inside a file: {os.fspath(uri)}",
            code=Code.URI_INVALID,
            fix="give a folder or an object-store prefix as the target",
        )
    if where.scheme in ("http", "https") or "|" in where.base:
        raise InputError(
            f"{where.base} can be read, not written",
            code=Code.STORE_READ_ONLY,
            fix="write to a local path or an object store (s3://, gs://, az://)",
        )
    if where.scheme != "file":
        store: WritableStore = _remote_store(where.scheme, where.base, options)
        return guarded(store, where.scheme, where.base, partial(open_folder, **options))
    from voxarium.stores.local import LocalStore

    path = os.path.abspath(where.base)
    for above in (path, os.path.dirname(path)):
        if os.path.isfile(above):
            raise ExistsError(
                f"{above} is a file", code=Code.TARGET_EXISTS, fix="choose another target, or remove the file"
            )
    return guarded(LocalStore(path), "file", path, open_folder)


def open_hierarchy(
    uri: str | os.PathLike[str], convention: WritableImageDriver, **options: Any
) -> tuple[WritableStore, str]:
    """Return the store of the outermost folder of a convention around a target, and the target's path in it.

    A convention may name, as ``hierarchy_markers``, the documents one of which makes a folder the outermost one;
    where they can be looked for cheaply and there is none, the target stands for itself.
    """
    where = parse_uri(uri)
    base = os.path.abspath(where.base) if where.scheme == "file" else where.base
    root, path = convention.split(base)
    markers = getattr(convention, "hierarchy_markers", ())
    if path and where.scheme == "file" and markers and not any(os.path.isfile(os.path.join(root, m)) for m in markers):
        root, path = base, ""
    return open_target_store(root, **options), path


def iter_above(uri: str | os.PathLike[str], most: int = 4, *, far: bool = False) -> Iterator[tuple[ReadableStore, str]]:
    """Yield (store of a folder, path in it of what `uri` names) for the folders above a local folder, nearest first.

    With `far`, also the folder above an address of the web, where every question is a request.
    """
    from voxarium.stores.local import LocalStore

    where = parse_uri(uri)
    if far and where.scheme in ("http", "https") and not where.inner:
        parts = urlsplit(where.base)
        above, _, name = parts.path.rstrip("/").rpartition("/")
        if above and name:
            base = urlunsplit((parts.scheme, parts.netloc, above, parts.query, ""))
            yield _remote_store(where.scheme, base, {}), unquote(name)
        return
    if where.scheme != "file" or where.inner:
        return
    folder, path = os.path.abspath(where.base), ""
    if not os.path.isdir(folder):
        return
    for _ in range(most):
        above, name = os.path.split(folder)
        if above == folder:
            return
        folder, path = above, f"{name}/{path}" if path else name
        yield LocalStore(folder), path
