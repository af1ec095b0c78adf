"""Keys of git-annex, and tables from which it and DataLad make trees of files without fetching them. Written only.

https://git-annex.branchable.com/internals/key_format/ and ``datalad addurls``.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from typing import Final

from voxarium.errors import Code, InputError, UnsupportedError

__all__ = ["BACKENDS", "annex_key", "checked_name", "fromkey_line", "key_extension", "registerurl_line", "table_row"]

BACKENDS: Final = {"sha256": "SHA256E", "md5": "MD5E"}
"""Kinds of keys by digest."""

_LONGEST: Final = 4  # bytes of an extension: git-annex's annex.maxextensionlength, unless somebody changed it
_MOST: Final = 2
_INVALID: Final = re.compile(r"[\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]")
_FORBIDDEN: Final = re.compile(r"(?:^|/)\.git(?:/|$)", re.IGNORECASE)


def key_extension(name: str) -> str:
    """Return the extension that git-annex makes part of the key of a file.

    Examples
    --------
    >>> [key_extension(n) for n in ("em/zarr.json", "a.tar.gz", ".zattrs", "t.parquet", "c/0/0", "x.a.b c.d")]
    ['.json', '.tar.gz', '', '', '', '.a.d']
    """
    _, dot, rest = name.rpartition("/")[2].lstrip(".").partition(".")
    found: list[str] = []
    for part in reversed(["", *rest.split(".")] if dot else []):
        if len(part.encode("utf-8", "surrogatepass")) > _LONGEST or len(found) == _MOST:
            break
        if _INVALID.search(part) is None:
            found.append(part)
    kept = [part for part in reversed(found) if part]
    return f".{'.'.join(kept)}" if kept else ""


def annex_key(algorithm: str, digest: bytes, size: int, name: str) -> str:
    """Return the key of a file.

    Examples
    --------
    >>> annex_key("md5", bytes(16), 7, "em/zarr.json")
    'MD5E-s7--00000000000000000000000000000000.json'
    """
    return f"{BACKENDS[algorithm]}-s{size}--{digest.hex()}{key_extension(name)}"


def checked_name(name: str) -> str:
    """Return the name of a file, if git takes it.

    Raises
    ------
    UnsupportedError
        If it does not.
    """
    if _FORBIDDEN.search(name):
        raise UnsupportedError(
            f"{name} lies in a folder .git, where git takes no files",
            code=Code.NAME_REFUSED,
            fix="export the release in another form, such as --as bagit",
        )
    return name


def fromkey_line(key: str, name: str) -> bytes:
    """Return a line for ``git annex fromkey --batch``."""
    return f"{key} {name}\n".encode()


def registerurl_line(key: str, url: str) -> bytes:
    """Return a line for ``git annex registerurl --batch``.

    Raises
    ------
    InputError
        If the address has white space.
    """
    if re.search(r"\s", url):
        raise InputError(f"the address {url!r} has white space", code=Code.URI_INVALID, fix="encode it as %20")
    return f"{key} {url}\n".encode()


def table_row(values: Iterable[object]) -> bytes:
    r"""Return a row of a table of comma-separated values.

    Examples
    --------
    >>> table_row(["a,b", 5])
    b'"a,b",5\n'
    """
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow(values)
    return out.getvalue().encode()
