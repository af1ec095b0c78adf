"""One stored grid, opened lazily."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Sequence
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.core.index_cache import BoundedIndexCache
from voxarium.core.reading import Source, check_payloads, fetch_payloads, judge_chunks, place_payloads, read_into
from voxarium.errors import Code, InputError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo
from voxarium.model.native import ChunkJudge
from voxarium.model.protocols import ArrayDriver, PayloadDriver, ReadableStore

__all__ = ["Array", "parse_selection"]

Selector = int | slice | EllipsisType | None


class Array:
    """A stored grid of voxels. Nothing is read until it is asked for.

    Parameters
    ----------
    driver : ArrayDriver
        Who can read it.
    store : ReadableStore
        Where it is.
    path : str
        Its path in the store.
    info : ArrayInfo
        Its parsed metadata.
    """

    def __init__(self, driver: ArrayDriver, store: ReadableStore, path: str, info: ArrayInfo) -> None:
        self.driver = driver
        self.store = store
        self.path = path
        self.info = info
        self._source = Source(driver=driver, store=store, path=path, info=info, cache=BoundedIndexCache())

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, in stored (C) order."""
        return self.info.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel in memory."""
        return self.info.dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.info.shape)

    @property
    def axes(self) -> tuple[Axis, ...] | None:
        """Named axes, where the file states them."""
        return self.info.axes

    @property
    def size(self) -> int:
        """Number of voxels."""
        return Box.whole(self.shape).size

    @property
    def nbytes(self) -> int:
        """Bytes of all voxels, uncompressed."""
        return self.size * self.dtype.itemsize

    @property
    def working_bytes(self) -> int:
        """Bytes that each thread of a reader holds beside what it reads; 0 where a chunk is all."""
        return 0

    @property
    def grid(self) -> ChunkGrid:
        """The grid of chunks."""
        return ChunkGrid(self.info.shape, self.info.chunk_shape)

    def read(
        self, box: Box | None = None, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]:
        """Read a region.

        Parameters
        ----------
        box : Box or None
            Region in voxels, in stored axis order; None = everything.
        out : ndarray or None
            Where to put it: shape of the box, dtype of the array.
        threads : int or None
            Threads that decode; None = one per processor.

        Returns
        -------
        ndarray
            Shape of the box, native byte order. Absent chunks hold the fill value.

        Raises
        ------
        InputError
            If the box leaves the array, or `out` does not fit.
        FormatError
            If a chunk is corrupt; nothing is replaced by zeros.
        StoreError
            If the store cannot be read.
        """
        box, out = self._checked(box, out)
        read_into(self._source, box, out, threads)
        return out

    def _checked(self, box: Box | None, out: NDArray[Any] | None) -> tuple[Box, NDArray[Any]]:
        """Return the region to read and where to put it."""
        box = self._checked_box(box)
        if out is None:
            out = np.empty(box.shape, self.dtype)
        elif out.shape != box.shape or out.dtype != self.dtype:
            raise InputError(
                f"the output array is {out.dtype} {out.shape}, the region is {self.dtype} {box.shape}",
                code=Code.ARGUMENT_INVALID,
                fix="pass an array of the region's shape and the stored dtype, or none",
            )
        return box, out

    def judge(self, box: Box, judge: ChunkJudge, *, threads: int | None = None) -> NDArray[np.bool_] | None:
        """Have compiled code look at chunks where they are decoded: nothing is copied, and the lock is never held.

        Parameters
        ----------
        box : Box
            Whole chunks.
        judge : ChunkJudge
            Who looks.
        threads : int or None
            Threads that decode; None = one per processor.

        Returns
        -------
        ndarray of bool or None
            One per chunk, in their grid: True for a good one. False says that somebody has to look closer: it was
            found wanting, is absent, damaged, or of unusual form. None where chunks cannot be decoded so.
        """
        return judge_chunks(self._source, self._checked_box(box), judge, threads)

    def _checked_box(self, box: Box | None) -> Box:
        box = Box.whole(self.shape) if box is None else box
        if not isinstance(box, Box):
            raise InputError(
                f"{box!r} is no Box",
                code=Code.ARGUMENT_INVALID,
                fix="give Box(origin, shape) or Box.from_bounds(start, stop), or index with slices",
            )
        if box.ndim != self.ndim or not Box.whole(self.shape).contains(box):
            raise InputError(
                f"box {box.origin}–{box.stop} is not inside the array of shape {self.shape}",
                code=Code.BOX_OUT_OF_BOUNDS,
                fix=f"stay within 0 and {self.shape} along the {self.ndim} axes",
            )
        return box

    def payloads(
        self, indices: Sequence[tuple[int, ...]], *, threads: int = 1
    ) -> list[tuple[tuple[int, ...], Buffer | None]]:
        """Return chunks as stored, undecoded; None for absent ones. The order is not that of `indices`.

        Raises
        ------
        InputError
            If the container has no such thing (HDF5, image files).
        """
        if not isinstance(self.driver, PayloadDriver):
            raise InputError(
                f"{self.driver.name} does not store chunks as separate bytes",
                code=Code.ARGUMENT_INVALID,
                fix="read voxels instead",
            )
        return fetch_payloads(self._source, indices, threads)

    def place(self, payloads: Iterable[tuple[tuple[int, ...], Buffer | None]], box: Box, out: NDArray[Any]) -> None:
        """Decode payloads of the chunks that cover `box`, and fill `out`, of its shape.

        Raises
        ------
        FormatError
            If a payload is damaged; the error names its chunk.
        """
        place_payloads(self._source, payloads, box, out)

    def check(self, payloads: Iterable[tuple[tuple[int, ...], Buffer | None]]) -> None:
        """Raise FormatError for a payload that is cut off or of another size, as far as shows without decoding."""
        check_payloads(self._source, payloads)

    def __getitem__(self, selection: Selector | tuple[Selector, ...]) -> NDArray[Any]:
        box, post = parse_selection(selection, self.shape)
        selected: NDArray[Any] = self.read(box)[post]
        return selected

    def __array__(self, dtype: np.dtype[Any] | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("voxels are read into a new array: copy=False cannot be had")
        data = self.read()
        return data if dtype is None else data.astype(dtype, copy=False)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Yield the planes of the first axis, each read when it is asked for."""
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("an array without axes has no length")
        return self.shape[0]

    def __repr__(self) -> str:
        from voxarium.core.report import array_text

        return array_text(self)

    def _repr_html_(self) -> str:
        from voxarium.core.report import array_html

        return array_html(self)


def parse_selection(selection: Selector | tuple[Selector, ...], shape: tuple[int, ...]) -> tuple[Box, tuple[Any, ...]]:
    """Turn NumPy-style basic indexing into the box to read and what to apply to it afterwards.

    Examples
    --------
    >>> parse_selection((slice(2, 8, 3), -1), (10, 5))
    (Box(origin=(2, 4), shape=(4, 1)), (slice(None, None, 3), 0))
    """
    items = list(selection) if isinstance(selection, tuple) else [selection]
    dots = [i for i, s in enumerate(items) if s is Ellipsis]  # not `in`: arrays are equal to nothing as a whole
    given = sum(1 for s in items if s is not None and s is not Ellipsis)
    if len(dots) > 1 or given > len(shape):
        raise InputError(
            f"selection {selection!r} does not fit an array with {len(shape)} axes",
            code=Code.ARGUMENT_INVALID,
            fix="give at most one index or slice per axis",
        )
    if not dots:
        items.append(Ellipsis)
    at = dots[0] if dots else len(items) - 1
    items[at : at + 1] = [slice(None)] * (len(shape) - given)
    origin: list[int] = []
    lengths: list[int] = []
    post: list[Any] = []
    for item in items:
        if item is None:
            post.append(None)
            continue
        n = shape[len(origin)]
        start, length, after = _one_axis(item, n)
        origin.append(start)
        lengths.append(length)
        post.append(after)
    return Box(tuple(origin), tuple(lengths)), tuple(post)


def _one_axis(item: Any, n: int) -> tuple[int, int, Any]:
    """Return (first index, length, what to apply) for one axis of length `n`."""
    if isinstance(item, slice):
        try:
            start, stop, step = item.indices(n)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{item!r} cannot select voxels: {error}",
                code=Code.ARGUMENT_INVALID,
                fix="use integers in slices, and a step that is not 0",
            ) from None
        count = len(range(start, stop, step))
        if count == 0:
            return min(max(start, 0), n), 0, slice(None)
        if step > 0:
            return start, (count - 1) * step + 1, slice(None, None, step)
        return start + (count - 1) * step, (count - 1) * -step + 1, slice(None, None, step)
    try:
        if isinstance(item, bool):  # a mask to NumPy, although Python takes it for 0 or 1
            raise TypeError("a mask")
        index = operator.index(item)
    except TypeError:
        raise InputError(
            f"{item!r} cannot select voxels",
            code=Code.ARGUMENT_INVALID,
            fix="use integers, slices and ...; read a box and index the result for anything else",
        ) from None
    if not -n <= index < n:
        raise InputError(
            f"index {index} is outside an axis of length {n}",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix=f"use an index from {-n} to {n - 1}",
        )
    return index % n, 1, 0
