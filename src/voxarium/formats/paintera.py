"""Sources of Paintera in N5: raw data, labels (also as multisets) and channels.

Specification: https://github.com/saalfeldlab/paintera. Read: the source, and its folder ``data`` or any other folder of
levels with ``multiScale``. What else a label source holds (assignment of fragments to segments, lookup of blocks,
unique labels) stays behind; a note says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from voxarium.model.abilities import NUMBERS, Holds
from voxarium.model.array_specs import join_key
from voxarium.model.attribute_documents import (
    ATTRIBUTES,
    image_documents,
    is_array,
    merged_document,
    numbered_levels,
    read_attributes,
    split_container,
    touched_keys,
    usual_order,
)
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined
from voxarium.model.stated_images import open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import paintera

__all__ = ["PainteraDriver"]

_ASSIGNMENT: Final = "fragment-segment-assignment"
_BDV_VIEW: Final = re.compile(r"(?:^|/)setup[0-9]+/timepoint[0-9]+\Z")


class PainteraDriver:
    """The convention of Paintera on top of N5 arrays."""

    name: ClassVar[str] = paintera.FORMAT
    spec_url: ClassVar[str] = "https://github.com/saalfeldlab/paintera#data"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 50
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(3, 4),
        axis_names=frozenset("czyx"),
        metadata=True,
        largest_label=True,
        fill_values="zero",
        roles=frozenset({"label"}),
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the source at `path`.

        Raises
        ------
        NotFoundError
            If there is none of this convention.
        FormatError
            If the metadata cannot be read or contradict the arrays.
        """
        group = read_attributes(store, path)
        if group is None or is_array(group):
            raise declined(self.name, store, path)
        data, folder = group, path
        if paintera.is_source(group):
            folder = join_key(path, paintera.DATA)
            data = read_attributes(store, folder) or {}
        elif group.get("multiScale") is not True or _inside_other(store, path):
            raise declined(self.name, store, path)
        prefix = folder[len(path) :].strip("/")
        levels = {join_key(prefix, n): a for n, a in numbered_levels(store, folder).items()}
        if prefix and is_array(data):  # one level, without a pyramid
            levels = {prefix: data}
        stated = paintera.parse_image(group, data, levels)
        if stated is None:
            raise declined(self.name, store, path)
        notes = []
        if stated.role == "label" and prefix and read_attributes(store, join_key(path, _ASSIGNMENT)) is not None:
            notes.append(f"labels are fragments; their assignment to segments in {_ASSIGNMENT} is not applied")
        return stated.with_arrays(open_levels(path, levels, open_array), notes)

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``n5``."""
        return "n5"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the source: ``data/s0``, ``data/s1``, …"""
        return f"{paintera.DATA}/s{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return the usual order, in which x comes last and is the first dimension of N5."""
        return usual_order(axes)

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the N5 container around a target, and the target's path in it."""
        return split_container(target)

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        paintera.check_image(image)

    def touched(self, path: str, image: ImageInfo, spec_version: str, /) -> tuple[str, ...]:
        """Return the keys of the groups around the image, of its own attributes and of those of its levels."""
        return touched_keys(path, (level.path for level in image.levels))

    def dump(
        self, path: str, image: ImageInfo, spec_version: str, existing: Mapping[str, bytes], /
    ) -> dict[str, bytes]:
        """Return the documents of the source, its own attributes last.

        Raises
        ------
        InputError, UnsupportedError
            If the convention cannot hold the image.
        FormatError
            If documents that are to be extended cannot be read.
        """
        paintera.check_image(image)
        key = join_key(join_key(path, paintera.DATA), ATTRIBUTES)
        data = {key: merged_document(None, key, paintera.dump_data(image))}
        levels = {level.path: paintera.dump_level(image, i) for i, level in enumerate(image.levels)}
        return data | image_documents(path, existing, levels, paintera.dump_group(image))


def _inside_other(store: ReadableStore, path: str) -> bool:
    """Tell whether a folder of levels is part of something else: of the source opened, or of BigDataViewer."""
    if _BDV_VIEW.search(path):
        return True
    return path == paintera.DATA and paintera.is_source(read_attributes(store, "") or {})
