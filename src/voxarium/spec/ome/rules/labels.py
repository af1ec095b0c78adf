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
    why: Many stores cannot be listed; what is not in the list is not found.
    mend: List the paths. A missing list is repaired.
    bad: ome05-label labels/zarr.json#/attributes/ome remove
    bad: ome05-label labels/zarr.json#/attributes/ome/labels = {}
    bad: ome05-label labels/zarr.json#/attributes/ome/labels/- = 5
LB-002 must=all needs=hierarchy
    What it lists are images.
    why: Viewers offer the label image, and fail when it is chosen.
    mend: Copy the missing label image again, or remove it from the list.
    bad: ome05-label labels/zarr.json#/attributes/ome/labels/- = "gone"
    bad: ome05-label labels/zarr.json#/attributes/ome/labels/- = "cells/s0"
LB-003 should=0.5,0.6,0.9 needs=hierarchy
    All label images are listed.
    why: Nobody finds those that are not.
    mend: Add them to the list. This is repaired.
    bad: ome05-label labels/zarr.json#/attributes/ome/labels = []
LB-004 must=0.5,0.6,0.9 needs=hierarchy
    Groups between the list and a label image have no metadata.
    why: Software that walks the hierarchy takes such a group for an image or a collection, and stops there.
    mend: Remove the attributes of the group.
    bad: ome05-label labels/deep/zarr.json = {"zarr_format": 3, "node_type": "group", "attributes": {"note": "mine"}}
    and: labels/zarr.json#/attributes/ome/labels = ["cells", "deep/nuclei"]
LB-005 must=all needs=arrays
    Arrays of label images hold integers of 8 to 64 bits.
    why: Values are names of objects; numbers with a fraction cannot be, and large ones lose digits.
    mend: Convert the array to an integer type that holds the largest label.
    bad: ome05-label labels/cells/s0/zarr.json#/data_type = "float32"
    bad: ome04-label labels/cells/s0/.zarray#/dtype = "<f4"
LB-006 must=all needs=hierarchy
    A label image has as many levels as its image.
    why: Viewers load level n of the labels over level n of the image.
    mend: Make the missing levels, by mode or by taking every n-th voxel, or remove what is too much.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/multiscales/0/datasets/1 remove
LB-007 should=all needs=hierarchy
    Every length of a label image is that of its image, or 1.
    why: Viewers lay voxel on voxel; labels of another size end up elsewhere.
    mend: Write the labels on the grid of the image.
    bad: ome05-label labels/cells/s0/zarr.json#/shape = [2, 1, 3, 7, 5]
LB-008 should=0.5,0.6,0.9 needs=hierarchy
    A label image has `image-label`.
    why: Without it the group is an image of grey values for whoever opens it by itself.
    mend: Add it, with colours. An empty one with its source is repaired.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label remove
LB-009 must=all
    Where `image-label` is, `multiscales` is too.
    why: Colours alone are no image.
    mend: Describe the levels.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/multiscales remove
LB-010 must=all
    `colors`, which should be there, lists objects with `label-value`, an integer, and `rgba`, four integers
    from 0 to 255; none comes twice.
    why: Everyone else sees the labels in other colours, or not at all.
    mend: Correct the entry.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/colors/0/rgba = [1, 2, 3, 256]
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/colors/0/label-value = 0.5
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/colors remove
LB-011 must=0.4
    No two colours are for the same `label-value`; readers that go on take the last.
    why: Readers differ in which of them they take.
    mend: Keep one.
    bad: ome04-label labels/cells/.zattrs#/image-label/colors/0/label-value = 2
LB-012 must=all
    `properties` lists objects with `label-value`, an integer; none comes twice.
    why: Properties are found by the value of the label.
    mend: Add the value to each.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/properties/0/label-value remove
LB-013 must=all
    `source` is an object, and its `image` a path (by default `../../`) to the labelled image.
    why: Software that opens the labels by themselves shows them over this image.
    mend: Name it relative to the label image. This is repaired for label images below their image.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/source/image = "../"
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/source/image = 4
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/source = "../../"
LB-014 should=0.4,0.5
    `image-label` states `version`.
    why: Readers of 0.4 choose by it.
    mend: Add it. This is repaired.
    bad: ome05-label labels/cells/zarr.json#/attributes/ome/image-label/version remove
LB-015 must=0.6,0.9 needs=hierarchy
    The group around the group of labels is an image.
    why: Labels are about an image; software finds them from there.
    mend: Move the group of labels into the image.
    bad: ome06-label zarr.json#/attributes/ome/multiscales remove
    and: zarr.json#/attributes/ome/omero remove
    bad: ome09-label zarr.json#/attributes remove
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
