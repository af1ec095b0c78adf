"""Lists of pieces: an object that is byte ranges of other objects, one behind the other."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxarium.errors import InputError
from voxarium.model.canonical_json import MOST_INTEGER
from voxarium.model.fields import Problems
from voxarium.model.keys import checked_key
from voxarium.spec.release.checking import begin, dumped
from voxarium.spec.release.model import FOLDER, POOL

__all__ = ["MOST_PIECES", "Piece", "dump_pieces", "parse_pieces"]

MOST_PIECES: Final = 64 << 20
"""Bytes of a list of pieces."""

_FORMAT: Final = "voxarium-pieces"
_FIX: Final = "restore it from a copy; what is named by its content must never be changed"


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes ``start … start + length`` of the object at a key of the dataset; or `data`, when there is no key."""

    key: str
    start: int
    length: int
    data: bytes = b""


def dump_pieces(pieces: Sequence[Piece]) -> bytes:
    """Return the list of an object's pieces, to be stored under its SHA-256.

    Raises
    ------
    InputError
        If it would be too large.

    Examples
    --------
    >>> dump_pieces([Piece("em/c/0", 8, 100), Piece("", 0, 2, b"ab")]).decode()
    '{"format":"voxarium-pieces","pieces":[["em/c/0",8,100],["YWI="]],"size":102,"version":1}'
    """
    rows: list[list[Any]] = [  # Any: JSON
        [p.key, p.start, p.length] if p.key else [base64.b64encode(p.data).decode("ascii")] for p in pieces
    ]
    size = sum(p.length for p in pieces)
    return dumped({"format": _FORMAT, "version": 1, "size": size, "pieces": rows}, MOST_PIECES)


def parse_pieces(data: bytes, where: str) -> tuple[Piece, ...]:
    """Parse a list of pieces.

    Every piece is a part of an object that is stored as it is: of the content of the dataset, or named by its content.
    So no list leads to another list, and reading cannot go round in circles.

    Raises
    ------
    FormatError
        If it is none, or asks for something that cannot be.
    """
    problems = Problems(where)
    found = begin(data, where, _FORMAT, problems, MOST_PIECES)
    size = found.integer("size", 0, MOST_INTEGER)
    rows = found.raw("pieces")
    if not isinstance(rows, list):
        found.wrong("pieces", "a list")
        rows = []
    found.done()
    pieces = []
    for i, row in enumerate(rows):
        piece = _piece(row)
        if piece is None:
            problems.add(f"pieces[{i}] is neither [key, first byte, bytes] nor [base64]")
            break
        pieces.append(piece)
    if len(pieces) == len(rows) and sum(p.length for p in pieces) != size:
        problems.add(f"its pieces do not have {size:,} bytes together")
    problems.check(_FIX)
    return tuple(pieces)


def _piece(row: Any) -> Piece | None:  # Any: JSON
    if not isinstance(row, list) or not row or not isinstance(row[0], str):
        return None
    if len(row) == 1:
        try:
            data = base64.b64decode(row[0], validate=True)
        except (binascii.Error, ValueError):
            return None
        return Piece("", 0, len(data), data) if data else None
    if len(row) != 3 or not all(type(n) is int and 0 <= n <= MOST_INTEGER for n in row[1:]) or not row[2]:
        return None
    try:
        key = checked_key(row[0])
    except InputError:
        return None
    return None if key.startswith(f"{FOLDER}/") and not key.startswith(f"{POOL}/") else Piece(key, row[1], row[2])
