"""Images in HDF5 files: a dataset per level, ``s0``, ``s1`` …, with attributes that programs of the field know.

Spec: https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html. Each dataset has ``axes``, ``units``, ``scale`` and
``translate``, ilastik's ``axistags``, and for volumes at the origin ``element_size_um``. The attribute ``ome`` of the
file holds the image's description as OME-Zarr has it, so that channels, colours and levels come back; files without
it open as single datasets. Written are chunks as objects, put together into one file at the end.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.codecs.hdf5_tree import HEAD, below, has_signature, open_file, translated
from voxarium.errors import Code, FormatError, NotFoundError
from voxarium.model.abilities import Holds
from voxarium.model.array_specs import NUMERIC, join_key
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head
from voxarium.model.transforms import Transform
from voxarium.spec import hdf5_parts as spec
from voxarium.spec import ome

__all__ = ["Hdf5ImageDriver"]

_NAME: Final = "hdf5"
_SUFFIXES: Final = (".h5", ".hdf5")
_VERSION: Final = "0.5"
_KEY: Final = "ome"
_LARGEST_TEXT: Final = 64 << 20


class Hdf5ImageDriver:
    """Images of several levels in one HDF5 file."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 20
    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES
    file_suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMERIC,
        ndim=(2, 5),
        name=True,
        windows=True,
        colors=True,
        label_colors=True,
        label_properties=True,
        metadata=True,
        roles=frozenset({"label"}),
    )

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open a file that has the attribute ``ome``; others are left to the array driver.

        Raises
        ------
        NotFoundError
            If this is no such file.
        FormatError
            If its description contradicts its datasets.
        """
        if "::" in path or not path.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        found = read_head(store, path, HEAD)
        if found is None or not has_signature(found[0]):
            raise declined(self.name, store, path)
        with translated(place(store, path)):
            text = _description(open_file(store, path))
        if text is None:
            raise declined(self.name, store, path)
        attributes = {"ome": ome.parse_v2_attributes(text, place(store, path))}
        arrays = {}
        for level in ome.level_paths(attributes):
            try:
                arrays[level] = open_array(f"{path}::/{checked_key(level)}")
            except NotFoundError as error:
                raise FormatError(
                    f"{place(store, path)} lists the level {level!r}, which is not there",
                    code=Code.LEVEL_MISSING,
                    fix="copy the file again from its source, or open one dataset inside it",
                ) from error
        image = ome.parse_image(attributes, arrays, ())
        inside = f"../{path.rpartition('/')[2]}::/"
        levels = tuple(replace(level, path=inside + level.path) for level in image.levels)
        return replace(image, format=self.name, spec_version=self.spec_versions[0], levels=levels)

    # ------------------------------------------------------------------------------------------------ writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``hdf5-parts``."""
        return "hdf5-parts"

    def level_path(self, level: int, transform: Transform, _finest: Transform, /) -> str:
        """Return the name of the dataset of a level: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Any order that OME-Zarr takes."""
        return None

    def split(self, target: str, /) -> tuple[str, str]:
        """Every file stands for itself."""
        return target, ""

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the image cannot be described."""
        ome.check_image(image, _VERSION)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Nothing outside the image."""
        return ()

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return ``file.json`` with the attributes of the file and its datasets."""
        ome.check_image(image, _VERSION)
        dumped = ome.dump_attributes(image, _VERSION)
        attributes = {k: v if isinstance(v, str) else json.dumps(v) for k, v in dumped.items()}
        datasets = {level.path: spec.dataset_attributes(image.axes, level.transform) for level in image.levels}
        return {join_key(path, spec.FILE): spec.dump_file(spec.FileParts(attributes=attributes, datasets=datasets))}


def _description(file: Any) -> bytes | None:  # Any: h5py is untyped
    """Return the JSON text in the attribute, or where it is large the dataset, ``ome``."""
    try:
        value = file.attrs.get(_KEY)
    except (OSError, TypeError, ValueError, KeyError, RuntimeError):  # an exotic attribute is none of ours
        return None
    if value is None:
        dataset = below(file, _KEY)
        if (
            getattr(dataset, "shape", None) != ()
            or dataset.dtype.kind not in "SO"
            or dataset.dtype.itemsize > _LARGEST_TEXT
        ):
            return None
        value = dataset[()]
    text = value.encode("utf-8", "replace") if isinstance(value, str) else value
    return text if isinstance(text, bytes) and text.lstrip().startswith(b"{") else None
