"""Copies of a part: some members of a dataset, some levels, a region; documents then say what is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxarium.archive.collection_documents import COLLECTION_FILE, collection_document
from voxarium.archive.copying.documents import DOCUMENTS, ZarrEdits
from voxarium.archive.copying.history import is_history
from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.copying.parts import ImagePart, images_in, parts_of
from voxarium.archive.copying.sources import CopySource
from voxarium.archive.trees import Tree
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.spec.dataset_document import DatasetDocument, DatasetMember, dump_dataset, is_dataset, parse_dataset

__all__ = ["chosen_members", "narrow"]

_DATASET = "dataset.json"


def narrow(source: CopySource, options: CopyOptions) -> None:
    """Leave out what was not asked for, and let documents say so.

    Raises
    ------
    UnsupportedError
        If objects do not tell to which part they belong.
    InputError, NotFoundError
        If there is no such member, level or region.
    """
    if not options.partial:
        return
    tree = source.tree
    edits = ZarrEdits(tree.store.get)
    members = chosen_members(tree, options.images)
    if options.images:
        _keep_members(source, members, edits)
    if options.levels or options.box is not None:
        parts = parts_of(images_in(tree, [m.path for m in members]), options)
        _keep_parts(source, parts)
        for part in parts:
            source.notes += part.notes
            edits.without_levels(part.path, part.dropped)
            if part.cut:
                edits.with_present(part.path, {p.path or ".": p.bounds() for p in part.levels if p.kept})
    skip = len(tree.prefix) + 1 if tree.prefix else 0
    source.edit({key[skip:]: data for key, data in edits.result(tree.prefix).items()})
    if options.box is not None:
        source.notes.append(
            "what lies outside of the region reads as fill value; the attribute voxarium says what is there"
        )


# -------------------------------------------------------------------------------------------------------------- members
def chosen_members(tree: Tree, names: Sequence[str]) -> list[DatasetMember]:
    """Return the members of a dataset that were named.

    Raises
    ------
    InputError
        If the tree is no dataset, or a member lies in another one that was not named.
    NotFoundError
        If there is no such member.
    """
    if not names:
        return []
    document = _document(tree)
    members = list({m.name: m for m in (document[name] for name in names)}.values())
    paths = {m.path for m in members}
    for member in members:
        others = (m for m in document.members if m.path not in paths)
        around = next((m for m in others if member.path.startswith(f"{m.path}/")), None)
        if around is not None:
            raise InputError(
                f"{member.name} lies in {around.name}, whose documents speak of it",
                code=Code.ARGUMENT_INVALID,
                fix=f"copy {around.name} too, or it alone: voxarium copy SRC/{member.path} DST",
            )
    return members


def _document(tree: Tree) -> DatasetDocument:
    raw = tree.store.get(tree.at(_DATASET))
    if raw is None or not is_dataset(raw):
        raise InputError(
            f"{tree.uri} is no dataset, which would list members",
            code=Code.ARGUMENT_INVALID,
            fix="copy an image by its own address: voxarium copy SRC/PATH DST",
        )
    return parse_dataset(raw, tree.at(_DATASET))


def _keep_members(source: CopySource, members: Sequence[DatasetMember], edits: ZarrEdits) -> None:
    """Leave out other members, and what tells of the dataset as a whole: releases and log."""
    document = _document(source.tree)
    kept_names = {m.name for m in members}
    others = [m for m in document.members if m.name not in kept_names]
    for member in others:
        document = document.without_member(member.name)
        edits.drop(source.tree.at(member.path))
    belongs = [*(m.path for m in members), *(m.thumbnail for m in members if m.thumbnail), document.thumbnail]
    around = {"/".join(m.path.split("/")[:i]) for m in members for i in range(m.path.count("/") + 1)}

    def is_kept(key: str) -> bool:
        if any(key == p or key.startswith(f"{p}/") for p in belongs if p):
            return True
        folder, _, name = key.rpartition("/")
        return not is_history(key) and (not folder or (folder in around and name in DOCUMENTS))

    keys = source.listing.keys
    source.keep(np.fromiter((is_kept(keys.name(i)) for i in range(len(keys))), np.bool_, len(keys)))
    changed = {_DATASET: dump_dataset(document)}
    if source.tree.store.stat(source.tree.at(COLLECTION_FILE)) is not None:
        changed[COLLECTION_FILE] = collection_document(document)
    source.edit(changed)
    source.notes.append("releases and the log of the dataset are about the whole, and stay there")


# --------------------------------------------------------------------------------------------------- levels and regions
def _keep_parts(source: CopySource, parts: Sequence[ImagePart]) -> None:
    arrays = [array for part in parts for array in part.levels]
    at, keys = source.tree.at, source.listing.keys
    kept = np.ones(len(keys), np.bool_)
    absent = 0
    now = arrays[0] if arrays else None
    for i in range(len(keys)):
        key = at(keys.name(i))
        wanted = None if now is None else now.wants(key)
        if wanted is None:  # neighbours mostly belong to the same array
            for other in arrays:
                wanted = other.wants(key)
                if wanted is not None:
                    now = other
                    break
        if wanted is False:
            kept[i] = False
            absent += now is not None and now.kept
    source.absent = absent
    source.keep(kept)
    if not kept.any():
        raise NotFoundError(
            f"nothing of {source.tree.uri} was asked for", code=Code.PATH_MISSING, fix="choose other levels"
        )
