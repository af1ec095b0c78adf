"""Arrays that show a part of a stored one: padding cut off, axes in order, absent margins filled in."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from voxarium.core.array import Array
from voxarium.model.array_part import ArrayPart
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ReadableStore

__all__ = ["PartOfArray"]


class PartOfArray(Array):
    """A part of a stored array that reads like an array of its own.

    It has no payloads: chunks of the stored array need not begin where the part begins.

    Parameters
    ----------
    stored : Array
        The whole.
    part : ArrayPart
        Which voxels, and which axis where.
    info : ArrayInfo
        What `part.shown` makes of the whole's.
    """

    def __init__(self, stored: Array, part: ArrayPart, info: ArrayInfo) -> None:
        super().__init__(_PartDriver(stored, part), stored.store, stored.path, info)
        self.stored = stored
        self.part = part

    @override
    def read(
        self, box: Box | None = None, *, out: NDArray[Any] | None = None, threads: int | None = None
    ) -> NDArray[Any]:
        box, out = self._checked(box, out)
        _read(self.stored, self.part, box, out, threads)
        return out


class _PartDriver:
    """Reads a part of an array; made for one array."""

    name: ClassVar[str] = "part"
    spec_url: ClassVar[str] = ""
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})

    def __init__(self, stored: Array, part: ArrayPart) -> None:
        self._stored = stored
        self._part = part

    def open(self, _store: ReadableStore, _path: str, /, **_options: Any) -> ArrayInfo:
        """Return the metadata of the whole array."""
        return self._stored.info

    def read_chunk(self, _store: ReadableStore, _path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        _read(self._stored, self._part, box, out, 1)
        return out

    def read_region(self, _store: ReadableStore, _path: str, _info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        _read(self._stored, self._part, box, out, None)


def _read(stored: Array, part: ArrayPart, box: Box, out: NDArray[Any], threads: int | None) -> None:
    """Fill `out`, of the shape of `box`, which lies inside the part."""
    wanted = part.stored_box(box)
    target = part.in_stored_axes(out)
    inside = wanted.intersection(Box.whole(stored.shape))
    if inside.shape != wanted.shape:
        target[...] = stored.info.fill_value
    if inside.size:
        stored.read(inside, out=target[inside.relative_to(wanted.origin).slices], threads=threads)
