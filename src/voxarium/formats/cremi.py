"""CREMI files (HDF5): raw data and labels of the challenge on circuit reconstruction, and others of its layout.

Rules: see `voxarium.spec.cremi`. ``sample_A.hdf`` is the raw data, ``sample_A.hdf::/volumes/labels/neuron_ids`` labels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final

from voxarium.codecs.hdf5_tree import find, translated
from voxarium.errors import VoxariumError
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place
from voxarium.spec import cremi

__all__ = ["CremiDriver"]

_SUFFIXES: Final = (".h5", ".hdf", ".hdf5")
_MOST_LABELS: Final = 256


class CremiDriver:
    """The layout of CREMI on top of HDF5 arrays."""

    name: ClassVar[str] = cremi.FORMAT
    spec_url: ClassVar[str] = "https://cremi.org/data/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = 70

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the image at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this layout.
        FormatError
            If its numbers cannot be used.
        """
        key, _, inner = path.partition("::")
        name = cremi.parse_name(inner)
        if name is None or not key.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        try:
            labels = _labels(store, key, name) if name == cremi.RAW else ()
            array = open_array(f"{key}::/{name}")
        except VoxariumError as error:  # the array driver says better what is wrong with the file
            raise declined(self.name, store, path) from error
        up = "../" * (path.count("/") + 1)  # levels are named relative to the image
        level = f"{up}{key}::/{name}"
        stated = cremi.parse_image(name, array.attributes, array.ndim, level)
        if stated is None:
            raise declined(self.name, store, path)
        return replace(stated.with_arrays({level: array}), labels=labels)


def _labels(store: ReadableStore, key: str, name: str) -> tuple[str, ...]:
    """Return the names of the labels in a file that has the raw data."""
    with translated(place(store, key)):
        _, volumes = find(store, key, name.partition("/")[0])
        if "raw" not in volumes:
            raise declined(cremi.FORMAT, store, key)
        labels = volumes.get("labels")
        found = list(labels)[:_MOST_LABELS] if hasattr(labels, "keys") else []
        return tuple(f"{cremi.LABELS}/{n}" for n in found if hasattr(labels.get(n), "shape"))
