"""Versions of an OCDBT database: manifests, nodes of the tree of versions, names of versions."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from typing_extensions import Buffer

from voxarium.errors import Code, InputError
from voxarium.spec.ocdbt.reading import NONE, DataFile, Place, Reader, refuse

__all__ = [
    "Generation", "Manifest", "Subtree", "numbered_key", "parse_commit_time", "parse_manifest", "parse_version",
    "parse_version_node", "time_text",
]  # fmt: skip

_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))")
_NUMBERED: Final = re.compile(r"manifest\.([0-9a-f]{16})")
_MOST_HEIGHT: Final = 64  # of a B+tree; writers reach about 4


@dataclass(frozen=True, slots=True)
class Generation:
    """A version: its number, its time in nanoseconds since 1970, and the root of its tree (None: it has no keys)."""

    number: int
    time: int
    keys: int
    height: int
    root: Place | None


@dataclass(frozen=True, slots=True)
class Subtree:
    """A node of the tree of versions: the last number and the first time below it."""

    last: int
    first_time: int
    height: int
    place: Place


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a database consists of; a numbered manifest has the versions of one that only says so."""

    numbered: bool
    arity_log2: int
    generations: Sequence[Generation] = ()
    subtrees: Sequence[Subtree] = ()


def parse_manifest(body: Buffer, where: str) -> Manifest:
    """Return what a manifest says.

    Raises
    ------
    FormatError
        If it is no manifest.
    """
    reader = Reader(memoryview(body).cast("B"), where)
    reader.take(16)  # the database's own number
    kind = reader.number()
    reader.numbers(2)  # limits for writers
    arity = _arity(reader)
    method = reader.number()
    if kind > 1 or method > 1:
        refuse(where, f"manifests of kind {kind}, compression {method} are unknown")
    if method:
        reader.take(4)
    if kind == 1:
        reader.done()
        return Manifest(True, arity)
    files = reader.files("")
    generations = _generations(reader, files)
    subtrees = _subtrees(reader, files, None)
    reader.done()
    if generations and subtrees and subtrees[-1].last >= generations[0].number:
        refuse(where, "versions are not in order")
    if any(a.height <= b.height for a, b in itertools.pairwise(subtrees)):
        refuse(where, "nodes of versions are not in order")
    return Manifest(False, arity, generations, subtrees)


def parse_version_node(body: Buffer, where: str, subtree: Subtree) -> Sequence[Generation] | Sequence[Subtree]:
    """Return what a node of the tree of versions has: versions, or nodes below it, in order.

    Raises
    ------
    FormatError
        If it is not what `subtree` says.
    """
    reader = Reader(memoryview(body).cast("B"), where)
    arity, height = _arity(reader), reader.byte()
    if height != subtree.height or (height + 1) * arity >= 64:
        refuse(where, f"a node of height {height} instead of {subtree.height}")
    files = reader.files(subtree.place.file.folder)
    found: Sequence[Generation] | Sequence[Subtree] = (
        _subtrees(reader, files, height - 1) if height else _generations(reader, files)
    )
    reader.done()
    last = found[-1] if found else None
    number = last.number if isinstance(last, Generation) else last.last if last else 0
    if number != subtree.last:
        refuse(where, f"versions up to {number} instead of {subtree.last}")
    return found


def _arity(reader: Reader) -> int:
    found = reader.byte()
    if not 1 <= found < 64:
        refuse(reader.where, f"2**{found} versions in a node")
    return found


def _generations(reader: Reader, files: Sequence[DataFile]) -> list[Generation]:
    count = reader.count()
    numbers = _increasing(reader, count)
    heights = reader.take(count)
    if max(heights, default=0) > _MOST_HEIGHT:
        refuse(reader.where, f"a tree of height {max(heights)}")
    ids, starts, lengths = reader.columns(count, files)
    keys = reader.numbers(count)
    reader.numbers(2 * count)  # bytes of the tree, and of values in data files
    times = reader.times(count)
    return [
        Generation(n, t, int(k), h, None if s == NONE else Place(files[int(i)], int(s), int(b)))
        for n, t, k, h, i, s, b in zip(numbers, times, keys, heights, ids, starts, lengths, strict=True)
    ]


def _subtrees(reader: Reader, files: Sequence[DataFile], height: int | None) -> list[Subtree]:
    count = reader.count()
    numbers = _increasing(reader, count)
    ids, starts, lengths = reader.columns(count, files)
    if (starts == NONE).any():
        refuse(reader.where, "a node of versions that is nowhere")
    reader.numbers(count)  # versions in each
    times = reader.times(count)
    heights = list(reader.take(count)) if height is None else [height] * count
    return [
        Subtree(n, t, h, Place(files[int(i)], int(s), int(b)))
        for n, t, h, i, s, b in zip(numbers, times, heights, ids, starts, lengths, strict=True)
    ]


def _increasing(reader: Reader, count: int) -> list[int]:
    found = [int(n) for n in reader.numbers(count)]
    if any(a >= b for a, b in zip([0, *found], found, strict=False)):
        refuse(reader.where, "versions are not in order")
    return found


# -- names of versions
def numbered_key(name: str) -> int | None:
    """Return the generation that the name of a numbered manifest states; None for other names.

    Examples
    --------
    >>> numbered_key("manifest.000000000000001f"), numbered_key("manifest.ocdbt")
    (31, None)
    """
    found = _NUMBERED.fullmatch(name)
    return int(found[1], 16) if found else None


def parse_version(text: str) -> int | str:
    """Return a generation number, or a time as it stands, of the name of a version.

    Examples
    --------
    >>> parse_version("v12"), parse_version("2026-01-31T06:00:00Z")
    (12, '2026-01-31T06:00:00Z')

    Raises
    ------
    InputError
        If it is neither.
    """
    number = text[1:]
    if text.startswith("v") and number.isascii() and number.isdigit() and len(number) <= 20:
        return int(number)
    parse_commit_time(text)
    return text


def parse_commit_time(text: str) -> int:
    """Return the nanoseconds since 1970 of a time.

    Examples
    --------
    >>> parse_commit_time("1970-01-01T01:00:00.5+01:00")
    500000000

    Raises
    ------
    InputError
        If it is no time with its zone.
    """
    found = _TIME.fullmatch(text)
    try:
        if found is None:
            raise ValueError("no time")
        seconds = datetime.fromisoformat(found[1]).replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise InputError(
            f"{text!r} is no version of an OCDBT database",
            code=Code.ARGUMENT_INVALID,
            fix="write a generation as v12, or a time as 2026-01-31T06:00:00Z",
        ) from error
    shift = 0 if found[3] is None else (int(found[4]) * 60 + int(found[5])) * 60 * (-1 if found[3] == "-" else 1)
    return (int(seconds) - shift) * 10**9 + int((found[2] or "").ljust(9, "0"))


def time_text(nanoseconds: int) -> str:
    """Return a time of commit as text, UTC, as `parse_commit_time` reads it.

    Examples
    --------
    >>> time_text(500000000)
    '1970-01-01T00:00:00.500000000Z'
    """
    seconds, rest = divmod(min(nanoseconds, 2**63 - 1), 10**9)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
