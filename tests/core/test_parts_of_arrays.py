"""Levels that show a part of a stored array: cropped, reordered, reaching beyond it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.core import registry
from voxarium.core.array import Array
from voxarium.core.cropped import PartOfArray
from voxarium.core.opening import open_array, open_in
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.formats.zarr3 import Zarr3Driver
from voxarium.model.array_part import ArrayPart
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.image import ArraySpec, ImageInfo, LevelInfo
from voxarium.model.keys import resolved_key
from voxarium.model.transforms import Identity
from voxarium.stores.memory import MemoryStore


def stored(data, chunk, path="a", store=None):
    store = store or MemoryStore()
    driver = Zarr3Driver()
    info = driver.create(ArraySpec(shape=data.shape, dtype=data.dtype, chunk_shape=chunk, codec="none"))
    for key, document in driver.dump(path, info).items():
        store.put(key, document)
    for index in np.ndindex(*(-(-n // c) for n, c in zip(data.shape, chunk, strict=True))):
        box = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))
        block = np.zeros(chunk, data.dtype)
        block[tuple(slice(0, n) for n in data[box].shape)] = data[box]
        store.put(driver.object_key(path, info, index), bytes(memoryview(driver.encode(info, block))))
    return open_array(store, path)


def named(names):
    return tuple(Axis(name=n) for n in names)


def shown(array, part, names):
    return PartOfArray(array, part, part.shown(array.info, named(names)))


DATA = np.arange(2 * 7 * 5 * 9, dtype=np.uint16).reshape(2, 7, 5, 9)


def test_a_part_is_cut_out_and_its_axes_put_in_order():
    array = stored(DATA, (1, 4, 3, 4))
    part = shown(array, ArrayPart(Box((0, 2, 1, 3), (2, 5, 3, 6)), (0, 3, 2, 1)), "czyx")
    want = DATA[:, 2:7, 1:4, 3:9].transpose(0, 3, 2, 1)
    assert part.shape == (2, 6, 3, 5) and part.info.chunk_shape == (1, 4, 3, 4)
    assert (part[...] == want).all()
    assert (part.read(Box((1, 2, 0, 1), (1, 3, 2, 4)), threads=1) == want[1:2, 2:5, 0:2, 1:5]).all()
    out = np.zeros((2, 6, 3, 5), np.uint16)
    assert part.read(out=out) is out and (out == want).all()


def test_an_axis_of_length_1_is_dropped():
    array = stored(DATA, (1, 4, 3, 4))
    part = shown(array, ArrayPart(Box((1, 0, 0, 0), (1, 7, 5, 9)), (3, 1, 2)), "zxy")
    assert (part[...] == DATA[1].transpose(2, 0, 1)).all()


def test_there_is_fill_value_beyond_the_stored_array_on_either_side():
    array = stored(DATA[0], (4, 3, 4))
    part = shown(array, ArrayPart(Box((-2, 3, 0), (4, 6, 9)), (0, 1, 2)), "zyx")
    want = np.zeros((4, 6, 9), np.uint16)
    want[2:, :2] = DATA[0, :2, 3:]
    assert (part[...] == want).all()
    far = shown(array, ArrayPart(Box((100, 100, -50), (2, 2, 2)), (0, 1, 2)), "zyx")
    assert not far[...].any()


@given(st.data())
def test_every_part_equals_what_numpy_cuts_out(data):
    array = stored(DATA[0], (3, 2, 5))
    origin = tuple(data.draw(st.integers(-4, 9)) for _ in range(3))
    shape = tuple(data.draw(st.integers(1, 9)) for _ in range(3))
    order = tuple(data.draw(st.permutations(range(3))))
    padded = np.zeros((40, 40, 40), np.uint16)
    padded[10:17, 10:15, 10:19] = DATA[0]
    want = padded[tuple(slice(10 + o, 10 + o + n) for o, n in zip(origin, shape, strict=True))].transpose(order)
    part = shown(array, ArrayPart(Box(origin, shape), order), "abc")
    assert (part[...] == want).all()
    start = tuple(data.draw(st.integers(0, n - 1)) for n in want.shape)
    box = Box(start, tuple(n - s for s, n in zip(start, want.shape, strict=True)))
    assert (part.read(box) == want[box.slices]).all()


def test_a_part_has_no_payloads_and_reads_stay_inside_it():
    part = shown(stored(DATA[0], (4, 3, 4)), ArrayPart(Box((1, 1, 1), (2, 2, 2)), (0, 1, 2)), "zyx")
    with pytest.raises(InputError):
        part.payloads([(0, 0, 0)])
    with pytest.raises(InputError) as caught:
        part.read(Box((0, 0, 0), (3, 2, 2)))
    assert caught.value.code == Code.BOX_OUT_OF_BOUNDS


@pytest.mark.parametrize(
    ("box", "order"),
    [
        (Box((0, 0), (2, 3)), (0,)),
        (Box((0, 0), (1, 3)), (1, 1)),
        (Box((0, 0), (1, 3)), (0, 2)),
    ],
)
def test_a_part_that_loses_voxels_is_refused(box, order):
    with pytest.raises(InputError):
        ArrayPart(box, order)


class Shifted:
    """A convention whose image is everything but the margin of an array that lies beside it."""

    name: ClassVar[str] = "shifted"
    spec_url: ClassVar[str] = ""
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})

    def open(self, store, path, open_array, /):
        if store.get(f"{path}/shifted.txt") is None:
            raise NotFoundError("not mine", code=Code.METADATA_MISSING, fix="ask another driver")
        array = open_array("data/whole")
        part = ArrayPart(Box((1, 1, 1), tuple(n - 2 for n in array.shape)), (2, 1, 0))
        info = part.shown(array, named("zyx"))
        level = LevelInfo(path="../data/whole", array=info, transform=Identity(), part=part)
        return ImageInfo(format=self.name, axes=named("zyx"), levels=(level,))


def test_an_image_driver_shows_a_part_of_an_array_anywhere_in_the_store(monkeypatch):
    monkeypatch.setattr(registry, "_added", {k: list(v) for k, v in registry._added.items()})
    registry.register_image_driver(Shifted())
    store = MemoryStore()
    stored(DATA[0], (4, 3, 4), "data/whole", store)
    store.put("image/shifted.txt", b"x")
    image = open_in(store, "image")
    assert isinstance(image.arrays[0], Array)
    assert (image[...] == DATA[0, 1:-1, 1:-1, 1:-1].transpose(2, 1, 0)).all()
    assert image.level(0).info.axes[0].name == "z"


def test_relative_keys_stay_in_the_store():
    assert resolved_key("a/b", "c") == "a/b/c"
    assert resolved_key("a/b", "./../../x/./y") == "x/y"
    for folder, path in [
        ("a", "../../x"),
        ("", ".."),
        ("a", "/x"),
        ("a", "x//y"),
        ("a", ".."),
        ("", ""),
        ("a", "..\\x"),
    ]:
        with pytest.raises(InputError) as caught:
            resolved_key(folder, path)
        assert caught.value.code == Code.KEY_UNSAFE
