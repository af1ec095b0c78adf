"""Documents of groups: ``zarr.json`` since 0.5, ``.zgroup`` with ``.zattrs`` before; lists of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxarium.errors import Code, InputError
from voxarium.spec.ome.document import as_mapping, dump_json, malformed, parse_json
from voxarium.spec.ome.image import namespace

__all__ = [
    "add_label",
    "check_group_version",
    "dump_group",
    "group_keys",
    "join",
    "parse_labels",
    "parse_v2_attributes",
    "parse_v3_attributes",
]


def join(*parts: str) -> str:
    """Return the key of the parts that are not empty."""
    return "/".join(p for p in parts if p)


def group_keys(path: str, spec_version: str) -> tuple[str, ...]:
    """Return the keys of a group's documents; the last one holds the attributes."""
    names = (".zgroup", ".zattrs") if spec_version < "0.5" else ("zarr.json",)
    return tuple(join(path, name) for name in names)


def dump_group(path: str, spec_version: str, attributes: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the documents of a group, the one with its attributes last."""
    if spec_version < "0.5":
        marker, own = group_keys(path, spec_version)
        return {marker: dump_json({"zarr_format": 2}), own: dump_json(attributes)}
    (key,) = group_keys(path, spec_version)
    return {key: dump_json({"zarr_format": 3, "node_type": "group", "attributes": attributes})}


def parse_v3_attributes(raw: bytes, where: str) -> Mapping[str, Any] | None:
    """Return the attributes of a ``zarr.json``; None when it describes an array."""
    document = parse_json(raw, where)
    if document.get("node_type") != "group":
        if document.get("node_type") == "array":
            return None
        malformed(where, "does not say whether it is a group or an array", 'give "node_type": "group"')
    return as_mapping(document.get("attributes", {}), f"{where} attributes")


def parse_v2_attributes(raw: bytes, where: str) -> Mapping[str, Any]:
    """Return the content of a ``.zattrs``."""
    return parse_json(raw, where)


def parse_labels(attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths a ``labels`` group lists, as stated; what is no text is left out."""
    listed = namespace(attributes).get("labels")
    return tuple(p for p in listed if isinstance(p, str) and p) if isinstance(listed, list) else ()


def check_group_version(path: str, spec_version: str, existing: Mapping[str, bytes]) -> None:
    """Refuse to write a part of a hierarchy in another version than the group at `path`: it has one (ST-006).

    Raises
    ------
    InputError
        If the group follows another version.
    FormatError
        If what is there cannot be read.
    """
    older, newer = group_keys(path, "0.4"), group_keys(path, "0.5")[0]
    stated = None
    if newer in existing:
        stated = namespace(parse_v3_attributes(existing[newer], newer) or {}).get("version")
    elif any(key in existing for key in older):
        stated = "0.4" if spec_version >= "0.5" else None  # 0.1 to 0.4 share one layout
    if stated is not None and stated != spec_version:
        raise InputError(
            f"the documents at {path or '.'!r} follow OME-Zarr {stated}, not {spec_version}",
            code=Code.ARGUMENT_INVALID,
            fix=f"write what belongs to it with --spec-version {stated} too",
        )


def add_label(path: str, spec_version: str, name: str, existing: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the documents of the ``labels`` group at `path` that lists `name` too.

    Raises
    ------
    FormatError
        If what is there cannot be read.
    """
    key = group_keys(path, spec_version)[-1]
    raw = existing.get(key)
    if spec_version < "0.5":
        attributes = dict(parse_v2_attributes(raw, key)) if raw is not None else {}
        names = parse_labels(attributes)
        attributes["labels"] = [*names, *({name} - set(names))]
        return dump_group(path, spec_version, attributes)
    document = dict(parse_json(raw, key)) if raw is not None else {"zarr_format": 3, "node_type": "group"}
    attributes = dict(as_mapping(document.get("attributes", {}), f"{key} attributes"))
    ome = dict(as_mapping(attributes.get("ome", {}), f"{key} attributes.ome"))
    ome.setdefault("version", spec_version)
    names = parse_labels(attributes)
    ome["labels"] = [*names, *({name} - set(names))]
    attributes["ome"] = ome
    return {key: dump_json(document | {"attributes": attributes})}
