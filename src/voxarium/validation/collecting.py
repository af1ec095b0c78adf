"""Findings as they come: each once, so many of a rule, all of them counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.model.checking import Sheet
from voxarium.model.rules import Finding, Rule

__all__ = ["Collector"]

_KEPT: Final = 1_000  # findings of one rule: a million wrong chunks must not fill the memory


@dataclass(slots=True)
class Collector:
    """The findings of one validation.

    `counts` has the number of findings per rule and level, also of those beyond the first thousand of a rule, which are
    not kept.
    """

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # rule, level, basis
    _seen: set[tuple[str, str, str, str]] = field(default_factory=set)

    def extend(self, findings: Iterable[Finding]) -> None:
        """Add findings, those about the same thing once."""
        for finding in findings:
            same = (finding.rule, finding.key, finding.pointer, finding.message)
            if same in self._seen:
                continue
            kind = (finding.rule, finding.level, finding.basis)
            self.counts[kind] += 1
            if self.counts[kind] <= _KEPT:
                self._seen.add(same)
                self.findings.append(finding)

    def note(self, rules: Mapping[str, Rule], rule: str, key: str, message: str, fix: str, **more: Any) -> None:
        """Add one finding; `more` as for `Sheet.report`."""
        sheet = Sheet(version="", rules=rules, key=key)
        sheet.report(rule, message, fix, **more)
        self.extend(sheet.findings)
