"""XXH32, compiled. https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md

Only this file imports numba; it is loaded when the first checksum is needed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numpy.typing import NDArray

__all__ = ["xxh32"]


F = TypeVar("F", bound=Callable[..., int])


def _compiled(function: F) -> F:
    """Compile on the first call: without the lock, kept on disk between runs where that is possible."""
    try:
        return cast(F, njit(nogil=True, cache=True, boundscheck=False)(function))
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return cast(F, njit(nogil=True, boundscheck=False)(function))


_P1, _P2, _P3, _P4, _P5 = 0x9E3779B1, 0x85EBCA77, 0xC2B2AE3D, 0x27D4EB2F, 0x165667B1
_MASK = 0xFFFFFFFF


@_compiled
def _rotated(value: int, by: int) -> int:
    return ((value << by) | (value >> (32 - by))) & _MASK


@_compiled
def _word(data: NDArray[Any], at: int) -> int:
    return int(data[at]) | int(data[at + 1]) << 8 | int(data[at + 2]) << 16 | int(data[at + 3]) << 24


@_compiled
def _round(lane: int, word: int) -> int:
    return (_rotated((lane + ((word * _P2) & _MASK)) & _MASK, 13) * _P1) & _MASK


@_compiled
def xxh32(data: NDArray[Any], seed: int) -> int:
    """Return the 32-bit hash of bytes."""
    n, at = len(data), 0
    if n >= 16:
        a, b = (seed + _P1 + _P2) & _MASK, (seed + _P2) & _MASK
        c, d = seed & _MASK, (seed - _P1) & _MASK
        while at + 16 <= n:
            a, b = _round(a, _word(data, at)), _round(b, _word(data, at + 4))
            c, d = _round(c, _word(data, at + 8)), _round(d, _word(data, at + 12))
            at += 16
        h = (_rotated(a, 1) + _rotated(b, 7) + _rotated(c, 12) + _rotated(d, 18)) & _MASK
    else:
        h = (seed + _P5) & _MASK
    h = (h + n) & _MASK
    while at + 4 <= n:
        h = (_rotated((h + ((_word(data, at) * _P3) & _MASK)) & _MASK, 17) * _P4) & _MASK
        at += 4
    while at < n:
        h = (_rotated((h + int(data[at]) * _P5) & _MASK, 11) * _P1) & _MASK
        at += 1
    h = ((h ^ (h >> 15)) * _P2) & _MASK
    h = ((h ^ (h >> 13)) * _P3) & _MASK
    return h ^ (h >> 16)
