"""Repairs: shown, made, undone; nothing is lost whenever the process dies."""

from __future__ import annotations

import contextlib
import gzip
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voxarium.errors import ConflictError, FormatError, NotFoundError, StoreError, VoxariumError
from voxarium.model.edits import Edit
from voxarium.model.rules import Finding
from voxarium.stores.fault import FaultRule, FaultStore
from voxarium.stores.memory import MemoryStore
from voxarium.validation.fixing import apply_repairs, plan_repairs, undo_repairs

TREE = {
    "zarr.json": b'{"zarr_format": "3", "attributes": {"ome": {"version": "0.5"}}}',
    "s0/zarr.json": b'{"shape": [3, 5, 7]}\n',
    "s0/c.gz": gzip.compress(b"voxels"),
    "s0/d": b"voxels too",
}
EDITS = (
    Edit(key="zarr.json", pointer="/zarr_format", value=3),
    Edit(key="zarr.json", pointer="/attributes/ome/labels", value=["a"]),
    Edit(key="s0/zarr.json", pointer="/dimension_names", value=["z", "y", "x"]),
    Edit(key="labels/zarr.json", value={"zarr_format": 3}),
    Edit(key="s0/c.gz", action="unpack", value="s0/c"),
    Edit(key="s0/d", action="move", value="s0/e"),
)


def finding(*edits: Edit, rule: str = "XX-001") -> Finding:
    return Finding(rule=rule, level="must", pointer="", message="is wrong", fix="mend it", repair=edits)


def filled(store: MemoryStore | None = None) -> MemoryStore:
    found = store or MemoryStore()
    for key, raw in TREE.items():
        found.put(key, raw)
    return found


def content(store: MemoryStore) -> dict[str, bytes]:
    return {key: store.get(key) for key, _ in store.list("")}


def test_a_plan_changes_nothing_and_shows_what_it_would_change():
    store = filled()
    plan = plan_repairs(store, [finding(*EDITS), finding()])
    assert content(store) == TREE and plan.left == 1 and not plan.skipped
    shown = "".join(r.diff() for r in plan.repairs)
    assert '-  "zarr_format": "3",' in shown and '+  "zarr_format": 3,' in shown
    assert "unpack s0/c.gz → s0/c" in shown and "rename s0/d → s0/e" in shown
    assert [r.key for r in plan.repairs] == sorted({e.key for e in EDITS})


def test_repairs_are_made_and_undone_byte_for_byte():
    store = filled()
    undo = apply_repairs(store, plan_repairs(store, [finding(*EDITS)]))
    assert json.loads(store.get("zarr.json")) == {
        "zarr_format": 3, "attributes": {"ome": {"version": "0.5", "labels": ["a"]}},
    }  # fmt: skip
    assert store.get("s0/c") == b"voxels" and store.get("s0/c.gz") is None
    assert store.get("s0/e") == TREE["s0/d"] and store.get("labels/zarr.json")
    assert undo_repairs(store, undo) == 5
    assert content(store) == TREE


@pytest.mark.parametrize("changes", range(12))
def test_a_killed_repair_is_undone(changes):
    store = filled()
    plan = plan_repairs(store, [finding(*EDITS)])
    rule = FaultRule(methods=frozenset({"put", "put_if_absent", "delete"}), after=changes)
    with contextlib.suppress(StoreError):
        apply_repairs(FaultStore(store, [rule]), plan)
    if store.get(".voxarium-fix/undo-0001.json") is not None:
        undo_repairs(store, ".voxarium-fix/undo-0001.json")
    assert content(store) == TREE


def test_what_changed_after_planning_stops_it():
    store = filled()
    plan = plan_repairs(store, [finding(*EDITS)])
    store.put("s0/zarr.json", b"{}")
    before = content(store)
    with pytest.raises(ConflictError):
        apply_repairs(store, plan)
    assert content(store) == before


def test_what_changed_after_the_repair_stops_undoing():
    store = filled()
    undo = apply_repairs(store, plan_repairs(store, [finding(*EDITS)]))
    store.put("s0/zarr.json", b"{}")
    before = content(store)
    with pytest.raises(ConflictError):
        undo_repairs(store, undo)
    assert content(store) == before


def test_two_rules_that_disagree_about_a_place_leave_the_first():
    store = filled()
    first, second = (Edit(key="zarr.json", pointer="/zarr_format", value=v) for v in (3, 2))
    plan = plan_repairs(store, [finding(first), finding(second, rule="XX-002"), finding(first, rule="XX-003")])
    assert plan.repairs[0].rules == ("XX-001", "XX-003") and len(plan.skipped) == 1


@pytest.mark.parametrize(
    "edit",
    [
        Edit(key="../zarr.json", pointer="/a", value=1),
        Edit(key="zarr.json", pointer="/zarr_format/deeper", value=1),
        Edit(key="s0/c.gz", pointer="/a", value=1),
        Edit(key="s0/d", action="truncate", value=1),
        Edit(key="s0/d", action="unpack", value="s0/f"),
        Edit(key="s0/d", action="move", value="zarr.json"),
        Edit(key="s0/d", action="move", value="../../x"),
    ],
)
def test_a_repair_that_cannot_be_made_is_skipped(edit):
    store = filled()
    plan = plan_repairs(store, [finding(edit)])
    assert not plan.repairs and len(plan.skipped) == 1 and content(store) == TREE


def test_a_damaged_packed_object_stops_it_before_anything_is_changed():
    store = filled()
    store.put("s0/c.gz", b"no gzip")
    before = content(store)
    with pytest.raises(FormatError):
        apply_repairs(store, plan_repairs(store, [finding(*EDITS)]))
    assert content(store) == before


def test_undoing_needs_its_file():
    with pytest.raises(NotFoundError):
        undo_repairs(filled(), ".voxarium-fix/undo-0009.json")


@given(st.recursive(st.none() | st.integers() | st.text(), lambda c: st.lists(c) | st.dictionaries(st.text(), c)))
def test_a_hostile_undo_file_changes_nothing(value):
    store = filled()
    for document in (value, {"format": "voxarium-undo", "version": 1, "actions": value},
                     {"format": "voxarium-undo", "version": 1, "actions": [{"key": "../a", "was": None}]}):  # fmt: skip
        store.put("undo.json", json.dumps(document).encode())
        before = content(store)
        try:
            undo_repairs(store, "undo.json")
        except VoxariumError:
            assert content(store) == before
        else:
            assert document["actions"] in ([], {}, "")


def test_packed_chunks_of_a_precomputed_volume_are_unpacked_and_packed_again(tmp_path, capsys):
    """What CloudVolume leaves on local disks shows as zeros in TensorStore and Neuroglancer."""
    import numpy as np

    import voxarium
    from voxarium.cli.main import main

    np.save(tmp_path / "a.npy", np.random.default_rng(0).integers(0, 255, (9, 40, 50)).astype("uint8"))
    place = {"axes": "zyx", "voxel_size": 8, "unit": "nanometer"}
    target = tmp_path / "pc"
    voxarium.convert(tmp_path / "a.npy", target, format="precomputed", **place, chunk=16, shard=(0,), levels=1)
    whole = {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    for path in target.glob("8_8_8/*"):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()}
    assert main(["validate", str(target), "--depth", "census"]) == 1
    assert main(["validate", str(target), "--depth", "census", "--fix"]) == 0
    assert {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()} == packed
    assert main(["validate", str(target), "--depth", "census", "--fix", "--apply"]) == 0
    assert {k: p.read_bytes() for k in whole if (p := target / k).exists()} == whole
    assert main(["validate", str(target), "--depth", "data", "--quiet"]) == 0
    assert main(["validate", str(target), "--undo", ".voxarium-fix/undo-0001.json"]) == 0
    assert {p.relative_to(target): p.read_bytes() for p in target.rglob("*") if p.is_file()} == packed
    capsys.readouterr()


@pytest.mark.parametrize(
    "text",
    ['{"a":{"b":[1,2],"c":"ü"}}', '{"a": {"b": [1, 2], "c": "x"}}\n', '{\n    "a": {\n        "b": 1\n    }\n}',
     '{\n\t"a": {\n\t\t"b": 1\n\t}\n}\n', '{\n  "a": {\n    "b": 1\n  }\n}\n'],
)  # fmt: skip
def test_repaired_documents_keep_their_layout_and_diffs_show_the_change_alone(text):
    edit = Edit(key="zarr.json", pointer="/a/new", action="set", value=5)
    (repair,) = plan_repairs(filled_with(text.encode()), [finding(edit)]).repairs
    assert json.loads(repair.after) == {"a": json.loads(text)["a"] | {"new": 5}}
    undone = plan_repairs(filled_with(repair.after), [finding(replace(edit, action="remove"))]).repairs[0]
    assert undone.after.decode() == text
    changed = [line for line in repair.diff().splitlines()[3:] if line[0] in "+-"]
    assert len(changed) <= 3 and any('"new": 5' in line for line in changed)


def filled_with(raw):
    store = MemoryStore()
    store.put("zarr.json", raw)
    return store
