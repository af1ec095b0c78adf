"""One version of an Icechunk repository as a store."""

from __future__ import annotations

import asyncio
import atexit
import os
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from typing_extensions import Buffer

from voxarium.errors import Code, StoreError
from voxarium.model.keys import checked_key, checked_prefix, natural_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat
from voxarium.stores.icechunk.library import icechunk_library, raise_ours

__all__ = ["IcechunkStore", "put_documents"]

# Keys that a repository can have at all; the library calls others an error.
_DOCUMENT: Final = re.compile(r"(?:.+/)?zarr\.json")
_CHUNK: Final = re.compile(r"(?:.+/)?c(?:/(?:0|[1-9]\d{0,8}))*")
_T = TypeVar("_T")
_Names: TypeAlias = tuple[list[str], list[str]]  # inside the class, `list` is a method
_NO_NAMES: Final[Sequence[str]] = ()


class _Loop:
    """Runs what the library only offers as coroutines: in one thread, which begins when it is needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owner = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        with self._lock:
            if self._loop is None or self._owner != os.getpid():  # a forked process has no thread of its parent
                self._loop, self._owner = asyncio.new_event_loop(), os.getpid()
                thread = threading.Thread(target=self._loop.run_forever, name="voxarium-icechunk", daemon=True)
                thread.start()
                atexit.register(_end, self._loop, thread)  # a thread that runs on while Python ends aborts the process
            loop = self._loop
        return asyncio.run_coroutine_threadsafe(work, loop).result()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    if thread.is_alive():
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


_LOOP: Final = _Loop()


def put_documents(store: Any, documents: Sequence[tuple[str, bytes]]) -> None:  # Any: the library's own
    """Put metadata into the store of a session that can be written, one behind the other."""
    from zarr.core.buffer import default_buffer_prototype

    buffer = default_buffer_prototype().buffer

    async def put() -> None:
        for key, data in documents:
            await store.set(key, buffer.from_bytes(data))

    _LOOP.run(put())


class IcechunkStore:
    """One version of an Icechunk repository, as `IcechunkDriver.open` makes it."""

    def __init__(self, session: Any, base: str, concurrency: int) -> None:  # Any: the library's own
        from zarr.core.buffer import default_buffer_prototype

        self._store = session.store
        self._snapshot = str(session.snapshot_id)
        self._base = base.rstrip("/")
        self._concurrency = concurrency
        self._prototype = default_buffer_prototype()

    def __repr__(self) -> str:
        return f"IcechunkStore({self.uri!r})"

    @property
    def snapshot(self) -> str:
        """The snapshot that is read."""
        return self._snapshot

    @property
    def uri(self) -> str:
        """Address of the snapshot."""
        return f"{self._base}@{self._snapshot}"

    @property
    def concurrency(self) -> int:
        """How many requests at a time pay off."""
        return self._concurrency

    def _ask(self, work: Callable[[], Coroutine[Any, Any, _T]], absent: _T) -> _T:
        """Run a request; `absent` when the repository has no array or group that the key could belong to."""
        try:
            return _LOOP.run(work())
        except icechunk_library().IcechunkError as error:
            text = str(error)
            if "existing node not found" in text or "there is not an array at" in text:
                return absent
            raise_ours(error, self.uri)

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object.

        Raises
        ------
        InputError
            If it lies elsewhere, at a place that is not allowed.
        ChecksumError
            If it lies elsewhere, and changed since.
        """
        if not _possible(key):
            return None
        found = self._ask(lambda: self._store.get(key, self._prototype), None)
        return None if found is None else bytes(found.to_bytes())

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of one object, in the order asked."""
        stat = self.stat(key)
        if stat is None:
            return None
        spans = [resolve_range(r, stat.size) for r in ranges]
        if _DOCUMENT.fullmatch(key):
            data = memoryview(self.get(key) or b"")
            return [data[a:b] for a, b in spans]
        return self._ask(lambda: self._parts(key, spans), None)

    async def _parts(self, key: str, spans: Sequence[tuple[int, int]]) -> Sequence[Buffer] | None:
        from zarr.abc.store import RangeByteRequest

        async def one(a: int, b: int) -> bytes:
            if a == b:
                return b""
            found = await self._store.get(key, self._prototype, RangeByteRequest(a, b))
            data = b"" if found is None else bytes(found.to_bytes())
            if len(data) != b - a:
                raise StoreError(
                    f"{key} in {self.uri} has fewer bytes than its repository says",
                    code=Code.FILE_TRUNCATED,
                    fix="restore what the repository refers to",
                )
            return data

        return await asyncio.gather(*(one(a, b) for a, b in spans))

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return the size of an object; a snapshot does not change."""
        if not _possible(key):
            return None
        size = self._ask(lambda: self._size(key), None)
        return None if size is None else ObjectStat(size, self._snapshot)

    async def _size(self, key: str) -> int | None:
        return int(await self._store.getsize(key)) if await self._store.exists(key) else None

    def list(self, prefix: str = "", /) -> Iterator[tuple[str, int]]:
        """Yield (key, size) below a folder, sorted by key."""
        start = f"{checked_prefix(prefix)}/" if prefix else ""
        for key in sorted(self._ask(lambda: _all(self._store.list_prefix(start)), _NO_NAMES)):
            stat = self.stat(key) if key.startswith(start) else None
            if stat is not None:
                yield key, stat.size

    def list_dir(self, prefix: str = "", /) -> _Names:
        """Return (names of objects, names of folders) directly in a folder."""
        below = checked_prefix(prefix)
        names = self._ask(lambda: _all(self._store.list_dir(below)), _NO_NAMES)
        start = f"{below}/" if below else ""
        files = {n for n in names if _possible(start + n) and self.stat(start + n) is not None}
        return sorted(files, key=natural_key), sorted({*names} - files, key=natural_key)


def _possible(key: str) -> bool:
    """Tell whether a repository can have this key at all."""
    checked_key(key)
    return _DOCUMENT.fullmatch(key) is not None or _CHUNK.fullmatch(key) is not None


async def _all(names: Any) -> Sequence[str]:  # Any: the library's own generator
    return [str(name) async for name in names]
