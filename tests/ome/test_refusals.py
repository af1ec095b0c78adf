"""Label images, what is not an image, and what may not be written."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo, LabelColor, LevelInfo
from voxarium.model.transforms import Scale, Transform

ZYX = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
CZYX = (Axis(name="c", type="channel"), *ZYX)


def info(shape: tuple[int, ...], dtype: str = "uint8") -> ArrayInfo:
    return ArrayInfo(format="fake", shape=shape, dtype=np.dtype(dtype), chunk_shape=shape)


def level(i: int, shape: tuple[int, ...], transform: Transform, dtype: str = "uint8") -> LevelInfo:
    return LevelInfo(path=f"s{i}", array=info(shape, dtype), transform=transform)


def pyramid(**changes: Any) -> ImageInfo:
    """A small image of two levels, of odd lengths."""
    levels = (level(0, (11, 7, 5), Scale((40, 4, 4))), level(1, (11, 4, 3), Scale((40, 8, 8))))
    image = ImageInfo(format="raw", axes=ZYX, levels=levels, name="em", method="mean")
    return replace(image, **changes)


def first(body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = body["datasets"][0]["coordinateTransformations"][0]
    return found


def two_axes(dataset: list[Any]) -> dict[str, Any]:
    body = {
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": dataset}],
    }
    return {"ome": {"version": "0.5", "multiscales": [body]}}


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_label_images_are_listed_beside_their_image(world: Any, version: str) -> None:
    world.write("em", pyramid(), version)
    label = pyramid(role="label", levels=(level(0, (11, 7, 5), Scale((40, 4, 4)), "uint32"),))
    listing = "em/labels/.zattrs" if version == "0.4" else "em/labels/zarr.json"
    assert listing in world.driver.touched("em/labels/cells", label, version)
    assert world.driver.touched("em", pyramid(), version) == ()
    documents = world.write("em/labels/cells", label, version)
    assert list(documents)[-1].startswith("em/labels/cells/")
    world.write("em/labels/deep/nuclei", label, version)
    world.write("em/labels/cells", label, version)
    assert world.open("em").labels == ("labels/cells", "labels/deep/nuclei")
    found = world.open("em/labels/deep/nuclei")
    assert (found.role, found.source_image) == ("label", "../../../")
    between = "em/labels/deep/" + (".zgroup" if version == "0.4" else "zarr.json")
    assert b"ome" not in world.store.objects[between]


def test_labels_of_another_version_are_not_mixed_in(world: Any) -> None:
    label = pyramid(role="label")
    world.write("em/labels/a", label, "0.5")
    with pytest.raises(InputError, match=r"follow OME-Zarr 0\.5, not 0\.6") as caught:
        world.write("em/labels/b", label, "0.6")
    assert "0.5" in caught.value.fix


def test_other_keys_of_the_labels_group_are_kept(world: Any) -> None:
    world.put_v3("em/labels", {"ome": {"version": "0.5", "labels": ["a"], "x": 1}, "y": 2})
    world.write("em/labels/b", pyramid(role="label"), "0.5")
    attributes = json.loads(world.store.objects["em/labels/zarr.json"])["attributes"]
    assert attributes == {"ome": {"version": "0.5", "labels": ["a", "b"], "x": 1}, "y": 2}


def test_an_integer_image_that_labels_lists_is_a_label_image(world: Any) -> None:
    world.put_v3("em/labels", {"ome": {"version": "0.5", "labels": ["a", "../../up", 5]}})
    world.put_v3("em/labels/a", two_axes([{"type": "scale", "scale": [1, 1]}]))
    world.put_v3("em", two_axes([{"type": "scale", "scale": [1, 1]}]))
    world.arrays.update({"em/0": info((4, 5)), "em/labels/a/0": info((4, 5))})
    image = world.open("em/labels/a")
    assert image.role == "label"
    assert any("lists it" in note for note in image.bag.records[0].notes)
    parent = world.open("em")
    assert parent.labels == ("labels/a",)
    assert any("up" in note for note in parent.bag.records[0].notes)
    world.arrays["em/labels/a/0"] = info((4, 5), "float32")
    assert world.open("em/labels/a").role == "intensity"


def test_a_broken_list_of_labels_does_not_spoil_the_image(world: Any) -> None:
    world.write("em", pyramid(), "0.5")
    world.store.objects["em/labels/zarr.json"] = b"{"
    image = world.open("em")
    assert image.labels == ()
    assert any("is not JSON" in note for note in image.bag.records[0].notes)


def test_of_equal_label_values_the_last_colour_counts(world: Any) -> None:
    attributes = two_axes([{"type": "scale", "scale": [1, 1]}])
    attributes["ome"]["image-label"] = {
        "colors": [
            {"label-value": 1, "rgba": [1, 2, 3, 4]},
            {"label-value": 2, "rgba": [1, 2, 3, 400]},
            {"label-value": 1, "rgba": [9, 9, 9, 9]},
        ],
        "more": 1,
    }
    world.put_v3("", attributes)
    world.arrays["0"] = info((4, 5))
    image = world.open()
    assert image.display.label_colors == (LabelColor(label=1, rgba=(9, 9, 9, 9)),)
    written = json.loads(world.driver.dump("", image, "0.5", {})["zarr.json"])["attributes"]["ome"]
    assert written["image-label"]["more"] == 1


def test_what_is_no_ome_zarr_image_is_not_found(world: Any) -> None:
    with pytest.raises(NotFoundError) as caught:
        world.open("nothing")
    assert caught.value.code == Code.METADATA_MISSING
    world.put_v3("plain", {})
    world.put_v3("plate", {"ome": {"version": "0.5", "plate": {}}})
    world.put_v3("labels", {"ome": {"version": "0.5", "labels": ["a"]}})
    world.put_v3("other", {"multiscales": {"layout": []}})  # another convention of this name
    world.put_v2("series", {"bioformats2raw.layout": 3})
    world.put("array/zarr.json", {"zarr_format": 3, "node_type": "array"})
    for path, word in (
        ("plain", "without OME-Zarr"),
        ("plate", "plate"),
        ("labels", "list of label"),
        ("other", "another convention"),
        ("series", "collection"),
        ("array", "no group"),
    ):
        with pytest.raises(NotFoundError, match=word) as caught:
            world.open(path)
        assert caught.value.code in (Code.METADATA_MISSING, Code.FORMAT_UNRECOGNISED)
        assert caught.value.fix


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.pop("datasets"), "datasets"),
        (lambda b: b.update(datasets=[]), "datasets"),
        (lambda b: b.update(datasets=[{"path": "../x"}]), "no path below"),
        (lambda b: b.update(datasets=[{"path": "/x"}]), "no path below"),
        (lambda b: b.update(datasets=[{"path": 3}]), "path is not a text"),
        (lambda b: b.update(datasets=[{"path": "gone"}]), "'gone'"),
        (lambda b: b.pop("axes"), "no axes"),
        (lambda b: b.update(axes=[{"name": "y"}, {"name": "y"}]), "repeats a name"),
        (lambda b: b.update(axes=[{"type": "space"}, {"name": "y"}]), r"axes\[0\]\.name"),
        (lambda b: b["axes"].append({"name": "z"}), "does not fit the axes y, x, z"),
        (
            lambda b: b["datasets"][0].update(coordinateTransformations=[{"type": "warp"}]),
            "unknown type 'warp'",
        ),
        (lambda b: first(b).update(scale=[1, 0]), "has a 0"),
        (
            lambda b: first(b).update(scale=[1, "2"]),
            "list of numbers",
        ),
        (
            lambda b: first(b).update(scale=[1, 10**400]),
            "list of numbers",
        ),
        (lambda b: b["datasets"][0]["coordinateTransformations"].append(7), "is not an object"),
    ],
)
def test_metadata_without_sensible_reading_are_refused_with_place_and_mend(
    world: Any, change: Any, message: str
) -> None:
    attributes = two_axes([{"type": "scale", "scale": [1, 1]}])
    change(attributes["ome"]["multiscales"][0])
    world.put_v3("", attributes)
    world.arrays["0"] = info((4, 5))
    with pytest.raises(FormatError, match=message) as caught:
        world.open()
    assert caught.value.fix


def test_an_array_with_other_axes_is_refused(world: Any) -> None:
    world.put_v3("", two_axes([{"type": "scale", "scale": [1, 1]}]))
    world.arrays["0"] = info((4, 5, 6))
    with pytest.raises(FormatError, match=r"the image has 2 axes .y, x., but the array '0' has 3"):
        world.open()


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"a": NaN}',
        b'{"zarr_format": 3}',
        b"[" * 100_000,
        b'{"node_type": "group", "attributes": 5}',
        b'{"node_type": "group", "attributes": {"ome": []}}',
        b'{"node_type": "group", "attributes": {"ome": {"multiscales": {}}}}',
        b'{"x": ' + b"9" * 5000 + b"}",
    ],
)
def test_junk_documents_are_format_errors(world: Any, raw: bytes) -> None:
    world.store.objects["em/zarr.json"] = raw
    with pytest.raises(FormatError):
        world.open("em")


def test_metadata_of_0_4_in_a_zarr_3_group_are_read(world: Any) -> None:
    world.put_v3("", two_axes([{"type": "scale", "scale": [1, 2]}])["ome"] | {"version": "?"})
    world.arrays["0"] = info((4, 5))
    image = world.open()
    assert image.spec_version == "0.4"
    assert image.bag.records[0].notes


@pytest.mark.parametrize(
    ("changes", "error", "message", "fix"),
    [
        ({"axes": ZYX[::-1][:1] * 3}, InputError, "repeat", "name of its own"),
        ({"axes": (CZYX[0], *ZYX[1:])}, None, "", ""),
        (
            {"axes": (*ZYX[1:], CZYX[0])},
            InputError,
            "order time, channel, space",
            "transpose the image to c, y, x",
        ),
        (
            {"axes": (CZYX[0], Axis(name="b"), ZYX[0])},
            InputError,
            "2 or 3 axes of type space, this image has 1",
            "name the axes z, y, x",
        ),
        (
            {"axes": tuple(Axis(name=f"dim_{i}") for i in range(3)), "axes_stated": False},
            InputError,
            "this image has 0 among dim_0",
            "zyx",
        ),
        ({"levels": ()}, InputError, "no level", "full resolution"),
        (
            {"levels": (level(0, (3, 3, 3), Scale((1, 1, 1))), level(1, (4, 2, 2), Scale((1, 1, 1))))},
            InputError,
            "larger than the first",
            "fine to coarse",
        ),
        (
            {"levels": (level(0, (3, 3, 3), Scale((1, 1, 1))), level(1, (2, 2, 2), Scale((1, 1, 1)), "f4"))},
            InputError,
            "float32",
            "one data type",
        ),
        (
            {"levels": (level(0, (3, 3), Scale((1, 1))),)},
            InputError,
            "does not fit 3 axes",
            "one length per axis",
        ),
        (
            {"role": "label", "levels": (level(0, (3, 3, 3), Scale((1, 1, 1)), "float32"),)},
            UnsupportedError,
            "float32 cannot be written",
            "integer",
        ),
        (
            {"role": "label", "levels": (level(0, (3, 3, 3), Scale((1, 1, 1)), "bool"),)},
            UnsupportedError,
            "bool cannot be written",
            "integer",
        ),
    ],
)
@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_images_that_break_a_rule_are_refused_with_the_mend(
    world: Any,
    version: str,
    changes: dict[str, Any],
    error: type[VoxariumError] | None,
    message: str,
    fix: str,
) -> None:
    image = pyramid(**changes)
    if error is None:
        world.driver.check(image, version)
        return
    with pytest.raises(error, match=message) as caught:
        world.driver.check(image, version)
    assert fix in caught.value.fix
    with pytest.raises(error):
        world.driver.dump("em", image, version, {})


def test_two_channel_axes_and_six_axes_are_refused(world: Any) -> None:
    axes = (Axis(name="a", type="angle"), *CZYX)
    with pytest.raises(InputError, match="one channel or custom axis, this image has a, c"):
        world.driver.check(pyramid(axes=axes), "0.5")
    axes = tuple(Axis(name=n, type="time") for n in "ab") + ZYX
    with pytest.raises(InputError, match="one time axis"):
        world.driver.check(pyramid(axes=axes), "0.5")
    axes = tuple(Axis(name=n, type="time") for n in "abc") + ZYX
    with pytest.raises(InputError, match="2 to 5 axes"):
        world.driver.check(pyramid(axes=axes), "0.5")
