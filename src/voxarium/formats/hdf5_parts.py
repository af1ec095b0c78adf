"""HDF5 in parts: chunks as objects, encoded as HDF5 stores them, on their way into one file.

Spec: `voxarium.spec.hdf5_parts`. Conversions write it, for every convention that lives in HDF5.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, BinaryIO, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.choice import parse_codec
from voxarium.codecs.hdf5_filters import decode_filters, encode_filters
from voxarium.errors import Code, FormatError, InputError
from voxarium.model.array_specs import check_shapes, checked_dtype, checked_fill, join_key
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.keys import checked_key
from voxarium.model.protocols import IndexCache, ListableStore, ReadableStore, Span
from voxarium.model.sources import declined, missing_extra, place
from voxarium.spec.hdf5_parts import (
    ATTRIBUTES,
    CHUNKS,
    FILE,
    DatasetParts,
    chunk_index,
    dump_dataset,
    parse_dataset,
    parse_file,
)

__all__ = ["Hdf5PartsDriver"]

_NAME: Final = "hdf5-parts"
_USUAL: Final = "gzip:4"
_LARGEST_ATTRIBUTE: Final = 60_000  # what an object header holds


class Hdf5PartsDriver:
    """Reads and writes datasets in parts."""

    listed: ClassVar[bool] = False  # only a step of the convention around it
    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://docs.hdfgroup.org/hdf5/latest/_f_m_t3.html"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "package"})
    precedence: ClassVar[int] = 50

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse ``hdf5-dataset.json``.

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
        """Return ``hdf5-dataset.json``."""
        return {join_key(path, ATTRIBUTES): dump_dataset(cast(DatasetParts, info.details))}

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a chunk by its grid index."""
        return join_key(path, "/".join((CHUNKS, *map(str, index))))

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> Buffer:
        """Return the bytes of a chunk as HDF5 stores them."""
        parts = cast(DatasetParts, info.details)
        stored = np.ascontiguousarray(chunk, parts.dtype.newbyteorder("<"))
        return encode_filters(stored.reshape(-1).view(np.uint8), parts.filters)

    def package(self, parts: ListableStore, path: str, file: BinaryIO, /) -> None:
        """Put the parts at `path` together into an HDF5 file. Chunks are copied as they are, in order.

        Raises
        ------
        NotFoundError
            If there are no parts.
        FormatError
            If they are broken.
        UnsupportedError
            If h5py is not installed.
        """
        try:
            import h5py
        except ImportError as error:
            raise missing_extra("hdf5", "HDF5 is to be written") from error
        raw = parts.get(join_key(path, FILE))
        if raw is None:
            raise declined(self.name, parts, path)
        about = parse_file(raw, place(parts, join_key(path, FILE)))
        with h5py.File(file, "w") as out:
            for name, value in about.attributes.items():
                _put(out, name, value)
            for name, (dtype, rows) in about.tables.items():
                out.create_dataset(checked_key(name), data=np.asarray(rows, dtype), track_times=False)
            for name, described in about.datasets.items():
                dataset = checked_key(about.names.get(name, name))
                _copy(parts, join_key(path, checked_key(name)), out, dataset, about.stored.get(name))
                for key, value in described.items():
                    out[dataset].attrs[key] = json.dumps(value) if isinstance(value, dict) else value
                for axis, label in enumerate(described.get("axes", ())):
                    out[dataset].dims[axis].label = label


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


def _put(file: Any, name: str, text: Any) -> None:  # Any: h5py is untyped
    """Store text as an attribute, or where it is too long for one as a dataset."""
    raw = text.encode() if isinstance(text, str) else text
    if isinstance(raw, bytes) and len(raw) > _LARGEST_ATTRIBUTE:
        file.create_dataset(name, data=raw, dtype=f"S{len(raw)}")
    else:
        file.attrs[name] = text


def _copy(parts: ListableStore, path: str, file: Any, name: str, stored: str | None) -> None:  # Any: h5py is untyped
    key = join_key(path, ATTRIBUTES)
    raw = parts.get(key)
    if raw is None:
        raise declined(_NAME, parts, path)
    about = parse_dataset(raw, place(parts, key))
    options: dict[str, Any] = {} if 0 in about.shape else {"chunks": about.chunk_shape}
    if about.level is not None and options:
        options |= {"compression": "gzip", "compression_opts": about.level, "shuffle": about.dtype.itemsize > 1}
    little = np.dtype(stored or about.dtype).newbyteorder("<")
    fill = np.asarray(about.fill_value, about.dtype).view(little.newbyteorder("=")).item()
    dataset = file.create_dataset(name, about.shape, little, fillvalue=fill, track_times=False, **options)
    chunks = {}
    for found, _ in parts.list(join_key(path, CHUNKS)):
        index = chunk_index(found.removeprefix(f"{path}/"), about)
        if index is not None:
            chunks[index] = found
    for index, found in sorted(chunks.items()):
        payload = parts.get(found)
        if payload is None:
            raise FormatError(
                f"{place(parts, found)} disappeared while the file was put together",
                code=Code.CHUNK_TRUNCATED,
                fix="run the conversion again with --resume",
            )
        dataset.id.write_direct_chunk(tuple(i * c for i, c in zip(index, about.chunk_shape, strict=True)), payload)
