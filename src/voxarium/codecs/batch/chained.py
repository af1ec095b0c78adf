"""What array drivers say of chunks whose bytes a chain of codecs makes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.batch import able_to_decode, decode_many, encode_many
from voxarium.codecs.batch.crew import decode_fetched
from voxarium.model.box import Box
from voxarium.model.codec import BytesBytesCodec
from voxarium.model.image import ArrayInfo
from voxarium.model.native import NativeCrew, NativeReads

__all__ = ["ChainedChunks"]


class _Chain(Protocol):
    """A `voxarium.codecs.Chain`."""

    plain: bool
    single: BytesBytesCodec | None
    key: object

    def decode(self, payload: Buffer, out: NDArray[Any] | None = None) -> NDArray[Any]: ...

    def check(self, payload: Buffer) -> None: ...

    def encode(self, chunk: NDArray[Any]) -> Buffer: ...


class ChainedChunks:
    """Part of a driver that keeps the chain of codecs of one chunk as ``info.details.chain``."""

    def decode(
        self,
        info: ArrayInfo,
        payload: Buffer,
        /,
        *,
        shape: tuple[int, ...] | None = None,  # chunks are never clipped
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return one chunk. It may be `out`, or a read-only view of `payload`."""
        chain: _Chain = info.details.chain
        return chain.decode(payload, out)

    def check(self, info: ArrayInfo, payload: Buffer, /) -> None:
        """Raise FormatError for a payload that is cut off, as far as shows without decoding."""
        chain: _Chain = info.details.chain
        chain.check(payload)

    def decode_many(
        self,
        info: ArrayInfo,
        payloads: Sequence[Buffer],
        places: NDArray[np.int64],
        scratch: NDArray[Any],
        out: NDArray[Any],
        /,
    ) -> int | None:
        """Decode chunks into place without the interpreter lock; see `BatchDriver`."""
        chain: _Chain = info.details.chain
        return decode_many(chain.single, payloads, places, scratch, out, plain=chain.plain)

    def can_decode_fetched(self, info: ArrayInfo, out: NDArray[Any], chunks: int, /) -> bool:
        """Tell whether `decode_fetched` is possible; see `NativeDriver`."""
        chain: _Chain = info.details.chain
        return able_to_decode(chain.single, out, chunks, plain=chain.plain)

    def decode_fetched(
        self, info: ArrayInfo, reads: NativeReads, box: Box, out: NDArray[Any], crew: NativeCrew, /
    ) -> NDArray[np.uint8]:
        """Fetch and decode chunks without the interpreter lock; see `NativeDriver`."""
        chain: _Chain = info.details.chain
        return decode_fetched(chain.single, reads, box, out, crew, plain=chain.plain)

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return what a decoder of chunks must know; equal for every container that encodes alike."""
        chain: _Chain = info.details.chain
        return chain.key

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> Buffer:
        """Return the payload of one chunk; without compression it may be a view of `chunk`."""
        chain: _Chain = info.details.chain
        return chain.encode(chunk)

    def encode_many(
        self, info: ArrayInfo, data: NDArray[Any], places: NDArray[np.int64], scratch: NDArray[Any], /
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
        """Encode chunks of a region without the interpreter lock; see `BatchDriver`."""
        chain: _Chain = info.details.chain
        return encode_many(chain.single, data, places, scratch, info.fill_value)
