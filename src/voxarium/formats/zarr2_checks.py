"""Checks of Zarr v2: one node at a time. https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from voxarium.model.checked_documents import group_kind, json_of, opened
from voxarium.model.checking import Sheet
from voxarium.model.checks import Checked, CheckNode
from voxarium.model.rules import DEPTHS, Finding, Rule
from voxarium.spec import zarr2_rules

__all__ = ["Zarr2Checks"]

_NODES: Final = (".zarray", ".zgroup")
_TWIN: Final = "zarr.json"
_DEEPEST: Final = 3  # folders without a document that are looked into
_MOST: Final = 1000  # folders


class Zarr2Checks:
    """Knows the rules of Zarr v2 about arrays and groups."""

    name: ClassVar[str] = "zarr2"
    spec_url: ClassVar[str] = "https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html"
    rules: ClassVar[Mapping[str, Rule]] = zarr2_rules.RULES
    documents: ClassVar[tuple[str, ...]] = (".zarray", ".zgroup", ".zmetadata")

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check an array or a group; None when it is neither."""
        array, group, attributes, copy = (
            opened(node, name, self.rules, "Z2-002") for name in (".zarray", ".zgroup", ".zattrs", ".zmetadata")
        )
        if array is None and group is None and copy is None:
            return None
        deep = DEPTHS.index(node.depth) > 0
        gaps: list[Finding] = []
        if array is not None:
            zarr2_rules.check_array(array)
            twin = json_of(node.document(_TWIN))
            if twin is not None:
                zarr2_rules.check_twin(array, twin)
            if group is not None:
                group.report("Z2-014", "stands beside a .zarray", "remove the document that is wrong")
        elif deep:
            gaps = list(self._gaps(node))
        if group is not None:
            zarr2_rules.check_group(group)
        if attributes is not None:
            zarr2_rules.check_attributes(attributes)
        if copy is not None:
            zarr2_rules.check_consolidated(
                copy, lambda key: json_of(node.document(key)), lambda key: deep or "/" not in key
            )
            if deep and array is None:
                self._check_uncopied(node, copy.sheet, copy["metadata"].value)
        sheets = [place.sheet for place in (array, group, attributes, copy) if place is not None]
        return Checked(
            kind=group_kind(None if attributes is None else attributes.value) if array is None else "array",
            findings=(*(f for sheet in sheets for f in sheet.findings), *gaps),
        )

    def _gaps(self, node: CheckNode) -> Iterator[Finding]:
        """Yield findings about folders below a group that lead to nodes and are none."""
        waiting = [(folder, 0) for folder in _folders(node, "")]
        if node.document(".zgroup") is None:
            yield from self._gap(node, "", ".zmetadata")
        seen = 0
        while waiting and seen < _MOST:
            folder, depth = waiting.pop(0)
            seen += 1
            if _is_node(node, folder):
                continue
            inner = [f"{folder}/{name}" for name in _folders(node, folder)]
            found = next((name for name in inner if _is_node(node, name, newer=False)), None)
            if found is not None:
                yield from self._gap(node, folder, found)
            elif depth < _DEEPEST:
                waiting += [(name, depth + 1) for name in inner]

    def _gap(self, node: CheckNode, folder: str, below: str) -> list[Finding]:
        sheet = Sheet("", self.rules, node.key(f"{folder}/.zgroup" if folder else ".zgroup"))
        zarr2_rules.report_gap(sheet, below)
        return sheet.findings

    def _check_uncopied(self, node: CheckNode, sheet: Sheet, copied: object) -> None:
        """Report nodes right below that the copies do not know."""
        for folder in _folders(node, ""):
            for name in _NODES:
                key = f"{folder}/{name}"
                if isinstance(copied, dict) and key not in copied and node.document(key) is not None:
                    fix = "write the copies again from the documents, or remove them"
                    sheet.report("Z2-016", f"has no copy of {key}", fix, pointer="/metadata")


def _folders(node: CheckNode, folder: str) -> list[str]:
    listed = node.names(folder)
    return sorted(listed[1])[:_MOST] if listed is not None else []


def _is_node(node: CheckNode, folder: str, *, newer: bool = True) -> bool:
    names = (*_NODES, _TWIN) if newer else _NODES
    return any(node.document(f"{folder}/{name}") is not None for name in names)
