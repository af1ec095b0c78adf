"""HDF5 in parts: chunks as objects, encoded as HDF5 stores them, on their way into one file.

Spec: `voxarium.spec.hdf5_parts`. Conversions write it; `voxarium.formats.hdf5_image` puts the file together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.choice import parse_codec
from voxarium.codecs.hdf5_filters import decode_filters, encode_filters
from voxarium.errors import Code, InputError
from voxarium.model.array_specs import check_shapes, checked_dtype, checked_fill, join_key
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.protocols import IndexCache, ReadableStore, Span
from voxarium.model.sources import declined
from voxarium.spec.hdf5_parts import ATTRIBUTES, CHUNKS, DatasetParts, dump_dataset, parse_dataset

__all__ = ["Hdf5PartsDriver"]

_NAME: Final = "hdf5-parts"
_USUAL: Final = "gzip:4"


class Hdf5PartsDriver:
    """Reads and writes datasets in parts."""

    listed: ClassVar[bool] = False  # only a step of the convention around it
    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    precedence: ClassVar[int] = 50

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse ``dataset.json``.

        Raises
        ------
        NotFoundError
            If there is none.
        FormatError
            If it is broken.
        """
        key = join_key(path, ATTRIBUTES)
        raw = None if "::" in path else store.get(key)
        if raw is None:
            raise declined(self.name, store, path)
        return _info(parse_dataset(raw, key))

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one chunk, or None when it was never written."""
        index = tuple(o // c for o, c in zip(box.origin, info.chunk_shape, strict=True))
        raw = store.get(self.object_key(path, info, index))
        return None if raw is None else self.decode(info, raw)[tuple(slice(n) for n in box.shape)]

    def locate(
        self,
        store: ReadableStore,
        path: str,
        info: ArrayInfo,
        indices: Sequence[tuple[int, ...]],
        cache: IndexCache,
        /,
    ) -> list[Span | None]:
        """Return the key of each chunk."""
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
        """Return one chunk."""
        parts = cast(DatasetParts, info.details)
        data = decode_filters(bytes(payload), parts.filters, 0, parts.chunk_bytes)
        return data.view(parts.dtype.newbyteorder("<")).astype(parts.dtype, copy=False).reshape(parts.chunk_shape)

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return a hashable description of the encoding."""
        return _NAME, cast(DatasetParts, info.details).filters

    # ------------------------------------------------------------------------------------------------ writing
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return a new dataset. Chunks longer than the dataset are cut: HDF5 takes none.

        Raises
        ------
        InputError
            If HDF5 cannot hold it, or the codec is no filter of HDF5 itself.
        UnsupportedError
            If the elements are no plain numbers.
        """
        dtype = checked_dtype(spec)
        check_shapes(spec)
        choice = parse_codec(spec.codec or _USUAL, dtype)
        if spec.shard_shape is not None or choice.name not in ("gzip", "none"):
            raise InputError(
                "HDF5 has no shards" if spec.shard_shape else f"HDF5 itself has no filter for {spec.codec!r}",
                code=Code.ARGUMENT_INVALID,
                fix="leave out the shard size" if spec.shard_shape else "use gzip:4, or none",
            )
        parts = DatasetParts(
            shape=tuple(spec.shape),
            chunk_shape=tuple(min(c, max(n, 1)) for c, n in zip(spec.chunk_shape, spec.shape, strict=True)),
            dtype=dtype,
            level=choice.level if choice.name == "gzip" and choice.level else None,
            fill_value=checked_fill(spec, dtype),
        )
        parts.check()
        return _info(parts)

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return ``dataset.json``."""
        return {join_key(path, ATTRIBUTES): dump_dataset(cast(DatasetParts, info.details))}

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a chunk by its grid index."""
        return join_key(path, "/".join((CHUNKS, *map(str, index))))

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> Buffer:
        """Return the bytes of a chunk as HDF5 stores them."""
        parts = cast(DatasetParts, info.details)
        stored = np.ascontiguousarray(chunk, parts.dtype.newbyteorder("<"))
        return encode_filters(stored.reshape(-1).view(np.uint8), parts.filters)


def _info(parts: DatasetParts) -> ArrayInfo:
    return ArrayInfo(
        format=_NAME,
        shape=parts.shape,
        dtype=parts.dtype,
        chunk_shape=parts.chunk_shape,
        fill_value=parts.fill_value,
        codecs=tuple({1: f"gzip:{parameter}", 2: "shuffle"}[number] for number, parameter in parts.filters),
        details=parts,
    )
