"""Zarr v3 arrays, sharded or not. https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html

Dialects read: codecs by bare name (3.1), ``numcodecs.*`` codecs of zarr-python, registered extension codecs,
inline consolidated metadata (of use to conventions; each array is opened by its own document). Shards behind another
codec, or inside another shard, are read as one chunk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs import ABSENT, Chain, Sharding, build_chain, parse_codec
from voxarium.codecs.batch.chained import ChainedChunks
from voxarium.errors import Code, FormatError, InputError, NotFoundError, StoreError, UnsupportedError
from voxarium.model.array_specs import check_shapes, checked_dtype, checked_fill, join_key, named_axes
from voxarium.model.box import Box
from voxarium.model.codec import ChunkType
from voxarium.model.fields import parse_json_object
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.keys import grid_index
from voxarium.model.native import Located, Span, whole_objects
from voxarium.model.protocols import ByteRange, IndexCache, ReadableStore, ShardLayout
from voxarium.spec.zarr3 import ArrayMetadata, ChunkKeys, NamedConfiguration, dump_array, parse_array

__all__ = ["Zarr3Driver"]

_DOCUMENT: Final = "zarr.json"
_LARGEST: Final = np.uint64(2**63 - 1)


@dataclass(frozen=True, slots=True)
class _Details:
    """Parsed metadata, and what decoding a chunk needs, worked out once."""

    meta: ArrayMetadata
    chain: Chain  # of one chunk
    shards: Sharding | None
    per_shard: NDArray[np.int64]  # chunks along each axis of a shard
    strides: NDArray[np.int64]  # of those, in rows of the index


def _info(meta: ArrayMetadata, where: str) -> ArrayInfo:
    """Return what readers need to know; the codecs are checked here."""
    if meta.dtype is None:
        raise UnsupportedError(
            f"{where} has the data type {meta.data_type!r}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert it to a numeric type of the Zarr core specification with the software that wrote it",
        )
    stored = ChunkType(meta.chunk_shape, meta.dtype, meta.fill_value)
    chain = build_chain([(c.name, c.configuration) for c in meta.codecs], stored, where)
    shards = chain.serializer if chain.only_serializes and isinstance(chain.serializer, Sharding) else None
    if shards is not None and isinstance(shards.inner, Chain):
        chain = shards.inner
    counts = shards.counts if shards is not None else (1,) * len(meta.shape)
    strides = [math.prod(counts[i + 1 :]) for i in range(len(counts))]
    return ArrayInfo(
        format=Zarr3Driver.name,
        shape=meta.shape,
        dtype=meta.dtype,
        chunk_shape=chain.given.shape,
        shard_shape=None if shards is None else meta.chunk_shape,
        fill_value=meta.fill_value,
        codecs=chain.texts,
        axes=named_axes(meta.dimension_names),
        attributes=meta.attributes,
        details=_Details(meta, chain, shards, np.array(counts, np.int64), np.array(strides, np.int64)),
    )


class Zarr3Driver(ChainedChunks):
    """Reads and writes Zarr v3 arrays."""

    name: ClassVar[str] = "zarr3"
    precedence: ClassVar[int] = -15  # most levels are theirs, and each question to others is a request
    spec_url: ClassVar[str] = "https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "shards"})

    # ------------------------------------------------------------------------------------------------- read
    def open(self, store: ReadableStore, path: str, /, **_options: Any) -> ArrayInfo:
        """Parse the ``zarr.json`` at `path`.

        Raises
        ------
        NotFoundError
            If there is none, or it describes a group.
        FormatError
            If it breaks the specification.
        UnsupportedError
            If it needs a codec, data type or extension this package does not have.
        """
        key = join_key(path, _DOCUMENT)
        raw = store.get(key)
        if raw is None:
            raise NotFoundError(
                f"there is no {key} in {store.uri}",
                code=Code.METADATA_MISSING,
                fix="check the path; `voxarium info` on a folder above lists the arrays in it",
            )
        doc = parse_json_object(raw, key)
        if doc.get("node_type") == "group":
            raise NotFoundError(
                f"{path or 'the root'} of {store.uri} is a Zarr group, not an array",
                code=Code.METADATA_MISSING,
                fix="name an array inside the group",
            )
        return _info(parse_array(doc, key), path or store.uri)

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk, or None when it is absent."""
        index = tuple(a // c for a, c in zip(box.origin, info.chunk_shape, strict=True))
        span = self.locate(store, path, info, [index], _NoCache())[0]
        if span is None:
            return None
        payload: Buffer | None
        if span.length is None:
            payload = store.get(span.key)
        else:
            parts = store.get_ranges(span.key, [ByteRange(span.start, span.length)])
            payload = None if parts is None else parts[0]
        if payload is None:
            return None
        return self.decode(info, payload)[tuple(slice(0, n) for n in box.shape)]

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where chunks are stored; the index of each shard is read once, by one range request."""
        grid = np.array(indices, np.int64).reshape(len(indices), info.ndim)
        located = self.locate_many(store, path, info, grid, cache)
        return [located.span(i) for i in range(len(indices))]

    def locate_many(
        self, store: ReadableStore, path: str, info: ArrayInfo, indices: NDArray[np.int64], cache: IndexCache, /
    ) -> Located:
        """Return where chunks are stored, in arrays."""
        details: _Details = info.details
        keys, count = details.meta.chunk_keys, len(indices)
        if details.shards is None:
            return whole_objects([join_key(path, keys.key(tuple(i))) for i in indices.tolist()])
        if count == 1:
            return self._locate_one(store, path, info, indices[0].tolist(), cache)
        shards = indices // details.per_shard
        rows = (indices - shards * details.per_shard) @ details.strides
        if count and not np.logical_or.reduce(shards != shards[0], axis=None):
            name = join_key(path, keys.key(tuple(shards[0].tolist())))
            return _of_one_shard(name, rows, cache.get(store, name, partial(_load_index, store, name, details.shards)))
        members: dict[tuple[int, ...], list[int]] = {}
        for i, shard in enumerate(map(tuple, shards.tolist())):
            members.setdefault(shard, []).append(i)
        names = [join_key(path, keys.key(index)) for index in members]
        objects = np.full(count, -1, np.int64)
        starts, lengths = np.zeros(count, np.int64), np.zeros(count, np.int64)
        for number, (name, some) in enumerate(zip(names, members.values(), strict=True)):
            table: Any = cache.get(store, name, partial(_load_index, store, name, _shards(info)))
            if table is not None:
                found: NDArray[np.uint64] = table[rows[some]]
                objects[some] = np.where(found[:, 0] == ABSENT, -1, number)
                starts[some], lengths[some] = np.minimum(found, _LARGEST).T
        return Located(keys=names, objects=objects, starts=starts, lengths=lengths)

    def _locate_one(
        self, store: ReadableStore, path: str, info: ArrayInfo, index: list[int], cache: IndexCache
    ) -> Located:
        """Locate one chunk of a shard: servers ask for one at a time, and arrays of one number are slow."""
        details: _Details = info.details
        counts, strides = details.per_shard.tolist(), details.strides.tolist()
        shard = tuple(i // n for i, n in zip(index, counts, strict=True))
        row = sum(i % n * s for i, n, s in zip(index, counts, strides, strict=True))
        name = join_key(path, details.meta.chunk_keys.key(shard))
        table: Any = cache.get(store, name, partial(_load_index, store, name, _shards(info)))
        start, length = (ABSENT, 0) if table is None else table[row].tolist()
        most = int(_LARGEST)
        place = (-1, 0, 0) if start == ABSENT else (0, min(start, most), min(length, most))
        objects, starts, lengths = np.array(place, np.int64).reshape(3, 1)
        return Located(keys=[name], objects=objects, starts=starts, lengths=lengths)

    # ------------------------------------------------------------------------------------------------ write
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new array.

        Raises
        ------
        InputError
            If shapes, fill value or codec cannot be used.
        """
        dtype = checked_dtype(spec)
        check_shapes(spec)
        choice = parse_codec(spec.codec, dtype)
        choice.check_chunk(math.prod(spec.chunk_shape) * dtype.itemsize)
        endian = {"endian": "little"} if dtype.itemsize > 1 else {}
        codecs = [NamedConfiguration("bytes", endian)]
        codecs += [NamedConfiguration(name, settings) for name, settings in choice.to_v3()]
        if spec.shard_shape is not None:
            codecs = [_sharding(spec.chunk_shape, codecs)]
        meta = ArrayMetadata(
            shape=tuple(spec.shape),
            data_type=dtype.name,
            dtype=dtype,
            chunk_shape=tuple(spec.shard_shape or spec.chunk_shape),
            codecs=tuple(codecs),
            chunk_keys=ChunkKeys(),
            fill_value=checked_fill(spec, dtype),
            dimension_names=spec.dimension_names,
            attributes=dict(spec.attributes),
        )
        return _info(meta, "the new array")

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return the ``zarr.json`` by key."""
        details: _Details = info.details
        return {join_key(path, _DOCUMENT): dump_array(details.meta)}

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a shard, or of a chunk when there are no shards."""
        details: _Details = info.details
        return join_key(path, details.meta.chunk_keys.key(index))

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a shard or chunk by its key; None for anything else."""
        keys = info.details.meta.chunk_keys
        if not info.shape:
            return () if key == join_key(path, keys.key(())) else None
        start = f"{path}/{keys.prefix}" if path else keys.prefix
        if not key.startswith(start):
            return None
        return grid_index(key[len(start) :], keys.separator, len(info.shape))

    def object_size(self, info: ArrayInfo, _index: tuple[int, ...], /) -> int | None:
        """Return the exact bytes of a chunk where no codec makes them differ; None for shards."""
        details: _Details = info.details
        return None if details.shards is not None else details.chain.exact_size

    def shard_layout(self, info: ArrayInfo, /) -> ShardLayout:
        """Return where the index stands."""
        shards = _shards(info)
        return ShardLayout(head=0 if shards.at_end else shards.index_size)

    def pack_shard(self, info: ArrayInfo, _index: tuple[int, ...], table: NDArray[np.uint64], /) -> tuple[bytes, bytes]:
        """Return the index of a shard, before or behind its chunks."""
        shards = _shards(info)
        packed = shards.pack_index(table)
        return (b"", packed) if shards.at_end else (packed, b"")


def _shards(info: ArrayInfo) -> Sharding:
    details: _Details = info.details
    if details.shards is None:
        raise InputError(
            "the array has no shards, so there is no index",
            code=Code.ARGUMENT_INVALID,
            fix="write each chunk as an object of its own",
        )
    return details.shards


def _of_one_shard(name: str, rows: NDArray[np.int64], table: Any) -> Located:  # Any: an index, or None
    """Return where chunks of one shard are: most boxes lie in one, and small ones are read often."""
    if table is None:
        none = np.zeros(len(rows), np.int64)
        return Located(keys=[name], objects=none - 1, starts=none, lengths=none)
    found: NDArray[np.uint64] = table[rows]
    starts, lengths = np.minimum(found.T, _LARGEST).astype(np.int64, order="C")
    objects = np.subtract(0, found[:, 0] == ABSENT, dtype=np.int64)
    return Located(keys=[name], objects=objects, starts=starts, lengths=lengths)


def _load_index(store: ReadableStore, key: str, shards: Sharding) -> NDArray[np.uint64] | None:
    """Read and check the index of a shard; None when there is no shard."""
    n = shards.index_size
    try:
        parts = store.get_ranges(key, [ByteRange(-n) if shards.at_end else ByteRange(0, n)])
    except StoreError as error:
        if error.code is not Code.FILE_TRUNCATED:
            raise
        raise FormatError(
            f"shard {key} is shorter than its index of {n} bytes",
            code=Code.SHARD_INDEX_CORRUPT,
            fix="the shard is damaged; copy it again from its source",
        ) from error
    if parts is None:
        return None
    # The size costs nothing for a local file, a round trip elsewhere; there, reading beyond the end fails.
    stat = store.stat(key) if store.concurrency == 1 else None
    try:
        return shards.read_index(parts[0], None if stat is None else stat.size)
    except FormatError as error:
        raise type(error)(f"{key}: {error.message}", code=error.code, fix=error.fix) from error


def _sharding(chunk_shape: tuple[int, ...], codecs: list[NamedConfiguration]) -> NamedConfiguration:
    index = [NamedConfiguration("bytes", {"endian": "little"}), NamedConfiguration("crc32c")]
    return NamedConfiguration(
        "sharding_indexed",
        {
            "chunk_shape": list(chunk_shape),
            "codecs": [c.to_json() for c in codecs],
            "index_codecs": [c.to_json() for c in index],
            "index_location": "end",
        },
    )


class _NoCache:
    """An index cache that keeps nothing."""

    def get(self, _store: ReadableStore, _key: str, load: Callable[[], object | None], /) -> object | None:
        return load()
