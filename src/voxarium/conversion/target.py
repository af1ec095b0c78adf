"""The place an image is written to: what may be there before, and the documents that make it an image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from voxarium.conversion.finished import TakeObjects
from voxarium.conversion.history import activity_of
from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.conversion.packaging import check_suffix, packaging_driver, parts_address
from voxarium.conversion.plan import Plan
from voxarium.core.array import Array
from voxarium.core.cropped import PartOfArray
from voxarium.core.guarding import check_published
from voxarium.core.image import Image
from voxarium.core.journal import JOB_KEY
from voxarium.core.opening import images_below, open_image
from voxarium.core.registry import image_drivers, writable_array_driver, writable_image_driver
from voxarium.core.uri import is_archive, open_hierarchy, open_target_store
from voxarium.errors import Code, ExistsError, InputError, StoreError, VoxariumError
from voxarium.model.copies import CopyingDriver
from voxarium.model.protocols import ListableStore, ResumableStore, WritableArrayDriver, WritableStore
from voxarium.model.provenance import HistoryDriver

__all__ = [
    "Target",
    "check_apart",
    "check_documents",
    "clear_partial",
    "image_documents",
    "open_target",
    "put_documents",
    "refuse_or_clear",
]


@dataclass(frozen=True, slots=True)
class Target:
    """Where an image goes: its own store, and the hierarchy around it, where listings may need an entry.

    `file` is given for targets that are one file: the store then holds its parts, beside it, and `path` is its name.
    `take_objects` is told what an image consists of, before its ledger is forgotten: if it fails, the job resumes.
    """

    store: WritableStore
    hierarchy: WritableStore
    path: str
    file: str | None = None
    take_objects: TakeObjects | None = None


def _markers() -> tuple[str, ...]:
    """Return the names of the documents that make a folder a group."""
    return tuple({m for d in image_drivers() for m in getattr(d, "hierarchy_markers", ())})


def open_target(uri: str | os.PathLike[str], format: str = DEFAULT_FORMAT, **options: Any) -> Target:
    """Open a place to write an image of a convention to.

    Raises
    ------
    InputError
        If nothing can be written there.
    """
    convention = writable_image_driver(format)
    one_file = packaging_driver(convention) is not None
    if one_file or is_archive(uri):
        address = os.fspath(uri)
        if one_file:
            check_suffix(convention, address)
        store = open_target_store(parts_address(address), **options)
        file = os.path.abspath(address.removeprefix("file://").rstrip("/"))
        if not one_file:
            return Target(store, store, "", file)  # an archive is a place of its own, whatever is beside it
        folder, name = os.path.split(file)
        return Target(store, open_target_store(folder, **options), name, file)
    expanded = getattr(convention, "expanded", None)  # an address that leaves out what usually follows
    if expanded is not None:
        uri = expanded(os.fspath(uri))
    hierarchy, path = open_hierarchy(uri, convention, **options)
    return Target(open_target_store(uri, **options), hierarchy, path)


def check_apart(source: Image, target: Target) -> None:
    """Refuse to write a target inside its own source, or over it."""
    inside = _real("/".join(p for p in (source.store.uri, source.path.split("::")[0]) if p))
    outside = _real(target.store.uri if target.file is None else f"file://{target.file}")
    if (
        target.path
        and target.file is None
        and source.info.levels[0].path != ""
        and _real(target.hierarchy.uri) == inside
    ):
        return  # it becomes a part of the source, such as one of its label images
    if f"{outside}/".startswith(f"{inside}/") or f"{inside}/".startswith(f"{outside}/"):
        raise InputError(
            f"the target {outside} and the source {inside} lie inside each other",
            code=Code.TARGET_IN_SOURCE,
            fix="choose a target outside the source",
        )


def _real(uri: str) -> str:
    """Return an address with links of the file system followed, so that one place has one name."""
    path = uri.removeprefix("file://")
    return uri if path == uri else f"file://{os.path.realpath(path)}"


def refuse_or_clear(target: Target, *, overwrite: bool) -> None:
    """Refuse a target that exists, or empty it.

    Raises
    ------
    ExistsError
        If it exists and is not to be replaced, or is something else than an image.
    """
    store = target.store
    if not isinstance(store, ListableStore):
        return
    files, folders = store.list_dir("")
    if not files and not folders:
        return
    unfinished = store.stat(JOB_KEY) is not None
    if not overwrite:
        fix = "go on with --resume" if unfinished else "choose another target"
        raise ExistsError(
            f"{store.uri} {'holds an unfinished conversion' if unfinished else 'exists'}",
            code=Code.TARGET_EXISTS,
            fix=f"{fix}, or replace it with --overwrite",
        )
    if not unfinished and not {*_markers()} & {*files} and not _is_writable(target):
        raise ExistsError(
            f"{store.uri} holds other things than an image, such as {[*files, *folders][0]!r}",
            code=Code.TARGET_EXISTS,
            fix="choose another target; --overwrite replaces images only",
        )
    with contextlib.suppress(StoreError):  # a full disk is about to be cleared
        store.put(JOB_KEY, b"{}\n")  # whoever finds the remains of a killed clearing knows whose they are
    # Metadata goes first: from here on nobody takes the remains for an image.
    kept = _images_inside(store)
    keys = [k for k, _ in store.list("") if k != JOB_KEY and not _belongs(k, kept)]
    for key in sorted(keys, key=lambda k: (k.count("/"), k.rsplit("/", 1)[-1].isdigit())):
        store.delete(key)
    clear_partial(target.store)


def _is_writable(target: Target) -> bool:
    """Tell whether an image or array of a kind this package writes is there; a folder of slices is none."""
    for store, path in ((target.store, ""), (target.hierarchy, target.path)):
        try:
            return isinstance(_stored(open_image(store, path)).driver, WritableArrayDriver)
        except VoxariumError:
            continue
    return False


def _stored(image: Image) -> Array:
    """Return the stored array of level 0, of which the level may show a part."""
    array = image.arrays[0]
    return array.stored if isinstance(array, PartOfArray) else array


def _images_inside(store: ListableStore) -> tuple[str, ...]:
    """Return the paths of images below the root, such as labels: replacing the image around does not replace them."""
    conventions = {d.name for d in image_drivers()}
    found, broken = images_below(store)
    return (*(image.path for image in found if image.info.format in conventions), *broken)


def _belongs(key: str, kept: tuple[str, ...]) -> bool:
    """Tell whether a key is part of what is kept, or a document of a folder around it other than the root."""
    folder = key.rpartition("/")[0]
    return any(key.startswith(f"{path}/") or (folder and path.startswith(f"{folder}/")) for path in kept)


def clear_partial(store: WritableStore) -> None:
    """Remove what killed writers left in a store that can have such."""
    if isinstance(store, ResumableStore):
        store.clear_partial()


def image_documents(plan: Plan, target: Target, levels: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """Return the documents of the image and of the listings around it, as they have to be now.

    `levels` are those of the levels, by their keys below the image, which some conventions repeat.

    Raises
    ------
    InputError, FormatError
        If the image cannot become part of what is around it.
    """
    convention = writable_image_driver(plan.format)
    touched = convention.touched(target.path, plan.image, plan.spec_version)
    found = {key: target.hierarchy.get(key) for key in touched}
    existing = {key: data for key, data in found.items() if data is not None}
    documents = dict(convention.dump(target.path, plan.image, plan.spec_version, existing))
    if isinstance(convention, HistoryDriver):
        documents = convention.dump_history(target.path, activity_of(plan)) | documents
    if levels is None or not isinstance(convention, CopyingDriver):
        return documents
    inside = {f"{target.path}/{key}" if target.path else key: data for key, data in levels.items()}
    return convention.with_copies(target.path, documents, inside, existing)


def _level_documents(plan: Plan) -> dict[str, bytes]:
    convention = writable_image_driver(plan.format)
    container = writable_array_driver(convention.array_driver(plan.spec_version))
    return {k: data for level in plan.levels for k, data in container.dump(level.path, level.info).items()}


def check_documents(plan: Plan, target: Target) -> None:
    """Refuse now what would be refused at the end, when listings around the image are written.

    Raises
    ------
    InputError, FormatError
        If the image cannot become part of what is around it.
    ReleaseFrozenError
        If a listing would have to change that was published.
    """
    prefix = f"{target.path}/" if target.path else ""
    for key, data in image_documents(plan, target, _level_documents(plan)).items():
        if prefix and not key.startswith(prefix):
            check_published(target.hierarchy, key, data)


def put_documents(plan: Plan, target: Target) -> list[tuple[str | None, bytes]]:
    """Store the metadata: arrays, then the image, then listings around it.

    Returns
    -------
    list of (str or None, bytes)
        Key and content of each; None for what is not in the image's own folder.
    """
    prefix = f"{target.path}/" if target.path else ""
    levels = _level_documents(plan)
    put: list[tuple[str | None, bytes]] = []
    for key, data in levels.items():
        target.store.put(key, data)
        put.append((key, data))
    for key, data in image_documents(plan, target, levels).items():
        inside = key.startswith(prefix)
        if prefix and inside:
            target.store.put(key[len(prefix) :], data)
        else:
            target.hierarchy.put(key, data)
        put.append((key[len(prefix) :] if inside else None, data))
    return put
