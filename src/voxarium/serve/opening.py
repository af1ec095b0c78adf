"""Opening a file whose path has no links in it, in one call of the system.

What a folder shows must lie in it, whatever links say. Asking where an opened file is costs as much as opening it; a
path that has no links leads where it says, and nothing has to be asked.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["OPEN_FLAGS", "no_links_opener"]

OPEN_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY  # a FIFO or a device must not hold us up

# openat2(2), of Linux 5.6: the same number on all processors; a C library knows it only since 2.42.
_NUMBER: Final = 437
_HERE: Final = -100  # AT_FDCWD
_NO_LINKS: Final = 0x02 | 0x04  # RESOLVE_NO_MAGICLINKS, RESOLVE_NO_SYMLINKS
_HOW: Final = struct.pack("=QQQ", OPEN_FLAGS, 0, _NO_LINKS)


@cache
def no_links_opener() -> Callable[[str], int] | None:
    """Return what opens files by paths without links; None where the system, or what it is run in, cannot.

    Returns
    -------
    callable or None
        Takes an absolute path, as `os.path.realpath` gives it for the folder in front. Returns a descriptor; below zero
        where there is a link, or nothing, or whatever else another way of opening can tell better.
    """
    if not sys.platform.startswith("linux"):
        return None
    try:
        call = ctypes.CDLL(None).syscall
    except (OSError, AttributeError):
        return None
    call.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    call.restype = ctypes.c_int

    def opened(path: str) -> int:
        name = os.fsencode(path)
        found: int = -1 if b"\0" in name else call(_NUMBER, _HERE, name, _HOW, len(_HOW))
        return found

    root = opened("/")
    if root < 0:
        return None
    os.close(root)
    return opened
