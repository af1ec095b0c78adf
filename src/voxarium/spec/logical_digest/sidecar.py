"""A digest in a file: what it says, and the digests of all blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from voxarium.errors import ChecksumError, Code, FormatError
from voxarium.model.fields import Fields, Problems, parse_json_object
from voxarium.spec.logical_digest.coordinates import Coordinates
from voxarium.spec.logical_digest.grid import BlockGrid, content_shape
from voxarium.spec.logical_digest.hashing import DIGEST_BYTES, TYPES, canonical_json
from voxarium.spec.logical_digest.result import LogicalDigest

__all__ = ["MAGIC", "dump_tree", "parse_tree"]

MAGIC: Final = b"\x89VLD1\r\n\x1a"
_MOST_HEADER: Final = 1 << 20
_MOST_AXES: Final = 32
_NUMBER: Final = re.compile(r"0|-?[1-9][0-9]{0,11}e-?[0-9]{1,4}")


def dump_tree(digest: LogicalDigest) -> bytes:
    """Return a digest with its leaves as bytes."""
    document = {key: value for key, value in digest.to_json().items() if key != "blocks"}
    header = canonical_json({**document, "version": 1})
    return MAGIC + len(header).to_bytes(4, "little") + header + digest.leaves.tobytes()


def parse_tree(raw: bytes, where: str) -> LogicalDigest:
    """Parse what `dump_tree` made, and check that the digests follow from the leaves.

    Raises
    ------
    FormatError
        If it is something else, or damaged.
    ChecksumError
        If leaves or coordinates are not those that were digested.
    """
    if raw[: len(MAGIC)] != MAGIC:
        raise _broken(where, "does not begin as a tree of digests does")
    start = len(MAGIC) + 4
    stop = start + int.from_bytes(raw[len(MAGIC) : start], "little")
    if not start < stop <= min(len(raw), start + _MOST_HEADER):
        raise _broken(where, f"has {len(raw)} bytes, and a header that would end at {stop}")
    document = parse_json_object(raw[start:stop], where)
    stated = _Stated(document, where)
    blocks = BlockGrid(content_shape(stated.shape)).size
    if len(raw) - stop != blocks * DIGEST_BYTES:
        raise _broken(where, f"has {len(raw) - stop} bytes of digests instead of {blocks} times {DIGEST_BYTES}")
    leaves = np.frombuffer(raw, np.uint8, offset=stop).reshape(blocks, DIGEST_BYTES)
    found = LogicalDigest.of(stated.dtype, stated.shape, stated.axes, leaves, stated.coordinates)
    if (found.content, found.bound) != (stated.content, stated.bound):
        raise ChecksumError(
            f"{where} holds leaves or coordinates that do not lead to its digests",
            code=Code.CHECKSUM_MISMATCH,
            fix="make the tree anew with voxarium digest --tree",
        )
    return found


def _broken(where: str, what: str) -> FormatError:
    return FormatError(
        f"{where} {what}", code=Code.METADATA_INVALID, fix="make the tree anew with voxarium digest --tree"
    )


class _Stated:
    """The header of a file, checked."""

    def __init__(self, document: Mapping[str, Any], where: str) -> None:  # Any: JSON as found
        problems = Problems(where)
        fields = Fields(document, problems)
        if fields.integer("version", 1) != 1:
            fields.wrong("version", "1")
        self.dtype = fields.raw("dtype")
        if not isinstance(self.dtype, str) or self.dtype not in TYPES:
            fields.wrong("dtype", "a type of numbers")
        self.shape = fields.lengths("shape", 0)
        names = fields.raw("axes")
        if not _are_texts(names) or len(names) != len(self.shape) or len(names) > _MOST_AXES:
            fields.wrong("axes", "one name per axis")
        self.content = fields.raw("content")
        self.bound = fields.raw("bound")
        coordinates = fields.raw("coordinates")
        if coordinates is not None and not _is_placement(coordinates):
            fields.wrong("coordinates", "axes and a matrix of decimal numbers")
        problems.check("make the tree anew with voxarium digest --tree")
        self.axes: tuple[str, ...] = tuple(names)
        self.coordinates = None if coordinates is None else _placement(coordinates)


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and _is_unicode(v) for v in value)


def _is_unicode(text: str) -> bool:
    return not any(0xD800 <= ord(c) < 0xE000 for c in text)


def _is_axis(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"name", "type", "unit"}:
        return False
    return _are_texts([v for k, v in value.items() if k != "unit" or v is not None])


def _is_placement(value: object) -> bool:
    if not isinstance(value, dict) or set(value) != {"axes", "matrix"}:
        return False
    axes, matrix = value["axes"], value["matrix"]
    if not isinstance(axes, list) or not isinstance(matrix, list) or not len(axes) == len(matrix) <= _MOST_AXES:
        return False
    return all(map(_is_axis, axes)) and all(_is_row(row, len(axes) + 1) for row in matrix)


def _is_row(value: object, length: int) -> bool:
    if not isinstance(value, list) or len(value) != length:
        return False
    return all(isinstance(v, str) and _NUMBER.fullmatch(v) for v in value)


def _placement(value: Mapping[str, Any]) -> Coordinates:  # Any: JSON, checked
    return Coordinates(
        tuple((axis["name"], axis["type"], axis["unit"]) for axis in value["axes"]),
        tuple(tuple(row) for row in value["matrix"]),
    )
