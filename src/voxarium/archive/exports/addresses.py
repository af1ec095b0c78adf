"""Where on the web the objects of a release are."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from voxarium.archive.exports.source import ReleaseSource
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.provenance import public_address
from voxarium.spec.release import POOL

__all__ = ["object_urls"]

_ADDRESS: Final = re.compile(r"(?:https?|s3|gs|ftp)://[^/\s]+(?:/\S*)?")


def object_urls(source: ReleaseSource, url: str) -> Callable[[int], str]:
    """Return a function that returns the address of an object by its position in the manifest.

    Parameters
    ----------
    source : ReleaseSource
        The release.
    url : str
        Address of the dataset: objects are then where the manifest says, documents that may change among the copies
        that the release keeps. Or that of the release (it ends with ``@NAME``): objects are then at their keys.

    Raises
    ------
    InputError
        If it is no such address, or holds a password or token.
    """
    base = url.rstrip("/")
    if _ADDRESS.fullmatch(base) is None or public_address(base) != base:
        raise InputError(
            f"{public_address(url)} is no address that others can use",
            code=Code.URI_INVALID,
            fix="give the address of the dataset, such as https://example.org/brain, without user, password and query",
        )
    at_keys = base.endswith(f"@{source.release.name}")
    manifest = source.manifest

    def address(i: int) -> str:
        place, start = (manifest.keys[i], 0) if at_keys else manifest.location(i)
        if start or not (place == manifest.keys[i] or place.startswith(f"{POOL}/")):
            raise UnsupportedError(
                f"{manifest.keys[i]} is a part of another object, which has no address of its own",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f"give the address at which the release itself is served: {base}@{source.release.name}",
            )
        return f"{base}/{quote(place, safe='/')}"

    return address
