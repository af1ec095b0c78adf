"""Checking a document: which parts it has, and who checks them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from voxarium.errors import FormatError
from voxarium.model.checking import Place, Sheet
from voxarium.model.rules import Finding
from voxarium.spec.ome.document import parse_json
from voxarium.spec.ome.rules.arrays import ArrayFacts, check_arrays
from voxarium.spec.ome.rules.bioformats2raw import check_layout, check_series
from voxarium.spec.ome.rules.labels import check_image_label, check_labels
from voxarium.spec.ome.rules.multiscales import check_multiscales
from voxarium.spec.ome.rules.omero import check_omero
from voxarium.spec.ome.rules.plate import check_plate
from voxarium.spec.ome.rules.registry import RULES
from voxarium.spec.ome.rules.storage import KEYS, check_namespace, rules_of, stated_version
from voxarium.spec.ome.rules.systems import check_scene
from voxarium.spec.ome.rules.tables import VERSIONS
from voxarium.spec.ome.rules.well import check_well

__all__ = ["GROUPS", "check_attributes", "check_document", "check_place"]

# The key that makes a group what it is, and the rule that is broken where a group that is meant so has none.
GROUPS: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "image": ("multiscales", "MS-001"),
        "label": ("image-label", "LB-010"),
        "labels": ("labels", "LB-001"),
        "plate": ("plate", "PL-002"),
        "well": ("well", "WL-001"),
        "bf2raw": ("bioformats2raw.layout", "BF-001"),
        "ome": ("series", "BF-004"),
        "scene": ("scene", "SC-001"),
    }
)
_CHECKS: Final[Mapping[str, Callable[[Place], None]]] = MappingProxyType(
    {
        "multiscales": check_multiscales,
        "labels": check_labels,
        "plate": check_plate,
        "well": check_well,
        "bioformats2raw.layout": check_layout,
        "series": check_series,
        "scene": check_scene,
    }
)


def check_attributes(
    attributes: Mapping[str, Any],
    *,
    version: str | None = None,
    group: str | None = None,
    arrays: Mapping[str, ArrayFacts] | None = None,
) -> tuple[Finding, ...]:
    """Return all findings about a group's attributes.

    Parameters
    ----------
    attributes : mapping
        Content of ``.zattrs``, or of ``attributes`` in ``zarr.json``. Any JSON: nothing is refused by an error.
    version : str or None
        Whose rules to follow: 0.4, 0.5, 0.6 or 0.9. By default those of the version the document states.
    group : str or None
        What the group is meant to be, a key of `GROUPS`. By default whatever it says, but it must say something.
    arrays : mapping of str to ArrayFacts, or None
        The arrays that exist, by their path below the group; None when that is not known.
    """
    stated = stated_version(attributes)
    sheet = Sheet(version if version in VERSIONS else rules_of(version or stated, attributes), RULES)
    ome = check_place(Place(dict(attributes), "", sheet), group)
    if arrays is not None:
        check_arrays(ome, arrays)
    return tuple(sheet.findings)


def check_place(
    root: Place, group: str | None = None, *, around: str | None = None, dtype: np.dtype[np.generic] | None = None
) -> Place:
    """Check attributes at a place of any document; return the place of the OME keys.

    Parameters
    ----------
    root : Place
        The attributes.
    group : str or None
        See `check_attributes`.
    around : str or None
        The set of rules that the group above follows.
    dtype : numpy.dtype or None
        Of the image's voxels.
    """
    ome = check_namespace(root, around)
    if not isinstance(ome.value, dict):
        return ome
    foreign = ome.pointer == root.pointer and isinstance(ome["multiscales"].value, dict) and group != "image"
    present = frozenset(key for key in KEYS if ome[key].there and not (foreign and key == "multiscales"))
    _check_group(ome, group, present)
    for key, check in _CHECKS.items():
        if key in present:
            check(ome[key])
    if "omero" in present:
        check_omero(ome["omero"], dtype)
    if ome["image-label"].there:
        check_image_label(ome["image-label"], ome)
    return ome


def _check_group(ome: Place, group: str | None, present: frozenset[str]) -> None:
    if group is not None:
        key, rule = GROUPS[group]
        if key not in present:  # the schemas of 0.4 do not ask for any key but that of images
            fix = f"add it, as the group is meant to be: {group}"
            ome.report(rule, f"has no {key!r}", fix, text="" if group == "image" else "0.4")
    elif not present - {"omero"}:
        fix = f"add one of {', '.join(key for key, _ in GROUPS.values())}"
        ome.report("ST-003", "has no metadata of OME-Zarr", fix)


def check_document(raw: bytes, *, version: str | None = None) -> tuple[Finding, ...]:
    """Return all findings about a document as stored, a ``.zattrs`` or ``zarr.json``; see `check_attributes`."""
    try:
        found = parse_json(raw, "the document")
    except FormatError as error:
        sheet = Sheet(version if version in VERSIONS else "0.5", RULES)
        Place(None, "", sheet).report("ST-008", error.message.removeprefix("the document "), error.fix, basis="text")
        return tuple(sheet.findings)
    attributes = found.get("attributes") if "zarr_format" in found else found
    return check_attributes(attributes if isinstance(attributes, dict) else {}, version=version)
