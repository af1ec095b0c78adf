"""What is wrong with an ``info``, and with the folders it names."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.core.opening import open_image
from voxarium.formats.precomputed.checks import PrecomputedChecks
from voxarium.model.checks import CheckNode
from voxarium.model.edits import apply_edits
from voxarium.spec.precomputed import rules
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore
from voxarium.validation.data import check_data
from voxarium.validation.examples.precomputed import BASES
from voxarium.validation.running import validate_in

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def tree(name="precomputed", **changes):
    """Return a base whose ``info`` has other members: ``scales__0__size=[…]``."""
    objects = BASES[name]()
    doc = json.loads(objects["info"])
    for path, value in changes.items():
        *parents, last = [int(p) if p.isdigit() else p for p in path.split("__")]
        at = doc
        for part in parents:
            at = at[part]
        at[last] = value
    return objects | {"info": json.dumps(doc).encode()}


def found(objects, depth="hierarchy"):
    store = MemoryStore(dict(objects))
    return [f for f in validate_in(store, "", depth=depth, profile="quality").findings if f.rule[:2] in ("PC", "GE")]


def named(objects, depth="hierarchy"):
    return {(f.rule, f.level, f.pointer) for f in found(objects, depth)}


def test_what_neuroglancer_reads_though_it_is_written_oddly_is_only_recommended_against_and_mended():
    objects = tree(scales__0__size=["21", 14.0, 9], data_type="UINT16", type="Image")
    findings = found(objects)
    assert {(f.rule, f.level) for f in findings} == {("PC-004", "should")}
    assert {f.pointer for f in findings} == {"/scales/0/size/0", "/scales/0/size/1", "/data_type", "/type"}
    mended = apply_edits(objects, tuple(e for f in findings for e in f.repair))
    assert json.loads(mended["info"])["scales"][0]["size"] == [21, 14, 9]
    assert not found(mended)


def test_the_name_of_the_json_schema_for_chunk_sizes_is_mended():
    objects = BASES["precomputed"]()
    doc = json.loads(objects["info"])
    doc["scales"][0]["chunk_size"] = doc["scales"][0].pop("chunk_sizes")[0]
    objects["info"] = json.dumps(doc).encode()
    (finding,) = [f for f in found(objects) if f.rule == "PC-019"]
    assert finding.level == "must"
    mended = apply_edits(objects, finding.repair)
    assert not found(mended)


@pytest.mark.parametrize(
    ("offset", "level"), [([4, -2, 1], None), ([5, -2, 1], "must"), ([4, -2, 0], "must"), ([4, -2, 2], "must")]
)
def test_a_level_that_begins_a_voxel_elsewhere_is_wrong(offset, level):
    levels = {f.level for f in found(tree(scales__1__voxel_offset=offset), "document") if f.rule == "PC-035"}
    assert levels == ({level} if level else set())


def test_a_level_shifted_by_half_a_voxel_is_named_with_the_shift():
    objects = tree(scales__0__voxel_offset=[9, -4, 2])
    (finding,) = [f for f in found(objects, "document") if f.rule == "PC-035"]
    assert finding.level == "should"
    assert "-0.5, +0, +0" in finding.message
    assert finding.expected == [4.5, -2, 1]


def test_sizes_may_be_rounded_up_or_down():
    for size in ([11, 7, 5], [10, 7, 4]):
        assert not [f for f in found(tree(scales__1__size=size), "document") if f.rule == "PC-036"]
    assert [f for f in found(tree(scales__1__size=[9, 7, 5]), "document") if f.rule == "PC-036"]


@pytest.mark.parametrize(
    ("encoding", "dtype", "channels", "good"),
    [
        ("raw", "float32", 7, True), ("jpeg", "uint8", 3, True), ("jpeg", "uint8", 2, False),
        ("jpeg", "uint16", 1, False), ("png", "uint16", 4, True), ("png", "uint16", 5, False),
        ("png", "uint32", 1, False), ("jxl", "uint8", 4, True), ("jxl", "uint8", 2, False),
        ("compresso", "uint8", 1, True), ("compresso", "int8", 1, False), ("compresso", "uint8", 2, False),
        ("compressed_segmentation", "uint32", 2, True), ("compressed_segmentation", "uint16", 1, False),
    ],
)  # fmt: skip
def test_encodings_hold_what_the_table_says(encoding, dtype, channels, good):
    objects = tree(scales__0__encoding=encoding, data_type=dtype, num_channels=channels)
    broken = any(f.rule == "PC-022" for f in found(objects, "document"))
    assert broken is not good


def test_redirects_are_followed_and_what_they_lead_to_is_checked():
    inner = tree(scales__0__size=[21, 14, 8.5])
    objects = {f"data/{k}": v for k, v in inner.items()} | {
        "info": b'{"@type": "neuroglancer_multiscale_volume", "redirect": "other"}',
        "other/info": b'{"redirect": "../data"}',
    }
    findings = found(objects)
    assert ("PC-017", "data/info") in {(f.rule, f.key) for f in findings}


def test_redirects_in_a_circle_are_found():
    objects = {"info": b'{"redirect": "a"}', "a/info": b'{"redirect": "../a"}'}
    assert "PC-005" in {f.rule for f in found(objects)}


def test_folders_of_legacy_meshes_need_no_info():
    objects = tree("precomputed-segmentation")
    del objects["mesh/info"]
    assert ("PC-040", "must", "/mesh") in named(objects)
    assert ("PC-040", "must", "/mesh") not in named(objects | {"mesh/17:0": b'{"fragments": []}'})


def test_what_a_volume_names_is_checked_too():
    objects = BASES["precomputed-segmentation"]()
    objects["skeletons/info"] = b'{"@type": "neuroglancer_skeletons", "transform": [1]}'
    assert ("PC-102", "skeletons/info") in {(f.rule, f.key) for f in found(objects)}


def test_a_file_called_info_that_is_not_neuroglancers_is_nobodys_business():
    node = CheckNode(
        path="", depth="document", document={"info": b"read me first"}.get, array=lambda _: None, names=lambda _: None
    )
    assert PrecomputedChecks().check(node) is None


def test_at_depth_document_only_documents_are_asked_for():
    asked = []

    def document(name):
        asked.append(name)
        return BASES["precomputed-segmentation"]().get(name)

    def never(_name):
        raise AssertionError("not at depth document")

    node = CheckNode(path="", depth="document", document=document, array=never, names=never)
    checked = PrecomputedChecks().check(node)
    assert checked.kind == "label"
    assert not checked.findings
    assert set(asked) == {"info", "provenance"}


def test_a_chunk_in_front_of_the_volume_does_not_stand_for_one_of_its_own():
    objects = BASES["precomputed"]()
    moved = objects.pop("8_8_40/24-29_-4-4_2-10")  # the last along x; place -1 would be taken for it
    report = validate_in(MemoryStore(objects | {"8_8_40/0-8_-4-4_2-10": moved}), "", depth="census", profile="quality")
    said = {f.rule: f.message for f in report.findings if f.rule.startswith("CE-")}
    assert any("8_8_40/24-29_-4-4_2-10" in text for text in said.values())
    assert any("8_8_40/0-8_-4-4_2-10" in text for text in said.values())


def test_packed_chunks_are_named_with_their_mend():
    objects = BASES["precomputed"]()
    packed = {f"{k}.gz" if k.startswith("8_8_40/") else k: v for k, v in objects.items()}
    report = validate_in(MemoryStore(packed), "", depth="census", profile="spec")
    assert not report.valid
    assert {"PC-042", "CE-006"} <= {f.rule for f in report.findings}


def test_shards_in_the_old_form_are_counted_by_their_data():
    objects = {}
    for key, raw in BASES["precomputed-sharded"]().items():
        stem, _, suffix = key.rpartition(".")
        parts = {f"{stem}.index": raw[:16], f"{stem}.data": raw[16:]} if suffix == "shard" else {key: raw}
        objects |= parts
    report = validate_in(MemoryStore(objects), "", depth="census", profile="quality")
    assert {f.rule for f in report.findings if f.rule[:2] in ("PC", "CE", "GE")} == {"PC-043"}
    del objects["16_16_80/0.data"]
    report = validate_in(MemoryStore(objects), "", depth="census", profile="quality")
    assert "CE-002" in {f.rule for f in report.findings}


def test_shards_under_each_others_names_are_found():
    objects = BASES["precomputed-sharded"]()
    one, other = "8_8_40/0.shard", "8_8_40/1.shard"
    objects[one], objects[other] = objects[other], objects[one]
    found_there = check_data(open_image(MemoryStore(objects), "")).findings
    assert {one, other} <= {f.key for f in found_there if "of other shards" in f.message}


# ---------------------------------------------------------------------------------------------------- foreign data
@pytest.mark.parametrize(
    "folder",
    [
        "precomputed/golden_generated/seg", "precomputed/golden_generated/seg_sharded",
        "precomputed/golden_generated/seg_compresso", "precomputed/golden_generated/em_jpeg",
        "precomputed/h01_annotations",
        "neuroglancer/testdata/datasource/precomputed/one_channel",
        "neuroglancer/testdata/datasource/precomputed/two_channels",
    ],
)  # fmt: skip
def test_what_others_wrote_breaks_no_demand(folder):
    if not (SHARED / folder).is_dir():
        pytest.skip(f"shared data are not at {SHARED}")
    for profile in ("schema", "spec"):
        report = validate_in(LocalStore(SHARED / folder), "", depth="data", profile=profile)
        assert report.valid, [f for f in report.findings if f.counts(profile)]


# ------------------------------------------------------------------------------------------------------------ junk
keys = st.sampled_from(
    ["@type", "type", "data_type", "num_channels", "scales", "key", "size", "resolution", "voxel_offset", "chunk_sizes",
     "encoding", "sharding", "mesh", "redirect", "transform", "vertex_attributes", "id", "dimensions", "lower_bound",
     "upper_bound", "annotation_type", "relationships", "by_id", "spatial", "grid_shape", "chunk_size", "limit",
     "properties", "enum_values", "enum_labels", "inline", "ids", "values", "tags"]
)  # fmt: skip
words = st.sampled_from(
    ["neuroglancer_multiscale_volume", "neuroglancer_multilod_draco", "neuroglancer_legacy_mesh", "tags", "label",
     "neuroglancer_skeletons", "neuroglancer_annotations_v1", "neuroglancer_segment_properties", "image", "uint8",
     "number", "segmentation", "raw", "jpeg", "compressed_segmentation", "point", "..", "../x", "a", "/", ""]
)  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.integers(-2, 70) | st.floats() | words | st.text()
)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(keys, v, max_size=6), max_leaves=40)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(keys, values, max_size=12))
def test_whatever_an_info_says_it_is_answered_with_findings(document):
    raw = json.dumps(document).encode()
    sheet, root = rules.read_info(raw, "a/info")
    if root is not None:
        rules.check_info(root)
    assert all(f.rule in rules.RULES for f in sheet.findings)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_changed_in_a_good_info_it_is_answered_with_findings(data):
    name = data.draw(st.sampled_from(sorted(BASES)))
    document = json.loads(BASES[name]()["info"])
    at, key = document, None
    parent = None
    for _ in range(data.draw(st.integers(1, 6))):
        if not isinstance(at, list | dict) or not at:
            break
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        parent, at = at, at[key]
    parent[key] = data.draw(values)
    _, root = rules.read_info(json.dumps(document).encode(), "info")
    if root is not None:
        rules.check_info(root)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_bytes_that_are_no_document_are_a_finding(raw):
    sheet, root = rules.read_info(raw, "info")
    assert root is not None or {f.rule for f in sheet.findings} == {"PC-001"}


def test_deep_nesting_and_long_numbers_are_findings():
    for raw in (b"[" * 100_000, b'{"@type": ' * 50_000, b'{"num_channels": ' + b"9" * 5000 + b"}"):
        sheet, root = rules.read_info(raw, "info")
        assert root is None
        assert {f.rule for f in sheet.findings} == {"PC-001"}
