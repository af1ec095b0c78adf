"""Every rule of CellMap's datasets and crops is broken by its examples; nothing else is found."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.formats.cellmap_checks import CellmapChecks
from voxarium.model.checking import Place, Sheet
from voxarium.model.edits import apply_edits
from voxarium.model.histogram_checks import HistogramCheckDriver
from voxarium.spec import cellmap_rules
from voxarium.spec.cellmap_rules import RULES, check_counts
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples.cellmap import BASES

from .conftest import JSON, array_at, node_of

DRIVER = CellmapChecks()
CHECKABLE = [r for r in RULES.values() if r.needs != "nothing"]
VOXELS = [(r.id, i) for r in CHECKABLE for i in range(len(r.examples)) if r.needs == "data"]


def histogram_of(tree, path):
    raw = np.frombuffer(tree[f"{path}/0/0/0"], json.loads(tree[f"{path}/.zarray"])["dtype"])
    return dict(Counter(raw.tolist()))


@pytest.mark.parametrize(("rule", "number"), VOXELS)
def test_values_that_contradict_the_annotation_are_found(rule, number):
    example = RULES[rule].examples[number]
    tree = apply_edits(BASES[example.base](), example.edits)
    info = array_at(MemoryStore(tree), "mito/s0")
    assert isinstance(DRIVER, HistogramCheckDriver)
    assert DRIVER.wants_histogram(info)
    found = DRIVER.check_histogram("mito/s0", info, histogram_of(tree, "mito/s0"))
    assert rule in {f.rule for f in found}
    assert {f.key for f in found} == {"mito/s0/.zattrs"}


def test_right_counts_are_fine_and_wrong_ones_are_repaired():
    tree = BASES["cellmap-crop"]()
    for path in ("mito/s0", "nucleus/s0"):
        info = array_at(MemoryStore(tree), path)
        assert DRIVER.check_histogram(path, info, histogram_of(tree, path)) == ()
    example = RULES["CM-104"].examples[0]
    bad = apply_edits(tree, example.edits)
    histogram = histogram_of(bad, "mito/s0")
    found = DRIVER.check_histogram("mito/s0", array_at(MemoryStore(bad), "mito/s0"), histogram)
    mended = apply_edits(bad, found[0].repair)
    info = array_at(MemoryStore(mended), "mito/s0")
    assert DRIVER.check_histogram("mito/s0", info, histogram) == ()


def test_arrays_without_annotation_need_no_histogram():
    tree = BASES["cellmap"]()
    info = array_at(MemoryStore(tree), "jrc_example-1.zarr/recon-1/labels/mito_seg/s0")
    assert not DRIVER.wants_histogram(info)
    assert DRIVER.check_histogram("x", info, {0: 5}) == ()


@pytest.mark.parametrize(
    ("key", "old", "new", "rule", "level"),
    [
        ("jrc_example-1.n5/labels/mito_pred/s0/attributes.json", b'"nm"', b'"um"', "CM-008", "must"),
        ("jrc_example-1.n5/labels/mito_seg/s0/attributes.json", b'"uint16"', b'"float32"', "CM-006", "should"),
    ],
)
def test_levels_say_how_grave_it_is(check, key, old, new, rule, level):
    tree = dict(BASES["cellmap"]())
    tree[key] = tree[key].replace(old, new)
    assert (rule, level) in {(f.rule, f.level) for f in check(DRIVER, tree)}


def test_other_zarrs_are_no_datasets_of_cellmap(check):
    tree = {
        "my_scan.zarr/.zgroup": b'{"zarr_format": 2}',
        "my_scan.zarr/labels/.zgroup": b'{"zarr_format": 2}',
        "my_scan.zarr/0/.zarray": b"{}",
        "other.n5/em/attributes.json": b"{}",
    }
    assert check(DRIVER, tree) == []


def test_a_deeply_nested_label_image_is_found(check):
    tree = dict(BASES["cellmap"]())
    moved = {
        k.replace("labels/mito_seg", "labels/lab/old/mito_seg"): v for k, v in tree.items() if "n5/labels/mito_seg" in k
    }
    moved["jrc_example-1.n5/labels/lab/old/mito_seg/s0/attributes.json"] = moved[
        "jrc_example-1.n5/labels/lab/old/mito_seg/s0/attributes.json"
    ].replace(b'"uint16"', b'"float32"')
    assert "jrc_example-1.n5/labels/lab/old/mito_seg" in {f.key for f in check(DRIVER, tree | moved)}


@given(JSON, JSON)
def test_any_annotation_is_findings_and_no_errors(value, other):
    for found in (
        {"class_names": value, "version": other, "name": value, "start_date": other},
        {"class_name": value, "annotation_type": {"type": "semantic_segmentation", "encoding": other}},
        {"class_name": "a", "annotation_type": value, "complement_counts": other},
    ):
        tree = {"cellmap": {"annotation": found}, "multiscales": value}
        store = MemoryStore({".zattrs": json.dumps(tree).encode(), ".zgroup": b"{}"})
        assert DRIVER.check(node_of(store, "", "hierarchy")).findings is not None
        check_counts(found, {0: 3, 7: 1})
        place = Place(found, "", Sheet("", RULES))
        cellmap_rules.check_annotation(place, "array", "b")
        cellmap_rules.check_class_arrays(place, place, {"s0": place})
        cellmap_rules.check_members(place, [])
    check_counts(value, {0: 3})
    cellmap_rules.placed(value, {"transform": other}, (3, 4))
    cellmap_rules.placed({"multiscales": [{"axes": value, "datasets": other}]}, value, (3, 4))


@given(st.binary(max_size=40))
def test_any_bytes_are_no_errors(raw):
    store = MemoryStore(
        {".zattrs": raw, ".zgroup": raw, "zarr.json": raw, "attributes.json": raw, "thumbnail.jpg": raw}
    )
    DRIVER.check(node_of(store, "", "hierarchy"))
