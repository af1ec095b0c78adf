"""What is in a collection, where each image of it goes, and the documents around them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from voxarium.conversion.options import DEFAULT_FORMAT
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.opening import open_image
from voxarium.core.registry import collection_drivers, writable_image_driver
from voxarium.errors import Code, InputError, VoxariumError
from voxarium.model.collection import CollectionInfo, Member, WritableCollectionDriver
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore, WritableStore

__all__ = ["Part", "can_hold", "check_documents", "collection_writer", "is_there", "iter_parts", "write_collection"]

_NAME: Final = re.compile(r"(?!\.)(?!__)[A-Za-z0-9_.-]{1,100}")


@dataclass(frozen=True, slots=True)
class Part:
    """An image of a collection, and where it goes below the target."""

    path: str
    open: Callable[[], Image]
    member: Member


# -- what there is
def iter_parts(dataset: Dataset, below: str = "") -> Iterator[tuple[str, CollectionInfo, list[Part]]]:
    """Yield (path below the target, what is to be written there, its images), inner collections first.

    Lists of members are read, no image. Wells are part of their plate.
    """
    parts: list[Part] = []
    taken: set[str] = set()
    for number, (keys, member, holder) in enumerate(_members(dataset)):
        path = _unique(_place(dataset.kind, member, number, keys), taken)
        if member.kind == "collection":
            inner = holder[member.path]
            if isinstance(inner, Dataset):
                yield from iter_parts(inner, f"{below}{path}/")
                continue
        parts.append(Part(f"{below}{path}", _opener(holder, member), replace(member, path=path)))
    members = tuple(p.member for p in parts)
    yield below, replace(dataset.info, members=members), parts


def _members(dataset: Dataset) -> Iterator[tuple[tuple[str, ...], Member, Dataset]]:
    """Yield (path of the well it is in, member, dataset that opens it)."""
    for member in dataset.members:
        inner = dataset[member.path] if dataset.kind == "plate" and member.kind == "collection" else None
        if not isinstance(inner, Dataset):
            yield (), member, dataset
            continue
        for image in inner.members:
            yield (member.path,), replace(image, facts={**member.facts, **image.facts}), inner


def _opener(holder: Dataset, member: Member) -> Callable[[], Image]:
    def opened() -> Image:
        found = holder[member.path]
        if isinstance(found, Image):
            return found
        raise InputError(
            f"{member.path} of {holder.name} is a {found.kind}, where an image is listed",
            code=Code.ARGUMENT_INVALID,
            fix="convert its images one by one, by their own addresses",
        )

    return opened


def _place(kind: str, member: Member, number: int, well: tuple[str, ...]) -> str:
    """Return where a member goes: where it was, if that is inside the target, else by its name or number."""
    safe = member.path if _is_safe(member.path) else ""
    if well:
        field = member.facts.get("field", number)
        return f"{well[0]}/{safe if safe and '/' not in safe else field}"
    if kind == "plate" and {"row", "column"} <= member.facts.keys():
        return f"{member.facts['row']}/{member.facts['column']}/{member.facts.get('field', number)}"
    if safe:
        return safe
    return member.name if kind != "series" and _NAME.fullmatch(member.name) else str(number)


def _is_safe(path: str) -> bool:
    try:
        checked_key(path)
    except InputError:
        return False
    return "::" not in path and all(_NAME.fullmatch(part) for part in path.split("/"))


def _unique(path: str, taken: set[str]) -> str:
    found, number = path, 1
    while found in taken:
        number += 1
        found = f"{path}_{number}"
    taken.add(found)
    return found


# -- documents
def collection_writer(format: str) -> WritableCollectionDriver | None:
    """Return the driver that writes collections of a format; None when there is none."""
    for driver in collection_drivers():
        if driver.name == format and isinstance(driver, WritableCollectionDriver):
            return driver
    return None


def can_hold(format: str) -> bool:
    """Tell whether collections can be written in a format."""
    return collection_writer(format) is not None


def write_collection(
    store: WritableStore, info: CollectionInfo, *, format: str = DEFAULT_FORMAT, spec_version: str, path: str = ""
) -> int:
    """Write the documents around images that are there; return how many.

    Parameters
    ----------
    store : WritableStore
        Where the images are.
    info : CollectionInfo
        A plate (images ``row/column/image``, rows and columns in `facts`), or a container of series. Members whose
        images cannot be opened are left out, so that no document names what is not there.
    path : str
        Path of the collection in the store.

    Raises
    ------
    InputError
        If the format has no such collections, or a rule of it would be broken.
    """
    driver = collection_writer(format)
    if driver is None:
        raise InputError(
            f"{format} has no documents for a {info.kind}",
            code=Code.ARGUMENT_INVALID,
            fix="write the images into a folder",
        )
    present = tuple(m for m in info.members if is_there(store, f"{path}/{m.path}" if path else m.path))
    documents = driver.dump(replace(info, members=present), spec_version)
    for key, data in documents.items():
        store.put(f"{path}/{key}" if path else key, data)
    return len(documents)


def is_there(store: ReadableStore, path: str = "") -> bool:
    """Tell whether a complete image is at `path`."""
    try:
        open_image(store, path)
    except VoxariumError:
        return False
    return True


def check_documents(info: CollectionInfo, format: str, version: str | None) -> None:
    """Refuse now what would be refused at the end."""
    driver = collection_writer(format)
    if driver is not None and info.kind in driver.kinds and info.members:
        driver.dump(info, version or writable_image_driver(format).spec_versions[0])
