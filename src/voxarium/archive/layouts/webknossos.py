"""The layout of WEBKNOSSOS: layers side by side in one folder, beside ``datasource-properties.json``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from voxarium.archive.layouts.layout import Facts, Place, broken, parts_of

__all__ = ["WebknossosLayout"]

_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_INSIDE: Final = ("mesh", "graph")  # attachments lie in the folder of their layer


class WebknossosLayout:
    """A layer is a folder of the dataset; its meshes and agglomerates lie in it."""

    name: ClassVar[str] = "webknossos"
    thumbnail: ClassVar[str] = "thumbnail.png"
    zarr_root: ClassVar[bool] = False
    collection_document: ClassVar[bool] = False

    def check_name(self, dataset: str) -> None:
        """Refuse names that WEBKNOSSOS refuses."""
        if _NAME.fullmatch(dataset) is None:
            raise broken(
                "WEBKNOSSOS: names of datasets",
                f"a dataset cannot be called {dataset!r}",
                f"use letters, digits and . - _, such as {_mended(dataset)}",
            )

    def place(self, dataset: str, given: str, facts: Facts) -> Place:
        """Return the place of a layer, or of what is attached to one."""
        parts = parts_of(given)
        if facts.kind in ("", "image", "label") and (len(parts) > 1 or _NAME.fullmatch(parts[0]) is None):
            raise broken(
                "WEBKNOSSOS: names of layers",
                f"a layer cannot be called {given!r}",
                f"use one folder below the dataset, with letters, digits and . - _, such as {_mended(given)}",
            )
        if facts.kind == "collection":
            raise broken("WEBKNOSSOS: layers", f"{given} holds several images", "add each of them as a layer")
        if facts.kind in _INSIDE and len(parts) < 2:
            raise broken(
                "WEBKNOSSOS: attachments",
                f"{given} lies in no layer",
                f"lay it into the folder of its layer: LAYER/{'meshes' if facts.kind == 'mesh' else 'agglomerates'}/…",
            )
        return Place(given, given)

    def notes(self, dataset: str, place: Place, facts: Facts, names: Mapping[str, str]) -> tuple[str, ...]:
        """Return nothing: nothing is recommended."""
        return ()


def _mended(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name).lstrip(".") or "layer"
