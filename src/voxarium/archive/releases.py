"""Publishing: one document that is created where none is makes a release, whole or not at all.

In the folder ``releases`` of the dataset lie

* ``NNNNNN.json``: the release of this number. Created last, by an operation that the store makes atomic
  (``put_if_absent``): of two writers that want the same number one wins, and the other looks at what it wrote, and
  tries the next. So numbers have no gaps, and whoever creates number N has seen all names before it.
* ``manifests/ROOT.parquet`` and ``objects/SHA256``: what documents refer to, named by content and stored before them.
* ``tombstones/NNNNNN.json``: says that a release was withdrawn.

The entry in the provenance log follows the document. A writer that was stopped between the two leaves a whole release
that is not logged yet; the next one to publish, or the same command again, adds the entry.
"""

from __future__ import annotations

import os
import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Final

from voxarium.archive.provenance import ProvenanceLog
from voxarium.core.releases import StoredRelease, find_release, iter_releases, read_bounded, stored_tombstone
from voxarium.core.uri import open_folder, open_source_store
from voxarium.errors import Code, ConflictError, ExistsError, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.protocols import ReadableStore, WritableStore
from voxarium.model.provenance import Activity, Agent, Artifact
from voxarium.spec.provenance import MOST_PAYLOADS, activity_of, parse_payloads
from voxarium.spec.release import (
    MOST_DOCUMENT,
    Release,
    Tombstone,
    dump_release,
    dump_tombstone,
    entry_id,
    manifest_key,
    pool_key,
    tombstone_key,
)

__all__ = ["Releases", "create_document", "now_text", "open_dataset_store", "withdraw_release"]

_MOST_ATTEMPTS: Final = 1000
_PATIENCE: Final = 120.0  # seconds
_LONGEST_PAUSE: Final = 0.25
_SETTLED: Final = 60.0  # seconds after which a release without an entry in the log is one whose writer was stopped


def open_dataset_store(dataset: str | os.PathLike[str], *, writable: bool = False, **options: Any) -> Any:
    """Return the store of a dataset, whose root is its folder (any: capabilities differ by kind).

    Parameters
    ----------
    dataset : str or path
        A folder, or an address such as ``s3://bucket/brain``.
    writable : bool
        Flush local files to the disk before they appear.

    Raises
    ------
    NotFoundError
        If a local folder does not exist.
    """
    store = open_folder(dataset, **options)
    from voxarium.stores.local import LocalStore

    if not isinstance(store, LocalStore):
        return store
    if not os.path.isdir(store.root):
        open_source_store(dataset)  # says what is missing
        raise NotFoundError(f"{store.root} is a file", code=Code.PATH_MISSING, fix="name the dataset's folder")
    return LocalStore(store.root, durable=True) if writable else store


def now_text() -> str:
    """Return the time as documents write it: UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Releases:
    """The releases of one dataset.

    Any number of writers in any number of processes may publish at the same time.

    Parameters
    ----------
    store : ReadableStore
        The dataset; a `WritableStore` to publish.
    """

    def __init__(self, store: ReadableStore) -> None:
        self.store = store
        self._known: list[StoredRelease] = []
        self._exclusive = False  # whether the store was seen to refuse a second object of one key

    def all(self) -> Sequence[StoredRelease]:
        """Return all releases, in order.

        Raises
        ------
        FormatError
            If a document is broken.
        """
        self._known += iter_releases(self.store, len(self._known) + 1)
        return tuple(self._known)

    def commit(
        self, draft: Release, check: Callable[[Sequence[StoredRelease]], None] | None = None
    ) -> tuple[StoredRelease, bool]:
        """Store the document of a release whose manifest and objects are stored.

        Parameters
        ----------
        draft : Release
            The release; its number and parent are filled in here.
        check : callable or None
            Called with all releases, and raises if they do not go together with this one.

        Returns
        -------
        (StoredRelease, bool)
            The release, and whether this call made it: a release of the same name and content is not made again, so
            that a writer that was stopped can say the same once more.

        Raises
        ------
        ExistsError
            If another release has the name.
        ConflictError
            If other writers were faster, a thousand times in a row.
        UnsupportedError
            If the store cannot create an object only where none is.
        StoreError
            If the store cannot be reached. The release may be there or not; it is whole in any case.
        """
        store = self._writable()
        give_up = time.monotonic() + _PATIENCE
        for attempt in range(_MOST_ATTEMPTS):
            twin = self._twin(draft)
            if twin is not None:
                return twin, twin.release.write_id == draft.write_id
            if check is not None:
                check(self._known)
            self.check_exclusive(store)
            release = replace(
                draft, sequence=len(self._known) + 1, parent=self._known[-1].digest if self._known else ""
            )
            stored = StoredRelease(release, dump_release(release))
            if create_document(store, stored.key, stored.document):
                self._known.append(stored)
                return stored, True
            if time.monotonic() > give_up:
                break
            time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.001 * 2 ** min(attempt, 8))))
        raise ConflictError(
            f"other writers kept publishing in {store.uri}",
            code=Code.RELEASE_BUSY,
            fix="try again when fewer writers are at work",
        )

    def _writable(self) -> WritableStore:
        if isinstance(self.store, WritableStore):
            return self.store
        raise UnsupportedError(
            f"{self.store.uri} cannot be written",
            code=Code.STORE_READ_ONLY,
            fix="publish where the dataset is kept",
        )

    def _twin(self, draft: Release) -> StoredRelease | None:
        """Return the release of the same name and content, if there is one; refuse one of the same name alone."""
        for stored in self.all():
            if stored.release.name.casefold() != draft.name.casefold():
                continue
            if stored.release.write_id == draft.write_id or stored.release.same_content(draft):
                return stored
            raise ExistsError(
                f"{self.store.uri} has a release {stored.release.name} already, with other content",
                code=Code.TARGET_EXISTS,
                fix="choose another name: a name stands for one content, for ever",
            )
        return None

    def check_exclusive(self, store: WritableStore) -> None:
        """Refuse a store that replaces what it should leave: two writers would overwrite each other's releases.

        Asks for something to be written once more with the bytes it has: harmless when that is obeyed, and otherwise.
        """
        if self._exclusive:
            return
        if self._known:
            key, data = self._known[0].key, self._known[0].document
        else:
            key, data = pool_key(sha256(b"").hexdigest()), b""
            store.put_if_absent(key, data)
        if store.put_if_absent(key, data):
            raise UnsupportedError(
                f"{store.uri} replaces objects although it was told to create them only where none is",
                code=Code.FEATURE_UNSUPPORTED,
                fix="use a server that obeys conditional writes (If-None-Match), or a local folder",
            )
        self._exclusive = True

    # ------------------------------------------------------------------------------------------------------------ log
    def complete(self, stored: StoredRelease, agent: Agent | None = None) -> None:
        """Make sure that a release, and earlier ones whose writers were stopped, are in the provenance log."""
        log = ProvenanceLog(self._writable())
        known = {entry.write_id for entry in log.entries()}
        settled = datetime.now(UTC).timestamp() - _SETTLED
        for one in self.all():
            own = one.digest == stored.digest
            if entry_id(one.document) in known or not (own or _timestamp(one.release.time) < settled):
                continue
            _record(log, one.document, _activity(one, agent if own else None))

    def withdraw(self, name: str, reason: str, agent: Agent | None = None) -> tuple[Tombstone, bool]:
        """Withdraw a release; see `withdraw_release`."""
        store = self._writable()
        if not reason.strip():
            raise InputError(
                f"release {name} is not withdrawn without a reason", code=Code.ARGUMENT_INVALID, fix="say why"
            )
        found = find_release(store, name)
        sequence = found.release.sequence
        draft = Tombstone(
            name=name,
            sequence=sequence,
            document=found.digest,
            reason=reason,
            time=now_text(),
            write_id=secrets.token_hex(16),
        )
        document = dump_tombstone(draft)
        mine = create_document(store, tombstone_key(sequence), document)
        tombstone = draft if mine else stored_tombstone(store, sequence)
        if tombstone is None or tombstone.reason != reason:
            why = "" if tombstone is None else f": {tombstone.reason}"
            raise ExistsError(
                f"release {name} was withdrawn before{why}",
                code=Code.TARGET_EXISTS,
                fix="what was said then stays",
            )
        document = dump_tombstone(tombstone)
        activity = Activity(
            operation="tombstone",
            inputs=[Artifact(found.key, f"sha256:{found.digest}", len(found.document))],
            outputs=[Artifact(tombstone_key(sequence), f"sha256:{sha256(document).hexdigest()}", len(document))],
            parameters={"name": name, "sequence": sequence},
            agent=agent,
            note=reason,
        )
        _record(ProvenanceLog(store), document, activity)
        return tombstone, mine


def withdraw_release(
    dataset: str | os.PathLike[str] | WritableStore, name: str, reason: str, agent: Agent | None = None
) -> tuple[Tombstone, bool]:
    """Withdraw a release: it stays as it is, and whoever opens it is told why it should not be used.

    Parameters
    ----------
    dataset : str, path or WritableStore
        The dataset.
    name, reason : str
        Which release, and why. The reason stays for ever; it should name no person.
    agent : Agent or None
        Who decided; goes into the log, where it can be removed.

    Returns
    -------
    (Tombstone, bool)
        The tombstone, and whether this call made it.

    Raises
    ------
    NotFoundError
        If there is no such release.
    ExistsError
        If it was withdrawn before, for another reason.
    """
    store = dataset if isinstance(dataset, WritableStore) else open_dataset_store(dataset, writable=True)
    return Releases(store).withdraw(name, reason, agent)


def create_document(store: WritableStore, key: str, document: bytes, most: int = MOST_DOCUMENT) -> bool:
    """Create a document; tell whether it is there and ours, also when an answer got lost."""
    try:
        if store.put_if_absent(key, document):
            return True
    except StoreError:
        found = read_bounded(store, key, most)  # raises when the store is not to be reached at all
        if found is None:
            raise
    else:
        found = read_bounded(store, key, most)
    return found == document  # the write_id in it is ours alone


def _timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _activity(stored: StoredRelease, agent: Agent | None) -> Activity:
    release = stored.release
    return Activity(
        operation="publish",
        inputs=[Artifact(manifest_key(release.manifest.sha256), f"manifest-root-sha256:{release.manifest.sha256}")],
        outputs=[Artifact(stored.key, f"sha256:{stored.digest}", len(stored.document))],
        parameters={"name": release.name, "sequence": release.sequence},
        software=release.software,
        agent=agent,
        note=release.note,
    )


def _record(log: ProvenanceLog, document: bytes, activity: Activity) -> None:
    """Add the entry about a document, once. Details that another attempt has stored already are taken as they are."""
    write_id = entry_id(document)
    for _ in range(3):
        stored = log.read_object(log.payload_key(write_id), MOST_PAYLOADS)
        if stored is not None:
            values = {name: p.value for name, p in parse_payloads(stored, log.payload_key(write_id)).items()}
            activity = activity_of(activity.operation, values, f"the details of {write_id}")
        try:
            log.append(activity, write_id=write_id)
        except ConflictError as error:
            if error.code == Code.LOG_BUSY:
                raise
            continue  # somebody else stored details meanwhile
        return
    raise ConflictError(
        f"the details of {write_id} in {log.uri} keep changing",
        code=Code.LOG_BUSY,
        fix="find out who else writes there, then run the same command again",
    )
