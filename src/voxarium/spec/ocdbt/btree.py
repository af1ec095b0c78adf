"""Nodes of the B+tree of an OCDBT database: leaves with values, and what leads to them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code
from voxarium.spec.ocdbt.reading import LARGEST, NONE, DataFile, Place, Reader, refuse

__all__ = ["Child", "Interior", "Leaf", "parse_btree_node"]


@dataclass(frozen=True, slots=True)
class Child:
    """A node below a node: where it is, and what the keys in it begin with, behind what those of the parent do."""

    place: Place
    prefix: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    keys: Sequence[bytes]  # without what the path from the root says they begin with; increasing
    nbytes: int  # about what it takes in memory

    def position(self, key: bytes) -> int:
        """Return the last entry that is not behind `key`; -1 when `key` is before them all."""
        return bisect_right(self.keys, key) - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(_Node):
    """Keys with their values, or the places of these."""

    files: Sequence[DataFile]
    lengths: NDArray[np.uint64]
    kinds: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    starts: NDArray[np.uint64]  # in a data file, or in `inline`
    inline: bytes = field(repr=False)

    def value(self, i: int) -> bytes | Place:
        """Return the value of a key, or where it is."""
        start, length = int(self.starts[i]), int(self.lengths[i])
        if self.kinds[i]:
            return Place(self.files[int(self.ids[i])], start, length)
        return self.inline[start : start + length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interior(_Node):
    """The first key of each child, and how many bytes of it all keys in the child begin with."""

    height: int
    files: Sequence[DataFile]
    common: NDArray[np.uint64]
    ids: NDArray[np.uint64]
    starts: NDArray[np.uint64]
    lengths: NDArray[np.uint64]

    def child(self, i: int) -> Child:
        """Return a child."""
        place = Place(self.files[int(self.ids[i])], int(self.starts[i]), int(self.lengths[i]))
        return Child(place, self.keys[i][: int(self.common[i])])


def parse_btree_node(body: Buffer, where: str, folder: str, height: int) -> Leaf | Interior:
    """Return a node of a B+tree.

    Parameters
    ----------
    body : bytes-like
        Decompressed.
    where : str
        For messages.
    folder : str
        Of the place by which it was found.
    height : int
        What the node above, or the version, says: 0 for leaves.

    Raises
    ------
    FormatError
        If it is not that.
    """
    view = memoryview(body).cast("B")
    reader = Reader(view, where)
    found = reader.byte()
    if found != height:
        refuse(where, f"a node of height {found} instead of {height}")
    files = reader.files(folder)
    count = reader.count()
    if not count:
        refuse(where, "a node without keys")
    shared, own = reader.lengths(count - 1), reader.lengths(count)
    node: Leaf | Interior
    if height:
        common = reader.numbers(count)
        keys = reader.texts(shared, own)
        ids, starts, lengths = reader.columns(count, files)
        reader.numbers(3 * count)  # statistics
        if any(c > len(k) for c, k in zip(common, keys, strict=True)) or (starts == NONE).any():
            refuse(where, "a node that begins with more than its key, or is nowhere")
        node = Interior(
            keys=keys,
            nbytes=_memory(keys, view.nbytes),
            height=height,
            files=files,
            common=common,
            ids=ids,
            starts=starts,
            lengths=lengths,
        )
    else:
        node = _leaf(reader, files, reader.texts(shared, own), view.nbytes)
    reader.done()
    if any(a >= b for a, b in zip(node.keys, node.keys[1:], strict=False)):
        refuse(where, "keys are not in order")
    return node


def _memory(keys: Sequence[bytes], stored: int) -> int:
    return stored + sum(map(len, keys)) + 96 * len(keys)


def _leaf(reader: Reader, files: Sequence[DataFile], keys: Sequence[bytes], nbytes: int) -> Leaf:
    count = len(keys)
    lengths, kinds = reader.numbers(count), reader.numbers(count)
    if kinds.max() > 1 or lengths.max() > LARGEST:
        refuse(reader.where, "a value of an unknown kind, or of more than 2**62 bytes")
    away = np.flatnonzero(kinds)
    ids, starts = np.zeros(count, np.uint64), np.zeros(count, np.uint64)
    ids[away], starts[away] = reader.numbers(away.size), reader.numbers(away.size)
    reader.check_places(files, ids[away], starts[away], lengths[away])
    here = lengths * (kinds == 0)
    if here.max() > nbytes:
        refuse(reader.where, f"a value of {int(here.max()):,} bytes in {nbytes:,}", Code.FILE_TRUNCATED)
    ends = np.cumsum(here, dtype=np.uint64)
    inline = reader.take(int(ends[-1]))
    starts[kinds == 0] = (ends - here)[kinds == 0]
    return Leaf(
        keys=keys,
        nbytes=_memory(keys, nbytes),
        files=files,
        lengths=lengths,
        kinds=kinds,
        ids=ids,
        starts=starts,
        inline=inline,
    )
