"""Checks of OME-Zarr 0.4, 0.5, 0.6 and 0.9.dev1, on Zarr 2 and 3. https://ngff.openmicroscopy.org

The rules and all that is told from documents are in `voxarium.spec.ome.rules`; here is what of the store they see. Of a
group with documents of both Zarr formats, that of Zarr 3 is checked where it has metadata of OME-Zarr.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from voxarium.model.checks import Below, Checked, CheckNode
from voxarium.model.rules import Rule
from voxarium.spec.ome.rules import RULES
from voxarium.spec.ome.rules.around import Around, GroupFacts, Told, group_facts
from voxarium.spec.ome.rules.tree import CheckedGroup, check_group, check_plain_group

__all__ = ["OmeZarrChecks"]


class OmeZarrChecks:
    """Knows the rules of OME-Zarr."""

    name: ClassVar[str] = "ome-zarr"
    spec_url: ClassVar[str] = "https://ngff.openmicroscopy.org/specifications/"
    rules: ClassVar[Mapping[str, Rule]] = RULES
    documents: ClassVar[tuple[str, ...]] = ("zarr.json", ".zattrs", ".zgroup")

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check a group; None when it is none of OME-Zarr."""
        told: Told | None = node.told if isinstance(node.told, Told) else None
        deep = node.depth != "document"
        facts = _groups(node, told)
        if facts is None:
            return None
        around = _around(node, facts.zarr_format, deep)
        if facts.error is None and not facts.has_metadata:
            plain = check_plain_group(around) if deep and told is None else None
            return None if plain is None else _checked(plain)
        return _checked(check_group(facts, around, told, deep=deep))


def _groups(node: CheckNode, told: Told | None) -> GroupFacts | None:
    """Return the group, of the Zarr format that has metadata of OME-Zarr; None when it is none of ours."""
    found = group_facts(node.document, "", 3 if told is None else told.top.prefer)
    if found is None or (found.error is not None and told is None and not _evident(node, found)):
        return None
    if found.error is None and not found.has_metadata:
        other = group_facts(lambda name: None if name == found.name else node.document(name), "")
        if other is not None and other.has_metadata:
            return other
    return found


_MARKS: Final = (b'"multiscales"', b'"ome"', b'"omero"', b'"image-label"', b'"bioformats2raw.layout"')


def _evident(node: CheckNode, found: GroupFacts) -> bool:
    """Tell whether a document that is no JSON is evidently meant to be one of OME-Zarr."""
    raw = node.document(found.name) or b""
    return any(mark in raw[: 2**20] for mark in _MARKS)


def _around(node: CheckNode, zarr_format: int, deep: bool) -> Around:
    return Around(path=node.path, document=node.document, names=node.names, prefer=zarr_format, mixed=deep)


def _checked(found: CheckedGroup) -> Checked:
    below = tuple(Below(path=path, told=told) for path, told in found.below)
    return Checked(kind=found.kind, findings=found.findings, below=below, documents=_OWN)


_OWN: Final = ("OME/METADATA.ome.xml", ".zmetadata")
