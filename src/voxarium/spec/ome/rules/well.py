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
    `images` lists objects with `path`; none comes twice.
WL-002 must=all
    The path is of letters and digits; since 0.6 also of `_`, `.` and `-`, but not of dots alone, nor begun by
    `__`.
WL-003 must=all
    `acquisition` is an integer; it is there if the plate has several, and among them.
WL-004 should=0.4,0.5
    A well states `version`.
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
