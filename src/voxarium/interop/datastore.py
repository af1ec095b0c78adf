"""A server that a token is sent to: no other is ever asked, whatever it answers."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from hashlib import blake2b
from time import sleep
from typing import Final
from urllib.parse import quote, urlsplit

from typing_extensions import Buffer

from voxarium.errors import Code, InputError, StoreError
from voxarium.model.keys import checked_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat

__all__ = ["TokenStore", "checked_token"]

_LARGEST: Final = 256 << 20  # bytes of one answer
_TRIES: Final = 4
_LATER: Final = (429, 502, 503, 504)
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")


def checked_token(url: str, token: str | None) -> str | None:
    """Return a token that may be sent to a server.

    Raises
    ------
    InputError
        If it cannot be sent, or would travel unencrypted.
    """
    if token is None:
        return None
    if not token or not token.isascii() or not token.isprintable():
        raise InputError(
            "the token has characters that no HTTP header may have",
            code=Code.ARGUMENT_INVALID,
            fix="copy it again from the server's page",
        )
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise InputError(
            f"a token is not sent to {parts.hostname} without encryption",
            code=Code.ARGUMENT_INVALID,
            fix="use https, or no token",
        )
    return token


class TokenStore:
    """What is below an address of an HTTP server, read whole. Redirects are not followed.

    Parameters
    ----------
    url : str
        ``http(s)://host[:port][/path]``.
    token : str or None
        Sent as ``X-Auth-Token``, and never shown.
    timeout : float
        Seconds after which a server that sends nothing is given up.
    """

    concurrency: int = 8

    def __init__(self, url: str, *, token: str | None = None, timeout: float = 60.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
            raise InputError(
                "the address is not one of a server",
                code=Code.URI_INVALID,
                fix="give an address such as https://example.org, and the token apart from it",
            )
        self._url = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host, self._path = parts.netloc, parts.path.rstrip("/")
        self._token, self._timeout = checked_token(url, token), timeout
        self._idle: list[http.client.HTTPConnection] = []

    def __del__(self) -> None:
        for connection in self.__dict__.get("_idle", ()):
            connection.close()

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuilt, (self._url, self._token, self._timeout)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._url!r})"

    @property
    def uri(self) -> str:
        """Address, without the token."""
        return self._url

    def get(self, key: str, /) -> bytes | None:
        """Return what is at a key; None when the server says that there is nothing.

        Raises
        ------
        StoreError
            If it does not answer, refuses, or answers with something else.
        """
        key = checked_key(key)
        for attempt in range(_TRIES):
            last = attempt == _TRIES - 1
            if attempt:
                sleep(0.1 * 4 ** (attempt - 1))
            try:
                status, body = self._asked(key)
            except (OSError, http.client.HTTPException) as error:
                if last:
                    raise self._failed(key, f"the server did not answer: {type(error).__name__}") from None
                continue
            if status == 200:
                return body
            if status in (404, 410):
                return None
            if status not in _LATER or last:
                raise self._refused(key, status)
        raise AssertionError  # pragma: no cover  the last attempt returns or raises

    def _asked(self, key: str) -> tuple[int, bytes]:
        headers = {"Accept-Encoding": "identity"}
        if self._token is not None:
            headers["X-Auth-Token"] = self._token
        connection = self._connection()
        kept = False
        try:
            connection.request("GET", f"{self._path}/{quote(key, safe='/:@$,;=+')}", headers=headers)
            answer = connection.getresponse()
            size = answer.length
            body = b"" if (size or 0) > _LARGEST else answer.read(_LARGEST + 1)
            if max(size or 0, len(body)) > _LARGEST:
                raise self._failed(key, f"the answer has more than {_LARGEST} bytes")
            if len(body) < (size or 0):
                raise http.client.IncompleteRead(body)
            kept = True
        finally:
            if kept:
                self._idle.append(connection)
            else:
                connection.close()
        return answer.status, body

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()  # at one stroke: several threads read
        except IndexError:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            return kind(self._host, timeout=self._timeout)

    def _refused(self, key: str, status: int) -> StoreError:
        if status in (401, 403):
            return StoreError(
                f"{self._url}/{key}: the server refuses (HTTP {status})",
                code=Code.STORE_PERMISSION,
                fix="give a token that may read this",
            )
        if 300 <= status < 400:
            return self._failed(key, f"the server sends elsewhere (HTTP {status}), which is not followed")
        return self._failed(key, f"HTTP {status}")

    def _failed(self, key: str, what: str) -> StoreError:
        return StoreError(
            f"{self._url}/{key}: {what}", code=Code.STORE_UNREADABLE, fix="check the address, and try again"
        )

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> Sequence[Buffer] | None:
        """Return parts of what is at a key, which is read whole."""
        raw = self.get(key)
        return None if raw is None else [raw[slice(*resolve_range(r, len(raw)))] for r in ranges]

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return the size of what is at a key, which is read for that."""
        raw = self.get(key)
        return None if raw is None else ObjectStat(len(raw), blake2b(raw, digest_size=8).hexdigest())


def _rebuilt(url: str, token: str | None, timeout: float) -> TokenStore:
    return TokenStore(url, token=token, timeout=timeout)
