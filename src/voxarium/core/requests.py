"""Which bytes to ask a store for: chunks that lie close together share a request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

from voxarium.model.protocols import ByteRange, Span

__all__ = ["Objects", "Request", "group_requests", "merge_ranges"]


@dataclass(frozen=True, slots=True)
class Request:
    """Part of one object with the chunks inside it, each at a byte offset."""

    key: str
    start: int
    stop: int
    chunks: tuple[tuple[tuple[int, ...], int, int], ...]  # index, byte offset in the object, length


@dataclass(frozen=True, slots=True)
class Objects:
    """Chunks that are objects of their own."""

    chunks: tuple[tuple[tuple[int, ...], str], ...]  # index, key


def group_requests(
    found: Iterable[tuple[tuple[int, ...], Span]], *, gap: int, largest: int, most: int
) -> Iterator[Request | Objects]:
    """Join spans of one object that lie close together, never more than `most` chunks or `largest` bytes."""
    whole: list[tuple[tuple[int, ...], str]] = []
    ordered = sorted(found, key=lambda f: (f[1].key, f[1].start))
    for key, group in groupby(ordered, key=lambda f: f[1].key):
        chunks: list[tuple[tuple[int, ...], int, int]] = []
        start = stop = -1
        for index, span in group:
            if span.length is None:
                whole.append((index, key))
                continue
            end = span.start + span.length
            if chunks and (span.start - stop > gap or end - start > largest or len(chunks) >= most):
                yield Request(key, start, stop, tuple(chunks))
                chunks = []
            if not chunks:
                start = stop = span.start
            chunks.append((index, span.start, span.length))
            stop = max(stop, end)
        if chunks:
            yield Request(key, start, stop, tuple(chunks))
    for i in range(0, len(whole), most):
        yield Objects(tuple(whole[i : i + most]))


def merge_ranges(request: Request, gap: int) -> tuple[list[ByteRange], list[list[tuple[tuple[int, ...], int, int]]]]:
    """Join chunks that lie at most `gap` bytes apart; return the ranges and the chunks in each."""
    ranges: list[ByteRange] = []
    members: list[list[tuple[tuple[int, ...], int, int]]] = []
    start = stop = -1
    for chunk in request.chunks:
        _, offset, length = chunk
        if members and offset - stop <= gap:
            members[-1].append(chunk)
            stop = max(stop, offset + length)
            ranges[-1] = ByteRange(start, stop - start)
        else:
            start, stop = offset, offset + length
            ranges.append(ByteRange(start, length))
            members.append([chunk])
    return ranges, members
