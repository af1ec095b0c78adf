"""What should be in a place that cannot be listed: what releases list, or what metadata of images say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from voxarium.archive.copying.history import is_history, iter_history
from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.copying.partial import chosen_members
from voxarium.archive.copying.parts import ImagePart, images_in, parts_of
from voxarium.archive.trees import Tree
from voxarium.core.executor import Cancel, ThreadExecutor
from voxarium.core.releases import has_releases, iter_releases, release_manifest
from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError

__all__ = ["expected_objects"]

_MOST: Final = 1 << 23
_REQUESTS: Final = 32
_DOCUMENTS: Final = (
    "zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata", "attributes.json", "info", "provenance", "header.wkw",
)  # fmt: skip
_AT_THE_ROOT: Final = (
    "dataset.json", "collection.json", "datasource-properties.json", "OME/METADATA.ome.xml", "README.md", "LICENSE",
)  # fmt: skip


def expected_objects(tree: Tree, options: CopyOptions) -> Iterator[tuple[str, int]]:
    """Yield (key, size) of what is there of what should be, without a listing.

    Raises
    ------
    UnsupportedError
        If nobody can tell what should be there.
    """
    if not tree.prefix and has_releases(tree.store):
        yield from _published(tree)
        return
    try:
        images = images_in(tree, [m.path for m in chosen_members(tree, options.images)])
    except (NotFoundError, FormatError) as error:
        raise UnsupportedError(
            f"{tree.uri} cannot be listed, and no image opens there: {error.message}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="name an image or a release (…/DATASET@v1.0), or give a manifest with --manifest",
        ) from error
    parts = parts_of(images, options)
    count = sum(level.count for part in parts for level in part.levels)
    if count > _MOST:
        raise UnsupportedError(
            f"{tree.uri} cannot be listed, and would have to be asked for {count:,} objects",
            code=Code.FEATURE_UNSUPPORTED,
            fix="give a manifest with --manifest, or copy a part: --level, --box",
        )
    skip = len(tree.prefix) + 1 if tree.prefix else 0
    yield from ((key[skip:], size) for key, size in _asked(tree, dict.fromkeys(_keys(tree, parts))))


def _published(tree: Tree) -> Iterator[tuple[str, int]]:
    """Yield what the releases of a dataset list, as it is now, and what tells of them."""
    keys: dict[str, None] = {}
    for stored in iter_releases(tree.store):
        keys |= dict.fromkeys(release_manifest(tree.store, stored.release).keys)
    yield from _asked(tree, (key for key in keys if not is_history(key)))
    yield from iter_history(tree.store)


def _keys(tree: Tree, parts: list[ImagePart]) -> Iterator[str]:
    """Yield the keys of objects and documents that may be there."""
    folders: dict[str, None] = {tree.prefix: None}
    for part in parts:
        paths = [level.array.path for level in part.levels if level.kept]
        for path in (part.path, *paths):
            while path != tree.prefix and path.startswith(f"{tree.prefix}/" if tree.prefix else ""):
                folders[path] = None
                path = path.rpartition("/")[0]
    yield from (f"{folder}/{name}" if folder else name for folder in folders for name in _DOCUMENTS)
    yield from (tree.at(name) for name in _AT_THE_ROOT)
    for part in parts:
        for level in part.levels:
            yield from level.iter_keys()


def _asked(tree: Tree, keys: Iterable[str]) -> Iterator[tuple[str, int]]:
    def ask(key: str) -> tuple[str, int]:
        stat = tree.store.stat(key)
        return key, -1 if stat is None else stat.size

    workers = ThreadExecutor(min(_REQUESTS, max(1, tree.store.concurrency)))
    for key, size in workers.map_unordered(ask, iter(keys), Cancel()):
        if size >= 0:
            yield key, size
