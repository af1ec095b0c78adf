"""LZ4 as numcodecs frames it: the decoded size as a little-endian 32-bit integer, then one LZ4 block."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Final, Self

import numcodecs.lz4 as _lz4
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.codec import (
    CodecKind,
    SizeBounds,
    allocate,
    check_plausible,
    check_size,
    corrupt,
    truncated,
)
from voxarium.model.fields import Fields

__all__ = ["Lz4"]

_RATIO: Final = 256


@dataclass(frozen=True, slots=True)
class Lz4:
    """LZ4 with a size in front."""

    kind: ClassVar[CodecKind] = "bytes->bytes"
    key: ClassVar[Hashable] = "numcodecs.lz4"
    acceleration: int = 1

    @classmethod
    def parse(cls, fields: Fields, _given: object) -> Self:
        """Return the codec of a numcodecs configuration."""
        acceleration = fields.integer("acceleration", -(2**31), 2**31 - 1, 1)
        fields.done()
        return cls(acceleration)

    @property
    def text(self) -> str:
        """Description for people."""
        return "lz4"

    def encoded_bounds(self, given: SizeBounds) -> SizeBounds:
        """Return the size of compressed bytes."""
        return 5, given[1] + given[1] // 4 + 65536

    def encode(self, data: Buffer) -> bytes:
        """Compress; releases the GIL."""
        packed: bytes = _lz4.compress(data, self.acceleration)
        return packed

    def decode(self, data: Buffer, size: SizeBounds, out: NDArray[np.uint8] | None = None) -> memoryview:
        """Decompress, straight into `out` when it is given; releases the GIL."""
        view = memoryview(data)
        if view.nbytes < 5:
            raise truncated(f"lz4 payload has only {view.nbytes} bytes")
        stated = int.from_bytes(view[:4], "little")
        check_size("lz4 payload", stated, size)
        if out is None:
            check_plausible("lz4 payload", view.nbytes, stated, _RATIO)
            out = allocate(stated)
        try:
            _lz4.decompress(data, out)
        except (RuntimeError, ValueError) as error:
            raise corrupt(f"lz4 payload cannot be decoded: {error}") from error
        return out.data
