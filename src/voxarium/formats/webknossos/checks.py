"""Checking WEBKNOSSOS datasets and their layers against their rules."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import ClassVar, Final

from voxarium.errors import FormatError, InputError, UnsupportedError
from voxarium.formats.webknossos.image import WebknossosDriver
from voxarium.model.array_specs import join_key
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.checks import Below, Checked, CheckNode
from voxarium.model.image import ArrayInfo
from voxarium.model.json_documents import read_object
from voxarium.model.keys import checked_key, resolved_key
from voxarium.model.rules import Finding, Rule
from voxarium.spec import webknossos
from voxarium.spec.webknossos import Layer, Mag, rules
from voxarium.spec.webknossos.rules import StoredArray

__all__ = ["WebknossosChecks"]

_ABOVE: Final = f"../{webknossos.DOCUMENT}"
_MAG_FOLDER: Final = re.compile(r"[0-9]{1,6}(?:-[0-9]{1,6}-[0-9]{1,6})?", re.ASCII)
_TOLD: Final = "layer"
# What an attachment of a format must have: a document in its folder, or itself.
_INSIDE: Final = {"zarr3": "zarr.json", "neuroglancerPrecomputed": "info"}


class WebknossosChecks:
    """Knows the rules of ``datasource-properties.json``, for the dataset and for each layer."""

    name: ClassVar[str] = "webknossos"
    spec_url: ClassVar[str] = WebknossosDriver.spec_url
    rules: ClassVar[Mapping[str, Rule]] = rules.RULES
    documents: ClassVar[tuple[str, ...]] = (webknossos.DOCUMENT, _ABOVE)
    also: ClassVar[tuple[str, ...]] = ("wkw", "zarr2", "zarr3", "n5", "precomputed")  # the arrays of mags

    def check(self, node: CheckNode, /) -> Checked | None:
        """Check a dataset, or the layer at a folder beside the document."""
        raw = node.document(webknossos.DOCUMENT)
        if raw is not None:
            return _check_dataset(node, raw)
        raw = node.document(_ABOVE) if node.path else None
        return None if raw is None else _check_layer(node, raw)


def _check_dataset(node: CheckNode, raw: bytes) -> Checked:
    sheet, root = rules.read_document(raw, node.key(webknossos.DOCUMENT))
    if root is None:
        return Checked(kind="collection", findings=tuple(sheet.findings))
    entries = rules.check_dataset(root)
    below: dict[str, None] = {}
    findings: list[Finding] = []
    for entry in entries:
        rules.check_layer(entry)
        name = _folder(entry)
        if name is not None:
            below[name] = None
            if entry["dataFormat"].value == "zarr":
                findings += _check_group(node, f"{name}/.zgroup")
    if any(entry["dataFormat"].value == "zarr" for entry in entries):
        findings += _check_group(node, ".zgroup")
    return Checked(
        kind="collection",
        findings=(*sheet.findings, *findings),
        below=tuple(Below(path=name, told=_TOLD) for name in below),
    )


def _folder(entry: Place) -> str | None:
    """Return the folder of a layer; None where its name is none of a folder."""
    name = entry.text("name")
    try:
        return name if name is not None and "/" not in checked_key(name) else None
    except InputError:
        return None


def _check_group(node: CheckNode, name: str) -> list[Finding]:
    """Check a group of Zarr 2 that WEBKNOSSOS writes beside a layer."""
    raw = node.document(name)
    if raw is None:
        return []
    sheet = Sheet("", rules.RULES, node.key(name))
    root = read_object(raw, Sheet("", rules.RULES), "WK-001", "WK-002")
    stated = None if root is None else root["zarr_format"].value
    if stated == "2":
        place = Place(stated, "/zarr_format", sheet)
        place.report("WK-036", "is the text '2'", "write the number 2", expected=2, repair=(place.put(2),))
    return sheet.findings


def _check_layer(node: CheckNode, raw: bytes) -> Checked | None:
    folder, _, name = node.path.rpartition("/")
    key = join_key(folder, webknossos.DOCUMENT)
    sheet, root = rules.read_document(raw, key)
    entry = None if root is None else next((e for e in root["dataLayers"].items() if e.text("name") == name), None)
    if root is None or entry is None:
        return None
    if node.told == _TOLD:  # what the document says was checked with the dataset
        del sheet.findings[:]
    else:
        rules.check_dataset(root)
        rules.check_layer(entry)
    if node.depth != "document":
        _check_arrays(node, raw, key, entry)
        _check_folders(node, entry)
    attached = _check_attachments(node, folder, entry)
    return Checked(
        kind="label" if entry["category"].value == "segmentation" else "image",
        findings=tuple(sheet.findings),
        documents=attached,
    )


# ---------------------------------------------------------------------------------------------------- arrays
def _check_arrays(node: CheckNode, raw: bytes, key: str, entry: Place) -> None:
    """Check the arrays of mags, as far as the document can be understood."""
    try:
        layer = webknossos.parse_layer(webknossos.parse_properties(raw, key), str(entry["name"].value), key)
    except FormatError:
        return
    folder = key.rpartition("/")[0]
    for place, mag in _mags(entry, layer) if layer is not None else ():
        found = _array(node, folder, layer, mag) if layer is not None else None
        if isinstance(found, str):
            place.report("WK-040", f"names {short(found)}, where there is no array", "copy it, or remove the mag")
        elif found is not None and layer is not None:
            array_key, array = found
            rules.check_array(layer, entry, StoredArray(mag, place, array_key, array))
            _check_cube(place, array)


def _mags(entry: Place, layer: Layer) -> list[tuple[Place, Mag]]:
    """Return the mags of a layer that can be read, each with its place in the document."""
    listed = entry["mags"] if entry["mags"].there else entry["wkwResolutions"]
    by_factors = {mag.factors: mag for mag in layer.mags}
    out = []
    for item in listed.items():
        value = item.value.get("mag", item.value.get("resolution")) if isinstance(item.value, dict) else item.value
        factors = rules.factors_of(value)
        mag = None if factors is None else by_factors.pop((factors[2], factors[1], factors[0]), None)
        if mag is not None:
            out.append((item, mag))
    return out


def _array(node: CheckNode, folder: str, layer: Layer, mag: Mag) -> tuple[str, ArrayInfo] | str | None:
    """Return the key of a mag's array and the array; where it should be when it is not there; None for no answer."""
    missing = ""
    for path in webknossos.mag_paths(layer, mag):
        if "://" in path:
            return None
        try:
            key = resolved_key(folder, path.rstrip("/"))
            array = node.array(_seen_from(node.path, key))
        except (InputError, FormatError, UnsupportedError):
            return None  # said by the check of the document, or by whoever opens the layer
        if array is not None:
            return key, array
        missing = missing or key
    return missing


def _check_cube(place: Place, array: ArrayInfo) -> None:
    stated = place["cubeLength"]
    if array.format == "wkw" and array.shard_shape is not None and isinstance(stated.value, int):
        side = array.shard_shape[0]
        if stated.value != side:
            stated.report(
                "WK-047", f"is {stated.value}", "write the side of files", expected=side, repair=(stated.put(side),)
            )


def _check_folders(node: CheckNode, entry: Place) -> None:
    """Check that folders which are called like mags are listed."""
    listed = node.names("")
    if listed is None:
        return
    mags = entry["mags"] if entry["mags"].there else entry["wkwResolutions"]
    known: set[object] = set()
    for item in mags.items():
        members = item.value if isinstance(item.value, dict) else {"mag": item.value}
        known.add(rules.factors_of(members.get("mag", members.get("resolution"))))
        path = members.get("path")
        known.add(path.rstrip("/").rpartition("/")[2] if isinstance(path, str) else None)
    for name in listed[1]:
        if _MAG_FOLDER.fullmatch(name) and name not in known and rules.factors_of(name) not in known:
            mags.report("WK-049", f"does not list the folder {name!r}", "list it, or remove the folder")


# ----------------------------------------------------------------------------------------------- attachments
def _check_attachments(node: CheckNode, folder: str, entry: Place) -> tuple[str, ...]:
    """Check that attachments exist; return the names below the layer of those that are single objects."""
    names = []
    for item in rules.attachments_of(entry["attachments"]):
        path, stored = item.text("path"), item.text("dataFormat")
        if not path or "://" in path:
            continue
        try:
            key = resolved_key(folder, path.rstrip("/"))
        except InputError:
            continue
        if key.startswith(f"{node.path}/"):
            names.append(key.removeprefix(f"{node.path}/"))
        if node.depth != "document" and _is_there(node, key, stored or "") is False:
            item["path"].report("WK-048", f"is {short(path)}, where there is nothing", "copy it, or remove the entry")
    return tuple(names)


def _is_there(node: CheckNode, key: str, stored: str) -> bool | None:
    if stored in _INSIDE:
        return node.document(_seen_from(node.path, f"{key}/{_INSIDE[stored]}")) is not None
    parent, _, name = key.rpartition("/")
    try:
        listed = node.names(_seen_from(node.path, parent))
    except InputError:  # the root of the store has no name
        return None
    return None if listed is None else name in listed[0] or name in listed[1]


def _seen_from(path: str, key: str) -> str:
    """Return a key as seen from a folder of the same store."""
    parts, base = key.split("/") if key else [], path.split("/") if path else []
    shared = 0
    while shared < min(len(parts), len(base)) and parts[shared] == base[shared]:
        shared += 1
    return "/".join([".."] * (len(base) - shared) + parts[shared:])
