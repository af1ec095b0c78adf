"""NumPy's .npy files: one array, C or Fortran order, any byte order.

Spec: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html. Seen in the wild: versions 1
to 3, shapes with the ``L`` of Python 2, headers padded to 16 or 64 bytes. Bytes behind the array are
tolerated, as NumPy does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, cast

from numpy.typing import NDArray

from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.image import ArrayInfo
from voxarium.model.native import Span
from voxarium.model.protocols import ReadableStore
from voxarium.model.references import Referable, flat_chunks, flat_referable
from voxarium.model.sources import declined, place, read_head, truncated
from voxarium.spec.npy_header import MAGIC, header_length, parse_npy_header

__all__ = ["NpyDriver"]

_HEAD = 4096


class NpyDriver:
    """Reads .npy files region by region."""

    name: ClassVar[str] = "npy"
    spec_url: ClassVar[str] = "https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (".npy",)

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse the header; the file must be as long as the header says.

        Raises
        ------
        NotFoundError
            If this is no .npy file.
        FormatError
            If the header is broken or the file is cut off.
        UnsupportedError
            If the elements are not plain numbers.
        """
        found = read_head(store, path, _HEAD)
        if found is None:
            raise declined(self.name, store, path)
        head, size = found
        if not head.startswith(MAGIC) and not path.lower().endswith(self.suffixes):
            raise declined(self.name, store, path)
        if size < 12:
            raise truncated(place(store, path), size, None)
        start, length = header_length(head)
        if start + length > len(head):
            again = read_head(store, path, start + length)
            head = head if again is None else again[0]
        header = parse_npy_header(head)
        layout = FlatArray(
            shape=header.shape,
            dtype=header.dtype,
            byte_offset=header.data_start,
            order="F" if header.fortran_order else "C",
        )
        if size < layout.stop:
            raise truncated(place(store, path), size, layout.stop)
        return ArrayInfo(
            format=self.name,
            shape=layout.shape,
            dtype=layout.dtype.newbyteorder("="),
            chunk_shape=layout.chunk_shape,
            contiguous=True,
            codecs=(f"bytes:{'big' if header.dtype.str[0] == '>' else 'little'}",),
            details=layout,
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        return cast(FlatArray, info.details).read_new(store, path, box)

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        cast(FlatArray, info.details).read(store, path, box, out)

    def flat_layout(self, path: str, info: ArrayInfo, /) -> tuple[str, FlatArray]:
        """Return where the voxels are; see `FlatDriver`."""
        return path, cast(FlatArray, info.details)

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others read pieces of the file."""
        return flat_referable(cast(FlatArray, info.details))

    def stored_chunks(
        self, _store: ReadableStore, path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where pieces of the file are."""
        return flat_chunks(cast(FlatArray, info.details), path)
