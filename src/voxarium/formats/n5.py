"""N5 arrays. https://github.com/saalfeldlab/n5

Dialects read: versions 1 to 4 of the specification, with and without a version at the root; blocks at the end of an
axis cut to the array (Java, z5py) or padded (zarr 2, TensorStore), and blocks that are smaller than they could be;
default, varlength and object blocks; unknown settings of compressions (zarr 2, z5py); lz4 without framing (z5py).
Blocks that do not exist are zeros.

Blocks of strings are read by `read_strings`. What attributes say about axes and coordinates differs between
conventions: image drivers read that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs import build_packer_n5, parse_compression_n5
from voxarium.errors import Code, FormatError, InputError, NotFoundError, UnsupportedError
from voxarium.model.array_specs import check_shapes, checked_fill, join_key
from voxarium.model.box import Box
from voxarium.model.codec import BytesBytesCodec, ChunkType, as_bytes_array, check_size, corrupt
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.protocols import IndexCache, ReadableStore, Span
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
    is_array,
    parse_array,
    parse_attributes,
    parse_block_header,
    parse_strings,
    parse_version,
)

__all__ = ["N5Driver", "read_strings"]

_DOCUMENT: Final = "attributes.json"
_DEFAULT_CODEC: Final = "gzip:5"  # what every reader has
_MAJOR: Final = 4
_MOST_STRINGS: Final = 1 << 24
_MOST_TEXT: Final = 1 << 28  # bytes of one block of strings


@dataclass(frozen=True, slots=True)
class _Details:
    """Parsed metadata, and what decoding a block needs, worked out once."""

    meta: ArrayMetadata
    packer: BytesBytesCodec | None
    stored: np.dtype[Any]
    key: object


def _read_metadata(store: ReadableStore, path: str) -> ArrayMetadata:
    """Return the metadata of the array at a path."""
    key = join_key(path, _DOCUMENT)
    raw = store.get(key)
    attributes = parse_attributes(raw, key)
    if raw is None or not is_array(attributes):
        raise NotFoundError(
            f"there is no {key} in {store.uri}" if raw is None else f"{key} in {store.uri} describes no array",
            code=Code.METADATA_MISSING,
            fix="check the path; `voxarium info` on a folder above lists the arrays in it",
        )
    meta = parse_array(attributes, key)
    if parse_version(meta.version)[0] > _MAJOR:
        raise UnsupportedError(
            f"{key} is of version {meta.version} of N5, later than {_MAJOR}",
            code=Code.FEATURE_UNSUPPORTED,
            fix="use a newer version of this package, or convert it with the software that wrote it",
        )
    return meta


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
    dtype = stored.newbyteorder("=")
    packer = build_packer_n5(meta.compression, ChunkType(meta.block_shape, dtype, byteorder=">"), where)
    key: object = None if packer is None else packer.key
    if meta.compression.get("type") == "lz4" and not new:
        # Blocks may be those of z5py, which others cannot read: they are not to be copied as they are.
        key = "lz4, framing unknown"
    return ArrayInfo(
        format=N5Driver.name,
        shape=meta.shape,
        dtype=dtype,
        chunk_shape=meta.block_shape,
        fill_value=dtype.type(0),
        codecs=("bytes" if dtype.itemsize == 1 else "bytes:big", *([] if packer is None else [packer.text])),
        attributes=meta.attributes,
        details=_Details(meta, packer, stored, ("n5", key)),
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
        return _info(_read_metadata(store, path), join_key(path, _DOCUMENT))

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
        """Return one chunk, at least as large as its part within the array (`shape`; None: a whole chunk).

        It may be `out`, or a read-only view of `payload`. What a block leaves out is zeros.
        """
        details: _Details = info.details
        header = parse_block_header(payload, info.chunk_shape)
        found = _shape(header, info.chunk_shape, shape)
        needed = info.chunk_shape if shape is None else shape
        scratch = out if _usable(out, found, info.dtype) else None
        array = _elements(details, _body(payload, header), found, scratch)
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
        nbytes = header.elements * info.dtype.itemsize
        body = _body(payload, header)
        if details.packer is None:
            check_size("block", body.nbytes, (nbytes, nbytes))
            return
        check = getattr(details.packer, "check", None)
        if check is not None:
            check(body, (nbytes, nbytes))

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
            meta = ArrayMetadata(
                shape=meta.shape,
                block_shape=meta.block_shape,
                data_type=meta.data_type,
                compression=meta.compression,
                version=VERSION,
                attributes=meta.attributes,
            )
        return {join_key(path, _DOCUMENT): dump_array(meta)}

    def object_key(self, path: str, _info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a chunk."""
        return join_key(path, block_key(index))

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
    taken = sorted(DATASET_KEYS & set(spec.attributes))
    if taken:
        raise InputError(
            f"the attribute {taken[0]!r} describes the array itself in N5",
            code=Code.ARGUMENT_INVALID,
            fix=f"give the attribute another name; taken are {', '.join(sorted(DATASET_KEYS))}",
        )
    nbytes = math.prod(spec.chunk_shape) * dtype.itemsize
    if nbytes >= MAX_BLOCK_BYTES:
        raise InputError(
            f"chunks of {nbytes} bytes are too large: the limit of N5 is {MAX_BLOCK_BYTES}",
            code=Code.ARGUMENT_INVALID,
            fix="use smaller chunks, such as 64 voxels along each axis",
        )


# --------------------------------------------------------------------------------------------------- strings
def read_strings(store: ReadableStore, path: str, /) -> NDArray[Any]:
    """Read an array of strings, whole.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        The array.

    Returns
    -------
    ndarray of str objects
        In C order; blocks that do not exist hold empty strings.

    Raises
    ------
    NotFoundError
        If there is no array.
    FormatError
        If the document or a block breaks the specification, or the array has more elements than fit into memory.
    UnsupportedError
        If the array holds something else, or its compression is not known.
    """
    meta = _read_metadata(store, path)
    key = join_key(path, _DOCUMENT)
    if meta.data_type != "string":
        raise UnsupportedError(
            f"{key} holds {meta.data_type}, not strings",
            code=Code.DTYPE_UNSUPPORTED,
            fix="open it with voxarium.open",
        )
    if math.prod(meta.shape) > _MOST_STRINGS:
        raise FormatError(
            f"{key} claims {math.prod(meta.shape)} strings, more than {_MOST_STRINGS}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="read such an array with the software that wrote it",
        )
    packer = build_packer_n5(meta.compression, ChunkType(meta.block_shape, np.dtype("u1")), key)
    out = np.full(meta.shape, "", object)
    grid = ChunkGrid(meta.shape, meta.block_shape)
    for index in grid.indices(Box.whole(meta.shape)):
        payload = store.get(join_key(path, block_key(index)))
        if payload is not None:
            box = grid.clipped_box(index)
            block = _strings(payload, meta.block_shape, packer)
            part = tuple(slice(0, min(n, m)) for n, m in zip(block.shape, box.shape, strict=True))
            out[box.slices][part] = block[part]
    return out


def _strings(payload: Buffer, block_shape: tuple[int, ...], packer: BytesBytesCodec | None) -> NDArray[Any]:
    header = parse_block_header(payload, block_shape)
    shape = block_shape if header.shape is None else header.shape
    body = _body(payload, header)
    count = math.prod(shape)
    # The header of a default block counts strings, that of the others bytes.
    size = (0, _MOST_TEXT) if header.mode == "default" else (header.elements, header.elements)
    if count > _MOST_STRINGS or size[1] > _MOST_TEXT:
        raise corrupt(f"block claims {count} strings in up to {size[1]} bytes")
    data: Buffer = body if packer is None else packer.decode(body, size, None)
    check_size("block", memoryview(data).nbytes, size)
    out = np.empty(count, object)
    out[:] = parse_strings(data, count)
    return out.reshape(shape)
