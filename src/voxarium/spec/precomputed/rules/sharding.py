"""Checking how keys are spread over shards: for volumes, meshes, skeletons and annotations alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from voxarium.model.checking import ABSENT, Place
from voxarium.spec.precomputed.chunks import MOST_BITS, box_bits, morton_dimensions
from voxarium.spec.precomputed.rules.values import whole, word
from voxarium.spec.precomputed.sharding import Sharding

__all__ = ["check_grid", "check_sharding", "check_volume_sharding"]

_TYPE: Final = "neuroglancer_uint64_sharded_v1"
_HASHES: Final = ("identity", "murmurhash3_x86_128")
_PACKINGS: Final = ("raw", "gzip")
_MOST_MINISHARDS: Final = 9  # bits: an index of 8 KiB
_MOST_BEFORE: Final = 12  # bits: 4096 entries of 24 bytes


def check_sharding(place: Place) -> Sharding | None:
    """Check the ``sharding`` of anything; return it where it can be used, None where there is none or it cannot."""
    if not isinstance(place.value, dict):
        if place.there and place.value is not None:
            place.report("PC-028", "is no object", f'write {{"@type": "{_TYPE}", …}}, or remove it')
        return None
    word(place["@type"], "PC-028", (_TYPE,))
    preshift = whole(place["preshift_bits"], "PC-028", 0, 63)
    minishard = whole(place["minishard_bits"], "PC-028", 0, MOST_BITS)
    shard = whole(place["shard_bits"], "PC-028", 0, MOST_BITS)
    hashed = word(place["hash"], "PC-028", _HASHES)
    packings = [_packing(place[key]) for key in ("minishard_index_encoding", "data_encoding")]
    if preshift is None or minishard is None or shard is None or hashed is None:
        return None
    if minishard + shard > MOST_BITS:
        place.report("PC-028", f"has {minishard + shard} bits of minishards and shards", f"use at most {MOST_BITS}")
        return None
    if minishard > _MOST_MINISHARDS:
        place["minishard_bits"].report(
            "PC-033", f"makes an index of {16 << minishard:,} bytes for each shard", f"use at most {_MOST_MINISHARDS}"
        )
    return Sharding(
        preshift_bits=preshift,
        minishard_bits=minishard,
        shard_bits=shard,
        hash=hashed,
        minishard_index_encoding=packings[0],
        data_encoding=packings[1],
    )


def _packing(place: Place) -> Literal["raw", "gzip"]:
    if place.value is ABSENT:
        parent, _, name = place.pointer.rpartition("/")
        repair = (place.put("raw"),)
        Place({}, parent, place.sheet).report("PC-030", f"has no {name!r}", "add it: 'raw'", repair=repair)
        return "raw"
    return "gzip" if word(place, "PC-029", _PACKINGS) == "gzip" else "raw"


def check_grid(place: Place, rule: str, grid: Sequence[int]) -> bool:
    """Check that cells of a grid can be numbered with 64 bits."""
    bits = len(morton_dimensions(grid))
    if bits > MOST_BITS:
        place.report(rule, f"is for a grid that needs {bits} bits", f"use a grid of at most {MOST_BITS}")
    return bits <= MOST_BITS


def check_volume_sharding(place: Place, sharding: Sharding, grid: Sequence[int]) -> None:
    """Check that shards of a volume are boxes with indexes of a reasonable size."""
    if not check_grid(place, "PC-031", grid):
        return
    total = len(morton_dimensions(grid))
    if sharding.hash != "identity":
        place["hash"].report(
            "PC-032", f"is {sharding.hash!r}: chunks that are neighbours share no shard", "use identity"
        )
    elif sharding.shard_bits < total - sharding.local_bits:
        place["shard_bits"].report(
            "PC-032",
            f"is {sharding.shard_bits}: chunks far apart share a shard",
            "use as many bits as the grid has beyond preshift_bits and minishard_bits",
            expected=total - sharding.local_bits,
        )
    if min(sharding.preshift_bits, sum(box_bits(grid, MOST_BITS))) > _MOST_BEFORE:
        place["preshift_bits"].report(
            "PC-033", f"puts 2^{sharding.preshift_bits} chunks into one minishard", f"use at most {_MOST_BEFORE}"
        )
