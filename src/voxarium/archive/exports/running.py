"""Handing over a release: planned by an adapter, then written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

from voxarium.archive.exports.adapters import (
    ExportOptions,
    ExportReport,
    PackageAdapter,
    PackageReport,
    ReleaseExport,
    RootedExport,
)
from voxarium.archive.exports.copying import Copier
from voxarium.archive.exports.source import ReleaseSource, open_release_source
from voxarium.archive.exports.targets import check_target, new_file, new_folder
from voxarium.archive.manifests import HashingProgress
from voxarium.archive.trees import open_tree
from voxarium.core.registry import release_export, release_exports
from voxarium.core.uri import open_folder, open_target_store, parse_uri
from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError
from voxarium.model.protocols import ReadableStore

__all__ = ["check_package", "export_release", "import_package", "package_adapter"]

Progress = Callable[[HashingProgress], None]


def export_release(
    release: str | os.PathLike[str] | ReleaseSource,
    target: str | os.PathLike[str],
    kind: str,
    options: ExportOptions | None = None,
    *,
    dry_run: bool = False,
    withdrawn: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> ExportReport:
    """Write a release in the form of another system.

    Parameters
    ----------
    release : str, path or ReleaseSource
        Such as ``brain@v1.0``.
    target : str or path
        A folder, or a file, which must not exist; or an address such as ``s3://bucket/bag``.
    kind : str
        Name of the adapter: ``bagit``, ``ocfl``, ``ro-crate``, ``datacite``, ``datalad``, ``files`` …
    options : ExportOptions or None
        See there.
    dry_run : bool
        Plan, and write nothing.
    withdrawn : bool
        Also if the release was withdrawn.
    threads, progress
        As everywhere.

    Raises
    ------
    NotFoundError
        If there is no such release.
    ExistsError
        If anything is at the target.
    InputError
        If an option does not go with the adapter, or something that it needs is missing.
    ChecksumError
        If an object is not what the release has. The target is not there then.
    """
    options = ExportOptions() if options is None else options
    adapter = release_export(kind)
    _check_options(adapter, options)
    source = release if isinstance(release, ReleaseSource) else open_release_source(release, "", withdrawn=withdrawn)
    plan = adapter.plan(source, options)
    place = "/".join((os.fspath(target).rstrip("/"), plan.place)) if plan.place else os.fspath(target)
    check_target(place, outside=source.dataset.uri)
    report = ExportReport(release=source.release.name, kind=kind, target=place, plan=plan, dry_run=dry_run)
    if dry_run:
        return report
    if plan.place and isinstance(adapter, RootedExport):
        adapter.prepare(open_target_store(target))
    with new_file(place) if adapter.single else new_folder(place) as store:
        copier = Copier(store, objects=plan.objects, nbytes=plan.nbytes, threads=threads, progress=progress)
        adapter.write(source, options, plan, store, copier)
    return replace(report, plan=replace(plan, details=None))


def _check_options(adapter: ReleaseExport, options: ExportOptions) -> None:
    for name in sorted(options.given - adapter.options):
        known = " or ".join(f"--{n.replace('_', '-')}" for n in sorted(adapter.options))
        raise InputError(
            f"--{name.replace('_', '-')} means nothing to --as {adapter.name}",
            code=Code.ARGUMENT_INVALID,
            fix=f"leave it out; it takes {known}" if known else "leave it out",
        )


# ------------------------------------------------------------------------------------------------------------ packages
def package_adapter(store: ReadableStore, kind: str = "") -> PackageAdapter:
    """Return the adapter that reads a package; the one that recognises it if none is named.

    Raises
    ------
    NotFoundError
        If none does.
    UnsupportedError
        If the one that is named cannot read any.
    """
    if kind:
        named = release_export(kind)
        if isinstance(named, PackageAdapter):
            return named
        raise UnsupportedError(
            f"packages of {kind} are written, not read", code=Code.FEATURE_UNSUPPORTED, fix="name another adapter"
        )
    readers = [a for a in release_exports() if isinstance(a, PackageAdapter)]
    for adapter in readers:
        if adapter.recognises(store):
            return adapter
    raise NotFoundError(
        f"{store.uri} is no package that can be read",
        code=Code.FORMAT_UNRECOGNISED,
        fix=f"name the folder of one of {', '.join(a.name for a in readers)}, or say with --as what it should be",
    )


def check_package(
    package: str | os.PathLike[str] | ReadableStore,
    kind: str = "",
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PackageReport:
    """Check a package, such as a bag: what it lists, what is there, every digest.

    Parameters
    ----------
    package : str, path or ReadableStore
        Its folder.
    kind : str
        Name of the adapter; empty: the one that recognises it.
    """
    store = package if isinstance(package, ReadableStore) else _open(package)
    return package_adapter(store, kind).check(store, threads=threads, progress=progress)


def import_package(
    package: str | os.PathLike[str] | ReadableStore,
    target: str | os.PathLike[str],
    kind: str = "",
    *,
    version: str = "",
    threads: int | None = None,
    progress: Progress | None = None,
) -> PackageReport:
    """Take the objects out of a package, into a new folder: all of them, or there is no folder.

    Parameters
    ----------
    package : str, path or ReadableStore
        Its folder.
    target : str or path
        A new folder.
    kind : str
        Name of the adapter; empty: the one that recognises it.
    version : str
        Which of its versions; empty: the last.

    Raises
    ------
    ExistsError
        If anything is at the target.
    FormatError
        If the package is malformed or unsafe.
    ChecksumError
        If an object is not what it should be.
    """
    store = package if isinstance(package, ReadableStore) else _open(package)
    adapter = package_adapter(store, kind)
    check_target(os.fspath(target), outside=store.uri)
    with new_folder(os.fspath(target)) as folder:
        copier = Copier(folder, threads=threads, progress=progress)
        found = adapter.unpack(store, version, folder, copier)
    return PackageReport(package=found)


def _open(package: str | os.PathLike[str]) -> ReadableStore:
    if parse_uri(package).scheme != "file":
        remote: ReadableStore = open_folder(package)
        return remote
    tree = open_tree(package)
    if not tree.file:
        return tree.store
    raise NotFoundError(
        f"{os.fspath(package)} is a file", code=Code.FORMAT_UNRECOGNISED, fix="name the folder of a package"
    )
