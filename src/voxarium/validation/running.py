"""Running a validation: walk, open, examine, count, decode."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.opening import described_above, find, open_image
from voxarium.core.registry import check_drivers, image_drivers
from voxarium.core.uri import open_source_store
from voxarium.errors import Code, InputError, NotFoundError, VoxariumError
from voxarium.model.keys import resolved_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.rules import DEPTHS, PROFILES, Depth, Profile
from voxarium.spec.dataset_document import OWN_FOLDERS
from voxarium.validation.census import checked_levels, take_census
from voxarium.validation.data import check_data, level_shifts
from voxarium.validation.examining import examine
from voxarium.validation.general import note_error
from voxarium.validation.histograms import histogram_drivers
from voxarium.validation.objects import ObjectMap
from voxarium.validation.publishing import check_publishing
from voxarium.validation.registry import all_rules, links
from voxarium.validation.report import Report, report_of
from voxarium.validation.walking import Visit, Walk

__all__ = ["ValidationProgress", "validate", "validate_in"]


_OURS: Final = frozenset({".voxarium-fix", ".voxarium-upgrade", *OWN_FOLDERS})  # folders of this program
_NOTHING: Final = (Code.FORMAT_UNRECOGNISED, Code.METADATA_MISSING, Code.FOLDER_EMPTY)


@dataclass(frozen=True, slots=True)
class ValidationProgress:
    """How far a validation is: what it is doing, to what, and how much of it is done (0 of 0 where nobody knows)."""

    stage: str
    what: str
    done: int = 0
    total: int = 0
    unit: str = ""


@dataclass(slots=True)
class _Run:
    """One validation under way."""

    store: ReadableStore
    walk: Walk
    depth: Depth
    sample: float
    threads: int | None
    progress: Callable[[ValidationProgress], None] | None
    examined: dict[str, int] = field(default_factory=dict)
    maps: dict[str, Any] = field(default_factory=dict)
    shifts: dict[str, dict[str, tuple[tuple[str, float], ...]]] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)  # paths of what opened
    levels: set[str] = field(default_factory=set)  # paths of arrays that belong to an image
    members: set[str] = field(default_factory=set)  # paths that a collection names, where something has to be
    others: set[str] = field(default_factory=set)  # paths of images and arrays that are none's level
    said: set[str] = field(default_factory=set)  # why something does not open
    done: dict[str, int] = field(default_factory=dict)  # for progress

    def say(self, stage: str, what: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        if self.progress is not None:
            self.progress(ValidationProgress(stage, what, done, total, unit))

    def count(self, what: str, n: int = 1) -> None:
        self.examined[what] = self.examined.get(what, 0) + n


def validate(
    uri: str | os.PathLike[str],
    *,
    depth: Depth = "hierarchy",
    profile: Profile = "spec",
    sample: float = 1.0,
    threads: int | None = None,
    progress: Callable[[ValidationProgress], None] | None = None,
) -> Report:
    """Check what is at an address against the rules of its format, and against rules about any image.

    Parameters
    ----------
    uri : str or path
        An image, an array, a plate or another collection, a file, or a folder of such.
    depth : str
        ``document``: metadata alone; ``hierarchy``: also what they name, shapes, types and coordinates; ``census``:
        also every stored object, listed; ``data``: also every voxel, decoded.
    profile : str
        What makes the result invalid: ``schema``, ``schema-strict``, ``spec``, ``strict``, ``quality`` or ``publish``.
    sample : float
        Part of the stored objects that is decoded at depth ``data``; the same ones every time.
    threads : int or None
        None = one per processor.
    progress : callable or None
        Told now and then how far it is.

    Returns
    -------
    Report
        All findings. Memory: metadata of one image at a time, one byte per stored object, and at depth ``data`` the
        blocks that threads work on.

    Raises
    ------
    NotFoundError
        If there is nothing at the address.
    StoreError
        If it cannot be read at all.
    """
    for above, within, name in described_above(uri):
        try:
            open_image(above, within, format=name)
        except VoxariumError:
            continue  # it is not described there after all, or opening what is named will say what is wrong
        return validate_in(
            above,
            within=within,
            depth=depth,
            profile=profile,
            sample=sample,
            threads=threads,
            progress=progress,
        )
    store, path = open_source_store(uri)
    return validate_in(store, path, depth=depth, profile=profile, sample=sample, threads=threads, progress=progress)


def validate_in(
    store: ReadableStore,
    path: str = "",
    *,
    within: str = "",
    depth: Depth = "hierarchy",
    profile: Profile = "spec",
    sample: float = 1.0,
    threads: int | None = None,
    progress: Callable[[ValidationProgress], None] | None = None,
) -> Report:
    """Check what is at a path in a store; see `validate`.

    With `within`, a path, documents at `path` are checked, and of what they name only what is there.
    """
    _check_choice("depth", depth, DEPTHS)
    _check_choice("profile", profile, PROFILES)
    if not 0 < sample <= 1:
        raise InputError(f"sample is {sample}", code=Code.ARGUMENT_INVALID, fix="give a part above 0, at most 1")
    run = _Run(store, Walk(store, depth, check_drivers(), within=within), depth, sample, threads, progress)
    _walk(run, path)
    if depth in ("census", "data"):
        for where in run.images:
            _check_stored(run, where)
    if profile == "publish":
        check_publishing(run.walk.found, store, path)
    run.examined |= {"nodes": run.walk.nodes, "documents": len(run.walk.documents)}
    found = run.walk.found
    known = links(all_rules())
    return report_of(
        found.findings,
        found.counts,
        profile,
        uri="/".join(p for p in (store.uri, within or path) if p),
        depth=depth,
        sample=sample,
        examined=dict(sorted(run.examined.items())),
        links={f.rule: known(f.rule) for f in found.findings},
        maps=run.maps,
        shifts=run.shifts,
    )


def _check_choice(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InputError(f"{name} is {value!r}", code=Code.ARGUMENT_INVALID, fix=f"use one of {', '.join(known)}")


# -- stored objects and voxels
def _check_stored(run: _Run, where: str) -> None:
    """Count the stored objects of an image, and read them where that is asked for."""
    try:
        image = open_image(run.store, where)
        maps = _take_census(run, image)
        if run.depth == "data":
            _read(run, image, maps)
    except VoxariumError as error:
        note_error(run.walk.found, where, error)


def _take_census(run: _Run, image: Image) -> Mapping[str, ObjectMap]:
    counted = take_census(
        checked_levels(image),
        known=partial(_is_known, run, image.path),
        threads=run.threads,
        progress=partial(_counted, run, "objects", image.path, 0),
    )
    run.walk.found.extend(counted.findings)
    run.count("objects", counted.keys)
    run.count("absent objects", sum(c.absent for c in counted.counts.values()))
    run.count("bytes", counted.nbytes)
    run.maps |= counted.maps
    return counted.maps


def _read(run: _Run, image: Image, maps: Mapping[str, ObjectMap]) -> None:
    run.done["voxels"] = 0
    total = sum(array.size for array in image.arrays) if run.sample == 1 else 0
    read = check_data(
        image,
        sample=run.sample,
        census=maps,
        threads=run.threads,
        progress=partial(_counted, run, "voxels", image.path, total),
        histogram=lambda info: bool(histogram_drivers(info)),
    )
    run.walk.found.extend(read.findings)
    run.count("chunks", read.chunks)
    run.count("voxels", read.voxels)
    run.maps |= read.maps
    for array in image.arrays:
        histogram = read.histograms.get(array.path)
        if histogram is not None:
            for driver in histogram_drivers(array.info):
                run.walk.found.extend(driver.check_histogram(array.path, array.info, histogram))


def _counted(run: _Run, what: str, where: str, total: int, more: int) -> None:
    run.done[what] = run.done.get(what, 0) + more
    run.say("census" if what == "objects" else "data", where, run.done[what], total, unit=what)


def _is_known(run: _Run, where: str, key: str) -> bool:
    """Tell whether a key is a document, or belongs to another image below the one that is counted."""
    if key in run.walk.documents or any(part in _OURS for part in key.split("/")[:-1]):
        return True
    folder = key.rpartition("/")[0]
    while len(folder) > len(where):
        if folder in run.others:
            return True
        folder = folder.rpartition("/")[0]
    return False


# -- metadata
def _walk(run: _Run, path: str) -> None:
    nothing: NotFoundError | None = None
    for visit in run.walk.visits(path):
        run.say("metadata", visit.path, run.walk.nodes, unit="nodes")
        if run.depth == "document" and visit.kind is not None:
            if visit.kind != "group":
                run.count("arrays" if visit.kind == "array" else "images")
            continue
        try:
            if _open(run, visit):
                run.walk.taken.add(visit.path)
        except NotFoundError as error:
            if visit.kind in (None, "group") and error.code in _NOTHING and visit.path not in run.members:
                nothing = nothing or error  # a file or folder that is none of ours
                continue
            _note(run, visit, error)
        except VoxariumError as error:
            run.walk.taken.add(visit.path)
            _note(run, visit, error)
    if nothing is not None and not run.walk.nodes and not run.walk.taken:
        raise nothing


def _note(run: _Run, visit: Visit, error: VoxariumError) -> None:
    """Add that something does not open; of a level only, what its image has not said yet."""
    if not (_is_level(visit) and error.message in run.said):
        note_error(run.walk.found, visit.path, error)
    run.said.add(error.message)


def _is_level(visit: Visit) -> bool:
    """Tell whether an array is one that an image names: its own arrays are seen alone where the image does not open."""
    return visit.kind == "array" and bool(visit.teller)


def _open(run: _Run, visit: Visit) -> bool:
    """Open what a visit found, and look at it as at any image; the arrays of its levels are visited next.

    Return False where only members were found that stand for themselves: they are visited next, and looked for.
    """
    if visit.path in run.levels:
        return True
    found: Image | Dataset
    known = visit.kind not in (None, "group")
    found = open_image(run.store, visit.path) if known else find(run.store, visit.path)
    if isinstance(found, Dataset):
        run.walk.closed.update(f"{visit.path}/{name}" if visit.path else name for name in found.info.own_folders)
    if isinstance(found, Dataset) and not known and _stand_alone(found):
        for member in found.members:
            path = resolved_key(visit.path, member.path)
            run.members.add(path)
            run.walk.add(path, visit)
        return False
    for image in _images(found):
        _look_at(run, visit, image)
    if isinstance(found, Dataset):
        for key, error in found.problems.items():
            note_error(run.walk.found, f"{visit.path}/{key}" if visit.path else key, error)
    return True


def _look_at(run: _Run, visit: Visit, image: Image) -> None:
    run.count("arrays", len(image.levels))
    if len(image.levels) > 1 or image.levels[0].path:
        run.count("images")
        for path in (resolved_key(image.path, level.path) for level in image.levels if "::" not in image.path):
            run.levels.add(path)
            run.walk.add(path, visit)
    run.images.append(image.path)
    run.others.add(image.path)
    if not _is_level(visit):
        examine(run.walk.found, image)
        shifts = level_shifts(image)
        if shifts:
            run.shifts[image.path] = shifts


def _stand_alone(found: Dataset) -> bool:
    """Tell whether members are images of any format in folders of their own, which have documents to be checked."""
    own = {d.name for d in image_drivers()}
    return (
        found.kind == "collection" and found.info.format not in own and not any("::" in m.path for m in found.members)
    )


def _images(found: Image | Dataset) -> Iterator[Image]:
    if isinstance(found, Image):
        yield found
    else:
        yield from (image for _, image in found.iter_images())
