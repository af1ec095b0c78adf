"""Memory that is used again: the system is slow to find and clear pages for what lives for milliseconds."""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["MemoryPool"]

_WASTE: Final = 4  # of a piece that is larger than needed: at most so many times


class MemoryPool:
    """Lends memory as arrays. A piece comes back by itself when the last view of it is gone.

    Parameters
    ----------
    most : int
        Bytes that wait to be lent again; what comes back beyond them is freed.

    Examples
    --------
    >>> pool = MemoryPool(1 << 20)
    >>> first = pool.empty((3, 5), np.dtype("u2"))
    >>> address = first.ctypes.data
    >>> del first
    >>> pool.empty((5, 3), np.dtype("u2")).ctypes.data == address
    True
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._waiting: deque[NDArray[np.uint8]] = deque()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Return an array of arbitrary content, C-contiguous."""
        size = math.prod(shape) * dtype.itemsize
        if size == 0:
            return np.empty(shape, dtype)
        lent = _Lent(self, self._piece(size))
        return np.asarray(lent)[:size].view(dtype).reshape(shape)

    def _piece(self, size: int) -> NDArray[np.uint8]:
        for _ in range(len(self._waiting)):
            try:
                piece = self._waiting.popleft()
            except IndexError:  # another thread was faster
                break
            if size <= piece.nbytes <= size * _WASTE:
                return piece
            self._waiting.append(piece)
        return np.empty(size, np.uint8)

    def take_back(self, piece: NDArray[np.uint8]) -> None:
        """Keep a piece that nobody looks at any more; the one that has waited longest goes first."""
        self._waiting.append(piece)
        try:
            while sum(p.nbytes for p in tuple(self._waiting)) > self._most:
                self._waiting.popleft()
        except (IndexError, RuntimeError):  # other threads take and give, too
            return


class _Lent:
    """Keeps a piece of memory for as long as arrays show it."""

    def __init__(self, pool: MemoryPool, piece: NDArray[np.uint8]) -> None:
        self._pool = pool
        self._piece = piece
        self.__array_interface__ = piece.__array_interface__

    def __del__(self) -> None:
        self._pool.take_back(self._piece)
