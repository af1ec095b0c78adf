"""n5-viewer and Neuroglancer: one voxel size, factors per level, an unspoken shift by half a voxel."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import voxarium
from voxarium.errors import FormatError, InputError, NotFoundError
from voxarium.formats.n5.stated import stated_place
from voxarium.formats.n5_viewer import N5ViewerDriver
from voxarium.model.transforms import scale_translation
from voxarium.spec import n5_viewer

from .conftest import World, json_junk, world_points

DRIVER = N5ViewerDriver()
KEYS = [
    *("axes", "units", "resolution", "pixelResolution", "dimensions", "unit", "scales", "downsamplingFactors"),
    *("affineTransform", "coordinateArrays", "dataType"),
]
SHAPES = [(7, 20, 31), (7, 10, 16), (4, 5, 8)]
FACTORS = [[1, 1, 1], [2, 2, 1], [4, 4, 2]]  # (x, y, z)


def put_arrays(world, path="em", own=FACTORS, shapes=SHAPES, **attributes):
    prefix = f"{path}/" if path else ""
    for i, shape in enumerate(shapes):
        more = {} if own is None else {"downsamplingFactors": own[i]}
        world.array(f"{prefix}s{i}", shape, **more, **attributes)


def check_geometry(image, unit="nanometer"):
    """Voxels of 30 × 5 × 4 (z, y, x); coarser levels are shifted by half of what they average."""
    assert [(a.name, a.unit) for a in image.axes] == [("z", unit), ("y", unit), ("x", unit)]
    assert [scale_translation(lv.transform, 3) for lv in image.levels] == [
        ((30, 5, 4), (0, 0, 0)),
        ((30, 10, 8), (0, 2.5, 2)),
        ((60, 20, 16), (15, 7.5, 6)),
    ]


class TestN5Viewer:
    """Reading."""

    def test_neuroglancers_group(self, world):
        put_arrays(world, own=None)
        world.put(
            "em",
            {"axes": ["x", "y", "z"], "units": ["nm"] * 3, "resolution": [4, 5, 30], "downsamplingFactors": FACTORS},
        )
        check_geometry(world.open(DRIVER, "em"))

    def test_n5_viewers_older_group(self, world):
        put_arrays(world, own=None)
        world.put("em", {"scales": FACTORS, "pixelResolution": {"dimensions": [4, 5, 30], "unit": "nm"}})
        check_geometry(world.open(DRIVER, "em"))

    def test_levels_that_speak_for_themselves(self, world):
        put_arrays(world, pixelResolution={"dimensions": [4, 5, 30], "unit": "um"})
        image = world.open(DRIVER, "em")
        check_geometry(image, "micrometer")
        assert image.edges[1].original["downsamplingFactors"] == [2, 2, 1]

    def test_a_plain_list_of_sizes_has_no_unit(self, world):
        put_arrays(world, pixelResolution=[4, 5, 30])
        image = world.open(DRIVER, "em")
        check_geometry(image, None)
        assert any("without a unit" in n for n in image.bag.records[0].notes)

    def test_the_number_of_a_level_is_a_power_of_two_where_no_factors_are_stated(self, world):
        put_arrays(world, own=None, pixelResolution={"dimensions": [4, 5, 30], "unit": "nm"})
        image = world.open(DRIVER, "em")
        assert scale_translation(image.levels[2].transform, 3) == ((120, 20, 16), (45, 7.5, 6))
        assert any("2^2" in n for n in image.bag.records[0].notes)

    def test_a_levels_own_factors_outrank_the_groups(self, world):
        put_arrays(world)
        world.put("em", {"scales": [[1, 1, 1], [2, 2, 2], [4, 4, 4]], "resolution": [4, 5, 30], "units": ["nm"] * 3})
        image = world.open(DRIVER, "em")
        check_geometry(image)
        assert any("which are used" in n for n in image.bag.records[0].notes)

    def test_level_0_tells_the_voxel_size_even_if_others_state_their_own(self, world):
        for i, (shape, f) in enumerate(zip(SHAPES, FACTORS, strict=True)):
            sizes = [4 * f[0], 5 * f[1], 30 * f[2]]
            resolution = {"dimensions": sizes, "unit": "nm"}
            world.array(f"em/s{i}", shape, downsamplingFactors=f, pixelResolution=resolution)
        image = world.open(DRIVER, "em")
        check_geometry(image)
        assert any("not that of level 0" in n for n in image.bag.records[0].notes)

    def test_affine_transforms_come_on_top(self, world):
        affine = [0, 1, 0, 7, 1, 0, 0, 8, 0, 0, 2, 9]  # swaps x and y, doubles z, shifts all
        put_arrays(world, pixelResolution={"dimensions": [4, 5, 30], "unit": "nm"}, affineTransform=affine)
        image = world.open(DRIVER, "em")
        # voxel (z, y, x) = (1, 2, 3) is at x = 12, y = 10, z = 30 before: x' = y + 7, y' = x + 8, z' = 2 z + 9
        assert image.levels[0].transform.apply((1, 2, 3)).tolist() == [69, 20, 17]
        # and of level 2, whose factors are (2, 4, 4): x = 3·16 + 6, y = 2·20 + 7.5, z = 60 + 15
        assert image.levels[2].transform.apply((1, 2, 3)).tolist() == [2 * 75 + 9, 54 + 8, 47.5 + 7]

    def test_a_single_array_tells_its_own_place(self, world):
        resolution = {"dimensions": [4, 5, 30], "unit": "nm"}
        world.array("", (7, 10, 16), downsamplingFactors=[2, 2, 1], pixelResolution=resolution)
        axes, place, _ = stated_place(world.get(""), 3)
        assert [a.name for a in axes] == ["z", "y", "x"]
        assert scale_translation(place, 3) == ((30, 10, 8), (0, 2.5, 2))

    def test_channels_lie_in_groups_of_their_own(self, world):
        for c in ("c0", "c1"):
            put_arrays(world, c, pixelResolution={"dimensions": [4, 5, 30], "unit": "nm"})
            check_geometry(world.open(DRIVER, c))

    def test_channels_are_joined_and_stay_images_of_their_own(self, tmp_path):
        data = np.random.default_rng(2).integers(1, 99, (3, 9, 20, 31)).astype("u2")
        options = {"format": "n5-viewer", "axes": "zyx", "voxel_size": (4, 2, 2), "unit": "nanometer", "levels": 2}
        for c in range(3):
            np.save(tmp_path / "one.npy", data[c])
            voxarium.convert(tmp_path / "one.npy", f"{tmp_path}/a.n5/em/c{c}", chunk=8, **options)
        for address in ("a.n5/em", "a.n5::em"):
            image = voxarium.open(f"{tmp_path}/{address}")
            assert image.info.format == "n5-viewer" and "".join(a.name for a in image.axes) == "czyx"
            assert np.array_equal(image[...], data) and np.array_equal(image[1:, 3:7, 5, ::3], data[1:, 3:7, 5, ::3])
            assert image.scale_translation(1) == ((1, 4, 4, 4), (0, 0, 1, 1))
            assert image.level(0).info.chunk_shape == (1, 8, 8, 8)
        assert np.array_equal(voxarium.open(f"{tmp_path}/a.n5/em/c2")[...], data[2])
        voxarium.convert(f"{tmp_path}/a.n5/em", tmp_path / "all.ome.zarr", levels=1, chunk=8)
        assert np.array_equal(voxarium.open(tmp_path / "all.ome.zarr")[...], data)

    def test_channels_that_lie_elsewhere_are_not_joined(self, world):
        for c, size in (("c0", 4), ("c1", 5)):
            put_arrays(world, c, pixelResolution={"dimensions": [size, 5, 30], "unit": "nm"})
        with pytest.raises(NotFoundError):
            world.open(DRIVER)

    def test_coordinate_arrays_label_an_axis(self, world):
        labels = {"c": ["DAPI", "GFP"]}
        world.array("", (2, 20, 31), axes=["x", "y", "c"], coordinateArrays=labels, downsamplingFactors=[1, 1, 1])
        axes = stated_place(world.get(""), 3)[0]
        assert [a.name for a in axes] == ["c", "y", "x"] and axes[0].labels == ("DAPI", "GFP")

    def test_more_than_three_axes_without_names_stay_unnamed(self, world):
        world.array("em/s0", (2, 7, 20, 31), pixelResolution=[4, 5, 30])
        image = world.open(DRIVER, "em")
        assert not image.axes_stated and stated_place(world.get("em/s0"), 4)[0] is None
        assert scale_translation(image.levels[0].transform, 4) == ((1, 30, 5, 4), (0, 0, 0, 0))

    def test_other_conventions_are_declined(self, world):
        put_arrays(world)
        for mark in ({"painteraData": {"type": "raw"}}, {"multiScale": True, "resolution": [4, 5, 30]}):
            world.put("em", mark)
            with pytest.raises(NotFoundError):
                world.open(DRIVER, "em")
        world.array("plain/s0", (3, 4, 5))
        world.array("lone", (3, 4, 5))
        for path in ("plain", "lone", "nothing", ""):
            with pytest.raises(NotFoundError):
                world.open(DRIVER, path)

    @pytest.mark.parametrize(
        ("group", "level"),
        [
            ({"scales": [[0, 1, 1]]}, {}),
            ({"scales": [[1, 1, 1, 1, 1]]}, {}),
            ({"scales": [["a"]]}, {}),
            ({"scales": [[1e300, 1, 1]]}, {}),
            ({"axes": ["x", "y"], "scales": [[1, 1, 1]]}, {}),
            ({"axes": ["x", "x", "y"], "scales": [[1, 1, 1]]}, {}),
            ({"resolution": [1, 2], "units": ["nm", "nm"]}, {}),
            ({}, {"pixelResolution": {"dimensions": [-1, 1, 1], "unit": "nm"}}),
            ({}, {"pixelResolution": [1, 2, 3, 4]}),
            ({}, {"downsamplingFactors": "x"}),
        ],
    )
    def test_broken_metadata_are_an_error(self, world, group, level):
        world.put("em", group)
        world.array("em/s0", (7, 20, 31), **level)
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")

    @given(junk=json_junk(KEYS), key=st.sampled_from(KEYS))
    @settings(max_examples=300, deadline=None)
    def test_junk_is_an_error_or_another_convention(self, junk, key):
        level = {"dimensions": [3, 4, 5], "dataType": "uint8", "downsamplingFactors": [1, 1, 1], key: junk}
        for group in ({}, {key: junk}, junk if isinstance(junk, dict) else {}):
            with contextlib.suppress(FormatError):
                n5_viewer.parse_image(group, {"s0": level, "s1": level})


class TestForeignFiles:
    """Files of Neuroglancer and n5-universe."""

    @pytest.mark.parametrize("kind", ["modern", "deprecated"])
    def test_neuroglancers_test_data(self, world, shared, kind):
        world.load(shared / f"neuroglancer/testdata/datasource/n5/n5_viewer_multiscale_{kind}")
        image = world.open(DRIVER)
        assert [(a.name, a.type, a.unit) for a in image.axes] == [
            ("y", "space", "second"),
            ("x", "space", "nanometer"),
        ]
        assert [scale_translation(lv.transform, 2) for lv in image.levels] == [
            ((20, 10), (0, 0)),
            ((40, 20), (10, 5)),
            ((80, 40), (30, 15)),
        ]

    def test_n5_universe(self, world, shared):
        world.load(shared / "n5/universe/src/test/resources/test.n5")
        names = ("n5v_pra", "n5v_pra-ds", "n5v_pr", "n5v_pr-ds", "n5v_ds")
        read = {n: scale_translation(stated_place(world.get(n), 3)[1], 3) for n in names}
        assert read["n5v_pra"] == read["n5v_pr"] == ((1.5,) * 3, (0,) * 3)
        assert read["n5v_pra-ds"] == read["n5v_pr-ds"] == ((3,) * 3, (0.75,) * 3)
        assert read["n5v_ds"] == ((2,) * 3, (0.5,) * 3)
        assert stated_place(world.get("n5v_pr"), 3)[0][0].unit == "millimeter"
        assert len(world.open(DRIVER, "c0").levels) == 2


def neuroglancer(world, path):
    """Return (names, sizes, units, factors per level), fastest axis first, as Neuroglancer's source reads them."""
    group = world.get(path)
    sizes, units, factors = group["resolution"], group["units"], group["scales"]
    if "pixelResolution" in group:  # outranks `resolution`; its unit counts only where `units` is absent
        sizes = group["pixelResolution"]["dimensions"]
        assert group["pixelResolution"]["unit"] in ("nm", "um", "mm", "m")
    assert group["downsamplingFactors"] == factors
    for i in range(len(factors)):
        assert len(world.get(f"{path}/s{i}")["dimensions"]) == len(sizes)
    return group["axes"], sizes, units, factors


def fiji(world, path, level):
    """Return voxel centre → world, (x, y, z), as n5-universe builds it for a level."""
    array = world.get(f"{path}/s{level}")
    f, r = np.array(array["downsamplingFactors"], float), np.array(array["pixelResolution"]["dimensions"])
    out = np.diag([*f, 1.0])
    out[:3, 3] = 0.5 * (f - 1)
    out = np.diag([*r, 1.0]) @ out
    if "affineTransform" in array:
        out = np.vstack([np.reshape(array["affineTransform"], (3, 4)), [0, 0, 0, 1]]) @ out
    return out


class TestWriting:
    """Writing."""

    def test_both_readers_find_every_level(self, world, make_image):
        image = make_image("n5-viewer", start=(7.0, -5.0, 0.25))
        world.write(DRIVER, "em", image)
        names, sizes, units, factors = neuroglancer(world, "em")
        assert (names, sizes, units) == (["x", "y", "z"], [4.0, 5.24, 40.0], ["nm"] * 3)
        assert factors == [[1, 1, 1], [2, 2, 1], [4, 4, 2]]
        for i, level in enumerate(image.levels):
            found = fiji(world, "em", i) @ [3, 2, 1, 1]
            assert np.allclose(found[2::-1], level.transform.apply((1, 2, 3)), rtol=1e-12)

    @given(
        size=st.tuples(*[st.floats(0.01, 1000)] * 3),
        start=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        step=st.tuples(*[st.sampled_from([1, 2, 3])] * 3),
        unit=st.sampled_from(["nanometer", "micrometer", None]),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_written_is_read_back(self, make_image, size, start, step, unit):
        world = World()
        factors = ((1, 1, 1), step, tuple(f * f for f in step))
        image = make_image("n5-viewer", size=size, start=start, factors=factors, units=(unit,) * 3)
        world.write(DRIVER, "em/x", image)
        back = world.open(DRIVER, "em/x")
        assert np.allclose(world_points(back), world_points(image), rtol=1e-9, atol=1e-6)
        assert back.axes == image.axes

    def test_channels_and_time_keep_their_names(self, world, make_image):
        image = make_image(
            "n5-viewer",
            shape=(3, 7, 20, 31),
            factors=((1, 1, 1, 1), (1, 1, 2, 2)),
            size=(1.0, 30.0, 5.0, 4.0),
            start=(0.0,) * 4,
            names="czyx",
            units=(None, "nanometer", "nanometer", "nanometer"),
        )
        world.write(DRIVER, "em", image)
        assert neuroglancer(world, "em")[2] == ["nm", "nm", "nm", ""]
        back = world.open(DRIVER, "em")
        assert back.axes == image.axes and world_points(back) == world_points(image)

    def test_positions_that_readers_would_misplace_are_refused(self, make_image):
        strided = make_image("n5-viewer", half_pixel=False)
        for image in (strided, make_image("n5-viewer", units=("micrometer", "nanometer", "nanometer"))):
            with pytest.raises(InputError):
                DRIVER.check(image, "1")
        with pytest.raises(InputError) as caught:
            DRIVER.check(strided, "1")
        assert "cosem" in caught.value.fix
