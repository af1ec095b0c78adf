"""Documents of releases and tombstones: canonical JSON in, frozen objects out, and back."""

from __future__ import annotations

import re
from dataclasses import fields
from typing import Any, Final

from voxarium.model.canonical_json import MOST_INTEGER
from voxarium.model.fields import Fields, Problems
from voxarium.spec.release.checking import (
    FIX,
    HASH,
    ID,
    MOST_LIST,
    NAME,
    VERSION,
    begin,
    dumped,
    list_of,
    matched,
    optional,
    text,
    time_of,
)
from voxarium.spec.release.model import (
    STATES,
    LogState,
    ManifestReference,
    Pin,
    PolicyResult,
    Release,
    Tombstone,
    manifest_key,
)

__all__ = ["dump_release", "dump_tombstone", "parse_release", "parse_tombstone"]

_FORMAT: Final = "voxarium-release"
_TOMBSTONE: Final = "voxarium-tombstone"
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_LONGEST_KEY: Final = 4096
_MOST_SEQUENCE: Final = 999_999


# ------------------------------------------------------------------------------------------------------------ releases
def dump_release(release: Release) -> bytes:
    """Return the document of a release, to be stored as it is.

    Raises
    ------
    InputError
        If it would be too large.
    """
    manifest = release.manifest
    roots = {"sha256": manifest.sha256} | ({"blake3": manifest.blake3} if manifest.blake3 else {})
    document: dict[str, Any] = {  # Any: JSON
        **release.extra,
        "format": _FORMAT,
        "version": VERSION,
        "name": release.name,
        "sequence": release.sequence,
        "parent": release.parent or None,
        "time": release.time,
        "write_id": release.write_id,
        "manifest": {
            "key": manifest_key(manifest.sha256),
            "roots": roots,
            "objects": manifest.objects,
            "bytes": str(manifest.nbytes),
        },
        "dataset": release.dataset or None,
        "license": release.license or None,
        "identifiers": {"doi": release.doi or None, "concept_doi": release.concept_doi or None},
        "pins": [{"kind": p.kind, "key": p.key, "version": p.version, "sha256": p.sha256} for p in release.pins],
        "software": dict(release.software),
        "log": None if release.log is None else {f.name: getattr(release.log, f.name) for f in fields(LogState)},
        "policy": [{f.name: getattr(r, f.name) for f in fields(PolicyResult)} for r in release.policy],
        "note": release.note,
    }
    if release.omits:  # only of datasets with edits: other documents are as they always were
        document["omits"] = list(release.omits)
    return dumped(document)


def parse_release(data: bytes, where: str) -> Release:
    """Parse a release document.

    Raises
    ------
    FormatError
        If it is none, or not in canonical form.
    """
    problems = Problems(where)
    fields_ = begin(data, where, _FORMAT, problems)
    sequence = fields_.integer("sequence", 1, _MOST_SEQUENCE)
    parent = optional(fields_, "parent", HASH)
    if bool(parent) != (sequence > 1):
        fields_.wrong("parent", "the SHA-256 of the document before; null in the first")
    identifiers = Fields(fields_.raw("identifiers"), problems, "identifiers")
    release = Release(
        name=matched(fields_, "name", NAME),
        sequence=sequence,
        parent=parent,
        time=time_of(fields_),
        write_id=matched(fields_, "write_id", ID),
        manifest=_manifest(fields_, problems),
        dataset=optional(fields_, "dataset", HASH),
        license=optional(fields_, "license"),
        doi=optional(identifiers, "doi"),
        concept_doi=optional(identifiers, "concept_doi"),
        pins=tuple(_pin(Fields(p, problems, f"pins[{i}]")) for i, p in enumerate(list_of(fields_, "pins"))),
        software=_software(fields_),
        log=_log(fields_, problems),
        policy=tuple(_result(Fields(p, problems, f"policy[{i}]")) for i, p in enumerate(list_of(fields_, "policy"))),
        note=text(fields_, "note"),
        omits=_omits(fields_) if fields_.has("omits") else (),
        extra=fields_.rest(),
    )
    problems.check(FIX)
    return release


def _manifest(outer: Fields, problems: Problems) -> ManifestReference:
    found = Fields(outer.raw("manifest"), problems, "manifest")
    roots = Fields(found.raw("roots"), problems, "manifest.roots")
    root = matched(roots, "sha256", HASH)
    blake3 = matched(roots, "blake3", HASH) if roots.has("blake3") else ""
    if found.text("key") != manifest_key(root):
        found.wrong("key", repr(manifest_key(root)))
    size = found.text("bytes")  # as text: it may be beyond what every reader's numbers hold
    if re.fullmatch(r"0|[1-9][0-9]{0,24}", size) is None:
        found.wrong("bytes", "a number as text")
        size = "0"
    return ManifestReference(
        sha256=root, blake3=blake3, objects=found.integer("objects", 0, MOST_INTEGER), nbytes=int(size)
    )


def _omits(outer: Fields) -> tuple[str, ...]:
    found = list_of(outer, "omits")
    if not found or not all(isinstance(key, str) and len(key) <= _LONGEST_KEY for key in found):
        outer.wrong("omits", "keys")
        return ()
    return tuple(found)


def _pin(found: Fields) -> Pin:
    return Pin(
        kind=matched(found, "kind", _KIND),
        key=text(found, "key"),
        version=text(found, "version"),
        sha256=matched(found, "sha256", HASH),
    )


def _log(outer: Fields, problems: Problems) -> LogState | None:
    value = outer.raw("log")
    if value is None:
        return None
    found = Fields(value, problems, "log")
    return LogState(matched(found, "log", ID), found.integer("size", 1, MOST_INTEGER), matched(found, "root", HASH))


def _result(found: Fields) -> PolicyResult:
    return PolicyResult(
        matched(found, "check", _KIND),
        found.choice("state", STATES),
        text(found, "detail"),
        text(found, "reason"),
    )


def _software(outer: Fields) -> dict[str, str]:
    found = outer.mapping("software")
    if len(found) > MOST_LIST or not all(isinstance(v, str) for v in found.values()):
        outer.wrong("software", "versions by name")
        return {}
    return dict(found)


# ---------------------------------------------------------------------------------------------------------- tombstones
def dump_tombstone(tombstone: Tombstone) -> bytes:
    """Return the document of a tombstone.

    Raises
    ------
    InputError
        If it would be too large.
    """
    values = {f.name: getattr(tombstone, f.name) for f in fields(Tombstone)}
    return dumped({"format": _TOMBSTONE, "version": VERSION, **values})


def parse_tombstone(data: bytes, where: str) -> Tombstone:
    """Parse a tombstone.

    Raises
    ------
    FormatError
        If it is none, or not in canonical form.
    """
    problems = Problems(where)
    found = begin(data, where, _TOMBSTONE, problems)
    tombstone = Tombstone(
        name=matched(found, "name", NAME),
        sequence=found.integer("sequence", 1, _MOST_SEQUENCE),
        document=matched(found, "document", HASH),
        reason=text(found, "reason"),
        time=time_of(found),
        write_id=matched(found, "write_id", ID),
    )
    problems.check(FIX)
    return tombstone
