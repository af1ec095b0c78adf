"""What is to be converted: one image, or a collection as a whole."""

from __future__ import annotations

import os
from typing import Any

from voxarium.conversion.parts import can_hold
from voxarium.core.dataset import Dataset
from voxarium.core.image import Image
from voxarium.core.opening import only_image, open_one
from voxarium.core.opening import open as open_any
from voxarium.errors import Code, InputError

__all__ = ["open_source", "open_source_or_collection"]


def open_source(source: str | os.PathLike[str] | Image, *, series: str | int | None = None, **options: Any) -> Image:
    """Return the image to convert; `series` is which one of several, by number or key.

    Raises
    ------
    InputError
        If the address holds several images.
    """
    if isinstance(source, Image):
        return source
    if series is None:
        return open_one(source, **options)
    found = open_any(source, **options)
    if isinstance(found, Image):
        if str(series) in ("0", found.name):
            return found
        raise InputError(
            f"{os.fspath(source)} is one image, not a series of them",
            code=Code.ARGUMENT_INVALID,
            fix="leave out the series",
        )
    keys = found.keys()
    key = keys[int(series)] if str(series).isdecimal() and int(series) < len(keys) else str(series)
    return only_image(found[key], key)


def open_source_or_collection(
    source: str | os.PathLike[str] | Image | Dataset,
    target_format: str,
    *,
    series: str | int | None = None,
    **options: Any,
) -> Image | Dataset:
    """Return the image to convert; or the collection, when several images are there and the format can hold them.

    Raises
    ------
    InputError
        If several images are there, and the format holds one.
    """
    if isinstance(source, Image):
        return source
    if series is not None and not isinstance(source, Dataset):
        return open_source(source, series=series, **options)
    found = source if isinstance(source, Dataset) else open_any(source, **options)
    if isinstance(found, Image) or (len(found) > 1 and can_hold(target_format)):
        return found
    return only_image(found, found.name if isinstance(source, Dataset) else os.fspath(source))
