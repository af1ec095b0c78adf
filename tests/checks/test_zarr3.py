"""Every rule of Zarr v3 is broken by its examples; repairs mend; nothing else is found."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.formats.zarr3_checks import Zarr3Checks
from voxarium.model.edits import apply_edits
from voxarium.spec.zarr3_rules import RULES
from voxarium.validation.examples.zarr import BASES

from .conftest import JSON

DRIVER = Zarr3Checks()


def array_with(**changes):
    tree = dict(BASES["zarr3-plain"]())
    tree["zarr.json"] = json.dumps(json.loads(tree["zarr.json"]) | changes).encode()
    return tree


def test_a_format_written_as_a_text_is_repaired(check):
    bad = array_with(zarr_format="3")
    found = check(DRIVER, bad, "document")
    assert [(f.rule, f.pointer) for f in found] == [("Z3-013", "/zarr_format")]
    assert check(DRIVER, apply_edits(bad, found[0].repair)) == []


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [
        ("float32", "NaN"),
        ("float32", "0x7fc00001"),
        ("float64", "-Infinity"),
        ("float16", 0),
        ("bool", True),
        ("complex64", [0.5, "NaN"]),
        ("int8", -128),
        ("r16", [1, 255]),
        ("string", ""),
        ({"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}, -1),
    ],
)
def test_fill_values_of_every_type_are_fine(check, dtype, fill):
    assert check(DRIVER, array_with(data_type=dtype, fill_value=fill)) == []


@pytest.mark.parametrize(
    ("dtype", "fill"),
    [("bool", 0), ("uint8", 256), ("float32", "nan"), ("complex64", 0), ("r16", [1]), ("int8", 0.0), ("int8", True)],
)
def test_other_fill_values_are_faults(check, dtype, fill):
    assert [f.rule for f in check(DRIVER, array_with(data_type=dtype, fill_value=fill))] == ["Z3-016"]


def test_orders_of_the_draft_are_spelled_out(check):
    turn = [
        {"name": "transpose", "configuration": {"order": "F"}},
        {"name": "bytes", "configuration": {"endian": "little"}},
    ]
    found = check(DRIVER, array_with(codecs=turn))
    assert [(f.rule, f.basis, f.expected) for f in found] == [("Z3-017", "text", [2, 1, 0])]
    assert check(DRIVER, apply_edits(array_with(codecs=turn), found[0].repair)) == []


def test_copies_that_spell_out_what_is_meant_agree(check):
    tree = dict(BASES["zarr3-consolidated"]())
    own = json.loads(tree["em/zarr.json"])
    own["chunk_key_encoding"] = {"name": "default"}
    del own["attributes"]
    root = json.loads(tree["zarr.json"])
    root["consolidated_metadata"]["metadata"]["em"] |= {"attributes": {}, "storage_transformers": []}
    tree |= {"em/zarr.json": json.dumps(own).encode(), "zarr.json": json.dumps(root).encode()}
    assert check(DRIVER, tree) == []


def test_a_bare_nan_becomes_a_text(check):
    bad = array_with(data_type="float32", fill_value=float("nan"))
    found = check(DRIVER, bad)
    assert [f.rule for f in found] == ["Z3-012"]
    assert json.loads(apply_edits(bad, found[0].repair)["zarr.json"])["fill_value"] == "NaN"


def test_shards_are_divided_as_they_are_turned(check):
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    index = [little, {"name": "crc32c"}]
    shards = {"chunk_shape": [4, 2, 3], "codecs": [little], "index_codecs": index}
    turned = [
        {"name": "transpose", "configuration": {"order": [2, 0, 1]}},
        {"name": "sharding_indexed", "configuration": shards},
    ]
    assert check(DRIVER, array_with(codecs=turned)) == []
    assert [f.rule for f in check(DRIVER, array_with(codecs=turned[1:]))] == ["Z3-008"]


def test_shards_in_shards_are_checked(check):
    little = {"name": "bytes", "configuration": {"endian": "little"}}
    index = [little, {"name": "crc32c"}]

    def shards(chunk, codecs):
        settings = {"chunk_shape": chunk, "codecs": codecs, "index_codecs": index}
        return [{"name": "sharding_indexed", "configuration": settings}]

    assert check(DRIVER, array_with(codecs=shards([2, 3, 2], shards([1, 3, 1], [little])))) == []
    found = check(DRIVER, array_with(codecs=shards([2, 3, 2], shards([2, 2, 2], [little]))))
    assert [(f.rule, f.pointer) for f in found] == [
        ("Z3-008", "/codecs/0/configuration/codecs/0/configuration/chunk_shape")
    ]


def test_unknown_extensions_are_not_judged(check):
    unknown = [{"name": "example.turn"}, {"name": "bytes", "configuration": {"endian": "little"}}]
    assert check(DRIVER, array_with(codecs=unknown)) == []
    grid = {"name": "rectilinear", "configuration": {"kind": "inline", "chunk_shapes": [[3], [4], [2, 3]]}}
    keys = {"name": "suffix", "configuration": {"suffix": ".bin"}}
    assert check(DRIVER, array_with(chunk_grid=grid, chunk_key_encoding=keys)) == []


def test_chains_without_end_are_cut(check):
    chain = [{"name": "bytes"}]
    for _ in range(60):
        chain = [{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1, 1], "codecs": chain}}]
    assert {f.rule for f in check(DRIVER, array_with(codecs=chain))} >= {"Z3-003", "Z3-008"}


@given(JSON, JSON, JSON, st.sampled_from(["bytes", "transpose", "sharding_indexed", "blosc", "zstd", "crc32c", "x"]))
def test_any_values_are_findings_and_no_errors(shape, dtype, fill, codec):
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import zarr3_rules

    document = {"zarr_format": fill, "node_type": "array", "shape": shape, "data_type": dtype, "fill_value": fill}
    document["chunk_grid"] = {"name": "regular", "configuration": {"chunk_shape": shape}}
    settings = {"chunk_shape": shape, "order": shape, "codecs": fill, "level": dtype, "cname": dtype, "endian": fill}
    document["codecs"] = [{"name": codec, "configuration": settings}, shape]
    document["consolidated_metadata"] = {"metadata": fill}
    document["dimension_names"] = dtype
    sheet = Sheet("", RULES, "zarr.json")
    zarr3_rules.check_node(Place(document, "", sheet))
    zarr3_rules.check_consolidated(Place(document, "", sheet), lambda _: {})
    zarr3_rules.check_consolidated(Place({"consolidated_metadata": shape}, "", sheet), None)
    assert sheet.findings


@given(st.binary(max_size=40))
def test_any_bytes_are_findings_and_no_errors(raw):
    from voxarium.stores.memory import MemoryStore

    from .conftest import node_of

    assert DRIVER.check(node_of(MemoryStore({"zarr.json": raw}), "", "hierarchy")).findings
