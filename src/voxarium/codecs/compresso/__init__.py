"""Compresso: outlines of labels as a bit for each voxel in windows of 4×4, and one label for each area they enclose.

Spec: https://github.com/seung-lab/compresso (stream formats 0 and 1). Written is what its authors' package writes, byte
for byte: format 1, windows of 4×4×1 voxels, or 8×8×1 where outlines are too varied. That package is not used, since a
damaged stream makes it write outside its memory.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.codec import allocate, as_bytes_array, corrupt, truncated

__all__ = ["Compresso"]

Shape = tuple[int, int, int, int]

_MAGIC: Final = b"cpso"
_HEADER: Final = struct.Struct("<4sBB3H3BQIQB")
_LONGEST_AXIS: Final = (1 << 16) - 1
# Most numbers of windows that fit beside the bit that tells them from runs, for windows of 16 bits.
_LONGEST_RUN: Final = {np.dtype("u2"): (1 << 15) - 1, np.dtype("u8"): (1 << 63) - 1}


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    shape: tuple[int, int, int]
    steps: tuple[int, int, int]
    dtype: np.dtype[Any]
    counts: tuple[int, int, int]
    flat: bool

    @property
    def window_dtype(self) -> np.dtype[Any]:
        """Type of a window: a bit for each of its voxels."""
        return _window_dtype(self.steps)


@dataclass(frozen=True, slots=True)
class Compresso:
    """Encodes chunks of one channel of unsigned labels.

    Examples
    --------
    >>> labels = np.zeros((1, 2, 9, 10), np.uint64)
    >>> (Compresso().decode(Compresso().encode(labels), labels.shape, labels.dtype) == labels).all()
    np.True_
    """

    key: ClassVar[Hashable] = "compresso"
    text: ClassVar[str] = "compresso"

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the bytes of a chunk.

        Parameters
        ----------
        array : ndarray of unsigned integers, shape (1, z, y, x)
            Up to 65535 voxels along each axis.

        Raises
        ------
        InputError
            If the array has other axes or lengths.
        UnsupportedError
            If the labels have another type.
        """
        dtype = _checked_dtype(array.dtype)
        if array.ndim != 4 or array.shape[0] != 1 or not all(0 < n <= _LONGEST_AXIS for n in array.shape):
            raise InputError(
                f"a chunk of shape {array.shape} cannot be encoded as compresso",
                code=Code.ARGUMENT_INVALID,
                fix="give four axes (c, z, y, x) with one channel and 1 to 65535 voxels along each other axis",
            )
        shape = array.shape[1:]
        data = np.ascontiguousarray(array, dtype).reshape(-1).view()
        data.flags.writeable = False  # so that the loops are compiled for one kind of memory
        kernels = _kernels()
        edges = np.empty(data.size, np.uint8)
        number = kernels.find_edges(data, edges, shape)
        components, locations = np.empty(shape[0], np.int64), np.empty(shape[0], np.int64)
        ids = kernels.collect_ids(data, edges, np.empty(1024, dtype), components, shape)
        places = np.empty(2 * number, dtype)
        largest = np.uint64(np.iinfo(dtype).max)
        places = places[: kernels.collect_locations(data, edges, places, locations, shape, largest)]
        steps, values, codes = _encoded_windows(edges, shape)
        counts = ids.size, values.size, places.size
        head = _HEADER.pack(_MAGIC, 1, dtype.itemsize, *shape[::-1], *steps[::-1], *counts, 4)
        index = _index_dtype(shape)
        parts = (ids, values, places, codes, components.astype(index), locations.astype(index))
        return head + b"".join(part.astype(part.dtype.newbyteorder("<"), copy=False).tobytes() for part in parts)

    def decode(
        self, payload: Buffer, shape: Shape, dtype: np.dtype[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the labels of a chunk, shape (1, z, y, x), C order.

        Parameters
        ----------
        payload : bytes-like
            One chunk.
        shape : tuple of four int
            Channels (1) and voxels of this chunk.
        dtype : numpy.dtype
            Unsigned integers.
        out : ndarray, optional
            Contiguous memory of `dtype` for at least as many voxels, which is used for the result.

        Raises
        ------
        FormatError
            If the payload is damaged, or holds a chunk of another shape or type.
        UnsupportedError
            If labels of this type cannot be stored this way.
        """
        native = _checked_dtype(dtype)
        data = as_bytes_array(payload)
        header = _parse_header(data)
        if (1, *header.shape) != tuple(shape) or header.dtype != native:
            raise corrupt(
                f"the compresso stream holds {header.shape} voxels of {header.dtype} instead of {shape[1:]} of {native}"
            )
        ids, values, places, codes = _parts(data, header)
        voxels = math.prod(shape)
        room = out if out is not None and out.dtype == native and out.size >= voxels else None
        if room is None or not (room.flags.c_contiguous and room.flags.writeable):
            room = allocate(voxels * native.itemsize).view(native)
        flat = room.reshape(-1)[:voxels]
        edges = allocate(voxels)
        edges[:] = 0
        kernels = _kernels()
        wrong = kernels.decode_edges(codes, values, edges, header.shape, header.steps)
        wrong = wrong or kernels.decode(edges, ids, places, flat, header.shape, header.flat)
        if wrong == kernels.WINDOWS_WRONG:
            raise corrupt("the outlines of a compresso stream do not fit its chunk")
        if wrong == kernels.LOCATION_OUTSIDE:
            raise corrupt("a compresso stream copies a voxel from outside its chunk")
        if wrong:
            raise corrupt("a compresso stream has another number of labels than of areas")
        return flat.reshape(shape)


@cache
def _kernels() -> Any:  # Any: compiled functions have no static type
    from voxarium.codecs.compresso import kernels

    return kernels


def _checked_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a label type in native byte order."""
    if dtype.kind != "u":
        raise UnsupportedError(
            f"compresso holds unsigned integers, not {dtype}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert the labels to uint32 or uint64, or use the encoding raw",
        )
    return dtype.newbyteorder("=")


def _window_dtype(steps: tuple[int, int, int]) -> np.dtype[Any]:
    bits = math.prod(steps)
    return np.dtype("u1" if bits <= 8 else "u2" if bits <= 16 else "u4" if bits <= 32 else "u8")


def _index_dtype(shape: tuple[int, int, int]) -> np.dtype[Any]:
    """Return the type of the index of slices: it must hold twice the voxels of a slice."""
    most = 2 * shape[1] * shape[2]
    return np.dtype("u1" if most < 0xFF else "u2" if most < 0xFFFF else "u4" if most < 0xFFFFFFFF else "u8")


def _encoded_windows(
    edges: NDArray[np.uint8], shape: tuple[int, int, int]
) -> tuple[tuple[int, int, int], NDArray[Any], NDArray[Any]]:
    """Return (steps z, y, x; different windows; codes of all windows)."""
    kernels = _kernels()
    for steps in ((1, 4, 4), (1, 8, 8)):
        dtype = _window_dtype(steps)
        windows = np.zeros(math.prod(-(-n // s) for n, s in zip(shape, steps, strict=True)), np.uint64)
        kernels.collect_windows(edges, windows, shape, steps)
        if dtype.itemsize == 2:
            values = kernels.number_windows(windows, 16)
        else:
            values, numbers = np.unique(windows, return_inverse=True)
            windows = numbers.astype(np.uint64)
        if values.size - 1 > _LONGEST_RUN[dtype]:
            continue
        codes = np.empty(windows.size, np.uint64)
        used = kernels.run_lengths(windows, codes, _LONGEST_RUN[dtype])
        return steps, values.astype(dtype), codes[:used].astype(dtype)
    raise AssertionError  # pragma: no cover  more windows than memory could hold


def _parse_header(data: NDArray[np.uint8]) -> _Header:
    """Return what a stream says about itself.

    Raises
    ------
    FormatError
        If it is no stream of a known version.
    """
    if data.size < _HEADER.size:
        raise truncated(f"{data.size} bytes are no compresso stream")
    magic, version, width, *sizes, connectivity = _HEADER.unpack(data[: _HEADER.size].tobytes())
    x, y, z, sx, sy, sz, *counts = sizes
    steps = (sz, sy, sx)
    if magic != _MAGIC or version > 1:
        raise corrupt(f"the chunk is no compresso stream of format 0 or 1, but begins with {bytes(data[:5].data)!r}")
    if width not in (1, 2, 4, 8) or connectivity not in (4, 6) or not 0 < math.prod(steps) <= 64:
        raise corrupt(f"the header of a compresso stream is impossible: width {width}, steps {steps}, {connectivity}")
    ids, values, places = counts
    return _Header(version, (z, y, x), steps, np.dtype(f"u{width}"), (ids, values, places), connectivity == 4)


def _parts(data: NDArray[np.uint8], header: _Header) -> tuple[NDArray[Any], ...]:
    """Return (labels of areas, different windows, locations, codes of windows).

    Raises
    ------
    FormatError
        If the parts do not fit into the stream.
    """
    index = 2 * header.shape[0] * _index_dtype(header.shape).itemsize if header.version == 1 else 0
    dtypes = header.dtype, header.window_dtype, header.dtype
    sizes = [n * d.itemsize for n, d in zip(header.counts, dtypes, strict=True)]
    rest = data.size - _HEADER.size - index - sum(sizes)
    if rest < 0:
        raise truncated(f"a compresso stream of {data.size} bytes is cut off: {-rest} bytes more are needed")
    blocks = math.prod(-(-n // s) for n, s in zip(header.shape, header.steps, strict=True))
    if rest % header.window_dtype.itemsize or rest // header.window_dtype.itemsize > blocks:
        raise corrupt(f"a compresso stream has {rest} bytes of outlines, which do not fit {blocks} windows")
    parts = []
    at = _HEADER.size
    for size, dtype in zip((*sizes, rest), (*dtypes, header.window_dtype), strict=True):
        parts.append(np.frombuffer(data[at : at + size].tobytes(), dtype.newbyteorder("<")))
        at += size
    ids, values, places, codes = parts
    return (
        ids.astype(header.dtype, copy=False),
        values.astype(np.uint64),
        places.astype(header.dtype, copy=False),
        codes.astype(np.uint64),
    )
