"""The filters that HDF5 chunks of the field carry: deflate, shuffle, Fletcher-32.

The HDF5 library decodes under one global lock; undoing the common filters here lets every thread decode,
with a faster inflate where one is installed. Spec: https://docs.hdfgroup.org/hdf5/latest/group___h5_z.html.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from functools import cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import ChecksumError, Code, FormatError

__all__ = ["DEFLATE", "FLETCHER32", "SHUFFLE", "decode_filters"]

DEFLATE: Final = 1
SHUFFLE: Final = 2
FLETCHER32: Final = 3


def decode_filters(payload: bytes, filters: tuple[tuple[int, int], ...], mask: int, nbytes: int) -> NDArray[np.uint8]:
    """Return the bytes of one chunk.

    Parameters
    ----------
    payload : bytes
        The chunk as stored.
    filters : tuple of (int, int)
        Filter number and first parameter (for shuffle the bytes per element), in encoding order.
    mask : int
        Bit i is set when filter i was skipped for this chunk.
    nbytes : int
        Size of the decoded chunk; nothing larger is ever made.

    Raises
    ------
    FormatError
        If the payload is corrupt or has another size.
    ChecksumError
        If the Fletcher-32 checksum disagrees.
    """
    data = np.frombuffer(payload, np.uint8)
    for i in reversed(range(len(filters))):
        if mask >> i & 1:
            continue
        number, parameter = filters[i]
        if number == DEFLATE:
            # A checksum may have been added before compression.
            room = nbytes + 4 * sum(n == FLETCHER32 for n, _ in filters[:i])
            data = np.frombuffer(_inflate(data.tobytes() if data.base is None else data, room), np.uint8)
        elif number == SHUFFLE:
            data = _unshuffle(data, parameter)
        else:
            data = _without_fletcher32(data)
    if data.nbytes != nbytes:
        raise _corrupt(f"has {data.nbytes} bytes when decoded, {nbytes} expected")
    return data


def _corrupt(reason: str) -> FormatError:
    return FormatError(
        f"an HDF5 chunk {reason}",
        code=Code.CHUNK_CORRUPT,
        fix="copy the file again from its source, or restore it",
    )


@cache
def _zlibng() -> Callable[..., Any] | None:
    try:
        import imagecodecs
    except ImportError:
        return None
    return imagecodecs.zlibng_decode if imagecodecs.ZLIBNG.available else None


def _inflate(data: Any, room: int) -> bytes:  # Any: a buffer
    fast = _zlibng()
    if fast is not None:
        try:
            return bytes(fast(data, out=room))
        except RuntimeError as error:
            raise _corrupt(f"cannot be inflated: {error}") from error
    inflater = zlib.decompressobj()
    try:
        out = inflater.decompress(data, room + 1)
    except zlib.error as error:
        raise _corrupt(f"cannot be inflated: {error}") from error
    if not inflater.eof and len(out) <= room:
        raise _corrupt("ends too early")
    return out


def _unshuffle(data: NDArray[np.uint8], itemsize: int) -> NDArray[np.uint8]:
    if itemsize <= 1:
        return data
    whole = data.size // itemsize * itemsize
    out = np.empty_like(data)
    elements, planes = out[:whole].reshape(-1, itemsize), data[:whole].reshape(itemsize, -1)
    for i in range(itemsize):  # twenty times faster than one transposed copy: its inner loop would be `itemsize` long
        elements[:, i] = planes[i]
    out[whole:] = data[whole:]
    return out


def _without_fletcher32(data: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from numcodecs.fletcher32 import Fletcher32

    if data.size <= 4:
        raise _corrupt("is too short for its checksum")
    try:
        return np.frombuffer(Fletcher32().decode(data), np.uint8)
    except RuntimeError as error:
        raise ChecksumError(
            "an HDF5 chunk disagrees with its Fletcher-32 checksum",
            code=Code.CHECKSUM_MISMATCH,
            fix="copy the file again from its source, or restore it from a backup",
        ) from error
