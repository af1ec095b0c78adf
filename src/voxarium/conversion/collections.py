"""Whole collections: every image is converted by itself, and the documents around them are written last.

A killed job goes on with the image it was at: an image that is complete is left as it is, one that was begun resumes.
While the job runs, ``.voxarium/job.json`` in the target says that the collection is incomplete.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol

from voxarium.conversion.engine import Progress
from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.conversion.parts import Part, check_documents, collection_writer, is_there, iter_parts, write_collection
from voxarium.conversion.plan import Plan
from voxarium.conversion.target import open_target
from voxarium.core.dataset import Dataset
from voxarium.core.executor import Cancel
from voxarium.core.image import Image
from voxarium.core.journal import JOB_KEY
from voxarium.core.opening import open_in
from voxarium.core.registry import writable_image_driver
from voxarium.core.uri import open_target_store
from voxarium.errors import Code, ConflictError, ExistsError, InputError, InterruptedJobError, VoxariumError
from voxarium.model.collection import CollectionInfo
from voxarium.model.protocols import ListableStore, WritableStore

__all__ = ["CollectionTotals", "convert_parts", "plan_parts"]

_ONE_IMAGE: Final = frozenset({"name", "crop"})  # choices that mean one image
_INTENSITY: Final = frozenset(  # not for labels
    {"role", "method", "dtype", "lossy", "fill_value", "order", "axes", "channels", "colors"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionTotals:
    """What converting a collection means, summed over its images, labels included."""

    images: int
    labels: int
    voxels: int
    source_bytes: int
    raw_bytes: int
    objects: int
    chunks: int
    seconds: float
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the totals for ``--dry-run --json``."""
        out: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return out | {"seconds": round(self.seconds, 1), "notes": list(self.notes)}


class Result(Protocol):
    """What the conversion of one image tells."""

    @property
    def voxels(self) -> int:
        """Voxels of level 0."""

    @property
    def source_bytes(self) -> int:
        """Raw bytes of level 0."""

    @property
    def written_bytes(self) -> int:
        """Bytes stored."""

    @property
    def objects(self) -> int:
        """Objects written."""

    @property
    def resumed(self) -> int:
        """Objects that an earlier run had finished."""


# -- running
def _labels(image: Image, path: str) -> Iterator[tuple[str, Callable[[], Image]]]:
    for name in image.info.labels:
        key = f"{image.path}/{name}" if image.path else name

        def opened(key: str = key) -> Image:
            found = open_in(image.store, key)
            if isinstance(found, Image):
                return found
            raise InputError(
                f"{key} is no label image", code=Code.ARGUMENT_INVALID, fix="correct the list of labels beside it"
            )

        yield f"{path}/{name}", opened


def _checked(choices: Mapping[str, Any]) -> None:
    wrong = sorted(k for k in _ONE_IMAGE if choices.get(k) is not None)
    if wrong:
        raise InputError(
            f"{', '.join(wrong)} cannot be given for a whole collection",
            code=Code.ARGUMENT_INVALID,
            fix="leave it out, or convert one image by its own address",
        )


def _for_labels(choices: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in choices.items() if k not in _INTENSITY}


def plan_parts(
    dataset: Dataset, target: str, choices: dict[str, Any], plan_for: Callable[[Image, str, dict[str, Any]], Plan]
) -> CollectionTotals:
    """Return what converting every image would mean. Each image is opened; no voxel is read."""
    _checked(choices)
    plans: list[Plan] = []
    labels, notes = 0, dict.fromkeys(dataset.info.notes)
    version = choices.get("spec_version")
    for _, info, parts in iter_parts(dataset):
        check_documents(info, choices.get("format") or DEFAULT_FORMAT, version)
        for part in parts:
            image = part.open()
            plans.append(plan_for(image, f"{target}/{part.path}", choices))
            for path, opened in _labels(image, part.path):
                plans.append(plan_for(opened(), f"{target}/{path}", _for_labels(choices)))
                labels += 1
    notes |= dict.fromkeys(n for plan in plans for n in plan.notes)
    return CollectionTotals(
        images=len(plans) - labels,
        labels=labels,
        voxels=sum(p.selection.crop.size for p in plans),
        source_bytes=sum(p.source_bytes for p in plans),
        raw_bytes=sum(p.raw_bytes for p in plans),
        objects=sum(p.objects for p in plans),
        chunks=sum(p.chunks for p in plans),
        seconds=sum(p.seconds(1) for p in plans),
        notes=tuple(notes)[:50],
    )


def convert_parts(
    dataset: Dataset,
    target: str,
    choices: dict[str, Any],
    convert_one: Callable[..., Result],
    *,
    cancel: Cancel | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> dict[str, Any]:
    """Convert every image of a collection, its labels too, then write the documents around them.

    Parameters
    ----------
    convert_one : callable
        ``convert_one(image, target, choices=…, resume=…, overwrite=…, progress=…)`` converts one image.

    Returns
    -------
    dict
        Sums for a report: images, voxels, source_bytes, written_bytes, objects, resumed, seconds.

    Raises
    ------
    InterruptedJobError
        If the job was stopped; it can be resumed.
    """
    started = time.perf_counter()
    _checked(choices)
    format = choices.get("format") or DEFAULT_FORMAT
    version = choices.get("spec_version") or writable_image_driver(format).spec_versions[0]
    choices = {**choices, "format": format, "spec_version": version}
    store = open_target_store(target)
    _check_apart(dataset, store)
    groups = list(iter_parts(dataset))
    for _, info, _parts in groups:
        check_documents(info, format, version)
    _begin(store, dataset, groups, choices, resume=resume, overwrite=overwrite)
    sums = _Sums(sum(len(parts) for _, _, parts in groups), progress)
    for _, _, parts in groups:
        for part in parts:
            if cancel:
                raise _stopped(sums, part.path)
            image = part.open()
            _one(sums, partial(convert_one, choices=choices), image, target, part.path, format=format)
            for path, opened in _labels(image, part.path):
                for_labels = partial(convert_one, choices=_for_labels(choices))
                _one(sums, for_labels, opened(), target, path, format=format)
            sums.images += 1
    documents = 0
    for below, info, parts in groups:
        driver = collection_writer(format)
        if parts and driver is not None and info.kind in driver.kinds:
            path = below.rstrip("/")
            documents += write_collection(store, info, format=format, spec_version=version, path=path)
    store.delete(JOB_KEY)
    return sums.totals | {
        "objects": sums.totals["objects"] + documents,
        "images": sums.images,
        "target": store.uri,
        "seconds": time.perf_counter() - started,
    }


class _Sums:
    """Adds up what is done, and turns the progress of one image into that of all."""

    def __init__(self, count: int, progress: Callable[[Progress], None] | None) -> None:
        self.count = count
        self.images = 0
        self.totals = dict.fromkeys(("voxels", "source_bytes", "written_bytes", "objects", "resumed"), 0)
        self._progress = progress

    def add(self, result: Result) -> None:
        for key in self.totals:
            self.totals[key] += getattr(result, key)

    def tell(self, now: Progress) -> None:
        """Pass on progress; images not opened yet are taken to be as large as this one."""
        if self._progress is not None:
            done = self.totals
            self._progress(
                Progress(
                    voxels=done["voxels"] + now.voxels,
                    total=done["voxels"] + now.total * max(self.count - self.images, 1),
                    objects=done["objects"] + now.objects,
                    written=done["written_bytes"] + now.written,
                )
            )


def _one(sums: _Sums, convert_one: Callable[..., Result], image: Image, target: str, path: str, *, format: str) -> None:
    """Convert one image, go on with it, or leave it: whatever an earlier run has done."""
    address = f"{target.rstrip('/')}/{path}"
    place = open_target(address, format)
    begun = place.store.stat(JOB_KEY) is not None
    if not begun and is_there(place.hierarchy, place.path):
        sums.totals["resumed"] += 1
        return
    try:
        result = convert_one(image, address, resume=begun, overwrite=False, progress=sums.tell)
    except InterruptedJobError as error:
        raise _stopped(sums, path) from error
    sums.add(result)


def _stopped(sums: _Sums, path: str) -> InterruptedJobError:
    return InterruptedJobError(
        f"stopped at {path}, after {sums.images:,} of {sums.count:,} images; what is finished is kept",
        code=Code.JOB_INTERRUPTED,
        fix="run the same command with --resume to go on",
    )


def _fingerprint(dataset: Dataset, groups: Iterable[tuple[str, CollectionInfo, list[Part]]], choices: object) -> str:
    paths = [part.path for _, _, parts in groups for part in parts]
    document = json.dumps([dataset.store.uri, dataset.path, paths, repr(choices)])
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()


def _begin(
    store: WritableStore,
    dataset: Dataset,
    groups: list[tuple[str, CollectionInfo, list[Part]]],
    choices: dict[str, Any],
    *,
    resume: bool,
    overwrite: bool,
) -> None:
    """Mark the target as unfinished; refuse or clear what is there."""
    fingerprint = _fingerprint(dataset, groups, sorted(choices.items()))
    raw = store.get(JOB_KEY)
    if resume:
        if raw is None:
            raise ConflictError(
                f"nothing to resume at {store.uri}",
                code=Code.NOTHING_TO_RESUME,
                fix="run without --resume; if the collection is there already it is complete",
            )
        if fingerprint.encode() not in raw:
            raise ConflictError(
                f"the job at {store.uri} was begun with another source or other options",
                code=Code.PLAN_CHANGED,
                fix="resume with the options it was begun with, or start anew with --overwrite",
            )
        return
    _refuse_or_clear(store, overwrite=overwrite, unfinished=raw is not None)
    job = {"tool": "voxarium", "collection": dataset.kind, "fingerprint": fingerprint}
    store.put(JOB_KEY, json.dumps(job, indent=2).encode() + b"\n")


def _refuse_or_clear(store: WritableStore, *, overwrite: bool, unfinished: bool) -> None:
    if not isinstance(store, ListableStore) or not any(store.list_dir("")):
        return
    if not overwrite:
        raise ExistsError(
            f"{store.uri} {'holds an unfinished conversion' if unfinished else 'exists'}",
            code=Code.TARGET_EXISTS,
            fix=f"{'go on with --resume' if unfinished else 'choose another target'}, or replace it with --overwrite",
        )
    if not unfinished:
        try:
            open_in(store)
        except VoxariumError as error:
            raise ExistsError(
                f"{store.uri} holds other things than images",
                code=Code.TARGET_EXISTS,
                fix="choose another target; --overwrite replaces images only",
            ) from error
    store.put(JOB_KEY, b"{}\n")
    for key in sorted((k for k, _ in store.list("") if k != JOB_KEY), key=lambda k: k.count("/")):
        store.delete(key)


def _check_apart(dataset: Dataset, store: WritableStore) -> None:
    inside, outside = _real(dataset.store.uri, dataset.path), _real(store.uri, "")
    if f"{outside}/".startswith(f"{inside}/") or f"{inside}/".startswith(f"{outside}/"):
        raise InputError(
            f"the target {outside} and the source {inside} lie inside each other",
            code=Code.TARGET_IN_SOURCE,
            fix="choose a target outside the source",
        )


def _real(uri: str, path: str) -> str:
    where = "/".join(p for p in (uri, path.split("::", maxsplit=1)[0]) if p)
    local = where.removeprefix("file://")
    return where if local == where else f"file://{os.path.realpath(local)}"
