"""Independent readers: the viewer's own Python package, and published schemas."""

from __future__ import annotations

import json

import jsonschema
import pytest

from voxarium.core.scenes import open_scene, with_base
from voxarium.spec.neuroglancer_state import dump_link, dump_state, parse_state
from voxarium.spec.openorganelle import dump_manifest, parse_manifest

pytestmark = pytest.mark.oracle


@pytest.fixture
def neuroglancer():
    return pytest.importorskip("neuroglancer", reason="the viewer's package is not installed")


def test_the_viewers_package_reads_our_links_and_we_read_its_own(neuroglancer, state):
    link = dump_link(state)
    found = neuroglancer.parse_url(link)
    assert found.to_json() == state
    assert parse_state(neuroglancer.to_url(found)) == parse_state(state)
    quoted = "{'title':'a_b'_'layers':[{'name':'all \"x\"'_'source':'n5://s3://a/b'_'type':'image'}]}"
    theirs = neuroglancer.parse_url(f"https://h/#!{quoted}").to_json()
    assert parse_state(f"https://h/#!{quoted}") == parse_state(theirs)
    assert parse_state(theirs).nodes[0].id == 'all "x"'


def test_the_viewers_package_accepts_what_we_write_of_every_dialect(neuroglancer, documents, tmp_path, shared):
    found = []
    for name, docs in documents.items():
        for key, raw in docs.items():
            path = tmp_path / name / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(raw)
        found.append(with_base(open_scene(tmp_path / name), "https://example.org/data"))
    found += [open_scene(p) for p in sorted((shared / "cellmap" / "fibsem-metadata" / "api").glob("*/manifest.json"))]
    for scene in found:
        document, _ = dump_state(scene)
        theirs = neuroglancer.ViewerState(json.loads(json.dumps(document)))
        assert theirs.to_json() == document
        for layer in theirs.layers:  # every property is read, which checks its type
            if isinstance(layer.layer, neuroglancer.ImageLayer):
                assert layer.layer.shader_controls is not None
            for source in layer.layer.source:
                if source.transform is not None and source.transform.matrix is not None:
                    rank = len(source.transform.output_dimensions.names)
                    assert source.transform.matrix.shape == (rank, rank + 1)
        if theirs.position is not None and "position" in document:
            assert len(theirs.position) == len(theirs.dimensions.names)


def test_the_viewers_package_understands_window_colour_and_segments(neuroglancer, manifest):
    document, _ = dump_state(parse_manifest(manifest), "Mitochondria")
    theirs = neuroglancer.ViewerState(document)
    em = theirs.layers["fibsem-uint8"].layer
    assert list(em.shader_controls["normalized"].range) == [180, 20]  # inverted
    assert theirs.layers["mito_seg"].layer.segment_default_color == "#008000"
    assert [s.url for s in theirs.layers["mito_seg"].layer.source][1].startswith("precomputed://s3://bucket")
    assert theirs.cross_section_orientation.tolist() == [1, 0, 0, 0]


def test_manifests_follow_their_published_schema(manifest, shared):
    schema = json.loads((shared / "cellmap" / "fibsem-metadata" / "schemas" / "manifest.schema.json").read_bytes())
    schema = {k: v for k, v in schema.items() if k != "$schema"}
    written, _ = dump_manifest(parse_manifest(manifest))
    written["views"] = [{k: v for k, v in view.items() if v is not None} for view in written["views"]]
    errors = [e.message for e in jsonschema.Draft7Validator(schema).iter_errors(written)]
    assert not [e for e in errors if "metadata" not in e and "is a required property" not in e]
