"""Names of files on the disk: a file that was flushed survives a power cut, its name if its folder was flushed too.

That costs milliseconds, so only stores that are `durable` do it: those of documents that others build on.
"""

from __future__ import annotations

import errno
import os
from typing import Final

__all__ = ["flush_folder", "make_flushed"]

_CANNOT: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR})


def flush_folder(path: str) -> None:
    """Have the names in a folder on the disk, where the file system knows how."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _CANNOT:  # may be written but not read; or not opened at all, as on Windows
            return
        raise
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
    finally:
        os.close(fd)


def make_flushed(folder: str) -> None:
    """Make a folder and those above it, and have their names on the disk."""
    made, path = [], folder
    while not os.path.isdir(path):
        made.append(path)
        path = os.path.dirname(path)
    os.makedirs(folder, exist_ok=True)
    for path in reversed(made):
        flush_folder(os.path.dirname(path))
