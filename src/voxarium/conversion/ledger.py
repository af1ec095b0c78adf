"""The ledger: what a job has finished, so that a killed one can go on.

Two things lie in the target while a job runs: ``job.json`` (what is being made, under which plan) and the ledger (one
line per finished object). Both go when the image is complete, so a finished image holds nothing but itself.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from voxarium.codecs.crc32c import crc32c_extend
from voxarium.conversion.finished import FinishedObject
from voxarium.core.journal import JOB_FOLDER, JOB_KEY
from voxarium.errors import Code, ConflictError, FormatError, NotFoundError
from voxarium.model.protocols import AppendableStore, ByteRange, ListableStore, WritableStore

__all__ = ["Ledger"]

_LEDGER_KEY: Final = f"{JOB_FOLDER}/ledger.jsonl"
_SEGMENTS: Final = f"{JOB_FOLDER}/ledger"
_PIECE: Final = 16 << 20
_SEGMENT_SECONDS: Final = 20.0
_LARGEST: Final = "largest_label"


class Ledger:
    """Finished objects of one job, kept in the target's store.

    In stores whose objects can grow, every finished object is noted at once; in others, a segment is stored every 20
    seconds. An entry lost with a kill only means that its object is made again.
    """

    def __init__(self, store: WritableStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._waiting: list[str] = []
        self._segment = 0
        self._flushed = time.monotonic()
        self.done: dict[str, FinishedObject] = {}
        self.largest: int | None = None

    def begin(self, job: dict[str, Any]) -> None:
        """Mark the target as unfinished."""
        self._store.put(JOB_KEY, json.dumps(job, indent=2).encode() + b"\n")

    def resume(self, fingerprint: str) -> int:
        """Take over what an earlier run of the same plan finished; return how many objects.

        Raises
        ------
        NotFoundError
            If no job was begun here.
        ConflictError
            If the job was begun under another plan.
        """
        raw = self._store.get(JOB_KEY)
        if raw is None:
            raise NotFoundError(
                f"nothing to resume at {self._store.uri}",
                code=Code.NOTHING_TO_RESUME,
                fix="run without --resume; if the image is there already it is complete",
            )
        if parse_job(raw).get("fingerprint") != fingerprint:
            raise ConflictError(
                f"the job at {self._store.uri} was begun with another source or other options",
                code=Code.PLAN_CHANGED,
                fix="resume with the options it was begun with, or start anew with --overwrite",
            )
        for entry in self._entries():
            if entry.size == 0 or self._agrees(entry):
                self.done[entry.key] = entry
            else:
                self.done.pop(entry.key, None)
        return len(self.done)

    def _agrees(self, entry: FinishedObject) -> bool:
        """Tell whether the store still holds what was noted: its content where a checksum was noted, else its size."""
        stat = self._store.stat(entry.key)
        if stat is None or stat.size != entry.size:
            return False
        if entry.crc32c is None:
            return True
        crc = 0
        for start in range(0, entry.size, _PIECE):
            parts = self._store.get_ranges(entry.key, [ByteRange(start, min(_PIECE, entry.size - start))])
            if parts is None:
                return False
            crc = crc32c_extend(crc, parts[0])
        return crc == entry.crc32c

    def _entries(self) -> Iterable[FinishedObject]:
        documents = [self._store.get(_LEDGER_KEY) or b""]
        if isinstance(self._store, ListableStore):
            for name in self._store.list_dir(_SEGMENTS)[0]:
                documents.append(self._store.get(f"{_SEGMENTS}/{name}") or b"")
                self._segment += 1
        for document in documents:
            for line in document.split(b"\n"):
                try:
                    if line.startswith(b"{"):
                        self._raise_largest(int(json.loads(line)[_LARGEST]))
                        continue
                    key, size, crc, *digests = json.loads(line)
                    found = FinishedObject(str(key), int(size), None if crc is None else int(crc), *_digests(digests))
                except (ValueError, TypeError, LookupError):
                    continue  # the last line of a killed writer may be cut off; its object is simply made again
                yield found

    def add(self, finished: FinishedObject) -> None:
        """Note a finished object."""
        with self._lock:
            self.done[finished.key] = finished
        self._note(json.dumps(_line(finished)))

    def note_largest(self, label: int) -> None:
        """Note the largest label of voxels that were read, before any object that they are in is noted.

        A block whose objects are all noted is not read again by a job that goes on; so this must be known by then.
        """
        if self._raise_largest(label):
            self._note(json.dumps({_LARGEST: label}))

    def _raise_largest(self, label: int) -> bool:
        with self._lock:
            if self.largest is not None and label <= self.largest:
                return False
            self.largest = label
            return True

    def _note(self, line: str) -> None:
        line += "\n"
        if isinstance(self._store, AppendableStore):
            self._store.append(_LEDGER_KEY, line.encode())
            return
        with self._lock:
            self._waiting.append(line)
            due = time.monotonic() - self._flushed > _SEGMENT_SECONDS
        if due:
            self.flush()

    def flush(self) -> None:
        """Store what is not stored yet."""
        with self._lock:
            if not self._waiting:
                return
            data, self._waiting = "".join(self._waiting).encode(), []
            self._segment += 1
            self._flushed = time.monotonic()
            self._store.put(f"{_SEGMENTS}/{self._segment:06d}.jsonl", data)

    def clear(self) -> None:
        """Remove job and ledger: the image is complete. The job document goes last."""
        if isinstance(self._store, ListableStore):
            for name in list(self._store.list_dir(_SEGMENTS)[0]):
                self._store.delete(f"{_SEGMENTS}/{name}")
        self._store.delete(_LEDGER_KEY)
        self._store.delete(JOB_KEY)


def _line(finished: FinishedObject) -> list[Any]:
    digests = [None if d is None else d.hex() for d in (finished.sha256, finished.blake3)]
    return [finished.key, finished.size, finished.crc32c, *(digests if any(digests) else ())]


def _digests(found: list[Any]) -> list[bytes | None]:
    """Return SHA-256 and BLAKE3 of a line."""
    digests = [None if d is None else bytes.fromhex(d) for d in found]
    if len(digests) not in (0, 2) or any(d is not None and len(d) != 32 for d in digests):
        raise ValueError("no digests")
    return digests


def parse_job(raw: bytes) -> dict[str, Any]:
    """Parse a job document.

    Raises
    ------
    FormatError
        If it is not one.
    """
    try:
        job = json.loads(raw)
    except ValueError:
        job = None
    if not isinstance(job, dict):
        raise FormatError(
            f"{JOB_KEY} is not a job document",
            code=Code.METADATA_INVALID,
            fix="start the conversion anew with --overwrite",
        )
    return job
