"""Where chunks stand in shards, and what a driver knows of how its objects are put together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from voxarium.core.array import Array
from voxarium.core.index_cache import BoundedIndexCache
from voxarium.errors import FormatError, StoreError
from voxarium.model.checking import Sheet
from voxarium.model.checks import ObjectCheckDriver
from voxarium.model.native import Located, located
from voxarium.model.protocols import KeyedDriver, ListableStore, NativeDriver, PayloadDriver
from voxarium.validation.data.blocks import sampled_boxes
from voxarium.validation.objects import Group, ObjectMap, ObjectState, is_keyed

__all__ = ["ObjectFaults", "check_one_object", "has_objects", "objects_of"]

_MOST_CHUNKS: Final = 1 << 22
_MOST_SAID: Final = 100
_GONE: Final = (ObjectState.ABSENT, ObjectState.EMPTY)


@dataclass(slots=True)
class ObjectFaults:
    """What is wrong with objects of one level."""

    overlapping: Group = field(default_factory=Group)
    outside: Group = field(default_factory=Group)
    others: list[tuple[str, str, str]] = field(default_factory=list)

    def report(self, sheet: Sheet, level: str) -> None:
        """Report all of it."""
        self.outside.report(sheet, "DA-003", f"of {level} <end> before their chunks do", "copy them again", expected=0)
        self.overlapping.report(
            sheet, "DA-003", f"of {level} <have> chunks that overlap", "copy them again", expected=0
        )
        for key, message, fix in self.others:
            sheet.key = key
            sheet.report("DA-007", message, fix)


def has_objects(array: Array) -> bool:
    """Tell whether there is anything to check about whole objects of an array."""
    driver, sharded = array.driver, array.info.shard_shape is not None
    spans = sharded and isinstance(driver, PayloadDriver)
    return isinstance(driver, KeyedDriver) and (spans or isinstance(driver, ObjectCheckDriver))


def objects_of(array: Array, sample: float, known: ObjectMap | None) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield key and grid index of objects that may exist, of a sample the same as of blocks.

    Objects that have no place in a grid are all listed, without an index.
    """
    driver = array.driver
    if not is_keyed(array):
        if isinstance(array.store, ListableStore) and array.path:
            yield from ((key, ()) for key, _ in array.store.list(array.path))
        return
    shape = array.info.object_shape
    states = None if known is None else known.states
    for box in sampled_boxes(array, shape, sample):
        index = tuple(a // n for a, n in zip(box.origin, shape, strict=True))
        if isinstance(driver, KeyedDriver) and (states is None or states[index] not in _GONE):
            yield driver.object_key(array.path, array.info, index), index


def check_one_object(array: Array, faults: ObjectFaults, place: tuple[str, tuple[int, ...]]) -> None:
    """Check one object; what its reader refuses is found elsewhere. Groups only grow, under the interpreter lock."""
    driver, (key, index) = array.driver, place
    stat = array.store.stat(key)
    if stat is None:
        return
    try:
        if isinstance(driver, ObjectCheckDriver):
            for message, fix in driver.check_object(array.store, array.path, array.info, key, index):
                if len(faults.others) < _MOST_SAID:
                    faults.others.append((key, message, fix))
        if array.info.shard_shape is not None and isinstance(driver, PayloadDriver) and is_keyed(array):
            _check_spans(_spans(array, driver, index), stat.size, key, faults)
    except (FormatError, StoreError):
        return


def _spans(array: Array, driver: PayloadDriver, index: tuple[int, ...]) -> Located:
    info = array.info
    # Of a huge shard that holds next to nothing, so many chunks are enough.
    first = [i * n // c for i, n, c in zip(index, info.object_shape, info.chunk_shape, strict=True)]
    ends = [
        min(n // c, -(-m // c) - f)
        for n, c, m, f in zip(info.object_shape, info.chunk_shape, info.shape, first, strict=True)
    ]
    while math.prod(ends) > _MOST_CHUNKS:
        axis = max(range(len(ends)), key=lambda i: ends[i])
        ends[axis] = -(-ends[axis] // 2)
    indices = np.indices(ends, np.int64).reshape(len(ends), -1).T + np.array(first, np.int64)
    cache = BoundedIndexCache(1 << 20)
    if isinstance(driver, NativeDriver):
        return driver.locate_many(array.store, array.path, info, indices, cache)
    return located(driver.locate(array.store, array.path, info, [tuple(i) for i in indices.tolist()], cache))


def _check_spans(found: Located, size: int, key: str, faults: ObjectFaults) -> None:
    here = (found.objects >= 0) & (found.lengths >= 0)
    if not here.any():
        return
    starts, stops = found.starts[here], found.starts[here] + found.lengths[here]
    order = np.lexsort((stops, starts))
    starts, stops = starts[order], stops[order]
    same = (starts[1:] == starts[:-1]) & (stops[1:] == stops[:-1])  # equal ones share on purpose
    if (stops > size).any() or (starts < 0).any():
        faults.outside.add(key)
    elif ((starts[1:] < np.maximum.accumulate(stops)[:-1]) & ~same).any():
        faults.overlapping.add(key)
