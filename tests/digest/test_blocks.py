"""Blocks in memory: boxes in any order, from any thread, give the digests of the whole."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.core.digesting import BlockDigester
from voxarium.errors import ConflictError, InputError, UnsupportedError
from voxarium.model.box import Box
from voxarium.spec.logical_digest import leaf_digest, leaf_header

SHAPE = (70, 3, 131)


def voxels(shape=SHAPE, dtype="<u2"):
    return np.random.default_rng(5).integers(0, 60000, shape).astype(dtype)


def leaves_of(data, order=None):
    made = BlockDigester(data.shape, data.dtype, order)
    made.update(Box.whole(data.shape), data)
    return made.leaves()


def cut(shape, lengths):
    return list(Box.whole(shape).tiles(lengths))


@settings(max_examples=50)
@given(
    shape=st.lists(st.sampled_from([1, 2, 63, 64, 65, 130]), min_size=0, max_size=3),
    lengths=st.lists(st.integers(9, 140), min_size=3, max_size=3),
    shuffled=st.randoms(use_true_random=False),
)
def test_boxes_of_any_size_in_any_order_give_the_same_leaves(shape, lengths, shuffled):
    data = voxels(tuple(shape))
    made = BlockDigester(data.shape, data.dtype)
    boxes = cut(data.shape, tuple(lengths[: len(shape)]))
    shuffled.shuffle(boxes)
    for box in boxes:
        made.update(box, data[box.slices])
    assert made.waiting == 0
    assert (made.leaves() == leaves_of(data)).all()


@settings(max_examples=20)
@given(thick=st.integers(1, 70), wide=st.sampled_from([64, 128, 131]))
def test_slabs_in_order_give_the_same_leaves_and_keep_no_voxels(thick, wide):
    data = voxels()
    made = BlockDigester(data.shape, data.dtype, in_order=True)
    for box in cut(SHAPE, (thick, 3, wide)):
        made.update(box, data[box.slices])
        assert all(w.buffer is None for w in made._waiting.values())
    assert (made.leaves() == leaves_of(data)).all()


def test_a_leaf_is_the_hash_of_its_header_and_its_voxels():
    data = voxels()
    block = np.ascontiguousarray(data[64:, :, 128:])
    assert leaves_of(data)[5].tobytes() == leaf_digest(leaf_header("uint16", (6, 3, 3)), block)


def test_the_order_of_axes_in_memory_does_not_count():
    data = voxels()
    assert (leaves_of(np.asfortranarray(data)) == leaves_of(data)).all()
    assert (leaves_of(np.ascontiguousarray(data.transpose(2, 0, 1)), (1, 2, 0)) == leaves_of(data)).all()
    assert (leaves_of(data[::-1][::-1]) == leaves_of(data)).all()


@pytest.mark.parametrize("dtype", ["u2", "i4", "f4", "f8", "c8", "c16"])
def test_byte_order_does_not_count(dtype):
    data = voxels((3, 4, 5), dtype)
    assert (leaves_of(data.astype(f">{dtype}")) == leaves_of(data.astype(f"<{dtype}"))).all()


def test_booleans_are_numbers():
    data = voxels((3, 4, 5)) % 2
    assert (leaves_of(data.astype(bool)) == leaves_of(data.astype(np.uint8))).all()
    odd = data.astype(np.uint8) * 7
    assert (leaves_of(odd.view(bool)) == leaves_of(data.astype(np.uint8))).all()


def test_bits_count_where_numbers_are_equal():
    zeros = np.zeros((2, 3, 70), "f4")
    negative = zeros.copy()
    negative[1, 2, 3] = -0.0
    nan = zeros.view("u4").copy()
    nan[:] = 0x7FC00000
    payload = nan.copy()
    payload[0, 0, 0] = 0x7FC00001
    digests = [leaves_of(a.view("f4")).tobytes() for a in (zeros, negative, nan, payload)]
    assert len(set(digests)) == 4


def test_blocks_of_one_value_are_hashed_once_and_right(monkeypatch):
    from voxarium.core.digesting import blocks

    calls = []
    monkeypatch.setattr(blocks, "leaf_digest", lambda *a: calls.append(1) or leaf_digest(*a))
    data = np.zeros((64, 64, 64 * 9), np.uint8)
    data[..., 64:128] = 7
    data[5, 6, 130] = 1
    found = leaves_of(data)
    assert len(calls) == 3
    for i in range(9):
        block = np.ascontiguousarray(data[..., 64 * i : 64 * i + 64])
        assert found[i].tobytes() == leaf_digest(leaf_header("uint8", (64, 64, 64)), block)


def test_threads_may_hand_over_parts_of_one_block():
    data = voxels((64, 64, 64))
    made = BlockDigester(data.shape, data.dtype)
    boxes = cut(data.shape, (7, 64, 33))
    threads = [
        threading.Thread(target=lambda part: [made.update(b, data[b.slices]) for b in part], args=(boxes[i::4],))
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (made.leaves() == leaves_of(data)).all()


def test_several_threads_share_one_box():
    data = voxels()
    made = BlockDigester(data.shape, data.dtype)
    made.update(Box.whole(SHAPE), data, threads=3)
    assert (made.leaves() == leaves_of(data)).all()


def test_missing_voxels_are_an_error():
    data = voxels()
    made = BlockDigester(data.shape, data.dtype)
    made.update(Box((0, 0, 0), (70, 3, 130)), data[..., :130])
    with pytest.raises(ConflictError, match="2 of 6 blocks"):
        made.leaves()


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("again", [Box((0, 0, 0), (64, 3, 64)), Box((1, 0, 0), (2, 3, 64))])
def test_voxels_that_come_twice_are_an_error(in_order, again):
    data = voxels()
    made = BlockDigester(data.shape, data.dtype, in_order=in_order)
    made.update(Box.whole(SHAPE), data)
    with pytest.raises(ConflictError, match="twice"):
        made.update(again, data[again.slices])


def test_parts_out_of_order_are_an_error_where_order_was_promised():
    data = voxels()
    made = BlockDigester(data.shape, data.dtype, in_order=True)
    box = Box((3, 0, 0), (2, 3, 64))
    with pytest.raises(ConflictError, match="out of order"):
        made.update(box, data[box.slices])
    box = Box((0, 0, 0), (2, 3, 5))
    with pytest.raises(ConflictError, match="out of order"):
        made.update(box, data[box.slices])


def test_voxels_of_another_array_are_refused():
    made = BlockDigester(SHAPE, np.dtype("u2"))
    for box, data in [
        (Box((0, 0, 0), (1, 1, 1)), np.zeros((1, 1, 1), "u1")),
        (Box((0, 0, 0), (1, 1, 2)), np.zeros((1, 1, 1), "u2")),
        (Box((69, 0, 0), (2, 1, 1)), np.zeros((2, 1, 1), "u2")),
    ]:
        with pytest.raises(InputError, match="no part of"):
            made.update(box, data)
    with pytest.raises(UnsupportedError, match="no logical digest"):
        BlockDigester((3,), np.dtype("U4"))
