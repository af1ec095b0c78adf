"""One slice of a stack: its header, and the decoding of a part of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.images import decode_image, open_other_image
from voxarium.codecs.tiff import open_plane, read_level
from voxarium.errors import Code, FormatError, InputError, UnsupportedError, VoxariumError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray, slab_shape
from voxarium.model.image_header import ImageHeader
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import gone, opened, place, truncated
from voxarium.spec.image_headers import check_page_chain, parse_image_header
from voxarium.spec.slice_names import kind_of

__all__ = ["agreeing_header", "plane_chunk", "read_header", "read_slice"]

_LARGE_PLANE: Final = 64 << 20


@contextmanager
def _named(store: ReadableStore, path: str) -> Iterator[None]:
    """Say which file a parser complains about."""
    try:
        yield
    except (FormatError, UnsupportedError) as error:
        where = place(store, path)
        if where in error.message:
            raise
        raise type(error)(f"{where}: {error.message}", code=error.code, fix=error.fix) from error


def read_header(store: ReadableStore, path: str) -> ImageHeader:
    """Return what a slice says about itself."""
    with _named(store, path), opened(store, path) as (file, size):
        if size == 0:
            raise truncated(place(store, path), 0, None)
        header = parse_image_header(file.read_at, size)
        if header is None:
            if kind_of(path) in ("png", "jpeg", "tiff"):
                raise FormatError(
                    f"the file is no {kind_of(path)} image",
                    code=Code.METADATA_INVALID,
                    fix="check that it was copied whole and has the right ending",
                )
            if file.binary is None:
                raise UnsupportedError(
                    "images of this format are read from local files only",
                    code=Code.FEATURE_UNSUPPORTED,
                    fix="copy them to this machine first, or save them as PNG or TIFF",
                )
            header = open_other_image(file.binary)
        if header.byte_offset is not None and header.byte_offset + header.nbytes > size:
            raise truncated(place(store, path), size, header.byte_offset + header.nbytes)
        return header


def agreeing_header(store: ReadableStore, key: str, expected: ImageHeader) -> ImageHeader:
    """Return the header of a slice that must look like the first."""
    header = read_header(store, key)
    if header.several:
        raise InputError(
            f"{place(store, key)} holds several pages",
            code=Code.SLICE_MISMATCH,
            fix="open such a file by itself, or save one page per file",
        )
    if not header.agrees_with(expected):
        raise InputError(
            f"{place(store, key)} is {header}, but the first slice is {expected}",
            code=Code.SLICE_MISMATCH,
            fix="take this file out of the folder, choose files with a glob, or pad the slices to one size",
        )
    return header


def read_slice(store: ReadableStore, key: str, expected: ImageHeader, box: Box, out: NDArray[Any]) -> None:
    """Fill `out` with part of one slice. Its header is parsed again: the file may have changed."""
    try:
        if expected.kind == "tiff":
            _read_tiff_slice(store, key, expected, box, out)
            return
        data = store.get(key)
        if data is None:
            raise gone(store, key)
        with _named(store, key):
            header = parse_image_header(lambda start, length: data[start : start + length], len(data)) or expected
            if not header.agrees_with(expected):
                raise FormatError(
                    f"the slice changed from {expected} to {header}",
                    code=Code.SLICE_MISMATCH,
                    fix="open the stack again",
                )
            out[...] = decode_image(data, header)[box.slices]
    except VoxariumError:
        raise
    except MemoryError as error:
        raise InputError(
            f"{place(store, key)} does not fit into memory: {expected}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="use fewer threads, or save the slices as tiled TIFF, which is read in parts",
        ) from error


def _read_tiff_slice(store: ReadableStore, key: str, expected: ImageHeader, box: Box, out: NDArray[Any]) -> None:
    header = agreeing_header(store, key, expected)
    if header.byte_offset is not None:
        layout = FlatArray(shape=header.shape, dtype=header.dtype, byte_offset=header.byte_offset)
        layout.read(store, key, box, out)
        return
    level = open_plane(store, key, check_page_chain)
    if level.shape == header.shape and level.dtype == header.dtype.newbyteorder("="):
        read_level(level, store, box, out)
    elif level.shape == (header.samples, *header.shape[:2]):
        # Colours in separate planes.
        moved = Box((box.origin[-1], *box.origin[:-1]), (box.shape[-1], *box.shape[:-1]))
        read_level(level, store, moved, np.moveaxis(out, -1, 0))
    else:
        raise UnsupportedError(
            f"{place(store, key)} was announced as {header}, but decodes to {level.shape} {level.dtype}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as plain greyscale or RGB",
        )


def plane_chunk(header: ImageHeader) -> tuple[int, ...]:
    """Return the smallest piece of a slice that can be decoded by itself."""
    plane = header.tile or header.shape[:2]
    if header.byte_offset is not None and header.nbytes > _LARGE_PLANE:
        plane = slab_shape(header.shape[:2], header.dtype.itemsize * header.samples)
    return tuple(min(a, b) for a, b in zip(plane, header.shape, strict=False)) + header.shape[2:]
