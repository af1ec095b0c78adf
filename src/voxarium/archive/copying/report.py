"""What a copy will take, and what it did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from voxarium.archive.members import Listed
from voxarium.archive.verify.report import Problem

__all__ = ["CopyPlan", "CopyReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyPlan:
    """What a copy will take.

    Parameters
    ----------
    source, target : str
        Addresses.
    objects, nbytes : int
        All that the target will hold.
    left_objects, left_bytes : int
        Those of them still to be copied; objects that only a look at their content can tell are among them.
    compared : int
        Objects whose digest is known, so that what arrives is compared with it.
    absent : int
        Objects of the chosen levels that a region leaves out.
    left_out : tuple of str
        Keys of what jobs and stopped writers left in the source.
    resumes : bool
        Whether a copy that was stopped goes on.
    seconds : float
        A guess.
    notes : tuple of str
        What a user should know.
    """

    source: str
    target: str
    objects: int
    nbytes: int
    left_objects: int
    left_bytes: int
    compared: int
    absent: int = 0
    left_out: tuple[str, ...] = ()
    resumes: bool = False
    seconds: float = 0.0
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the plan for ``--dry-run --json``."""
        return {
            "source": self.source,
            "target": self.target,
            "objects": self.objects,
            "bytes": self.nbytes,
            "left_objects": self.left_objects,
            "left_bytes": self.left_bytes,
            "compared": self.compared,
            "absent": self.absent,
            "left_out": list(self.left_out),
            "resumes": self.resumes,
            "seconds": round(self.seconds, 1),
            "notes": list(self.notes),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyReport:
    """What a copy did.

    Parameters
    ----------
    source, target : str
        Addresses.
    objects, nbytes : int
        All that the target holds.
    copied, copied_bytes : int
        What this run copied.
    resumed : int
        Objects that an earlier run of the same copy had finished.
    same : int
        Objects that were there and had the right content.
    compared : int
        Objects whose content was compared with a digest that was known before.
    edited : tuple of str
        Documents that say something else than those of the source, since a part was copied.
    absent : int
        Objects of the chosen levels that a region leaves out; they read as fill value.
    left_out : tuple of str
        Keys of what jobs and stopped writers left in the source; not copied.
    manifest : str or None
        Address of the manifest that was written.
    roots : tuple of str
        Its roots.
    problems : tuple of Problem
        Why the copy is not whole: its documents were then not copied.
    notes : tuple of str
        What a user should know.
    listed : Listed or None
        What became of it in the dataset that it was copied into.
    seconds : float
        Wall time.
    """

    source: str
    target: str
    objects: int
    nbytes: int
    copied: int
    copied_bytes: int
    resumed: int
    same: int
    compared: int
    edited: tuple[str, ...] = ()
    absent: int = 0
    left_out: tuple[str, ...] = ()
    manifest: str | None = None
    roots: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    listed: Listed | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything is there."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        return {
            "ok": self.ok,
            "problems": [p.to_json() for p in self.problems],
            "source": self.source,
            "target": self.target,
            "objects": self.objects,
            "bytes": self.nbytes,
            "copied": self.copied,
            "copied_bytes": self.copied_bytes,
            "resumed": self.resumed,
            "same": self.same,
            "compared": self.compared,
            "edited": list(self.edited),
            "absent": self.absent,
            "left_out": list(self.left_out),
            "manifest": self.manifest,
            "roots": list(self.roots),
            "notes": list(self.notes),
            "listed": None if self.listed is None else self.listed.to_json(),
            "seconds": round(self.seconds, 3),
        }
