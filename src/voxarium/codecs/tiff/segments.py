"""Where the voxels of an image are in TIFF files: in one piece, page by page, or in strips and tiles to decode."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.model.flat_array import FlatArray, slab_shape
from voxarium.model.grid import ChunkGrid
from voxarium.model.sources import missing_extra, truncated

__all__ = ["Pages", "Stored", "TiffLevel", "assembled_level", "series_level"]

_LARGEST_SEGMENT: Final = 2 << 30
_WORTHWHILE: Final = 512 << 10  # bytes of strips that are read as one chunk
_MOST_SEGMENTS: Final = 1 << 28
_PACKERS: Final[Mapping[int, Mapping[str, Any] | None]] = {
    1: None,
    8: {"id": "zlib", "level": 1},
    32946: {"id": "zlib", "level": 1},
    50000: {"id": "zstd", "level": 1},
    34926: {"id": "zstd", "level": 1},
}
_COPY_AGAIN: Final = "copy the file again from its source"


@dataclass(frozen=True, slots=True)
class Stored:
    """How strips or tiles are stored, where nothing but a common compressor stands between bytes and voxels.

    Parameters
    ----------
    dtype : numpy.dtype
        With its byte order.
    compressor : mapping or None
        numcodecs configuration.
    padded : bool
        True for tiles, which are whole where the image ends; False for strips.
    """

    dtype: np.dtype[Any]
    compressor: Mapping[str, Any] | None  # Any: JSON
    padded: bool


@dataclass(frozen=True, slots=True)
class Pages:
    """Where the segments of every page are, and how to decode them.

    Parameters
    ----------
    axes : str
        A letter per axis of one page.
    offsets, counts : ndarray of int64, shape (pages, segments)
        Place and length in bytes; 0 for a segment that was never written.
    normal_shape : tuple of int
        Separate samples, depth, height, width, interleaved samples.
    segment_shape : tuple of int
        The same without interleaved samples.
    tables : tuple of bytes or None
        JPEG tables of each page; empty when no page has any.
    header : bytes or None
        JPEG header all segments share.
    keys, owners : tuple of str, ndarray of int32 or None
        Files that hold pages, and for each page which; the second None when all are in the first.
    decode : callable
        tifffile's decoder.
    stored : Stored or None
        How others can decode segments; None when it takes more than that.
    """

    axes: str
    offsets: NDArray[np.int64]
    counts: NDArray[np.int64]
    normal_shape: tuple[int, ...]
    segment_shape: tuple[int, ...]
    tables: tuple[bytes | None, ...]
    header: bytes | None
    keys: tuple[str, ...]
    owners: NDArray[np.int32] | None
    decode: Callable[..., Any]
    stored: Stored | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return type(None), ()  # the decoder cannot travel to another process; the file is opened again there

    def key(self, number: int) -> str:
        """Return the file of a page."""
        return self.keys[0 if self.owners is None else int(self.owners[number])]

    @property
    def nbytes(self) -> int:
        """Bytes the tables take."""
        return self.offsets.nbytes + self.counts.nbytes


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffLevel:
    """One level of one image of a TIFF file.

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
    key : str
        The file that has the voxels, when they lie in one piece.
    layout : FlatArray or None
        Set when all voxels lie uncompressed in one piece, or with `starts` those of a page.
    starts : ndarray of int64, shape (pages,), or None
        Byte offset of each page, when each lies uncompressed in one piece.
    pages : Pages or None
        Set when there is no layout; None after a journey to another process.
    compression : str
        For people.
    """

    shape: tuple[int, ...]
    letters: str
    dtype: np.dtype[Any]
    chunk_shape: tuple[int, ...]
    key: str
    layout: FlatArray | None = None
    starts: NDArray[np.int64] | None = None
    pages: Pages | None = None
    compression: str = "none"

    @property
    def flat(self) -> bool:
        """True when regions are read without decoding anything."""
        return self.layout is not None


def series_level(series: Any, key: str, size: int, where: str) -> TiffLevel:  # Any: tifffile is untyped here
    """Describe one level of a series of a file whose pages follow one another.

    Raises
    ------
    FormatError
        If the file is cut off or corrupt.
    UnsupportedError
        If its voxels cannot be read.
    """
    page = series.keyframe
    _check_type(page, series.dtype, series.shape, where)
    if series.transform is not None:
        raise UnsupportedError(
            f"{where} stores numbers that have to be computed before they mean anything ({series.kind})",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as plain TIFF with the program it came from",
        )
    shape = tuple(int(n) for n in series.shape)
    if series.dataoffset is not None and page.compression == 1:
        stored = series.dtype.newbyteorder(series.keyframe.parent.byteorder)
        layout = FlatArray(shape=shape, dtype=stored, byte_offset=int(series.dataoffset))
        if size < layout.stop:
            raise truncated(where, size, layout.stop)
        return _level(page, shape, series.axes, key, layout=layout)
    lead = math.prod(shape[: len(shape) - len(page.shape)])
    if lead != len(series) or shape[-len(page.shape) :] != tuple(page.shape):
        raise UnsupportedError(
            f"{where} spreads {series.shape} over {len(series)} pages of {page.shape}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="save it as OME-TIFF with one plane per page",
        )
    frames = [series[i] for i in range(lead)]
    if all(f is not None and f.is_final and len(f.dataoffsets) > 0 for f in frames):
        layout = FlatArray(shape=tuple(page.shape), dtype=page.dtype.newbyteorder(page.parent.byteorder))
        starts = np.array([int(f.dataoffsets[0]) for f in frames], np.int64)
        if starts.min() < 0 or int(starts.max()) + layout.stop > size:
            raise truncated(where, size, int(starts.max()) + layout.stop)
        return _level(page, shape, series.axes, key, layout=layout, starts=starts)
    pages = _pages(page, [(0, f) for f in frames], (key,), (size,), where)
    return _level(page, shape, series.axes, key, pages=pages)


def assembled_level(
    planes: Sequence[tuple[int, Any] | None],  # Any: tifffile is untyped here
    shape: tuple[int, ...],
    letters: str,
    files: Sequence[tuple[str, int]],
    where: str,
) -> TiffLevel:
    """Describe an image whose planes are pages of several files.

    Parameters
    ----------
    planes : sequence of (int, page) or None
        For each plane, in C order of the leading axes, the number of its file and the page; None = never written.
    shape, letters : tuple of int, str
        Of the leading axes.
    files : sequence of (str, int)
        Key and size in bytes of each file.
    where : str
        Place of the image, for messages.

    Raises
    ------
    FormatError
        If a page does not fit, or a file is cut off.
    UnsupportedError
        If its voxels cannot be read.
    """
    page = next((p for entry in planes if entry is not None for p in entry[1:]), None)
    if page is None or len(planes) != math.prod(shape):
        raise FormatError(f"{where} has no planes", code=Code.METADATA_INVALID, fix=_COPY_AGAIN)
    page = page.keyframe
    whole = (*shape, *(int(n) for n in page.shape))
    _check_type(page, page.dtype, whole, where)
    for entry in planes:
        if entry is not None and _kind(entry[1].keyframe) != _kind(page):
            raise FormatError(
                f"{where} is made of pages that differ: {_kind(page)[:3]} and {_kind(entry[1].keyframe)[:3]}",
                code=Code.SLICE_MISMATCH,
                fix="save all planes with one size, type and compression",
            )
    pages = _pages(page, planes, tuple(k for k, _ in files), tuple(n for _, n in files), where)
    return _level(page, whole, letters + page.axes, files[0][0], pages=pages)


def _kind(page: Any) -> tuple[Any, ...]:  # Any: tifffile is untyped here
    """Return what pages of one image have in common."""
    return (
        tuple(page.shape), page.dtype, page.compression, page.axes, page.shaped, page.predictor, page.is_tiled,
        page.photometric, page.planarconfig, page.parent.byteorder, _segment_shape(page), page.fillorder,
    )  # fmt: skip


def _level(
    page: Any,
    shape: tuple[int, ...],
    letters: str,
    key: str,
    *,
    layout: FlatArray | None = None,
    starts: NDArray[np.int64] | None = None,
    pages: Pages | None = None,
) -> TiffLevel:
    compression = page.compression
    if layout is None:
        chunk = _chunk_shape(shape, page)
    else:
        chunk = (1,) * (len(shape) - len(layout.shape)) + layout.chunk_shape
    return TiffLevel(
        shape=shape,
        letters=letters,
        dtype=page.dtype.newbyteorder("="),
        chunk_shape=chunk,
        key=key,
        layout=layout,
        starts=starts,
        pages=pages,
        compression="none" if compression == 1 else str(getattr(compression, "name", compression)).lower(),
    )


def _check_type(page: Any, dtype: np.dtype[Any] | None, shape: Sequence[int], where: str) -> None:
    if page is None or dtype is None or page.dtype is None or dtype.kind not in "biufc" or 0 in shape:
        raise UnsupportedError(
            f"{where} has voxels of a type that cannot be read here",
            code=Code.DTYPE_UNSUPPORTED,
            fix="save it with 8, 16 or 32 bits per sample",
        )


def _segment_shape(page: Any) -> tuple[int, int, int, int]:
    if page.is_tiled:
        return (1, max(1, page.tiledepth), page.tilelength, page.tilewidth)
    return (1, 1, max(1, min(page.rowsperstrip, page.imagelength)), page.imagewidth)


def _chunk_shape(shape: tuple[int, ...], page: Any) -> tuple[int, ...]:
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


def _pages(
    page: Any,
    frames: Sequence[tuple[int, Any] | None],
    keys: tuple[str, ...],
    sizes: tuple[int, ...],
    where: str,
) -> Pages:
    normal = tuple(int(n) for n in page.shaped)
    segment = _segment_shape(page)
    if min(segment) < 1 or min(normal) < 1:
        raise FormatError(f"{where} claims strips or tiles of no size", code=Code.METADATA_INVALID, fix=_COPY_AGAIN)
    per_page = math.prod(ChunkGrid(normal[:4], segment).counts)
    if math.prod(segment) * normal[4] * page.dtype.itemsize > _LARGEST_SEGMENT:
        raise FormatError(
            f"{where} claims strips or tiles of {segment[2]} x {segment[3]} voxels",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="save it with tiles or smaller strips",
        )
    # Every segment that exists has an entry of at least four bytes in one of the files.
    if per_page > _MOST_SEGMENTS or per_page * 4 > sum(sizes) + _LARGEST_SEGMENT // 1024:
        raise FormatError(
            f"{where} claims {per_page} strips or tiles per page", code=Code.SIZE_IMPLAUSIBLE, fix=_COPY_AGAIN
        )
    _check_decoder(page, where)
    offsets = np.zeros((len(frames), per_page), np.int64)
    counts = np.zeros((len(frames), per_page), np.int64)
    owners = np.zeros(len(frames), np.int32)
    tables: list[bytes | None] = []
    for i, entry in enumerate(frames):
        frame = None if entry is None else entry[1]
        tables.append(None if frame is None else frame.jpegtables)
        if entry is None:
            continue
        if frame is None or len(frame.dataoffsets) != per_page or len(frame.databytecounts) != per_page:
            raise FormatError(
                f"{where}: page {i} of {len(frames)} is not there or has another number of strips or tiles",
                code=Code.METADATA_INVALID,
                fix="export the file again; if its planes are in several files, open the folder instead",
            )
        owners[i] = entry[0]
        offsets[i], counts[i] = frame.dataoffsets, frame.databytecounts
    _check_places(offsets, counts, owners, sizes, where)
    return Pages(
        page.axes,
        offsets,
        counts,
        normal,
        segment,
        tuple(tables) if any(tables) else (),
        page.jpegheader,
        keys,
        owners if len(keys) > 1 else None,
        page.decode,
        _stored(page),
    )


def _stored(page: Any) -> Stored | None:  # Any: tifffile is untyped here
    """Return how segments are stored, unless decoding takes more than a common compressor."""
    bits = page.bitspersample
    if page.compression not in _PACKERS or page.predictor != 1 or page.fillorder != 1 or page.is_subsampled:
        return None
    if bits != page.dtype.itemsize * 8:
        return None
    return Stored(page.dtype.newbyteorder(page.parent.byteorder), _PACKERS[page.compression], bool(page.is_tiled))


def _check_places(
    offsets: NDArray[np.int64],
    counts: NDArray[np.int64],
    owners: NDArray[np.int32],
    sizes: tuple[int, ...],
    where: str,
) -> None:
    negative = int(offsets.min(initial=0)) < 0 or int(counts.min(initial=0)) < 0
    stops = np.where(counts > 0, offsets + counts, 0).max(axis=1, initial=0)
    limits = np.asarray(sizes, np.int64)[owners]
    late = np.flatnonzero(stops > limits)
    if negative or late.size:
        i = int(late[0]) if late.size else 0
        raise truncated(where, int(limits[i]), int(stops[i]))


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
