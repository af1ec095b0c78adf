"""SHA-256 of very many short messages, 64 of them side by side.

`hashlib` needs about a microsecond a call, whatever the message; the leaves and nodes of a tree over 10⁶ entries would
take two seconds. Here every step is done for 64 messages at once, which compilers turn into vector instructions.
The constants are the fractions of roots of primes, as FIPS 180-4 defines them.
"""

from __future__ import annotations

from math import isqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.spec.manifest.compiling import kernel, part

__all__ = ["hash_leaves", "hash_pairs"]

_LANES: Final = 64
U32: Final = np.uint32
Bytes = NDArray[np.uint8]


def _primes(count: int) -> list[int]:
    found: list[int] = []
    n = 2
    while len(found) < count:
        if all(n % p for p in found):
            found.append(n)
        n += 1
    return found


def _cube_root(n: int) -> int:
    low, high = 0, 1 << 40
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**3 <= n else (low, middle)
    return low


_BEGIN: Final = np.array([isqrt(p << 64) & 0xFFFFFFFF for p in _primes(8)], np.uint32)
_ROUNDS: Final = np.array([_cube_root(p << 96) & 0xFFFFFFFF for p in _primes(64)], np.uint32)


@part
def _rotated(x: Any, n: int) -> Any:  # Any: uint32
    return (x >> U32(n)) | (x << U32(32 - n))


@part
def _compress(state: Any, w: Any) -> None:  # Any: arrays of uint32, [word, lane]
    # One block of every lane. The eight variables stay where they are; their roles move on.
    v = state.copy()
    for t in range(16, 64):
        for lane in range(_LANES):
            a, b = w[t - 15, lane], w[t - 2, lane]
            s0 = _rotated(a, 7) ^ _rotated(a, 18) ^ (a >> U32(3))
            s1 = _rotated(b, 17) ^ _rotated(b, 19) ^ (b >> U32(10))
            w[t, lane] = U32(w[t - 16, lane] + s0 + w[t - 7, lane] + s1)
    for t in range(64):
        k = _ROUNDS[t]
        ia, ib, ic, i_d = (64 - t) & 7, (65 - t) & 7, (66 - t) & 7, (67 - t) & 7
        ie, i_f, ig, ih = (68 - t) & 7, (69 - t) & 7, (70 - t) & 7, (71 - t) & 7
        for lane in range(_LANES):
            e, a = v[ie, lane], v[ia, lane]
            s1 = _rotated(e, 6) ^ _rotated(e, 11) ^ _rotated(e, 25)
            chosen = (e & v[i_f, lane]) ^ ((~e) & v[ig, lane])
            t1 = U32(v[ih, lane] + s1 + chosen + k + w[t, lane])
            s0 = _rotated(a, 2) ^ _rotated(a, 13) ^ _rotated(a, 22)
            most = (a & v[ib, lane]) ^ (a & v[ic, lane]) ^ (v[ib, lane] & v[ic, lane])
            v[i_d, lane] = U32(v[i_d, lane] + t1)
            v[ih, lane] = U32(t1 + s0 + most)
    for i in range(8):
        for lane in range(_LANES):
            state[i, lane] = U32(state[i, lane] + v[i, lane])


@part
def _absorb(state: Any, w: Any, text: Any, block: Any) -> None:
    # Take block number `block` of the text of every lane.
    for lane in range(_LANES):
        at = 64 * block
        for i in range(16):
            w[i, lane] = (
                (U32(text[lane, at]) << U32(24))
                | (U32(text[lane, at + 1]) << U32(16))
                | (U32(text[lane, at + 2]) << U32(8))
                | U32(text[lane, at + 3])
            )
            at += 4
    _compress(state, w)


@part
def _pad(text: Any, lane: Any, length: Any) -> Any:
    # End a message as FIPS 180-4 §5.1.1 wants it; return its blocks.
    blocks = (length + 9 + 63) // 64
    text[lane, length] = 128
    for i in range(length + 1, 64 * blocks):
        text[lane, i] = 0
    _big_endian(text, lane, 64 * blocks - 8, 8 * length, 8)
    return blocks


@part
def _big_endian(text: Any, lane: Any, at: Any, value: Any, width: int) -> None:
    for i in range(width):
        text[lane, at + i] = (value >> (8 * (width - 1 - i))) & 255


@part
def _emit(state: Any, lane: Any, out: Any) -> None:
    for i in range(8):
        for b in range(4):
            out[4 * i + b] = (state[i, lane] >> U32(24 - 8 * b)) & U32(255)


@part
def _begin(state: Any) -> None:
    for i in range(8):
        for lane in range(_LANES):
            state[i, lane] = _BEGIN[i]


@kernel
def hash_pairs(pairs: Bytes, out: Bytes) -> None:
    """Write SHA-256(0x01, left, right) of digests side by side: `pairs` (n, 64), `out` (n, 32)."""
    state, w = np.empty((8, _LANES), np.uint32), np.empty((64, _LANES), np.uint32)
    text = np.zeros((_LANES, 128), np.uint8)
    for first in range(0, pairs.shape[0], _LANES):
        count = min(_LANES, pairs.shape[0] - first)
        for lane in range(count):
            text[lane, 0] = 1
            for i in range(64):
                text[lane, 1 + i] = pairs[first + lane, i]
            _pad(text, lane, 65)
        _begin(state)
        _absorb(state, w, text, 0)
        _absorb(state, w, text, 1)
        for lane in range(count):
            _emit(state, lane, out[first + lane])


@kernel
def hash_leaves(
    offsets: NDArray[np.int64], data: Bytes, sizes: NDArray[np.int64], digests: Bytes, out: Bytes, longest: int
) -> None:
    """Write SHA-256(0x00, entry) of every entry; `longest` is the number of bytes of the longest key."""
    state, w = np.empty((8, _LANES), np.uint32), np.empty((64, _LANES), np.uint32)
    text = np.zeros((_LANES, 64 * ((longest + 45 + 9 + 63) // 64)), np.uint8)
    blocks = np.zeros(_LANES, np.int64)
    for first in range(0, sizes.size, _LANES):
        count = min(_LANES, sizes.size - first)
        for lane in range(count):
            i = first + lane
            n = offsets[i + 1] - offsets[i]
            text[lane, 0] = 0
            _big_endian(text, lane, 1, n, 4)
            for k in range(n):
                text[lane, 5 + k] = data[offsets[i] + k]
            _big_endian(text, lane, 5 + n, sizes[i], 8)
            for k in range(32):
                text[lane, 13 + n + k] = digests[i, k]
            blocks[lane] = _pad(text, lane, n + 45)
        _begin(state)
        for block in range(blocks[:count].max()):
            _absorb(state, w, text, block)
            for lane in range(count):
                if blocks[lane] == block + 1:
                    _emit(state, lane, out[first + lane])
