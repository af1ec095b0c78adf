"""How tokens look, how they are made and compared, and how they are kept out of everything that is written down."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Final

__all__ = ["digest_of", "matches", "new_token", "redacted", "split_token", "without_tokens"]

# vx_ID_SECRET. The id finds a token, and is no secret; the secret has 256 random bits, so that nobody can guess it and
# a plain hash of it gives nothing away.
_TOKEN: Final = re.compile(r"vx_([a-z0-9]{12})_([A-Za-z0-9_-]{43})", re.ASCII)
_LIKE: Final = re.compile(r"(?i:vx|v%78|%76x|%76%78)(?:_|%5[fF])[A-Za-z0-9_%~.-]{6,}", re.ASCII)
_LETTERS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
_NOBODY: Final = hashlib.sha256(secrets.token_bytes(32)).hexdigest()


def new_token() -> tuple[str, str, str]:
    """Return the id, the secret and the whole text of a new token."""
    identifier = "".join(secrets.choice(_LETTERS) for _ in range(12))
    secret = secrets.token_urlsafe(32)
    return identifier, secret, f"vx_{identifier}_{secret}"


def split_token(text: str) -> tuple[str, str] | None:
    """Return id and secret of what looks like a token of ours; None for all else.

    Examples
    --------
    >>> split_token("public") is None
    True
    """
    match = _TOKEN.fullmatch(text)
    return None if match is None else (match[1], match[2])


def digest_of(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode("ascii", "replace")).hexdigest()


def matches(secret: str, digest: str | None) -> bool:
    """Compare a secret with what is stored; where nothing is stored, with nothing, and as long."""
    return hmac.compare_digest(digest_of(secret), _NOBODY if digest is None else digest) and digest is not None


def without_tokens(text: str) -> str:
    """Return a text without tokens of ours; what only begins like one is left as it is."""
    return _TOKEN.sub("vx_***", text)


def redacted(text: str) -> str:
    """Return a text without what looks like a token of ours.

    Examples
    --------
    >>> redacted("curl of vx_0123456789ab_secret")
    'curl of vx_***'
    """
    return _LIKE.sub("vx_***", text)
