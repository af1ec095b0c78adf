"""In what order objects are copied: what makes others count comes after them.

Data first, then documents, those further down first and those of the root last; then what tells of releases, and the
log. A copy that was stopped is thus never taken for a whole one.
"""

from __future__ import annotations

from typing import Final

from voxarium.archive.log_reading import LOG_FOLDER
from voxarium.spec.release import FOLDER, POOL

__all__ = ["DATA", "is_document", "is_sequential", "only_created", "pooled_digest", "rank"]

DATA: Final = 0
_ROOT: Final = 100  # documents of the root; those of folders d deep have d less
_NAMED, _RELEASES, _TOMBSTONES, _PAYLOADS, _ENTRIES, _REST = 200, 201, 202, 203, 204, 205
_SUFFIXES: Final = (".json", ".zarray", ".zattrs", ".zgroup", ".zmetadata", ".xml", ".toml", ".conf", ".md")
_NAMES: Final = ("info", "provenance", "header.wkw")


def is_document(key: str) -> bool:
    """Tell whether an object says what others mean, as far as its name tells.

    Examples
    --------
    >>> is_document("em/s0/zarr.json"), is_document("em/s0/c/0/1/2")
    (True, False)
    """
    name = key.rpartition("/")[2]
    return name in _NAMES or name.endswith(_SUFFIXES)


def rank(key: str) -> int:
    """Return when an object is copied: all of a lower rank are there before.

    Examples
    --------
    >>> rank("em/s0/c/0") < rank("em/s0/zarr.json") < rank("zarr.json") < rank("releases/000001.json")
    True
    """
    if key.startswith(f"{FOLDER}/"):
        inside = key[len(FOLDER) + 1 :]
        if "/" not in inside:
            return _RELEASES
        return _TOMBSTONES if inside.startswith("tombstones/") else _NAMED
    if key.startswith(f"{LOG_FOLDER}/"):
        part = key[len(LOG_FOLDER) + 1 :].partition("/")[0]
        return {"payloads": _PAYLOADS, "entries": _ENTRIES}.get(part, _REST)
    if is_document(key):
        return _ROOT - min(key.count("/"), _ROOT - 1)
    return DATA


def is_sequential(which: int) -> bool:
    """Tell whether objects of a rank are copied one after the other, by key."""
    return which in (_RELEASES, _ENTRIES)


def only_created(key: str) -> bool:
    """Tell whether an object is part of a history, which grows and is never rewritten."""
    return rank(key) in (_NAMED, _RELEASES, _TOMBSTONES, _PAYLOADS, _ENTRIES)


def pooled_digest(key: str) -> bytes | None:
    """Return the SHA-256 that the name of a copy in the pool of releases states; None for other objects."""
    folder, _, name = key.rpartition("/")
    if folder != POOL or len(name) != 64:
        return None
    try:
        return bytes.fromhex(name)
    except ValueError:
        return None
