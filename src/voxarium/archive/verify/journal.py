"""The journal of an audit: which objects were read already, so that one that was stopped goes on.

It lies in the user's cache, not in the tree, which may be read-only and must not grow by being looked at. The first
line says which audit it is; each further line is a finished batch: positions in the manifest, bytes, problems.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.verify.report import Problem, parse_problem
from voxarium.errors import Code, StoreError

__all__ = ["Journal", "journal_path"]


def journal_path(identity: dict[str, Any]) -> Path:
    """Return where the journal of an audit is kept: below XDG_CACHE_HOME, or ~/.cache."""
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    name = sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    return Path(folder) / "voxarium" / "verify" / f"{name}.jsonl"


class Journal:
    """Which objects are done. Without a path nothing is kept.

    Parameters
    ----------
    path : Path or None
        The file.
    identity : dict
        What was asked; a journal of anything else is not taken over.
    count : int
        Objects of the manifest.
    """

    def __init__(self, path: Path | None, identity: dict[str, Any], count: int) -> None:
        self._path = path
        self._identity = identity
        self._file: BinaryIO | None = None
        self.done: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self.problems: dict[str, Problem] = {}
        self.read = 0
        self.nbytes = 0

    def resume(self) -> dict[str, Any] | None:
        """Take over what an earlier run has read; return what it noted at its beginning, or None if there is none."""
        if self._path is None or not self._path.is_file():
            return None
        noted: dict[str, Any] | None = None
        with self._path.open("rb") as lines:
            for line in lines:
                try:
                    found = json.loads(line)
                    if noted is None:
                        if not isinstance(found, dict) or found.get("audit") != self._identity:
                            return None
                        noted = found
                    else:
                        self._take(*found)
                except (ValueError, TypeError, IndexError, OverflowError):
                    if noted is None:
                        return None
                    continue  # the last line of a killed run may be cut off: what it stands for is read again
        return noted

    def _take(self, numbers: list[int], nbytes: int, problems: list[Any]) -> None:
        rows = np.array(numbers, np.int64)
        found = [parse_problem(p) for p in problems]
        if rows.ndim != 1 or (len(rows) and (rows.min() < 0 or rows.max() >= len(self.done))):
            raise ValueError("no positions")
        self.read += len(rows) - int(self.done[rows].sum())
        self.done[rows] = True
        self.nbytes += int(nbytes)
        self.problems |= {p.key: p for p in found}

    def begin(self, noted: dict[str, Any]) -> Self:
        """Begin a new journal, or go on with the one that was taken over."""
        if self._path is None:
            return self
        fresh = not self.done.any()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("wb" if fresh else "ab")
            # A line that was cut off must not swallow the next one.
            self._file.write(self._line({**noted, "audit": self._identity}) if fresh else b"\n")
        except OSError as error:
            raise StoreError(
                f"the journal {self._path} cannot be written: {error.strerror or error}",
                code=Code.STORE_UNWRITABLE,
                fix="name another place with --journal",
            ) from error
        return self

    def add(self, numbers: Sequence[int], nbytes: int, problems: Iterable[Problem]) -> None:
        """Note a batch."""
        found = list(problems)
        self.done[list(numbers)] = True
        self.read += len(numbers)
        self.nbytes += nbytes
        self.problems |= {p.key: p for p in found}
        if self._file is not None:
            self._file.write(self._line([list(numbers), nbytes, [p.to_json() for p in found]]))
            self._file.flush()

    @staticmethod
    def _line(document: object) -> bytes:
        return json.dumps(document).encode() + b"\n"

    def end(self, *, complete: bool) -> None:
        """Close the journal; that of a complete audit goes."""
        if self._file is not None:
            self._file.close()
            self._file = None
            if complete and self._path is not None:
                with contextlib.suppress(OSError):
                    self._path.unlink()
