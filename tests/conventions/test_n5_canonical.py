"""n5-universe's own metadata: any affine per level, in the order of N5's dimensions."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.formats.n5.stated import stated_place
from voxarium.formats.n5_canonical import N5CanonicalDriver
from voxarium.model.image import ChannelDisplay, Display
from voxarium.model.transforms import Affine, scale_translation
from voxarium.spec import n5_canonical
from voxarium.stores.local import LocalStore

from .conftest import World, json_junk, world_points

DRIVER = N5CanonicalDriver()
KEYS = [
    *("multiscales", "datasets", "path", "spatialTransform", "transform", "type", "affine", "scale", "translation"),
    *("unit", "axes", "label", "intensityLimits", "min", "max", "transformations", "dimensions"),
]


def spatial(unit="nm", axes=None, **transform):
    return {"transform": transform, "unit": unit} | ({} if axes is None else {"axes": axes})


class TestCanonical:
    """Reading."""

    def put(self, world, *transforms, **group):
        shapes = [(7, 20, 31), (7, 10, 16)]
        for i, t in enumerate(transforms):
            world.array(f"em/s{i}", shapes[i], spatialTransform=t)
        if group:
            world.put("em", group)
        return world.open(DRIVER, "em")

    def test_numbers_are_in_the_order_of_the_dimensions(self, world):
        image = self.put(
            world,
            spatial(type="scale", scale=[4, 5, 30]),
            spatial(type="affine", affine=[8, 0, 0, 2, 0, 10, 0, 2.5, 0, 0, 30, 0]),
        )
        assert [(a.name, a.unit) for a in image.axes] == [(n, "nanometer") for n in "zyx"]
        assert scale_translation(image.levels[0].transform, 3) == ((30, 5, 4), (0, 0, 0))
        assert scale_translation(image.levels[1].transform, 3) == ((30, 10, 8), (0, 2.5, 2))
        assert image.edges[1].original["transform"]["affine"][:4] == [8, 0, 0, 2]

    def test_rotation_and_shear(self, world):
        # x' = 0.5 y + 7, y' = 0.25 x + 8, z' = 2 z + 9
        image = self.put(world, spatial(type="affine", affine=[0, 0.5, 0, 7, 0.25, 0, 0, 8, 0, 0, 2, 9]))
        assert image.levels[0].transform.apply((1, 2, 3)).tolist() == [11, 8.75, 8]

    def test_sequences_apply_the_first_step_first(self, world):
        steps = [
            {"type": "scale", "scale": [4, 5, 30]},
            {"type": "translation", "translation": [1, 2, 3]},
            {"type": "identity"},
        ]
        image = self.put(world, spatial(type="sequence", transformations=steps))
        assert scale_translation(image.levels[0].transform, 3) == ((30, 5, 4), (3, 2, 1))

    def test_the_group_lists_levels_from_itself_or_from_the_root(self, world):
        for i, shape in enumerate([(7, 20, 31), (7, 10, 16)]):
            world.array(f"c0/s{i}", shape)
        for base in ("", "c0"):
            prefix = f"{base}/" if base else ""
            datasets = [
                {"path": f"{prefix}s{i}", "spatialTransform": spatial(type="scale", scale=[2 + 2 * i] * 3)}
                for i in range(2)
            ]
            world.put(
                "c0", {"multiscales": {"path": base, "datasets": datasets}, "intensityLimits": {"min": 1, "max": 9}}
            )
            image = world.open(DRIVER, "c0")
            assert [lv.path for lv in image.levels] == ["s0", "s1"]
            assert scale_translation(image.levels[1].transform, 3)[0] == (4, 4, 4)
            assert image.display.channels[0].window == (1, 9)

    def test_axes_have_names_and_units(self, world):
        axes = [{"type": "space", "label": n, "unit": "nm"} for n in "xzy"]
        image = self.put(world, spatial("mm", axes, type="scale", scale=[4, 30, 5]))
        assert [(a.name, a.unit) for a in image.axes] == [(n, "millimeter") for n in "yzx"]
        assert scale_translation(image.levels[0].transform, 3)[0] == (5, 30, 4)
        assert any("other units" in n for n in image.bag.records[0].notes)

    def test_a_single_array_tells_its_own_place(self, world, shared):
        world.load(shared / "n5/universe/src/test/resources/canonical.n5")
        axes, place, _ = stated_place(world.get("affine"), 3)
        assert [(a.name, a.unit) for a in axes] == [(n, "micrometer") for n in "zyx"]
        assert scale_translation(place, 3) == ((4, 3, 2), (0, 0, 0))

    def test_the_group_of_n5_universe(self, world, shared):
        world.load(shared / "n5/universe/src/test/resources/canonical.n5")
        world.array("multiscaleAffine/a", (4, 3, 2))
        image = world.open(DRIVER, "multiscaleAffine")
        assert scale_translation(image.levels[0].transform, 3) == ((4, 3, 2), (0, 0, 0))
        assert image.display.channels[0].window == (12, 357)

    def test_other_groups_are_declined(self, world):
        world.array("em/s0", (3, 4, 5))
        world.put("ome", {"multiscales": [{"datasets": [{"path": "s0"}]}]})
        for path in ("", "em", "em/s0", "ome"):
            with pytest.raises(NotFoundError):
                world.open(DRIVER, path)

    @pytest.mark.parametrize(
        "transform",
        [
            {"type": "scale", "scale": [1, 2]},
            {"type": "affine", "affine": [1] * 11},
            {"type": "warp"},
            {},
            {"type": "affine", "path": "elsewhere"},
            {"type": "sequence", "transformations": [{"type": "scale", "scale": [1e300] * 3}] * 3},
            {"type": "translation", "translation": ["x", 1, 2]},
        ],
    )
    def test_broken_transforms_are_an_error(self, world, transform):
        with pytest.raises(FormatError):
            self.put(world, {"transform": transform, "unit": "nm"})

    @pytest.mark.parametrize("path", ["../s0", "", 3, "a//b"])
    def test_paths_stay_below_the_group(self, world, path):
        datasets = [{"path": path, "spatialTransform": spatial(type="identity")}]
        world.put("em", {"multiscales": {"datasets": datasets}})
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")

    @given(junk=json_junk(KEYS), key=st.sampled_from(KEYS))
    @settings(max_examples=200, deadline=None)
    def test_junk_is_an_error_or_another_convention(self, junk, key):
        level = {"dimensions": [3, 4, 5], "dataType": "uint8", "spatialTransform": {"transform": junk, key: junk}}
        for group in ({}, {key: junk}, {"multiscales": junk}):
            with contextlib.suppress(FormatError):
                n5_canonical.parse_image(group, {"s0": level, "s1": level})


class TestWriting:
    """Writing."""

    @given(
        rows=st.lists(st.lists(st.floats(-100, 100), min_size=4, max_size=4), min_size=3, max_size=3),
        step=st.tuples(*[st.sampled_from([1, 2, 3])] * 3),
    )
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_any_affine_is_read_back(self, make_image, rows, step):
        world = World()
        image = make_image("n5-canonical", factors=((1, 1, 1), step))
        turn = Affine(tuple(map(tuple, rows)))
        image = replace(image, levels=tuple(replace(lv, transform=lv.transform.then(turn)) for lv in image.levels))
        window = Display(channels=(ChannelDisplay(window=(3.0, 77.5)),))
        image = replace(image, display=window)
        world.write(DRIVER, "em/x", image)
        back = world.open(DRIVER, "em/x")
        assert np.allclose(world_points(back), world_points(image), rtol=1e-9, atol=1e-6)
        assert back.axes == image.axes and back.display == window

    def test_units_must_agree(self, make_image):
        with pytest.raises(InputError):
            DRIVER.check(make_image("n5-canonical", units=("micrometer", "nanometer", "nanometer")), "1")


class TestGeneric:
    """Arrays with numbers whose order nobody states."""

    def test_what_is_equal_along_all_axes_is_used(self):
        _, place, remarks = stated_place({"resolution": [8, 8, 8], "offset": [16, 16, 16]}, 3)
        assert scale_translation(place, 3) == ((8, 8, 8), (16, 16, 16)) and not remarks

    @pytest.mark.parametrize("attributes", [{"resolution": [4, 4, 40]}, {"resolution": [8] * 3, "offset": [1, 2, 3]}])
    def test_what_depends_on_the_order_stays_unknown(self, attributes):
        axes, place, remarks = stated_place(attributes, 3)
        assert axes is None and place is None
        assert "--axes" in remarks[0] and "--voxel-size" in remarks[0]

    def test_converting_names_the_option(self, tmp_path):
        world = World()
        world.array("", (2, 3, 4), resolution=[4, 4, 40])
        LocalStore(tmp_path / "a.n5").put("attributes.json", world.store.get("attributes.json"))
        image = voxarium.open(tmp_path / "a.n5")
        assert not image.info.axes_stated
        with pytest.raises(InputError) as caught:
            voxarium.convert(tmp_path / "a.n5", tmp_path / "b.zarr")
        assert caught.value.code == Code.AXES_UNKNOWN and "--axes" in caught.value.fix
        plan = voxarium.plan(image, voxarium.ConvertOptions(axes=("z", "y", "x")))
        assert any("resolution [4, 4, 40]" in n and "--voxel-size" in n for n in plan.notes)

    def test_funlib_states_its_axes(self):
        stated = {"axis_names": ["z", "y", "x"], "units": ["nm"] * 3, "voxel_size": [40, 4, 4], "offset": [80, 0, 4]}
        axes, place, _ = stated_place(stated, 3)
        assert [a.name for a in axes] == ["z", "y", "x"]
        assert scale_translation(place, 3) == ((40, 4, 4), (80, 0, 4))
