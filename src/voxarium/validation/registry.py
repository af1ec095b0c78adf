"""All rules there are: those of formats, and our own about any image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from voxarium.core.registry import check_drivers
from voxarium.model.rules import Rule
from voxarium.validation import census, data, general, publishing, quality

__all__ = ["RuleSet", "all_rules", "links", "rule_named"]

_OWN: Final = {
    "general": (general.RULES, "What opens"),
    "census": (census.RULES, "Stored objects"),
    "data": (data.RULES, "Voxels and levels"),
    "quality": (quality.RULES, "Quality of any image"),
    "publish": (publishing.RULES, "What an archive needs"),
}


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one format, or of our own about one matter."""

    name: str
    title: str
    link: str
    rules: Mapping[str, Rule]


def all_rules() -> tuple[RuleSet, ...]:
    """Return every set of rules: those of formats by name, then our own."""
    formats = [RuleSet(d.name, d.name, d.spec_url, d.rules) for d in sorted(check_drivers(), key=lambda d: d.name)]
    return (*formats, *(RuleSet(name, title, "", rules) for name, (rules, title) in _OWN.items()))


def links(sets: tuple[RuleSet, ...]) -> Callable[[str], str]:
    """Return a function from the rule id of a finding to where its clause stands; empty for our own rules."""
    by_id = {rule_id: found.link for found in sets for rule_id in found.rules}
    return lambda finding: by_id.get(finding) or by_id.get(finding.partition("-")[2]) or ""


def rule_named(text: str, sets: tuple[RuleSet, ...]) -> tuple[RuleSet, Rule] | None:
    """Return the rule of an id, with or without a version: ``MS-004``, ``OZ05-MS-004``."""
    for found in sets:
        rule = found.rules.get(text.upper()) or found.rules.get(text.upper().partition("-")[2])
        if rule is not None:
            return found, rule
    return None
