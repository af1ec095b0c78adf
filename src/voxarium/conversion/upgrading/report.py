"""What an upgrade did, or would do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.errors import VoxariumError

__all__ = ["Change", "ProgressCallback", "Refusal", "UpgradeProgress", "UpgradeReport"]

_MOST_PLACES: Final = 3


@dataclass(frozen=True, slots=True)
class Change:
    """Documents of one node that change: their bytes by name, None where there is none."""

    path: str
    before: dict[str, bytes | None]
    after: dict[str, bytes | None]

    def key(self, name: str) -> str:
        """Return the key of a document."""
        return f"{self.path}/{name}" if self.path else name


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node that cannot be upgraded, and why; what is below it stays as it is too."""

    path: str
    code: str
    message: str
    fix: str

    @classmethod
    def of(cls, path: str, error: VoxariumError) -> Refusal:
        """Return the refusal an error stands for."""
        return cls(path, str(error.code), error.message, error.fix)


@dataclass(frozen=True, slots=True)
class UpgradeProgress:
    """How far an upgrade is; `total` is 0 while it is not known."""

    phase: str
    done: int
    total: int = 0


ProgressCallback = Callable[[UpgradeProgress], None]


@dataclass(slots=True)
class UpgradeReport:
    """Outcome of an upgrade.

    Parameters
    ----------
    target : str
        The version.
    mode : str
        ``replace`` or ``dual``.
    uri : str
        The tree that holds the result.
    nodes : int
        Groups and arrays looked at.
    written, removed : int
        Documents.
    linked, copied : int
        Objects that were not documents, when the upgrade was made beside.
    refusals : list of Refusal
        Nodes left as they were.
    changes : list of (str, str)
        (``write`` or ``remove``, key) of every document; of dry runs only.
    notes : dict
        What was guessed, or is not known to all readers: how often, and the first paths.
    """

    target: str
    mode: str
    uri: str
    nodes: int = 0
    written: int = 0
    removed: int = 0
    linked: int = 0
    copied: int = 0
    resumed: bool = False
    journal: str | None = None
    refusals: list[Refusal] = field(default_factory=list)
    changes: list[tuple[str, str]] = field(default_factory=list)
    notes: dict[str, tuple[int, tuple[str, ...]]] = field(default_factory=dict)

    def note(self, path: str, text: str) -> None:
        """Count a note."""
        count, places = self.notes.get(text, (0, ()))
        self.notes[text] = count + 1, places if len(places) >= _MOST_PLACES else (*places, path)

    def count(self, change: Change, *, listed: bool) -> None:
        """Count the documents of a change."""
        for name, data in change.after.items():
            self.written += data is not None
            self.removed += data is None
            if listed:
                self.changes.append(("remove" if data is None else "write", change.key(name)))

    def to_json(self) -> dict[str, Any]:
        """Return the report in JSON types."""
        return {
            "target": self.target,
            "mode": self.mode,
            "uri": self.uri,
            "nodes": self.nodes,
            "written": self.written,
            "removed": self.removed,
            "linked": self.linked,
            "copied": self.copied,
            "resumed": self.resumed,
            "journal": self.journal,
            "refusals": [{"path": r.path, "code": r.code, "message": r.message, "fix": r.fix} for r in self.refusals],
            "changes": [{"action": action, "key": key} for action, key in self.changes],
            "notes": [{"note": text, "count": n, "paths": list(p)} for text, (n, p) in self.notes.items()],
        }
