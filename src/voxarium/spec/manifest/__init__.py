"""Manifests: the objects of a tree by key, with size and digests, and one digest of them all.

Spec: docs/reference/manifest.md. A manifest is columns, sorted by the UTF-8 bytes of the key; nothing here makes a
Python object per entry, so that 10⁶ objects cost about a hundred megabytes. Its digest (the *root*) is taken over the
entries, never over the Parquet file in which they are stored.
"""

from __future__ import annotations

from voxarium.spec.manifest.comparing import Difference, differences, matching
from voxarium.spec.manifest.entries import Manifest, make_manifest, selected, sorted_strings
from voxarium.spec.manifest.strings import Strings
from voxarium.spec.manifest.tables import check_roots, dump_manifest, parse_manifest
from voxarium.spec.manifest.tree import format_root, manifest_root, parse_root

__all__ = [
    "Difference",
    "Manifest",
    "Strings",
    "check_roots",
    "differences",
    "dump_manifest",
    "format_root",
    "make_manifest",
    "manifest_root",
    "matching",
    "parse_manifest",
    "parse_root",
    "selected",
    "sorted_strings",
]
