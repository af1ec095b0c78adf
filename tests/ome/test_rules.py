"""Every rule that can be checked is broken once, in every version that has it; and hostile documents."""

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
from voxarium.spec.ome.orientation import ORIENTATIONS
from voxarium.spec.ome.rules import GROUPS, PROFILES, RULES, VERSIONS, ArrayFacts, check_attributes, check_document

STATED = {"0.4": "0.4", "0.5": "0.5", "0.6": "0.6", "0.9": "0.9.dev1"}


# -- documents that break no rule
def axes() -> list[dict[str, Any]]:
    space = [{"name": n, "type": "space", "unit": "micrometer"} for n in "zyx"]
    return [{"name": "t", "type": "time", "unit": "second"}, {"name": "c", "type": "channel"}, *space]


def pair(shift: float) -> list[dict[str, Any]]:
    return [
        {"type": "scale", "scale": [1, 1, 2.0, 0.5 + shift, 0.5 + shift]},
        {"type": "translation", "translation": [0, 0, 0, shift, shift]},
    ]


def dataset(version: str, i: int) -> dict[str, Any]:
    if version < "0.6":
        return {"path": f"s{i}", "coordinateTransformations": pair(i / 2)}
    ends = {"input": {"path": f"s{i}"}, "output": {"name": "physical"}}
    steps = {"type": "sequence", "transformations": pair(i / 2)} | ends
    return {"path": f"s{i}", "coordinateTransformations": [steps]}


def image(version: str) -> dict[str, Any]:
    body: dict[str, Any] = {"name": "em", "type": "mean", "metadata": {"method": "mean"}}
    body["datasets"] = [dataset(version, i) for i in range(2)]
    if version == "0.4":
        body["version"] = "0.4"
    if version < "0.6":
        body["axes"] = axes()
        body["coordinateTransformations"] = pair(0)
    else:
        body["coordinateSystems"] = [{"name": n, "axes": axes()} for n in ("physical", "world")]
        edge = {"type": "translation", "translation": [0] * 5, "name": "placed"}
        body["coordinateTransformations"] = [edge | {"input": {"name": "physical"}, "output": {"name": "world"}}]
    channel = {"color": "00FF00", "active": True, "label": "a", "window": {"min": 0, "max": 9, "start": 1, "end": 5}}
    return {"multiscales": [body], "omero": {"channels": [channel]}}


def own(version: str) -> dict[str, Any]:
    return {"version": version} if version < "0.6" else {}


def label(version: str) -> dict[str, Any]:
    found: dict[str, Any] = {
        "colors": [{"label-value": i, "rgba": [i, 2, 3, 255]} for i in range(2)],
        "properties": [{"label-value": i, "area": 2} for i in range(2)],
        "source": {"image": "../../"},
    }
    return {"multiscales": image(version)["multiscales"], "image-label": found | own(version)}


def plate(version: str) -> dict[str, Any]:
    times = {"starttime": 5, "endtime": 6, "description": "once", "name": "a", "maximumfieldcount": 2}
    found = {
        "name": "plate",
        "field_count": 2,
        "rows": [{"name": n} for n in "AB"],
        "columns": [{"name": n} for n in "123"],
        "wells": [{"path": "A/2", "rowIndex": 0, "columnIndex": 1}, {"path": "B/3", "rowIndex": 1, "columnIndex": 2}],
        "acquisitions": [{"id": i} | times for i in range(2)],
    }
    return {"plate": found | own(version)}


def well(version: str) -> dict[str, Any]:
    return {"well": {"images": [{"path": f"{i}", "acquisition": i} for i in range(2)]} | own(version)}


def scene(version: str) -> dict[str, Any]:
    edge = {"type": "scale", "scale": [1] * 5, "input": {"path": "a", "name": "physical"}, "output": {"name": "world"}}
    systems = [{"name": "world", "axes": axes()}]
    return {"scene": {"coordinateSystems": systems, "coordinateTransformations": [edge]}}


BUILD: dict[str, Callable[[str], dict[str, Any]]] = {
    "image": image,
    "label": label,
    "plate": plate,
    "well": well,
    "scene": scene,
    "labels": lambda _: {"labels": ["cells", "deep/nuclei"]},
    "bf2raw": lambda _: {"bioformats2raw.layout": 3},
    "ome": lambda _: {"series": ["0", "1"]},
}


def document(group: str, version: str) -> dict[str, Any]:
    found = copy.deepcopy(BUILD[group](version))
    return found if version == "0.4" else {"ome": {"version": STATED[version]} | found}


def inside(attributes: dict[str, Any]) -> Any:
    return attributes.get("ome", attributes)


def facts(**changes: Any) -> ArrayFacts:
    known: dict[str, Any] = {"shape": (3, 1, 7, 10, 9), "dtype": np.dtype("uint16"), "dimension_names": tuple("tczyx")}
    return ArrayFacts(**known | changes)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("group", GROUPS)
def test_documents_that_follow_all_rules_have_no_findings(group: str, version: str) -> None:
    if group == "scene" and version < "0.6":
        return
    attributes = document(group, version)
    arrays = {f"s{i}": facts(zarr_format=2 if version == "0.4" else 3, separator="/") for i in range(2)}
    assert check_attributes(attributes, arrays=arrays) == ()
    assert check_attributes(attributes, group=group, version=version) == ()


# -- documents that break one
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


def becomes(**body: Any) -> Callable[[Any], None]:
    """Replace the image's own transformation, but not what it joins."""

    def change(d: Any) -> None:
        kept = {k: edge(d)[k] for k in ("input", "output")}
        edge(d).clear()
        edge(d).update(kept | body)

    return change


def turn(d: Any, i: int, value: str) -> None:
    all_axes(d)[i]["orientation"] = {"type": "anatomical", "value": value}


def part(*, inputs: Any = (0, 1), outputs: Any = (0, 1), scale: Any = (1, 1)) -> Any:
    inner = {"type": "scale", "scale": list(scale)}
    return {"inputAxes": list(inputs), "outputAxes": list(outputs), "transformation": inner}


EYE = [[float(i == j) for j in range(5)] for i in range(5)]
BREAKS: list[tuple[str, str, Callable[[Any], Any]]] = [
    ("ST-005", "image", lambda d: d.update(version="0.7")),
    ("ST-004", "image", lambda d: d.pop("version")),
    ("ST-003", "image", lambda d: d.pop("multiscales")),
    ("AX-001", "image", lambda d: all_axes(d)[1].pop("name")),
    ("AX-001", "image", lambda d: all_axes(d).__setitem__(1, 5)),
    ("AX-001", "image", lambda d: all_axes(d)[1].update(name="")),
    ("AX-002", "image", lambda d: all_axes(d)[3].update(name="x")),
    ("AX-003", "image", lambda d: all_axes(d)[1].pop("type")),
    ("AX-004", "image", lambda d: all_axes(d)[1].update(type=7)),
    ("AX-005", "image", lambda d: all_axes(d)[4].pop("unit")),
    ("AX-005", "image", lambda d: all_axes(d)[4].update(unit=1)),
    ("AX-006", "image", lambda d: all_axes(d)[4].update(unit="micron")),
    ("AX-006", "image", lambda d: all_axes(d)[4].update(unit="decameter")),
    ("AX-006", "image", lambda d: all_axes(d)[0].update(unit="micrometer")),
    ("AX-008", "image", lambda d: all_axes(d).insert(0, {"name": "a", "type": "angle"})),
    ("AX-009", "image", lambda d: [a.update(type="angle") for a in all_axes(d)[2:4]]),
    ("AX-009", "image", lambda d: [a.update(type="custom") for a in all_axes(d)[3:]]),
    ("AX-010", "image", lambda d: all_axes(d)[1].update(type="time", unit="second")),
    ("AX-011", "image", lambda d: all_axes(d)[0].update(type="angle")),
    ("AX-012", "image", lambda d: all_axes(d).reverse()),
    ("AX-013", "image", lambda d: all_axes(d).insert(2, all_axes(d).pop())),
    ("AX-014", "image", lambda d: all_axes(d)[1].update(discrete="yes")),
    ("AX-015", "image", lambda d: all_axes(d).__setitem__(1, "c")),
    ("OR-001", "image", lambda d: turn(d, 1, ORIENTATIONS[0])),
    ("OR-001", "image", lambda d: turn(d, 4, "up")),
    ("OR-001", "image", lambda d: all_axes(d)[4].update(orientation="left-to-right")),
    ("OR-002", "image", lambda d: [turn(d, 3 + i, ORIENTATIONS[i]) for i in range(2)]),
    ("MS-001", "image", lambda d: d["multiscales"].append(copy.deepcopy(first(d)))),
    ("MS-001", "image", lambda d: d.update(multiscales=[])),
    ("MS-002", "image", lambda d: [first(d).pop(k, None) for k in ("axes", "coordinateSystems")]),
    ("MS-003", "image", lambda d: first(d).update(datasets={})),
    ("MS-004", "image", lambda d: level(d).update(path="../x")),
    ("MS-004", "image", lambda d: level(d).update(path=3)),
    ("MS-008", "image", lambda d: level(d).pop("coordinateTransformations")),
    ("MS-009", "image", lambda d: first(d).pop("name")),
    ("MS-009", "image", lambda d: first(d).pop("metadata")),
    ("MS-010", "image", lambda d: first(d).pop("version", None)),
    ("CT-001", "image", lambda d: level(d).update(coordinateTransformations=7)),
    ("CT-001", "image", lambda d: steps(d)[0].pop("type")),
    ("CT-002", "image", lambda d: steps(d).reverse()),
    ("CT-002", "image", lambda d: steps(d).append({"type": "translation", "translation": [1] * 5})),
    ("CT-002", "image", lambda d: steps(d).append({"type": "affine", "affine": []})),
    ("CT-003", "image", lambda d: steps(d)[0].update(scale=[1, 2])),
    ("CT-003", "image", lambda d: steps(d)[0].update(scale=[1, "2"])),
    ("CT-004", "image", lambda d: [steps(d)[0].pop("scale"), steps(d)[0].update(path="scale")]),
    ("CT-005", "image", lambda d: first(d)["coordinateTransformations"].pop(0)),
    ("CT-006", "image", lambda d: steps(d).append({"type": "identity"})),
    ("TR-001", "image", lambda d: first(d)["coordinateSystems"][1].update(name="physical")),
    ("TR-001", "image", lambda d: first(d)["coordinateSystems"][1].pop("axes")),
    ("TR-002", "image", becomes(type="warp")),
    ("TR-002", "image", lambda d: edge(d).pop("type")),
    ("TR-002", "image", lambda d: first(d)["coordinateTransformations"].append(edge(d) | {"translation": [1] * 5})),
    ("TR-003", "image", lambda d: edge(d).update(input="physical")),
    ("TR-003", "image", lambda d: edge(d).pop("output")),
    ("TR-004", "image", lambda d: level(d).update(coordinateTransformations=level(d)["coordinateTransformations"] * 2)),
    ("TR-004", "image", lambda d: steps(d).reverse()),
    ("TR-005", "image", lambda d: level(d)["coordinateTransformations"][0]["input"].update(path="s9")),
    ("TR-005", "image", lambda d: level(d)["coordinateTransformations"][0]["input"].update(name="s0")),
    ("TR-005", "image", lambda d: level(d)["coordinateTransformations"][0]["output"].update(name="nowhere")),
    ("TR-006", "image", lambda d: level(d, 1)["coordinateTransformations"][0]["output"].update(name="world")),
    ("TR-007", "image", lambda d: edge(d).update(input={"name": "world"})),
    ("TR-008", "image", lambda d: edge(d).update(type="affine", affine=EYE, output={"name": "a", "path": "labels/a"})),
    ("TR-009", "image", lambda d: edge(d).update(output={"name": "nowhere"})),
    ("TR-010", "image", lambda d: first(d).pop("coordinateTransformations")),
    ("TR-011", "image", lambda d: steps(d)[0].update(scale=[1, 2])),
    ("TR-011", "image", becomes(type="affine", affine=[[1, 0, 0], [0, 1, 0]])),
    ("TR-011", "image", becomes(type="sequence", transformations=[{"type": "projectAxis", "droppedInputs": [1]}])),
    ("TR-012", "image", becomes(type="mapAxis", mapAxis=[0, 0, 1, 2, 3])),
    ("TR-012", "image", becomes(type="mapAxis", mapAxis=[0, 1, 2, 4])),
    ("TR-013", "image", becomes(type="projectAxis")),
    ("TR-013", "image", becomes(type="projectAxis", droppedInputs=[7])),
    ("TR-013", "image", becomes(type="projectAxis", createdOutputs=[0], droppedInputs=[5 - 5, 0])),
    ("TR-014", "image", becomes(type="scale", scale=[1, 1, 1, 1, 0])),
    ("TR-014", "image", becomes(type="scale", scale=[1] * 5, path="there")),
    ("TR-015", "image", becomes(type="affine", affine=EYE, path="there")),
    ("TR-015", "image", becomes(type="affine", affine=[[1, 2], [1]])),
    ("TR-016", "image", becomes(type="rotation", rotation=[[*EYE[0][:4], 0.1], *EYE[1:]])),
    ("TR-016", "image", becomes(type="rotation", rotation=[[-1.0, 0, 0, 0, 0], *EYE[1:]])),
    ("TR-016", "image", becomes(type="rotation", rotation=[[10**400] * 5] * 5)),
    ("TR-017", "image", becomes(type="sequence", transformations=[])),
    ("TR-018", "image", becomes(type="displacements")),
    ("TR-018", "image", becomes(type="coordinates", path="there", interpolation="sinc")),
    ("TR-019", "image", becomes(type="byDimension", transformations=[part(), part()])),
    ("TR-019", "image", becomes(type="byDimension", transformations=[part(outputs=[0])])),
    ("TR-019", "image", becomes(type="byDimension", transformations=[part(inputs=[7, 8])])),
    ("TR-019", "image", becomes(type="byDimension", transformations=[part(inputs=[0.5, 1])])),
    ("TR-020", "image", becomes(type="bijection", forward={"type": "identity"})),
    ("TR-020", "image", becomes(type="bijection", forward={"type": "identity"}, inverse={"type": "identity"})),
    ("SC-001", "scene", lambda d: d["scene"].pop("coordinateTransformations")),
    ("SC-001", "scene", lambda d: d["scene"].update(coordinateSystems={})),
    ("SC-001", "scene", lambda d: d.update(scene=[])),
    ("SC-002", "scene", lambda d: d["scene"]["coordinateTransformations"][0]["input"].pop("name")),
    ("SC-002", "scene", lambda d: d["scene"]["coordinateTransformations"][0]["input"].update(more=1)),
    ("TR-009", "scene", lambda d: d["scene"]["coordinateTransformations"][0]["output"].update(name="nowhere")),
    ("TR-010", "scene", lambda d: d["scene"]["coordinateSystems"].append({"name": "alone", "axes": axes()})),
    ("LB-001", "labels", lambda d: d.update(labels={})),
    ("LB-001", "labels", lambda d: d["labels"].append(5)),
    ("LB-009", "label", lambda d: d.pop("multiscales")),
    ("LB-010", "label", lambda d: d["image-label"].pop("colors")),
    ("LB-010", "label", lambda d: d["image-label"]["colors"][0].update(rgba=[1, 2, 3, 256])),
    ("LB-010", "label", lambda d: d["image-label"]["colors"][0].update({"label-value": 0.5})),
    ("LB-011", "label", lambda d: d["image-label"]["colors"][0].update({"label-value": 1})),
    ("LB-012", "label", lambda d: d["image-label"]["properties"][0].pop("label-value")),
    ("LB-013", "label", lambda d: d["image-label"]["source"].update(image=4)),
    ("LB-013", "label", lambda d: d["image-label"].update(source="../../")),
    ("LB-014", "label", lambda d: d["image-label"].pop("version", None)),
    ("OM-001", "image", lambda d: d["omero"].pop("channels")),
    ("OM-001", "image", lambda d: d["omero"]["channels"][0].update(color="#00FF00")),
    ("OM-001", "image", lambda d: d["omero"]["channels"][0].pop("window")),
    ("OM-001", "image", lambda d: d["omero"]["channels"][0]["window"].pop("start")),
    ("PL-001", "plate", lambda d: d["plate"]["rows"][0].update(name="A-1")),
    ("PL-001", "plate", lambda d: d["plate"]["rows"].append({"name": "A", "concentration": 3})),
    ("PL-001", "plate", lambda d: d["plate"]["rows"].append({"name": "a"})),
    ("PL-002", "plate", lambda d: d["plate"]["wells"][0].update(path="2/A")),
    ("PL-003", "plate", lambda d: d["plate"]["wells"][0].update(rowIndex=1)),
    ("PL-004", "plate", lambda d: d["plate"]["acquisitions"][0].update(id=1)),
    ("PL-004", "plate", lambda d: d["plate"]["acquisitions"][0].pop("name")),
    ("PL-005", "plate", lambda d: d["plate"].pop("field_count")),
    ("PL-006", "plate", lambda d: d["plate"].pop("version", None)),
    ("WL-001", "well", lambda d: d["well"]["images"][0].update(path="1")),
    ("WL-001", "well", lambda d: d["well"]["images"][0].pop("path")),
    ("WL-002", "well", lambda d: d["well"]["images"][0].update(path="a/b")),
    ("WL-003", "well", lambda d: d["well"]["images"][0].update(acquisition=0.5)),
    ("WL-004", "well", lambda d: d["well"].pop("version", None)),
    ("BF-001", "bf2raw", lambda d: d.update({"bioformats2raw.layout": 2})),
    ("BF-004", "ome", lambda d: d["series"].append(2)),
]  # fmt: skip


def versions_of(rule: str, group: str) -> list[str]:
    having = [v for v in VERSIONS if v in RULES[rule].levels]
    return [v for v in having if group != "scene" or v >= "0.6"]


@pytest.mark.parametrize(
    ("rule", "group", "change", "version"),
    [
        pytest.param(rule, group, change, version, id=f"{rule}-{i}-{version}")
        for i, (rule, group, change) in enumerate(BREAKS)
        for version in versions_of(rule, group)
    ],
)
def test_a_broken_rule_is_found(rule: str, group: str, change: Callable[[Any], Any], version: str) -> None:
    attributes = document(group, version)
    change(inside(attributes))
    findings = check_attributes(attributes, version=version)
    assert f"OZ{version.replace('.', '')}-{rule}" in {f.rule for f in findings}, findings
    assert all(f.level in ("must", "should") and f.fix and f.message for f in findings)


ARRAYS: list[tuple[str, Callable[[dict[str, ArrayFacts], str], Any]]] = [
    ("ST-001", lambda a, v: a.update(s0=facts(zarr_format=3))),
    ("ST-002", lambda a, v: a.update(s0=facts(zarr_format=2))),
    ("ST-007", lambda a, v: a.update(s0=facts(separator="."))),
    ("ST-010", lambda a, v: a.update(s0=facts(zarr_format=3, dimension_names=None))),
    ("ST-010", lambda a, v: a.update(s0=facts(zarr_format=3, dimension_names=("t", "c", "z", "y", None)))),
    ("AX-007", lambda a, v: a.update(s0=facts(shape=(3, 7, 10, 9)))),
    ("MS-004", lambda a, v: a.pop("s1")),
    ("MS-005", lambda a, v: a.update(s0=facts(shape=(1, 1, 1, 1, 1)))),
    ("MS-006", lambda a, v: a.update(s1=facts(shape=(7, 10, 9)))),
    ("MS-007", lambda a, v: a.update(s1=facts(dtype=np.dtype("uint8")))),
    ("LB-005", lambda a, v: a.update(s1=facts(dtype=np.dtype("float32")))),
    ("LB-005", lambda a, v: a.update(s1=facts(dtype=np.dtype("bool")))),
    ("OM-002", lambda a, v: a.update({k: facts(shape=(3, 4, 7, 10, 9)) for k in a})),
]


@pytest.mark.parametrize(("rule", "change"), ARRAYS, ids=lambda x: x if isinstance(x, str) else "")
def test_a_broken_rule_about_arrays_is_found(rule: str, change: Callable[[Any, str], Any]) -> None:
    for version in versions_of(rule, "image"):
        arrays = {f"s{i}": facts() for i in range(2)}
        change(arrays, version)
        attributes = document("label" if rule.startswith("LB") else "image", version)
        findings = check_attributes(attributes, arrays=arrays)
        assert f"OZ{version.replace('.', '')}-{rule}" in {f.rule for f in findings}, findings


def test_every_rule_that_can_be_checked_here_is_tested() -> None:
    tested = {rule for rule, _, _ in BREAKS} | {rule for rule, _ in ARRAYS} | {"ST-008"}
    assert {r.id for r in RULES.values() if r.needs in ("document", "attributes", "arrays")} == tested


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
