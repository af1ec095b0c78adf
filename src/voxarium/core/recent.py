"""The last things that were made or read, for whoever asks again soon."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

__all__ = ["Recent"]

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Recent(Generic[_K, _V]):
    """The last values that were made, within a number of bytes. Thread-safe.

    Parameters
    ----------
    most : int
        Bytes that are kept together; a value that is larger is made again every time.
    size : callable
        Returns the bytes of a value.

    Examples
    --------
    >>> recent = Recent(10, len)
    >>> recent.get("a", lambda: b"12345"), recent.get("a", lambda: b"made again")
    (b'12345', b'12345')
    """

    def __init__(self, most: int, size: Callable[[_V], int]) -> None:
        self._most = most
        self._size = size
        self._held = 0
        self._lock = threading.Lock()
        self._values: OrderedDict[_K, _V] = OrderedDict()

    @property
    def held(self) -> int:
        """Bytes of what is kept."""
        return self._held

    def get(self, key: _K, make: Callable[[], _V]) -> _V:
        """Return the value of a key, calling `make` when it is not kept."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        value = make()  # without the lock: two threads may make the same, which is no harm
        with self._lock:
            if key not in self._values:
                self._values[key] = value
                self._held += self._size(value)
            while self._held > self._most and self._values:
                self._held -= self._size(self._values.popitem(last=False)[1])
        return value
