"""The digest of an image that was edited here and there, without reading the rest again."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Sequence

from voxarium.core.array import Array
from voxarium.core.digesting.blocks import BlockDigester
from voxarium.core.digesting.cells import iter_cells
from voxarium.core.digesting.source import DigestSource
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.image import Image
from voxarium.errors import Code, InputError
from voxarium.model.box import Box
from voxarium.spec.logical_digest import BlockGrid, LogicalDigest

__all__ = ["updated_digest"]


def updated_digest(
    source: str | os.PathLike[str] | Image | Array,
    known: LogicalDigest,
    changed: Iterable[Box],
    *,
    level: int = 0,
    axes: str | Sequence[str] | None = None,
    threads: int | None = None,
) -> LogicalDigest:
    """Return the digest of an image by the digest of what it was before, reading only blocks that may have changed.

    Parameters
    ----------
    source : str, path, Image or Array
        The image as it is now.
    known : LogicalDigest
        Its digest before.
    changed : iterable of Box
        Regions outside of which nothing has changed, in the axes of `known`.
    level, axes, threads
        As for `logical_digest`.

    Raises
    ------
    InputError
        If shape or type are others than before, or a region leaves the image.
    FormatError
        If a chunk is damaged.
    """
    opened = DigestSource.of(source, level, axes)
    opened.check(known)
    grid = known.grid
    numbers = sorted({number for box in changed for number in _touched(box, known, grid)})
    array = opened.array
    digester = BlockDigester(array.shape, array.dtype, opened.order)
    digester.resume(known.leaves, numbers)

    def read(cell: tuple[Box, list[Box]]) -> None:
        whole, blocks = cell
        stored = opened.stored_box(whole)
        voxels = array.read(stored, threads=1)
        for block in blocks:
            box = opened.stored_box(block)
            digester.update(box, voxels[box.relative_to(stored.origin).slices])

    for _ in ThreadExecutor(threads).map_unordered(read, iter_cells([opened], grid, numbers), Cancel()):
        pass
    return LogicalDigest.of(digester.name, opened.shape, opened.axes, digester.leaves(), opened.coordinates())


def _touched(box: Box, known: LogicalDigest, grid: BlockGrid) -> Iterator[int]:
    """Yield the numbers of the blocks that a region touches."""
    if box.ndim != len(known.shape) or not Box.whole(known.shape).contains(box):
        raise InputError(
            f"box {box.origin}–{box.stop} is not inside the image of shape {known.shape}",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix=f"give regions along {', '.join(known.axes)}",
        )
    if box.size == 0:
        return
    counting = [i for i, n in enumerate(known.shape) if n != 1]
    ranges = [range(box.origin[i] // b, -(-box.stop[i] // b)) for i, b in zip(counting, grid.block, strict=True)]
    for index in itertools.product(*ranges):
        yield grid.number(index)
