"""Voxels of TIFF files by region: only the strips or tiles that are needed are read and decoded.

tifffile parses the file once, at opening; then it is closed. Byte ranges go through the store and decoding
is free of shared state, so any number of threads may read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError, StoreError, UnsupportedError, VoxariumError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray, slab_shape
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import ByteRange, FileStore, ReadableStore
from voxarium.model.sources import missing_extra, place, truncated

__all__ = ["TiffImage", "open_tiff", "read_tiff"]

_LARGEST_SEGMENT: Final = 2 << 30
_WORTHWHILE: Final = 4 << 20  # bytes of strips that are read as one chunk
_FILE_NAME: Final = re.compile(r"""FileName\s*=\s*["']([^"']*)["']""")


@dataclass(frozen=True, slots=True)
class _Pages:
    """Where the segments of every page are, and how to decode them."""

    axes: str  # of one page
    offsets: NDArray[np.int64]  # (pages, segments)
    counts: NDArray[np.int64]
    normal_shape: tuple[int, ...]  # separate samples, depth, height, width, interleaved samples
    segment_shape: tuple[int, ...]  # the same without interleaved samples
    tables: tuple[bytes | None, ...]
    decode: Callable[..., Any]

    def __reduce__(self) -> tuple[object, ...]:
        return (
            type(None),
            (),
        )  # the decoder cannot travel to another process; the file is opened again there


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffImage:
    """One series of a TIFF file.

    Parameters
    ----------
    shape : tuple of int
        Voxels.
    letters : str
        A letter per axis as tifffile names them: ZYX, S for samples, I and Q for what the file does not say.
    dtype : numpy.dtype
        Native byte order.
    chunk_shape : tuple of int
        Tile, or strips, of one page.
    series : int
        Which series of the file.
    layout : FlatArray or None
        Set when all voxels lie uncompressed in one piece.
    pages : _Pages or None
        Set otherwise; None after a journey to another process.
    kind : str
        Where the axes come from: ``ome``, ``imagej``, ``shaped`` …
    compression : str
        For people.
    ome_xml, imagej : str, mapping
        Metadata as found.
    resolution : tuple
        Voxels per unit along x and y, and the unit: ``inch``, ``centimeter`` or empty.
    """

    shape: tuple[int, ...]
    letters: str
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    series: int = 0
    layout: FlatArray | None = None
    pages: _Pages | None = None
    kind: str = "generic"
    compression: str = "none"
    ome_xml: str | None = None
    imagej: dict[str, Any] = field(default_factory=dict)  # Any: values as found
    resolution: tuple[float | None, float | None, str] = (None, None, "")


def open_tiff(store: ReadableStore, path: str, series: int | None = None) -> TiffImage:
    """Parse a TIFF file.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        Its key.
    series : int or None
        Which image of the file; None if there should be one only.

    Raises
    ------
    FormatError
        If the file is cut off or corrupt.
    InputError
        If there are several images and none is chosen.
    UnsupportedError
        If a package or feature is lacking.
    """
    try:
        import tifffile
    except ImportError as error:
        raise missing_extra("tiff", f"{place(store, path)} is a TIFF file that needs tifffile") from error
    if not isinstance(store, FileStore):
        raise UnsupportedError(
            f"TIFF files cannot be opened in {store.uri}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy the file to this machine first",
        )
    stat = store.stat(path)
    size = 0 if stat is None else stat.size
    try:
        # Files that OME metadata refers to are never opened: they may be anywhere.
        with store.open_file(path) as file, tifffile.TiffFile(file, name=path, _multifile=False) as tiff:
            return _described(tiff, series, size, place(store, path))
    except (VoxariumError, MemoryError):
        raise
    except Exception as error:  # tifffile meets corrupt files with many kinds of errors
        raise FormatError(
            f"{place(store, path)} cannot be read as TIFF: {str(error)[:200]}",
            code=Code.METADATA_INVALID,
            fix="copy the file again from its source, or check it with tiffinfo",
        ) from error


def _described(tiff: Any, wanted: int | None, size: int, where: str) -> TiffImage:
    ome_xml = tiff.ome_metadata if tiff.is_ome else None
    _check_one_file(ome_xml, where)
    all_series = tiff.series
    if (wanted is None and len(all_series) > 1) or not 0 <= (wanted or 0) < len(all_series):
        listed = "; ".join(f"{i}: {s.name} {s.shape} {s.dtype}" for i, s in enumerate(all_series[:20]))
        raise InputError(
            f"{where} holds {len(all_series)} images: {listed}",
            code=Code.ARGUMENT_INVALID,
            fix="choose one with series=0, series=1, …",
        )
    number = wanted or 0
    series = all_series[number]
    page = series.keyframe
    if page is None or series.dtype is None or series.dtype.kind not in "biufc" or 0 in series.shape:
        raise UnsupportedError(
            f"{where} has voxels of a type that cannot be read here",
            code=Code.DTYPE_UNSUPPORTED,
            fix="save it with 8, 16 or 32 bits per sample",
        )
    shape = tuple(int(n) for n in series.shape)
    dtype = series.dtype.newbyteorder("=")
    layout, pages = None, None
    if series.dataoffset is not None and page.compression == 1:
        stored = series.dtype.newbyteorder(tiff.byteorder)
        layout = FlatArray(shape=shape, dtype=stored, byte_offset=int(series.dataoffset))
        if size < layout.stop:
            raise truncated(where, size, layout.stop)
    else:
        pages = _pages(series, page, size, where)
    return TiffImage(
        shape=shape,
        letters=series.axes,
        dtype=dtype,
        chunk_shape=_chunk_shape(shape, page, layout),
        series=number,
        layout=layout,
        pages=pages,
        compression="none"
        if page.compression == 1
        else str(getattr(page.compression, "name", page.compression)).lower(),
        kind=series.kind,
        ome_xml=ome_xml,
        imagej={k: v for k, v in (tiff.imagej_metadata or {}).items() if k not in ("IJMetadata", "Overlays", "ROI")},
        resolution=_resolution(page),
    )


def _check_one_file(ome_xml: str | None, where: str) -> None:
    files = set() if ome_xml is None else set(_FILE_NAME.findall(ome_xml))
    if len(files) > 1:
        listed = ", ".join(sorted(files)[:5])
        raise UnsupportedError(
            f"{where} is part of an OME-TIFF in several files: {listed}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="join them into one file, for example with bfconvert, or open a folder of slices",
        )


def _resolution(page: Any) -> tuple[float | None, float | None, str]:
    def per_unit(name: str) -> float | None:
        tag = page.tags.get(name)
        value = None if tag is None else tag.value
        if isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0:
            return float(value[0] / value[1])
        return None

    unit = page.tags.get("ResolutionUnit")
    names = {2: "inch", 3: "centimeter"}
    return (
        per_unit("XResolution"),
        per_unit("YResolution"),
        "" if unit is None else names.get(int(unit.value), ""),
    )


def _segment_shape(page: Any) -> tuple[int, int, int, int]:
    if page.is_tiled:
        return (1, max(1, page.tiledepth), page.tilelength, page.tilewidth)
    return (1, 1, max(1, min(page.rowsperstrip, page.imagelength)), page.imagewidth)


def _chunk_shape(shape: tuple[int, ...], page: Any, layout: FlatArray | None) -> tuple[int, ...]:
    lead = len(shape) - len(page.shape)
    if lead < 0:
        return slab_shape(shape, page.dtype.itemsize)
    _, depth, height, width = _segment_shape(page)
    sizes = {"Z": depth, "Y": height, "X": width}
    chunk = [sizes.get(a, n) if a in "ZYX" else n for a, n in zip(page.axes, page.shape, strict=True)]
    if not page.is_tiled and "Y" in page.axes:
        row = page.axes.index("Y")
        strip = max(1, math.prod(chunk) * page.dtype.itemsize)
        # Whole planes of uncompressed images are not worth more than any other rows.
        times = -(-_WORTHWHILE // strip)
        chunk[row] = min(page.shape[row], chunk[row] * times)
    return (1,) * lead + tuple(max(1, min(c, n)) for c, n in zip(chunk, page.shape, strict=True))


def _pages(series: Any, page: Any, size: int, where: str) -> _Pages:
    lead = math.prod(series.shape[: len(series.shape) - len(page.shape)])
    normal = tuple(int(n) for n in page.shaped)
    segment = _segment_shape(page)
    if min(segment) < 1 or min(normal) < 1:
        raise FormatError(
            f"{where} claims strips or tiles of no size",
            code=Code.METADATA_INVALID,
            fix="copy the file again from its source",
        )
    counts = ChunkGrid(normal[:4], segment).counts
    per_page = math.prod(counts)
    if lead != len(series) or tuple(series.shape[-len(page.shape) :]) != tuple(page.shape):
        raise UnsupportedError(
            f"{where} spreads {series.shape} over {len(series)} pages of {page.shape}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as OME-TIFF with one plane per page",
        )
    if math.prod(segment) * normal[4] * page.dtype.itemsize > _LARGEST_SEGMENT:
        raise FormatError(
            f"{where} claims strips or tiles of {segment[2]} x {segment[3]} voxels",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="save it with tiles or smaller strips",
        )
    _check_decoder(page, where)
    offsets = np.zeros((lead, per_page), np.int64)
    lengths = np.zeros((lead, per_page), np.int64)
    tables = []
    for i in range(lead):
        frame = series[i]
        if frame is None or len(frame.dataoffsets) != per_page or len(frame.databytecounts) != per_page:
            raise FormatError(
                f"{where}: page {i} of {lead} is not there or has another number of strips or tiles",
                code=Code.METADATA_INVALID,
                fix="export the file again; if its planes are in several files, open the folder instead",
            )
        offsets[i] = frame.dataoffsets
        lengths[i] = frame.databytecounts
        tables.append(frame.jpegtables)
    stop = int((offsets + lengths).max(initial=0))
    if stop > size or int(offsets.min(initial=0)) < 0 or int(lengths.min(initial=0)) < 0:
        raise truncated(where, size, stop)
    return _Pages(page.axes, offsets, lengths, normal, segment, tuple(tables), page.decode)


def _check_decoder(page: Any, where: str) -> None:
    try:
        page.decode(None, 0)
    except (ValueError, NotImplementedError) as error:
        if "imagecodecs" in str(error):
            raise missing_extra("tiff", f"{where} is compressed; decoding needs imagecodecs") from error
        raise UnsupportedError(
            f"{where} cannot be decoded: {error}",
            code=Code.CODEC_UNKNOWN,
            fix="save it uncompressed, or with LZW or zlib",
        ) from error


def read_tiff(image: TiffImage, store: ReadableStore, path: str, box: Box, out: NDArray[Any]) -> None:
    """Fill `out` (shape of `box`) with voxels.

    Raises
    ------
    FormatError
        If data is cut off or corrupt.
    """
    if image.layout is not None:
        image.layout.read(store, path, box, out)
        return
    pages = image.pages
    if pages is None:
        pages = open_tiff(store, path, image.series).pages
    if pages is None:
        raise FormatError(
            f"{place(store, path)} changed since it was opened",
            code=Code.METADATA_INVALID,
            fix="open it again",
        )
    lead = len(image.shape) - len(pages.axes)
    part = _normal_box(box, pages.axes, lead)
    for index in np.ndindex(box.shape[:lead]):
        number = 0
        for i, o, n in zip(index, box.origin, image.shape, strict=False):
            number = number * n + i + o
        target = _in_normal_axes(out[index], pages.axes)
        _read_page((pages, number), store, path, part, target)


_SLOTS: Final = {"Z": 1, "Y": 2, "X": 3}


def _slots(axes: str) -> tuple[int, ...]:
    """Return the place of each page axis among the five normal ones. Samples before Y are separate planes."""
    return tuple(_SLOTS.get(a, 0 if i < axes.find("Y") else 4) for i, a in enumerate(axes))


def _normal_box(box: Box, axes: str, lead: int) -> Box:
    origin, shape = [0] * 5, [1] * 5
    for slot, o, n in zip(_slots(axes), box.origin[lead:], box.shape[lead:], strict=True):
        origin[slot], shape[slot] = o, n
    return Box(tuple(origin), tuple(shape))


def _in_normal_axes(target: NDArray[Any], axes: str) -> NDArray[Any]:
    slots = _slots(axes)
    return np.expand_dims(target, tuple(i for i in range(5) if i not in slots))


def _read_page(page: tuple[_Pages, int], store: ReadableStore, path: str, part: Box, out: NDArray[Any]) -> None:
    pages, number = page
    grid = ChunkGrid(pages.normal_shape[:4], pages.segment_shape)
    counts = grid.counts
    wanted = [
        (int(np.ravel_multi_index(i, counts)), grid.clipped_box(i))
        for i in grid.indices(Box(part.origin[:4], part.shape[:4]))
    ]
    ranges = [ByteRange(int(pages.offsets[number, i]), int(pages.counts[number, i])) for i, _ in wanted]
    present = [r for r in ranges if r.length]
    payloads = iter(store.get_ranges(path, present) or ()) if present else iter(())
    for (i, where), span in zip(wanted, ranges, strict=True):
        region = Box((*where.origin, 0), (*where.shape, pages.normal_shape[4]))
        piece = region.intersection(part)
        target = out[piece.relative_to(part.origin).slices]
        if not span.length:
            target[...] = 0  # a sparse segment: never written
            continue
        data = _decoded(pages, number, i, bytes(next(payloads, b"")), place(store, path))
        target[...] = data[piece.relative_to(region.origin).slices[1:]]


def _decoded(pages: _Pages, number: int, segment: int, payload: bytes, where: str) -> NDArray[Any]:
    try:
        data, _, _ = pages.decode(payload, segment, jpegtables=pages.tables[number])
    except (MemoryError, StoreError):
        raise
    except Exception as error:  # every codec has its own exceptions
        raise FormatError(
            f"{where}: strip or tile {segment} of page {number} cannot be decoded: {str(error)[:200]}",
            code=Code.CHUNK_CORRUPT,
            fix="copy the file again from its source, or restore it from a backup",
        ) from error
    return np.asarray(data)
