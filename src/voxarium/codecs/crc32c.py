"""CRC-32C of any buffer, without copying it and without holding the interpreter lock."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache

import google_crc32c
import numpy as np
from typing_extensions import Buffer

__all__ = ["crc32c_extend"]


@cache
def _function() -> Callable[[int, int, int], int] | None:
    """Return the C function behind google_crc32c, which itself only takes `bytes`; None where it cannot be reached."""
    try:
        from google_crc32c import _crc32c

        library = ctypes.CDLL(_crc32c.__file__)
        return ctypes.CFUNCTYPE(ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_size_t)(
            ctypes.cast(library.crc32c_extend, ctypes.c_void_p).value or 0
        )
    except (ImportError, OSError, AttributeError):
        return None


def crc32c_extend(crc: int, data: Buffer) -> int:
    """Return the CRC-32C of what `crc` stands for followed by `data`.

    Examples
    --------
    >>> hex(crc32c_extend(0, b"123456789"))
    '0xe3069283'
    """
    function = _function()
    if function is None or (isinstance(data, bytes) and len(data) < 4096):
        return int(google_crc32c.extend(crc, data if isinstance(data, bytes) else bytes(data)))
    flat = np.frombuffer(memoryview(data), np.uint8)
    return int(function(crc, flat.ctypes.data, flat.nbytes))
