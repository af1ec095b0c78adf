"""A store that remembers: the parts read last stay in memory, and on request on a local disk.

An entry is found by (address of the store, key, range, generation), so that content of an object that has
since changed is never taken for the present one, once the change is noticed. When it is noticed depends on
`max_age`:

* None: the generation of a key is not asked for. Right while the data does not change, as for one job.
* seconds: it is asked for (one cheap request) when it was learned longer ago; 0 asks at every read.

With a disk cache the generation is always asked for once per key and process, because the disk outlives both.
Writes through this store are noticed at once. Nothing is ever invented: what cannot be read raises as it
would without the cache, and an absent object is remembered as absent only with `remember_absent`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import struct
import threading
import time
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from typing_extensions import Buffer

from voxarium.errors import Code, InputError
from voxarium.model.keys import checked_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat, ReadableStore
from voxarium.model.wrapping import WRITES, Operation, StoreWrapper

__all__ = ["CacheStore"]

_T = TypeVar("_T")
_Place: TypeAlias = tuple[int, int | None] | None  # start and length of a range; None for the whole object
_Entry: TypeAlias = tuple[str, _Place, str]  # key, place, generation
_UNASKED: Final = "-"
_HEADER: Final = struct.Struct("<4sQI")
_MAGIC: Final = b"VXC1"


class CacheStore(StoreWrapper):
    """A store whose reads are answered from memory, or from a local disk, when they can be.

    Parameters
    ----------
    inner : ReadableStore
        The wrapped store.
    memory : int
        Bytes to keep in memory. Parts larger than a quarter of this are not kept.
    disk : str or path or None
        Folder for a cache that outlives the program; several programs may share it.
    disk_bytes : int
        Bytes to keep there.
    max_age : float or None
        Seconds for which a key is taken as unchanged; see above.
    remember_absent : bool
        Also remember that a key does not exist.

    Attributes
    ----------
    hits, misses : int
        Parts answered from the cache, and parts that were read.
    """

    def __init__(
        self,
        inner: ReadableStore,
        *,
        memory: int = 256 << 20,
        disk: str | os.PathLike[str] | None = None,
        disk_bytes: int = 10 << 30,
        max_age: float | None = None,
        remember_absent: bool = False,
    ) -> None:
        super().__init__(inner)
        if memory < 0 or disk_bytes < 0 or (max_age is not None and max_age < 0):
            raise InputError(
                f"a cache of {memory} and {disk_bytes} bytes for {max_age} seconds makes no sense",
                code=Code.ARGUMENT_INVALID,
                fix="give sizes and an age that are not negative",
            )
        self._memory = memory
        self._max_age = max_age
        self._remember_absent = remember_absent
        self._disk = None if disk is None else _DiskCache(os.fspath(disk), disk_bytes)
        self._lock = threading.Lock()
        self._entries: OrderedDict[_Entry, bytes | None] = OrderedDict()
        self._by_key: dict[str, set[_Entry]] = {}
        self._known: dict[str, tuple[ObjectStat | None, float]] = {}  # generation, and when it was learned
        self._writes = 0
        self._used = 0
        self.hits = 0
        self.misses = 0

    # ---------------------------------------------------------------------------------------- reading
    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        found = self._through(checked_key(key), [None])
        return None if found is None else found[0]

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object; those not in the cache are read in one go."""
        if not ranges:
            return super().get_ranges(key, ranges)
        return self._through(checked_key(key), [(r.start, r.length) for r in ranges])

    def _through(self, key: str, places: Sequence[_Place]) -> list[bytes] | None:
        generation = self._generation(key)
        if generation is None:
            return None
        with self._lock:
            writes = self._writes
        out: list[bytes | None] = []
        for place in places:
            known, data = self._find(key, place, generation)
            if known and data is None:
                return None
            out.append(data)
        missing = [i for i, data in enumerate(out) if data is None]
        with self._lock:
            self.hits += len(places) - len(missing)
            self.misses += len(missing)
        if missing:
            fresh = self._read(key, [places[i] for i in missing])
            with self._lock:
                valid = writes == self._writes  # else a write came between: not to be remembered
            if fresh is None:
                if self._remember_absent and valid:
                    self._keep((key, None, generation), None)
                return None
            for i, data in zip(missing, fresh, strict=True):
                out[i] = data
                if valid:
                    self._keep((key, places[i], generation), data)
                    if self._disk is not None:
                        self._disk.put(self._digest(key, places[i], generation), data)
        return [data for data in out if data is not None]

    def _read(self, key: str, places: Sequence[_Place]) -> list[bytes] | None:
        if places[0] is None:
            data = self.inner.get(key)
            return None if data is None else [data]
        ranges = [ByteRange(*place) for place in places if place is not None]
        found = self.inner.get_ranges(key, ranges)
        return None if found is None else [bytes(part) for part in found]

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and generation, always from the wrapped store."""
        found = super().stat(key)
        with self._lock:
            self._known[key] = (found, time.monotonic())
        return found

    def _generation(self, key: str) -> str | None:
        """Return the generation entries of a key must have; None when the key is known to be absent."""
        if self._disk is None and self._max_age is None:
            return _UNASKED
        with self._lock:
            known = self._known.get(key)
        fresh = known is not None and (
            self._max_age is None or (self._max_age > 0 and time.monotonic() - known[1] < self._max_age)
        )
        if known is None or not fresh or (known[0] is None and not self._remember_absent):
            stat = self.stat(key)
        else:
            stat = known[0]
        return None if stat is None else stat.generation

    def _find(self, key: str, place: _Place, generation: str) -> tuple[bool, bytes | None]:
        """Return whether a part is known, and the part; None when the object is known to be absent."""
        with self._lock:
            for entry in ((key, place, generation), (key, None, generation)):
                if entry in self._entries:
                    self._entries.move_to_end(entry)
                    data = self._entries[entry]
                    break
            else:
                entry, data = None, None
        if entry is not None:
            if data is None or entry[1] == place:
                return True, data
            return True, data[slice(*resolve_range(ByteRange(*(place or (0, None))), len(data)))]
        if self._disk is None:
            return False, None
        data = self._disk.get(self._digest(key, place, generation))
        if data is not None:
            self._keep((key, place, generation), data)
        return data is not None, data

    def _digest(self, key: str, place: _Place, generation: str) -> str:
        text = "\0".join((self.inner.uri, key, repr(place), generation))
        return hashlib.sha256(text.encode("utf-8")).hexdigest()

    # ---------------------------------------------------------------------------------------- keeping
    def _keep(self, entry: _Entry, data: bytes | None) -> None:
        size = _cost(data)
        if size > self._memory // 4:
            return
        with self._lock:
            if entry in self._entries:
                return
            self._entries[entry] = data
            self._by_key.setdefault(entry[0], set()).add(entry)
            self._used += size
            while self._used > self._memory:
                self._drop(next(iter(self._entries)))

    def _drop(self, entry: _Entry) -> None:
        self._used -= _cost(self._entries.pop(entry))
        siblings = self._by_key[entry[0]]
        siblings.discard(entry)
        if not siblings:
            del self._by_key[entry[0]]

    def forget(self, key: str | None = None) -> None:
        """Forget a key, or everything, in memory."""
        with self._lock:
            self._writes += 1
            for entry in list(self._entries) if key is None else list(self._by_key.get(key, ())):
                self._drop(entry)
            if key is None:
                self._known.clear()
            else:
                self._known.pop(key, None)

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do an operation; after one that writes, forget the key."""
        if operation.method not in WRITES:
            return call()
        try:
            return call()
        finally:
            self.forget(operation.key)


def _cost(data: bytes | None) -> int:
    return 200 + (0 if data is None else len(data))  # about what the bookkeeping takes


class _DiskCache:
    """Files named by digest, each with length and CRC-32, the least recently used removed first."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder = os.path.abspath(folder)
        self._limit = limit
        self._lock = threading.Lock()
        self._used = -1  # not counted yet

    def _path(self, digest: str) -> str:
        return os.path.join(self._folder, digest[:2], digest)

    def get(self, digest: str) -> bytes | None:
        """Return an entry; a damaged one is as good as none. No trouble with the disk is an error."""
        path = self._path(digest)
        try:
            with open(path, "rb") as file:
                raw = file.read()
            os.utime(path)
        except OSError:
            return None
        if len(raw) >= _HEADER.size:
            magic, length, crc = _HEADER.unpack_from(raw)
            data = raw[_HEADER.size :]
            if magic == _MAGIC and length == len(data) and crc == zlib.crc32(data):
                return data
        return None

    def put(self, digest: str, data: bytes) -> None:
        """Keep an entry, if the disk takes it."""
        size = _HEADER.size + len(data)
        if size > self._limit // 4:
            return
        path = self._path(digest)
        partial = f"{path}.{os.getpid():x}-{secrets.token_hex(4)}"
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(partial, "xb") as file:
                file.write(_HEADER.pack(_MAGIC, len(data), zlib.crc32(data)) + data)
            os.rename(partial, path)
        except OSError:
            with contextlib.suppress(OSError):  # a full disk must not stop reading
                os.unlink(partial)
            return
        with self._lock:
            self._used = self._counted() if self._used < 0 else self._used + size
            if self._used > self._limit:
                self._shrink()

    def _files(self) -> list[tuple[float, int, str]]:
        found = []
        for folder, _, names in os.walk(self._folder):
            for name in names:
                with contextlib.suppress(OSError):  # removed by another program meanwhile
                    stat = os.stat(os.path.join(folder, name))
                    found.append((stat.st_mtime, stat.st_size, os.path.join(folder, name)))
        return sorted(found)

    def _counted(self) -> int:
        return sum(size for _, size, _ in self._files())

    def _shrink(self) -> None:
        """Remove the oldest entries until a tenth of the space is free; count anew what others wrote."""
        files = self._files()
        self._used = sum(size for _, size, _ in files)
        for _, size, path in files:
            if self._used <= self._limit * 9 // 10:
                break
            with contextlib.suppress(OSError):  # removed by another program meanwhile
                os.unlink(path)
            self._used -= size
