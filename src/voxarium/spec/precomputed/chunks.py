"""Names and numbers of chunks: absolute voxel positions, and compressed Morton codes.

All positions are (x, y, z), as in the files; nothing outside this package and its drivers uses that order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MOST_BITS",
    "box_bits",
    "chunk_name",
    "morton_cells",
    "morton_codes",
    "morton_dimensions",
    "parse_chunk_name",
]

MOST_BITS: Final = 64
_MOST_TABULATED: Final = 1 << 12  # chunks along a dimension
_RANGE: Final = r"(-?[0-9]{1,19})-(-?[0-9]{1,19})"
_NAME: Final = re.compile(f"{_RANGE}_{_RANGE}_{_RANGE}" + r"((?:\.[A-Za-z0-9]{1,8})?)\Z")

Xyz = tuple[int, int, int]


def chunk_name(cell: Sequence[int], chunk: Sequence[int], offset: Sequence[int], size: Sequence[int]) -> str:
    """Return the name of the chunk in a cell of the grid; the last one is cut to the volume.

    Examples
    --------
    >>> chunk_name((1, 0, 3), (64, 64, 64), (100, -64, 300), (250, 64, 250))
    '164-228_-64-0_492-550'
    """
    parts = []
    for g, c, o, n in zip(cell, chunk, offset, size, strict=True):
        parts.append(f"{o + g * c}-{o + min((g + 1) * c, n)}")
    return "_".join(parts)


def parse_chunk_name(name: str) -> tuple[Xyz, Xyz, str] | None:
    """Return (first voxel, voxel behind the last, suffix such as ``.gz``) of a chunk's name; None for other names."""
    found = _NAME.match(name)
    if found is None:
        return None
    x0, x1, y0, y1, z0, z1 = map(int, found.groups()[:6])
    return (x0, y0, z0), (x1, y1, z1), found[7]


def morton_dimensions(grid: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Return where each bit of a compressed Morton code comes from, lowest first: (dimension, bit).

    A dimension takes part as long as it needs more bits.

    Examples
    --------
    >>> morton_dimensions((5, 3, 1))
    ((0, 0), (1, 0), (0, 1), (1, 1), (0, 2))
    """
    return _morton_dimensions(tuple(grid))


@lru_cache(maxsize=256)
def _morton_dimensions(grid: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    widest = max(((n - 1).bit_length() for n in grid), default=0)
    return tuple((d, i) for i in range(widest) for d, n in enumerate(grid) if (1 << i) < n)


def box_bits(grid: Sequence[int], bits: int) -> tuple[int, ...]:
    """Return how many of the `bits` lowest bits of a code belong to each dimension.

    Chunks that agree in all higher bits form a box of so many doublings.
    """
    out = [0] * len(grid)
    for d, _ in morton_dimensions(grid)[:bits]:
        out[d] += 1
    return tuple(out)


def morton_codes(cells: NDArray[np.int64], grid: Sequence[int]) -> NDArray[np.uint64]:
    """Return the compressed Morton codes of cells, of shape (cells, dimensions).

    Examples
    --------
    >>> morton_codes(np.array([[4, 2, 0], [3, 1, 0]]), (5, 3, 1)).tolist()
    [24, 7]
    """
    if max(grid, default=0) > _MOST_TABULATED:
        return _morton_codes(cells, grid)
    codes = np.zeros(len(cells), np.uint64)
    for d, table in enumerate(_spread_numbers(tuple(grid))):
        codes |= table.take(cells[:, d], mode="wrap")
    return codes


def _morton_codes(cells: NDArray[np.int64], grid: Sequence[int]) -> NDArray[np.uint64]:
    codes = np.zeros(len(cells), np.uint64)
    numbers = cells.astype(np.uint64)
    for place, (d, bit) in enumerate(morton_dimensions(grid)):
        codes |= ((numbers[:, d] >> np.uint64(bit)) & np.uint64(1)) << np.uint64(place)
    return codes


@lru_cache(maxsize=64)
def _spread_numbers(grid: tuple[int, ...]) -> tuple[NDArray[np.uint64], ...]:
    """Return, for each dimension, what each of its numbers gives to a code."""
    tables = []
    for d, n in enumerate(grid):
        cells = np.zeros((1 << (n - 1).bit_length(), len(grid)), np.int64)
        cells[:, d] = np.arange(len(cells))
        tables.append(_morton_codes(cells, grid))
    return tuple(tables)


def morton_cells(codes: NDArray[np.uint64], grid: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the cells of compressed Morton codes, of shape (codes, dimensions), and which of them are in the grid.

    Examples
    --------
    >>> cells, inside = morton_cells(np.array([24, 7, 28, 99], np.uint64), (5, 3, 1))
    >>> cells.tolist(), inside.tolist()
    ([[4, 2, 0], [3, 1, 0], [6, 2, 0], [1, 1, 0]], [True, True, False, False])
    """
    cells = np.zeros((len(codes), len(grid)), np.uint64)
    bits = morton_dimensions(grid)[:MOST_BITS]
    for place, (d, bit) in enumerate(bits):
        cells[:, d] |= ((codes >> np.uint64(place)) & np.uint64(1)) << np.uint64(bit)
    inside = np.all(cells < np.array([min(n, 2**63) for n in grid], np.uint64), axis=1)
    if len(bits) < MOST_BITS:
        inside &= codes >> np.uint64(len(bits)) == 0
    return cells.astype(np.int64), inside
