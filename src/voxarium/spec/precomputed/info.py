"""The ``info`` of a multiscale volume.

https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.rst

Dialects read: ``@type`` absent; words in any case; integers as text; ``chunk_size`` of the JSON schema instead of
``chunk_sizes``; ``"sharding": null``; int64 and float64, which CloudVolume writes. Unknown keys are carried along.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import numpy as np

from voxarium.errors import Code, FormatError
from voxarium.model.fields import Fields, Problems, dump_json
from voxarium.spec.precomputed.chunks import MOST_BITS, morton_dimensions
from voxarium.spec.precomputed.lenient import LenientFields
from voxarium.spec.precomputed.positions import MOST_VOXELS
from voxarium.spec.precomputed.sharding import Sharding, parse_sharding

__all__ = ["DATA_TYPES", "KIND", "ScaleInfo", "VolumeInfo", "dump_info", "parse_info", "parse_redirect"]

KIND: Final = "neuroglancer_multiscale_volume"
DATA_TYPES: Final = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32")
"""Types of voxels of the specification; int64 and float64 are read besides."""

_READ_TYPES: Final = (*DATA_TYPES, "int64", "float64")
_MOST_CHUNK_BYTES: Final = 2**36  # a chunk is decoded in memory; larger ones are a mistake or an attack
_MOST_SCALES: Final = 1000
_MOST_CHANNELS: Final = 2**20

Xyz = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleInfo:
    """One scale. All triples are (x, y, z).

    Parameters
    ----------
    key : str
        Its folder, relative to the volume.
    size, voxel_offset : tuple of int
        Voxels, and the first voxel.
    resolution : tuple of float
        Nanometers.
    chunk_sizes : tuple of tuple of int
        The first is used.
    encoding : str
        In lower case.
    block_size : tuple of int or None
        Of compressed_segmentation.
    hidden : bool
        True for a scale that viewers do not show by themselves.
    extra : mapping
        Unknown keys, carried along.
    """

    key: str
    size: Xyz
    resolution: tuple[float, float, float]
    chunk_sizes: tuple[Xyz, ...]
    encoding: str = "raw"
    voxel_offset: Xyz = (0, 0, 0)
    sharding: Sharding | None = None
    block_size: Xyz | None = None
    hidden: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    @property
    def chunk(self) -> Xyz:
        """Voxels of a chunk, never more than the volume has."""
        x, y, z = (min(c, n) for c, n in zip(self.chunk_sizes[0], self.size, strict=True))
        return x, y, z

    @property
    def grid(self) -> Xyz:
        """Chunks along each dimension."""
        x, y, z = (-(-n // c) for n, c in zip(self.size, self.chunk_sizes[0], strict=True))
        return x, y, z


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeInfo:
    """A multiscale volume.

    Parameters
    ----------
    kind : str
        ``image`` or ``segmentation``.
    data_type : str
        numpy's name of the type.
    scales : tuple of ScaleInfo
        Fine to coarse, as listed.
    mesh, skeletons, segment_properties : str or None
        Paths of what belongs to it.
    extra : mapping
        Unknown keys, carried along.
    """

    kind: Literal["image", "segmentation"]
    data_type: str
    num_channels: int
    scales: tuple[ScaleInfo, ...]
    mesh: str | None = None
    skeletons: str | None = None
    segment_properties: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel in memory."""
        return np.dtype(self.data_type)


# ---------------------------------------------------------------------------------------------------- parse
def parse_redirect(doc: Mapping[str, Any], where: str) -> str | None:
    """Return where an ``info`` says the volume really is; None when it is here.

    Raises
    ------
    FormatError
        If the redirect is no text.
    """
    target = doc.get("redirect")
    if target is None or target == "":
        return None
    if isinstance(target, str) and len(target) < 10_000:
        return target
    raise FormatError(
        f"{where}: redirect is no address",
        code=Code.METADATA_INVALID,
        fix="remove the redirect, or correct it",
    )


def parse_info(doc: Mapping[str, Any], where: str = "info") -> VolumeInfo:
    """Return the volume an ``info`` describes.

    Parameters
    ----------
    doc : mapping
        The JSON object.
    where : str
        Its place, for messages.

    Raises
    ------
    FormatError
        If it breaks the specification; all problems are listed.
    """
    problems = Problems(where)
    fields = LenientFields(doc, problems)
    fields.word("@type", (KIND,), KIND)
    fields.raw("redirect", None)
    kind = fields.word("type", ("image", "segmentation"))
    data_type = fields.word("data_type", _READ_TYPES)
    channels = fields.whole("num_channels", 1, _MOST_CHANNELS)
    listed = fields.raw("scales")
    if not isinstance(listed, list) or not 0 < len(listed) <= _MOST_SCALES:
        fields.wrong("scales", f"a list of 1 to {_MOST_SCALES} scales", listed)
        listed = []
    scales = tuple(_parse_scale(s, problems, f"scales[{i}]") for i, s in enumerate(listed))
    links = [_link(fields, key) for key in ("mesh", "skeletons", "segment_properties")]
    problems.check()
    info = VolumeInfo(
        kind=cast("Literal['image', 'segmentation']", kind),
        data_type=data_type,
        num_channels=channels,
        scales=scales,
        mesh=links[0],
        skeletons=links[1],
        segment_properties=links[2],
        extra=fields.rest(),
    )
    _check_sizes(info, problems)
    problems.check()
    return info


def _link(fields: Fields, key: str) -> str | None:
    value = fields.raw(key, None)
    return value if isinstance(value, str) and value else None


def _parse_scale(data: object, problems: Problems, at: str) -> ScaleInfo:
    fields = LenientFields(data, problems, at)
    encoding = fields.word("encoding", None)
    block_size = None
    if encoding == "compressed_segmentation":
        block_size = fields.wholes("compressed_segmentation_block_size", 1, 1 << 16)
    sharding = fields.raw("sharding", None)
    key = fields.text("key")
    if fields.has("key") and not key:
        fields.wrong("key", "the name of a folder")
    return ScaleInfo(
        key=key,
        size=fields.wholes("size", 1, MOST_VOXELS),
        resolution=fields.lengths_nm("resolution"),
        chunk_sizes=_chunk_sizes(fields),
        encoding=encoding,
        voxel_offset=fields.wholes("voxel_offset", -MOST_VOXELS, MOST_VOXELS, (0, 0, 0)),
        sharding=None if sharding is None else parse_sharding(sharding, problems, f"{at}.sharding"),
        block_size=block_size,
        hidden=fields.raw("hidden", False) is True,
        extra=fields.rest(),
    )


def _chunk_sizes(fields: LenientFields) -> tuple[Xyz, ...]:
    key = "chunk_sizes" if fields.has("chunk_sizes") or not fields.has("chunk_size") else "chunk_size"
    value = fields.raw(key)
    if key == "chunk_size":
        value = [value]
    found = [fields.three(v, 1, MOST_VOXELS) for v in value] if isinstance(value, list) else []
    sizes = tuple(v for v in found if v is not None)
    if not sizes or len(sizes) != len(found):
        if fields.has(key):
            fields.wrong(key, "a list of chunk sizes, three integers from 1 each")
        return ((1, 1, 1),)
    return sizes


def _check_sizes(info: VolumeInfo, problems: Problems) -> None:
    for i, scale in enumerate(info.scales):
        nbytes = math.prod(scale.chunk) * info.num_channels * info.dtype.itemsize
        if nbytes > _MOST_CHUNK_BYTES:
            problems.add(f"scales[{i}]: chunks of {scale.chunk} take {nbytes >> 30} GiB each")
        if scale.sharding is not None and len(morton_dimensions(scale.grid)) > MOST_BITS:
            problems.add(f"scales[{i}]: a grid of {scale.grid} chunks needs more than {MOST_BITS} bits")


# ----------------------------------------------------------------------------------------------------- dump
def _plain(value: float) -> int | float:
    return int(value) if value == int(value) and abs(value) < 2**53 else value


def _dump_scale(scale: ScaleInfo) -> dict[str, Any]:  # Any: JSON
    doc: dict[str, Any] = {
        "key": scale.key,
        "size": list(scale.size),
        "resolution": [_plain(r) for r in scale.resolution],
        "voxel_offset": list(scale.voxel_offset),
        "chunk_sizes": [list(c) for c in scale.chunk_sizes],
        "encoding": scale.encoding,
    }
    if scale.block_size is not None:
        doc["compressed_segmentation_block_size"] = list(scale.block_size)
    if scale.sharding is not None:
        doc["sharding"] = scale.sharding.to_json()
    if scale.hidden:
        doc["hidden"] = True
    return doc | {k: v for k, v in scale.extra.items() if k not in doc}


def dump_info(info: VolumeInfo) -> bytes:
    """Return the ``info`` of a volume, as the specification writes it.

    Examples
    --------
    >>> scale = ScaleInfo(key="8_8_8", size=(5, 6, 7), resolution=(8, 8, 8), chunk_sizes=((5, 6, 7),))
    >>> volume = VolumeInfo(kind="image", data_type="uint8", num_channels=1, scales=(scale,))
    >>> b'"data_type": "uint8"' in dump_info(volume)
    True
    """
    doc: dict[str, Any] = {
        "@type": KIND,
        "type": info.kind,
        "data_type": info.data_type,
        "num_channels": info.num_channels,
        "scales": [_dump_scale(s) for s in info.scales],
    }
    for key in ("mesh", "skeletons", "segment_properties"):
        value = getattr(info, key)
        if value is not None:
            doc[key] = value
    return dump_json(doc | {k: v for k, v in info.extra.items() if k not in doc})
