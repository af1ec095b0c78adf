"""Validation on the page of a dataset: made anew, or as a report that lies in the dataset says."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.errors import VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.model.rules import Finding
from voxarium.validation.report import Report
from voxarium.validation.running import validate_in
from voxarium.view.portal.facts import DatasetFacts
from voxarium.view.portal.gathering import joined

__all__ = ["Checked", "check_dataset", "stored_summary"]

_MOST_ROWS: Final = 12
_MOST_BYTES: Final = 8 << 20
_COLUMNS: Final = {"rule": "rule", "message": "message", "where": "key"}


@dataclass(frozen=True, slots=True)
class Checked:
    """A report as a page, and its summary for the page of the dataset."""

    page: str
    summary: Mapping[str, Any]  # Any: JSON


def check_dataset(store: ReadableStore, facts: DatasetFacts) -> Checked | None:
    """Check metadata, hierarchy, shapes and coordinates of a dataset; None where that is not possible."""
    from voxarium.validation.registry import all_rules
    from voxarium.validation.reports import html_page

    try:
        report = validate_in(store, facts.path)
    except VoxariumError:
        return None
    # The report names the dataset as its page does: where it lies on this machine is nobody's business.
    named = replace(report, uri=facts.address, findings=tuple(_placeless(f, store.uri) for f in report.findings))
    return Checked(html_page([named], all_rules()), _summary(named))


def _placeless(finding: Finding, uri: str) -> Finding:
    """Return a finding that does not say where the store is."""
    places = (f"{uri}/", uri, f"{uri.removeprefix('file://')}/", uri.removeprefix("file://"))

    def clean(value: Any) -> Any:  # Any: of a finding
        if isinstance(value, str):
            for place in places if uri else ():
                value = value.replace(place, "")
        return value

    return replace(
        finding,
        message=clean(finding.message),
        fix=clean(finding.fix),
        expected=clean(finding.expected),
        found=clean(finding.found),
    )


def _summary(report: Report) -> dict[str, Any]:
    rows = [
        {"rule": f.rule, "message": f.message, "where": f.key or "."}
        for f in report.findings
        if f.counts(report.profile)
    ]
    counts = ", ".join(f"{n:,} {text}" for text, n in report.counts.items() if n) or "nothing is wrong"
    return {
        "valid": report.valid,
        "words": f"Profile {report.profile}, depth {report.depth}: {counts}. Looked at: {report.looked_at}.",
        "rows": rows[:_MOST_ROWS],
    }


def stored_summary(store: ReadableStore, facts: DatasetFacts) -> dict[str, Any] | None:
    """Return what a report in the dataset says, as `voxarium validate --json` wrote it; None where there is none."""
    for name in (r for r in facts.reports if r.endswith(".json")):
        try:
            key = joined(facts.path, name)
            stat = store.stat(key)
            data = store.get(key) if stat is not None and stat.size <= _MOST_BYTES else None
            found = _read(json.loads(data)) if data is not None else None
        except (VoxariumError, ValueError, RecursionError):
            continue
        if found is not None:
            return found
    return None


def _read(document: Any) -> dict[str, Any] | None:  # Any: JSON of anybody
    if isinstance(document, Mapping) and isinstance(document.get("reports"), list) and document["reports"]:
        document = document["reports"][0]
    if not isinstance(document, Mapping) or not isinstance(document.get("valid"), bool):
        return None
    counts, findings = document.get("counts"), document.get("findings")
    counted = ", ".join(f"{n} {k}" for k, n in counts.items() if n) if isinstance(counts, Mapping) else ""
    rows = [f for f in _objects(findings) if f.get("counts") is True][:_MOST_ROWS]
    profile, depth = (str(document.get(k, ""))[:40] for k in ("profile", "depth"))
    return {
        "valid": document["valid"],
        "words": f"Profile {profile}, depth {depth}: {counted or 'nothing is wrong'}. As a report in the dataset says.",
        "rows": [{name: str(f.get(key, ""))[:400] for name, key in _COLUMNS.items()} for f in rows],
    }


def _objects(value: Any) -> Sequence[Mapping[str, Any]]:  # Any: JSON
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []
