"""Where stored bytes of many chunks are, and how compiled code gets at them without the interpreter lock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["ChunkJudge", "Located", "NativeCrew", "NativeFiles", "NativeReads", "Span", "located", "whole_objects"]


@dataclass(frozen=True, slots=True)
class Span:
    """Where the stored bytes of a chunk are: part of an object, or the whole object when `length` is None."""

    key: str
    start: int = 0
    length: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Where the stored bytes of many chunks are; arrays have one entry per chunk.

    Parameters
    ----------
    keys : sequence of str
        Objects.
    objects : ndarray of int64
        Which of `keys` holds a chunk; -1 for a chunk that the index says is absent.
    starts, lengths : ndarray of int64
        Bytes within the object; length -1 for the whole of it.
    """

    keys: Sequence[str]
    objects: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def span(self, i: int) -> Span | None:
        """Return where one chunk is, or None when it is absent."""
        at, length = int(self.objects[i]), int(self.lengths[i])
        return None if at < 0 else Span(self.keys[at], int(self.starts[i]), None if length < 0 else length)


def whole_objects(keys: Sequence[str]) -> Located:
    """Return chunks that are objects of their own."""
    n = len(keys)
    return Located(keys=keys, objects=np.arange(n), starts=np.zeros(n, np.int64), lengths=np.full(n, -1, np.int64))


def located(spans: Sequence[Span | None]) -> Located:
    """Return spans as arrays."""
    keys = list(dict.fromkeys(s.key for s in spans if s is not None))
    number = {key: i for i, key in enumerate(keys)}
    return Located(
        keys=keys,
        objects=np.array([-1 if s is None else number[s.key] for s in spans], np.int64),
        starts=np.array([0 if s is None else s.start for s in spans], np.int64),
        lengths=np.array([-1 if s is None or s.length is None else s.length for s in spans], np.int64),
    )


class NativeFiles(Protocol):
    """Objects for compiled code to read. A context manager: leaving it closes what is open.

    Attributes
    ----------
    reader : int
        Address of a C function like ``pread``: (handle, buffer, count, position) → bytes read, negative on failure.
    opener, closer : int
        Addresses of functions like ``open`` (path, flags) and ``close``, when objects are opened just for being read;
        else 0.
    flags : int
        For `opener`.
    handles : ndarray of int64
        One per key, in the order asked: an open handle, or -1 where the object could not be opened, for whatever
        reason; with an `opener`, the address of a path.
    """

    reader: int
    opener: int
    closer: int
    flags: int
    handles: NDArray[np.int64]

    def __enter__(self) -> NativeFiles: ...

    def __exit__(self, *_: object) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkJudge:
    """Compiled code that looks at decoded chunks where they are, in a processor's cache, so that nothing is copied.

    Parameters
    ----------
    function : int
        Address of a C function of three 64-bit words: `argument`, the address of the voxels of a whole chunk in C
        order, and the address of its index, one 64-bit word per axis. Returns 1 for a chunk it finds good. Called by
        several threads at a time.
    argument : int
        What the function is told: mostly the address of memory.
    kept : tuple
        What must not be freed while the judge is used.
    """

    function: int
    argument: int
    kept: tuple[object, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NativeReads:
    """Stored bytes of chunks as compiled code fetches them: see `NativeFiles` and `Located`.

    Parameters
    ----------
    chunk_shape : tuple of int
        Voxels per chunk.
    indices : ndarray of int64, shape (chunks, axes)
        Which chunks.
    files : NativeFiles
        The objects, of which `objects` names one per chunk.
    objects, starts, lengths : ndarray of int64
        As `Located` gives them, one per chunk.
    most : int
        Bytes a chunk is expected to take at most.
    announce : bool
        Whether to tell the system first what will be read, since it has to come from a disk.
    judge : ChunkJudge or None
        Who looks at chunks; they are put nowhere then.
    """

    chunk_shape: tuple[int, ...]
    indices: NDArray[np.int64]
    files: NativeFiles
    objects: NDArray[np.int64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    most: int
    announce: bool = False
    judge: ChunkJudge | None = None


class NativeCrew(Protocol):
    """Threads in compiled code that share a job."""

    helpers: int

    def set_count(self, count: int, /) -> None:
        """Say how many chunks there are."""

    def run(self, words: list[int], room: int, helpers: int, kind: str, /) -> None:
        """Do a job."""
