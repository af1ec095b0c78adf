"""Memory that is lent comes back when nobody looks at it any more, and never before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from voxarium.model.memory_pool import MemoryPool


def address(array):
    return array.__array_interface__["data"][0]


def test_any_view_keeps_it():
    pool = MemoryPool(1 << 20)
    first = pool.empty((3, 5, 7), np.dtype("u2"))
    assert (first.shape, first.dtype, first.flags.c_contiguous, first.flags.writeable) == ((3, 5, 7), "u2", True, True)
    first[...] = 9
    view = memoryview(first[1:, 2])
    where = address(first)
    del first
    second = pool.empty((3, 5, 7), np.dtype("u2"))
    assert address(second) != where
    second[...] = 1
    assert np.asarray(view).tolist() == [[9] * 7] * 2
    del view
    assert address(pool.empty((210,), np.dtype("u1"))) == where


def test_much_larger_pieces_are_not_used_and_the_rest_is_bounded():
    pool = MemoryPool(10_000)
    large = pool.empty((9_000,), np.dtype("u1"))
    where = address(large)
    del large
    small = pool.empty((9_000 // 4 - 1,), np.dtype("u1"))
    assert address(small) != where
    del small  # more than fits: what waited longest is freed
    assert sum(p.nbytes for p in pool._waiting) <= 10_000
    assert pool.empty((0, 4), np.dtype("f8")).shape == (0, 4)


def test_threads_never_share_a_piece():
    pool = MemoryPool(1 << 16)

    def work(number):
        for i in range(300):
            mine = pool.empty((64 + i % 7,), np.dtype("i8"))
            mine[...] = number
            other = mine[::2]
            del mine
            assert (other == number).all()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(12)))
