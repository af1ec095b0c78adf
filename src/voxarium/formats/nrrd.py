"""NRRD (``.nrrd``, and ``.nhdr`` with its data in other files): arrays with directions, units and free keys.

Spec: https://teem.sourceforge.net/nrrd/format.html, see `voxarium.spec.nrrd`. Raw data are read in parts; gzip, bzip2,
hex and text are unpacked as a whole, once for each file. The first axis of a header is the last one here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.bz2_lzma import Bzip2
from voxarium.codecs.deflate import Gzip
from voxarium.errors import Code, FormatError
from voxarium.model.box import Box
from voxarium.model.header_text import LARGEST_HEADER
from voxarium.model.image import ArrayInfo
from voxarium.model.keys import resolved_key
from voxarium.model.pieces import Kept, Pieces, check_whole, numbers_of_text
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.nrrd import MAGIC, NrrdHeader, header_stop, parse_header

__all__ = ["NrrdDriver"]

_HEAD: Final = 64 << 10


class NrrdDriver:
    """Reads NRRD files."""

    name: ClassVar[str] = "nrrd"
    spec_url: ClassVar[str] = "https://teem.sourceforge.net/nrrd/format.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (".nrrd", ".nhdr")

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse the header, and look whether the files it names are there and long enough.

        Raises
        ------
        NotFoundError
            If this is no NRRD file, or a file it names is not there.
        FormatError
            If the header is broken, or a file is cut off.
        UnsupportedError
            If voxels have a type or encoding that is not read.
        """
        found = read_head(store, path, _HEAD)
        if found is None or not found[0].startswith(MAGIC):
            raise declined(self.name, store, path)
        head, size = found
        where = place(store, path)
        stop = header_stop(head)
        if stop is None and size > len(head):
            head = (read_head(store, path, LARGEST_HEADER) or found)[0]
            stop = header_stop(head)
        if stop is None and size > len(head):
            raise FormatError(
                f"the header of {where} does not end within {LARGEST_HEADER} bytes",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="save the file again",
            )
        header = parse_header(head[:stop], where)
        if not header.files and stop is None:
            raise truncated(where, size, None)
        pieces = _pieces(path, header, stop or 0, where)
        pieces.check(store)
        return ArrayInfo(
            format=self.name,
            shape=header.shape,
            dtype=header.dtype.newbyteorder("="),
            chunk_shape=pieces.chunk_shape,
            contiguous=pieces.contiguous,
            codecs=(f"bytes:{'big' if header.dtype.str[0] == '>' else 'little'}",)
            + (() if header.encoding == "raw" else (header.encoding,)),
            axes=header.axes,
            transform=header.transform,
            attributes={"nrrd": dict(header.metadata)},
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
    """How one file is unpacked; behind an attached header, `skipped` bytes of it come first."""

    encoding: str
    dtype: np.dtype[Any]
    skip: int
    skipped: int

    def __call__(self, data: bytes, count: int) -> NDArray[Any]:
        data = data[self.skipped :]
        if self.encoding in ("ascii", "hex"):
            return numbers_of_text(data[self.skip :], count, self.dtype, 16 if self.encoding == "hex" else 10)
        size = self.skip + count * self.dtype.itemsize
        raw = Gzip(1).decode(data, (size, size)) if self.encoding == "gzip" else Bzip2(1).decode(data, (size, size))
        return np.frombuffer(raw, self.dtype, count, self.skip)


def _pieces(path: str, header: NrrdHeader, stop: int, where: str) -> Pieces:
    folder = path.rpartition("/")[0]
    keys = tuple(resolved_key(folder, name) for name in header.files) or (path,)
    rows = header.shape[0]
    if rows % len(keys) or (len(keys) > 1 and header.slab_axes < len(header.shape) and rows != len(keys)):
        raise FormatError(
            f"{where} names {len(keys)} files for {rows} planes",
            code=Code.METADATA_INVALID,
            fix="correct the sizes or the list of files",
        )
    pieces = partial(Pieces, keys=keys, shape=header.shape, dtype=header.dtype, kept=Kept())
    attached = 0 if header.files else stop
    skip = header.byte_skip
    if header.encoding == "raw":
        # Behind an attached header only a skip of lines or bytes that it states can come, which nobody writes.
        return pieces(byte_offset=-1 if skip < 0 else attached + skip, lines=0 if attached else header.line_skip)
    check_whole(header.dtype.itemsize * int(np.prod(pieces().part, dtype=object)), where)
    unpacking = _Unpacking(header.encoding, header.dtype, skip, attached)
    return pieces(lines=0 if attached else header.line_skip, unpack=unpacking)
