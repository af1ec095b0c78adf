"""The OME-Zarr driver: groups, labels, checks, and documents other tools agree with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxarium.errors import Code, NotFoundError, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.image import (
    ArrayInfo,
    Bag,
    ChannelDisplay,
    Display,
    ImageInfo,
    LabelColor,
    LevelInfo,
)
from voxarium.model.protocols import WritableImageDriver
from voxarium.model.transforms import (
    Scale,
    Sequence,
    Transform,
    Translation,
    scale_translation,
)

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NGFF = SHARED / "ngff" / "ngff-spec"
SAMPLES = SHARED / "neuroglancer/testdata/datasource/zarr/ome_zarr"
ZYX = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
CZYX = (Axis(name="c", type="channel"), *ZYX)


def info(shape: tuple[int, ...], dtype: str = "uint8") -> ArrayInfo:
    return ArrayInfo(format="fake", shape=shape, dtype=np.dtype(dtype), chunk_shape=shape)


def level(i: int, shape: tuple[int, ...], transform: Transform, dtype: str = "uint8") -> LevelInfo:
    return LevelInfo(path=f"s{i}", array=info(shape, dtype), transform=transform)


def placed(scale: tuple[float, ...], translation: tuple[float, ...]) -> Sequence:
    return Sequence((Scale(scale), Translation(translation)))


def pyramid(**changes: Any) -> ImageInfo:
    """A small image of three levels, of odd lengths, as a mean pyramid places them."""
    levels = (
        level(0, (11, 7, 5), placed((40, 4, 4), (0, 100, 200))),
        level(1, (11, 4, 3), placed((40, 8, 8), (0, 102, 202))),
        level(2, (6, 2, 2), placed((80, 16, 16), (20, 106, 206))),
    )
    image = ImageInfo(format="raw", axes=ZYX, levels=levels, name="em", method="mean")
    return replace(image, **changes)


def test_the_driver_is_a_writable_image_driver(world: Any) -> None:
    assert isinstance(world.driver, WritableImageDriver)
    assert world.driver.spec_versions[0] == "0.5"
    assert [world.driver.array_driver(v) for v in ("0.4", "0.5", "0.6")] == ["zarr2", "zarr3", "zarr3"]
    assert world.driver.level_path(3, *[placed((1, 1, 1), (0, 0, 0))] * 2) == "s3"
    with pytest.raises(UnsupportedError, match=r"0\.3 cannot be written"):
        world.driver.array_driver("0.3")


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
@pytest.mark.parametrize("path", ["", "deep/er/em"])
def test_an_image_survives_writing_and_reading(world: Any, version: str, path: str, comparable: Any) -> None:
    image = pyramid()
    documents = world.write(path, image, version)
    again = world.open(path)
    assert again.levels == image.levels
    assert (again.axes, again.name, again.method, again.role) == (image.axes, "em", "mean", "intensity")
    assert again.spec_version == version
    assert again.world == "physical"
    assert world.write(path, again, version) == documents
    assert comparable(world.open(path)) == comparable(again)


def test_documents_of_0_5_are_exactly_these(world: Any) -> None:
    image = pyramid(levels=(level(0, (3, 4), placed((2, 0.5), (0, 1))),), axes=ZYX[1:], method=None)
    (raw,) = world.driver.dump("em", image, "0.5", {}).values()
    axes = [{"name": n, "type": "space", "unit": "nanometer"} for n in "yx"]
    steps = [{"type": "scale", "scale": [2.0, 0.5]}, {"type": "translation", "translation": [0.0, 1.0]}]
    datasets = [{"path": "s0", "coordinateTransformations": steps}]
    multiscales = [{"name": "em", "axes": axes, "datasets": datasets}]
    attributes = {"ome": {"version": "0.5", "multiscales": multiscales}}
    document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    assert raw == (json.dumps(document, indent=2) + "\n").encode()
    assert not any(line.endswith(b" ") for line in raw.splitlines())


def test_documents_of_0_4_are_a_group_and_its_attributes_last(world: Any) -> None:
    documents = world.driver.dump("em", pyramid(), "0.4", {})
    assert list(documents) == ["em/.zgroup", "em/.zattrs"]
    assert json.loads(documents["em/.zgroup"]) == {"zarr_format": 2}
    body = json.loads(documents["em/.zattrs"])["multiscales"][0]
    assert body["version"] == "0.4"
    assert [d["path"] for d in body["datasets"]] == ["s0", "s1", "s2"]


def real(name: str) -> tuple[dict[str, bytes], Any]:
    """Return the JSON documents of a sample and a function that opens its arrays by metadata."""
    root = SAMPLES / name
    if not root.exists():
        pytest.skip(f"no sample at {root}")
    objects = {
        str(p.relative_to(root)): p.read_bytes()
        for p in root.rglob("*")
        if p.name in ("zarr.json", ".zattrs", ".zgroup", ".zarray")
    }

    def open_array(key: str) -> ArrayInfo:
        for document in ("zarr.json", ".zarray"):
            raw = objects.get(f"{key}/{document}")
            if raw is not None:
                return info(tuple(json.loads(raw)["shape"]), "uint16")
        raise NotFoundError(key, code=Code.METADATA_MISSING, fix="")

    return objects, open_array


@pytest.mark.parametrize("name", ["simple_0.4", "simple_0.5"])
def test_neuroglancer_samples_of_0_4_and_0_5(world: Any, name: str) -> None:
    world.store.objects, opener = real(name)
    image = world.driver.open(world.store, "", opener)
    assert [a.name for a in image.axes] == ["y", "x"]
    assert [scale_translation(v.transform, 2) for v in image.levels] == [
        ((4, 30), (0, 0)),
        ((8, 60), (2, 15)),
        ((16, 120), (6, 45)),
    ]
    assert [v.path for v in image.levels] == ["scale0/image", "scale1/image", "scale2/image"]
    for version in ("0.4", "0.5", "0.6"):
        assert b"ngff:Image" in b"".join(world.driver.dump("", image, version, {}).values())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("basic/identity", np.eye(3, 4)),
        ("basic/scale", None),
        ("basic/translation", [[1, 0, 0, 30], [0, 1, 0, 20], [0, 0, 1, 10]]),
        ("basic/sequenceScaleTranslation", [[4, 0, 0, 32], [0, 3, 0, 21], [0, 0, 2, 10]]),
        ("simple/affine", [[4, 0, 0, 32], [0, 3, 0, 21], [0, 0, 2, 10]]),
        ("simple/rotation", [[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0]]),
        ("simple/anisotropic_rotation", None),
        ("axis_dependent/mapAxis", [[0, 1, 0, 0], [0, 0, 1, 0], [1, 0, 0, 0]]),
    ],
)
def test_neuroglancer_samples_of_0_6_keep_their_place_when_written_again(world: Any, name: str, expected: Any) -> None:
    world.store.objects, opener = real(f"all_0.6/{name}.zarr")
    image = world.driver.open(world.store, "", opener)
    matrix = image.levels[0].transform.matrix(3)
    if expected is not None:
        np.testing.assert_array_equal(matrix, expected)
    if name == "axis_dependent/mapAxis":
        assert [a.name for a in image.axes] == ["x", "z", "y"]
    world.store.objects = world.driver.dump("", image, "0.6", {})
    again = world.driver.open(world.store, "", opener)
    np.testing.assert_allclose(again.levels[0].transform.matrix(3), matrix, atol=1e-12)
    assert again.axes == image.axes
    assert again.spec_version == "0.6"
    assert validates(world.store.objects["zarr.json"], "0.6")
    if scale_translation(image.levels[0].transform, 3) is None:
        with pytest.raises(UnsupportedError, match="rotated, sheared") as caught:
            world.driver.check(image, "0.5")
        assert "0.6" in caught.value.fix


def validates(raw: bytes, version: str, kind: str = "image") -> bool:
    """Validate attributes against the official schema, the strict one where it can be met."""
    jsonschema = pytest.importorskip("jsonschema")
    referencing = pytest.importorskip("referencing")
    folder = NGFF / {"0.4": "0.4/schemas", "0.5": "0.5/schemas", "0.6": "0.6-final-schemas"}[version]
    if not folder.exists():
        pytest.skip(f"no schemas at {folder}")
    resources = []
    for path in folder.glob("*.schema"):
        schema = json.loads(path.read_text())
        resources.append((schema["$id"], referencing.jsonschema.DRAFT202012.create_resource(schema)))
    registry = referencing.Registry().with_resources(resources)
    document = json.loads(raw)
    schema = json.loads((folder / f"{kind}.schema").read_text())
    checker = jsonschema.Draft202012Validator(schema, registry=registry)
    checker.validate(document if version == "0.4" else document["attributes"])
    return True


def rich(role: str = "intensity") -> ImageInfo:
    """An image that says all it can."""
    channels = (
        ChannelDisplay(label="DAPI", color="0000FF", window=(0, 1500), limits=(0, 65535), extra={"family": "linear"}),
        ChannelDisplay(),
    )
    image = pyramid(
        axes=(Axis(name="t", type="time", unit="second"), replace(CZYX[0], extra={"longName": "dye"}), *ZYX),
        levels=(
            level(0, (2, 2, 11, 7, 5), placed((0.1, 1, 40, 4, 4), (0, 0, 0, 100, 200)), "uint16"),
            level(1, (2, 2, 6, 4, 3), placed((0.1, 1, 80, 8, 8), (0, 0, 20, 102, 202)), "uint16"),
        ),
        display=Display(channels=channels, extra={"rdefs": {"model": "color"}}),
        bag=Bag(extra={"note": "kept", "array": np.arange(2), "bytes": b"left out", "nan": float("nan")}),
    )
    if role == "label":
        colors = (LabelColor(label=1, rgba=(255, 0, 0, 255)), LabelColor(label=7, rgba=(0, 0, 0, 0)))
        properties = ({"label-value": 1, "class": "soma", "area": np.float32(0.5)}, {"label-value": 7})
        display = Display(label_colors=colors, label_properties=properties)
        image = replace(image, role="label", display=display)
    return image


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
@pytest.mark.parametrize("role", ["intensity", "label"])
def test_written_documents_follow_the_official_strict_schemas(world: Any, version: str, role: str) -> None:
    path = "em/labels/cells" if role == "label" else "em"
    raw = list(world.driver.dump(path, rich(role), version, {}).values())[-1]
    assert validates(raw, version, "strict_image")
    if role == "label":
        assert validates(raw, version, "strict_label")


@pytest.mark.parametrize("version", ["0.4", "0.5"])
@pytest.mark.parametrize("role", ["intensity", "label"])
def test_written_documents_are_read_by_ome_zarr_models(world: Any, version: str, role: str) -> None:
    pytest.importorskip("ome_zarr_models")

    path = "em/labels/cells" if role == "label" else "em"
    attributes = json.loads(list(world.driver.dump(path, rich(role), version, {}).values())[-1])
    if version == "0.4":
        from ome_zarr_models.v04.image import ImageAttrs as Image4
        from ome_zarr_models.v04.image_label import ImageLabelAttrs as Label4

        model = (Label4 if role == "label" else Image4).model_validate(attributes)
        datasets = model.multiscales[0].datasets
    else:
        from ome_zarr_models.v05.image import ImageAttrs as Image5
        from ome_zarr_models.v05.image_label import ImageLabelAttrs as Label5

        model5 = (Label5 if role == "label" else Image5).model_validate(attributes["attributes"]["ome"])
        datasets = model5.multiscales[0].datasets
    assert [d.path for d in datasets] == ["s0", "s1"]


@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
@pytest.mark.parametrize("role", ["intensity", "label"])
def test_display_and_unknown_keys_survive(world: Any, version: str, role: str, comparable: Any) -> None:
    path = "em/labels/cells" if role == "label" else "em"
    image = rich(role)
    documents = world.write(path, image, version)
    again = world.open(path)
    assert again.bag.extra == {"note": "kept", "array": [0, 1]}
    assert again.axes == image.axes
    if role == "label":
        assert again.display.label_colors == image.display.label_colors
        assert again.display.label_properties[0]["class"] == "soma"
        assert again.source_image == "../../"
    else:
        first, second = again.display.channels
        assert first == image.display.channels[0]
        assert (second.color, second.window, second.limits) == ("FFFFFF", (0, 65535), (0, 65535))
        assert again.display.extra == {"rdefs": {"model": "color"}}
    assert world.write(path, again, version) == documents
    assert comparable(world.open(path)) == comparable(again)


def test_unknown_keys_on_every_level_are_carried_from_0_4_to_later_versions(world: Any) -> None:
    world.put_v2(
        "",
        {
            "multiscales": [
                {
                    "version": "0.4",
                    "@type": "ngff:Image",
                    "type": "gaussian",
                    "metadata": {"method": "skimage", "args": [1]},
                    "axes": [
                        {"name": "y", "type": "space", "longName": "height"},
                        {"name": "x", "type": "space"},
                    ],
                    "datasets": [
                        {
                            "path": "0",
                            "note": 1,
                            "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}],
                        }
                    ],
                },
                {"name": "other"},
            ],
            "omero": {"id": 1, "version": "0.4", "channels": [{"color": "ff0000", "inverted": False}]},
            "_creator": {"name": "someone"},
            "plate": {"stays": "behind"},
        },
    )
    world.arrays["0"] = info((4, 5))
    image = world.open()
    record = image.bag.records[0]
    assert any("2 multiscales" in note for note in record.notes)
    assert record.metadata["multiscales"][1] == {"name": "other"}
    for version in ("0.4", "0.5", "0.6"):
        raw = list(world.driver.dump("", image, version, {}).values())[-1]
        attributes = json.loads(raw)
        attributes = attributes if version == "0.4" else attributes["attributes"]
        assert attributes["_creator"] == {"name": "someone"}
        ome = attributes if version == "0.4" else attributes["ome"]
        (body,) = ome["multiscales"]
        assert body["@type"] == "ngff:Image"
        assert body["metadata"] == {"method": "skimage", "args": [1]}
        assert body["datasets"][0]["note"] == 1
        axes = body["axes"] if version < "0.6" else body["coordinateSystems"][0]["axes"]
        assert axes[0]["longName"] == "height"
        assert ome["omero"]["id"] == 1
        assert ("version" in ome["omero"]) == (version == "0.4")
        assert ome["omero"]["channels"][0]["inverted"] is False
        assert "plate" not in ome
        anew = replace(image, method="mode")
        raw = list(world.driver.dump("", anew, version, {}).values())[-1]
        assert b"skimage" not in raw  # it told of another method


@pytest.mark.oracle
@pytest.mark.parametrize("version", ["0.4", "0.5", "0.6"])
def test_zarr_python_opens_the_groups(world: Any, version: str, tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    world.write("em", pyramid(), version)
    world.write("em/labels/deep/cells", pyramid(role="label"), version)
    for key, raw in world.store.objects.items():
        (tmp_path / key).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / key).write_bytes(raw)
    group = zarr.open_group(tmp_path / "em", mode="r", zarr_format=2 if version == "0.4" else 3)
    attributes = group.attrs.asdict()
    assert len((attributes if version == "0.4" else attributes["ome"])["multiscales"]) == 1
    assert dict(group["labels/deep"].attrs) == {}
    listed = group["labels"].attrs.asdict()
    assert (listed if version == "0.4" else listed["ome"])["labels"] == ["deep/cells"]
