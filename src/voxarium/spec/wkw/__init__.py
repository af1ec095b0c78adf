"""WKW: the header, the table of block ends, the order of blocks and the names of files.

Spec: https://github.com/scalableminds/webknossos-wrap. A file holds a cube of blocks, a block a cube of voxels; both
have sides that are powers of two. Blocks follow one another in Morton order. Compressed files have, behind the header,
one 64-bit number per block: where it ends in the file.
"""

from __future__ import annotations

from voxarium.spec.wkw.header import (
    BLOCK_TYPES,
    HEADER_NAME,
    HEADER_SIZE,
    VOXEL_TYPES,
    BlockType,
    Header,
    check_header,
    dump_ends,
    dump_header,
    parse_ends,
    parse_header,
)
from voxarium.spec.wkw.layout import (
    aligned_sides,
    checked_block_type,
    checked_channels,
    choose_sides,
    extent,
    file_key,
    morton_order,
    morton_places,
)

__all__ = [
    "BLOCK_TYPES",
    "HEADER_NAME",
    "HEADER_SIZE",
    "VOXEL_TYPES",
    "BlockType",
    "Header",
    "aligned_sides",
    "check_header",
    "checked_block_type",
    "checked_channels",
    "choose_sides",
    "dump_ends",
    "dump_header",
    "extent",
    "file_key",
    "morton_order",
    "morton_places",
    "parse_ends",
    "parse_header",
]
