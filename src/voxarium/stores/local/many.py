"""Reading many small files in one call that does not hold the interpreter lock.

Opening, reading and closing a file takes the lock back three times. For thousands of chunk files read by several
threads, that waiting costs more than the reading, so the loop is compiled and calls the C library itself.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_files"]


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
def _kernel() -> Any:  # Any: compiled functions have no static type
    from voxarium.stores.local import many_kernel

    return many_kernel.read_files


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
        The buffer, and where each file begins and how long it is; length -1 for a file that could not be opened or
        read, or is longer than `most`: the caller finds out why. None where the C library cannot be reached.
    """
    symbols = _symbols()
    if symbols is None:
        return None
    ends = np.cumsum([len(p) + 1 for p in paths])
    names = np.frombuffer(b"\0".join(paths) + b"\0", np.uint8)
    buffer = np.empty(most * len(paths) + 1, np.uint8)
    found = np.empty((len(paths), 2), np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) + names.ctypes.data
    _kernel()(symbols, starts, flags, (buffer.ctypes.data, most), found)
    return buffer, found
