"""HTTP(S) servers, read only: any static file server that knows ranges, and those that do not.

Only an answer of 404 or 410 means that a key is absent. Where the server ignores ``Range``, the parts are cut
from the passing stream; where it does not know suffix ranges or HEAD, the size is found in another way.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, cast
from urllib.parse import unquote, urlsplit, urlunsplit

from voxarium.errors import Code, InputError
from voxarium.stores import RemoteReader, client_options, retry_config

__all__ = ["HttpStore"]


class HttpStore(RemoteReader):
    """A folder of an HTTP server.

    Parameters
    ----------
    url : str
        Address of the folder. A query string (a signature, a token) is sent with every request and never
        shown; so are a user name and password.
    headers : mapping
        Further headers of every request, such as Authorization.
    timeout : float
        Seconds after which a server that sends nothing is given up.
    retries : int
        How often a failed request is repeated, with growing pauses.
    forbidden_is_absent : bool
        Take 401 and 403 as "absent": some public servers answer so for objects they do not have.

    Examples
    --------
    >>> HttpStore("https://user:secret@example.org/em.zarr/?token=secret").uri
    'https://example.org/em.zarr'
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 30.0,
        retries: int = 4,
        forbidden_is_absent: bool = False,
    ) -> None:
        from obstore.store import HTTPStore

        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        if parts.scheme not in ("http", "https") or not host:
            raise InputError(
                f"{parts.scheme}://{host}{parts.path} is not an HTTP address",
                code=Code.URI_INVALID,
                fix="give an address such as https://example.org/em.zarr",
            )
        sent = dict(headers or {})
        if "@" in parts.netloc:
            sent.setdefault("Authorization", _basic(parts.username or "", parts.password or ""))
        options = client_options(timeout, allow_http=parts.scheme == "http")
        if sent:
            options["default_headers"] = sent
        path = parts.path.rstrip("/")
        self._arguments = (url, dict(headers or {}), timeout, retries, forbidden_is_absent)
        super().__init__(
            HTTPStore(
                urlunsplit((parts.scheme, host, path, parts.query, "")),
                client_options=cast("Any", options),
                retry_config=cast("Any", retry_config(retries)),
            ),
            urlunsplit((parts.scheme, host, path, "", "")),
            forbidden_is_absent=forbidden_is_absent,
        )

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> HttpStore:
        """Return the store of an ``http://`` or ``https://`` address."""
        return cls(uri, **options)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, self._arguments)


def _rebuild(url: str, headers: dict[str, str], timeout: float, retries: int, forbidden: bool) -> HttpStore:
    return HttpStore(url, headers=headers, timeout=timeout, retries=retries, forbidden_is_absent=forbidden)


def _basic(user: str, password: str) -> str:
    token = f"{unquote(user)}:{unquote(password)}".encode()
    return f"Basic {base64.b64encode(token).decode('ascii')}"
