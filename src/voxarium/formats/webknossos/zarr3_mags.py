"""Mags of layers as Zarr 3 arrays, as WEBKNOSSOS itself writes them. They are read as what they are: Zarr 3 arrays.

Spec: https://docs.webknossos.org/webknossos/data/zarr.html. On disk the axes are c, x, y, z and index 0 is voxel 0 of
the dataset; chunks are transposed, so that their bytes are those of z, y, x, c in C order. Here an array has the axes
z, y, x and perhaps c, and begins where the image begins, as an array of WKW does.
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
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.array_specs import check_shapes, checked_dtype, checked_fill, join_key
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.codec import ChunkType
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.native import Span
from voxarium.model.protocols import ByteRange, IndexCache, ReadableStore, ShardLayout
from voxarium.spec import webknossos
from voxarium.spec.zarr3 import ArrayMetadata, ChunkKeys, NamedConfiguration, dump_array

__all__ = ["Zarr3MagDriver"]

_DOCUMENT: Final = "zarr.json"
_NAMES: Final = ("z", "y", "x", "c")
_REVERSED: Final = NamedConfiguration("transpose", {"order": [3, 2, 1, 0]})


@dataclass(frozen=True, slots=True)
class _Details:
    """The document, what coding a chunk and an index needs, and the first shard (or chunk) along z, y, x."""

    meta: ArrayMetadata
    chain: Chain
    shards: Sharding | None
    origin: tuple[int, int, int]


class Zarr3MagDriver(ChainedChunks):
    """Writes the Zarr 3 arrays of WEBKNOSSOS layers."""

    name: ClassVar[str] = "webknossos-zarr3"
    spec_url: ClassVar[str] = "https://docs.webknossos.org/webknossos/data/zarr.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"write", "shards"})
    precedence: ClassVar[int] = 1000  # the arrays are read by the driver of Zarr 3

    # ------------------------------------------------------------------------------------------------- read
    def open(self, store: ReadableStore, path: str, /, **_options: Any) -> ArrayInfo:
        """Raise NotFoundError: what is stored is an array of Zarr 3."""
        raise NotFoundError(
            f"no array at {'/'.join(p for p in (store.uri, path) if p)} that only WEBKNOSSOS has",
            code=Code.FORMAT_UNRECOGNISED,
            fix="open it as a layer of its dataset, or as the Zarr 3 array it is",
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk of an array that is being written, or None when it is absent."""
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
        return None if payload is None else self.decode(info, payload)[tuple(slice(0, n) for n in box.shape)]

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where chunks are; the index of each shard is read once."""
        details: _Details = info.details
        if details.shards is None:
            return [Span(self.object_key(path, info, i), 0, None) for i in indices]
        counts = _per_shard(info)
        out: list[Span | None] = []
        for index in indices:
            shard = tuple(i // n for i, n in zip(index, counts, strict=True))
            key = self.object_key(path, info, shard)
            table: Any = cache.get(store, key, partial(_load_index, store, key, details.shards))
            inside = [i % n for i, n in zip(index, counts, strict=True)]
            row = None if table is None else table.reshape(*details.shards.counts, 2)[_stored(inside)]
            absent = row is None or int(row[0]) == ABSENT
            out.append(None if absent or row is None else Span(key, int(row[0]), int(row[1])))
        return out

    # ------------------------------------------------------------------------------------------------ write
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new array.

        Where the array begins at whole voxels, it stands at its own place in the dataset, with shards and chunks that
        can begin there; elsewhere the layer must say where it is.

        Raises
        ------
        InputError
            If it has other axes than z, y, x and channels, or another fill value than 0, or the codec cannot be used.
        """
        dtype = checked_dtype(spec)
        check_shapes(spec)
        names = tuple(spec.dimension_names or _NAMES[: len(spec.shape)])
        if names not in (_NAMES[:3], _NAMES):
            raise InputError(
                f"a layer has the axes z, y, x and perhaps c, not {', '.join(map(str, names))}",
                code=Code.AXES_MISMATCH,
                fix="write one array for each time point, with the axes in this order",
            )
        if checked_fill(spec, dtype) != 0:
            raise InputError(
                f"absent voxels of a layer are 0, not {spec.fill_value}",
                code=Code.ARGUMENT_INVALID,
                fix="leave out the fill value",
            )
        corner = webknossos.native_corner(spec.transform, spec.shape)
        more = spec.shape[3:]  # all channels are in one chunk
        chunk, shard = _aligned(spec, corner)
        choice = parse_codec(spec.codec, dtype)
        choice.check_chunk(math.prod(chunk) * math.prod(more) * dtype.itemsize)
        plain = [NamedConfiguration("bytes", {"endian": "little"} if dtype.itemsize > 1 else {})]
        plain += [NamedConfiguration(name, settings) for name, settings in choice.to_v3()]
        fill = np.zeros((), dtype)[()]
        given = ChunkType((*chunk, *more), dtype, fill)
        chain = build_chain([(c.name, c.configuration) for c in plain], given, "the new array")
        codecs = [_REVERSED, *plain]
        if shard is not None:
            codecs = [_sharding(_reversed(chunk, more), codecs)]
        outer = shard or chunk
        meta = ArrayMetadata(
            shape=_reversed([n + c for n, c in zip(spec.shape[:3], corner, strict=True)], more),
            data_type=dtype.name,
            dtype=dtype,
            chunk_shape=_reversed(outer, more),
            codecs=tuple(codecs),
            chunk_keys=ChunkKeys(),
            fill_value=fill,
            dimension_names=("c", "x", "y", "z"),
            attributes=dict(spec.attributes),
        )
        stored = build_chain(
            [(c.name, c.configuration) for c in codecs], ChunkType(meta.chunk_shape, dtype, fill), "the new array"
        )
        shards = stored.serializer if isinstance(stored.serializer, Sharding) else None
        z, y, x = (c // n for c, n in zip(corner, outer, strict=True))
        axes = tuple(Axis(name=n, type="channel" if n == "c" else "space") for n in names)
        return ArrayInfo(
            format=self.name,
            shape=tuple(spec.shape),
            dtype=dtype,
            chunk_shape=given.shape,
            shard_shape=None if shard is None else (*shard, *more),
            fill_value=fill,
            codecs=chain.texts,
            axes=axes,
            attributes=meta.attributes,
            details=_Details(meta, chain, shards, (z, y, x)),
        )

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return the ``zarr.json`` by key."""
        details: _Details = info.details
        return {join_key(path, _DOCUMENT): dump_array(details.meta)}

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a shard, or of a chunk when there are no shards."""
        details: _Details = info.details
        place = [i + o for i, o in zip(index[:3], details.origin, strict=True)]
        return join_key(path, details.meta.chunk_keys.key(_stored(place)))

    def shard_layout(self, info: ArrayInfo, /) -> ShardLayout:
        """Return that the index stands at the end."""
        return ShardLayout()

    def pack_shard(self, info: ArrayInfo, _index: tuple[int, ...], table: NDArray[np.uint64], /) -> tuple[bytes, bytes]:
        """Return the index of a shard, with its rows in the order of the stored axes."""
        shards: Sharding = info.details.shards
        rows = table.reshape(*_per_shard(info)[:3], 2).transpose(2, 1, 0, 3)
        return b"", shards.pack_index(np.ascontiguousarray(rows))


def _reversed(space: Sequence[int], channels: Sequence[int]) -> tuple[int, int, int, int]:
    """Return lengths along z, y, x (and c) as those along c, x, y, z."""
    z, y, x = space
    return math.prod(channels), x, y, z


def _stored(index: Sequence[int]) -> tuple[int, int, int, int]:
    """Return an index along z, y, x of chunks or shards, which hold every channel, as one along c, x, y, z."""
    z, y, x = index[:3]
    return 0, x, y, z


def _per_shard(info: ArrayInfo) -> tuple[int, ...]:
    return tuple(s // c for s, c in zip(info.object_shape, info.chunk_shape, strict=True))


def _aligned(spec: ArraySpec, corner: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Return lengths of chunks and shards along z, y, x, near those asked for, that a corner is a multiple of."""
    chunks, shards = [], []
    for length, outer, at in zip(spec.chunk_shape[:3], (spec.shard_shape or spec.chunk_shape)[:3], corner, strict=True):
        chunk = length if at % length == 0 else math.gcd(at, 1 << (length.bit_length() - 1))
        chunks.append(chunk)
        shards.append(chunk * math.gcd(max(outer // chunk, 1), at // chunk) if at else outer)
    return tuple(chunks), None if spec.shard_shape is None else tuple(shards)


def _sharding(chunk_shape: Sequence[int], codecs: list[NamedConfiguration]) -> NamedConfiguration:
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


def _load_index(store: ReadableStore, key: str, shards: Sharding) -> NDArray[np.uint64] | None:
    """Read the index of a shard that this job wrote; None when there is none."""
    parts = store.get_ranges(key, [ByteRange(-shards.index_size)])
    return None if parts is None else shards.read_index(parts[0], None)


class _NoCache:
    """An index cache that keeps nothing."""

    def get(self, _store: ReadableStore, _key: str, load: Callable[[], object | None], /) -> object | None:
        return load()
