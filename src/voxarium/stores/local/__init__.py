"""Local files: objects appear by rename, parts are read with ``pread``."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import wraps
from typing import Any, BinaryIO, Final, ParamSpec, TypeVar

from typing_extensions import Buffer

from voxarium.errors import Code, NotFoundError, StoreError
from voxarium.model.keys import checked_key, natural_key, resolve_range
from voxarium.model.native import NativeFiles
from voxarium.model.protocols import ByteRange, ObjectStat, ObjectWriter
from voxarium.stores.local.flushing import flush_folder, make_flushed
from voxarium.stores.local.writer import LocalWriter, translate, write_all

__all__ = ["PARTIAL_FOLDER", "LocalStore"]

# Objects being written live here, on the same file system as the final keys, so that one rename makes them appear
# and one folder tells what a killed writer left behind.
PARTIAL_FOLDER: Final = ".voxarium-partial"

# From so many files on, reading them in one compiled call pays off.
_MANY: Final = 8

_P = ParamSpec("_P")
_T = TypeVar("_T")


def _guarded(method: Callable[_P, _T]) -> Callable[_P, _T]:
    """Let no bare OSError leave a method whose first two arguments are the store and a key."""

    @wraps(method)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return method(*args, **kwargs)
        except OSError as error:
            translate(error, "/".join(str(getattr(a, "root", a)) for a in args[:2]))

    return wrapper


class LocalStore:
    """A folder of this machine.

    Parameters
    ----------
    root : str or path
        The folder. It need not exist; it is made when something is written.
    durable : bool
        Flush every object to the disk before it appears, and then its name (fsync): survives a power cut, costs time.
    """

    concurrency = 1

    def __init__(self, root: str | os.PathLike[str], *, durable: bool = False) -> None:
        self.root = os.path.abspath(os.fspath(root))
        self.durable = durable
        self._prefix = self.root.rstrip("/") + "/"
        self._serial = itertools.count()
        self._token = secrets.token_hex(4)
        self._folders: set[str] = set()
        self._made: Any = ()  # the root and folders above it that did not exist before; Any: `list` is a method

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> LocalStore:
        """Return the store of a path or ``file://`` URI."""
        return cls(uri.removeprefix("file://"), **options)

    def __repr__(self) -> str:
        return f"LocalStore({self.root!r})"

    @property
    def uri(self) -> str:
        """Address of the folder."""
        return f"file://{self.root}"

    def _path(self, key: str) -> str:
        return self._prefix + checked_key(key)

    # ------------------------------------------------------------------------------------------------- reading
    @_guarded
    def get(self, key: str, /) -> bytes | None:
        """Return a whole file, or None when there is none."""
        try:
            fd = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            return _read_exactly(fd, 0, os.fstat(fd).st_size, key)
        except IsADirectoryError:
            return None  # a folder is not an object
        finally:
            os.close(fd)

    @_guarded
    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of a file, opened once."""
        try:
            fd = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):
                return None  # a folder is not an object
            size = status.st_size
            out: Any = []  # Any: `list` is a method here
            for r in ranges:
                start, stop = resolve_range(r, size)
                out.append(_read_exactly(fd, start, stop - start, key))
            found: Sequence[Buffer] = out
            return found
        except IsADirectoryError:
            return None
        finally:
            os.close(fd)

    def open_native(self, keys: Sequence[str], /) -> NativeFiles | None:
        """Return files for compiled code to read."""
        from voxarium.stores.local.many import native_files

        return native_files([os.fsencode(self._path(k)) for k in keys], os.O_RDONLY | os.O_CLOEXEC)

    def in_memory(self, key: str, at: int, /) -> bool:
        """Tell whether a byte is in the page cache; True also where the system cannot tell."""
        try:
            fd = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return True  # reading will tell what is wrong
        try:
            os.preadv(fd, [bytearray(1)], at, os.RWF_NOWAIT)
        except BlockingIOError:
            return False
        except (OSError, AttributeError):
            return True
        finally:
            os.close(fd)
        return True

    def announce(self, pieces: Iterable[tuple[str, Sequence[ByteRange]]], /) -> None:
        """Ask the system to read ahead."""
        for key, ranges in pieces:
            with contextlib.suppress(OSError, AttributeError):  # absent, or a system that cannot: reading will tell
                fd = os.open(self._path(key), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    for r in ranges:
                        os.posix_fadvise(fd, r.start, r.length or 0, os.POSIX_FADV_WILLNEED)
                finally:
                    os.close(fd)

    def get_many(self, keys: Sequence[str], most: int, /) -> Sequence[Buffer | None]:
        """Return whole files, in the order asked; `most` is what one is expected to take at most, in bytes."""
        if len(keys) < _MANY:
            return [self.get(key) for key in keys]
        from voxarium.stores.local.many import read_files

        read = read_files([os.fsencode(self._path(k)) for k in keys], most, os.O_RDONLY | os.O_CLOEXEC)
        if read is None:
            return [self.get(key) for key in keys]
        view, places = read[0].data, read[1].tolist()
        # A file that could not be read this way is absent, or `get` tells what is wrong with it.
        return [view[at : at + n] if n >= 0 else self.get(k) for k, (at, n) in zip(keys, places, strict=True)]

    @_guarded
    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and a token of inode, size and modification time."""
        try:
            s = os.stat(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        if s.st_mode & 0o170000 == 0o040000:
            return None
        return ObjectStat(s.st_size, f"{s.st_ino:x}-{s.st_size:x}-{s.st_mtime_ns:x}")

    @_guarded
    def modified(self, key: str, /) -> float | None:
        """Return when a file was written, by the clock that stamps files of this file system."""
        try:
            s = os.stat(self._path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return None if stat.S_ISDIR(s.st_mode) else s.st_mtime

    @_guarded
    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, folder by folder, sorted."""
        return iter(_walk(self._path(prefix) if prefix else self.root, prefix))

    @_guarded
    def list_dir(self, prefix: str = "", /) -> tuple[Sequence[str], Sequence[str]]:
        """Return (file names, folder names) directly in a folder, each sorted naturally."""
        files: Any = []  # Any: `list` is a method here
        folders: Any = []
        try:
            with os.scandir(self._path(prefix) if prefix else self.root) as entries:
                for e in entries:
                    (folders if e.is_dir() else files).append(e.name)
        except (FileNotFoundError, NotADirectoryError):
            return [], []
        if PARTIAL_FOLDER in folders:
            folders.remove(PARTIAL_FOLDER)
        return sorted(files, key=natural_key), sorted(folders, key=natural_key)

    @_guarded
    def open_file(self, key: str, /) -> BinaryIO:
        """Open a file for reading."""
        try:
            return open(self._path(key), "rb")
        except FileNotFoundError as error:
            raise NotFoundError(
                f"no file {key!r} in {self.root}", code=Code.PATH_MISSING, fix="check the path"
            ) from error

    def local_path(self, key: str, /) -> str | None:
        """Return the path of a file."""
        return self._path(key)

    # ------------------------------------------------------------------------------------------------- writing
    def make_folder(self, path: str) -> None:
        """Make the folder a file goes into."""
        folder = os.path.dirname(path)
        if folder not in self._folders:
            if not self._folders and not os.path.isdir(self.root):
                self._made = _absent_folders(self.root)
            if self.durable and not folder.endswith(f"/{PARTIAL_FOLDER}"):
                make_flushed(folder)
            else:
                os.makedirs(folder, exist_ok=True)
            self._folders.add(folder)

    def forget_folder(self, folder: str) -> None:
        """Make a folder anew when it is needed next: another writer removed it."""
        self._folders.discard(folder)

    def _partial_path(self) -> str:
        return f"{self._prefix}{PARTIAL_FOLDER}/{os.getpid():x}-{self._token}-{next(self._serial):x}"

    @_guarded
    def create(self, key: str, /) -> ObjectWriter:
        """Begin a file; it gets its name at `commit`."""
        return LocalWriter(self, self._path(key), self._partial_path())

    def put(self, key: str, data: Buffer, /) -> None:
        """Write a file whole, replacing any."""
        writer = self.create(key)
        try:
            writer.write(data)
            writer.commit()
        except BaseException:
            writer.abort()
            raise
        self.remove_partial_folder()

    @_guarded
    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Write a file whole unless it exists. Two writers cannot both succeed."""
        path = self._path(key)
        writer = LocalWriter(self, path, self._partial_path())
        try:
            writer.write(data)
            writer.close()
            self.make_folder(path)
            os.link(writer.partial, path)  # fails when the name is taken, atomically
            if self.durable:
                flush_folder(os.path.dirname(path))
        except FileExistsError:
            return False
        finally:
            writer.abort()
            self.remove_partial_folder()
        return True

    @_guarded
    def append(self, key: str, data: Buffer, /) -> None:
        """Add bytes to the end of a file in one write."""
        path = self._path(key)
        self.make_folder(path)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            write_all(fd, memoryview(data).cast("B"))
            if self.durable:
                os.fsync(fd)
                flush_folder(os.path.dirname(path))
        finally:
            os.close(fd)

    @_guarded
    def delete(self, key: str, /) -> None:
        """Remove a file, and the folders that become empty, up to the root."""
        path = self._path(key)
        try:
            os.unlink(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        folder = os.path.dirname(path)
        while len(folder) > len(self.root):
            self._folders.discard(folder)
            try:
                os.rmdir(folder)
            except OSError:
                break  # not empty
            folder = os.path.dirname(folder)

    @_guarded
    def clear_partial(self) -> int:
        """Remove what killed writers left behind, and the root if this store made it and it holds nothing."""
        count = 0
        with contextlib.suppress(FileNotFoundError), os.scandir(self._prefix + PARTIAL_FOLDER) as entries:
            for e in entries:
                os.unlink(e.path)
                count += 1
        self.remove_partial_folder()
        with contextlib.suppress(OSError):  # the first that is not empty, or gone
            for made in self._made:
                os.rmdir(made)
                self._folders.clear()
        return count

    @_guarded
    def list_partial(self) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of files begun and not committed, here and in folders below."""
        return iter(_walk_partial(self.root, ""))

    def remove_partial_folder(self) -> None:
        """Remove the folder of unfinished objects if nothing is in it."""
        folder = self._prefix + PARTIAL_FOLDER
        with contextlib.suppress(OSError):  # another writer may be at work, or it is gone already
            os.rmdir(folder)
        self._folders.discard(folder)


def _absent_folders(path: str) -> list[str]:
    """Return a folder and those above it that do not exist, the deepest first."""
    found = []
    while not os.path.exists(path):
        found.append(path)
        path = os.path.dirname(path)
    return found


def _read_exactly(fd: int, start: int, length: int, key: str) -> bytes:
    data = os.pread(fd, length, start)
    if len(data) == length:
        return data
    parts = [data]
    got = len(data)
    while got < length:  # the kernel reads at most 2 GiB at a time
        data = os.pread(fd, length - got, start + got)
        if not data:
            raise StoreError(
                f"{key} ends at byte {start + got}, {length - got} bytes too early",
                code=Code.FILE_TRUNCATED,
                fix="the file changed or was cut off while it was read; copy it again",
            )
        parts.append(data)
        got += len(data)
    return b"".join(parts)


def _walk_partial(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    try:
        with os.scandir(folder) as entries:
            below = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return
    for name in below:
        key, path = f"{prefix}/{name}" if prefix else name, f"{folder}/{name}"
        if name != PARTIAL_FOLDER:
            yield from _walk_partial(path, key)
            continue
        with contextlib.suppress(FileNotFoundError), os.scandir(path) as entries:
            for e in entries:
                with contextlib.suppress(FileNotFoundError):  # committed meanwhile
                    yield f"{key}/{e.name}", e.stat(follow_symlinks=False).st_size


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, int]]:
    # Of a folder with a million files only the names are kept: entries take ten times as much.
    names: list[str] = []
    folders: set[str] = set()
    try:
        with os.scandir(folder) as entries:
            for e in entries:
                names.append(e.name)
                if e.is_dir():
                    folders.add(e.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    names.sort()
    for name in names:
        key = f"{prefix}/{name}" if prefix else name
        if name not in folders:
            yield key, os.stat(f"{folder}/{name}").st_size
        elif name != PARTIAL_FOLDER:
            yield from _walk(f"{folder}/{name}", key)
