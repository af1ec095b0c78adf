"""Signed statements about a provenance log: so many entries, this root. Who keeps one can tell any later rewriting."""

from __future__ import annotations

from voxarium.archive.keys import SigningKey, remember_checkpoint, remembered_checkpoints
from voxarium.archive.log_checks import check_log
from voxarium.archive.log_reading import LogReader
from voxarium.errors import ChecksumError, Code, ConflictError, UnsupportedError
from voxarium.model.protocols import WritableStore
from voxarium.spec.transparency_log import Checkpoint, SignedNote, dump_checkpoint, dump_note

__all__ = ["sign_checkpoint"]


def sign_checkpoint(log: LogReader, key: SigningKey) -> bytes:
    """Check a log, sign what it is now, and lay the checkpoint beside the entries.

    Parameters
    ----------
    log : LogReader
        In a store that can be written, with at least one entry.
    key : SigningKey
        Who vouches.

    Returns
    -------
    bytes
        The signed checkpoint (a small text file), to be kept elsewhere: with it, anyone can tell later whether
        entries were removed, changed, or replaced.

    Raises
    ------
    ChecksumError
        If the log is broken, or contradicts an earlier checkpoint, beside it or signed on this machine: that is
        never signed.
    """
    if not isinstance(log.store, WritableStore):
        raise UnsupportedError(
            f"{log.store.uri} cannot be written",
            code=Code.STORE_READ_ONLY,
            fix="sign where the log is kept",
        )
    report = check_log(log.existing(), kept=remembered_checkpoints(log.log_id()), details=False)
    if not report.ok:
        raise ChecksumError(
            f"{log.uri} is not signed: {report.problems[0].message}",
            code=Code.CHECKSUM_MISMATCH,
            fix="find out what changed it with `voxarium log verify`; restore the log from a copy",
        )
    text = dump_checkpoint(Checkpoint(origin=report.origin, size=report.size, root=bytes.fromhex(report.root)))
    note = dump_note(SignedNote(text, (key.sign(text),)))
    name = log.checkpoint_key(report.size, key.public.key_id)
    if not log.store.put_if_absent(name, note) and log.read_object(name, len(note)) != note:
        raise ConflictError(  # Ed25519 gives equal signatures for equal texts
            f"{name} is there and says something else",
            code=Code.CHECKSUM_MISMATCH,
            fix="find out who wrote it; the log is not to be trusted before that",
        )
    log.store.put(log.latest_key, note)
    remember_checkpoint(log.log_id(), note)
    return note
