"""A report as one HTML page that needs nothing else: findings by rule, and maps of stored objects as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any, Final

from voxarium.model.rules import Finding
from voxarium.validation.registry import RuleSet, rule_named
from voxarium.validation.report import LEVELS, Report
from voxarium.validation.reports.pictures import LEGEND, map_picture, shift_picture

__all__ = ["html_page"]

_MOST: Final = 50  # findings of one rule that are shown; the rest is counted
_STYLE: Final = """
:root { color-scheme: light dark; --bad: #c0392b; --warn: #b26a00; --note: #4a6f8a; --good: #2e7d32;
  --line: color-mix(in srgb, currentColor 18%, transparent); --soft: color-mix(in srgb, currentColor 6%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; margin: 0 0 .3rem; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; }
.verdict { display: inline-block; padding: .1rem .7rem; border-radius: 1rem; color: white; background: var(--good); }
.verdict.invalid { background: var(--bad); }
.facts { opacity: .75; }
details { border: 1px solid var(--line); border-radius: .5rem; margin: .5rem 0; }
summary { padding: .5rem .8rem; cursor: pointer; }
summary code { font-weight: 600; }
.level { font-size: .8rem; font-weight: 600; padding: 0 .4rem; border-radius: .3rem; border: 1px solid;
  margin-right: .4rem; }
.MUST { color: var(--bad); } .SHOULD { color: var(--warn); } .quality { color: var(--note); }
.inside { padding: 0 .8rem .6rem; }
.why { opacity: .8; margin: .2rem 0 .6rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; table-layout: fixed; }
th:first-child { width: 38%; } th:last-child { width: 26%; }
td, th { text-align: left; vertical-align: top; padding: .3rem .5rem; border-top: 1px solid var(--line); }
td code { overflow-wrap: anywhere; }
figure { display: inline-block; margin: .5rem 1rem .5rem 0; vertical-align: top; }
figcaption { font-size: .85rem; opacity: .8; max-width: 22rem; overflow-wrap: anywhere; }
.legend { font-size: .85rem; }
.legend span { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; margin: 0 .3rem 0 1rem; }
svg { background: var(--soft); border-radius: .3rem; }
"""


def html_page(reports: Sequence[Report], sets: tuple[RuleSet, ...]) -> str:
    """Return a page with all reports.

    Parameters
    ----------
    reports : sequence of Report
    sets : tuple of RuleSet
        All rules, for what a rule demands and why.
    """
    title = "Validation" if len(reports) != 1 else f"Validation of {reports[0].uri}"
    body = "\n<hr>\n".join(_report(report, sets) for report in reports)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{escape(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _report(report: Report, sets: tuple[RuleSet, ...]) -> str:
    verdict, kind = ("valid", "") if report.valid else ("invalid", " invalid")
    counts = " · ".join(f"{n:,} {text}" for text, n in report.counts.items())
    sampled = f" · {report.sample:.3g} of the objects decoded" if report.depth == "data" and report.sample < 1 else ""
    parts = [
        f"<h1>{escape(report.uri)}</h1>",
        f'<p><span class="verdict{kind}">{verdict}</span> <b>{counts}</b></p>',
        f'<p class="facts">profile {report.profile} · depth {report.depth}{sampled} · {escape(report.looked_at)}</p>',
    ]
    for title, count in (("What makes it invalid", True), ("What else was found", False)):
        chosen = [f for f in report.findings if f.counts(report.profile) == count]
        if chosen:
            parts += [f"<h2>{title}</h2>", *_groups(chosen, report, sets, opened=count)]
    if not report.findings:
        parts.append("<p>Nothing is wrong.</p>")
    if report.shifts:
        parts += ["<h2>Where levels begin</h2>", _SHIFTED, *_shifts(report.shifts)]
    if report.maps:
        legend = " ".join(f'<span style="background: {c}"></span>{name}' for name, c in LEGEND.items())
        parts += ["<h2>Stored objects</h2>", f'<p class="legend">{legend}</p>', *_maps(report.maps)]
    return "\n".join(parts)


def _groups(findings: list[Finding], report: Report, sets: tuple[RuleSet, ...], *, opened: bool) -> list[str]:
    order = list(LEVELS)
    ranked = sorted(findings, key=lambda f: (order.index(f.level), f.rule))
    out = []
    for (level, rule_id), group in groupby(ranked, key=lambda f: (f.level, f.rule)):
        items = list(group)
        named = rule_named(rule_id, sets)
        text = "" if named is None else named[1].text
        why = "" if named is None or not named[1].why else f'<p class="why">{_code(named[1].why)}</p>'
        mend = "" if named is None or not named[1].mend else f"<p><b>Mend:</b> {_code(named[1].mend)}</p>"
        link = report.links.get(rule_id, "")
        source = f' · <a href="{escape(link)}">specification</a>' if link.startswith("https://") else ""
        total = sum(n for (rule, of, _), n in report.totals.items() if (rule, of) == (rule_id, level))
        out.append(
            f"<details{' open' if opened else ''}><summary>"
            f'<span class="level {LEVELS[level]}">{LEVELS[level]}</span><code>{escape(rule_id)}</code> '
            f"{_code(text)} <b>({total:,})</b></summary>"
            f'<div class="inside">{why}{mend}<table><tr><th>where</th><th>what</th><th>fix{source}</th></tr>'
            + "".join(_row(f) for f in items[:_MOST])
            + "</table>"
            + (f"<p>and {total - _MOST:,} more</p>" if total > _MOST else "")
            + "</div></details>"
        )
    return out


def _row(finding: Finding) -> str:
    place = escape(finding.key or ".") + (f"<br><code>{escape(finding.pointer)}</code>" if finding.pointer else "")
    values = "".join(
        f"<br>{name}: <code>{escape(str(value))}</code>"
        for name, value in (("expected", finding.expected), ("found", finding.found))
        if value is not None and finding.expected is not None
    )
    message, fix = escape(finding.message), escape(finding.fix)
    return f"<tr><td><code>{place}</code></td><td>{message}{values}</td><td>{fix}</td></tr>"


def _code(text: str) -> str:
    """Return text with what stands between backticks as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts))


def _maps(maps: Mapping[str, Any]) -> list[str]:
    return [
        f"<figure>{map_picture(found.states)}<figcaption><code>{escape(key or '.')}</code></figcaption></figure>"
        for key, found in maps.items()
        if found.states is not None
    ]


_SHIFTED: Final = (
    '<p class="facts">The first voxels of each level, the finest on top, each drawn equally wide. '
    "All should begin at the line.</p>"
)


def _shifts(shifts: Mapping[str, Mapping[str, tuple[tuple[str, float], ...]]]) -> list[str]:
    return [
        f"<figure>{shift_picture(levels)}<figcaption><code>{escape(path or '.')}</code> along {escape(axis)}: "
        f"{escape(', '.join(f'{name} {shift:+.3g}' for name, shift in levels[1:]))} voxels of the level"
        "</figcaption></figure>"
        for path, axes in [*shifts.items()][:_MOST]
        for axis, levels in axes.items()
    ]
