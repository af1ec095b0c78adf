"""Multiscales: rules MS; and their transformations in 0.4 and 0.5: rules CT."""

from __future__ import annotations

from typing import Final

from voxarium.model.checked_values import (
    NUMBER,
    NUMBERS,
    TEXT,
    Field,
    check_fields,
    check_unique,
    list_of,
    objects,
    one_of,
)
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.axes import check_axes
from voxarium.spec.ome.rules.systems import check_graph
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_multiscales"]

RULES: Final = rules("""
MS-001 must=all
    `multiscales` is a list of at least one object; none comes twice.
    why: Readers take the first item; without one there is no image.
    mend: Describe the image in one object of the list.
    bad: ome05 zarr.json#/attributes/ome/multiscales = []
    bad: ome05 zarr.json#/attributes/ome/multiscales/- = 5
MS-002 must=all
    An image has `axes` (0.4, 0.5) or `coordinateSystems` (since 0.6).
    why: Without them the dimensions of the arrays have no names, types and units.
    mend: Describe the axes.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/axes remove
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateSystems remove
    bad: ome09 zarr.json#/attributes/ome/multiscales/0/coordinateSystems remove
MS-003 must=all
    An image has `datasets`, a list of at least one object.
    why: It says where the voxels are.
    mend: List the levels, the largest first.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets remove
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets = {}
MS-004 must=all
    `path` of a dataset is a text that leads from the group to an array.
    why: Viewers fail at the zoom whose level is missing, most of them with an error that does not say so.
    mend: Copy the missing level again, or remove it from the list.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/path = "s7"
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/path = "../s1"
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/path = 3
MS-005 must=all needs=arrays
    Datasets are ordered from the largest to the smallest.
    why: Readers take the first for full resolution, and the last for an overview.
    mend: Reorder the list.
    bad: ome05 s1/zarr.json#/shape = [2, 1, 3, 60, 50]
MS-006 must=all needs=arrays
    All levels have the same number of dimensions.
    why: The axes describe all levels at once.
    mend: Write the level again with all dimensions; one may be 1 long.
    bad: ome05 s1/zarr.json#/shape = [3, 3, 3]
MS-007 must=0.6,0.9 should=0.4,0.5 needs=arrays
    All levels have the same data type.
    why: Contrast and label ids jump while zooming, and readers reserve memory by the first level.
    mend: Make the levels anew from the first: `voxarium convert` does.
    bad: ome05 s1/zarr.json#/data_type = "uint8"
    bad: ome04 s1/.zarray#/dtype = "|u1"
MS-008 must=all
    Every dataset has `coordinateTransformations`.
    why: Without them nobody knows how large a voxel of the level is, nor where it lies.
    mend: Add the scale of the level.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations remove
MS-009 should=all
    An image has `name` (a text), `type` (how it was downscaled) and `metadata` about that.
    why: Whether a level can be measured, and where exactly it lies, depends on how it was made.
    mend: Say so, such as "type": "mean".
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/name remove
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/metadata remove
MS-010 should=0.4
    An image states `version`, which is 0.4.
    why: 0.1 to 0.4 differ in what axes and scales mean; readers choose by it.
    mend: Add "version": "0.4". This is repaired where there is none.
    bad: ome04 .zattrs#/multiscales/0/version remove
MS-011 should=all needs=nothing
    Of several images, readers take the one that is named, else the first.
MS-012 must=0.4,0.5
    The scale is the size of a voxel, above 0; where that is unknown, the factor to level 0.
    why: A voxel of no size, or a mirrored one, cannot be shown or measured.
    mend: State the size of a voxel in units of the axes, or 1 where it is unknown; turn a mirrored array.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/0/coordinateTransformations/0/scale = [1, 1, 0, 1, 1]
MS-013 quality=0.4,0.5 should=0.6,0.9 needs=arrays basis=house
    Levels lie on each other: a mean over n voxels moves the origin by (n - 1) / 2 of them.
    why: The centre of the first voxel of a mean lies between those it was made of. Without the translation the image
    jumps while zooming, and labels made on one level miss those on another by up to half a voxel.
    mend: Add the translation. This is repaired where `type` says how the levels were made.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/1 remove
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/1/translation =
    [0, 0, 0, 9, 9]
MS-014 quality=all needs=arrays basis=house
    The ratio of scales is that of shapes, up to one voxel of the level (a rule of this library).
    why: The image seems to grow or shrink while zooming.
    mend: Correct the scale; factors are whole numbers for most writers.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/scale = [1, 1, 2, 4, 4]
CT-001 must=0.4,0.5
    `coordinateTransformations` is a list of objects, each with a `type`.
    why: Readers choose by the type what to read, and ignore or refuse the rest.
    mend: Write [{"type": "scale", "scale": […]}].
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations = 7
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/type remove
CT-002 must=0.4,0.5
    A dataset has one scale, and at most one translation after it.
    why: Readers look for the scale at the first place and a translation at the second.
    mend: Combine the transformations into these two, or use 0.6, which has affine and others.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/- = {"type": "affine"}
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0 = {"type": "translation",
    "translation": [0, 0, 0, 0, 0]}
CT-003 must=0.4,0.5
    Scale and translation have one number per axis.
    why: Numbers are paired with axes by position.
    mend: Give axes without a size, such as channels, a scale of 1 and a translation of 0.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/scale = [1, 2]
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/scale = [1, 1, 1, 1, "2"]
CT-004 must=0.4,0.5
    Numbers stand in the document; `path` to an array of them is not written.
    why: No reader known follows such a path.
    mend: Write the numbers in the document.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0 = {"type": "scale",
    "path": "scales/1"}
CT-005 must=0.4,0.5
    Transformations of the whole image follow the rules of those of datasets.
    why: Readers treat both alike.
    mend: Write one scale, and a translation after it where there is one; or remove them.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations = [{"type": "rotation"}]
CT-006 must=0.4,0.5
    `identity` is no transformation of a dataset.
    why: Readers look for a scale.
    mend: Write a scale of ones.
    bad: ome05 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/- = {"type": "identity"}
""")

_STATED: Final = ("type", "metadata")
_PAIR: Final = list_of(NUMBER, least=2)
_VERSION: Final = Field("version", one_of("0.4"), "MS-010", "should", default="0.4")


def check_multiscales(place: Place) -> None:
    """Check the list of images."""
    images = objects(place, "MS-001")
    check_unique(images, "MS-001")
    for image in images:
        _check_image(image)


def _check_image(image: Place) -> None:
    check_fields(image, (Field("name", TEXT, "MS-009", "should"),))
    for key in _STATED:
        if not image[key].there:
            image.report("MS-009", f"has no {key!r}", "say how the levels were made")
    datasets = _datasets(image)
    if image.version < "0.6":
        _check_older(image, datasets)
    else:
        check_graph(image, datasets)


def _datasets(image: Place) -> list[Place]:
    """Return the datasets; report what they lack in every version."""
    if not image["datasets"].there:
        image.report("MS-003", "has no 'datasets'", "list the levels, the largest first")
    datasets = objects(image["datasets"], "MS-003")
    for dataset in datasets:
        check_fields(dataset, (Field("path", TEXT, "MS-004", "must"),))
        _check_path(dataset["path"])
        if not dataset["coordinateTransformations"].there:
            dataset.report("MS-008", "has no 'coordinateTransformations'", "add the level's scale")
    return datasets


def _check_path(path: Place) -> None:
    value = path.value
    if isinstance(value, str) and (value.startswith("/") or ".." in value.split("/") or not value):
        path.report("MS-004", f"is {short(value)}", "name an array below the group", basis="text")


# -- 0.4 and 0.5
def _check_older(image: Place, datasets: list[Place]) -> None:
    if not image["axes"].there:
        image.report("MS-002", "has no 'axes'", "list the axes")
        count = None
    else:
        check_axes(image["axes"])
        count = len(image["axes"].items()) or None
    if image.version == "0.4":
        check_fields(image, (_VERSION,))
    for dataset in datasets:
        if dataset["coordinateTransformations"].there:
            _check_transforms(dataset["coordinateTransformations"], "CT-002", count)
    if image["coordinateTransformations"].there:
        _check_transforms(image["coordinateTransformations"], "CT-005", count)


def _check_transforms(place: Place, kinds_rule: str, count: int | None) -> None:
    """Check a list of scale and translation."""
    items = objects(place, "CT-001")
    for item in items:
        _check_transform(item, kinds_rule, count)
    kinds = [item.text("type") for item in items]
    if place.value and kinds.count("scale") != 1:
        place.report(kinds_rule, f"has {kinds.count('scale')} transformations of type scale", "keep exactly one")
    elif kinds.count("translation") > 1:
        place.report(kinds_rule, "has several translations", "add them up to one", basis="text")
    elif kinds[:2] == ["translation", "scale"]:
        fix = "put the scale first, and multiply the translation by it"
        place.report(kinds_rule, "has the translation before the scale", fix, basis="text")


def _check_transform(item: Place, kinds_rule: str, count: int | None) -> None:
    kind = item.text("type")
    if kind is None:
        item.report("CT-001", "has no 'type'", "make it a scale or a translation")
    elif kind == "identity":
        item.report("CT-006", "is an identity", "write a scale of ones")
    elif kind not in ("scale", "translation"):
        item["type"].report(kinds_rule, f"is {short(kind)}", "use scale and translation only; others came with 0.6")
    else:
        _check_numbers(item, kind, count)


def _check_numbers(item: Place, kind: str, count: int | None) -> None:
    numbers = item[kind]
    if not numbers.there and item["path"].there:
        item.report("CT-004", "refers to an array", f"write the numbers as {kind!r}")
    elif not numbers.there or not _PAIR.holds(numbers.value):
        check_fields(item, (Field(kind, _PAIR, "CT-003", "must"),))
    elif count is not None and len(numbers.value) != count:
        message = f"has {len(numbers.value)} numbers for {count} axes"
        numbers.report("CT-003", message, "give one number per axis", basis="text")
    if kind == "scale" and NUMBERS.holds(numbers.value) and not all(v > 0 for v in numbers.value):
        numbers.report("MS-012", "has numbers that are not above 0", "give the size of a voxel", basis="text")
