"""What a validation found: for people, for scripts, and for services that read test results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from voxarium.model.rules import Depth, Finding, Level, Profile, Rule

__all__ = ["LEVELS", "Report", "rule_of"]

LEVELS: Final[Mapping[Level, str]] = {"must": "MUST", "should": "SHOULD", "quality": "quality"}
_SHOWN: Final[Mapping[Profile, tuple[Level, ...]]] = {
    "schema": ("must",),
    "schema-strict": ("must", "should"),
    "spec": ("must", "should"),
    "strict": ("must", "should"),
    "quality": ("must", "should", "quality"),
    "publish": ("must", "should", "quality"),
}


def rule_of(finding_id: str, rules: Mapping[str, Rule]) -> Rule | None:
    """Return the rule of a finding: ``OZ05-MS-004`` is ``MS-004``, and other ids are as they are."""
    return rules.get(finding_id) or rules.get(finding_id.partition("-")[2])


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of `validate`.

    Parameters
    ----------
    uri : str
        What was checked.
    depth, profile : str
        How deep, and what counts.
    sample : float
        Part of the stored objects that was decoded at depth ``data``.
    findings : tuple of Finding
        Everything that the profile looks at, ordered by key, pointer and rule; of one rule the first thousand.
    totals : mapping
        Number of findings by (rule, level, basis), also of those that are not listed.
    examined : mapping of str to int
        What was looked at: nodes, documents, images, arrays, objects, chunks, voxels, bytes.
    links : mapping of str to str
        By rule id, where the clause stands.
    maps : mapping
        By key of an array, what became of each stored object (see `voxarium.validation.census`); depth ``census`` on.
    shifts : mapping
        By path of an image and name of an axis, how far each level lies from where it should, in its own voxels.
    """

    uri: str
    depth: Depth
    profile: Profile
    sample: float = 1.0
    findings: tuple[Finding, ...] = ()
    totals: Mapping[tuple[str, str, str], int] = field(default_factory=dict)
    examined: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    maps: Mapping[str, Any] = field(default_factory=dict)  # Any: object maps, which the census defines
    shifts: Mapping[str, Mapping[str, tuple[tuple[str, float], ...]]] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether nothing counts in the profile."""
        return not any(f.counts(self.profile) for f in self.findings)

    @cached_property
    def counts(self) -> dict[str, int]:
        """Number of findings by level, MUST first, also of those that are not listed."""
        found: Counter[str] = Counter()
        for (_, level, _), n in self.totals.items():
            found[level] += n
        return {text: found[level] for level, text in LEVELS.items() if level in _SHOWN[self.profile]}

    @property
    def looked_at(self) -> str:
        """What was examined, for people: ``1 image, 4 arrays``."""
        return ", ".join(f"{n:,} {what if n != 1 else what[:-1]}" for what, n in self.examined.items() if n)

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``voxarium validate --json``."""
        return {
            "valid": self.valid,
            "uri": self.uri,
            "depth": self.depth,
            "profile": self.profile,
            "sample": self.sample,
            "examined": dict(self.examined),
            "counts": self.counts,
            "findings": [self.finding_json(f) for f in self.findings],
        }

    def finding_json(self, finding: Finding) -> dict[str, Any]:
        """Return one finding."""
        return {
            "rule": finding.rule,
            "level": LEVELS[finding.level],
            "key": finding.key,
            "pointer": finding.pointer,
            "message": finding.message,
            "expected": finding.expected,
            "found": finding.found,
            "fix": finding.fix,
            "link": self.links.get(finding.rule, ""),
            "counts": finding.counts(self.profile),
            "repairable": bool(finding.repair),
        }


def report_of(
    findings: Sequence[Finding], totals: Mapping[tuple[str, str, str], int], profile: Profile, **more: Any
) -> Report:
    """Return a report of what a profile looks at, in order."""
    shown = _SHOWN[profile]
    bases = {"schema", "both"} if profile.startswith("schema") else {"both", "text", "house"}
    if profile == "publish":
        bases = bases | {"publish"}
    kept = sorted(
        (f for f in findings if f.level in shown and f.basis in bases), key=lambda f: (f.key, f.pointer, f.rule)
    )
    counted = {k: n for k, n in totals.items() if k[1] in shown and k[2] in bases}
    return Report(findings=tuple(kept), totals=counted, profile=profile, **more)
