"""Snappy blocks without a frame, as KNOSSOS stores segmentations. Decoding only.

Spec: https://github.com/google/snappy/blob/main/format_description.txt. A block says its decoded size first; it is
compared with what the caller expects before anything is allocated, and no copy reaches outside what was decoded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError

__all__ = ["decode_snappy"]

_LONGEST_PREAMBLE: Final = 5
_LITERAL, _COPY_1, _COPY_2 = 0, 1, 2


def decode_snappy(payload: Buffer, nbytes: int) -> NDArray[np.uint8]:
    """Return the bytes of a block, which must be `nbytes`.

    Raises
    ------
    FormatError
        If the block is damaged, or holds another number of bytes.
    """
    data = np.frombuffer(memoryview(payload), np.uint8)
    size, start = _preamble(data)
    if size != nbytes:
        raise _corrupt(f"says it holds {size} bytes, {nbytes} expected")
    out = np.empty(nbytes, np.uint8)
    if _compiled()(data, start, out) != nbytes:
        raise _corrupt("is damaged or cut off")
    return out


def _corrupt(reason: str) -> FormatError:
    return FormatError(
        f"a snappy block {reason}",
        code=Code.CHUNK_CORRUPT,
        fix="copy the file again from its source, or restore it",
    )


def _preamble(data: NDArray[np.uint8]) -> tuple[int, int]:
    """Return the decoded size, a little-endian number of seven bits per byte, and where the block goes on."""
    size = 0
    for i, byte in enumerate(data[:_LONGEST_PREAMBLE].tolist()):
        size |= (byte & 127) << (7 * i)
        if byte < 128:
            return size, i + 1
    raise _corrupt("has no size")


@cache
def _compiled() -> Callable[[NDArray[np.uint8], int, NDArray[np.uint8]], int]:
    from numba import njit

    try:
        compiled: Any = njit(nogil=True, cache=True, boundscheck=False)(_expand)  # Any: numba is untyped
    except RuntimeError:  # nowhere to keep the compiled code
        compiled = njit(nogil=True, boundscheck=False)(_expand)
    return compiled  # type: ignore[no-any-return]  # numba is untyped


def _expand(data: Any, at: Any, out: Any) -> Any:  # noqa: C901  one compiled loop. Any: numba has its own integers
    """Fill `out`; return how many bytes were made, or -1 when the block is broken."""
    done: Any = 0
    while at < data.size:
        tag = data[at] & 3
        length: Any = np.int64(data[at] >> 2) + 1
        if tag == _LITERAL:
            more = length - 60 if length > 60 else 0  # bytes that hold a longer length
            if at + more >= data.size:
                return -1
            if more:
                length = np.int64(1)
                for i in range(more):
                    length += np.int64(data[at + 1 + i]) << (8 * i)
            at += 1 + more
            if length > data.size - at or length > out.size - done:
                return -1
            for i in range(length):
                out[done + i] = data[at + i]
            at += length
        else:
            more = 1 if tag == _COPY_1 else 2 if tag == _COPY_2 else 4
            if at + more >= data.size:
                return -1
            back: Any = np.int64(0)
            if tag == _COPY_1:
                length = np.int64((data[at] >> 2) & 7) + 4
                back = (np.int64(data[at] >> 5) << 8) | np.int64(data[at + 1])
            else:
                for i in range(more):
                    back |= np.int64(data[at + 1 + i]) << (8 * i)
            at += 1 + more
            if back == 0 or back > done or length > out.size - done:
                return -1
            for i in range(length):
                out[done + i] = out[done - back + i]
        done += length
    return done
