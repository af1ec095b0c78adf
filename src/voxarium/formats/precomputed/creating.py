"""Laying out a new scale: what can be held, which encoding, which shards."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from voxarium.codecs.deflate import Gzip
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.formats.precomputed.encodings import choose_encoding
from voxarium.formats.precomputed.scale import AXES, ScaleDetails, array_info
from voxarium.model.array_specs import check_shapes, checked_dtype
from voxarium.model.image import ArrayInfo, ArraySpec
from voxarium.spec.precomputed import DATA_TYPES, ScaleInfo, choose_sharding, voxel_offset

__all__ = ["create_scale"]

_MOST_SLOTS: Final = 1 << 22


def create_scale(spec: ArraySpec) -> ArrayInfo:
    """Return the metadata of a new scale; see `PrecomputedScaleDriver.create`."""
    check_shapes(spec)
    dtype = _writable_dtype(spec)
    names = tuple(spec.dimension_names or AXES[-len(spec.shape) :])
    if names not in (AXES, AXES[1:]):
        raise InputError(
            f"precomputed stores the axes c, z, y, x or z, y, x, not {', '.join(names)}",
            code=Code.AXES_MISMATCH,
            fix="name the axes so, and write other axes index by index",
        )
    _check_content(spec)
    size = _reversed(spec.shape)
    chunk = tuple(min(c, n) for c, n in zip(_reversed(spec.chunk_shape), size, strict=True))
    channels = spec.shape[0] if len(names) == 4 else 1
    choice = choose_encoding(spec.codec, dtype, channels, label=spec.role == "label")
    offset = (0, 0, 0)
    resolution = (1.0, 1.0, 1.0)
    if spec.transform is not None:
        offset = voxel_offset(spec.transform, names)
        x, y, z = np.diagonal(spec.transform.matrix(len(names)))[:-4:-1].tolist()
        resolution = (x, y, z)
    scale = ScaleInfo(
        key="new",
        size=size,
        resolution=resolution,
        chunk_sizes=((chunk[0], chunk[1], chunk[2]),),
        encoding=choice.name,
        voxel_offset=offset,
        block_size=(8, 8, 8) if choice.name == "compressed_segmentation" else None,
        extra=choice.settings,
    )
    gzip = None
    if spec.shard_shape is not None:
        wanted = [-(-s // c) for s, c in zip(_reversed(spec.shard_shape), scale.chunk, strict=True)]
        sharding, counts = choose_sharding(scale.grid, wanted, "raw" if choice.gzip is None else "gzip")
        _check_slots(math.prod(counts))
        scale = replace(scale, sharding=sharding)
        gzip = None if choice.gzip is None else Gzip(choice.gzip)
    details = ScaleDetails(scale, channels, choice.encoding, gzip)
    return array_info(details, dtype, len(names), (choice.remark,) if choice.remark else ())


def _reversed(shape: Sequence[int]) -> tuple[int, int, int]:
    z, y, x = shape[-3:]
    return x, y, z


def _writable_dtype(spec: ArraySpec) -> np.dtype[Any]:
    dtype = checked_dtype(spec)
    if dtype.name in DATA_TYPES:
        return dtype
    raise UnsupportedError(
        f"precomputed does not hold {dtype.name}",
        code=Code.DTYPE_UNSUPPORTED,
        fix=f"convert to one of {', '.join(DATA_TYPES)}",
    )


def _check_content(spec: ArraySpec) -> None:
    if np.asarray(spec.fill_value).tobytes().strip(b"\0"):
        raise UnsupportedError(
            f"the fill value is {spec.fill_value}, and chunks that are absent from a precomputed volume are 0",
            code=Code.LOSS_DECLARED,
            fix="use the fill value 0",
        )
    if 0 in spec.shape:
        raise UnsupportedError(
            f"an image of shape {spec.shape} is empty, which precomputed cannot hold",
            code=Code.FEATURE_UNSUPPORTED,
            fix="leave it out",
        )
    if spec.shard_shape is None and str(spec.codec).startswith("gzip"):
        raise InputError(
            "chunks that are files of their own are not packed with gzip in precomputed volumes",
            code=Code.ARGUMENT_INVALID,
            fix="use shards, or the codec raw",
        )
    if spec.role == "label" and len(spec.shape) == 4 and spec.shape[0] > 1:
        raise UnsupportedError(
            f"labels of {spec.shape[0]} channels cannot be held: a precomputed segmentation has one",
            code=Code.FEATURE_UNSUPPORTED,
            fix="write each channel as a segmentation of its own, or give the image the role intensity",
        )


def _check_slots(slots: int) -> None:
    if slots > _MOST_SLOTS:
        raise InputError(
            f"a shard of {slots} chunks is too large",
            code=Code.ARGUMENT_INVALID,
            fix="choose smaller shards, or larger chunks",
        )
