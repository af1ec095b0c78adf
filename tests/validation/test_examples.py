"""Every rule is broken by its own example, and by nothing in the tree the example is made from."""

from __future__ import annotations

import pytest

from voxarium.model.edits import apply_edits
from voxarium.model.rules import Rule
from voxarium.stores.memory import MemoryStore
from voxarium.validation.examples import bases
from voxarium.validation.registry import all_rules
from voxarium.validation.report import Report
from voxarium.validation.running import validate_in

BASES = bases()
RULES = [(s.name, rule) for s in all_rules() for rule in s.rules.values()]
CHECKABLE = [(name, rule) for name, rule in RULES if rule.needs != "nothing"]


def checked(tree: dict[str, bytes], profile: str = "quality", depth: str = "data") -> Report:
    store = MemoryStore()
    for key, raw in tree.items():
        store.put(key, raw)
    return validate_in(store, "", depth=depth, profile=profile)


def named(report: Report) -> set[str]:
    return {f.rule for f in report.findings} | {f.rule.partition("-")[2] for f in report.findings}


def profile_of(rule: Rule) -> str:
    return "publish" if rule.basis == "publish" else "schema-strict" if rule.basis == "schema" else "quality"


@pytest.mark.parametrize("name", sorted(BASES))
def test_a_base_breaks_no_rule(name: str) -> None:
    found = [f for f in checked(dict(BASES[name]()), "strict").findings]
    assert not found, [(f.rule, f.key, f.pointer, f.message) for f in found]


@pytest.mark.parametrize(("name", "rule"), CHECKABLE, ids=[f"{n}-{r.id}" for n, r in CHECKABLE])
def test_an_example_breaks_its_rule(name: str, rule: Rule) -> None:
    assert rule.why, "a rule says why it is"
    assert rule.mend, "a rule says how to mend what breaks it"
    assert rule.examples, "a rule has an example that breaks it"
    for example in rule.examples:
        good = dict(BASES[example.base]())
        profile, depth = profile_of(rule), "hierarchy" if rule.depth == "document" else rule.depth
        assert rule.id not in named(checked(good, profile, depth)), "the base breaks the rule itself"
        assert rule.id in named(checked(apply_edits(good, example.edits), profile, depth)), str(example)


def test_ids_are_distinct() -> None:
    ids = [rule.id for _, rule in RULES]
    assert len(set(ids)) == len(ids)
