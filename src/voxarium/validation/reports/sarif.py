"""SARIF 2.1.0, which code hosts show beside files.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from voxarium.model.rules import Finding, Level
from voxarium.validation.registry import RuleSet, rule_named
from voxarium.validation.report import Report

__all__ = ["sarif_document"]

_LEVELS: Final[dict[Level, str]] = {"must": "error", "should": "warning", "quality": "note"}


def sarif_document(reports: Sequence[Report], sets: tuple[RuleSet, ...], version: str) -> dict[str, Any]:
    """Return findings as a SARIF log with one run per report.

    Parameters
    ----------
    reports : sequence of Report
    sets : tuple of RuleSet
        All rules, for what a rule demands and why.
    version : str
        Of this program.
    """
    return {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [_run(report, sets, version) for report in reports],
    }


def _run(report: Report, sets: tuple[RuleSet, ...], version: str) -> dict[str, Any]:
    ids = sorted({f.rule for f in report.findings})
    driver = {"name": "voxarium", "version": version, "rules": [_rule(i, report, sets) for i in ids]}
    return {
        "tool": {"driver": driver},
        "originalUriBaseIds": {"ROOT": {"description": {"text": report.uri}}},
        "results": [_result(f, ids.index(f.rule)) for f in report.findings],
        "properties": {"depth": report.depth, "profile": report.profile, "examined": dict(report.examined)},
    }


def _rule(finding: str, report: Report, sets: tuple[RuleSet, ...]) -> dict[str, Any]:
    out: dict[str, Any] = {"id": finding}
    found = rule_named(finding, sets)
    if found is not None:
        rule = found[1]
        out |= {"shortDescription": {"text": rule.text}, "fullDescription": {"text": rule.why or rule.text}}
        out |= {"help": {"text": rule.mend}} if rule.mend else {}
    link = report.links.get(finding, "")
    return out | ({"helpUri": link} if link.startswith("https://") else {})


def _result(finding: Finding, index: int) -> dict[str, Any]:
    place = f"{finding.key}#{finding.pointer}" if finding.pointer else finding.key or "."
    return {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.level],
        "message": {"text": f"{place}: {finding.message}. Fix: {finding.fix}"},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": _relative(finding.key), "uriBaseId": "ROOT"}},
                "logicalLocations": [{"fullyQualifiedName": finding.pointer or "/"}],
            }
        ],
        "partialFingerprints": {"place/v1": f"{finding.rule}:{place}"},
    }


def _relative(key: str) -> str:
    from urllib.parse import quote

    return quote(key or ".", safe="/:")
