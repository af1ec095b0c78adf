"""Quality of any image: what makes it slow, unreadable for some, or hard to place, though nothing forbids it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

import numpy as np

from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.model.checking import Sheet
from voxarium.model.grid import ChunkGrid
from voxarium.model.rules import Rule, rules
from voxarium.model.transforms import scale_translation

__all__ = ["READERS", "RULES", "check_quality"]

RULES: Final[dict[str, Rule]] = {
    rule.id: rule
    for rule in rules(
        """
QU-001 quality needs=hierarchy
    Axes of space and time state a unit.
    why: Without a unit nobody can measure, and viewers assume nanometers, micrometers or voxels, each its own.
    mend: State the unit, as voxarium convert --unit does.
    bad: image zarr.json#/attributes/ome/multiscales/0/axes/0/unit remove
QU-002 quality needs=hierarchy
    Axes are named in the file.
    why: Where axes are guessed, an image is shown transposed sooner or later.
    mend: Write it in a format that names axes, giving them with voxarium convert --axes.
    bad: array zarr.json#/dimension_names remove
QU-003 quality needs=hierarchy
    An image that fills no screen has an overview: its coarsest level has at most 2048 voxels along every axis of space.
    why: A viewer that shows the whole image reads all chunks of the coarsest level.
    mend: Add levels, as voxarium convert does by itself.
    bad: array zarr.json#/shape = [7, 5000, 3]
QU-004 quality needs=hierarchy
    A chunk has between 4 KiB and 32 MiB of voxels.
    why: Smaller ones cost a request for next to nothing; larger ones make a viewer wait, and cannot be kept in memory.
    mend: Write it again with chunks of about 64 × 64 × 64 voxels, in shards where that makes too many objects.
    bad: array zarr.json#/chunk_grid/configuration/chunk_shape = [7, 9000, 900]
    and: zarr.json#/shape = [7, 9000, 900]
QU-005 quality needs=hierarchy
    Chunks are compact: no edge in space is more than 16 times another one's, measured in the world.
    why: Looking at a cut along the thin axis reads many times more than it shows.
    mend: Write it again with chunks of similar extent along all axes of space.
    bad: image s0/zarr.json#/chunk_grid/configuration/chunk_shape = [1, 1, 200]
QU-006 quality needs=hierarchy
    An array is stored in at most 200,000 objects.
    why: Listing, copying, verifying and deleting cost a request an object; file systems run out of inodes.
    mend: Write it again with shards, as voxarium convert does.
    bad: array zarr.json#/shape = [70000, 50000, 300]
QU-007 quality needs=hierarchy
    Common readers know every codec.
    why: A codec that one library brings makes the data depend on that library.
    mend: Write it again with zstd, gzip or blosc.
    bad: array zarr.json#/codecs = [{"name": "bytes", "configuration": {"endian": "little"}}, \
{"name": "numcodecs.zlib", "configuration": {"level": 1}}]
QU-008 quality needs=hierarchy
    Common readers know the data type.
    why: Neuroglancer shows no int64, float64 and bool; the precomputed format has none of them.
    mend: Store labels as uint32 or uint64, intensities as uint8, uint16 or float32.
    bad: array zarr.json#/data_type = "int64"
QU-009 quality needs=hierarchy
    Stored chunks carry a checksum.
    why: One flipped bit in a chunk without checksum is read as other voxels, without any error.
    mend: Write it again with crc32c, zstd with checksum, or gzip; or keep a manifest of digests.
    bad: array zarr.json#/codecs = [{"name": "bytes", "configuration": {"endian": "little"}}]
QU-010 quality needs=hierarchy
    Each level is at most 4 times coarser than the one before, along every axis.
    why: Between two levels a viewer reads the finer one: up to the cube of the factor more than it shows.
    mend: Add the levels between.
    bad: image zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/scale = [90, 40, 40]
QU-011 quality needs=hierarchy
    Shards hold at least 8 chunks where they are small, and no more than 4 GiB of voxels.
    why: A shard is the smallest thing that is written and copied; writers hold one in memory.
    mend: Write it again with shards of 256 to 1024 voxels along each axis.
    bad: sharded-array zarr.json#/chunk_grid/configuration/chunk_shape = [3000, 3000, 3000]
    and: zarr.json#/shape = [3000, 3000, 3000]
    and: zarr.json#/codecs/0/configuration/chunk_shape = [1000, 1000, 1000]
""",
        basis="house",
    )
}

# Codecs outside the common set, and who of the readers that were measured does not know them.
READERS: Final[Mapping[str, str]] = {
    "zlib": "TensorStore, Neuroglancer",
    "bz2": "TensorStore, Neuroglancer",
    "shuffle": "TensorStore, Neuroglancer",
    "fixedscaleoffset": "TensorStore, Neuroglancer",
    "adler32": "zarr-python, TensorStore, Neuroglancer",
    "fletcher32": "zarr-python, TensorStore, Neuroglancer",
    "pcodec": "zarr-python without pcodec, TensorStore, Neuroglancer",
    "packbits": "zarr-python, TensorStore, Neuroglancer",
    "bitround": "zarr-python, TensorStore, Neuroglancer",
    "zfp": "zarr-python, TensorStore, Neuroglancer",
    "crackle": "Neuroglancer",
    "compresso": "TensorStore",
    "jxl": "TensorStore",
}
_CHECKED: Final = ("crc32c", "gzip", "zlib", "adler32", "fletcher32", "png", "bz2", "lzma", "checksum")
_TYPES: Final = frozenset({"uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float32"})


def check_quality(sheet: Sheet, image: Image) -> None:
    """Report what makes an image slow, or hard to read or to place."""
    _check_axes(sheet, image)
    _check_overview(sheet, image)
    _check_factors(sheet, image)
    for check in _OF_ARRAYS:
        check(sheet, image)


def _spatial(image: Image) -> list[int]:
    """Return the numbers of the axes of space; of the last three where the types are not known."""
    known = [i for i, axis in enumerate(image.axes) if axis.type == "space"]
    return known or list(range(max(0, image.ndim - 3), image.ndim))


def _check_axes(sheet: Sheet, image: Image) -> None:
    if not image.info.axes_stated:
        sheet.report("QU-002", "names no axes", "write it in a format that names them (voxarium convert --axes)")
        return
    missing = [axis.name for axis in image.axes if axis.type in ("space", "time") and axis.unit is None]
    if missing:
        sheet.report("QU-001", f"states no unit for {', '.join(missing)}", "state the unit")


def _check_overview(sheet: Sheet, image: Image) -> None:
    coarsest = image.arrays[-1].shape
    longest = max((coarsest[i] for i in _spatial(image)), default=0)
    if longest > _OVERVIEW:
        message = f"has {longest:,} voxels along an axis at its coarsest level"
        sheet.report(
            "QU-003", message, f"add levels until there are at most {_OVERVIEW:,}", values=(_OVERVIEW, longest)
        )


def _check_factors(sheet: Sheet, image: Image) -> None:
    scales = [scale_translation(level.transform, image.ndim) for level in image.levels]
    for i, (fine, coarse) in enumerate(pairwise(scales), 1):
        if fine is None or coarse is None:
            continue
        steps = [abs(c / f) for f, c in zip(fine[0], coarse[0], strict=True) if f]
        if max(steps, default=1) > _STEP:
            message = f"level {i} is {max(steps):g} times coarser than level {i - 1}"
            sheet.report("QU-010", message, "add the levels between", values=(_STEP, max(steps)))


_OVERVIEW: Final = 2048
_STEP: Final = 4
_SMALL, _LARGE = 4 << 10, 32 << 20
_OBJECTS: Final = 200_000
_SHARD: Final = 4 << 30
_LONG: Final = 16


def _arrays(image: Image) -> Iterator[tuple[str, Array]]:
    """Yield (how messages name it, array) of the levels that are stored in chunks."""
    for i, array in enumerate(image.arrays):
        if not array.info.contiguous:
            yield (f"level {i} " if len(image.arrays) > 1 else ""), array


def _check_chunks(sheet: Sheet, image: Image) -> None:
    for name, array in _arrays(image):
        info = array.info
        size = math.prod(info.chunk_shape) * info.dtype.itemsize
        whole = math.prod(min(c, s) for c, s in zip(info.chunk_shape, info.shape, strict=True)) * info.dtype.itemsize
        if size > _LARGE or (whole < _SMALL and array.nbytes > 64 * _SMALL):
            shape = " × ".join(map(str, info.chunk_shape))
            sheet.report(
                "QU-004", f"{name}has chunks of {shape}, {size:,} bytes", "write it again with about 64 × 64 × 64"
            )
            return


def _check_compact(sheet: Sheet, image: Image) -> None:
    spatial = _spatial(image)
    for level, (name, array) in zip(image.levels, _arrays(image), strict=False):
        scale = scale_translation(level.transform, image.ndim)
        if scale is None or len(spatial) < 2:
            continue
        chunk, shape = array.info.chunk_shape, array.shape
        cut = any(chunk[i] < shape[i] for i in spatial)
        extents = [chunk[i] * abs(scale[0][i]) for i in spatial if shape[i] > 1]
        if cut and min(extents) > 0 and max(extents) / min(extents) > _LONG:
            ratio = max(extents) / min(extents)
            message = f"{name}has chunks of {' × '.join(map(str, chunk))}, {ratio:.0f} : 1 in space"
            sheet.report("QU-005", message, "write it again with chunks of similar extents")
            return


def _check_objects(sheet: Sheet, image: Image) -> None:
    for name, array in _arrays(image):
        if not hasattr(array.driver, "object_key"):
            continue
        count = math.prod(ChunkGrid(array.shape, array.info.object_shape).counts)
        if count > _OBJECTS:
            sheet.report(
                "QU-006", f"{name}takes {count:,} objects", "write it again with shards", values=(_OBJECTS, count)
            )
            return


def _names(codecs: Sequence[str]) -> list[str]:
    return [codec.partition(":")[0] for codec in codecs]


def _check_codecs(sheet: Sheet, image: Image) -> None:
    for _, array in _arrays(image):
        unknown = [n for n in _names(array.info.codecs) if n in READERS]
        if unknown:
            who = "; ".join(f"{n}: not read by {READERS[n]}" for n in unknown)
            sheet.report("QU-007", f"is stored with {who}", "write it again with zstd, gzip or blosc")
            return


def _check_type(sheet: Sheet, image: Image) -> None:
    if image.dtype.name not in _TYPES and np.dtype(image.dtype).kind in "iufbc":
        sheet.report("QU-008", f"has the type {image.dtype.name}", "store one that all readers know", values=(
            sorted(_TYPES), image.dtype.name,
        ))  # fmt: skip


def _check_checksums(sheet: Sheet, image: Image) -> None:
    for name, array in _arrays(image):
        codecs = array.info.codecs
        if codecs and not any(word in codec for codec in codecs for word in _CHECKED):
            sheet.report(
                "QU-009",
                f"{name}has chunks without a checksum ({', '.join(codecs)})",
                "write it again with a checksum, or keep a manifest of digests",
            )
            return


def _check_shards(sheet: Sheet, image: Image) -> None:
    for name, array in _arrays(image):
        info = array.info
        if info.shard_shape is None:
            continue
        size = math.prod(info.shard_shape) * info.dtype.itemsize
        chunks = math.prod(s // c for s, c in zip(info.shard_shape, info.chunk_shape, strict=True))
        few = chunks < 8 and size < _SMALL << 10 and array.nbytes > size
        if size > _SHARD or few:
            shape = " × ".join(map(str, info.shard_shape))
            sheet.report(
                "QU-011", f"{name}has shards of {shape}, {chunks:,} chunks", "write it again with shards of 512"
            )
            return


_OF_ARRAYS: Final[tuple[Callable[[Sheet, Image], None], ...]] = (
    _check_chunks, _check_compact, _check_objects, _check_codecs, _check_type, _check_checksums, _check_shards,
)  # fmt: skip
