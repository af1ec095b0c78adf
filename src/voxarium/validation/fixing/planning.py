"""What would be repaired: documents before and after, and objects under other names. Nothing is changed here."""

from __future__ import annotations

import contextlib
import difflib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.errors import VoxariumError
from voxarium.model.edits import REMOVED, Edit, edited_document
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.rules import Finding

__all__ = ["PACKED", "Repair", "RepairPlan", "plan_repairs"]

PACKED: Final = (".gz", ".br", ".zst")
_LARGEST: Final = 64 << 20  # bytes of a document
_INDENT: Final = re.compile(r"\A\s*[{\[]\r?\n([ \t]+)")  # of what is directly inside
_ACTIONS: Final = ("set", REMOVED, "move", "unpack")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What becomes of one object.

    Parameters
    ----------
    key : str
    rules : tuple of str
        Ids of the rules whose findings it mends.
    before, after : bytes or None
        Content of a document; None where there is none.
    to : str
        Key the object gets instead; empty for documents.
    unpack : bool
        Whether the object at `to` is the unpacked content (of a ``.gz``, ``.br`` or ``.zst`` object).
    """

    key: str
    rules: tuple[str, ...]
    before: bytes | None = None
    after: bytes | None = None
    to: str = ""
    unpack: bool = False

    def diff(self) -> str:
        """Return what changes, as a unified diff; for an object that gets another name, both names."""
        if self.to:
            return f"{'unpack' if self.unpack else 'rename'} {self.key} → {self.to}\n"
        before, after = (_lines(raw) for raw in (self.before, self.after))
        lines = difflib.unified_diff(before, after, self.key, self.key, lineterm="", n=2)
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairPlan:
    """All repairs of one validation.

    Parameters
    ----------
    repairs : tuple of Repair
        Ordered by key, one for each object.
    skipped : tuple of (str, str)
        Places that could not be repaired as rules propose, and why.
    left : int
        Findings that nobody knows a certain repair of.
    """

    repairs: tuple[Repair, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    left: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the plan for ``voxarium validate --fix --json``."""
        repairs = [
            {"key": r.key, "rules": list(r.rules), **({"to": r.to} if r.to else {"diff": r.diff()})}
            for r in self.repairs
        ]
        return {"repairs": repairs, "skipped": [{"place": p, "why": w} for p, w in self.skipped], "left": self.left}


@dataclass(slots=True)
class _Document:
    before: bytes | None
    value: Any = None  # Any: JSON
    rules: dict[str, None] = field(default_factory=dict)
    places: dict[str, Edit] = field(default_factory=dict)


def plan_repairs(store: ReadableStore, findings: Iterable[Finding]) -> RepairPlan:
    """Return what would mend the findings that come with a repair.

    Parameters
    ----------
    store : ReadableStore
        Where their keys are.
    findings : iterable of Finding
        Of a report; where two want to set one place to different values, the first is followed.
    """
    planner = _Planner(store)
    left = 0
    for finding in findings:
        if not finding.repair:
            left += 1
            continue
        for edit in finding.repair:
            planner.take(edit, finding.rule)
    return RepairPlan(repairs=planner.repairs(), skipped=tuple(planner.skipped), left=left)


class _Planner:
    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self._documents: dict[str, _Document] = {}
        self._moves: dict[str, Repair] = {}
        self.skipped: list[tuple[str, str]] = []

    def take(self, edit: Edit, rule: str) -> None:
        """Add one edit, unless it cannot be made."""
        try:
            checked_key(edit.key)
            if edit.action not in _ACTIONS:
                raise ValueError(f"{edit.action} is no repair")
            if edit.action in ("move", "unpack"):
                self._move(edit, rule)
            else:
                self._edit(edit, rule)
        except (VoxariumError, ValueError) as error:
            self.skipped.append((f"{edit.key}#{edit.pointer}" if edit.pointer else edit.key, str(error)))

    def repairs(self) -> tuple[Repair, ...]:
        found = list(self._moves.values())
        for key, document in self._documents.items():
            after = _dumped(document.value, document.before)
            if document.places and after != document.before:
                rules = tuple(document.rules)
                found.append(Repair(key=key, rules=rules, before=document.before, after=after))
        return tuple(sorted(found, key=lambda r: r.key))

    def _move(self, edit: Edit, rule: str) -> None:
        to = checked_key(edit.value)
        if edit.action == "unpack" and not edit.key.endswith(PACKED):
            raise ValueError("its name does not say how it is packed")
        if self._store.stat(to) is not None:
            raise ValueError(f"{to} exists")
        self._moves[edit.key] = Repair(key=edit.key, rules=(rule,), to=to, unpack=edit.action == "unpack")

    def _edit(self, edit: Edit, rule: str) -> None:
        document = self._documents.get(edit.key)
        if document is None:
            document = self._documents[edit.key] = self._read(edit.key)
        known = document.places.get(edit.pointer)
        if known is not None:
            if known == edit:
                document.rules[rule] = None
                return
            raise ValueError("another rule wants something else here")
        document.value = edited_document(document.value, edit)
        document.places[edit.pointer] = edit
        document.rules[rule] = None

    def _read(self, key: str) -> _Document:
        stat = self._store.stat(key)
        if stat is not None and stat.size > _LARGEST:
            raise ValueError("it is too large for a document")
        raw = self._store.get(key)
        return _Document(before=raw, value=None if raw is None else json.loads(raw))


def _lines(document: bytes | None) -> list[str]:
    """Return a document as lines that can be compared: one that is a single line is laid out for that."""
    text = "" if document is None else document.decode("utf-8", "replace")
    if _is_one_line(text):
        with contextlib.suppress(ValueError, RecursionError):
            text = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    return text.splitlines()


def _is_one_line(text: str) -> bool:
    return "\n" not in text.strip()


def _dumped(value: Any, before: bytes | None) -> bytes:  # Any: JSON
    """Return a document laid out as it was before, so that nothing changes but what is repaired."""
    text = "" if before is None else before.decode("utf-8", "replace")
    indent: str | int | None = 2
    separators = None
    if text and _is_one_line(text):
        indent = None
        separators = None if '": ' in text else (",", ":")
    else:
        found = _INDENT.search(text)
        indent = 2 if found is None else found[1]
    after = json.dumps(value, indent=indent, separators=separators, ensure_ascii=False, allow_nan=False)
    return f"{after}\n".encode() if not text or text.endswith("\n") else after.encode()
