"""A release as a version of an Icechunk repository: its chunks stay where they are, and are only referred to.

Only Zarr of version 3 can be in such a repository. Each release that is exported becomes a commit on a branch, and a
tag of its name; its metadata, without what is consolidated, are written, and each chunk becomes a reference to the
bytes that the release's manifest states. Chunks within shards are referred to one by one, so that readers get no more
than they need; the array is then one without shards.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from voxarium.archive.icechunk_export.planning import sorted_objects
from voxarium.archive.icechunk_export.references import iter_references
from voxarium.archive.icechunk_export.writing import IcechunkExport, Tally, Writer, library_prefix
from voxarium.core.release_store import ReleaseStore
from voxarium.core.releases import StoredRelease, find_release
from voxarium.core.uri import open_release_of, parse_uri
from voxarium.errors import Code, InputError

__all__ = ["IcechunkExport", "export_icechunk"]


def export_icechunk(
    release: str | os.PathLike[str],
    repository: str | os.PathLike[str],
    *,
    branch: str = "main",
    without: Sequence[str] = (),
    whole_shards: bool = False,
    dry_run: bool = False,
) -> IcechunkExport:
    """Write a release, or a part of one, into an Icechunk repository as references to its chunks.

    Parameters
    ----------
    release : str or path
        Such as ``brain@v1.0``, or ``brain@v1.0/em`` for a part.
    repository : str or path
        A folder, or an address of an object store; it is made if it does not exist. Several releases of a dataset
        can be exported to one, in their order.
    branch : str
        Branch that the commit is made on; it is made if there is none.
    without : sequence of str
        Folders of the release to leave out.
    whole_shards : bool
        Refer to shards as wholes: fewer references, and readers that read whole shards.
    dry_run : bool
        Look whether it can be done, and write nothing.

    Raises
    ------
    UnsupportedError
        If the release has images in another format than Zarr of version 3, or the library is not installed.
    ExistsError
        If the repository has another release of this name.
    """
    store, path, stored = _opened(os.fspath(release))
    plan = sorted_objects(store, path, tuple(w.strip("/") for w in without), split=not whole_shards)
    base = store.inner.uri.rstrip("/")
    target = parse_uri(repository)
    address = os.path.abspath(target.base) if target.scheme == "file" else target.base
    _check_target(address, base)
    report = IcechunkExport(
        release=stored.release.name, repository=address, tag=stored.release.name, groups=len(plan.groups),
        arrays=len(plan.arrays), chunks=0, nbytes=0, stored=0,
        shards=sum(len(a.objects) for a in plan.arrays.values() if a.split),
        left_out=tuple(plan.left_out), prefix=library_prefix(base),
    )  # fmt: skip
    if dry_run:
        tally = Tally()
        for array in plan.arrays.values():  # refuses what cannot be referred to
            tally.add(iter_references(store, array))
        return tally.told(report)
    return Writer(store, plan, stored, path, report).write(branch)


def _opened(release: str) -> tuple[ReleaseStore, str, StoredRelease]:
    store, path = open_release_of(parse_uri(release)) or (None, "")
    if not isinstance(store, ReleaseStore):
        raise InputError(
            f"{release} names no release",
            code=Code.ARGUMENT_INVALID,
            fix="write it as DATASET@NAME, such as brain@v1.0; `voxarium release list DATASET` shows them",
        )
    return store, path, find_release(store.inner, store.name)


def _check_target(address: str, base: str) -> None:
    """Refuse a repository within the dataset: it would be part of later releases."""
    source = os.path.realpath(base.removeprefix("file://")) if base.startswith("file://") else base
    target = os.path.realpath(address) if base.startswith("file://") else address
    if target == source or target.startswith(f"{source}/"):
        raise InputError(
            f"{address} lies within the dataset",
            code=Code.TARGET_IN_SOURCE,
            fix="choose a place beside it",
        )
