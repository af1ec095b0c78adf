"""Reading many small files in one call that does not hold the interpreter lock.

Opening, reading and closing a file takes the lock back three times. For thousands of chunk files read by several
threads, that waiting costs more than the reading, so the loop is compiled and calls the C library itself.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_files"]

_PATIENCE: Final = 256
_read = [0]


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


def _worth_loading(files: int) -> bool:
    """Tell whether the compiled loop is loaded, or so much was read that the half second to load it pays off."""
    if "voxarium.stores.local.many_kernel" in sys.modules:
        return True
    _read[0] += files  # a lost count between threads does not matter
    return _read[0] > _PATIENCE


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
        read, or is longer than `most`: the caller finds out why. None where the C library cannot be reached, and for
        the first few files of a process.
    """
    symbols = _symbols()
    if symbols is None or not _worth_loading(len(paths)):
        return None
    ends = np.cumsum([len(p) + 1 for p in paths])
    names = np.frombuffer(b"\0".join(paths) + b"\0", np.uint8)
    buffer = np.empty(most * len(paths) + 1, np.uint8)
    found = np.empty((len(paths), 2), np.int64)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64) + names.ctypes.data
    _kernel()(symbols, starts, flags, (buffer.ctypes.data, most), found)
    return buffer, found
