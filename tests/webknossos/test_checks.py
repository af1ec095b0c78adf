"""What is wrong with a ``datasource-properties.json``, the arrays it names, and files of WKW."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxarium.formats.wkw import WkwDriver
from voxarium.model.edits import Edit, apply_edits
from voxarium.spec.webknossos import rules
from voxarium.spec.wkw.rules import check_header_file
from voxarium.stores.local import LocalStore
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples.webknossos import BASES
from voxarium.validation.running import validate_in

DOCUMENT = "datasource-properties.json"
DRIVER = WkwDriver()


def tree(name="webknossos", **changes):
    """Return a base whose document has other members: ``dataLayers__0__category="image"``."""
    objects = BASES[name]()
    doc = json.loads(objects[DOCUMENT])
    for path, value in changes.items():
        *parents, last = [int(p) if p.isdigit() else p for p in path.split("__")]
        at = doc
        for part in parents:
            at = at[part]
        at[last] = value
    return objects | {DOCUMENT: json.dumps(doc).encode()}


def found(objects, depth="hierarchy", path=""):
    report = validate_in(MemoryStore(dict(objects)), path, depth=depth, profile="quality")
    return [f for f in report.findings if f.rule[:2] in ("WK", "WW", "GE")]


def mended(objects, findings):
    return apply_edits(objects, tuple(e for f in findings for e in f.repair))


@pytest.mark.parametrize(
    "changes",
    [
        {"scale": [8, 8, 40]},
        {"dataLayers__0__mags__0__mag": 1, "dataLayers__0__mags__1__mag": "2-2-2"},
        {"dataLayers__0__mags__1": 2},
        {"version": "1"},
        {"scale": {"factor": [8, 8, 40]}},
    ],
)
def test_older_dialects_are_recommended_against_and_mended(changes):
    objects = tree(**changes)
    findings = found(objects)
    assert findings
    assert {f.level for f in findings} == {"should"}
    assert not found(mended(objects, findings))


def test_mags_under_their_older_name_are_mended():
    objects = tree()
    doc = json.loads(objects[DOCUMENT])
    layer = doc["dataLayers"][0]
    layer["wkwResolutions"] = [{"resolution": m["mag"][0], "cubeLength": 16} for m in layer.pop("mags")]
    objects[DOCUMENT] = json.dumps(doc).encode()
    findings = found(objects)
    assert {(f.rule, f.level) for f in findings} == {("WK-018", "should")}
    after = mended(objects, findings)
    assert not found(after)
    assert json.loads(after[DOCUMENT])["dataLayers"][0]["mags"][1] == {"mag": [2, 2, 2], "cubeLength": 16}


def test_units_that_are_abbreviated_are_written_out():
    objects = tree(scale__unit="nm")
    (finding,) = found(objects, "document")
    assert (finding.rule, finding.level) == ("WK-006", "must")
    assert not found(mended(objects, [finding]))


@pytest.mark.parametrize(
    ("element", "channels", "rule"),
    [
        ("uint8", 1, None), ("uint24", 3, None), ("uint48", 3, None), ("float", 1, None), ("double", 1, "WK-035"),
        ("int64", 1, "WK-035"), ("uint24", 1, "WK-013"), ("uint24", 2, "WK-013"), ("float96", 3, None),
        ("float16", 1, "WK-013"), ("bool", 1, "WK-013"), ("uint24", None, "WK-015"),
    ],
)  # fmt: skip
def test_bits_of_an_element_class_are_those_of_all_channels(element, channels, rule):
    findings = found(tree(dataLayers__0__elementClass=element, dataLayers__0__numChannels=channels), "document")
    assert {f.rule for f in findings} == ({rule} if rule else set())


@pytest.mark.parametrize(("name", "document"), [("webknossos-zarr", ".zarray"), ("webknossos-zarr3", "zarr.json")])
def test_padded_shapes_are_mended_where_no_object_falls_out(name, document):
    objects = BASES[name]()
    key = f"color/2/{document}"
    padded = apply_edits(objects, (Edit(key=key, pointer="/shape", value=[1, 20, 13, 12]),))
    (finding,) = [f for f in found(padded) if f.rule == "WK-044"]
    assert finding.level == "quality"
    assert finding.expected == [1, 15, 9, 6]
    if name == "webknossos-zarr":  # its chunk is no longer than the array was
        assert not finding.repair
        return
    assert not found(mended(padded, [finding]))
    wide = apply_edits(objects, (Edit(key=key, pointer="/shape", value=[1, 99, 9, 6]),))
    assert not next(f for f in found(wide) if f.rule == "WK-044").repair


def test_arrays_in_another_order_of_axes_are_measured_along_their_axes():
    objects = BASES["webknossos-zarr3"]()
    doc = json.loads(objects[DOCUMENT])
    for mag in doc["dataLayers"][0]["mags"]:
        mag["axisOrder"] = {"c": 0, "x": 3, "y": 2, "z": 1}
    objects[DOCUMENT] = json.dumps(doc).encode()
    rules_found = {f.rule for f in found(objects)}
    assert {"WK-043", "WK-046"} <= rules_found
    for m in (1, 2):
        meta = json.loads(objects[f"color/{m}/zarr.json"])
        meta["shape"][1:] = meta["shape"][:0:-1]
        meta["dimension_names"] = ["c", "z", "y", "x"]
        objects[f"color/{m}/zarr.json"] = json.dumps(meta).encode()
    assert not found(objects)


def n5_layer(dimensions):
    objects = tree("webknossos-zarr3", dataLayers__0__dataFormat="n5")
    doc = json.loads(objects[DOCUMENT])
    doc["dataLayers"][0]["mags"] = [{"mag": [1, 1, 1], "path": "./color/1", "axisOrder": {"x": 0, "y": 1, "z": 2}}]
    attributes = {
        "dimensions": dimensions,
        "blockSize": [8] * len(dimensions),
        "dataType": "uint8",
        "compression": {"type": "raw"},
    }
    return {DOCUMENT: json.dumps(doc).encode(), "color/1/attributes.json": json.dumps(attributes).encode()}


def test_arrays_that_are_shown_in_another_order_are_measured_along_their_axes():
    assert not [f for f in found(n5_layer([29, 18, 11])) if f.rule.startswith("WK")]
    assert "WK-043" in {f.rule for f in found(n5_layer([11, 18, 29]))}
    assert "WK-045" in {f.rule for f in found(n5_layer([29, 18]))}


def test_paths_elsewhere_are_said_and_not_followed():
    for path in ("https://example.org/color/2", "/data/color/2", "../../color/2"):
        findings = found(tree(dataLayers__0__mags__1__path=path))
        assert ("WK-022", "should") in {(f.rule, f.level) for f in findings}
        assert "WK-040" not in {f.rule for f in findings}


def test_a_layer_is_checked_by_its_own_path_too():
    objects = {f"ds/{k}": v for k, v in tree(dataLayers__0__category="image").items()}
    assert "WK-011" in {f.rule for f in found(objects, path="ds/color")}
    assert not [f for f in found(objects, path="ds/segmentation") if f.rule.startswith("WK")]


def test_headers_of_mags_are_checked_with_the_layer():
    objects = BASES["webknossos"]()
    raw = bytearray(objects["color/2/header.wkw"])
    raw[8] = 16
    objects["color/2/header.wkw"] = bytes(raw)
    assert ("WW-007", "color/2/header.wkw") in {(f.rule, f.key) for f in found(objects)}


def test_folders_that_are_attachments_are_found():
    mesh = {"name": "fine", "path": "./segmentation/meshes/fine", "dataFormat": "zarr3"}
    objects = tree(dataLayers__1__attachments={"meshes": [mesh]})
    assert "WK-048" in {f.rule for f in found(objects)}
    assert "WK-048" not in {f.rule for f in found(objects | {"segmentation/meshes/fine/zarr.json": b"{}"})}


# -------------------------------------------------------------------------------------------------- foreign data
@pytest.mark.parametrize("name", ["fib25_wkw", "fib25_zarr3"])
def test_datasets_of_others_break_no_rule(shared, name):
    report = validate_in(LocalStore(shared / name), "", depth="data", profile="strict")
    assert not [f for f in report.findings if f.level != "quality"]


def test_arrays_of_others_break_no_demand(shared):
    report = validate_in(LocalStore(shared / "wkw_matrix"), "", depth="data", profile="spec")
    assert report.valid
    assert {f.rule for f in report.findings} == {"WW-005"}  # signed voxels


def test_files_of_others_are_in_order(shared):
    folders = [p.parent.relative_to(shared) for p in Path(shared).rglob("header.wkw")]
    assert len(folders) > 40
    store = LocalStore(shared)
    for folder in map(str, folders):
        info = DRIVER.open(store, folder)
        for key, _ in store.list(folder):
            index = DRIVER.object_index(folder, info, key)
            if key.endswith("header.wkw"):
                assert index is None
                continue
            assert index is not None
            assert not DRIVER.check_object(store, folder, info, key, index)


# --------------------------------------------------------------------------------------------------- files of WKW
def opened(objects, path=""):
    store = MemoryStore(dict(objects))
    return store, DRIVER.open(store, path)


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(0, 10**12)] * 3), st.sampled_from(["", "a/b"]))
def test_keys_and_places_are_each_others_inverse(index, path):
    _, info = opened(BASES["wkw"]())
    key = DRIVER.object_key(path, info, index)
    assert DRIVER.object_index(path, info, key) == index
    for other in (f"{key}.gz", key.replace("x", "x0", 1), key[1:], f"x/{key}", key.upper(), f"{path}/header.wkw"):
        assert DRIVER.object_index(path, info, other) is None


def test_a_file_with_another_header_is_said():
    objects = BASES["wkw"]()
    store, info = opened(objects)
    key = "z0/y0/x1.wkw"
    assert not DRIVER.check_object(store, "", info, key, (0, 0, 1))
    for at, value, said in ((4, 0x12, "blocks of 4 voxels"), (5, 2, "block type lz4"), (6, 1, "voxels of uint8"),
                            (8, 17, "begin at byte 17"), (0, 0, "no WKW header"), (3, 7, "version 7")):  # fmt: skip
        raw = bytearray(objects[key])
        raw[at] = value
        store.put(key, bytes(raw))
        problems = DRIVER.check_object(store, "", info, key, (0, 0, 1))
        assert any(said in what for what, _ in problems), problems


def test_raw_files_have_their_exact_size():
    objects = BASES["wkw"]()
    store, info = opened(objects)
    for raw in (objects["z0/y0/x0.wkw"][:-1], objects["z0/y0/x0.wkw"] + b"\0", objects["z0/y0/x0.wkw"][:10]):
        store.put("z0/y0/x0.wkw", raw)
        assert DRIVER.check_object(store, "", info, "z0/y0/x0.wkw", (0, 0, 0))


def test_tables_of_compressed_files_ascend_and_end_with_the_file():
    objects = BASES["webknossos"]()
    key = "color/1/z0/y0/x0.wkw"
    store, info = opened(objects, "color/1")
    assert not DRIVER.check_object(store, "color/1", info, key, (0, 0, 0))
    store.put(key, objects[key] + b"more")
    assert "ends at byte" in DRIVER.check_object(store, "color/1", info, key, (0, 0, 0))[0][0]
    raw = bytearray(objects[key])
    ends = np.frombuffer(raw[16:80], "<u8").copy()
    ends[2] = ends[3] + 1
    raw[16:80] = ends.tobytes()
    store.put(key, bytes(raw))
    assert "backwards" in DRIVER.check_object(store, "color/1", info, key, (0, 0, 0))[0][0]
    ends[2] = ends[1]
    raw[16:80] = ends.tobytes()
    store.put(key, bytes(raw))
    assert "take no bytes" in DRIVER.check_object(store, "color/1", info, key, (0, 0, 0))[0][0]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_whatever_a_file_holds_it_is_answered(raw):
    for name in ("wkw", "webknossos"):
        path = "" if name == "wkw" else "color/1"
        store, info = opened(BASES[name](), path)
        store.put("x.wkw", raw)
        DRIVER.check_object(store, path, info, "x.wkw", (0, 0, 0))


# ---------------------------------------------------------------------------------------------------------- junk
keys = st.sampled_from(
    ["id", "name", "team", "version", "scale", "factor", "unit", "dataLayers", "category", "boundingBox", "topLeft",
     "width", "height", "depth", "elementClass", "numChannels", "dataFormat", "mags", "mag", "path", "axisOrder",
     "wkwResolutions", "resolution", "cubeLength", "channelIndex", "additionalAxes", "bounds", "index", "attachments",
     "largestSegmentId", "mappings", "meshes", "coordinateTransformations", "type", "matrix", "correspondences",
     "source", "target", "defaultViewConfiguration", "color", "c", "x", "y", "z"]
)  # fmt: skip
words = st.sampled_from(
    ["color", "segmentation", "wkw", "zarr", "zarr3", "uint8", "uint24", "affine", "thin_plate_spline", "..", "../a",
     "/a", "", "2-2-1", "nanometer", "a/b", "s3://b/c", "hdf5"]
)  # fmt: skip
scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.integers(-2, 9) | st.floats() | words | st.text()
)
values = st.recursive(scalars, lambda v: st.lists(v, max_size=4) | st.dictionaries(keys, v, max_size=6), max_leaves=40)


def answered(raw):
    sheet, root = rules.read_document(raw, "ds/datasource-properties.json")
    if root is not None:
        for entry in rules.check_dataset(root):
            rules.check_layer(entry)
            rules.attachments_of(entry["attachments"])
    assert all(f.rule in rules.RULES for f in sheet.findings)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(keys, values, max_size=12) | values)
def test_whatever_a_document_says_it_is_answered_with_findings(document):
    answered(json.dumps(document).encode())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_whatever_is_changed_in_a_good_dataset_it_is_answered_with_findings(data):
    objects = BASES[data.draw(st.sampled_from([n for n in sorted(BASES) if n != "wkw"]))]()
    document = json.loads(objects[DOCUMENT])
    at, key, parent = document, None, None
    for _ in range(data.draw(st.integers(1, 6))):
        if not isinstance(at, list | dict) or not at:
            break
        key = data.draw(st.sampled_from(sorted(at) if isinstance(at, dict) else range(len(at))))
        parent, at = at, at[key]
    parent[key] = data.draw(values)
    objects[DOCUMENT] = json.dumps(document).encode()
    validate_in(MemoryStore(objects), "", depth="hierarchy", profile="quality")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40) | st.binary(min_size=13, max_size=13).map(lambda b: b"WKW" + b))
def test_whatever_a_header_holds_it_is_answered_with_findings(raw):
    sheet, header = check_header_file(raw, "header.wkw")
    assert header is not None or sheet.findings
