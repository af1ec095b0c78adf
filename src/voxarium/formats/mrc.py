"""MRC and CCP4 maps (``.mrc``, ``.map``, ``.rec``, ``.st``): volumes and stacks of electron microscopy.

Spec: https://www.ccpem.ac.uk/mrc_format/mrc2014.php, see `voxarium.spec.mrc`. Seen in the wild: axes in any order,
big-endian files, files older than 1996 without the word MAP, extended headers of several makers, unsigned bytes of
IMOD, four-bit movies. Axes stay in the stored order and have the names that the header gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.image import ArrayInfo
from voxarium.model.protocols import ByteRange, ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.mrc import HEADER_BYTES, LARGEST_CARRIED, MrcHeader, is_mrc, packed, parse_header, unpacked

__all__ = ["MrcDriver"]

_SUFFIXES: Final = (".mrc", ".mrcs", ".map", ".ccp4", ".rec", ".st", ".ali", ".preali")
_SURE: Final = (".mrc", ".mrcs", ".ccp4")  # others use the further ones, too
_PACKERS: Final = ((b"\x1f\x8b", ".gz", "gunzip"), (b"BZh", ".bz2", "bunzip2"))


@dataclass(frozen=True, slots=True)
class _Voxels:
    """Where the voxels are; `halved` when two share a byte."""

    layout: FlatArray
    halved: bool


class MrcDriver:
    """Reads MRC files region by region."""

    name: ClassVar[str] = "mrc"
    spec_url: ClassVar[str] = "https://www.ccpem.ac.uk/mrc_format/mrc2014.php"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse the header; the file must be as long as it says.

        Raises
        ------
        NotFoundError
            If this is no MRC file.
        FormatError
            If the header is broken or the file is cut off.
        UnsupportedError
            If voxels have a type that is not read, or the file is compressed as a whole.
        """
        found = read_head(store, path, HEADER_BYTES)
        name = path.lower()
        if found is None:
            raise declined(self.name, store, path)
        head, size = found
        _refuse_packed(store, path, head)
        if not is_mrc(head) and not name.endswith(_SURE):
            raise declined(self.name, store, path)
        if size < HEADER_BYTES:
            raise truncated(place(store, path), size, HEADER_BYTES)
        header = parse_header(head, place(store, path))
        layout = FlatArray(shape=header.stored_shape, dtype=header.dtype, byte_offset=header.byte_offset)
        if size < layout.stop:
            raise truncated(place(store, path), size, layout.stop)
        halved = header.shape != header.stored_shape
        return ArrayInfo(
            format=self.name,
            shape=header.shape,
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=(*layout.chunk_shape[:-1], min(header.shape[-1], layout.chunk_shape[-1] * (1 + halved))),
            contiguous=True,
            codecs=(f"bytes:{'big' if header.dtype.str[0] == '>' else 'little'}",),
            axes=header.axes,
            transform=header.transform,
            attributes={"mrc": header.described(_extended(store, path, header))},
            remarks=header.remarks,
            details=_Voxels(layout, halved),
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def flat_layout(self, path: str, info: ArrayInfo, /) -> tuple[str, FlatArray] | None:
        """Return where the voxels are; see `FlatDriver`."""
        voxels = cast(_Voxels, info.details)
        return None if voxels.halved else (path, voxels.layout)

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        voxels = cast(_Voxels, info.details)
        if not voxels.halved or box.size == 0:
            voxels.layout.read(store, path, box, out)
            return
        first, count = box.origin[-1], box.shape[-1]
        stored = Box.from_bounds((*box.origin[:-1], first // 2), (*box.stop[:-1], packed(first + count)))
        out[...] = unpacked(voxels.layout.read_new(store, path, stored), first, count)


def _refuse_packed(store: ReadableStore, path: str, head: bytes) -> None:
    for magic, suffix, program in _PACKERS:
        stem = path.lower().removesuffix(suffix)
        if head.startswith(magic) and stem != path.lower() and stem.endswith(_SUFFIXES):
            raise UnsupportedError(
                f"{place(store, path)} is compressed as a whole, so that no part of it can be read by itself",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f"unpack it first: {program} --keep {path.rpartition('/')[2]}",
            )


def _extended(store: ReadableStore, path: str, header: MrcHeader) -> bytes:
    length = header.byte_offset - HEADER_BYTES
    if not 0 < length <= LARGEST_CARRIED:
        return b""
    parts = store.get_ranges(path, [ByteRange(HEADER_BYTES, length)])
    return bytes(parts[0]) if parts else b""
