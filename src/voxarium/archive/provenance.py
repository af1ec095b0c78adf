"""The provenance log of a dataset: entries are added, never changed; writers never lose or fork one.

In the folder ``provenance-log`` of the dataset lie

* ``entries/NNNNNNNNNNNN.jsonl``: one or more entries, named by the number of the first. Such an object is only ever
  created where none is, by an operation that the store makes atomic (``put_if_absent``): of two writers that want to
  add an entry of the same number one wins, and the other reads what it wrote and tries the next number.
* ``payloads/WRITE_ID.json``: the details of an entry, written before it. What a writer that was stopped leaves behind
  is at most such a document that no entry names.
* ``checkpoints/``: signed statements about the log (`voxarium.archive.checkpoints`).
"""

from __future__ import annotations

import os
import random
import re
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from voxarium.archive.log_reading import LOG_FOLDER, LogReader, StoredLine
from voxarium.core.uri import open_folder, open_source_store, open_target_store
from voxarium.errors import Code, ConflictError, FormatError, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.canonical_json import dump_canonical
from voxarium.model.protocols import ReadableStore, WritableStore
from voxarium.model.provenance import Activity
from voxarium.spec.provenance import (
    MOST_PAYLOADS,
    MOST_SEGMENT,
    Entry,
    Payload,
    Removal,
    commitment,
    dump_entry,
    dump_payloads,
    parse_entry,
    parse_payloads,
    payload_values,
)
from voxarium.spec.transparency_log import leaf_hash

__all__ = ["LOG_FOLDER", "ProvenanceLog", "open_log", "record"]

_ID: Final = re.compile(r"[0-9a-f]{32}")
_MOST_ATTEMPTS: Final = 1000
_PATIENCE: Final = 120.0  # seconds
_LONGEST_PAUSE: Final = 0.25


@dataclass(frozen=True, slots=True)
class _Head:
    """Where the log ends: number of entries, hash of the last, id of the log."""

    size: int = 0
    previous: str = ""
    log: str = ""


class ProvenanceLog(LogReader):
    """The log of one dataset.

    Any number of writers in any number of processes may add to it at the same time.

    Parameters
    ----------
    store : ReadableStore
        The dataset; a `WritableStore` to add entries.
    folder : str
        Where in the store the log lies.

    Examples
    --------
    >>> from voxarium.stores.memory import MemoryStore
    >>> log = ProvenanceLog(MemoryStore())
    >>> entry = log.append(Activity(operation="ingest", note="from the microscope"))
    >>> [(a.sequence, a.activity.operation, a.activity.note) for a in log.activities()]
    [(0, 'ingest', 'from the microscope')]
    """

    def __init__(self, store: ReadableStore, folder: str = LOG_FOLDER) -> None:
        super().__init__(store, folder)
        self._head = _Head()
        self._lock = threading.Lock()
        self._known = False  # whether `_head` was looked for
        self._exclusive = False  # whether the store was seen to refuse a second object of one key

    def append(self, activity: Activity, *, write_id: str = "", removal: Removal | None = None) -> Entry:
        """Add an entry. When this returns, the entry is in the log, once, for good.

        Parameters
        ----------
        activity : Activity
            What was done.
        write_id : str
            32 hexadecimal digits, made up by the caller. If an entry with it is in the log already, that is
            returned: so a program that was stopped can say the same again.
        removal : Removal or None
            For `voxarium.archive.redaction`.

        Raises
        ------
        ConflictError
            If other writers were faster, a thousand times in a row, or `write_id` was used for something else.
        UnsupportedError
            If the store cannot create an object only where none is.
        StoreError
            If the store cannot be reached. The entry may be in the log or not; it is whole in any case.
        """
        store = self._writable()
        with self._lock:
            if not self._known:
                self._find_head()
            if write_id:  # what comes behind the head is looked at again by `_add`, so nothing escapes
                for entry in self.entries():
                    if entry.write_id == write_id:
                        return entry
            draft = _draft(activity, write_id or secrets.token_hex(16), removal)
            return self._add(store, self._with_payloads(store, draft, payload_values(activity)))

    def _writable(self) -> WritableStore:
        if isinstance(self.store, WritableStore):
            return self.store
        raise UnsupportedError(
            f"{self.store.uri} cannot be written",
            code=Code.STORE_READ_ONLY,
            fix="keep the log where the dataset was written, and copy it from there",
        )

    def _with_payloads(self, store: WritableStore, draft: Entry, values: Mapping[str, Any]) -> Entry:
        """Store the payloads of an entry, and return it with their hashes.

        Those that an earlier attempt left are taken as they are: its entry may still arrive, and has their hashes.
        """
        if not values:
            return draft
        key = self.payload_key(draft.write_id)
        payloads = {name: Payload(secrets.token_hex(32), value) for name, value in values.items()}
        document = dump_payloads(draft.write_id, payloads)
        for attempt in range(_MOST_ATTEMPTS):
            if store.put_if_absent(key, document):
                return _with_hashes(draft, payloads)
            there = self.read_object(key, MOST_PAYLOADS)
            if there is not None:
                return _with_hashes(draft, _same(parse_payloads(there, key), values, key))
            _pause(attempt)  # refused, yet not there: requests overlapped
        raise self._busy()

    def _busy(self) -> ConflictError:
        return ConflictError(
            f"other writers kept adding to {self.uri}",
            code=Code.LOG_BUSY,
            fix="try again when fewer writers are at work",
        )

    def _add(self, store: WritableStore, draft: Entry) -> Entry:
        give_up = time.monotonic() + _PATIENCE
        for attempt in range(_MOST_ATTEMPTS):
            if self._head.size and not self._exclusive:
                self._check_exclusive(store)
            entry = _placed(draft, self._head)
            line = dump_entry(entry)
            if self._create(store, entry, line):
                self._head = _Head(entry.sequence + 1, leaf_hash(line).hex(), entry.log)
                if not self._exclusive:
                    self._check_exclusive(store)
                return entry
            twin = self._advance(draft.write_id)
            if twin is not None:  # an earlier attempt to record the same, or one at the same time
                return twin
            if time.monotonic() > give_up:
                break
            _pause(attempt)
        raise self._busy()

    def _create(self, store: WritableStore, entry: Entry, line: bytes) -> bool:
        """Create the object of an entry; tell whether it is there and ours, also when an answer got lost."""
        key = self.segment_key(entry.sequence)
        try:
            if store.put_if_absent(key, line + b"\n"):
                return True
        except StoreError:
            found = self.read_segment(key)  # raises when the store is not to be reached at all
            if found is None:
                raise
        else:
            found = self.read_segment(key)
        return found == [line]  # the time and the write_id in it are ours alone

    def _check_exclusive(self, store: WritableStore) -> None:
        """Refuse a store that replaces what it should leave: two writers would overwrite each other's entries.

        Asks for the first entry to be written once more, with the bytes it has: harmless when that is obeyed.
        """
        key = self.segment_key(0)
        data = self.read_object(key, MOST_SEGMENT)
        if data is not None and store.put_if_absent(key, data):
            raise UnsupportedError(
                f"{store.uri} replaces objects although it was told to create them only where none is",
                code=Code.FEATURE_UNSUPPORTED,
                fix="use a server that obeys conditional writes (If-None-Match), or a local folder",
            )
        self._exclusive = True

    def _find_head(self) -> None:
        """Find out where the log ends."""
        last = 0
        for first, _ in self.segments():
            last = first
        self._head = _Head(last)
        self._advance()
        self._known = True

    def _advance(self, write_id: str = "") -> Entry | None:
        """Read on from where the log was known to end; return the entry with a write_id, if it comes by."""
        twin = None
        while (lines := self.read_segment(self.segment_key(self._head.size))) is not None:
            for data in lines:
                line = StoredLine(self._head.size, self.segment_key(self._head.size), data)
                entry = parse_entry(data, line.where)
                if entry.sequence != line.sequence or (self._head.log and entry.log != self._head.log):
                    raise FormatError(
                        f"{line.where} does not belong there",
                        code=Code.METADATA_INVALID,
                        fix="find out what changed it with `voxarium log verify`; restore the log from a copy",
                    )
                self._head = _Head(line.sequence + 1, leaf_hash(data).hex(), entry.log)
                twin = entry if write_id and entry.write_id == write_id else twin
        return twin


def _draft(activity: Activity, write_id: str, removal: Removal | None) -> Entry:
    """Return an entry that has no place and no payloads yet."""
    if _ID.fullmatch(write_id) is None:
        raise InputError(
            f"{write_id!r} is no write_id",
            code=Code.ARGUMENT_INVALID,
            fix="make one with secrets.token_hex(16), and keep it for the case of a retry",
        )
    return Entry(
        log="",
        sequence=0,
        time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        operation=activity.operation,
        write_id=write_id,
        removal=removal,
    )


def _with_hashes(draft: Entry, payloads: Mapping[str, Payload]) -> Entry:
    return replace(draft, payloads={name: commitment(name, p) for name, p in payloads.items()})


def _same(there: Mapping[str, Payload], values: Mapping[str, Any], key: str) -> Mapping[str, Payload]:
    """Return payloads that are there already, if they are what is to be recorded."""
    if dump_canonical({name: p.value for name, p in there.items()}) == dump_canonical(values):
        return there
    raise ConflictError(
        f"{key} holds other details than those to be recorded",
        code=Code.ARGUMENT_INVALID,
        fix="use a write_id for one operation only; make a new one with secrets.token_hex(16)",
    )


def _pause(attempt: int) -> None:
    """Wait a little, longer with each attempt, another time for each writer."""
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.001 * 2 ** min(attempt, 8))))


def _placed(draft: Entry, head: _Head) -> Entry:
    return replace(draft, log=head.log or draft.write_id, sequence=head.size, previous=head.previous)


def open_log(dataset: str | os.PathLike[str], *, writable: bool = False, **options: Any) -> ProvenanceLog:
    """Open the log of a dataset.

    Parameters
    ----------
    dataset : str or path
        Where the dataset lies; the log is in the folder ``provenance-log`` below it.
    writable : bool
        Open it to add entries. Local files are then flushed to the disk.
    options
        Of the store.

    Raises
    ------
    NotFoundError
        If nothing is there.
    """
    store, path = open_source_store(dataset, **options)
    if "::" in path:
        raise NotFoundError(f"{os.fspath(dataset)} is a file", code=Code.PATH_MISSING, fix="name the dataset's folder")
    folder = f"{path}/{LOG_FOLDER}" if path else LOG_FOLDER
    if not writable:
        return ProvenanceLog(store, folder)
    from voxarium.stores.local import LocalStore

    open_target_store(dataset, **options)  # refuses what cannot be written
    target = open_folder(dataset, **options)
    return ProvenanceLog(LocalStore(target.root, durable=True) if isinstance(target, LocalStore) else target)


def record(dataset: str | os.PathLike[str] | WritableStore, activity: Activity, *, write_id: str = "") -> Entry:
    """Add what was done to a dataset to its log: what every engine calls when it has finished.

    Parameters
    ----------
    dataset : str, path or WritableStore
        Where the dataset lies.
    activity : Activity
        What was done.
    write_id : str
        32 hexadecimal digits that the caller made up; the same again adds nothing (see `ProvenanceLog.append`).

    Examples
    --------
    >>> from voxarium.stores.memory import MemoryStore
    >>> record(MemoryStore(), Activity(operation="fix", note="two slices were swapped")).sequence
    0
    """
    log = ProvenanceLog(dataset) if isinstance(dataset, WritableStore) else open_log(dataset, writable=True)
    return log.append(activity, write_id=write_id)
