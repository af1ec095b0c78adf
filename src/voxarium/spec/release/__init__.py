"""Release documents and tombstones: what a published version of a dataset consists of. Version 1 of our own format.

A release is one document of canonical JSON, stored once under a number and never changed. It names the manifest of all
objects by its root, and the release before by the SHA-256 of its document: whoever knows the last document knows all.
docs/reference/releases.md specifies it. No I/O, no clock, no randomness.
"""

from voxarium.spec.release.checking import MOST_DOCUMENT
from voxarium.spec.release.documents import (
    dump_release,
    dump_tombstone,
    parse_release,
    parse_tombstone,
)
from voxarium.spec.release.drafts import MOST_DRAFT, DraftState, Edit, dump_draft, parse_draft
from voxarium.spec.release.model import (
    DATASET_KEY,
    DRAFTS,
    FOLDER,
    PIECES,
    POOL,
    STATES,
    LogState,
    ManifestReference,
    Pin,
    PolicyResult,
    Release,
    Tombstone,
    check_draft_name,
    check_name,
    draft_key,
    entry_id,
    is_composed,
    is_draft_name,
    is_name,
    manifest_key,
    may_change,
    pieces_key,
    pool_key,
    release_key,
    tombstone_key,
)
from voxarium.spec.release.pieces import MOST_PIECES, Piece, dump_pieces, parse_pieces

__all__ = [
    "DATASET_KEY",
    "DRAFTS",
    "FOLDER",
    "MOST_DOCUMENT",
    "MOST_DRAFT",
    "MOST_PIECES",
    "PIECES",
    "POOL",
    "STATES",
    "DraftState",
    "Edit",
    "LogState",
    "ManifestReference",
    "Piece",
    "Pin",
    "PolicyResult",
    "Release",
    "Tombstone",
    "check_draft_name",
    "check_name",
    "draft_key",
    "dump_draft",
    "dump_pieces",
    "dump_release",
    "dump_tombstone",
    "entry_id",
    "is_composed",
    "is_draft_name",
    "is_name",
    "manifest_key",
    "may_change",
    "parse_draft",
    "parse_pieces",
    "parse_release",
    "parse_tombstone",
    "pieces_key",
    "pool_key",
    "release_key",
    "tombstone_key",
]
