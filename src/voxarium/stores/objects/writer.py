"""Objects that are sent in parts while they are written."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any, Protocol

from typing_extensions import Buffer

from voxarium.errors import Code, StoreError
from voxarium.stores import remote_error

__all__ = ["ObjectUpload"]


class _Store(Protocol):
    """The store an object goes to."""

    @property
    def client(self) -> Any:  # Any: obstore's store
        """What sends."""

    @property
    def part_size(self) -> int:
        """Bytes per part."""

    def name_of(self, key: str) -> str:
        """Return what to call an object in messages."""

    def put(self, key: str, data: Buffer, /) -> None:
        """Store a whole object."""


class ObjectUpload:
    """An object being written: kept while it is small, then sent in parts by a thread of its own.

    The thread feeds obstore from a short queue. When the feed breaks off, obstore gives up the upload and the
    parts sent so far are removed.
    """

    def __init__(self, store: _Store, key: str) -> None:
        self._store = store
        self._key = key
        self._held = bytearray()
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(maxsize=2)
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._open = True

    def write(self, data: Buffer, /) -> None:
        """Append bytes."""
        if not self._open:
            raise StoreError(
                f"{self._store.name_of(self._key)} is no longer being written",
                code=Code.STORE_UNWRITABLE,
                fix="begin a new object with create()",
            )
        size = self._store.part_size
        view = memoryview(data).cast("B")
        while view.nbytes:
            room = size - len(self._held)
            self._held += view[:room]
            view = view[room:]
            if len(self._held) == size:
                self._send()

    def commit(self) -> None:
        """Send what is held and make the object appear."""
        if not self._open:
            return
        if self._thread is None:
            self._open = False
            self._store.put(self._key, self._held)
            return
        if self._held:
            self._send()
        self._offer(None)
        self._open = False
        self._thread.join()
        self._raise()

    def abort(self) -> None:
        """Forget the object; parts already sent are removed."""
        if not self._open:
            return
        self._open = False
        self._held = bytearray()
        if self._thread is not None:
            self._offer(_AbandonedError())
            self._thread.join()

    def _send(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._upload, name="voxarium-upload", daemon=True)
            self._thread.start()
        self._offer(bytes(self._held))
        self._held = bytearray()
        if self._error is not None:
            self._raise()

    def _offer(self, item: bytes | BaseException | None) -> None:
        """Queue an item, unless the uploading thread has ended and nobody would take it."""
        thread = self._thread
        while thread is not None and thread.is_alive():
            try:
                return self._queue.put(item, timeout=0.1)
            except queue.Full:
                continue
        return None

    def _raise(self) -> None:
        if self._error is not None:
            self._open = False
            raise remote_error(self._error, self._store.name_of(self._key), writing=True) from None  # secrets

    def _feed(self) -> Iterator[bytes]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    def _upload(self) -> None:
        import obstore

        try:
            obstore.put(
                self._store.client,
                self._key,
                self._feed(),
                use_multipart=True,
                chunk_size=self._store.part_size,
                max_concurrency=2,
            )
        except BaseException as error:  # noqa: BLE001  handed to the thread that writes
            self._error = error


class _AbandonedError(Exception):
    """Breaks off the feed of an upload that is given up."""
