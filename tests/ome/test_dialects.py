"""Drafts of OME-Zarr are read with a note; the multiscales of other conventions are left to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.spec import ome
from voxarium.spec.ome.orientation import ORIENTATIONS

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
DRAFTS = SHARED / "neuroglancer/testdata/datasource/zarr/ome_zarr/all_0.6"


def write_array(path: Path, data: np.ndarray) -> None:
    """Write an array of one chunk in Zarr 2."""
    path.mkdir(parents=True)
    document = {
        "zarr_format": 2, "shape": data.shape, "chunks": data.shape, "dtype": data.dtype.str, "compressor": None,
        "fill_value": 0, "order": "C", "filters": None,
    }  # fmt: skip
    (path / ".zarray").write_text(json.dumps(document))
    (path / ".".join("0" * data.ndim)).write_bytes(data.tobytes())


def write_array_v3(path: Path, data: np.ndarray) -> None:
    """Write an array of one chunk in Zarr 3."""
    path.mkdir(parents=True)
    document = {
        "zarr_format": 3, "node_type": "array", "shape": data.shape, "data_type": str(data.dtype), "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": data.shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
    }  # fmt: skip
    (path / "zarr.json").write_text(json.dumps(document))
    (path / ".".join(["c", *"0" * data.ndim])).write_bytes(data.tobytes())


def write_group(path: Path, attributes: dict[str, Any], zarr_format: int = 2) -> None:
    path.mkdir(parents=True, exist_ok=True)
    if zarr_format == 2:
        (path / ".zgroup").write_text('{"zarr_format": 2}')
        (path / ".zattrs").write_text(json.dumps(attributes))
    else:
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (path / "zarr.json").write_text(json.dumps(document))


def notes(image: Any) -> str:
    return " ".join(image.info.bag.records[0].notes)


# -- other conventions
def transform(i: int) -> dict[str, Any]:
    f = 2**i
    return {
        "axes": ["z", "y", "x"],
        "units": ["nm"] * 3,
        "scale": [8 * f, 4 * f, 2 * f],
        "translate": [9, 7, 5],
        "order": "C",
    }


@pytest.mark.parametrize("where", ["group and arrays", "group", "arrays"])
def test_cosem_metadata_in_a_zarr_group_are_read_as_such(tmp_path: Path, where: str) -> None:
    data = np.arange(3 * 5 * 7, dtype="u1").reshape(3, 5, 7)
    datasets: list[dict[str, Any]] = []
    for i in range(2):
        write_array(tmp_path / f"s{i}", data[:: 2**i, :: 2**i, :: 2**i])
        datasets.append({"path": f"s{i}"} | ({"transform": transform(i)} if "group" in where else {}))
        if "arrays" in where:
            (tmp_path / f"s{i}" / ".zattrs").write_text(json.dumps({"transform": transform(i)}))
    write_group(tmp_path, {"multiscales": [{"datasets": datasets, "name": "em"}]})
    image = voxarium.open(tmp_path)
    assert image.info.format == "cosem"
    assert image.voxel_size() == (8, 4, 2)
    assert image.unit == "nanometer"
    assert (image[...] == data).all()


OTHERS: list[list[Any]] = [
    [{"datasets": [{"path": "s0", "crs": "EPSG:3857", "pixels_per_tile": 128}], "type": "reduce", "metadata": {}}],
    [{"datasets": ["s0", "s1"]}],
    [{"name": "em"}],
    [{"datasets": [{"path": "s0"}]}],
    [{"datasets": [{"path": "elsewhere"}]}],
]


@pytest.mark.parametrize("multiscales", OTHERS)
def test_lists_of_other_conventions_are_not_taken_for_ome(
    tmp_path: Path, world: Any, make_array: Any, multiscales: list[Any]
) -> None:
    world.put_v2("", {"multiscales": multiscales})
    world.arrays["s0"] = make_array((3, 5, 7))
    with pytest.raises(NotFoundError, match="another convention") as caught:
        world.open()
    assert caught.value.code == Code.FORMAT_UNRECOGNISED
    write_group(tmp_path, {"multiscales": multiscales})
    data = np.arange(105, dtype="u2").reshape(3, 5, 7)
    write_array(tmp_path / "s0", data)
    assert (voxarium.open(tmp_path)["s0"][...] == data).all()


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_the_object_of_zarr_conventions_is_not_taken_for_ome(tmp_path: Path, zarr_format: int) -> None:
    convention = {"name": "multiscales", "uuid": "d35379db-88df-4056-af3a-620245f8e347"}
    layout = [{"asset": "s0", "transform": {"scale": [1, 1]}}, {"asset": "s1", "derived_from": "s0"}]
    attributes = {"zarr_conventions": [convention], "multiscales": {"layout": layout, "resampling_method": "average"}}
    write_group(tmp_path, attributes, zarr_format)
    data = np.arange(35, dtype="u1").reshape(5, 7)
    (write_array if zarr_format == 2 else write_array_v3)(tmp_path / "s0", data)
    assert ome.is_foreign(attributes)
    assert (voxarium.open(tmp_path)["s0"][...] == data).all()


def test_ome_metadata_beside_a_foreign_object_are_found(world: Any, make_array: Any) -> None:
    world.put_v3("", {"multiscales": {"layout": []}})
    world.put_v2("", {"multiscales": [{"version": "0.3", "axes": ["y", "x"], "datasets": [{"path": "0"}]}]})
    world.arrays["0"] = make_array((5, 7))
    assert world.open().spec_version == "0.3"


def test_what_ome_alone_has_makes_broken_metadata_an_error(world: Any) -> None:
    for body in (
        {"version": "0.4", "datasets": [{"path": "0", "transform": {}}]},
        {"axes": ["y", "x"], "datasets": ["0"]},
        {"datasets": [{"path": "0", "coordinateTransformations": []}]},
    ):
        world.put_v2("", {"multiscales": [body]})
        with pytest.raises(FormatError):
            world.open()
    world.put_v3("", {"ome": {"version": "0.5", "multiscales": [{"datasets": ["0"]}]}})
    with pytest.raises(FormatError):
        world.open()


def test_an_image_of_0_1_that_states_no_version_needs_its_levels(world: Any, make_array: Any) -> None:
    world.put_v2("", {"multiscales": [{"datasets": [{"path": "0"}, {"path": "1"}]}]})
    world.arrays["0"] = make_array((1, 2, 3, 4, 5))
    with pytest.raises(FormatError) as caught:
        world.open()
    assert caught.value.code == Code.LEVEL_MISSING
    world.arrays["1"] = make_array((1, 2, 3, 2, 3))
    assert [a.name for a in world.open().axes] == ["t", "c", "z", "y", "x"]


# -- versions before 0.4
@pytest.mark.parametrize(("name", "version"), [("v1", "0.1"), ("v2", "0.2")])
def test_images_of_0_1_and_0_2_are_read_with_their_voxels(name: str, version: str) -> None:
    path = SHARED / "ngff/ome-zarr-py/tests/data" / name
    if not path.exists():
        pytest.skip(f"no image at {path}")
    image = voxarium.open(path)
    assert image.info.spec_version == version
    assert [a.type for a in image.info.axes] == ["time", "channel", "space", "space", "space"]
    zarr = pytest.importorskip("zarr")
    expected = zarr.open_array(path / "0", mode="r", zarr_format=2)[...]
    assert expected.any()
    assert (image[...] == expected).all()


def test_axes_of_0_3_are_texts(tmp_path: Path) -> None:
    data = np.arange(2 * 3 * 5 * 7, dtype="u2").reshape(2, 3, 5, 7)
    write_array(tmp_path / "0", data)
    write_group(
        tmp_path, {"multiscales": [{"version": "0.3", "axes": ["c", "z", "y", "x"], "datasets": [{"path": "0"}]}]}
    )
    image = voxarium.open(tmp_path)
    assert [(a.name, a.type) for a in image.info.axes][:2] == [("c", "channel"), ("z", "space")]
    assert (image[1] == data[1]).all()


# -- drafts
@pytest.mark.parametrize("stage", ["basic/scale", "basic/sequenceScaleTranslation", "simple/affine"])
def test_drafts_of_0_6_are_read_with_a_note(stage: str) -> None:
    path = DRAFTS / f"{stage}.zarr"
    if not path.exists():
        pytest.skip(f"no image at {path}")
    image = voxarium.open(path)
    assert image.info.spec_version == "0.6.dev1"
    assert "'0.6.dev1' is a draft of 0.6" in notes(image)
    assert "as texts, as the drafts 0.6.dev1 to 0.6.dev3 did" in notes(image)


def newer(version: str, axes: list[dict[str, Any]], ends: dict[str, Any]) -> dict[str, Any]:
    step = {"type": "scale", "scale": [2.0 + i for i in range(len(axes))]} | ends
    body = {
        "coordinateSystems": [{"name": "physical", "axes": axes}],
        "datasets": [{"path": "0", "coordinateTransformations": [step]}],
    }
    return {"ome": {"version": version, "multiscales": [body]}}


OBJECTS = {"input": {"path": "0"}, "output": {"name": "physical"}}
ZYX = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]


@pytest.mark.parametrize(
    "version", ["0.6.dev1", "0.6.dev2", "0.6.dev3", "0.6.dev4", "0.6rc0", "0.6", "0.9.dev1", "7.1"]
)
@pytest.mark.parametrize("ends", [OBJECTS, {"input": "0", "output": "physical"}], ids=["objects", "texts"])
def test_every_tag_is_read_and_those_not_released_are_told(
    world: Any, make_array: Any, version: str, ends: dict[str, Any]
) -> None:
    world.put_v3("", newer(version, ZYX, ends))
    world.arrays["0"] = make_array((3, 5, 7))
    image = world.open()
    told = " ".join(image.bag.records[0].notes)
    assert image.spec_version == version
    assert ("draft" in told.replace("as the drafts", "")) == (version not in ("0.6", "7.1"))
    assert ("unknown" in told) == (version == "7.1")
    assert ("as texts" in told) == (ends is not OBJECTS)
    assert image.world == "physical"
    assert [e.target for e in image.edges] == ["physical"]
    for target in ome.VERSIONS:
        written = json.loads(list(world.driver.dump("", image, target, {}).values())[-1])
        found = written.get("attributes", {}).get("ome", written)
        assert found.get("version", "0.4") == target


def test_0_9_reads_any_axes_beyond_five(tmp_path: Path) -> None:
    shape = (2, 3, 1, 2, 3, 5, 7)
    data = np.arange(np.prod(shape), dtype="u2").reshape(shape)
    write_array_v3(tmp_path / "0", data)
    axes = [
        {"name": n, "type": t} for n, t in (("x", "space"), ("lifetime", "time"), ("angle", "angle"), ("c", "channel"))
    ]
    axes += [{"name": "phase"}, {"name": "y", "type": "space"}, {"name": "λ", "type": "frequency", "unit": "hertz"}]
    write_group(tmp_path, newer("0.9.dev1", axes, OBJECTS), 3)
    image = voxarium.open(tmp_path)
    assert [a.name for a in image.info.axes] == ["x", "lifetime", "angle", "c", "phase", "y", "λ"]
    assert "on the way to 1.0" in notes(image)
    assert image.voxel_size() == (2, 3, 4, 5, 6, 7, 8)
    assert (image[...] == data).all()
    assert (image[1, :, 0, 1, 2:, ::2, 3] == data[1, :, 0, 1, 2:, ::2, 3]).all()
    with pytest.raises(InputError, match="2 to 5 axes"):
        voxarium.convert(tmp_path, tmp_path.parent / "out.ome.zarr", levels=1)


@pytest.mark.parametrize("value", ORIENTATIONS)
def test_orientations_are_read_and_kept(world: Any, make_array: Any, value: str) -> None:
    orientation = {"type": "anatomical", "value": value}
    axes = [ZYX[0] | {"orientation": orientation}, *ZYX[1:]]
    world.put_v3("", newer("0.9.dev1", axes, OBJECTS))
    world.arrays["0"] = make_array((3, 5, 7))
    image = world.open()
    assert [a.orientation for a in image.axes] == [value, None, None]
    assert "OR-" not in " ".join(image.bag.records[0].notes)
    written = json.loads(world.driver.dump("", image, "0.6", {})["zarr.json"])["attributes"]["ome"]
    assert written["multiscales"][0]["coordinateSystems"][0]["axes"][0]["orientation"] == orientation


def test_orientations_that_cannot_be_true_are_told(world: Any, make_array: Any) -> None:
    turned = [{"type": "anatomical", "value": v} for v in ("left-to-right", "right-to-left", "upwards")]
    world.put_v3("", newer("0.9.dev1", [a | {"orientation": o} for a, o in zip(ZYX, turned, strict=True)], OBJECTS))
    world.arrays["0"] = make_array((3, 5, 7))
    image = world.open()
    told = " ".join(image.bag.records[0].notes)
    assert "runs right-to-left, beside left-to-right" in told
    assert "OR-001" in told
    assert image.axes[2].orientation is None
    assert image.axes[2].extra["orientation"] == turned[2]
