"""Codecs one after another: from the voxels of a chunk to its payload and back."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.model.codec import ArrayArrayCodec, ArrayBytesCodec, BytesBytesCodec, ChunkType, SizeBounds, check_size

__all__ = ["Chain"]


class Chain:
    """A chain of codecs for one kind of chunk. Holds no state between calls.

    Parameters
    ----------
    given : ChunkType
        The chunks.
    arrays : sequence of ArrayArrayCodec
        First steps of encoding.
    serializer : ArrayBytesCodec
        The step from array to bytes.
    packers : sequence of BytesBytesCodec
        Last steps of encoding.
    """

    __slots__ = (
        "_arrays",
        "_direct",
        "_packers",
        "_shape",
        "_steps",
        "bounds",
        "given",
        "key",
        "serializer",
        "texts",
    )

    def __init__(
        self,
        given: ChunkType,
        arrays: Sequence[ArrayArrayCodec],
        serializer: ArrayBytesCodec,
        packers: Sequence[BytesBytesCodec],
    ) -> None:
        self.given = given
        self.serializer = serializer
        self._arrays = tuple(arrays)
        self._packers = tuple(packers)
        self._shape = given.shape
        sizes = [serializer.bounds]
        for packer in packers:
            sizes.append(packer.encoded_bounds(sizes[-1]))
        self.bounds: SizeBounds = sizes.pop()
        # Steps of decoding, and whether a step's output is the chunk itself.
        last = len(packers) - 1
        backwards = zip(packers[::-1], sizes[::-1], strict=True)
        self._steps = tuple((p, s, i == last) for i, (p, s) in enumerate(backwards))
        self._direct = serializer.direct and all(a.key is None and a.encoded.shape == given.shape for a in arrays)
        every = (*arrays, serializer, *packers)
        self.key: Hashable = tuple(c.key for c in every if c.key is not None)
        self.texts: tuple[str, ...] = tuple(c.text for c in every)

    @property
    def single(self) -> BytesBytesCodec | None:
        """The only codec between a chunk's memory and its payload; None when there is none, or several."""
        return self._packers[0] if self._direct and not self._arrays and len(self._packers) == 1 else None

    @property
    def plain(self) -> bool:
        """True when a payload is a chunk's memory as it is."""
        return self._direct and not self._arrays and not self._packers

    @property
    def exact_size(self) -> int | None:
        """Bytes of every payload; None when they depend on the voxels."""
        least, most = self.bounds
        return most if least == most else None

    @property
    def only_serializes(self) -> bool:
        """True when there is nothing but the step from array to bytes."""
        return not self._arrays and not self._packers

    def check(self, payload: Buffer) -> None:
        """Raise FormatError for a payload that is cut off or of another size, as far as shows without decoding."""
        check = getattr(self.single, "check", None)
        if check is not None:
            check(payload, self.serializer.bounds)
        elif not self._packers:
            check_size("payload", memoryview(payload).nbytes, self.serializer.bounds)

    def encode(self, chunk: NDArray[Any]) -> Buffer:
        """Return the payload of a chunk.

        Without compression it may be a view of `chunk`: store it before changing the chunk.
        """
        array = chunk
        for codec in self._arrays:
            array = codec.encode(array)
        data = self.serializer.encode(array)
        for packer in self._packers:
            data = packer.encode(data)
        return data

    def decode(self, payload: Buffer, out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the chunk of a payload.

        Parameters
        ----------
        payload : bytes-like
            Stored bytes.
        out : ndarray, optional
            Scratch of the chunk's shape and dtype. Filled and returned where that saves a copy.

        Raises
        ------
        FormatError
            If the payload is damaged. No more memory is used than the chunk and its codecs' known sizes need.
        """
        flat: NDArray[np.uint8] | None = None
        if out is not None and self._direct and _usable(out, self.given):
            flat = out.reshape(-1).view(np.uint8)
        data = payload
        for packer, size, last in self._steps:
            data = packer.decode(data, size, flat if last else None)
        if out is not None and flat is not None and isinstance(data, memoryview):
            owner: object = data.obj
            if owner is flat:
                return out
        array = self.serializer.decode(data)
        for codec in reversed(self._arrays):
            array = codec.decode(array)
        return array


def _usable(out: NDArray[Any], given: ChunkType) -> bool:
    flags = out.flags
    return flags.c_contiguous and flags.writeable and out.shape == given.shape and out.dtype == given.dtype
