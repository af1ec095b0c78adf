"""Raw binary files: voxels and nothing else, so shape and type must be told.

There is no specification. Seen in the wild: ``.raw``, ``.bin`` and ``.dat`` with a fixed header of some
hundred bytes (``byte_offset``), big-endian data (``dtype=">u2"``), Fortran order from MATLAB
(``order="F"``), and a footer (``trailing_bytes``). The size of the file must come out exactly: it is the
only check there is.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray
from voxarium.model.image import ArrayInfo
from voxarium.model.native import Span
from voxarium.model.protocols import ReadableStore
from voxarium.model.references import Referable, flat_chunks, flat_referable
from voxarium.model.sources import declined, place

__all__ = ["RawDriver"]

_EXAMPLE = "--shape 512,1024,2048 --source-dtype uint16; in Python shape=(512, 1024, 2048), dtype='uint16'"


class RawDriver:
    """Reads raw binary files region by region."""

    name: ClassVar[str] = "raw"
    spec_url: ClassVar[str] = "https://en.wikipedia.org/wiki/Raw_image_format"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = (".raw", ".bin", ".dat")
    options: ClassVar[frozenset[str]] = frozenset({"shape", "dtype", "byte_offset", "order", "trailing_bytes"})

    def open(self, store: ReadableStore, path: str, /, **options: Any) -> ArrayInfo:
        """Describe a raw file.

        Parameters
        ----------
        store : ReadableStore
            Where the file is.
        path : str
            Its key.
        **options
            `shape` (sequence of int, or text such as ``512,1024,2048``) and `dtype` (such as ``uint16`` or
            ``>u2``) are needed; `byte_offset` counts the bytes before the first voxel, `trailing_bytes` those
            behind the last; `order` is ``C`` (last axis fastest, the default) or ``F`` (first axis fastest).

        Raises
        ------
        NotFoundError
            If this is no raw file.
        InputError
            If shape or dtype is not given, or an option is wrong.
        FormatError
            If the file does not have the size that the options call for.
        """
        given = {k: v for k, v in options.items() if v is not None}
        stat = store.stat(path) if path and "::" not in path else None
        if stat is None or not (given or path.lower().endswith(self.suffixes)):
            raise declined(self.name, store, path)
        if "shape" not in given or "dtype" not in given:
            raise InputError(
                f"{place(store, path)} ({stat.size} bytes) does not say its shape and type",
                code=Code.ARGUMENT_INVALID,
                fix=f"give both, in the order z, y, x: {_EXAMPLE}; byte_offset= and order='F' where needed",
            )
        layout = FlatArray(
            shape=_shape(given["shape"]),
            dtype=_dtype(given["dtype"]),
            byte_offset=_count(given.get("byte_offset", 0), "byte_offset"),
            order=_order(given.get("order", "C")),
        )
        _check_size(place(store, path), stat.size, layout, _count(given.get("trailing_bytes", 0), "trailing_bytes"))
        return ArrayInfo(
            format=self.name,
            shape=layout.shape,
            dtype=layout.dtype.newbyteorder("="),
            chunk_shape=layout.chunk_shape,
            contiguous=True,
            codecs=(f"bytes:{'big' if layout.dtype.str[0] == '>' else 'little'}",),
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


def _wrong(name: str, value: object, fix: str) -> InputError:
    return InputError(f"{name}={value!r} cannot be used", code=Code.ARGUMENT_INVALID, fix=fix)


def _shape(value: object) -> tuple[int, ...]:
    fix = "give whole positive numbers in the order z, y, x, such as 512,1024,2048"
    parts: Sequence[Any]
    if isinstance(value, str):
        parts = re.split(r"[,x×\s]+", value.strip(" ()[]"))
    elif isinstance(value, (Sequence, np.ndarray)):
        parts = tuple(value)
    else:
        raise _wrong("shape", value, fix)
    try:
        shape = tuple(int(p) if isinstance(p, str) else operator.index(p) for p in parts)
    except (ValueError, TypeError) as error:
        raise _wrong("shape", value, fix) from error
    if not shape or any(n <= 0 for n in shape):
        raise _wrong("shape", value, fix)
    return shape


def _dtype(value: Any) -> np.dtype[Any]:  # Any: whatever numpy.dtype takes
    fix = "use a numeric type such as uint8, uint16, >u2 (big-endian), int32, float32"
    try:
        dtype: np.dtype[Any] = np.dtype(value)
    except (TypeError, ValueError) as error:
        raise _wrong("dtype", value, fix) from error
    if dtype.kind not in "biufc" or dtype.str[1:] in ("f16", "c32") or dtype.subdtype is not None:
        raise _wrong("dtype", value, fix)
    return dtype


def _count(value: Any, name: str) -> int:  # Any: what a caller passes
    fix = "give a number of bytes, 0 or more"
    try:
        count = int(value) if isinstance(value, str) else operator.index(value)
    except (ValueError, TypeError) as error:
        raise _wrong(name, value, fix) from error
    if count < 0:
        raise _wrong(name, value, fix)
    return count


def _order(value: object) -> Literal["C", "F"]:
    if value == "C":
        return "C"
    if value == "F":
        return "F"
    raise _wrong("order", value, "use order='C' (last axis fastest) or order='F' (first axis fastest)")


def _check_size(where: str, size: int, layout: FlatArray, trailing: int) -> None:
    needed = layout.stop + trailing
    if size < needed:
        raise FormatError(
            f"{where} has {size} bytes; shape {layout.shape} of {layout.dtype} needs {needed}"
            + (f" with byte_offset {layout.byte_offset}" if layout.byte_offset else ""),
            code=Code.FILE_TRUNCATED,
            fix="check shape, dtype and byte_offset; if they are right, the file is cut off: copy it again",
        )
    if size > needed:
        excess = size - needed
        raise FormatError(
            f"{where} has {size} bytes, {excess} more than shape {layout.shape} of {layout.dtype} needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix=f"check shape and dtype; if the file has a header of {excess} bytes, "
            f"use byte_offset={layout.byte_offset + excess}, of a footer trailing_bytes={trailing + excess}",
        )
