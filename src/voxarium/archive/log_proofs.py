"""Proofs for those who have a checkpoint and not the log: that an entry is in it, and that it has only grown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from voxarium.archive.keys import verify_signature
from voxarium.archive.log_reading import LogReader
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.spec.provenance import Entry, origin_of, parse_entry
from voxarium.spec.release import entry_id
from voxarium.spec.transparency_log import (
    Checkpoint,
    LogProof,
    MerkleTree,
    PublicKey,
    SignedNote,
    dump_proof,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    parse_proof,
    verify_consistency,
    verify_inclusion,
)

__all__ = ["CheckedProof", "check_proof", "prove_document", "prove_entry", "prove_growth"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedProof:
    """What a proof says, and whether it holds.

    Parameters
    ----------
    problems : tuple of str
        Why it proves nothing; empty: it holds.
    origin, size : str, int
        Of the log, as the checkpoint has them.
    signed_by : tuple of str
        Names of the keys to be believed that signed the checkpoint.
    entry : Entry or None
        The entry that is proved to be in the log.
    since : int
        Entries that are proved to be there still, as they were; 0 for a proof of an entry.
    """

    problems: tuple[str, ...]
    origin: str
    size: int
    signed_by: tuple[str, ...]
    entry: Entry | None = None
    since: int = 0

    @property
    def ok(self) -> bool:
        """Whether it holds."""
        return not self.problems

    def to_json(self) -> dict[str, Any]:  # Any: JSON
        """Return the report for ``--json``."""
        entry = self.entry
        said = None if entry is None else {"sequence": entry.sequence, "operation": entry.operation, "time": entry.time}
        return {
            "ok": self.ok,
            "problems": list(self.problems),
            "origin": self.origin,
            "size": self.size,
            "signed_by": list(self.signed_by),
            "entry": said,
            "since": self.since or None,
        }


# ----------------------------------------------------------------------------------------------------------- proving
def prove_entry(log: LogReader, sequence: int) -> bytes:
    """Return a proof that an entry is in the log, as the newest checkpoint beside it says.

    Raises
    ------
    NotFoundError
        If there is no such entry, or no checkpoint covers it.
    """
    lines = [line.data for line in log.existing().lines()]
    if not 0 <= sequence < len(lines):
        raise NotFoundError(
            f"{log.uri} has no entry {sequence}",
            code=Code.PATH_MISSING,
            fix=f"name one from 0 to {len(lines) - 1}; `voxarium log show` lists them",
        )
    tree = MerkleTree(map(leaf_hash, lines))
    note, point = _newest(log, tree, sequence + 1)
    hashes = tuple(tree.prove_inclusion(sequence, point.size))
    return dump_proof(LogProof(number=sequence, hashes=hashes, note=note, entry=lines[sequence]))


def prove_document(log: LogReader, document: bytes) -> bytes:
    """Return a proof that the log has the entry about a release, or its withdrawal, by its document.

    Raises
    ------
    NotFoundError
        If it has none, or no checkpoint covers it.
    """
    wanted = entry_id(document)
    for entry in log.existing().entries():
        if entry.write_id == wanted:
            return prove_entry(log, entry.sequence)
    raise NotFoundError(
        f"{log.uri} has no entry about this document",
        code=Code.PATH_MISSING,
        fix="`voxarium release verify` tells what is wrong with the dataset",
    )


def prove_growth(log: LogReader, kept: bytes) -> bytes:
    """Return a proof that the log still has what it had at an earlier checkpoint.

    Raises
    ------
    InputError
        If it has not: nothing can prove it then.
    FormatError
        If the earlier checkpoint is none.
    """
    before = parse_checkpoint(parse_note(kept).text)
    tree, origin = log.existing().tree(), origin_of(log.log_id())
    if before.origin != origin or before.size > len(tree) or tree.root(before.size) != before.root:
        raise InputError(
            f"{log.uri} is not a later state of what the checkpoint of {before.size} entries is about",
            code=Code.CHECKSUM_MISMATCH,
            fix="`voxarium log verify DATASET --checkpoint FILE` tells what was changed",
        )
    note, point = _newest(log, tree, before.size)
    hashes = tuple(tree.prove_consistency(before.size, point.size))
    return dump_proof(LogProof(number=before.size, hashes=hashes, note=note))


def _newest(log: LogReader, tree: MerkleTree, least: int) -> tuple[bytes, Checkpoint]:
    """Return the checkpoint beside the log that covers most, of those that it agrees with."""
    found: list[tuple[int, bytes, Checkpoint]] = []
    for _, data in log.checkpoints():
        try:
            point = None if isinstance(data, FormatError) else parse_checkpoint(parse_note(data).text)
        except FormatError:
            continue  # `voxarium log verify` names it
        if point is None or isinstance(data, FormatError) or not least <= point.size <= len(tree):
            continue
        if point.origin == origin_of(log.log_id()) and tree.root(point.size) == point.root:
            found.append((point.size, data, point))
    if not found:
        raise NotFoundError(
            f"no checkpoint beside {log.uri} covers {least} entries",
            code=Code.PATH_MISSING,
            fix="sign one: voxarium log checkpoint DATASET --key NAME",
        )
    _, note, point = max(found, key=lambda one: one[0])
    return note, point


# ---------------------------------------------------------------------------------------------------------- checking
def check_proof(
    data: bytes, *, keys: Sequence[PublicKey] = (), kept: bytes | None = None, document: bytes | None = None
) -> CheckedProof:
    """Tell whether a proof holds; the log itself is not looked at.

    Parameters
    ----------
    data : bytes
        From `prove_entry`, `prove_document` or `prove_growth`, perhaps by way of somebody who lies.
    keys : sequence of PublicKey
        Whom to believe: one of them must have signed the checkpoint.
    kept : bytes or None
        A checkpoint that was kept: needed for a proof that the log only grew since.
    document : bytes or None
        Document of a release or of its withdrawal, of which the entry must be.

    Raises
    ------
    FormatError
        If it is no proof.
    InputError
        If it needs a checkpoint that was kept, and none is given.
    """
    proof = parse_proof(data)
    note = parse_note(proof.note)
    point = parse_checkpoint(note.text)
    signed_by = _signers(note, keys)
    problems = [] if signed_by or not keys else ["the checkpoint is not signed by a key that is to be believed"]
    if proof.entry is None:
        if kept is None:
            raise InputError(
                f"the proof is about what was added since a checkpoint of {proof.number} entries, which is not given",
                code=Code.ARGUMENT_INVALID,
                fix="give the checkpoint that was kept: --checkpoint FILE",
            )
        problems += _growth_problems(proof, point, kept, keys)
        return CheckedProof(
            problems=tuple(problems), origin=point.origin, size=point.size, signed_by=signed_by, since=proof.number
        )
    entry = parse_entry(proof.entry, "the entry of the proof")
    problems += _entry_problems(proof, entry, point, document)
    return CheckedProof(
        problems=tuple(problems), origin=point.origin, size=point.size, signed_by=signed_by, entry=entry
    )


def _signers(note: SignedNote, keys: Sequence[PublicKey]) -> tuple[str, ...]:
    return tuple(
        key.name
        for key in keys
        if any(
            (s.name, s.key_id) == (key.name, key.key_id) and verify_signature(key, s, note.text)
            for s in note.signatures
        )
    )


def _growth_problems(proof: LogProof, point: Checkpoint, kept: bytes, keys: Sequence[PublicKey]) -> list[str]:
    note = parse_note(kept)
    before = parse_checkpoint(note.text)
    if keys and not _signers(note, keys):
        return ["the checkpoint that was kept is not signed by a key that is to be believed"]
    if before.origin != point.origin:
        return [f"the checkpoint that was kept is about {before.origin}, the proof about {point.origin}"]
    if before.size != proof.number:
        return [f"the proof begins with {proof.number} entries, the checkpoint that was kept with {before.size}"]
    if not verify_consistency(before.size, before.root, point.size, point.root, proof.hashes):
        return ["the hashes do not lead from the one checkpoint to the other: the log was rewritten since"]
    return []


def _entry_problems(proof: LogProof, entry: Entry, point: Checkpoint, document: bytes | None) -> list[str]:
    problems = []
    leaf = leaf_hash(proof.entry or b"")
    if not verify_inclusion(leaf, proof.number, point.size, point.root, proof.hashes):
        problems.append("the hashes do not lead from the entry to the checkpoint: it is not in this log")
    if entry.sequence != proof.number or origin_of(entry.log) != point.origin:
        problems.append("the entry is of another place or log than the proof says")
    if document is not None and entry.write_id != entry_id(document):
        problems.append("the entry is not about this document")
    return problems
