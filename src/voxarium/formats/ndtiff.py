"""Micro-Manager's NDTiff, version 3: a folder with ``NDTiff.index`` and TIFF files of uncompressed planes.

Spec: https://github.com/micro-manager/NDTiffStorage, see `voxarium.spec.ndtiff`. The index says where every plane is,
so that TIFF pages need not be walked. Positions, times, channels, z and further axes are axes of one array; planes
that were never recorded are absent. Of a pyramid, every level is a folder of its own: open ``Full resolution``.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.ndtiff import (
    HEADER_BYTES,
    LARGEST_METADATA,
    NdTiffIndex,
    Plane,
    parse_index,
    parse_metadata,
    summary_length,
)

__all__ = ["NdTiffDriver"]

_INDEX: Final = "NDTiff.index"
_LARGEST_INDEX: Final = 1 << 30


@dataclass(frozen=True, slots=True)
class _Planes:
    """Where planes are; `folder` is empty or ends in a slash."""

    folder: str
    index: NdTiffIndex

    def layout(self, plane: Plane) -> FlatArray:
        shape = self.index.shape[len(self.index.shape) - self.index.plane_axes :]
        return FlatArray(shape=shape, dtype=self.index.dtype, byte_offset=plane.byte_offset)


class NdTiffDriver:
    """Reads NDTiff datasets, plane by plane."""

    name: ClassVar[str] = "ndtiff"
    spec_url: ClassVar[str] = "https://github.com/micro-manager/NDTiffStorage"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    precedence: ClassVar[int] = -10  # before stacks of TIFF files, which would walk through all pages

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open a folder with an index.

        Raises
        ------
        NotFoundError
            If there is no index.
        FormatError
            If it is broken, or a file is cut off.
        UnsupportedError
            If voxels have a type that is not read.
        """
        if "::" in path:
            raise declined(self.name, store, path)
        folder = f"{path}/" if path else ""
        stat = store.stat(folder + _INDEX)
        if stat is None:
            raise declined(self.name, store, path)
        where = place(store, folder + _INDEX)
        if stat.size > _LARGEST_INDEX:
            raise FormatError(
                f"{where} has {stat.size} bytes",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="check that it is an index",
            )
        index = parse_index(store.get(folder + _INDEX) or b"", where)
        planes = _Planes(folder, index)
        _check(store, planes)
        summary, first = _metadata(store, planes)
        transform = index.transform(summary, first)
        axes = index.axes if transform else tuple(Axis(name=a.name, type=a.type, labels=a.labels) for a in index.axes)
        lead = len(index.shape) - index.plane_axes
        missing = math.prod(index.shape[:lead]) - len(index.planes)
        return ArrayInfo(
            format=self.name,
            shape=index.shape,
            dtype=index.dtype.newbyteorder("="),
            chunk_shape=(*(1,) * lead, *index.shape[lead:]),
            codecs=("bytes:little",),
            axes=axes,
            transform=transform,
            attributes={"ndtiff": {"summary": summary, "first_plane": first}},
            remarks=(f"{missing} of {missing + len(index.planes)} planes were never recorded",) if missing else (),
            details=planes,
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one plane, or None when it was never recorded."""
        planes = cast(_Planes, info.details)
        if box.origin[: info.ndim - planes.index.plane_axes] not in planes.index.planes:
            return None
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`. Only the rows a box touches are read."""
        planes = cast(_Planes, info.details)
        lead = info.ndim - planes.index.plane_axes
        inner = Box(box.origin[lead:], box.shape[lead:])
        for index in itertools.product(*(range(n) for n in box.shape[:lead])):
            target: Any = (*index, ...)  # Any: an index expression
            plane = planes.index.planes.get(tuple(o + i for o, i in zip(box.origin, index, strict=False)))
            if plane is None:
                out[target] = info.fill_value
            else:
                planes.layout(plane).read(store, planes.folder + plane.file, inner, out[target])


def _check(store: ReadableStore, planes: _Planes) -> None:
    """Compare the size of every file with its last plane."""
    last: dict[str, int] = {}
    for plane in planes.index.planes.values():
        last[plane.file] = max(last.get(plane.file, 0), planes.layout(plane).stop)
    for name, stop in last.items():
        stat = store.stat(planes.folder + name)
        if stat is None or stat.size < stop:
            raise truncated(place(store, planes.folder + name), stat.size if stat else 0, stop)


def _metadata(store: ReadableStore, planes: _Planes) -> tuple[dict[str, Any], dict[str, Any]]:  # Any: JSON
    """Return what the files say about everything, and about the first plane."""
    first = next(iter(planes.index.planes.values()))
    key = planes.folder + first.file
    head = read_head(store, key, HEADER_BYTES)
    if head is None:
        return {}, {}
    size = head[1]
    spans = [(HEADER_BYTES, summary_length(head[0])), (first.metadata_offset, first.metadata_bytes)]
    wanted = [ByteRange(a, n) for a, n in spans if 0 < n <= LARGEST_METADATA and a + n <= size]
    found = iter(store.get_ranges(key, wanted) or ()) if wanted else iter(())
    parts = [bytes(next(found, b"")) if 0 < n <= LARGEST_METADATA and a + n <= size else b"" for a, n in spans]
    return parse_metadata(parts[0]), parse_metadata(parts[1])
