"""The reference of the rules of OME-Zarr, from their registry."""

from __future__ import annotations

from voxarium.spec.ome.rules import RULES, VERSIONS, Rule

__all__ = ["rules_page"]

AREAS = {
    "ST": "Storage", "AX": "Axes", "OR": "Orientation", "MS": "Multiscales", "CT": "Transformations of 0.4 and 0.5",
    "TR": "Coordinate systems and transformations since 0.6", "SC": "Scenes", "LB": "Labels", "OM": "Channels",
    "PL": "Plates", "WL": "Wells", "BF": "Collections of bioformats2raw",
}  # fmt: skip
NEEDS = {
    "document": "bytes", "attributes": "yes", "arrays": "with arrays", "hierarchy": "not yet", "data": "not yet",
    "nothing": "–",
}  # fmt: skip

_INTRODUCTION = """\
What `voxarium.spec.ome.rules` checks documents by, in our words. A finding names its rule with the version, such as
`OZ05-MS-004`. **M** is a demand, S a recommendation, – means that the version has no such rule; where a rule has parts
of both kinds, its main part is shown. 0.9 are the drafts on the way to 1.0. The last column tells whether a document is
checked: by its attributes (yes), its bytes, with what is known of its arrays, not yet (rules of whole hierarchies and
of voxels), or never (–: rules for readers and writers). [OME-Zarr versions](../explanation/ome-zarr-versions.md) has
the profiles, and what was decided where the specification contradicts itself."""


def rules_page(notice: str) -> str:
    """Return the page."""
    lines = [notice, "# Rules of OME-Zarr\n", f"{_INTRODUCTION}\n"]
    for area, title in AREAS.items():
        lines += [
            f"## {title}\n",
            f"| id | rule | {' | '.join(VERSIONS)} | checked |",
            "| --- | --- |" + " :-: |" * 4 + " --- |",
        ]
        lines += [_row(rule) for rule in RULES.values() if rule.id.startswith(area)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _row(rule: Rule) -> str:
    marks = {"must": "**M**", "should": "S", None: "–"}
    levels = " | ".join(marks[rule.levels.get(v)] for v in VERSIONS)
    return f"| {rule.id} | {rule.text} | {levels} | {NEEDS[rule.needs]} |"
