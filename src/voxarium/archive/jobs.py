"""The engines as the library offers them: what is written into a dataset becomes a member, and its log tells of it.

Outside of datasets each of them is the engine itself, after one look for a `dataset.json` in each folder above.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import WRAPPER_ASSIGNMENTS, wraps
from typing import Any, Final, ParamSpec, TypeVar, cast

from voxarium.archive import manifests
from voxarium.archive.datasets import enclosing_dataset, facts_of, open_in
from voxarium.archive.manifests import ManifestReport, ManifestWriter
from voxarium.archive.members import MemberJob, member_job, planned_facts, record_in_dataset
from voxarium.archive.release_checks import ReleaseReport, release_of
from voxarium.archive.verify import VerifyReport
from voxarium.conversion import resampling, running
from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.conversion.running import Report
from voxarium.conversion.sources import open_source, open_source_or_collection
from voxarium.conversion.upgrading import UpgradeReport
from voxarium.conversion.upgrading import running as upgrading
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.uri import open_source_store, open_target_store
from voxarium.errors import Code, InputError
from voxarium.model.protocols import WritableStore
from voxarium.validation import Report as Findings
from voxarium.validation import validate
from voxarium.validation.fixing import RepairPlan, apply_repairs, plan_repairs, undo_repairs

__all__ = [
    "Fixes",
    "convert",
    "fix",
    "record_audit",
    "resample",
    "roll_back",
    "undo_fixes",
    "upgrade",
    "write_manifest",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")
# Where it lives stays true, for pickle.
_COPIED: Final = tuple(name for name in WRAPPER_ASSIGNMENTS if name != "__module__")


def _like(engine: Callable[_P, _R]) -> Callable[[Callable[..., _R]], Callable[_P, _R]]:
    """Give a function the arguments and the description of the engine that it calls."""

    def decorate(function: Callable[..., _R]) -> Callable[_P, _R]:
        return cast("Callable[_P, _R]", wraps(engine, assigned=_COPIED)(function))

    return decorate


# ------------------------------------------------------------------------------------------------------------ images
@_like(running.convert)
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
    report = running.convert(image, job.target, take_objects=take_objects, **options)
    made = take_objects.report if isinstance(take_objects, ManifestWriter) else None
    return _listed(job, "convert", image, report, options=options, roots=() if made is None else made.roots)


@_like(resampling.resample)
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
    report = resampling.resample(image, target if job is None else job.target, **options)
    return report if job is None else _listed(job, "resample", image, report, options=options)


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
@_like(upgrading.upgrade)
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


@_like(upgrading.roll_back)
def roll_back(uri: str | os.PathLike[str], **options: Any) -> UpgradeReport:
    """Undo an upgrade, and record that."""
    report = upgrading.roll_back(uri, **options)
    if report.written or report.removed:
        record_in_dataset(uri, "upgrade", {"to": report.target, "rollback": True})
    return report


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixes:
    """Repairs of metadata.

    Parameters
    ----------
    plan : RepairPlan
        What is repaired, and what is left.
    undo : str
        Key of the file that undoes it; empty when nothing was changed.
    """

    plan: RepairPlan
    undo: str = ""


def fix(uri: str | os.PathLike[str], report: Findings | None = None, *, apply: bool = False) -> Fixes:
    """Plan the safe repairs of what a validation found, and make them so.

    Parameters
    ----------
    uri : str or path
        What was validated: a folder or a place in an object store.
    report : Report or None
        From `voxarium.validate`; None = validate now.
    apply : bool
        Change the documents. Without it, the plan is returned.

    Raises
    ------
    InputError
        If the address cannot be repaired in place.
    ReleaseFrozenError
        If a document is part of a release.
    """
    store = _repairable(os.fspath(uri))
    plan = plan_repairs(store, (validate(uri) if report is None else report).findings)
    undo = apply_repairs(store, plan) if apply else ""
    if apply and plan.repairs:
        rules = sorted({rule for repair in plan.repairs for rule in repair.rules})
        record_in_dataset(uri, "fix", {"rules": rules, "objects": len(plan.repairs), "undo": undo})
    return Fixes(plan=plan, undo=undo)


def undo_fixes(uri: str | os.PathLike[str], key: str) -> int:
    """Undo the repairs that a file belongs to; return how many objects were restored.

    Raises
    ------
    InputError
        If the address cannot be changed in place.
    ConflictError
        If a document was changed since.
    """
    count = undo_repairs(_repairable(os.fspath(uri)), key)
    record_in_dataset(uri, "fix", {"undo": key, "objects": count})
    return count


def _repairable(uri: str) -> WritableStore:
    """Return the store that a validation of this address had, for writing."""
    store, path = open_source_store(uri)
    if path or not isinstance(store, WritableStore):
        raise InputError(
            f"{uri} cannot be repaired in place", code=Code.STORE_READ_ONLY, fix="name a folder, or copy it first"
        )
    return open_target_store(uri)  # which keeps what was published


# --------------------------------------------------------------------------------------------------------- manifests
@_like(manifests.write_manifest)
def write_manifest(target: str | os.PathLike[str], *args: Any, **options: Any) -> ManifestReport:
    """Write a manifest, and record its root; not that of a whole dataset, which lists the log."""
    report = manifests.write_manifest(target, *args, **options)
    if enclosing_dataset(target) is not None:
        record_in_dataset(target, "manifest", {"manifest": report.manifest}, digest=report.roots[0])
    return report


def record_audit(target: str | os.PathLike[str], report: VerifyReport | ReleaseReport) -> bool:
    """Note in the log of a dataset that it, or something in it, was compared with its digests, and what was found.

    Checks only read; this is for those who keep the dataset, and is done when they ask for it.

    Parameters
    ----------
    target : str or path
        What was checked: in a dataset, a dataset, or a release such as ``brain@v1.0``.
    report : VerifyReport or ReleaseReport
        What was found.

    Returns
    -------
    bool
        False when there is no dataset.
    """
    released = release_of(os.fspath(target))
    where = os.fspath(target) if released is None else released[0]
    if enclosing_dataset(where, itself=True) is None:
        return False
    objects = report.objects if isinstance(report, ReleaseReport) else report
    said: dict[str, Any] = {"ok": report.ok, "problems": len(report.problems)}
    if objects is not None:
        said |= {"level": objects.level, "objects": objects.objects, "read": objects.read, "seed": objects.seed}
    digest = objects.roots[0] if objects is not None and objects.roots else ""
    if isinstance(report, ReleaseReport):
        said |= {"release": report.name, "signed_by": list(report.signed_by), "kept_checkpoint": report.kept}
        digest = f"sha256:{report.digest}" if report.digest else ""
    record_in_dataset(where, "audit", said, digest=digest)
    return True
