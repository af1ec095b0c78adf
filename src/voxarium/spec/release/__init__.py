"""Release documents and tombstones: what a published version of a dataset consists of. Version 1 of our own format.

A release is one document of canonical JSON, stored once under a number and never changed. It names the manifest of all
objects by its root, and the release before by the SHA-256 of its document: whoever knows the last document knows all.
docs/reference/releases.md specifies it. No I/O, no clock, no randomness.
"""

from voxarium.spec.release.documents import (
    MOST_DOCUMENT,
    dump_release,
    dump_tombstone,
    parse_release,
    parse_tombstone,
)
from voxarium.spec.release.model import (
    FOLDER,
    POOL,
    STATES,
    LogState,
    ManifestReference,
    Pin,
    PolicyResult,
    Release,
    Tombstone,
    check_name,
    entry_id,
    is_name,
    manifest_key,
    pool_key,
    release_key,
    tombstone_key,
)

__all__ = [
    "FOLDER",
    "MOST_DOCUMENT",
    "POOL",
    "STATES",
    "LogState",
    "ManifestReference",
    "Pin",
    "PolicyResult",
    "Release",
    "Tombstone",
    "check_name",
    "dump_release",
    "dump_tombstone",
    "entry_id",
    "is_name",
    "manifest_key",
    "parse_release",
    "parse_tombstone",
    "pool_key",
    "release_key",
    "tombstone_key",
]
