"""What is read when, and how much memory that takes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.core.digesting.planning import digest_plan
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.spec.logical_digest import BlockGrid, content_shape


def plan_of(shape, chunk, memory=256 << 20, threads=2, order=None, dtype="u1", **more):
    order = tuple(range(len(shape))) if order is None else order
    info = ArrayInfo(format="any", shape=shape, dtype=np.dtype(dtype), chunk_shape=chunk, **more)
    block = BlockGrid(content_shape([shape[i] for i in order])).block
    return digest_plan(info, order, block, memory, threads)


def boxes_of(plan):
    return [list(plan.iter_steps(column)) for column in plan.iter_columns()]


@settings(max_examples=60)
@given(
    shape=st.lists(st.sampled_from([1, 3, 70, 129, 300]), min_size=0, max_size=4),
    chunk=st.lists(st.integers(1, 100), min_size=4, max_size=4),
    memory=st.sampled_from([1, 1 << 16, 1 << 22]),
    threads=st.integers(1, 5),
    contiguous=st.booleans(),
)
def test_steps_cover_every_voxel_once_and_columns_are_whole_blocks(shape, chunk, memory, threads, contiguous):
    shape = tuple(shape)
    plan = plan_of(shape, tuple(chunk[: len(shape)]), memory, threads, contiguous=contiguous)
    columns = list(plan.iter_columns())
    assert sum(c.size for c in columns) == Box.whole(shape).size
    block = iter(BlockGrid(content_shape(shape)).block)
    lengths = [1 if n == 1 else next(block) for n in shape]
    for axis, length in enumerate(lengths):
        assert axis == plan.slow or plan.step[axis] % length == 0 or plan.step[axis] == shape[axis]
    for column in columns[:50]:
        steps = list(plan.iter_steps(column))
        assert sum(s.size for s in steps) == column.size
        if plan.slow is not None:
            starts = [s.origin[plan.slow] for s in steps]
            assert starts == sorted(starts) and len(set(starts)) == len(starts)


@pytest.mark.parametrize(
    ("shape", "chunk"),
    [
        ((1024, 1024, 1024), (64, 64, 64)),
        ((1024, 1024, 1024), (128, 128, 128)),
        ((1000, 1100, 1200), (64, 96, 48)),
        ((3, 1, 500, 600, 700), (1, 1, 32, 32, 32)),
    ],
)
def test_no_chunk_is_read_twice_where_chunks_and_blocks_meet_soon(shape, chunk):
    plan = plan_of(shape, chunk)
    assert plan.side_by_side
    for axis, (step, c, n) in enumerate(zip(plan.step, chunk, shape, strict=True)):
        assert step % c == 0 or step == n, axis


def test_chunks_that_never_meet_blocks_are_read_in_whole_rows_where_memory_allows():
    plan = plan_of((500, 600, 700), (100, 100, 100), memory=256 << 20)
    assert plan.step[1:] == (600, 700) and plan.step[0] % 100 == 0


def test_a_step_stays_below_the_memory_of_a_thread():
    for threads in (1, 2, 16):
        plan = plan_of((2000, 3000, 4000), (64, 64, 64), memory=64 << 20, threads=threads)
        assert np.prod(plan.step) * threads <= 64 << 20 and plan.side_by_side


def test_large_planes_are_read_once_with_all_threads():
    plan = plan_of((500, 20_000, 20_000), (1, 20_000, 20_000), memory=256 << 20)
    assert plan.step == (1, 20_000, 20_000) and not plan.side_by_side


def test_small_planes_are_read_several_at_a_time_and_blocks_are_whole():
    plan = plan_of((500, 700, 900), (1, 700, 900))
    assert plan.step == (64, 700, 900)


def test_files_in_one_piece_are_read_in_whole_blocks():
    plan = plan_of((500, 20_000, 20_000), (1, 20_000, 20_000), contiguous=True)
    assert plan.side_by_side and all(s % 64 == 0 for s in plan.step)


def test_every_chunk_is_read_once(array_of):
    data = np.random.default_rng(0).integers(0, 255, (150, 200, 170), np.uint8)
    for chunk in [(1, 200, 170), (50, 100, 85), (64, 32, 16), (33, 35, 37)]:
        array = array_of(data, chunk=chunk)
        voxarium.logical_digest(array, threads=2)
        assert len(array.driver.reads) == array.grid.size


@pytest.mark.parametrize(
    ("shape", "chunk", "memory"),
    [((640, 256, 256), (64, 64, 64), 2 << 20), ((640, 256, 256), (3, 256, 256), 1 << 20)],
)
def test_memory_is_bounded_however_large_the_image(array_of, shape, chunk, memory):
    data = np.broadcast_to(np.arange(shape[2], dtype=np.uint8), shape)  # takes no memory itself
    array = array_of(data, chunk=chunk)
    array.driver.reads = Forgetful()
    voxarium.logical_digest(array_of(data[:64, :64, :64]), threads=2)  # what is loaded once
    tracemalloc.start()
    try:
        voxarium.logical_digest(array, threads=2, memory=memory)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    blocks = BlockGrid(shape).size
    assert data.size > 10 * peak
    # voxels that are read, a block for each thread, leaves and tree, and what Python needs
    assert peak < memory + 2 * 64**3 + 80 * blocks + (512 << 10)


class Forgetful(list):
    def append(self, _):
        pass
