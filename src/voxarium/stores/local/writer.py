"""Files under a temporary name until they are whole."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from typing import Final, NoReturn, Protocol

from typing_extensions import Buffer

from voxarium.errors import Code, StoreError
from voxarium.stores.local.flushing import flush_folder
from voxarium.stores.local.reserve import allocate

__all__ = ["LocalWriter", "translate", "write_all"]

_RESERVE_FROM: Final = 4 << 20
_RESERVE_STEP: Final = 64 << 20
_MOST_PIECES: Final = 512  # below IOV_MAX everywhere


def translate(error: OSError, what: str) -> NoReturn:
    """Turn an operating-system error into a StoreError that tells the mend."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        raise StoreError(
            f"no space left while writing {what}",
            code=Code.STORE_FULL,
            fix="free some space (a dry run tells how much is needed), then resume",
        ) from error
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        raise StoreError(
            f"{what} may not be accessed: {error.strerror}",
            code=Code.STORE_PERMISSION,
            fix="check the permissions and owner of the folder, and that it is not mounted read-only",
        ) from error
    raise StoreError(
        f"{what} failed: {error.strerror or error}",
        code=Code.STORE_UNREADABLE,
        fix="check the disk or mount, then try again",
    ) from error


class _Folders(Protocol):
    """The store a file belongs to."""

    durable: bool

    def make_folder(self, path: str) -> None:
        """Make the folder a file goes into."""

    def forget_folder(self, folder: str) -> None:
        """Make a folder anew when it is needed next."""


class LocalWriter:
    """A file under a temporary name until `commit`.

    Parameters
    ----------
    store : LocalStore
        Who makes folders, and says whether files are flushed to the disk.
    path, partial : str
        Final and temporary path, on the same file system.
    """

    def __init__(self, store: _Folders, path: str, partial: str) -> None:
        self._store = store
        self._path = path
        self.partial = partial
        self._fd = self._open()
        self._position = 0
        self._reserved = _RESERVE_FROM

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        for _ in range(100):
            try:
                self._store.make_folder(self.partial)
                return os.open(self.partial, flags, 0o666)
            except (FileNotFoundError, FileExistsError):
                # Another writer removed the folder between two calls; makedirs may call that "exists".
                self._store.forget_folder(os.path.dirname(self.partial))
        raise StoreError(
            f"{self.partial} could not be made", code=Code.STORE_UNWRITABLE, fix="check what removes this folder"
        )

    def _reserve(self, nbytes: int) -> None:
        """Set aside room for a growing object: less work for the file system, and pieces that lie together."""
        self._position += nbytes
        while self._position > self._reserved:
            allocate(self._fd, self._reserved, _RESERVE_STEP)
            self._reserved += _RESERVE_STEP

    def write(self, data: Buffer, /) -> None:
        """Append bytes."""
        try:
            view = memoryview(data).cast("B")
            self._reserve(view.nbytes)
            write_all(self._fd, view)
        except OSError as error:
            translate(error, self._path)

    def write_many(self, parts: Sequence[Buffer], /) -> None:
        """Append several pieces in few calls."""
        views = [memoryview(p).cast("B") for p in parts]
        self._reserve(sum(v.nbytes for v in views))
        try:
            for i in range(0, len(views), _MOST_PIECES):
                some = views[i : i + _MOST_PIECES]
                written = os.writev(self._fd, some)
                for view in some:  # the kernel may stop early; go on where it did
                    done = min(written, view.nbytes)
                    written -= done
                    write_all(self._fd, view[done:])
        except OSError as error:
            translate(error, self._path)

    def patch(self, position: int, data: Buffer, /) -> None:
        """Overwrite bytes that were written."""
        view = memoryview(data).cast("B")
        try:
            while view.nbytes:
                done = os.pwrite(self._fd, view, position)
                view, position = view[done:], position + done
        except OSError as error:
            translate(error, self._path)

    def close(self) -> None:
        """End the file under its temporary name."""
        if self._fd >= 0:
            if self._reserved > _RESERVE_FROM:
                os.ftruncate(self._fd, self._position)  # gives back what was set aside and not used
            if self._store.durable:
                os.fsync(self._fd)
            os.close(self._fd)
            self._fd = -1

    def commit(self) -> None:
        """Give the file its name."""
        try:
            self.close()
            self._store.make_folder(self._path)
            try:
                os.rename(self.partial, self._path)
            except FileNotFoundError:
                self._store.forget_folder(os.path.dirname(self._path))  # removed meanwhile with its last file
                self._store.make_folder(self._path)
                os.rename(self.partial, self._path)
            if self._store.durable:
                flush_folder(os.path.dirname(self._path))
        except OSError as error:
            self.abort()
            translate(error, self._path)

    def abort(self) -> None:
        """Remove the file, if it has not got its name."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with contextlib.suppress(OSError):  # committed, or never made
            os.unlink(self.partial)


def write_all(fd: int, view: memoryview) -> None:
    """Write all bytes, in as many calls as the system needs."""
    while view.nbytes:
        view = view[os.write(fd, view) :]
