"""What a request brings to prove who asks: a token in a header, a path or an argument; or the cookie of a session."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from voxarium.serve.secret_text import split_token

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["COOKIES", "Credential", "client_of", "credential_of", "own_page", "without_path_token"]

# The first is for https: browsers take it from nothing else, and for no other site.
COOKIES: Final = ("__Host-voxarium", "voxarium")
_PATH: Final = re.compile(r"/t/(vx_[a-z0-9]{12}_[A-Za-z0-9_-]{43})(?=/)", re.ASCII)
_SESSION: Final = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)
_SCHEMES: Final = ("bearer", "token")  # the second is that of Boss
_ARGUMENTS: Final = ("token", "sharingToken")
_TAKING: Final = frozenset({"api", "data", "datasets"})  # routes whose clients send tokens as arguments
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """A secret, and where it stood: path, header, argument or cookie."""

    kind: str
    secret: str


def without_path_token(scope: Scope) -> tuple[Scope, str]:
    """Return a request as it is behind ``/t/TOKEN``, and that; without a token in its path, the request itself."""
    match = _PATH.match(scope["path"])
    if match is None or not scope["raw_path"].startswith(match[0].encode() + b"/"):
        return scope, ""
    cut = len(match[0])
    return {**scope, "path": scope["path"][cut:], "raw_path": scope["raw_path"][cut:]}, match[0]


def credential_of(scope: Scope, prefix: str, *, url: str | None) -> Credential | None:
    """Return what a request brings; None when that is nothing of ours.

    Tokens of other services, which clients send to everybody, are nothing.

    Parameters
    ----------
    scope : mapping
        Of ASGI.
    prefix : str
        ``/t/TOKEN`` that stood before its path.
    url : str or None
        Address of the server for others.
    """
    if prefix:
        return Credential("path", prefix.removeprefix("/t/"))
    cookies = []
    for name, value in scope["headers"]:
        text = ""
        if name == b"x-auth-token":
            text = value.decode("latin-1").strip()
        elif name == b"authorization":
            kind, _, text = value.decode("latin-1").partition(" ")
            text = text.strip() if kind.lower() in _SCHEMES else ""
        elif name == b"cookie":
            cookies.append(value)
        if text and split_token(text) is not None:
            return Credential("header", text)
    return _argument(scope) or _cookie(scope, cookies, url)


def _argument(scope: Scope) -> Credential | None:
    first = scope["path"].removeprefix("/").partition("/")[0]
    if first not in _TAKING or b"oken=" not in scope["query_string"]:
        return None
    try:
        pairs = parse_qsl(scope["query_string"].decode("ascii", "replace"), max_num_fields=32)
    except ValueError:
        return None
    found = (value for name, value in pairs if name in _ARGUMENTS and split_token(value) is not None)
    return next((Credential("argument", value) for value in found), None)


def _cookie(scope: Scope, headers: list[bytes], url: str | None) -> Credential | None:
    """Return the session of a browser; not for what a page of another site makes the browser change."""
    if not headers or (scope["method"] not in _SAFE and not own_page(scope, url)):
        return None
    given = session_cookies(headers)
    return next((Credential("cookie", given[n]) for n in COOKIES if _SESSION.fullmatch(given.get(n, ""))), None)


def session_cookies(headers: list[bytes]) -> dict[str, str]:
    """Return the cookies of a request; what is malformed is left out."""
    found: dict[str, str] = {}
    for part in b"; ".join(headers).decode("latin-1")[: 16 << 10].split(";"):
        try:
            found |= {name: morsel.value for name, morsel in SimpleCookie(part.strip()).items() if name not in found}
        except CookieError:
            continue
    return found


def own_page(scope: Scope, url: str | None) -> bool:
    """Tell whether a browser says that a page of this server makes a request; where it says nothing, no page does."""
    headers = dict(scope["headers"])
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        return bool(site == b"same-origin")  # no page can change it; plain http has it on this machine only
    origin = headers.get(b"origin")
    if origin is None:
        return False
    host = urlsplit(url).netloc if url is not None else headers.get(b"host", b"").decode("latin-1")
    netloc = urlsplit(origin.decode("latin-1")).netloc
    return bool(netloc) and netloc in (host, headers.get(b"host", b"").decode("latin-1"))


def client_of(scope: Scope, proxies: Collection[str]) -> str:
    """Return where a request comes from: what proxies of our own say, and nobody else.

    Parameters
    ----------
    scope : mapping
        Of ASGI.
    proxies : collection of str
        Addresses of machines whose X-Forwarded-For is believed.
    """
    client = str((scope.get("client") or ("",))[0])
    if client not in proxies:
        return client
    named = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
    for part in reversed(named.decode("latin-1").split(",")):
        try:
            address = str(ipaddress.ip_address(part.strip()))
        except ValueError:
            return client
        if address not in proxies:
            return address
        client = address
    return client
