"""Transparency logs: a Merkle tree over the entries of a log, and signed statements about its size and root.

The tree is that of RFC 6962 (section 2.1) and RFC 9162; a checkpoint is a note of https://c2sp.org/tlog-checkpoint,
signed as https://c2sp.org/signed-note says. Who keeps one checkpoint can tell whether the log has only grown since. No
I/O; making and checking the signatures themselves is somebody else's work.
"""

from __future__ import annotations

from voxarium.spec.transparency_log.notes import (
    ED25519,
    Checkpoint,
    NoteSignature,
    PublicKey,
    SignedNote,
    dump_checkpoint,
    dump_note,
    dump_public_key,
    key_id,
    parse_checkpoint,
    parse_note,
    parse_public_key,
)
from voxarium.spec.transparency_log.proofs import LogProof, dump_proof, parse_proof
from voxarium.spec.transparency_log.tree import (
    EMPTY_ROOT,
    MerkleTree,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

__all__ = [
    "ED25519",
    "EMPTY_ROOT",
    "Checkpoint",
    "LogProof",
    "MerkleTree",
    "NoteSignature",
    "PublicKey",
    "SignedNote",
    "dump_checkpoint",
    "dump_note",
    "dump_proof",
    "dump_public_key",
    "key_id",
    "leaf_hash",
    "node_hash",
    "parse_checkpoint",
    "parse_note",
    "parse_proof",
    "parse_public_key",
    "verify_consistency",
    "verify_inclusion",
]
