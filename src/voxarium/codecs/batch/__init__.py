"""Many zstd, LZ4 or deflate chunks in one call that does not hold the interpreter lock.

A 32³ chunk decodes in 30 µs. At that size threads that take the lock between chunks mostly wait for each other, so
the loop over chunks, the placing of their rows and the codec calls are compiled together. The codec is the zstd that
numcodecs brings; where its functions cannot be reached, callers go chunk by chunk (`available` is False).
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs.batch.inflating import check_sum_of, inflater_of, new_inflater, state_bytes, worth_abreast
from voxarium.model.codec import BytesBytesCodec
from voxarium.model.memory_pool import MemoryPool

__all__ = ["available", "decode_chunks", "decode_many", "encode_chunks", "encode_many", "most_axes"]

most_axes: Final = 6
_PATIENCE: Final = 64
_FUNCTIONS: Final = tuple(
    f"ZSTD_{name}"
    for name in (
        "decompressDCtx", "compressCCtx", "createDCtx", "createCCtx", "compressBound",
        "decompressBegin", "nextSrcSizeToDecompress", "decompressContinue", "getFrameContentSize",
    )
)  # fmt: skip
_MOST_LZ4: Final = 0x7E000000  # bytes of a block, which is a chunk
_packed = MemoryPool(64 << 20)
_rooms = MemoryPool(16 << 20)
_decoded = [0]
_contexts: dict[str, list[int]] = {"compress": [], "decompress": [], "inflate": []}


@cache
def symbols() -> dict[str, int] | None:
    """Return the addresses of the zstd functions inside numcodecs, or None."""
    import numcodecs.zstd

    try:
        library = ctypes.CDLL(numcodecs.zstd.__file__)
        found = {n: ctypes.cast(getattr(library, n), ctypes.c_void_p).value for n in _FUNCTIONS}
    except (OSError, AttributeError):
        return None
    return {n: a for n, a in found.items() if a} if all(found.values()) else None


@cache
def lz4_decoder() -> int | None:
    """Return the address of the decoder of LZ4 blocks inside numcodecs, or None."""
    import numcodecs.lz4

    try:
        return ctypes.cast(ctypes.CDLL(numcodecs.lz4.__file__).LZ4_decompress_safe, ctypes.c_void_p).value
    except (OSError, AttributeError):
        return None


def available() -> bool:
    """Tell whether chunks can be coded in batches here."""
    return symbols() is not None


def _worth_loading(chunks: int) -> bool:
    """Tell whether compiled loops are loaded, or so much was decoded that the half second to load them pays off."""
    if "voxarium.codecs.batch.kernels" in sys.modules:
        return True
    _decoded[0] += chunks  # a lost count between threads does not matter
    return _decoded[0] > _PATIENCE


def codec_context(kind: str) -> int:
    """Take a codec context; contexts are kept for ever and given back after use, so there are as many as threads."""
    try:
        return _contexts[kind].pop()
    except IndexError:
        if kind == "inflate":
            return new_inflater()
        found = symbols() or {}
        create = ctypes.CFUNCTYPE(ctypes.c_void_p)(
            found["ZSTD_createDCtx" if kind == "decompress" else "ZSTD_createCCtx"]
        )
        return int(create() or 0)


@cache
def loops() -> Any:  # Any: compiled functions have no static type
    """Return the compiled functions; loading them takes half a second."""
    from voxarium.codecs.batch import kernels

    return kernels


def _padded(values: NDArray[np.int64], fill: int) -> NDArray[np.int64]:
    """Put axes of length 1 in front, so that the kernels have a fixed number."""
    ndim = values.shape[-1]
    padded = np.empty((*values.shape[:-1], most_axes), np.int64)
    padded[..., : most_axes - ndim] = fill
    padded[..., most_axes - ndim :] = values
    return padded


def _addresses(buffers: Sequence[Buffer]) -> tuple[list[Any], NDArray[np.int64], NDArray[np.int64]]:
    """Return (what keeps the memory alive, addresses, lengths)."""
    views = [np.frombuffer(b, np.uint8) for b in buffers]  # type: ignore[call-overload]  # NumPy's stub knows no Buffer
    starts = [v.__array_interface__["data"][0] for v in views]
    return views, np.array(starts, np.int64), np.array([v.size for v in views], np.int64)


@lru_cache(maxsize=256)
def chunk_strides(shape: tuple[int, ...], itemsize: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the strides of a C-contiguous chunk in bytes, plain and padded."""
    strides = np.empty(len(shape), np.int64)
    step = itemsize
    for i in range(len(shape) - 1, -1, -1):
        strides[i] = step
        step *= shape[i]
    return strides, _padded(strides, 0)


def decode_many(
    codec: BytesBytesCodec | None,
    payloads: Sequence[Buffer],
    places: NDArray[np.int64],
    scratch: NDArray[Any],
    out: NDArray[Any],
    *,
    plain: bool,
) -> int | None:
    """Decode chunks whose only codec is `codec`, or return None when that is not possible here; see `decode_chunks`.

    `plain` says that there is no codec at all.
    """
    if scratch.nbytes > _MOST_LZ4 or not able_to_decode(codec, out, len(payloads), plain=plain):
        return None
    lz4 = lz4_decoder() if codec is not None and codec.key == "lz4.raw" else None
    deflated = codec.key if codec is not None and inflater_of(codec.key) else None
    return decode_chunks(payloads, places, scratch, out, plain=plain, lz4=lz4, deflated=deflated)


def able_to_decode(codec: BytesBytesCodec | None, out: NDArray[Any], chunks: int, *, plain: bool) -> bool:
    """Tell whether chunks of this codec can be decoded into `out` by compiled code."""
    key = None if codec is None else codec.key
    known = plain or key == "zstd" or (key == "lz4.raw" and lz4_decoder() is not None) or inflater_of(key) != 0
    if not known or not 0 < out.ndim <= most_axes:
        return False
    if not available() or out.strides[-1] != out.itemsize or not out.flags.writeable:
        return False
    return _worth_loading(chunks)


def encode_many(
    codec: BytesBytesCodec | None,
    data: NDArray[Any],
    places: NDArray[np.int64],
    scratch: NDArray[Any],
    fill: Any,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]] | None:
    """Encode chunks whose only codec is `codec`, or return None when that is not possible here; see `encode_chunks`."""
    if codec is None or codec.key != "zstd" or getattr(codec, "checksum", True) or not available():
        return None
    if not 0 < data.ndim <= most_axes or data.strides[-1] != data.itemsize or data.itemsize > 8:
        return None
    return encode_chunks(data, places, scratch, np.asarray(fill, data.dtype), int(getattr(codec, "level", 0)))


def decode_chunks(
    payloads: Sequence[Buffer],
    places: NDArray[np.int64],
    scratch: NDArray[Any],
    out: NDArray[Any],
    *,
    plain: bool = False,
    lz4: int | None = None,
    deflated: object = None,
) -> int:
    """Decode zstd payloads (or plain ones) and put the wanted part of each chunk in its place.

    With the address of a decoder (`lz4`), payloads are LZ4 blocks; with the key of a codec that `inflater_of` knows
    (`deflated`), gzip or zlib streams.

    Parameters
    ----------
    payloads : sequence of bytes-like
        One per chunk; zstd frames of exactly the chunk's bytes, native byte order.
    places : ndarray of int64, shape (chunks, 3, axes)
        First voxel within the chunk, first voxel within `out`, and number of voxels.
    scratch : ndarray
        Shape and dtype of a chunk, C-contiguous; overwritten.
    out : ndarray
        Where to put the voxels; its last axis is contiguous.

    Returns
    -------
    int
        Number of chunks decoded. Less than all: the chunk of that number is damaged, and nothing behind it was done.
    """
    found = symbols() or {}
    views, sources, lengths = _addresses(payloads)
    strides, padded = chunk_strides(scratch.shape, out.itemsize)
    out_strides = np.array(out.strides, np.int64)
    where = (
        sources,
        lengths,
        places[:, 0] @ strides,
        places[:, 1] @ out_strides,
        _padded(places[:, 2], 1),
        padded,
        _padded(out_strides, 0),
        (out.ctypes.data, scratch.ctypes.data, scratch.nbytes, out.itemsize),
    )
    done: int
    if lz4 is not None:
        done = loops().decode_blocks(lz4, *where)
        del views
        return done
    if deflated is not None:
        done = _inflate_chunks(deflated, where)
        del views
        return done
    context = codec_context("decompress")
    try:
        done = loops().decode(0 if plain else found["ZSTD_decompressDCtx"], context, *where)
    finally:
        _contexts["decompress"].append(context)
        del views
    return done


def _inflate_chunks(key: object, where: tuple[Any, ...]) -> int:
    """Decode gzip or zlib streams; `where` is what the loops of `decode_chunks` are given."""
    *chunks, (out, _, nbytes, itemsize) = where
    several = worth_abreast(key, nbytes, len(chunks[0]))
    ends = np.empty(2, np.int64)
    context = codec_context("inflate")
    try:
        if not several:
            return int(loops().inflate(inflater_of(key), context, ends, *where))
        from voxarium.codecs.batch.abreast import STREAMS, inflate_abreast

        state = state_bytes()
        room = _rooms.empty((state + STREAMS * nbytes,), np.dtype(np.uint8))
        address = room.ctypes.data
        functions = (inflater_of(key), context, ends.ctypes.data, *check_sum_of(key))
        return int(inflate_abreast(functions, address, *chunks, (out, address + state, nbytes, itemsize)))
    finally:
        _contexts["inflate"].append(context)


@lru_cache(maxsize=256)
def _bound(nbytes: int) -> int:
    """Return how many bytes a chunk takes at most when it is compressed."""
    address = (symbols() or {})["ZSTD_compressBound"]
    return int(ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.c_size_t)(address)(nbytes))


def encode_chunks(
    data: NDArray[Any],
    places: NDArray[np.int64],
    scratch: NDArray[Any],
    fill: NDArray[Any],
    level: int,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Cut chunks out of a region and compress them one behind the other.

    Parameters
    ----------
    data : ndarray
        The region; its last axis is contiguous.
    places : ndarray of int64, shape (chunks, 2, axes)
        First voxel within `data` and number of voxels; less than a chunk where the array ends.
    scratch : ndarray
        Shape and dtype of a chunk, C-contiguous; overwritten.
    fill : ndarray, no axes
        Fill value: pads chunks at the array's end, and a chunk of nothing else is left out.
    level : int
        zstd level.

    Returns
    -------
    packed : ndarray of uint8
        All payloads, in the order of `places`; its memory is used again when no view of it is left.
    sizes : ndarray of int64
        Bytes of each payload; 0 for a chunk that holds only the fill value.
    """
    found = symbols() or {}
    bound = _bound(scratch.nbytes)
    packed = _packed.empty((bound * len(places),), np.dtype(np.uint8))
    sizes = np.empty(len(places), np.int64)
    word = int.from_bytes(fill.tobytes() * (8 // fill.itemsize), "little", signed=True)
    context = codec_context("compress")
    try:
        used = loops().encode(
            found["ZSTD_compressCCtx"],
            context,
            level,
            places[:, 0] @ np.array(data.strides, np.int64),
            _padded(places[:, 1], 1),
            _padded(np.array(data.strides, np.int64), 0),
            chunk_strides(scratch.shape, data.itemsize)[1],
            (data.ctypes.data, scratch.ctypes.data, scratch.nbytes, data.itemsize),
            (packed.ctypes.data, bound, word),
            sizes,
        )
    finally:
        _contexts["compress"].append(context)
    if used < 0:
        raise MemoryError("zstd could not set up its tables")
    return packed[:used], sizes
