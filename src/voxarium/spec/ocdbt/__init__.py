"""OCDBT: manifests, nodes of the version tree, nodes of the B+tree.

https://google.github.io/tensorstore/kvstore/ocdbt/index.html (storage format)

A database is a folder with a manifest and data files. The manifest leads to versions, by generation number and time of
commit; each version is a B+tree from keys to values, which stand in the leaves or in data files. Every document has an
envelope (magic number, length, CRC-32C) around a body that may be compressed; bodies are decompressed by the caller.

Seen in the wild, and other than the page says: the earliest time of a subtree of versions is in nanoseconds, too; a
version without keys has no root, which is written as an offset and a length of 2**64 - 1.
"""

from __future__ import annotations

from voxarium.spec.ocdbt.btree import Child, Interior, Leaf, parse_btree_node
from voxarium.spec.ocdbt.reading import MOST_DECODED, DataFile, Place, parse_envelope
from voxarium.spec.ocdbt.versions import (
    Generation,
    Manifest,
    Subtree,
    numbered_key,
    parse_commit_time,
    parse_manifest,
    parse_version,
    parse_version_node,
    time_text,
)  # fmt: skip

__all__ = [
    "BTREE_NODE", "MANIFEST", "MANIFEST_KEY", "MOST_DECODED", "VERSION_NODE", "Child", "DataFile", "Generation",
    "Interior", "Leaf", "Manifest", "Place", "Subtree", "numbered_key", "parse_btree_node", "parse_commit_time",
    "parse_envelope", "parse_manifest", "parse_version", "parse_version_node", "time_text",
]  # fmt: skip

MANIFEST_KEY = "manifest.ocdbt"
MANIFEST = 0x0CDB3A2A
"""What a manifest begins with."""
VERSION_NODE = 0x0CDB1234
"""What a node of the tree of versions begins with."""
BTREE_NODE = 0x0CDB20DE
"""What a node of a B+tree begins with."""
