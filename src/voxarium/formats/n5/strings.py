"""Arrays of strings. They are no images, so they are read whole, by `read_strings`."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.codecs import build_packer_n5
from voxarium.errors import Code, FormatError, UnsupportedError
from voxarium.formats.n5.metadata import DOCUMENT, read_metadata
from voxarium.model.array_specs import join_key
from voxarium.model.box import Box
from voxarium.model.codec import BytesBytesCodec, ChunkType, check_size, corrupt
from voxarium.model.grid import ChunkGrid
from voxarium.model.protocols import ReadableStore
from voxarium.spec.n5 import block_key, parse_block_header, parse_strings

__all__ = ["read_strings"]

_MOST_STRINGS: Final = 1 << 24
_MOST_TEXT: Final = 1 << 28  # bytes of one block


def read_strings(store: ReadableStore, path: str, /) -> NDArray[Any]:
    """Read an array of strings, whole.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        The array.

    Returns
    -------
    ndarray of str objects
        In C order; blocks that do not exist hold empty strings.

    Raises
    ------
    NotFoundError
        If there is no array.
    FormatError
        If the document or a block breaks the specification, or the array has more elements than fit into memory.
    UnsupportedError
        If the array holds something else, or its compression is not known.
    """
    meta = read_metadata(store, path)
    key = join_key(path, DOCUMENT)
    if meta.data_type != "string":
        raise UnsupportedError(
            f"{key} holds {meta.data_type}, not strings",
            code=Code.DTYPE_UNSUPPORTED,
            fix="open it with voxarium.open",
        )
    if math.prod(meta.shape) > _MOST_STRINGS:
        raise FormatError(
            f"{key} claims {math.prod(meta.shape)} strings, more than {_MOST_STRINGS}",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="read such an array with the software that wrote it",
        )
    packer = build_packer_n5(meta.compression, ChunkType(meta.block_shape, np.dtype("u1")), key)
    out = np.full(meta.shape, "", object)
    grid = ChunkGrid(meta.shape, meta.block_shape)
    for index in grid.indices(Box.whole(meta.shape)):
        payload = store.get(join_key(path, block_key(index)))
        if payload is not None:
            box = grid.clipped_box(index)
            block = _strings(payload, meta.block_shape, packer)
            part = tuple(slice(0, min(n, m)) for n, m in zip(block.shape, box.shape, strict=True))
            out[box.slices][part] = block[part]
    return out


def _strings(payload: Buffer, block_shape: tuple[int, ...], packer: BytesBytesCodec | None) -> NDArray[Any]:
    header = parse_block_header(payload, block_shape)
    shape = block_shape if header.shape is None else header.shape
    body = memoryview(payload).cast("B")[header.length :]
    count = math.prod(shape)
    # The header of a default block counts strings, that of the others bytes.
    size = (0, _MOST_TEXT) if header.mode == "default" else (header.elements, header.elements)
    if count > _MOST_STRINGS or size[1] > _MOST_TEXT:
        raise corrupt(f"block claims {count} strings in up to {size[1]} bytes")
    data: Buffer = body if packer is None else packer.decode(body, size, None)
    check_size("block", memoryview(data).nbytes, size)
    out = np.empty(count, object)
    out[:] = parse_strings(data, count)
    return out.reshape(shape)
