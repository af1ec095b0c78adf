"""Consolidated metadata: documents of arrays repeated by the group above them.

Inline in ``zarr.json``, as zarr-python writes and reads it (a field that other readers may ignore), or in a
``.zmetadata`` beside ``.zgroup``, which is only read here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any, Final

from voxarium.errors import FormatError
from voxarium.model.fields import parse_json_object
from voxarium.spec.ome.document import dump_json, parse_json
from voxarium.spec.ome.groups import join

__all__ = ["add_copies", "has_copies", "v2_copies", "v3_copies"]

_FIELD: Final = "consolidated_metadata"
_DOCUMENT: Final = "zarr.json"


def v3_copies(raw: bytes, path: str) -> dict[str, bytes | None]:
    """Return by key the documents of arrays that a group's ``zarr.json`` repeats."""
    arrays = {
        join(path, name, _DOCUMENT): entry
        for name, entry in _entries(parse_json(raw, join(path, _DOCUMENT))).items()
        if isinstance(entry, Mapping) and entry.get("node_type") == "array"
    }
    return {**_dumped(arrays)}


def v2_copies(raw: bytes, path: str) -> dict[str, bytes | None]:
    """Return by key the documents of arrays that a ``.zmetadata`` repeats, and those that it says are not there."""
    entries = parse_json(raw, join(path, ".zmetadata")).get("metadata")
    if not isinstance(entries, Mapping):
        return {}
    stated = _dumped({join(path, key): e for key, e in entries.items() if isinstance(e, Mapping)})
    found: dict[str, bytes | None] = {}
    for key in stated:
        if key.endswith("/.zarray"):
            array = key.removesuffix("/.zarray")
            beside = f"{array}/.zattrs"
            found |= {key: stated[key], beside: stated.get(beside), f"{array}/{_DOCUMENT}": None}
    return found


def _dumped(entries: Mapping[str, Mapping[str, Any]]) -> dict[str, bytes]:
    found = {}
    for key, entry in entries.items():
        with contextlib.suppress(RecursionError):  # nested as deeply as no document of an array is
            found[key] = dump_json(entry)
    return found


def has_copies(raw: bytes, where: str) -> bool:
    """Tell whether a ``zarr.json`` repeats documents below it."""
    try:
        return bool(_entries(parse_json(raw, where)))
    except FormatError:
        return False


def add_copies(raw: bytes, nodes: Mapping[str, bytes]) -> bytes:
    """Return a group's ``zarr.json`` that repeats nodes below it, besides those it repeats already.

    Parameters
    ----------
    raw : bytes
        The document of the group.
    nodes : mapping of str to bytes
        Documents by the path of the node below the group.
    """
    document = dict(parse_json(raw, _DOCUMENT))
    entries = dict(_entries(document))
    for path in sorted(nodes):
        entry = parse_json_object(nodes[path], path)
        entry.pop(_FIELD, None)  # the outer group repeats everything, each once
        entries[path] = entry
    document[_FIELD] = {"kind": "inline", "must_understand": False, "metadata": entries}
    return dump_json(document)


def _entries(document: Mapping[str, Any]) -> Mapping[str, Any]:
    found = document.get(_FIELD)
    entries = found.get("metadata") if isinstance(found, Mapping) and found.get("kind", "inline") == "inline" else None
    return entries if isinstance(entries, Mapping) else {}
