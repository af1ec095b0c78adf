"""Writing a release into an Icechunk repository: a commit of metadata and references, a tag, a look at them."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from voxarium.archive.icechunk_export.planning import DOCUMENT, ExportedTree
from voxarium.archive.icechunk_export.references import Reference, iter_references
from voxarium.core.guarding import guarded
from voxarium.core.release_store import ReleaseStore
from voxarium.core.releases import StoredRelease
from voxarium.core.uri import open_folder
from voxarium.errors import ChecksumError, Code, ExistsError, InputError, UnsupportedError
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ByteRange
from voxarium.stores.icechunk import (
    IcechunkStore,
    commits_locked,
    icechunk_library,
    icechunk_storage,
    is_repository,
    library_errors,
    put_documents,
    s3_options,
)

__all__ = ["IcechunkExport", "Tally", "Writer", "check_reachable", "library_prefix"]

_AT_ONCE: Final = 20_000  # references that are handed to the library together


@dataclass(frozen=True, slots=True, kw_only=True)
class IcechunkExport:
    """What was written, or would be.

    Parameters
    ----------
    release, repository, tag : str
        From where to where. Empty `snapshot`: nothing was written.
    groups, arrays, chunks : int
        What the version consists of.
    shards : int
        Objects whose chunks are referred to one by one.
    stored : int
        Chunks that lie in no single object, and are stored in the repository.
    nbytes : int
        Of all chunks.
    left_out : tuple of str
        Keys of documents that such a repository cannot hold.
    prefix : str
        Prefix of the addresses that the chunks have; readers must allow it.
    created : bool
        False if the repository had the release already.
    """

    release: str
    repository: str
    tag: str
    groups: int
    arrays: int
    chunks: int
    shards: int
    stored: int
    nbytes: int
    left_out: tuple[str, ...]
    prefix: str
    snapshot: str = ""
    created: bool = False

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        names = ("release", "repository", "tag", "snapshot", "groups", "arrays", "chunks", "shards", "stored",
                 "prefix", "created")  # fmt: skip
        return {n: getattr(self, n) for n in names} | {"bytes": self.nbytes, "left_out": list(self.left_out)}


@dataclass(slots=True)
class Tally:
    """What references were made."""

    chunks: int = 0
    stored: int = 0
    nbytes: int = 0

    def add(self, references: Iterable[Reference]) -> None:
        """Count some."""
        for reference in references:
            self.chunks += 1
            self.stored += reference.data is not None
            self.nbytes += reference.length

    def told(self, report: IcechunkExport) -> IcechunkExport:
        """Return a report that says how many."""
        return replace(report, chunks=self.chunks, stored=self.stored, nbytes=self.nbytes)


class Writer:
    """Writes one release into a repository."""

    def __init__(
        self, store: ReleaseStore, plan: ExportedTree, stored: StoredRelease, path: str, report: IcechunkExport
    ) -> None:
        self._store = store
        self._plan = plan
        self._stored = stored
        self._path = path
        self._report = report
        self._samples: dict[str, Reference] = {}  # one of each array
        self._tally = Tally()
        self._base = store.inner.uri.rstrip("/")
        self._local = self._base.startswith("file://")

    def write(self, branch: str) -> IcechunkExport:
        """Commit and tag; or see that both were done before."""
        address = self._report.repository
        local = "://" not in address
        if local:
            guarded(open_folder(address), "file", address, open_folder)
            os.makedirs(address, exist_ok=True)
        with commits_locked(address) if local else nullcontext(), library_errors(address):
            repository = self._repository(address)
            if self._report.tag in repository.list_tags():
                snapshot = self._same(repository)
                for array in self._plan.arrays.values():
                    self._tally.add(iter_references(self._store, array))
                return self._with(snapshot, created=False)
            if branch not in repository.list_branches():
                repository.create_branch(branch, list(repository.ancestry(branch="main"))[-1].id)
            session = repository.writable_session(branch)
            self._fill(session)
            self._read_back(session)
            note = self._stored.release.note
            snapshot = session.commit(f"release {self._report.tag}{f': {note}' if note else ''}", self._facts())
            repository.create_tag(self._report.tag, snapshot)
        return self._with(snapshot, created=True)

    def _with(self, snapshot: str, *, created: bool) -> IcechunkExport:
        return replace(self._tally.told(self._report), snapshot=snapshot, created=created)

    def _facts(self) -> dict[str, str]:
        return {
            "voxarium.release": self._report.tag,
            "voxarium.document": f"sha256:{self._stored.digest}",
            "voxarium.manifest": f"sha256:{self._stored.release.manifest.sha256}",
            "voxarium.path": self._path,
        }

    def _same(self, repository: Any) -> str:  # Any: the library's own
        """Return the snapshot of a tag of this name if it is this release."""
        snapshot = str(repository.lookup_tag(self._report.tag))
        facts = repository.lookup_snapshot(snapshot).metadata
        if any(facts.get(k) != v for k, v in self._facts().items()):
            raise ExistsError(
                f"{self._report.repository} has another version called {self._report.tag}",
                code=Code.TARGET_EXISTS,
                fix="export to another repository; tags are never moved",
            )
        return snapshot

    def _repository(self, address: str) -> Any:  # Any: the library's own
        """Open or make the repository, with the place of the chunks declared."""
        library = icechunk_library()
        storage = icechunk_storage(address, {})
        exists = is_repository(open_folder(address))
        config = (library.Repository.fetch_config(storage) if exists else None) or library.RepositoryConfig.default()
        prefix = self._report.prefix
        if prefix not in (config.virtual_chunk_containers or {}):
            config.set_virtual_chunk_container(library.VirtualChunkContainer(prefix, self._container(library)))
        make = library.Repository.open if exists else library.Repository.create
        repository = make(storage, config, {prefix: None})
        repository.save_config()
        return repository

    def _container(self, library: Any) -> Any:  # Any: the library's own
        check_reachable(self._base)
        parts = urlsplit(self._base)
        if self._local:
            return library.local_filesystem_store(self._base.removeprefix("file://"))
        if parts.scheme in ("s3", "s3a"):
            return library.s3_store(**s3_options({}))
        if parts.scheme in ("http", "https"):
            return library.http_store()
        if parts.scheme in ("gs", "gcs"):
            return library.gcs_store()
        raise UnsupportedError(
            f"chunks at {parts.scheme}:// cannot be referred to",
            code=Code.FEATURE_UNSUPPORTED,
            fix="export from a local dataset, or one at s3://, gs:// or https://",
        )

    def _fill(self, session: Any) -> None:  # Any: the library's own
        """Replace all that the branch has by the release."""
        store = session.store
        store.sync_clear()
        nodes = {**self._plan.groups, **{n: a.document for n, a in self._plan.arrays.items()}}
        order = sorted(nodes, key=lambda n: (n.count("/") if n else -1, n))
        put_documents(store, [(f"{n}/{DOCUMENT}" if n else DOCUMENT, _dumped(nodes[n])) for n in order])
        for node, array in self._plan.arrays.items():
            references = iter_references(self._store, array)
            while batch := list(itertools.islice(references, _AT_ONCE)):
                self._samples.setdefault(node, batch[0])
                self._tally.add(batch)
                self._put(store, node, batch)

    def _put(self, store: Any, node: str, batch: Sequence[Reference]) -> None:  # Any: the library's own
        library = icechunk_library()
        # Whole seconds are compared, so this very second is not yet over; clocks of servers may differ from ours.
        changed = datetime.now(UTC) + timedelta(seconds=1) if self._local else None
        made = [
            library.VirtualChunkSpec(list(r.index), self._location(r), r.start, r.length, None, changed)
            for r in batch
            if r.data is None
        ]
        # Its own check compares quoted addresses with prefixes that must not be quoted; see `_read_back`.
        store.set_virtual_refs(node, made, validate_containers=False)
        put_documents(store, [(_chunk_key(node, r.index), r.data) for r in batch if r.data is not None])

    def _location(self, reference: Reference) -> str:
        try:
            return quoted(self._base, checked_key(reference.place))
        except InputError as error:
            raise UnsupportedError(
                f"a chunk of release {self._report.tag} lies outside of the dataset, at {reference.place}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="copy the release into a dataset of its own first",
            ) from error

    def _read_back(self, session: Any) -> None:  # Any: the library's own
        """Compare one chunk of each array, as the repository has it, with the release."""
        made = IcechunkStore(session, self._report.repository, 1)
        for node, sample in self._samples.items():
            key = _chunk_key(node, sample.index)
            if sample.data is not None:
                wanted: bytes | None = sample.data
            else:
                found = self._store.inner.get_ranges(sample.place, [ByteRange(sample.start, sample.length)])
                wanted = None if found is None else bytes(found[0])
            if wanted is None or made.get(key) != wanted:
                raise ChecksumError(
                    f"{key} would not be what release {self._report.tag} has",
                    code=Code.CHECKSUM_MISMATCH,
                    fix="nothing was committed; report this with the release's address",
                )


def _chunk_key(node: str, index: Sequence[int]) -> str:
    return "/".join((*([node] if node else []), "c", *map(str, index)))


def check_reachable(base: str) -> None:
    """Refuse an address that the library would not keep.

    Raises
    ------
    UnsupportedError
        If it has a port: the library forgets it, and readers would ask another server.
    """
    parts = urlsplit(base)
    if parts.scheme in ("http", "https") and parts.port is not None:
        raise UnsupportedError(
            f"chunks at {parts.scheme}://{parts.netloc} cannot be referred to: Icechunk forgets ports of web servers",
            code=Code.FEATURE_UNSUPPORTED,
            fix="export from where the files are, or serve them on the usual port",
        )


def library_prefix(base: str) -> str:
    """Return an address as the library wants the prefix of a container: not quoted, and Google's by its long name."""
    scheme, _, rest = base.partition("://")
    return f"{'gcs' if scheme == 'gs' else scheme}://{rest}/"


def quoted(base: str, key: str) -> str:
    """Return the address of an object, with everything quoted that a URL cannot have."""
    scheme, _, rest = base.partition("://")
    return f"{'gcs' if scheme == 'gs' else scheme}://{quote(rest, safe='/:@')}/{quote(key)}"


def _dumped(document: Mapping[str, Any]) -> bytes:  # Any: JSON
    return json.dumps(document, ensure_ascii=False).encode()
