"""`upgrade` and `roll_back`: from an address to a report."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, Literal

from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.conversion.upgrading import journal as journals
from voxarium.conversion.upgrading.applying import apply, undo
from voxarium.conversion.upgrading.beside import Copier, begin_beside, make_beside
from voxarium.conversion.upgrading.journal import Journal, Tree
from voxarium.conversion.upgrading.report import ProgressCallback, Refusal, UpgradeProgress, UpgradeReport
from voxarium.conversion.upgrading.walking import Walk
from voxarium.core.journal import JOB_KEY
from voxarium.core.registry import upgrade_driver
from voxarium.core.uri import iter_above, open_source_store, open_target_store
from voxarium.errors import (
    Code,
    ConflictError,
    InputError,
    NotFoundError,
    UnsupportedError,
)
from voxarium.model.protocols import ListableStore, ReadableStore, ResumableStore
from voxarium.model.upgrades import UpgradeDriver

__all__ = ["roll_back", "upgrade"]

Mode = Literal["replace", "dual"]
_MODES = ("replace", "dual")
_MOST_NAMED = 5


def _silent(_: UpgradeProgress) -> None:
    """Tell nobody."""


def upgrade(
    uri: str | os.PathLike[str],
    *,
    to: str | None = None,
    beside: str | os.PathLike[str] | None = None,
    mode: str = "replace",
    dry_run: bool = False,
    skip_refused: bool = False,
    links: bool = True,
    progress: ProgressCallback = _silent,
) -> UpgradeReport:
    """Bring the metadata of a whole tree to a later version; chunks are not touched.

    An upgrade in place keeps a journal in the tree (``.voxarium-upgrade``), by which `roll_back` undoes it. One that
    was stopped is finished by the same call.

    Parameters
    ----------
    uri : str or path
        Root of the tree: an image, a plate, a container of images, or any group.
    to : str or None
        Version, such as ``0.6``; None = ``0.5`` for OME-Zarr.
    beside : str, path or None
        A new place for the result; None = in place. Chunks are linked, or copied where links cannot be.
    mode : {"replace", "dual"}
        ``dual`` keeps the old documents, so that readers of both versions open the same chunks.
    dry_run : bool
        Change nothing; the report lists every document and every refusal.
    skip_refused : bool
        Leave nodes that cannot be upgraded as they are. Without it, one of them stops everything before it begins.
    links : bool
        False = copy chunks beside also where they could be linked.
    progress : callable
        Called with an `UpgradeProgress` now and then.

    Raises
    ------
    UnsupportedError
        If a node cannot be upgraded; nothing was changed.
    InputError
        If an argument makes no sense.
    NotFoundError
        If nothing is there.
    ConflictError
        If another job was begun here and not finished, or somebody changed a document meanwhile.
    ExistsError
        If something is at `beside` already.

    Examples
    --------
    >>> import voxarium
    >>> voxarium.upgrade("plate.zarr", to="0.5", dry_run=True).written  # doctest: +SKIP
    1201
    """
    driver, target = _checked(to, mode)
    settings = {"format": driver.name, "target": target, "mode": mode, "skip_refused": skip_refused}
    if beside is not None:
        return _beside(uri, beside, driver, settings, dry_run=dry_run, links=links, progress=progress)
    store = _tree(uri)
    report = UpgradeReport(target, mode, store.uri)
    last = journals.latest(store)
    if last is not None and last.state != "done":
        return _go_on(store, last, settings, report, dry_run=dry_run, progress=progress)
    _check_whole(uri, driver, mode)
    with _pool(store) as pool:
        walk = Walk(store, "", driver, target, keep=mode == "dual", pool=pool)
        if dry_run:
            _look(walk, report, None, progress, listed=True)
            return report
        journals.clear_remains(store)
        _clear(store)
        journal = journals.begin(store, settings)
        try:
            _look(walk, report, journal, progress, listed=False)
            _refuse(report, skip=skip_refused)
        except BaseException:
            with contextlib.suppress(Exception):  # what is told is the first error; remains are cleared next time
                journal.drop()
            raise
        if journal.nodes:
            journal.seal()
            apply(journal, pool, progress)
            report.journal = journal.folder
    _clear(store)
    return report


def roll_back(uri: str | os.PathLike[str], *, progress: ProgressCallback = _silent) -> UpgradeReport:
    """Undo the last upgrade in place of a tree, finished or not: its documents are again what they were.

    Raises
    ------
    NotFoundError
        If there is no upgrade to undo.
    ConflictError
        If a document was changed after the upgrade.
    ChecksumError
        If the journal is damaged.
    """
    store = _tree(uri)
    journal = journals.latest(store)
    _clear(store)
    if journal is None:
        journals.clear_remains(store)
        raise NotFoundError(
            f"no upgrade to undo at {store.uri}",
            code=Code.NOTHING_TO_RESUME,
            fix=f"name the root of the tree that was upgraded; its journal is the folder {journals.FOLDER} there",
        )
    settings = journal.settings
    report = UpgradeReport(str(settings.get("target")), str(settings.get("mode")), store.uri)
    report.nodes, report.written, report.removed = journal.nodes, journal.removed, journal.written
    with _pool(store) as pool:
        undo(journal, pool, progress)
    journals.clear_remains(store)
    _clear(store)
    return report


def _clear(store: Tree) -> None:
    """Remove objects that a killed run had begun."""
    if isinstance(store, ResumableStore):
        store.clear_partial()


def _checked(to: str | None, mode: str) -> tuple[UpgradeDriver, str]:
    driver = upgrade_driver(DEFAULT_FORMAT)
    if mode not in _MODES:
        raise InputError(f"mode {mode!r} is unknown", code=Code.ARGUMENT_INVALID, fix="use replace or dual")
    target = driver.targets[0] if to is None else to
    if target not in driver.targets:
        raise InputError(
            f"{driver.name} is not upgraded to {target!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"use {' or '.join(driver.targets)}",
        )
    return driver, target


def _tree(uri: str | os.PathLike[str]) -> Tree:
    """Return the store of a tree that is to be changed."""
    source, _ = open_source_store(uri)  # says what is wrong with a path that is not there
    store = open_target_store(uri)
    if not isinstance(store, Tree):
        raise InputError(
            f"{source.uri} cannot be changed in place",
            code=Code.STORE_READ_ONLY,
            fix="write the result to another place with --beside",
        )
    if store.stat(JOB_KEY) is not None:
        raise ConflictError(
            f"{source.uri} is being written by a conversion, or one was stopped",
            code=Code.IMAGE_INCOMPLETE,
            fix="let it finish first; voxarium convert goes on with --resume",
        )
    return store


@contextlib.contextmanager
def _pool(store: ReadableStore) -> Iterator[Executor | None]:
    """Give threads for requests where waiting for them side by side pays off."""
    if store.concurrency < 2:
        yield None
        return
    with ThreadPoolExecutor(min(store.concurrency, 32), "voxarium-upgrade") as pool:
        yield pool


def _check_whole(uri: str | os.PathLike[str], driver: UpgradeDriver, mode: str) -> None:
    """Refuse a part of a larger tree: one hierarchy has one version, and readers of the old one would miss the part."""
    if mode == "dual":
        return
    outer = [s.uri for s, _ in iter_above(uri) if any(s.stat(name) is not None for name in driver.documents)]
    if outer:
        raise InputError(
            f"{os.fspath(uri)} is part of the tree at {outer[-1]}",
            code=Code.ARGUMENT_INVALID,
            fix="upgrade the whole tree, keep both versions with --mode dual, or write elsewhere with --beside",
        )


def _look(
    walk: Walk, report: UpgradeReport, journal: Journal | None, progress: ProgressCallback, *, listed: bool
) -> None:
    """Go through the tree, and note what is to be done."""
    for visit in walk:
        if visit.kind in ("array", "group"):
            report.nodes += 1
            progress(UpgradeProgress("looking", report.nodes))
        for text in visit.notes:
            report.note(visit.path, text)
        if visit.refusal is not None:
            report.refusals.append(visit.refusal)
        if visit.change is not None:
            report.count(visit.change, listed=listed)
            if journal is not None:
                journal.add(visit.change)
    if not report.nodes and not report.refusals:
        raise NotFoundError(
            f"nothing that can be upgraded at {report.uri}",
            code=Code.FORMAT_UNRECOGNISED,
            fix="name the root of a tree of images; voxarium tree shows what is below a folder",
        )


def _refuse(report: UpgradeReport, *, skip: bool) -> None:
    if skip or not report.refusals:
        return
    shown = "; ".join(_text(r) for r in report.refusals[:_MOST_NAMED])
    more = len(report.refusals) - _MOST_NAMED
    raise UnsupportedError(
        f"nothing was changed, since {len(report.refusals)} of the nodes cannot be upgraded: {shown}"
        + (f"; and {more} more" if more > 0 else ""),
        code=Code.FEATURE_UNSUPPORTED,
        fix=f"{report.refusals[0].fix}; --dry-run lists all of them, --skip-refused leaves them as they are",
    )


def _text(refusal: Refusal) -> str:
    return refusal.message if refusal.path and refusal.path in refusal.message else f"{refusal.path}: {refusal.message}"


def _go_on(
    store: Tree,
    journal: Journal,
    settings: dict[str, Any],
    report: UpgradeReport,
    *,
    dry_run: bool,
    progress: ProgressCallback,
) -> UpgradeReport:
    """Finish what an earlier run began."""
    if journal.state == "undoing" or journal.settings != settings:
        undoing = journal.state == "undoing"
        raise ConflictError(
            f"an upgrade at {store.uri} {'is being undone' if undoing else 'was begun with other settings'}",
            code=Code.PLAN_CHANGED,
            fix="finish that with --rollback"
            if undoing
            else "finish it with its own settings, or undo it by --rollback",
        )
    report.resumed, report.journal, report.nodes = True, journal.folder, journal.nodes
    for change in journal.changes():
        report.count(change, listed=dry_run)
    if not dry_run:
        _clear(store)
        with _pool(store) as pool:
            apply(journal, pool, progress)
        _clear(store)
    return report


def _beside(
    uri: str | os.PathLike[str],
    beside: str | os.PathLike[str],
    driver: UpgradeDriver,
    settings: dict[str, Any],
    *,
    dry_run: bool,
    links: bool,
    progress: ProgressCallback,
) -> UpgradeReport:
    source, root = open_source_store(uri)
    if not isinstance(source, ListableStore):
        raise InputError(
            f"{source.uri} cannot be listed", code=Code.ARGUMENT_INVALID, fix="download it, or use an object store"
        )
    target = open_target_store(beside)
    if not isinstance(target, Tree):
        raise InputError(f"{target.uri} cannot be listed", code=Code.ARGUMENT_INVALID, fix="use a folder or a bucket")
    _check_apart(source.uri, target.uri)
    report = UpgradeReport(settings["target"], settings["mode"], target.uri)
    with _pool(source) as pool, _pool(target) as writers:
        keep = settings["mode"] == "dual"
        _look(
            Walk(source, root, driver, settings["target"], keep=keep, pool=pool), report, None, progress, listed=dry_run
        )
        if dry_run:
            return report
        _refuse(report, skip=settings["skip_refused"])
        report = UpgradeReport(settings["target"], settings["mode"], target.uri)
        report.resumed = begin_beside(target, settings | {"source": source.uri, "root": root})
        walk = Walk(source, root, driver, settings["target"], keep=keep, pool=pool)
        copier = Copier(source, target, root, links=links)
        make_beside(walk, copier, report, writers or pool, progress)
    return report


def _check_apart(source: str, target: str) -> None:
    here, there = _real(source), _real(target)
    if f"{there}/".startswith(f"{here}/") or f"{here}/".startswith(f"{there}/"):
        raise InputError(
            f"{target} and {source} lie inside each other",
            code=Code.TARGET_IN_SOURCE,
            fix="choose a place outside the source, or leave --beside out to upgrade in place",
        )


def _real(uri: str) -> str:
    path = uri.removeprefix("file://")
    return uri if path == uri else f"file://{os.path.realpath(path)}"
