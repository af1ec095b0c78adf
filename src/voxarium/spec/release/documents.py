"""Documents of releases and tombstones: canonical JSON in, frozen objects out, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.model.canonical_json import MOST_INTEGER, dump_canonical, parse_canonical
from voxarium.model.fields import Fields, Problems
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

__all__ = ["MOST_DOCUMENT", "dump_release", "dump_tombstone", "parse_release", "parse_tombstone"]

MOST_DOCUMENT: Final = 4 << 20
"""Bytes of a release document or tombstone."""

_FORMAT: Final = "voxarium-release"
_TOMBSTONE: Final = "voxarium-tombstone"
_VERSION: Final = 1
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_ID: Final = re.compile(r"[0-9a-f]{32}")
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,63}")
_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")
_MOST_SEQUENCE: Final = 999_999
_MOST_LIST: Final = 10_000
_MOST_TEXT: Final = 100_000
_FIX: Final = "restore it from a copy; release documents must never be changed"


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
        "version": _VERSION,
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
    return _dumped(document)


def parse_release(data: bytes, where: str) -> Release:
    """Parse a release document.

    Raises
    ------
    FormatError
        If it is none, or not in canonical form.
    """
    problems = Problems(where)
    fields_ = _begin(data, where, _FORMAT, problems)
    sequence = fields_.integer("sequence", 1, _MOST_SEQUENCE)
    parent = _optional(fields_, "parent", _HASH)
    if bool(parent) != (sequence > 1):
        fields_.wrong("parent", "the SHA-256 of the document before; null in the first")
    identifiers = Fields(fields_.raw("identifiers"), problems, "identifiers")
    release = Release(
        name=_matched(fields_, "name", _NAME),
        sequence=sequence,
        parent=parent,
        time=_time(fields_),
        write_id=_matched(fields_, "write_id", _ID),
        manifest=_manifest(fields_, problems),
        dataset=_optional(fields_, "dataset", _HASH),
        license=_optional(fields_, "license"),
        doi=_optional(identifiers, "doi"),
        concept_doi=_optional(identifiers, "concept_doi"),
        pins=tuple(_pin(Fields(p, problems, f"pins[{i}]")) for i, p in enumerate(_list(fields_, "pins"))),
        software=_software(fields_),
        log=_log(fields_, problems),
        policy=tuple(_result(Fields(p, problems, f"policy[{i}]")) for i, p in enumerate(_list(fields_, "policy"))),
        note=_text(fields_, "note"),
        extra=fields_.rest(),
    )
    problems.check(_FIX)
    return release


def _manifest(outer: Fields, problems: Problems) -> ManifestReference:
    found = Fields(outer.raw("manifest"), problems, "manifest")
    roots = Fields(found.raw("roots"), problems, "manifest.roots")
    root = _matched(roots, "sha256", _HASH)
    blake3 = _matched(roots, "blake3", _HASH) if roots.has("blake3") else ""
    if found.text("key") != manifest_key(root):
        found.wrong("key", repr(manifest_key(root)))
    size = found.text("bytes")  # as text: it may be beyond what every reader's numbers hold
    if re.fullmatch(r"0|[1-9][0-9]{0,24}", size) is None:
        found.wrong("bytes", "a number as text")
        size = "0"
    return ManifestReference(
        sha256=root, blake3=blake3, objects=found.integer("objects", 0, MOST_INTEGER), nbytes=int(size)
    )


def _pin(found: Fields) -> Pin:
    return Pin(
        kind=_matched(found, "kind", _KIND),
        key=_text(found, "key"),
        version=_text(found, "version"),
        sha256=_matched(found, "sha256", _HASH),
    )


def _log(outer: Fields, problems: Problems) -> LogState | None:
    value = outer.raw("log")
    if value is None:
        return None
    found = Fields(value, problems, "log")
    return LogState(_matched(found, "log", _ID), found.integer("size", 1, MOST_INTEGER), _matched(found, "root", _HASH))


def _result(found: Fields) -> PolicyResult:
    return PolicyResult(
        _matched(found, "check", _KIND),
        found.choice("state", STATES),
        _text(found, "detail"),
        _text(found, "reason"),
    )


def _software(outer: Fields) -> dict[str, str]:
    found = outer.mapping("software")
    if len(found) > _MOST_LIST or not all(isinstance(v, str) for v in found.values()):
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
    return _dumped({"format": _TOMBSTONE, "version": _VERSION, **values})


def parse_tombstone(data: bytes, where: str) -> Tombstone:
    """Parse a tombstone.

    Raises
    ------
    FormatError
        If it is none, or not in canonical form.
    """
    problems = Problems(where)
    found = _begin(data, where, _TOMBSTONE, problems)
    tombstone = Tombstone(
        name=_matched(found, "name", _NAME),
        sequence=found.integer("sequence", 1, _MOST_SEQUENCE),
        document=_matched(found, "document", _HASH),
        reason=_text(found, "reason"),
        time=_time(found),
        write_id=_matched(found, "write_id", _ID),
    )
    problems.check(_FIX)
    return tombstone


# ---------------------------------------------------------------------------------------------------------------- JSON
def _dumped(document: Mapping[str, Any]) -> bytes:  # Any: JSON
    data = dump_canonical(document)
    if len(data) > MOST_DOCUMENT:
        raise InputError(
            f"the document takes {len(data):,} bytes",
            code=Code.ARGUMENT_INVALID,
            fix=f"keep it below {MOST_DOCUMENT:,} bytes: a shorter note, fewer pins",
        )
    return data


def _begin(data: bytes, where: str, format: str, problems: Problems) -> Fields:
    if len(data) > MOST_DOCUMENT:
        problems.add(f"{len(data):,} bytes are more than {MOST_DOCUMENT:,}")
        problems.check(_FIX)
    found = Fields(parse_canonical(data, where), problems)
    found.choice("format", (format,))
    found.integer("version", _VERSION, _VERSION)
    return found


def _matched(found: Fields, key: str, pattern: re.Pattern[str]) -> str:
    value = found.text(key)
    if found.has(key) and pattern.fullmatch(value) is None:
        found.wrong(key, f"text like {pattern.pattern}")
        return ""
    return value


def _optional(found: Fields, key: str, pattern: re.Pattern[str] | None = None) -> str:
    """Return a text; empty for null."""
    value = found.raw(key)
    if value is None:
        return ""
    if not isinstance(value, str) or not 0 < len(value) <= _MOST_TEXT or (pattern and not pattern.fullmatch(value)):
        found.wrong(key, "text or null" if pattern is None else f"text like {pattern.pattern}, or null")
        return ""
    return value


def _text(found: Fields, key: str) -> str:
    value = found.text(key)
    if len(value) > _MOST_TEXT:
        found.wrong(key, f"at most {_MOST_TEXT:,} characters")
    return value


def _list(found: Fields, key: str) -> list[Any]:  # Any: JSON
    value = found.raw(key)
    if isinstance(value, list) and len(value) <= _MOST_LIST:
        return value
    found.wrong(key, f"a list of at most {_MOST_LIST:,}")
    return []


def _time(found: Fields) -> str:
    value = _matched(found, "time", _TIME)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        if value:
            found.wrong("time", "a time that exists")
    return value
