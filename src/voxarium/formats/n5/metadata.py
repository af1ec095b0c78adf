"""The ``attributes.json`` of an array in a store."""

from __future__ import annotations

from typing import Final

from voxarium.errors import Code, NotFoundError, UnsupportedError
from voxarium.model.array_specs import join_key
from voxarium.model.protocols import ReadableStore
from voxarium.spec.n5 import ArrayMetadata, is_array, parse_array, parse_attributes, parse_version

__all__ = ["DOCUMENT", "read_metadata"]

DOCUMENT: Final = "attributes.json"
_MAJOR: Final = 4


def read_metadata(store: ReadableStore, path: str) -> ArrayMetadata:
    """Return the metadata of the array at a path.

    Raises
    ------
    NotFoundError
        If there is none, or that of a group.
    FormatError
        If it breaks the specification.
    UnsupportedError
        If it is of a later major version.
    """
    key = join_key(path, DOCUMENT)
    raw = store.get(key)
    attributes = parse_attributes(raw, key)
    if raw is None or not is_array(attributes):
        raise NotFoundError(
            f"there is no {key} in {store.uri}" if raw is None else f"{key} in {store.uri} describes no array",
            code=Code.METADATA_MISSING,
            fix="check the path; `voxarium info` on a folder above lists the arrays in it",
        )
    meta = parse_array(attributes, key)
    if parse_version(meta.version)[0] > _MAJOR:
        raise UnsupportedError(
            f"{key} is of version {meta.version} of N5, later than {_MAJOR}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="use a newer version of this package, or convert it with the software that wrote it",
        )
    return meta
