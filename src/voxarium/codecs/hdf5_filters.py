"""Voxels of an open HDF5 dataset, and the filters its chunks carry: deflate, shuffle, Fletcher-32.

The HDF5 library decodes under one global lock; undoing the common filters here lets every thread decode,
with a faster inflate where one is installed. Spec: https://docs.hdfgroup.org/hdf5/latest/group___h5_z.html.
"""

from __future__ import annotations

import contextlib
import math
import zlib
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import ChecksumError, Code, FormatError, UnsupportedError
from voxarium.model.box import Box
from voxarium.model.flat_array import FlatArray, slab_shape
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import ByteRange, FileStore, ReadableStore
from voxarium.model.sources import gone

__all__ = ["DEFLATE", "FLETCHER32", "SHUFFLE", "Hdf5Voxels", "decode_filters", "encode_filters", "number_type"]

DEFLATE: Final = 1
SHUFFLE: Final = 2
FLETCHER32: Final = 3

_NAMES: Final = {1: "gzip", 2: "shuffle", 3: "fletcher32", 4: "szip", 5: "nbit", 6: "scaleoffset", 32000: "lzf"}
_OURS: Final = frozenset({DEFLATE, SHUFFLE, FLETCHER32})
_CONTIGUOUS, _CHUNKED = 1, 2
_BYTES_AT_ONCE: Final = 32 << 20


def decode_filters(payload: bytes, filters: tuple[tuple[int, int], ...], mask: int, nbytes: int) -> NDArray[np.uint8]:
    """Return the bytes of one chunk.

    Parameters
    ----------
    payload : bytes
        The chunk as stored.
    filters : tuple of (int, int)
        Filter number and first parameter (for shuffle the bytes per element), in encoding order.
    mask : int
        Bit i is set when filter i was skipped for this chunk.
    nbytes : int
        Size of the decoded chunk; nothing larger is ever made.

    Raises
    ------
    FormatError
        If the payload is corrupt or has another size.
    ChecksumError
        If the Fletcher-32 checksum disagrees.
    """
    data = np.frombuffer(payload, np.uint8)
    for i in reversed(range(len(filters))):
        if mask >> i & 1:
            continue
        number, parameter = filters[i]
        if number == DEFLATE:
            # A checksum may have been added before compression.
            room = nbytes + 4 * sum(n == FLETCHER32 for n, _ in filters[:i])
            data = np.frombuffer(_inflate(data.tobytes() if data.base is None else data, room), np.uint8)
        elif number == SHUFFLE:
            data = _unshuffle(data, parameter)
        else:
            data = _without_fletcher32(data)
    if data.nbytes != nbytes:
        raise _corrupt(f"has {data.nbytes} bytes when decoded, {nbytes} expected")
    return data


def encode_filters(data: NDArray[np.uint8], filters: tuple[tuple[int, int], ...]) -> bytes:
    """Return the bytes of a chunk as HDF5 stores them; of the filters, shuffle and deflate are known.

    Examples
    --------
    >>> packed = encode_filters(np.arange(64, dtype="u1"), ((2, 4), (1, 9)))
    >>> int(decode_filters(packed, ((2, 4), (1, 9)), 0, 64)[63])
    63
    """
    for number, parameter in filters:
        if number == SHUFFLE and parameter > 1:
            data = np.ascontiguousarray(data.reshape(-1, parameter).T).reshape(-1)
        elif number == DEFLATE:
            data = np.frombuffer(_deflate(data, parameter), np.uint8)
    return data.tobytes()


def _corrupt(reason: str) -> FormatError:
    return FormatError(
        f"an HDF5 chunk {reason}",
        code=Code.CHUNK_CORRUPT,
        fix="copy the file again from its source, or restore it",
    )


@cache
def _zlibng() -> Callable[..., Any] | None:
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs.zlibng_decode if imagecodecs.ZLIBNG.available else None


def _deflate(array: NDArray[np.uint8], level: int) -> bytes:
    data = array.tobytes()
    try:
        import imagecodecs
    except ImportError:
        return zlib.compress(data, level)
    if imagecodecs.ZLIBNG.available:
        return bytes(imagecodecs.zlibng_encode(data, level))
    return zlib.compress(data, level)


def _inflate(data: Any, room: int) -> bytes:  # Any: a buffer
    fast = _zlibng()
    if fast is not None:
        try:
            return bytes(fast(data, out=room))
        except RuntimeError as error:
            raise _corrupt(f"cannot be inflated: {error}") from error
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, room + 1)
    except zlib.error as error:
        raise _corrupt(f"cannot be inflated: {error}") from error
    if not inflater.eof and len(out) <= room:
        raise _corrupt("ends too early")
    return out


def _unshuffle(data: NDArray[np.uint8], itemsize: int) -> NDArray[np.uint8]:
    if itemsize <= 1:
        return data
    whole = data.size // itemsize * itemsize
    out = np.empty_like(data)
    elements, planes = out[:whole].reshape(-1, itemsize), data[:whole].reshape(itemsize, -1)
    for i in range(itemsize):  # twenty times faster than one transposed copy: its inner loop would be `itemsize` long
        elements[:, i] = planes[i]
    out[whole:] = data[whole:]
    return out


def _without_fletcher32(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from numcodecs.fletcher32 import Fletcher32

    if data.size <= 4:
        raise _corrupt("is too short for its checksum")
    try:
        return np.frombuffer(Fletcher32().decode(data), np.uint8)
    except RuntimeError as error:
        raise ChecksumError(
            "an HDF5 chunk disagrees with its Fletcher-32 checksum",
            code=Code.CHECKSUM_MISMATCH,
            fix="copy the file again from its source, or restore it from a backup",
        ) from error


# --------------------------------------------------------------------------------------------------- datasets
def number_type(dataset: Any, where: str) -> np.dtype[Any]:  # Any: h5py is untyped
    """Return the native type of a dataset's elements.

    Raises
    ------
    UnsupportedError
        If they are no plain numbers, or there are none.
    """
    dtype: np.dtype[Any] = dataset.dtype
    if dataset.shape is None or dtype.kind not in "biufc" or dtype.str[1:] in ("f16", "c32"):
        what = "nothing" if dataset.shape is None else f"fields {', '.join(dtype.names)}" if dtype.names else str(dtype)
        raise UnsupportedError(
            f"{where}: {dataset.name} holds {what}, not plain numbers",
            code=Code.DTYPE_UNSUPPORTED,
            fix="name a numeric dataset, or store one field as integers or floats",
        )
    return np.dtype(dtype.newbyteorder("=").str)  # without the metadata that h5py attaches to enumerations


class Hdf5Voxels:
    """An open dataset, and faster ways to its voxels where there are any. Pickled without the open file.

    Parameters
    ----------
    dataset : h5py.Dataset or None
        None after a journey to another process: open it again.
    key : str
        The file it is in, which a link may have led to.
    layout : FlatArray or None
        Where the voxels are, when they lie in one piece.
    filters : tuple of (int, int) or None
        Filter numbers and first parameters, when all chunks can be decoded here.
    """

    __slots__ = ("dataset", "filters", "key", "layout")

    def __init__(
        self,
        dataset: Any,  # Any: h5py is untyped
        key: str,
        layout: FlatArray | None = None,
        filters: tuple[tuple[int, int], ...] | None = None,
    ) -> None:
        self.dataset = dataset
        self.key = key
        self.layout = layout
        self.filters = filters

    def __reduce__(self) -> tuple[object, ...]:
        return (Hdf5Voxels, (None, self.key, self.layout, self.filters))

    @classmethod
    def of(cls, dataset: Any, key: str, where: str) -> Hdf5Voxels:  # Any: h5py is untyped
        """Return the fastest way to the voxels of a dataset.

        Raises
        ------
        UnsupportedError
            If its chunks carry a filter that is not installed.
        """
        import h5py

        settings = dataset.id.get_create_plist()
        filters = _filters(dataset)
        _check_filters(filters, where)
        layout: FlatArray | None = None
        ours: tuple[tuple[int, int], ...] | None = None
        if dataset.id.get_type() == h5py.h5t.py_create(dataset.dtype, logical=True):
            if settings.get_layout() == _CONTIGUOUS and dataset.id.get_offset() is not None:
                place = int(dataset.id.get_offset())
                layout = FlatArray(shape=tuple(map(int, dataset.shape)), dtype=dataset.dtype, byte_offset=place)
            elif settings.get_layout() == _CHUNKED and all(f[0] in _OURS for f in filters):
                ours = tuple((int(f[0]), int(f[2][0]) if len(f[2]) else 0) for f in filters)
        return cls(dataset, key, layout, ours)

    @property
    def chunk_shape(self) -> tuple[int, ...]:
        """Return the chunk, or a piece that is cheap to read; never longer than the dataset."""
        shape = tuple(int(n) for n in self.dataset.shape)
        chunks = self.dataset.chunks or slab_shape(shape, self.dataset.dtype.itemsize)
        return tuple(max(1, min(int(c), n)) for c, n in zip(chunks, shape, strict=True))

    @property
    def codecs(self) -> tuple[str, ...]:
        """Return the names of the filters, in encoding order."""
        return tuple(_filter_name(f) for f in _filters(self.dataset))

    def read(self, store: ReadableStore, box: Box, out: NDArray[Any]) -> None:
        """Fill `out` with the voxels of `box`."""
        if self.layout is not None:
            self.layout.read(store, self.key, box, out)
            return
        if self.filters is not None:
            local = isinstance(store, FileStore) and store.local_path(self.key) is not None
            if not local and not self.dataset.file.userblock_size:  # whether places count it differs by version
                _fetch_chunks(self, store, box, out)
                return
            if _worth_whole_chunks(self.dataset, box):
                _read_chunks(self, box, out)
                return
        if out.flags.c_contiguous and out.ndim:
            self.dataset.read_direct(out, source_sel=box.slices)
        else:
            out[...] = self.dataset[box.slices]


def _filters(dataset: Any) -> tuple[Any, ...]:
    settings = dataset.id.get_create_plist()
    return tuple(settings.get_filter(i) for i in range(settings.get_nfilters()))


def _filter_name(entry: Any) -> str:
    name = _NAMES.get(entry[0], entry[3].decode("ascii", "replace").split(" ")[0] or f"filter {entry[0]}")
    return f"{name}:{entry[2][0]}" if entry[0] == DEFLATE and len(entry[2]) else name


def _check_filters(filters: tuple[Any, ...], where: str) -> None:
    import h5py

    absent = [f for f in filters if not h5py.h5z.filter_avail(f[0])]
    if absent:
        with contextlib.suppress(ImportError):  # importing it registers its filters
            import_module("hdf5plugin")
        absent = [f for f in absent if not h5py.h5z.filter_avail(f[0])]
    if absent:
        raise UnsupportedError(
            f"{where} needs {', '.join(map(_filter_name, absent))}, which this installation cannot decode",
            code=Code.CODEC_NOT_INSTALLED,
            fix="pip install hdf5plugin",
        )


def _worth_whole_chunks(dataset: Any, box: Box) -> bool:
    """Tell whether at least half of the touched chunks is wanted; else HDF5's chunk cache does better."""
    whole = box.snapped_to(dataset.chunks).intersection(Box.whole(dataset.shape))
    return box.size * 2 >= whole.size


def _read_chunks(voxels: Hdf5Voxels, box: Box, out: NDArray[Any]) -> None:
    dataset = voxels.dataset
    grid = ChunkGrid(dataset.shape, dataset.chunks)
    for index in grid.indices(box):
        origin = grid.box(index).origin
        there = dataset.id.get_chunk_info_by_coord(origin).byte_offset is not None
        _place(voxels, origin, dataset.id.read_direct_chunk(origin) if there else None, box, out)


def _fetch_chunks(voxels: Hdf5Voxels, store: ReadableStore, box: Box, out: NDArray[Any]) -> None:
    """Read chunks by their ranges of bytes, side by side: through the library they come one after the other."""
    dataset = voxels.dataset
    grid = ChunkGrid(dataset.shape, dataset.chunks)
    most = math.prod(dataset.chunks) * dataset.dtype.itemsize
    waiting: list[tuple[tuple[int, ...], int, ByteRange]] = []
    held = 0
    for index in grid.indices(box):
        origin = grid.box(index).origin
        found = dataset.id.get_chunk_info_by_coord(origin)
        if found.byte_offset is None:
            _place(voxels, origin, None, box, out)
            continue
        if found.size > most + most // 8 + 65536:
            raise _corrupt(f"of {dataset.name} claims {found.size} bytes, {most} when decoded")
        waiting.append((origin, found.filter_mask, ByteRange(found.byte_offset, found.size)))
        held += found.size
        if held > _BYTES_AT_ONCE:
            _fetch(voxels, store, waiting, box, out)
            waiting, held = [], 0
    _fetch(voxels, store, waiting, box, out)


def _fetch(
    voxels: Hdf5Voxels,
    store: ReadableStore,
    wanted: list[tuple[tuple[int, ...], int, ByteRange]],
    box: Box,
    out: NDArray[Any],
) -> None:
    parts = store.get_ranges(voxels.key, [span for _, _, span in wanted]) if wanted else []
    if parts is None:
        raise gone(store, voxels.key)
    for (origin, mask, _), part in zip(wanted, parts, strict=True):
        _place(voxels, origin, (mask, bytes(memoryview(part))), box, out)


def _place(
    voxels: Hdf5Voxels,
    origin: tuple[int, ...],
    stored: tuple[int, bytes] | None,
    box: Box,
    out: NDArray[Any],
) -> None:
    """Put the wanted part of a chunk in its place; `stored` = its filter mask and payload, None when never written."""
    dataset = voxels.dataset
    part = Box(origin, dataset.chunks).intersection(box)
    target = out[part.relative_to(box.origin).slices]
    if stored is None:
        target[...] = dataset.fillvalue
        return
    mask, payload = stored
    nbytes = math.prod(dataset.chunks) * dataset.dtype.itemsize
    try:
        data = decode_filters(payload, voxels.filters or (), mask, nbytes)
    except FormatError as error:
        where = f"{dataset.file.filename}::{dataset.name}, chunk at {origin}"
        raise type(error)(f"{where}: {error.message}", code=error.code, fix=error.fix) from error
    chunk = data.view(dataset.dtype).reshape(dataset.chunks)
    target[...] = chunk[part.relative_to(origin).slices]
