"""The rollback journal: every document that an upgrade in place changes, as it was and as it becomes.

``.voxarium-upgrade/0001/`` in the root of the tree holds segments (JSON lines, one for each node) and ``journal.json``
with their digests, which is stored last: as long as it is not there, nothing was touched. What follows is a function
of the journal alone, so it can be done again from any point, forwards and backwards.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from voxarium.conversion.upgrading.report import Change
from voxarium.errors import ChecksumError, Code, FormatError
from voxarium.model.fields import Fields, Problems, parse_json_object
from voxarium.model.protocols import ListableStore, WritableStore

__all__ = ["FOLDER", "Journal", "Tree", "clear_remains", "latest"]

FOLDER: Final = ".voxarium-upgrade"
_HEADER: Final = "journal.json"
_SEGMENT_BYTES: Final = 4 << 20
_STATES: Final = ("prepared", "done", "undoing")


@runtime_checkable
class Tree(WritableStore, ListableStore, Protocol):
    """A store that can be upgraded in place."""


@dataclass(slots=True)
class Journal:
    """The journal of one upgrade.

    Parameters
    ----------
    folder : str
        Where it lies in the store.
    settings : dict
        Target, mode and so on: what a run must have in common with the one that began.
    state : {"prepared", "done", "undoing"}
        ``prepared``: documents are being changed. ``undoing``: they are being restored.
    """

    store: Tree
    folder: str
    settings: dict[str, Any]  # Any: JSON
    state: str = "prepared"
    nodes: int = 0
    written: int = 0
    removed: int = 0
    segments: list[tuple[str, str]] = field(default_factory=list)
    _lines: list[bytes] = field(default_factory=list)
    _size: int = 0

    # ------------------------------------------------------------------------------------------------ writing
    def add(self, change: Change) -> None:
        """Note a change that is to be made."""
        document = {
            "path": change.path,
            "before": {n: _packed(data) for n, data in change.before.items()},
            "after": {n: _packed(data) for n, data in change.after.items()},
        }
        line = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._lines.append(line)
        self._size += len(line)
        self.nodes += 1
        self.written += sum(data is not None for data in change.after.values())
        self.removed += sum(data is None for data in change.after.values())
        if self._size >= _SEGMENT_BYTES:
            self._flush()

    def _flush(self) -> None:
        if not self._lines:
            return
        name, data = f"{len(self.segments) + 1:06d}.jsonl", b"".join(self._lines)
        self.store.put(f"{self.folder}/{name}", data)
        self.segments.append((name, hashlib.sha256(data).hexdigest()))
        self._lines, self._size = [], 0

    def seal(self) -> None:
        """Make the journal count: from here on documents may change."""
        self._flush()
        self.enter("prepared")

    def enter(self, state: str) -> None:
        """Note how far the upgrade is."""
        self.state = state
        document = {
            "voxarium_upgrade": 1,
            "settings": self.settings,
            "state": state,
            "nodes": self.nodes,
            "written": self.written,
            "removed": self.removed,
            "segments": [{"name": name, "sha256": digest} for name, digest in self.segments],
        }
        self.store.put(f"{self.folder}/{_HEADER}", json.dumps(document, indent=2).encode() + b"\n")

    def drop(self) -> None:
        """Remove the journal; its header first, so that the rest counts for nothing."""
        self.store.delete(f"{self.folder}/{_HEADER}")
        for name in list(self.store.list_dir(self.folder)[0]):
            self.store.delete(f"{self.folder}/{name}")

    # ------------------------------------------------------------------------------------------------ reading
    def changes(self) -> Iterator[Change]:
        """Yield the changes, in the order in which they were noted.

        Raises
        ------
        ChecksumError, FormatError
            If the journal is damaged.
        """
        for name, digest in self.segments:
            key = f"{self.folder}/{name}"
            data = self.store.get(key)
            if data is None or hashlib.sha256(data).hexdigest() != digest:
                raise ChecksumError(
                    f"{key} in {self.store.uri} is {'absent' if data is None else 'not what was stored'}",
                    code=Code.CHECKSUM_MISMATCH,
                    fix="restore the journal from a copy; without it the upgrade can be neither finished nor undone",
                )
            for line in data.splitlines():
                yield _parse_change(line, key)


def _packed(data: bytes | None) -> Any:  # Any: JSON
    """Return bytes as text where that gives them back exactly."""
    if data is None:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.standard_b64encode(data).decode()}


def _unpacked(value: Any) -> bytes | None:  # Any: JSON
    if isinstance(value, dict):
        return base64.standard_b64decode(value["base64"])
    return None if value is None else str(value).encode()


def _parse_change(line: bytes, where: str) -> Change:
    try:
        found = json.loads(line)
        sides = [{str(n): _unpacked(v) for n, v in found[side].items()} for side in ("before", "after")]
        return Change(str(found["path"]), sides[0], sides[1])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(
            f"{where} is not a journal: {error}", code=Code.METADATA_INVALID, fix="restore it from a copy"
        ) from error


def _parse_header(store: Tree, folder: str, raw: bytes) -> Journal:
    where = f"{folder}/{_HEADER}"
    problems = Problems(where)
    fields = Fields(parse_json_object(raw, where), problems)
    fields.integer("voxarium_upgrade", 1, 1)
    segments = []
    for item in fields.raw("segments") or []:
        entry = Fields(item, problems, "segments")
        segments.append((entry.text("name"), entry.text("sha256")))
    journal = Journal(
        store,
        folder,
        dict(fields.mapping("settings")),
        fields.choice("state", _STATES),
        fields.integer("nodes", 0),
        fields.integer("written", 0),
        fields.integer("removed", 0),
        segments,
    )
    problems.check("restore the journal from a copy")
    return journal


def latest(store: ListableStore) -> Journal | None:
    """Return the journal of the last upgrade of a tree; None when there was none, or all were undone."""
    if not isinstance(store, Tree):
        return None
    for name in reversed(store.list_dir(FOLDER)[1]):
        raw = store.get(f"{FOLDER}/{name}/{_HEADER}")
        if raw is not None:
            return _parse_header(store, f"{FOLDER}/{name}", raw)
    return None


def begin(store: Tree, settings: dict[str, Any]) -> Journal:
    """Return a new, empty journal."""
    last = latest(store)
    number = 1 if last is None else int(last.folder.rpartition("/")[2]) + 1
    return Journal(store, f"{FOLDER}/{number:04d}", settings)


def clear_remains(store: Tree) -> None:
    """Remove journals that were never sealed, or were undone: nothing follows from them."""
    for name in list(store.list_dir(FOLDER)[1]):
        if store.stat(f"{FOLDER}/{name}/{_HEADER}") is None:
            for file in list(store.list_dir(f"{FOLDER}/{name}")[0]):
                store.delete(f"{FOLDER}/{name}/{file}")


def keys(changes: Iterable[Change]) -> Iterator[tuple[str, bytes | None, bytes | None]]:
    """Yield (key, before, after) of every document."""
    for change in changes:
        for name, after in change.after.items():
            yield change.key(name), change.before[name], after
