"""Where raw bytes come from: a folder of this machine, or any other store."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Protocol

from typing_extensions import Buffer

from voxarium.core.release_store import ReleaseStore
from voxarium.errors import Code, StoreError
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.serve.answers import WouldWait
from voxarium.serve.opening import OPEN_FLAGS, no_links_opener

__all__ = ["ByteSource", "Facts", "FolderSource", "ReleaseSource", "Slice", "StoreSource"]

# Systems whose files are elsewhere: even opening one takes a round trip.
_FAR: Final = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "ceph", "9p", "afs", "glusterfs")
_ABSENT: Final = (
    errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO, errno.EINVAL, errno.EILSEQ,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of an object without reading it.

    Parameters
    ----------
    size : int
        In bytes.
    etag : bytes
        Another one whenever the content may have changed; with its quotes.
    modified : int or None
        Seconds since 1970.
    sha256 : bytes
        Of the content, where somebody vouches for it.
    """

    size: int
    etag: bytes
    modified: int | None = None
    sha256: bytes = b""


class Slice(Protocol):
    """An object while an answer is put together. It is closed before anybody waits for anything."""

    @property
    def facts(self) -> Facts:
        """What is known of it."""

    def read(self, start: int, stop: int) -> Buffer:
        """Return bytes; `WouldWait` tells that they are not at hand, where waiting was not allowed.

        Raises
        ------
        StoreError
            If the object has become shorter.
        """

    def close(self) -> None:
        """Let go of it."""


class ByteSource(Protocol):
    """Objects by key. `wait` tells whether the caller can wait, being in a thread of its own."""

    nearby: bool  # looking whether an object is there costs next to nothing

    def open(self, key: str, *, wait: bool) -> Slice | None:
        """Return an object; None when it is not there, or not to be shown. `WouldWait` when that takes long.

        Raises
        ------
        StoreError
            If that cannot be found out.
        """


def shortened(key: str) -> StoreError:
    """Return the error for an object that changes while it is sent."""
    return StoreError(
        f"{key} became shorter while it was read", code=Code.FILE_TRUNCATED, fix="ask again when it is complete"
    )


# ------------------------------------------------------------------------------------------------------------- files
class FolderSource:
    """Files below a folder of this machine.

    Parameters
    ----------
    folder : str
        Nothing outside it is ever sent, whatever links say, unless `follow` is set.
    follow : bool
        Follow symbolic links that lead out of the folder.
    links : bool
        Follow symbolic links at all; without it, a file is found under one name only.
    """

    nearby = True

    def __init__(self, folder: str, *, follow: bool = False, links: bool = True) -> None:
        self._links = links
        self._prefix = os.path.abspath(folder).rstrip("/") + "/"
        self._real = os.path.realpath(folder).rstrip("/") + "/"
        self._follow = follow
        self._far = file_system(self._real) in _FAR
        self._peeks = hasattr(os, "preadv") and hasattr(os, "RWF_NOWAIT")
        self._open_plain = None if follow else no_links_opener()

    def open(self, key: str, *, wait: bool) -> Slice | None:
        """Open a file; None for folders, devices, and what links lead to outside."""
        if self._far and not wait:
            raise WouldWait
        fd, inside = self._opened(key)
        if fd is None:
            return None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or not (inside or self._is_inside(fd, key)):
                os.close(fd)
                return None
        except BaseException:
            os.close(fd)
            raise
        return _File(fd, key, status, peek=self._peeks and not wait)

    def _opened(self, key: str) -> tuple[int | None, bool]:
        """Return an open file, None when it is not there; and whether it needs no asking where that is."""
        if self._open_plain is not None:
            fd = self._open_plain(self._real + key)
            if fd >= 0:
                return fd, True
        try:
            return os.open(self._prefix + key, OPEN_FLAGS), self._follow
        except OSError as error:
            if error.errno in _ABSENT:
                return None, False
            raise _unreadable(key, error) from error

    def _is_inside(self, fd: int, key: str) -> bool:
        """Tell whether an open file lies in the folder. The file is asked, not its path, which may change meanwhile."""
        try:
            real = opened_path(fd)
        except OSError:
            real = os.path.realpath(self._prefix + key)
        return real.startswith(self._real) if self._links else real == self._real + key


def opened_path(fd: int) -> str:
    """Return where an open file is, after all links.

    Raises
    ------
    OSError
        If the system does not tell.
    """
    if sys.platform == "darwin":  # pragma: no cover
        import fcntl

        return os.fsdecode(fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024)).rstrip(b"\0"))
    return os.readlink(f"/proc/self/fd/{fd}")


def file_system(path: str) -> str:
    """Return the kind of file system that a path is on; empty when the system does not tell."""
    best, kind = "", ""
    with suppress(OSError, ValueError), open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as lines:
        for line in lines:
            before, _, after = line.partition(" - ")
            point = before.split(" ")[4].rstrip("/") + "/"
            if path.startswith(point) and len(point) >= len(best):
                best, kind = point, after.split(" ", 1)[0]
    return kind


def _unreadable(key: str, error: OSError) -> StoreError:
    return StoreError(
        f"{key} could not be read: {error.strerror}",
        code=Code.STORE_PERMISSION if error.errno in (errno.EACCES, errno.EPERM) else Code.STORE_UNREADABLE,
        fix="check the permissions of the file and its folders for the user the server runs as",
    )


class _File:
    """An open file."""

    __slots__ = ("_fd", "_key", "_peek", "facts")

    def __init__(self, fd: int, key: str, status: os.stat_result, *, peek: bool) -> None:
        self._fd = fd
        self._key = key
        self._peek = peek
        self.facts = Facts(
            status.st_size, b'"%x-%x"' % (status.st_mtime_ns, status.st_size), max(0, int(status.st_mtime))
        )

    def read(self, start: int, stop: int) -> Buffer:
        """Read from the system's cache; from the disk only when waiting is allowed."""
        if self._peek:
            found = self._at_hand(start, stop)
            if found is not None:
                return found
        out = os.pread(self._fd, stop - start, start)
        if len(out) == stop - start:
            return out
        parts = [out]
        at = start + len(out)
        while at < stop:  # the system returns at most 2 GiB at once, or the file has become shorter
            part = os.pread(self._fd, stop - at, at)
            if not part:
                raise shortened(self._key)
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def _at_hand(self, start: int, stop: int) -> Buffer | None:
        """Return bytes from the cache; None where the system cannot tell whether they are in it."""
        room = bytearray(stop - start)
        try:
            if os.preadv(self._fd, [room], start, os.RWF_NOWAIT) == len(room):
                return room
        except BlockingIOError:
            raise WouldWait from None
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
                return None
            raise _unreadable(self._key, error) from error
        raise WouldWait

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


# ------------------------------------------------------------------------------------------------------------ stores
class StoreSource:
    """Objects of a store.

    Parameters
    ----------
    store : ReadableStore
        Which.
    folder : str
        The folder of it that keys begin in; empty for all.
    """

    def __init__(self, store: ReadableStore, folder: str = "") -> None:
        self._store = store
        self._above = f"{folder}/" if folder else ""
        self.nearby = store.concurrency == 1

    def open(self, key: str, *, wait: bool) -> Slice | None:
        """Ask the store."""
        if not wait:
            raise WouldWait
        key = self._above + key
        found = self._store.stat(key)
        if found is None:
            return None
        tag = blake2b(f"{found.generation} {found.size}".encode(), digest_size=12).hexdigest()
        return _Object(self._store, key, Facts(found.size, f'"{tag}"'.encode()))


@dataclass(frozen=True, slots=True)
class _Object:
    store: ReadableStore
    key: str
    facts: Facts

    def read(self, start: int, stop: int) -> Buffer:
        """Ask the store for a part."""
        parts: Sequence[Buffer] | None = self.store.get_ranges(self.key, [ByteRange(start, stop - start)])
        if parts is None:
            raise shortened(self.key)
        return parts[0]

    def close(self) -> None:
        """Nothing is held."""


class ReleaseSource:
    """Objects of a release: whether they are there, their sizes and tags are those of its manifest.

    Parameters
    ----------
    store : ReleaseStore
        The release.
    folder : str
        The folder of it that keys begin in; empty for all.
    """

    nearby = True  # the list of all objects is at hand

    def __init__(self, store: ReleaseStore, folder: str = "") -> None:
        self._store = store
        self._above = f"{folder}/" if folder else ""

    def open(self, key: str, *, wait: bool) -> Slice | None:
        """Look into the manifest."""
        key = self._above + key
        found = self._store.stat(key)
        if found is None:
            return None
        if not wait:
            raise WouldWait
        digest = found.generation
        return _Object(self._store, key, Facts(found.size, f'"{digest}"'.encode(), sha256=bytes.fromhex(digest)))

    def check(self, key: str) -> None:
        """Make sure that an object of the release is where it should be.

        Raises
        ------
        ChecksumError
            If it is not.
        """
        found = self._store.stat(self._above + key)
        if found is not None:
            self._store.get_ranges(self._above + key, [ByteRange(0, min(1, found.size))])
