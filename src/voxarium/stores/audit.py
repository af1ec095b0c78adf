"""A store that counts: how many requests and bytes a program really makes, by method and by key."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from voxarium.model.protocols import ReadableStore
from voxarium.model.wrapping import READS, Operation, StoreWrapper

__all__ = ["AuditStore"]

_T = TypeVar("_T")
_READ_DATA = frozenset({"get", "get_ranges", "read"})
_WRITE_OBJECT = frozenset({"put", "put_if_absent", "commit", "append"})


class AuditStore(StoreWrapper):
    """A store that counts what is asked of it. Safe to use from several threads.

    Parameters
    ----------
    inner : ReadableStore
        The wrapped store.
    record : bool
        Keep every operation in `log`, in the order begun.

    Attributes
    ----------
    requests, bytes_by_method, failures : Counter
        Calls begun, bytes moved and calls that raised, by method. Objects written piece by piece count as
        ``create``, ``write`` and ``commit``; reads of open files as ``read``.
    reads_per_key, bytes_read_per_key : Counter
        Calls that returned data of an object, and the bytes.
    writes_per_key, bytes_written_per_key : Counter
        Objects stored (``put``, a successful ``put_if_absent``, ``commit``, ``append``), and the bytes.
    peak : int
        Most calls under way at one time.
    """

    watches_files = True

    def __init__(self, inner: ReadableStore, *, record: bool = False) -> None:
        super().__init__(inner)
        self._record = record
        self._lock = threading.Lock()
        self._active = 0
        self.reset()

    def reset(self) -> None:
        """Begin counting anew."""
        with self._lock:
            self.requests: Counter[str] = Counter()
            self.bytes_by_method: Counter[str] = Counter()
            self.failures: Counter[str] = Counter()
            self.reads_per_key: Counter[str] = Counter()
            self.writes_per_key: Counter[str] = Counter()
            self.bytes_read_per_key: Counter[str] = Counter()
            self.bytes_written_per_key: Counter[str] = Counter()
            self.log: list[Operation] = []
            self.peak = self._active

    @property
    def bytes_read(self) -> int:
        """Bytes of objects returned so far."""
        return self.bytes_read_per_key.total()

    @property
    def bytes_written(self) -> int:
        """Bytes of objects handed over so far."""
        return self.bytes_written_per_key.total()

    @property
    def round_trips(self) -> int:
        """Requests that would cross a network: all but ``write`` and ``local_path``."""
        return self.requests.total() - self.requests["write"] - self.requests["local_path"]

    def around(self, operation: Operation, call: Callable[[], _T]) -> _T:
        """Do the operation and count it."""
        with self._lock:
            self.requests[operation.method] += 1
            self._active += 1
            self.peak = max(self.peak, self._active)
            if self._record:
                self.log.append(operation)
        try:
            result = call()
        except BaseException:
            with self._lock:
                self.failures[operation.method] += 1
            raise
        finally:
            with self._lock:
                self._active -= 1
        self._count(operation, result)
        return result

    def _count(self, operation: Operation, result: object) -> None:
        method, key = operation.method, operation.key
        with self._lock:
            if method in READS:
                if method in _READ_DATA and result is not None:
                    size = _size(result)
                    self.bytes_by_method[method] += size
                    self.reads_per_key[key] += 1
                    self.bytes_read_per_key[key] += size
            elif not (method == "put_if_absent" and result is False):
                self.bytes_by_method[method] += operation.size
                if operation.size:
                    self.bytes_written_per_key[key] += operation.size
                if method in _WRITE_OBJECT:
                    self.writes_per_key[key] += 1


def _size(result: object) -> int:
    if isinstance(result, list | tuple):
        return sum(memoryview(part).nbytes for part in result)
    return len(result) if isinstance(result, bytes) else 0
