"""Reading the provenance log of a dataset; `voxarium.archive.provenance` says where it lies and adds to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from voxarium.core.pools import run_all
from voxarium.errors import ChecksumError, Code, FormatError, NotFoundError
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.provenance import RecordedActivity
from voxarium.spec.provenance import (
    MOST_PAYLOADS,
    MOST_SEGMENT,
    Entry,
    Payload,
    activity_of,
    commitment,
    parse_entry,
    parse_payloads,
    split_segment,
)
from voxarium.spec.transparency_log import MerkleTree, leaf_hash

__all__ = ["LOG_FOLDER", "LogReader", "StoredLine", "batches"]

LOG_FOLDER: Final = "provenance-log"
_SEGMENT: Final = re.compile(r"([0-9]{12})\.jsonl")
_CHECKPOINT: Final = re.compile(r"[0-9]{12}-[0-9a-f]{8}\.txt")
_MOST_NOTE: Final = 64 << 10
_T = TypeVar("_T")
_BATCH: Final = 4  # requests of each thread before what they got is used


@dataclass(frozen=True, slots=True)
class StoredLine:
    """A line of the log as stored: its number, the object it is in, its bytes."""

    sequence: int
    key: str
    data: bytes

    @property
    def where(self) -> str:
        """The line for messages."""
        return f"entry {self.sequence} in {self.key}"


class LogReader:
    """The log of one dataset, to be read.

    Parameters
    ----------
    store : ReadableStore
        The dataset.
    folder : str
        Where in the store the log lies.
    """

    def __init__(self, store: ReadableStore, folder: str = LOG_FOLDER) -> None:
        self.store = store
        self.folder = folder

    @property
    def uri(self) -> str:
        """Address of the log."""
        return f"{self.store.uri.rstrip('/')}/{self.folder}"

    def segment_key(self, sequence: int) -> str:
        """Return the key of the object that begins with an entry."""
        return f"{self.folder}/entries/{sequence:012d}.jsonl"

    def checkpoint_key(self, size: int, key_id: bytes) -> str:
        """Return the key of the statement that a signing key made about the first `size` entries."""
        return f"{self.folder}/checkpoints/{size:012d}-{key_id.hex()}.txt"

    @property
    def latest_key(self) -> str:
        """Key of a copy of the latest checkpoint, for readers that cannot list."""
        return f"{self.folder}/checkpoint.txt"

    def payload_key(self, write_id: str) -> str:
        """Return the key of the payloads of an entry."""
        return f"{self.folder}/payloads/{write_id}.json"

    def existing(self) -> LogReader:
        """Return this log if it has entries.

        Raises
        ------
        NotFoundError
            If it has none.
        """
        if self.store.stat(self.segment_key(0)) is None and not any(True for _ in self.segments()):
            raise NotFoundError(
                f"no provenance log in {self.uri.removesuffix(f'/{self.folder}')}",
                code=Code.LOG_MISSING,
                fix="check the path; a log begins with the first operation that is recorded",
            )
        return self

    def segments(self) -> Iterator[tuple[int, str]]:
        """Yield (number of the first entry, key) of each object with entries, in order."""
        if not isinstance(self.store, ListableStore):
            yield from self._walk()
            return
        found = (_SEGMENT.fullmatch(name) for name in self.store.list_dir(f"{self.folder}/entries")[0])
        for number in sorted(int(m[1]) for m in found if m):
            yield number, self.segment_key(number)

    def _walk(self) -> Iterator[tuple[int, str]]:
        """Find the objects one after the other, where they cannot be listed."""
        sequence = 0
        while (lines := self.read_segment(self.segment_key(sequence))) is not None:
            yield sequence, self.segment_key(sequence)
            sequence += len(lines)

    def read_segment(self, key: str) -> list[bytes] | None:
        """Return the lines of an object; None when it is absent.

        Raises
        ------
        FormatError
            If it is too large, or cut off.
        """
        data = self.read_object(key, MOST_SEGMENT)
        return None if data is None else split_segment(data, key)

    def read_object(self, key: str, most: int) -> bytes | None:
        """Return an object that is not larger than it may be; None when it is absent.

        Raises
        ------
        FormatError
            If it is larger.
        """
        stat = self.store.stat(key)
        if stat is None:
            return None
        if stat.size > most:
            raise FormatError(
                f"{key} in {self.store.uri} has {stat.size} bytes",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="restore the log from a copy; its objects are never that large",
            )
        return self.store.get(key)

    def raw_segments(self) -> Iterator[tuple[int, str, list[bytes] | FormatError | None]]:
        """Yield (number of the first entry, key, lines or what is wrong with them) of each object, in order."""
        for batch in batches(self.segments(), self.store.concurrency * _BATCH):
            found: dict[str, list[bytes] | FormatError | None] = {}

            def read(key: str, found: dict[str, list[bytes] | FormatError | None] = found) -> None:
                try:
                    found[key] = self.read_segment(key)
                except FormatError as error:
                    found[key] = error

            run_all(read, [key for _, key in batch], self.store.concurrency)
            for first, key in batch:
                yield first, key, found[key]

    def lines(self) -> Iterator[StoredLine]:
        """Yield every line in order, as stored.

        Raises
        ------
        FormatError
            If an object is missing, too many, or broken.
        """
        expected = 0
        for first, key, lines in self.raw_segments():
            if isinstance(lines, FormatError):
                raise lines
            if first != expected:
                raise FormatError(
                    f"{self.uri} goes on with entry {first} where {expected} should follow",
                    code=Code.METADATA_INVALID,
                    fix="find out what changed it with `voxarium log verify`; restore the log from a copy",
                )
            for data in lines or ():
                yield StoredLine(expected, key, data)
                expected += 1

    def checkpoints(self) -> Iterator[tuple[str, bytes | FormatError]]:
        """Yield (key, document or what is wrong with it) of checkpoints that lie with the log, the smallest first.

        Where nothing can be listed, that is the latest one only.
        """
        keys = []
        if isinstance(self.store, ListableStore):
            names = sorted(self.store.list_dir(f"{self.folder}/checkpoints")[0])
            keys = [f"{self.folder}/checkpoints/{name}" for name in names if _CHECKPOINT.fullmatch(name)]
        seen = set()
        for key in (*keys, self.latest_key):
            try:
                data = self.read_object(key, _MOST_NOTE)
            except FormatError as error:
                yield key, error
                continue
            if data is not None and data not in seen:
                seen.add(data)
                yield key, data

    def entries(self) -> Iterator[Entry]:
        """Yield every entry in order. The chain of hashes is not checked; see `voxarium.archive.log_checks`."""
        for line in self.lines():
            yield parse_entry(line.data, line.where)

    def log_id(self) -> str:
        """Return the id of the log; empty when it has no first entry.

        Raises
        ------
        FormatError
            If that is broken.
        """
        lines = self.read_segment(self.segment_key(0))
        return "" if lines is None else parse_entry(lines[0], "entry 0").log

    def tree(self) -> MerkleTree:
        """Return the tree over all entries, which proves to others what is in the log and that it only grew."""
        return MerkleTree(leaf_hash(line.data) for line in self.lines())

    def payloads(self, entry: Entry) -> dict[str, Payload]:
        """Return the details of an entry that are still there, each checked against its hash.

        Raises
        ------
        FormatError
            If the document cannot be read (ChecksumError: if one was changed).
        """
        key = self.payload_key(entry.write_id)
        data = self.read_object(key, MOST_PAYLOADS) if entry.payloads else None
        found = {} if data is None else parse_payloads(data, key)
        changed = [n for n, p in found.items() if entry.payloads.get(n) != commitment(n, p)]
        if changed:
            raise ChecksumError(
                f"{', '.join(changed)} of entry {entry.sequence} in {key} was changed",
                code=Code.CHECKSUM_MISMATCH,
                fix="restore the file from a copy; it must not be edited",
            )
        return found

    def activities(self) -> Iterator[RecordedActivity]:
        """Yield what was done, in order, with all details that are still there."""
        for batch in batches(self.entries(), self.store.concurrency * _BATCH):
            found: dict[int, RecordedActivity] = {}

            def read(entry: Entry, found: dict[int, RecordedActivity] = found) -> None:
                found[entry.sequence] = self.recorded(entry)

            run_all(read, batch, self.store.concurrency)
            for entry in batch:
                yield found[entry.sequence]

    def recorded(self, entry: Entry) -> RecordedActivity:
        """Return an entry with its details."""
        payloads = self.payloads(entry)
        values = {name: p.value for name, p in payloads.items()}
        return RecordedActivity(
            log=entry.log,
            write_id=entry.write_id,
            sequence=entry.sequence,
            time=entry.time,
            activity=activity_of(entry.operation, values, f"entry {entry.sequence}"),
            removed=tuple(sorted(set(entry.payloads) - set(payloads))),
        )


def batches(items: Iterable[_T], size: int) -> Iterator[Sequence[_T]]:
    """Yield the items, some at a time."""
    batch: list[_T] = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
