"""Stores, one kind per file: keys to bytes.

The stores do not import each other. What the two that speak through obstore share stands here: how its errors
are told apart, and reading. Nothing is imported from obstore until such a store is made.
"""

from __future__ import annotations

import builtins  # the module voxarium.stores.zip hides the function of this name here
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, BinaryIO, Final, cast

from typing_extensions import Buffer

from voxarium.errors import Code, NotFoundError, StoreError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ByteRange, ObjectStat
from voxarium.model.ranged import open_ranged, read_parts, too_short

if TYPE_CHECKING:
    import obstore
    from obstore.store import ObjectStore as _Client

__all__ = ["RemoteReader", "client_options", "http_status", "object_stat", "remote_error", "retry_config"]

# A round trip takes about as long as 64 KiB to 1 MiB; beyond that two requests side by side win.
_GAP: Final = 64 << 10
_LIMIT: Final = 16 << 20
_STATUS: Final = re.compile(r"status code: (\d{3})")
_S3_CODE: Final = re.compile(r"<Code>([A-Za-z0-9]{1,64})</Code>")
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_CAUSES: Final = (
    ("certificate", "its certificate is not trusted"),
    ("TimedOut", "it did not answer in time"),
    ("timed out", "it did not answer in time"),
    ("Timeout", "it did not answer in time"),
    ("dns error", "its name is unknown"),
    ("Connect", "it cannot be connected to"),
    ("UnexpectedRange", "it answered with other bytes than asked for"),
    ("IncompleteBody", "the connection broke in the middle of an answer"),
    ("MissingContentLength", "it does not tell the length of its answer"),
    ("MissingCredentials", "no credentials were found"),
    ("CredentialsError", "no credentials were found"),
    ("Interrupted", "the connection broke in the middle of an answer"),
)


def http_status(error: BaseException) -> int | None:
    """Return the HTTP status an obstore error tells of."""
    found = _STATUS.search(str(error))
    return int(found[1]) if found else None


def remote_error(error: BaseException, what: str, *, writing: bool = False) -> StoreError:
    """Return the StoreError for an obstore error.

    Raise it ``from None``: the text of the original holds full URLs, signatures and tokens included.
    """
    text = str(error)
    status = http_status(error)
    name = _S3_CODE.search(text)
    reason = f"HTTP {status}" + (f" {name[1]}" if name else "") if status else _cause(text)
    if any(mark in text for mark in _NO_BUCKET):
        return StoreError(
            f"{what}: the bucket does not exist",
            code=Code.STORE_UNREADABLE,
            fix="check the bucket's name and region",
        )
    if status in (401, 403) or type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError"):
        return StoreError(
            f"{what} may not be {'written' if writing else 'read'}: {reason}",
            code=Code.STORE_PERMISSION,
            fix="check the credentials; it is not treated as empty. A public store that answers so for "
            "objects it does not have can be opened with forbidden_is_absent=True",
        )
    if status == 416:
        return StoreError(
            f"{what} is shorter than the bytes asked for",
            code=Code.FILE_TRUNCATED,
            fix="the object is shorter than its index or metadata says; copy it again from its source",
        )
    if status == 507 or (name and name[1] in ("QuotaExceeded", "XMinioStorageFull")):
        return StoreError(f"no space left for {what}", code=Code.STORE_FULL, fix="free some space, then resume")
    return StoreError(
        f"{what} could not be {'written' if writing else 'read'}: {reason}",
        code=Code.STORE_UNWRITABLE if writing else Code.STORE_UNREADABLE,
        fix="check the address and the network, then try again; it is not treated as empty",
    )


def _cause(text: str) -> str:
    return next((words for mark, words in _CAUSES if mark in text), "the request failed")


def retry_config(retries: int) -> dict[str, Any]:  # Any: obstore's own structure
    """Return how often and how long failed requests are repeated: never without end."""
    from datetime import timedelta

    backoff = {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=5), "base": 2}
    return {"max_retries": retries, "retry_timeout": timedelta(seconds=60), "backoff": backoff}


def client_options(timeout: float, *, allow_http: bool) -> dict[str, Any]:  # Any: obstore's own structure
    """Return connection limits: a stalled connection is given up, a long answer that arrives is not."""
    return {
        "connect_timeout": f"{max(1, round(timeout * 1000))}ms",
        "read_timeout": f"{max(1, round(timeout * 1000))}ms",
        "timeout": "30m",
        "allow_http": allow_http,
    }


class RemoteReader:
    """Reading through an obstore client: whole objects, ranges in parallel, sizes."""

    concurrency: int = 32

    def __init__(self, client: _Client, uri: str, *, forbidden_is_absent: bool = False) -> None:
        self._client = client
        self._uri = uri
        self._forbidden_is_absent = forbidden_is_absent
        self._suffix_works = True
        self._ranges_work = True

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._uri!r})"

    @property
    def uri(self) -> str:
        """Address of the store, without credentials and without query."""
        return self._uri

    def _name(self, key: str) -> str:
        return f"{self._uri.rstrip('/')}/{key}"

    def _is_absent(self, error: BaseException) -> bool:
        """Tell whether an error means, without doubt, that the key does not exist."""
        status = http_status(error)
        if status in (401, 403):
            return self._forbidden_is_absent
        # obstore also reports HTTP 405 and missing buckets as "not found".
        return status in (404, 410) and not any(mark in str(error) for mark in _NO_BUCKET)

    def _request(self, key: str, **options: Any) -> obstore.GetResult | None:  # Any: obstore's GetOptions
        import obstore

        try:
            return obstore.get(self._client, key, options=cast("Any", options))
        except (OSError, obstore.exceptions.BaseError) as error:
            if self._is_absent(error):
                return None
            raise

    def get(self, key: str, /) -> bytes | None:
        """Return a whole object."""
        import obstore

        key = checked_key(key)
        try:
            result = self._request(key)
            return None if result is None else bytes(result.bytes())
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, self._name(key)) from None  # the original tells secrets

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[Buffer] | None:
        """Return parts of one object; near ranges share a request, the others are read side by side."""
        key = checked_key(key)
        return read_parts(_RemoteParts(self, key), ranges, gap=_GAP, limit=_LIMIT, name=self._name(key))

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return size and ETag (or time of last change) of an object."""
        import obstore

        key = checked_key(key)
        try:
            return self._head(key)
        except (OSError, obstore.exceptions.BaseError) as error:
            raise remote_error(error, self._name(key)) from None  # the original tells secrets

    def _head(self, key: str) -> ObjectStat | None:
        import obstore

        try:
            return object_stat(obstore.head(self._client, key))
        except (OSError, obstore.exceptions.BaseError) as error:
            if self._is_absent(error):
                return None
            if http_status(error) not in (400, 405, 501):
                raise
        result = self._request(key)  # a server without HEAD; the body is not read
        return None if result is None else object_stat(result.meta)

    def open_file(self, key: str, /) -> BinaryIO:
        """Open an object as a file whose reads are requests."""
        found = self.stat(key)
        if found is None:
            raise NotFoundError(f"no object {key!r} in {self._uri}", code=Code.PATH_MISSING, fix="check the path")
        return open_ranged(self, key, found.size)

    def local_path(self, key: str, /) -> str | None:
        """Remote objects have no path on this machine."""
        checked_key(key)
        return None


def object_stat(meta: obstore.ObjectMeta) -> ObjectStat:
    """Return size and generation from what obstore tells of an object."""
    token = meta["version"] or meta["e_tag"] or meta["last_modified"].isoformat()
    return ObjectStat(meta["size"], f"{meta['size']:x}-{token}")


class _RemoteParts:
    """The requests about one object."""

    def __init__(self, reader: RemoteReader, key: str) -> None:
        self._reader = reader
        self._key = key

    def size(self) -> int | None:
        found = self._reader.stat(self._key)
        return None if found is None else found.size

    def tail(self, length: int, /) -> tuple[Buffer, int] | None:
        import obstore

        reader = self._reader
        if reader._suffix_works and reader._ranges_work:
            try:
                result = reader._request(self._key, range={"suffix": length})
                return None if result is None else (result.bytes(), result.meta["size"])
            except (OSError, obstore.exceptions.BaseError) as error:
                if isinstance(error, obstore.exceptions.NotSupportedError):
                    reader._ranges_work = False
                elif http_status(error) not in (400, 405, 416, 501):
                    raise remote_error(error, reader._name(self._key)) from None  # the original tells secrets
                elif http_status(error) != 416:  # 416 is how an empty object may answer
                    reader._suffix_works = False
        size = self.size()
        if size is None:
            return None
        start = max(0, size - length)
        if start == size:
            return b"", size
        found = self.parts([(start, size)])
        return None if found is None else (found[0], size)

    def parts(self, spans: Sequence[tuple[int, int]], /) -> Sequence[Buffer] | None:
        import obstore

        reader = self._reader
        try:
            if reader._ranges_work:
                try:
                    return self._side_by_side(spans)
                except obstore.exceptions.NotSupportedError:
                    reader._ranges_work = False
            return self._from_whole(spans)
        except (OSError, obstore.exceptions.BaseError) as error:
            if reader._is_absent(error):
                return None
            raise remote_error(error, reader._name(self._key)) from None  # the original tells secrets

    def _side_by_side(self, spans: Sequence[tuple[int, int]]) -> Sequence[Buffer]:
        import obstore

        client = self._reader._client
        if len(spans) == 1:
            return [obstore.get_range(client, self._key, start=spans[0][0], end=spans[0][1])]
        starts, ends = [a for a, _ in spans], [b for _, b in spans]
        return obstore.get_ranges(client, self._key, starts=starts, ends=ends, coalesce=0)

    def _from_whole(self, spans: Sequence[tuple[int, int]]) -> Sequence[Buffer] | None:
        """Cut the parts from the passing stream of a whole object: the server does not know ranges."""
        result = self._reader._request(self._key)
        if result is None:
            return None
        size = result.meta["size"]
        for start, stop in spans:
            if stop > size:
                raise too_short(self._reader._name(self._key), start, stop, size)
        out = [bytearray() for _ in spans]
        position, last = 0, max(stop for _, stop in spans)
        pairs = list(builtins.zip(out, spans, strict=True))
        for piece in result.stream(1 << 20):
            view = memoryview(piece)
            for buffer, (start, stop) in pairs:
                if start < position + len(view) and position < stop:
                    buffer += view[max(0, start - position) : stop - position]
            position += len(view)
            if position >= last:
                break
        return out
