"""What an audit found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

__all__ = ["KINDS", "Kind", "Problem", "VerifyReport", "parse_problem"]

Kind = Literal[
    "missing",
    "extra",
    "truncated",
    "changed",
    "swapped",
    "unreadable",
    "elsewhere",
    "frozen",
    "voxels",
    "coordinates",
]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as the manifest says.

    Parameters
    ----------
    key : str
        The object.
    kind : str
        ``missing``; ``extra`` (not in the manifest); ``truncated`` (shorter); ``changed`` (other bytes, or more of
        them); ``swapped`` (it holds the content of another object of the manifest); ``unreadable`` (nobody can tell);
        ``elsewhere`` (the manifest leads to another place, which was not followed); of copies, ``frozen`` (the target
        has something published there that is not to be replaced); of images, ``voxels`` and ``coordinates`` (others
        than those of the logical digest that is recorded).
    expected, found : str or None
        Size or digest; None where there is nothing.
    """

    key: str
    kind: Kind
    expected: str | None
    found: str | None

    def to_json(self) -> dict[str, str | None]:
        """Return the problem for ``--json``."""
        return {"key": self.key, "kind": self.kind, "expected": self.expected, "found": self.found}


def parse_problem(found: Any) -> Problem:
    """Return a problem as `Problem.to_json` wrote it.

    Raises
    ------
    ValueError
        If it is none.
    """
    if isinstance(found, dict) and isinstance(found.get("key"), str) and found.get("kind") in KINDS:
        expected, seen = found.get("expected"), found.get("found")
        if all(text is None or isinstance(text, str) for text in (expected, seen)):
            return Problem(found["key"], found["kind"], expected, seen)
    raise ValueError("no problem")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """The result of an audit.

    Parameters
    ----------
    target : str
        What was looked at.
    level, algorithm : str
        How; the algorithm is empty when nothing was read.
    seed : int or None
        What the sample was drawn with.
    roots : tuple of str
        Roots of the manifest.
    objects : int
        Objects in the manifest.
    read, nbytes : int
        Objects and bytes that were read, those of the runs before a resumption included.
    resumed : int
        Objects that an earlier run had read.
    listed : bool
        Whether the tree could be listed; else objects that the manifest does not have cannot be found.
    problems : tuple of Problem
        By key.
    seconds : float
        Wall time.
    images : int
        Images whose voxels were compared with logical digests.
    unrecorded : tuple of str
        Images of which no logical digest is recorded; only where voxels were looked at.
    """

    target: str
    level: str
    algorithm: str
    seed: int | None
    roots: tuple[str, ...]
    objects: int
    read: int
    nbytes: int
    resumed: int
    listed: bool
    problems: tuple[Problem, ...]
    seconds: float
    images: int = 0
    unrecorded: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:
        """Return the report for ``--json``."""
        return {
            "ok": self.ok,
            "problems": [p.to_json() for p in self.problems],
            "target": self.target,
            "level": self.level,
            "algorithm": self.algorithm or None,
            "seed": self.seed,
            "roots": list(self.roots),
            "objects": self.objects,
            "read": self.read,
            "bytes": self.nbytes,
            "resumed": self.resumed,
            "listed": self.listed,
            "images": self.images,
            "unrecorded": list(self.unrecorded),
            "seconds": round(self.seconds, 3),
        }
