"""Reading uncompressed arrays that lie in one piece, with threads that never hold the interpreter lock."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.batch import able_to_decode, most_axes
from voxarium.codecs.batch.crew import decode_fetched
from voxarium.core.native_reading import crew_of, on_disk
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray, leading_axes
from voxarium.model.native import NativeReads
from voxarium.model.protocols import NativeStore, ProbeStore

__all__ = ["FlatReader"]

_SHORTEST: Final = 16 << 10  # bytes of a run; below, mapping the file is faster
_LONGEST: Final = 64 << 20
_PIECE: Final = 1 << 20  # what one thread reads at a time, where a run can be cut into equal parts


class FlatReader:
    """Reads one array.

    Parameters
    ----------
    layout : FlatArray
        Where its voxels are.
    store : NativeStore
        Where the file is.
    path : str
        Its path there.
    """

    def __init__(self, layout: FlatArray, store: NativeStore, path: str) -> None:
        self._layout = layout
        self._store = store
        self._path = path
        self._probe = store if isinstance(store, ProbeStore) else None

    def read(self, box: Box, out: NDArray[Any], workers: int) -> bool:
        """Fill `out` with the voxels of `box`; tell whether that was done.

        It is not where voxels have to be turned round, where runs are short, or where anything is wrong with the file:
        whoever reads it the careful way then finds out.
        """
        layout = self._layout
        lead = leading_axes(layout.shape, box.shape)
        run = math.prod(box.shape[lead:]) * out.itemsize
        if layout.order != "C" or out.dtype != layout.dtype or not layout.dtype.isnative:
            return False
        if not _SHORTEST <= run <= _LONGEST or lead + 2 > most_axes or not out[(0,) * lead].flags.c_contiguous:
            return False
        piece = _piece(run)
        counts = (*box.shape[:lead], run // piece)
        target = out.reshape(*box.shape[:lead], -1).view(np.uint8).reshape(*counts, piece)
        if not np.may_share_memory(target, out) or not able_to_decode(None, target, math.prod(counts), plain=True):
            return False
        starts = np.array(layout.run_starts(box, lead), np.int64)
        return self._fetch(target, (starts[:, None] + np.arange(0, run, piece)).ravel(), workers)

    def _fetch(self, target: NDArray[np.uint8], starts: NDArray[np.int64], workers: int) -> bool:
        """Fill the rows of `target` with what begins at `starts`."""
        *counts, piece = target.shape
        objects, keys = np.zeros(len(starts), np.int64), [self._path]
        slow = workers > 1 and on_disk(self._probe, keys, objects, starts)
        files = self._store.open_native(keys)
        if files is None:
            return False
        with files, crew_of(workers, slow=slow) as crew:
            reads = NativeReads(
                chunk_shape=(*(1 for _ in counts), piece),
                indices=np.indices((*counts, 1), np.int64).reshape(target.ndim, -1).T.copy(),
                files=files,
                objects=objects,
                starts=starts,
                lengths=np.full(len(starts), piece, np.int64),
                most=piece,
                announce=slow,
            )
            return bool(decode_fetched(None, reads, Box.whole(target.shape), target, crew, plain=True).all())


def _piece(run: int) -> int:
    """Return the length of equal parts of a run, about a megabyte; a run that has none such is one part."""
    least = -(-run // _PIECE)
    return next((run // n for n in range(least, 2 * least) if run % n == 0), run)
