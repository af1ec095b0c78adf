"""Paintera: resolution and offset of a folder of levels, labels as multisets."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, InputError, NotFoundError
from voxarium.formats.paintera import PainteraDriver
from voxarium.model.transforms import scale_translation
from voxarium.spec import paintera
from voxarium.stores.local import LocalStore

from .conftest import World, json_junk, world_points

DRIVER = PainteraDriver()
KEYS = [
    *("painteraData", "type", "multiScale", "resolution", "offset", "downsamplingFactors", "dimensions", "dataType"),
    "unit",
]
SHAPES = [(7, 20, 31), (7, 10, 16), (4, 5, 8)]
FACTORS = [[1, 1, 1], [2, 2, 1], [4, 4, 2]]  # (x, y, z)


def put_source(world, kind="raw", data=None, level=None, path="em"):
    for i, shape in enumerate(SHAPES):
        world.array(f"{path}/data/s{i}", shape, "uint16", downsamplingFactors=FACTORS[i], **(level or {}))
    world.put(f"{path}/data", {"multiScale": True, "resolution": [4, 5, 30], "offset": [100, 200, 300]} | (data or {}))
    world.put(path, {"painteraData": {"type": kind}, "maxId": 17, "mine": [1]})


class TestPaintera:
    """Reading."""

    def test_levels_lie_where_windows_are(self, world):
        put_source(world)
        image = world.open(DRIVER, "em")
        assert [lv.path for lv in image.levels] == ["data/s0", "data/s1", "data/s2"]
        assert [a.name for a in image.axes] == ["z", "y", "x"] and image.role == "intensity"
        assert [scale_translation(lv.transform, 3) for lv in image.levels] == [
            ((30, 5, 4), (300, 200, 100)),
            ((30, 10, 8), (300, 202.5, 102)),
            ((60, 20, 16), (315, 207.5, 106)),
        ]
        assert image.bag.extra == {"mine": [1]}
        assert image.bag.records[0].metadata["data"]["resolution"] == [4, 5, 30]

    def test_the_folder_of_levels_is_an_image_too(self, world):
        put_source(world)
        image = world.open(DRIVER, "em/data")
        assert [lv.path for lv in image.levels] == ["s0", "s1", "s2"]
        assert world_points(image) == world_points(world.open(DRIVER, "em"))

    def test_labels(self, world):
        put_source(world, "label", {"unit": "nm"}, {"isLabelMultiset": True})
        world.array("em/fragment-segment-assignment", (2, 0), "uint64")
        image = world.open(DRIVER, "em")
        assert image.role == "label" and {a.unit for a in image.axes} == {"nanometer"}
        notes = " ".join(image.bag.records[0].notes)
        assert "multisets" in notes and "not applied" in notes

    def test_channels_come_before_space(self, world):
        world.array("em/data/s0", (2, 7, 20, 31))
        world.put("em/data", {"multiScale": True, "resolution": [4, 5, 30], "offset": [1, 2, 3]})
        world.put("em", {"painteraData": {"type": "channel"}})
        image = world.open(DRIVER, "em")
        assert [a.name for a in image.axes] == ["c", "z", "y", "x"]
        assert scale_translation(image.levels[0].transform, 4) == ((1, 30, 5, 4), (0, 3, 2, 1))

    def test_data_may_be_one_array(self, world):
        world.array("em/data", (7, 20, 31), resolution=[4, 5, 30])
        world.put("em", {"painteraData": {"type": "raw"}})
        image = world.open(DRIVER, "em")
        assert [lv.path for lv in image.levels] == ["data"]
        assert scale_translation(image.levels[0].transform, 3)[0] == (30, 5, 4)

    def test_other_groups_are_declined(self, world):
        world.array("em/s0", (3, 4, 5))
        world.put("empty", {"painteraData": {"type": "raw"}})
        for path in ("", "em", "em/s0", "empty", "nothing"):
            with pytest.raises(NotFoundError):
                world.open(DRIVER, path)

    @pytest.mark.parametrize(
        "data", [{"resolution": [4, 5] * 3}, {"resolution": [4, 0, 1]}, {"offset": "x"}, {"resolution": [1e400, 1, 1]}]
    )
    def test_broken_numbers_are_an_error(self, world, data):
        put_source(world, data=data)
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")

    @given(junk=json_junk(KEYS), key=st.sampled_from(KEYS))
    @settings(max_examples=200, deadline=None)
    def test_junk_is_an_error_or_another_convention(self, junk, key):
        level = {"dimensions": [3, 4, 5], "dataType": "uint8", key: junk}
        data = {"multiScale": True, "resolution": [1, 2, 3], key: junk}
        for group in ({"painteraData": {}}, {"painteraData": junk, key: junk}, data):
            with contextlib.suppress(FormatError):
                paintera.parse_image(group, data, {"s0": level})


def test_multisets_are_read_as_the_most_frequent_label(tmp_path):
    """Two voxels in x: the first holds 7 three times and 9 once, the second holds 9 only."""
    lists = struct.pack("<i qi qi", 2, 7, 3, 9, 1) + struct.pack("<i qi", 1, 9, 4)
    block = struct.pack(">i qq ii", 2, 7, 9, 0, 28) + lists
    payload = struct.pack(">HH III I", 1, 3, 2, 1, 1, len(block)) + block
    store = LocalStore(tmp_path)
    world = World()
    world.array("em/data/s0", (1, 1, 2), isLabelMultiset=True, compression={"type": "raw"}, blockSize=[2, 1, 1])
    world.put("em/data", {"multiScale": True, "resolution": [4, 5, 30], "isLabelMultiset": True})
    world.put("em", {"painteraData": {"type": "label"}})
    for key in ("em", "em/data", "em/data/s0"):
        store.put(f"{key}/attributes.json", world.store.get(f"{key}/attributes.json"))
    store.put("em/data/s0/0/0/0", payload)
    image = voxarium.open(tmp_path / "em")
    assert image.info.format == "paintera" and image.role == "label"
    assert image[...].tolist() == [[[7, 9]]] and image.dtype == np.uint64


class TestWriting:
    """Writing."""

    @given(
        size=st.tuples(*[st.floats(0.01, 1000)] * 3),
        start=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        step=st.tuples(*[st.sampled_from([1, 2, 3])] * 3),
        role=st.sampled_from(["intensity", "label"]),
    )
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_written_is_read_back(self, make_image, size, start, step, role):
        world = World()
        image = make_image("paintera", size=size, start=start, factors=((1, 1, 1), step), path="data/s{}", role=role)
        world.write(DRIVER, "em/x", image)
        back = world.open(DRIVER, "em/x")
        assert np.allclose(world_points(back), world_points(image), rtol=1e-9, atol=1e-6)
        assert back.axes == image.axes and back.role == role
        assert world.get("em/x/data")["resolution"] == list(size[::-1])
        assert world.get("em/x/data/s1")["downsamplingFactors"] == list(step[::-1])
        assert world.get("em/x")["painteraData"]["type"] == ("label" if role == "label" else "raw")

    def test_the_largest_label_is_kept_where_it_was_known(self, world, make_image):
        put_source(world, "label", {"maxId": 17})
        world.write(DRIVER, "copy", world.open(DRIVER, "em"))
        assert world.get("copy")["maxId"] == world.get("copy/data")["maxId"] == 17
        world.write(DRIVER, "new", make_image("paintera", role="label", path="data/s{}"))
        assert "maxId" not in world.get("new")

    def test_what_cannot_be_held_is_refused(self, make_image):
        strided = make_image("paintera", half_pixel=False)
        mixed = make_image("paintera", units=("micrometer", "nanometer", "nanometer"))
        for image in (strided, mixed, make_image("paintera", names="xyz")):
            with pytest.raises(InputError):
                DRIVER.check(image, "1")
