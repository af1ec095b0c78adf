"""CRC-32C of any buffer, without copying it and without holding the interpreter lock."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import cache
from typing import Final

import google_crc32c
import numpy as np
from typing_extensions import Buffer

__all__ = ["crc32c_combine", "crc32c_extend"]

_POLYNOMIAL: Final = 0x82F63B78  # Castagnoli, bits reversed


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


def crc32c_combine(first: int, second: int, length: int) -> int:
    """Return the CRC-32C of two pieces one behind the other, from that of each; the second has `length` bytes.

    Examples
    --------
    >>> hex(crc32c_combine(crc32c_extend(0, b"1234"), crc32c_extend(0, b"56789"), 5))
    '0xe3069283'
    """
    # Appending a zero bit is a linear map over GF(2) of the CRC's 32 bits; squaring it doubles the number of bits.
    matrix = [_POLYNOMIAL, *(1 << n for n in range(31))]
    bits = 8 * length
    while bits:
        if bits & 1:
            first = _times(matrix, first)
        matrix = [_times(matrix, column) for column in matrix]
        bits >>= 1
    return first ^ second


def _times(matrix: list[int], vector: int) -> int:
    product = 0
    for column in matrix:
        if vector & 1:
            product ^= column
        vector >>= 1
    return product
