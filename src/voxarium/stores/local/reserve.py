"""Setting aside room on disk for a file that grows."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["allocate"]

_KEEP_SIZE: Final = 1


@cache
def _function() -> Callable[[int, int, int, int], int] | None:
    """Return Linux's fallocate. Python's posix_fallocate writes zeros where a file system cannot do this."""
    try:
        function = ctypes.CDLL(None).fallocate
    except (OSError, AttributeError, TypeError):
        return None
    function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    function.restype = ctypes.c_int
    found: Callable[[int, int, int, int], int] = function
    return found


def allocate(fd: int, start: int, length: int) -> None:
    """Set aside room behind a file's end, if the system can. Never fails: writing tells when the disk is full."""
    function = _function()
    if function is not None:
        function(fd, _KEEP_SIZE, start, length)
