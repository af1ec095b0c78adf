"""Neuroglancer's compressed segmentation: small blocks of labels as a table of values and a few bits for each voxel.

Spec: https://github.com/google/neuroglancer/tree/master/src/sliceview/compressed_segmentation. What is written equals,
byte for byte, what Neuroglancer's own encoder writes. Read as well: blocks at the end of a chunk whose values stop with
the last voxel, tables in any order or overlapping other parts.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.codec import allocate, as_bytes_array, corrupt, truncated

__all__ = ["CompressedSegmentation"]

Shape = tuple[int, int, int, int]

# Places within a block are counted in bits, of which a voxel takes up to 32.
_LARGEST_BLOCK: Final = 1 << 31
# Working memory of the encoder grows with the block.
_LARGEST_WRITTEN_BLOCK: Final = 1 << 24
# Memory for what is written is kept, so that there is as much as threads; getting it anew costs as much as encoding.
_KEPT_WORDS: Final = 1 << 18
_memory: list[NDArray[np.uint32]] = []
_WRONG: Final = {
    "HEADERS_OUTSIDE": "the table of its blocks",
    "VALUES_OUTSIDE": "voxels of block {block}",
    "TABLE_OUTSIDE": "a label of block {block}",
}


@dataclass(frozen=True, slots=True)
class CompressedSegmentation:
    """Encodes chunks of uint32 or uint64 labels.

    Parameters
    ----------
    block_shape : tuple of three int
        Voxels of a block along z, y, x: the reverse of ``compressed_segmentation_block_size``.

    Raises
    ------
    FormatError
        If the block shape is none.

    Examples
    --------
    >>> labels = np.zeros((1, 2, 9, 10), np.uint64)
    >>> codec = CompressedSegmentation()
    >>> (codec.decode(codec.encode(labels), labels.shape, labels.dtype) == labels).all()
    np.True_
    """

    block_shape: tuple[int, int, int] = (8, 8, 8)

    def __post_init__(self) -> None:
        if len(self.block_shape) != 3 or not all(type(n) is int and n > 0 for n in self.block_shape):
            raise _no_block(self.block_shape, "is not made of three positive lengths")
        if math.prod(self.block_shape) > _LARGEST_BLOCK:
            raise _no_block(self.block_shape, f"has more than {_LARGEST_BLOCK} voxels")

    @property
    def key(self) -> Hashable:
        """Everything a decoder must know."""
        return ("compressed_segmentation", *self.block_shape)

    @property
    def text(self) -> str:
        """Description for people."""
        return "compressed_segmentation"

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the bytes of a chunk; releases the GIL.

        Parameters
        ----------
        array : ndarray of uint32 or uint64, shape (c, z, y, x)
            Any memory layout; rows that are contiguous are read in place.

        Raises
        ------
        InputError
            If the array has other axes, or blocks are too large.
        UnsupportedError
            If the labels have another type, or a table lies too far from the beginning of its channel.
        """
        dtype = _checked_dtype(array.dtype)
        if array.ndim != 4 or math.prod(self.block_shape) > _LARGEST_WRITTEN_BLOCK:
            raise InputError(
                f"a chunk of shape {array.shape} cannot be encoded in blocks of {self.block_shape}",
                code=Code.ARGUMENT_INVALID,
                fix="give four axes (c, z, y, x) and blocks of at most 16 million voxels, such as 8×8×8",
            )
        kernels = _encoding()
        flat, steps = _flattened(array.astype(dtype, copy=False))
        try:
            memory = _memory.pop()
        except IndexError:
            memory = np.empty(_KEPT_WORDS, np.uint32)
        words, used = kernels.encode(memory, flat, steps, array.shape, self.block_shape, dtype.itemsize // 4)
        packed: bytes = words[: max(used, 0)].astype("<u4", copy=False).tobytes()
        if len(words) <= _KEPT_WORDS:
            _memory.append(words)
        if used == kernels.TABLE_TOO_FAR:
            raise UnsupportedError(
                f"compressed_segmentation cannot hold a chunk of shape {array.shape} of so many different labels: "
                "its tables would lie beyond the 64 MiB that a block can address",
                code=Code.FEATURE_UNSUPPORTED,
                fix="choose smaller chunks, such as 64×64×64",
            )
        return packed

    def decode(
        self, payload: Buffer, shape: Shape, dtype: np.dtype[Any], out: NDArray[Any] | None = None
    ) -> NDArray[Any]:
        """Return the labels of a chunk, shape (c, z, y, x), C order; releases the GIL.

        Parameters
        ----------
        payload : bytes-like
            One chunk.
        shape : tuple of four int
            Channels and voxels of this chunk, which may be cut at the end of the array.
        dtype : numpy.dtype
            uint32 or uint64.
        out : ndarray, optional
            Contiguous memory of `dtype` for at least as many voxels, which is used for the result.

        Raises
        ------
        FormatError
            If the payload is damaged.
        UnsupportedError
            If labels of this type cannot be stored this way.
        """
        native = _checked_dtype(dtype)
        words = _words(payload)
        blocks = math.prod(-(-n // b) for n, b in zip(shape[1:], self.block_shape, strict=True))
        if len(words) < shape[0] * (1 + 2 * blocks):
            # Said before memory is set aside; headers of channels cannot overlap in what any encoder writes.
            raise truncated(f"{4 * len(words)} bytes of compressed_segmentation cannot describe {blocks} blocks")
        voxels = math.prod(shape)
        room = out if out is not None and out.dtype == native and out.size >= voxels else None
        if room is None or not (room.flags.c_contiguous and room.flags.writeable):
            room = allocate(voxels * native.itemsize).view(native)
        flat = room.reshape(-1)[:voxels]
        kernels = _decoding()
        wrong, block = kernels.decode(words, flat, shape, self.block_shape, native.itemsize // 4)
        if wrong == kernels.BITS_UNKNOWN:
            raise corrupt(f"block {block} of compressed_segmentation has an impossible number of bits for each voxel")
        for name, what in _WRONG.items():
            if wrong == getattr(kernels, name):
                raise truncated(f"compressed_segmentation ends before {what.format(block=block)}")
        return flat.reshape(shape)


@cache
def _encoding() -> Any:  # Any: compiled functions have no static type
    from voxarium.codecs.compressed_segmentation import encoding

    return encoding


@cache
def _decoding() -> Any:  # Any: compiled functions have no static type
    from voxarium.codecs.compressed_segmentation import decoding

    return decoding


def _no_block(shape: object, why: str) -> FormatError:
    return FormatError(
        f"the block shape {shape} of compressed_segmentation {why}",
        code=Code.METADATA_INVALID,
        fix='correct "compressed_segmentation_block_size", usually [8, 8, 8]',
    )


def _checked_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a label type in native byte order."""
    native = np.dtype(dtype).newbyteorder("=")
    if native not in (np.dtype(np.uint32), np.dtype(np.uint64)):
        raise UnsupportedError(
            f"compressed_segmentation holds uint32 and uint64, not {native}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert the labels to uint32 or uint64, or use the encoding raw",
        )
    return native


def _words(payload: Buffer) -> NDArray[np.uint32]:
    """Return a payload as aligned words in native byte order."""
    data = as_bytes_array(payload)
    if data.size % 4:
        raise truncated(f"compressed_segmentation has {data.size} bytes, which is not a multiple of 4")
    if data.ctypes.data % 4:
        data = data.copy()
    words = data.view(np.uint32)
    if sys.byteorder == "big":
        words = words.byteswap()
    # Compiled loops are made once for memory that may be written and once for other memory; once is enough.
    words.flags.writeable = False
    return words


def _flattened(array: NDArray[Any]) -> tuple[NDArray[Any], tuple[int, int, int]]:
    """Return memory that begins with the first voxel, and the elements from one channel, plane and row to the next."""
    size = array.itemsize
    if array.size == 0 or array.strides[3] != size or any(s < 0 or s % size for s in array.strides):
        array = np.ascontiguousarray(array)
    c, z, y = (s // size for s in array.strides[:3])
    last = sum((n - 1) * s for n, s in zip(array.shape, (c, z, y, 1), strict=True))
    return as_strided(array, (max(last + 1, 0),), (size,), writeable=False), (c, z, y)
