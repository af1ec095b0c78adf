"""Zarr v2 arrays. https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html

Dialects read: chunk keys separated by ``.`` or ``/``, C and Fortran order, either byte order, numcodecs
filters and compressors (never those that run code or make objects), ``_ARRAY_DIMENSIONS`` of xarray.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs import Chain, build_chain_v2, parse_codec
from voxarium.codecs.batch.chained import ChainedChunks
from voxarium.errors import Code, InputError, NotFoundError, UnsupportedError
from voxarium.model.array_specs import check_shapes, checked_dtype, checked_fill, join_key, named_axes
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.codec import ChunkType
from voxarium.model.grid import ChunkGrid
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.keys import grid_index
from voxarium.model.native import Located, Span, whole_objects
from voxarium.model.protocols import IndexCache, ReadableStore
from voxarium.model.references import Referable, not_referable
from voxarium.spec.zarr2 import (
    ArrayMetadata,
    chunk_key,
    dump_array,
    dump_attributes,
    parse_array,
    parse_attributes,
)

__all__ = ["Zarr2Driver"]

_DOCUMENT: Final = ".zarray"
_ATTRIBUTES: Final = ".zattrs"
_DIMENSIONS: Final = "_ARRAY_DIMENSIONS"


@dataclass(frozen=True, slots=True)
class _Details:
    """Parsed metadata, and what decoding a chunk needs, worked out once."""

    meta: ArrayMetadata
    chain: Chain


def _info(meta: ArrayMetadata, where: str) -> ArrayInfo:
    """Return what readers need to know; the codecs are checked here."""
    if meta.dtype is None:
        raise UnsupportedError(
            f"{where} has the data type {str(meta.dtype_json)[:80]}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert it to a numeric type with the software that wrote it",
        )
    dtype = meta.dtype.newbyteorder("=")
    steps = list(meta.filters) + ([meta.compressor] if meta.compressor is not None else [])
    chunks = ChunkType(meta.chunk_shape, dtype, meta.fill_value)
    chain = build_chain_v2(steps, meta.order, meta.dtype, chunks, where)
    return ArrayInfo(
        format=Zarr2Driver.name,
        shape=meta.shape,
        dtype=dtype,
        chunk_shape=meta.chunk_shape,
        fill_value=meta.fill_value,
        codecs=chain.texts,
        axes=_axes(meta),
        attributes=meta.attributes,
        details=_Details(meta, chain),
    )


def _axes(meta: ArrayMetadata) -> tuple[Axis, ...] | None:
    """Return axes named as xarray does."""
    names = meta.attributes.get(_DIMENSIONS)
    if not isinstance(names, list) or len(names) != len(meta.shape) or not all(isinstance(n, str) for n in names):
        return None
    return named_axes(names)


class Zarr2Driver(ChainedChunks):
    """Reads and writes Zarr v2 arrays."""

    name: ClassVar[str] = "zarr2"
    precedence: ClassVar[int] = -15  # most levels are theirs, and each question to others is a request
    spec_url: ClassVar[str] = "https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})

    # ------------------------------------------------------------------------------------------------- read
    def open(self, store: ReadableStore, path: str, /, **_options: Any) -> ArrayInfo:
        """Parse the ``.zarray`` and ``.zattrs`` at `path`.

        Raises
        ------
        NotFoundError
            If there is no array.
        FormatError
            If a document breaks the specification.
        UnsupportedError
            If it needs a codec or data type this package does not have.
        """
        key = join_key(path, _DOCUMENT)
        raw = store.get(key)
        if raw is None:
            raise NotFoundError(
                f"there is no {key} in {store.uri}",
                code=Code.METADATA_MISSING,
                fix="check the path; `voxarium info` on a folder above lists the arrays in it",
            )
        beside = join_key(path, _ATTRIBUTES)
        return _info(parse_array(raw, parse_attributes(store.get(beside), beside), key), path or store.uri)

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk, or None when it is absent."""
        index = tuple(a // c for a, c in zip(box.origin, info.chunk_shape, strict=True))
        payload = store.get(self.object_key(path, info, index))
        return None if payload is None else self.decode(info, payload)[tuple(slice(0, n) for n in box.shape)]

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
        separator = info.details.meta.dimension_separator
        return [Span(join_key(path, chunk_key(index, separator))) for index in indices]

    def locate_many(
        self, _store: ReadableStore, path: str, info: ArrayInfo, indices: NDArray[np.int64], _cache: IndexCache, /
    ) -> Located:
        """Return where chunks are stored: each is an object of its own."""
        separator = info.details.meta.dimension_separator
        return whole_objects([join_key(path, chunk_key(tuple(i), separator)) for i in indices.tolist()])

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others decode the chunks: as the ``.zarray`` says."""
        meta: ArrayMetadata = info.details.meta
        if meta.dtype is None:
            raise not_referable("an array of strings or structures", "its elements are no numbers")
        return Referable(
            chunk_shape=meta.chunk_shape,
            dtype=meta.dtype,
            order=meta.order,
            filters=meta.filters,
            compressor=meta.compressor,
        )

    def stored_chunks(
        self, store: ReadableStore, path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where chunks are; those that do not exist are left out."""
        for index in ChunkGrid(info.shape, info.chunk_shape).indices():
            key = self.object_key(path, info, index)
            if store.stat(key) is not None:
                yield index, Span(key)

    # ------------------------------------------------------------------------------------------------ write
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return the metadata of a new array: C order, little-endian, keys separated by ``/``.

        Raises
        ------
        InputError
            If shapes, fill value or codec cannot be used, or shards are asked for.
        """
        dtype = checked_dtype(spec)
        check_shapes(spec)
        if spec.shard_shape is not None:
            raise InputError(
                "Zarr v2 has no shards",
                code=Code.ARGUMENT_INVALID,
                fix="leave out the shard shape, or write Zarr v3 (OME-Zarr 0.5 or later)",
            )
        choice = parse_codec(spec.codec, dtype)
        choice.check_chunk(math.prod(spec.chunk_shape) * dtype.itemsize)
        attributes = dict(spec.attributes)
        if spec.dimension_names is not None:
            attributes[_DIMENSIONS] = list(spec.dimension_names)
        stored = dtype.newbyteorder("<")
        meta = ArrayMetadata(
            shape=tuple(spec.shape),
            chunk_shape=tuple(spec.chunk_shape),
            dtype_json=stored.str,
            dtype=stored,
            compressor=choice.to_numcodecs(),
            fill_value=checked_fill(spec, dtype),
            dimension_separator="/",
            attributes=attributes,
        )
        return _info(meta, "the new array")

    def describe(self, referable: Referable, info: ArrayInfo, /) -> ArrayInfo:
        """Return the metadata of an array like `info` whose chunks something else has stored."""
        return _info(
            ArrayMetadata(
                shape=info.shape,
                chunk_shape=referable.chunk_shape,
                dtype_json=referable.dtype.str,
                dtype=referable.dtype,
                compressor=referable.compressor,
                filters=referable.filters,
                order=referable.order,
                fill_value=info.dtype.type(info.fill_value),
                dimension_separator=".",
            ),
            "the presented array",
        )

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return the ``.zattrs``, if there are attributes, and the ``.zarray``, by key."""
        meta: ArrayMetadata = info.details.meta
        documents = {}
        if meta.attributes:
            documents[join_key(path, _ATTRIBUTES)] = dump_attributes(meta.attributes)
        documents[join_key(path, _DOCUMENT)] = dump_array(meta)
        return documents

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a chunk."""
        return join_key(path, chunk_key(index, info.details.meta.dimension_separator))

    def object_index(self, path: str, info: ArrayInfo, key: str, /) -> tuple[int, ...] | None:
        """Return the grid index of a chunk by its key; None for anything else."""
        start = len(path) + 1 if path else 0
        if start and not key.startswith(path + "/"):
            return None
        if not info.shape:
            return () if key[start:] == "0" else None
        return grid_index(key[start:], info.details.meta.dimension_separator, len(info.shape))

    def object_size(self, info: ArrayInfo, _index: tuple[int, ...], /) -> int | None:
        """Return the exact bytes of a chunk where no codec makes them differ."""
        chain: Chain = info.details.chain
        return chain.exact_size
