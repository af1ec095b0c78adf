"""Checking precomputed volumes, meshes, skeletons, annotations and properties of segments against their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voxarium.errors import FormatError, UnsupportedError
from voxarium.formats.precomputed.scale import SPEC_URL, ScaleDetails
from voxarium.formats.precomputed.volume import DOCUMENT
from voxarium.model.array_specs import join_key
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.checks import Below, Checked, CheckNode, NodeKind
from voxarium.model.json_documents import read_object
from voxarium.model.rules import Rule
from voxarium.spec.precomputed import level_names, resolve_folder, rules
from voxarium.spec.precomputed.rules import InfoFacts

__all__ = ["PrecomputedChecks"]

_PROVENANCE = "provenance"
_MOST_REDIRECTS = 10


class PrecomputedChecks:
    """Knows the rules of ``info`` documents, whatever they describe."""

    name: ClassVar[str] = "precomputed"
    spec_url: ClassVar[str] = SPEC_URL
    rules: ClassVar[Mapping[str, Rule]] = rules.RULES
    documents: ClassVar[tuple[str, ...]] = (DOCUMENT,)

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check the ``info`` of a folder, and at depth hierarchy the folders it names."""
        raw = node.document(DOCUMENT)
        if raw is None or not rules.is_info(raw):
            return None
        sheet, root = rules.read_info(raw, node.key(DOCUMENT))
        if root is None:
            return Checked(kind="group", findings=tuple(sheet.findings))
        if root["redirect"].there and root["redirect"].value not in (None, ""):
            target = _check_redirect(node, root["redirect"])
            below = () if target is None else (Below(path=f"/{target}"),)
            return Checked(kind="group", findings=tuple(sheet.findings), below=below)
        facts = rules.check_info(root)
        findings = list(sheet.findings)
        del sheet.findings[:]
        kind: NodeKind = "group"
        indexes: list[str] = []
        if facts.volume is not None:
            kind = "label" if facts.volume.kind == "segmentation" else "image"
            findings += _check_provenance(node, root).findings
        if node.depth != "document":
            _check_links(node, facts)
            indexes = _check_scales(node, facts)
        return Checked(
            kind=kind,
            findings=(*findings, *sheet.findings),
            below=tuple(Below(path=f"/{key}") for _, key in facts.links),
            documents=tuple(indexes),
        )


def _check_redirect(node: CheckNode, place: Place) -> str | None:
    """Follow redirects; return the folder they lead to, None where they lead nowhere that can be checked."""
    folder, seen = node.path, {node.path}
    target = place.value
    while target not in (None, ""):
        if not isinstance(target, str):
            place.report("PC-005", f"leads to {short(target)}", "write the address of a folder, or remove it")
            return None
        if "://" in target or "|" in target:
            place.report("PC-006", f"leads to {short(target)}", "validate that address itself")
            return None
        try:
            folder = resolve_folder(folder, target, "the redirect")
        except FormatError:
            place.report("PC-006", f"leads to {short(target)}, out of what is checked", "check the folder around both")
            return None
        if folder in seen or len(seen) > _MOST_REDIRECTS:
            place.report("PC-005", "leads in a circle", "remove it where the volume is")
            return None
        seen.add(folder)
        raw = node.document(_seen_from(node.path, join_key(folder, DOCUMENT)))
        if raw is None:
            place.report("PC-005", f"leads to {short(folder)}, where there is no info", "correct the address")
            return None
        root = read_object(raw, Sheet("", rules.RULES), "PC-001", "PC-002")
        target = None if root is None else root["redirect"].value if root["redirect"].there else None
    return folder


def _seen_from(path: str, key: str) -> str:
    """Return a key as seen from a folder of the same store."""
    return "../" * (path.count("/") + 1 if path else 0) + key


def _check_provenance(node: CheckNode, root: Place) -> Sheet:
    sheet = Sheet("", rules.RULES, node.key(_PROVENANCE))
    raw = node.document(_PROVENANCE)
    if raw is None:
        own = Sheet("", rules.RULES, root.sheet.key)
        Place({}, "", own).report("PC-007", "has no provenance beside it", "write how the volume was made")
        return own
    read_object(raw, sheet, "PC-007", "PC-002")
    return sheet


def _check_links(node: CheckNode, facts: InfoFacts) -> None:
    """Check that meshes, skeletons and properties are where the document says."""
    for place, key in facts.links:
        name = place.pointer[1:]
        raw = node.document(_seen_from(node.path, join_key(key, DOCUMENT)))
        if raw is None:
            listed = node.names(_seen_from(node.path, key)) if name == "mesh" else ((), ())
            if listed is not None and not any(listed):
                place.report("PC-040", f"names {short(key)}, where there is no info", "copy the folder, or remove it")
            continue
        root = read_object(raw, Sheet("", rules.RULES), "PC-001", "PC-002")
        if root is None or root["redirect"].there:
            continue
        kind = rules.kind_of(root)
        if kind not in rules.KINDS[name]:
            place.report("PC-040", f"names {short(key)}, which holds {short(kind)}", "name the folder that is meant")


def _check_scales(node: CheckNode, facts: InfoFacts) -> list[str]:
    """Check what is in the folders of scales, as far as a glance at each tells; return the names of shards' indexes.

    Those are objects of their own only in the old form of shards.
    """
    indexes: list[str] = []
    scales = [s["key"] for s in facts.volume.scales if s.text("key")] if facts.volume is not None else []
    for place, name in zip(scales, level_names([str(p.value) for p in scales]), strict=True):
        try:
            array = node.array(name)
        except (FormatError, UnsupportedError):
            continue  # whoever opens it says so
        details = None if array is None else array.details
        if not isinstance(details, ScaleDetails):
            continue
        naming = details.naming
        if naming.remark:
            place.report("PC-041", f"is {short(place.value)}: {naming.remark}", "copy the chunks, or correct the key")
        odd = [s for s in naming.suffixes if s]
        if odd:
            place.report(
                "PC-042",
                f"is {short(place.value)}, where chunks are named with {' and '.join(odd)}",
                "unpack them and remove the suffix",
            )
        if naming.legacy:
            place.report(
                "PC-043", f"is {short(place.value)}, where shards are pairs of .index and .data", "join each pair"
            )
            listed = node.names(name)
            indexes += [f"{name}/{n}" for n in (listed[0] if listed is not None else ()) if n.endswith(".index")]
    return indexes
