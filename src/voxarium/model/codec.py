"""What a codec is: one step between the voxels of a chunk and its stored bytes.

Three kinds follow one another (Zarr v3, "Codecs"): array → array steps, one array → bytes step, bytes →
bytes steps. Codecs are made for one kind of input (`ChunkType`), hold no state, are used from many threads.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError

__all__ = [
    "ArrayArrayCodec",
    "ArrayBytesCodec",
    "BytesBytesCodec",
    "ChunkType",
    "Codec",
    "CodecKind",
    "SizeBounds",
    "allocate",
    "as_bytes_array",
    "byteorder",
    "check_plausible",
    "check_size",
    "corrupt",
    "truncated",
    "wrong_size",
]

CodecKind = Literal["array->array", "array->bytes", "bytes->bytes"]
SizeBounds = tuple[int, int]
"""Smallest and largest number of bytes something may have; equal when the number is known."""

_MEND: Final = "the stored bytes are damaged; copy the object again from its source"


@dataclass(frozen=True, slots=True)
class ChunkType:
    """The arrays a codec takes.

    Parameters
    ----------
    shape : tuple of int
        In C order.
    dtype : numpy.dtype
        In memory; native byte order.
    fill_value : numpy scalar
        Value of elements never written.
    byteorder : {"=", "<", ">"}
        Order of an element's bytes for codecs that look at them: filters of Zarr v2 see the array as stored.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fill_value: Any = 0  # Any: a numpy scalar of `dtype`
    byteorder: Literal["=", "<", ">"] = "="

    @property
    def stored_dtype(self) -> np.dtype[Any]:
        """The type with the byte order of the store."""
        return self.dtype.newbyteorder(self.byteorder)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the array in memory."""
        return self.size * self.dtype.itemsize


class Codec(Protocol):
    """What every codec says about itself.

    Attributes
    ----------
    kind : str
        Place in a chain.
    text : str
        Short description for people, such as ``zstd:1``.
    key : hashable
        Everything a decoder must know. Codecs with equal keys decode each other's output, so a compression
        level is no part of it; None when decoding changes nothing.
    """

    kind: ClassVar[CodecKind]

    @property
    def text(self) -> str: ...  # noqa: D102

    @property
    def key(self) -> Hashable: ...  # noqa: D102


class ArrayArrayCodec(Codec, Protocol):
    """Changes the order, shape or type of the elements."""

    @property
    def encoded(self) -> ChunkType:
        """What comes out of `encode`."""

    def encode(self, array: NDArray[Any], /) -> NDArray[Any]:
        """Return the encoded array."""

    def decode(self, array: NDArray[Any], /) -> NDArray[Any]:
        """Return the array that was encoded."""


class ArrayBytesCodec(Codec, Protocol):
    """Turns an array into bytes."""

    @property
    def direct(self) -> bool:
        """True when the bytes are the array's memory in C order, unchanged."""

    @property
    def bounds(self) -> SizeBounds:
        """Size of what `encode` returns."""

    def encode(self, array: NDArray[Any], /) -> Buffer:
        """Return bytes; may be a view of `array`."""

    def decode(self, data: Buffer, /) -> NDArray[Any]:
        """Return the array; may be a read-only view of `data`."""


class BytesBytesCodec(Codec, Protocol):
    """Compresses bytes or adds a checksum to them."""

    def encoded_bounds(self, given: SizeBounds, /) -> SizeBounds:
        """Return the size of what `encode` makes of input of a size."""

    def encode(self, data: Buffer, /) -> Buffer:
        """Return the encoded bytes."""

    def decode(self, data: Buffer, size: SizeBounds, out: NDArray[np.uint8] | None = None, /) -> Buffer:
        """Return the decoded bytes, whose number lies within `size`.

        `out` is given only when that number is known; it has that length and may be filled and returned
        as its memoryview.
        """


def byteorder(dtype: np.dtype[Any]) -> Literal["<", ">"]:
    """Return how a type orders the bytes of an element; ``<`` for one-byte types.

    Examples
    --------
    >>> byteorder(np.dtype(">u2"))
    '>'
    """
    return ">" if dtype.str[0] == ">" else "<"


def as_bytes_array(data: Buffer) -> NDArray[np.uint8]:
    """Return a view of any contiguous buffer as bytes."""
    view = memoryview(data)
    if view.nbytes == 0:
        return np.empty(0, np.uint8)
    return np.frombuffer(view, np.uint8)


def corrupt(message: str) -> FormatError:
    """Return the error for a payload that no encoder writes."""
    return FormatError(message, code=Code.CHUNK_CORRUPT, fix=_MEND)


def truncated(message: str) -> FormatError:
    """Return the error for a payload that ends too early."""
    return FormatError(message, code=Code.CHUNK_TRUNCATED, fix=_MEND)


def wrong_size(what: str, found: int, size: SizeBounds) -> FormatError:
    """Return the error for bytes of the wrong number."""
    low, high = size
    expected = str(low) if low == high else f"{low} to {high}"
    message = f"{what} holds {found} bytes instead of {expected}"
    return truncated(message) if found < low else corrupt(message)


def check_size(what: str, found: int, size: SizeBounds) -> None:
    """Raise FormatError unless a number of bytes lies within bounds."""
    if not size[0] <= found <= size[1]:
        raise wrong_size(what, found, size)


def check_plausible(what: str, stored: int, decoded: int, ratio: int) -> None:
    """Raise FormatError when `stored` bytes cannot unpack to `decoded` bytes, whatever they say.

    Called before memory is set aside. `ratio` is the most the compression can reach.
    """
    if decoded > (stored + 64) * ratio:
        raise truncated(f"{what} of {stored} bytes cannot hold {decoded} bytes")


def allocate(nbytes: int) -> NDArray[np.uint8]:
    """Return uninitialised memory; FormatError when there is not enough, since a file asked for it."""
    try:
        return np.empty(nbytes, np.uint8)
    except (MemoryError, ValueError) as error:
        raise FormatError(
            f"a chunk of {nbytes} bytes does not fit into memory",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check the chunk shape in the metadata; rewrite the array with smaller chunks",
        ) from error
