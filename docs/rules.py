"""The reference of rules, from the rules themselves: one page each, and an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from voxarium.model.edits import Edit, apply_edits, pointer_parts
from voxarium.model.rules import Example, Rule
from voxarium.validation.examples import bases
from voxarium.validation.registry import RuleSet, all_rules
from voxarium.validation.report import LEVELS

__all__ = ["rule_pages"]

FOLDER = "docs/reference/rules"
_LINES = 40  # of an example; longer ones are cut
_INTRODUCTION = """\
What [`voxarium validate`](../../how-to/validate.md) checks, in our words; `voxarium rules ID` prints the same. A
finding of a rule that differs between versions names it with the version, such as `OZ05-MS-004`. **M** is a demand, S a
recommendation, q a matter of quality; – means that a version has no such rule. The last column tells how deep one has
to look: –, never, are rules for readers and writers. What was decided where the specification of OME-Zarr contradicts
itself stands in [OME-Zarr versions](../../explanation/ome-zarr-versions.md)."""
_MARKS = {"must": "**M**", "should": "S", "quality": "q", None: "–"}
_BASES = {
    "text": "The text of the specification says so; its schema does not.",
    "schema": "Only the schema of the specification says so.",
    "house": "This is a rule of Voxarium, about any image.",
    "publish": "This is a rule of Voxarium, about what is to be published; it counts in the profile `publish`.",
}


def rule_pages(notice: str) -> dict[str, str]:
    """Return all pages by path."""
    sets = all_rules()
    trees = bases()
    pages = {f"{FOLDER}/README.md": _index(sets, notice)}
    for found in sets:
        for rule in found.rules.values():
            pages[f"{FOLDER}/{rule.id}.md"] = _page(found, rule, trees, notice)
    return pages


def _index(sets: tuple[RuleSet, ...], notice: str) -> str:
    lines = [notice, "# Rules\n", f"{_INTRODUCTION}\n"]
    for found in sets:
        versions = list(dict.fromkeys(v for r in found.rules.values() for v in r.levels)) or [""]
        heads = [v or "level" for v in sorted(versions)]
        lines += [
            f"## {found.title}\n",
            f"| id | rule | {' | '.join(heads)} | depth |",
            "| --- | --- |" + " :-: |" * len(heads) + " --- |",
        ]
        for rule in found.rules.values():
            levels = " | ".join(_MARKS[rule.levels.get(v)] for v in sorted(versions))
            depth = "–" if rule.needs == "nothing" else rule.depth
            lines.append(f"| [{rule.id}]({rule.id}.md) | {rule.text} | {levels} | {depth} |")
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _page(found: RuleSet, rule: Rule, trees: Mapping[str, Any], notice: str) -> str:
    levels = ", ".join(f"{LEVELS[level]} in {v}" if v else LEVELS[level] for v, level in rule.levels.items())
    source = f" · [{found.title}]({found.link})" if found.link else f" · {found.title}"
    depth = "for readers and writers, not checked" if rule.needs == "nothing" else f"depth {rule.depth}"
    lines = [notice, f"# {rule.id}\n", f"{rule.text}\n", f"{levels} · {depth}{source}\n"]
    lines += [f"{_BASES[rule.basis]}\n"] if rule.basis in _BASES else []
    lines += [f"## Why\n\n{rule.why}\n"] if rule.why else []
    for example in rule.examples:
        lines += _example(example, trees)
    lines += [f"## Mend\n\n{rule.mend}\n"] if rule.mend else []
    return "\n".join(lines).rstrip() + "\n"


def _example(example: Example, trees: Mapping[str, Any]) -> list[str]:
    """Return the good tree and the bad one, as far as they differ."""
    good = dict(trees[example.base]())
    bad = apply_edits(good, example.edits)
    out = []
    for title, tree in (("Good", good), ("Bad", bad)):
        out.append(f"## {title}\n")
        for edit in example.edits:
            out += _shown(edit, tree)
    return out


def _shown(edit: Edit, tree: Mapping[str, bytes]) -> list[str]:
    """Return what an edit is about, as it stands in a tree."""
    if edit.key not in tree:
        return [f"There is no `{edit.key}`.\n"]
    raw = tree[edit.key]
    try:
        document = json.loads(raw)
    except ValueError:
        text = raw.decode("utf-8", "replace")
        printable = text.isprintable() and len(text) < 200
        return [f"`{edit.key}`: `{text}`\n" if printable else f"`{edit.key}` has {len(raw)} bytes.\n"]
    where, value = _around(document, pointer_parts(edit.pointer))
    text = json.dumps(value, indent=2, ensure_ascii=False).splitlines()
    cut = [*text[:_LINES], "…"] if len(text) > _LINES else text
    place = f"`{edit.key}`" + (f", at `{where}`" if where else "")
    return [f"{place}:\n", "```text", *cut, "```\n"]


def _around(document: Any, parts: list[str]) -> tuple[str, Any]:
    """Return the value that holds what a pointer names, as far as the document has it, and where that is."""
    value, where = document, ""
    for part in parts[:-1]:
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            break
        where += f"/{part.replace('~', '~0').replace('/', '~1')}"
    return where, value
