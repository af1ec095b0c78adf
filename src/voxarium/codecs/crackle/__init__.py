"""Crackle: outlines of labels as walks along the cracks between voxels, and one label for each area or pin.

Spec: https://github.com/seung-lab/crackle (stream formats 0 and 1). Streams are read here, since a damaged one makes
the authors' package write outside its memory; they are written with that package (`crackle-codec`). Of Neuroglancer
only a fork shows them.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final

import google_crc32c
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code, InputError, UnsupportedError
from voxarium.model.codec import allocate, as_bytes_array, corrupt, truncated
from voxarium.model.sources import missing_extra

__all__ = ["Crackle"]

Shape = tuple[int, int, int, int]

_MAGIC: Final = b"crkl"
_HEAD: Final = struct.Struct("<4sBH3IB")
_FLAT, _PINS = 0, 2
_MOST_VOXELS: Final = (1 << 32) - 1
# The four turns in every order, as the model of a stream numbers them.
_ORDERS: Final = np.array(list(itertools.permutations(range(4))), np.uint8)


@dataclass(frozen=True, slots=True)
class _Header:
    version: int
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
    stored: np.dtype[Any]
    permitted: bool
    labels: int
    order: int
    nbytes: int
    label_bytes: int

    @property
    def model_bytes(self) -> int:
        """Bytes of the model: 5 bits for each row."""
        return (4**self.order * 5 + 4) // 8 if self.order else 0

    @property
    def index_bytes(self) -> int:
        """Bytes of the index of slices."""
        return 4 * (self.shape[0] + (self.version > 0))


@dataclass(frozen=True, slots=True)
class Crackle:
    """Encodes chunks of one channel of whole numbers."""

    key: ClassVar[Hashable] = "crackle"
    text: ClassVar[str] = "crackle"

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the bytes of a chunk.

        Parameters
        ----------
        array : ndarray of unsigned integers, shape (1, z, y, x)
            Labels.

        Raises
        ------
        InputError
            If the array has other axes.
        UnsupportedError
            If the labels have another type, or `crackle-codec` is not installed.
        """
        _check_type(array.dtype, "u")
        if array.ndim != 4 or array.shape[0] != 1 or 0 in array.shape:
            raise InputError(
                f"a chunk of shape {array.shape} cannot be encoded as crackle",
                code=Code.ARGUMENT_INVALID,
                fix="give four axes (c, z, y, x) with one channel and at least one voxel along each axis",
            )
        try:
            import crackle
        except ImportError as error:
            raise missing_extra("segmentation", "labels are to be written as crackle") from error
        native = array[0].astype(array.dtype.newbyteorder("="), copy=False)
        return bytes(crackle.compress(np.asfortranarray(native.T), parallel=1))

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
            Integers.
        out : ndarray, optional
            Contiguous memory of `dtype` for at least as many voxels, which is used for the result.

        Raises
        ------
        FormatError
            If the payload is damaged, or holds a chunk of another shape or type.
        ChecksumError
            If a part disagrees with its checksum.
        UnsupportedError
            If labels of this type, or stored in this way, cannot be read.
        """
        _check_type(dtype, "ui")
        native = dtype.newbyteorder("=")
        data = as_bytes_array(payload)
        header = _parse_header(data)
        if (1, *header.shape) != tuple(shape) or header.dtype != native:
            raise corrupt(
                f"the crackle stream holds {header.shape} voxels of {header.dtype} instead of {shape[1:]} of {native}"
            )
        parts = _Parts(data, header)
        voxels = math.prod(shape)
        if voxels > _MOST_VOXELS:
            raise corrupt(f"a crackle stream of {voxels} voxels has more areas than can be counted")
        room = out if out is not None and out.dtype == native and out.size >= voxels else None
        if room is None or not (room.flags.c_contiguous and room.flags.writeable):
            room = allocate(voxels * native.itemsize).view(native)
        areas = allocate(4 * voxels).view(np.uint32)
        counts = _decode_areas(parts, header, areas)
        labels = _area_labels(parts.labels, header, areas, counts)
        flat = room.reshape(-1)[:voxels]
        # Areas are numbered here, so none is outside; the mode only spares a copy.
        np.take(labels.astype(native), areas, out=flat, mode="clip")
        return flat.reshape(shape)


@cache
def _kernels() -> Any:  # Any: compiled functions have no static type
    from voxarium.codecs.crackle import kernels

    return kernels


def _check_type(dtype: np.dtype[Any], kinds: str) -> None:
    if dtype.kind not in kinds:
        raise UnsupportedError(
            f"crackle holds unsigned integers (and signed ones, which it cannot write yet), not {dtype}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert the labels to uint32 or uint64, or use the encoding raw",
        )


def _width(largest: int) -> int:
    """Return the bytes of the smallest type that holds a number."""
    return 1 if largest < 1 << 8 else 2 if largest < 1 << 16 else 4 if largest < 1 << 32 else 8


def _check(what: str, stored: int, found: int) -> None:
    if stored != found:
        raise ChecksumError(
            f"{what} of a crackle stream disagrees with its checksum",
            code=Code.CHECKSUM_MISMATCH,
            fix="the stored bytes are damaged; copy the object again from its source",
        )


def _crc8(data: bytes) -> int:
    crc = 0xFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xE7 if crc & 1 else crc >> 1
    return crc


def _parse_header(data: NDArray[np.uint8]) -> _Header:
    """Return what a stream says about itself.

    Raises
    ------
    FormatError
        If it is no stream of a known version.
    UnsupportedError
        If its labels are stored in a way that no writer uses.
    """
    head = data[:29].tobytes()
    if len(head) < 24 or head[:4] != _MAGIC:
        raise corrupt("the chunk is no crackle stream")
    _, version, fields, x, y, z, grid = _HEAD.unpack(head[:20])
    nbytes = 24 if version == 0 else 29
    if version > 1 or len(head) < nbytes:
        raise corrupt(f"the chunk is a crackle stream of format {version} and {data.size} bytes")
    if version:
        _check("the header", head[28], _crc8(head[5:28]))
    signed = "i" if fields >> 8 & 1 else "u"
    kind = fields >> 5 & 3
    if kind not in (_FLAT, _PINS) or 1 << min(grid, 32) < max(x, y):
        raise UnsupportedError(
            f"the crackle stream has labels of kind {kind} in a grid of 2^{grid} voxels",
            code=Code.FEATURE_UNSUPPORTED,
            fix="write it again with crackle's own program, without fixed pins or grids",
        )
    return _Header(
        version=version,
        shape=(z, y, x),
        dtype=np.dtype(f"{signed}{1 << (fields & 3)}"),
        stored=np.dtype(f"{signed}{1 << (fields >> 2 & 3)}").newbyteorder("<"),
        permitted=bool(fields >> 4 & 1),
        labels=kind,
        order=fields >> 9 & 15,
        nbytes=nbytes,
        label_bytes=int.from_bytes(head[20:28] if version else head[20:24], "little"),
    )


class _Parts:
    """The parts of a stream, whose places lie within it and whose checksums agree."""

    def __init__(self, data: NDArray[np.uint8], header: _Header) -> None:
        slices = header.shape[0]
        tail = 4 * (slices + 1) if header.version else 0
        begin = header.nbytes + header.index_bytes + header.label_bytes + header.model_bytes
        if begin + tail > data.size:
            raise truncated(f"a crackle stream of {data.size} bytes is cut off")
        index = data[header.nbytes : header.nbytes + header.index_bytes].tobytes()
        sizes = np.frombuffer(index[: 4 * slices], "<u4").astype(np.int64)
        ends = begin + np.cumsum(sizes)
        if slices and ends[-1] + tail > data.size:
            raise truncated(f"a crackle stream of {data.size} bytes is cut off")
        at = header.nbytes + header.index_bytes
        self.labels = data[at : at + header.label_bytes]
        self.model = _model(data[at + header.label_bytes : begin], header.order)
        self.codes = [data[end - size : end] for end, size in zip(ends.tolist(), sizes.tolist(), strict=True)]
        self.crcs: NDArray[np.uint32] | None = None
        if header.version:
            crcs = np.frombuffer(data[data.size - tail :].tobytes(), "<u4")
            _check("the index", int.from_bytes(index[4 * slices :], "little"), google_crc32c.value(index[: 4 * slices]))
            _check("the labels", int(crcs[0]), google_crc32c.value(self.labels.tobytes()))
            self.crcs = crcs[1:]


def _model(stored: NDArray[np.uint8], order: int) -> NDArray[np.uint8]:
    """Return the rows of a model: turns by rank."""
    if not order:
        return np.zeros((1, 4), np.uint8)
    bits = np.unpackbits(stored, bitorder="little")[: 5 * 4**order].reshape(-1, 5)
    numbers = bits @ np.array([1, 2, 4, 8, 16], np.uint8)
    if numbers.max() >= len(_ORDERS):
        raise corrupt("the model of a crackle stream is impossible")
    return _ORDERS[numbers]


def _decode_areas(parts: _Parts, header: _Header, areas: NDArray[np.uint32]) -> list[int]:
    """Fill the area of each voxel, counted over all slices; return how many areas each slice has."""
    kernels = _kernels()
    _, y, x = header.shape
    widths = _width(y + 1), _width(x + 1)
    counts = []
    total = 0
    for z, code in enumerate(parts.codes):
        plane = areas[z * y * x : (z + 1) * y * x]
        # Loops are compiled for memory that may not be written, as that of bytes is.
        readable = code.view()
        readable.flags.writeable = False
        count = kernels.decode_slice(readable, plane, (y, x), widths, parts.model, header.order, header.permitted)
        if count < 0:
            raise corrupt(f"the outlines of slice {z} of a crackle stream leave it, or have no end")
        if parts.crcs is not None:
            _check(f"slice {z}", int(parts.crcs[z]), google_crc32c.value(plane.astype("<u4", copy=False).tobytes()))
        plane += np.uint32(total)
        counts.append(count)
        total += count
    return counts


def _area_labels(
    section: NDArray[np.uint8], header: _Header, areas: NDArray[np.uint32], counts: list[int]
) -> NDArray[Any]:
    """Return the label of each area.

    Raises
    ------
    FormatError
        If the section of labels is damaged.
    """
    slices, y, x = header.shape
    at = header.stored.itemsize if header.labels == _PINS else 0
    number = int.from_bytes(section[at : at + 8].tobytes(), "little")
    begin = at + 8 + number * header.stored.itemsize
    width = _width(y * x)
    end = begin + slices * width
    if section.size < at + 8 or end > section.size:
        raise truncated("the labels of a crackle stream are cut off")
    unique = np.frombuffer(section[at + 8 : begin].tobytes(), header.stored)
    if np.frombuffer(section[begin:end].tobytes(), f"<u{width}").tolist() != counts:
        raise corrupt("a crackle stream has another number of labels than of areas")
    if header.labels == _FLAT:
        width = _width(number)
        if section.size != end + sum(counts) * width:
            raise corrupt("a crackle stream has another number of labels than of areas")
        numbers = np.frombuffer(section[end:].tobytes(), f"<u{width}")
        if numbers.size and int(numbers.max()) >= number:
            raise corrupt("a crackle stream names a label that it does not have")
        chosen: NDArray[Any] = unique[numbers]
        return chosen
    background = np.frombuffer(section[:at].tobytes(), header.stored)
    if section.size <= end:
        raise truncated("the pins of a crackle stream are cut off")
    form = int(section[end])
    widths = (1 << (form & 3), _width(math.prod(header.shape)), 1 << (form >> 2 & 3), 1 << (form >> 4 & 3))
    owners = np.full(sum(counts), number, np.int64)
    readable = section.view()
    readable.flags.writeable = False
    if not _kernels().decode_pins(readable, end + 1, number, areas, widths, owners, header.shape):
        raise corrupt("the pins of a crackle stream lie outside it")
    labels: NDArray[Any] = np.concatenate([unique, background])[owners]
    return labels
