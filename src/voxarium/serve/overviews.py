"""Smaller levels of stacks of slices, made of a few slices: a first picture must not wait until all were read.

A level that is f times smaller along the slices shows the middle slice of every f; along the other axes, means of some
of the voxels. What is shown in a place lies in it, as in any pyramid; it is only less smooth than a mean of everything.
This is for viewers, which show it until finer levels are there. Scripts get exact levels.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.image import LevelInfo
from voxarium.model.transforms import Scale, Translation, scale_translation
from voxarium.model.transforms import Sequence as Steps
from voxarium.pyramid import LevelGeometry, plan_factors, plan_levels
from voxarium.serve.slabs import MadeOnce

__all__ = ["OverviewArray", "begin_overview", "with_overviews"]

_STOP: Final = 64  # voxels of the smallest level along its longest axis
_LARGEST: Final = 128 << 20  # bytes of a slice that is read at once
_MOST: Final = 64 << 20  # bytes of all small slices that are kept
_SAMPLES: Final = 4  # along each axis of what a voxel stands for

_Bounds = tuple[tuple[int, int], ...]  # first and stop along each axis

_numbers: Final = itertools.count()
_planes: Final = MadeOnce[tuple[int, int, _Bounds]](_MOST)
_known: Final[WeakKeyDictionary[Image, Image]] = WeakKeyDictionary()


def with_overviews(image: Image, axes: Sequence[Axis]) -> Image:
    """Return an image of one level with smaller ones, where some slices cost less than all; else the image itself.

    Parameters
    ----------
    image : Image
        As stored; asked twice about the same, the answer is the same.
    axes : sequence of Axis
        Under which it is shown.
    """
    found = _known.get(image)
    if found is None:
        found = _with_levels(image, axes)
        if found is not image:
            found = _known.setdefault(image, found)
    return found


def begin_overview(image: Image) -> None:
    """Make the smallest level of an image from `with_overviews`, for those who are about to ask."""
    smallest = image.arrays[-1]
    if isinstance(smallest, OverviewArray) and smallest.nbytes <= _MOST // 2:
        smallest.read()


def _with_levels(image: Image, axes: Sequence[Axis]) -> Image:
    space = [i for i, axis in enumerate(axes) if axis.type == "space"]
    placed = scale_translation(image.levels[0].transform, image.ndim)
    if len(image.levels) > 1 or len(space) != 3 or placed is None or not _is_sliced(image.arrays[0], space):
        return image
    kinds = [axis.type for axis in axes]
    sizes = [abs(s) or 1.0 for s in placed[0]]
    steps = plan_factors(image.shape, kinds, sizes, stop_size=_STOP)
    levels, arrays = [image.levels[0]], [image.arrays[0]]
    for number, level in enumerate(plan_levels(image.shape, steps, base_scale=placed[0], base_translation=placed[1])):
        if number:
            arrays.append(OverviewArray(image.arrays[0], level, space, averaged=_is_averaged(image)))
            transform = Steps((Scale(level.scale), Translation(level.translation)))
            levels.append(LevelInfo(path=f"{number}", array=arrays[-1].info, transform=transform))
    return Image(image.store, image.path, replace(image.info, levels=tuple(levels)), tuple(arrays))


def _is_sliced(array: Array, space: Sequence[int]) -> bool:
    """Tell whether one slice along the first axis of space can be read without its neighbours."""
    info = array.info
    plane = info.dtype.itemsize
    for i in space[1:]:
        plane *= info.shape[i]
    alone = info.contiguous or info.chunk_shape[space[0]] == 1
    return alone and 0 not in info.shape and plane <= _LARGEST


def _is_averaged(image: Image) -> bool:
    return image.role != "label" and (
        image.dtype.kind == "f" or (image.dtype.kind in "iu" and image.dtype.itemsize < 8)
    )


class OverviewArray(Array):
    """A smaller level that is made of some slices. Thread-safe: what several ask for at once is made once.

    Parameters
    ----------
    stored : Array
        Level 0.
    level : LevelGeometry
        Of this one.
    space : sequence of int
        Axes of space; slices are taken along the first.
    averaged : bool
        Whether voxels are means; else they are voxels as they are stored, such as labels.
    """

    def __init__(self, stored: Array, level: LevelGeometry, space: Sequence[int], *, averaged: bool) -> None:
        chunk = [
            n if i in space else c for i, (n, c) in enumerate(zip(level.shape, stored.info.chunk_shape, strict=True))
        ]
        chunk[space[0]] = 1
        info = replace(stored.info, shape=level.shape, chunk_shape=tuple(chunk), contiguous=True, transform=None)
        super().__init__(stored.driver, stored.store, stored.path, info)
        self._stored = stored
        self._factors = level.factors
        self._along = space[0]
        self._across = tuple(space[1:])
        self._averaged = averaged
        self._number = next(_numbers)

    @override
    def read(
        self, box: Box | None = None, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]:
        box, out = self._checked(box, out)
        if 0 in box.shape:
            return out
        whole = {self._along, *self._across}
        spans = zip(box.origin, box.stop, self._stored.shape, strict=True)
        outside = tuple((0, n) if i in whole else (a, b) for i, (a, b, n) in enumerate(spans))
        within = tuple(s if i in self._across else slice(None) for i, s in enumerate(box.slices))
        for index, plane in self._found(range(box.origin[self._along], box.stop[self._along]), outside):
            place: list[slice] = [slice(None)] * self.ndim
            place[self._along] = slice(index - box.origin[self._along], index - box.origin[self._along] + 1)
            out[tuple(place)] = plane[within]
        return out

    def _found(self, wanted: range, outside: _Bounds) -> Iterator[tuple[int, NDArray[Any]]]:
        """Yield slices: first those that nobody else is making, so that several requests share the work."""
        later = []
        for index in wanted:
            made = _planes.get((self._number, index, outside), partial(self._made, index, outside), wait=False)
            if made is None:
                later.append(index)
            else:
                yield index, made
        for index in later:
            made = _planes.get((self._number, index, outside), partial(self._made, index, outside))
            if made is not None:
                yield index, made

    def _made(self, index: int, outside: _Bounds) -> NDArray[Any]:
        factor, shape = self._factors[self._along], self._stored.shape
        at = min(index * factor + factor // 2, shape[self._along] - 1)
        bounds = [(at, at + 1) if i == self._along else b for i, b in enumerate(outside)]
        voxels = self._stored.read(Box.from_bounds(*zip(*bounds, strict=True)), threads=1)
        for axis in self._across:
            voxels = _smaller(voxels, axis, self._factors[axis], averaged=self._averaged)
        out = np.ascontiguousarray(_typed(voxels, self.dtype))
        out.setflags(write=False)
        return out


def _smaller(voxels: NDArray[Any], axis: int, factor: int, *, averaged: bool) -> NDArray[Any]:
    """Return means of a few voxels of each window along an axis, or the middle ones; the last window may be short."""
    if factor == 1:
        return voxels
    n = voxels.shape[axis]
    if not averaged:
        middle: NDArray[Any] = voxels.take(np.minimum(np.arange(0, n, factor) + factor // 2, n - 1), axis)
        return middle
    every = max(1, factor // _SAMPLES)
    first = np.arange(0, n, factor)
    if every > 1:
        # From the middle of each part of a window, without leaving the array.
        picks = np.minimum(np.arange(0, first[-1] + factor, every) + every // 2, n - 1)
        voxels, first = voxels.take(picks, axis), np.arange(0, len(picks), factor // every)
    counts = np.diff(first, append=voxels.shape[axis])
    wide = np.float64 if voxels.dtype.itemsize > 2 else np.float32
    sums = np.add.reduceat(voxels, first, axis, dtype=wide)
    means: NDArray[Any] = sums / counts.astype(wide).reshape([-1 if i == axis else 1 for i in range(voxels.ndim)])
    return means


def _typed(voxels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    if voxels.dtype == dtype:
        return voxels
    typed: NDArray[Any] = (np.rint(voxels) if dtype.kind in "iu" else voxels).astype(dtype)
    return typed
