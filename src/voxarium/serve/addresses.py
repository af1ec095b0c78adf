"""Paths of requests: from percent-encoded bytes to keys, and back."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote, unquote_to_bytes

from voxarium.errors import InputError
from voxarium.model.keys import checked_key

__all__ = ["is_shown", "key_of", "quoted"]

_LONGEST: Final = 4096  # bytes of a path; file systems know no longer ones
# Documents of Zarr begin with a dot; anything else that does is not for others (.git, .ssh, unfinished objects).
_SHOWN: Final = (".z",)


def key_of(raw: bytes, *, hidden: bool = False) -> str | None:
    """Return the key that a part of a path means.

    Parameters
    ----------
    raw : bytes
        Percent-encoded, as sent, without a slash in front.
    hidden : bool
        Accept names that begin with a dot; without it only those of Zarr.

    Returns
    -------
    str or None
        None when no key can have this path, so that nothing is there. Slashes must be sent as such: an encoded one is
        part of no name.

    Examples
    --------
    >>> key_of(b"em%20a/.zarray"), key_of(b"em/%2e%2e/x"), key_of(b"em%2Fx"), key_of(b".git/config")
    ('em a/.zarray', None, None, None)
    """
    if len(raw) > _LONGEST:
        return None
    if b"%" in raw:
        parts = [unquote_to_bytes(part) for part in raw.split(b"/")]
        if any(b"/" in part for part in parts):
            return None
        raw = b"/".join(parts)
    try:
        key = checked_key(raw.decode("utf-8"))
    except (UnicodeDecodeError, InputError):
        return None
    return key if hidden or is_shown(key) else None


def is_shown(key: str) -> bool:
    """Tell whether no part of a key is hidden."""
    if key[0] != "." and "/." not in key:
        return True
    return all(part[0] != "." or part.startswith(_SHOWN) for part in key.split("/"))


def quoted(key: str) -> str:
    """Return a key as part of an address.

    Examples
    --------
    >>> quoted("em a/0.ome.zarr")
    'em%20a/0.ome.zarr'
    """
    return quote(key, safe="/:@")
