"""Where two images differ: blocks by their digests, voxels by decoding the blocks that differ and no others."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.digesting.cells import around, iter_cells
from voxarium.core.digesting.running import DigestProgress, digest_of, open_digest
from voxarium.core.digesting.source import DigestSource
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.image import Image
from voxarium.model.box import Box
from voxarium.spec.logical_digest import BlockGrid, LogicalDigest, with_single_axes

__all__ = ["TREE_SUFFIX", "Comparison", "compare"]

TREE_SUFFIX: Final = ".vldtree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What two images have in common.

    Parameters
    ----------
    equal : bool
        Voxels, type and shape are equal.
    placed_equal : bool or None
        Coordinates are equal; None when one of the two states none.
    reason : str
        Why blocks could not be compared: ``shape`` or ``dtype``; empty when they were.
    axes : tuple of str
        Axes of the boxes below, in canonical order, as the first image names them.
    blocks : tuple of Box
        Blocks that differ.
    total : int
        Number of all blocks.
    voxels : int or None
        Number of voxels that differ; None when that was not asked for or could not be read.
    box : Box or None
        Smallest box around the voxels that differ, or where they were not counted, around the blocks.
    a, b : LogicalDigest
        Their digests.
    """

    equal: bool
    placed_equal: bool | None
    reason: str
    axes: tuple[str, ...]
    blocks: tuple[Box, ...]
    total: int
    voxels: int | None
    box: Box | None
    a: LogicalDigest
    b: LogicalDigest


def compare(
    a: str | os.PathLike[str] | Image | Array | LogicalDigest,
    b: str | os.PathLike[str] | Image | Array | LogicalDigest,
    *,
    level: int = 0,
    count: bool = True,
    trees: tuple[LogicalDigest | None, LogicalDigest | None] = (None, None),
    threads: int | None = None,
    progress: Callable[[DigestProgress], None] | None = None,
) -> Comparison:
    """Tell whether two images have equal voxels, and where they do not.

    Parameters
    ----------
    a, b : str, path, Image, Array or LogicalDigest
        What to compare, whatever the formats: images, addresses of images, digests, or files with the suffix
        ``.vldtree`` that ``voxarium digest --tree`` wrote.
    level : int
        Level of both.
    count : bool
        Count the voxels that differ, where both images can be read: blocks that differ are read again, others not.
    trees : (LogicalDigest or None, LogicalDigest or None)
        Digests of the images, where they are known: nothing but blocks that differ is decoded then.
    threads : int or None
        Threads that decode; None = one per processor.
    progress : callable or None
        Called with a `DigestProgress` for each image that is digested.

    Returns
    -------
    Comparison
        Blocks and voxels that differ.

    Raises
    ------
    InputError
        If a tree is that of an image of another shape or type.
    UnsupportedError
        If voxels are no numbers.
    FormatError
        If a chunk is damaged.
    """
    found = [_opened(source, level) for source in (a, b)]
    first, second = (
        f if isinstance(f, LogicalDigest) else _digest(f, known, threads, progress)
        for f, known in zip(found, trees, strict=True)
    )
    reason = "" if first.dtype == second.dtype else "dtype"
    reason = reason if first.grid.shape == second.grid.shape else "shape"
    numbers = () if reason else np.flatnonzero((first.leaves != second.leaves).any(axis=1))
    blocks = tuple(first.block_box(int(n)) for n in numbers)
    images = [f for f in found if isinstance(f, DigestSource)]
    voxels, box = None if blocks or reason else 0, around(blocks)
    if count and blocks and len(images) == 2:
        voxels, inner = _count(images, first.grid, np.asarray(numbers), threads)
        box = with_single_axes(inner, first.shape)
    both = first.coordinates is not None and second.coordinates is not None
    return Comparison(
        equal=first.content == second.content,
        placed_equal=first.coordinates == second.coordinates if both else None,
        reason=reason,
        axes=first.axes,
        blocks=blocks,
        total=first.grid.size,
        voxels=voxels,
        box=box,
        a=first,
        b=second,
    )


def _opened(source: str | os.PathLike[str] | Image | Array | LogicalDigest, level: int) -> DigestSource | LogicalDigest:
    if isinstance(source, LogicalDigest):
        return source
    if isinstance(source, (str, os.PathLike)) and os.fspath(source).endswith(TREE_SUFFIX):
        return open_digest(source)
    return DigestSource.of(source, level)


def _digest(
    source: DigestSource,
    known: LogicalDigest | None,
    threads: int | None,
    progress: Callable[[DigestProgress], None] | None,
) -> LogicalDigest:
    if known is None:
        return digest_of(source, threads=threads, progress=progress)
    source.check(known)
    return known


class _Counter:
    """Adds up voxels that differ."""

    def __init__(self, ndim: int) -> None:
        self.voxels = 0
        self._low = np.full(ndim, np.iinfo(np.int64).max)
        self._high = np.zeros(ndim, np.int64)
        self._lock = threading.Lock()

    def add(self, at: Sequence[int], different: NDArray[np.bool_]) -> None:
        """Add those of a box that begins at `at`."""
        low = np.array(at, np.int64)
        high = low.copy()
        for axis in range(different.ndim):
            hits = np.flatnonzero(different.any(axis=tuple(i for i in range(different.ndim) if i != axis)))
            if not len(hits):
                return
            low[axis], high[axis] = low[axis] + hits[0], low[axis] + hits[-1] + 1
        with self._lock:
            self.voxels += int(np.count_nonzero(different))
            self._low, self._high = np.minimum(self._low, low), np.maximum(self._high, high)

    @property
    def box(self) -> Box:
        """The smallest box around all of them."""
        return Box.from_bounds(tuple(self._low.tolist()), tuple(self._high.tolist()))


def _count(
    images: Sequence[DigestSource], grid: BlockGrid, numbers: NDArray[np.int64], threads: int | None
) -> tuple[int, Box]:
    """Return how many voxels of some blocks differ, and the smallest box around them; in the axes that count."""
    counter = _Counter(len(grid.shape))

    def look(box: Box) -> None:
        a, b = (_bits(image.read(box)) for image in images)
        counter.add(box.origin, (a != b).any(axis=-1))

    boxes = (box for box, _ in iter_cells(images, grid, numbers))
    for _ in ThreadExecutor(threads).map_unordered(look, boxes, Cancel()):
        pass
    return counter.voxels, counter.box


def _bits(voxels: NDArray[Any]) -> NDArray[Any]:
    """Return the bits of voxels, in words along one more axis: numbers that are not numbers are compared too."""
    width = min(voxels.dtype.itemsize, 8)
    words = voxels.dtype.itemsize // width
    return np.ascontiguousarray(voxels).reshape(-1).view(f"u{width}").reshape(*voxels.shape, words)
