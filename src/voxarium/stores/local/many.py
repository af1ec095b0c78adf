"""Reading many small files in one call that does not hold the interpreter lock.

Opening, reading and closing a file takes the lock back three times. For thousands of chunk files read by several
threads, that waiting costs more than the reading, so the loop is compiled and calls the C library itself.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.memory_pool import MemoryPool

__all__ = ["native_files", "read_files"]

_PATIENCE: Final = 64
_FEW: Final = 3  # files are opened one by one up to here
_read = [0]
_buffers = MemoryPool(64 << 20)


@cache
def _symbols() -> tuple[int, ...] | None:
    """Return the addresses of the C library's functions, or None."""
    names = ("open", "pread", "close")
    try:
        library = ctypes.CDLL(None)
        found = tuple(ctypes.cast(getattr(library, n), ctypes.c_void_p).value or 0 for n in names)
    except (OSError, AttributeError, TypeError):
        return None
    return found if all(found) else None


@cache
def _kernels() -> Any:  # Any: compiled functions have no static type
    from voxarium.stores.local import many_kernel

    return many_kernel


def _worth_loading(files: int) -> bool:
    """Tell whether the compiled loop is loaded, or so much was read that the half second to load it pays off."""
    if "voxarium.stores.local.many_kernel" in sys.modules:
        return True
    _read[0] += files  # a lost count between threads does not matter
    return _read[0] > _PATIENCE


class _Files:
    """Files that compiled code reads: a few are opened here, many by whoever reads them."""

    def __init__(self, paths: Sequence[bytes], flags: int, functions: tuple[int, ...]) -> None:
        opener, self.reader, closer = functions
        self.flags = flags
        if len(paths) > _FEW:
            self.opener, self.closer = opener, closer
            self.handles, self._names = _terminated(paths)
            return
        self.opener = self.closer = 0
        self.handles = np.full(len(paths), -1, np.int64)
        for i, path in enumerate(paths):
            with contextlib.suppress(OSError):  # the caller finds out why
                self.handles[i] = os.open(path, flags)

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        if not self.opener:
            for handle in self.handles.tolist():
                if handle >= 0:
                    os.close(handle)


def native_files(paths: Sequence[bytes], flags: int) -> _Files | None:
    """Return files for compiled code to read; None where the C library cannot be reached."""
    functions = _symbols()
    return None if functions is None else _Files(paths, flags, functions)


def _terminated(paths: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Return addresses of paths that end with a zero byte, and the memory they lie in."""
    ends = np.cumsum([len(p) + 1 for p in paths])
    names = np.frombuffer(b"\0".join(paths) + b"\0", np.uint8)
    return np.concatenate([[0], ends[:-1]]).astype(np.int64) + names.ctypes.data, names


def read_files(paths: Sequence[bytes], most: int, flags: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Read files one behind the other into one buffer.

    Parameters
    ----------
    paths : sequence of bytes
        Absolute paths.
    most : int
        Bytes expected of one file at most.
    flags : int
        For ``open``.

    Returns
    -------
    (ndarray of uint8, ndarray of int64, shape (files, 2)) or None
        The buffer, whose memory is used again when no view of it is left, and where each file begins and how long it
        is; length -1 for a file that could not be opened or read, or is longer than `most`: the caller finds out why.
        None where the C library cannot be reached, and for the first few files of a process.
    """
    symbols = _symbols()
    if symbols is None or not _worth_loading(len(paths)):
        return None
    starts, _names = _terminated(paths)
    buffer = _buffers.empty((most * len(paths) + 1,), np.dtype(np.uint8))
    found = np.empty((len(paths), 2), np.int64)
    _kernels().read_files(symbols, starts, flags, (buffer.ctypes.data, most), found)
    return buffer, found
