"""What a client already has, and what it wants only then (RFC 9110, section 13)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import formatdate, mktime_tz, parsedate_tz
from functools import lru_cache
from typing import Final

__all__ = ["check_conditions", "http_date", "range_applies"]

_TAGS: Final = re.compile(rb'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@lru_cache(maxsize=4096)
def http_date(seconds: int) -> bytes:
    """Return a time as HTTP writes it.

    Examples
    --------
    >>> http_date(784111777)
    b'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    return formatdate(seconds, usegmt=True).encode("ascii")


def _seconds(value: bytes | None) -> int | None:
    if not value:
        return None
    try:
        parsed = parsedate_tz(value.decode("ascii"))
        return None if parsed is None else int(mktime_tz(parsed))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _named(value: bytes, etag: bytes, *, weakly: bool) -> bool:
    """Tell whether a list of tags, or ``*``, names the tag of an object."""
    if value.strip() == b"*":
        return True
    return any(tag == etag and (weakly or not weak) for weak, tag in _TAGS.findall(value))


def check_conditions(headers: Mapping[bytes, bytes], etag: bytes, modified: int | None) -> int | None:
    """Return the status that a condition demands: 304, 412, or None when the object is to be sent.

    Parameters
    ----------
    headers : mapping
        Of the request; names in lower case.
    etag : bytes
        Strong tag of the object, with its quotes.
    modified : int or None
        When it changed last, in seconds since 1970; None when that is not known.

    Examples
    --------
    >>> check_conditions({b"if-none-match": b'W/"a", "b"'}, b'"b"', None)
    304
    """
    limit = _seconds(headers.get(b"if-unmodified-since")) if modified is not None else None
    if (match := headers.get(b"if-match")) is not None:
        changed = not _named(match, etag, weakly=False)
    else:
        changed = modified is not None and limit is not None and modified > limit
    if changed:
        return 412
    if (none := headers.get(b"if-none-match")) is not None:
        return 304 if _named(none, etag, weakly=True) else None
    since = _seconds(headers.get(b"if-modified-since")) if modified is not None else None
    return 304 if modified is not None and since is not None and modified <= since else None


def range_applies(headers: Mapping[bytes, bytes], etag: bytes, modified: int | None) -> bool:
    """Tell whether the object is still the one that If-Range names, or it names none."""
    condition = headers.get(b"if-range")
    if condition is None:
        return True
    if b'"' in condition:
        return condition.strip() == etag
    return modified is not None and _seconds(condition) == modified
