"""Removing details from the log: the payload goes, its hash stays, and an entry says that and why it was done."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from voxarium.archive.provenance import ProvenanceLog
from voxarium.errors import Code, InputError
from voxarium.model.protocols import WritableStore
from voxarium.model.provenance import Activity, Agent
from voxarium.spec.provenance import Entry, Removal, dump_payloads

__all__ = ["OPERATION", "remove_payloads", "removed_payloads"]

OPERATION = "remove-payload"


def removed_payloads(entries: Sequence[Entry]) -> dict[int, frozenset[str]]:
    """Return which payloads the log says were removed, by number of the entry they belonged to."""
    found: dict[int, frozenset[str]] = {}
    for entry in entries:
        if entry.removal is not None:
            target = entry.removal.sequence
            found[target] = found.get(target, frozenset()) | set(entry.removal.payloads)
    return found


def remove_payloads(
    log: ProvenanceLog, sequence: int, names: Collection[str], *, reason: str = "", agent: Agent | None = None
) -> Entry | None:
    """Remove details of an entry for good.

    The entry that says so comes first: were this stopped in between, the same call again finishes it. Copies of the
    dataset, backups, and older versions that a bucket keeps are not reached.

    Parameters
    ----------
    log : ProvenanceLog
        In a store that can be written.
    sequence : int
        Number of the entry.
    names : collection of str
        Which of its payloads.
    reason, agent : str, Agent or None
        Why, and by whom. These are payloads too.

    Returns
    -------
    Entry or None
        What was added; None when the log said already that these were removed.

    Raises
    ------
    InputError
        If there is no such entry, or it has no such payload.
    """
    entries = list(log.entries())
    if not 0 <= sequence < len(entries):
        raise InputError(
            f"{log.uri} has no entry {sequence}",
            code=Code.ARGUMENT_INVALID,
            fix=f"name one from 0 to {len(entries) - 1}; `voxarium log show` lists them",
        )
    target = entries[sequence]
    unknown = sorted(set(names) - set(target.payloads))
    if unknown or not names:
        raise InputError(
            f"entry {sequence} has no {' and no '.join(unknown) or 'payload named'}",
            code=Code.ARGUMENT_INVALID,
            fix=f"name some of {', '.join(sorted(target.payloads)) or 'another entry'}",
        )
    added = None
    missing = sorted(set(names) - removed_payloads(entries).get(sequence, frozenset()))
    if missing:
        activity = Activity(operation=OPERATION, agent=agent, note=reason)
        added = log.append(activity, removal=Removal(sequence, tuple(missing)))
    kept = {name: p for name, p in log.payloads(target).items() if name not in names}
    store, key = log.store, log.payload_key(target.write_id)
    if isinstance(store, WritableStore):  # it is: `append` or an earlier call of this wrote to it
        if kept:
            store.put(key, dump_payloads(target.write_id, kept))
        else:
            store.delete(key)
    return added
