"""Writing a ZIP file (``.ozx``): chunks are appended as they come, documents are put in front at `close`.

Everything is stored, not compressed, and the directory is written in the ZIP64 form. Documents
(``zarr.json``, the files of Zarr v2) stand first in the file and in the directory, the root's first, then
breadth-first (RFC-9, OX-002). To spare a second copy of large data, room for them is left at the beginning
and what remains of it is filled by the padding field the Android tools use. When the room does not suffice,
or objects were replaced or deleted, the file is copied once more at `close`, without the dead bytes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import IO, Any, Final, NoReturn, Self, TypeAlias

from typing_extensions import Buffer

from voxarium.errors import Code, ExistsError, StoreError
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ObjectWriter
from voxarium.spec.ozx import dump_comment, is_document, recommended_version, sort_key
from voxarium.spec.zip_directory import Member, dump_directory, dump_local_header

__all__ = ["ZipWriter"]

_Names: TypeAlias = tuple[list[str], list[str]]  # inside the class, `list` is a method

_ROOM: Final = 64 << 10  # one padding field can fill it
_CHEAP: Final = 8 << 20  # smaller files are copied rather than padded
_COPY: Final = 8 << 20


class ZipWriter:
    """A ZIP file being written. It appears under its name at `close`, whole, or never.

    Parameters
    ----------
    path : str or path
        The file to make.
    overwrite : bool
        Replace a file that exists.
    durable : bool
        Flush the file to the disk before it appears.
    held : int
        Bytes of an object written piece by piece that are kept in memory; more goes to a temporary file.

    Examples
    --------
    >>> import os, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with ZipWriter(os.path.join(folder, "em.ozx")) as store:
    ...         store.put("zarr.json", b"{}")
    ...     os.listdir(folder)
    ['em.ozx']
    """

    concurrency = 1

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        durable: bool = False,
        held: int = 32 << 20,
    ) -> None:
        self.path = os.path.abspath(os.fspath(path))
        self.folder = os.path.dirname(self.path)
        self.held = held
        self._overwrite = overwrite
        self._durable = durable
        self._partial = os.path.join(self.folder, f".{os.path.basename(self.path)}.{secrets.token_hex(4)}.partial")
        self._lock = threading.RLock()
        self._documents: dict[str, bytes] = {}
        self._members: dict[str, tuple[Member, int]] = {}  # and where the data starts
        self._end = _ROOM
        self._dead = False
        if os.path.lexists(self.path) and not overwrite:
            raise self._exists()
        try:
            os.makedirs(self.folder, exist_ok=True)
            self._fd = os.open(self._partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        except OSError as error:
            _raise(error, self.path)

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> ZipWriter:
        """Return the writer of a local path or ``file://`` URI."""
        return cls(uri.removeprefix("file://"), **options)

    def __repr__(self) -> str:
        return f"ZipWriter({self.path!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def uri(self) -> str:
        """Address of the file."""
        return f"file://{self.path}"

    def _exists(self) -> ExistsError:
        return ExistsError(f"{self.path} exists", code=Code.TARGET_EXISTS, fix="choose another name, or overwrite it")

    def _opened(self) -> int:
        if self._fd < 0:
            raise StoreError(
                f"{self.path} is closed",
                code=Code.STORE_UNWRITABLE,
                fix="a finished ZIP file is not changed; write a new one",
            )
        return self._fd

    # ---------------------------------------------------------------------------------------- reading
    def get(self, key: str, /) -> bytes | None:
        """Return an object written before."""
        found = self.get_ranges(key, [ByteRange(0)])
        return None if found is None else bytes(found[0])

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[Buffer] | None:
        """Return parts of an object written before."""
        with self._lock:
            fd = self._opened()
            document = self._documents.get(checked_key(key))
            found = self._members.get(key)
        if document is not None:
            return [document[slice(*resolve_range(r, len(document)))] for r in ranges]
        if found is None:
            return None
        member, start = found
        spans = [resolve_range(r, member.size) for r in ranges]
        try:
            return [b"".join(_pieces(fd, start + a, start + b)) for a, b in spans]
        except OSError as error:
            _raise(error, self.path, Code.STORE_UNREADABLE)

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of an object written before."""
        with self._lock:
            document = self._documents.get(checked_key(key))
            found = self._members.get(key)
        if document is not None:
            return ObjectStat(len(document), f"{zlib.crc32(document):08x}")
        return None if found is None else ObjectStat(found[0].size, f"{found[1]:x}-{found[0].crc:08x}")

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, sorted by key."""
        start = f"{checked_prefix(prefix)}/" if prefix else ""
        with self._lock:
            sizes = {k: len(v) for k, v in self._documents.items()}
            sizes |= {k: m.size for k, (m, _) in self._members.items()}
        yield from sorted(item for item in sizes.items() if item[0].startswith(start))

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (object names, folder names) directly in a folder, each sorted naturally."""
        skip = len(prefix) + 1 if prefix else 0
        names: set[str] = set()
        folders: set[str] = set()
        for key, _ in self.list(prefix):
            head, slash, _ = key[skip:].partition("/")
            (folders if slash else names).add(head)
        return sorted(names, key=natural_key), sorted(folders, key=natural_key)

    # ---------------------------------------------------------------------------------------- writing
    def put(self, key: str, data: Buffer, /) -> None:
        """Store an object, replacing any."""
        view = memoryview(data).cast("B")
        if is_document(checked_key(key)):
            with self._lock:
                self._opened()
                self._documents[key] = bytes(view)
        else:
            self.append_member(key, view.nbytes, zlib.crc32(view), [view])

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store an object unless the key exists."""
        with self._lock:
            if self.stat(key) is not None:
                return False
            self.put(key, data)
            return True

    def create(self, key: str, /) -> ObjectWriter:
        """Begin an object that is written piece by piece; it joins the file at `commit`."""
        self._opened()
        return _MemberWriter(self, checked_key(key))

    def delete(self, key: str, /) -> None:
        """Remove an object."""
        with self._lock:
            self._opened()
            self._documents.pop(checked_key(key), None)
            if self._members.pop(key, None) is not None:
                self._dead = True

    def append_member(self, key: str, size: int, crc: int, pieces: Iterable[Buffer]) -> None:
        """Add a member of known size and CRC-32 behind the others. Threads write side by side."""
        member = Member(name=key, crc=crc, stored_size=size, size=size, header=0)
        header = dump_local_header(member)
        with self._lock:
            fd = self._opened()
            at = self._end
            self._end += len(header) + size
        try:
            _write_at(fd, at, [header, *pieces])
        except OSError as error:
            self._dead = True  # a hole
            _raise(error, self.path)
        with self._lock:
            self._dead |= key in self._members
            self._members[key] = (replace(member, header=at), at + len(header))

    # ---------------------------------------------------------------------------------------- the end
    def close(self) -> None:
        """Put the documents in front, write the directory, and make the file appear."""
        with self._lock:
            if self._fd < 0:
                return
            try:
                self._finish()
                self._appear()
            except OSError as error:
                self.abort()
                _raise(error, self.path)
            except BaseException:
                self.abort()
                raise
            os.close(self._fd)
            self._fd = -1

    def abort(self) -> None:
        """Forget everything."""
        with self._lock:
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
                with contextlib.suppress(OSError):  # nothing to remove
                    os.unlink(self._partial)

    def _finish(self) -> None:
        documents = sorted(self._documents.items(), key=lambda item: sort_key(item[0]))
        entries = [Member(name=k, crc=zlib.crc32(v), stored_size=len(v), size=len(v), header=0) for k, v in documents]
        needed = sum(len(dump_local_header(m)) + m.size for m in entries)
        left = _ROOM - needed
        pad = bool(entries) and not self._dead and (left == 0 or left >= 4) and self._end - _ROOM > _CHEAP
        at = 0
        for i, (member, (_, data)) in enumerate(zip(entries, documents, strict=True)):
            header = dump_local_header(member, padding=left if pad and i == len(entries) - 1 else 0)
            entries[i] = replace(member, header=at)
            documents[i] = (member.name, header + data)
            at += len(header) + len(data)
        chunks: Sequence[Member] = sorted((m for m, _ in self._members.values()), key=lambda m: m.header)
        if not pad:
            chunks = self._copied(chunks, at)
        _write_at(self._fd, 0, [data for _, data in documents])
        version = recommended_version(self._documents)
        comment = b"" if version is None else dump_comment(version)
        os.ftruncate(self._fd, self._end)
        _write_at(self._fd, self._end, [dump_directory([*entries, *chunks], self._end, comment)])
        if self._durable:
            os.fsync(self._fd)

    def _copied(self, chunks: Sequence[Member], at: int) -> Sequence[Member]:
        """Copy the live members into a new file, from byte `at` on, and go on with that file."""
        partial = f"{self._partial}2"
        fd = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        out = []
        try:
            for member in chunks:
                length = self._members[member.name][1] + member.size - member.header
                _write_at(fd, at, _pieces(self._fd, member.header, member.header + length))
                out.append(replace(member, header=at))
                at += length
        except BaseException:
            os.close(fd)
            os.unlink(partial)
            raise
        os.close(self._fd)
        self._fd = fd
        os.rename(partial, self._partial)
        self._end = at
        return out

    def _appear(self) -> None:
        if self._overwrite:
            os.rename(self._partial, self.path)
            return
        try:
            os.link(self._partial, self.path)  # fails when the name was taken meanwhile
        except FileExistsError:
            raise self._exists() from None
        except OSError:
            if os.path.lexists(self.path):
                raise self._exists() from None
            os.rename(self._partial, self.path)  # a file system without hard links
            return
        os.unlink(self._partial)


class _MemberWriter:
    """An object being written: in memory, or beyond a limit in a nameless file, until `commit`."""

    def __init__(self, store: ZipWriter, key: str) -> None:
        self._store = store
        self._key = key
        self._file: IO[bytes] | None = tempfile.SpooledTemporaryFile(  # noqa: SIM115  closed by commit, abort
            max_size=store.held, dir=store.folder
        )
        self._crc = 0
        self._size = 0

    def write(self, data: Buffer, /) -> None:
        """Append bytes."""
        if self._file is None:
            raise StoreError(
                f"{self._key} is no longer being written",
                code=Code.STORE_UNWRITABLE,
                fix="begin a new object with create()",
            )
        view = memoryview(data).cast("B")
        try:
            self._file.write(view)
        except OSError as error:
            _raise(error, self._store.path)
        self._crc = zlib.crc32(view, self._crc)
        self._size += view.nbytes

    def commit(self) -> None:
        """Add the object to the file."""
        if self._file is None:
            return
        try:
            self._file.seek(0)
            if is_document(self._key):
                self._store.put(self._key, self._file.read())
            else:
                self._store.append_member(self._key, self._size, self._crc, _read_pieces(self._file))
        finally:
            self.abort()

    def abort(self) -> None:
        """Forget the object."""
        if self._file is not None:
            self._file.close()
            self._file = None


def _write_at(fd: int, at: int, pieces: Iterable[Buffer]) -> None:
    for piece in pieces:
        view = memoryview(piece).cast("B")
        while view.nbytes:
            n = os.pwrite(fd, view, at)
            view = view[n:]
            at += n


def _pieces(fd: int, start: int, stop: int) -> Iterator[bytes]:
    while start < stop:
        piece = os.pread(fd, min(_COPY, stop - start), start)
        if not piece:
            raise OSError(errno.EIO, "the temporary file is too short")
        yield piece
        start += len(piece)


def _read_pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_COPY):
        yield piece


def _raise(error: OSError, path: str, code: Code = Code.STORE_UNWRITABLE) -> NoReturn:
    """Turn an operating-system error into a StoreError that tells the mend."""
    fix = "check the disk or mount, then try again"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        code, fix = Code.STORE_FULL, "free some space, then begin again"
    elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        code, fix = Code.STORE_PERMISSION, "check the permissions of the folder"
    raise StoreError(f"{path}: {error.strerror or error}", code=code, fix=fix) from error
