"""From voxels in memory to the digests of blocks: takes boxes in any order, from any number of threads.

Copying and hashing do not hold the interpreter lock.
"""

from __future__ import annotations

import itertools
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.pools import run_all
from voxarium.errors import Code, ConflictError, InputError
from voxarium.model.box import Box
from voxarium.spec.logical_digest import (
    DIGEST_BYTES,
    BlockGrid,
    LeafHasher,
    content_shape,
    leaf_digest,
    leaf_header,
    stored_type,
    type_name,
)

__all__ = ["BlockDigester"]

_REMEMBERED: Final = 4096  # digests of blocks of one value only
_WIDEST: Final = 8  # bytes of a voxel that are compared in one step
_scratch = threading.local()


@dataclass(frozen=True, slots=True)
class _Cut:
    """What a box has of the blocks along one axis."""

    index: int
    inner: slice  # within the box
    start: int  # within the block
    stop: int
    length: int  # of the block, which may be cut by the array


class _Waiting:
    """A block of which a part has come: its voxels, or when parts come in order, what was hashed of them."""

    __slots__ = ("buffer", "hasher", "left", "next")

    def __init__(self, left: int) -> None:
        self.left = left
        self.next = 0
        self.buffer: NDArray[Any] | None = None
        self.hasher: LeafHasher | None = None


class BlockDigester:
    """Makes the digests of an array's blocks while boxes of it pass by.

    Parameters
    ----------
    shape : tuple of int
        Of the array, in stored order.
    dtype : numpy.dtype
        Of a voxel.
    order : sequence of int or None
        Which stored axis stands where in canonical order; None = as stored.
    in_order : bool
        Parts of blocks come whole but for the slowest axis of the block, and from first to last along it: they are
        hashed as they come, and not kept. Otherwise a block is kept until the last of its parts has come.

    Notes
    -----
    Memory: 32 bytes per block, one block per thread, and each unfinished block (about 2 kB when `in_order`).
    """

    def __init__(
        self,
        shape: Sequence[int],
        dtype: np.dtype[Any],
        order: Sequence[int] | None = None,
        *,
        in_order: bool = False,
    ) -> None:
        self._order = tuple(range(len(shape))) if order is None else tuple(order)
        canonical = [shape[i] for i in self._order]
        self._counting = [i for i, n in zip(self._order, canonical, strict=True) if n != 1]
        self._only = tuple(0 if n == 1 else slice(None) for n in canonical)
        self._whole = Box.whole(tuple(shape))
        self.dtype = dtype
        self.name = type_name(dtype)
        self.grid = BlockGrid(content_shape(canonical))
        self._type = stored_type(self.name)
        self._slow = max(0, len(self.grid.shape) - 3)
        self._in_order = in_order
        self._leaves = np.zeros((self.grid.size, DIGEST_BYTES), np.uint8)
        self._done = np.zeros(self.grid.size, np.bool_)
        self._strides = _strides(self.grid.counts)
        self._headers: dict[tuple[int, ...], bytes] = {}
        self._constant: dict[tuple[tuple[int, ...], bytes], bytes] = {}
        self._waiting: dict[int, _Waiting] = {}
        self._lock = threading.Lock()

    @property
    def waiting(self) -> int:
        """Number of blocks of which only a part has come."""
        return len(self._waiting)

    def resume(self, leaves: NDArray[np.uint8], stale: Sequence[int]) -> None:
        """Take over the digests of all blocks but some, by number; only voxels of those are expected then."""
        self._leaves[...] = leaves
        self._done[...] = True
        self._done[list(stale)] = False

    def update(self, box: Box, voxels: NDArray[Any], *, threads: int = 1) -> None:
        """Take the voxels of a box.

        Parameters
        ----------
        box : Box
            Where they are, in stored order.
        voxels : ndarray
            Of the shape of the box. They are not kept.
        threads : int
            Threads that share the work.

        Raises
        ------
        InputError
            If they do not fit the array.
        ConflictError
            If voxels have come before, or out of order where that is not allowed.
        """
        if voxels.shape != box.shape or voxels.dtype != self.dtype or not self._whole.contains(box):
            raise InputError(
                f"{voxels.dtype} {voxels.shape} at {box.origin} are no part of {self.dtype} {self._whole.shape}",
                code=Code.BOX_OUT_OF_BOUNDS,
                fix="pass voxels of the array's type, and the box they are from",
            )
        if box.size == 0:
            return
        view = self._canonical(voxels)
        cuts = [list(self._cuts(axis, box)) for axis in range(len(self._counting))]
        if threads <= 1:
            self._take(view, itertools.product(*cuts))
            return
        run_all(lambda part: self._take(view, part), list(_batches(cuts, threads)), threads)

    def leaves(self) -> NDArray[np.uint8]:
        """Return the digests, of shape (blocks, 32), in C order.

        Raises
        ------
        ConflictError
            If voxels are missing.
        """
        missing = self.grid.size - int(np.count_nonzero(self._done))
        if missing:
            raise ConflictError(
                f"voxels of {missing:,} of {self.grid.size:,} blocks have not come",
                code=Code.IMAGE_INCOMPLETE,
                fix="pass every voxel once before asking for digests",
            )
        return self._leaves

    def _canonical(self, voxels: NDArray[Any]) -> NDArray[Any]:
        """Return the same voxels in canonical axes, without those that do not count."""
        if voxels.dtype.kind == "b":
            voxels = np.not_equal(voxels.view(np.uint8), 0).view(np.uint8)
        view: NDArray[Any] = voxels.transpose(self._order)[(*self._only, ...)]
        return view

    def _cuts(self, axis: int, box: Box) -> Iterator[_Cut]:
        """Yield how a box meets the blocks along an axis that counts."""
        stored = self._counting[axis]
        low, high, block = box.origin[stored], box.stop[stored], self.grid.block[axis]
        for i in range(low // block, -(-high // block)):
            at = i * block
            a, b = max(low, at), min(high, at + block)
            yield _Cut(i, slice(a - low, b - low), a - at, b - at, min(block, self.grid.shape[axis] - at))

    def _take(self, view: NDArray[Any], parts: Iterator[tuple[_Cut, ...]] | Sequence[tuple[_Cut, ...]]) -> None:
        for cuts in parts:
            number = sum(c.index * s for c, s in zip(cuts, self._strides, strict=True))
            lengths = tuple(c.length for c in cuts)
            where: tuple[Any, ...] = (*(c.inner for c in cuts), ...)  # Any: slices, and an ellipsis
            part = view[where]
            if part.shape == lengths:
                self._put(number, self._digest(lengths, part))
            elif self._in_order:
                self._hash_on(number, cuts, lengths, part)
            else:
                self._keep(number, cuts, lengths, part)

    def _put(self, number: int, digest: bytes) -> None:
        with self._lock:
            if self._done[number] or number in self._waiting:
                raise _again(self.grid.box(number))
            self._done[number] = True
        self._leaves[number] = np.frombuffer(digest, np.uint8)

    def _header(self, lengths: tuple[int, ...]) -> bytes:
        known = self._headers.get(lengths)
        if known is None:
            known = self._headers[lengths] = leaf_header(self.name, lengths)
        return known

    def _digest(self, lengths: tuple[int, ...], block: NDArray[Any]) -> bytes:
        """Return the digest of a block; one of a single value is hashed once."""
        voxels = self._stored(block)
        value = _only_value(voxels)
        if value is None:
            return leaf_digest(self._header(lengths), voxels)
        known = self._constant.get((lengths, value))
        if known is None:
            known = leaf_digest(self._header(lengths), voxels)
            if len(self._constant) < _REMEMBERED:
                self._constant[lengths, value] = known
        return known

    def _stored(self, part: NDArray[Any]) -> NDArray[Any]:
        """Return voxels with the bytes that are hashed; what is returned lasts until the thread's next call."""
        if part.flags.c_contiguous and part.dtype == self._type:
            return part
        room: NDArray[np.uint8] | None = getattr(_scratch, "room", None)
        nbytes = part.size * self._type.itemsize
        if room is None or room.nbytes < nbytes:
            room = _scratch.room = np.empty(max(nbytes, math.prod(self.grid.block) * self._type.itemsize), np.uint8)
        out: NDArray[Any] = room[:nbytes].view(self._type).reshape(part.shape)
        np.copyto(out, part)
        return out

    def _hash_on(self, number: int, cuts: tuple[_Cut, ...], lengths: tuple[int, ...], part: NDArray[Any]) -> None:
        """Hash a part that follows the last one of its block."""
        slow = cuts[self._slow]
        with self._lock:
            block = self._waiting.get(number)
            if block is None and not self._done[number]:
                block = self._waiting[number] = _Waiting(math.prod(lengths))
                block.hasher = LeafHasher(self._header(lengths))
        across = part.size * slow.length == math.prod(lengths) * (slow.stop - slow.start)
        if block is None or block.hasher is None or slow.start != block.next or not across:
            raise _again(self.grid.box(number))
        block.hasher.update(self._stored(part))
        block.next = slow.stop
        if block.next == slow.length:
            with self._lock:
                del self._waiting[number]
            self._put(number, block.hasher.digest())

    def _keep(self, number: int, cuts: tuple[_Cut, ...], lengths: tuple[int, ...], part: NDArray[Any]) -> None:
        """Keep a part until its block is whole."""
        with self._lock:
            block = self._waiting.get(number)
            if block is None and not self._done[number]:
                block = self._waiting[number] = _Waiting(math.prod(lengths))
                block.buffer = np.empty(lengths, self._type)
            if block is None or block.buffer is None or block.left < part.size:
                raise _again(self.grid.box(number))
        block.buffer[tuple(slice(c.start, c.stop) for c in cuts)] = part
        with self._lock:
            block.left -= part.size
            if block.left:
                return
            del self._waiting[number]
        self._put(number, self._digest(lengths, block.buffer))


def _again(box: Box) -> ConflictError:
    return ConflictError(
        f"voxels of the block at {box.origin} came twice, or out of order",
        code=Code.ARGUMENT_INVALID,
        fix="pass every voxel once, in the order that the digester was made for",
    )


def _strides(counts: Sequence[int]) -> tuple[int, ...]:
    return tuple(math.prod(counts[i + 1 :]) for i in range(len(counts)))


def _batches(cuts: list[list[_Cut]], threads: int) -> Iterator[list[tuple[_Cut, ...]]]:
    """Yield the blocks of a box in a few pieces for each thread."""
    blocks = itertools.product(*cuts)
    size = max(1, math.prod(map(len, cuts)) // (4 * threads))
    while batch := list(itertools.islice(blocks, size)):
        yield batch


def _only_value(voxels: NDArray[Any]) -> bytes | None:
    """Return the bytes of the value that all voxels of a contiguous block have; None when they differ."""
    width = voxels.dtype.itemsize
    if width > _WIDEST:
        return None
    bits = voxels.reshape(-1).view(f"<u{width}")
    first = bits[0]
    if first != bits[-1] or first != bits[len(bits) // 2] or not (bits == first).all():
        return None
    return bits[:1].tobytes()
