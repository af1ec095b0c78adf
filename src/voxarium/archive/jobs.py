"""The engines as the library offers them: what is written into a dataset becomes a member, and its log tells of it.

Outside of datasets each of them is the engine itself, after one look for a `dataset.json` in each folder above.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import WRAPPER_ASSIGNMENTS, wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from voxarium.archive.datasets import facts_of, open_in
from voxarium.archive.members import MemberJob, member_job, planned_facts, record_in_dataset
from voxarium.archive.tree_roots import RootTaker, is_cheap
from voxarium.conversion import resampling, running
from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.conversion.resampling import resampling_for
from voxarium.conversion.running import Report
from voxarium.conversion.sources import open_source, open_source_or_collection
from voxarium.conversion.target import check_apart, open_target
from voxarium.conversion.upgrading import UpgradeReport
from voxarium.conversion.upgrading import running as upgrading
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image

__all__ = ["convert", "like_engine", "resample", "roll_back", "upgrade"]

_P = ParamSpec("_P")
_R = TypeVar("_R")
# Where it lives stays true, for pickle.
_COPIED: Final = tuple(name for name in WRAPPER_ASSIGNMENTS if name != "__module__")


def like_engine(engine: Callable[_P, _R]) -> Callable[[Callable[..., _R]], Callable[_P, _R]]:
    """Give a function the arguments and the description of the engine that it calls."""

    def decorate(function: Callable[..., _R]) -> Callable[_P, _R]:
        return cast("Callable[_P, _R]", wraps(engine, assigned=_COPIED)(function))

    return decorate


# ------------------------------------------------------------------------------------------------------------ images
@like_engine(running.convert)
def convert(
    source: str | os.PathLike[str] | Image | Dataset,
    target: str | os.PathLike[str],
    *,
    source_options: dict[str, Any] | None = None,
    take_objects: Any = None,
    **options: Any,
) -> Report:
    """Convert, and list the result."""
    image = open_source_or_collection(source, options.get("format") or DEFAULT_FORMAT, **(source_options or {}))
    job = _member_job(target, image, options)
    if job is None:
        return running.convert(image, target, take_objects=take_objects, **options)
    report, roots = _convert(image, job, options, take_objects)
    return _listed(job, "convert", image, report, options=options, roots=roots)


def _convert(
    source: Image | Dataset, job: MemberJob, options: dict[str, Any], take_objects: Any
) -> tuple[Report, tuple[str, ...]]:
    """Convert into a dataset; return the report and the roots of what was written, as far as they are known."""
    choices = {k: v for k, v in options.items() if k not in _HOW}
    free = take_objects is None and "digests" not in choices and isinstance(source, Image)
    if free and isinstance(source, Image) and is_cheap(running.plan_for(source, job.target, choices)):
        taker = RootTaker(job.target)
        report = running.convert(source, job.target, take_objects=taker, **options, digests=taker.digests)
        return report, taker.roots
    report = running.convert(source, job.target, take_objects=take_objects, **options)
    made = getattr(take_objects, "report", None)  # of a ManifestWriter, not imported here: that takes long
    return report, getattr(made, "roots", ())


@like_engine(resampling.resample)
def resample(
    source: str | os.PathLike[str] | Image,
    target: str | os.PathLike[str],
    *,
    source_options: dict[str, Any] | None = None,
    **options: Any,
) -> Report:
    """Resample, and list the result."""
    image = open_source(source, **(source_options or {}))
    job = _member_job(target, image, options)
    if job is None:
        return resampling.resample(image, target, **options)
    found = resampling_for(image, {k: v for k, v in options.items() if k not in _HOW})
    if found.like is not None:
        check_apart(found.like, open_target(job.target, found.choices.get("format") or DEFAULT_FORMAT))
    how = {k: v for k, v in options.items() if k in _HOW}
    report, roots = _convert(found.image, job, {**found.choices, **how}, None)
    return _listed(job, "resample", image, report, options=options, roots=roots)


_HOW: Final = frozenset({"threads", "resume", "overwrite", "progress"})  # not what was made


def _member_job(target: str | os.PathLike[str], source: Image | Dataset, options: dict[str, Any]) -> MemberJob | None:
    return member_job(target, planned_facts(source, {**options, "format": options.get("format") or DEFAULT_FORMAT}))


def _listed(
    job: MemberJob,
    operation: str,
    source: Image | Dataset,
    report: Report,
    *,
    options: dict[str, Any],
    roots: tuple[str, ...] = (),
) -> Report:
    choices = {k: _address(v) if k == "like" else v for k, v in options.items() if k not in _HOW}
    listed = job.finish(operation, source, choices, roots)
    return replace(report, notes=(*job.notes, *report.notes, *listed.notes))


def _address(value: object) -> object:
    """Return what stands for an image in the log."""
    return value.store.uri + (f"/{value.path}" if value.path else "") if isinstance(value, Image) else value


# ---------------------------------------------------------------------------------------------------------- metadata
@like_engine(upgrading.upgrade)
def upgrade(
    uri: str | os.PathLike[str], *, beside: str | os.PathLike[str] | None = None, **options: Any
) -> UpgradeReport:
    """Upgrade, and list what is new."""
    found = None if beside is None else open_in(os.fspath(uri))
    job = None if beside is None or found is None else member_job(beside, facts_of(found))
    report = upgrading.upgrade(uri, beside=beside if job is None else job.target, **options)
    if options.get("dry_run") or not (report.written or report.removed):
        return report
    how = {"to": report.target, "mode": options.get("mode", "replace")}
    if job is not None and found is not None:
        job.finish("upgrade", found, how)
    else:
        record_in_dataset(beside or uri, "upgrade", how, source=os.fspath(uri) if beside else "")
    return report


@like_engine(upgrading.roll_back)
def roll_back(uri: str | os.PathLike[str], **options: Any) -> UpgradeReport:
    """Undo an upgrade, and record that."""
    report = upgrading.roll_back(uri, **options)
    if report.written or report.removed:
        record_in_dataset(uri, "upgrade", {"to": report.target, "rollback": True})
    return report
