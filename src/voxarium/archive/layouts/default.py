"""The default layout: any names, each member where its name says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from voxarium.archive.layouts.layout import Facts, Place, parts_of

__all__ = ["DefaultLayout"]


class DefaultLayout:
    """Members lie where their names say: ``em/fibsem-uint8``, ``labels/mito``, ``meshes/mito``."""

    name: ClassVar[str] = "default"
    thumbnail: ClassVar[str] = "thumbnail.png"
    zarr_root: ClassVar[bool] = True
    collection_document: ClassVar[bool] = True

    def check_name(self, dataset: str) -> None:
        """Accept any name."""

    def place(self, dataset: str, given: str, facts: Facts) -> Place:
        """Return the place; refuse only what the dataset itself uses."""
        parts_of(given)
        return Place(given, given)

    def notes(self, dataset: str, place: Place, facts: Facts, names: Mapping[str, str]) -> tuple[str, ...]:
        """Return nothing: nothing is recommended."""
        return ()
