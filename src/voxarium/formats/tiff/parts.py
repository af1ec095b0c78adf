"""Levels of a TIFF file in parts: tiles as objects, with the bytes that the file will hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.choice import parse_codec
from voxarium.codecs.tiff import decode_tile, encode_tile
from voxarium.errors import Code, InputError
from voxarium.formats.tiff.packaging import put_together
from voxarium.model.array_specs import check_shapes, checked_dtype, checked_fill, join_key
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.model.protocols import IndexCache, ListableStore, ReadableStore, Span
from voxarium.model.sources import declined
from voxarium.spec.tiff_parts import CHUNKS, DTYPES, LEVEL, TileParts, dump_level, parse_level

__all__ = ["TiffPartsDriver"]

_NAME: Final = "ome-tiff-parts"
_USUAL: Final = "gzip:1"
_SMALL, _TILE = 128, 256  # chunks of volumes are shorter than tiles should be
_LARGEST: Final = 4096


class TiffPartsDriver:
    """Reads and writes levels in parts."""

    listed: ClassVar[bool] = False  # only a step of the convention around it
    name: ClassVar[str] = _NAME
    spec_url: ClassVar[str] = "https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write", "package"})
    precedence: ClassVar[int] = 50

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Parse ``level.json``.

        Raises
        ------
        NotFoundError
            If there is none.
        FormatError
            If it is broken.
        """
        key = join_key(path, LEVEL)
        raw = None if "::" in path else store.get(key)
        if raw is None:
            raise declined(self.name, store, path)
        return _info(parse_level(raw, key))

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any] | None:
        """Return the voxels of one tile, or None when it was never written."""
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
        """Return the key of each tile."""
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
        """Return one tile."""
        parts = cast(TileParts, info.details)
        return decode_tile(payload, parts.compression, parts.tile, parts.dtype).reshape(parts.chunk_shape)

    def encoding_key(self, info: ArrayInfo, /) -> object:
        """Return a hashable description of the encoding."""
        return _NAME, cast(TileParts, info.details).compression

    # ------------------------------------------------------------------------------------------------ writing
    def create(self, spec: ArraySpec, /) -> ArrayInfo:
        """Return a new level. A chunk is one tile of one plane: multiples of 16, and not shorter than 128.

        Raises
        ------
        InputError
            If TIFF cannot hold it, or the codec is none of TIFF's.
        UnsupportedError
            If the elements are no plain numbers.
        """
        dtype = checked_dtype(spec)
        check_shapes(spec)
        choice = parse_codec(spec.codec or _USUAL, dtype)
        if spec.shard_shape is not None or choice.name not in ("gzip", "zstd", "none"):
            raise InputError(
                "TIFF has no shards" if spec.shard_shape else f"TIFF has no compression {spec.codec!r}",
                code=Code.ARGUMENT_INVALID,
                fix="leave out the shard size" if spec.shard_shape else "use gzip:1, zstd:3, or none",
            )
        if not 2 <= len(spec.shape) <= 5 or dtype.name not in DTYPES:
            raise InputError(
                f"OME-TIFF holds no {dtype.name} images with {len(spec.shape)} axes",
                code=Code.AXES_MISMATCH,
                fix=f"write 2 to 5 axes of {', '.join(DTYPES)}",
            )
        tile = tuple(_tile(c, n) for c, n in zip(spec.chunk_shape[-2:], spec.shape[-2:], strict=True))
        fill = checked_fill(spec, dtype).item()
        return _info(
            TileParts(
                shape=tuple(spec.shape),
                tile=(tile[0], tile[1]),
                dtype=dtype,
                compression=choice.name,
                level=choice.level,
                fill_value=fill,
            )
        )

    def dump(self, path: str, info: ArrayInfo, /) -> dict[str, bytes]:
        """Return ``level.json``."""
        return {join_key(path, LEVEL): dump_level(cast(TileParts, info.details))}

    def object_key(self, path: str, info: ArrayInfo, index: tuple[int, ...], /) -> str:
        """Return the key of a tile by its grid index."""
        return join_key(path, "/".join((CHUNKS, *map(str, index))))

    def encode(self, info: ArrayInfo, chunk: NDArray[Any], /) -> Buffer:
        """Return the bytes of a tile."""
        parts = cast(TileParts, info.details)
        return encode_tile(chunk.reshape(parts.tile), parts.compression, parts.level)

    def package(self, parts: ListableStore, path: str, file: BinaryIO, /) -> None:
        """Put the parts at `path` together into a file. Tiles are copied as they are, level by level, plane by plane.

        Raises
        ------
        NotFoundError
            If there are no parts.
        FormatError
            If they are broken.
        """
        put_together(parts, path, file)


def _tile(wanted: int, length: int) -> int:
    wanted = _TILE if wanted < _SMALL else min(wanted, _LARGEST)
    return -(-min(wanted, max(length, 1)) // 16) * 16


def _info(parts: TileParts) -> ArrayInfo:
    level = "" if parts.compression == "none" else f":{parts.level}"
    return ArrayInfo(
        format=_NAME,
        shape=parts.shape,
        dtype=parts.dtype,
        chunk_shape=parts.chunk_shape,
        fill_value=np.asarray(parts.fill_value).astype(parts.dtype)[()],
        codecs=(f"{parts.compression}{level}",),
        details=parts,
    )
