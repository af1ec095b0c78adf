"""Canonical metadata of n5-universe in N5: any affine transform per level, and a range to show.

Rules: see `voxarium.spec.n5_canonical`. Read: groups with ``multiscales`` as an object, with paths below the group or
from the root of the container; groups of levels ``s0``, ``s1``, … that each state a ``spatialTransform``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

from voxarium.errors import InputError
from voxarium.model.abilities import NUMBERS, Holds
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
from voxarium.model.keys import checked_key
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined
from voxarium.model.stated_images import malformed, open_levels
from voxarium.model.transforms import Transform
from voxarium.spec import n5_canonical

__all__ = ["N5CanonicalDriver"]


class N5CanonicalDriver:
    """The convention of n5-universe on top of N5 arrays."""

    name: ClassVar[str] = n5_canonical.FORMAT
    spec_url: ClassVar[str] = "https://github.com/saalfeldlab/n5-universe"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 60
    spec_versions: ClassVar[tuple[str, ...]] = ("1",)
    holds: ClassVar[Holds] = Holds(
        dtypes=NUMBERS, ndim=(2, 5), affine=True, windows=True, metadata=True, fill_values="zero"
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
        listed = n5_canonical.level_paths(group)
        if is_array(group):  # it speaks for itself, see `voxarium.formats.n5.stated`
            raise declined(self.name, store, path)
        levels = numbered_levels(store, path) if listed is None else _listed(store, path, listed)
        stated = n5_canonical.parse_image(group, levels)
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
        n5_canonical.check_image(image)

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
        n5_canonical.check_image(image)
        levels = {level.path: n5_canonical.dump_level(image, i) for i, level in enumerate(image.levels)}
        return image_documents(path, existing, levels, n5_canonical.dump_group(image))


def _listed(store: ReadableStore, path: str, names: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """Return the attributes of the levels that a group lists."""
    found: dict[str, Mapping[str, Any]] = {}
    for name in names:
        try:
            key = join_key(path, checked_key(name))
        except InputError:
            malformed("multiscales.datasets", f"names the path {name!r}", 'name a folder below the group, no ".."')
        found[name] = read_attributes(store, key) or {}
    return found
