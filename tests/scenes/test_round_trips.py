"""A document that is read and written again says what it said."""

from __future__ import annotations

import json

import pytest

from voxarium.core.scenes import scene_dialect, scene_dialects
from voxarium.model.scene_facts import look_facts, scene_facts
from voxarium.model.xml_tree import parse_xml
from voxarium.spec.collections import parse_collection
from voxarium.spec.mobie import dump_project, parse_project
from voxarium.spec.neuroglancer_state import dump_state, parse_state
from voxarium.spec.openorganelle import dump_manifest, parse_manifest
from voxarium.spec.scene_bdv import dump_spim_data, parse_spim_data
from voxarium.spec.webknossos_scene import dump_datasource, parse_datasource

NAMES = ("bdv", "collections", "mobie", "neuroglancer", "openorganelle", "webknossos")


def test_all_dialects_are_announced():
    assert tuple(d.name for d in scene_dialects()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_lost_between_reading_and_writing_the_same_dialect(documents, name):
    dialect = scene_dialect(name)
    scene = dialect.parse(documents[name])
    written, losses = dialect.dump(scene)
    assert losses == ()
    again = dialect.parse(written)
    assert scene_facts(again) == scene_facts(scene)
    assert [n.id for n in again.nodes] == [n.id for n in scene.nodes]
    for node, twin in zip(scene.nodes, again.nodes, strict=True):
        assert look_facts(scene, node, None).keys() == look_facts(again, twin, None).keys()


@pytest.mark.parametrize("name", NAMES)
def test_every_dialect_claims_its_documents_and_no_others(documents, name):
    for owner, docs in documents.items():
        key, raw = next(iter(docs.items()))
        assert scene_dialect(name).claims(key, raw) == (owner == name)


@pytest.mark.parametrize("name", NAMES)
def test_scenes_go_through_a_collection_without_loss(documents, name):
    scene = scene_dialect(name).parse(documents[name])
    written, losses = scene_dialect("collections").dump(scene)
    assert losses == ()
    back, losses = scene_dialect(name).dump(scene_dialect("collections").parse(written))
    assert losses == ()
    straight, _ = scene_dialect(name).dump(scene)
    assert back == straight


def test_manifests_come_out_as_they_were(manifest):
    written, losses = dump_manifest(parse_manifest(manifest))
    assert written == manifest and losses == ()


def test_what_is_read_of_a_manifest_is_not_carried_a_second_time(manifest):
    scene = parse_manifest(manifest)
    assert set(scene.bag.extra) == {"openorganelle:metadata"}
    assert [dict(n.extra) for n in scene.nodes] == [{}, {}, {"openorganelle:ids": [3, 4]}]
    assert not any(n.rendering.extra or any(s.extra for p in n.placements for s in p.steps) for n in scene.nodes)


def test_all_published_manifests_come_out_as_they_were(shared):
    paths = sorted((shared / "cellmap" / "fibsem-metadata" / "api").glob("*/manifest.json"))
    assert len(paths) == 32
    for path in paths:
        document = json.loads(path.read_bytes())
        scene = parse_manifest(path.read_bytes())
        written, losses = dump_manifest(scene)
        assert written == document and losses == (), path.parent.name
        stated = len(document["sources"]) + sum(len(s["subsources"]) for s in document["sources"].values())
        assert len(scene.nodes) == stated and len(scene.views) == len(document["views"])


def test_all_published_manifests_go_through_a_collection_without_loss(shared):
    for path in sorted((shared / "cellmap" / "fibsem-metadata" / "api").glob("*/manifest.json")):
        collections = scene_dialect("collections")
        written, losses = collections.dump(parse_manifest(path.read_bytes()))
        assert losses == (), path.parent.name
        assert dump_manifest(collections.parse(written))[0] == json.loads(path.read_bytes())


def test_projects_come_out_as_they_were(project):
    written, losses = dump_project(parse_project(project))
    assert losses == ()
    assert written["project.json"] == project["project.json"]
    was, now = project["clem/dataset.json"], written["clem/dataset.json"]
    assert now["sources"] == was["sources"] and now["is2D"] is False
    assert set(now["views"]) == set(was["views"])
    default = was["views"]["default"] | {"sourceTransforms": None}
    assert now["views"]["default"] | {"sourceTransforms": None} == default
    assert now["views"]["grid"] == was["views"]["grid"]
    assert now["views"]["em"] == was["views"]["em"]


def test_states_come_out_as_they_were(state):
    written, losses = dump_state(parse_state(state))
    assert written == state and losses == ()


def test_datasets_come_out_as_they_were(datasource, shared):
    written, losses = dump_datasource(parse_datasource(datasource))
    assert written == datasource and losses == ()
    for name in ("fib25_wkw", "fib25_zarr3"):
        document = json.loads((shared / "webknossos" / name / "datasource-properties.json").read_bytes())
        assert dump_datasource(parse_datasource(document)) == (document, ())


def test_collections_come_out_with_their_own_words(collection):
    written, losses = scene_dialect("collections").dump(parse_collection(collection))
    again = json.loads(written["collection.json"])["ome"]
    body = collection["ome"]
    assert losses == ()
    assert again["id"] == "tiles" and again["name"] == "Tiles" and again["version"] == "0.x"
    assert again["attributes"] == body["attributes"]
    assert again["nodes"][:2] == body["nodes"][:2]
    nuclei, notes = again["nodes"][2]["nodes"]
    assert nuclei["nodes"] == body["nodes"][2]["nodes"][0]["nodes"]
    assert nuclei["attributes"] == body["nodes"][2]["nodes"][0]["attributes"]
    assert notes["type"] == "lab:notes" and notes["path"] == {"type": "json", "path": "./notes.json"}


def tree(element):
    text = "" if element.children else element.text.strip()
    return element.tag, dict(element.attributes), text, [tree(c) for c in element.children]


def test_spim_data_comes_out_as_it_was(documents):
    raw = documents["bdv"]["dataset.xml"]
    written, losses = dump_spim_data(parse_spim_data(raw))
    assert losses == ()
    was, now = (parse_xml(r, "x") for r in (raw, written))
    for path in (("SequenceDescription", "ImageLoader"), ("SequenceDescription", "Timepoints"), ("BoundingBoxes",)):
        assert tree(now.find(*path)) == tree(was.find(*path))
    assert tree(now.find("SequenceDescription", "ViewSetups")) == tree(was.find("SequenceDescription", "ViewSetups"))
    assert tree(now.find("SequenceDescription", "MissingViews")) == tree(
        was.find("SequenceDescription", "MissingViews")
    )

    def registrations(root):
        return sorted(json.dumps(tree(r)) for r in root.find("ViewRegistrations").children)

    assert registrations(now) == registrations(was)


def test_foreign_spim_data_loses_nothing(shared):
    for name in ("n_bdv.xml", "t_bdv.xml"):
        raw = (shared / "neuro" / "h5_generated" / name).read_bytes()
        scene = parse_spim_data(raw)
        written, losses = dump_spim_data(scene)
        assert losses == () and parse_spim_data(written).nodes == scene.nodes
