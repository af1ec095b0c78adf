"""A scale as an array: what reading and writing its chunks needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voxarium.codecs.deflate import Gzip
from voxarium.formats.precomputed.encodings import ChunkEncoding, described
from voxarium.formats.precomputed.naming import BARE, Naming
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo
from voxarium.spec.precomputed import ChunkNames, ScaleInfo, box_bits, centre_transform

__all__ = ["AXES", "SCALE_FORMAT", "SPEC_URL", "ScaleDetails", "array_info", "divides"]

AXES: Final = ("c", "z", "y", "x")
SCALE_FORMAT: Final = "precomputed-scale"
SPEC_URL: Final = "https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.rst"


@dataclass(frozen=True, slots=True)
class ScaleDetails:
    """What reading and writing a scale needs, worked out once.

    Parameters
    ----------
    scale : ScaleInfo
        As in the ``info``.
    channels : int
        Stored together in each chunk.
    encoding : ChunkEncoding
        Of chunks.
    gzip : Gzip or None
        Around each chunk in shards.
    folder : str or None
        Where the objects are; None = at the path of the array.
    naming : Naming
        How they are named.
    names : ChunkNames
        Bare names of chunks, and their cells; remembers what it was asked.
    """

    scale: ScaleInfo
    channels: int
    encoding: ChunkEncoding
    gzip: Gzip | None = None
    folder: str | None = None
    naming: Naming = BARE
    names: ChunkNames = field(init=False, repr=False, compare=False)
    _counts: tuple[int, int, int] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        scale = self.scale
        object.__setattr__(self, "names", ChunkNames(scale.chunk, scale.voxel_offset, scale.size))
        object.__setattr__(self, "_counts", self._boxes())

    def counts(self) -> tuple[int, int, int] | None:
        """Return the chunks of a shard along x, y, z; None when shards are no boxes."""
        return self._counts

    def _boxes(self) -> tuple[int, int, int] | None:
        sharding = self.scale.sharding
        if sharding is None or sharding.hash != "identity":
            return None
        bits = box_bits(self.scale.grid, sharding.local_bits)
        total = sum(box_bits(self.scale.grid, 64))
        if sum(bits) > 60 or sharding.shard_bits < total - sharding.local_bits:
            return None  # chunks far apart share a shard
        x, y, z = (1 << b for b in bits)
        return x, y, z

    def full(self, shape: Sequence[int]) -> tuple[int, int, int, int]:
        """Return a chunk's shape with the channel axis."""
        z, y, x = shape[-3:]
        return self.channels, z, y, x


def array_info(details: ScaleDetails, dtype: np.dtype[Any], ndim: int, remarks: tuple[str, ...] = ()) -> ArrayInfo:
    """Return what readers need to know."""
    scale = details.scale
    front = (details.channels,) if ndim == 4 else ()
    chunk = (*front, *reversed(scale.chunk))
    counts = details.counts()
    shard = None
    if counts is not None:
        inside = (1,) * len(front) + counts[::-1]
        shard = tuple(c * n for c, n in zip(chunk, inside, strict=True))
    names = AXES[-ndim:]
    packed = () if details.gzip is None else (details.gzip.name,)
    return ArrayInfo(
        format=SCALE_FORMAT,
        shape=(*front, *reversed(scale.size)),
        dtype=dtype,
        chunk_shape=chunk,
        shard_shape=shard,
        clipped=True,
        fill_value=dtype.type(0),
        codecs=(described(scale), *packed),
        axes=tuple(
            Axis(name=n, type="channel") if n == "c" else Axis(name=n, type="space", unit="nanometer") for n in names
        ),
        transform=centre_transform(scale.resolution, scale.voxel_offset, channels=ndim == 4),
        attributes=scale.extra,
        remarks=remarks,
        details=details,
    )


def divides(info: ArrayInfo) -> bool:
    """Tell whether no chunk is cut."""
    return all(n % c == 0 for n, c in zip(info.shape, info.chunk_shape, strict=True))
