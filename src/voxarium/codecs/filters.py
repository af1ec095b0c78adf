"""numcodecs filters that work on elements: delta, fixedscaleoffset, quantize, astype, bitround.

https://numcodecs.readthedocs.io. Arithmetic is left to numcodecs, so that values agree to the last bit.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.array_specs import NUMERIC
from voxarium.model.codec import ChunkType, CodecKind, byteorder, corrupt
from voxarium.model.fields import Fields

__all__ = ["AsType", "BitRound", "Delta", "FixedScaleOffset", "Quantize"]

_TYPES: Final = NUMERIC.union(
    [f"{order}{t}1" for order in ("<", ">", "=", "|", "") for t in "biu"],
    [f"{order}{t}{n}" for order in ("<", ">", "=", "") for t in "iu" for n in (2, 4, 8)],
    [f"{order}f{n}" for order in ("<", ">", "=", "") for n in (2, 4, 8)],
    [f"{order}c{n}" for order in ("<", ">", "=", "") for n in (8, 16)],
)


def _dtype(fields: Fields, key: str, default: np.dtype[Any] | None) -> np.dtype[Any]:
    """Read a numpy type; only the plain numeric ones."""
    value = fields.raw(key, None)
    if value is None and default is not None:
        return default
    if isinstance(value, str) and value in _TYPES:
        return np.dtype(value)
    fields.wrong(key, "a numeric numpy type such as '<i2'")
    return default or np.dtype("u1")


def _native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype.newbyteorder("=")


@dataclass(frozen=True, slots=True)
class _Filter(ABC):
    """A filter from elements of type `dtype` to stored ones of type `astype`, each with its byte order."""

    kind: ClassVar[CodecKind] = "array->array"
    given: ChunkType
    dtype: np.dtype[Any]
    astype: np.dtype[Any]
    text: ClassVar[str]

    @property
    def encoded(self) -> ChunkType:
        """The stored elements."""
        return replace(self.given, dtype=_native(self.astype), byteorder=byteorder(self.astype))

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return self.text, *self._signature

    @property
    def _signature(self) -> tuple[str, ...]:
        """The types, and whether elements change their byte order on the way."""
        turned = byteorder(self.dtype) != byteorder(self.given.stored_dtype)
        return _native(self.dtype).str, _native(self.astype).str, str(turned)

    @abstractmethod
    def _codec(self) -> Any:  # Any: a numcodecs codec
        ...

    def encode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the stored elements."""
        # numcodecs views the memory as its own type, whatever byte order the array has.
        flat = np.ascontiguousarray(array, self.given.stored_dtype).reshape(-1).view(self.dtype)
        try:
            with np.errstate(all="ignore"):
                stored = np.asarray(self._codec().encode(flat))
        except (ValueError, TypeError, OverflowError) as error:
            raise InputError(
                f"{self.text} cannot take {self.given.dtype.name} elements with these settings: {error}",
                code=Code.DTYPE_RANGE,
                fix="use settings within the range of the elements",
            ) from error
        stored = stored.view(self.astype).astype(_native(self.astype), copy=False)
        return stored.reshape(self.given.shape)

    def decode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the elements."""
        flat = np.ascontiguousarray(array, self.astype).reshape(-1)
        try:
            with np.errstate(all="ignore"):
                found = np.asarray(self._codec().decode(flat))
        except (ValueError, TypeError, OverflowError) as error:
            raise corrupt(f"{self.text} cannot be undone with these settings: {error}") from error
        elements = found.astype(self.dtype, copy=False).view(self.given.stored_dtype)
        return elements.astype(self.given.dtype, copy=False).reshape(self.given.shape)


def _types(fields: Fields, given: ChunkType) -> tuple[np.dtype[Any], np.dtype[Any]]:
    dtype = _dtype(fields, "dtype", given.dtype)
    if dtype.itemsize != given.dtype.itemsize:
        fields.wrong("dtype", f"the type of the elements, {given.dtype.name}")
    return dtype, _dtype(fields, "astype", dtype)


class Delta(_Filter):
    """Differences of neighbours."""

    __slots__ = ()
    text: ClassVar[str] = "delta"

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a numcodecs configuration."""
        dtype, astype = _types(fields, given)
        if dtype.kind == "b" or astype.kind == "b":
            fields.wrong("dtype", "a type with differences")
        fields.done()
        return cls(given, dtype, astype)

    def _codec(self) -> Any:  # Any: a numcodecs codec
        from numcodecs.delta import Delta as Reference

        return Reference(self.dtype, self.astype)


@dataclass(frozen=True, slots=True)
class FixedScaleOffset(_Filter):
    """``round((x - offset) * scale)``."""

    text: ClassVar[str] = "fixedscaleoffset"
    offset: float
    scale: float

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a numcodecs configuration."""
        dtype, astype = _types(fields, given)
        offset, scale = fields.number("offset"), fields.number("scale")
        if dtype.kind not in "iuf" or astype.kind not in "iuf":
            fields.wrong("dtype", "an integer or floating-point type")
        fields.done()
        return cls(given, dtype, astype, offset, scale)

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return self.text, *self._signature, self.offset, self.scale

    def _codec(self) -> Any:  # Any: a numcodecs codec
        from numcodecs.fixedscaleoffset import FixedScaleOffset as Reference

        return Reference(self.offset, self.scale, self.dtype, self.astype)


@dataclass(frozen=True, slots=True)
class Quantize(_Filter):
    """Decimal digits kept; decoding only converts the type."""

    text: ClassVar[str] = "quantize"
    digits: int

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a numcodecs configuration."""
        dtype, astype = _types(fields, given)
        digits = fields.integer("digits", -300, 300)
        if dtype.kind != "f" or astype.kind != "f":
            fields.wrong("dtype", "a floating-point type")
        fields.done()
        return cls(given, dtype, astype, digits)

    def _codec(self) -> Any:  # Any: a numcodecs codec
        from numcodecs.quantize import Quantize as Reference

        return Reference(self.digits, self.dtype, self.astype)


class AsType(_Filter):
    """Another type in the store."""

    __slots__ = ()
    text: ClassVar[str] = "astype"

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a numcodecs configuration."""
        dtype = _dtype(fields, "decode_dtype", given.dtype)
        astype = _dtype(fields, "encode_dtype", None)
        if dtype.itemsize != given.dtype.itemsize:
            fields.wrong("decode_dtype", f"the type of the elements, {given.dtype.name}")
        if (astype.kind == "c") != (dtype.kind == "c"):
            fields.wrong("encode_dtype", "complex for complex elements, and only for them")
        fields.done()
        return cls(given, dtype, astype)

    def _codec(self) -> Any:  # Any: a numcodecs codec
        from numcodecs.astype import AsType as Reference

        return Reference(self.astype, self.dtype)


@dataclass(frozen=True, slots=True)
class BitRound:
    """Fewer bits of precision; decoding changes nothing.

    https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/bitround
    """

    kind: ClassVar[CodecKind] = "array->array"
    key: ClassVar[None] = None
    encoded: ChunkType
    keepbits: int

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a configuration (Zarr v3 extension, and numcodecs)."""
        keepbits = fields.integer("keepbits", 0, 64)
        fields.done()
        return cls(given, keepbits)

    @property
    def text(self) -> str:
        """Description for people."""
        return f"bitround:{self.keepbits}"

    def encode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return rounded floating-point elements."""
        bits = {2: 10, 4: 23, 8: 52}.get(array.dtype.itemsize, 0) if array.dtype.kind == "f" else 0
        if not bits:
            raise InputError(
                f"bitround of {array.dtype.name} cannot be written",
                code=Code.DTYPE_RANGE,
                fix="round floating-point arrays only",
            )
        drop = bits - self.keepbits
        if drop <= 0:
            return array
        n = array.dtype.itemsize
        raw = np.ascontiguousarray(array).view(f"u{n}")
        half = np.array((1 << (drop - 1)) - 1, raw.dtype)
        kept = np.array(((1 << (8 * n)) - 1) & ~((1 << drop) - 1), raw.dtype)
        with np.errstate(over="ignore"):
            rounded = (raw + ((raw >> drop) & 1) + half) & kept
        return np.where(np.isfinite(array), rounded.view(array.dtype), array)

    def decode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the elements as they are."""
        return array
