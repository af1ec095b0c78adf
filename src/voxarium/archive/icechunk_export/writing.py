"""Writing a release into an Icechunk repository: a commit of metadata and references, a tag, a look at them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote, urlsplit

from voxarium.archive.icechunk_export.planning import DOCUMENT, ExportedArray, ExportedTree
from voxarium.core.guarding import guarded
from voxarium.core.release_store import ReleaseStore
from voxarium.core.releases import StoredRelease
from voxarium.core.uri import open_folder
from voxarium.errors import ChecksumError, Code, ExistsError, InputError, UnsupportedError
from voxarium.model.keys import checked_key
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

__all__ = ["IcechunkExport", "Writer", "library_prefix"]

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
    nbytes : int
        Of the objects that are referred to.
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
    nbytes: int
    left_out: tuple[str, ...]
    prefix: str
    snapshot: str = ""
    created: bool = False

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        names = ("release", "repository", "tag", "snapshot", "groups", "arrays", "chunks", "prefix", "created")
        return {n: getattr(self, n) for n in names} | {"bytes": self.nbytes, "left_out": list(self.left_out)}


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
        return replace(self._report, snapshot=snapshot, created=created)

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
            references = iter(self._references(array))
            while batch := [r for r, _ in zip(references, range(_AT_ONCE), strict=False)]:
                # Its own check compares quoted addresses with prefixes that must not be quoted; see `_read_back`.
                store.set_virtual_refs(node, batch, validate_containers=False)

    def _references(self, array: ExportedArray) -> Iterator[Any]:  # Any: the library's own
        library = icechunk_library()
        manifest = self._store.manifest
        # Whole seconds are compared, so this very second is not yet over; clocks of servers may differ from ours.
        changed = datetime.now(UTC) + timedelta(seconds=1) if self._local else None
        for index, i in sorted(array.objects.items()):
            place, start = manifest.location(i)
            try:
                location = quoted(self._base, checked_key(place))
            except InputError as error:
                raise UnsupportedError(
                    f"{manifest.keys[i]} lies outside of the dataset, at {place}",
                    code=Code.FEATURE_UNSUPPORTED,
                    fix="copy the release into a dataset of its own first",
                ) from error
            size = int(manifest.sizes[i])
            if self._local:
                self._store.get_ranges(manifest.keys[i], [])  # refuses what is gone or has another size
            yield library.VirtualChunkSpec(list(index), location, start, size, None, changed)

    def _read_back(self, session: Any) -> None:  # Any: the library's own
        """Compare one chunk of each array, as the repository has it, with the release."""
        made = IcechunkStore(session, self._report.repository, 1)
        for node, array in self._plan.arrays.items():
            for index, i in list(array.objects.items())[:1]:
                key = "/".join((*([node] if node else []), "c", *map(str, index)))
                if made.get(key) != self._store.get(self._store.manifest.keys[i]):
                    raise ChecksumError(
                        f"{key} would not be what release {self._report.tag} has",
                        code=Code.CHECKSUM_MISMATCH,
                        fix="nothing was committed; report this with the release's address",
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
