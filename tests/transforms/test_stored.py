"""Transforms that lie in a store: matrices and fields as arrays, scenes, and the images they join."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import voxarium
from voxarium.conversion.field_writing import write_field
from voxarium.core.fields import resolved
from voxarium.core.image import Image
from voxarium.core.systems import open_systems
from voxarium.core.uri import open_source_store
from voxarium.errors import ExistsError, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.approximate import approximate_inverse
from voxarium.model.transforms import Affine, Scale, Sequence
from voxarium.model.warps import Coordinates, Displacements, Unresolved
from voxarium.spec.ome.transformations import dump_transform

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
EXAMPLES = SHARED / "ngff" / "ngff-spec" / "0.6rc0" / "examples"


def field(shape: tuple[int, ...], seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(*shape, len(shape)))


def opened(transform: Any, folder: Path) -> Any:
    store, path = open_source_store(folder)
    return resolved(transform, store, path)


@pytest.mark.parametrize("interpolation", ["nearest", "linear", "bspline-cubic"])
@pytest.mark.parametrize("chunk", [(3, 4, 5), None])
def test_a_written_field_is_read_lazily_and_agrees_with_scipy(
    tmp_path: Path, interpolation: str, chunk: tuple[int, ...] | None
) -> None:
    ndimage = pytest.importorskip("scipy.ndimage", reason="SciPy is the judge of interpolation")
    vectors = field((11, 9, 7))
    stated = write_field(
        tmp_path / "dfield",
        vectors,
        "zyx",
        scale=(2.0, 0.5, 4.0),
        translation=(10.0, -3.0, 1.0),
        unit="micrometer",
        options={"chunk": chunk, "interpolation": interpolation},
    )
    assert stated == Displacements("dfield", interpolation)
    ome = json.loads((tmp_path / "dfield" / "zarr.json").read_text())["attributes"]["ome"]
    axes = ome["multiscales"][0]["coordinateSystems"][0]["axes"]
    assert [a["type"] for a in axes] == ["displacement", "space", "space", "space"]
    assert axes[0]["discrete"] is True
    index = np.random.default_rng(2).uniform(0, 1, (300, 3)) * (10, 8, 6)
    points = index * (2.0, 0.5, 4.0) + (10.0, -3.0, 1.0)
    moved = opened(stated, tmp_path).apply(points)
    order = {"nearest": 0, "linear": 1, "bspline-cubic": 3}[interpolation]
    away = [ndimage.map_coordinates(vectors[..., i], index.T, order=order, mode="mirror") for i in range(3)]
    np.testing.assert_allclose(moved, points + np.stack(away, axis=-1), rtol=0, atol=1e-9)


def test_coordinate_fields_may_lead_to_other_numbers_of_axes(tmp_path: Path) -> None:
    vectors = np.random.default_rng(1).normal(size=(4, 5, 3)).astype(np.float32)
    stated = write_field(tmp_path / "c", vectors, "yx", kind="coordinate", options={"path": "transforms/c"})
    assert stated == Coordinates("transforms/c")
    found = opened(Coordinates("c"), tmp_path)
    assert found.apply([(2, 3), (99, 0)])[0].tolist() == vectors[2, 3].astype(float).tolist()
    assert np.isnan(found.apply((99, 0))).all()
    with pytest.raises(FormatError, match="not one of type displacement"):
        opened(Displacements("c"), tmp_path)


def test_fields_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for vectors, kind in (
        (field((3, 4)), "flow"),
        (field((3, 4))[..., :1], "displacement"),
        (field((3,)), "coordinate"),
    ):
        with pytest.raises(InputError):
            write_field(tmp_path / "f", vectors, "yx", kind=kind)  # type: ignore[arg-type]  # wrong on purpose
    write_field(tmp_path / "f", field((3, 4)), "yx")
    with pytest.raises(ExistsError):
        write_field(tmp_path / "f", field((3, 4)), "yx")
    write_field(tmp_path / "f", field((5, 4)), "yx", options={"overwrite": True})


@pytest.mark.parametrize("path", ["../secret", "nowhere", "a/../../b"])
def test_paths_that_lead_nowhere_or_out_are_refused(tmp_path: Path, path: str) -> None:
    for transform in (Displacements(path), Coordinates(path), Unresolved("affine", path)):
        with pytest.raises(FormatError):
            opened(transform, tmp_path)


def group(folder: Path, ome: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    body = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.6", **ome}}}
    (folder / "zarr.json").write_text(json.dumps(body))


def array(folder: Path, values: np.ndarray[Any, Any]) -> None:
    folder.mkdir(parents=True)
    meta = {
        "zarr_format": 3, "node_type": "array", "shape": values.shape, "data_type": values.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": values.shape}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0, "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "attributes": {},
    }  # fmt: skip
    (folder / "zarr.json").write_text(json.dumps(meta))
    key = folder / "c" / Path(*["0"] * values.ndim)
    key.parent.mkdir(parents=True)
    key.write_bytes(values.tobytes())


def image(folder: Path, edges: list[dict[str, Any]] | None = None, systems: tuple[str, ...] = ()) -> None:
    axes = [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"]
    levels = []
    for i in range(2):
        array(folder / f"s{i}", np.zeros((6 >> i, 8 >> i), np.uint8))
        steps = [
            {"type": "scale", "scale": [2.0 * 2**i, 0.5 * 2**i]},
            {"type": "translation", "translation": [float(i), 0.25 * i]},
        ]
        levels.append(
            {
                "path": f"s{i}",
                "coordinateTransformations": [
                    {"type": "sequence", "transformations": steps, "input": {"path": f"s{i}"},
                     "output": {"name": "physical"}}
                ],
            }
        )  # fmt: skip
    multiscale = {
        "coordinateSystems": [{"name": n, "axes": axes} for n in ("physical", *systems)],
        "datasets": levels,
        **({"coordinateTransformations": edges} if edges else {}),
    }
    group(folder, {"multiscales": [multiscale]})


def one(folder: Path) -> Image:
    found = voxarium.open(folder)
    assert isinstance(found, Image)
    return found


def test_points_are_mapped_between_levels_and_systems_of_an_image(tmp_path: Path) -> None:
    edges = [
        {"type": "affine", "path": "coordinateTransformations/m", "input": {"name": "physical"},
         "output": {"name": "atlas"}},
        {"type": "displacements", "path": "coordinateTransformations/d", "input": {"name": "physical"},
         "output": {"name": "straight"}},
    ]  # fmt: skip
    image(tmp_path / "em", edges, ("atlas", "straight"))
    array(tmp_path / "em" / "coordinateTransformations" / "m", np.array([[0, 1, 5], [2, 0, 7.0]]))
    write_field(tmp_path / "em" / "coordinateTransformations" / "d", np.full((30, 30, 2), (0.5, -1.0)), "yx")
    em = one(tmp_path / "em")
    assert list(em.systems) == ["physical", "atlas", "straight", "s0", "s1"]
    assert em.map_points((1, 2), "voxels", "physical").tolist() == [2, 1]
    assert em.map_points([(1, 2)], "s1", "s0").tolist() == [[2.5, 4.5]]
    assert em.map_points((1, 2), "s0", "atlas").tolist() == [1 + 5, 2 * 2 + 7]
    assert em.transform("atlas", "physical") == Affine(((0, 0.5, -3.5), (1, 0, -5)))
    assert em.map_points((4, 4), "voxels", "straight").tolist() == [8.5, 1.0]
    assert em.map_points((8.5, 1.0), "straight", "voxels", approximate=True).tolist() == [4, 4]
    with pytest.raises(UnsupportedError, match="physical → straight cannot be taken backward"):
        em.transform("straight", "voxels")
    with pytest.raises(NotFoundError):
        em.transform("voxels", "space")
    with pytest.raises(InputError):
        em.map_points((1, 2, 3), "voxels", "physical")
    assert "voxels" in em.systems and em.systems["voxels"].ndim == 2 and "void" not in em.systems


def test_a_broken_reference_blocks_only_the_ways_through_it(tmp_path: Path) -> None:
    edges = [
        {"type": "affine", "path": "gone", "input": {"name": "physical"}, "output": {"name": "atlas"}},
        {"type": "rotation", "path": "turn", "input": {"name": "physical"}, "output": {"name": "upright"}},
    ]
    image(tmp_path / "em", edges, ("atlas", "upright"))
    array(tmp_path / "em" / "turn", np.array([[1.0, 1.0], [0.0, 1.0]]))
    em = one(tmp_path / "em")
    assert em.map_points((1, 2), "voxels", "physical").tolist() == [2, 1]
    with pytest.raises(UnsupportedError, match=r"physical → atlas cannot be taken forward.*gone"):
        em.transform("voxels", "atlas")
    with pytest.raises(UnsupportedError, match=r"physical → upright.*orthonormal"):
        em.transform("voxels", "upright")


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the official examples are not at hand")
def test_the_official_stitching_scene_maps_points_between_tiles(tmp_path: Path) -> None:
    scene = json.loads((EXAMPLES / "scene" / "scene_stitching.json").read_text())["attributes"]["ome"]["scene"]
    group(tmp_path, {"scene": scene})
    for i in range(4):
        image(tmp_path / f"tile_{i}")
    systems = open_systems(tmp_path)
    assert systems.map_points((10, 20), "tile_3#physical", "world").tolist() == [286, 368]
    assert systems.map_points((10, 20), "tile_3#physical", "tile_0#physical").tolist() == [286, 368]
    assert systems.map_points((1, 2), "tile_1#voxels", "world").tolist() == [2, 349]
    assert systems.map_points((1, 2), "tile_2/s1", "tile_1/s0").tolist() == [(5 + 276) / 2, (2.25 - 348) / 0.5]
    assert systems["world"].axes[0].unit == "micrometer"


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the official examples are not at hand")
def test_the_official_registration_scene_maps_points_there_and_back(tmp_path: Path) -> None:
    scene = json.loads((EXAMPLES / "scene" / "scene_registration.json").read_text())["attributes"]["ome"]["scene"]
    group(tmp_path, {"scene": scene})
    shift = np.array([1.5, -2.0, 0.25])
    for name, sign in (("dfield", 1), ("invdfield", -1)):
        vectors = np.broadcast_to(sign * shift, (40, 40, 40, 3))
        write_field(tmp_path / "coordinateTransformations" / name, vectors, "zyx")
    systems = open_systems(tmp_path)
    matrix = np.array(scene["coordinateTransformations"][0]["forward"]["transformations"][1]["affine"])
    points = np.array([[10.0, 20, 30], [20, 15, 25]])
    expected = (points + shift) @ matrix[:, :3].T + matrix[:, 3]
    there = systems.map_points(points, "JRC2018F#physical", "FCWB#physical")
    np.testing.assert_allclose(there, expected, rtol=0, atol=1e-9)
    back = systems.map_points(there, "FCWB#physical", "JRC2018F#physical")
    np.testing.assert_allclose(back, points, rtol=0, atol=1e-5)  # the example's matrices are rounded


@pytest.mark.parametrize(
    "scene",
    [
        {},
        {"coordinateTransformations": []},
        {"coordinateTransformations": [{"type": "identity"}]},
        {"coordinateTransformations": 7},
        [],
        {"coordinateTransformations": [{"type": "identity", "input": {"path": "a"}, "output": {"name": "w"}}]},
    ],
)
def test_broken_scenes_are_refused(tmp_path: Path, scene: Any) -> None:
    group(tmp_path, {"scene": scene})
    with pytest.raises(FormatError):
        open_systems(tmp_path)


def test_a_scene_whose_images_are_missing_says_so(tmp_path: Path) -> None:
    edges = [{"type": "identity", "input": {"path": "../a", "name": "p"}, "output": {"name": "w"}}]
    group(tmp_path, {"scene": {"coordinateTransformations": edges}})
    systems = open_systems(tmp_path)
    assert systems.map_points((1.0, 2.0), "../a#p", "w").tolist() == [1, 2]
    with pytest.raises(NotFoundError):
        systems.transform("../a#voxels", "w")
    assert "cannot be opened" in systems.notes[0]


def test_an_image_is_a_graph_too(tmp_path: Path) -> None:
    image(tmp_path / "em")
    assert open_systems(tmp_path / "em").map_points((1, 2), "voxels", "physical").tolist() == [2, 1]


def test_a_field_in_a_sequence_goes_back_by_iteration(tmp_path: Path) -> None:
    write_field(tmp_path / "d", 0.2 * field((12, 12)), "yx", options={"interpolation": "bspline-cubic"})
    t = opened(Sequence((Scale((0.5, 0.5)), Displacements("d", "bspline-cubic"))), tmp_path)
    points = np.random.default_rng(3).uniform(6, 16, (40, 2))
    np.testing.assert_allclose(approximate_inverse(t, tolerance=1e-11).apply(t.apply(points)), points, atol=1e-9)
    assert dump_transform(t)["transformations"][1] == {
        "type": "displacements", "path": "d", "interpolation": "bspline-cubic",
    }  # fmt: skip
