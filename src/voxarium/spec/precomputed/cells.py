"""From names of chunks and numbers of shards back to cells of the grid: for listings of millions of keys."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from voxarium.spec.precomputed.chunks import MOST_BITS, morton_dimensions

__all__ = ["ChunkNames"]

_RANGE: Final = re.compile(r"(-?[0-9]{1,19})-(-?[0-9]{1,19})", re.ASCII)
_MOST_KEPT: Final = 1 << 20

Xyz = tuple[int, int, int]


class ChunkNames:
    """The names of the chunks of one grid, and the cells they stand for. All triples are (x, y, z).

    Examples
    --------
    >>> names = ChunkNames((64, 64, 64), (100, -64, 300), (250, 64, 250))
    >>> names.cell("164-228_-64-0_492-550"), names.cell("164-228_-64-0_492-556"), names.cell("356-420_0-64_300-364")
    ((1, 0, 3), None, (4, 1, 0))
    """

    __slots__ = ("_bits", "_known", "_rules")

    def __init__(self, chunk: Sequence[int], offset: Sequence[int], size: Sequence[int]) -> None:
        self._rules = tuple(zip(chunk, offset, size, strict=True))
        self._known: tuple[dict[str, int], dict[str, int], dict[str, int]] = ({}, {}, {})
        self._bits = morton_dimensions([-(-n // c) for c, _, n in self._rules])

    def cell(self, name: str) -> Xyz | None:
        """Return the cell of a chunk, also outside the grid; None for other names, and for wrong ends."""
        parts = name.split("_")
        if len(parts) != 3:
            return None
        known = self._known
        x = known[0].get(parts[0])
        y = known[1].get(parts[1])
        z = known[2].get(parts[2])
        if x is None:
            x = self._learn(0, parts[0])
        if y is None:
            y = self._learn(1, parts[1])
        if z is None:
            z = self._learn(2, parts[2])
        return None if x is None or y is None or z is None else (x, y, z)

    def _learn(self, axis: int, text: str) -> int | None:
        found = _RANGE.fullmatch(text)
        if found is None:
            return None
        start, stop = int(found[1]), int(found[2])
        chunk, offset, size = self._rules[axis]
        cell, rest = divmod(start - offset, chunk)
        inside = 0 <= cell * chunk < size
        end = offset + min((cell + 1) * chunk, size) if inside else start + chunk
        if rest or stop != end or text != f"{start}-{stop}":
            return None
        if len(self._known[axis]) < _MOST_KEPT:
            self._known[axis][text] = cell
        return cell

    def shard_cell(self, code: int) -> Xyz | None:
        """Return the cell of a Morton code; None for one that needs more bits than the grid has."""
        if len(self._bits) < MOST_BITS and code >> len(self._bits):
            return None
        out = [0, 0, 0]
        for place, (d, bit) in enumerate(self._bits):
            out[d] |= (code >> place & 1) << bit
        return out[0], out[1], out[2]
