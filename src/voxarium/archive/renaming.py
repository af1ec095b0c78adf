"""Giving a member of a dataset another name: it moves to where that belongs, and whatever names it follows."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from voxarium.archive.collection_documents import relisted
from voxarium.archive.datasets import DatasetFolder, facts_of, open_in, thumbnail_path
from voxarium.archive.layouts import Facts
from voxarium.core.image import Image
from voxarium.errors import (
    Code,
    ExistsError,
    InputError,
    NotFoundError,
    ReleaseFrozenError,
    StoreError,
    UnsupportedError,
)
from voxarium.model.protocols import ListableStore
from voxarium.model.provenance import Activity, Artifact
from voxarium.spec.dataset_document import DatasetDocument, DatasetMember

__all__ = ["Renaming", "plan_renaming", "rename"]

_RELEASES: Final = "releases"
_LISTS: Final = ("zarr.json", ".zattrs", "datasource-properties.json")


@dataclass(frozen=True, slots=True)
class Renaming:
    """What would be done.

    Parameters
    ----------
    names : dict
        Old and new names of members.
    paths : dict
        Old and new paths, of members and their pictures.
    moves : tuple of (str, str)
        What is moved, from where to where; paths in the dataset.
    """

    names: dict[str, str]
    paths: dict[str, str]
    moves: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the plan as JSON."""
        return {"names": self.names, "moves": [{"from": old, "to": new} for old, new in self.moves]}


def plan_renaming(dataset: DatasetFolder, old: str, new: str) -> Renaming:
    """Return what it takes to rename a member; nothing is changed.

    Raises
    ------
    NotFoundError
        If there is no such member, or nothing lies where it should.
    InputError
        If the layout forbids the new name.
    ExistsError
        If the new name is taken, or something is in the way.
    ReleaseFrozenError
        If the dataset has releases: these name objects by where they lie.
    UnsupportedError
        If the dataset is not on a local disk.
    """
    folder, document = _local(dataset), dataset.document
    if isinstance(dataset.store, ListableStore) and any(map(len, dataset.store.list_dir(_RELEASES))):
        raise ReleaseFrozenError(
            f"{document[old].name} may belong to a release of {document.name}, which names objects by their paths",
            code=Code.NAME_REFUSED,
            fix="leave it there; convert or copy it into a member of the new name, which can link to the old one",
        )
    member = document[old]
    place = dataset.layout.place(document.name, new, _facts(dataset, member))
    taken = document.find(place.name) or document.find(place.path)
    if taken is not None:
        raise ExistsError(
            f"{taken.name} is a member already", code=Code.TARGET_EXISTS, fix="choose another name, or rename that one"
        )
    if f"{place.path}/".startswith(f"{member.path}/") or f"{member.path}/".startswith(f"{place.path}/"):
        raise InputError(
            f"{place.path} and {member.path} lie inside each other",
            code=Code.ARGUMENT_INVALID,
            fix="choose a name beside the old one",
        )
    names, paths = {member.name: place.name}, {member.path: place.path}
    for other in document.members:
        if other.path.startswith(f"{member.path}/"):
            paths[other.path] = place.path + other.path.removeprefix(member.path)
            if other.name.startswith(f"{member.name}/"):
                names[other.name] = place.name + other.name.removeprefix(member.name)
    moves = [(member.path, place.path)]
    for before, after in names.items():
        if document[before].thumbnail == thumbnail_path(before):
            paths[thumbnail_path(before)] = thumbnail_path(after)
            moves.append((thumbnail_path(before), thumbnail_path(after)))
    _check_moves(folder, moves)
    return Renaming(names, paths, tuple(moves))


def rename(dataset: DatasetFolder, plan: Renaming) -> DatasetDocument:
    """Carry out what `plan_renaming` returned, and record it. After a stop, the same renaming goes on."""
    folder = _local(dataset)
    for before, after in plan.moves:
        _move(folder, before, after)
    old, new = plan.moves[0]
    (old_folder, _, old_name), (new_folder, _, new_name) = old.rpartition("/"), new.rpartition("/")
    for key in _lists(old_folder):
        data = dataset.store.get(key)
        changed = (
            None if data is None else relisted(key, data, old_name, new_name if old_folder == new_folder else None)
        )
        if changed is not None:
            dataset.store.put(key, changed)
    document = dataset.change(lambda d: d.renamed(plan.names, plan.paths))
    _remove_empty(folder, os.path.dirname(old))
    dataset.record(
        Activity(
            operation="rename",
            inputs=[Artifact(old)],
            outputs=[Artifact(new)],
            parameters={"names": dict(plan.names)},
        )
    )
    return document


def _lists(folder: str) -> Iterator[str]:
    for name in _LISTS:
        yield f"{folder}/{name}" if folder else name


def _facts(dataset: DatasetFolder, member: DatasetMember) -> Facts:
    """Return what is known of a member, from its own data if it is an image that opens."""
    if member.kind in ("image", "label"):
        found = open_in(dataset.address(member.path))
        if isinstance(found, Image):
            return facts_of(found)
    return Facts(kind=member.kind, format=member.format, role=member.role)


def _local(dataset: DatasetFolder) -> str:
    if dataset.folder is None:
        raise UnsupportedError(
            f"{dataset.uri} is not on a local disk, and objects cannot be moved there at once",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy the member to its new name, add that one, and remove the old one when nobody reads it",
        )
    return dataset.folder


def _check_moves(folder: str, moves: list[tuple[str, str]]) -> None:
    root = os.path.realpath(folder)
    for old, new in moves:
        source, target = os.path.join(folder, old), os.path.join(folder, new)
        for place in (source, target):
            above = os.path.realpath(os.path.dirname(place))
            if os.path.commonpath([root, above]) != root:
                raise InputError(
                    f"{place} leads out of the dataset by a symbolic link",
                    code=Code.KEY_UNSAFE,
                    fix="move it by hand, and correct dataset.json",
                )
        there, moved = os.path.lexists(source), os.path.lexists(target)
        if there and moved:
            raise ExistsError(f"{target} exists", code=Code.TARGET_EXISTS, fix="choose another name, or remove it")
        if not there and not moved and (old, new) == moves[0]:
            raise NotFoundError(
                f"nothing at {source}", code=Code.PATH_MISSING, fix="restore it, or correct its path in dataset.json"
            )


def _move(folder: str, old: str, new: str) -> None:
    source, target = os.path.join(folder, old), os.path.join(folder, new)
    if not os.path.lexists(source):  # moved before a stop, or a picture that nobody made
        return
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(source, target)
    except OSError as error:
        raise StoreError(
            f"{source} could not be moved to {target}: {error.strerror}",
            code=Code.STORE_UNWRITABLE,
            fix="check permissions, and that no other program has it open; then run the same command again",
        ) from error


def _remove_empty(folder: str, path: str) -> None:
    """Remove folders that the move left empty."""
    with contextlib.suppress(OSError):
        while path:
            os.rmdir(os.path.join(folder, path))
            path = os.path.dirname(path)
