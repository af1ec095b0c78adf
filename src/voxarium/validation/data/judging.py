"""Judging chunks of a level where they are decoded: whether the coarser level follows from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.model.box import Box
from voxarium.model.native import ChunkJudge
from voxarium.pyramid import Method
from voxarium.validation.data.blocks import Pair, Run
from voxarium.validation.data.comparing import Block
from voxarium.validation.data.methods import Trial
from voxarium.validation.data.reading import LevelReader

__all__ = ["judged_pieces"]

_LEAST_BYTES: Final = 32 << 20  # of a level, that compiling or loading a judge pays off
_SPACE: Final = 3
_MOST_WINDOW: Final = 128
_TRIALS: Final = (Trial(Method.MEAN), Trial(Method.MODE))


def _judge_of(array: Array, pair: Pair, box: Box, coarse: NDArray[Any]) -> ChunkJudge | None:
    """Return who judges the chunks of `array` by the voxels `coarse` of the next level, which lie in `box`.

    None where nobody can: for other methods than mean and mode, floats, windows across chunks, and small levels.
    """
    info, factors = array.info, pair.factors
    if pair.trial not in _TRIALS or info.dtype.kind not in "iu" or info.contiguous or array.nbytes < _LEAST_BYTES:
        return None
    leading = info.ndim - _SPACE
    chunk, window = info.chunk_shape[leading:], factors[leading:]
    if any(n != 1 for n in (*info.chunk_shape[:leading], *factors[:leading])) or not coarse.flags.c_contiguous:
        return None
    size = math.prod(window)
    if (
        any(c % f for c, f in zip(chunk, window, strict=True))
        or not 1 < size < _MOST_WINDOW
        or coarse.dtype != info.dtype
    ):
        return None
    return _judge(pair.trial, info.dtype, (chunk, window), box, coarse)


def _judge(
    trial: Trial,
    dtype: np.dtype[Any],
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    box: Box,
    coarse: NDArray[Any],
) -> ChunkJudge | None:
    from voxarium.pyramid.reducers import narrow_mean
    from voxarium.validation.data import judge_kernels as kernels

    chunk, window = shapes
    leading = box.ndim - _SPACE
    if not 0 <= leading <= kernels.MOST_LEADING or not coarse.size:
        return None
    unsigned = np.dtype(f"u{dtype.itemsize}")
    words = np.zeros(kernels.WORDS, np.int64)
    words[:13] = (coarse.ctypes.data, *box.shape[leading:], *box.origin[leading:], *chunk, *window)
    words[14] = leading
    words[15 : 15 + 2 * leading] = [n for pair in zip(box.origin, coarse.strides, strict=True) for n in pair][
        : 2 * leading
    ]
    kept: tuple[object, ...] = (words, coarse)
    if trial.method is Method.MODE:
        return ChunkJudge(function=kernels.mode_judge(unsigned).address, argument=words.ctypes.data, kept=kept)
    shift = narrow_mean(dtype.itemsize, math.prod(window), window[-1])
    if shift is None:
        return None
    words[13] = shift
    judge = kernels.mean_judge(dtype.newbyteorder("="), window[-1])
    return ChunkJudge(function=judge.address, argument=words.ctypes.data, kept=kept)


def judged_pieces(reader: LevelReader, run: Run, box: Box, coarse: Block) -> Callable[[Box], bool] | None:
    """Judge the chunks of a block by the next level's; return what tells whether a piece of it was found good.

    None where nobody can judge.
    """
    array, pair = reader.array, run.pairs[0]
    chunk = array.info.chunk_shape
    if reader.stored is not array or coarse.unknown is not None:
        return None
    if any(p % c or a % c for p, c, a in zip(run.piece, chunk, box.origin, strict=True)):
        return None
    # Pieces with chunks that the array cuts are read in any case.
    ends = tuple(
        b if (b - a) % c == 0 else a + (b - a) // p * p
        for a, b, c, p in zip(box.origin, box.stop, chunk, run.piece, strict=True)
    )
    whole = Box.from_bounds(box.origin, ends)
    above = Box.from_bounds(*(tuple(n // f for n, f in zip(e, pair.factors, strict=True)) for e in (box.origin, ends)))
    if not whole.size or not coarse.box.contains(above):
        return None
    judge = _judge_of(array, pair, coarse.box, coarse.voxels)
    marks = None if judge is None else reader.judge(whole, judge)
    if marks is None:
        return None

    def is_good(piece: Box) -> bool:
        spans = zip(piece.relative_to(box.origin).origin, piece.relative_to(box.origin).stop, chunk, strict=True)
        return whole.contains(piece) and bool(marks[tuple(slice(a // c, b // c) for a, b, c in spans)].all())

    return is_good
