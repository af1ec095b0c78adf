"""Threads that fetch and decode chunks without ever holding the interpreter lock.

A cutout of small chunks takes half a millisecond. Waking a thread that first has to get the interpreter lock costs a
good part of that, so helping threads wait inside compiled code, on a semaphore, and find their work in memory. This
module makes no threads: whoever has some calls `Crew.serve` in each.
"""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.batch import chunk_strides, codec_context, lz4_decoder, most_axes, symbols
from voxarium.codecs.batch.inflating import check_sum_of, inflater_of, state_bytes, worth_abreast
from voxarium.model.box import Box
from voxarium.model.codec import BytesBytesCodec
from voxarium.model.native import NativeCrew, NativeReads

__all__ = ["Crew", "announcing", "crews_possible", "decode_fetched"]

_WORDS: Final = 85  # see `crew_kernels`: semaphores, counters, functions, addresses, shapes
_COUNTERS: Final = slice(16, 18)
_JOB: Final = 18
_PAD: Final = (0,) * most_axes


@cache
def _semaphores() -> tuple[int, int, int] | None:
    """Return the addresses of sem_wait, sem_post and sem_trywait, where semaphores in plain memory exist."""
    try:
        library = ctypes.CDLL(None)
        probe = ctypes.create_string_buffer(64)
        if library.sem_init(probe, 0, 0) != 0:
            return None
        library.sem_destroy(probe)
        names = ("sem_wait", "sem_post", "sem_trywait")
        wait, post, attempt = (ctypes.cast(getattr(library, n), ctypes.c_void_p).value or 0 for n in names)
    except (OSError, AttributeError, TypeError):
        return None
    return (wait, post, attempt) if wait and post and attempt else None


@cache
def _advise() -> int:
    """Return the address of posix_fadvise, or 0."""
    try:
        return ctypes.cast(ctypes.CDLL(None).posix_fadvise, ctypes.c_void_p).value or 0
    except (OSError, AttributeError, TypeError):
        return 0


def announcing() -> bool:
    """Tell whether the system can be told which chunks will be read."""
    return bool(_advise())


def crews_possible() -> bool:
    """Tell whether threads can wait in compiled code here."""
    return _semaphores() is not None


def _kernels() -> Any:  # Any: compiled functions have no static type
    from voxarium.codecs.batch import crew_kernels

    return crew_kernels


def _address(array: NDArray[Any]) -> int:
    found: int = array.__array_interface__["data"][0]
    return found


class Crew:
    """Memory in which threads find their work. One call at a time may use it.

    Parameters
    ----------
    helpers : int
        Threads that call `serve`.
    """

    def __init__(self, helpers: int) -> None:
        self.helpers = helpers
        self._words = np.zeros(_WORDS, np.int64)
        self.address = _address(self._words)
        self._room = np.empty(0, np.uint8)
        self._contexts: dict[str, NDArray[np.int64]] = {}
        semaphores = _semaphores() or (0, 0, 0)
        if helpers:
            library = ctypes.CDLL(None)
            for at in (0, 64):
                library.sem_init(ctypes.c_void_p(self.address + at), 0, 0)
        self._words[19:22] = semaphores

    def serve(self) -> None:
        """Help for ever."""
        _kernels().serve(self.address)

    def _contexts_for(self, kind: str) -> NDArray[np.int64]:
        """Return what each thread's decoder works with."""
        found = self._contexts.get(kind)
        if found is None:
            found = np.array([codec_context(kind) for _ in range(self.helpers + 1)], np.int64)
            self._contexts[kind] = found
        return found

    def run(self, words: list[int], room: int, helpers: int, kind: str) -> None:
        """Do a job with some of the helpers. `words` are those from the fourth function on; see `crew_kernels`."""
        if self._room.nbytes < room * (self.helpers + 1) + 64:
            self._room = np.empty(room * (self.helpers + 1) + 64, np.uint8)
        self._words[_COUNTERS] = 0
        self._words[22:] = words
        self._words[36:39] = (-(-_address(self._room) // 64) * 64, room, _address(self._contexts_for(kind)))
        _kernels().run(self.address, helpers)

    def set_count(self, count: int) -> None:
        """Say how many chunks there are."""
        self._words[_JOB] = count


def _abreast(codec: BytesBytesCodec | None, nbytes: int, share: int) -> tuple[int, int, int, int]:
    """Return how each worker goes about deflated chunks, of which its share is so many; zeros: one by one.

    That is what it does, the function of the check sum, the wrapping, and how many chunks it decodes at once.
    """
    if codec is None or not worth_abreast(codec.key, nbytes, share):
        return 0, 0, 0, 0
    from voxarium.codecs.batch.abreast import STREAMS
    from voxarium.codecs.batch.crew_abreast import work_address

    return (work_address(), *check_sum_of(codec.key), min(share, STREAMS))


@cache
def _block_functions() -> tuple[int, ...]:
    """Return the addresses of zstd's functions for decoding a frame block by block."""
    found = symbols() or {}
    names = ("decompressBegin", "nextSrcSizeToDecompress", "decompressContinue", "getFrameContentSize")
    return tuple(found[f"ZSTD_{n}"] for n in names)


@lru_cache(maxsize=256)
def _chunk_words(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return shape and strides of a chunk with axes of length 1 in front."""
    pad = most_axes - len(shape)
    return (1,) * pad + shape + tuple(chunk_strides(shape, itemsize)[1].tolist())


def decode_fetched(
    codec: BytesBytesCodec | None,
    reads: NativeReads,
    box: Box,
    out: NDArray[Any],
    crew: NativeCrew,
    *,
    plain: bool,
) -> NDArray[np.uint8]:
    """Fetch chunks whose only codec is `codec` (or none: `plain`), decode them and put them in their places.

    The caller asked `able_to_decode` first.

    Parameters
    ----------
    reads : NativeReads
        Which chunks, and how to get their stored bytes.
    box : Box
        Region of the array that `out` holds.
    out : ndarray
        Where to put the voxels; its last axis is contiguous.
    crew : Crew
        Who works.

    Returns
    -------
    ndarray of uint8
        1 for each chunk that is done; 0 for one that is absent, cannot be read, is damaged, or not found good.
    """
    count, ndim = reads.indices.shape
    nbytes = out.itemsize
    for n in reads.chunk_shape:
        nbytes *= n
    status = np.zeros(count, np.uint8)
    inflater = 0 if codec is None else inflater_of(codec.key)
    if codec is not None and codec.key == "lz4.raw":
        decoder = -(lz4_decoder() or 0)
    else:
        decoder = 0 if plain else (symbols() or {})["ZSTD_decompressDCtx"]
    pad, files = _PAD[ndim:], reads.files
    # Objects that are opened to be announced stay open until they are read.
    kept = np.full(count, -1, np.int64) if reads.announce and files.opener else None
    helpers = min(crew.helpers, count - 1)
    abreast = _abreast(codec, nbytes, -(-count // (helpers + 1)))
    judge = (0, 0) if reads.judge is None else (reads.judge.function, reads.judge.argument)
    words = [
        files.reader, decoder, _advise() if reads.announce else 0,
        _address(files.handles), _address(reads.starts), _address(reads.lengths), _address(reads.objects),
        _address(reads.indices), ndim, _address(status), _address(out), out.itemsize, nbytes, reads.most,
        0, 0, 0, files.opener, *_chunk_words(reads.chunk_shape, out.itemsize), *pad, *out.strides, *pad, *box.origin,
        *(1,) * len(pad), *box.stop, files.closer, files.flags, *_block_functions(),
        0, 0 if kept is None else _address(kept), *judge, inflater, *abreast,
    ]  # fmt: skip
    crew.set_count(count)
    room = (nbytes + 63) // 64 * 64 + (reads.most + 64) // 64 * 64
    room = room + 64 if abreast[0] == 0 else room * abreast[3] + state_bytes() + 64
    crew.run(words, room, helpers, "inflate" if inflater else "decompress")
    return status
