"""Label images and lists of them: rules LB."""

from __future__ import annotations

from typing import Final

from voxarium.model.checked_values import NUMBER, TEXT, Field, check_fields, check_unique, list_of, objects, whole
from voxarium.model.checking import Place
from voxarium.spec.ome.rules.tables import rules
from voxarium.spec.ome.rules.versions import check_own_version

__all__ = ["RULES", "check_image_label", "check_labels"]

RULES: Final = rules("""
LB-001 must=all
    The group of labels lists their paths as `labels`, texts.
LB-002 must=all needs=hierarchy
    What it lists are images.
LB-003 should=0.5,0.6,0.9 needs=hierarchy
    All label images are listed.
LB-004 must=0.5,0.6,0.9 needs=hierarchy
    Groups between the list and a label image have no metadata.
LB-005 must=all needs=arrays
    Arrays of label images hold integers of 8 to 64 bits.
LB-006 must=all needs=hierarchy
    A label image has as many levels as its image.
LB-007 should=all needs=hierarchy
    Every length of a label image is that of its image, or 1.
LB-008 should=0.5,0.6,0.9 needs=hierarchy
    A label image has `image-label`.
LB-009 must=all
    Where `image-label` is, `multiscales` is too.
LB-010 must=all
    `colors`, which should be there, lists objects with `label-value`, an integer, and `rgba`, four integers
    from 0 to 255; none comes twice.
LB-011 must=0.4
    No two colours are for the same `label-value`; readers that go on take the last.
LB-012 must=all
    `properties` lists objects with `label-value`, an integer; none comes twice.
LB-013 must=all
    `source` is an object, and its `image` a path (by default `../../`) to the labelled image.
LB-014 should=0.4,0.5
    `image-label` states `version`.
LB-015 must=0.6,0.9 needs=hierarchy
    The group around the group of labels is an image.
LB-016 should=0.5,0.6,0.9 needs=nothing
    Readers show labels in the given colours.
""")

_COLOR: Final = (
    Field("label-value", NUMBER, "LB-010", "must"),
    Field("rgba", list_of(whole(0, 255), 4, 4), "LB-010"),
)
_PROPERTY: Final = (Field("label-value", whole(), "LB-012", "must"),)


def check_labels(place: Place) -> None:
    """Check the list of a group of labels; no official schema has it."""
    if not isinstance(place.value, list):
        place.report("LB-001", "is not a list", "list the paths of the label images", basis="text")
    for item in place.items():
        if not isinstance(item.value, str):
            item.report("LB-001", "is not a text", "name the path of a label image", basis="text")


def check_image_label(place: Place, siblings: Place) -> None:
    """Check ``image-label``, and that an image is beside it."""
    if not isinstance(place.value, dict):
        place.report("LB-010", "is not an object", "write {…}")
        return
    if not siblings["multiscales"].there:
        place.report(
            "LB-009", "is no image: there are no multiscales", "describe the label image's levels", basis="text"
        )
    check_own_version(place, "LB-014")
    if not place["colors"].there:
        place.report("LB-010", "has no 'colors'", "give every label a colour", level="should")
    _check_colors(place["colors"])
    _check_properties(place["properties"])
    _check_source(place["source"])


def _check_colors(place: Place) -> None:
    colors = objects(place, "LB-010")
    for color in colors:
        check_fields(color, _COLOR)
        value = color["label-value"]
        if NUMBER.holds(value.value) and not whole().holds(value.value):
            value.report("LB-010", "is not whole", "use the integer that stands in the array", basis="text")
    check_unique(colors, "LB-010", "label-value", names_rule="LB-011")


def _check_properties(place: Place) -> None:
    items = objects(place, "LB-012")
    for item in items:
        check_fields(item, _PROPERTY)
    check_unique(items, "LB-012")


def _check_source(place: Place) -> None:
    if not place.there:
        return
    if not isinstance(place.value, dict):
        place.report("LB-013", "is not an object", 'write {"image": "../../"}')
        return
    check_fields(place, (Field("image", TEXT, "LB-013"),))
