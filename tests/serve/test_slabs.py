"""Large chunks are decoded once for many requests, and what is read is what is stored."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.model.box import Box
from voxarium.serve import slabs
from voxarium.serve.slabs import SlabArray, cube_of, in_slabs

SHAPE = (70, 300, 410)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    from PIL import Image

    folder = tmp_path_factory.mktemp("stack")
    data = np.random.default_rng(4).integers(0, 255, SHAPE).astype("uint8")
    for i, plane in enumerate(data):
        Image.fromarray(plane).save(folder / f"z{i:03}.png")
    return folder, data


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bounds=st.tuples(*[st.tuples(st.integers(0, n), st.integers(0, n)).map(sorted) for n in SHAPE]))
def test_any_region_is_read_as_it_is_stored(stack, bounds):
    folder, data = stack
    image = in_slabs(voxarium.open(folder))
    assert isinstance(image.arrays[0], SlabArray)
    box = Box.from_bounds(tuple(a for a, _ in bounds), tuple(b for _, b in bounds))
    np.testing.assert_array_equal(image.read(box), data[box.slices])


def test_slices_are_decoded_once_for_all_cubes_and_all_who_ask(stack, monkeypatch):
    folder, data = stack
    image = voxarium.open(folder)
    seen = []
    read = type(image.arrays[0]).read
    monkeypatch.setattr(
        image.arrays[0], "read", lambda box, **more: seen.append(box) or read(image.arrays[0], box, **more)
    )
    shown = in_slabs(image)
    found = []
    boxes = [Box((0, y, x), (64, 64, 64)) for y in range(0, 236, 64) for x in range(0, 346, 64)]

    def ask(box):
        found.append(np.array_equal(shown.read(box), data[box.slices]))

    threads = [threading.Thread(target=ask, args=(box,)) for box in boxes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(found) and len(found) == len(boxes)
    assert [box.shape for box in seen] == [(64, *SHAPE[1:])]


def test_slabs_are_bounded_and_chunks_become_flat_with_them(stack, monkeypatch):
    folder, data = stack
    monkeypatch.setattr(slabs, "_SLAB", 8 * 300 * 410)
    image = in_slabs(voxarium.open(folder))
    assert image.arrays[0].slab == (8, 300, 410) and cube_of(image, (0, 1, 2)) == (8, 256, 256)
    np.testing.assert_array_equal(image[3:30, 5:9], data[3:30, 5:9])
    monkeypatch.setattr(slabs, "_MOST", 100_000)
    assert in_slabs(voxarium.open(folder)).arrays[0].__class__ is not SlabArray


def test_images_in_small_chunks_are_left_alone(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((40, 50, 60), "uint8"))
    image = voxarium.open(tmp_path / "a.npy")
    assert in_slabs(image) is image and cube_of(image, (0, 1, 2)) == (64, 64, 64)
    voxarium.convert(tmp_path / "a.npy", tmp_path / "a.zarr", axes="zyx", voxel_size=1, unit="nanometer", chunk=32)
    image = voxarium.open(tmp_path / "a.zarr")
    assert in_slabs(image) is image
