"""Which neuron a passage belongs to: connected components of the lattices, walked from where one stands.

Dead ends are common enough that components are finite and small, so a walk costs little. Its result goes to a
memo of bounded size; forgetting never changes an answer.

Numbers: a trunk passage with key k holds supervoxels 4 k + 1 … 4 k + 4 (its quarters), a twig passage
one. A neuron has the number of its first trunk passage, or of its first twig passage when it has no
trunk. 0 is none.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voxarium.testing.specimen.lattice import (
    OPEN,
    World,
    branches,
    cell_at,
    cell_key,
    exists,
    face_of,
    kernel,
    mix,
    slot_of,
    step,
    trunk_open,
    twig_port,
)

__all__ = [
    "Memo",
    "end_state",
    "first_supervoxel",
    "key_of_supervoxel",
    "neuron_of_key",
    "new_memo",
    "resolve",
]

_BITS: Final = 18


class Memo(NamedTuple):
    """Neuron number by passage key, in an open hash table."""

    keys: NDArray[np.int64]
    values: NDArray[np.int64]
    ends: NDArray[np.int8]  # of twigs: state of the first end + 4 × state of the second (see lattice.CLOSED …)
    used: NDArray[np.int64]


def new_memo() -> Memo:
    """Return an empty memo (4 MiB)."""
    n = 1 << _BITS
    return Memo(np.full(n, -1, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int8), np.zeros(1, np.int64))


@kernel
def _slot(memo: Memo, key: int) -> int:
    mask = memo.keys.shape[0] - 1
    i = int(np.int64(mix(np.uint64(key)) & np.uint64(mask)))
    while memo.keys[i] != -1 and memo.keys[i] != key:
        i = (i + 1) & mask
    return i


@kernel
def _remember(memo: Memo, key: int, value: int, ends: int) -> None:
    if memo.used[0] * 2 >= memo.keys.shape[0]:
        memo.keys[:] = -1
        memo.used[0] = 0
    i = _slot(memo, key)
    if memo.keys[i] == -1:
        memo.used[0] += 1
    memo.keys[i] = key
    memo.values[i] = value
    memo.ends[i] = ends


@kernel
def first_supervoxel(world: World, key: int) -> int:
    """Return the number of the first supervoxel of a passage."""
    return key * 4 + 1 if key < world.trunk_keys else world.trunk_keys * 3 + key + 1


@kernel
def key_of_supervoxel(world: World, number: int) -> int:
    """Return the key of the passage that holds a supervoxel."""
    n = number - 1
    return n // 4 if n < world.trunk_keys * 4 else n - world.trunk_keys * 3


@kernel
def _trunk_neighbour(world: World, key: int, end: int) -> int:
    lat = world.trunks
    z, y, x = cell_at(lat, key // 3)
    slot = key % 3
    if end == 2:
        return key + 1 - 2 * slot if slot < 2 and branches(lat, z, y, x) else -1
    face = face_of(lat, (z, y, x), slot, end)
    if not trunk_open(lat, z, y, x, face):
        return -1
    z, y, x = step(z, y, x, face)
    return cell_key(lat, z, y, x) * 3 + slot_of(lat, z, y, x, face ^ 1)


@kernel
def _twig_neighbour(world: World, key: int, end: int) -> tuple[int, int, int]:
    """Return the next passage and the trunk grown out of (-1 for none), and the state of that end."""
    lat = world.twigs
    z, y, x = cell_at(lat, key // 3)
    slot = key % 3
    if end == 2:
        linked = slot < 2 and branches(lat, z, y, x) and exists(world, z, y, x, 1 - slot)
        return (key + 1 - 2 * slot if linked else -1), -1, 0
    face = face_of(lat, (z, y, x), slot, end)
    state, trunk = twig_port(world, z, y, x, face)
    if state != OPEN:
        return -1, trunk, state
    z, y, x = step(z, y, x, face)
    return cell_key(lat, z, y, x) * 3 + slot_of(lat, z, y, x, face ^ 1), -1, state


@kernel
def _trunk_root(world: World, memo: Memo, start: int) -> int:
    i = _slot(memo, start)
    if memo.keys[i] == start:
        return int(memo.values[i])
    seen, queue = {start}, [start]
    lowest = start
    while len(queue) > 0:
        key = queue.pop()
        lowest = min(lowest, key)
        for end in range(3):
            other = _trunk_neighbour(world, key, end)
            if other >= 0 and other not in seen:
                seen.add(other)
                queue.append(other)
    root = first_supervoxel(world, lowest)
    for key in seen:
        _remember(memo, key, root, 0)
    return root


@kernel
def _twig_root(world: World, memo: Memo, start: int) -> int:
    i = _slot(memo, start)
    if memo.keys[i] == start:
        return int(memo.values[i])
    base = world.trunk_keys
    seen, queue, ends = {start}, [start], [0]
    at, root = 0, -1
    while at < len(queue):
        key = queue[at]
        for end in range(3):
            other, trunk, state = _twig_neighbour(world, key - base, end)
            ends[at] |= state << (2 * end)
            if trunk >= 0:
                found = _trunk_root(world, memo, trunk)
                root = found if root < 0 else min(root, found)
            if other >= 0 and other + base not in seen:
                seen.add(other + base)
                queue.append(other + base)
                ends.append(0)
        at += 1
    if root < 0:
        root = first_supervoxel(world, min(queue))
    for k in range(len(queue)):
        _remember(memo, queue[k], root, ends[k])
    return root


@kernel
def neuron_of_key(world: World, memo: Memo, key: int) -> int:
    """Return the number of the neuron a passage belongs to; 0 when there is no such passage."""
    if key < world.trunk_keys:
        return _trunk_root(world, memo, key)
    i = _slot(memo, key)
    if memo.keys[i] == key:
        return int(memo.values[i])
    twig = key - world.trunk_keys
    z, y, x = cell_at(world.twigs, twig // 3)
    if exists(world, z, y, x, twig % 3):
        return _twig_root(world, memo, key)
    _remember(memo, key, 0, 0)
    return 0


@kernel
def end_state(memo: Memo, key: int, end: int) -> int:
    """Return the state of one end of a twig passage that was looked up just before."""
    return int(memo.ends[_slot(memo, key)] >> (2 * end)) & 3


@kernel
def resolve(world: World, memo: Memo, numbers: NDArray[np.int64], out: NDArray[np.int64]) -> None:
    """Write the neuron number of every supervoxel number; -1 for a number that is out of range."""
    last = first_supervoxel(world, world.trunk_keys + _twig_keys(world) - 1)
    for i in range(numbers.shape[0]):
        if numbers[i] < 0 or numbers[i] > last:
            out[i] = -1
        else:
            out[i] = 0 if numbers[i] == 0 else neuron_of_key(world, memo, key_of_supervoxel(world, numbers[i]))


@kernel
def _twig_keys(world: World) -> int:
    d = world.twigs.dims
    return d[0] * d[1] * d[2] * 3
