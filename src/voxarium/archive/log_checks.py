"""Checking a provenance log: entries against each other, the tree against checkpoints, details against hashes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from voxarium.archive.keys import verify_signature
from voxarium.archive.log_reading import LogReader, batches
from voxarium.archive.log_report import CheckedCheckpoint, LogProblem, LogReport
from voxarium.archive.redaction import removed_payloads
from voxarium.core.pools import run_all
from voxarium.errors import FormatError
from voxarium.model.protocols import ListableStore
from voxarium.spec.provenance import MOST_PAYLOADS, Entry, commitment, origin_of, parse_entry, parse_payloads
from voxarium.spec.transparency_log import (
    MerkleTree,
    PublicKey,
    SignedNote,
    leaf_hash,
    parse_checkpoint,
    parse_note,
)

__all__ = ["check_log"]

_BATCH: Final = 256


@dataclass(slots=True)
class _Chain:
    """The entries that hang together, and what ended them."""

    entries: list[Entry] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    tree: MerkleTree = field(default_factory=MerkleTree)
    problems: list[LogProblem] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return origin_of(self.entries[0].log) if self.entries else ""


def check_log(
    log: LogReader,
    *,
    kept: Sequence[tuple[str, bytes]] = (),
    keys: Sequence[PublicKey] = (),
    details: bool = True,
) -> LogReport:
    """Read a whole log and say what is wrong with it.

    Parameters
    ----------
    log : LogReader
        The log.
    kept : sequence of (str, bytes)
        Checkpoints that were kept elsewhere, each with a name for messages: what tells whether the log was cut
        off, rewritten or replaced since.
    keys : sequence of PublicKey
        Keys to believe. If any are given, one of them must have signed a checkpoint.
    details : bool
        Also check the payloads.
    """
    chain = _read_chain(log)
    points, point_problems = _check_points(log, chain, kept, keys)
    report = _Details()
    if details:
        _check_details(log, chain, report)
    size = len(chain.entries)
    return LogReport(
        origin=chain.origin,
        size=size,
        head=chain.tree.leaf(size - 1).hex() if size else "",
        root=chain.tree.root(size).hex(),
        problems=(*chain.problems, *point_problems, *report.problems),
        checkpoints=tuple(points),
        details=report.present,
        removed=report.removed,
        leftovers=tuple(_leftovers(log, chain)),
    )


# ------------------------------------------------------------------------------------------------------------ entries
def _read_chain(log: LogReader) -> _Chain:
    """Return the entries up to the first bad one."""
    chain = _Chain()
    found: list[tuple[str, str, Entry]] = []  # key, hash, entry
    for item in _raw_lines(log):
        problem = item if isinstance(item, LogProblem) else _parse(item, found)
        if problem is not None:
            chain.problems.append(problem)
            break
    good = len(found)
    for i in range(1, len(found)):
        if found[i][2].previous != found[i - 1][1]:
            good = _culprit(found, i)
            chain.problems.insert(0, _changed(found, good))
            break
    for key, digest, entry in found[:good]:
        chain.entries.append(entry)
        chain.keys.append(key)
        chain.tree.append(bytes.fromhex(digest))
    return chain


def _raw_lines(log: LogReader) -> Iterator[tuple[str, bytes] | LogProblem]:
    """Yield (key, line), and at last what ends them too early."""
    expected = 0
    for first, key, lines in log.raw_segments():
        if first < expected:
            yield LogProblem(kind="extra", key=key, message=f"{key} repeats entry {first}", sequence=first)
            return
        if first > expected or lines is None:
            missing = log.segment_key(expected)
            message = f"entry {expected} is missing: there is no {missing}, yet later entries are there"
            yield LogProblem(kind="missing", key=missing, message=message, sequence=expected)
            return
        if isinstance(lines, FormatError):
            yield LogProblem(kind="malformed", key=key, message=lines.message, sequence=first)
            return
        for data in lines:
            yield key, data
        expected += len(lines)


def _parse(item: tuple[str, bytes], found: list[tuple[str, str, Entry]]) -> LogProblem | None:
    """Add an entry to those found, or tell why it is none."""
    (key, data), sequence = item, len(found)
    try:
        entry = parse_entry(data, f"entry {sequence} in {key}")
    except FormatError as error:
        return LogProblem(kind="malformed", key=key, message=error.message, sequence=sequence)
    kind, expected, actual = "", "", ""
    if entry.sequence != sequence:
        kind, expected, actual = "misplaced", str(sequence), str(entry.sequence)
    elif found and entry.log != found[0][2].log:
        kind, expected, actual = "foreign", found[0][2].log, entry.log
    if not kind:
        found.append((key, leaf_hash(data).hex(), entry))
        return None
    message = f"entry {sequence} in {key} belongs to another {'place' if kind == 'misplaced' else 'log'}"
    return LogProblem(kind=kind, key=key, message=message, sequence=sequence, expected=expected, found=actual)


def _culprit(found: list[tuple[str, str, Entry]], i: int) -> int:
    """Return which entry was changed when entry `i` does not continue the one before: that one, or itself.

    The entry behind tells: what it continues is as it was written.
    """
    if i + 1 == len(found) or found[i + 1][2].previous == found[i][1]:
        return i - 1
    return i


def _changed(found: list[tuple[str, str, Entry]], i: int) -> LogProblem:
    key, digest, _ = found[i]
    return LogProblem(
        kind="changed",
        key=key,
        message=f"entry {i} in {key} is not the one that entry {i + 1} continues",
        sequence=i,
        expected=found[i + 1][2].previous,
        found=digest,
    )


# -------------------------------------------------------------------------------------------------------- checkpoints
def _check_points(
    log: LogReader, chain: _Chain, kept: Sequence[tuple[str, bytes]], keys: Sequence[PublicKey]
) -> tuple[list[CheckedCheckpoint], list[LogProblem]]:
    """Compare the log with what was said about it."""
    good: list[CheckedCheckpoint] = []
    problems: list[LogProblem] = []
    doubted: list[tuple[str, int, bytes]] = []
    for source, data in (*log.checkpoints(), *kept):
        try:
            if isinstance(data, FormatError):
                raise data
            note = parse_note(data)
            point = parse_checkpoint(note.text)
        except FormatError as error:
            problems.append(LogProblem(kind="malformed", key=source, message=f"{source}: {error.message}"))
            continue
        signed_by = _signers(note, keys, source, problems)
        if point.origin != chain.origin and chain.origin:
            problems.append(_replaced(source, point.origin, chain.origin))
        elif point.size > len(chain.entries):
            if not chain.problems:  # otherwise it is known already that entries are missing, and where
                problems.append(_truncated(log, source, point.size, len(chain.entries)))
        elif chain.tree.root(point.size) != point.root:
            doubted.append((source, point.size, point.root))
        else:
            good.append(CheckedCheckpoint(source, point.size, signed_by))
    first = max((c.size for c in good), default=0)
    problems += [_rewritten(chain, d, max(first, 0)) for d in doubted]
    if keys and not any(c.signed_by for c in good):
        names = " or ".join(k.name for k in keys)
        message = f"no checkpoint that the log agrees with is signed by {names}"
        problems.append(LogProblem(kind="unsigned", key=f"{log.folder}/checkpoints", message=message))
    return good, problems


def _signers(note: SignedNote, keys: Sequence[PublicKey], source: str, problems: list[LogProblem]) -> tuple[str, ...]:
    """Return which keys signed a note; a signature that names a key and is not its own is a problem."""
    names = []
    for key in keys:
        for signature in note.signatures:
            if (signature.name, signature.key_id) != (key.name, key.key_id):
                continue
            if verify_signature(key, signature, note.text):
                names.append(key.name)
            else:
                message = f"the signature in {source} is not that of {key.name}"
                problems.append(LogProblem(kind="signature", key=source, message=message))
    return tuple(names)


def _replaced(source: str, expected: str, found: str) -> LogProblem:
    message = f"this is the log {found}; {source} is about {expected}"
    return LogProblem(kind="replaced", key=source, message=message, expected=expected, found=found)


def _truncated(log: LogReader, source: str, expected: int, found: int) -> LogProblem:
    message = f"the log has {found} entries; {source} knows of {expected}"
    return LogProblem(
        kind="truncated",
        key=log.segment_key(found),
        message=message,
        sequence=found,
        expected=str(expected),
        found=str(found),
    )


def _rewritten(chain: _Chain, doubted: tuple[str, int, bytes], first: int) -> LogProblem:
    """Say which entries may have been rewritten: those behind the last checkpoint that agrees."""
    source, size, root = doubted
    first = first if first < size else 0
    which = f"entry {first} is" if size == first + 1 else f"at least one of the entries {first} to {size - 1} is"
    return LogProblem(
        kind="rewritten",
        key=chain.keys[first],
        message=f"{which} not what it was when {source} was signed",
        sequence=first,
        expected=root.hex(),
        found=chain.tree.root(size).hex(),
    )


# ------------------------------------------------------------------------------------------------------------ details
@dataclass(slots=True)
class _Details:
    """What became of the payloads."""

    present: int = 0
    removed: int = 0
    problems: list[LogProblem] = field(default_factory=list)


def _check_details(log: LogReader, chain: _Chain, report: _Details) -> None:
    removed = removed_payloads(chain.entries)
    for batch in batches(chain.entries, _BATCH):
        found: dict[int, dict[str, str] | FormatError] = {}

        def read(entry: Entry, found: dict[int, dict[str, str] | FormatError] = found) -> None:
            found[entry.sequence] = _hashes_of_details(log, entry)

        run_all(read, batch, log.store.concurrency)
        for entry in batch:
            _compare(log, entry, found[entry.sequence], removed.get(entry.sequence, frozenset()), report)


def _hashes_of_details(log: LogReader, entry: Entry) -> dict[str, str] | FormatError:
    """Return the hash of each payload that is there."""
    key = log.payload_key(entry.write_id)
    try:
        data = log.read_object(key, MOST_PAYLOADS) if entry.payloads else None
        return {} if data is None else {n: commitment(n, p) for n, p in parse_payloads(data, key).items()}
    except FormatError as error:
        return error


def _compare(
    log: LogReader, entry: Entry, found: dict[str, str] | FormatError, removed: frozenset[str], report: _Details
) -> None:
    key, sequence = log.payload_key(entry.write_id), entry.sequence

    def add(kind: str, message: str, expected: str = "", actual: str = "") -> None:
        report.problems.append(
            LogProblem(kind=kind, key=key, message=message, sequence=sequence, expected=expected, found=actual)
        )

    if isinstance(found, FormatError):
        add("payload-changed", found.message)
        return
    for name in sorted(set(entry.payloads) | set(found)):
        expected, actual = entry.payloads.get(name, ""), found.get(name, "")
        if expected == actual:
            report.present += 1
            if name in removed:
                add("payload-remains", f"{name} of entry {sequence} was to be removed, and is there: remove it again")
        elif actual:
            add("payload-changed", f"{name} of entry {sequence} is not what it was", expected, actual)
        elif name in removed:
            report.removed += 1
        else:
            add("payload-missing", f"{name} of entry {sequence} is missing, and no entry says why", expected)


def _leftovers(log: LogReader, chain: _Chain) -> Iterator[str]:
    """Yield keys in the log's folder that belong to nothing."""
    if not isinstance(log.store, ListableStore) or chain.problems:
        return
    known = {log.payload_key(e.write_id) for e in chain.entries if e.payloads} | set(chain.keys)
    known.update((log.latest_key, *(key for key, _ in log.checkpoints())))
    for key, _ in log.store.list(log.folder):
        if key not in known:
            yield key
