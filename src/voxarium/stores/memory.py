"""Objects in this process's memory: for tests, small results, and as a cache's backing."""

from __future__ import annotations

import io
import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from typing_extensions import Buffer

from voxarium.errors import Code, NotFoundError
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ObjectWriter

__all__ = ["MemoryStore"]


class MemoryStore:
    """A dictionary of objects. Every instance is a store of its own."""

    concurrency = 1

    def __init__(self, objects: dict[str, bytes] | None = None) -> None:
        self._lock = threading.Lock()
        self._serial = itertools.count(1)
        self._times: dict[str, float] = {}
        self._objects: dict[str, tuple[bytes, int]] = {}
        for key, data in (objects or {}).items():
            self.put(key, data)

    @classmethod
    def from_uri(cls, uri: str, **_options: Any) -> MemoryStore:
        """Return a new, empty store; the URI only has to say ``mem://``."""
        return cls()

    def __repr__(self) -> str:
        return f"MemoryStore({len(self._objects)} objects)"

    @property
    def uri(self) -> str:
        """Address; unique to the instance."""
        return f"mem://{id(self):x}"

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        found = self._objects.get(checked_key(key))
        return None if found is None else found[0]

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object."""
        data = self.get(key)
        if data is None:
            return None
        view = memoryview(data)
        return [view[slice(*resolve_range(r, len(data)))] for r in ranges]

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and a counter that grows with every write."""
        found = self._objects.get(checked_key(key))
        return None if found is None else ObjectStat(len(found[0]), str(found[1]))

    def modified(self, key: str, /) -> float | None:
        """Return when an object was written."""
        return self._times[key] if self.stat(key) is not None else None

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, sorted by key."""
        start = f"{checked_prefix(prefix)}/" if prefix else ""
        with self._lock:
            found = sorted((k, len(v[0])) for k, v in self._objects.items() if k.startswith(start))
        yield from found

    def list_dir(self, prefix: str = "", /) -> tuple[Sequence[str], Sequence[str]]:
        """Return (object names, folder names) directly in a folder."""
        start = f"{checked_prefix(prefix)}/" if prefix else ""
        files: set[str] = set()
        folders: set[str] = set()
        for key, _ in self.list(prefix):
            head, _, tail = key.removeprefix(start).partition("/")
            (folders if tail else files).add(head)
        return sorted(files, key=natural_key), sorted(folders, key=natural_key)

    def open_file(self, key: str, /) -> BinaryIO:
        """Open an object as a file."""
        data = self.get(key)
        if data is None:
            raise NotFoundError(f"no object {key!r} in memory", code=Code.PATH_MISSING, fix="check the key")
        return io.BytesIO(data)

    def local_path(self, key: str, /) -> str | None:
        """Objects in memory have no path."""
        return None

    def put(self, key: str, data: Buffer, /) -> None:
        """Store an object."""
        self._set(checked_key(key), bytes(data))

    def put_if_absent(self, key: str, data: Buffer, /) -> bool:
        """Store an object unless the key exists."""
        key = checked_key(key)
        with self._lock:
            if key in self._objects:
                return False
            self._set(key, bytes(data))
            return True

    def create(self, key: str, /) -> ObjectWriter:
        """Begin an object that is written piece by piece."""
        return _MemoryWriter(self, checked_key(key))

    def append(self, key: str, data: Buffer, /) -> None:
        """Add bytes to the end of an object."""
        with self._lock:
            old = self._objects.get(checked_key(key), (b"", 0))[0]
            self._set(key, old + bytes(data))

    def clock(self) -> float:
        """Return seconds since 1970, as objects are stamped with."""
        return time.time()

    def _set(self, key: str, data: bytes) -> None:
        self._times[key] = self.clock()
        self._objects[key] = (data, next(self._serial))

    def delete(self, key: str, /) -> None:
        """Remove an object."""
        self._objects.pop(checked_key(key), None)


class _MemoryWriter:
    """Collects bytes until `commit`."""

    def __init__(self, store: MemoryStore, key: str) -> None:
        self._store = store
        self._key = key
        self._parts: list[bytes] | None = []

    def write(self, data: Buffer, /) -> None:
        if self._parts is not None:
            self._parts.append(bytes(data))

    def patch(self, position: int, data: Buffer, /) -> None:
        if self._parts is not None:
            whole = bytearray(b"".join(self._parts))
            whole[position : position + memoryview(data).nbytes] = bytes(data)
            self._parts = [bytes(whole)]

    def commit(self) -> None:
        if self._parts is not None:
            self._store.put(self._key, b"".join(self._parts))
            self._parts = None

    def abort(self) -> None:
        self._parts = None
