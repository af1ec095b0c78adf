"""Objects as they are: the answer to one request for bytes, without anything that waits or sends.

An object that exists is sent as it is, never encoded: sizes that viewers learn from HEAD are those of shards and zip
files. Where only a compressed twin exists (``key.gz``, ``.br``, ``.zst``, as CloudVolume writes them), it stands for
the object: with Content-Encoding for clients that accept it, decoded for HEAD, for ranges, and for all others.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from typing_extensions import Buffer

from voxarium.errors import UnsupportedError
from voxarium.serve.answers import Answer, Header, failure
from voxarium.serve.conditions import check_conditions, http_date, range_applies
from voxarium.serve.decoding import DecodedSource
from voxarium.serve.media import TWINS, accepted, media_type
from voxarium.serve.ranges import RangeError, parse_ranges
from voxarium.serve.sources import ByteSource, Facts, Slice, shortened

__all__ = ["PIECE", "RawRequest", "absent", "answer_raw"]

# What is sent in one piece: whole chunks of common sizes. What is larger goes in steps, since clients may be slow, and
# each keeps one.
PIECE: Final = 512 << 10
_STEP: Final = 256 << 10
_RANGES: Final = (b"accept-ranges", b"bytes")


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request for an object.

    Parameters
    ----------
    method : str
        GET or HEAD.
    key : str
        Of the object, in `source`.
    source : ByteSource
        Where it is.
    headers : mapping
        Names in lower case.
    cache : bytes
        Value of Cache-Control.
    """

    method: str
    key: str
    source: ByteSource
    headers: Mapping[bytes, bytes]
    cache: bytes = b"no-cache"


@dataclass(frozen=True, slots=True)
class _Representation:
    """What is sent: an object, opened now, and where to find it again for the pieces behind the first.

    `encoding` is set when a compressed twin goes out as it is; `varies` when other clients are sent something else.
    """

    now: Slice
    source: ByteSource
    key: str
    encoding: bytes = b""
    varies: bool = False


def absent() -> Answer:
    """Return what says that nothing is there."""
    return failure(404, "not found")


def answer_raw(request: RawRequest, *, wait: bool) -> Answer:
    """Return the answer to a request. Without `wait`, `WouldWait` tells that it takes long: ask again from a thread.

    Raises
    ------
    StoreError
        If the object cannot be read.
    """
    opened = request.source.open(request.key, wait=wait)
    if opened is None:
        return _answer_twin(request, wait=wait) if request.source.nearby else absent()
    try:
        return _answer(request, _Representation(opened, request.source, request.key))
    finally:
        opened.close()


def _answer_twin(request: RawRequest, *, wait: bool) -> Answer:
    """Return the answer where an object is absent: that of a twin, if there is one."""
    as_is = request.method == "GET" and b"range" not in request.headers
    other: tuple[str, bytes] | None = None
    for suffix, coding in TWINS.items():
        key = request.key + suffix
        opened = request.source.open(key, wait=wait)
        if opened is None:
            continue
        try:
            if as_is and accepted(request.headers.get(b"accept-encoding"), coding):
                return _answer(request, _Representation(opened, request.source, key, coding, varies=True))
        finally:
            opened.close()
        other = other or (key, coding)
    if other is None:
        return absent()
    key, coding = other
    source = DecodedSource(request.source, coding)
    try:
        held = source.open(key, wait=wait)
    except UnsupportedError:
        return failure(406, "only a compressed object is here, and the server does not decompress it")
    return absent() if held is None else _answer(request, _Representation(held, source, key, varies=True))


# ----------------------------------------------------------------------------------------------------------- answers
def _answer(request: RawRequest, found: _Representation) -> Answer:
    facts = found.now.facts
    headers = _headers(request, found)
    status = check_conditions(request.headers, facts.etag, facts.modified)
    if status == 304:
        return Answer(304, headers)
    if status is not None:
        return failure(status, "the object is another one")
    headers.append((b"content-type", media_type(request.key)))
    if found.encoding:
        headers.append((b"content-encoding", found.encoding))
    asked = request.headers.get(b"range") if request.method == "GET" and not found.encoding else None
    if asked is not None and range_applies(request.headers, facts.etag, facts.modified):
        try:
            parts = parse_ranges(asked, facts.size)
        except RangeError:
            return failure(416, "no such range", [_RANGES, (b"content-range", b"bytes */%d" % facts.size)])
        if parts is not None:
            return _partial(found, headers, parts)
    headers.append((b"content-length", b"%d" % facts.size))
    if request.method == "HEAD":
        return Answer(200, headers)
    return _filled(200, headers, found, [(b"", 0, facts.size)])


def _headers(request: RawRequest, found: _Representation) -> list[Header]:
    facts = found.now.facts
    headers = [(b"etag", facts.etag), (b"cache-control", request.cache)]
    if not found.encoding:
        headers.append(_RANGES)
    if facts.sha256:
        headers.append((b"repr-digest", b"sha-256=:%b:" % base64.b64encode(facts.sha256)))
    if facts.modified is not None:
        headers.append((b"last-modified", http_date(facts.modified)))
    if found.varies:
        headers.append((b"vary", b"accept-encoding"))
    return headers


def _partial(found: _Representation, headers: list[Header], parts: list[tuple[int, int]]) -> Answer:
    size = found.now.facts.size
    if len(parts) == 1:
        start, stop = parts[0]
        headers.append((b"content-range", b"bytes %d-%d/%d" % (start, stop - 1, size)))
        headers.append((b"content-length", b"%d" % (stop - start)))
        return _filled(206, headers, found, [(b"", start, stop)])
    boundary = secrets.token_hex(16).encode()
    kind = headers.pop()[1]  # the type, put last by `_answer`
    spans = []
    for start, stop in parts:
        where = b"content-range: bytes %d-%d/%d" % (start, stop - 1, size)
        spans.append((b"\r\n--%b\r\ncontent-type: %b\r\n%b\r\n\r\n" % (boundary, kind, where), start, stop))
    spans.append((b"\r\n--%b--\r\n" % boundary, 0, 0))
    length = sum(len(head) + stop - start for head, start, stop in spans)
    headers.append((b"content-type", b"multipart/byteranges; boundary=" + boundary))
    headers.append((b"content-length", b"%d" % length))
    return _filled(206, headers, found, spans)


_Span = tuple[bytes, int, int]  # bytes to send before a part of the object, and its start and stop


def _filled(status: int, headers: list[Header], found: _Representation, spans: list[_Span]) -> Answer:
    """Return an answer with its first bytes; the rest is read when those are gone."""
    if len(spans) == 1 and spans[0][2] - spans[0][1] <= PIECE:
        return Answer(status, headers, found.now.read(spans[0][1], spans[0][2]))
    pieces = _pieces(spans)
    head, start, stop = next(pieces)
    first = b"".join((head, found.now.read(start, stop)))
    return Answer(status, headers, first, _Rest(found.source, found.key, found.now.facts, pieces))


def _pieces(spans: list[_Span]) -> Iterator[_Span]:
    for head, start, stop in spans:
        yield head, start, min(stop, start + _STEP)
        for at in range(start + _STEP, stop, _STEP):
            yield b"", at, min(stop, at + _STEP)


class _Rest:
    """The pieces of an object behind the first. The object is opened for each: a slow client keeps no file open."""

    def __init__(self, source: ByteSource, key: str, facts: Facts, pieces: Iterator[_Span]) -> None:
        self._source = source
        self._key = key
        self._facts = facts
        self._pieces = pieces
        self._next = next(pieces, None)

    def read(self, *, wait: bool) -> Buffer:
        """Return the next piece.

        Raises
        ------
        StoreError
            If the object is no longer the one that was begun.
        """
        if self._next is None:
            return b""
        head, start, stop = self._next
        data: Buffer = b""
        if stop > start:
            opened = self._source.open(self._key, wait=wait)
            if opened is None:
                raise shortened(self._key)
            try:
                if opened.facts.etag != self._facts.etag:
                    raise shortened(self._key)
                data = opened.read(start, stop)
            finally:
                opened.close()
        self._next = next(self._pieces, None)
        return b"".join((head, data)) if head else data
