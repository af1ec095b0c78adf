"""Documents of an image that repeat those of its levels, so that one request opens them all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from voxarium.model.protocols import ReadableStore

__all__ = ["CopyingDriver"]


@runtime_checkable
class CopyingDriver(Protocol):
    """What an image driver offers whose documents may repeat those of arrays: consolidated metadata.

    The copies save a request for each level of an image far away. Near ones are opened by the documents themselves.
    """

    def copies(self, store: ReadableStore, path: str, /) -> Mapping[str, bytes | None]:
        """Return by key the documents of levels that the image at `path` repeats; None for such that are not there.

        Copies that cannot be read are left out: they are no more than copies.
        """

    def with_copies(
        self, path: str, documents: Mapping[str, bytes], levels: Mapping[str, bytes], existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of an image to be written, with copies of those of its levels; pure.

        `documents` are what `dump` returned for `existing`; the keys of `levels` start at the same place.
        """
