"""Every rule of COSEM metadata is broken by its examples; repairs mend; nothing else is found."""

from __future__ import annotations

import json

from hypothesis import given

from voxarium.formats.cosem_checks import CosemChecks
from voxarium.model.edits import apply_edits, parse_edit
from voxarium.spec.cosem_rules import RULES
from voxarium.validation.examples.n5 import BASES

from .conftest import JSON

DRIVER = CosemChecks()


def changed(key, **changes):
    tree = dict(BASES["cosem"]())
    tree[key] = json.dumps(json.loads(tree[key]) | changes).encode()
    return tree


def test_factors_that_were_cut_are_repaired_by_rounding(check):
    tree = dict(BASES["cosem"]())
    group = json.loads(tree["attributes.json"])
    for i, size in enumerate((0.2, 0.6)):
        scale, translate = [30.0, size, size], [0, size / 2 - 0.1, size / 2 - 0.1]
        own = json.loads(tree[f"s{i}/attributes.json"])
        own["transform"] |= {"scale": scale, "translate": translate}
        own["pixelResolution"]["dimensions"] = scale[::-1]
        own["dimensions"] = [[9, 9, 3], [3, 3, 3]][i]
        tree[f"s{i}/attributes.json"] = json.dumps(own).encode()
        group["multiscales"][0]["datasets"][i]["transform"] = own["transform"]
    group["scales"][1] = [2, 2, 1]
    group["pixelResolution"]["dimensions"] = [0.2, 0.2, 30.0]
    tree["attributes.json"] = json.dumps(group).encode()
    found = check(DRIVER, tree)
    assert [(f.rule, f.pointer, f.expected) for f in found] == [("CO-007", "/scales/1", [3.0, 3.0, 1.0])]
    mended = apply_edits(tree, found[0].repair)
    assert json.loads(mended["attributes.json"])["scales"] == [[1, 1, 1], [3, 3, 1]]
    assert check(DRIVER, mended) == []


def test_a_resolution_in_the_wrong_order_is_reversed(check):
    tree = changed("s1/attributes.json", pixelResolution={"dimensions": [30.0, 16.0, 16.0], "unit": "nm"})
    found = check(DRIVER, tree)
    assert [(f.rule, f.key) for f in found] == [("CO-003", "s1/attributes.json")]
    assert check(DRIVER, apply_edits(tree, found[0].repair)) == []


def test_a_wrong_resolution_that_is_no_order_is_not_repaired(check):
    tree = changed("s1/attributes.json", pixelResolution={"dimensions": [16.0, 17.0, 30.0], "unit": "nm"})
    assert [f.repair for f in check(DRIVER, tree)] == [()]


def test_fortran_order_means_the_same_the_other_way_round(check):
    tree = dict(BASES["cosem"]())
    group = json.loads(tree["attributes.json"])
    for i in range(2):
        own = json.loads(tree[f"s{i}/attributes.json"])
        stated = own["transform"]
        for name in ("axes", "units", "scale", "translate"):
            stated[name] = stated[name][::-1]
        stated["order"] = "F"
        tree[f"s{i}/attributes.json"] = json.dumps(own).encode()
        group["multiscales"][0]["datasets"][i]["transform"] = stated
    tree["attributes.json"] = json.dumps(group).encode()
    assert check(DRIVER, tree) == []


def test_a_shift_is_repaired_where_another_level_shows_how_levels_were_made(check):
    tree = dict(BASES["cosem"]())
    group = json.loads(tree["attributes.json"])
    own = json.loads(tree["s1/attributes.json"])
    own["dimensions"], own["pixelResolution"]["dimensions"] = [2, 2, 3], [32.0, 32.0, 30.0]
    own["transform"] |= {"scale": [30.0, 32.0, 32.0], "translate": [0.0, 12.0, 10.0]}
    tree["s2/attributes.json"] = json.dumps(own).encode()
    group["scales"].append([4, 4, 1])
    group["multiscales"][0]["datasets"].append({"path": "s2", "transform": own["transform"]})
    tree["attributes.json"] = json.dumps(group).encode()
    found = check(DRIVER, tree)
    assert [(f.rule, f.expected) for f in found] == [("CO-006", [0.0, 12.0, 12.0])]
    left = check(DRIVER, apply_edits(tree, found[0].repair))
    assert {f.rule for f in left} == {"CO-005"}, "the group still repeats the old one"
    assert check(DRIVER, apply_edits(tree, (*found[0].repair, *left[0].repair))) == []


def test_levels_of_every_fth_voxel_are_only_asked_about(check):
    tree = dict(BASES["cosem"]())
    for key, where in (("s1/attributes.json", "x"), ("attributes.json", "y")):
        document = json.loads(tree[key])
        place = document if where == "x" else document["multiscales"][0]["datasets"][1]
        place["transform"]["translate"] = [0, 0, 0]
        tree[key] = json.dumps(document).encode()
    assert [(f.rule, f.level, f.repair) for f in check(DRIVER, tree)] == [("CO-006", "should", ())]


def test_paths_out_of_the_image_lead_to_no_array(check):
    tree = dict(BASES["cosem"]())
    group = json.loads(tree["attributes.json"])
    group["multiscales"][0]["datasets"][1]["path"] = "../../s1"
    tree["attributes.json"] = json.dumps(group).encode()
    assert "CO-005" in {f.rule for f in check(DRIVER, tree)}


@given(JSON, JSON, JSON)
def test_any_values_are_findings_and_no_errors(shape, kind, more):
    from voxarium.model.checking import Place, Sheet
    from voxarium.spec import cosem_rules

    transform = {"axes": ["z", "y"], "units": kind, "scale": shape, "translate": more, "order": kind}
    usual = {"axes": ["z", "y"], "units": ["nm", "nm"], "scale": [3, 4], "translate": [0, 5]}
    level = {"transform": transform, "pixelResolution": more, "dimensions": shape}
    sheet = Sheet("", RULES, "attributes.json")
    for stated in (transform, usual):
        datasets = [{"path": "s0", "transform": usual}, {"path": "s1", "transform": stated}, more, {"path": kind}]
        group = {"multiscales": [{"datasets": datasets, "axes": more}], "scales": shape, "axes": kind, "units": more}
        place = Place(group | {"pixelResolution": shape}, "", sheet)
        cosem_rules.dataset_paths(place.value)
        cosem_rules.check_group(place, {"s0": Place({"transform": usual}, "", sheet), "s1": Place(level, "", sheet)})
    assert sheet.findings


def test_a_group_is_not_repaired_by_an_array_with_other_axes_than_the_first(check):
    tree = apply_edits(BASES["cosem"](), (parse_edit('s1/attributes.json#/transform/axes = ["x", "y", "z"]'),))
    assert [(f.rule, f.repair) for f in check(DRIVER, tree) if f.rule == "CO-005"] == [("CO-005", ())]


@given(JSON)
def test_other_documents_are_none_of_this_convention(value):
    from voxarium.stores.memory import MemoryStore

    from .conftest import node_of

    document = json.dumps({"multiscales": value, "transform": value}).encode()
    assert DRIVER.check(node_of(MemoryStore({"attributes.json": document}), "", "hierarchy")) is None


def test_attributes_of_zarr_are_checked_alike(check):
    tree = {k.replace("attributes.json", ".zattrs"): v for k, v in BASES["cosem"]().items()}
    assert check(DRIVER, tree) == []
    tree["s1/.zattrs"] = tree["s1/.zattrs"].replace(b"16.0", b"17.0", 1)
    assert {(f.rule, f.key) for f in check(DRIVER, tree)} == {("CO-003", "s1/.zattrs")}
