"""Icechunk repositories: any branch, tag or snapshot of one as a read-only store, and a lock around commits.

https://icechunk.io/en/stable/reference/spec/ . The repository is read by the library of this name (1.x), which knows
the format; it only holds Zarr of version 3. A version is fixed when it is opened: a branch that moves on is not seen.

Chunks of a repository may be references to objects anywhere. The library follows them only below prefixes that the
repository declares and its user authorises; authorised is what lies in the repository's own folder, or below what
the user of this package allows, as for reference files.
"""

from __future__ import annotations

import contextlib
import posixpath
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final
from urllib.parse import unquote

from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.keys import natural_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.versioned import StoredVersion, VersionedFolder
from voxarium.stores.icechunk.library import (
    commits_locked,
    icechunk_library,
    icechunk_storage,
    library_errors,
    s3_options,
)
from voxarium.stores.icechunk.store import IcechunkStore, put_documents

__all__ = [
    "IcechunkDriver",
    "IcechunkStore",
    "commits_locked",
    "icechunk_library",
    "icechunk_storage",
    "is_repository",
    "library_errors",
    "put_documents",
    "s3_options",
]  # fmt: skip

_MAIN: Final = "refs/branch.main/ref.json"  # every repository of version 1 has it; it cannot be deleted
_LATER: Final = "repo"  # the one document of a repository of version 2 that changes
_SNAPSHOT: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{20}")


def is_repository(store: ReadableStore) -> bool:
    """Tell whether a folder is a repository."""
    return any(store.stat(key) is not None for key in (_MAIN, _LATER))


def _opened(folder: VersionedFolder) -> Any:  # Any: the library's repository
    """Open a repository, authorising what it may lead to."""
    if not is_repository(folder.store):  # the library would make a folder
        raise NotFoundError(
            f"{folder.store.uri} is no Icechunk repository", code=Code.METADATA_MISSING, fix="check the path"
        )
    storage = icechunk_storage(folder.address, folder.options)
    library = icechunk_library()
    with library_errors(folder.store.uri):
        config = library.Repository.fetch_config(storage)
        declared = () if config is None else tuple(config.virtual_chunk_containers or ())
        authorised = {prefix: None for prefix in declared if _allowed(prefix, folder.allowed)}
        return library.Repository.open(storage, authorize_virtual_chunk_access=authorised or None)


def _allowed(declared: str, allowed: Sequence[str]) -> bool:
    """Tell whether a prefix that a repository declares lies below one that is allowed."""
    scheme, _, rest = declared.partition("://")
    # The library takes prefixes as they stand; one that means something else when it is decoded is not believed.
    return all(_lies_below(scheme, form, allowed) for form in (rest, unquote(rest)))


def _lies_below(scheme: str, rest: str, allowed: Sequence[str]) -> bool:
    place = posixpath.normpath(rest)
    scheme = "gs" if scheme == "gcs" else scheme
    prefix = place if scheme == "file" else f"{scheme}://{place}"
    return any(prefix == a or prefix.startswith(f"{a}/") for a in allowed)


class IcechunkDriver:
    """Icechunk repositories."""

    name: ClassVar[str] = "icechunk"
    spec_url: ClassVar[str] = "https://icechunk.io/en/stable/reference/spec/"
    markers: ClassVar[tuple[str, ...]] = (_MAIN,)
    suffixes: ClassVar[tuple[str, ...]] = (".icechunk",)

    def open(self, folder: VersionedFolder, version: str, /) -> IcechunkStore:
        """Return a version: ``tag.NAME``, ``branch.NAME``, a snapshot, a name that only one of them has, or a time."""
        repository = _opened(folder)
        with library_errors(folder.store.uri):
            chosen = _chosen(repository, version, folder.store.uri)
            session = repository.readonly_session(**chosen)
        return IcechunkStore(session, folder.store.uri, folder.store.concurrency)

    def versions(self, folder: VersionedFolder, /) -> Iterator[StoredVersion]:
        """Yield tags, branches, and all snapshots that these have in their past, newest first."""
        repository = _opened(folder)
        with library_errors(folder.store.uri):
            tags = {f"tag.{n}": repository.lookup_tag(n) for n in repository.list_tags()}
            branches = {f"branch.{n}": repository.lookup_branch(n) for n in repository.list_branches()}
            known: dict[str, Any] = {}
            for end in {*tags.values(), *branches.values()}:
                for snapshot in repository.ancestry(snapshot_id=end):
                    if snapshot.id in known:
                        break
                    known[snapshot.id] = snapshot
        order = sorted(known, key=lambda i: known[i].written_at, reverse=True)
        for kind, named in (("tag", tags), ("branch", branches)):
            for name in sorted(named, key=lambda n: (-order.index(named[n]), natural_key(n)), reverse=True):
                yield _version(name, kind, known[named[name]])
        for snapshot_id in order:
            yield _version(snapshot_id, "snapshot", known[snapshot_id])


def _version(name: str, kind: str, snapshot: Any) -> StoredVersion:  # Any: the library's own
    time = snapshot.written_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    facts = {"snapshot": snapshot.id} if kind != "snapshot" else {"parent": snapshot.parent_id}
    return StoredVersion(name=name, kind=kind, time=time, message=snapshot.message, facts=facts)


def _chosen(repository: Any, version: str, where: str) -> dict[str, Any]:  # Any: the library's own
    """Return what the library calls a version."""
    kind, dot, name = (version or "branch.main").partition(".")
    known = {"tag": repository.list_tags(), "branch": repository.list_branches()}
    if dot and kind in known and name in known[kind]:
        return {kind: name}
    named = [kind for kind, names in known.items() if version in names]
    if len(named) > 1:
        raise InputError(
            f"{where} has a tag and a branch called {version}",
            code=Code.ARGUMENT_INVALID,
            fix=f"write tag.{version} or branch.{version}",
        )
    if named:
        return {named[0]: version}
    if _SNAPSHOT.fullmatch(version):
        with contextlib.suppress(icechunk_library().IcechunkError):
            repository.lookup_snapshot(version)
            return {"snapshot_id": version}
    with contextlib.suppress(ValueError):
        time = datetime.fromisoformat(version)
        if time.tzinfo is not None:
            return {"branch": "main", "as_of": time}
    names = [*(f"tag.{n}" for n in sorted(known["tag"])), *(f"branch.{n}" for n in sorted(known["branch"]))]
    raise NotFoundError(
        f"{where} has no version {version}", code=Code.VERSION_MISSING, fix=f"it has {', '.join(names[:10])}"
    )
