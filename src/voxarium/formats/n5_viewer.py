"""Pyramids in N5 as n5-viewer (Fiji) and Neuroglancer describe them.

Rules: see `voxarium.spec.n5_viewer`. Dialects seen in the wild and read: factors at the group as ``scales`` or
``downsamplingFactors`` or at each level only; voxel size as object, as plain list, or with ``units``; groups without
attributes; one group of levels per channel (``c0``, ``c1``), each an image, all of them one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Final

from voxarium.model.abilities import NUMBERS, Holds, ReaderLimit
from voxarium.model.array_specs import join_key
from voxarium.model.attribute_documents import (
    image_documents,
    is_array,
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
from voxarium.model.stated_images import StatedImage, open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import n5_viewer

__all__ = ["N5ViewerDriver"]

_MOST_CHANNELS: Final = 1000


class N5ViewerDriver:
    """The conventions of n5-viewer and Neuroglancer on top of N5 arrays."""

    name: ClassVar[str] = n5_viewer.FORMAT
    spec_url: ClassVar[str] = "https://github.com/saalfeldlab/n5-viewer"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 30
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(2, 5),
        metadata=True,
        fill_values="zero",
        reader_limits=(
            ReaderLimit(
                reader="Neuroglancer",
                dtypes=frozenset({"int64", "float64"}),
                message="Neuroglancer does not show N5 arrays of this type",
                fix="convert to another type, such as --dtype float32",
            ),
        ),
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the image at `path`: a group of levels.

        Raises
        ------
        NotFoundError
            If there is none of this convention.
        FormatError
            If the metadata cannot be read or contradict the arrays.
        """
        group = read_attributes(store, path) or {}
        # An array speaks for itself, see `voxarium.formats.n5.stated`.
        stated = None if is_array(group) else n5_viewer.parse_image(group, numbered_levels(store, path))
        if stated is None and not is_array(group):
            stated = _joined(store, path)
        if stated is None:
            raise declined(self.name, store, path)
        return stated.with_arrays(open_levels(path, [level.path for level in stated.levels], open_array))

    # -- writing
    def array_driver(self, spec_version: str, /) -> str:
        """Return ``n5``."""
        return "n5"

    def level_path(self, level: int, _transform: Transform, _finest: Transform, /) -> str:
        """Return the path of a level below the image: ``s0``, ``s1``, …"""
        return f"s{level}"

    def axis_order(self, axes: tuple[Axis, ...], /) -> tuple[str, ...] | None:
        """Return the usual order, in which x comes last and is the first dimension of N5."""
        return usual_order(axes)

    def split(self, target: str, /) -> tuple[str, str]:
        """Return the N5 container around a target, and the target's path in it."""
        return split_container(target)

    def check(self, image: ImageInfo, spec_version: str, /) -> None:
        """Raise InputError or UnsupportedError when the convention cannot hold the image."""
        n5_viewer.check_image(image)

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
        n5_viewer.check_image(image)
        levels = {level.path: n5_viewer.dump_level(image, i) for i, level in enumerate(image.levels)}
        return image_documents(path, existing, levels, n5_viewer.dump_group(image))


def _joined(store: ReadableStore, path: str) -> StatedImage | None:
    """Return the channels ``c0``, ``c1`` … below a group as one image; None when there are no two that lie the same."""
    if store.concurrency > 1 and read_attributes(store, path) is None:
        return None  # elsewhere each question costs a request
    channels: list[StatedImage] = []
    for i in range(_MOST_CHANNELS):
        below = join_key(path, f"c{i}")
        group = read_attributes(store, below) or {}
        found = None if is_array(group) else n5_viewer.parse_image(group, numbered_levels(store, below))
        if found is None:
            break
        channels.append(found)
    return n5_viewer.joined(channels)
