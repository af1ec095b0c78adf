"""The logical digest: what an image's voxels and coordinates are, whatever container, chunks or codec hold them.

Defined in docs/reference/logical-digest.md. Pure: numbers in, digests out.
"""

from voxarium.spec.logical_digest.coordinates import Coordinates, coordinates_of
from voxarium.spec.logical_digest.grid import BlockGrid, canonical_order, content_shape, with_single_axes
from voxarium.spec.logical_digest.hashing import (
    DIGEST_BYTES,
    LeafHasher,
    bound_digest,
    content_digest,
    leaf_digest,
    leaf_header,
    stored_type,
    tree_nodes,
    tree_root,
    type_name,
)
from voxarium.spec.logical_digest.result import LogicalDigest
from voxarium.spec.logical_digest.sidecar import MAGIC, dump_tree, parse_tree

__all__ = [
    "DIGEST_BYTES",
    "MAGIC",
    "BlockGrid",
    "Coordinates",
    "LeafHasher",
    "LogicalDigest",
    "bound_digest",
    "canonical_order",
    "content_digest",
    "content_shape",
    "coordinates_of",
    "dump_tree",
    "leaf_digest",
    "leaf_header",
    "parse_tree",
    "stored_type",
    "tree_nodes",
    "tree_root",
    "type_name",
    "with_single_axes",
]
