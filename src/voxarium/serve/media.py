"""Types of what is served, and how pre-compressed twins of objects are named."""

from __future__ import annotations

import re
from typing import Final

from voxarium.codecs.brotli import Brotli
from voxarium.codecs.deflate import Gzip
from voxarium.codecs.zstd import Zstd

__all__ = ["TWINS", "accepted", "decoded", "media_type"]

# Encodings by the end of the name that software of Neuroglancer's world gives to compressed files.
TWINS: Final = {".gz": b"gzip", ".br": b"br", ".zst": b"zstd"}

_OCTETS: Final = b"application/octet-stream"
_JSON: Final = b"application/json"
# Nothing here is executed by browsers: pages of a data folder could otherwise act as ours.
_BY_SUFFIX: Final = {
    "json": _JSON,
    "geojson": _JSON,
    "jsonl": b"application/x-ndjson",
    "png": b"image/png",
    "jpg": b"image/jpeg",
    "jpeg": b"image/jpeg",
    "webp": b"image/webp",
    "jxl": b"image/jxl",
    "tif": b"image/tiff",
    "tiff": b"image/tiff",
    "zip": b"application/zip",
    "ozx": b"application/zip",
    "gz": b"application/gzip",
    "pdf": b"application/pdf",
    "parquet": b"application/vnd.apache.parquet",
    "h5": b"application/x-hdf5",
    "hdf5": b"application/x-hdf5",
    "nwb": b"application/x-hdf5",
    "csv": b"text/csv; charset=utf-8",
} | dict.fromkeys(
    (
        "txt",
        "md",
        "rst",
        "tsv",
        "yaml",
        "yml",
        "toml",
        "html",
        "htm",
        "xhtml",
        "xml",
        "svg",
        "js",
        "css",
        "py",
        "swc",
        "log",
    ),
    b"text/plain; charset=utf-8",
)
_JSON_NAMES: Final = frozenset({".zarray", ".zattrs", ".zgroup", ".zmetadata", "info", "provenance"})
_CODING: Final = re.compile(rb"\s*([\w*-]+)\s*(?:;\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*)?")


def media_type(key: str) -> bytes:
    """Return the type of an object by its name.

    Examples
    --------
    >>> media_type("em/0/.zarray"), media_type("em/0/0.1.2"), media_type("notes.html")
    (b'application/json', b'application/octet-stream', b'text/plain; charset=utf-8')
    """
    name = key.rsplit("/", 1)[-1]
    if name in _JSON_NAMES:
        return _JSON
    return _BY_SUFFIX.get(name.rpartition(".")[2].lower(), _OCTETS) if "." in name else _OCTETS


def accepted(header: bytes | None, coding: bytes) -> bool:
    """Tell whether a client takes an encoding, by its header Accept-Encoding.

    Examples
    --------
    >>> accepted(b"gzip;q=0, br", b"gzip"), accepted(b"gzip;q=0, *", b"br"), accepted(None, b"gzip")
    (False, True, False)
    """
    stated: dict[bytes, bool] = {}
    for item in (header or b"").lower().split(b",", 32)[:32]:
        match = _CODING.fullmatch(item)
        if match is not None:
            stated[match[1]] = float(match[2] or b"1") > 0
    return stated.get(coding, stated.get(b"*", False))


def decoded(raw: bytes, coding: bytes, most: int) -> bytes:
    """Return what a compressed twin holds.

    Raises
    ------
    FormatError
        If it is damaged, or holds more than `most` bytes.
    UnsupportedError
        If the package for it is not installed.
    """
    if coding == b"zstd":
        return bytes(Zstd(1).decode(raw, (0, most)))
    return Gzip(1).decode(raw, (0, most)) if coding == b"gzip" else Brotli().decode(raw, (0, most))
