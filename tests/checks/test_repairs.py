"""Repairs of these formats, planned, applied and undone as `voxarium validate --fix` does."""

from __future__ import annotations

import pytest

from voxarium.core.registry import check_drivers
from voxarium.model.edits import apply_edits
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples import bases
from voxarium.validation.fixing import apply_repairs, plan_repairs, undo_repairs
from voxarium.validation.running import validate_in

NAMES = ("zarr2", "zarr3", "n5", "cosem", "cellmap")
EXAMPLES = [
    pytest.param(rule, number, id=f"{rule.id}-{number}")
    for driver in check_drivers()
    if driver.name in NAMES
    for rule in driver.rules.values()
    for number in range(len(rule.examples))
]
# What the issue asks to be repairable, and what else has one certain mend.
REPAIRED = {
    "Z2-001-0", "Z2-004-0", "Z2-009-0", "Z2-011-2", "Z2-015-2", "Z2-016-0", "Z2-017-0", "Z3-009-0", "Z3-010-0",
    "Z3-013-0", "Z3-016-2", "Z3-019-0", "Z3-020-0", "N5-003-0", "N5-008-0", "N5-010-0", "CO-001-0", "CO-003-0",
    "CO-004-0", "CO-004-1", "CO-004-2", "CO-004-3", "CO-005-0", "CO-005-4", "CO-005-5", "CO-007-1", "CO-010-0",
    "CM-104-0",
}  # fmt: skip


def content(store):
    return {key: store.get(key) for key, _ in store.list("")}


@pytest.mark.parametrize(("rule", "number"), EXAMPLES)
def test_repairs_mend_what_they_say_and_can_be_undone(rule, number, request):
    example = rule.examples[number]
    tree = apply_edits(bases()[example.base](), example.edits)
    store = MemoryStore(dict(tree))
    found = validate_in(store, "", depth="data", profile="quality").findings
    plan = plan_repairs(store, found)
    assert not plan.skipped
    if f"{rule.id}-{number}" in REPAIRED:
        assert any(f.repair for f in found if f.rule == rule.id)
    if not plan.repairs:
        return
    undo = apply_repairs(store, plan)
    left = {
        (f.rule, f.key, f.pointer, f.message) for f in validate_in(store, "", depth="data", profile="quality").findings
    }
    assert not left & {(f.rule, f.key, f.pointer, f.message) for f in found if f.repair}
    undo_repairs(store, undo)
    assert {k: v for k, v in content(store).items() if not k.startswith(".voxarium-fix/")} == tree
