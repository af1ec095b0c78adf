"""Shards: many chunks and an index of them in one object.

https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Hashable, Iterator
from typing import Any, ClassVar, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import ChecksumError, Code, FormatError
from voxarium.model.codec import ChunkType, CodecKind, SizeBounds, allocate
from voxarium.model.fields import Fields

__all__ = ["ABSENT", "Sharding"]

ABSENT: Final = 2**64 - 1
"""Byte offset and length of a chunk that was never written."""

_MAX_INDEX: Final = 1 << 30
_MEND: Final = "the shard is damaged; copy it again from its source"


class InnerChain(Protocol):
    """What sharding needs of the chains inside it."""

    bounds: SizeBounds
    key: Hashable
    texts: tuple[str, ...]

    def encode(self, chunk: NDArray[Any], /) -> Buffer: ...

    def decode(self, payload: Buffer, out: NDArray[Any] | None = None, /) -> NDArray[Any]: ...


ChainBuilder = Callable[[object, ChunkType, str], InnerChain]
"""Makes a chain from a JSON list of codecs, the arrays it is for, and its place in the metadata."""


class Sharding:
    """The ``sharding_indexed`` codec for shards of one shape.

    Parameters
    ----------
    given : ChunkType
        The shards.
    chunk_shape : tuple of int
        Elements of a chunk; divides the shard.
    inner, index : chain
        Codecs of the chunks, and of the index: an array of shape (chunks along each axis …, 2) of uint64.
    at_end : bool
        Where the index stands.
    """

    kind: ClassVar[CodecKind] = "array->bytes"
    direct: ClassVar[bool] = False
    __slots__ = ("_index", "at_end", "chunk_shape", "counts", "given", "index_size", "inner", "size")

    def __init__(
        self,
        given: ChunkType,
        chunk_shape: tuple[int, ...],
        inner: InnerChain,
        index: InnerChain,
        *,
        at_end: bool,
    ) -> None:
        self.given = given
        self.chunk_shape = chunk_shape
        self.inner = inner
        self._index = index
        self.at_end = at_end
        self.index_size = index.bounds[0]
        self.counts = tuple(s // c for s, c in zip(given.shape, chunk_shape, strict=True))
        self.size = math.prod(self.counts)

    @classmethod
    def parse(cls, fields: Fields, given: ChunkType, build: ChainBuilder) -> Self:
        """Return the codec of a v3 configuration."""
        chunk_shape = fields.lengths("chunk_shape", 1)
        if len(chunk_shape) != len(given.shape):
            fields.wrong("chunk_shape", f"{len(given.shape)} lengths")
        elif any(s % c for s, c in zip(given.shape, chunk_shape, strict=True)):
            fields.wrong("chunk_shape", f"lengths that divide the shard shape {list(given.shape)}")
        codecs, index_codecs = fields.raw("codecs"), fields.raw("index_codecs")
        location = fields.choice("index_location", ("start", "end"), "end")
        fields.done()
        inner = build(codecs, ChunkType(chunk_shape, given.dtype, given.fill_value), "codecs")
        counts = tuple(s // c for s, c in zip(given.shape, chunk_shape, strict=True))
        table = ChunkType((*counts, 2), np.dtype("u8"), np.uint64(ABSENT))
        if table.nbytes > _MAX_INDEX:
            raise FormatError(
                f"shards of {given.shape} in chunks of {chunk_shape} need {table.nbytes >> 20} MiB of index",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="check the chunk shapes in the metadata; rewrite the array with fewer chunks per shard",
            )
        index = build(index_codecs, table, "index_codecs")
        if index.bounds[0] != index.bounds[1]:
            fields.wrong("index_codecs", "codecs whose output has a fixed size")
        fields.done()
        return cls(given, chunk_shape, inner, index, at_end=location == "end")

    @property
    def text(self) -> str:
        """Description for people."""
        shape = "x".join(map(str, self.chunk_shape))
        return f"sharding_indexed:{shape}[{' '.join(self.inner.texts)}]"

    @property
    def key(self) -> Hashable:
        """What a decoder must know."""
        return "sharding_indexed", self.chunk_shape, self.inner.key, self._index.key, self.at_end

    @property
    def bounds(self) -> SizeBounds:
        """Size of a shard; unused bytes are allowed, so the upper bound is a sensible one."""
        return self.index_size, 2 * (self.index_size + self.size * self.inner.bounds[1])

    # ------------------------------------------------------------------------------------------------ index
    def read_index(self, data: Buffer, object_size: int | None) -> NDArray[np.uint64]:
        """Return the table of a shard: a row of byte offset and length per chunk, in C order.

        Parameters
        ----------
        data : bytes-like
            The index as stored.
        object_size : int or None
            Size of the shard, when known; entries beyond it are refused.

        Raises
        ------
        ChecksumError
            If the index disagrees with its checksum.
        FormatError
            If it is damaged in another way.
        """
        try:
            table = self._index.decode(data).reshape(-1, 2)
        except ChecksumError as error:
            raise ChecksumError(f"shard index: {error.message}", code=error.code, fix=_MEND) from error
        except FormatError as error:
            raise self._broken(error.message) from error
        table = np.ascontiguousarray(table)
        starts, lengths = table[:, 0], table[:, 1]
        absent = starts == ABSENT
        if not np.array_equal(absent, lengths == ABSENT):
            raise self._broken("an entry is only half empty")
        limit = (1 << 62) if object_size is None else object_size
        most = np.uint64(min(self.inner.bounds[1], limit))
        # Lengths first: then limit - length cannot wrap around.
        if not np.all(absent | (lengths <= most)):
            raise self._broken(f"a chunk is said to have more than {most} bytes")
        if not np.all(absent | (starts <= np.uint64(limit) - np.where(absent, np.uint64(0), lengths))):
            raise self._broken(f"a chunk is said to lie beyond the end of the shard, at {limit} bytes")
        table.flags.writeable = False
        return table

    @staticmethod
    def _broken(what: str) -> FormatError:
        return FormatError(f"shard index: {what}", code=Code.SHARD_INDEX_CORRUPT, fix=_MEND)

    def pack_index(self, table: NDArray[np.uint64]) -> bytes:
        """Return the index of a table of final byte offsets and lengths."""
        return bytes(memoryview(self._index.encode(table.reshape(*self.counts, 2))))

    # ------------------------------------------------------------------------------- whole shards as chunks
    def _boxes(self) -> Iterator[tuple[slice, ...]]:
        for index in itertools.product(*map(range, self.counts)):
            yield tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, self.chunk_shape, strict=True))

    def encode(self, array: NDArray[Any]) -> bytes:
        """Return a whole shard; chunks that hold nothing but the fill value are left out."""
        table = np.full((self.size, 2), ABSENT, np.uint64)
        payloads: list[Buffer] = []
        at = 0 if self.at_end else self.index_size
        empty = np.full(self.chunk_shape, self.given.fill_value, self.given.dtype).tobytes()
        for row, box in enumerate(self._boxes()):
            chunk = np.ascontiguousarray(array[box])
            if chunk.tobytes() == empty:
                continue
            payload = memoryview(self.inner.encode(chunk))
            table[row] = at, payload.nbytes
            at += payload.nbytes
            payloads.append(payload)
        index = self.pack_index(table)
        return b"".join([*payloads, index] if self.at_end else [index, *payloads])

    def decode(self, data: Buffer) -> NDArray[Any]:
        """Return the array of a whole shard."""
        view = memoryview(data)
        n = self.index_size
        if view.nbytes < n:
            raise self._broken(f"the shard has {view.nbytes} bytes, fewer than its index")
        # With n = 0 (never in practice) view[-0:] would be everything.
        table = self.read_index(view[view.nbytes - n :] if self.at_end else view[:n], view.nbytes)
        out = allocate(self.given.nbytes).view(self.given.dtype).reshape(self.given.shape)
        for box, (start, length) in zip(self._boxes(), table.tolist(), strict=True):
            out[box] = self.given.fill_value if start == ABSENT else self.inner.decode(view[start : start + length])
        return out
