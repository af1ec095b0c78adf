"""The walk through level 0 covers every voxel once, and the order of chunks is the same whoever asks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from voxarium.conversion.order import chunk_order, iter_blocks, nesting_steps

SIZES = st.tuples(*[st.integers(1, 40)] * 3)
STEPS = st.lists(st.tuples(*[st.integers(1, 64)] * 3), max_size=4)


@given(SIZES, st.tuples(*[st.integers(1, 16)] * 3), STEPS)
def test_blocks_cover_every_voxel_exactly_once(shape, block, steps):
    seen = np.zeros(shape, np.int64)
    for box in iter_blocks(shape, block, nesting_steps(steps)):
        seen[box.slices] += 1
    assert (seen == 1).all()


def test_blocks_of_one_shard_follow_one_another():
    shards = [
        tuple(o // 8 for o in box.origin)
        for box in iter_blocks((16, 24, 16), (2, 4, 4), nesting_steps([(8, 8, 8), (4, 4, 4)]))
    ]
    runs = [s for i, s in enumerate(shards) if i == 0 or shards[i - 1] != s]
    assert len(runs) == len(set(shards)) == 2 * 3 * 2


def test_an_empty_image_has_no_blocks():
    assert list(iter_blocks((0, 5), (2, 2), ())) == []


@given(st.permutations(range(24)))
def test_chunk_order_does_not_depend_on_how_chunks_are_listed(shuffle):
    chunks = np.stack(np.unravel_index(np.arange(24), (2, 3, 4)), axis=1).astype(np.int64)
    steps = nesting_steps([(16, 16, 16), (8, 8, 8)])
    expected = chunks[chunk_order(chunks, (4, 4, 4), (8, 8, 8), (1, 1, 1), steps)]
    shuffled = chunks[np.asarray(shuffle)]
    found = shuffled[chunk_order(shuffled, (4, 4, 4), (8, 8, 8), (1, 1, 1), steps)]
    assert (found == expected).all()
    assert len({tuple(c) for c in found.tolist()}) == 24
