"""What differs between two releases: objects by their manifests, voxels by the digests of blocks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from voxarium.archive.releases import open_dataset_store
from voxarium.core.digesting import compare
from voxarium.core.digesting.comparing import TREE_SUFFIX, Comparison
from voxarium.core.image import Image
from voxarium.core.opening import open_in
from voxarium.core.release_store import ReleaseStore, open_release_store
from voxarium.errors import Code, InputError, VoxariumError
from voxarium.model.protocols import ReadableStore
from voxarium.spec.logical_digest import LogicalDigest, parse_tree
from voxarium.spec.manifest import Manifest, differences

__all__ = ["ChangedObject", "ImageDiff", "ReleaseDiff", "diff_releases"]

_LISTED: Final = 1000


@dataclass(frozen=True, slots=True)
class ChangedObject:
    """An object that differs: its size before and after, None where it was not there."""

    key: str
    before: int | None
    after: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageDiff:
    """What became of an image.

    Parameters
    ----------
    before, after : str
        Its key in the two releases.
    comparison : Comparison or None
        Blocks and voxels that differ; None when they could not be compared.
    reason : str
        Why they could not be compared, or not be counted; empty otherwise.
    """

    before: str
    after: str
    comparison: Comparison | None
    reason: str = ""

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return it for ``--json``."""
        found = self.comparison
        out: dict[str, Any] = {"before": self.before, "after": self.after, "reason": self.reason}
        if found is not None:
            box = None if found.box is None else {"origin": list(found.box.origin), "shape": list(found.box.shape)}
            regions = [{"origin": list(b.origin), "shape": list(b.shape)} for b in found.blocks[:_LISTED]]
            out |= {"equal": found.equal, "axes": list(found.axes), "voxels": found.voxels, "box": box}
            out |= {"blocks": found.total, "changed_blocks": len(found.blocks), "regions": regions}
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseDiff:
    """What differs between two releases.

    Parameters
    ----------
    old, new : str
        Their names.
    added, removed, changed : tuple of ChangedObject
        Objects, by key.
    same : int
        Number of objects that both have.
    images : tuple of ImageDiff
        Images that were compared.
    """

    old: str
    new: str
    added: tuple[ChangedObject, ...]
    removed: tuple[ChangedObject, ...]
    changed: tuple[ChangedObject, ...]
    same: int
    images: tuple[ImageDiff, ...] = ()

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return it for ``--json``."""
        return {
            "old": self.old,
            "new": self.new,
            "added": [{"key": o.key, "bytes": o.after} for o in self.added],
            "removed": [{"key": o.key, "bytes": o.before} for o in self.removed],
            "changed": [{"key": o.key, "before": o.before, "after": o.after} for o in self.changed],
            "same": self.same,
            "images": [i.to_json() for i in self.images],
        }


def diff_releases(
    dataset: str | os.PathLike[str] | ReadableStore,
    old: str,
    new: str,
    *,
    images: Sequence[tuple[str, str]] = (),
    threads: int | None = None,
) -> ReleaseDiff:
    """Compare two releases of a dataset.

    Parameters
    ----------
    dataset : str, path or ReadableStore
        The dataset.
    old, new : str
        Names of the releases.
    images : sequence of (str, str)
        Keys of images to compare too, in the old release and in the new one: ``("em/cells", "em/cells-2")``. Images
        with a tree of digests beside them (``em/cells.vldtree``) that differs are compared in any case.
    threads : int or None
        None = one per processor.

    Notes
    -----
    Where both images have such a tree, nothing but blocks that differ is decoded.
    """
    store = dataset if isinstance(dataset, ReadableStore) else open_dataset_store(dataset)
    before, after = (open_release_store(store, name, withdrawn=True) for name in (old, new))
    a, b = before.manifest, after.manifest
    found = differences(a, b)
    changed = tuple(ChangedObject(a.keys[i], int(a.sizes[i]), int(b.sizes[j])) for i, j in found.changed.tolist())
    trees = [o.key.removesuffix(TREE_SUFFIX) for o in changed if o.key.endswith(TREE_SUFFIX)]
    pairs = [*images, *((key, key) for key in trees if (key, key) not in images)]
    return ReleaseDiff(
        old=old,
        new=new,
        added=tuple(ChangedObject(b.keys[i], None, int(b.sizes[i])) for i in found.added.tolist()),
        removed=tuple(ChangedObject(a.keys[i], int(a.sizes[i]), None) for i in found.removed.tolist()),
        changed=changed,
        same=len(a) - len(found.removed) - len(found.changed),
        images=tuple(_image_diff(before, after, pair, threads) for pair in pairs),
    )


def _image_diff(before: ReleaseStore, after: ReleaseStore, pair: tuple[str, str], threads: int | None) -> ImageDiff:
    keys = tuple(key.strip("/") for key in pair)
    stores = (before, after)
    for store, key in zip(stores, keys, strict=True):
        if not _holds(store.manifest, store, key):
            raise InputError(
                f"release {store.name} holds nothing at {key}",
                code=Code.ARGUMENT_INVALID,
                fix="name an image by its key in the dataset",
            )
    reason = ""
    try:
        trees = tuple(_tree(store, key) for store, key in zip(stores, keys, strict=True))
        opened = [_image(store, key) for store, key in zip(stores, keys, strict=True)]
        return ImageDiff(
            before=keys[0], after=keys[1], comparison=compare(*opened, trees=(trees[0], trees[1]), threads=threads)
        )
    except VoxariumError as error:  # what the old release had may be gone, yet its digests tell where it differs
        reason = error.message
    try:
        found = [tree for store, key in zip(stores, keys, strict=True) if (tree := _tree(store, key)) is not None]
        comparison = compare(found[0], found[1]) if len(found) == 2 else None
    except VoxariumError:
        comparison = None
    return ImageDiff(before=keys[0], after=keys[1], comparison=comparison, reason=reason)


def _holds(manifest: Manifest, store: ReleaseStore, key: str) -> bool:
    return manifest.find(key) >= 0 or next(iter(store.list(key)), None) is not None


def _image(store: ReleaseStore, key: str) -> Image:
    found = open_in(store, key)
    if isinstance(found, Image):
        return found
    raise InputError(f"{key} holds several images", code=Code.ARGUMENT_INVALID, fix="name one of them")


def _tree(store: ReleaseStore, key: str) -> LogicalDigest | None:
    """Return the digests that lie beside an image; None when there are none."""
    data = store.get(key + TREE_SUFFIX)
    return None if data is None else parse_tree(data, key + TREE_SUFFIX)
