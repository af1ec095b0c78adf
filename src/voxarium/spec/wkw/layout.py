"""Where blocks stand in files and files in folders; which arrays can be written, in blocks and files of what size."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.image import ArraySpec
from voxarium.spec.wkw.header import MOST_SIDE, VOXEL_TYPES, BlockType

__all__ = [
    "aligned_sides",
    "checked_block_type",
    "checked_channels",
    "choose_sides",
    "extent",
    "file_key",
    "morton_order",
    "morton_places",
]

_LEAST_BLOCK: Final = 16
_MOST_INDEX: Final = 2**40  # voxels along an axis; far beyond any image, far below where integers overflow
_FILE: Final = re.compile(r"z(0|[1-9][0-9]{0,30})/y(0|[1-9][0-9]{0,30})/x(0|[1-9][0-9]{0,30})\.wkw", re.ASCII)


@lru_cache(maxsize=8)
def morton_order(file_len: int) -> NDArray[np.int64]:
    """Return, by place in the file, the C-order position (z, y, x) of each block of a cube.

    Examples
    --------
    >>> morton_order(2).tolist()
    [0, 1, 2, 3, 4, 5, 6, 7]
    >>> morton_order(4)[:9].tolist()
    [0, 1, 4, 5, 16, 17, 20, 21, 2]
    """
    bits = file_len.bit_length() - 1
    place = np.arange(file_len**3, dtype=np.int64)
    order = np.zeros_like(place)
    for bit in range(bits):
        for axis in range(3):  # x is the lowest bit, then y, then z
            order += ((place >> (3 * bit + axis)) & 1) << (bit + axis * bits)
    order.flags.writeable = False
    return order


def morton_places(positions: NDArray[np.int64], file_len: int) -> NDArray[np.int64]:
    """Return the place in the file of blocks at positions (z, y, x) within it, shape (n, 3).

    Examples
    --------
    >>> morton_places(np.array([[0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 1, 3]]), 4).tolist()
    [1, 2, 4, 15]
    """
    places = np.zeros(len(positions), np.int64)
    for bit in range(file_len.bit_length() - 1):
        for axis in range(3):
            places |= ((positions[:, 2 - axis] >> bit) & 1) << (3 * bit + axis)
    return places


def file_key(index: tuple[int, ...]) -> str:
    """Return the name of a file by its place (z, y, x, …) in the grid of files.

    Examples
    --------
    >>> file_key((2, 0, 11))
    'z2/y0/x11.wkw'
    """
    z, y, x = index[:3]
    return f"z{z}/y{y}/x{x}.wkw"


def extent(keys: Iterable[str], side: int, most: int, where: str) -> tuple[int, int, int]:
    """Return the voxels (z, y, x) that files cover, from 0 on.

    Parameters
    ----------
    keys : iterable of str
        Names below the array's folder; others than files of blocks do not matter.
    side : int
        Voxels along a side of a file.
    most : int
        Names to look at.
    where : str
        The array, for messages.

    Raises
    ------
    FormatError
        If there are more names, or a file lies absurdly far out.
    """
    highest = [0, 0, 0]
    for count, key in enumerate(keys):
        if count >= most:
            raise FormatError(
                f"{where} has more than {most} files: its extent is not searched for",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="open it as a layer of its dataset, whose datasource-properties.json tells the extent",
            )
        match = _FILE.fullmatch(key)
        if match is None:
            continue
        for axis, text in enumerate(match.groups()):
            highest[axis] = max(highest[axis], (int(text) + 1) * side)
    if max(highest) > _MOST_INDEX:
        raise FormatError(
            f"{where} has a file that begins {max(highest)} voxels from the origin",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="remove the file, or open the array as a layer of its dataset",
        )
    return highest[0], highest[1], highest[2]


def _power_below(n: int) -> int:
    return 1 << (max(n, 1).bit_length() - 1)


def _power_above(n: int) -> int:
    return 1 << (max(n, 1) - 1).bit_length()


def choose_sides(shape: tuple[int, ...], chunk: int, shard: int, *, tight: bool) -> tuple[int, int]:
    """Return sides of blocks and of files, in voxels, near what was asked for.

    Parameters
    ----------
    shape : tuple of int
        Of the array, along z, y, x.
    chunk, shard : int
        Wished for; a shard of 0 is a single block.
    tight : bool
        Whether padding costs as much as voxels do, since it is not compressed: files then stay smaller than they
        were asked to be where that saves half of it or more.

    Examples
    --------
    >>> choose_sides((384, 384, 384), 64, 1024, tight=False)
    (64, 512)
    >>> choose_sides((20, 2000, 2000), 64, 1024, tight=True)
    (32, 32)
    """
    longest = _power_above(max(shape))
    block = min(longest if chunk >= max(shape) else _power_below(chunk), MOST_SIDE)
    if tight:
        block = min(block, max(_power_above(min(shape)), _LEAST_BLOCK))
    side = max(block, min(_power_above(shard), longest, block * MOST_SIDE))
    while tight and side > block and _padded(shape, side) >= 2 * _padded(shape, side // 2):
        side //= 2
    return block, side


def _padded(shape: tuple[int, ...], side: int) -> int:
    size = 1
    for n in shape:
        size *= -(-n // side) * side
    return size


def aligned_sides(sides: tuple[int, int], corner: tuple[int, ...]) -> tuple[int, int]:
    """Return sides of blocks and files so that a file can begin at `corner`.

    Examples
    --------
    >>> aligned_sides((64, 512), (96, 0, 32))
    (32, 32)
    """
    block, side = sides
    for n in corner:
        if n:
            side = min(side, n & -n)
    return min(block, side), side


def checked_channels(spec: ArraySpec, dtype: np.dtype[Any]) -> int:
    """Return the number of channels of a new array whose axes and type WKW can hold."""
    names = spec.dimension_names or ("z", "y", "x", "c")[: len(spec.shape)]
    if tuple(names) not in (("z", "y", "x"), ("z", "y", "x", "c")) or len(names) != len(spec.shape):
        raise InputError(
            f"WKW has the axes z, y, x and perhaps c, not {', '.join(map(str, names))}",
            code=Code.AXES_MISMATCH,
            fix="write one array for each time point, with the axes in this order",
        )
    if dtype.name not in VOXEL_TYPES.values():
        raise UnsupportedError(
            f"WKW has no voxels of {dtype.name}",
            code=Code.DTYPE_UNSUPPORTED,
            fix=f"convert to one of {', '.join(VOXEL_TYPES.values())}",
        )
    channels = spec.shape[3] if len(spec.shape) == 4 else 1
    if not 1 <= channels * dtype.itemsize <= 255:
        raise InputError(
            f"voxels of {channels} × {dtype.name} have {channels * dtype.itemsize} bytes; WKW has 1 to 255",
            code=Code.ARGUMENT_INVALID,
            fix="write the channels as layers of their own",
        )
    return channels


def checked_block_type(codec: str | None) -> BlockType:
    """Return the block type for the name of a codec; LZ4 without one."""
    known: dict[str, BlockType] = {"lz4": "lz4", "lz4hc": "lz4hc", "none": "raw", "raw": "raw"}
    found = known.get((codec or "lz4").strip().lower())
    if found is not None:
        return found
    raise UnsupportedError(
        f"WKW has no codec {codec!r}",
        code=Code.CODEC_UNKNOWN,
        fix="use lz4, lz4hc, which is smaller and slower, or none",
    )
