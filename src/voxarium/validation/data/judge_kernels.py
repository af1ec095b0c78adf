"""Compiled judges of chunks: whether the coarser level is what a method makes of them.

A judge is told where 64-bit words are that describe the coarser block, and how chunks and windows lie in it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.batch.memory import voxels_at
from voxarium.core.jit import callback, part
from voxarium.validation.data.kernels import are_modes

__all__ = ["MOST_LEADING", "WORDS", "mean_judge", "mode_judge"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype

MOST_LEADING: Final = 3
WORDS: Final = 15 + 2 * MOST_LEADING

# Words: 0 address of the coarser block, 1-3 its lengths along the last three axes, 4-6 its first voxel there,
# 7-9 chunk, 10-12 window, 13 logarithm of the voxels of a window, 14 number of leading axes; then for
# each of them its first voxel in the coarser block, and the bytes from one to the next.


@part
def _coarse_part(words: Array, index: Array, dtype: Any) -> Array:
    """Return a copy of the coarser voxels over a chunk: rows side by side make plain vector code."""
    leading = words[14]
    address = words[0]
    for i in range(leading):
        address += (index[i] - words[15 + 2 * i]) * words[16 + 2 * i]
    U, by, bx = np.uint64, words[2], words[3]
    block = voxels_at(address, words[1] * by * bx, dtype)
    nz, ny, nx = words[7] // words[10], words[8] // words[11], words[9] // words[12]
    z, y, x = index[leading] * nz - words[4], index[leading + 1] * ny - words[5], index[leading + 2] * nx - words[6]
    part: Array = np.empty((nz, ny, nx), dtype)
    flat, to = part.reshape(nz * ny * nx), U(0)
    for i in range(nz):
        for j in range(ny):
            start = U(((z + i) * by + y + j) * bx + x)
            for k in range(nx):
                flat[to + U(k)] = block[start + U(k)]
            to += U(nx)
    return part


@cache
def mode_judge(dtype: np.dtype[Any]) -> Any:  # Any: of numba
    """Return the judge of modes, for voxels of an unsigned type."""

    @callback(3)
    def judge(argument: int, chunk: int, index: int) -> int:
        words = voxels_at(argument, WORDS, np.int64)
        coarse = _coarse_part(words, voxels_at(index, words[14] + 3, np.int64), dtype)
        fine = voxels_at(chunk, (words[7], words[8], words[9]), dtype)
        window = (words[10], words[11], words[12])
        return 1 if are_modes(fine, coarse, window, np.empty((2, words[9]), dtype)) else 0

    return judge


@part
def _sum_rows(fine: Array, start: Any, steps: tuple[Any, Any, int, int], flip: Any, sums: Array) -> None:
    """Add the rows of a window; `steps`: from plane to plane, from row to row, and how many of each."""
    wide, U, n = sums.dtype.type, np.uint64, sums.size
    plane, row, planes, rows = steps
    sums[:] = 0
    for z in range(planes):
        for y in range(rows):
            a = start + U(z) * plane + U(y) * row
            for x in range(n):
                sums[U(x)] += wide(fine[a + U(x)] ^ flip)


@cache
def mean_judge(dtype: np.dtype[Any], wx: int) -> Any:  # Any: of numba
    """Return the judge of means, for voxels of one or two bytes and windows of one or two columns.

    Two columns are added as the halves of a word, without moving data between vector lanes, as in `mean_narrow`; the
    sum over a window of up to 256 voxels fits in half a word. Unsigned indices and no slices: rows of chunks are short,
    and slices take longer to make than rows to add. Voxels with a sign are offset by it, which keeps order and sums.
    """
    size = dtype.itemsize
    bits, wide, word = np.dtype(f"u{size}"), np.dtype(f"u{2 * size}"), np.dtype(f"u{2 * wx * size}")
    V, W, Word, U = bits.type, wide.type, word.type, np.uint64
    flip = V(1 << (8 * size - 1) if dtype.kind == "i" else 0)  # known when compiled: nothing is done for 0
    width, low = Word(16 * size), Word((1 << (16 * size)) - 1)

    @callback(3)
    def judge(argument: int, chunk: int, index: int) -> int:
        words = voxels_at(argument, WORDS, np.int64)
        coarse = _coarse_part(words, voxels_at(index, words[14] + 3, np.int64), bits)
        nz, ny, nx = coarse.shape
        cy, cx, wz, wy = words[8], words[9], words[10], words[11]
        fine, flat = voxels_at(chunk, words[7] * cy * cx, bits), coarse.reshape(nz * ny * nx)
        k, below_half, one = Word(words[13]), Word((1 << (words[13] - 1)) - 1), Word(1)
        sums = np.empty(cx, wide)
        paired = sums.view(word)
        row = U(0)
        for z in range(nz):
            for y in range(ny):
                a = U((z * wz * cy + y * wy) * cx)
                if wz == 2 and wy == 2:
                    b, c, d = a + U(cx), a + U(cy * cx), a + U(cy * cx + cx)
                    for x in range(cx):
                        i = U(x)
                        sums[i] = (
                            W(fine[a + i] ^ flip)
                            + W(fine[b + i] ^ flip)
                            + W(fine[c + i] ^ flip)
                            + W(fine[d + i] ^ flip)
                        )
                else:
                    _sum_rows(fine, a, (U(cy * cx), U(cx), wz, wy), flip, sums)
                differs = V(0)
                for x in range(nx):
                    t = paired[U(x)]
                    if wx == 2:
                        t = Word((t & low) + (t >> width))
                    differs |= flat[row + U(x)] ^ (V(Word(t + below_half + ((t >> k) & one)) >> k) ^ flip)
                if differs != 0:
                    return 0
                row += U(nx)
        return 1

    return judge
