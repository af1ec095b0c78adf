"""Checking WKW arrays against their rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voxarium.formats.wkw.array import WkwDriver
from voxarium.model.checking import Place
from voxarium.model.checks import Checked, CheckNode
from voxarium.model.rules import Rule
from voxarium.spec import wkw
from voxarium.spec.wkw import rules

__all__ = ["WkwChecks"]


class WkwChecks:
    """Knows the rules of ``header.wkw``; files of blocks are checked by the array's own driver, one by one."""

    name: ClassVar[str] = "wkw"
    spec_url: ClassVar[str] = WkwDriver.spec_url
    rules: ClassVar[Mapping[str, Rule]] = rules.RULES
    documents: ClassVar[tuple[str, ...]] = (wkw.HEADER_NAME,)

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check the header of an array, and whether there are files at all."""
        raw = node.document(wkw.HEADER_NAME)
        if raw is None:
            return None
        sheet, header = rules.check_header_file(raw, node.key(wkw.HEADER_NAME))
        if header is not None and node.depth != "document":
            listed = node.names("")
            if listed is not None and not any(name.startswith("z") for name in listed[1]):
                Place(None, "", sheet).report("WW-009", "has no file of blocks beside it", "copy the files again")
        return Checked(kind="array", findings=tuple(sheet.findings))
