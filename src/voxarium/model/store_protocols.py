"""What a store must offer. Small capabilities, so that a read-only store cannot be handed to a writer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Protocol, runtime_checkable

from typing_extensions import Buffer

from voxarium.model.native import NativeFiles

__all__ = [
    "AppendableStore",
    "ByteRange",
    "FileStore",
    "ListableStore",
    "ManyStore",
    "NativeStore",
    "ObjectStat",
    "ObjectWriter",
    "PartialStore",
    "PatchableWriter",
    "ProbeStore",
    "ReadableStore",
    "ResumableStore",
    "TaggedStore",
    "TimedStore",
    "Upload",
    "UploadingStore",
    "WritableStore",
]


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes ``start … start + length`` of an object; negative `start`: from the end; length None: to the end."""

    start: int
    length: int | None = None


@dataclass(frozen=True, slots=True)
class ObjectStat:
    """Size of an object in bytes and an opaque token that changes whenever its content may have changed."""

    size: int
    generation: str


@runtime_checkable
class ReadableStore(Protocol):
    """Bytes by key. Keys are relative, ``/``-separated, never contain ``..`` and never start with ``/``.

    A method returns None only when the store is sure that the key does not exist; anything else raises StoreError.
    """

    @property
    def uri(self) -> str:
        """Address of the store, without credentials."""

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off: 1 for local files, tens for a network."""

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object, in the order asked. A range beyond the end raises StoreError."""

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation of an object without reading it."""


@runtime_checkable
class ManyStore(ReadableStore, Protocol):
    """A store that reads many whole objects faster in one call. An optimisation only."""

    def get_many(self, keys: Sequence[str], most: int, /) -> Sequence[Buffer | None]:
        """Return objects, in the order asked; `most` is what one is expected to take at most, in bytes."""


@runtime_checkable
class NativeStore(ReadableStore, Protocol):
    """A store whose objects compiled code can read by itself, without the interpreter lock. An optimisation only."""

    def open_native(self, keys: Sequence[str], /) -> NativeFiles | None:
        """Open objects; None when that is not possible here."""


@runtime_checkable
class ProbeStore(ReadableStore, Protocol):
    """A store that knows whether reading will have to wait for a disk. An optimisation only."""

    def in_memory(self, key: str, at: int, /) -> bool:
        """Tell whether the byte at a position is in the system's cache; True also when nobody can tell."""

    def announce(self, pieces: Iterable[tuple[str, Sequence[ByteRange]]], /) -> None:
        """Say what will be read, so that the disk can work on all of it. Returns at once; never fails."""


@runtime_checkable
class ListableStore(ReadableStore, Protocol):
    """A store whose keys can be listed."""

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of every object below `prefix` (a folder: ``a/b``), sorted by key where cheap."""

    def list_dir(self, prefix: str = "", /) -> tuple[Sequence[str], Sequence[str]]:
        """Return (names of objects, names of folders) directly in the folder `prefix`, each sorted naturally."""


class ObjectWriter(Protocol):
    """An object being written. It appears under its key at `commit`, whole, or never."""

    def write(self, data: Buffer, /) -> None:
        """Append bytes."""

    def commit(self) -> None:
        """Make the object appear."""

    def abort(self) -> None:
        """Forget what was written. Safe to call at any time, also after `commit`."""


@runtime_checkable
class PatchableWriter(ObjectWriter, Protocol):
    """A writer that can go back: for formats that begin with what is known last."""

    def patch(self, position: int, data: Buffer, /) -> None:
        """Overwrite bytes that were written."""


@runtime_checkable
class WritableStore(ReadableStore, Protocol):
    """A store that takes objects; each appears whole or not at all."""

    def put(self, key: str, data: Buffer, /) -> None:
        """Store an object, replacing any."""

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store an object unless the key exists; tell whether it was stored."""

    def create(self, key: str, /) -> ObjectWriter:
        """Begin an object that is written piece by piece."""

    def delete(self, key: str, /) -> None:
        """Remove an object; no error when it is absent."""


@runtime_checkable
class TaggedStore(WritableStore, Protocol):
    """A store that can replace an object only if it is still the one that was read (``If-Match``).

    Whether a server obeys is another question; see `voxarium.archive.shared_documents`.
    """

    def get_tagged(self, key: str, /) -> tuple[bytes, object] | None:
        """Return a whole object and a tag of what it is now; None when there is none."""

    def put_tagged(self, key: str, data: Buffer, tag: object, /) -> bool:
        """Replace an object if it has this tag; tell whether that was done."""


@runtime_checkable
class AppendableStore(WritableStore, Protocol):
    """A store whose objects can grow in place (local files): used for journals."""

    def append(self, key: str, data: Buffer, /) -> None:
        """Add bytes to the end of an object, creating it."""


@runtime_checkable
class ResumableStore(WritableStore, Protocol):
    """A store that may hold leftovers of writers that were killed."""

    def clear_partial(self) -> int:
        """Remove objects begun and never committed; return how many. Call only when no writer is at work."""


@runtime_checkable
class TimedStore(ReadableStore, Protocol):
    """A store that says when an object was written, by its own clock."""

    def modified(self, key: str, /) -> float | None:
        """Return seconds since 1970 by the clock of the store, or None when the key does not exist."""


@runtime_checkable
class PartialStore(WritableStore, Protocol):
    """A store that keeps objects being written under keys that no listing shows."""

    def list_partial(self) -> Iterator[tuple[str, int]]:
        """Yield (key, size) of objects begun and not committed, those of other writers below the same folder too."""


@dataclass(frozen=True, slots=True)
class Upload:
    """An object that is sent in parts: its key, the server's name for the sending, when it began, bytes so far."""

    key: str
    name: str
    started: float
    size: int


@runtime_checkable
class UploadingStore(WritableStore, Protocol):
    """A store to which objects are sent in parts, which stay, unseen, when the sender is killed."""

    def list_uploads(self) -> Iterator[Upload]:
        """Yield objects begun and neither finished nor given up; UnsupportedError when nobody can tell."""

    def abort_upload(self, upload: Upload, /) -> None:
        """Give up an object, so that its parts are removed; no error when it is gone."""


@runtime_checkable
class FileStore(ReadableStore, Protocol):
    """A store that can present an object as a seekable file, for libraries that want one."""

    def open_file(self, key: str, /) -> BinaryIO:
        """Open an object for reading; raises NotFoundError when absent."""

    def local_path(self, key: str, /) -> str | None:
        """Return the object's path on this machine, or None when it has none."""
