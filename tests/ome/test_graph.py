"""Transforms of images and levels: composed on reading, kept or re-expressed on writing."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxarium.errors import UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.image import ArrayInfo, ImageInfo, LevelInfo, TransformEdge
from voxarium.model.transforms import (
    Affine,
    MapAxis,
    Rotation,
    Scale,
    Sequence,
    Transform,
    Translation,
    scale_translation,
)
from voxarium.spec.ome.transformations import dump_transform

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
NGFF = SHARED / "ngff" / "ngff-spec"
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


def two_axes(dataset: list[Any], image: list[Any] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {
        "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}],
        "datasets": [{"path": "0", "coordinateTransformations": dataset}],
    }
    if image is not None:
        body["coordinateTransformations"] = image
    return {"ome": {"version": "0.5", "multiscales": [body]}}


def test_transforms_of_image_and_level_are_composed_and_kept_apart(world: Any) -> None:
    both = [{"type": "scale", "scale": [2, 3]}, {"type": "translation", "translation": [1, 1]}]
    world.put_v3("", two_axes(both, [{"type": "scale", "scale": [10, 10]}]))
    world.arrays["0"] = info((4, 5))
    image = world.open()
    assert image.levels[0].transform == placed((20, 30), (10, 10))
    body = json.loads(world.driver.dump("", image, "0.5", {})["zarr.json"])["attributes"]["ome"]["multiscales"][0]
    assert body["coordinateTransformations"] == [{"type": "scale", "scale": [10, 10]}]
    assert body["datasets"][0]["coordinateTransformations"] == both
    moved = replace(image.levels[0], transform=placed((20, 30), (0, 0)))
    raw = world.driver.dump("", replace(image, levels=(moved,)), "0.5", {})["zarr.json"]
    body = json.loads(raw)["attributes"]["ome"]["multiscales"][0]
    assert "coordinateTransformations" not in body
    assert body["datasets"][0]["coordinateTransformations"] == [{"type": "scale", "scale": [20, 30]}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([{"type": "translation", "translation": [5, 6]}], ((1, 1), (5, 6))),
        ([{"type": "identity"}], ((1, 1), (0, 0))),
        (
            [{"type": "translation", "translation": [5, 6]}, {"type": "scale", "scale": [2, 2]}],
            ((2, 2), (10, 12)),
        ),
        ([], ((1, 1), (0, 0))),
    ],
)
def test_unusual_transforms_are_read_and_noted(world: Any, given: list[Any], expected: Any) -> None:
    world.put_v3("", two_axes(given))
    world.arrays["0"] = info((4, 5))
    image = world.open()
    assert scale_translation(image.levels[0].transform, 2) == expected
    assert image.bag.records[0].notes


def test_levels_without_transforms_are_placed_by_their_shapes(world: Any) -> None:
    names = ("0", "1", "2")
    world.put_v2("", {"multiscales": [{"version": "0.2", "datasets": [{"path": n} for n in names]}]})
    shapes = ((1, 2, 9, 65, 33), (1, 2, 9, 33, 16), (1, 2, 9, 17, 8))
    world.arrays.update({n: info(s) for n, s in zip(names, shapes, strict=True)})
    image = world.open()
    assert "".join(a.name for a in image.axes) == "tczyx"
    assert scale_translation(image.levels[1].transform, 5) == ((1, 1, 1, 2, 2), (0, 0, 0, 0.5, 0.5))
    assert scale_translation(image.levels[2].transform, 5) == ((1, 1, 1, 4, 4), (0, 0, 0, 1.5, 1.5))


def test_an_affine_image_is_written_in_0_6_through_array_indices(world: Any) -> None:
    """A header of neuroimaging: rotated voxels of 0.5 × 2 × 1 mm, mirrored along x."""
    c, s = 0.8, 0.6
    rows = ((0.5, 0, 0, 10.0), (0, 2 * c, -s, 20.0), (0, 2 * s, c, -30.0))
    mirror = Affine(((-1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0)))
    world_map = Affine(tuple(map(tuple, Sequence((Affine(rows), mirror)).matrix(3).tolist())))
    axes = tuple(Axis(name=n, type="space", unit="millimeter") for n in "zyx")
    step = placed((2, 2, 3), (0.5, 0.5, 1))
    levels = (level(0, (9, 8, 7), world_map), level(1, (5, 4, 3), step.then(world_map)))
    scanner = CoordinateSystem(name="scanner", axes=axes)
    edge = TransformEdge(source="physical", target="scanner", transform=Scale((-1, 1, 2)), role="nifti:sform")
    image = pyramid(axes=axes, levels=levels, systems=(scanner,), edges=(edge,))
    raw = world.write("em", image, "0.6")["em/zarr.json"]
    assert validates(raw, "0.6", "strict_image")
    again = world.open("em")
    assert again.axes == axes
    assert [s.name for s in again.systems] == ["scanner", "index", "physical"]
    for a, b in zip(again.levels, image.levels, strict=True):
        np.testing.assert_allclose(a.transform.matrix(3), b.transform.matrix(3), atol=1e-12)
    assert world.write("em", again, "0.6")["em/zarr.json"] == raw
    sheared = replace(levels[1], transform=Affine(((1, 1, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0))))
    with pytest.raises(UnsupportedError, match="against level 0"):
        world.driver.check(replace(image, levels=(levels[0], sheared)), "0.6")


def test_a_mirrored_image_is_written_through_array_indices(world: Any) -> None:
    image = pyramid(levels=(level(0, (3, 4, 5), placed((-1, 2, 2), (5, 0, 0))),))
    raw = world.write("", image, "0.6")["zarr.json"]
    assert validates(raw, "0.6")
    assert world.open().levels[0].transform == image.levels[0].transform


@pytest.mark.parametrize("transform", [MapAxis((1, 0)), Rotation(((0, 1), (-1, 0)))])
def test_coordinate_systems_of_0_6_are_kept_when_levels_change(world: Any, transform: Transform) -> None:
    system = {"name": "physical", "axes": [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]}
    onward = {"name": "onward", "note": 1, "input": {"name": "physical"}, "output": {"name": "other"}}
    body = {
        "coordinateSystems": [system | {"name": "other", "note": 2}, system],
        "datasets": [
            {
                "path": "a",
                "coordinateTransformations": [
                    {"type": "scale", "scale": [2, 2], "input": {"path": "a"}, "output": {"name": "physical"}}
                ],
            }
        ],
        "coordinateTransformations": [onward | dump_transform(transform)],
    }
    world.put_v3("", {"ome": {"version": "0.6", "multiscales": [body]}})
    world.arrays["a"] = info((4, 5))
    image = world.open()
    assert image.world == "physical"
    assert image.edges[-1].transform == transform
    two = (replace(image.levels[0], path="s0"), replace(image.levels[0], path="s1", transform=Scale((4, 4))))
    written = json.loads(world.driver.dump("", replace(image, levels=two), "0.6", {})["zarr.json"])
    again = written["attributes"]["ome"]["multiscales"][0]
    assert [s["name"] for s in again["coordinateSystems"]] == ["other", "physical"]
    assert again["coordinateSystems"][0]["note"] == 2
    assert again["coordinateTransformations"] == body["coordinateTransformations"]


def test_levels_stated_from_coarse_to_fine_are_sorted_and_conflicts_noted(world: Any) -> None:
    attributes = two_axes([{"type": "scale", "scale": [4, 4]}])
    fine = {"path": "fine", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}
    attributes["ome"]["multiscales"][0]["datasets"].append(fine)
    world.put_v3("", attributes)
    named = tuple(Axis(name=n) for n in ("dim_0", "dim_1"))
    world.arrays.update({"0": info((2, 2)), "fine": replace(info((7, 5), "uint16"), axes=named)})
    image = world.open()
    assert [v.path for v in image.levels] == ["fine", "0"]
    assert scale_translation(image.levels[1].transform, 2) == ((4, 4), (0, 0))
    notes = " ".join(image.bag.records[0].notes)
    assert "sorted by size" in notes
    assert "dim_0" in notes
    assert "has type uint8" in notes
