"""OME-NGFF metadata on N5 arrays, as Fiji's N5 plugins and zarr 2 wrote them.

Rules: see `voxarium.spec.ome_n5`. Both orders of axes are read; the one of N5's dimensions is written, which Java's
readers take. Version 0.4, whose metadata fit into ``attributes.json`` as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar, Final

from voxarium.errors import Code, InputError
from voxarium.model.abilities import NUMBERS, Holds
from voxarium.model.attribute_documents import (
    image_documents,
    is_array,
    kept_attributes,
    read_attributes,
    split_container,
    touched_keys,
    unknown_attributes,
    usual_order,
)
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined
from voxarium.model.stated_images import open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import ome, ome_n5

__all__ = ["OmeN5Driver"]

_NAME: Final = "ome-n5"
_VERSION: Final = "0.4"


class OmeN5Driver:
    """The convention of the Open Microscopy Environment on top of N5 arrays."""

    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://ngff.openmicroscopy.org/0.4/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 10
    spec_versions: ClassVar[tuple[str, ...]] = (_VERSION,)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(2, 5),
        name=True,
        windows=True,
        colors=True,
        label_colors=True,
        label_properties=True,
        metadata=True,
        fill_values="zero",
        roles=frozenset({"label"}),
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the image at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this convention.
        FormatError
            If the metadata cannot be read, contradict the arrays, or name an array that is not there.
        """
        found = read_attributes(store, path)
        if found is None or is_array(found) or not ome_n5.is_ours(found):
            raise declined(self.name, store, path)
        attributes, notes = ome_n5.c_order(found)
        arrays = open_levels(path, ome.level_paths(attributes), open_array)
        image = ome.parse_image(attributes, arrays)
        record = image.bag.records[0]
        record = replace(record, notes=record.notes + notes)
        bag = replace(image.bag, records=(record,), extra=unknown_attributes(image.bag.extra, frozenset()))
        return replace(image, format=self.name, bag=bag)

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``n5``."""
        return "n5"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the image: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return the usual order: by it readers tell which way round the axes are listed."""
        return usual_order(axes)

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the N5 container around a target, and the target's path in it."""
        return split_container(target)

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        ome.check_image(image, _VERSION)
        if usual_order(image.axes) not in (None, tuple(a.name for a in image.axes)):
            raise InputError(
                f"the axes {', '.join(a.name for a in image.axes)} would be read the other way round",
                code=Code.AXES_MISMATCH,
                fix="transpose the image to the order time, channel, z, y, x, with --order",
            )

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the groups around the image, of its own attributes and of those of its levels."""
        return touched_keys(path, (level.path for level in image.levels))

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of the image, its own attributes last.

        Raises
        ------
        InputError, UnsupportedError
            If the convention cannot hold the image.
        FormatError
            If documents that are to be extended cannot be read.
        """
        self.check(image, spec_version)
        levels = {level.path: kept_attributes(image, level.path, frozenset()) for level in image.levels}
        return image_documents(path, existing, levels, ome_n5.n5_order(ome.dump_attributes(image, _VERSION)))
