"""A place in a document: a value, where it stands, and where findings about it go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.spec.ome.rules.finding import Basis, Finding, Level, Rule

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
        Which set of rules counts.
    rules : mapping of str to Rule
        By id.
    """

    version: str
    rules: Mapping[str, Rule]
    findings: list[Finding] = field(default_factory=list)

    def add(self, rule: str, pointer: str, say: tuple[str, str], basis: Basis, level: Level | None) -> None:
        """Add a finding, unless the version does not have the rule.

        `say` is message and fix; `level`, where given, replaces the rule's own.
        """
        known = self.rules[rule]
        own = known.levels.get(self.version)
        if own is None or len(self.findings) > MAX_FINDINGS:
            return
        message, fix = say if len(self.findings) < MAX_FINDINGS else _MORE
        self.findings.append(
            Finding(
                rule=known.full_id(self.version),
                level=level or own,
                pointer=pointer,
                message=message,
                fix=fix,
                basis=basis,
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
        self, rule: str, message: str, fix: str, *, basis: Basis = "both", level: Level | None = None, text: str = ""
    ) -> None:
        """Report that a rule is broken here; in the versions of `text` the specification's text alone says so."""
        said: Basis = "text" if self.version in text.split() else basis
        self.sheet.add(rule, self.pointer, (message, fix), said, level)
