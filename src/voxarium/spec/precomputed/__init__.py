"""Neuroglancer precomputed volumes without I/O: the ``info`` document, chunk names, positions, shards.

https://github.com/google/neuroglancer/blob/master/src/datasource/precomputed/volume.rst and sharded.rst
"""

from __future__ import annotations

from voxarium.spec.precomputed.addresses import follow_redirect, level_names, resolve_folder
from voxarium.spec.precomputed.cells import ChunkNames
from voxarium.spec.precomputed.chunks import (
    box_bits,
    chunk_name,
    morton_cells,
    morton_codes,
    morton_dimensions,
    parse_chunk_name,
)
from voxarium.spec.precomputed.info import (
    DATA_TYPES,
    KIND,
    ScaleInfo,
    VolumeInfo,
    dump_info,
    parse_info,
    parse_redirect,
)
from voxarium.spec.precomputed.positions import centre_transform, in_nanometers, scale_key, voxel_offset
from voxarium.spec.precomputed.shard_checks import ShardCheck
from voxarium.spec.precomputed.sharding import (
    Sharding,
    choose_sharding,
    dump_minishard_index,
    dump_shard_index,
    murmur_codes,
    parse_minishard_index,
    parse_shard_index,
    parse_sharding,
)

__all__ = [
    "DATA_TYPES",
    "KIND",
    "ChunkNames",
    "ScaleInfo",
    "ShardCheck",
    "Sharding",
    "VolumeInfo",
    "box_bits",
    "centre_transform",
    "choose_sharding",
    "chunk_name",
    "dump_info",
    "dump_minishard_index",
    "dump_shard_index",
    "follow_redirect",
    "in_nanometers",
    "level_names",
    "morton_cells",
    "morton_codes",
    "morton_dimensions",
    "murmur_codes",
    "parse_chunk_name",
    "parse_info",
    "parse_minishard_index",
    "parse_redirect",
    "parse_shard_index",
    "parse_sharding",
    "resolve_folder",
    "scale_key",
    "voxel_offset",
]
