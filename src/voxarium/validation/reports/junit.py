"""JUnit XML, which services of continuous integration show as tests: one test case per rule that was broken."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree

from voxarium.validation.report import LEVELS, Report

__all__ = ["junit_document"]

_NOT_XML: Final = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_document(reports: Sequence[Report]) -> bytes:
    """Return findings as a JUnit document: what counts in the profile are failures, the rest is output."""
    root = ElementTree.Element("testsuites", name="voxarium validate")
    for report in reports:
        _suite(root, report)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(root: ElementTree.Element, report: Report) -> None:
    by_rule: dict[str, list[str]] = {}
    failing = set()
    for finding in report.findings:
        place = f"{finding.key}#{finding.pointer}" if finding.pointer else finding.key or "."
        line = f"{LEVELS[finding.level]} {place}: {finding.message} (fix: {finding.fix})"
        by_rule.setdefault(finding.rule, []).append(line)
        if finding.counts(report.profile):
            failing.add(finding.rule)
    suite = ElementTree.SubElement(root, "testsuite", name=_text(report.uri))
    suite.set("tests", str(len(by_rule) or 1))
    suite.set("failures", str(len(failing)))
    if not by_rule:
        ElementTree.SubElement(suite, "testcase", name=f"{report.depth}, {report.profile}", classname="voxarium")
    for rule, lines in sorted(by_rule.items()):
        case = ElementTree.SubElement(suite, "testcase", name=rule, classname="voxarium")
        kind, more = ("failure", {"message": _text(lines[0])}) if rule in failing else ("system-out", {})
        ElementTree.SubElement(case, kind, more).text = _text("\n".join(lines))


def _text(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)
