"""An upgrade beside: documents of the later version in a new folder, over the same chunks.

Files of one file system are linked, so that chunks take no more room; elsewhere objects are copied byte for byte. The
documents of the root come last: until then the folder is nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any, Final

from voxarium.conversion.upgrading.applying import side_by_side, store_whole
from voxarium.conversion.upgrading.journal import FOLDER, Tree
from voxarium.conversion.upgrading.report import ProgressCallback, UpgradeProgress, UpgradeReport
from voxarium.conversion.upgrading.walking import Visit, Walk
from voxarium.errors import Code, ConflictError, ExistsError, StoreError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ByteRange, FileStore, ListableStore, ResumableStore

__all__ = ["Copier", "begin_beside", "make_beside"]

_MARKER: Final = f"{FOLDER}/beside.json"
_PIECE: Final = 16 << 20
_OURS: Final = ".voxarium"


def begin_beside(target: Tree, settings: dict[str, Any]) -> bool:
    """Mark a target as unfinished; tell whether an earlier run of the same upgrade did.

    Raises
    ------
    ExistsError
        If something else is there.
    ConflictError
        If an upgrade with other settings was begun there.
    """
    raw = target.get(_MARKER)
    wanted = json.dumps(settings, indent=2).encode() + b"\n"
    if raw is not None:
        if raw != wanted:
            raise ConflictError(
                f"an upgrade with other settings was begun at {target.uri}",
                code=Code.PLAN_CHANGED,
                fix="finish it with the settings it was begun with, or remove the folder",
            )
        if isinstance(target, ResumableStore):
            target.clear_partial()
        return True
    files, folders = target.list_dir("")
    if files or folders:
        raise ExistsError(f"{target.uri} exists", code=Code.TARGET_EXISTS, fix="choose another place with --beside")
    target.put(_MARKER, wanted)
    return False


class Copier:
    """Brings objects from one store to another: by links where that is possible and wanted.

    Parameters
    ----------
    source, target : stores
    links : bool
        False = always copy.
    """

    def __init__(self, source: ListableStore, target: Tree, root: str, *, links: bool) -> None:
        self.source = source
        self.target = target
        self._root = root
        self._links = links
        self.linked = self.copied = 0

    def place(self, key: str) -> str:
        """Return the key in the target."""
        return key[len(self._root) + 1 :] if self._root else key

    def carry(self, key: str) -> None:
        """Bring one object over, unless an earlier run did.

        Raises
        ------
        StoreError
            If it is gone, or cannot be written.
        """
        stat = self.source.stat(key)
        if stat is None:
            raise StoreError(
                f"{key} in {self.source.uri} disappeared meanwhile",
                code=Code.STORE_UNREADABLE,
                fix="let nothing else work on the source, and run the command again",
            )
        there = self.target.stat(self.place(key))
        if there is not None and there.size == stat.size:
            self.copied += 1
        elif self._link(key):
            self.linked += 1
        else:
            self._copy(key, stat.size)
            self.copied += 1

    def _link(self, key: str) -> bool:
        if not (self._links and isinstance(self.source, FileStore) and isinstance(self.target, FileStore)):
            return False
        here, there = self.source.local_path(key), self.target.local_path(self.place(key))
        if here is None or there is None or os.path.islink(here):
            return False
        with contextlib.suppress(OSError):  # another file system, or too many links: it is copied
            os.makedirs(os.path.dirname(there), exist_ok=True)
            os.link(here, there)
            return True
        return False

    def _copy(self, key: str, size: int) -> None:
        writer = self.target.create(self.place(key))
        try:
            for start in range(0, size, _PIECE):
                parts = self.source.get_ranges(key, [ByteRange(start, min(_PIECE, size - start))])
                if parts is None:
                    raise StoreError(
                        f"{key} in {self.source.uri} disappeared while it was copied",
                        code=Code.STORE_UNREADABLE,
                        fix="let nothing else work on the source, and run the command again",
                    )
                writer.write(parts[0])
            writer.commit()
        except BaseException:
            writer.abort()
            raise


def make_beside(
    walk: Walk, copier: Copier, report: UpgradeReport, pool: Executor | None, progress: ProgressCallback
) -> None:
    """Bring everything over, node by node."""
    done, target = 0, copier.target
    for visit in walk:
        for _ in side_by_side(pool, copier.carry, _objects(visit, copier.source)):
            done += 1
            progress(UpgradeProgress("copying", done))
        documents: dict[str, bytes | None] = dict(visit.documents)
        documents |= visit.change.after if visit.change is not None else {}
        for name, data in sorted(documents.items()):
            if data is not None:
                store_whole(target, copier.place(f"{visit.path}/{name}" if visit.path else name), data)
        report.nodes += visit.kind in ("array", "group")
        for text in visit.notes:
            report.note(copier.place(visit.path), text)
        if visit.change is not None:
            report.count(visit.change, listed=False)
        if visit.refusal is not None:
            report.refusals.append(visit.refusal)
    report.linked, report.copied = copier.linked, copier.copied
    target.delete(_MARKER)
    if isinstance(target, ResumableStore):
        target.clear_partial()


def _objects(visit: Visit, source: ListableStore) -> Iterator[str]:
    """Yield the keys of what is to be carried over from one folder as it is."""
    prefix = f"{visit.path}/" if visit.path else ""
    if visit.kind in ("array", "refused"):
        for key, _ in source.list(visit.path):
            if key.removeprefix(prefix) not in visit.documents:
                yield key
        return
    for name in visit.files:
        yield prefix + checked_key(name)
    for folder in visit.hidden:
        if not folder.startswith(_OURS):
            yield from (key for key, _ in source.list(prefix + folder))
