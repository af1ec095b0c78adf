"""From arrays to kernels: types, strides and what lies outside."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from voxarium.core.resampling.grid import MOST_SPACE
from voxarium.errors import Code, UnsupportedError
from voxarium.model.array_specs import NUMERIC
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo

__all__ = ["Interpolator", "Loaded"]

_Array = NDArray[Any]  # Any: every dtype
Loaded = tuple[_Array, Box, tuple[int, ...]]
"""A region of the source with its space axes last, where it lies in space, and the shape of the whole (three axes)."""

_NOTHING: Final = np.empty((3, 0, 0, 0))
_STRAIGHT: Final = np.eye(3, 4)


class Interpolator:
    """Fills parts of a target from regions of its source.

    Parameters
    ----------
    interpolation : str
        nearest, linear or cubic.
    info : ArrayInfo
        The target: its type and fill value.
    spaces : (int, int)
        How many of the last axes are space, in the source and in the target.

    Raises
    ------
    UnsupportedError
        If voxels are no numbers.
    """

    def __init__(self, interpolation: str, info: ArrayInfo, spaces: tuple[int, int]) -> None:
        if info.dtype.name not in NUMERIC:
            raise UnsupportedError(
                f"voxels of {info.dtype.name} cannot be resampled",
                code=Code.DTYPE_UNSUPPORTED,
                fix="convert to an integer, floating-point, complex or boolean type",
            )
        self._interpolation = interpolation
        self._spaces = spaces
        self._compiled = False
        self._dtype = info.dtype
        self._fill = np.asarray(info.fill_value, info.dtype)
        self._work = _work_dtype(info.dtype, interpolation)

    def prepare(self) -> None:
        """Compile for the dtype, or load what was compiled before: it takes seconds and a lock."""
        if self._compiled:
            return
        whole = (1,) * MOST_SPACE
        held, part = (np.zeros((1,) * n, self._dtype) for n in self._spaces)
        self.straight((held, Box.whole(whole), whole), (Box.whole(whole), part), _STRAIGHT)
        self._compiled = True

    def straight(self, source: Loaded, target: tuple[Box, _Array], matrix: NDArray[np.float64]) -> None:
        """Fill a part of the target (its three space axes as a box of the whole; the part) by a matrix."""
        self._run(source, target, matrix, _NOTHING)

    def given(self, source: Loaded, target: tuple[Box, _Array], positions: NDArray[np.float64]) -> None:
        r"""Fill a part of the target whose positions in the source are given, shape (3, \*part)."""
        self._run(source, target, _STRAIGHT, positions)

    def _run(
        self, source: Loaded, target: tuple[Box, _Array], matrix: NDArray[np.float64], given: NDArray[np.float64]
    ) -> None:
        from voxarium.core.resampling import kernels

        (held, region, whole), (box, part), spaces = source, target, self._spaces
        narrow = self._work == np.float32 and self._dtype == np.float16
        into = np.empty(part.shape, np.float32) if narrow else part
        src, src_at, src_steps = _flat(held.astype(np.float32) if narrow else held, self._work, spaces[0])
        dst, dst_at, dst_steps = _flat(into, self._work, spaces[1])
        fill = self._fill.astype(np.float32) if narrow else self._fill
        kind = self._work.kind
        limits = np.zeros(2, self._work)
        if kind in "iu":
            ends = np.iinfo(self._work)
            limits[:] = (0, 1) if self._dtype.kind == "b" else (ends.min, ends.max)
        work = kernels.Work(
            src=src,
            dst=dst,
            src_at=src_at,
            dst_at=dst_at,
            fill=np.resize(fill.reshape(1).view(self._work), dst_at.size),
            limits=limits,
            strides=np.array([*src_steps, *dst_steps], np.int64),
            target=np.array([*box.origin, *box.shape], np.int64),
            region=np.array([*region.origin, *region.shape, *whole], np.int64),
            matrix=matrix,
            given=given,
            integer=kind in "iu",
            exact=kind == "f" or self._work.itemsize == 8,
        )
        getattr(kernels, self._interpolation)(work)
        if narrow:
            with np.errstate(over="ignore"):
                part[...] = into.astype(np.float16)


def _work_dtype(dtype: np.dtype[Any], interpolation: str) -> np.dtype[Any]:
    """Return the type a kernel sees: bits where voxels are copied, parts of complex numbers one by one."""
    if interpolation == "nearest":
        return np.dtype(f"u{dtype.itemsize}") if dtype.itemsize <= 8 else dtype
    if dtype.kind == "c":
        return np.dtype(f"f{dtype.itemsize // 2}")
    if dtype.kind == "b":
        return np.dtype(np.uint8)
    return np.dtype(np.float32) if dtype == np.float16 else dtype


def _flat(array: _Array, dtype: np.dtype[Any], space: int) -> tuple[_Array, NDArray[np.int64], tuple[int, ...]]:
    """Return the memory of an array as `dtype`, where each outer index begins, and the strides of three space axes."""
    size = array.itemsize
    parts = size // dtype.itemsize
    steps = [s // size * parts for s in array.strides]
    extent = 1 + sum((n - 1) * s // size for n, s in zip(array.shape, array.strides, strict=True))
    flat = as_strided(array, (extent,), (size,)).view(dtype)
    outer = array.ndim - space
    starts = np.zeros(1, np.int64)
    for n, step in zip((*array.shape[:outer], parts), (*steps[:outer], 1), strict=True):
        starts = (starts[:, None] + np.arange(n, dtype=np.int64) * step).ravel()
    return flat, starts, (0,) * (MOST_SPACE - space) + tuple(steps[outer:])
