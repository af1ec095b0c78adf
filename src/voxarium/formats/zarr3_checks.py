"""Checks of Zarr v3: one node at a time. https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from voxarium.model.checked_documents import group_kind, json_of, opened
from voxarium.model.checking import Sheet
from voxarium.model.checks import Checked, CheckNode
from voxarium.model.rules import DEPTHS, Finding, Rule
from voxarium.spec import zarr3_rules

__all__ = ["Zarr3Checks"]

_DOCUMENT: Final = "zarr.json"
_OLDER: Final = (".zarray", ".zgroup")
_DEEPEST: Final = 3  # folders without a document that are looked into
_MOST: Final = 1000  # folders


class Zarr3Checks:
    """Knows the rules of Zarr v3 about arrays and groups."""

    name: ClassVar[str] = "zarr3"
    spec_url: ClassVar[str] = "https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html"
    rules: ClassVar[Mapping[str, Rule]] = zarr3_rules.RULES
    documents: ClassVar[tuple[str, ...]] = (_DOCUMENT,)

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check an array or a group; None when it is neither."""
        root = opened(node, _DOCUMENT, self.rules, "Z3-011")
        if root is None:
            return None
        zarr3_rules.check_node(root)
        deep = DEPTHS.index(node.depth) > 0
        zarr3_rules.check_consolidated(
            root, (lambda path: json_of(node.document(f"{path}/{_DOCUMENT}"))) if deep else None
        )
        is_group = root.value is not None and root.text("node_type") == "group"
        around: list[Finding] = []
        if deep and is_group:
            around = list(self._below(node))
            copied = root["consolidated_metadata"]["metadata"].value
            if isinstance(copied, dict):
                self._check_uncopied(node, root.sheet, copied)
        attributes = root["attributes"].value
        stated = attributes.get("ome", attributes) if isinstance(attributes, dict) else None
        kind = "array" if root.text("node_type") == "array" else group_kind(stated)
        return Checked(kind=kind, findings=(*root.sheet.findings, *around))

    def _below(self, node: CheckNode) -> Iterator[Finding]:
        """Yield findings about names of nodes, and about folders that lead to nodes and are none."""
        waiting = [(folder, 0) for folder in _folders(node, "")]
        seen = 0
        while waiting and seen < _MOST:
            folder, depth = waiting.pop(0)
            seen += 1
            sheet = Sheet("", self.rules, node.key(f"{folder}/{_DOCUMENT}"))
            if _is_node(node, folder):
                zarr3_rules.check_name(sheet, folder.rpartition("/")[2])
            elif not any(node.document(f"{folder}/{name}") is not None for name in _OLDER):
                inner = [f"{folder}/{name}" for name in _folders(node, folder)]
                found = next((name for name in inner if _is_node(node, name)), None)
                if found is not None:
                    zarr3_rules.report_gap(sheet, found)
                elif depth < _DEEPEST:
                    waiting += [(name, depth + 1) for name in inner]
            yield from sheet.findings

    def _check_uncopied(self, node: CheckNode, sheet: Sheet, copied: Mapping[str, object]) -> None:
        """Report nodes right below that the copies do not know."""
        for folder in _folders(node, ""):
            if folder not in copied and _is_node(node, folder):
                fix = "write the copies again from the documents, or remove them"
                sheet.report("Z3-020", f"has no copy of {folder}", fix, pointer="/consolidated_metadata/metadata")


def _folders(node: CheckNode, folder: str) -> list[str]:
    listed = node.names(folder)
    return sorted(listed[1])[:_MOST] if listed is not None else []


def _is_node(node: CheckNode, folder: str) -> bool:
    return node.document(f"{folder}/{_DOCUMENT}") is not None
