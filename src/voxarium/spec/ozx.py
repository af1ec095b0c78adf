"""Zipped OME-Zarr (RFC-9, ``.ozx``): the order of its members and the comment of its directory."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from voxarium.model.keys import natural_key

__all__ = ["dump_comment", "is_document", "parse_comment", "recommended_version", "sort_key"]

SPEC_URL: Final = "https://ngff.openmicroscopy.org/rfc/9/"

_DOCUMENTS: Final = frozenset({"zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata"})
_SHARDED: Final = "sharding_indexed"


def is_document(key: str) -> bool:
    """Tell whether a key names metadata, which stands in front of all chunks."""
    return key.rpartition("/")[2] in _DOCUMENTS


def sort_key(key: str) -> tuple[int, bool, object, str]:
    """Return a sort key for documents: the root's first, then breadth-first (OX-002).

    Examples
    --------
    >>> sorted(["a/b/zarr.json", "10/zarr.json", "zarr.json", "2/zarr.json"], key=sort_key)
    ['zarr.json', '2/zarr.json', '10/zarr.json', 'a/b/zarr.json']
    """
    folder, _, name = key.rpartition("/")
    return key.count("/"), name != "zarr.json", natural_key(folder), name


def recommended_version(documents: Mapping[str, bytes]) -> str | None:
    """Return the OME-Zarr version of the root if all arrays are sharded, as the recommended variant wants.

    Only such files may carry the comment (RFC-9). The other conditions, stored members, ZIP64 and documents
    first, are the writer's.
    """
    try:
        version = json.loads(documents["zarr.json"])["attributes"]["ome"]["version"]
        for key, raw in documents.items():
            if key.rpartition("/")[2] == "zarr.json":
                node = json.loads(raw)
                if node["node_type"] == "array" and _SHARDED not in [c["name"] for c in node["codecs"]]:
                    return None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return version if isinstance(version, str) else None


def dump_comment(version: str) -> bytes:
    """Return the comment of a zipped OME-Zarr in the recommended order.

    No NUL follows the JSON, although a draft asks for one: the readers in use parse the comment whole.
    """
    order = {"centralDirectory": {"jsonFirst": True}}
    return json.dumps({"ome": {"version": version, "zipFile": order}}, separators=(",", ":")).encode("utf-8")


def parse_comment(comment: bytes) -> tuple[str | None, bool]:
    """Return the OME-Zarr version a comment states, and whether documents come first; junk states neither.

    Examples
    --------
    >>> parse_comment(dump_comment("0.5"))
    ('0.5', True)
    """
    try:
        ome = json.loads(comment.split(b"\0", 1)[0].decode("utf-8"))["ome"]
        version = ome.get("version")
        first = ome.get("zipFile", {}).get("centralDirectory", {}).get("jsonFirst", False)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None, False
    return (version if isinstance(version, str) else None), first is True
