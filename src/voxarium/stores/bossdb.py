"""BossDB and other servers of the Boss: ``bossdb://collection/experiment/channel``, read only.

The keys of the store are ``channel``, ``experiment``, ``frame`` and ``levels`` (JSON documents about the channel) and
``cutout/…`` (blosc-compressed voxels). Every other key is absent, and costs no request.

The token comes from the environment, as for the service's own client: ``INTERN_TOKEN``, or ``BOSSDB_TOKEN``, else
``public``. It is sent to one host only, ``INTERN_HOST`` or the public service, never to another that an address
names, and not without encryption except on this machine. It is in no address and no message.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, cast

from typing_extensions import Buffer

from voxarium.errors import Code, InputError
from voxarium.model.keys import checked_key, resolve_range
from voxarium.model.protocols import ByteRange, ObjectStat
from voxarium.spec.bossdb import HOST, BossAddress, frame_name, parse_address
from voxarium.stores import RemoteReader, client_options, retry_config

if TYPE_CHECKING:
    from obstore.store import HTTPStore

__all__ = ["BossStore"]

_PUBLIC: Final = "public"
_CUTOUT: Final = "cutout/"
_DOCUMENTS: Final = ("channel", "experiment", "frame", "levels")
_LOOPBACK: Final = ("localhost", "127.0.0.1")


class BossStore(RemoteReader):
    """A channel of a Boss.

    Parameters
    ----------
    uri : str
        ``bossdb://collection/experiment/channel``; with ``http(s)://host/`` in front of the collection for servers
        other than the public one.
    token : str or None
        Sent to whatever server the address names; None = as the environment says.
    timeout : float
        Seconds after which a server that sends nothing is given up.
    retries : int
        How often a failed request is repeated, with growing pauses.

    Examples
    --------
    >>> BossStore("bossdb://Kasthuri2015/ac4/em").uri
    'bossdb://api.bossdb.io/Kasthuri2015/ac4/em'
    """

    concurrency: int = 16

    def __init__(self, uri: str, *, token: str | None = None, timeout: float = 60.0, retries: int = 4) -> None:
        protocol = os.environ.get("INTERN_PROTOCOL", "https")
        self._address = parse_address(uri, protocol, os.environ.get("INTERN_HOST") or HOST)
        self._arguments = (uri, token, timeout, retries)
        secret = _token(self._address) if token is None else _sendable(self._address, token)
        self._kept: dict[str, bytes] = {}
        documents = _client(self._address, secret, "application/json", timeout, retries)
        self._documents = RemoteReader(documents, self._address.uri)
        super().__init__(_client(self._address, secret, "application/blosc", timeout, retries), self._address.uri)

    @classmethod
    def from_uri(cls, uri: str, **options: Any) -> BossStore:
        """Return the store of a ``bossdb://`` address."""
        return cls(uri, **options)

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, self._arguments)

    def get(self, key: str, /) -> bytes | None:
        """Return a document or a cutout."""
        key = checked_key(key)
        if key in _DOCUMENTS:
            return self._document(key)
        if not key.startswith(_CUTOUT):
            return None
        return super().get(f"{_CUTOUT}{self._address.route}/{key.removeprefix(_CUTOUT)}")

    def _document(self, key: str) -> bytes | None:
        if key in self._kept:
            return self._kept[key]
        address = self._address
        experiment = f"collection/{address.collection}/experiment/{address.experiment}"
        if key == "frame":
            found = self.get("experiment")
            route = "" if found is None else f"coord/{frame_name(found)}"
        else:
            routes = {"channel": f"{experiment}/channel/{address.channel}", "experiment": experiment}
            route = routes.get(key, f"downsample/{address.route}")
        raw = self._documents.get(route) if route else None
        if raw is not None:
            self._kept[key] = raw
        return raw

    def get_ranges(self, key: str, ranges: Sequence[ByteRange], /) -> list[Buffer] | None:
        """Return parts of a document or cutout; the service sends both whole."""
        raw = self.get(key)
        if raw is None:
            return None
        return [raw[slice(*resolve_range(r, len(raw)))] for r in ranges]

    def stat(self, key: str, /) -> ObjectStat | None:
        """Return the size of a document or cutout, which is fetched for that."""
        raw = self.get(key)
        return None if raw is None else ObjectStat(len(raw), blake2b(raw, digest_size=8).hexdigest())


def _rebuild(uri: str, token: str | None, timeout: float, retries: int) -> BossStore:
    return BossStore(uri, token=token, timeout=timeout, retries=retries)


def _client(address: BossAddress, token: str, accept: str, timeout: float, retries: int) -> HTTPStore:
    from obstore.store import HTTPStore

    options: dict[str, Any] = client_options(timeout, allow_http=address.protocol == "http")
    headers: Mapping[str, str] = {"Authorization": f"Token {token}", "Accept": accept}
    options["default_headers"] = dict(headers)
    query = "?access-mode=no-cache" if accept.endswith("blosc") else ""
    return HTTPStore(
        f"{address.protocol}://{address.host}/v1{query}",
        client_options=cast("Any", options),
        retry_config=cast("Any", retry_config(retries)),
    )


def _token(address: BossAddress) -> str:
    """Return the token of the environment for the host it belongs to, ``public`` for any other."""
    found = os.environ.get("INTERN_TOKEN") or os.environ.get("BOSSDB_TOKEN")
    if not found or address.host != (os.environ.get("INTERN_HOST") or HOST):
        return _PUBLIC
    return _sendable(address, found)


def _sendable(address: BossAddress, token: str) -> str:
    if not token.isascii() or not token.isprintable():
        raise InputError(
            "the token has characters that no HTTP header may have",
            code=Code.ARGUMENT_INVALID,
            fix="copy it again from the service's page",
        )
    if token != _PUBLIC and address.protocol == "http" and address.host.partition(":")[0] not in _LOOPBACK:
        raise InputError(
            f"a token is not sent to {address.host} without encryption",
            code=Code.ARGUMENT_INVALID,
            fix="use https, or the token 'public'",
        )
    return token
