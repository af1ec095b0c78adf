"""What a check of a provenance log found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["CheckedCheckpoint", "LogProblem", "LogReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogProblem:
    """One thing that is wrong.

    Parameters
    ----------
    kind : str
        Of entries: ``missing``, ``extra``, ``malformed``, ``misplaced``, ``foreign``, ``changed``. Of details:
        ``payload-missing``, ``payload-changed``, ``payload-remains``. Of what checkpoints say: ``truncated``,
        ``rewritten``, ``replaced``, ``signature``, ``unsigned``.
    key : str
        Object in the store.
    message : str
        What is wrong.
    sequence : int or None
        Number of the entry; of the first that may be wrong.
    expected, found : str
        What was to be there, what is.
    """

    kind: str
    key: str
    message: str
    sequence: int | None = None
    expected: str = ""
    found: str = ""

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the problem as JSON."""
        names = ("key", "kind", "sequence", "message", "expected", "found")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class CheckedCheckpoint:
    """A checkpoint that the log agrees with: where it was, its size, and which of the given keys signed it."""

    source: str
    size: int
    signed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogReport:
    """What a check found.

    Parameters
    ----------
    origin : str
        Name of the log in checkpoints; empty when not even the first entry could be read.
    size : int
        Entries from the first on that hang together.
    head, root : str
        Hash of the last of them, and of the tree over them (hexadecimal).
    problems : tuple of LogProblem
        The first bad entry first.
    checkpoints : tuple of CheckedCheckpoint
        Those that the log agrees with.
    details, removed : int
        Payloads that are there and as they were; those that were removed as an entry says.
    leftovers : tuple of str
        Keys that belong to no entry: of writers that were stopped, for example. Harmless.
    """

    origin: str
    size: int
    head: str
    root: str
    problems: tuple[LogProblem, ...]
    checkpoints: tuple[CheckedCheckpoint, ...] = ()
    details: int = 0
    removed: int = 0
    leftovers: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def signed_size(self) -> int:
        """How many entries, from the first on, a signature by a given key vouches for."""
        return max((c.size for c in self.checkpoints if c.signed_by), default=0)

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report as JSON."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "size": self.size,
            "head": self.head,
            "root": self.root,
            "signed_size": self.signed_size,
            "checkpoints": [
                {"source": c.source, "size": c.size, "signed_by": list(c.signed_by)} for c in self.checkpoints
            ],
            "details": {"present": self.details, "removed": self.removed},
            "leftovers": list(self.leftovers),
            "problems": [p.to_json() for p in self.problems],
        }
