"""Reading: blocks meet without a seam, chunks are read once, memory is bounded."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.core.resampling.covering import merged
from voxarium.model.box import Box
from voxarium.model.transforms import Transform
from voxarium.model.warps import Bijection

from .conftest import Held, affine, held_image, rotation
from .test_values import spline

SHAPE = (31, 37, 43)
DATA = np.random.default_rng(5).integers(0, 255, SHAPE).astype(np.uint8)


def bent() -> Transform:
    there, back = spline()
    return Bijection(there, back)


WAYS = {
    "rigid": lambda: affine(rotation(27, 11), (3, -1, 2)),
    "sheared": lambda: affine([[1.1, 0.3, 0], [0, 0.8, 0.2], [-0.1, 0, 1.3]], (0.1, 0.2, 0.3)),
    "shift": lambda: affine(np.eye(3), (2.0, 3.0, -1.0)),
    "bent": bent,
}


@pytest.mark.parametrize("dtype", ["uint8", "float32", "complex64", "float16"])
@pytest.mark.parametrize("interpolation", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("way", WAYS)
@given(data=st.data())
@settings(max_examples=4, deadline=None)
def test_every_block_holds_the_bytes_of_the_whole(way, interpolation, dtype, data):
    image = held_image(DATA.astype(dtype), chunk=(8, 16, 12))
    choices = {"like": image, "transform": WAYS[way](), "interpolation": interpolation}
    new = image.resampled(**choices)
    whole = WHOLES.setdefault((way, interpolation, dtype), new[...])
    start = tuple(data.draw(st.integers(0, n - 1)) for n in SHAPE)
    stop = tuple(data.draw(st.integers(a + 1, n)) for a, n in zip(start, SHAPE, strict=True))
    box = Box.from_bounds(start, stop)
    memory = data.draw(st.sampled_from([1, 1 << 30]))
    again = image.resampled(**choices, memory=memory).read(box, threads=data.draw(st.integers(1, 3)))
    assert again.tobytes() == np.ascontiguousarray(whole[box.slices]).tobytes()


WHOLES: dict[tuple[str, str, str], np.ndarray] = {}


def test_small_memory_cuts_the_work_and_changes_nothing(monkeypatch):
    from voxarium.core.resampling import array

    image = held_image(DATA, chunk=(8, 8, 8))
    for way in WAYS.values():
        choices = {"like": image, "transform": way(), "interpolation": "cubic"}
        expected = image.resampled(**choices)[...]
        monkeypatch.setattr(array, "_LEAST", 3000)
        small = image.resampled(**choices, memory=1)
        assert small.arrays[0].working_bytes == 3000
        assert (small.read(threads=2) == expected).all()
        monkeypatch.undo()


def test_a_result_may_be_read_into_memory_of_any_layout():
    image = held_image(DATA)
    new = image.resampled(voxel_size=1, transform=WAYS["rigid"]())
    out = np.empty(new.shape[::-1], np.uint8).T
    new.read(out=out)
    assert (out == new[...]).all()


def chunks_needed(image, transform, box, chunk):
    """Return the chunks in which the voxels lie that linear interpolation looks at."""
    grid = np.stack(
        np.meshgrid(*(np.arange(a, b) for a, b in zip(box.origin, box.stop, strict=True)), indexing="ij"), -1
    )
    at = np.round(transform.inverse().apply(grid.reshape(-1, 3)) * 2**24) / 2**24
    n = np.array(image.shape)
    at = at[((at >= -0.5) & (at < n - 0.5)).all(axis=1)].clip(0, n - 1)
    found = set()
    for corner in np.ndindex(2, 2, 2):
        index = np.where(np.array(corner), np.ceil(at), np.floor(at)).astype(int) // chunk
        found |= set(map(tuple, index.tolist()))
    return found


@pytest.mark.parametrize("way", WAYS)
def test_chunks_of_a_block_are_read_once_and_few_others(way):
    driver, chunk = Held(DATA), (4, 4, 4)
    image = held_image(DATA, chunk=chunk, driver=driver)
    transform = WAYS[way]()
    new = image.resampled(like=image, transform=transform)
    box = Box((3, 8, 5), (20, 21, 30))
    new.read(box, threads=1)
    read = [tuple(np.array(o) // 4) for o in driver.reads]
    assert len(read) == len(set(read))
    needed = chunks_needed(image, transform, box, chunk)
    assert needed <= set(read)
    if way == "shift":
        assert needed == set(read)
    driver.reads.clear()
    new.read(Box((0, 0, 0), (1, 1, 1)))
    assert len(driver.reads) <= 8


def test_chunks_in_the_corners_of_a_turned_block_are_not_read():
    data = np.zeros((16, 256, 256), np.uint8)
    driver = Held(data)
    image = held_image(data, chunk=(16, 16, 16), driver=driver)
    turn = affine(rotation(45), (0, 128, 0))
    new = image.resampled(like=image, transform=turn)
    new.read(Box((0, 64, 64), (16, 96, 96)), threads=1)
    around = (96 * 2**0.5 / 16 + 1) ** 2
    assert len(driver.reads) == len(set(driver.reads)) < 0.8 * around


def test_where_there_is_no_source_nothing_is_read():
    driver = Held(DATA)
    image = held_image(DATA, driver=driver)
    far = {a: (1000.0, 1040.0) for a in "zyx"}
    assert (image.resampled(voxel_size=1, box=far, fill_value=9)[...] == 9).all()
    turned = image.resampled(voxel_size=1, box=far, transform=WAYS["rigid"](), fill_value=9)
    assert (turned[...] == 9).all()
    assert driver.reads == []
    assert (image.resampled(voxel_size=1, box={"x": (1000.0, 1040.0)}, transform=bent())[:40, :40] == 0).all()
    assert driver.reads == []


class Endless(Held):
    """A driver of an image that exists nowhere."""

    def read_chunk(self, store, path, info, box, /):
        z, y, x = (np.arange(o, o + n, dtype=np.int64) for o, n in zip(box.origin, box.shape, strict=True))
        return ((z[:, None, None] + 3 * y[:, None] + 7 * x) & 127).astype(np.uint8)


def test_memory_follows_the_limit_not_the_image():
    from voxarium.core.array import Array
    from voxarium.model.image import ArrayInfo
    from voxarium.stores.memory import MemoryStore

    image = held_image(np.zeros((2, 2, 2), np.uint8))
    info = ArrayInfo(
        format="held", shape=(2**20, 2**20, 2**20), dtype=np.dtype(np.uint8), chunk_shape=(64, 64, 64), clipped=True
    )
    image.arrays = (Array(Endless(None), MemoryStore(), "", info),)
    turn = affine(rotation(33, 21), (2.0**18, 2.0**18, 2.0**18))
    box = {a: (2.0**19, 2.0**19 + 192) for a in "zyx"}
    new = image.resampled(voxel_size=1, box=box, transform=turn, memory=16 << 20, interpolation="cubic")
    new.read(Box((0, 0, 0), (8, 8, 8)))  # compiled
    out = np.empty(new.shape, np.uint8)
    tracemalloc.start()
    new.read(out=out, threads=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert out.any()
    assert peak < 2 * new.arrays[0].working_bytes + (4 << 20)
    coarse = image.resampled(voxel_size=40, box=box, transform=turn, memory=16 << 20)
    tracemalloc.start()
    assert coarse[...].shape == (5, 5, 5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * coarse.arrays[0].working_bytes + (4 << 20)


@pytest.mark.parametrize("factor", [1e-300, 1e-30, 1e12, 1e150])
def test_transforms_beyond_measure_are_followed_or_refused(factor):
    from voxarium.errors import VoxariumError

    image = held_image(DATA)
    try:
        new = image.resampled(like=image, inverse=affine(np.eye(3) * factor, (1.0, 1.0, 1.0)), fill_value=3)
        found = new.read(Box((1, 1, 1), (8, 9, 10)))
    except VoxariumError:
        return
    assert (found == (DATA[1, 1, 1] if factor < 1 else 3)).all()


@given(st.integers(0, 2**24 - 1))
@settings(max_examples=40, deadline=None)
def test_merged_boxes_are_disjoint_and_cover_the_mask(bits):
    mask = np.array([(bits >> i) & 1 for i in range(24)], bool).reshape(2, 3, 4)
    count = np.zeros(mask.shape, int)
    for box in merged(mask):
        count[box.slices] += 1
    assert (count == mask).all()
