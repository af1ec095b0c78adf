"""Whatever fsspec reaches and no other store does: FTP, SFTP, SMB, HDFS, GitHub, Hugging Face, memory …

How well objects appear whole depends on the file system: those whose files appear when they are closed are
written directly, the others under a temporary name that is then changed.
"""

from __future__ import annotations

import errno
import re
import secrets
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, NoReturn, TypeAlias, cast

from typing_extensions import Buffer

from voxarium.errors import Code, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.keys import checked_key, checked_prefix, natural_key
from voxarium.model.protocols import ByteRange, ObjectStat, ObjectWriter
from voxarium.model.ranged import read_parts

__all__ = ["FsspecStore", "WritableFsspecStore"]

_Names: TypeAlias = tuple[list[str], list[str]]  # inside the class, `list` is a method

_GAP: Final = 64 << 10
_LIMIT: Final = 16 << 20
_PARTIAL: Final = ".voxarium-partial"
# Their files can be read only …
_READ_ONLY: Final = frozenset(
    {
        "blockcache",
        "data",
        "filecache",
        "git",
        "github",
        "http",
        "https",
        "jupyter",
        "libarchive",
        "reference",
    }
    | {"simplecache", "tar", "zip"}
)
# … and of these a file appears when it is closed, whole.
_ATOMIC: Final = frozenset(
    {"abfs", "abfss", "adl", "az", "cos", "gcs", "gs", "hf", "obs", "oci", "oss", "r2", "s3", "s3a"}
)
# These decide by themselves whether a file exists when it is made; fsspec's own way is to look first.
_EXCLUSIVE: Final = frozenset({"abfs", "abfss", "az", "gcs", "gs", "memory", "s3", "s3a"})
_LOCK: Final = threading.Lock()  # the file system in memory is not safe between threads
_USER: Final = re.compile(r"(?<=://)[^/@]*@")


def _shown(uri: str) -> str:
    """Return an address without user, password and query."""
    return _USER.sub("", uri).partition("?")[0].rstrip("/")


class FsspecStore:
    """A folder of an fsspec file system, for reading.

    Parameters
    ----------
    fs : fsspec.AbstractFileSystem
        The file system.
    root : str
        The folder in it.
    uri : str
        Address to show; credentials and queries are left out.
    """

    concurrency = 8

    def __init__(self, fs: Any, root: str, uri: str) -> None:  # Any: fsspec has no types
        self._fs = fs
        self._root = root.rstrip("/")
        self._uri = _shown(uri)

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> FsspecStore:
        """Return the store of any address fsspec knows; a writable one where its file system can be written.

        Options go to the file system.
        """
        shown = _shown(uri)
        try:
            import fsspec
        except ImportError as error:
            raise UnsupportedError(
                f"{shown} is reached through fsspec, which is not installed",
                code=Code.EXTRA_NOT_INSTALLED,
                fix="pip install 'voxarium[fsspec]'",
            ) from error
        try:
            fs, root = fsspec.core.url_to_fs(uri, **options)
        except ImportError as error:
            raise UnsupportedError(
                f"{shown} needs a package that is not installed: {error}",
                code=Code.EXTRA_NOT_INSTALLED,
                fix="install the package that fsspec names",
            ) from error
        except ValueError:
            raise InputError(
                f"{shown} is not an address that any store understands",
                code=Code.URI_INVALID,
                fix="use a path, or an address such as https://, s3://, gs:// or one that fsspec knows",
            ) from None
        except Exception as error:  # noqa: BLE001  file systems connect here, and raise what they like
            raise StoreError(
                f"{shown} cannot be reached: {type(error).__name__}",
                code=Code.STORE_UNREADABLE,
                fix="check the address, the network and the credentials",
            ) from None
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        kind = FsspecStore if protocols & _READ_ONLY else WritableFsspecStore
        return kind(fs, root, uri)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._uri!r})"

    @property
    def uri(self) -> str:
        """Address of the folder, without credentials."""
        return self._uri

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _fail(self, error: BaseException, key: str, *, writing: bool = False) -> NoReturn:
        what = f"{self._uri}/{key}"
        if isinstance(error, NotImplementedError):
            raise UnsupportedError(
                f"{what}: this kind of file system cannot do that",
                code=Code.STORE_READ_ONLY if writing else Code.FEATURE_UNSUPPORTED,
                fix="copy the data to a local folder or an object store",
            ) from error
        number = getattr(error, "errno", None)
        code = Code.STORE_UNWRITABLE if writing else Code.STORE_UNREADABLE
        if isinstance(error, PermissionError):
            code = Code.STORE_PERMISSION
        elif number in (errno.ENOSPC, errno.EDQUOT):
            code = Code.STORE_FULL
        # The texts of foreign errors may hold addresses with tokens.
        raise StoreError(
            f"{what} could not be {'written' if writing else 'read'}: {type(error).__name__}",
            code=code,
            fix="check the address, the network and the credentials; it is not treated as empty",
        ) from None

    # ------------------------------------------------------------------------------------------------ reading
    def get(self, key: str, /) -> bytes | None:
        """Return a whole file."""
        path = self._path(checked_key(key))
        try:
            return bytes(self._fs.cat_file(path))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except IsADirectoryError:
            return None  # a folder is not an object
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            return self._fail(error, key)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[Buffer] | None:
        """Return parts of one file."""
        source = _Parts(self, checked_key(key))
        return read_parts(source, ranges, gap=_GAP, limit=_LIMIT, name=f"{self._uri}/{key}")

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and whatever the file system tells that changes with the content."""
        path = self._path(checked_key(key))
        try:
            info = self._fs.info(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._fail(error, key)
        if info.get("type") == "directory":
            return None
        size = info.get("size")
        if not isinstance(size, int):
            raise StoreError(
                f"{self._uri}/{key} does not tell its size",
                code=Code.STORE_UNREADABLE,
                fix="copy the data to a local folder or an object store",
            )
        told = [info.get(n) for n in ("ETag", "etag", "md5Hash", "sha", "mtime", "modified", "LastModified", "created")]
        return ObjectStat(size, f"{size:x}-{next((t for t in told if t), '')}")

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, sorted by key."""
        folder = self._path(checked_prefix(prefix))
        try:
            self._fs.invalidate_cache()
            found = self._fs.find(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._fail(error, prefix)
        start = f"{prefix}/" if prefix else ""
        keys = sorted((self._key(path), info.get("size") or 0) for path, info in found.items())
        yield from ((k, n) for k, n in keys if k.startswith(start) and not k.startswith(f"{_PARTIAL}/"))

    def _key(self, path: str) -> str:
        root = self._root.lstrip("/")
        return path.lstrip("/").removeprefix(root).lstrip("/")

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (file names, folder names) directly in a folder, each sorted naturally."""
        folder = self._path(checked_prefix(prefix))
        try:
            self._fs.invalidate_cache()
            found = self._fs.ls(folder, detail=True)
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._fail(error, prefix)
        names: tuple[set[str], set[str]] = set(), set()
        for info in found:
            name = str(info["name"]).rstrip("/").rpartition("/")[2]
            if name not in ("", _PARTIAL) and self._key(str(info["name"])) != prefix:
                names[info.get("type") == "directory"].add(name)
        return sorted(names[0], key=natural_key), sorted(names[1], key=natural_key)

    def open_file(self, key: str, /) -> BinaryIO:
        """Open a file for reading."""
        path = self._path(checked_key(key))
        try:
            return cast("BinaryIO", self._fs.open(path, "rb"))
        except FileNotFoundError:
            raise NotFoundError(
                f"no file {key!r} in {self._uri}", code=Code.PATH_MISSING, fix="check the path"
            ) from None
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            return self._fail(error, key)

    def local_path(self, key: str, /) -> str | None:
        """No path on this machine."""
        checked_key(key)
        return None


class _Parts:
    """The requests about one file."""

    def __init__(self, store: FsspecStore, key: str) -> None:
        self._store = store
        self._key = key

    def size(self) -> int | None:
        found = self._store.stat(self._key)
        return None if found is None else found.size

    def tail(self, length: int, /) -> tuple[Buffer, int] | None:
        size = self.size()
        if not size:
            return None if size is None else (b"", 0)
        found = self.parts([(max(0, size - length), size)])
        return None if found is None else (found[0], size)

    def parts(self, spans: Sequence[tuple[int, int]], /) -> Sequence[Buffer] | None:
        path = self._store._path(self._key)
        try:
            if len(spans) == 1:
                return [self._store._fs.cat_file(path, start=spans[0][0], end=spans[0][1])]
            starts, ends = zip(*spans, strict=True)
            found = self._store._fs.cat_ranges([path] * len(spans), starts, ends, on_error="raise")
            return cast("Sequence[Buffer]", found)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._store._fail(error, self._key)


class WritableFsspecStore(FsspecStore):
    """A folder of an fsspec file system that can be written."""

    def _is_one_of(self, protocols: frozenset[str]) -> bool:
        own = self._fs.protocol
        return bool(protocols & ({own} if isinstance(own, str) else set(own)))

    def put(self, key: str, data: Buffer, /) -> None:
        """Store a file, replacing any."""
        writer = self.create(key)
        try:
            writer.write(data)
            writer.commit()
        except BaseException:
            writer.abort()
            raise

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store a file unless it exists, where the file system can decide that by itself."""
        path = self._path(checked_key(key))
        if not self._is_one_of(_EXCLUSIVE):
            raise UnsupportedError(
                f"{self._uri} cannot store a file only if it is absent",
                code=Code.FEATURE_UNSUPPORTED,
                fix="let one writer at a time work in this store, or use a local folder or an object store",
            )
        try:
            with _LOCK:
                self._fs.pipe_file(path, bytes(data), mode="create")
        except FileExistsError:
            return False
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._fail(error, key, writing=True)
        return True

    def create(self, key: str, /) -> ObjectWriter:
        """Begin a file that is written piece by piece."""
        return _FsspecWriter(self, checked_key(key), direct=self._is_one_of(_ATOMIC))

    def delete(self, key: str, /) -> None:
        """Remove a file."""
        path = self._path(checked_key(key))
        try:
            self._fs.rm_file(path)
        except FileNotFoundError:
            return
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._fail(error, key, writing=True)

    def _make_folder(self, path: str) -> None:
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)


class _FsspecWriter:
    """A file being written: under its own name where that shows nothing before the end, else another."""

    def __init__(self, store: WritableFsspecStore, key: str, *, direct: bool) -> None:
        self._store = store
        self._key = key
        self._path = store._path(key)
        self._partial = self._path if direct else store._path(f"{_PARTIAL}/{secrets.token_hex(8)}")
        self._file: Any = None  # Any: fsspec has no types
        self._done = False

    def write(self, data: Buffer, /) -> None:
        if self._done:
            raise StoreError(
                f"{self._store.uri}/{self._key} is no longer being written",
                code=Code.STORE_UNWRITABLE,
                fix="begin a new object with create()",
            )
        try:
            self._opened().write(bytes(data))
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self._store._fail(error, self._key, writing=True)

    def _opened(self) -> Any:  # Any: fsspec has no types
        if self._file is None:
            self._store._make_folder(self._partial)
            # Without autocommit the bytes stay aside until commit(), where the file system can do that.
            self._file = self._store._fs.open(self._partial, "wb", autocommit=self._partial != self._path)
        return self._file

    def commit(self) -> None:
        if self._done:
            return
        try:
            file = self._opened()
            file.close()
            if self._partial == self._path:
                file.commit()
            else:
                self._store._make_folder(self._path)
                self._store._fs.mv(self._partial, self._path)
        except Exception as error:  # noqa: BLE001  file systems raise what they like
            self.abort()
            self._store._fail(error, self._key, writing=True)
        self._done = True

    def abort(self) -> None:
        if self._done or self._file is None:
            self._done = True
            return
        self._done = True
        try:
            if self._partial == self._path:
                self._file.discard()
            else:
                self._file.close()
                self._store._fs.rm_file(self._partial)
        except Exception:  # noqa: BLE001  nothing appeared under the key; the rest is tidiness
            pass
