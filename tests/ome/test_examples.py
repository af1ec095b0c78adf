"""Every rule that can be checked is broken by its own examples, in every version that has it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from voxarium.errors import FormatError
from voxarium.formats.ome_zarr_checks import OmeZarrChecks
from voxarium.model.checks import CheckNode
from voxarium.model.edits import Edit, apply_edits
from voxarium.model.rules import Depth, Example, Finding, Rule
from voxarium.spec.ome.rules import RULES, VERSIONS
from voxarium.validation.examples.ome import BASES

CHECKS = OmeZarrChecks()
CHECKED = [rule for rule in RULES.values() if rule.needs != "nothing"]


# -- a check of a whole tree, as the engine does it
def node(tree: Mapping[str, bytes], path: str, depth: Depth, told: Any = None) -> CheckNode:
    prefix = f"{path}/" if path else ""

    def names(folder: str) -> tuple[Sequence[str], Sequence[str]]:
        inside = prefix + (f"{folder}/" if folder else "")
        rest = [key.removeprefix(inside).split("/") for key in tree if key.startswith(inside)]
        return sorted({r[0] for r in rest if len(r) == 1}), sorted({r[0] for r in rest if len(r) > 1})

    def document(name: str) -> bytes | None:
        assert ".." not in name.split("/"), name
        return tree.get(prefix + name)

    def no_array(name: str) -> None:
        raise AssertionError("the documents say enough")

    return CheckNode(path=path, depth=depth, document=document, array=no_array, names=names, told=told)


def visited(tree: Mapping[str, bytes], path: str, depth: Depth, told: Any = None) -> Iterator[tuple[str, str, Any]]:
    """Yield path, kind and findings of all that is checked."""
    found = CHECKS.check(node(tree, path, depth, told))
    if found is not None:
        yield path, found.kind, found.findings
        for below in found.below:
            yield from visited(tree, f"{path}/{below.path}" if path else below.path, depth, below.told)


def findings(tree: Mapping[str, bytes], depth: Depth = "hierarchy") -> list[Finding]:
    return [f for _, _, some in visited(tree, "", depth) for f in some]


# -- examples in other versions than those they were written for
def in_version(example: Example, version: str) -> Example:
    """Return the same example with the keys and pointers of another version."""
    kind = example.base[5:]
    return Example(base=f"ome{version.replace('.', '')}{kind}", edits=tuple(_moved(e, version) for e in example.edits))


def _moved(edit: Edit, version: str) -> Edit:
    key, pointer, value = edit.key, edit.pointer, edit.value
    if pointer.startswith("/attributes") and version == "0.4":
        key = re.sub(r"zarr\.json$", ".zattrs", key)
        pointer = re.sub(r"^/attributes(/ome)?", "", pointer)
    elif version == "0.4":
        key = re.sub(r"(s\d)/zarr\.json$", r"\1/.zarray", key)
        if pointer == "/data_type":
            pointer, value = "/dtype", {"float32": "<f4", "uint8": "|u1"}[value]
        if key.endswith("zarr.json") and edit.action == "remove":
            key = re.sub(r"zarr\.json$", ".zgroup", key)
    if version >= "0.6":
        pointer = re.sub(r"(multiscales/0)/axes", r"\1/coordinateSystems/0/axes", pointer)
        pointer = re.sub(
            r"(datasets/\d/coordinateTransformations)/(\d/(scale|translation)|1$)", r"\1/0/transformations/\2", pointer
        )
    return replace(edit, key=key, pointer=pointer, value=value)


def rule_ids(example: Example) -> set[str]:
    return {f.rule for f in findings(apply_edits(BASES[example.base](), example.edits))}


@pytest.mark.parametrize("base", BASES)
def test_bases_break_no_rule_at_any_depth(base: str) -> None:
    tree = BASES[base]()
    assert findings(tree, "document") == findings(tree, "hierarchy") == []


EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.id}-{i}") for rule in CHECKED for i, example in enumerate(rule.examples)
]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_an_example_breaks_its_rule_in_the_version_it_names(rule: Rule, example: Example) -> None:
    version = f"0.{example.base[4]}"
    assert rule.full_id(version) in rule_ids(example)


@pytest.mark.parametrize(
    ("rule", "version"), [pytest.param(r, v, id=f"{r.id}-{v}") for r in CHECKED for v in VERSIONS if v in r.levels]
)
def test_a_rule_is_broken_in_every_version_that_has_it(rule: Rule, version: str) -> None:
    tried = []
    for example in rule.examples:
        own = example if example.base[:5] == f"ome{version.replace('.', '')}" else in_version(example, version)
        try:
            tried.append(rule_ids(own))
        except (FormatError, KeyError):  # the place is another one in this version
            continue
        if rule.full_id(version) in tried[-1]:
            return
    pytest.fail(f"no example of {rule.id} breaks it in {version}: {tried}")


def test_every_rule_that_can_be_checked_says_why_and_how_to_mend_it() -> None:
    for rule in CHECKED:
        assert rule.why and rule.mend and rule.examples, rule.id
    assert not [r.id for r in RULES.values() if r.needs == "nothing" and r.examples]


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_a_repair_mends_what_was_found_and_breaks_nothing_else(rule: Rule, example: Example) -> None:
    tree = apply_edits(BASES[example.base](), example.edits)
    before = findings(tree)
    for finding in before:
        if finding.repair:
            after = {
                (f.rule, f.key, f.pointer, f.message, f.level) for f in findings(apply_edits(tree, finding.repair))
            }
            new = after - {(f.rule, f.key, f.pointer, f.message, f.level) for f in before}
            assert not [f for f in new if f[4] == "must"], finding
            assert (finding.rule, finding.key, finding.pointer, finding.message, finding.level) not in after


@pytest.mark.parametrize("rule", [r for r in CHECKED if "repaired" in r.mend.lower()], ids=lambda r: r.id)
def test_what_a_rule_says_is_repaired_is(rule: Rule) -> None:
    trees = [apply_edits(BASES[e.base](), e.edits) for e in rule.examples]
    assert any(f.repair for tree in trees for f in findings(tree) if f.rule.endswith(rule.id)), rule.id
