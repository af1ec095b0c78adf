"""Every rule of N5 is broken by its examples; repairs mend; nothing else is found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.formats.n5_checks import N5Checks
from voxarium.model.edits import apply_edits
from voxarium.spec.n5_rules import RULES
from voxarium.validation.examples.n5 import BASES

from .conftest import JSON

DRIVER = N5Checks()


def array_with(**changes):
    tree = dict(BASES["n5"]())
    tree["attributes.json"] = json.dumps(json.loads(tree["attributes.json"]) | changes).encode()
    return tree


@pytest.mark.parametrize("version", ["1.5.0", "2.0.0", "2.5.1", "4.0.0", "4.1.0-SNAPSHOT"])
def test_all_versions_up_to_4_are_fine(check, version):
    assert check(DRIVER, array_with(n5=version)) == []


def test_the_compression_of_version_1_is_read_and_repaired(check):
    tree = array_with(compressionType="gzip")
    tree["attributes.json"] = json.dumps(
        {k: v for k, v in json.loads(tree["attributes.json"]).items() if k != "compression"}
    ).encode()
    found = check(DRIVER, tree)
    assert [(f.rule, f.level) for f in found] == [("N5-008", "should")]
    mended = apply_edits(tree, found[0].repair)
    assert json.loads(mended["attributes.json"])["compression"] == {"type": "gzip"}
    assert check(DRIVER, mended) == []


def test_unknown_settings_of_compressions_make_nothing_invalid(check):
    found = check(DRIVER, array_with(compression={"type": "zstd", "level": 3, "id": "zstd", "checksum": False}))
    assert [(f.rule, f.level, f.pointer) for f in found] == [
        ("N5-010", "quality", "/compression/checksum"),
        ("N5-010", "quality", "/compression/id"),
    ]


def test_attributes_of_users_are_nobodys_business(check):
    assert check(DRIVER, array_with(name=5, multiscales={"a": [1]}, offset="here")) == []


def test_an_attributes_document_beside_a_zarr_is_not_judged(check):
    assert check(DRIVER, {"attributes.json": b"[]", "zarr.json": b"{}"}) == []


@given(JSON, JSON, JSON)
def test_any_values_are_findings_and_no_errors(shape, kind, more):
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import n5_rules

    keys = ("downsamplingFactors", "scales", "axes", "units", "resolution", "pixelResolution", "painteraData", "maxId")
    document = {"dimensions": shape, "blockSize": shape, "dataType": kind, "n5": kind, **dict.fromkeys(keys, more)}
    document["compression"] = {"type": "blosc", "level": more, "cname": more, "id": kind}
    sheet = Sheet("", RULES, "attributes.json")
    place = Place(document, "", sheet)
    for function in (n5_rules.check_version, n5_rules.check_array, n5_rules.check_group, n5_rules.check_root):
        function(place)
    n5_rules.check_levels(place, {"s0": place, "s1": place})
    n5_rules.check_array(Place({"compression": more, "compressionType": kind}, "", sheet))
    assert sheet.findings


@given(st.binary(max_size=40))
def test_any_bytes_are_findings_and_no_errors(raw):
    from voxarium.stores.memory import MemoryStore

    from .conftest import node_of

    assert DRIVER.check(node_of(MemoryStore({"attributes.json": raw}), "", "hierarchy")).findings
