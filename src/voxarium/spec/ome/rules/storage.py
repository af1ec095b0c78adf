"""Documents, namespace and version: rules ST."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from voxarium.model.checked_values import NAME, Field, check_fields
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.tables import VERSIONS, rules

__all__ = ["KEYS", "RULES", "check_namespace", "rules_of", "stated_version"]

RULES: Final = rules("""
ST-001 must=0.4 needs=arrays
    Arrays and groups are those of Zarr 2.
ST-002 must=0.5,0.6,0.9 needs=arrays
    Arrays and groups are those of Zarr 3; nothing below them is of Zarr 2.
ST-003 must=all
    The metadata stand at the top of the attributes (0.4), or in an object `ome` in them (since 0.5).
ST-004 must=0.5,0.6,0.9
    `ome.version` names the version of the specification.
ST-005 must=0.5,0.6,0.9
    Where a version is stated, it is that of the rules the document follows.
ST-006 must=0.5,0.6,0.9 needs=hierarchy
    A whole hierarchy follows one version.
ST-007 must=0.4 needs=arrays
    Chunks lie in nested folders: the dimension separator is `/`.
ST-008 must=all needs=document
    Documents are strict JSON, without comments.
ST-009 must=0.5,0.6,0.9 needs=nothing
    Readers take any codec, grid, key encoding and type of Zarr.
ST-010 must=0.5 needs=arrays
    Arrays name their dimensions as the axes are named, in order.
ST-011 should=all needs=nothing
    New keys are written in camel case.
""")

KEYS: Final = (
    "multiscales",
    "omero",
    "image-label",
    "labels",
    "plate",
    "well",
    "bioformats2raw.layout",
    "series",
    "scene",
)
ACCEPTED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"0.4": ("0.4",), "0.5": ("0.5",), "0.6": ("0.6", "0.6rc0"), "0.9": ("0.9.dev1",)}
)
_HOLDERS: Final = ("plate", "well", "image-label")  # objects that state a version of their own before 0.5


def stated_version(attributes: Mapping[str, Any]) -> str | None:
    """Return the version a document states, wherever its version puts that; None when it states none."""
    ome = attributes.get("ome")
    if isinstance(ome, dict):
        candidates: list[Any] = [ome]
    else:
        multiscales = attributes.get("multiscales")
        listed = multiscales if isinstance(multiscales, list) else []
        candidates = [*listed[:1], *(attributes.get(k) for k in _HOLDERS)]
    stated = (c.get("version") for c in candidates if isinstance(c, dict))
    return next((v for v in stated if isinstance(v, str) and v), None)


def rules_of(version: str | None, attributes: Mapping[str, Any]) -> str:
    """Return the set of rules for a stated version; else that which the document looks like."""
    for known in VERSIONS:
        if version is not None and version.startswith(known):
            return known
    ome = attributes.get("ome")
    if not isinstance(ome, dict):
        return "0.5" if "ome" in attributes else "0.4"
    multiscales = ome.get("multiscales")
    first = multiscales[0] if isinstance(multiscales, list) and multiscales else {}
    newer = "scene" in ome or (isinstance(first, dict) and "coordinateSystems" in first)
    return "0.6" if newer else "0.5"


def check_namespace(root: Place) -> Place:
    """Return the place that holds the OME keys; where they are misplaced, the place where they are."""
    ome = root["ome"]
    if root.version == "0.4":
        if ome.there and not any(root[k].there for k in KEYS):
            ome.report("ST-003", "is a namespace, which 0.4 does not have", "move its keys to the top of .zattrs")
            return ome
        return root
    if not ome.there:
        root.report("ST-003", "has no 'ome'", 'put the metadata in "ome": {…}')
        return root
    if not isinstance(ome.value, dict):
        ome.report("ST-003", "is not an object", 'put the metadata in "ome": {…}')
        return ome
    _check_version(ome)
    return ome


def _check_version(ome: Place) -> None:
    check_fields(ome, [Field("version", NAME, "ST-004", "must")])
    version, accepted = ome.text("version"), ACCEPTED[ome.version]
    if version and version not in accepted:
        ome["version"].report(
            "ST-005", f"is {short(version)}", f"make it {accepted[0]!r}, or follow the rules of that version"
        )
