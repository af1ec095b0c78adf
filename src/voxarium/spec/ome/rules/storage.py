"""Documents, namespace and version: rules ST."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from voxarium.model.checked_values import NAME, Field, check_fields
from voxarium.model.checking import ABSENT, Place, short
from voxarium.spec.ome.rules.tables import VERSIONS, rules

__all__ = ["ACCEPTED", "HISTORIC", "KEYS", "RULES", "check_namespace", "rules_of", "stated_version"]

RULES: Final = rules(r"""
ST-001 must=0.4 needs=arrays
    Arrays and groups are those of Zarr 2.
    why: Readers of 0.4 look for .zarray and .zgroup only; arrays of Zarr 3 do not exist for them.
    mend: Write the arrays as Zarr 2, or bring the whole hierarchy to 0.5: `voxarium upgrade`.
    bad: ome04 s1/.zarray remove
    and: s1/zarr.json = {"zarr_format": 3, "node_type": "array", "shape": [2, 1, 3, 3, 3], "data_type": "uint16",
    "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1, 1, 3, 3, 3]}}, "fill_value": 0,
    "chunk_key_encoding": {"name": "v2", "configuration": {"separator": "/"}}, "codecs": [{"name": "bytes",
    "configuration": {"endian": "little"}}, {"name": "gzip", "configuration": {"level": 5}}]}
ST-002 must=0.5,0.6,0.9 needs=arrays
    Arrays and groups are those of Zarr 3; nothing below them is of Zarr 2.
    why: Readers of these versions look for zarr.json only; what is of Zarr 2 does not exist for them.
    mend: Write the arrays as Zarr 3: `voxarium convert` copies chunks as they are where that is possible.
    bad: ome05 s1/zarr.json remove
    and: s1/.zarray = {"zarr_format": 2, "shape": [2, 1, 3, 3, 3], "chunks": [1, 1, 3, 3, 3], "dtype": "<u2", "order":
    "C", "compressor": {"id": "gzip", "level": 5}, "filters": null, "fill_value": 0, "dimension_separator": "/"}
ST-003 must=all
    The metadata stand at the top of the attributes (0.4), or in an object `ome` in them (since 0.5).
    why: A reader that looks at the right place finds no image.
    mend: Move the metadata, or bring the image to the version whose place they have: `voxarium upgrade`.
    bad: ome04-label labels/.zattrs = {"ome": {"labels": ["cells"]}}
    bad: ome05 zarr.json#/attributes = {"multiscales": [], "omero": {}}
    bad: ome06-label labels/zarr.json#/attributes = {"labels": ["cells"]}
ST-004 must=0.5,0.6,0.9
    `ome.version` names the version of the specification.
    why: The same keys mean different things in different versions; readers choose by the version.
    mend: State it. It is repaired where the group around it, or the form of the metadata, leave no doubt.
    bad: ome05 zarr.json#/attributes/ome/version remove
    bad: ome06 zarr.json#/attributes/ome/version remove
    bad: ome09-label labels/zarr.json#/attributes/ome/version = 0.9
ST-005 must=0.5,0.6,0.9 should=0.4
    Where a version is stated, it is that of the rules the document follows; older ones than 0.4 are not checked.
    why: Readers refuse versions they do not know, and drafts were read by the software of their months alone.
    mend: State the released version after checking that the document follows it, or run `voxarium upgrade`.
    bad: ome05 zarr.json#/attributes/ome/version = "0.5-dev"
    bad: ome06 zarr.json#/attributes/ome/version = "0.6.dev3"
    bad: ome09 zarr.json#/attributes/ome/version = "0.9.dev0"
    bad: ome04 .zattrs#/multiscales/0/version = "0.2"
ST-006 must=0.5,0.6,0.9 needs=hierarchy
    A whole hierarchy follows one version.
    why: Software that read the outer group goes on with its rules, and finds no images, labels or wells in groups of
    other versions.
    mend: Bring the whole hierarchy to one version: `voxarium upgrade` on the outermost group.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/version = "0.6"
    bad: ome06-plate A/2/zarr.json#/attributes/ome/version = "0.5"
    bad: ome09-label labels/zarr.json#/attributes/ome/version = "0.5"
ST-007 must=0.4 needs=arrays
    Chunks lie in nested folders: the dimension separator is `/`.
    why: A flat folder of many millions of chunks cannot be listed or copied by usual tools; several readers support
    the separator "/" alone.
    mend: Rename the chunks and state the separator: `voxarium convert` does without decoding them.
    bad: ome04 s0/.zarray#/dimension_separator = "."
ST-008 must=all needs=document
    Documents are strict JSON, without comments.
    why: Most readers stop at the first character that is not JSON, and the image cannot be opened.
    mend: Correct the document in a text editor: remove comments, trailing commas, NaN.
    bad: ome04 .zattrs = "{\"multiscales\": [], } // an image"
    bad: ome05 zarr.json = "{\"attributes\": {\"ome\": {\"multiscales\": [NaN]}}}"
    bad: ome06-label labels/cells/zarr.json = "{"
ST-009 must=0.5,0.6,0.9 needs=nothing
    Readers take any codec, grid, key encoding and type of Zarr.
ST-010 must=0.5 needs=arrays
    Arrays name their dimensions as the axes are named, in order.
    why: Software that opens an array by itself, such as xarray, names and aligns axes by them.
    mend: Add `dimension_names`. It is repaired where there are none.
    bad: ome05 s0/zarr.json#/dimension_names remove
    bad: ome05 s1/zarr.json#/dimension_names = ["t", "c", "z", "x", "y"]
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
HISTORIC: Final = ("0.1", "0.2", "0.3")  # versions without rules here
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


def check_namespace(root: Place, around: str | None = None) -> Place:
    """Return the place that holds the OME keys; where they are misplaced, the place where they are.

    `around` is the set of rules that the group above follows.
    """
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
    _check_version(ome, around)
    return ome


def _check_version(ome: Place, around: str | None) -> None:
    version, accepted = ome.text("version"), ACCEPTED[ome.version]
    first = ome["multiscales"][0]
    certain = around == ome.version or first["coordinateSystems" if ome.version > "0.5" else "axes"].there
    default = accepted[0] if certain and ome.version in ("0.5", "0.6") else ABSENT
    check_fields(ome, [Field("version", NAME, "ST-004", "must", default=default)])
    if version and version not in accepted:
        same = ome.version == "0.5" and version.startswith("0.5")  # later ones had drafts that look different
        ome["version"].report(
            "ST-005",
            f"is {short(version)}",
            f"make it {accepted[0]!r}, or follow the rules of that version",
            expected=accepted[0],
            repair=(ome["version"].put(accepted[0]),) if same else (),
        )
