"""Shards: ``neuroglancer_uint64_sharded_v1``.

https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/sharded.rst

A shard begins with its index: start and end of each minishard's own index, relative to the end of the shard index.
A minishard's index is a table of three rows: keys, starts, sizes; keys as differences, starts relative to the end of
the entry before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Buffer

from voxarium.errors import Code, FormatError
from voxarium.model.fields import Problems
from voxarium.spec.precomputed.chunks import MOST_BITS, box_bits, morton_dimensions
from voxarium.spec.precomputed.lenient import LenientFields

__all__ = [
    "Sharding",
    "choose_sharding",
    "dump_minishard_index",
    "dump_shard_index",
    "murmur_codes",
    "parse_minishard_index",
    "parse_shard_index",
    "parse_sharding",
]

_TYPE: Final = "neuroglancer_uint64_sharded_v1"
_MURMUR: Final = "murmurhash3_x86_128"
_MEND: Final = "the shard is damaged; copy it again from its source"
_MOST_MINISHARD_BITS: Final = 20  # an index of 16 MiB; writers keep it below 128 KiB
_PER_MINISHARD: Final = 9  # a table of 512 entries, 12 KiB

Packing = Literal["raw", "gzip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharding:
    """How keys are spread over shards, and how shards are packed.

    Parameters
    ----------
    preshift_bits, minishard_bits, shard_bits : int
        A key loses its lowest bits, is hashed, and then names its minishard and above that its shard.
    hash : str
        ``identity`` or ``murmurhash3_x86_128``.
    minishard_index_encoding, data_encoding : str
        ``raw`` or ``gzip``.
    extra : mapping
        Unknown keys, carried along.
    """

    preshift_bits: int
    minishard_bits: int
    shard_bits: int
    hash: str = "identity"
    minishard_index_encoding: Packing = "gzip"
    data_encoding: Packing = "raw"
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    @property
    def index_size(self) -> int:
        """Bytes of a shard's index."""
        return 16 << self.minishard_bits

    @property
    def local_bits(self) -> int:
        """Number of lowest bits of a key that do not decide about its shard; only for the identity hash."""
        return self.preshift_bits + self.minishard_bits

    def place(self, keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
        """Return (shard, minishard) of each key."""
        shifted = keys >> np.uint64(self.preshift_bits)
        hashed = murmur_codes(shifted) if self.hash == _MURMUR else shifted
        minishard = hashed & np.uint64((1 << self.minishard_bits) - 1)
        # minishard_bits < 64, or shifting by it would not be defined
        shard = (hashed >> np.uint64(self.minishard_bits)) & np.uint64((1 << self.shard_bits) - 1)
        return shard, minishard

    def file_name(self, shard: int) -> str:
        """Return the name of a shard's file, without ``.shard``.

        Examples
        --------
        >>> Sharding(preshift_bits=0, minishard_bits=6, shard_bits=10).file_name(826)
        '33a'
        """
        return f"{shard:0{-(-self.shard_bits // 4)}x}"

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the object in the ``info``."""
        return {
            "@type": _TYPE,
            "preshift_bits": self.preshift_bits,
            "hash": self.hash,
            "minishard_bits": self.minishard_bits,
            "shard_bits": self.shard_bits,
            "minishard_index_encoding": self.minishard_index_encoding,
            "data_encoding": self.data_encoding,
        } | dict(self.extra)


def parse_sharding(data: object, problems: Problems, at: str) -> Sharding:
    """Return the sharding an object describes; what is wrong is added to `problems`."""
    fields = LenientFields(data, problems, at)
    fields.word("@type", (_TYPE,))
    preshift = fields.whole("preshift_bits", 0, 63)
    minishard = fields.whole("minishard_bits", 0, _MOST_MINISHARD_BITS)
    shard = fields.whole("shard_bits", 0, MOST_BITS)
    if minishard + shard > MOST_BITS:
        problems.add(f"{at} names {minishard + shard} bits of minishard and shard, more than {MOST_BITS}")
    return Sharding(
        preshift_bits=preshift,
        minishard_bits=minishard,
        shard_bits=shard,
        hash=fields.word("hash", ("identity", _MURMUR)),
        minishard_index_encoding=_packing(fields, "minishard_index_encoding"),
        data_encoding=_packing(fields, "data_encoding"),
        extra=fields.rest(),
    )


def _packing(fields: LenientFields, key: str) -> Packing:
    return "gzip" if fields.word(key, ("raw", "gzip"), "raw") == "gzip" else "raw"


# ----------------------------------------------------------------------------------------------------- hash
def _rotated(values: NDArray[np.uint32], by: int) -> NDArray[np.uint32]:
    return (values << np.uint32(by)) | (values >> np.uint32(32 - by))


def _mixed(h: NDArray[np.uint32]) -> NDArray[np.uint32]:
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))


def murmur_codes(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the low 64 bits of MurmurHash3_x86_128, seed 0, of keys as 8 little-endian bytes.

    Examples
    --------
    >>> hex(murmur_codes(np.array([1], np.uint64))[0])
    '0xe8bd67d616d4ce9a'
    """
    keys = np.asarray(keys, np.uint64)
    low, high = (keys & np.uint64(0xFFFFFFFF)).astype(np.uint32), (keys >> np.uint64(32)).astype(np.uint32)
    h2 = _rotated(high * np.uint32(0xAB0E9789), 16) * np.uint32(0x38B34AE5)
    h1 = _rotated(low * np.uint32(0x239B961B), 15) * np.uint32(0xAB0E9789)
    length = np.uint32(8)
    h1, h2, h3 = h1 ^ length, h2 ^ length, np.full_like(h1, length)
    h4 = h3
    h1 = h1 + h2 + h3 + h4
    h2, h3, h4 = h2 + h1, h3 + h1, h4 + h1
    h1, h2, h3, h4 = _mixed(h1), _mixed(h2), _mixed(h3), _mixed(h4)
    h1 = h1 + h2 + h3 + h4
    h2 = h2 + h1
    return h1.astype(np.uint64) | (h2.astype(np.uint64) << np.uint64(32))


# -------------------------------------------------------------------------------------------------- indexes
def _broken(what: str) -> FormatError:
    return FormatError(what, code=Code.SHARD_INDEX_CORRUPT, fix=_MEND)


def parse_shard_index(data: Buffer, sharding: Sharding) -> NDArray[np.uint64]:
    """Return the table of a shard's minishards, of shape (minishards, 2): start and end of each one's index.

    Raises
    ------
    FormatError
        If it is cut off, or an index ends before it starts.
    """
    view = memoryview(data)
    if view.nbytes != sharding.index_size:
        raise _broken(f"the shard index has {view.nbytes} bytes instead of {sharding.index_size}")
    table = np.frombuffer(view, "<u8").astype(np.uint64).reshape(-1, 2)
    if np.any(table[:, 1] < table[:, 0]):
        raise _broken("the index of a minishard is said to end before it starts")
    if np.any(table[:, 1] > np.uint64(1 << 62)):
        raise _broken("the index of a minishard is said to lie beyond every shard")
    return table


def dump_shard_index(table: NDArray[np.uint64]) -> bytes:
    """Return the index of a shard from start and end of each minishard's index."""
    return table.astype("<u8").tobytes()


def parse_minishard_index(data: Buffer, object_size: int | None) -> NDArray[np.uint64]:
    """Return keys, starts and sizes, of shape (3, entries), sorted by key. Starts count from the shard index's end.

    Parameters
    ----------
    data : bytes-like
        The index, unpacked.
    object_size : int or None
        Bytes behind the shard index, when known.

    Raises
    ------
    FormatError
        If it is cut off, an entry lies outside the shard, or a key comes twice.
    """
    view = memoryview(data)
    if view.nbytes % 24:
        raise _broken(f"the index of a minishard has {view.nbytes} bytes, which is no multiple of 24")
    rows = np.frombuffer(view, "<u8").astype(np.uint64).reshape(3, -1)
    keys, sizes = np.cumsum(rows[0], dtype=np.uint64), rows[2]
    limit = np.uint64(min(1 << 62, 1 << 62 if object_size is None else max(object_size, 0)))
    if np.any(sizes > limit):
        raise _broken(f"an entry of a minishard is said to have {int(sizes.max())} bytes")
    # Differences wrap around when the data stand in another order than the keys; the sums are right all the same.
    starts = np.cumsum(rows[1] + np.concatenate([np.zeros(1, np.uint64), sizes[:-1]]), dtype=np.uint64)
    if np.any(starts > limit - sizes):
        raise _broken(f"an entry of a minishard is said to lie beyond the end of the shard, at {int(limit)} bytes")
    order = np.argsort(keys, kind="stable")
    table = np.stack([keys, starts, sizes])[:, order]
    if np.any(table[0, 1:] == table[0, :-1]):
        raise _broken("a key comes twice in the index of a minishard")
    return table


def dump_minishard_index(keys: NDArray[np.uint64], starts: NDArray[np.uint64], sizes: NDArray[np.uint64]) -> bytes:
    """Return the index of a minishard, not packed; keys ascend, and starts count from the shard index's end."""
    ends = np.concatenate([np.zeros(1, np.uint64), (starts + sizes)[:-1]])
    first = np.concatenate([np.zeros(1, np.uint64), keys[:-1]])
    return np.stack([keys - first, starts - ends, sizes]).astype("<u8").tobytes()


# --------------------------------------------------------------------------------------------------- choice
def choose_sharding(
    grid: Sequence[int], wanted: Sequence[int], data_encoding: Packing
) -> tuple[Sharding, tuple[int, ...]]:
    """Return a sharding whose shards are boxes, and how many chunks a box has along each dimension.

    Each shard can then be written by one worker: identity hash, and the bits of a code above the box's are the shard's.

    Parameters
    ----------
    grid : sequence of int
        Chunks of the volume along each dimension.
    wanted : sequence of int
        Chunks a shard should have along each dimension. Morton order decides the form; the number is met.
    data_encoding : str
        How each chunk is packed.
    """
    total = len(morton_dimensions(grid))
    bits = 0
    for n, w in zip(grid, wanted, strict=True):
        bits += (n - 1).bit_length() if w >= n else w.bit_length() - 1
    # More minishard bits than an index may have would need larger minishards, which is no harm.
    preshift = max(min(bits, _PER_MINISHARD), bits - _MOST_MINISHARD_BITS)
    sharding = Sharding(
        preshift_bits=preshift,
        minishard_bits=bits - preshift,
        shard_bits=total - bits,
        data_encoding=data_encoding,
    )
    return sharding, tuple(1 << b for b in box_bits(grid, bits))
