"""Losses are reported: all of them, and only them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace

import pytest

from voxarium.core.scenes import scene_dialect, scene_dialects, with_base, with_unit
from voxarium.errors import UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.box import Box
from voxarium.model.image import Bag, LabelColor, TransformEdge
from voxarium.model.scene import (
    Move,
    Placement,
    Rendering,
    Scene,
    SceneNode,
    SceneSource,
    SceneView,
    Step,
)
from voxarium.model.scene_losses import lost
from voxarium.model.transforms import Scale, Translation
from voxarium.spec.collections import dump_collection, parse_collection
from voxarium.spec.mobie import dump_project, parse_project
from voxarium.spec.neuroglancer_state import dump_state, parse_state
from voxarium.spec.openorganelle import dump_manifest, parse_manifest
from voxarium.testing.scene_probes import holds, probes

AXES = tuple(Axis(name=n, type="space", unit="micrometer") for n in "zyx")
FULL = Scene(
    name="s",
    description="d",
    nodes=(
        SceneNode(id="group", kind="collection"),
        SceneNode(
            id="em",
            kind="labels",
            name="EM",
            description="stained",
            content="em",
            parent="group",
            sources=(SceneSource(uri="u", format="n5", extra={"lab:a": 1}),),
            axes=(
                Axis(name="a", type="space", labels=("q",), orientation="left-to-right", extra={"lab:b": 1}),
                *AXES[1:],
            ),
            voxel_size=(2.0, 3.0, 4.0),
            box=Box((1, 2, 3), (4, 5, 6)),
            dtype="uint8",
            channels=3,
            label_of=("raw",),
            placements=(Placement(steps=(Step(transform=Scale((2.0, 2.0, 2.0)), name="n", extra={"lab:c": 1}),)),),
            rendering=Rendering(
                window=(1.0, 2.0),
                limits=(0.0, 9.0),
                color="FF0000",
                lut="glasbey",
                invert=True,
                visible=False,
                opacity=0.5,
                blend="additive",
                shader="x",
                label_colors=(LabelColor(label=1, rgba=(1, 2, 3, 4)),),
                selected=(1, 2),
                extra={"lab:d": 1},
            ),
            extra={"lab:e": 1},
        ),
    ),
    systems=(CoordinateSystem(name="world", axes=AXES, extra={"lab:f": 1}),),
    edges=(TransformEdge(source="world", target="other", transform=Scale((1.0, 2.0, 3.0))),),
    views=(
        SceneView(
            name="v",
            description="d",
            position=(1.0, 2.0, 3.0),
            scale=4.0,
            orientation=(0.5, 0.5, 0.5, 0.5),
            projection_scale=5.0,
            projection_orientation=(1.0, 0.0, 0.0, 0.0),
            time=1,
            layout="4panel",
            visible=("em",),
            exclusive=False,
            renderings={"em": Rendering(window=(3.0, 4.0))},
            moves=(
                Move(
                    kind="crop",
                    nodes=(("em",),),
                    transform=Translation((1.0, 1.0, 1.0)),
                    low=(0.0, 0.0, 0.0),
                    high=(1.0, 1.0, 1.0),
                    positions=((0, 1),),
                    results=(("c",),),
                    timepoints=(1,),
                    name="m",
                    extra={"lab:g": 1},
                ),
            ),
            extra={"lab:h": 1},
        ),
    ),
    timepoints=((0, 1),),
    bag=Bag(extra={"lab:i": 1}),
)
# Not statements about the scene: where it came from, and what the world is called.
UNSTATED = {
    "Scene.format",
    "Scene.world",
    "Bag.records",
    "TransformEdge.role",
    "TransformEdge.name",
    "TransformEdge.original",
}


def weaker(value):  # noqa: PLR0911
    """Return a value of the same kind that says less or something else."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return "image" if value == "labels" else value + "2" if value != "micrometer" else "second"
    if isinstance(value, dict):
        return {}
    if isinstance(value, tuple):
        return value[1:] if len(value) != 2 else (value[0], value[1] if isinstance(value[1], tuple) else value[1] + 1)
    if isinstance(value, Scale):
        return Scale((7.0, 7.0, 7.0))
    if isinstance(value, Translation):
        return Translation((7.0, 7.0, 7.0))
    if isinstance(value, Box):
        return Box((0, 0, 0), value.shape)
    return None


def weakened(value, at):
    """Yield (place, value with one statement changed) for every statement in a tree of data classes."""
    if isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):
        for i, item in enumerate(value):
            for place, other in weakened(item, f"{at}[{i}]"):
                yield place, (*value[:i], other, *value[i + 1 :])
        return
    if isinstance(value, dict) and any(dataclasses.is_dataclass(v) for v in value.values()):
        for key, item in value.items():
            for place, other in weakened(item, f"{at}.{key}"):
                yield place, value | {key: other}
        return
    if not dataclasses.is_dataclass(value) or isinstance(value, (Scale, Translation, Box)):
        yield at, weaker(value)
        return
    for field in dataclasses.fields(value):
        name = f"{type(value).__name__}.{field.name}"
        found = getattr(value, field.name)
        if name in UNSTATED or found in (None, (), {}, ""):
            continue
        for place, other in weakened(found, f"{at}.{field.name}"):
            try:
                yield place, replace(value, **{field.name: other})
            except ValueError:  # two statements hang together, such as ids and parents
                continue


def test_no_statement_of_the_model_escapes_the_comparison():
    assert lost(FULL, FULL, "x") == ()
    unnoticed = []
    seen = 0
    for place, other in weakened(FULL, "scene"):
        if place.endswith((".kind", "lab:x")) and place.count(".") == 3:
            continue
        seen += 1
        if other is not None and not lost(FULL, other, "x"):
            unnoticed.append(place)
    # Hidden by itself, but shown by the only view; shown otherwise by the view: neither changes what anybody sees.
    hidden = {"scene.nodes[1].rendering.visible", "scene.nodes[0].kind"}
    overruled = {"scene.nodes[1].placements[0].source", "scene.nodes[1].placements[0].target"}
    assert set(unnoticed) - hidden - overruled == set()
    assert seen > 60


def test_every_field_of_the_model_is_stated_in_the_full_scene():
    for value in (FULL, FULL.nodes[1], FULL.nodes[1].rendering, FULL.views[0], FULL.views[0].moves[0]):
        empty = [f.name for f in dataclasses.fields(value) if getattr(value, f.name) in (None, (), {}, "")]
        assert set(empty) <= {"format"}, type(value)


def test_a_collection_holds_the_full_scene():
    document, losses = dump_collection(FULL)
    assert losses == ()
    again = parse_collection(json.loads(json.dumps(document)))
    assert lost(FULL, again, "x") == () and lost(again, FULL, "x") == ()


def test_only_the_draft_of_collections_is_written():
    with pytest.raises(UnsupportedError, match=r"0\.7"):
        dump_collection(FULL, version="0.7")


def test_what_is_lost_with_something_is_not_listed_again(manifest):
    _, losses = dump_state(parse_manifest(manifest), "Mitochondria")
    places = [loss.where for loss in losses]
    assert "views/Default view" in places and not [p for p in places if p.startswith("views/Default view/")]


def test_neuroglancer_says_what_it_cannot_hold_of_a_manifest(manifest):
    _, losses = dump_state(parse_manifest(manifest), "Mitochondria")
    assert {loss.where for loss in losses} == {
        "metadata/openorganelle:metadata",
        "nodes/fibsem-uint8/description",
        "nodes/fibsem-uint8/content",
        "nodes/mito_seg/description",
        "nodes/mito_seg/content",
        "nodes/mito_seg/rendering/window",
        "nodes/mito_seg/rendering/limits",
        "nodes/mito_seg~1mito_seg",
        "nodes/mito_seg~11/name",
        "nodes/mito_seg~11/sources/0/format",
        "nodes/mito_seg~11/metadata/openorganelle:ids",
        "views/Default view",
        "views/Mitochondria/description",
    }
    assert {loss.kind for loss in losses if loss.where == "nodes/mito_seg~1mito_seg"} == {"name"}


def test_what_both_can_hold_comes_back_from_neuroglancer(manifest):
    document, _ = dump_state(parse_manifest(manifest), "Mitochondria")
    back, losses = dump_manifest(parse_state(document))
    for id, source in manifest["sources"].items():
        now = back["sources"][id]
        for key in ("url", "format", "sampleType"):
            assert now[key] == source[key]
    em = back["sources"]["fibsem-uint8"]
    assert em["displaySettings"] == manifest["sources"]["fibsem-uint8"]["displaySettings"]
    assert back["sources"]["mito_seg"]["displaySettings"]["color"] == "green"
    mesh = back["sources"]["mito_seg"]["subsources"]
    assert [m["url"] for m in mesh] == []  # its format is known to the manifest alone
    assert any(loss.where == "nodes/mito_seg~11" for loss in losses)
    view, was = back["views"][0], manifest["views"][1]
    assert sorted(view["sources"]) == sorted(was["sources"]) and view["orientation"] == was["orientation"]
    assert view["position"] == pytest.approx(was["position"]) and view["scale"] == pytest.approx(was["scale"])
    assert (view["name"], back["name"]) == ("Mitochondria", "lab_cell-1")


def test_what_both_can_hold_comes_back_from_mobie(manifest):
    documents, losses = dump_project(parse_manifest(manifest))
    assert {loss.kind for loss in losses} == {"name", "metadata", "system", "transform", "rendering", "node", "view"}
    back, _ = dump_manifest(parse_project(documents))
    assert back["name"] == "lab_cell-1"
    for id, source in manifest["sources"].items():
        now = back["sources"][id]
        for key in ("description", "url", "format", "sampleType", "contentType"):
            assert now[key] == source[key]
    was = manifest["sources"]["fibsem-uint8"]["displaySettings"]
    now = back["sources"]["fibsem-uint8"]["displaySettings"]
    assert (now["color"], now["invertLUT"]) == (was["color"], was["invertLUT"])
    assert [now["contrastLimits"][k] for k in ("start", "end")] == [20, 180]
    views = {v["name"]: v for v in back["views"]}
    assert sorted(views["Mitochondria"]["sources"]) == ["fibsem-uint8", "mito_seg"]
    assert views["Mitochondria"]["position"] == pytest.approx(manifest["views"][1]["position"])
    assert views["Mitochondria"]["description"] == "Some of it."


def test_a_stand_in_is_reported():
    scene = Scene(
        nodes=(SceneNode(id="em", kind="image", sources=(SceneSource(uri="https://h/a.zarr", format="zarr"),)),)
    )
    required = {}
    for dialect in scene_dialects():
        _, losses = dialect.dump(scene)
        required[dialect.name] = {loss.where for loss in losses if loss.kind == "required"}
    assert required["webknossos"] == {"scale", "nodes/em/box", "nodes/em/mags", "nodes/em/dtype"}
    assert required["openorganelle"] == {"nodes/em/content", "nodes/em/transform"}
    assert required["bdv"] == {"nodes"}
    assert required["neuroglancer"] == required["collections"] == set()


def test_names_that_a_dialect_refuses_are_changed_and_reported():
    sources = (SceneSource(uri="https://h/a.zarr", format="ome-zarr"),)
    nodes = tuple(SceneNode(id=i, kind="image", sources=sources) for i in ("a b", "a;b", "a_b"))
    documents, losses = dump_project(Scene(name="two words", nodes=nodes))
    assert list(documents) == ["project.json", "two_words/dataset.json"]
    assert list(documents["two_words/dataset.json"]["sources"]) == ["a_b", "a_b-2", "a_b-3"]
    assert {loss.where for loss in losses if loss.kind == "name"} >= {"name", "nodes/a b", "nodes/a;b"}


def test_what_mobie_said_in_earlier_versions_is_read_and_reported(project):
    dataset = project["clem/dataset.json"]
    dataset["timepoints"] = 3
    dataset["sources"]["lm"]["image"]["description"] = "Fluorescence."
    project["project.json"]["specVersion"] = "0.2.1"
    scene = parse_project(project)
    assert scene.timepoints == ((0, 2),) and scene.node("lm").description == "Fluorescence."
    documents, losses = dump_project(scene)
    assert {loss.where for loss in losses} == {"timepoints", "metadata/mobie:specVersion", "nodes/lm/rendering/window"}
    assert documents["project.json"]["specVersion"] == "0.3.0"
    assert documents["clem/dataset.json"]["views"]["lm"]["description"] == "Fluorescence."


def test_containers_of_bigdataviewer_are_not_taken_for_its_xml(documents):
    scene = scene_dialect("bdv").parse(documents["bdv"])
    assert {s.format for n in scene.nodes for s in n.sources} == {"bdv-n5"}
    _, losses = dump_project(scene)
    assert {"nodes/left", "nodes/right <2>"} <= {loss.where for loss in losses if loss.kind == "node"}


def test_projects_of_several_datasets_come_out_as_several(project):
    second = json.loads(json.dumps(project["clem/dataset.json"]))
    project["tomo/dataset.json"] = second
    project["project.json"]["datasets"].append("tomo")
    scene = parse_project(project)
    assert [n.id for n in scene.children(None)] == ["clem", "tomo"]
    assert scene.node("tomo/cells/table").parent == "tomo/cells"
    documents, losses = dump_project(scene)
    assert losses == () and list(documents) == ["project.json", "clem/dataset.json", "tomo/dataset.json"]
    assert documents["tomo/dataset.json"]["sources"] == second["sources"]
    assert parse_project(documents).views == scene.views


def test_a_unit_that_a_dialect_does_not_say_can_be_told(project):
    scene = parse_project(project)
    document, losses = dump_state(with_base(scene, "https://example.org/data"))
    assert "position" not in document and "dimensions" not in document
    assert any(loss.where == "views/default/position" for loss in losses)
    document, losses = dump_state(with_unit(with_base(scene, "https://example.org/data"), "um"))
    assert document["position"] == pytest.approx([1500, 2500, 3500])
    assert not any(loss.where == "views/default/position" for loss in losses)


def test_relative_addresses_cannot_be_opened_by_a_viewer(datasource):
    from voxarium.spec.webknossos_scene import parse_datasource

    scene = parse_datasource(datasource)
    document, losses = dump_state(scene)
    assert document["layers"] == [] and {"nodes/color", "nodes/segmentation"} <= {loss.where for loss in losses}
    document, losses = dump_state(with_base(scene, "https://example.org/cortex"))
    assert "nodes/color/placement" in {loss.where for loss in losses}
    (layer,) = document["layers"]  # Neuroglancer does not read WKW
    assert layer["source"] == "zarr3://https://example.org/cortex/color"  # a spline is not a matrix: reported


def test_earlier_collections_are_read(example, slide):
    scene = parse_collection(example)
    kinds = {n.id: n.kind for n in scene.nodes}
    assert kinds == {"color": "image", "segmentation": "labels", "meshfile_4-4-2": "mesh", "connectome": "table"}
    assert scene.node("meshfile_4-4-2").parent == "segmentation"
    assert scene.node("color").box == Box((130, 129, 128), (3285, 8380, 5445))
    assert scene.node("color").rendering.visible is False and scene.node("color").dtype == "uint8"
    assert scene.views[0].position == (1770 * 28.0, 4318 * 12.0, 2850 * 11.0)
    assert scene.views[0].scale == pytest.approx(1.3 * 11.0)
    old = parse_collection(slide)
    assert [(n.id, n.kind) for n in old.nodes] == [("raw", "image"), ("prediction", "image"), ("others", "collection")]
    assert old.node("raw").rendering == Rendering(window=(10, 90), invert=True)
    assert old.node("prediction").rendering.visible is False
    assert old.bag.extra == {"collections:rendering": {"position": [1, 2, 3], "zoom": 2}}
    for found in (scene, old):
        document, losses = dump_collection(found)
        assert losses == () and document["ome"]["type"] == "collection"
        assert all("type" in n and "node_type" not in n for n in document["ome"]["nodes"])


def test_words_of_earlier_collections_mean_nothing_in_the_draft(collection, datasource):
    attributes = collection["ome"]["nodes"][0].setdefault("attributes", {})
    attributes |= {"webknossos:category": "segmentation", "webknossos:bounding_box": "none"}
    assert parse_collection(collection).node("tile_0").kind == "image"
    datasource["dataLayers"][0]["bounding_box"] = {"topleft": "elsewhere"}
    datasource["rendering"] = 3
    from voxarium.spec.webknossos_scene import parse_datasource

    scene = parse_datasource(datasource)
    assert dump_collection(scene)[1] == ()


@pytest.mark.parametrize("probe", list(probes()), ids=lambda p: f"{p.group}: {p.label}")
def test_collections_hold_everything(probe):
    assert holds(scene_dialect("collections"), probe)


def test_after_two_journeys_everything_that_is_gone_was_reported_on_one_of_them(documents):
    for name, docs in documents.items():
        home = scene_dialect(name)
        scene = with_base(home.parse(docs), "https://example.org/data")
        for away in scene_dialects():
            written, there = away.dump(scene)
            written, back = home.dump(away.parse(written))
            reported = {loss.where for loss in (*there, *back)}
            for loss in lost(scene, home.parse(written), name):
                parts = loss.where.split("/")
                assert {"/".join(parts[: i + 1]) for i in range(len(parts))} & reported, (name, away.name, loss)
