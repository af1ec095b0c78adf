"""Reading parts of an object whose size is not known: which requests to make, and a file made of requests."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import BinaryIO, Final, Protocol

from typing_extensions import Buffer

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.keys import merged_ranges, resolve_range
from voxarium.model.protocols import ByteRange, ReadableStore

__all__ = ["PartSource", "RangedFile", "open_ranged", "read_parts"]

_UNKNOWN: Final = 1 << 62  # stands for a size while only the form of a range is checked
_BUFFER: Final = 1 << 20


class PartSource(Protocol):
    """The requests a server answers about one object. Each returns None when the object is absent."""

    def size(self) -> int | None:
        """Return the size of the object."""

    def tail(self, length: int, /) -> tuple[Buffer, int] | None:
        """Return the last bytes (fewer when the object is shorter) and the size of the object."""

    def parts(self, spans: Sequence[tuple[int, int]], /) -> Sequence[Buffer] | None:
        """Return the bytes of each (start, stop), none of them empty; short where the object ends."""


def read_parts(
    source: PartSource, ranges: Sequence[ByteRange], *, gap: int, limit: int, name: str
) -> list[Buffer] | None:
    """Return parts of one object in the order asked, with as few round trips as the ranges allow.

    Parameters
    ----------
    source : PartSource
        Makes the requests. Its size is asked for only when a range cannot be understood without it.
    gap, limit : int
        Ranges less than `gap` bytes apart share a request of at most `limit` bytes.
    name : str
        What the object is called in errors.

    Raises
    ------
    StoreError
        If a range does not lie within the object.
    """
    size: int | None = None
    tail: memoryview = memoryview(b"")
    longest = max((-r.start for r in ranges), default=0)
    if longest > 0:
        found = source.tail(longest)
        if found is None:
            return None
        tail, size = memoryview(found[0]).cast("B"), found[1]
    elif not ranges or any(not r.length for r in ranges):
        size = source.size()
        if size is None:
            return None
    known = _UNKNOWN if size is None else size
    spans = [resolve_range(r, known) for r in ranges]
    first = known - tail.nbytes  # what lies behind this byte has been read
    out: list[Buffer] = [tail[a - first : b - first] if first <= a < b else b"" for a, b in spans]
    wanted = [i for i, (a, b) in enumerate(spans) if a < min(b, first)]
    fetches = merged_ranges([spans[i] for i in wanted], gap=gap, limit=limit)
    if not fetches:
        return out
    parts = source.parts([(f.start, f.stop) for f in fetches])
    if parts is None:
        return None
    for fetch, part in zip(fetches, parts, strict=True):
        view = memoryview(part).cast("B")
        for m in fetch.members:
            a, b = spans[wanted[m]]
            if b - fetch.start > view.nbytes:
                raise too_short(name, a, b, fetch.start + view.nbytes)
            out[wanted[m]] = view[a - fetch.start : b - fetch.start]
    return out


def too_short(name: str, start: int, stop: int, end: int | None = None) -> StoreError:
    """Return the error for a range beyond the end of an object."""
    where = "" if end is None else f", which ends at byte {end}"
    return StoreError(
        f"bytes {start} to {stop} do not lie within {name}{where}",
        code=Code.FILE_TRUNCATED,
        fix="the object is shorter than its index or metadata says; copy it again from its source",
    )


class RangedFile(io.RawIOBase):
    """An object of a store as a seekable file; each read is a request. Wrap it in a buffer: `open_ranged`."""

    def __init__(self, store: ReadableStore, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._position = 0

    @property
    def name(self) -> str:
        """The key, as other file objects tell theirs."""
        return self._key

    def readable(self) -> bool:
        """True: it is for reading."""
        return True

    def seekable(self) -> bool:
        """True: any byte can be reached."""
        return True

    def tell(self) -> int:
        """Return the position of the next byte."""
        return self._position

    def seek(self, position: int, whence: int = io.SEEK_SET, /) -> int:
        """Move, and return the new position."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}.get(whence)
        if start is None or start + position < 0:
            raise InputError(
                f"cannot seek to byte {position} (whence {whence}) of {self._key}",
                code=Code.ARGUMENT_INVALID,
                fix="seek to a position that is not before the start",
            )
        self._position = start + position
        return self._position

    def readinto(self, buffer: Buffer, /) -> int:
        """Fill `buffer` as far as the object reaches, in one request."""
        view = memoryview(buffer).cast("B")
        n = min(view.nbytes, max(0, self._size - self._position))
        if n:
            found = self._store.get_ranges(self._key, [ByteRange(self._position, n)])
            if found is None:
                raise StoreError(
                    f"{self._key} disappeared from {self._store.uri} while it was read",
                    code=Code.STORE_UNREADABLE,
                    fix="open it again; something else removes objects from this store",
                )
            view[:n] = memoryview(found[0]).cast("B")
            self._position += n
        return n


def open_ranged(store: ReadableStore, key: str, size: int) -> BinaryIO:
    """Return an object of known size as a buffered, seekable file that reads by ranges."""
    return io.BufferedReader(RangedFile(store, key, size), _BUFFER)
