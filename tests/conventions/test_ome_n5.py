"""OME-NGFF in N5: the same metadata, axes in either order."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.errors import FormatError, InputError, NotFoundError, VoxariumError
from voxarium.formats.ome_n5 import OmeN5Driver
from voxarium.model.image import ChannelDisplay, Display
from voxarium.model.transforms import scale_translation
from voxarium.spec import ome_n5

from .conftest import World, json_junk, world_points

DRIVER = OmeN5Driver()
KEYS = [
    *("multiscales", "axes", "name", "type", "datasets", "path", "coordinateTransformations", "scale", "translation"),
    "ome",
]
UNITS = {"t": "second", "c": None}


def attributes(names, levels, holder=None, **more):
    types = {"t": "time", "c": "channel"}
    axes = [
        {"name": n, "type": types.get(n, "space")} | ({} if n == "c" else {"unit": UNITS.get(n, "nanometer")})
        for n in names
    ]
    datasets = [
        {
            "path": f"s{i}",
            "coordinateTransformations": [
                {"type": "scale", "scale": list(s)},
                {"type": "translation", "translation": list(t)},
            ],
        }
        for i, (s, t) in enumerate(levels)
    ]
    body = {"multiscales": [{"version": "0.4", "name": "em", "axes": axes, "datasets": datasets}]} | more
    return {holder: body} if holder else body


class TestOmeN5:
    """Reading."""

    @pytest.mark.parametrize("holder", [None, "ome"])
    def test_both_orders_of_axes_are_read(self, world, holder):
        levels = [((30, 5, 4), (100, 200, 300)), ((30, 10, 8), (100, 202.5, 302))]
        for i, shape in enumerate([(7, 20, 31), (7, 10, 16)]):
            world.array(f"c/s{i}", shape)
            world.array(f"f/s{i}", shape)
        world.put("c", attributes("zyx", levels, holder))
        world.put("f", attributes("xyz", [(s[::-1], t[::-1]) for s, t in levels], holder))
        for path in "cf":
            image = world.open(DRIVER, path)
            assert [(a.name, a.unit) for a in image.axes] == [(n, "nanometer") for n in "zyx"]
            assert [scale_translation(lv.transform, 3) for lv in image.levels] == levels
            assert image.format == "ome-n5"
        assert any("order of N5" in n for n in image.bag.records[0].notes)

    def test_five_axes(self, world):
        world.array("f/s0", (2, 3, 7, 20, 31))
        world.put("f", attributes("xyzct", [((4, 5, 30, 1, 0.5), (1, 2, 3, 0, 0))]))
        image = world.open(DRIVER, "f")
        assert [a.name for a in image.axes] == list("tczyx")
        assert scale_translation(image.levels[0].transform, 5) == ((0.5, 1, 30, 5, 4), (0, 0, 3, 2, 1))

    def test_an_unusual_order_is_the_arrays(self, world):
        world.array("u/s0", (20, 7, 31))
        world.put("u", attributes("yzx", [((5, 30, 4), (0, 0, 0))]))
        image = world.open(DRIVER, "u")
        assert [a.name for a in image.axes] == list("yzx")
        assert any("no usual order" in n for n in image.bag.records[0].notes)

    def test_other_groups_are_declined(self, world):
        world.array("s0", (3, 4, 5))
        for found in (None, {}, {"multiscales": [{"datasets": []}]}, {"multiscales": [{"axes": ["x", "y"]}]}):
            if found is not None:
                world.put("em", found)
            with pytest.raises(NotFoundError):
                world.open(DRIVER, "em")
        with pytest.raises(NotFoundError):
            world.open(DRIVER, "s0")

    def test_levels_must_be_there_and_below(self, world):
        world.put("em", attributes("zyx", [((1, 1, 1), (0, 0, 0))]))
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")
        broken = attributes("zyx", [((1, 1, 1), (0, 0, 0))])
        broken["multiscales"][0]["datasets"][0]["path"] = "../s0"
        world.put("em", broken)
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")

    @given(junk=json_junk(KEYS))
    @settings(max_examples=200, deadline=None)
    def test_junk_is_an_error_or_another_convention(self, junk):
        for found in (
            junk if isinstance(junk, dict) else {},
            {"multiscales": [junk]},
            {"multiscales": [{"axes": junk}]},
        ):
            ome_n5.c_order(found)
            world = World()
            world.array("s0", (3, 4, 5))
            world.put("", found)
            with contextlib.suppress(VoxariumError):
                world.open(DRIVER)


class TestWriting:
    """Writing."""

    @given(
        size=st.tuples(*[st.floats(0.01, 1000)] * 3),
        start=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        role=st.sampled_from(["intensity", "label"]),
    )
    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_written_is_read_back(self, make_image, size, start, role):
        world = World()
        display = Display(channels=(ChannelDisplay(label="em", window=(1.0, 9.0), limits=(0.0, 255.0)),))
        image = make_image("ome-n5", size=size, start=start, name="em", role=role, display=display)
        world.write(DRIVER, "em/x", image)
        back = world.open(DRIVER, "em/x")
        assert np.allclose(world_points(back), world_points(image), rtol=1e-12)
        assert back.axes == image.axes and back.role == role and back.name == "em"
        assert back.display.channels[0].window == (1.0, 9.0)

    def test_lists_are_in_the_order_of_n5(self, world, make_image):
        world.write(DRIVER, "em", make_image("ome-n5"))
        body = world.get("em")["multiscales"][0]
        assert [a["name"] for a in body["axes"]] == ["x", "y", "z"]
        assert body["datasets"][1]["coordinateTransformations"][0]["scale"] == [8.0, 10.48, 40.0]
        assert world.get("em/s1")["dimensions"] == [28, 17, 21]

    def test_axes_of_other_order_are_refused(self, make_image):
        """Axes x, y, z listed in N5's order look like z, y, x in numpy's."""
        for names, units in (("zcx", ("nanometer", None, "nanometer")), ("xyz", ("nanometer",) * 3)):
            with pytest.raises(InputError):
                DRIVER.check(make_image("ome-n5", names=names, units=units), "0.4")
