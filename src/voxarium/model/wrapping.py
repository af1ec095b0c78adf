"""Wrapping a store: every operation passes through one method, and it can do what the wrapped store can.

A wrapper around a writable store is a writable store for `isinstance`, one around a read-only store is not:
the class of the wrapper is put together from the capabilities of what it wraps.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar, Self, TypeAlias, TypeVar, cast

from typing_extensions import Buffer

from voxarium.model.protocols import (
    AppendableStore,
    ByteRange,
    FileStore,
    ListableStore,
    ObjectStat,
    ObjectWriter,
    PartialStore,
    ReadableStore,
    ResumableStore,
    TimedStore,
    Upload,
    UploadingStore,
    WritableStore,
)

__all__ = ["READS", "WRITES", "Operation", "StoreWrapper"]

_T = TypeVar("_T")
_Names: TypeAlias = tuple[list[str], list[str]]

_LISTS = frozenset({"list", "list_dir", "list_partial", "list_uploads"})
READS = frozenset({"get", "get_ranges", "stat", "modified", "open_file", "read"}) | _LISTS
WRITES = frozenset({"put", "put_if_absent", "create", "write", "commit", "append", "delete"})


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing asked of a store.

    Parameters
    ----------
    method : str
        Name of the method of the store; ``write`` and ``commit`` of an object writer; ``read`` of an open
        file.
    key : str
        Key, or prefix for listings.
    ranges : tuple of ByteRange
        What is read of the object; empty for all of it.
    size : int
        Bytes handed over to be written.
    """

    method: str
    key: str
    ranges: tuple[ByteRange, ...] = ()
    size: int = 0


class StoreWrapper:
    """Base of stores that wrap another. Override `around`.

    Parameters
    ----------
    inner : ReadableStore
        The wrapped store.
    """

    watches_files: ClassVar[bool] = False  # reads of open files pass through `around` too
    hides_path: ClassVar[bool] = False  # nobody may go around the wrapper by opening the path

    inner: ReadableStore

    def __new__(cls, inner: ReadableStore, *_args: Any, **_options: Any) -> Self:  # Any: for __init__
        """Make an instance of the class with the parts that `inner` can do."""
        mixes = tuple(mix for kind, mix in _MIXES if isinstance(inner, kind))
        return cast("Self", object.__new__(_composed(cast("Any", cls), mixes)))

    def __init__(self, inner: ReadableStore) -> None:
        self.inner = inner

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.inner!r})"

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do an operation; `call` does it on the wrapped store."""
        return call()

    @property
    def uri(self) -> str:
        """Address of the wrapped store."""
        return self.inner.uri

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self.inner.concurrency

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        return self.around(Operation("get", key), lambda: self.inner.get(key))

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object."""
        operation = Operation("get_ranges", key, tuple(ranges))
        return self.around(operation, lambda: self.inner.get_ranges(key, ranges))

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of an object."""
        return self.around(Operation("stat", key), lambda: self.inner.stat(key))


class _Mix:
    """What the parts below find in the wrapper they are mixed into."""

    inner: Any  # Any: a store with the capability of the part
    around: Any  # Any: StoreWrapper.around
    watches_files: ClassVar[bool]
    hides_path: ClassVar[bool]


class _ListableMix(_Mix):
    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of every object below a folder."""
        found: Iterator[tuple[str, int]] = self.around(Operation("list", prefix), lambda: self.inner.list(prefix))
        return found

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (object names, folder names) directly in a folder."""
        found: _Names = self.around(Operation("list_dir", prefix), lambda: self.inner.list_dir(prefix))
        return found


class _WritableMix(_Mix):
    def put(self, key: str, data: Buffer, /) -> None:
        """Store an object, replacing any."""
        operation = Operation("put", key, size=memoryview(data).nbytes)
        self.around(operation, lambda: self.inner.put(key, data))

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store an object unless the key exists."""
        operation = Operation("put_if_absent", key, size=memoryview(data).nbytes)
        return bool(self.around(operation, lambda: self.inner.put_if_absent(key, data)))

    def create(self, key: str, /) -> ObjectWriter:
        """Begin an object that is written piece by piece."""
        writer = self.around(Operation("create", key), lambda: self.inner.create(key))
        return _WrappedWriter(self.around, key, writer)

    def delete(self, key: str, /) -> None:
        """Remove an object."""
        self.around(Operation("delete", key), lambda: self.inner.delete(key))


class _AppendableMix(_Mix):
    def append(self, key: str, data: Buffer, /) -> None:
        """Add bytes to the end of an object."""
        operation = Operation("append", key, size=memoryview(data).nbytes)
        self.around(operation, lambda: self.inner.append(key, data))


class _ResumableMix(_Mix):
    def clear_partial(self) -> int:
        """Remove what killed writers left behind."""
        return int(self.around(Operation("clear_partial", ""), self.inner.clear_partial))


class _TimedMix(_Mix):
    def modified(self, key: str, /) -> float | None:
        """Return when an object was written, by the clock of the store."""
        found: float | None = self.around(Operation("modified", key), lambda: self.inner.modified(key))
        return found


class _PartialMix(_Mix):
    def list_partial(self) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of objects begun and not committed."""
        found: Iterator[tuple[str, int]] = self.around(Operation("list_partial", ""), self.inner.list_partial)
        return found


class _UploadingMix(_Mix):
    def list_uploads(self) -> Iterator[Upload]:
        """Yield objects begun in parts and neither finished nor given up."""
        found: Iterator[Upload] = self.around(Operation("list_uploads", ""), self.inner.list_uploads)
        return found

    def abort_upload(self, upload: Upload, /) -> None:
        """Give up an object that was begun in parts."""
        self.around(Operation("abort_upload", upload.key), lambda: self.inner.abort_upload(upload))


class _FileMix(_Mix):
    def open_file(self, key: str, /) -> BinaryIO:
        """Open an object for reading."""
        file: BinaryIO = self.around(Operation("open_file", key), lambda: self.inner.open_file(key))
        if not self.watches_files:
            return file
        return io.BufferedReader(_WatchedFile(self.around, key, file), 64 << 10)

    def local_path(self, key: str, /) -> str | None:
        """Return the object's path on this machine, unless the wrapper would be gone around by it."""
        found: str | None = self.around(Operation("local_path", key), lambda: self.inner.local_path(key))
        return None if self.hides_path else found


_MIXES: tuple[tuple[Any, type], ...] = (  # Any: protocols
    (ListableStore, _ListableMix),
    (WritableStore, _WritableMix),
    (AppendableStore, _AppendableMix),
    (ResumableStore, _ResumableMix),
    (TimedStore, _TimedMix),
    (PartialStore, _PartialMix),
    (UploadingStore, _UploadingMix),
    (FileStore, _FileMix),
)


@functools.cache
def _composed(cls: Any, mixes: tuple[type, ...]) -> Any:  # Any: classes
    missing = tuple(mix for mix in mixes if not issubclass(cls, mix))
    if not missing:
        return cls
    return type(cls.__name__, (cls, *missing), {"__module__": cls.__module__, "__doc__": cls.__doc__})


class _WrappedWriter:
    """An object being written through a wrapper."""

    def __init__(self, around: Any, key: str, inner: ObjectWriter) -> None:  # Any: StoreWrapper.around
        self._around = around
        self._key = key
        self._inner = inner

    def write(self, data: Buffer, /) -> None:
        operation = Operation("write", self._key, size=memoryview(data).nbytes)
        self._around(operation, lambda: self._inner.write(data))

    def commit(self) -> None:
        self._around(Operation("commit", self._key), self._inner.commit)

    def abort(self) -> None:
        self._inner.abort()


class _WatchedFile(io.RawIOBase):
    """An open file whose reads pass through a wrapper."""

    def __init__(self, around: Any, key: str, inner: BinaryIO) -> None:  # Any: StoreWrapper.around
        self._around = around
        self._key = key
        self._inner = inner

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._inner.tell()

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        return self._inner.seek(position, whence)

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer).cast("B")
        operation = Operation("read", self._key, (ByteRange(self._inner.tell(), view.nbytes),))
        data = self._around(operation, lambda: self._inner.read(view.nbytes))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._inner.close()
        super().close()
