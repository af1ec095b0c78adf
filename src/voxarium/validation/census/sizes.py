"""How many bytes a stored object can have."""

from __future__ import annotations

import contextlib
import math
from typing import Final

import numpy as np

from voxarium.core.array import Array
from voxarium.errors import VoxariumError
from voxarium.model.protocols import ShardedArrayDriver

__all__ = ["size_bounds"]

_SLOTS: Final = 1 << 22
_ABSENT: Final = np.uint64(2**64 - 1)
# Encodings may take more than the voxels: headers, tables. Nothing in use takes four times as much.
_MORE: Final = 4
_ROOM: Final = 64 << 10


def size_bounds(array: Array) -> tuple[int, int, int | None]:
    """Return (least, most, exact) bytes of an object of an array; None where it depends on the voxels."""
    info, driver = array.info, array.driver
    index = (0,) * info.ndim
    exact = None
    tell = getattr(driver, "object_size", None)  # an ability of some keyed drivers
    if tell is not None:
        exact = tell(info, index)
    nbytes = math.prod(info.object_shape) * info.dtype.itemsize
    least, extra = 1, 0
    if info.shard_shape is not None and isinstance(driver, ShardedArrayDriver):
        slots = math.prod(s // c for s, c in zip(info.shard_shape, info.chunk_shape, strict=True))
        extra = 64 * slots
        if slots <= _SLOTS:
            with contextlib.suppress(VoxariumError):  # shards that must hold every chunk
                head, tail = driver.pack_shard(info, index, np.full((slots, 2), _ABSENT, np.uint64))
                least = max(1, len(head) + len(tail))
    return least, nbytes * _MORE + extra + _ROOM, exact
