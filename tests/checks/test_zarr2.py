"""Every rule of Zarr v2 is broken by its examples; repairs mend; nothing else is found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.formats.zarr2_checks import Zarr2Checks
from voxarium.model.edits import apply_edits
from voxarium.spec.zarr2_rules import RULES
from voxarium.validation.examples.zarr import BASES

from .conftest import JSON

DRIVER = Zarr2Checks()


def test_a_format_written_as_a_text_is_repaired(check):
    bad = dict(BASES["zarr2-group"]())
    for key in (".zgroup", "em/.zarray"):
        bad[key] = bad[key].replace(b'"zarr_format": 2', b'"zarr_format": "2"')
    found = check(DRIVER, bad, "document")
    assert [(f.rule, f.key, f.level) for f in found] == [
        ("Z2-004", ".zgroup", "must"),
        ("Z2-004", "em/.zarray", "must"),
    ]
    assert check(DRIVER, apply_edits(bad, tuple(e for f in found for e in f.repair))) == []


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("<f4", "NaN"),
        (">f8", "-Infinity"),
        ("|b1", True),
        ("<c8", [0.0, "NaN"]),
        ("|S3", "AAAA"),
        ("<U2", "ab"),
        ("|O", 0),
        ("<M8[ns]", 0),
        ([["a", "<i4"], ["b", "|u1", [2, 3]]], "AAAAAA=="),
        ("<f4", 0),
        ("<u2", None),
    ],
)
def test_fill_values_of_every_type_are_fine(check, dtype, fill):
    tree = dict(BASES["zarr2"]())
    tree[".zarray"] = json.dumps(json.loads(tree[".zarray"]) | {"dtype": dtype, "fill_value": fill}).encode()
    assert check(DRIVER, tree) == []


@pytest.mark.parametrize(
    ("dtype", "fill", "level"),
    [
        ("<u2", "7", "should"),
        ("<u2", 7.0, "should"),
        ("|b1", 1, "should"),
        ("<f4", "0", "should"),
        ("<u2", True, "must"),
        ("<f4", "nan", "must"),
        ("|S3", 5, "must"),
        ("<U2", 5, "should"),
    ],
)
def test_fill_values_that_some_readers_take_are_weaker_faults(check, dtype, fill, level):
    tree = dict(BASES["zarr2"]())
    tree[".zarray"] = json.dumps(json.loads(tree[".zarray"]) | {"dtype": dtype, "fill_value": fill}).encode()
    assert [(f.rule, f.level) for f in check(DRIVER, tree)] == [("Z2-011", level)]


def test_a_bare_nan_becomes_a_text(check):
    tree = dict(BASES["zarr2"]())
    tree[".zarray"] = tree[".zarray"].replace(b'"fill_value": 0', b'"fill_value": NaN').replace(b"<u2", b"<f4")
    found = check(DRIVER, tree)
    assert [f.rule for f in found] == ["Z2-003"]
    assert json.loads(apply_edits(tree, found[0].repair)[".zarray"])["fill_value"] == "NaN"


def test_deep_folders_without_groups_are_found_once(check):
    tree = {f"a/b/c/{k}": v for k, v in BASES["zarr2"]().items()} | {".zgroup": b'{"zarr_format": 2}'}
    found = check(DRIVER, tree)
    assert [(f.rule, f.key) for f in found] == [("Z2-017", "a/b/.zgroup")]
    mended = apply_edits(tree, found[0].repair)
    assert [(f.rule, f.key) for f in check(DRIVER, mended)] == [("Z2-017", "a/.zgroup")]


@given(JSON, JSON, JSON)
def test_any_values_are_findings_and_no_errors(shape, dtype, fill):
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import zarr2_rules

    document = {
        "shape": shape,
        "chunks": shape,
        "dtype": dtype,
        "fill_value": fill,
        "compressor": fill,
        "filters": fill,
    }
    sheet = Sheet("", RULES, ".zarray")
    zarr2_rules.check_array(Place(document, "", sheet))
    zarr2_rules.check_twin(Place(document, "", sheet), {"node_type": "array", "chunk_grid": shape, "codecs": fill})
    zarr2_rules.check_group(Place({"zarr_format": fill}, "", sheet))
    zarr2_rules.check_consolidated(Place({"metadata": fill}, "", sheet), lambda _: shape, lambda _: True)
    assert sheet.findings


@given(st.binary(max_size=40))
def test_any_bytes_are_findings_and_no_errors(raw):
    from voxarium.stores.memory import MemoryStore

    from .conftest import node_of

    store = MemoryStore({".zarray": raw, ".zgroup": raw, ".zmetadata": raw, "zarr.json": raw})
    assert DRIVER.check(node_of(store, "", "hierarchy")).findings
