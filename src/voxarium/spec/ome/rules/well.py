"""Wells: rules WL."""

from __future__ import annotations

from typing import Final

from voxarium.model.checked_values import Field, check_fields, check_unique, matching, objects, whole
from voxarium.model.checking import Place
from voxarium.spec.ome.rules.tables import rules
from voxarium.spec.ome.rules.versions import check_own_version

__all__ = ["RULES", "check_well"]

RULES: Final = rules("""
WL-001 must=all
    `images` lists objects with `path`, which leads to an image; none comes twice.
    why: It is how fields of view are found.
    mend: Copy the missing field again, or remove it from the list.
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/path = "9"
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/path remove
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/path = "1"
WL-002 must=all
    The path is of letters and digits; since 0.6 also of `_`, `.` and `-`, but not of dots alone, nor begun by
    `__`.
    why: Other characters mean something to a store.
    mend: Rename the folder of the field.
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/path = "a b"
WL-003 must=all
    `acquisition` is an integer; it is there if the plate has several, and among them.
    why: Otherwise nobody knows which pass of the microscope a field belongs to.
    mend: Name the acquisition by its id.
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/acquisition = 0.5
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/acquisition remove
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/images/0/acquisition = 7
WL-004 should=0.4,0.5
    A well states `version`.
    why: Readers of 0.4 choose by it.
    mend: Add it. This is repaired.
    bad: ome05-plate A/2/zarr.json#/attributes/ome/well/version remove
""")

_OLDER: Final = matching("[A-Za-z0-9]+", "a text of letters and digits")
_NEWER: Final = matching(r"(?!\.+\Z)(?!__)[A-Za-z0-9_.-]+", "a name of letters, digits, '_', '.' and '-'")


def check_well(place: Place) -> None:
    """Check a well."""
    if not isinstance(place.value, dict):
        place.report("WL-001", "is not an object", 'write {"images": […]}')
        return
    if not place["images"].there:
        place.report("WL-001", "has no 'images'", "list the fields of view")
    check_own_version(place, "WL-004")
    path = _OLDER if place.version < "0.6" else _NEWER
    images = objects(place["images"], "WL-001")
    for image in images:
        if not image["path"].there:
            image.report("WL-001", "has no 'path'", "name the folder of the image")
        check_fields(image, (Field("path", path, "WL-002"), Field("acquisition", whole(), "WL-003")))
    check_unique(images, "WL-001", "path")
