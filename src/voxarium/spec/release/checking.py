"""Reading and writing documents about releases: canonical JSON, checked value by value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.model.canonical_json import dump_canonical, parse_canonical
from voxarium.model.fields import Fields, Problems

__all__ = [
    "FIX", "HASH", "ID", "MOST_DOCUMENT", "MOST_LIST", "NAME", "VERSION", "begin", "dumped", "list_of", "matched",
    "optional", "text", "time_of",
]  # fmt: skip

MOST_DOCUMENT: Final = 4 << 20
"""Bytes of a release document or tombstone."""

VERSION: Final = 1
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
ID: Final = re.compile(r"[0-9a-f]{32}")
HASH: Final = re.compile(r"[0-9a-f]{64}")
MOST_LIST: Final = 10_000
FIX: Final = "restore it from a copy; release documents must never be changed"
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_MOST_TEXT: Final = 100_000


def dumped(document: Mapping[str, Any], most: int = MOST_DOCUMENT) -> bytes:  # Any: JSON
    """Return a document as it is stored.

    Raises
    ------
    InputError
        If it would be too large.
    """
    data = dump_canonical(document)
    if len(data) > most:
        raise InputError(
            f"the document takes {len(data):,} bytes",
            code=Code.ARGUMENT_INVALID,
            fix=f"keep it below {most:,} bytes: a shorter note, fewer pins",
        )
    return data


def begin(data: bytes, where: str, format: str, problems: Problems, most: int = MOST_DOCUMENT) -> Fields:
    """Return the values of a document of one of our formats, in version 1."""
    if len(data) > most:
        problems.add(f"{len(data):,} bytes are more than {most:,}")
        problems.check(FIX)
    found = Fields(parse_canonical(data, where), problems)
    found.choice("format", (format,))
    found.integer("version", VERSION, VERSION)
    return found


def matched(found: Fields, key: str, pattern: re.Pattern[str]) -> str:
    """Return a text of a certain form."""
    value = found.text(key)
    if found.has(key) and pattern.fullmatch(value) is None:
        found.wrong(key, f"text like {pattern.pattern}")
        return ""
    return value


def optional(found: Fields, key: str, pattern: re.Pattern[str] | None = None) -> str:
    """Return a text; empty for null."""
    value = found.raw(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_TEXT or (pattern and not pattern.fullmatch(value)):
        found.wrong(key, "text or null" if pattern is None else f"text like {pattern.pattern}, or null")
        return ""
    return value


def text(found: Fields, key: str) -> str:
    """Return a text of bearable length."""
    value = found.text(key)
    if len(value) > _MOST_TEXT:
        found.wrong(key, f"at most {_MOST_TEXT:,} characters")
    return value


def list_of(found: Fields, key: str) -> list[Any]:  # Any: JSON
    """Return a list of bearable length."""
    value = found.raw(key)
    if isinstance(value, list) and len(value) <= MOST_LIST:
        return value
    found.wrong(key, f"a list of at most {MOST_LIST:,}")
    return []


def time_of(found: Fields) -> str:
    """Return the member ``time``."""
    value = matched(found, "time", _TIME)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        if value:
            found.wrong("time", "a time that exists")
    return value
