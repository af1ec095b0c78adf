"""Which frames of an ND2 file were recorded, from the map of chunks at its end.

No specification is public; the layout is that of https://github.com/tlambert03/nd2. The last 40 bytes say where the map
is: entries of a name that ends in ``!``, a position, and a length.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from typing import Final

from voxarium.errors import Code, FormatError

__all__ = ["FRAME_START", "TAIL_BYTES", "map_position", "parse_frames"]

TAIL_BYTES: Final = 40
FRAME_START: Final = 4096
"""From the position of a frame's chunk to its first voxel."""

_SIGNATURE: Final = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_FRAME: Final = re.compile(rb"ImageDataSeq\|([0-9]{1,9})!(.{16})", re.DOTALL)


def map_position(tail: bytes, size: int) -> int:
    """Return where the map of chunks begins, from the last 40 bytes of a file of `size` bytes.

    Raises
    ------
    FormatError
        If they do not say so, which is so when the file is cut off.
    """
    at = struct.unpack("<Q", tail[-8:])[0] if len(tail) >= TAIL_BYTES else size
    if tail[-TAIL_BYTES:-8] != _SIGNATURE or at >= size - TAIL_BYTES:
        raise FormatError(
            "the file does not end with a map of its chunks",
            code=Code.FILE_TRUNCATED,
            fix="copy the file again from its source, and compare sizes",
        )
    return int(at)


def parse_frames(chunk_map: bytes) -> Mapping[int, int]:
    r"""Return the position of the chunk of every frame that was recorded.

    Examples
    --------
    >>> dict(parse_frames(b"a!" + bytes(16) + b"ImageDataSeq|7!" + b"\x20" + bytes(15)))
    {7: 32}
    """
    return {int(m[1]): struct.unpack_from("<Q", m[2])[0] for m in _FRAME.finditer(chunk_map)}
