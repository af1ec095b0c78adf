"""What OME-Zarr knows of a dataset: the collection document, groups between, and lists that name members."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from voxarium.errors import VoxariumError
from voxarium.formats.ome_collections import OmeCollectionDriver
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.fields import dump_json, parse_json_object
from voxarium.spec.dataset_document import DatasetDocument
from voxarium.spec.ome import dump_group

__all__ = ["COLLECTION_FILE", "collection_document", "group_documents", "relisted", "root_document"]

COLLECTION_FILE: Final = "collection.json"
_FORMAT: Final = "ome-zarr"
_VERSION: Final = "0.x"  # of the draft RFC-8
_NAME: Final = re.compile(r"[^A-Za-z0-9_.-]+")


def collection_document(document: DatasetDocument) -> bytes:
    """Return the collection document (draft RFC-8) that lists the dataset's OME-Zarr images."""
    members = [
        Member(path=m.path, name=_NAME.sub("_", m.name), kind="label" if m.kind == "label" else "image")
        for m in document.members
        if m.kind in ("image", "label") and m.format == _FORMAT
    ]
    info = CollectionInfo(format=_FORMAT, kind="collection", name=_NAME.sub("_", document.name), members=members)
    group = json.loads(OmeCollectionDriver().dump(info, _VERSION)["zarr.json"])
    return dump_json(group["attributes"])


def root_document() -> tuple[str, bytes]:
    """Return the key and the bytes of the group that a dataset's root is; it says nothing of its own."""
    ((key, data),) = dump_group("", "0.5", {}).items()
    return key, data


def group_documents(path: str, spec_version: str) -> dict[str, bytes]:
    """Return the documents that make the folders between the root and an image groups.

    Examples
    --------
    >>> sorted(group_documents("jrc_hela-2.zarr/em/fibsem-uint8", "0.5"))
    ['jrc_hela-2.zarr/em/zarr.json', 'jrc_hela-2.zarr/zarr.json']
    """
    parts = path.split("/")[:-1]
    out: dict[str, bytes] = {}
    for i in range(len(parts)):
        out |= dump_group("/".join(parts[: i + 1]), spec_version, {})
    return out


def relisted(key: str, data: bytes, old: str, new: str | None) -> bytes | None:
    """Return a document in which a list of names has a new one, or none; None if it names the old one nowhere.

    Lists of label images (``zarr.json``, ``.zattrs``) and of layers (``datasource-properties.json``).
    """
    try:
        body = parse_json_object(data, key)
    except VoxariumError:
        return None
    if key.endswith("datasource-properties.json"):
        return None if new is None else _with_layer(body, old, new)
    changed = False
    attributes = body.get("attributes") if key.endswith("zarr.json") else body
    for place in (attributes, attributes.get("ome") if isinstance(attributes, dict) else None):
        labels = _list(place, "labels")
        if old in labels and isinstance(place, dict):
            place["labels"] = [new if n == old else n for n in labels if n != old or new is not None]
            changed = True
    return dump_json(body) if changed else None


def _with_layer(body: dict[str, Any], old: str, new: str) -> bytes | None:  # Any: JSON as found
    """Return the document of WEBKNOSSOS with a layer of another name, and paths that lead into its folder."""
    layer = next((y for y in _list(body, "dataLayers") if isinstance(y, dict) and y.get("name") == old), None)
    if layer is None:
        return None
    layer["name"] = new
    for mag in _list(layer, "mags"):
        path = mag.get("path") if isinstance(mag, dict) else None
        for start in (f"./{old}/", f"{old}/"):
            if isinstance(path, str) and path.startswith(start):
                mag["path"] = f"{start.replace(old, new)}{path.removeprefix(start)}"
    return dump_json(body)


def _list(place: Any, key: str) -> list[Any]:  # Any: JSON as found
    found = place.get(key) if isinstance(place, Mapping) else None
    return found if isinstance(found, list) else []
