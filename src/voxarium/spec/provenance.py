"""Entries of a provenance log, and the details that lie beside them: Voxarium's own format, version 1.

An entry is one line of canonical JSON. It holds nothing that may have to be forgotten one day: agent, inputs, outputs,
parameters, software and note are *payloads*, of which the entry has only a salted hash. They lie in a document of their
own, from which each can be removed while all hashes stay what they are. docs/reference/provenance.md specifies it all.
No I/O, no clock, no randomness.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, NoReturn

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.canonical_json import MOST_INTEGER, dump_canonical, parse_canonical
from voxarium.model.fields import Fields, Problems
from voxarium.model.provenance import Activity, Agent, Artifact

__all__ = [
    "MOST_LINE",
    "MOST_PAYLOADS",
    "MOST_SEGMENT",
    "PAYLOADS",
    "Entry",
    "Payload",
    "Removal",
    "activity_of",
    "commitment",
    "dump_entry",
    "dump_payloads",
    "origin_of",
    "parse_entry",
    "parse_payloads",
    "payload_values",
    "split_segment",
]

PAYLOADS: Final = ("agent", "inputs", "note", "outputs", "parameters", "software")
"""Names of the payloads that version 1 knows."""

MOST_LINE: Final = 64 << 10
"""Bytes of an entry, without its newline."""

MOST_SEGMENT: Final = 16 << 20
"""Bytes of an object with entries."""

MOST_PAYLOADS: Final = 64 << 20
"""Bytes of a document with payloads."""

_FORMAT: Final = "voxarium-log-entry"
_PAYLOAD_FORMAT: Final = "voxarium-log-payloads"
_VERSION: Final = 1
_ID: Final = re.compile(r"[0-9a-f]{32}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_OPERATION: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_MOST_ARTIFACTS: Final = 100_000
_FIX: Final = "restore the log from a copy; its entries must never be changed"


@dataclass(frozen=True, slots=True)
class Removal:
    """Says that payloads of an earlier entry were removed on purpose."""

    sequence: int
    payloads: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry of a log.

    Parameters
    ----------
    log : str
        Id of the log: the `write_id` of its first entry.
    sequence : int
        Number of the entry, from 0.
    time : str
        UTC with milliseconds.
    operation : str
        What was done.
    write_id : str
        Made up anew for each entry, so that a writer that got no answer can tell whether the entry is its own.
    previous : str
        Hash of the line before (RFC 6962 leaf hash, hexadecimal); empty for the first entry.
    payloads : mapping of str to str
        Hash of each payload, by name.
    removal : Removal or None
        Which payloads of an earlier entry this one removes.
    extra : mapping
        Whatever later versions put into an entry.
    """

    log: str
    sequence: int
    time: str
    operation: str
    write_id: str
    previous: str = ""
    payloads: Mapping[str, str] = field(default_factory=dict)
    removal: Removal | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON


@dataclass(frozen=True, slots=True)
class Payload:
    """A detail of an entry, and the salt (64 hexadecimal digits) that keeps its hash from being guessed."""

    salt: str
    value: Any  # Any: JSON


def commitment(name: str, payload: Payload) -> str:
    """Return the hash of a payload that an entry holds: SHA-256 of name, salt and value as canonical JSON.

    Examples
    --------
    >>> commitment("note", Payload("00" * 32, "hello"))
    '04c9ab500827b5281541680240570a60f91032e649870c1717fef5704a63cd00'
    """
    return sha256(dump_canonical({"name": name, "salt": payload.salt, "value": payload.value})).hexdigest()


def origin_of(log: str) -> str:
    """Return the name that checkpoints give a log."""
    return f"voxarium-log/{log}"


# -------------------------------------------------------------------------------------------------------- entries
def dump_entry(entry: Entry) -> bytes:
    """Return the line of an entry, without a newline.

    Raises
    ------
    InputError
        If it would be longer than a line may be.
    """
    document = {
        **entry.extra,
        "format": _FORMAT,
        "version": _VERSION,
        "log": entry.log,
        "sequence": entry.sequence,
        "time": entry.time,
        "operation": entry.operation,
        "write_id": entry.write_id,
        "previous": entry.previous or None,
        "payloads": dict(entry.payloads),
    }
    if entry.removal is not None:
        document["removes"] = {"sequence": entry.removal.sequence, "payloads": list(entry.removal.payloads)}
    line = dump_canonical(document)
    if len(line) > MOST_LINE:
        raise InputError(
            f"an entry of {len(line)} bytes", code=Code.ARGUMENT_INVALID, fix=f"keep entries below {MOST_LINE} bytes"
        )
    return line


def split_segment(data: bytes, where: str) -> list[bytes]:
    """Return the lines of an object that holds entries.

    Raises
    ------
    FormatError
        If it is too large, empty, cut off, or has an overlong line.
    """
    if len(data) > MOST_SEGMENT:
        _malformed(where, f"{len(data)} bytes are more than {MOST_SEGMENT}")
    if not data.endswith(b"\n"):
        _malformed(where, "it does not end with a newline: it is cut off")
    lines = data[:-1].split(b"\n")
    if any(len(line) > MOST_LINE for line in lines):
        _malformed(where, f"a line is longer than {MOST_LINE} bytes")
    return lines


def parse_entry(line: bytes, where: str) -> Entry:
    """Parse the line of an entry.

    Raises
    ------
    FormatError
        If it is none, or not in canonical form.
    """
    if len(line) > MOST_LINE:
        _malformed(where, f"{len(line)} bytes are more than {MOST_LINE}")
    problems = Problems(where)
    fields = Fields(parse_canonical(line, where), problems)
    fields.choice("format", (_FORMAT,))
    fields.integer("version", _VERSION, _VERSION)
    sequence = fields.integer("sequence", 0, MOST_INTEGER)
    previous = fields.raw("previous")
    if (previous is None) != (sequence == 0) or not (previous is None or _matches(_HASH, previous)):
        fields.wrong("previous", "a hash; null in the first entry")
    log, write_id = _matched(fields, "log", _ID), _matched(fields, "write_id", _ID)
    if sequence == 0 and log != write_id:
        fields.wrong("log", "the write_id of the first entry")
    entry = Entry(
        log=log,
        sequence=sequence,
        time=_time(fields),
        operation=_matched(fields, "operation", _OPERATION),
        write_id=write_id,
        previous=previous if isinstance(previous, str) else "",
        payloads=_hashes(fields),
        removal=_removal(fields, sequence),
        extra=fields.rest(),
    )
    problems.check(_FIX)
    return entry


def _malformed(where: str, why: str) -> NoReturn:
    raise FormatError(f"{where}: {why}", code=Code.METADATA_INVALID, fix=_FIX)


def _matches(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None


def _matched(fields: Fields, key: str, pattern: re.Pattern[str]) -> str:
    value = fields.text(key)
    if fields.has(key) and not _matches(pattern, value):
        fields.wrong(key, f"text like {pattern.pattern}")
    return value


def _time(fields: Fields) -> str:
    value = _matched(fields, "time", _TIME)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        if _matches(_TIME, value):
            fields.wrong("time", "a time that exists")
    return value


def _hashes(fields: Fields) -> dict[str, str]:
    found = fields.mapping("payloads")
    if not all(_matches(_NAME, k) and _matches(_HASH, v) for k, v in found.items()):
        fields.wrong("payloads", "hashes by name")
        return {}
    return dict(found)


def _removal(fields: Fields, sequence: int) -> Removal | None:
    if not fields.has("removes"):
        return None
    found = fields.mapping("removes")
    target, names = found.get("sequence"), found.get("payloads")
    good = (
        set(found) == {"sequence", "payloads"}
        and type(target) is int
        and 0 <= target < sequence
        and isinstance(names, list)
        and names
        and all(_matches(_NAME, n) for n in names)
    )
    if not good or target is None or names is None:
        fields.wrong("removes", "the sequence of an earlier entry and names of its payloads")
        return None
    return Removal(target, tuple(names))


# ------------------------------------------------------------------------------------------------------- payloads
def dump_payloads(write_id: str, payloads: Mapping[str, Payload]) -> bytes:
    """Return the document that holds the payloads of an entry.

    Raises
    ------
    InputError
        If they are too large, or no JSON.
    """
    values = {name: {"salt": p.salt, "value": p.value} for name, p in payloads.items()}
    head = {"format": _PAYLOAD_FORMAT, "version": _VERSION, "write_id": write_id}
    data = dump_canonical({**head, "payloads": values}) + b"\n"
    if len(data) > MOST_PAYLOADS:
        raise InputError(
            f"the details of one entry take {len(data)} bytes",
            code=Code.ARGUMENT_INVALID,
            fix="name the manifest of many objects, not each of them",
        )
    return data


def parse_payloads(data: bytes, where: str) -> dict[str, Payload]:
    """Parse the document that holds the payloads of an entry; whether they fit its hashes is not looked at.

    Raises
    ------
    FormatError
        If it is none.
    """
    if len(data) > MOST_PAYLOADS:
        _malformed(where, f"{len(data)} bytes are more than {MOST_PAYLOADS}")
    problems = Problems(where)
    fields = Fields(parse_canonical(data.removesuffix(b"\n"), where), problems)
    fields.choice("format", (_PAYLOAD_FORMAT,))
    fields.integer("version", _VERSION, _VERSION)
    _matched(fields, "write_id", _ID)
    found: dict[str, Payload] = {}
    for name, value in fields.mapping("payloads").items():
        inner = Fields(value, problems, f"payloads.{name}")
        if not _matches(_NAME, name):
            problems.add(f"{name!r} is no name of a payload")
        found[name] = Payload(_matched(inner, "salt", _HASH), inner.raw("value"))
    problems.check(_FIX)
    return found


def payload_values(activity: Activity) -> dict[str, Any]:  # Any: JSON
    """Return what of an activity becomes payloads, by name; what is empty is left out."""
    agent = activity.agent
    values: dict[str, Any] = {
        "agent": None
        if agent is None
        else {"name": agent.name, "kind": agent.kind} | ({"identifier": agent.identifier} if agent.identifier else {}),
        "inputs": [_artifact_json(a) for a in activity.inputs],
        "outputs": [_artifact_json(a) for a in activity.outputs],
        "parameters": dict(activity.parameters),
        "software": dict(activity.software),
        "note": activity.note,
    }
    return {name: value for name, value in values.items() if value}


def _artifact_json(artifact: Artifact) -> dict[str, Any]:  # Any: JSON
    found = {"digest": artifact.digest, "size": artifact.size, "role": artifact.role}
    return {"address": artifact.address} | {k: v for k, v in found.items() if v not in (None, "")}


def activity_of(operation: str, values: Mapping[str, Any], where: str) -> Activity:  # Any: JSON
    """Return the activity that payloads describe; names that are not known are passed over.

    Raises
    ------
    FormatError
        If a value is not what its name promises.
    """
    problems = Problems(where)
    fields = Fields(values, problems)
    software = fields.mapping("software", {})
    if not all(isinstance(v, str) for v in software.values()):
        fields.wrong("software", "versions by name")
        software = {}
    try:
        activity = Activity(
            operation=operation,
            inputs=_artifacts(fields, "inputs", problems),
            outputs=_artifacts(fields, "outputs", problems),
            parameters=fields.mapping("parameters", {}),
            software=software,
            agent=_agent(values["agent"], problems) if "agent" in values else None,
            note=fields.text("note", ""),
        )
    except InputError as error:
        problems.add(error.message)
        activity = Activity(operation="fix")
    problems.check(_FIX)
    return activity


def _agent(value: Any, problems: Problems) -> Agent:  # Any: JSON
    fields = Fields(value, problems, "agent")
    kind = fields.choice("kind", ("person", "organization", "software"))
    name, identifier = fields.text("name"), fields.text("identifier", "")
    return Agent(name, kind, identifier)  # type: ignore[arg-type]  # checked by `choice` and by the class


def _artifacts(fields: Fields, key: str, problems: Problems) -> list[Artifact]:
    value = fields.raw(key, ())
    if not isinstance(value, (list, tuple)) or len(value) > _MOST_ARTIFACTS:
        fields.wrong(key, f"a list of at most {_MOST_ARTIFACTS} artifacts", type(value).__name__)
        return []
    found = []
    for i, one in enumerate(value):
        inner = Fields(one, problems, f"{key}[{i}]")
        size = inner.integer("size", 0, MOST_INTEGER) if inner.has("size") else None
        found.append(Artifact(inner.text("address"), inner.text("digest", ""), size, inner.text("role", "")))
    return found
