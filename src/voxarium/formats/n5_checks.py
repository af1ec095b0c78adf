"""Checks of N5: one folder at a time. https://github.com/saalfeldlab/n5#file-system-specification"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final

from voxarium.model.checked_documents import json_of, opened
from voxarium.model.checking import Place
from voxarium.model.checks import Below, Checked, CheckNode
from voxarium.model.rules import DEPTHS, Rule
from voxarium.spec import n5_rules

__all__ = ["N5Checks"]

_DOCUMENT: Final = "attributes.json"
_MOST: Final = 100  # levels, and folders of an array that are looked into
_SUFFIX: Final = ".n5"


class N5Checks:
    """Knows the rules of N5 about arrays, groups, and what viewers expect of groups."""

    name: ClassVar[str] = "n5"
    spec_url: ClassVar[str] = "https://github.com/saalfeldlab/n5#file-system-specification"
    rules: ClassVar[Mapping[str, Rule]] = n5_rules.RULES
    documents: ClassVar[tuple[str, ...]] = (_DOCUMENT,)

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check an array or a group; None when there is no ``attributes.json``."""
        root = opened(node, _DOCUMENT, self.rules, "N5-001")
        if root is None or (node.document("zarr.json") is not None):
            return None  # a Zarr, for which the document is nobody's
        if root.value is None:
            return Checked(kind="group", findings=tuple(root.sheet.findings))
        deep = DEPTHS.index(node.depth) > 0
        n5_rules.check_version(root)
        if n5_rules.is_array(root.value):
            n5_rules.check_array(root)
            if deep:
                self._check_inside(node, root)
            return Checked(kind="array", findings=tuple(root.sheet.findings))
        n5_rules.check_group(root)
        if node.path.endswith(_SUFFIX) or (not node.path and self._is_container(root)):
            n5_rules.check_root(root)
        levels = self._levels(node)
        n5_rules.check_levels(root, levels)
        sheets = [root.sheet, *(place.sheet for place in levels.values())]
        listed = root["multiscales"]
        return Checked(
            kind="image" if levels or (listed.there and listed.value) else "group",
            findings=tuple(f for sheet in sheets for f in sheet.findings),
            below=tuple(Below(path=path) for path in levels),
        )

    def _is_container(self, root: Place) -> bool:
        """Tell whether a group is no image by its own attributes, so that it is a root when nothing is above it."""
        return not any(root[key].there for key in ("multiscales", "scales", "resolution", "pixelResolution", "axes"))

    def _levels(self, node: CheckNode) -> dict[str, Place]:
        out: dict[str, Place] = {}
        for number in range(_MOST):
            place = opened(node, f"s{number}/{_DOCUMENT}", self.rules, "N5-001")
            if place is None or place.value is None or not n5_rules.is_array(place.value):
                break
            out[f"s{number}"] = place
        return out

    def _check_inside(self, node: CheckNode, root: Place) -> None:
        """Report arrays in folders of an array; its blocks are in folders too."""
        listed = node.names("")
        for folder in sorted(listed[1])[:_MOST] if listed is not None else ():
            inner = None if folder.isdigit() else json_of(node.document(f"{folder}/{_DOCUMENT}"))
            if inner is not None and n5_rules.is_array(inner):
                root.report("N5-013", f"has the array {folder} inside", "move it out, beside this one")
