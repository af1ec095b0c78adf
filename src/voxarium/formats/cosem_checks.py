"""Checks of COSEM's metadata in N5 and in Zarr v2. https://github.com/janelia-cellmap/cellmap-schemas"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from voxarium.model.checked_documents import opened
from voxarium.model.checks import Below, Checked, CheckNode
from voxarium.model.rules import DEPTHS, Rule
from voxarium.spec import cosem_rules

__all__ = ["CosemChecks"]

_DOCUMENTS: Final = ("attributes.json", ".zattrs")
_LEVEL: Final = re.compile(r"s(?:0|[1-9][0-9]{0,2})\Z")


class CosemChecks:
    """Knows the rules of COSEM's pyramids."""

    name: ClassVar[str] = "cosem"
    spec_url: ClassVar[str] = "https://github.com/janelia-cellmap/cellmap-schemas"
    rules: ClassVar[Mapping[str, Rule]] = cosem_rules.RULES
    documents: ClassVar[tuple[str, ...]] = _DOCUMENTS

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check a group or an array with a transform; None when it has none of this convention."""
        name = next((n for n in _DOCUMENTS if node.document(n) is not None), _DOCUMENTS[0])
        root = opened(node, name, self.rules, "CO-002")
        if root is None or root.value is None:
            return None  # what is no JSON is said by the rules of N5
        if not cosem_rules.is_group(root.value):
            if not cosem_rules.has_transform(root.value):
                return None
            cosem_rules.check_array(root)
            return Checked(kind="array", findings=tuple(root.sheet.findings))
        paths = cosem_rules.dataset_paths(root.value)
        levels = {path: opened(node, f"{path}/{name}", self.rules, "CO-002") for path in paths}
        cosem_rules.check_group(root, levels)
        if DEPTHS.index(node.depth) > 0:
            listed = node.names("")
            stored = [] if listed is None else sorted(f for f in listed[1] if _LEVEL.match(f))
            for level in (f for f in stored if f not in paths):
                root.report("CO-011", f"does not list the level {level}", "list it, or remove it")
        sheets = [root.sheet, *(place.sheet for place in levels.values() if place is not None)]
        return Checked(
            kind="image",
            findings=tuple(f for sheet in sheets for f in sheet.findings),
            below=tuple(Below(path=path) for path, place in levels.items() if place is not None),
        )
