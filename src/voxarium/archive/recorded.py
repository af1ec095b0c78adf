"""Repairs, manifests and audits of what lies in a dataset, noted in its log."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from voxarium.archive import manifests
from voxarium.archive.datasets import enclosing_dataset
from voxarium.archive.jobs import like_engine
from voxarium.archive.manifests import ManifestReport
from voxarium.archive.members import record_in_dataset
from voxarium.archive.release_checks import ReleaseReport, release_of
from voxarium.archive.verify import VerifyReport
from voxarium.core.uri import open_source_store, open_target_store
from voxarium.errors import Code, InputError
from voxarium.model.protocols import WritableStore
from voxarium.validation import Report as Findings
from voxarium.validation import validate
from voxarium.validation.fixing import RepairPlan, apply_repairs, plan_repairs, undo_repairs

__all__ = ["Fixes", "fix", "record_audit", "undo_fixes", "write_manifest"]


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
@like_engine(manifests.write_manifest)
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
