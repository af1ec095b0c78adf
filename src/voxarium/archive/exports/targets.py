"""Places that are written whole or not at all, and never over anything."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from voxarium.core.guarding import refuse_published
from voxarium.core.uri import open_target_store, parse_uri
from voxarium.errors import Code, ExistsError, InputError, StoreError
from voxarium.model.protocols import ListableStore, WritableStore
from voxarium.stores.memory import MemoryStore

__all__ = ["SINGLE", "check_target", "new_file", "new_folder", "put_pieces"]

_PIECE: Final = 1 << 20
SINGLE: Final = "document"
"""Key under which an adapter that makes one file writes it."""


def check_target(target: str, *, outside: str = "") -> None:
    """Refuse a target that exists, or that lies in what is read.

    Parameters
    ----------
    target : str
        A path or address.
    outside : str
        Address of a store in which it must not lie.

    Raises
    ------
    ExistsError
        If anything is there.
    InputError
        If it cannot be written, or lies in `outside`.
    """
    where = parse_uri(target)
    if where.inner:
        raise InputError(
            f"{target} is inside a file", code=Code.URI_INVALID, fix="choose a folder or an address of an object store"
        )
    local = where.scheme == "file"
    mine = os.path.realpath(where.base) if local else where.base.rstrip("/")
    around = os.path.realpath(outside.removeprefix("file://")) if outside.startswith("file://") else outside.rstrip("/")
    if around and local == outside.startswith("file://") and f"{mine}/".startswith(f"{around}/"):
        raise InputError(
            f"{target} lies in {outside}, which is read",
            code=Code.TARGET_IN_SOURCE,
            fix="choose a target elsewhere",
        )
    there = os.path.lexists(where.base) if local else _anything(open_target_store(target))
    if there:
        raise ExistsError(
            f"{target} exists", code=Code.TARGET_EXISTS, fix="choose another name; nothing is ever written over"
        )


def put_pieces(target: WritableStore, key: str, parts: Iterable[bytes], algorithm: str = "sha256") -> bytes:
    """Store an object of many small parts, and return its digest; it appears whole or not at all."""
    digest = hashlib.new(algorithm)
    writer = target.create(key)
    try:
        for piece in _joined(parts):
            digest.update(piece)
            writer.write(piece)
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    return digest.digest()


def _joined(parts: Iterable[bytes]) -> Iterator[bytes]:
    waiting: list[bytes] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size > _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _anything(store: Any) -> bool:  # Any: capabilities differ by kind
    if not isinstance(store, ListableStore):
        raise InputError(
            f"{store.uri} cannot be listed, so nobody knows whether it is empty",
            code=Code.STORE_READ_ONLY,
            fix="write to a local folder or an object store (s3://, gs://, az://)",
        )
    return next(iter(store.list("")), None) is not None


@contextmanager
def new_folder(target: str) -> Iterator[WritableStore]:
    """Give the store of a folder to be filled; it gets its name at the end, or vanishes if anything goes wrong.

    In object stores, which cannot rename, objects appear one by one: whoever fills it writes last what says that it
    is complete.

    Raises
    ------
    ExistsError
        If somebody was faster.
    StoreError
        If it cannot be made.
    """
    where = parse_uri(target)
    if where.scheme != "file":
        yield open_target_store(target)
        return
    from voxarium.stores.local import LocalStore

    path = os.path.abspath(where.base)
    refuse_published(path)
    above, name = os.path.split(path)
    staging = os.path.join(above, f".{name}.{secrets.token_hex(4)}.partial")
    made = list(_absent_above(path))
    try:
        os.makedirs(staging)
        store = LocalStore(staging)
        yield store
        store.clear_partial()
        os.sync()  # not one call a file: that would be as slow as the disk turns
        os.mkdir(path)  # only one of several can
        os.rename(staging, path)
    except FileExistsError as error:
        raise ExistsError(
            f"{path} exists", code=Code.TARGET_EXISTS, fix="somebody else made it meanwhile; choose another name"
        ) from error
    except OSError as error:
        raise StoreError(
            f"{path} could not be written: {error.strerror or error}",
            code=Code.STORE_UNWRITABLE,
            fix="check the folder's permissions and the space left",
        ) from error
    finally:
        with contextlib.suppress(OSError):
            shutil.rmtree(staging)
        with contextlib.suppress(OSError):  # the first that is not empty
            for folder in made:
                os.rmdir(folder)


def _absent_above(path: str) -> Iterator[str]:
    """Yield the folders above a path that do not exist, the deepest first."""
    above = os.path.dirname(path)
    while not os.path.exists(above):
        yield above
        above = os.path.dirname(above)


@contextmanager
def new_file(target: str) -> Iterator[WritableStore]:
    """Give a store for one small document, `SINGLE`, which becomes the file at the end, if nothing is there.

    Raises
    ------
    ExistsError
        If somebody was faster.
    """
    from voxarium.archive.trees import write_object

    store = MemoryStore()
    yield store
    data = store.get(SINGLE)
    if data is not None:
        write_object(target, data, overwrite=False)
