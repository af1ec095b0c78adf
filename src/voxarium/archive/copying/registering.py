"""`copy` and `plan_copy` as the library offers them: what is copied into a dataset becomes a member of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.archive.copying import running
from voxarium.archive.copying.options import chosen_levels
from voxarium.archive.copying.report import CopyPlan, CopyReport
from voxarium.archive.copying.running import Source, Target
from voxarium.archive.datasets import DatasetFolder, enclosing_dataset, facts_of, open_in
from voxarium.archive.jobs import like_engine
from voxarium.archive.layouts import Facts, Place
from voxarium.archive.manifests import HashingProgress
from voxarium.archive.members import Listed, list_member
from voxarium.core.dataset import Dataset
from voxarium.core.executor import Cancel
from voxarium.core.image import Image
from voxarium.core.uri import parse_uri
from voxarium.errors import VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.model.provenance import Activity, Artifact, plain_parameters

__all__ = ["copy", "plan_copy"]

_OWN_FORMAT: Final = "dataset"
_SAID: Final = ("levels", "box", "manifest")


@dataclass(frozen=True, slots=True)
class _Member:
    """A member that a copy becomes: of which dataset, and where its layout wants it."""

    dataset: DatasetFolder
    place: Place
    notes: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        """Address to copy to."""
        return self.dataset.address(self.place.path)


@like_engine(running.copy)
def copy(
    source: Source,
    target: Target,
    *,
    register: bool = True,
    progress: Callable[[HashingProgress], None] | None = None,
    cancel: Cancel | None = None,
    **choices: Any,
) -> CopyReport:
    """Copy, and list what came into a dataset."""
    member, notes = _member(source, target, choices) if register else (None, ())
    place = target if member is None else member.target
    report = running.copy(source, place, progress=progress, cancel=cancel, **choices)
    notes = (*notes, *report.notes)
    if member is None or not report.ok:
        return replace(report, notes=notes)
    listed = _listed(member, source, report, choices)
    return replace(report, notes=(*notes, *listed.notes), listed=listed)


@like_engine(running.plan_copy)
def plan_copy(source: Source, target: Target, *, register: bool = True, **choices: Any) -> CopyPlan:
    """Plan a copy, to where a dataset wants it."""
    member, notes = _member(source, target, choices) if register else (None, ())
    plan = running.plan_copy(source, target if member is None else member.target, **choices)
    if member is not None:
        notes = (*notes, f"it will be listed as {member.place.name} in {member.dataset.uri}")
    return replace(plan, notes=(*notes, *plan.notes))


def _member(source: Source, target: Target, choices: dict[str, Any]) -> tuple[_Member | None, tuple[str, ...]]:
    """Return the member that a copy becomes, and what the user should know before.

    Raises
    ------
    InputError
        If the layout of the dataset forbids the name.
    """
    given = _given(source, target)
    found = None if given is None else enclosing_dataset(given)
    if found is None or given is None:
        return None, ()
    dataset, path = found
    what = open_in(os.fspath(source)) if isinstance(source, (str, os.PathLike)) else None
    facts = _facts(what, choices)
    if facts is None:
        why = "it is a dataset of its own" if isinstance(what, Dataset) else "it is no image"
        return None, (f"{path} is not listed in {dataset.uri}, since {why}{'' if what else _how(dataset, path)}",)
    around = next((m for m in dataset.document.members if path.startswith(f"{m.path}/")), None)
    if around is not None and "labels" not in path[len(around.path) :].split("/"):
        return None, (f"{path} is a part of the member {around.name}",)
    place = dataset.place(path, facts)
    moved = place.path != path
    notes = (f"{place.name} goes to {dataset.address(place.path)}, as the layout of the dataset says",) if moved else ()
    return _Member(dataset, place), notes


def _how(dataset: DatasetFolder, path: str) -> str:
    return f": voxarium dataset add {dataset.uri} {path} --kind mesh, table … makes it a member"


def _given(source: Source, target: Target) -> str | None:
    """Return the address that a copy would get; None when it is no address."""
    if not isinstance(target, (str, os.PathLike)):
        return None
    text = os.fspath(target)
    if isinstance(source, ReadableStore):
        return text
    where, into = parse_uri(os.fspath(source)), text.endswith("/") or os.path.isdir(text)
    if into and where.scheme == "file" and os.path.isfile(where.base) and not where.inner:
        return f"{text.rstrip('/')}/{os.path.basename(where.base)}"
    return text.rstrip("/")


def _facts(found: Image | Dataset | None, choices: dict[str, Any]) -> Facts | None:
    """Return what a layout wants to know; None for what cannot be a member by itself."""
    if found is None or (isinstance(found, Dataset) and found.info.format == _OWN_FORMAT):
        return None
    facts = facts_of(found)
    levels = choices.get("levels") or ""
    if not levels or not facts.levels:
        return facts
    try:
        kept = chosen_levels(levels, len(facts.levels), "the source")
    except VoxariumError:
        return facts  # the copy says what is wrong
    return replace(facts, levels=tuple(facts.levels[i] for i in kept))


def _listed(member: _Member, source: Source, report: CopyReport, choices: dict[str, Any]) -> Listed:
    """List what arrived, and record where it came from."""
    folder, place = member.dataset, member.place
    listed, notes = list_member(folder, place, open_in(member.target))
    digest = report.roots[0] if report.roots else ""
    said = {k: v for k, v in choices.items() if k in _SAID and v}
    address = source.uri if isinstance(source, ReadableStore) else report.source
    inside = address.removeprefix("file://").removeprefix(f"{folder.uri.removeprefix('file://')}/")
    entry = folder.record(
        Activity(
            operation="ingest",
            inputs=[Artifact(inside)],
            outputs=[Artifact(listed.path, digest, role=listed.kind)],
            parameters=plain_parameters(
                {"objects": report.objects, "compared": report.compared, **said} | ({"copied": True})
            ),
        )
    )
    return Listed(dataset=folder.uri, member=listed.name, entry=entry.sequence, notes=notes)
