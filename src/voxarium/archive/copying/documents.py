"""Zarr documents that say what is there: lists of levels, consolidated metadata, regions. No I/O."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from voxarium.model.fields import dump_json, parse_json_object

__all__ = ["DOCUMENTS", "PRESENT", "ZarrEdits"]

DOCUMENTS: Final = ("zarr.json", ".zattrs", ".zgroup", ".zarray", ".zmetadata")
PRESENT: Final = "present"
"""In the attribute ``voxarium`` of a copy of a region: start and stop, per axis, of the voxels that are there, by path
of the level."""
_COPIES: Final = "consolidated_metadata"
Json = dict[str, Any]


class ZarrEdits:
    """Changes to documents of a hierarchy.

    Parameters
    ----------
    read : callable
        Returns a document by its key; None when there is none.
    """

    def __init__(self, read: Callable[[str], bytes | None]) -> None:
        self._read = read
        self._documents: dict[str, Json | None] = {}
        self.changed: set[str] = set()
        self.dropped: set[str] = set()

    def _document(self, key: str) -> Json | None:
        if key not in self._documents:
            raw = self._read(key)
            self._documents[key] = None if raw is None else parse_json_object(raw, key)
        return self._documents[key]

    def _attributes(self, path: str) -> tuple[str, Json]:
        """Return the attributes of a node, to be changed, and the key of their document."""
        key = _at(path, "zarr.json")
        document = self._document(key)
        if document is not None:
            found = document.get("attributes")
            if not isinstance(found, dict):
                found = document["attributes"] = {}
        else:
            key = _at(path, ".zattrs")
            found = self._document(key)
            if found is None:
                found = self._documents[key] = {}
        self.changed.add(key)
        return key, found

    def without_levels(self, path: str, dropped: Collection[str]) -> None:
        """Let an image list the levels that are left; what the others say of themselves is not repeated either."""
        if not dropped:
            return
        _, attributes = self._attributes(path)
        for place in (attributes, attributes.get("ome")):
            multiscales = place.get("multiscales") if isinstance(place, dict) else None
            if isinstance(place, dict) and isinstance(multiscales, list):
                left = [_without(m, dropped) for m in multiscales]
                place["multiscales"] = [m for m in left if not isinstance(m, dict) or m.get("datasets") != []]
        self.dropped |= {_at(path, level) for level in dropped}

    def with_present(self, path: str, present: Mapping[str, Any]) -> None:
        """Let a node say which of its voxels are there."""
        _, attributes = self._attributes(path)
        own = attributes.get("voxarium")
        attributes["voxarium"] = {**(own if isinstance(own, dict) else {}), PRESENT: dict(present)}

    def drop(self, path: str) -> None:
        """Forget a node and all below it, where documents above repeat them."""
        self.dropped.add(path)

    def result(self, top: str) -> dict[str, bytes]:
        """Return the documents that changed, those that repeat others included, from a folder on."""
        around = _above(self.changed | self.dropped, top)
        for path in sorted(around, key=len, reverse=True):
            if not self._is_dropped(path):
                self._repeat_v3(path)
                self._repeat_v2(path)
        return {key: dump_json(document) for key in self.changed if (document := self._documents[key]) is not None}

    def _repeat_v3(self, path: str) -> None:
        key = _at(path, "zarr.json")
        document = self._document(key)
        copies = document.get(_COPIES) if document is not None else None
        entries = copies.get("metadata") if isinstance(copies, dict) else None
        if not isinstance(entries, dict):
            return
        for name in list(entries):
            node = _at(path, name)
            if self._is_dropped(node):
                del entries[name]
                self.changed.add(key)
            elif _at(node, "zarr.json") in self.changed:
                below = {k: v for k, v in (self._document(_at(node, "zarr.json")) or {}).items() if k != _COPIES}
                entries[name] = json.loads(json.dumps(below))
                self.changed.add(key)

    def _repeat_v2(self, path: str) -> None:
        key = _at(path, ".zmetadata")
        document = self._document(key)
        entries = document.get("metadata") if document is not None else None
        if not isinstance(entries, dict):
            return
        for name in list(entries):
            whole = _at(path, name)
            if self._is_dropped(whole):
                del entries[name]
                self.changed.add(key)
        for whole in self.changed:
            inside = whole[len(path) + 1 :] if path and whole.startswith(f"{path}/") else "" if path else whole
            if inside.rpartition("/")[2] == ".zattrs":
                entries[inside] = json.loads(json.dumps(self._document(whole)))
                self.changed = self.changed | {key}

    def _is_dropped(self, path: str) -> bool:
        return any(path == d or path.startswith(f"{d}/") for d in self.dropped)


def _without(multiscale: Any, dropped: Collection[str]) -> Any:  # Any: JSON as found
    datasets = multiscale.get("datasets") if isinstance(multiscale, dict) else None
    if not isinstance(datasets, list):
        return multiscale
    left = [d for d in datasets if not isinstance(d, dict) or d.get("path") not in dropped]
    return {**multiscale, "datasets": left}


def _at(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _above(keys: Collection[str], top: str) -> set[str]:
    """Return the folders that keys lie in, from a folder on."""
    out = set()
    for key in keys:
        folder = key.rpartition("/")[0]
        while folder == top or folder.startswith(f"{top}/" if top else ""):
            out.add(folder)
            if folder == top:
                break
            folder = folder.rpartition("/")[0]
    return out
