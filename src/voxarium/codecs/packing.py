"""Codecs that rearrange bits and bytes: ``packbits`` of Zarr v3, ``packbits`` and ``shuffle`` of numcodecs.

https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/packbits
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.codec import ChunkType, CodecKind, SizeBounds, as_bytes_array, check_size, corrupt
from voxarium.model.fields import Fields

__all__ = ["PackBits", "PackBools", "Shuffle"]


@dataclass(frozen=True, slots=True)
class PackBits:
    """Elements of fewer than their bits, one after another; the ``packbits`` of Zarr v3.

    Parameters
    ----------
    given : ChunkType
        The arrays.
    first, last : int
        Lowest and highest bit kept.
    padding : str
        Where a byte tells the number of padding bits: ``start_byte``, ``end_byte``, or ``none``.
    """

    kind: ClassVar[CodecKind] = "array->bytes"
    direct: ClassVar[bool] = False
    given: ChunkType
    first: int
    last: int
    padding: str

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a v3 configuration; its text and its schema name settings differently."""
        width = _width(given)
        padding = fields.choice(
            "padding_encoding", ("none", "start_byte", "end_byte", "first_byte", "last_byte"), "none"
        )
        low = "start_bit" if fields.has("start_bit") else "first_bit"
        high = "end_bit" if fields.has("end_bit") else "last_bit"
        bits = []
        for key, default in ((low, 0), (high, width - 1)):
            value = fields.raw(key, None)
            if value is not None and (type(value) is not int or not 0 <= value < width):
                fields.wrong(key, f"null or a bit from 0 to {width - 1}")
                value = None
            bits.append(default if value is None else value)
        if bits[0] > bits[1]:
            fields.wrong(high, f"a bit not below {low}")
        fields.done()
        known = {"first_byte": "start_byte", "last_byte": "end_byte"}
        return cls(given, bits[0], bits[1], known.get(padding, padding))

    @property
    def text(self) -> str:
        """Description for people."""
        return f"packbits:{self.last - self.first + 1}"

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return "packbits", self.first, self.last, self.padding

    @property
    def _components(self) -> int:
        return self.given.size * (2 if self.given.dtype.kind == "c" else 1)

    @property
    def bounds(self) -> SizeBounds:
        """Size of the bytes, which is always the same."""
        bits = self._components * (self.last - self.first + 1)
        n = -(-bits // 8) + (self.padding != "none")
        return n, n

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return the kept bits, lowest first in each byte."""
        width = _width(self.given)
        n = max(1, width // 8)
        raw = np.ascontiguousarray(array).reshape(-1).view(f"u{n}").astype(f"<u{n}")
        bits = np.unpackbits(raw.view(np.uint8).reshape(-1, n), axis=1, bitorder="little")
        kept = bits[:, self.first : self.last + 1]
        packed = np.packbits(kept.reshape(-1), bitorder="little").tobytes()
        mark = bytes([-kept.size % 8])
        return {"start_byte": mark + packed, "end_byte": packed + mark}.get(self.padding, packed)

    def decode(self, data: Buffer) -> NDArray[Any]:
        """Return the array; signed integers are sign-extended."""
        flat = as_bytes_array(data)
        check_size("chunk", flat.size, self.bounds)
        width, kept = _width(self.given), self.last - self.first + 1
        total = self._components * kept
        if self.padding != "none":
            mark, flat = (flat[0], flat[1:]) if self.padding == "start_byte" else (flat[-1], flat[:-1])
            if int(mark) != -total % 8:
                raise corrupt(f"packed chunk says it has {int(mark)} padding bits instead of {-total % 8}")
        bits = np.unpackbits(flat, count=total, bitorder="little").reshape(-1, kept)
        n = max(1, width // 8)
        wide = np.zeros((self._components, 8 * n), np.uint8)
        wide[:, self.first : self.last + 1] = bits
        if self.given.dtype.kind == "i":
            wide[:, self.last + 1 :] = bits[:, -1:]
        raw = np.packbits(wide, axis=1, bitorder="little").reshape(-1).view(f"<u{n}").astype(f"=u{n}")
        return raw.view(self.given.dtype).reshape(self.given.shape)


def _width(given: ChunkType) -> int:
    """Return the bits of one component."""
    if given.dtype.kind == "b":
        return 1
    return given.dtype.itemsize * (4 if given.dtype.kind == "c" else 8)


@dataclass(frozen=True, slots=True)
class PackBools:
    """Eight booleans in a byte, behind the number of padding bits; the ``packbits`` of numcodecs."""

    kind: ClassVar[CodecKind] = "array->array"
    text: ClassVar[str] = "packbits"
    key: ClassVar[Hashable] = "numcodecs.packbits"
    given: ChunkType

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a numcodecs configuration."""
        if given.dtype.kind != "b":
            fields.wrong("packbits", "boolean elements", given.dtype.name)
        fields.done()
        return cls(given)

    @property
    def encoded(self) -> ChunkType:
        """The packed bytes."""
        return ChunkType((1 - (-self.given.size // 8),), np.dtype("u1"))

    def encode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the packed bytes."""
        packed = np.packbits(np.ascontiguousarray(array).reshape(-1))
        return np.concatenate([np.array([-self.given.size % 8], np.uint8), packed])

    def decode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the booleans."""
        flat = array.reshape(-1)
        if int(flat[0]) != -self.given.size % 8:
            raise corrupt(f"packed chunk says it has {int(flat[0])} padding bits instead of {-self.given.size % 8}")
        return np.unpackbits(flat[1:], count=self.given.size).view(bool).reshape(self.given.shape)


@dataclass(frozen=True, slots=True)
class Shuffle:
    """All first bytes of the elements, then all second bytes, and so on; the ``shuffle`` of numcodecs."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    elementsize: int

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a numcodecs configuration."""
        elementsize = fields.integer("elementsize", 0, 2**31 - 1, 4)
        fields.done()
        if not elementsize:
            elementsize = given.dtype.itemsize
        return cls(elementsize)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"shuffle:{self.elementsize}"

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return None if self.elementsize <= 1 else ("shuffle", self.elementsize)

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the same size."""
        return given

    def _columns(self, data: Buffer) -> tuple[NDArray[np.uint8], int]:
        flat = as_bytes_array(data)
        if flat.size % max(1, self.elementsize):
            raise corrupt(f"shuffled payload of {flat.size} bytes is not made of {self.elementsize}-byte elements")
        return flat, max(1, self.elementsize)

    def encode(self, data: Buffer) -> Buffer:
        """Return the shuffled bytes."""
        flat, n = self._columns(data)
        return np.ascontiguousarray(flat.reshape(-1, n).T).reshape(-1).data

    def decode(self, data: Buffer, _size: SizeBounds, _out: object = None) -> Buffer:
        """Return the bytes in their own order."""
        flat, n = self._columns(data)
        return np.ascontiguousarray(flat.reshape(n, -1).T).reshape(-1).data
