"""Tiles as they are written: horizontal differences for integers, then deflate or Zstandard. TIFF 6.0, §14; TTN2."""

from __future__ import annotations

import zlib
from typing import Any

import numcodecs.zstd as _zstd
import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError

__all__ = ["decode_tile", "encode_tile"]


def encode_tile(tile: NDArray[Any], compression: str, level: int) -> bytes:
    """Return the bytes of a tile, little-endian.

    Parameters
    ----------
    tile : ndarray, shape (height, width)
        Its voxels.
    compression : str
        ``gzip`` (deflate in a zlib stream), ``zstd`` or ``none``.
    level : int
        Of compression.
    """
    stored = np.ascontiguousarray(tile, tile.dtype.newbyteorder("<"))
    if compression == "none":
        return stored.tobytes()
    if stored.dtype.kind in "iu":
        bits = stored.view(f"<u{stored.dtype.itemsize}")
        stored = bits.copy()
        stored[:, 1:] -= bits[:, :-1]
    raw = stored.reshape(-1).view(np.uint8).data
    return zlib.compress(raw, level) if compression == "gzip" else bytes(_zstd.compress(raw, level, False))


def decode_tile(payload: Buffer, compression: str, shape: tuple[int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the voxels of a tile.

    Raises
    ------
    FormatError
        If it is damaged.
    """
    nbytes = shape[0] * shape[1] * dtype.itemsize
    out = np.empty(nbytes, np.uint8)
    try:
        if compression == "zstd":
            _zstd.decompress(payload, out)
        else:
            raw = payload if compression == "none" else _inflated(payload, nbytes)
            out[:] = np.frombuffer(memoryview(raw), np.uint8)
    except (ValueError, RuntimeError, zlib.error) as error:
        raise FormatError(
            f"a tile is damaged: {error}", code=Code.CHUNK_CORRUPT, fix="begin the conversion anew"
        ) from error
    if compression != "none" and dtype.kind in "iu":
        bits = out.view(f"<u{dtype.itemsize}").reshape(shape)
        np.cumsum(bits, axis=1, dtype=bits.dtype, out=bits)
    return out.view(dtype.newbyteorder("<")).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _inflated(payload: Buffer, nbytes: int) -> bytes:
    inflater = zlib.decompressobj()
    raw = inflater.decompress(bytes(payload), nbytes + 1)
    if not inflater.eof and len(raw) >= nbytes:
        raw += inflater.decompress(inflater.unconsumed_tail, 1)
    return raw
