"""Checking the scales of a volume: each by itself, and how they fit together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from voxarium.model.checking import ABSENT, Place, short
from voxarium.spec.precomputed.positions import MOST_VOXELS
from voxarium.spec.precomputed.rules.sharding import check_sharding, check_volume_sharding
from voxarium.spec.precomputed.rules.values import folder, number, several, whole, word

__all__ = ["Voxels", "check_scales"]

_ENCODINGS: Final = ("raw", "jpeg", "png", "jxl", "compressed_segmentation", "compresso")
_CLOUDVOLUME: Final = ("crackle", "fpzip", "kempressed", "zfpc")
_UNSIGNED: Final = frozenset({"uint8", "uint16", "uint32", "uint64"})
_TAKES: Final[Mapping[str, tuple[frozenset[str], frozenset[int]]]] = MappingProxyType(
    {
        "jpeg": (frozenset({"uint8"}), frozenset({1, 3})),
        "png": (frozenset({"uint8", "uint16"}), frozenset({1, 2, 3, 4})),
        "jxl": (frozenset({"uint8"}), frozenset({1, 3, 4})),
        "compressed_segmentation": (frozenset({"uint32", "uint64"}), frozenset()),
        "compresso": (_UNSIGNED, frozenset({1})),
    }
)
_BLOCK: Final = "compressed_segmentation_block_size"
_EXACT: Final = 1 << 24  # whole numbers a float32 counts without gaps
_ROUNDING: Final = 1e-6

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Voxels:
    """Type and number of the values of a voxel; None where the document does not say."""

    data_type: str | None
    channels: int | None


@dataclass(frozen=True, slots=True)
class _Geometry:
    """Where a scale is, in (x, y, z)."""

    place: Place
    size: tuple[int, ...]
    resolution: tuple[float, ...]
    offset: tuple[int, ...]


def check_scales(scales: list[Place], voxels: Voxels) -> None:
    """Check the scales of a volume."""
    known = [g for g in (_check_scale(scale, voxels) for scale in scales) if g is not None]
    _check_keys(scales)
    for one, other in pairwise(known):
        if any(b < a * (1 - _ROUNDING) for a, b in zip(one.resolution, other.resolution, strict=True)):
            other.place["resolution"].report(
                "PC-034",
                f"is {list(other.resolution)}, finer than {list(one.resolution)} before it",
                "sort the scales",
            )
    for coarser in known[1:]:
        _check_place(known[0], coarser)
        _check_extent(known[0], coarser)


def _check_keys(scales: list[Place]) -> None:
    seen: dict[str, int] = {}
    for i, scale in enumerate(scales):
        key = folder(scale["key"], "PC-015")
        if key is None:
            continue
        if key in seen:
            scale["key"].report("PC-016", f"is {short(scale['key'].value)}, as in scale {seen[key]}", "use two folders")
        seen.setdefault(key, i)


def _check_scale(scale: Place, voxels: Voxels) -> _Geometry | None:
    size = several(scale["size"], "PC-017", partial(whole, rule="PC-017", low=1, high=MOST_VOXELS))
    resolution = several(scale["resolution"], "PC-018", partial(number, rule="PC-018", positive=True))
    offset: tuple[int, ...] | None = (0, 0, 0)
    if scale["voxel_offset"].there:
        take = partial(whole, rule="PC-020", low=-MOST_VOXELS, high=MOST_VOXELS)
        offset = several(scale["voxel_offset"], "PC-020", take)
    chunk = _check_chunks(scale)
    encoding = _check_encoding(scale, voxels)
    block = _check_block(scale, encoding)
    _check_hidden(scale["hidden"])
    sharding = check_sharding(scale["sharding"])
    if size is not None and chunk is not None:
        _check_fits(scale, encoding, tuple(min(c, n) for c, n in zip(chunk, size, strict=True)), block)
        if sharding is not None:
            grid = tuple(-(-n // c) for n, c in zip(size, chunk, strict=True))
            check_volume_sharding(scale["sharding"], sharding, grid)
    if size is None or resolution is None or offset is None:
        return None
    if any(max(abs(o), abs(o + n)) > _EXACT for o, n in zip(offset, size, strict=True)):
        scale.report("PC-037", "has voxels whose positions a float32 cannot hold", "move the origin nearer")
    return _Geometry(scale, size, resolution, offset)


def _check_chunks(scale: Place) -> tuple[int, ...] | None:
    place = scale["chunk_sizes"]
    if place.value is ABSENT and scale["chunk_size"].there:
        value = scale["chunk_size"].value
        sound = isinstance(value, list) and len(value) == 3
        repair = (place.put([value]), scale["chunk_size"].removed()) if sound else ()
        scale.report("PC-019", "has 'chunk_size', which nobody reads", "call it 'chunk_sizes', a list", repair=repair)
        return None
    if not isinstance(place.value, list) or not place.value:
        _missing_list(scale)
        return None
    take = partial(whole, rule="PC-019", low=1, high=MOST_VOXELS)
    found = [several(item, "PC-019", take) for item in place.items()]
    if len(found) > 1 and isinstance(scale["sharding"].value, dict):
        place.report("PC-027", f"has {len(found)} sizes", "keep the one that the shards were made with")
    return found[0]


def _missing_list(scale: Place) -> None:
    if scale["chunk_sizes"].there:
        scale["chunk_sizes"].report("PC-019", "is no list of sizes", "write [[64, 64, 64]] for example")
    else:
        scale.report("PC-019", "has no 'chunk_sizes'", "add it: [[64, 64, 64]] for example")


def _check_encoding(scale: Place, voxels: Voxels) -> str | None:
    place = scale["encoding"]
    stated = place.value.lower() if isinstance(place.value, str) else ""
    if stated in _CLOUDVOLUME:
        place.report("PC-021", f"is {stated!r}, which only CloudVolume reads", f"use one of {', '.join(_ENCODINGS)}")
        return None
    encoding = word(place, "PC-021", _ENCODINGS)
    dtypes, channels = _TAKES.get(encoding or "", (frozenset(), frozenset()))
    if dtypes and voxels.data_type is not None and voxels.data_type not in dtypes:
        place.report(
            "PC-022", f"is {encoding!r}, which does not hold {voxels.data_type}", "use raw, or correct data_type"
        )
    if channels and voxels.channels is not None and voxels.channels not in channels:
        place.report(
            "PC-022",
            f"is {encoding!r}, which does not hold {voxels.channels} channels",
            "use raw, or correct num_channels",
        )
    return encoding


def _check_block(scale: Place, encoding: str | None) -> tuple[int, ...] | None:
    place = scale[_BLOCK]
    if encoding == "compressed_segmentation":
        return several(place, "PC-023", partial(whole, rule="PC-023", low=1, high=1 << 16))
    if place.there and encoding is not None:
        place.report("PC-024", f"is there though chunks are {encoding}", "remove it", repair=(place.removed(),))
    return None


def _check_hidden(place: Place) -> None:
    if place.there and not isinstance(place.value, bool):
        place.report("PC-026", f"is {short(place.value)}", "write true or false")


def _check_fits(scale: Place, encoding: str | None, chunk: tuple[int, ...], block: tuple[int, ...] | None) -> None:
    x, y, z = chunk
    place = scale["chunk_sizes"]
    if encoding == "jpeg" and max(x, y * z) > 65_535:
        place.report("PC-025", f"makes pictures of {x} × {y * z} pixels", "use smaller chunks: jpeg ends at 65,535")
    if encoding == "compresso" and max(chunk) > 65_535:
        place.report("PC-025", f"has a side of {max(chunk)}", "use smaller chunks: compresso ends at 65,535")
    if block is not None:
        heads = 2 * math.prod(-(-c // b) for c, b in zip(chunk, block, strict=True))
        if heads > 1 << 24:
            place.report("PC-025", f"needs {heads:,} words for the heads of blocks", "use smaller chunks")


def _check_place(first: _Geometry, other: _Geometry) -> None:
    """Check that a scale begins where the first does, in voxels of its own."""
    shifts = []
    for o0, r0, o, r in zip(first.offset, first.resolution, other.offset, other.resolution, strict=True):
        shift = (o * r - o0 * r0) / r
        shifts.append(0.0 if abs(shift) <= _ROUNDING * max(1.0, abs(o)) else shift)
    if not any(shifts):
        return
    place = other.place["voxel_offset"]
    shown = ", ".join(f"{s:+.4g}" for s in shifts)
    place = place if place.there else other.place
    far = max(map(abs, shifts)) >= 1
    place.report(
        "PC-035",
        f"puts the scale {shown} of its voxels (x, y, z) from where the first scale begins",
        "make the levels from an offset that is a multiple of all factors",
        level="must" if far else None,
        expected=[_whole_or(o - s) for o, s in zip(other.offset, shifts, strict=True)],
    )


def _whole_or(value: float) -> float:
    return int(value) if float(value).is_integer() else round(value, 6)


def _check_extent(first: _Geometry, other: _Geometry) -> None:
    wanted = [n * r0 / r for n, r0, r in zip(first.size, first.resolution, other.resolution, strict=True)]
    if all(abs(n - w) < 1 + _ROUNDING * w for n, w in zip(other.size, wanted, strict=True)):
        return
    other.place["size"].report(
        "PC-036",
        f"is {list(other.size)}, where the first scale covers {', '.join(f'{w:.6g}' for w in wanted)} such voxels",
        "correct it, or make the level again from all of the first scale",
        expected=[math.ceil(w - _ROUNDING) for w in wanted],
    )
