"""How reports of validation and rules are printed and stored."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from voxarium.cli.printing import error_json, print_json, printable, say
from voxarium.errors import Code, StoreError, VoxariumError

if TYPE_CHECKING:
    from voxarium.model.rules import Finding, Rule
    from voxarium.validation import Report
    from voxarium.validation.registry import RuleSet

__all__ = ["merged_json", "print_report", "print_rule", "write_files"]

_MOST: Final = 10  # findings of one rule that are printed
_NONE: Final[Mapping[str, VoxariumError]] = MappingProxyType({})
_STYLES: Final = {"must": "bold red", "should": "yellow", "quality": "cyan"}


def merged_json(reports: Sequence[Report], refused: Mapping[str, VoxariumError] = _NONE) -> dict[str, Any]:
    """Return one report as it is, several under one verdict with findings that name their address.

    Addresses that could not be checked are under ``errors``; nothing is valid then.
    """
    if len(reports) == 1 and not refused:
        return reports[0].to_json()
    counts: dict[str, int] = {}
    findings: list[dict[str, Any]] = []
    for report in reports:
        for level, n in report.counts.items():
            counts[level] = counts.get(level, 0) + n
        findings += [{"uri": report.uri, **report.finding_json(f)} for f in report.findings]
    valid = all(report.valid for report in reports)
    document: dict[str, Any] = {
        "valid": valid and not refused,
        "uris": [r.uri for r in reports],
        "counts": counts,
        "findings": findings,
    }
    if refused:
        document["errors"] = [{"uri": uri, **error_json(error)} for uri, error in refused.items()]
    return document


def write_files(reports: Sequence[Report], *, html: Path | None, sarif: Path | None, junit: Path | None) -> None:
    """Write reports in the forms that were asked for."""
    if html is None and sarif is None and junit is None:
        return
    from voxarium import __version__
    from voxarium.validation.registry import all_rules
    from voxarium.validation.reports import html_page, junit_document, sarif_document

    sets = all_rules()
    if html is not None:
        _write(html, html_page(reports, sets).encode())
    if sarif is not None:
        _write(sarif, json.dumps(sarif_document(reports, sets, __version__), indent=2).encode() + b"\n")
    if junit is not None:
        _write(junit, junit_document(reports))


def _write(path: Path, content: bytes) -> None:
    from voxarium.core.guarding import refuse_published

    refuse_published(path)
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", code=Code.STORE_UNWRITABLE, fix="choose another place"
        ) from error


def print_report(report: Report) -> None:
    """Print a report: findings by rule, the worst first, then one line."""
    from rich.text import Text

    from voxarium.cli.printing import stdout_console
    from voxarium.validation.report import LEVELS

    console = stdout_console()
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in report.findings:
        groups.setdefault((finding.level, finding.rule), []).append(finding)
    for level, name in LEVELS.items():
        for (of, rule), findings in sorted(groups.items()):
            if of != level:
                continue
            total = sum(n for (r, lv, _), n in report.totals.items() if (r, lv) == (rule, level))
            head = Text.assemble((f"{name:8}", _STYLES[level]), (rule, "bold"))
            console.print(head, soft_wrap=True)
            for finding in findings[:_MOST]:
                place = f"{finding.key}#{finding.pointer}" if finding.pointer else finding.key or "."
                console.print(Text(printable(f"        {place}: {finding.message}")), soft_wrap=True)
            if total > _MOST:
                console.print(Text(f"        and {total - min(_MOST, len(findings)):,} more"), soft_wrap=True)
            console.print(Text.assemble(("        fix: ", "green"), printable(findings[0].fix)), soft_wrap=True)
    say(_summary(report))


def _summary(report: Report) -> str:
    counts = ", ".join(f"{n:,} {name}" for name, n in report.counts.items())
    looked = report.looked_at
    verdict = "valid" if report.valid else "invalid"
    sampled = f", {report.sample:.3g} of the objects" if report.depth == "data" and report.sample < 1 else ""
    examined = f" ({looked})" if looked else ""
    return f"{verdict} ({report.profile}, {report.depth}{sampled}): {counts}; {report.uri}{examined}"


def print_rule(found: RuleSet, rule: Rule, *, as_json: bool) -> None:
    """Print what a rule demands, why, an example that breaks it, and the mend."""
    from voxarium.validation.report import LEVELS

    if as_json:
        print_json(
            {
                "rule": rule.id,
                "set": found.name,
                "text": rule.text,
                "levels": {version or "all": LEVELS[level] for version, level in rule.levels.items()},
                "depth": rule.depth,
                "why": rule.why,
                "mend": rule.mend,
                "bad": [[str(edit) for edit in example.edits] for example in rule.examples],
                "link": found.link,
            }
        )
        return
    levels = ", ".join(f"{LEVELS[level]} in {v}" if v else LEVELS[level] for v, level in rule.levels.items())
    lines = [f"{rule.id} ({found.title}; {levels})", rule.text, ""]
    lines += [f"why:  {rule.why}"] if rule.why else []
    for example in rule.examples:
        lines += [f"{'and: ' if i else 'bad: '} {edit}" for i, edit in enumerate(example.edits)]
    lines += [f"mend: {rule.mend}"] if rule.mend else []
    lines += [f"see:  {found.link}"] if found.link else []
    say("\n".join(lines))
