"""Scales of Neuroglancer precomputed volumes as arrays: sharded or not, with every encoding of chunks.

Spec: https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.rst. A scale has no
document of its own: the ``info`` in a folder above describes it. Axes are (x, y, z, channel) with x fastest there, and
(c,) z, y, x here. Dialects read: chunks with CloudFiles' suffixes ``.gz``, ``.br``, ``.zst``; shards as pairs of
``.index`` and ``.data``; several chunk sizes, of which the first is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs import batch
from voxarium.codecs.batch.crew import decode_fetched
from voxarium.codecs.deflate import Gzip
from voxarium.errors import Code, InputError, NotFoundError
from voxarium.formats.precomputed.creating import create_scale
from voxarium.formats.precomputed.encodings import (
    Raw,
    encoding_of,
    size_bounds,
)
from voxarium.formats.precomputed.naming import look
from voxarium.formats.precomputed.objects import ScaleObjects
from voxarium.formats.precomputed.scale import SCALE_FORMAT, SPEC_URL, ScaleDetails, array_info, divides
from voxarium.formats.precomputed.shards import local_codes, locate_in_shards, pack_indexes, shard_number
from voxarium.formats.precomputed.volume import Volume, read_volume
from voxarium.model.array_specs import join_key
from voxarium.model.box import Box
from voxarium.model.codec import check_size
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.native import Located, NativeCrew, NativeReads, Span, located
from voxarium.model.protocols import ByteRange, IndexCache, ReadableStore, ShardLayout
from voxarium.model.references import Referable, not_referable
from voxarium.model.sources import declined, place
from voxarium.spec.precomputed import (
    chunk_name,
    resolve_folder,
)

__all__ = ["PrecomputedScaleDriver"]

_DEEPEST_KEY: Final = 4  # folders in the key of a scale


class PrecomputedScaleDriver(ScaleObjects):
    """Reads and writes scales of precomputed volumes."""

    listed: ClassVar[bool] = False  # only a step of the convention around it
    name: ClassVar[str] = SCALE_FORMAT
    spec_url: ClassVar[str] = SPEC_URL
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "shards"})
    precedence: ClassVar[int] = 30  # it asks the folders above, which others need not pay for
    enclosing_documents: ClassVar[tuple[str, ...]] = ("info",)

    # ------------------------------------------------------------------------------------------------- read
    def open(self, store: ReadableStore, path: str, /, **_options: Any) -> ArrayInfo:
        """Find the ``info`` above `path`, and in it the scale of that name.

        Raises
        ------
        NotFoundError
            If there is none.
        FormatError
            If it breaks the specification, or the chunks there are not those it describes.
        UnsupportedError
            If it needs an encoding this package does not have, or redirects to another store.
        """
        parts = path.split("/") if path and "::" not in path else []
        for depth in range(1, min(_DEEPEST_KEY, len(parts)) + 1):
            folder, name = "/".join(parts[:-depth]), "/".join(parts[-depth:])
            try:
                volume = read_volume(store, folder)
            except NotFoundError:
                continue
            if volume is not None and name in volume.names:
                return self._opened(store, volume, volume.names.index(name))
        raise declined(self.name, store, path)

    def _opened(self, store: ReadableStore, volume: Volume, number: int) -> ArrayInfo:
        info = volume.info
        scale = info.scales[number]
        where = f"scale {scale.key!r} of {place(store, volume.folder)}"
        encoding = encoding_of(scale, info.dtype, info.num_channels, where)
        folder = resolve_folder(volume.folder, scale.key, "a scale")
        naming = look(store, folder, scale)
        gzip = scale.sharding is not None and scale.sharding.data_encoding == "gzip"
        details = ScaleDetails(scale, info.num_channels, encoding, Gzip(5) if gzip else None, folder, naming)
        remarks = (naming.remark,) if naming.remark else ()
        return array_info(details, info.dtype, 4 if info.num_channels > 1 else 3, remarks)

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
        return None if payload is None else self.decode(info, payload, shape=box.shape)

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where chunks are stored; the indexes of each shard are read once."""
        details: ScaleDetails = info.details
        scale = details.scale
        folder = path if details.folder is None else details.folder
        if not indices:
            return []
        if scale.sharding is not None:
            found = self.locate_many(store, path, info, np.array(indices, np.int64), cache)
            return [found.span(i) for i in range(len(indices))]
        grid = (scale.chunk, scale.voxel_offset, scale.size)
        keys = (join_key(folder, chunk_name(index[:-4:-1], *grid)) for index in indices)
        named = (details.naming.key(store, key) for key in keys)
        return [None if key is None else Span(key) for key in named]

    def decode(
        self,
        info: ArrayInfo,
        payload: Buffer,
        /,
        *,
        shape: tuple[int, ...] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return one chunk, cut to the array. It may lie in `out`, or be a read-only view of `payload`."""
        details: ScaleDetails = info.details
        shape = info.chunk_shape if shape is None else shape
        full = details.full(shape)
        if details.naming.suffixes != ("",) or details.gzip is not None:
            size = size_bounds(details.encoding, full, info.dtype.itemsize)
            payload = details.naming.unpacked(payload, size)
            if details.gzip is not None:
                payload = details.gzip.decode(payload, size)
        return details.encoding.decode(payload, full, info.dtype, out).reshape(shape)

    def check(self, info: ArrayInfo, payload: Buffer, /) -> None:
        """Raise FormatError for a payload that is cut off, as far as shows without decoding."""
        details: ScaleDetails = info.details
        if self._plain(info):
            nbytes = math.prod(info.chunk_shape) * info.dtype.itemsize
            low = nbytes if divides(info) else info.dtype.itemsize
            check_size("raw chunk", memoryview(payload).nbytes, (low, nbytes))
        elif details.gzip is not None:
            check_size("packed chunk", memoryview(payload).nbytes, (20, 1 << 62))

    def decode_many(
        self,
        info: ArrayInfo,
        payloads: Sequence[Buffer],
        places: NDArray[np.int64],
        scratch: NDArray[Any],
        out: NDArray[Any],
        /,
    ) -> int | None:
        """Place raw chunks without the interpreter lock, up to the first that is cut; see `BatchDriver`."""
        if not self._raw(info):
            return None
        details: ScaleDetails = info.details
        if details.gzip is not None:
            return batch.decode_many(details.gzip, payloads, places, scratch, out, plain=False)
        nbytes = math.prod(info.chunk_shape) * info.dtype.itemsize
        whole = next((i for i, p in enumerate(payloads) if memoryview(p).nbytes != nbytes), len(payloads))
        return batch.decode_many(None, payloads[:whole], places[:whole], scratch, out, plain=True) if whole else 0

    def locate_many(
        self, store: ReadableStore, path: str, info: ArrayInfo, indices: NDArray[np.int64], cache: IndexCache, /
    ) -> Located:
        """Return where chunks are stored, in arrays."""
        details: ScaleDetails = info.details
        if details.scale.sharding is not None:
            folder = path if details.folder is None else details.folder
            cells = indices[:, :-4:-1]
            return locate_in_shards(store, folder, details.scale, cells, cache, legacy=details.naming.legacy)
        return located(self.locate(store, path, info, [tuple(i) for i in indices.tolist()], cache))

    def can_decode_fetched(self, info: ArrayInfo, out: NDArray[Any], chunks: int, /) -> bool:
        """Tell whether `decode_fetched` is possible: for raw chunks; those cut at the end need a closer look."""
        details: ScaleDetails = info.details
        return self._raw(info) and batch.able_to_decode(details.gzip, out, chunks, plain=details.gzip is None)

    def decode_fetched(
        self, info: ArrayInfo, reads: NativeReads, box: Box, out: NDArray[Any], crew: NativeCrew, /
    ) -> NDArray[np.uint8]:
        """Fetch and place raw chunks without the interpreter lock; see `NativeDriver`."""
        details: ScaleDetails = info.details
        return decode_fetched(details.gzip, reads, box, out, crew, plain=details.gzip is None)

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others decode raw chunks; those of other encodings nobody else reads."""
        details: ScaleDetails = info.details
        if not isinstance(details.encoding, Raw):
            raise not_referable(f"scale {details.scale.key!r}", f"chunks are encoded as {details.scale.encoding}")
        packed = {".gz": {"id": "gzip", "level": 1}, ".zst": {"id": "zstd", "level": 1}}
        suffixes = [s for s in details.naming.suffixes if s]
        if len(suffixes) > 1 or any(s not in packed for s in suffixes):
            raise not_referable(f"scale {details.scale.key!r}", f"chunks are packed as {', '.join(suffixes)}")
        compressor = packed[suffixes[0]] if suffixes else {"id": "gzip", "level": 1} if details.gzip else None
        return Referable(chunk_shape=info.chunk_shape, dtype=info.dtype.newbyteorder("<"), compressor=compressor)

    def stored_chunks(
        self, store: ReadableStore, path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where chunks are; None for those cut at the end of an axis."""
        cache = _NoCache()
        for index in ChunkGrid(info.shape, info.chunk_shape).indices():
            span = self.locate(store, path, info, [index], cache)[0]
            if span is None or (span.length is None and store.stat(span.key) is None):
                continue
            ends = ((i + 1) * c <= n for i, c, n in zip(index, info.chunk_shape, info.shape, strict=True))
            yield index, span if all(ends) else None

    def encode_many(
        self, _info: ArrayInfo, _data: NDArray[Any], _places: NDArray[np.int64], _scratch: NDArray[Any], /
    ) -> None:
        """Return None: chunks are encoded one by one."""

    @staticmethod
    def _raw(info: ArrayInfo) -> bool:
        """Tell whether a payload, gzipped or not, is a chunk's memory as it is."""
        details: ScaleDetails = info.details
        native = info.dtype.itemsize == 1 or np.dtype("<u2").isnative
        return details.encoding.key == "raw" and details.naming.suffixes == ("",) and native

    def _plain(self, info: ArrayInfo) -> bool:
        """Tell whether a payload is a chunk's memory as it is."""
        details: ScaleDetails = info.details
        return self._raw(info) and details.gzip is None

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return what a decoder of chunks must know.

        Raw chunks that are never cut are those of every container with plain little-endian chunks.
        """
        details: ScaleDetails = info.details
        packers = details.naming.packing
        if packers is None:
            return ("precomputed", id(details))  # of several kinds: nobody else's
        packers = packers if details.gzip is None else (details.gzip.key, *packers)
        if details.encoding.key == "raw" and divides(info):
            return packers
        return ("precomputed", details.encoding.key, *packers)

    # ------------------------------------------------------------------------------------------------ write
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new scale.

        All channels share a chunk, and shards are boxes in Morton order: shapes may differ from what was asked.

        Raises
        ------
        InputError
            If axes, shapes or encoding cannot be used.
        UnsupportedError
            If precomputed cannot hold the type, the fill value or the position.
        """
        return create_scale(spec)

    def dump(self, _path: str, _info: ArrayInfo, /) -> dict[str, bytes]:
        """Return nothing: scales are described by the ``info`` of their volume."""
        return {}

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> Buffer:
        """Return the payload of one chunk, cut to the array; without packing it may be a view of `chunk`."""
        details: ScaleDetails = info.details
        data = details.encoding.encode(chunk.reshape(details.full(chunk.shape)))
        return data if details.gzip is None else details.gzip.encode(data)

    def shard_layout(self, info: ArrayInfo, /) -> ShardLayout:
        """Return that the index comes first, and chunks in Morton order."""
        details: ScaleDetails = info.details
        sharding, counts = details.scale.sharding, details.counts()
        if sharding is None or counts is None:
            raise _no_shards()
        codes = local_codes(counts, details.scale.grid)
        return ShardLayout(head=sharding.index_size, order=np.argsort(codes, kind="stable"))

    def pack_shard(self, info: ArrayInfo, index: tuple[int, ...], table: NDArray[np.uint64], /) -> tuple[bytes, bytes]:
        """Return the index of a shard, and those of its minishards."""
        details: ScaleDetails = info.details
        sharding, counts = details.scale.sharding, details.counts()
        if sharding is None or counts is None:
            raise _no_shards()
        keys = local_codes(counts, details.scale.grid)
        first = shard_number(details.scale, [i * n for i, n in zip(index[:-4:-1], counts, strict=True)])
        return pack_indexes(sharding, keys | np.uint64(first << sharding.local_bits), table)


def _no_shards() -> InputError:
    return InputError(
        "the scale has no shards that one writer could own",
        code=Code.ARGUMENT_INVALID,
        fix="write each chunk as an object of its own, or create the scale anew",
    )


class _NoCache:
    """An index cache that keeps nothing."""

    def get(self, _store: ReadableStore, _key: str, load: Any, /) -> object | None:  # Any: a callable
        found: object | None = load()
        return found
