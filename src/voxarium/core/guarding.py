"""Whether a place to write to lies in a dataset that has releases, which then must not be changed.

Outside of such datasets this costs one look for a file in each folder above.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import cast
from urllib.parse import urlsplit

from voxarium.errors import Code, StoreError
from voxarium.model.protocols import ObjectWriter, ReadableStore, WritableStore
from voxarium.spec.release import release_key

__all__ = ["check_published", "guarded", "is_published", "refuse_published", "restoring_writer"]


def is_published(folder: str) -> bool:
    """Tell whether a local folder is a dataset that has releases."""
    return os.path.isfile(os.path.join(folder, *release_key(1).split("/")))


def refuse_published(path: str | os.PathLike[str]) -> None:
    """Refuse to write a local file that is part of a release: for those who write files without a store.

    Raises
    ------
    ReleaseFrozenError
        If it is.
    """
    from voxarium.stores.local import LocalStore

    folder, name = os.path.split(os.path.abspath(path))
    check_published(guarded(LocalStore(folder), "file", folder, LocalStore), name)


def check_published(store: ReadableStore, key: str, data: bytes | None = None) -> None:
    """Refuse early what a store from `guarded` would refuse when it is written.

    Raises
    ------
    ReleaseFrozenError
        If the object is part of a release, and `data` are not what the release has.
    """
    check = getattr(store, "check", None)  # `core.frozen` is only imported where there are releases
    if check is not None:
        check(key, data)


def restoring_writer(store: WritableStore, key: str, digest: bytes) -> ObjectWriter:
    """Begin an object of a store from `guarded` that is to have a SHA-256: also one that was published with it.

    The caller compares what it wrote with the digest before it lets the object appear.

    Raises
    ------
    ReleaseFrozenError
        If it was published with other content.
    """
    restore: Callable[[str, bytes], ObjectWriter] | None = getattr(store, "restore", None)
    return store.create(key) if restore is None else restore(key, digest)


def guarded(store: WritableStore, scheme: str, base: str, open_folder: Callable[[str], ReadableStore]) -> WritableStore:
    """Return a store that refuses to change what was published, if it lies in a dataset that has releases.

    Parameters
    ----------
    store : WritableStore
        A place to write to.
    scheme, base : str
        Its address, as `voxarium.core.uri.parse_uri` gives it; a local path is absolute.
    open_folder : callable
        Opens a folder above it.
    """
    if scheme == "file":
        for path in {base: None, os.path.realpath(base): None}:
            for folder in _above(path):
                if is_published(folder):
                    return _guard(store, open_folder(folder), os.path.relpath(path, folder).replace(os.sep, "/"))
        return store
    bottom = len(base) - len(urlsplit(base).path)
    for folder in _above(base, bottom):
        try:
            dataset = store if folder == base else open_folder(folder)
            if dataset.stat(release_key(1)) is not None:
                return _guard(store, dataset, base[len(folder) :].strip("/") or ".")
        except StoreError as error:
            if folder == base or error.code != Code.STORE_PERMISSION:
                raise
            break  # who may not look there may not publish there either
    return store


def _above(path: str, bottom: int = 0) -> Iterator[str]:
    """Yield a path and the folders above it."""
    while len(path) > bottom:
        yield path
        above = path.rpartition("/")[0]
        if above == path or not above:
            return
        path = above


def _guard(store: WritableStore, dataset: ReadableStore, prefix: str) -> WritableStore:
    from voxarium.core.frozen import FrozenKeys, FrozenStore

    return cast("WritableStore", FrozenStore(store, FrozenKeys(dataset), "" if prefix == "." else prefix))
