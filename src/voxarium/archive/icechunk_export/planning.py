"""What of a release an Icechunk repository can hold: arrays and groups of Zarr version 3, and their chunks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.core.registry import array_driver
from voxarium.core.release_store import ReleaseStore
from voxarium.core.releases import read_bounded
from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.array_specs import join_key
from voxarium.model.fields import parse_json_object
from voxarium.model.image import ArrayInfo

__all__ = ["DOCUMENT", "ExportedArray", "ExportedTree", "sorted_objects"]

DOCUMENT: Final = "zarr.json"
_MOST_DOCUMENT: Final = 64 << 20
_GROUP: Final = {"zarr_format": 3, "node_type": "group", "attributes": {}}
_OTHERS: Final = (
    ((".zarray", ".zgroup", ".zattrs", ".zmetadata"), "Zarr of version 2"),
    (("attributes.json",), "N5"),
    (("info",), "a precomputed volume"),
    (("header.wkw", "datasource-properties.json"), "WEBKNOSSOS"),
)
# Documents about a dataset: left out, not refused. What the bytes of images can be in is not among them.
_ABOUT: Final = (".md", ".txt", ".cff", ".png", ".jpg", ".jpeg", ".webp", ".html", "license", "readme", ".json")


@dataclass(slots=True)
class ExportedArray:
    """An array: its metadata, where it lies in the release, and which object is which chunk or shard.

    `split`: chunks within shards are referred to one by one, and `document` is that of an array without shards.
    """

    document: Mapping[str, Any]  # Any: JSON
    path: str
    info: ArrayInfo
    split: bool = False
    objects: dict[tuple[int, ...], int] = field(default_factory=dict)  # positions in the manifest, by index in the grid


@dataclass(slots=True)
class ExportedTree:
    """Groups and arrays by their path, and keys of documents that are left out."""

    groups: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # Any: JSON
    arrays: dict[str, ExportedArray] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def sorted_objects(store: ReleaseStore, path: str, without: Sequence[str], *, split: bool) -> ExportedTree:
    """Sort the objects of a release by array; `split`: those with shards become arrays without."""
    plan, start = ExportedTree(), f"{path}/" if path else ""
    keys = [key for key, _ in store.list(path) if not any(key == w or key.startswith(f"{w}/") for w in without)]
    documents = {key.removesuffix(DOCUMENT).strip("/") for key in keys if key.rpartition("/")[2] == DOCUMENT}
    members: dict[str, list[str]] = {}
    strange: list[str] = []
    for node in sorted(documents):
        _add_node(store, plan, node, path, split=split)
    for key in keys:
        if key.rpartition("/")[2] == DOCUMENT:
            continue
        owner = _owner(key, path, plan)
        (members.setdefault(owner, []) if owner is not None else strange).append(key)
    for node, array in plan.arrays.items():
        _add_chunks(store, array, members.get(node, ()), strange)
    refused = [key for key in strange if not key.lower().endswith(_ABOUT) or _other(key)]
    if refused or not plan.arrays:
        raise _unsuitable(refused, store, path)
    plan.left_out = sorted(key[len(start) :] for key in strange)
    for node in list(plan.groups) + list(plan.arrays):
        _add_parents(plan, node)
    return plan


def _add_node(store: ReleaseStore, plan: ExportedTree, node: str, path: str, *, split: bool) -> None:
    key = join_key(node, DOCUMENT) if node else DOCUMENT
    document = parse_json_object(read_bounded(store, key, _MOST_DOCUMENT) or b"", key)
    inner = node[len(path) :].strip("/")
    if document.get("zarr_format") != 3 or document.get("node_type") not in ("array", "group"):
        raise FormatError(
            f"{key} of release {store.name} is no document of Zarr version 3",
            code=Code.METADATA_INVALID,
            fix="leave its folder out",
        )
    kept = {k: v for k, v in document.items() if k != "consolidated_metadata"}
    if kept["node_type"] == "group":
        plan.groups[inner] = kept
        return
    driver: Any = array_driver("zarr3")  # Any: `open` is needed
    info = driver.open(store, node)
    made = kept | {"chunk_key_encoding": {"name": "default"}}
    inside = split and info.shard_shape is not None and len(kept["codecs"]) == 1
    plan.arrays[inner] = ExportedArray(_without_shards(made, info) if inside else made, node, info, split=inside)


def _without_shards(document: dict[str, Any], info: ArrayInfo) -> dict[str, Any]:  # Any: JSON, which the driver read
    """Return the document of an array whose chunks are those within the shards of another."""
    inner = document["codecs"][0]["configuration"]["codecs"]
    grid = {"name": "regular", "configuration": {"chunk_shape": list(info.chunk_shape)}}
    return document | {"chunk_grid": grid, "codecs": inner}


def _owner(key: str, path: str, plan: ExportedTree) -> str | None:
    """Return the array that an object below the folder of one belongs to."""
    folder = key[len(path) :].strip("/") if path else key
    while folder:
        folder = folder.rpartition("/")[0]
        if folder in plan.arrays:
            return folder
    return None


def _add_chunks(store: ReleaseStore, array: ExportedArray, keys: Sequence[str], strange: list[str]) -> None:
    driver: Any = array_driver("zarr3")  # Any: of its abilities, KeyedDriver is needed
    info = array.info
    counts = [math.ceil(n / c) for n, c in zip(info.shape, info.object_shape, strict=True)]
    for key in keys:
        index = driver.object_index(array.path, info, key)
        if index is None or any(i >= n for i, n in zip(index, counts, strict=True)):
            strange.append(key)
            continue
        i = store.manifest.find(key)
        if not int(store.manifest.sizes[i]):
            raise FormatError(
                f"{key} of release {store.name} is empty", code=Code.CHUNK_TRUNCATED, fix="leave its image out"
            )
        array.objects[index] = i


def _other(key: str) -> str:
    name = key.rpartition("/")[2]
    return next((what for names, what in _OTHERS if name in names), "")


def _unsuitable(refused: Sequence[str], store: ReleaseStore, path: str) -> VoxariumError:
    if not refused:
        return NotFoundError(
            f"release {store.name} has no array of Zarr version 3 {f'in {path}' if path else ''}".rstrip(),
            code=Code.FORMAT_UNRECOGNISED,
            fix="an Icechunk repository can hold nothing else",
        )
    what = next((w for key in refused if (w := _other(key))), "another format")
    first = refused[0].rpartition("/")[0].split("/")[0] or refused[0]
    shown = ", ".join(refused[:3]) + (f" and {len(refused) - 3:,} more" if len(refused) > 3 else "")
    return UnsupportedError(
        f"an Icechunk repository can only hold Zarr of version 3; this is {what}: {shown}",
        code=Code.FEATURE_UNSUPPORTED,
        fix=f"export one image, such as DATASET@{store.name}/IMAGE, or leave this out: --without {first}",
    )


def _add_parents(plan: ExportedTree, node: str) -> None:
    """Add groups above a node that have no document."""
    while node:
        node = node.rpartition("/")[0]
        if node not in plan.groups and node not in plan.arrays:
            plan.groups[node] = _GROUP
