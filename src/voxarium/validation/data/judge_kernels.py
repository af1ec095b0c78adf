"""Compiled judges of chunks: whether the coarser level is what a method makes of them.

A judge is told where 64-bit words are that describe the coarser block, and how chunks and windows lie in it.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.batch.kernels import voxels_at
from voxarium.core.jit import callback, part
from voxarium.validation.data.kernels import are_modes

__all__ = ["MOST_LEADING", "WORDS", "mean_judge", "mode_judge"]

Array = NDArray[Any]  # Any: a kernel is compiled per dtype

MOST_LEADING: Final = 3
WORDS: Final = 16 + 2 * MOST_LEADING

# Words: 0 address of the coarser block, 1-3 its lengths along the last three axes, 4-6 its first voxel there,
# 7-9 chunk, 10-12 window, 13 bits to flip, 14 logarithm of the voxels of a window, 15 number of leading axes; then for
# each of them its first voxel in the coarser block, and the bytes from one to the next.


@part
def _coarse_part(words: Array, index: Array, dtype: Any) -> Array:
    """Return the coarser voxels over a chunk."""
    leading = words[15]
    address = words[0]
    for i in range(leading):
        address += (index[i] - words[16 + 2 * i]) * words[17 + 2 * i]
    block = voxels_at(address, (words[1], words[2], words[3]), dtype)
    nz, ny, nx = words[7] // words[10], words[8] // words[11], words[9] // words[12]
    z = index[leading] * nz - words[4]
    y = index[leading + 1] * ny - words[5]
    x = index[leading + 2] * nx - words[6]
    part: Array = block[z : z + nz, y : y + ny, x : x + nx]
    return part


@cache
def mode_judge(dtype: np.dtype[Any]) -> Any:  # Any: of numba
    """Return the judge of modes, for voxels of an unsigned type."""

    @callback(3)
    def judge(argument: int, chunk: int, index: int) -> int:
        words = voxels_at(argument, WORDS, np.int64)
        coarse = _coarse_part(words, voxels_at(index, words[15] + 3, np.int64), dtype)
        fine = voxels_at(chunk, (words[7], words[8], words[9]), dtype)
        window = (words[10], words[11], words[12])
        return 1 if are_modes(fine, coarse, window, np.empty((2, words[9]), dtype)) else 0

    return judge


@part
def _sum_planes(fine: Array, start: int, count: int, flip: Any, sums: Array) -> None:
    """Add planes that lie one behind the other."""
    n, wide = sums.size, sums.dtype.type
    if count == 2:
        a, b = fine[start : start + n], fine[start + n : start + 2 * n]
        for i in range(n):
            sums[i] = wide(a[i] ^ flip) + wide(b[i] ^ flip)
        return
    sums[:] = 0
    for j in range(count):
        a = fine[start + j * n : start + (j + 1) * n]
        for i in range(n):
            sums[i] += wide(a[i] ^ flip)


@part
def _add_rows(sums: Array, start: int, stride: int, count: int, total: Array) -> None:
    """Add rows of a plane of sums."""
    if count == 2:
        for x in range(total.size):
            total[x] = sums[start + x] + sums[start + stride + x]
        return
    total[:] = 0
    for j in range(count):
        for x in range(total.size):
            total[x] += sums[start + j * stride + x]


@cache
def mean_judge(dtype: np.dtype[Any], wx: int) -> Any:  # Any: of numba
    """Return the judge of means, for voxels of an unsigned type of one or two bytes and windows of one or two columns.

    Two columns are added as the halves of a word, without moving data between vector lanes, as in `mean_narrow`; the
    sum over a window of up to 256 voxels fits in half a word.
    """
    wide = np.dtype(f"u{2 * dtype.itemsize}")
    word = np.dtype(f"u{2 * wx * dtype.itemsize}")
    voxel, Word = dtype.type, word.type
    width, low = Word(8 * wide.itemsize), Word((1 << (8 * wide.itemsize)) - 1)

    @callback(3)
    def judge(argument: int, chunk: int, index: int) -> int:
        words = voxels_at(argument, WORDS, np.int64)
        coarse = _coarse_part(words, voxels_at(index, words[15] + 3, np.int64), dtype)
        plane, cx, wz, wy = words[8] * words[9], words[9], words[10], words[11]
        fine, flip = voxels_at(chunk, words[7] * plane, dtype), voxel(words[13])
        k, below_half, one = Word(words[14]), Word((1 << (words[14] - 1)) - 1), Word(1)
        sums, total = np.empty(plane, wide), np.empty(cx // wx, word)
        paired = sums.view(word)
        for z in range(coarse.shape[0]):
            _sum_planes(fine, z * wz * plane, wz, flip, sums)
            for y in range(coarse.shape[1]):
                _add_rows(paired, y * wy * cx // wx, cx // wx, wy, total)
                row, differs = coarse[z, y], voxel(0)
                for x in range(total.size):
                    t = total[x]
                    if wx == 2:
                        t = Word((t & low) + (t >> width))
                    differs |= row[x] ^ (voxel(Word(t + below_half + ((t >> k) & one)) >> k) ^ flip)
                if differs != 0:
                    return 0
        return 1

    return judge
