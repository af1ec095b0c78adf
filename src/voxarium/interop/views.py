"""Releases and other folders as stores of other libraries."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

from voxarium.core.release_store import ReleaseStore, open_release_store
from voxarium.core.uri import open_source_store
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.protocols import ReadableStore

if TYPE_CHECKING:
    from zarr.abc.store import Store

__all__ = ["checked_release", "zarr_store"]


def zarr_store(uri: str | os.PathLike[str], *, verify: bool = False, **options: Any) -> Store:
    """Return a read-only store for zarr-python 3.

    Parameters
    ----------
    uri : str or path
        A folder, above all of a release: ``brain@v1.0``, ``s3://bucket/brain@v1.0/em``. Also what this library opens
        and zarr-python does not, such as a zip file on an object store.
    verify : bool
        Of a release: check the digest of each object before anything of it is used. Every object is then read whole
        once.
    **options
        For the store, such as credentials.

    Raises
    ------
    NotFoundError
        If there is nothing, no release of this name, or it was withdrawn.
    InputError
        If the address means something inside a file, or `verify` is asked of something that is no release.
    UnsupportedError
        If zarr-python 3 is not installed.

    Examples
    --------
    >>> import voxarium, zarr  # doctest: +SKIP
    >>> zarr.open_array(voxarium.zarr_store("brain@v1.0"), path="em/s0", mode="r")  # doctest: +SKIP
    """
    try:
        from voxarium.interop.zarr_stores import ReadOnlyStore
    except ImportError as error:
        raise UnsupportedError(
            "stores of zarr-python need zarr-python 3, which is not installed",
            code=Code.EXTRA_NOT_INSTALLED,
            fix="pip install 'voxarium[zarr]'",
        ) from error
    store, path = open_source_store(uri, **options)
    if "::" in path:
        raise InputError(
            f"{os.fspath(uri)} lies inside a file", code=Code.URI_INVALID, fix="name the folder or archive itself"
        )
    if verify:
        store = checked_release(store, os.fspath(uri))
    return ReadOnlyStore(store, path, functools.partial(zarr_store, os.fspath(uri), verify=verify, **options))


def checked_release(store: ReadableStore, uri: str) -> ReleaseStore:
    """Return the store of a release again, so that it checks digests.

    Raises
    ------
    InputError
        If it is that of something else.
    """
    if not isinstance(store, ReleaseStore):
        raise InputError(
            f"{uri} is no release, so nothing says what its objects should be",
            code=Code.ARGUMENT_INVALID,
            fix="name a release, such as brain@v1.0, or leave verify out",
        )
    return open_release_store(store.inner, store.name, verify=True)
