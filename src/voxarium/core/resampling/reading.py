"""Transforms in files, as resampling takes them: the one place that turns an address into a transform."""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
from typing import Any, Final

from voxarium.core.transform_files import read_transform
from voxarium.core.uri import open_source_store
from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError
from voxarium.model.transform_json import parse_transform_json
from voxarium.model.transforms import Affine, Transform
from voxarium.model.warps import Unresolved

__all__ = ["both_ways_at", "parse_transform", "transform_at"]

_MOST_BYTES: Final = 16 * 2**20
_MOST_ROWS: Final = 4
_OURS: Final = re.compile(rb"\s*(?:[{\[]|[-+.0-9][-+.,eE0-9 \t]*(?:[\r\n]|$))")
_OTHERS: Final = (".mtx", ".csv", ".xml", ".h5", ".hdf5", ".tfm")  # what these hold, their dialects say


def transform_at(uri: str | os.PathLike[str]) -> Transform:
    """Read the transform at an address: a document as `parse_transform` takes it, or any dialect of `read_transform`.

    Raises
    ------
    NotFoundError
        If nothing is there.
    FormatError
        If it is no transform.
    UnsupportedError
        If it is one that cannot be evaluated.
    """
    return both_ways_at(uri)[0]


def both_ways_at(uri: str | os.PathLike[str]) -> tuple[Transform, Transform | None]:
    """Read a transform, and the way back where the file states it otherwise than by the transform's own inverse.

    So landmarks, between which a spline has no inverse, become the spline through the same points the other way round.
    Raises as `transform_at`.
    """
    text = os.fspath(uri)
    if not text.lower().endswith(_OTHERS):
        raw = _head(text)
        if raw is not None and _OURS.match(raw):
            return parse_transform(raw, text), None
    found = read_transform(text).transform
    try:
        found.inverse()
    except UnsupportedError:
        with contextlib.suppress(UnsupportedError):
            return found, read_transform(text, backward=True).transform
    return found, None


def _head(uri: str) -> bytes | None:
    """Return a document that is not too long to be one of ours."""
    store, path = open_source_store(uri)
    stat = store.stat(path)
    if stat is None:
        raise NotFoundError(f"no file at {uri}", code=Code.PATH_MISSING, fix="check the path")
    return store.get(path) if stat.size <= _MOST_BYTES else None


def parse_transform(raw: bytes, where: str) -> Transform:
    r"""Return the transform of a document: JSON in the words of OME-Zarr, or a matrix as rows of numbers.

    A matrix for n axes has n or n + 1 rows of n + 1 numbers, the last column being the translation and the row more
    0 … 0 1; axes are those of the images, in their order.

    Raises
    ------
    FormatError
        If it is neither.
    UnsupportedError
        If its numbers lie elsewhere, or its type is unknown.

    Examples
    --------
    >>> parse_transform(b"1 0 5\n0 1 7\n", "m.txt")
    Affine(rows=((1.0, 0.0, 5.0), (0.0, 1.0, 7.0)))
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _refused(where, "is no text") from None
    if text.lstrip()[:1] not in ("{", "["):
        return _matrix([line.replace(",", " ").split() for line in text.splitlines() if line.strip()], where)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise _refused(where, "is broken JSON") from None
    if isinstance(found, list):
        return _matrix(found, where)
    transform = parse_transform_json(found, where)
    if isinstance(transform, Unresolved):
        raise UnsupportedError(
            f"{where} holds a transform of the type {transform.kind}, which is not evaluated from a document",
            code=Code.FEATURE_UNSUPPORTED,
            fix="give scale, translation, affine, rotation, mapAxis, or a sequence of them",
        )
    return transform


def _matrix(rows: list[Any], where: str) -> Transform:  # Any: JSON or words
    if not rows or len(rows) > _MOST_ROWS or not all(isinstance(r, list) and len(r) == len(rows[0]) for r in rows):
        raise _refused(where, "is no matrix")
    try:
        numbers = [[float(v) for v in row] for row in rows]
    except (TypeError, ValueError, OverflowError):
        raise _refused(where, "has entries that are no numbers") from None
    width = len(numbers[0])
    if not all(math.isfinite(v) for row in numbers for v in row):
        raise _refused(where, "has entries that are no numbers")
    if len(numbers) == width:
        if numbers[-1] != [0.0] * (width - 1) + [1.0]:
            raise _refused(where, "does not end with the row 0 … 0 1")
        numbers.pop()
    if len(numbers) != width - 1 or not numbers:
        raise _refused(where, f"has {len(rows)} rows of {width} numbers")
    return Affine(tuple(map(tuple, numbers)))


def _refused(where: str, why: str) -> FormatError:
    return FormatError(
        f"{where} {why}",
        code=Code.METADATA_INVALID,
        fix="give a JSON object of OME-Zarr, or a matrix: a row per axis, with the translation in the last column",
    )
