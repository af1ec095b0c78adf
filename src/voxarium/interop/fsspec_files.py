"""Releases as a file system of fsspec: ``voxarium://brain@v1.0/em/zarr.json``. Read-only.

What follows ``voxarium://`` is the address of a release and the key of an object in it: ``/data/brain@v1.0/em``,
``s3://bucket/brain@v1.0/em``, ``https://example.org/brain@v1.0/em``. fsspec finds this module by an entry point, so
that whatever opens addresses with fsspec reads releases: pandas, dask, xarray, zarr-python, kerchunk …
"""

from __future__ import annotations

import errno
import os
import threading
from typing import Any, ClassVar, NoReturn

from fsspec.spec import AbstractBufferedFile, AbstractFileSystem

from voxarium.core.release_store import ReleaseStore, split_reference
from voxarium.core.releases import find_release
from voxarium.core.uri import open_release_of, parse_uri
from voxarium.errors import InputError, NotFoundError
from voxarium.interop.views import checked_release
from voxarium.model.protocols import ByteRange

__all__ = ["ReleaseFileSystem"]

Info = dict[str, Any]  # Any: as fsspec has it


class ReleaseFileSystem(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """All releases that this machine reaches.

    Parameters
    ----------
    verify : bool
        Check the digest of each object before anything of it is used.
    store_options : dict or None
        For the store of the dataset, such as credentials.
    **options
        Of fsspec.
    """

    protocol: ClassVar[str] = "voxarium"
    root_marker: ClassVar[str] = ""

    def __init__(self, *, verify: bool = False, store_options: Info | None = None, **options: Any) -> None:
        super().__init__(**options)
        self._verify = verify
        self._options = dict(store_options or {})
        self._lock = threading.Lock()
        self._stores: dict[str, ReleaseStore] = {}

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        """Return the address of a release and the key behind it; local paths as absolute ones."""
        bare = super()._strip_protocol(path)
        if isinstance(bare, list) or not bare or "://" in bare:
            return bare
        return os.path.abspath(os.path.expanduser(bare))

    @classmethod
    def _parent(cls, path: str) -> str:
        return str(cls._strip_protocol(path)).rpartition("/")[0]

    # ------------------------------------------------------------------------------------------------------- releases
    def _at(self, path: str) -> tuple[ReleaseStore, str]:
        """Return the release that an address lies in, and the key in it."""
        path = self._strip_protocol(path)
        for dataset, name, key in split_reference(path, local="://" not in path):
            base = f"{dataset}@{name}"
            with self._lock:
                store = self._stores.get(base)
                if store is None:
                    store = self._opened(base)
                if store is not None:
                    self._stores[base] = store
                    return store, key
        raise FileNotFoundError(errno.ENOENT, "no release of a dataset is addressed, such as /data/brain@v1.0", path)

    def _opened(self, base: str) -> ReleaseStore | None:
        try:
            found = open_release_of(parse_uri(base), **self._options)
            if found is None or found[1] or not isinstance(found[0], ReleaseStore):
                return None
            find_release(found[0].inner, found[0].name)  # what is not published may change, and is not shown here
        except NotFoundError as error:  # fsspec and its users know the errors of files
            raise FileNotFoundError(errno.ENOENT, error.message, base) from error
        return checked_release(found[0], base) if self._verify else found[0]

    # -------------------------------------------------------------------------------------------------------- reading
    def info(self, path: str, **_options: Any) -> Info:
        """Return kind, size and SHA-256 of an object, as the release states them."""
        path = self._strip_protocol(path)
        store, key = self._at(path)
        try:
            found = store.stat(key) if key else None
            if found is not None:
                return {"name": path, "size": found.size, "type": "file", "sha256": found.generation}
            if not key or any(store.list_dir(key)):
                return {"name": path, "size": 0, "type": "directory"}
        except InputError:
            pass  # no object has such a key
        raise FileNotFoundError(errno.ENOENT, "the release has nothing of this name", path)

    def ls(self, path: str, detail: bool = True, **_options: Any) -> list[Any]:
        """Return what is in a folder."""
        path = self._strip_protocol(path)
        own = self.info(path)
        if own["type"] == "file":
            return [own] if detail else [path]
        store, key = self._at(path)
        files, folders = store.list_dir(key)
        if not detail:
            return [f"{path}/{name}" for name in (*files, *folders)]
        found = [self.info(f"{path}/{name}") for name in files]
        return found + [{"name": f"{path}/{name}", "size": 0, "type": "directory"} for name in folders]

    def find(
        self,
        path: str,
        maxdepth: int | None = None,
        withdirs: bool = False,
        detail: bool = False,
        **options: Any,
    ) -> Any:
        """Return all objects below a folder, from the manifest at once."""
        if maxdepth is not None or withdirs:
            return super().find(path, maxdepth, withdirs, detail, **options)
        path = self._strip_protocol(path)
        store, key = self._at(path)
        if key and store.stat(key) is not None:
            found = {path: self.info(path)}
        else:
            start = path.removesuffix(key)
            base = start if start.endswith("/") else f"{start}/"
            found = {f"{base}{k}": {"name": f"{base}{k}", "size": size, "type": "file"} for k, size in store.list(key)}
        return found if detail else list(found)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **_options: Any) -> bytes:
        """Return an object or a part of it."""
        store, key = self._at(path)
        info = self.info(path)
        if info["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "this is a folder", path)
        begin, stop, _ = slice(start, end).indices(info["size"])
        if (begin, stop) == (0, info["size"]):
            return self._present(store.get(key), path)
        parts = store.get_ranges(key, [ByteRange(begin, max(0, stop - begin))])
        return self._present(None if parts is None else bytes(parts[0]), path)

    def _present(self, data: bytes | None, path: str) -> bytes:
        if data is None:
            raise FileNotFoundError(errno.ENOENT, "the release has nothing of this name", path)
        return data

    def _open(self, path: str, mode: str = "rb", **options: Any) -> _ReleaseFile:
        if mode != "rb":
            _refuse(path)
        info = self.info(path)
        if info["type"] != "file":
            raise IsADirectoryError(errno.EISDIR, "this is a folder", path)
        return _ReleaseFile(self, path, mode, size=info["size"], **{k: v for k, v in options.items() if k in _OF_FILES})

    def checksum(self, path: str) -> str:
        """Return the SHA-256 of an object, as the release states it."""
        return self.ukey(path)

    def ukey(self, path: str) -> str:
        """Return what changes with the content: its SHA-256."""
        info = self.info(path)
        return str(info.get("sha256") or f"folder {info['name']}")

    # -------------------------------------------------------------------------------------------------------- writing
    def mkdir(self, path: str, create_parents: bool = True, **_options: Any) -> None:
        """Refuse."""
        _refuse(path)

    def makedirs(self, path: str, exist_ok: bool = False) -> None:
        """Refuse."""
        _refuse(path)

    def rmdir(self, path: str) -> None:
        """Refuse."""
        _refuse(path)

    def _rm(self, path: str) -> None:
        _refuse(path)

    def cp_file(self, path1: str, path2: str, **_options: Any) -> None:
        """Refuse."""
        _refuse(path2)


_OF_FILES = frozenset({"block_size", "autocommit", "cache_type", "cache_options"})


class _ReleaseFile(AbstractBufferedFile):  # type: ignore[misc]  # fsspec has no types
    """An object, as a file that is read in pieces."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.cat_file(self.path, start, end))


def _refuse(path: str) -> NoReturn:
    raise OSError(errno.EROFS, "releases are read-only", path)
