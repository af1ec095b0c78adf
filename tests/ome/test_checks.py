"""Whole hierarchies: what is compared with what, what is repaired, what is asked of a store; and hostile ones."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import voxarium
from voxarium.formats.ome_zarr_checks import OmeZarrChecks
from voxarium.model.checks import CheckDriver, Checked, CheckNode
from voxarium.model.edits import apply_edits, parse_edit
from voxarium.model.rules import Depth, Finding
from voxarium.stores.memory import MemoryStore
from voxarium.validation.dingus import verdict
from voxarium.validation.examples.ome import BASES
from voxarium.validation.fixing import apply_repairs, plan_repairs
from voxarium.validation.running import validate, validate_in

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
CHECKS = OmeZarrChecks()


def changed(base: str, *edits: str) -> dict[str, bytes]:
    return apply_edits(BASES[base](), tuple(parse_edit(e) for e in edits))


def found(tree: Mapping[str, bytes], depth: Depth = "hierarchy") -> list[Finding]:
    """Return what the rules of OME-Zarr say about a tree, in all profiles."""
    store = MemoryStore()
    for key, raw in tree.items():
        store.put(key, raw)
    reports = (validate_in(store, "", depth=depth, profile=p) for p in ("quality", "schema-strict"))
    return list({(f.rule, f.key, f.pointer): f for r in reports for f in r.findings if f.rule[:2] == "OZ"}.values())


def rules(tree: Mapping[str, bytes]) -> set[str]:
    return {f.rule for f in found(tree)}


def check(tree: Mapping[str, bytes], depth: Depth = "hierarchy", told: Any = None, path: str = "") -> Checked | None:
    prefix = f"{path}/" if path else ""
    names = _unasked if depth == "document" else lambda _: None
    document = lambda name: tree.get(prefix + name)  # noqa: E731
    return CHECKS.check(CheckNode(path=path, depth=depth, document=document, array=_unasked, names=names, told=told))


def test_it_is_a_driver_of_checks() -> None:
    assert isinstance(CHECKS, CheckDriver)


# -- what is none of ours
@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"multiscales": {"layout": [{"asset": "0"}]}, "zarr_conventions": []},
        {"multiscales": [{"name": "", "datasets": [{"path": "s0", "transform": {"scale": [1, 1, 1]}}]}]},
        {"multiscales": [{"datasets": [{"path": "0", "pixels_per_tile": 128, "crs": "EPSG:3857"}]}]},
        {"ome": "a text"},
        {"labels": {"a": 1}, "well": 5},
    ],
    ids=["nothing", "zarr-conventions", "COSEM", "ndpyramid", "no object", "other words"],
)
def test_groups_of_other_conventions_are_left_alone(attributes: dict[str, Any]) -> None:
    newer = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    assert check({"zarr.json": json.dumps(newer).encode()}) is None
    assert check({".zattrs": json.dumps(attributes).encode(), ".zgroup": b'{"zarr_format": 2}'}) is None


def test_documents_of_others_that_are_broken_are_left_alone() -> None:
    assert check({".zattrs": b"{"}) is None
    assert check({".zattrs": b'{"multiscales": '}) is not None


def test_of_versions_before_0_4_only_the_version_is_told() -> None:
    old = {"multiscales": [{"version": "0.2", "datasets": [{"path": "0"}]}]}
    (finding,) = check({".zattrs": json.dumps(old).encode()}).findings  # type: ignore[union-attr]
    assert (finding.rule, finding.level, finding.counts("schema-strict")) == ("OZ04-ST-005", "should", False)


def test_metadata_of_0_4_in_a_group_of_zarr_3_lack_their_namespace() -> None:
    tree = changed("ome05", 'zarr.json#/attributes = {"multiscales": [{"version": "0.4", "axes": []}]}')
    assert "OZ05-ST-003" in rules(tree)


# -- what nodes are and name
def test_kinds_of_nodes_and_what_they_name() -> None:
    for base, kind, names in [
        ("ome05", "image", set()),
        ("ome05-label", "image", {"labels"}),
        ("ome05-plate", "collection", {"A/2", "B/3"}),
        ("ome05-bf2raw", "collection", {"OME", "0", "1"}),
        ("ome06-scene", "collection", {"left", "right"}),
    ]:
        seen = check(BASES[base](), "document")
        assert seen is not None
        assert (seen.kind, {b.path for b in seen.below}) == (kind, names), base
    well = check(BASES["ome05-plate"](), "document", path="A/2")
    assert well is not None and {b.path for b in well.below} == {"0", "1"}
    label = check(BASES["ome05-label"](), "document", path="labels/cells")
    assert label is not None and (label.kind, label.below) == ("label", ())


def test_paths_out_of_the_hierarchy_are_neither_asked_for_nor_followed() -> None:
    asked: list[str] = []
    tree = changed("ome05-label", 'labels/zarr.json#/attributes/ome/labels = ["../../x", "/etc", "a//b", "cells"]')

    def document(name: str) -> bytes | None:
        asked.append(name)
        return tree.get(f"labels/{name}")

    node = CheckNode(path="labels", depth="hierarchy", document=document, array=lambda _: None, names=lambda _: None)
    seen = CHECKS.check(node)
    assert seen is not None
    assert {b.path for b in seen.below} == {"cells"}
    assert not [n for n in asked if ".." in n or n.startswith("/")]
    assert [f.pointer[-1] for f in seen.findings if f.rule == "OZ05-LB-002"] == ["0", "1", "2"]


def test_at_depth_document_a_plate_costs_a_few_requests_per_image() -> None:
    tree = BASES["ome05-plate"]()
    asked: list[str] = []
    waiting: list[tuple[str, Any]] = [("", None)]
    for path, told in waiting:
        known: dict[str, bytes | None] = {}

        def document(name: str, path: str = path, known: dict[str, bytes | None] = known) -> bytes | None:
            key = f"{path}/{name}" if path else name
            if key not in known:
                asked.append(key)
            return known.setdefault(key, tree.get(key))

        node = CheckNode(path=path, depth="document", document=document, array=_unasked, names=_unasked, told=told)
        seen = CHECKS.check(node)
        assert seen is not None and not seen.findings
        waiting += [(f"{path}/{b.path}" if path else b.path, b.told) for b in seen.below]
    images, others = 4, 3
    assert len(waiting) == images + others
    assert len(asked) <= 2 * images + others


def _unasked(name: str) -> Any:
    raise AssertionError(f"{name} was asked for")


# -- labels
def test_labels_may_lack_the_channel_axis_of_their_image() -> None:
    tree = BASES["ome05-label"]()
    edits = [f"labels/cells/zarr.json#/attributes/ome/multiscales/0/{p}" for p in ("axes/1 remove",)]
    for i in range(2):
        steps = f"labels/cells/zarr.json#/attributes/ome/multiscales/0/datasets/{i}/coordinateTransformations"
        edits += [f"{steps}/0/scale/1 remove", f"{steps}/1/translation/1 remove"]
        edits += [f"labels/cells/s{i}/zarr.json#/{k}/1 remove" for k in ("shape", "dimension_names")]
    tree = apply_edits(tree, tuple(map(parse_edit, edits)))
    assert not [f for f in found(tree) if f.rule != "OZ05-LB-014"]


@pytest.mark.parametrize("version", ["04", "05", "06"])
def test_a_missing_list_of_labels_is_made(version: str) -> None:
    gone = [k for k in BASES[f"ome{version}-label"]() if k.startswith("labels/") and k.count("/") == 1]
    tree = {k: v for k, v in BASES[f"ome{version}-label"]().items() if k not in gone}
    (finding,) = found(tree)
    assert finding.rule == f"OZ{version}-LB-001" and finding.expected == ["cells"]
    mended = apply_edits(tree, finding.repair)
    assert found(mended) == []
    whole = BASES[f"ome{version}-label"]()
    assert {k: json.loads(mended[k]) for k in gone} == {k: json.loads(whole[k]) for k in gone}


def test_label_images_deeper_below_the_list_name_their_image() -> None:
    tree = BASES["ome05-label"]()
    moved = {k.replace("labels/cells/", "labels/deep/cells/"): v for k, v in tree.items()}
    moved["labels/deep/zarr.json"] = b'{"zarr_format": 3, "node_type": "group"}'
    moved = apply_edits(moved, (parse_edit('labels/zarr.json#/attributes/ome/labels = ["deep/cells"]'),))
    (finding,) = found(moved)
    assert finding.rule == "OZ05-LB-013" and finding.expected == "../../../"
    assert found(apply_edits(moved, finding.repair)) == []
    source = "labels/deep/cells/zarr.json#/attributes/ome/image-label/source"
    (finding,) = found(apply_edits(moved, (parse_edit(f"{source} remove"),)))
    assert finding.rule == "OZ05-LB-013"


def test_the_label_of_a_label_image_may_be_another_image_of_the_hierarchy() -> None:
    tree = {**BASES["ome05-label"](), **{f"other/{k}": v for k, v in BASES["ome05"]().items()}}
    source = "labels/cells/zarr.json#/attributes/ome/image-label/source/image"
    assert found(apply_edits(tree, (parse_edit(f'{source} = "../../other"'),))) == []


# -- levels
TYPE = "zarr.json#/attributes/ome/multiscales/0/type"
SHIFT = "zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/1"


@pytest.mark.parametrize(
    ("method", "shift", "fine", "repaired"),
    [
        ("mean", [1.75, 2.75], True, False),
        ("mean", [1.5, 2.5], False, True),
        ("Gaussian", [1.5, 2.5], False, True),
        ("stride", [1.5, 2.5], True, False),
        ("stride", [1.75, 2.75], False, True),
        ("magic", [1.75, 2.75], True, False),
        ("magic", [1.5, 2.5], False, False),
        ("magic", [1.6, 2.5], False, False),
    ],
)
@pytest.mark.parametrize("base", ["ome05", "ome06"])
def test_levels_lie_where_their_method_puts_them(
    base: str, method: str, shift: list[float], fine: bool, repaired: bool
) -> None:
    place = SHIFT if base == "ome05" else SHIFT.removesuffix("/1") + "/0/transformations/1"
    tree = changed(base, f'{TYPE} = "{method}"', f"{place}/translation = {[0, 0, 0, *shift]}")
    findings = found(tree)
    assert [f.rule[5:] for f in findings] == ([] if fine else ["MS-013"])
    assert [bool(f.repair) for f in findings] == ([] if fine else [repaired])
    if repaired:
        assert found(apply_edits(tree, findings[0].repair)) == []


def test_a_scale_alone_becomes_a_sequence_in_0_6() -> None:
    first = "zarr.json#/attributes/ome/multiscales/0/datasets/{}/coordinateTransformations/0"
    ends = '"input": {{"path": "s{}"}}, "output": {{"name": "physical"}}'
    scales = ([1, 1, 2, 0.5, 0.5], [1, 1, 2, 1, 1])
    edits = [f'{first.format(i)} = {{"type": "scale", "scale": {s}, {ends.format(i)}}}' for i, s in enumerate(scales)]
    tree = changed("ome06", *edits)
    (finding,) = found(tree)
    mended = apply_edits(tree, finding.repair)
    assert found(mended) == []
    body = json.loads(mended["zarr.json"])["attributes"]["ome"]["multiscales"][0]["datasets"][1]
    (step,) = body["coordinateTransformations"]
    assert step["type"] == "sequence" and step["transformations"][1]["translation"] == [0, 0, 0, 0.25, 0.25]


def test_names_of_dimensions_are_repaired_in_consolidated_metadata_too() -> None:
    tree = changed("ome05", "s0/zarr.json#/dimension_names remove")
    copies = {f"s{i}": json.loads(tree[f"s{i}/zarr.json"]) for i in range(2)}
    held = {"kind": "inline", "must_understand": False, "metadata": copies}
    tree = apply_edits(tree, (parse_edit(f"zarr.json#/consolidated_metadata = {json.dumps(held)}"),))
    (finding,) = found(tree)
    mended = apply_edits(tree, finding.repair)
    assert found(mended) == []
    entry = json.loads(mended["zarr.json"])["consolidated_metadata"]["metadata"]["s0"]
    assert entry == json.loads(mended["s0/zarr.json"])


def test_huge_and_odd_numbers_in_scales_are_no_error() -> None:
    for number in ("1e999", "1e-320", str(10**400), "-1", "null"):
        tree = changed("ome05", "s1/zarr.json#/shape = [4611686018427387904, 1, 0, 3, 3]")
        tree["zarr.json"] = tree["zarr.json"].replace(b"0.5", number.encode())
        found(tree)


# -- coordinate systems
FIELD = "zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0"


def test_matrices_in_arrays_have_a_row_per_output_and_a_column_per_input() -> None:
    tree = changed("ome06", f'{FIELD}/type = "affine"', f'{FIELD}/path = "matrix"', f"{FIELD}/translation remove")
    array = json.loads(tree["s0/zarr.json"]) | {"dimension_names": None}
    for shape, fine in [([5, 6], True), ([30], False), ([5, 5], False), ([4, 6], False)]:
        tree["matrix/zarr.json"] = json.dumps(array | {"shape": shape}).encode()
        assert rules(tree) == (set() if fine else {"OZ06-TR-015"}), shape
    turned = apply_edits(tree, (parse_edit(f'{FIELD}/type = "rotation"'),))
    for shape, fine in [([5, 5], True), ([4, 4], False), ([5, 6], False)]:
        turned["matrix/zarr.json"] = json.dumps(array | {"shape": shape}).encode()
        assert rules(turned) == (set() if fine else {"OZ06-TR-016"}), shape


def field(kind: str, length: int) -> dict[str, bytes]:
    """Return an image that is turned by a field of vectors, between systems of three axes."""
    systems = [{"name": n, "axes": [{"name": a, "type": "space", "unit": "meter"} for a in "zyx"]} for n in "pw"]
    vectors = {"name": "d", "type": kind, "discrete": True}
    ends = {"input": {"name": "p"}, "output": {"name": "w"}}
    edge = {"type": "displacements" if kind == "displacement" else "coordinates", "path": "field", **ends}
    tree: dict[str, bytes] = {}
    for path, axes, shape in (("", 3, [3, 4, 5]), ("field/", 4, [length, 3, 4, 5])):
        level = {"type": "identity", "input": {"path": "s0"}, "output": {"name": "p"}}
        image: dict[str, Any] = {"name": "em", "type": "mean", "metadata": {}}
        image["coordinateSystems"] = systems if axes == 3 else [{"name": "p", "axes": [vectors, *systems[0]["axes"]]}]
        image["coordinateTransformations"] = [edge] if axes == 3 else []
        if axes == 4:
            del image["coordinateTransformations"]
        image["datasets"] = [{"path": "s0", "coordinateTransformations": [level]}]
        group = {
            "zarr_format": 3,
            "node_type": "group",
            "attributes": {"ome": {"version": "0.6", "multiscales": [image]}},
        }
        array = json.loads(BASES["ome06"]()["s0/zarr.json"]) | {"shape": shape, "dimension_names": None}
        array["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": shape}}
        tree |= {f"{path}zarr.json": json.dumps(group).encode(), f"{path}s0/zarr.json": json.dumps(array).encode()}
    return tree


def test_a_field_has_one_discrete_axis_as_long_as_there_are_coordinates() -> None:
    for kind in ("displacement", "coordinate"):
        assert rules(field(kind, 3)) == set()
        assert rules(field(kind, 2)) == {"OZ06-TR-018"}
    place = "field/zarr.json#/attributes/ome/multiscales/0/coordinateSystems/0/axes"
    for edit in (f"{place}/0/discrete remove", f'{place}/0/type = "channel"', f"{place}/3 remove"):
        assert "OZ06-TR-018" in rules(apply_edits(field("displacement", 3), (parse_edit(edit),))), edit


def test_a_scene_joins_systems_of_as_many_axes() -> None:
    edge = "zarr.json#/attributes/ome/scene/coordinateTransformations/0"
    tree = changed("ome06-scene", f'{edge}/type = "projectAxis"', f"{edge}/droppedInputs = [0]")
    assert rules(tree) == {"OZ06-TR-011"}


# -- collections
def test_wells_that_are_not_listed_and_rows_without_wells_should_not_be() -> None:
    tree = BASES["ome05-plate"]()
    tree |= {"A/1" + k[3:]: v for k, v in tree.items() if k.startswith("A/2/")}
    (finding,) = found(tree)
    assert (finding.rule, finding.level) == ("OZ05-PL-007", "should")
    empty = {k: v for k, v in BASES["ome05-plate"]().items() if not k.startswith("B/3/")}
    empty = apply_edits(empty, (parse_edit("zarr.json#/attributes/ome/plate/wells/1 remove"),))
    assert [(f.rule, f.level) for f in found(empty)] == [("OZ05-PL-007", "should")]


def test_one_acquisition_need_not_be_named_by_fields() -> None:
    field = "A/2/zarr.json#/attributes/ome/well/images"
    one = "zarr.json#/attributes/ome/plate/acquisitions/1 remove"
    tree = changed("ome05-plate", one, f"{field}/0/acquisition remove", f"{field}/1 remove")
    assert {f.key for f in found(tree)} == {"B/3/zarr.json"}  # whose second field is of the one that is gone


def test_series_of_a_plate_are_its_fields() -> None:
    plate = json.loads(BASES["ome05-plate"]()["zarr.json"])["attributes"]["ome"]["plate"]
    tree = BASES["ome05-plate"]() | {k: v for k, v in BASES["ome05-bf2raw"]().items() if k.startswith("OME/")}
    both = {"version": "0.5", "bioformats2raw.layout": 3, "plate": plate}
    edits = (
        f"zarr.json#/attributes/ome = {json.dumps(both)}",
        'OME/zarr.json#/attributes/ome/series = ["A/2/0", "B/3/1"]',
    )
    tree = apply_edits(tree, tuple(map(parse_edit, edits)))
    assert found(tree) == []


# -- repairs as they are applied
@pytest.mark.parametrize("version", ["04", "05", "06"])
def test_many_repairs_at_once_leave_nothing_that_can_be_repaired(version: str) -> None:
    tree = BASES[f"ome{version}-label"]()
    name, root = (".zattrs", "") if version == "04" else ("zarr.json", "/attributes/ome")
    for extra in ("nuclei", "deep/organelles"):
        tree |= {k.replace("/cells/", f"/{extra}/"): v for k, v in tree.items() if k.startswith("labels/cells/")}
    tree[f"labels/deep/{'.zgroup' if version == '04' else name}"] = b'{"zarr_format": 2}'
    if version != "04":
        tree[f"labels/deep/{name}"] = b'{"zarr_format": 3, "node_type": "group"}'
    steps = f"{name}#{root}/multiscales/0/datasets/1/coordinateTransformations"
    edits = [
        f"{steps}/1 remove" if version < "06" else f"{steps}/0/transformations/1 remove",
        f"labels/{name}#{root}/labels = []" if version > "04" else f"labels/{name} remove",
        f"labels/cells/{name}#{root}/image-label/source remove",
        f"labels/cells/{name}#{root}/multiscales/0/name remove",  # cannot be repaired
    ]
    if version > "04":
        edits += [f"labels/cells/{name}#{root}/version remove", "s0/zarr.json#/dimension_names remove"]
    tree = apply_edits(tree, tuple(map(parse_edit, edits)))
    store = MemoryStore()
    for key, raw in tree.items():
        store.put(key, raw)
    for _ in range(2):  # sources of label images are looked at once the list leads to them
        report = validate_in(store, "", profile="quality")
        apply_repairs(store, plan_repairs(store, report.findings))
    after = [f for f in validate_in(store, "", profile="quality").findings if f.rule[:2] == "OZ"]
    assert [f.rule[5:] for f in after] == ["MS-009"]
    listed = json.loads(store.get(f"labels/{name}") or b"")
    assert sorted((listed if version == "04" else listed["attributes"]["ome"])["labels"]) == [
        "cells",
        "deep/organelles",
        "nuclei",
    ]


# -- real ones
def test_what_is_written_here_follows_the_text_in_every_version(tmp_path: Path) -> None:
    shape = (21, 34, 45)
    np.save(tmp_path / "em.npy", np.arange(21 * 34 * 45, dtype="u2").reshape(shape) % 500)
    np.save(tmp_path / "cells.npy", (np.arange(21 * 34 * 45, dtype="u4").reshape(shape) // 77) % 30)
    choices: dict[str, Any] = {"levels": 3, "voxel_size": (40, 8, 8), "unit": "nanometer", "axes": "zyx"}
    for version in ("0.4", "0.5", "0.6"):
        target = tmp_path / f"em{version}.ome.zarr"
        voxarium.convert(tmp_path / "em.npy", target, spec_version=version, **choices)
        cells = target / "labels" / "cells"
        voxarium.convert(tmp_path / "cells.npy", cells, spec_version=version, role="label", **choices)
        report = validate(target, profile="quality")
        named = {f.rule for f in report.findings if f.rule[:2] == "OZ"}
        assert {r[5:] for r in named} <= {"LB-010"}, named  # nobody gave the labels colours
        assert validate(target, profile="schema").valid


# Shared data that break what their version demands, and why: `docs/explanation/ome-zarr-versions.md` lists them.
DRAFTS = {"ST-005", "TR-003", "TR-004"}
UPSTREAM = {
    "neuroglancer/testdata/datasource/zarr/ome_zarr/all_0.6": DRAFTS,  # 0.6.dev1
    "ngff/ome-zarr-models/tests/data/examples/v06": {"ST-005"},  # 0.6.dev4
    "n5/universe/src/test/resources/metadata.zarr/coordTforms": {"CT-001", "CT-002"},  # not one scale per dataset
}


def _shared() -> list[Path]:
    """Return the outermost groups of OME-Zarr among the shared data."""
    if not SHARED.exists():
        return []
    marks = (b'"multiscales"', b'"ome"', b'"plate"', b"bioformats2raw")
    files = [p for name in (".zattrs", "zarr.json") for p in SHARED.rglob(name) if "ngff-spec" not in p.parts]
    folders = sorted({p.parent for p in files if any(mark in p.read_bytes() for mark in marks)})
    return [f for f in folders if not any(o in f.parents for o in folders)]


@pytest.mark.skipif(not SHARED.exists(), reason=f"shared data are not at {SHARED}")
def test_shared_data_that_their_projects_call_valid_pass_the_profile_schema() -> None:
    folders = _shared()
    assert len(folders) >= 20
    for folder in folders:
        report = validate(folder, profile="schema")
        name = folder.relative_to(SHARED).as_posix()
        known = next((rules for start, rules in UPSTREAM.items() if name.startswith(start)), set())
        broken = {f.rule[5:] if f.rule.startswith("OZ") else f.rule for f in report.findings}
        assert broken <= known, (name, broken)
        assert report.valid or known


HIERARCHIES = SHARED / "ngff/ngff-spec/0.6rc0/tests/zarr"


@pytest.mark.skipif(not HIERARCHIES.exists(), reason=f"no official hierarchies at {HIERARCHIES}")
def test_official_hierarchies_get_their_verdicts_but_for_those_with_texts_as_ends() -> None:
    wrong = {}
    cases = sorted(HIERARCHIES.rglob("*.ome.zarr"))
    for case in cases:
        found = verdict(case, "schema-strict" if "strict" in case.parts else "schema")
        if found["valid"] != ("valid" in case.parts):
            wrong[case.name] = found
    assert len(cases) == 85 and len(wrong) == 10
    assert all("TR-003" in found["message"] and not found["valid"] for found in wrong.values())


# -- hostile ones
WORDS = ["multiscales", "datasets", "path", "labels", "plate", "wells", "well", "images", "series", "scene", "version",
         "bioformats2raw.layout", "image-label", "source", "image", "coordinateTransformations", "coordinateSystems",
         "axes", "name", "type", "scale", "input", "output", "consolidated_metadata", "metadata"]  # fmt: skip
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(
    ["s0", "s1", "labels", "cells", "..", "/", "0", "A/2", "", "0.4", "0.6", "affine", "sequence", "a" * 300]
)  # fmt: skip
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)
NODES = ["", "s0/", "labels/", "labels/cells/", "OME/", "0/", "A/", "A/2/", "A/2/0/"]


@given(
    st.dictionaries(st.sampled_from(NODES), st.dictionaries(st.sampled_from(WORDS), JSON, max_size=4), min_size=1),
    st.booleans(),
    st.sampled_from([None, "0.4", "0.5", "0.6", "0.9.dev1"]),
)
def test_any_tree_is_checked_without_an_error(
    nodes: dict[str, dict[str, Any]], newer: bool, version: str | None
) -> None:
    tree: dict[str, bytes] = {}
    for path, content in nodes.items():
        if newer:
            ome = {"version": version, **content}
            node = {"zarr_format": 3, "node_type": "group", "shape": [1, 2], "attributes": {"ome": ome}, **content}
            tree[f"{path}zarr.json"] = json.dumps(node).encode()
        else:
            tree |= {f"{path}.zgroup": b'{"zarr_format": 2}', f"{path}.zattrs": json.dumps(content).encode()}
    waiting: list[tuple[str, Any]] = [("", None)]
    for path, told in waiting:
        seen = _checked(tree, path, told)
        if seen is not None:
            assert len(waiting) < 5000
            waiting += [(f"{path}/{b.path}" if path else b.path, b.told) for b in seen.below]


def _checked(tree: Mapping[str, bytes], path: str, told: Any) -> Checked | None:
    prefix = f"{path}/" if path else ""

    def names(folder: str) -> tuple[list[str], list[str]]:
        inside = prefix + (f"{folder}/" if folder else "")
        rest = [k.removeprefix(inside).split("/") for k in tree if k.startswith(inside)]
        return [r[0] for r in rest if len(r) == 1], sorted({r[0] for r in rest if len(r) > 1})

    node = CheckNode(
        path=path, depth="hierarchy", document=lambda n: tree.get(prefix + n), array=lambda _: None, names=names
    )
    return CHECKS.check(replace(node, told=told))


def test_a_list_of_very_many_labels_is_cut() -> None:
    tree = BASES["ome05-label"]()
    many = {"version": "0.5", "labels": [f"n{i}" for i in range(200_000)]}
    node = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": many}}
    tree["labels/zarr.json"] = json.dumps(node).encode()
    seen = _checked(tree, "labels", None)
    assert seen is not None and len(seen.below) <= 10_000 and len(seen.findings) <= 10_001
