"""Documents: what the examples of the rules do not show; and hostile ones."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.model.checking import MAX_FINDINGS
from voxarium.model.edits import edited_document, parse_edit
from voxarium.spec.ome.orientation import ORIENTATIONS
from voxarium.spec.ome.rules import GROUPS, PROFILES, RULES, VERSIONS, ArrayFacts, check_attributes, check_document
from voxarium.validation.examples.ome import BASES

# Where the trees that break no rule have a group of each kind.
PLACES = {
    "image": ("", ""),
    "label": ("-label", "labels/cells/"),
    "labels": ("-label", "labels/"),
    "plate": ("-plate", ""),
    "well": ("-plate", "A/2/"),
    "bf2raw": ("-bf2raw", ""),
    "ome": ("-bf2raw", "OME/"),
    "scene": ("-scene", ""),
}


def document(group: str, version: str) -> dict[str, Any]:
    """Return the attributes of a group that breaks no rule."""
    kind, path = PLACES[group]
    tree = BASES[f"ome{version.replace('.', '')}{kind}"]()
    found: dict[str, Any] = json.loads(tree[f"{path}{'.zattrs' if version == '0.4' else 'zarr.json'}"])
    return found if version == "0.4" else found["attributes"]


def facts(**changes: Any) -> ArrayFacts:
    known: dict[str, Any] = {"shape": (3, 1, 7, 10, 9), "dtype": np.dtype("uint16"), "dimension_names": tuple("tczyx")}
    return ArrayFacts(**known | changes)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("group", GROUPS)
def test_documents_that_follow_all_rules_have_no_findings(group: str, version: str) -> None:
    if group == "scene" and version < "0.6":
        return
    attributes = document(group, version)
    shapes = [(2, 1, 3, 6, 5), (2, 1, 3, 3, 3)]
    arrays = {
        f"s{i}": facts(zarr_format=2 if version == "0.4" else 3, separator="/", shape=shapes[i]) for i in range(2)
    }
    assert check_attributes(attributes, arrays=arrays) == ()
    assert check_attributes(attributes, group=group, version=version) == ()


# -- further ways to break a rule, beside the examples of the rules: rule, group, version, place and value
EYE = [[float(i == j) for j in range(5)] for i in range(5)]
EDGE = "multiscales/0/coordinateTransformations/0"
SYSTEM = "multiscales/0/coordinateSystems"
LEVEL = "multiscales/0/datasets/0/coordinateTransformations"
MORE = f"""
AX-006 image 0.5 multiscales/0/axes/4/unit = "decameter"
OR-001 image 0.9 {SYSTEM}/0/axes/1/orientation = {{"type": "anatomical", "value": "{ORIENTATIONS[0]}"}}
OR-001 image 0.9 {SYSTEM}/0/axes/4/orientation = "left-to-right"
AX-014 image 0.6 {SYSTEM}/0/axes/1/longName = 5
CT-002 image 0.5 {LEVEL}/- = {{"type": "translation", "translation": [1, 1, 1, 1, 1]}}
CT-005 image 0.4 multiscales/0/coordinateTransformations = [{{"type": "translation", "translation": [1, 1, 1, 1, 1]}}]
MS-012 image 0.4 {LEVEL}/0/scale = [1, 1, 1, 1, -1]
TR-002 image 0.6 multiscales/0/coordinateTransformations/- = {{"type": "identity", "name": "placed"}}
TR-004 image 0.6 {LEVEL}/- = {{"type": "identity"}}
TR-005 image 0.6 {LEVEL}/0/input/name = "s0"
TR-011 image 0.6 {EDGE} = {{"type": "affine", "affine": [[1, 0, 0], [0, 1, 0]], "input": {{"name": "physical"}}}}
TR-011 image 0.6 {EDGE} = {{"type": "sequence", "transformations": [{{"type": "projectAxis", "droppedInputs": [1]}}], \
"input": {{"name": "physical"}}, "output": {{"name": "world"}}}}
TR-013 image 0.6 {EDGE} = {{"type": "projectAxis", "createdOutputs": [0], "droppedInputs": [0, 0]}}
TR-015 image 0.6 {EDGE} = {{"type": "affine", "path": "there", "affine": {EYE}}}
TR-016 image 0.6 {EDGE} = {{"type": "rotation", "rotation": {[[*EYE[0][:4], 0.1], *EYE[1:]]}}}
TR-016 image 0.6 {EDGE} = {{"type": "rotation", "rotation": {[[10**400] * 5] * 5}}}
TR-019 image 0.6 {EDGE} = {{"type": "byDimension", "transformations": [{{"inputAxes": [0, 1], "outputAxes": [0], \
"transformation": {{"type": "scale", "scale": [1, 1]}}}}]}}
TR-019 image 0.6 {EDGE} = {{"type": "byDimension", "transformations": [{{"inputAxes": [7, 8], "outputAxes": [0, 1], \
"transformation": {{"type": "identity"}}}}], "input": {{"name": "physical"}}, "output": {{"name": "world"}}}}
TR-019 image 0.6 {EDGE} = {{"type": "byDimension", "transformations": [{{"inputAxes": [0.5], "outputAxes": [0], \
"transformation": {{"type": "identity"}}}}]}}
SC-001 scene 0.6 scene = []
TR-010 scene 0.6 scene/coordinateSystems/- = {{"name": "alone", "axes": []}}
PL-001 plate 0.5 plate/rows/- = {{"name": "A", "concentration": 3}}
WL-002 well 0.6 well/images/0/path = "__x"
""".replace("\\\n", "")


@pytest.mark.parametrize("line", [line for line in MORE.splitlines() if line], ids=lambda line: line[:60])
def test_a_broken_rule_is_found(line: str) -> None:
    rule, group, version, edit = line.split(" ", 3)
    edit = f"x#{'' if version == '0.4' else '/ome'}/{edit}"
    findings = check_attributes(edited_document(document(group, version), parse_edit(edit)), version=version)
    assert f"OZ{version.replace('.', '')}-{rule}" in {f.rule for f in findings}, findings
    assert all(f.level in ("must", "should") and f.fix and f.message for f in findings)


ARRAYS: list[tuple[str, str, Callable[[dict[str, ArrayFacts]], Any]]] = [
    ("OZ05-ST-010", "image", lambda a: a.update(s0=facts(zarr_format=3, dimension_names=("t", "c", "z", "y", None)))),
    ("OZ05-MS-005", "image", lambda a: a.update(s0=facts(shape=(1, 1, 1, 1, 1)))),
    ("OZ06-LB-005", "label", lambda a: a.update(s1=facts(dtype=np.dtype("bool")))),
    ("OZ04-OM-002", "image", lambda a: a.update({k: facts(shape=(3, 4, 7, 10, 9)) for k in a})),
    ("OZ04-ST-001", "image", lambda a: a.update(s0=facts(zarr_format=3))),
    ("OZ06-ST-002", "image", lambda a: a.update(s0=facts(zarr_format=2))),
]


@pytest.mark.parametrize(("rule", "group", "change"), ARRAYS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_broken_rule_about_arrays_is_found(rule: str, group: str, change: Callable[[Any], Any]) -> None:
    arrays = {f"s{i}": facts() for i in range(2)}
    change(arrays)
    findings = check_attributes(document(group, f"0.{rule[3]}"), arrays=arrays)
    assert rule in {f.rule for f in findings}, findings


def first(d: Any) -> Any:
    return d["multiscales"][0]


def level(d: Any, i: int = 0) -> Any:
    return first(d)["datasets"][i]


def steps(d: Any) -> list[Any]:
    """Return scale and translation of the first level."""
    found = level(d)["coordinateTransformations"]
    inner: list[Any] = found[0]["transformations"] if found[0]["type"] == "sequence" else found
    return inner


def all_axes(d: Any) -> list[Any]:
    found: list[Any] = first(d)["axes"] if "axes" in first(d) else first(d)["coordinateSystems"][0]["axes"]
    return found


def edge(d: Any) -> Any:
    return first(d)["coordinateTransformations"][0]


def test_documents_that_are_not_json_break_a_rule_too() -> None:
    for raw in (b"{", b'{"a": 1} // note', b"[]", b"\xff"):
        (finding,) = check_document(raw)
        assert finding.rule == "OZ05-ST-008"
        assert finding.counts("spec")
    good = {"zarr_format": 3, "node_type": "group", "attributes": document("image", "0.6")}
    assert check_document(json.dumps(good).encode()) == ()


def test_every_finding_is_reported_not_the_first_alone() -> None:
    attributes = document("image", "0.5")
    ome = attributes["ome"]
    ome.pop("version")
    all_axes(ome)[4].update(unit="micron")
    all_axes(ome)[3].pop("name")
    level(ome, 1)["path"] = 5
    steps(ome)[0]["scale"] = [1]
    ome["omero"]["channels"][0] |= {"color": 1, "window": 2}
    ome["multiscales"] += copy.deepcopy(ome["multiscales"])
    assert [f.rule.removeprefix("OZ05-") for f in check_attributes(attributes)] == [
        "ST-004",
        "MS-001",
        *["MS-004", "AX-001", "AX-006", "CT-003"] * 2,
        *["OM-001"] * 2,
    ]


def test_misplaced_metadata_are_reported_and_checked_where_they_are() -> None:
    attributes = document("well", "0.4")
    attributes["well"]["images"] = []
    assert {f.rule for f in check_attributes(attributes, version="0.5")} == {"OZ05-ST-003", "OZ05-WL-001"}
    newer = document("well", "0.5")
    assert "OZ04-ST-003" in {f.rule for f in check_attributes(newer, version="0.4")}


def test_multiscales_of_another_convention_are_no_image() -> None:
    attributes = {"zarr_conventions": [{"name": "multiscales"}], "multiscales": {"layout": [{"asset": "0"}]}}
    assert [f.rule for f in check_attributes(attributes)] == ["OZ04-ST-003"]


def test_drafts_and_unknown_versions_are_told_and_checked_by_the_nearest_rules() -> None:
    for stated, rules in (("0.6.dev3", "OZ06"), ("0.9.dev7", "OZ09"), ("0.5-dev", "OZ05"), ("7", "OZ06")):
        attributes = document("image", "0.6")
        attributes["ome"]["version"] = stated
        assert {f.rule for f in check_attributes(attributes)} >= {f"{rules}-ST-005"}


def test_more_than_five_axes_of_any_kind_are_fine_in_0_9() -> None:
    attributes = document("image", "0.9")
    body = attributes["ome"]["multiscales"][0]
    names = [{"name": n, "type": "angle"} for n in "abcdefg"]
    body["coordinateSystems"] = [{"name": "physical", "axes": names}]
    body.pop("coordinateTransformations")
    for i, found in enumerate(body["datasets"]):
        ends = {"input": {"path": f"s{i}"}, "output": {"name": "physical"}}
        found["coordinateTransformations"] = [{"type": "scale", "scale": [1] * 7} | ends]
    assert check_attributes(attributes) == ()
    assert {"OZ06-AX-008", "OZ06-AX-009"} <= {f.rule for f in check_attributes(attributes, version="0.6")}


def test_there_are_24_orientations_in_12_pairs() -> None:
    assert len(set(ORIENTATIONS)) == 24
    for i, value in enumerate(ORIENTATIONS):
        assert value.split("-to-") == ORIENTATIONS[i ^ 1].split("-to-")[::-1]


# -- hostile documents
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["ome", "multiscales", "axes", "datasets", "name", "type", "path", "scale", "plate", "wells", "rows",
                 "labels",
                 "coordinateSystems", "coordinateTransformations", "input", "output", "scene", "image-label", "colors",
                 "transformations", "affine", "rotation", "version", "omero", "channels", "window", "well", "images"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=25,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["ome", "multiscales", "plate", "scene"]), JSON), st.sampled_from(VERSIONS))
def test_any_json_is_checked_without_an_error(attributes: dict[str, Any], version: str) -> None:
    for finding in check_attributes(attributes, version=version):
        assert finding.rule[5:] in RULES
        assert [finding.counts(p) for p in PROFILES]


def test_texts_from_outside_are_cut_in_messages() -> None:
    attributes = document("image", "0.6")
    long = "x" * 10_000
    ome = attributes["ome"]
    all_axes(ome)[4].update(unit=long, name=long)
    level(ome)["path"] = long
    level(ome, 1)["coordinateTransformations"][0]["output"]["name"] = long
    edge(ome).update(type=long, name=long, input={"name": long})
    ome["omero"]["channels"][0]["color"] = long
    ome["version"] = long
    findings = check_attributes(attributes, version="0.6")
    assert len(findings) > 8
    assert max(len(f.message) + len(f.fix) for f in findings) < 500


def test_deep_and_long_documents_are_checked_in_bounded_time_and_memory() -> None:
    deep: Any = {"type": "identity"}
    for _ in range(900):
        deep = {"type": "sequence", "transformations": [deep]}
    attributes = document("image", "0.6")
    attributes["ome"]["multiscales"][0]["coordinateTransformations"][0] |= deep
    assert "OZ06-TR-017" in {f.rule for f in check_attributes(attributes)}
    many = document("plate", "0.5")
    many["ome"]["plate"]["wells"] = [{"path": "?"}] * 20_000
    findings = check_attributes(many)
    assert len(findings) == MAX_FINDINGS + 1
    assert "more than is listed" in findings[-1].message
