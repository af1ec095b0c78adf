"""COSEM: rules M1–M10, written as cellmap-schemas writes it, read as others wrote it."""

from __future__ import annotations

import contextlib
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.formats.cosem import CosemDriver
from voxarium.formats.n5.stated import stated_place
from voxarium.model.image import Bag
from voxarium.model.transforms import Affine, scale_translation
from voxarium.spec import cosem

from .conftest import World, json_junk, world_points

DRIVER = CosemDriver()
KEYS = [
    *("axes", "scale", "translate", "units", "order", "datasets", "path", "transform", "multiscales", "scales"),
    *("pixelResolution", "dimensions", "unit", "name"),
]

# What cellmap-schemas 0.8.1 with zarr 2.18.7 wrote for an image of 5.24 × 4 × 4 nm.
GROUP = json.loads(
    """{"axes":["x","y","z"],"multiscales":[{"datasets":[
 {"path":"s0","transform":{"axes":["z","y","x"],"order":"C","scale":[5.24,4.0,4.0],"translate":[0.0,0.0,0.0],"units":["nm","nm","nm"]}},
 {"path":"s1","transform":{"axes":["z","y","x"],"order":"C","scale":[10.48,8.0,8.0],"translate":[2.62,2.0,2.0],"units":["nm","nm","nm"]}},
 {"path":"s2","transform":{"axes":["z","y","x"],"order":"C","scale":[20.96,16.0,16.0],"translate":[7.86,6.0,6.0],"units":["nm","nm","nm"]}}],"name":null}],
 "n5":"2.0.0","pixelResolution":{"dimensions":[4.0,4.0,5.24],"unit":"nm"},"scales":[[1,1,1],[2,2,2],[4,4,4]],"units":["nm","nm","nm"]}"""
)
LEVEL_1 = json.loads(
    """{"pixelResolution":{"dimensions":[8.0,8.0,10.48],"unit":"nm"},
 "transform":{"axes":["z","y","x"],"order":"C","scale":[10.48,8.0,8.0],"translate":[2.62,2.0,2.0],"units":["nm","nm","nm"]}}"""
)
ARRAY_KEYS = {"dimensions", "blockSize", "dataType", "compression"}


def transform(scale, translate=None, axes=("z", "y", "x"), units=None, **more):
    count = len(scale)
    return {
        "axes": list(axes),
        "scale": list(scale),
        "translate": list(translate or [0] * count),
        "units": list(units or ["nm"] * count),
        **more,
    }


def put_pyramid(world, path="em", **more):
    """An anisotropic pyramid in which no two axes agree in anything."""
    prefix = f"{path}/" if path else ""
    shapes = [(7, 20, 31), (7, 10, 16), (4, 5, 8)]
    factors = [(1, 1, 1), (1, 2, 2), (2, 4, 4)]
    for i, (shape, f) in enumerate(zip(shapes, factors, strict=True)):
        scale = [s * k for s, k in zip((30.0, 5.0, 4.0), f, strict=True)]
        shift = [t + s * (k - 1) / 2 for t, s, k in zip((100, 200, 300), (30.0, 5.0, 4.0), f, strict=True)]
        world.array(
            f"{prefix}s{i}",
            shape,
            transform=transform(scale, shift),
            pixelResolution={"dimensions": scale[::-1], "unit": "nm"},
        )
    if more:
        world.put(path, more)


class TestCosem:
    """Reading."""

    def test_every_axis_keeps_its_own_scale_and_position(self, world):
        put_pyramid(world)
        image = world.open(DRIVER, "em")
        assert [a.name for a in image.axes] == ["z", "y", "x"] and image.axes[0].unit == "nanometer"
        assert [lv.array.shape for lv in image.levels] == [(7, 20, 31), (7, 10, 16), (4, 5, 8)]
        assert scale_translation(image.levels[0].transform, 3) == ((30.0, 5.0, 4.0), (100.0, 200.0, 300.0))
        assert scale_translation(image.levels[2].transform, 3) == ((60.0, 20.0, 16.0), (115.0, 207.5, 306.0))
        assert image.edges[0].original == world.get("em/s0")["transform"]

    def test_f_order_lists_the_fastest_axis_first(self, world):
        stated = transform((4, 5, 30), (300, 200, 100), axes=("x", "y", "z"), units=("um", "um", "um"))
        for key in ("order", "ordering"):
            world.array("em/s0", (7, 20, 31), transform=stated | {key: "F"})
            image = world.open(DRIVER, "em")
            assert [a.name for a in image.axes] == ["z", "y", "x"]
            assert scale_translation(image.levels[0].transform, 3) == ((30, 5, 4), (100, 200, 300))

    def test_an_absent_order_is_c_order_whatever_the_names(self, world):
        stated = transform((4, 5, 30), (300, 200, 100), axes=("x", "y", "z"))
        world.array("em/s0", (7, 20, 31), transform=stated, pixelResolution={"dimensions": [30, 5, 4], "unit": "nm"})
        image = world.open(DRIVER, "em")
        assert [a.name for a in image.axes] == ["x", "y", "z"]
        assert scale_translation(image.levels[0].transform, 3) == ((4, 5, 30), (300, 200, 100))
        assert any(n.startswith("M2") for n in image.bag.records[0].notes)

    def test_a_single_array_tells_its_own_place(self, world):
        world.array("a", (7, 20, 31), transform=transform((30, 5, 4), (1, 2, 3)))
        with pytest.raises(NotFoundError):
            world.open(DRIVER, "a")
        axes, place, _ = stated_place(world.get("a"), 3)
        assert [a.name for a in axes] == ["z", "y", "x"] and axes[0].unit == "nanometer"
        assert scale_translation(place, 3) == ((30, 5, 4), (1, 2, 3))

    def test_the_group_alone_is_enough_and_lists_paths_of_any_name(self, world):
        datasets = [
            {"path": "full", "transform": transform((30, 5, 4))},
            {"path": "down/half", "transform": transform((30, 10, 8), (0, 2.5, 2))},
        ]
        world.put("em", {"multiscales": [{"datasets": datasets}], "name": "at the group"})
        world.array("em/full", (7, 20, 31))
        world.array("em/down/half", (7, 10, 16))
        image = world.open(DRIVER, "em")
        assert [lv.path for lv in image.levels] == ["full", "down/half"] and image.name == "at the group"
        assert scale_translation(image.levels[1].transform, 3) == ((30, 10, 8), (0, 2.5, 2))
        assert any(n.startswith("M5") for n in image.bag.records[0].notes)

    def test_attributes_nobody_knows_are_carried(self, world):
        put_pyramid(world, n5="2.0.0", lens={"na": 1.2}, axes=["x", "y", "z"])
        image = world.open(DRIVER, "em")
        assert image.bag.extra == {"lens": {"na": 1.2}}
        assert image.bag.records[0].metadata["group"]["axes"] == ["x", "y", "z"]

    def test_names_tell_labels_and_predictions(self, world):
        put_pyramid(world, "labels/mito_seg")
        put_pyramid(world, "labels/mito_pred")
        assert world.open(DRIVER, "labels/mito_seg").role == "label"
        assert world.open(DRIVER, "labels/mito_pred").role == "prediction"
        world.array("labels/x_seg/s0", (7, 20, 31), "float32", transform=transform((30, 5, 4)))
        assert world.open(DRIVER, "labels/x_seg").role == "intensity"  # labels are integers

    def test_zarr_attributes_are_read_too(self, world):
        world.put("em/s0", transform((30, 5, 4)) and {"transform": transform((30, 5, 4))}, ".zattrs")
        world.arrays["em/s0"] = replace(_info(), format="zarr2")
        assert scale_translation(world.open(DRIVER, "em").levels[0].transform, 3) == ((30, 5, 4), (0, 0, 0))

    @pytest.mark.parametrize(
        "attributes",
        [None, {}, {"multiscales": []}, {"multiscales": [{"axes": [{"name": "z"}], "datasets": [{"path": "s0"}]}]}],
    )
    def test_what_is_of_another_convention_is_declined(self, world, attributes):
        if attributes is not None:
            world.put("em", attributes)
        world.array("em/s0", (3, 4, 5), pixelResolution=[1, 2, 3])
        with pytest.raises(NotFoundError) as caught:
            world.open(DRIVER, "em")
        assert caught.value.code == Code.METADATA_MISSING

    @pytest.mark.parametrize(
        "broken",
        [
            {"scale": [1, 2]},
            {"scale": [0, 1, 2]},
            {"scale": [1e400, 1, 2]},
            {"scale": [True, 1, 1]},
            {"scale": "abc"},
            {"axes": []},
            {"axes": ["z", "z", "x"]},
            {"axes": ["z", "y"]},
            {"translate": [1, 2]},
            {"units": ["nm"]},
            {"order": "X"},
        ],
    )
    def test_a_broken_transform_is_an_error(self, world, broken):
        world.array("em/s0", (7, 20, 31), transform=transform((30, 5, 4)) | broken)
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")
        axes, place, remarks = stated_place(world.get("em/s0"), 3)  # the voxels of the array can be read all the same
        assert axes is None and place is None and "not known" in remarks[0]

    @pytest.mark.parametrize("path", ["../s0", "/etc", "a//b", "", 3, "s0\\x"])
    def test_paths_stay_below_the_group(self, world, path):
        world.put("em", {"multiscales": [{"datasets": [{"path": path, "transform": transform((30, 5, 4))}]}]})
        with pytest.raises(FormatError):
            world.open(DRIVER, "em")

    def test_a_listed_level_that_is_not_there_is_an_error(self, world):
        world.put("em", {"multiscales": [{"datasets": [{"path": "s0", "transform": transform((30, 5, 4))}]}]})
        with pytest.raises(FormatError) as caught:
            world.open(DRIVER, "em")
        assert caught.value.code == Code.LEVEL_MISSING

    def test_axes_must_fit_the_array(self, world):
        world.array("em/s0", (20, 31), transform=transform((30, 5, 4)))
        with pytest.raises(FormatError, match="axes"):
            world.open(DRIVER, "em")

    @given(junk=json_junk(KEYS))
    @settings(max_examples=200, deadline=None)
    def test_junk_is_an_error_or_another_convention(self, junk):
        group = junk if isinstance(junk, dict) else {"multiscales": junk}
        level = {"transform": junk, "pixelResolution": junk, "dimensions": junk}
        with contextlib.suppress(FormatError):
            cosem.level_paths(group)
        with contextlib.suppress(FormatError):
            cosem.parse_image(group, {"s0": level, "s1": level})
        with contextlib.suppress(FormatError):
            cosem.parse_image(group, {"s0": {"transform": transform((1, 2, 3)) | group}})


class TestRules:
    """What breaks a rule and is read all the same is noted under the rule's id."""

    def notes(self, world, path="em"):
        return {n[:2] for n in world.open(DRIVER, path).bag.records[0].notes}

    def test_consistent_metadata_break_no_rule(self, world):
        put_pyramid(world)
        world.put("em", {"scales": [[1, 1, 1], [2, 2, 1], [4, 4, 2]], "axes": ["x", "y", "z"]})
        assert self.notes(world) == set()

    @pytest.mark.parametrize(
        ("rule", "level", "change"),
        [
            ("M1", 1, {"pixelResolution": None}),
            ("M3", 1, {"pixelResolution": {"dimensions": [30.0, 10.0, 8.0], "unit": "nm"}}),
            ("M3", 0, {"pixelResolution": {"dimensions": [4.0, 5.0, 30.0], "unit": "um"}}),
            ("M6", 1, {"transform": transform((30, 10, 8), (100, 200, 300))}),
            ("M7", 2, {"transform": transform((45, 20, 16), (115, 207.5, 306))}),
            ("M8", 2, {"dimensions": [31, 20, 7]}),
        ],
    )
    def test_arrays(self, world, rule, level, change):
        put_pyramid(world)
        world.put(f"em/s{level}", world.get(f"em/s{level}") | change)
        assert rule in self.notes(world)

    @pytest.mark.parametrize(
        ("rule", "group"),
        [
            ("M4", {"scales": [[1, 1, 1], [2, 2, 2], [4, 4, 4]]}),
            ("M4", {"scales": [[1, 1, 1]]}),
            ("M5", {"scales": [[1, 1, 1], [2, 2, 1], [4, 4, 2]], "axes": ["z", "y", "x"]}),
        ],
    )
    def test_groups(self, world, rule, group):
        put_pyramid(world)
        world.put("em", group)
        assert rule in self.notes(world)

    def test_the_arrays_transform_outranks_the_groups(self, world):
        put_pyramid(world)
        world.put("em", {"multiscales": [{"datasets": [{"path": "s0", "transform": transform((1, 1, 1))}]}]})
        image = world.open(DRIVER, "em")
        assert scale_translation(image.levels[0].transform, 3)[0] == (30, 5, 4)
        assert "M5" in self.notes(world)

    @given(size=st.sampled_from([0.1, 0.2, 0.4, 1.1, 3.24, 5.24]), factor=st.integers(1, 64))
    def test_ratios_are_rounded_never_floored(self, size, factor):
        """0.6 // 0.2 is 2: the defect of cellmap-schemas."""
        from voxarium.model.stated_images import ratio

        assert ratio(size * factor, size) == factor
        assert ratio(round(size * factor, 6), size) == factor


def _info():
    from voxarium.model.image import ArrayInfo

    return ArrayInfo(format="n5", shape=(7, 20, 31), dtype=np.dtype("uint8"), chunk_shape=(7, 20, 31))


def independent_reader(world, path):
    """Read COSEM by its rules, without any code of the package; every redundancy must agree."""
    group = world.get(path)
    assert len(group["multiscales"]) == 1
    out = []
    for i, dataset in enumerate(group["multiscales"][0]["datasets"]):
        array = world.get(f"{path}/{dataset['path']}" if path else dataset["path"])
        stated = array["transform"]
        assert stated == dataset["transform"]  # M5
        order = stated.get("order", "C")
        names, scale, shift, units = (stated[k] for k in ("axes", "scale", "translate", "units"))
        assert len(names) == len(scale) == len(shift) == len(units) == len(array["dimensions"])
        resolution = array["pixelResolution"]
        assert set(units) == {resolution["unit"]}  # M3
        assert resolution["dimensions"] == (scale[::-1] if order == "C" else scale)
        assert group["axes"] == (names[::-1] if order == "C" else names)
        assert dataset["path"] == f"s{i}"
        if i == 0:
            finest = scale
            assert group["pixelResolution"] == resolution and group["units"] == units[::-1]
            assert group["scales"][0] == [1] * len(names)  # M4
        factors = [a / b for a, b in zip(scale, finest, strict=True)]
        assert np.allclose(factors[::-1], group["scales"][i], rtol=1e-9)
        assert all(isinstance(f, int) for f in group["scales"][i])
        out.append({n: (s, t, u) for n, s, t, u in zip(names, scale, shift, units, strict=True)})
    assert len(group["scales"]) == len(out)
    return out


class TestWriting:
    """Writing: the documents shown by the rules, and what an independent reader makes of others."""

    def test_documents_are_those_of_cellmap_schemas(self, world, make_image):
        image = make_image(
            "cosem",
            shape=(80, 100, 90),
            factors=((1, 1, 1), (2, 2, 2), (4, 4, 4)),
            size=(5.24, 4.0, 4.0),
            dtype="uint8",
        )
        world.write(DRIVER, "em/fibsem-uint8", image)
        assert world.get("em/fibsem-uint8") == GROUP
        level = world.get("em/fibsem-uint8/s1")
        assert {k: v for k, v in level.items() if k not in ARRAY_KEYS} == LEVEL_1
        assert level.keys() >= ARRAY_KEYS
        assert world.get("") == world.get("em") == {"n5": "2.0.0"}

    def test_an_independent_reader_finds_every_axis_where_it_is(self, world, make_image):
        image = make_image("cosem", size=(0.3, 0.2, 0.1), start=(7.0, -5.0, 0.25), units=("micrometer",) * 3)
        world.write(DRIVER, "em/a", image)
        read = independent_reader(world, "em/a")
        for level, found in zip(image.levels, read, strict=True):
            scale, shift = scale_translation(level.transform, 3)
            for axis, s, t in zip("zyx", scale, shift, strict=True):
                assert math.isclose(found[axis][0], s) and math.isclose(found[axis][1], t) and found[axis][2] == "um"
        assert world.get("em/a")["scales"] == [[1, 1, 1], [2, 2, 1], [4, 4, 2]]

    @given(
        size=st.tuples(*[st.floats(0.01, 1000)] * 3),
        start=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
        step=st.tuples(*[st.sampled_from([1, 2, 3])] * 3),
        unit=st.sampled_from(["nanometer", "micrometer", "angstrom", None]),
    )
    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_what_is_written_is_read_back(self, make_image, size, start, step, unit):
        world = World()
        factors = ((1, 1, 1), step, tuple(f * f for f in step))
        image = make_image("cosem", size=size, start=start, factors=factors, units=(unit,) * 3, name="em/x")
        world.write(DRIVER, "em/x", image)
        back = world.open(DRIVER, "em/x")
        assert np.allclose(world_points(back), world_points(image), rtol=1e-12)
        assert back.axes == image.axes and back.name == "em/x"
        assert [lv.path for lv in back.levels] == ["s0", "s1", "s2"]
        independent_reader(world, "em/x")

    def test_unknown_attributes_survive_reading_and_writing(self, world, make_image):
        put_pyramid(world, "a", lens={"na": 1.2}, n5="2.0.0")
        world.put("a/s1", world.get("a/s1") | {"history": ["x"]})
        image = world.open(DRIVER, "a")
        world.write(DRIVER, "b", image)
        assert world.get("b")["lens"] == {"na": 1.2}
        assert world.get("b/s1")["history"] == ["x"] and "history" not in world.get("b/s0")
        assert world.get("b/s2")["dimensions"] == [8, 5, 4]

    def test_attributes_of_groups_around_are_not_touched(self, world, make_image):
        world.put("", {"n5": "4.0.0", "mine": 1})
        documents = world.write(DRIVER, "em", make_image("cosem"))
        assert "attributes.json" not in documents and world.get("") == {"n5": "4.0.0", "mine": 1}
        assert list(documents)[-1] == "em/attributes.json"

    def test_what_cannot_be_held_is_refused(self, make_image):
        channels = make_image(
            "cosem", names="cyx", units=(None, "nanometer", "nanometer"), factors=((1, 1, 1),), size=(1.0, 2.0, 3.0)
        )
        mixed = make_image("cosem", units=("micrometer", "nanometer", "nanometer"))
        uneven = make_image("cosem", factors=((1, 1, 1), (1, 1.5, 2)))
        for image in (channels, mixed, uneven):
            with pytest.raises(InputError) as caught:
                DRIVER.check(image, "1")
            assert "fix:" in caught.value.__notes__[0]
        sheared = make_image("cosem")
        rotated = replace(sheared.levels[0], transform=Affine(((0, 1, 0, 0), (1, 0, 0, 0), (0, 0, 1, 0))))
        with pytest.raises(UnsupportedError):
            DRIVER.check(replace(sheared, levels=(rotated,)), "1")

    def test_keys_of_the_convention_in_the_bag_do_not_leak(self, world, make_image):
        image = make_image("cosem", bag=Bag(extra={"multiscales": "junk", "dimensions": [1], "n5": "9", "kept": 1}))
        world.write(DRIVER, "em", image)
        group = world.get("em")
        assert group["kept"] == 1 and group["n5"] == "2.0.0" and "dimensions" not in group
        assert group["multiscales"][0]["datasets"][0]["path"] == "s0"


class TestForeignFiles:
    """Files of cellmap-schemas and n5-universe."""

    def test_the_golden_layout(self, world, shared):
        world.load(shared / "n5/golden/cosem_layout/jrc_golden-1/jrc_golden-1.n5")
        image = world.open(DRIVER, "em/fibsem-uint8")
        assert [lv.array.shape for lv in image.levels] == [(80, 100, 90), (40, 50, 45), (20, 25, 22)]
        assert [scale_translation(lv.transform, 3) for lv in image.levels] == [
            ((5.24, 4, 4), (0, 0, 0)),
            ((10.48, 8, 8), (2.62, 2, 2)),
            ((20.96, 16, 16), (7.86, 6, 6)),
        ]
        assert image.name == "em/fibsem-uint8" and image.bag.records[0].notes == ()
        labels = world.open(DRIVER, "labels/mito_seg")
        assert labels.role == "label" and independent_reader(world, "labels/mito_seg")

    def test_writing_what_was_read_gives_the_same_documents(self, world, shared):
        world.load(shared / "n5/golden/cosem_layout/jrc_golden-1/jrc_golden-1.n5")
        image = world.open(DRIVER, "em/fibsem-uint8")
        world.write(DRIVER, "copy", image)
        assert world.get("copy") == world.get("em/fibsem-uint8")
        for i in range(3):
            own, other = world.get(f"copy/s{i}"), world.get(f"em/fibsem-uint8/s{i}")
            assert {k: v for k, v in own.items() if k not in ARRAY_KEYS} == {
                k: v for k, v in other.items() if k not in ARRAY_KEYS
            }

    def test_n5_universe(self, world, shared):
        world.load(shared / "n5/universe/src/test/resources/test.n5")
        image = world.open(DRIVER, "cosem_ms")
        assert [scale_translation(lv.transform, 3) for lv in image.levels] == [
            ((32.0,) * 3, (21.0,) * 3),
            ((64.0,) * 3, (28.0,) * 3),
            ((128.0,) * 3, (35.0,) * 3),
        ]
        assert scale_translation(stated_place(world.get("cosem"), 3)[1], 3) == ((64,) * 3, (28,) * 3)
        assert scale_translation(world.open(DRIVER, "c0").levels[1].transform, 3) == ((14, 22, 26), (3, 4.5, 7.5))

    def test_a_group_of_openorganelle(self, world, shared):
        world.load(shared / "n5/universe/src/test/resources/ngff.n5")
        group = world.get("ngff_grpAttributes")
        for i in range(len(group["multiscales"][0]["datasets"])):
            world.array(f"ngff_grpAttributes/s{i}", (max(1, 100 >> i),) * 3)
        image = world.open(DRIVER, "ngff_grpAttributes")
        assert len(image.levels) == 6
        assert scale_translation(image.levels[1].transform, 3) == ((10.48, 8, 8), (2.62, 2, 2))
