"""Small documents of objects, and what paths and times must look like."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.keys import checked_key
from voxarium.spec.ocfl.writing import INVENTORY_FILE

__all__ = ["DIGITS", "broken", "is_time", "parse_declaration", "parse_sidecar", "path_fault"]

DIGITS: Final = {"sha512": 128, "sha256": 64}
_LONGEST: Final = 4096  # characters of a path
_CREATED: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_SIDECAR: Final = re.compile(rb"([0-9A-Fa-f]+)[ \t]+inventory\.json\n?")
_DECLARED: Final = re.compile(r"0=ocfl_object_(1\.[01])")


def broken(where: str, what: str) -> FormatError:
    """Return the error for a document that breaks the specification."""
    return FormatError(f"{where} {what}", code=Code.METADATA_INVALID, fix="get the object from its source again")


def parse_declaration(name: str, data: bytes) -> str:
    """Return the version of the specification that the declaration of an object states.

    Raises
    ------
    FormatError
        If it is none, or not of 1.0 or 1.1.
    """
    found = _DECLARED.fullmatch(name)
    if found is None:
        raise broken(name, "is no declaration of an object of OCFL 1.0 or 1.1 (E006)")
    if data != f"{name[2:]}\n".encode():
        raise broken(name, "does not say what its name says (E007)")
    return found[1]


def parse_sidecar(data: bytes, algorithm: str, where: str) -> bytes:
    """Return the digest in the file beside an inventory.

    Raises
    ------
    FormatError
        If it is none.
    """
    found = _SIDECAR.fullmatch(data)
    if found is None or len(found[1]) != DIGITS[algorithm]:
        raise broken(where, f"is not the {algorithm} digest of {INVENTORY_FILE} (E061)")
    return bytes.fromhex(found[1].decode())


def path_fault(path: str) -> str:
    """Return what is wrong with a path; empty when nothing is."""
    if path.startswith("/") or path.endswith("/"):
        return "begins or ends with a slash"
    if len(path) > _LONGEST:
        return "is too long"
    try:
        checked_key(path)
    except InputError:
        return "is no safe path"
    return ""


def is_time(value: object) -> bool:
    """Tell whether a value is a moment with seconds and zone, as RFC 3339 writes it."""
    if not isinstance(value, str) or _CREATED.fullmatch(value) is None:
        return False
    try:
        datetime.fromisoformat(re.sub(r"\.\d+", "", value))
    except ValueError:
        return False
    return True
