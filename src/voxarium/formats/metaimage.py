"""MetaImage (``.mha``, and ``.mhd`` with its data in other files), the format of ITK.

Spec: https://itk.org/Wiki/ITK/MetaIO/Documentation, see `voxarium.spec.metaimage`. Raw data are read in parts; zlib
streams and text are unpacked as a whole, once for each file.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.deflate import Zlib
from voxarium.errors import Code, FormatError
from voxarium.model.box import Box
from voxarium.model.header_text import LARGEST_HEADER
from voxarium.model.image import ArrayInfo
from voxarium.model.keys import resolved_key
from voxarium.model.pieces import Kept, Pieces, check_whole, numbers_of_text
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head
from voxarium.spec.metaimage import MetaHeader, looks_like, parse_header

__all__ = ["MetaImageDriver"]

_SUFFIXES: Final = (".mha", ".mhd")


class MetaImageDriver:
    """Reads MetaImage files."""

    name: ClassVar[str] = "metaimage"
    spec_url: ClassVar[str] = "https://itk.org/Wiki/ITK/MetaIO/Documentation"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = _SUFFIXES

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse the header, and look whether the files it names are there and long enough.

        Raises
        ------
        NotFoundError
            If this is no MetaImage file, or a file it names is not there.
        FormatError
            If the header is broken, or a file is cut off.
        UnsupportedError
            If it is no image, or voxels have a type that is not read.
        """
        if not path.lower().endswith(_SUFFIXES):
            raise declined(self.name, store, path)
        found = read_head(store, path, LARGEST_HEADER)
        if found is None or not looks_like(found[0]):
            raise declined(self.name, store, path)
        where = place(store, path)
        header = parse_header(found[0], where)
        pieces = _pieces(path, header, where)
        pieces.check(store)
        return ArrayInfo(
            format=self.name,
            shape=header.shape,
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=pieces.chunk_shape,
            contiguous=pieces.contiguous,
            codecs=(f"bytes:{'big' if header.dtype.str[0] == '>' else 'little'}",)
            + (("zlib",) if header.compressed else ("text",) if header.text else ()),
            axes=header.axes,
            transform=header.transform,
            attributes={"metaimage": dict(header.metadata)},
            remarks=header.remarks,
            details=pieces,
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        cast(Pieces, info.details).read(store, box, out)


@dataclass(frozen=True, slots=True)
class _Unpacking:
    """How one file is unpacked; `skipped` bytes of it come first."""

    compressed: bool
    dtype: np.dtype[Any]
    skipped: int

    def __call__(self, data: bytes, count: int) -> NDArray[Any]:
        data = data[self.skipped :]
        if not self.compressed:
            return numbers_of_text(data, count, self.dtype)
        size = count * self.dtype.itemsize
        return np.frombuffer(Zlib(1).decode(data, (size, size)), self.dtype, count)


def _pieces(path: str, header: MetaHeader, where: str) -> Pieces:
    folder = path.rpartition("/")[0]
    keys = tuple(resolved_key(folder, name) for name in header.files) or (path,)
    rows = header.shape[0]
    if rows % len(keys) or (len(keys) > 1 and header.slab_axes < len(header.shape) and rows != len(keys)):
        raise FormatError(
            f"{where} names {len(keys)} files for {rows} planes",
            code=Code.METADATA_INVALID,
            fix="correct DimSize or the list of files",
        )
    pieces = partial(Pieces, keys=keys, shape=header.shape, dtype=header.dtype, kept=Kept())
    first = max(header.byte_offset, 0) + (0 if header.files else header.stop)
    if not header.compressed and not header.text:
        return pieces(byte_offset=-1 if header.byte_offset < 0 else first)
    check_whole(header.dtype.itemsize * int(np.prod(pieces().part, dtype=object)), where)
    return pieces(unpack=_Unpacking(header.compressed, header.dtype, first))
