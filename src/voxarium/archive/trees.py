"""Trees of stored objects: a folder, a prefix of a store, or one file."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.journal import JOB_KEY
from voxarium.core.uri import open_source_store, open_target_store, parse_uri
from voxarium.errors import Code, ConflictError, ExistsError, InputError, NotFoundError, UnsupportedError
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.spec.manifest import Strings, sorted_strings

__all__ = [
    "Listing",
    "Tree",
    "beside",
    "existing",
    "is_temporary",
    "object_exists",
    "open_tree",
    "read_object",
    "write_object",
]

_BATCH: Final = 1 << 16
_MOST_MANIFEST: Final = 1 << 34
_TEMPORARY: Final = (".partial", ".__lock", ".tmp")
"""Ends of names that zarr-python, TensorStore and others leave behind when they are killed."""


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What a tree holds: keys, sorted, and sizes in bytes."""

    keys: Strings
    sizes: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tree:
    """Objects of a store below a prefix; keys are relative to it.

    Parameters
    ----------
    store : ReadableStore
        Where they are.
    prefix : str
        The folder, or empty.
    file : str
        The only object that is meant, or empty for all.
    """

    store: ReadableStore
    prefix: str = ""
    file: str = ""

    @property
    def uri(self) -> str:
        """Address of the tree."""
        return "/".join(p for p in (self.store.uri.rstrip("/"), self.prefix, self.file) if p)

    def at(self, key: str) -> str:
        """Return a key of the store."""
        return f"{self.prefix}/{key}" if self.prefix else key

    @property
    def listable(self) -> bool:
        """Whether the tree can be listed."""
        return bool(self.file) or isinstance(self.store, ListableStore)

    def iter_objects(self) -> Iterator[tuple[str, int]]:
        """Yield (key, size).

        Raises
        ------
        UnsupportedError
            If the store cannot be listed.
        """
        if self.file:
            stat = self.store.stat(self.at(self.file))
            if stat is not None:
                yield self.file, stat.size
            return
        if not isinstance(self.store, ListableStore):
            raise UnsupportedError(
                f"{self.uri} cannot be listed",
                code=Code.FEATURE_UNSUPPORTED,
                fix="do it where the files are, or through an address that can be listed, such as s3://",
            )
        skip = len(self.prefix) + 1 if self.prefix else 0
        for key, size in self.store.list(self.prefix):
            yield key[skip:], size

    def listing(self, objects: Iterable[tuple[str, int]] | None = None) -> Listing:
        """Return all objects, or those given; no Python object stays for each."""
        waiting = iter(self.iter_objects() if objects is None else objects)
        keys: list[Strings] = []
        sizes = [np.empty(0, np.int64)]
        while batch := list(itertools.islice(waiting, _BATCH)):
            keys.append(Strings.of(key for key, _ in batch))
            sizes.append(np.array([size for _, size in batch], np.int64))
        texts, order = sorted_strings(Strings.joined(keys))
        return Listing(texts, np.concatenate(sizes) if order is None else np.concatenate(sizes)[order])

    def refuse_incomplete(self) -> None:
        """Raise when a job has not finished what is at the root of the tree."""
        if not self.file and self.store.stat(self.at(JOB_KEY)) is not None:
            raise ConflictError(
                f"the image at {self.uri} is incomplete: its conversion was stopped or is still running",
                code=Code.IMAGE_INCOMPLETE,
                fix="finish it with --resume first",
            )


def is_temporary(key: str) -> bool:
    """Tell whether a key looks like what a killed writer leaves behind.

    Examples
    --------
    >>> is_temporary("s0/c/0/1.5f2a.partial"), is_temporary("s0/c/0/1")
    (True, False)
    """
    return key.endswith(_TEMPORARY) or ".voxarium-partial/" in f"/{key}"


def open_tree(uri: str | os.PathLike[str], **options: Any) -> Tree:
    """Open a folder, an object-store prefix or a file as what is stored there, not as what it means.

    Raises
    ------
    NotFoundError
        If a local path does not exist.
    InputError
        If the address leads inside a file.
    """
    where = parse_uri(uri)
    if where.inner:
        raise InputError(
            f"{os.fspath(uri)} is a part of a file",
            code=Code.URI_INVALID,
            fix="leave out what follows '::'; files are checked as a whole",
        )
    if where.scheme != "file":
        store, name = open_source_store(uri, **options)
        return Tree(store, "", name) if name and store.stat(name) is not None else Tree(store, name)
    from voxarium.stores.local import LocalStore

    path = os.path.abspath(where.base)
    if os.path.isdir(path):
        return Tree(LocalStore(path))
    if os.path.isfile(path):
        folder, name = os.path.split(path)
        return Tree(LocalStore(folder), "", name)
    open_source_store(uri)  # says what is missing
    raise NotFoundError(f"nothing at {path}", code=Code.PATH_MISSING, fix="check the path")


def beside(uri: str | os.PathLike[str], suffix: str) -> str:
    """Return the address of something that is kept beside a tree.

    Examples
    --------
    >>> beside("data/em.ome.zarr/", ".manifest.parquet")
    'data/em.ome.zarr.manifest.parquet'
    """
    text = os.fspath(uri)
    return (text.rstrip("/") or text) + suffix


def read_object(uri: str | os.PathLike[str], what: str) -> bytes:
    """Return the content of a file or object that must be there.

    Raises
    ------
    NotFoundError
        If it is not.
    """
    tree = open_tree(uri)
    found = None
    if tree.file:
        stat = tree.store.stat(tree.at(tree.file))
        if stat is not None and stat.size > _MOST_MANIFEST:
            raise InputError(
                f"{tree.uri} has {stat.size:,} bytes: it is no {what}",
                code=Code.SIZE_IMPLAUSIBLE,
                fix=f"give the {what}",
            )
        found = tree.store.get(tree.at(tree.file))
    if found is None:
        raise NotFoundError(
            f"no {what} at {os.fspath(uri)}", code=Code.PATH_MISSING, fix=f"give the {what} by its path"
        )
    return found


def write_object(uri: str | os.PathLike[str], data: bytes, *, overwrite: bool) -> None:
    """Store a file or object whole.

    Raises
    ------
    ExistsError
        If it exists and is not to be replaced.
    """
    folder, name = _split(os.fspath(uri))
    store = open_target_store(folder)
    if overwrite:
        store.put(name, data)
    elif not store.put_if_absent(name, data):
        raise existing(uri)


def object_exists(uri: str | os.PathLike[str]) -> bool:
    """Tell whether a file or object is there."""
    folder, name = _split(os.fspath(uri))
    return open_target_store(folder).stat(name) is not None


def existing(uri: str | os.PathLike[str]) -> ExistsError:
    """Return the error for something that is not to be replaced."""
    return ExistsError(
        f"{os.fspath(uri)} exists", code=Code.TARGET_EXISTS, fix="choose another name, or replace it with --overwrite"
    )


def _split(uri: str) -> tuple[str, str]:
    path = uri if "://" in uri and not uri.startswith("file://") else os.path.abspath(parse_uri(uri).base)
    folder, _, name = path.rpartition("/")
    return folder or "/", name
