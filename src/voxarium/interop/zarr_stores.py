"""What zarr-python 3 reads from: any folder that this library reads, a release of a dataset above all. Read-only.

This module needs zarr-python; `voxarium.zarr_store` imports it when it is called.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Iterable
from typing import Any

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from voxarium.errors import Code, UnsupportedError
from voxarium.model.protocols import ByteRange, ListableStore, ReadableStore

__all__ = ["ReadOnlyStore"]


class ReadOnlyStore(Store):
    """A folder of a store, for zarr-python.

    Parameters
    ----------
    store : ReadableStore
        Where objects are read from.
    path : str
        The folder of it that keys begin in; empty for all.
    again : functools.partial or None
        Opens the same in another process.
    """

    def __init__(self, store: ReadableStore, path: str = "", again: functools.partial[Any] | None = None) -> None:
        super().__init__(read_only=True)
        self._store = store
        self._above = f"{path}/" if path else ""
        self._again = again

    def __str__(self) -> str:
        return f"{self._store.uri}/{self._above}".rstrip("/")

    def __repr__(self) -> str:
        return f"ReadOnlyStore({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ReadOnlyStore) and str(self) == str(other)

    __hash__ = None  # type: ignore[assignment]  # as zarr-python's own stores

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what another process opens this with: the address, not the list of all objects."""
        if self._again is not None:
            return self._again, ()
        return ReadOnlyStore, (self._store, self._above.rstrip("/"))

    # -------------------------------------------------------------------------------------------------------- reading
    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Return an object or a part of it; None when the folder has none of this key."""
        data = await asyncio.to_thread(self._read, self._above + key, byte_range)
        return None if data is None else prototype.buffer.from_bytes(data)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Return parts of objects."""
        return list(await asyncio.gather(*(self.get(key, prototype, part) for key, part in key_ranges)))

    def _read(self, key: str, part: ByteRequest | None) -> bytes | None:
        if part is None:
            return self._store.get(key)
        stat = self._store.stat(key)
        if stat is None:
            return None
        # What lies beyond the end is left out, as by other stores of zarr-python.
        if isinstance(part, RangeByteRequest):
            start, stop = min(part.start, stat.size), min(part.end, stat.size)
        elif isinstance(part, OffsetByteRequest):
            start, stop = min(part.offset, stat.size), stat.size
        elif isinstance(part, SuffixByteRequest):
            start, stop = max(0, stat.size - part.suffix), stat.size
        else:
            raise UnsupportedError(
                f"zarr-python asks for {part!r} of {key}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="use the version of zarr-python that this one was tested with",
            )
        found = self._store.get_ranges(key, [ByteRange(start, max(0, stop - start))])
        return None if found is None else bytes(found[0])

    async def exists(self, key: str) -> bool:
        """Tell whether there is an object of this key."""
        return await asyncio.to_thread(self._store.stat, self._above + key) is not None

    async def getsize(self, key: str) -> int:
        """Return the size of an object."""
        stat = await asyncio.to_thread(self._store.stat, self._above + key)
        if stat is None:
            raise FileNotFoundError(key)
        return stat.size

    # -------------------------------------------------------------------------------------------------------- listing
    @property
    def supports_listing(self) -> bool:
        """Whether folders can be listed."""
        return isinstance(self._store, ListableStore)

    async def list(self) -> AsyncIterator[str]:
        """Yield all keys."""
        async for key in self.list_prefix(""):
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Yield the keys that begin with a text."""
        folder = (self._above + prefix).rpartition("/")[0]
        for key, _ in await asyncio.to_thread(lambda: list(self._listable().list(folder))):
            below = key.removeprefix(self._above)
            if below.startswith(prefix):
                yield below

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Yield the names directly in a folder."""
        folder = (self._above + prefix).strip("/")
        files, folders = await asyncio.to_thread(self._listable().list_dir, folder)
        for name in (*files, *folders):
            yield name

    def _listable(self) -> ListableStore:
        if isinstance(self._store, ListableStore):
            return self._store
        raise UnsupportedError(
            f"{self} cannot be listed",
            code=Code.FEATURE_UNSUPPORTED,
            fix="open arrays by their paths, or consolidate the metadata",
        )

    # -------------------------------------------------------------------------------------------------------- writing
    @property
    def supports_writes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """Never."""
        return False

    def with_read_only(self, read_only: bool = False) -> ReadOnlyStore:
        """Return the same store.

        Raises
        ------
        ValueError
            If it is to be written.
        """
        if not read_only:
            raise ValueError(f"{self} is read-only")
        return ReadOnlyStore(self._store, self._above.rstrip("/"), self._again)

    async def set(self, key: str, value: Buffer) -> None:
        """Refuse."""
        self._check_writable()

    async def delete(self, key: str) -> None:
        """Refuse."""
        self._check_writable()
