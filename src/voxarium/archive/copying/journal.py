"""What a copy has finished, so that one that was stopped goes on: kept in the target, gone when the copy is whole.

``.voxarium/copy.json`` says which copy it is; the objects in ``.voxarium/copy/`` have a line for each object that is
there and was looked at. Every run writes objects of its own. An entry lost with a kill only means that its object is
copied again.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voxarium.core.journal import JOB_FOLDER
from voxarium.core.releases import read_bounded
from voxarium.errors import Code, ConflictError, FormatError
from voxarium.model.protocols import AppendableStore, ListableStore, WritableStore

__all__ = ["CopyJournal", "Done"]

_JOB: Final = f"{JOB_FOLDER}/copy.json"
_FOLDER: Final = f"{JOB_FOLDER}/copy"
_MOST_JOB: Final = 1 << 20
_MOST_LINES: Final = 1 << 30
_SECONDS: Final = 10.0  # between two stored objects, where they cannot grow


@dataclass(frozen=True, slots=True)
class Done:
    """An object that is in the target: its size and digests."""

    key: str
    size: int
    sha256: bytes
    blake3: bytes | None = None


class CopyJournal:
    """The journal of one copy.

    Parameters
    ----------
    store : WritableStore
        The target, as it is: nothing here is ever published.
    identity : dict
        What is copied.
    """

    def __init__(self, store: WritableStore, identity: dict[str, Any]) -> None:
        self._store = store
        self._identity = {"format": "voxarium-copy", "version": 1, **identity}
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._flushed = time.monotonic()
        self._segment = 0

    def exists(self) -> bool:
        """Tell whether this copy was begun, and not finished.

        Raises
        ------
        ConflictError
            If another one was.
        """
        raw = self._raw()
        if raw is None:
            return False
        try:
            found = json.loads(raw)
        except ValueError:
            found = None
        if found != self._identity:
            of = found.get("source") if isinstance(found, dict) else None
            raise ConflictError(
                f"a copy of something else{f', {of},' if isinstance(of, str) else ''} was begun in {self._store.uri}",
                code=Code.PLAN_CHANGED,
                fix="finish it as it was begun, take over what is there with --update, or remove the target",
            )
        return True

    def _raw(self) -> bytes | None:
        try:
            return read_bounded(self._store, _JOB, _MOST_JOB)
        except FormatError:
            return b""

    def begin(self) -> None:
        """Note which copy it is."""
        self._store.put(_JOB, json.dumps(self._identity, indent=2).encode() + b"\n")

    def entries(self) -> Iterator[Done]:
        """Yield what earlier runs have finished."""
        for name in self._names():
            document = read_bounded(self._store, f"{_FOLDER}/{name}", _MOST_LINES) or b""
            for line in document.split(b"\n"):
                try:
                    key, size, sha256, blake3 = json.loads(line)
                    done = Done(str(key), int(size), bytes.fromhex(sha256), bytes.fromhex(blake3) if blake3 else None)
                except (ValueError, TypeError):
                    continue  # the last line of a killed run may be cut off
                if done.size >= 0 and {len(done.sha256), len(done.blake3 or done.sha256)} == {32}:
                    yield done

    def _names(self) -> list[str]:
        """Return the names of all objects with entries, and remember the last number."""
        if isinstance(self._store, ListableStore):
            names = list(self._store.list_dir(_FOLDER)[0])
        else:
            names, number = [], 1
            while self._store.stat(f"{_FOLDER}/{number:06d}.jsonl") is not None:
                names.append(f"{number:06d}.jsonl")
                number += 1
        numbers = [int(n[:6]) for n in names if n[:6].isdecimal()]
        self._segment = max([self._segment, *numbers])
        return names

    def add(self, done: Done) -> None:
        """Note an object."""
        blake3 = None if done.blake3 is None else done.blake3.hex()
        line = json.dumps([done.key, done.size, done.sha256.hex(), blake3]) + "\n"
        with self._lock:
            self._waiting.append(line)
            if not isinstance(self._store, AppendableStore) and time.monotonic() - self._flushed < _SECONDS:
                return
        self.flush()

    def flush(self) -> None:
        """Store what is not stored yet."""
        with self._lock:
            if not self._waiting:
                return
            data, self._waiting = "".join(self._waiting).encode(), []
            self._flushed = time.monotonic()
            if isinstance(self._store, AppendableStore):
                self._store.append(f"{_FOLDER}/{self._segment + 1:06d}.jsonl", data)
                return
            self._segment += 1
            self._store.put(f"{_FOLDER}/{self._segment:06d}.jsonl", data)

    def clear(self) -> None:
        """Remove everything; the document goes last."""
        for name in self._names():
            self._store.delete(f"{_FOLDER}/{name}")
        self._store.delete(_JOB)
