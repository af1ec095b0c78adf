"""Codecs that put elements in order: ``bytes``, ``transpose``, ``reshape``.

https://zarr-specs.readthedocs.io/en/latest/v3/codecs/bytes/index.html
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/transpose/index.html
https://github.com/zarr-developers/zarr-extensions/tree/main/codecs/reshape
"""

from __future__ import annotations

import math
import sys
from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.codec import ChunkType, CodecKind, SizeBounds, as_bytes_array, check_size
from voxarium.model.fields import Fields

__all__ = ["Bytes", "Reshape", "Transpose"]

Endian = Literal["little", "big"]
_NATIVE: Final[Endian] = "little" if sys.byteorder == "little" else "big"


class Bytes:
    """Elements one after another in C order, in one byte order.

    Parameters
    ----------
    given : ChunkType
        The arrays.
    endian : {"little", "big"}
        Byte order; of no meaning for one-byte elements.
    """

    kind: ClassVar[CodecKind] = "array->bytes"
    __slots__ = ("_bool", "_dtype", "_native", "_nbytes", "_shape", "_stored", "key", "text")

    def __init__(self, given: ChunkType, endian: Endian) -> None:
        one_byte = given.dtype.itemsize == 1
        self._shape, self._dtype, self._nbytes = given.shape, given.dtype, given.nbytes
        self._stored = given.dtype.newbyteorder("<" if endian == "little" else ">")
        self._native = one_byte or endian == _NATIVE
        self._bool = given.dtype.kind == "b"
        self.key: Hashable = None if one_byte else ("bytes", endian)
        self.text = "bytes" if one_byte else f"bytes:{endian}"

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a v3 configuration."""
        default = _NATIVE if given.dtype.itemsize == 1 else None
        endian = (
            fields.choice("endian", ("little", "big"), default)
            if default
            else fields.choice("endian", ("little", "big"))
        )
        fields.done()
        return cls(given, "big" if endian == "big" else "little")

    @property
    def direct(self) -> bool:
        """True when memory and bytes are the same."""
        return self._native and not self._bool

    @property
    def bounds(self) -> SizeBounds:
        """Size of the bytes, which is always the same."""
        return self._nbytes, self._nbytes

    def encode(self, array: NDArray[Any]) -> Buffer:
        """Return the bytes; a view of `array` when nothing has to change."""
        flat = np.ascontiguousarray(array, self._stored).reshape(-1)
        return flat.view(np.uint8).data

    def decode(self, data: Buffer) -> NDArray[Any]:
        """Return the array; a read-only view of `data` when nothing has to change."""
        check_size("chunk", memoryview(data).nbytes, self.bounds)
        array: NDArray[Any] = as_bytes_array(data).view(self._stored).reshape(self._shape)
        if self._bool and array.view(np.uint8).max(initial=0) > 1:
            return np.not_equal(array.view(np.uint8), 0)  # numpy misbehaves on booleans other than 0 and 1
        if not self._native or not array.flags.aligned:
            return array.astype(self._dtype)
        return array


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axes in another order: axis i of the output is axis ``order[i]`` of the input."""

    kind: ClassVar[CodecKind] = "array->array"
    order: tuple[int, ...]
    encoded: ChunkType

    @classmethod
    def of(cls, order: tuple[int, ...], given: ChunkType) -> Self:
        """Return the codec for arrays of one shape."""
        return cls(order, replace(given, shape=tuple(given.shape[i] for i in order)))

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a v3 configuration; ``C`` and ``F`` are forms of early drafts of v3."""
        ndim = len(given.shape)
        order: tuple[int, ...]
        value = fields.raw("order")
        if value in ("C", "F"):
            order = tuple(range(ndim)) if value == "C" else tuple(reversed(range(ndim)))
        else:
            order = fields.lengths("order", 0)
        if sorted(order) != list(range(ndim)):
            fields.wrong("order", f"a permutation of the {ndim} axes")
        fields.done()
        return cls.of(order, given)

    @property
    def text(self) -> str:
        """Description for people."""
        return "transpose:" + ",".join(map(str, self.order))

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return None if self.order == tuple(range(len(self.order))) else ("transpose", self.order)

    def encode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view with permuted axes."""
        return array.transpose(self.order)

    def decode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view with the axes back in place."""
        back = sorted(range(len(self.order)), key=self.order.__getitem__)
        return array.transpose(back)


@dataclass(frozen=True, slots=True)
class Reshape:
    """Another shape for the same sequence of elements."""

    kind: ClassVar[CodecKind] = "array->array"
    text: ClassVar[str] = "reshape"
    key: ClassVar[None] = None  # the bytes do not change
    shape: tuple[int, ...]
    encoded: ChunkType

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType) -> Self:
        """Return the codec of a v3 configuration."""
        shape = _resolve_shape(fields.raw("shape"), given.shape)
        if shape is None:
            fields.wrong("shape", f"a shape that holds the {given.size} elements of {given.shape} in the same order")
        fields.done()
        return cls(given.shape, replace(given, shape=shape or ()))

    def encode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array in the stored shape."""
        return array.reshape(self.encoded.shape)

    def decode(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return the array in its own shape."""
        return array.reshape(self.shape)


def _resolve_shape(value: object, given: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the output shape of ``reshape``, or None when the setting breaks its rules."""
    if not isinstance(value, list) or len(value) > 32:
        return None
    sizes: list[int] = []
    used: list[int] = []
    for part in value:
        if isinstance(part, list) and all(type(i) is int and 0 <= i < len(given) for i in part):
            used += part
            sizes.append(math.prod(given[i] for i in part))
        elif type(part) is int and (part > 0 or part == -1):
            sizes.append(part)
        else:
            return None
    total = math.prod(given)
    if sizes.count(-1) == 1:
        known = -math.prod(sizes)
        sizes[sizes.index(-1)] = total // known if known > 0 else 0
    if min(sizes, default=1) < 1 or math.prod(sizes) != total or used != sorted(set(used)):
        return None
    for i, part in enumerate(value):
        if isinstance(part, list) and part and not _aligned(sizes, i, given, part):
            return None
    return tuple(sizes)


def _aligned(sizes: list[int], i: int, given: tuple[int, ...], part: list[int]) -> bool:
    before, after = math.prod(sizes[:i]), math.prod(sizes[i + 1 :])
    return before == math.prod(given[: part[0]]) and after == math.prod(given[part[-1] + 1 :])
