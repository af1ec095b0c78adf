"""Checking JSON documents: a place is a value, where it stands, and where findings about it go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.model.edits import REMOVED, Edit
from voxarium.model.rules import Basis, Finding, Level, Rule

__all__ = ["ABSENT", "MAX_FINDINGS", "Place", "Sheet", "short"]

ABSENT: Final = object()
MAX_FINDINGS: Final = 10_000  # a plate of wells that are all wrong must not fill the memory
_MORE: Final = ("there is more than is listed here", "correct what is listed and check again")


def short(value: Any) -> str:
    """Return a value for a message: texts from outside may be long."""
    return repr(value[:60]) if isinstance(value, str) else f"{value!r:.80}"


@dataclass(slots=True)
class Sheet:
    """The findings about one document.

    Parameters
    ----------
    version : str
        Which set of rules counts; empty for formats that have one set only.
    rules : mapping of str to Rule
        By id.
    key : str
        Key of the document in the store.
    """

    version: str
    rules: Mapping[str, Rule]
    key: str = ""
    findings: list[Finding] = field(default_factory=list)

    def report(
        self,
        rule: str,
        message: str,
        fix: str,
        *,
        pointer: str = "",
        said: tuple[Basis | None, Level | None] = (None, None),
        values: tuple[Any, Any] = (None, None),
        repair: tuple[Edit, ...] = (),
    ) -> None:
        """Add a finding, unless the version does not have the rule.

        `said` replaces the rule's own basis and level, where not None; `values` are what is expected and what is found.
        """
        known = self.rules[rule]
        own = known.levels.get(self.version)
        if own is None or len(self.findings) > MAX_FINDINGS:
            return
        if len(self.findings) == MAX_FINDINGS:
            message, fix, repair = *_MORE, ()
        self.findings.append(
            Finding(
                rule=known.full_id(self.version),
                level=said[1] or own,
                key=self.key,
                pointer=pointer,
                message=message,
                fix=fix,
                basis=said[0] or known.basis,
                expected=values[0],
                found=values[1],
                repair=repair,
            )
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A value in a document. Places below one that has no such key exist too: their value is ABSENT.

    Examples
    --------
    >>> place = Place({"a/b": [5]}, "", Sheet("0.5", {}))
    >>> place["a/b"][0].pointer, place["a/b"][0].value, place["c"].there
    ('/a~1b/0', 5, False)
    """

    value: Any  # Any: JSON as found
    pointer: str
    sheet: Sheet

    def __getitem__(self, key: str | int) -> Place:
        if isinstance(key, str):
            found = self.value.get(key, ABSENT) if isinstance(self.value, dict) else ABSENT
        else:
            found = self.value[key] if isinstance(self.value, list) and key < len(self.value) else ABSENT
        escaped = str(key).replace("~", "~0").replace("/", "~1")
        return Place(found, f"{self.pointer}/{escaped}", self.sheet)

    @property
    def there(self) -> bool:
        """Whether the document has this value."""
        return self.value is not ABSENT

    @property
    def version(self) -> str:
        """The set of rules that counts."""
        return self.sheet.version

    def items(self) -> list[Place]:
        """Return the places of a list's items; none where this is no list."""
        return [self[i] for i in range(len(self.value))] if isinstance(self.value, list) else []

    def text(self, key: str) -> str | None:
        """Return a member that is a text; None for anything else."""
        found = self[key].value
        return found if isinstance(found, str) else None

    def report(
        self,
        rule: str,
        message: str,
        fix: str,
        *,
        basis: Basis | None = None,
        level: Level | None = None,
        text: str = "",
        expected: Any = None,
        repair: tuple[Edit, ...] = (),
    ) -> None:
        """Report that a rule is broken here; in the versions of `text` the specification's text alone says so."""
        says: Basis | None = "text" if self.version in text.split() else basis
        values = (expected, _plain(self.value))
        self.sheet.report(rule, message, fix, pointer=self.pointer, said=(says, level), values=values, repair=repair)

    def put(self, value: Any) -> Edit:
        """Return the edit that sets this place, for a repair."""
        return Edit(key=self.sheet.key, pointer=self.pointer, value=value)

    def removed(self) -> Edit:
        """Return the edit that removes this place, for a repair."""
        return Edit(key=self.sheet.key, pointer=self.pointer, action=REMOVED)


def _plain(value: Any) -> Any:
    """Return a value where it is simple and short; None for all else."""
    simple = isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 60)
    few = isinstance(value, list) and len(value) <= 5 and all(isinstance(v, bool | int | float | str) for v in value)
    return value if simple or (few and len(str(value)) <= 120) else None
