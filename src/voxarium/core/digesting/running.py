"""Reading an image once, from front to back, for its digest."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.digesting.blocks import BlockDigester
from voxarium.core.digesting.planning import DigestPlan, digest_plan
from voxarium.core.digesting.source import DigestSource
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.image import Image
from voxarium.core.uri import open_source_store
from voxarium.errors import Code, NotFoundError
from voxarium.model.box import Box
from voxarium.spec.logical_digest import LogicalDigest, parse_tree

__all__ = ["MEMORY", "DigestProgress", "digest_of", "logical_digest", "open_digest"]

MEMORY: Final = 256 << 20
"""Bytes for voxels that are read and not yet hashed."""


@dataclass(frozen=True, slots=True)
class DigestProgress:
    """How far the reading is, in voxels."""

    voxels: int
    total: int


def logical_digest(
    source: str | os.PathLike[str] | Image | Array,
    *,
    level: int = 0,
    axes: str | Sequence[str] | None = None,
    threads: int | None = None,
    memory: int = MEMORY,
    progress: Callable[[DigestProgress], None] | None = None,
    **options: Any,
) -> LogicalDigest:
    """Return a digest of an image's voxels that does not depend on how they are stored.

    Container, chunks, shards, codecs, byte order and the order of axes do not count: copies of one image have one
    digest. Every voxel of the level is read once.

    Parameters
    ----------
    source : str, path, Image or Array
        What to digest; see `open`.
    level : int
        Level of its pyramid.
    axes : sequence of str or None
        Names of the axes in stored order, for files that do not name them.
    threads : int or None
        Threads that decode and hash; None = one per processor.
    memory : int
        Bytes for voxels that are read and not yet hashed. One chunk must fit; beside them, 32 bytes per block of
        2**18 voxels are needed.
    progress : callable or None
        Called with a `DigestProgress` from time to time, from any thread.
    **options
        Options of the driver; see `open`.

    Returns
    -------
    LogicalDigest
        `content`, the digest of voxels, type and shape; `bound`, that of voxels and coordinates; and the digests of all
        blocks, which tell where two images differ.

    Raises
    ------
    UnsupportedError
        If voxels are no numbers.
    FormatError
        If a chunk is damaged.

    Examples
    --------
    >>> import voxarium
    >>> voxarium.logical_digest("em.ome.zarr").content  # doctest: +SKIP
    'vld1-content:5b3c…'
    """
    return digest_of(DigestSource.of(source, level, axes, options), threads=threads, memory=memory, progress=progress)


def digest_of(
    source: DigestSource,
    *,
    threads: int | None = None,
    memory: int = MEMORY,
    progress: Callable[[DigestProgress], None] | None = None,
) -> LogicalDigest:
    """Return the digest of what was opened; see `logical_digest`."""
    array = source.array
    digester = BlockDigester(array.shape, array.dtype, source.order, in_order=True)
    executor = ThreadExecutor(threads)
    plan = digest_plan(array.info, source.order, digester.grid.block, memory, executor.workers)
    reader = _Reader(array, digester, plan, _Reporter(array.size, progress))
    if plan.side_by_side:
        for _ in executor.map_unordered(reader.read_column, plan.iter_columns(), Cancel()):
            pass
    else:
        for column in plan.iter_columns():
            reader.read_column(column, threads=executor.workers)
    return LogicalDigest.of(digester.name, source.shape, source.axes, digester.leaves(), source.coordinates())


def open_digest(uri: str | os.PathLike[str]) -> LogicalDigest:
    """Read a digest with its leaves from a file that `voxarium digest --tree` wrote.

    Raises
    ------
    NotFoundError
        If nothing is there.
    FormatError
        If it is something else, or damaged.
    """
    store, key = open_source_store(uri)
    raw = store.get(key)
    if raw is None:
        raise NotFoundError(f"no file at {os.fspath(uri)}", code=Code.PATH_MISSING, fix="check the path")
    return parse_tree(raw, os.fspath(uri))


class _Reporter:
    """Counts voxels, and says how many there were."""

    def __init__(self, total: int, progress: Callable[[DigestProgress], None] | None) -> None:
        self._total = total
        self._progress = progress
        self._voxels = 0
        self._lock = threading.Lock()

    def add(self, voxels: int) -> None:
        """Note that voxels were hashed."""
        if self._progress is None:
            return
        with self._lock:
            self._voxels += voxels
            self._progress(DigestProgress(self._voxels, self._total))


class _Reader:
    """Reads columns and hands them on."""

    def __init__(self, array: Array, digester: BlockDigester, plan: DigestPlan, reporter: _Reporter) -> None:
        self._array = array
        self._digester = digester
        self._plan = plan
        self._reporter = reporter
        self._lock = threading.Lock()
        self._rooms: list[NDArray[np.uint8]] = []

    def read_column(self, column: Box, threads: int = 1) -> None:
        """Read a column step by step."""
        dtype = self._array.dtype
        room = self._room()
        for box in self._plan.iter_steps(column):
            out = room[: box.size * dtype.itemsize].view(dtype).reshape(box.shape)
            self._array.read(box, out=out, threads=threads)
            self._digester.update(box, out, threads=threads)
            self._reporter.add(box.size)
        with self._lock:
            self._rooms.append(room)

    def _room(self) -> NDArray[np.uint8]:
        """Return memory for a step; one piece serves many columns, so that the system clears it once."""
        with self._lock:
            if self._rooms:
                return self._rooms.pop()
        return np.empty(math.prod(self._plan.step) * self._array.dtype.itemsize, np.uint8)
