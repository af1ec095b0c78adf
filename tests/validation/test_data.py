"""Voxels: whatever is wrong with what is stored is found, named and placed; what is right is not accused."""

from __future__ import annotations

from typing import Any

import pytest

from voxarium.core.image import Image
from voxarium.model.edits import apply_edits
from voxarium.model.rules import Finding, Rule
from voxarium.validation.census import checked_levels, take_census
from voxarium.validation.data import RULES, DataResult, check_alignment, check_data
from voxarium.validation.examples.arrays import BASES

from .conftest import is_document, opened

EXAMPLES = [(rule, example) for rule in RULES.values() for example in rule.examples]
CODES = [f"{r.id}-{i}" for i, (r, _) in enumerate(EXAMPLES)]


def findings(image: Image, **choices: Any) -> list[Finding]:
    return [*check_alignment(image), *data(image, **choices).findings]


def data(image: Image, **choices: Any) -> DataResult:
    census = take_census(checked_levels(image), known=is_document)
    return check_data(image, census=census.maps, **choices)


def everything(objects: dict[str, bytes]) -> list[Finding]:
    labels = ["image/labels/cells"] if "image/labels/cells/zarr.json" in objects else []
    return [f for path in ["image", *labels] for f in findings(opened(objects, path))]


# ---------------------------------------------------------------------------------------------------------- rules
@pytest.mark.parametrize("name", BASES)
def test_bases_break_no_rule(name: str) -> None:
    assert everything(BASES[name]()) == []


@pytest.mark.parametrize(("rule", "example"), EXAMPLES, ids=CODES)
def test_bad_examples_break_their_rule(rule: Rule, example: Any) -> None:
    objects = apply_edits(BASES[example.base](), example.edits)
    found = [f for f in everything(objects) if f.rule == rule.id]
    assert found and found[0].key and found[0].message and found[0].fix
    assert found[0].level == rule.levels[""]
