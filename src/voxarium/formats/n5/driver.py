"""N5 arrays. https://github.com/saalfeldlab/n5

Dialects read: versions 1 to 4 of the specification, with and without a version at the root; blocks at the end of an
axis cut to the array (Java, z5py) or padded (zarr 2, TensorStore), and blocks that are smaller than they could be;
default, varlength and object blocks; unknown settings of compressions (zarr 2, z5py); lz4 without framing (z5py).
Blocks that do not exist are zeros.

Label multisets (Paintera) are read as the most frequent label of each voxel. Strings are read by
`voxarium.formats.n5.read_strings`. What attributes say about axes and coordinates differs between
conventions (`voxarium.formats.n5.stated`); image drivers read that of pyramids.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs import build_packer_n5, parse_compression_n5
from voxarium.codecs.label_multiset import decode_label_multisets
from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.formats.n5.metadata import DOCUMENT, read_metadata
from voxarium.formats.n5.stated import stated_place
from voxarium.model.array_specs import check_shapes, checked_fill, join_key
from voxarium.model.box import Box
from voxarium.model.codec import BytesBytesCodec, ChunkType, as_bytes_array, check_size, corrupt
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.keys import grid_index
from voxarium.model.protocols import ByteRange, IndexCache, ReadableStore, Span
from voxarium.model.references import Referable, not_referable
from voxarium.spec.n5 import (
    DATASET_KEYS,
    DTYPES,
    MAX_BLOCK_BYTES,
    VERSION,
    ArrayMetadata,
    BlockHeader,
    block_key,
    dump_array,
    dump_block_header,
    numcodecs_of,
    parse_block_header,
)

__all__ = ["N5Driver"]

_DEFAULT_CODEC: Final = "gzip:5"  # what every reader has
_MULTISETS: Final = "isLabelMultiset"
_ROOM: Final = 1024  # for headers of blocks and compressors


@dataclass(frozen=True, slots=True)
class _Details:
    """Parsed metadata, and what decoding a block needs, worked out once."""

    meta: ArrayMetadata
    packer: BytesBytesCodec | None
    stored: np.dtype[Any]
    multisets: bool
    key: object


def _info(meta: ArrayMetadata, where: str, *, new: bool = False) -> ArrayInfo:
    """Return what readers need to know; the compression is checked here."""
    stored = meta.dtype
    if stored is None:
        what = "strings" if meta.data_type == "string" else "objects"
        raise UnsupportedError(
            f"{where} holds {what}, which are no voxels",
            code=Code.DTYPE_UNSUPPORTED,
            fix="read strings with voxarium.formats.n5.read_strings; objects with the software that wrote them",
        )
    multisets = stored.itemsize == 1 and meta.attributes.get(_MULTISETS) is True
    dtype = np.dtype(np.uint64) if multisets else stored.newbyteorder("=")
    _check_decoded(meta, dtype, where)
    packer = build_packer_n5(meta.compression, ChunkType(meta.block_shape, stored, byteorder=">"), where)
    key: object = None if packer is None else packer.key
    if meta.compression.get("type") == "lz4" and not new:
        # Blocks may be those of z5py, which others cannot read: they are not to be copied as they are.
        key = "lz4, framing unknown"
    own = {"dimensions": list(meta.shape[::-1]), "dataType": meta.data_type}
    axes, transform, remarks = stated_place({**meta.attributes, **own}, len(meta.shape))
    first = "label_multiset" if multisets else "bytes" if dtype.itemsize == 1 else "bytes:big"
    return ArrayInfo(
        format=N5Driver.name,
        shape=meta.shape,
        dtype=dtype,
        chunk_shape=meta.block_shape,
        clipped=True,
        fill_value=dtype.type(0),
        codecs=(first, *([] if packer is None else [packer.text])),
        axes=axes,
        transform=transform,
        remarks=remarks,
        attributes=meta.attributes,
        details=_Details(meta, packer, stored, multisets, ("n5", multisets, key)),
    )


def _check_decoded(meta: ArrayMetadata, dtype: np.dtype[Any], where: str) -> None:
    """Raise unless a block of what is decoded is no larger than N5 allows; multisets are stored in fewer bytes."""
    nbytes = math.prod(meta.block_shape) * dtype.itemsize
    if nbytes > MAX_BLOCK_BYTES:
        raise FormatError(
            f"{where}: blocks of {meta.block_shape} labels take {nbytes} bytes each, the limit is {MAX_BLOCK_BYTES}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="correct the blockSize, or write the array again with smaller blocks",
        )


def _body(payload: Buffer, header: BlockHeader) -> memoryview:
    return memoryview(payload).cast("B")[header.length :]


def _shape(header: BlockHeader, whole: tuple[int, ...], cut: tuple[int, ...] | None) -> tuple[int, ...]:
    """Return how the elements of a block are arranged."""
    if header.shape is not None:
        candidates: tuple[tuple[int, ...] | None, ...] = (header.shape,)
    else:  # objects do not say; those of the whole block or of the part within the array can be arranged
        candidates = (whole, cut)
    for shape in candidates:
        if shape is not None and math.prod(shape) == header.elements:
            return shape
    expected = math.prod(whole if header.shape is None else header.shape)
    raise corrupt(
        f"{header.mode} block holds {header.elements} elements instead of {expected}: these are lists, not voxels"
    )


def _usable(out: NDArray[Any] | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    return (
        out is not None and out.shape == shape and out.dtype == dtype and out.flags.c_contiguous and out.flags.writeable
    )


class N5Driver:
    """Reads and writes N5 arrays."""

    name: ClassVar[str] = "n5"
    spec_url: ClassVar[str] = "https://github.com/saalfeldlab/n5#file-system-specification"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})

    # ------------------------------------------------------------------------------------------------- read
    def open(self, store: ReadableStore, path: str, /, **_options: Any) -> ArrayInfo:
        """Parse the ``attributes.json`` at `path`.

        Raises
        ------
        NotFoundError
            If there is no array; also for a group.
        FormatError
            If the document breaks the specification.
        UnsupportedError
            If it needs a compression or data type this package does not have, or holds strings or objects.
        """
        return _info(read_metadata(store, path), join_key(path, DOCUMENT))

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk, or None when it is absent."""
        index = tuple(a // c for a, c in zip(box.origin, info.chunk_shape, strict=True))
        payload = store.get(self.object_key(path, info, index))
        if payload is None:
            return None
        return self.decode(info, payload, shape=box.shape)[tuple(slice(0, n) for n in box.shape)]

    def locate(
        self,
        _store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        _cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return where chunks are stored: each is an object of its own."""
        return [Span(self.object_key(path, info, index)) for index in indices]

    def decode(
        self,
        info: ArrayInfo,
        payload: Buffer,
        /,
        *,
        shape: tuple[int, ...] | None = None,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any]:
        """Return one chunk; `shape` is that of its part within the array, and what is returned may be larger.

        It may be `out`, or a read-only view of `payload`. What a block leaves out is zeros.
        """
        details: _Details = info.details
        header = parse_block_header(payload, info.chunk_shape)
        needed = info.chunk_shape if shape is None else shape
        if details.multisets:
            array = _labels(details, _body(payload, header), header)
        else:
            found = _shape(header, info.chunk_shape, shape)
            scratch = out if _usable(out, found, info.dtype) else None
            array = _elements(details, _body(payload, header), found, scratch)
        found = array.shape
        if all(n >= m for n, m in zip(found, needed, strict=True)):
            return array
        padded = np.zeros(needed, info.dtype)
        part = tuple(slice(0, min(n, m)) for n, m in zip(found, needed, strict=True))
        padded[part] = array[part]
        return padded

    def check(self, info: ArrayInfo, payload: Buffer, /) -> None:
        """Raise FormatError for a payload that is cut off, as far as shows without decoding."""
        details: _Details = info.details
        header = parse_block_header(payload, info.chunk_shape)
        nbytes = header.elements * details.stored.itemsize
        body = _body(payload, header)
        if details.packer is None:
            check_size("block", body.nbytes, (nbytes, nbytes))
            return
        check = getattr(details.packer, "check", None)
        if check is not None:
            check(body, (nbytes, nbytes))

    def check_object(
        self, store: ReadableStore, path: str, info: ArrayInfo, key: str, index: tuple[int, ...], /
    ) -> Sequence[tuple[str, str]]:
        """Return what reading does not notice: a block that is smaller than its part of the array, the rest zeros."""
        stat = store.stat(key)
        room = 12 + 4 * info.ndim
        found = None if stat is None else store.get_ranges(key, [ByteRange(0, min(stat.size, room))])
        if not found:
            return ()
        header = parse_block_header(found[0], info.chunk_shape)
        part = ChunkGrid(info.shape, info.chunk_shape).clipped_box(index).shape
        if header.shape is None or all(n >= m for n, m in zip(header.shape, part, strict=True)):
            return ()
        message = f"holds {header.shape} elements, the array has {part} there"
        return ((message, "write the block again from its source: what it leaves out reads as zeros"),)

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others decode the blocks, without their headers."""
        details: _Details = info.details
        if details.multisets:
            raise not_referable("a label multiset", "other readers do not know its encoding")
        return Referable(
            chunk_shape=info.chunk_shape, dtype=details.stored, compressor=numcodecs_of(details.meta.compression)
        )

    def stored_chunks(
        self, store: ReadableStore, path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where whole blocks are, behind their headers; None for blocks that are cut."""
        for index in ChunkGrid(info.shape, info.chunk_shape).indices():
            key = self.object_key(path, info, index)
            stat = store.stat(key)
            if stat is None:
                continue
            room = min(stat.size, 12 + 4 * info.ndim)
            head = (store.get_ranges(key, [ByteRange(0, room)]) or [b""])[0]
            header = parse_block_header(head, info.chunk_shape)
            whole = header.mode == "default" and header.shape == info.chunk_shape
            yield index, Span(key, header.length, stat.size - header.length) if whole else None

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return what a decoder of chunks must know; the type of the elements is compared by callers."""
        details: _Details = info.details
        return details.key

    # ------------------------------------------------------------------------------------------------ write
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new array. Axes have no names in it: conventions put them into attributes.

        Raises
        ------
        InputError
            If shapes, attributes or codec cannot be used, the fill value is not 0, or shards are asked for.
        UnsupportedError
            If N5 does not have the type of the elements.
        """
        check_shapes(spec)
        dtype = np.dtype(spec.dtype).newbyteorder("=")
        _check_spec(spec, dtype)
        meta = ArrayMetadata(
            shape=tuple(spec.shape),
            block_shape=tuple(spec.chunk_shape),
            data_type=dtype.name,
            compression=parse_compression_n5(spec.codec or _DEFAULT_CODEC, dtype),
            attributes=dict(spec.attributes),
        )
        return _info(meta, "the new array", new=True)

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return the ``attributes.json`` by key; an array that is its own container also states the version."""
        meta: ArrayMetadata = info.details.meta
        if not path and meta.version is None:
            meta = replace(meta, version=VERSION)
        return {join_key(path, DOCUMENT): dump_array(meta)}

    def object_key(self, path: str, _info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a chunk."""
        return join_key(path, block_key(index))

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a chunk by its key; None for anything else."""
        start = len(path) + 1 if path else 0
        if start and not key.startswith(path + "/"):
            return None
        index = grid_index(key[start:], "/", len(info.shape))
        return None if index is None else index[::-1]

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> bytes:
        """Return the payload of one chunk; at the end of an axis, of its part within the array."""
        details: _Details = info.details
        flat = np.ascontiguousarray(chunk, details.stored).reshape(-1).view(np.uint8)
        body: Buffer = flat.data if details.packer is None else details.packer.encode(flat.data)
        return b"".join((dump_block_header(chunk.shape), body))


def _elements(details: _Details, body: memoryview, shape: tuple[int, ...], out: NDArray[Any] | None) -> NDArray[Any]:
    """Return the elements of a block in native byte order; in `out`, of their shape, when it is given."""
    stored = details.stored
    nbytes = math.prod(shape) * stored.itemsize
    flat = None if out is None else out.reshape(-1).view(np.uint8)
    data: Buffer = body
    if details.packer is None:
        check_size("block", body.nbytes, (nbytes, nbytes))
    else:
        data = details.packer.decode(body, (nbytes, nbytes), flat)
    owner: object = data.obj if isinstance(data, memoryview) else None
    if out is not None and flat is not None and owner is flat:
        return out if stored.isnative else out.byteswap(inplace=True)
    array: NDArray[Any] = as_bytes_array(data).view(stored).reshape(shape)
    if stored.isnative:
        return array
    if out is None:
        return array.astype(stored.newbyteorder("="))
    out[...] = array
    return out


def _labels(details: _Details, body: memoryview, header: BlockHeader) -> NDArray[np.uint64]:
    """Return the most frequent label of each voxel of a block of multisets."""
    if header.shape is None:
        raise corrupt("block of label multisets does not tell its shape")
    size = (header.elements, header.elements)
    data: Buffer = body
    if details.packer is None:
        check_size("block", body.nbytes, size)
    else:
        data = details.packer.decode(body, size, None)
    return decode_label_multisets(data, math.prod(header.shape)).reshape(header.shape)


# ------------------------------------------------------------------------------------------------ new arrays
def _check_spec(spec: ArraySpec, dtype: np.dtype[Any]) -> None:
    """Raise for what N5 cannot hold."""
    if dtype.name not in DTYPES:
        raise UnsupportedError(
            f"N5 has no arrays of {dtype.name}",
            code=Code.DTYPE_UNSUPPORTED,
            fix=f"convert to one of {', '.join(DTYPES)}, or write OME-Zarr",
        )
    if checked_fill(spec, dtype) != 0:
        raise InputError(
            f"voxels that were never written are 0 in N5, not {spec.fill_value!r}",
            code=Code.ARGUMENT_INVALID,
            fix="use the fill value 0, or write OME-Zarr",
        )
    if not spec.shape:
        raise InputError(
            "N5 has no arrays without axes",
            code=Code.AXES_MISMATCH,
            fix="give the array an axis of length 1",
        )
    if spec.shard_shape is not None:
        raise InputError(
            "N5 has no shards",
            code=Code.ARGUMENT_INVALID,
            fix="leave out the shard shape, or write Zarr v3 (OME-Zarr 0.5 or later)",
        )
    own = DATASET_KEYS | ({_MULTISETS} if spec.attributes.get(_MULTISETS) is True else set())
    taken = sorted(own & set(spec.attributes))
    if taken:
        raise InputError(
            f"the attribute {taken[0]!r} describes the array itself in N5",
            code=Code.ARGUMENT_INVALID,
            fix=f"leave it out; the same holds for {', '.join(sorted(DATASET_KEYS))}",
        )
    nbytes = math.prod(spec.chunk_shape) * dtype.itemsize
    if nbytes > MAX_BLOCK_BYTES - _ROOM:
        raise InputError(
            f"chunks of {nbytes} bytes are too large: the limit of N5 is {MAX_BLOCK_BYTES}",
            code=Code.ARGUMENT_INVALID,
            fix="use smaller chunks, such as 64 voxels along each axis",
        )
