"""What is wrong with a shard that readers do not notice: order, overlaps, keys in the wrong place. No I/O.

A shard is checked in steps, as its parts are read: `ShardCheck` takes the index, then the index of each minishard, and
sums up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.spec.precomputed.chunks import morton_cells
from voxarium.spec.precomputed.sharding import Sharding

__all__ = ["MOST_ENTRIES", "ShardCheck"]

MOST_ENTRIES: Final = 1 << 22
"""Entries of one shard that are looked at; writers keep far below."""
_COPY: Final = "the shard is damaged; copy it again from its source"
_AGAIN: Final = "write the shard again"
_SHOWN: Final = 3


class ShardCheck:
    """Collects what is wrong with one shard.

    Parameters
    ----------
    sharding : Sharding
        How keys are spread.
    number : int
        Of the shard, as its name says.
    size : int
        Bytes behind the shard's index, where entries and indexes of minishards are.
    grid : sequence of int or None
        Chunks along x, y, z, where keys are Morton codes of a grid; None where any key may be.
    """

    def __init__(self, sharding: Sharding, number: int, size: int, grid: Sequence[int] | None = None) -> None:
        self._sharding = sharding
        self._number = number
        self._size = size
        self._grid = grid
        self._spans: list[NDArray[np.uint64]] = []
        self._entries = 0
        self.found: list[tuple[str, str]] = []

    def index(self, data: Buffer) -> list[tuple[int, int, int]]:
        """Take the index of the shard; return (minishard, start, end) of each index that can be read."""
        table = np.frombuffer(memoryview(data), "<u8").astype(np.uint64).reshape(-1, 2)
        filled = table[table[:, 0] != table[:, 1]]
        backwards = np.flatnonzero(table[:, 1] < table[:, 0])
        if backwards.size:
            self._add(f"the indexes of {_some(backwards)} are said to end before they start", _COPY)
        outside = np.flatnonzero((table[:, 1] > table[:, 0]) & (table[:, 1] > np.uint64(max(self._size, 0))))
        if outside.size:
            self._add(f"the indexes of {_some(outside)} lie beyond the end of the file", _COPY)
        if not backwards.size and np.any(filled[1:, 0] < filled[:-1, 1]):
            self._add("the indexes of minishards do not follow one another in order", _AGAIN)
        good = (table[:, 1] > table[:, 0]) & (table[:, 1] <= np.uint64(max(self._size, 0)))
        self._spans.append(table[good])
        return [(int(m), int(table[m, 0]), int(table[m, 1])) for m in np.flatnonzero(good)]

    def minishard(self, minishard: int, data: Buffer) -> bool:
        """Take the index of a minishard, unpacked; tell whether there is room for more."""
        view = memoryview(data)
        if view.nbytes % 24:
            self._add(f"the index of minishard {minishard} has {view.nbytes} bytes, no multiple of 24", _COPY)
            return True
        rows = np.frombuffer(view, "<u8").astype(np.uint64).reshape(3, -1)
        self._entries += rows.shape[1]
        if self._entries > MOST_ENTRIES:
            self._add(f"it has more than {MOST_ENTRIES:,} entries; those beyond were not looked at", _AGAIN)
            return False
        keys, sizes = np.cumsum(rows[0], dtype=np.uint64), rows[2]
        starts = np.cumsum(rows[1] + np.concatenate([np.zeros(1, np.uint64), sizes[:-1]]), dtype=np.uint64)
        self._check_keys(minishard, keys)
        limit = np.uint64(max(self._size, 0))
        inside = (sizes <= limit) & (starts <= limit - np.minimum(sizes, limit))
        if not inside.all():
            self._add(f"minishard {minishard} has {_keys(keys[~inside])} beyond the end of the file", _COPY)
        self._spans.append(np.stack([starts, starts + sizes], axis=1)[inside & (sizes > 0)])
        return True

    def _check_keys(self, minishard: int, keys: NDArray[np.uint64]) -> None:
        # Differences are unsigned, so a key that is not above the one before shows as a sum that wrapped around.
        if np.any(keys[1:] == keys[:-1]):
            self._add(f"minishard {minishard} has a key twice", _AGAIN)
        if np.any(keys[1:] < keys[:-1]):
            self._add(f"the keys of minishard {minishard} do not ascend", _AGAIN)
        shards, places = self._sharding.place(keys)
        strangers = shards != np.uint64(self._number)
        if strangers.any():
            self._add(f"minishard {minishard} has {_keys(keys[strangers])} of other shards", _AGAIN)
        strangers = ~strangers & (places != np.uint64(minishard))
        if strangers.any():
            self._add(f"minishard {minishard} has {_keys(keys[strangers])} of other minishards", _AGAIN)
        if self._grid is not None:
            outside = ~morton_cells(keys, self._grid)[1]
            if outside.any():
                self._add(f"minishard {minishard} has {_keys(keys[outside])} outside the grid of chunks", _AGAIN)

    def unreadable(self, minishard: int, why: str) -> None:
        """Note that the index of a minishard cannot be unpacked."""
        self._add(f"the index of minishard {minishard} cannot be read: {why}", _COPY)

    def overlaps(self) -> None:
        """Sum up: entries and indexes of minishards must not overlap. Two keys may share all bytes of an entry."""
        spans = np.unique(np.concatenate([np.zeros((0, 2), np.uint64), *self._spans]), axis=0)
        over = np.flatnonzero(spans[1:, 0] < np.maximum.accumulate(spans[:, 1])[:-1])
        if over.size:
            at = int(spans[over[0] + 1, 0]) + self._sharding.index_size
            self._add(f"{over.size} of its parts overlap the part before, the first at byte {at}", _COPY)

    def _add(self, what: str, fix: str) -> None:
        if len(self.found) < 100:
            self.found.append((what, fix))


def _some(numbers: NDArray[np.int64]) -> str:
    shown = ", ".join(map(str, numbers[:_SHOWN].tolist()))
    more = numbers.size - _SHOWN
    return f"minishards {shown}" + (f" and {more} more" if more > 0 else "")


def _keys(keys: NDArray[np.uint64]) -> str:
    shown = ", ".join(map(str, keys[:_SHOWN].tolist()))
    return f"{len(keys)} {'key' if len(keys) == 1 else 'keys'} ({shown}{', …' if len(keys) > _SHOWN else ''})"
