"""ZIP files (``.zip``, ``.ozx``), read in place: from a local disk, or by ranges from any other store.

The directory is read once, with one request for the size and one for the last 128 KiB (a third when the
directory is larger). A stored member's ranges are then ranges of the file. A deflated member is inflated
whole, never beyond the size the directory states.
"""

from __future__ import annotations

import bisect
import errno
import io
import os
import threading
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, Final, TypeAlias

from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code, FormatError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore
from voxarium.model.ranged import open_ranged
from voxarium.spec.ozx import parse_comment
from voxarium.spec.zip_directory import (
    DEFLATED,
    LOCAL_HEADER_SIZE,
    STORED,
    Member,
    parse_directory,
    parse_end,
    parse_local_header,
)

__all__ = ["ZipStore"]

_Names: TypeAlias = tuple[list[str], list[str]]  # inside the class, `list` is a method

_TAIL: Final = 128 << 10
_NAME_AND_EXTRA: Final = 2 * 65535  # at most, behind a local header
_EXPANSION: Final = 1032  # deflate cannot do better
_KEPT: Final = 64 << 20  # the last inflated member is kept up to this size


class ZipStore:
    """The members of a ZIP file.

    Parameters
    ----------
    base : ReadableStore
        The store that holds the file.
    key : str
        The file's key in it.
    max_directory : int
        Bytes of directory to accept, about 100 per member.
    max_inflated : int
        Bytes to which a deflated member may be inflated in memory.

    Raises
    ------
    NotFoundError
        If the file does not exist.
    FormatError
        If it is not a ZIP file, is damaged, or is made to deceive: unsafe names, overlapping members.
    """

    def __init__(
        self, base: ReadableStore, key: str, *, max_directory: int = 256 << 20, max_inflated: int = 2 << 30
    ) -> None:
        self._base = base
        self._key = checked_key(key)
        self._max_inflated = max_inflated
        self.concurrency = base.concurrency
        self._starts: dict[str, int] = {}
        self._lock = threading.Lock()
        self._inflated: tuple[str, bytes] | None = None
        stat = base.stat(key)
        if stat is None:
            raise NotFoundError(f"nothing at {self.uri}", code=Code.PATH_MISSING, fix="check the path")
        self._generation = stat.generation
        self._members, self.comment = self._read_directory(stat.size, max_directory)
        self._keys = sorted(self._members)

    @classmethod
    def from_uri(cls, uri: str, *, base: ReadableStore | None = None, **options: Any) -> ZipStore:
        """Return the store of a local path or ``file://`` URI, or of the key `uri` in `base`."""
        if base is not None:
            return cls(base, uri, **options)
        folder, name = os.path.split(os.path.abspath(uri.removeprefix("file://")))
        return cls(_Folder(folder), name, **options)

    def __repr__(self) -> str:
        return f"ZipStore({self.uri!r}, {len(self._members)} members)"

    @property
    def uri(self) -> str:
        """Address of the file."""
        return f"{self._base.uri.rstrip('/')}/{self._key}"

    @property
    def ozx_version(self) -> str | None:
        """The OME-Zarr version the comment states (RFC-9)."""
        return parse_comment(self.comment)[0]

    # ---------------------------------------------------------------------------------- the directory
    def _read_directory(self, size: int, limit: int) -> tuple[dict[str, Member], bytes]:
        tail = self._read([(max(0, size - _TAIL), size)])[0] if size else b""
        end = parse_end(bytes(tail), size)
        if end.size > limit:
            raise FormatError(
                f"the directory of {self.uri} has {end.size} bytes",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="pack the image with shards, or unpack it; or raise max_directory",
            )
        first = size - len(tail)
        if end.start >= first:
            raw = tail[end.start - first : end.start - first + end.size]
        else:
            raw = self._read([(end.start, end.start + end.size)])[0]
        return parse_directory(bytes(raw), end), end.comment

    def _read(self, spans: Sequence[tuple[int, int]]) -> list[memoryview]:
        """Return byte spans of the file, none of them empty."""
        found = self._base.get_ranges(self._key, [ByteRange(a, b - a) for a, b in spans])
        if found is None:
            raise StoreError(
                f"{self.uri} disappeared while it was read",
                code=Code.STORE_UNREADABLE,
                fix="open it again; something else removes or replaces it",
            )
        return [memoryview(part).cast("B") for part in found]

    # ---------------------------------------------------------------------------------------- reading
    def get(self, key: str, /) -> bytes | None:
        """Return a whole member, its CRC-32 checked."""
        member = self._members.get(checked_key(key))
        return None if member is None else self._content(member)

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[Buffer] | None:
        """Return parts of a member."""
        member = self._members.get(checked_key(key))
        if member is None:
            return None
        spans = [resolve_range(r, member.size) for r in ranges]
        self._check_readable(member)
        if member.method != STORED:
            content = memoryview(self._content(member))
            return [content[a:b] for a, b in spans]
        wanted = [i for i, (a, b) in enumerate(spans) if a < b]
        out: list[Buffer] = [b""] * len(spans)
        for i, part in zip(wanted, self._stored_parts(member, [spans[i] for i in wanted]), strict=True):
            out[i] = part
        return out

    def _stored_parts(self, member: Member, spans: Sequence[tuple[int, int]]) -> Sequence[memoryview]:
        """Return spans of a stored member; none of them empty."""
        if not spans:
            return []
        start = self._starts.get(member.name)
        if start is not None:
            return self._read([(start + a, start + b) for a, b in spans])
        # Where the data starts is told by the header alone; it is read beside the data at the likely place.
        guess = member.limit - member.stored_size
        header = (member.header, member.header + LOCAL_HEADER_SIZE)
        found = self._read([header, *((guess + a, guess + b) for a, b in spans)])
        start = parse_local_header(bytes(found[0]), member)
        self._starts[member.name] = start
        if start == guess:
            return found[1:]
        return self._read([(start + a, start + b) for a, b in spans])

    def _content(self, member: Member) -> bytes:
        with self._lock:
            if self._inflated is not None and self._inflated[0] == member.name:
                return self._inflated[1]
        self._check_readable(member)
        stop = min(member.limit, member.header + LOCAL_HEADER_SIZE + _NAME_AND_EXTRA + member.stored_size)
        raw = self._read([(member.header, stop)])[0]
        start = parse_local_header(bytes(raw[:LOCAL_HEADER_SIZE]), member)
        self._starts[member.name] = start
        stored = raw[start - member.header : start - member.header + member.stored_size]
        data = bytes(stored) if member.method == STORED else _inflated(stored, member)
        if zlib.crc32(data) != member.crc:
            raise ChecksumError(
                f"{member.name} in {self.uri} does not match its CRC-32",
                code=Code.CHECKSUM_MISMATCH,
                fix="the file was damaged; copy it again from its source",
            )
        if member.method != STORED and member.size <= _KEPT:
            with self._lock:
                self._inflated = (member.name, data)
        return data

    def _check_readable(self, member: Member) -> None:
        what = f"{member.name} in {self.uri}"
        if member.encrypted:
            raise UnsupportedError(
                f"{what} is encrypted", code=Code.FEATURE_UNSUPPORTED, fix="unpack it with its password first"
            )
        if member.method not in (STORED, DEFLATED):
            raise UnsupportedError(
                f"{what} is compressed by ZIP method {member.method}",
                code=Code.CODEC_UNKNOWN,
                fix="pack it anew without compression (zip -0); chunks are compressed already",
            )
        limit = member.stored_size
        if member.method == DEFLATED:
            limit = min(self._max_inflated, member.stored_size * _EXPANSION)
        if member.size > limit or (member.method == STORED and member.size != limit):
            raise FormatError(
                f"{what} is said to unpack from {member.stored_size} to {member.size} bytes",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="do not trust this file; or, if you made it, unpack it and read the folder",
            )

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of a member, from the directory."""
        member = self._members.get(checked_key(key))
        if member is None:
            return None
        return ObjectStat(member.size, f"{self._generation}-{member.header:x}-{member.crc:08x}")

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, sorted by key."""
        for key in self._below(prefix):
            yield key, self._members[key].size

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (member names, folder names) directly in a folder, each sorted naturally."""
        skip = len(prefix) + 1 if prefix else 0
        names: set[str] = set()
        folders: set[str] = set()
        for key in self._below(prefix):
            head, slash, _ = key[skip:].partition("/")
            (folders if slash else names).add(head)
        return sorted(names, key=natural_key), sorted(folders, key=natural_key)

    def _below(self, prefix: str) -> Sequence[str]:
        if not checked_prefix(prefix):
            return self._keys
        first = bisect.bisect_left(self._keys, f"{prefix}/")
        return self._keys[first : bisect.bisect_left(self._keys, f"{prefix}0")]  # "0" follows "/"

    def open_file(self, key: str, /) -> BinaryIO:
        """Open a member as a file."""
        member = self._members.get(checked_key(key))
        if member is None:
            raise NotFoundError(f"no {key!r} in {self.uri}", code=Code.PATH_MISSING, fix="check the path")
        if member.method != STORED:
            return io.BytesIO(self._content(member))
        return open_ranged(self, key, member.size)

    def local_path(self, key: str, /) -> str | None:
        """Members have no path of their own."""
        checked_key(key)
        return None


def _inflated(raw: memoryview, member: Member) -> bytes:
    try:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        data = inflater.decompress(raw, member.size + 1)
    except zlib.error:
        data = b""
    if len(data) != member.size or not inflater.eof or inflater.unused_data:
        raise FormatError(
            f"{member.name} does not inflate to the {member.size} bytes the ZIP directory tells",
            code=Code.CHUNK_CORRUPT,
            fix="the file was damaged; copy it again from its source",
        )
    return data


class _Folder:
    """Just enough of a local folder to read a ZIP file in it when no store was given."""

    concurrency = 1

    def __init__(self, root: str) -> None:
        self._root = root

    @property
    def uri(self) -> str:
        return f"file://{self._root}"

    def _open(self, key: str) -> int | None:
        try:
            return os.open(os.path.join(self._root, key), os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            denied = error.errno in (errno.EACCES, errno.EPERM)
            raise StoreError(
                f"{key} in {self._root} cannot be opened: {error.strerror}",
                code=Code.STORE_PERMISSION if denied else Code.STORE_UNREADABLE,
                fix="check the permissions of the file",
            ) from error

    def get(self, key: str, /) -> bytes | None:
        found = self.get_ranges(key, [ByteRange(0)])
        return None if found is None else bytes(found[0])

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[Buffer] | None:
        fd = self._open(key)
        if fd is None:
            return None
        try:
            size = os.fstat(fd).st_size
            spans = [resolve_range(r, size) for r in ranges]
            out: list[Buffer] = []
            for a, b in spans:
                parts = bytearray()
                while len(parts) < b - a:  # the kernel reads at most 2 GiB at a time
                    part = os.pread(fd, b - a - len(parts), a + len(parts))
                    if not part:
                        resolve_range(ByteRange(a, b - a), a + len(parts))  # raises: cut off meanwhile
                    parts += part
                out.append(parts)
            return out
        except OSError as error:
            raise StoreError(
                f"{key} in {self._root} cannot be read: {error.strerror}",
                code=Code.STORE_UNREADABLE,
                fix="check that it is a file, and the disk or mount it is on",
            ) from error
        finally:
            os.close(fd)

    def stat(self, key: str, /) -> ObjectStat | None:
        fd = self._open(key)
        if fd is None:
            return None
        try:
            s = os.fstat(fd)
        finally:
            os.close(fd)
        return ObjectStat(s.st_size, f"{s.st_ino:x}-{s.st_size:x}-{s.st_mtime_ns:x}")
