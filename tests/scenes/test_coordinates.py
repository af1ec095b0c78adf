"""Points of the world keep their place from dialect to dialect, half voxels included."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxarium.core.scenes import scene_dialect, with_base
from voxarium.model.quaternions import quaternion_of, rotation_of
from voxarium.model.scene import STORED, UNITS, VOXELS
from voxarium.model.scene_facts import effective_placements, world_matrices
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.spec.collections import parse_collection
from voxarium.spec.mobie import dump_project, parse_project
from voxarium.spec.neuroglancer_state import dump_state, parse_state
from voxarium.spec.openorganelle import dump_manifest, parse_manifest
from voxarium.spec.scene_bdv import parse_spim_data
from voxarium.spec.webknossos_scene import dump_datasource, parse_datasource


def matrix(scene, id, frame, view=None):
    node = scene.node(id)
    return world_matrices(scene, node, effective_placements(scene, node, view)[0])[frame]


def test_a_manifest_says_where_voxel_centres_are_in_z_y_x(manifest):
    scene = parse_manifest(manifest)
    assert [a.name for a in scene.axes] == ["z", "y", "x"] and {a.unit for a in scene.axes} == {"nanometer"}
    expected = [[5.24, 0, 0, 10], [0, -4, 0, 0], [0, 0, 4.5, -4]]
    np.testing.assert_allclose(matrix(scene, "fibsem-uint8", VOXELS), expected)


def test_positions_of_manifests_are_x_y_z_and_become_z_y_x(manifest):
    view = parse_manifest(manifest).views[1]
    assert view.position == (14561.0, 1205.0, 25042.0) and view.scale == 3.9
    assert view.orientation == (1.0, 0.0, 0.0, 0.0)


def test_neuroglancer_gets_the_half_voxel_that_lies_between_corners_and_centres(manifest):
    document, _ = dump_state(parse_manifest(manifest), "Mitochondria")
    layer = document["layers"][0]
    transform = layer["source"]["transform"]
    scales = np.array([v[0] for v in transform["outputDimensions"].values()]) * 1e9  # x, y, z in nanometres
    rows = np.array(transform["matrix"])
    # The viewer's coordinate of the centre of voxel (x, y, z) = (3, 5, 7) is half a voxel further.
    centre = rows[:, :3] @ np.array([3.5, 5.5, 7.5]) + rows[:, 3]
    np.testing.assert_allclose(centre * scales, [4.5 * 3 - 4, -4 * 5, 5.24 * 7 + 10])
    steps = np.array([v[0] for v in document["dimensions"].values()]) * 1e9
    np.testing.assert_allclose(np.array(document["position"]) * steps, [25042, 1205, 14561])
    assert document["crossSectionScale"] * steps.min() == pytest.approx(3.9)


def test_webknossos_gets_the_same_half_voxel(manifest):
    document, _ = dump_datasource(parse_manifest(manifest))
    layer = document["dataLayers"][0]
    factor = np.array(document["scale"]["factor"])
    rows = np.array(layer["coordinateTransformations"][0]["matrix"])
    centre = rows @ np.array([3.5, 5.5, 7.5, 1.0])
    np.testing.assert_allclose(centre[:3] * factor, [4.5 * 3 - 4, -4 * 5, 5.24 * 7 + 10])


@pytest.mark.parametrize("between", ["neuroglancer", "webknossos", "collections"])
def test_voxels_are_where_they_were_after_a_journey(manifest, between):
    scene = parse_manifest(manifest)
    dialect = scene_dialect(between)
    written, _ = dialect.dump(scene)
    back, _ = dump_manifest(dialect.parse(written))
    for id in ("fibsem-uint8", "mito_seg"):
        was, now = manifest["sources"][id]["transform"], back["sources"][id]["transform"]
        assert now["axes"] == was["axes"] and now["units"] == was["units"]
        np.testing.assert_allclose(now["scale"], was["scale"], rtol=1e-9)
        np.testing.assert_allclose(now["translate"], was["translate"], rtol=1e-9, atol=1e-9)


def test_mobie_matrices_are_turned_into_z_y_x_and_applied_in_their_order(project):
    scene = parse_project(project)
    view = scene.views[0]
    # (x, y, z) → (2 y + 5, −3 x + 6, 4 z + 7)
    point = matrix(scene, "em", STORED, view) @ np.array([30.0, 20.0, 10.0, 1.0])
    np.testing.assert_allclose(point, [4 * 30 + 7, -3 * 10 + 6, 2 * 20 + 5])


def test_a_mobie_viewer_that_is_a_matrix_shows_the_point_that_it_maps_to_the_middle(project):
    grid = parse_project(project).views[1]
    rows = np.array(project["clem/dataset.json"]["views"]["grid"]["viewerTransform"]["normalizedAffine"]).reshape(3, 4)
    middle = rows[:, :3] @ np.array(grid.position[::-1]) + rows[:, 3]
    np.testing.assert_allclose(middle, 0, atol=1e-12)
    turned = rotation_of(grid.orientation)  # screen axes in the world
    np.testing.assert_allclose(rows[:, :3] @ turned, 0.02 * np.eye(3), atol=1e-9)


def test_states_count_their_dimensions(state):
    scene = parse_state(state)
    view = scene.views[0]
    np.testing.assert_allclose(view.position, (5417.5 * 40, 41044.6796875 * 4, 109421.8984375 * 4))
    assert view.scale == pytest.approx(2.1875 * 4) and view.name == "central complex"
    point = matrix(scene, "aligned", UNITS) @ np.array([3.0, 2.0, 1.0, 1.0])  # z, y, x
    np.testing.assert_allclose(point, [3 * 40, (-2 - 5.5) * 4, (1 + 0.25 * 3 + 10) * 4])


def test_old_states_are_read_in_their_own_words():
    scene = parse_state(
        {
            "layers": {"em": {"type": "image", "source": "precomputed://gs://b/em"}},
            "navigation": {
                "pose": {
                    "position": {"voxelSize": [8, 8, 30], "voxelCoordinates": [10, 20, 5]},
                    "orientation": [0, 1, 0, 0],
                },
                "zoomFactor": 16,
            },
            "perspectiveOrientation": [1, 0, 0, 0],
        }
    )
    view = scene.views[0]
    assert view.position == (150.0, 160.0, 80.0) and view.scale == 16.0
    assert view.orientation == (0, 1, 0, 0) and view.projection_orientation == (1, 0, 0, 0)
    assert [n.id for n in scene.nodes] == ["em"]


def test_webknossos_counts_voxels_from_their_corners(datasource):
    scene = parse_datasource(datasource)
    node = scene.node("color")
    assert node.box.origin == (96, 32, 64) and node.box.shape == (170, 180, 190)
    assert (node.dtype, node.channels) == ("uint8", 3)
    affine, spline, scale = (s.transform for s in node.placements[0].steps)
    np.testing.assert_allclose(affine.apply([3.0, 2.0, 1.0]), [3 + 0.5 * 1 + 7, 2 * 2 + 6, 1 + 5])
    assert isinstance(spline, ThinPlateSpline) and scale.scale == (28.0, 11.24, 11.24)
    np.testing.assert_allclose(spline.apply([8.0, 9.0, 9.0]), [8.0, 8.0, 9.0], atol=1e-9)
    assert scene.views[0].position == pytest.approx((31 * 28.0, 20 * 11.24, 10 * 11.24))
    assert scene.views[0].scale == pytest.approx(1.3 * 11.24)


def test_datasets_of_old_have_nanometres_in_a_list(datasource):
    datasource["scale"] = [11.24, 11.24, 28.0]
    assert (
        parse_datasource(datasource).axes
        == parse_datasource(datasource | {"scale": {"factor": [11.24, 11.24, 28.0]}}).axes
    )


def test_of_a_registration_the_last_matrix_comes_first(documents):
    scene = parse_spim_data(documents["bdv"]["dataset.xml"])
    left = scene.node("left")
    assert [p.timepoint for p in left.placements] == [0, 1] and scene.timepoints == ((0, 1), (4, 4))
    assert [s.name for s in left.placements[0].steps] == ["calibration", "registration"]
    # voxel (x, y, z) = (10, 20, 3) → (5, 10, 6) → (−10 + 7, 5 + 8, 6 + 9)
    np.testing.assert_allclose(left.placements[0].transform.apply([3, 20, 10]), [15, 13, -3])
    assert left.box.shape == (24, 40, 48) and left.voxel_size == (2.0, 0.5, 0.5)
    assert scene.axes[0].unit == "micrometer"
    assert [p.timepoint for p in scene.node("right <2>").placements] == [0, 1]


def test_an_unknown_world_unit_is_not_guessed(shared):
    scene = parse_spim_data((shared / "neuro" / "h5_generated" / "n_bdv.xml").read_bytes())
    assert scene.axes[0].unit is None and scene.nodes[0].axes[0].unit == "micrometer"


def test_collections_place_nodes_by_their_own_systems(collection):
    scene = parse_collection(collection)
    assert [a.unit for a in scene.axes] == ["micrometer"] * 3
    np.testing.assert_allclose(matrix(scene, "tile_0", STORED)[:, -1], [0, 0, 100])
    assert scene.node("tile_1").placements == ()
    assert [(e.source, e.target) for e in scene.edges] == [("world", "atlas")]


def test_micrometres_become_metres(collection):
    attributes = collection["ome"]["nodes"][0]["attributes"]
    attributes["voxarium:voxelSize"] = [2.0, 0.5, 0.5]  # without it, metres cannot be told from voxels
    scene = with_base(parse_collection(collection), "https://example.org/a")
    document, _ = dump_state(scene)
    transform = document["layers"][0]["source"]["transform"]
    rows, scale = np.array(transform.get("matrix")), transform["outputDimensions"]["x"][0]
    assert rows[0, -1] * scale == pytest.approx(100e-6)


def test_thin_plate_splines_take_points_to_their_partners_and_agree_with_affine_ones():
    random = np.random.default_rng(3)
    source = random.uniform(0, 100, (20, 3))
    linear, shift = np.array([[1, 0.2, 0], [0, 1.5, 0], [0.1, 0, 0.7]]), np.array([5.0, -3.0, 8.0])
    spline = ThinPlateSpline(
        tuple(map(tuple, source.tolist())), tuple(map(tuple, (source @ linear.T + shift).tolist()))
    )
    points = random.uniform(-50, 150, (7, 5, 3))
    np.testing.assert_allclose(spline.apply(points), points @ linear.T + shift, atol=1e-6)
    bent = ThinPlateSpline(spline.source, tuple(map(tuple, random.uniform(0, 100, (20, 3)).tolist())))
    np.testing.assert_allclose(bent.apply(source), bent.target, atol=1e-6)


def test_orientations_survive_as_matrices():
    random = np.random.default_rng(5)
    for _ in range(50):
        turn = random.normal(size=4)
        turn *= np.sign(turn[3]) / np.linalg.norm(turn)
        np.testing.assert_allclose(quaternion_of(3.5 * rotation_of(tuple(turn))), turn, atol=1e-9)
    assert quaternion_of(np.diag([1.0, 1.0, -1.0])) is None and quaternion_of(np.zeros((3, 3))) is None


def test_a_point_of_a_state_is_the_same_after_mobie(state):
    scene = parse_state(state)
    documents, losses = dump_project(scene)
    assert any(loss.where == "systems/world/axes/x/unit" for loss in losses)
    back = parse_project(documents)
    np.testing.assert_allclose(back.views[0].position, scene.views[0].position, rtol=1e-9)
    # MoBIE cannot hold where the source with a transform of its voxels is: it says so.
    assert {loss.where for loss in losses} & {"nodes/aligned", "nodes/aligned/placement"}


def test_json_numbers_stay_numbers(state):
    assert json.loads(json.dumps(dump_state(parse_state(state))[0]))["layers"][1] == state["layers"][1]
