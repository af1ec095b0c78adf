"""Multiscales: rules MS; and their transformations in 0.4 and 0.5: rules CT."""

from __future__ import annotations

from typing import Final

from voxarium.model.checked_values import NUMBER, TEXT, Field, check_fields, check_unique, list_of, objects, one_of
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.axes import check_axes
from voxarium.spec.ome.rules.systems import check_graph
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "check_multiscales"]

RULES: Final = rules("""
MS-001 must=all
    `multiscales` is a list of at least one object; none comes twice.
MS-002 must=all
    An image has `axes` (0.4, 0.5) or `coordinateSystems` (since 0.6).
MS-003 must=all
    An image has `datasets`, a list of at least one object.
MS-004 must=all
    `path` of a dataset is a text that leads from the group to an array.
MS-005 must=all needs=arrays
    Datasets are ordered from the largest to the smallest.
MS-006 must=all needs=arrays
    All levels have the same number of dimensions.
MS-007 must=0.6,0.9 should=0.4,0.5 needs=arrays
    All levels have the same data type.
MS-008 must=all
    Every dataset has `coordinateTransformations`.
MS-009 should=all
    An image has `name` (a text), `type` (how it was downscaled) and `metadata` about that.
MS-010 should=0.4
    An image states `version`, which is 0.4.
MS-011 should=all needs=nothing
    Of several images, readers take the one that is named, else the first.
MS-012 must=all needs=data
    The scale is the size of a voxel; where that is unknown, the factor to level 0.
MS-013 should=all needs=data
    Levels lie on each other: a mean over n voxels moves the origin by (n - 1) / 2 of them.
MS-014 should=all needs=data
    The ratio of scales is that of shapes, up to one voxel of the source (a rule of this library).
CT-001 must=0.4,0.5
    `coordinateTransformations` is a list of objects, each with a `type`.
CT-002 must=0.4,0.5
    A dataset has one scale, and at most one translation after it.
CT-003 must=0.4,0.5
    Scale and translation have one number per axis.
CT-004 must=0.4,0.5
    Numbers stand in the document; `path` to an array of them is not written.
CT-005 must=0.4,0.5
    Transformations of the whole image follow the rules of those of datasets.
CT-006 must=0.4,0.5
    `identity` is no transformation of a dataset.
""")

_STATED: Final = ("type", "metadata")
_PAIR: Final = list_of(NUMBER, least=2)
_VERSION: Final = Field("version", one_of("0.4"), "MS-010", "should")


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
