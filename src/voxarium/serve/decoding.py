"""Objects that are there as compressed twins only, for clients that cannot take those."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, StoreError, UnsupportedError
from voxarium.serve.answers import WouldWait
from voxarium.serve.media import decoded
from voxarium.serve.sources import ByteSource, Facts, Slice

__all__ = ["DecodedSource"]

_MOST: Final = 32 << 20  # bytes, of what a twin holds and of the twin itself
_KEPT: Final = 96 << 20  # bytes of all that is kept
_QUICK: Final = 128 << 10  # bytes of a twin that is decompressed without going to a thread
# Each takes its twin and what it holds: a crowd that asks for large ones must not take the machine's memory.
_AT_ONCE: Final = threading.BoundedSemaphore(2)


class _Kept:
    """What was decompressed last: ranges, and pieces behind the first, come back for it. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[ByteSource, str, bytes], bytes] = OrderedDict()
        self._bytes = 0

    def get(self, key: tuple[ByteSource, str, bytes]) -> bytes | None:
        """Return what is kept."""
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: tuple[ByteSource, str, bytes], data: bytes) -> None:
        """Keep it, and let the oldest go."""
        with self._lock:
            self._bytes += len(data) - len(self._held.pop(key, b""))
            self._held[key] = data
            while self._bytes > _KEPT:
                self._bytes -= len(self._held.popitem(last=False)[1])


_LAST: Final = _Kept()


@dataclass(frozen=True, slots=True)
class _Held:
    facts: Facts
    data: bytes

    def read(self, start: int, stop: int) -> Buffer:
        return memoryview(self.data)[start:stop]

    def close(self) -> None:
        return None


class DecodedSource:
    """What the twins of a source hold, by the keys of the twins.

    Parameters
    ----------
    inner : ByteSource
        Has the twins.
    coding : bytes
        How they are compressed.
    """

    nearby = False

    def __init__(self, inner: ByteSource, coding: bytes) -> None:
        self._inner = inner
        self._coding = coding

    def open(self, key: str, *, wait: bool) -> Slice | None:
        """Return what a twin holds.

        Raises
        ------
        UnsupportedError
            If it is too large, or the package that decompresses it is not installed.
        StoreError
            If it is damaged.
        """
        opened = self._inner.open(key, wait=wait)
        if opened is None:
            return None
        try:
            facts = opened.facts
            place = (self._inner, key, facts.etag)
            data = _LAST.get(place)
            if data is None:
                if facts.size > _MOST:
                    raise _too_large(key)
                if facts.size > _QUICK and not wait:
                    raise WouldWait
                with _AT_ONCE:
                    data = self._decoded(key, bytes(opened.read(0, facts.size)))
                _LAST.put(place, data)
        finally:
            opened.close()
        return _Held(Facts(len(data), facts.etag[:-1] + b'-d"', facts.modified), data)

    def _decoded(self, key: str, raw: bytes) -> bytes:
        try:
            return decoded(raw, self._coding, _MOST)
        except FormatError as error:
            raise StoreError(f"{key}: {error.message}", code=error.code, fix=error.fix) from error


def _too_large(key: str) -> UnsupportedError:
    return UnsupportedError(
        f"{key} is too large to be decompressed by the server",
        code=Code.FEATURE_UNSUPPORTED,
        fix="accept its encoding, or ask for it by its own name",
    )
