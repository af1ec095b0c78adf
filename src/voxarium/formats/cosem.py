"""COSEM multiscale images of OpenOrganelle in N5, and in Zarr v2 where early files have them.

Rules: see `voxarium.spec.cosem`. Dialects seen in the wild and read: transforms without `order`; groups without
``multiscales``; ``name`` missing, null or at the group; whole numbers instead of decimals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from voxarium.errors import InputError
from voxarium.model.abilities import NUMBERS, Holds
from voxarium.model.array_specs import join_key
from voxarium.model.attribute_documents import (
    ATTRIBUTES,
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
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place
from voxarium.model.stated_images import malformed, open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import cosem

__all__ = ["CosemDriver"]

_DOCUMENTS: Final = (ATTRIBUTES, ".zattrs")


class CosemDriver:
    """The convention of the COSEM project team on top of N5 arrays."""

    name: ClassVar[str] = cosem.FORMAT
    spec_url: ClassVar[str] = "https://github.com/janelia-cellmap/cellmap-schemas"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 20
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS,
        ndim=(2, 3),
        axis_names=frozenset("zyx"),
        name=True,
        metadata=True,
        fill_values="zero",
        role_suffixes={"label": "_seg", "prediction": "_pred"},
    )

    # -- reading
    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Parse the image at `path`: a group of levels.

        Raises
        ------
        NotFoundError
            If there is none of this convention.
        FormatError
            If the metadata cannot be read, contradict the arrays, or name an array that is not there.
        """
        group = read_attributes(store, path, _DOCUMENTS)
        if group is not None and (is_array(group) or "transform" in group):  # arrays speak for themselves
            raise declined(self.name, store, path)
        levels = _levels(store, path, group or {})
        stated = cosem.parse_image(group or {}, levels, place(store, path))
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
        cosem.check_image(image)

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
        cosem.check_image(image)
        levels = {level.path: cosem.dump_level(image, i) for i, level in enumerate(image.levels)}
        return image_documents(path, existing, levels, cosem.dump_group(image))


def _levels(store: ReadableStore, path: str, group: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """Return the attributes of the levels that the group lists, or of those there are."""
    listed = cosem.level_paths(group)
    if listed is None:
        return dict(numbered_levels(store, path, _DOCUMENTS))
    found: dict[str, Mapping[str, Any]] = {}
    for name in listed:
        try:
            key = join_key(path, checked_key(name))
        except InputError:
            malformed("multiscales[0].datasets", f"names the path {name!r}", 'name a folder below the group, no ".."')
        found[name] = read_attributes(store, key, _DOCUMENTS) or {}
    return found
