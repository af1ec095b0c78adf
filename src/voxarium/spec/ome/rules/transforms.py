"""Transformations since 0.6, one by one: rules TR-002 and TR-012 to TR-020."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from voxarium.model.checked_values import (
    LIST,
    NUMBERS,
    OBJECT,
    TEXT,
    Field,
    Kind,
    check_fields,
    frozen,
    list_of,
    objects,
    one_of,
    whole,
)
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.tables import rules

__all__ = ["RULES", "TYPES", "check_transform"]

RULES: Final = rules("""
TR-002 must=0.6,0.9
    A transformation is an object whose `type` is one of the twelve; `name` is a text, and not shared.
    why: Readers choose by the type what to compute.
    mend: Use one of the types of the specification.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "warp"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type remove
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/name = 5
TR-012 must=0.6,0.9
    `mapAxis` lists every input axis once: output i takes the input it names.
    why: Otherwise it is no permutation, and has no inverse.
    mend: List the numbers 0 to N - 1 in the order of the output.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "mapAxis"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/mapAxis = [0, 0, 1, 2, 3]
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "mapAxis"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/mapAxis = [0, 1, 2, 4]
TR-013 must=0.6,0.9
    `projectAxis` has `droppedInputs` or `createdOutputs`: axes that exist, each once.
    why: A projection of an axis that is not there cannot be computed.
    mend: Count axes from 0, and name each once.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "projectAxis"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "projectAxis"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/droppedInputs = [7]
TR-014 must=0.6,0.9
    Scale and translation are numbers in the document, not at a `path`; a scale is positive.
    why: Simple readers read numbers from the document alone; a scale of 0 has no inverse.
    mend: Write the numbers; a mirror image is an affine.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/datasets/1/coordinateTransformations/0/transformations/0/scale =
    [1, 1, 1, 1, 0]
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/path = "there"
TR-015 must=0.6,0.9
    `affine` is a matrix of M rows and N + 1 columns, in the document or, else, at a `path`.
    why: The last column is the translation; rows of different lengths are no matrix.
    mend: Write one row per output axis, with one number per input axis and the translation behind them.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "affine"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/affine = [[1, 2], [1]]
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "affine"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/path = "coordinateTransformations/gone"
TR-016 must=0.6,0.9
    `rotation` is a square matrix, orthonormal and of determinant 1 (here: up to 1e-6), or a `path` to one.
    why: Readers invert it by transposing; of any other matrix that is wrong.
    mend: Write more digits, or use an affine.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "rotation"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/rotation = [[-1, 0, 0, 0, 0],
    [0, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "rotation"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/path = "s0"
TR-017 must=0.6,0.9
    A sequence is not empty.
    why: It would be an identity that readers must treat apart.
    mend: Write an identity.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "sequence"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/transformations = []
TR-018 must=0.6,0.9
    Displacements and coordinates have a `path` to an image with one axis for vectors; `interpolation` is nearest,
    linear or cubic.
    why: The vectors are what the transformation consists of.
    mend: Store them as an image of their own, with a discrete axis of type displacement or coordinate.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "displacements"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "displacements"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/path = "coordinateTransformations/gone"
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "coordinates"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/interpolation = "sinc"
TR-019 must=0.6,0.9
    `byDimension` gives every transformation its `inputAxes` and `outputAxes`, by number; every output axis
    comes once.
    why: An axis that comes twice has two values.
    mend: Number axes from 0, and name every output once.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "byDimension"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/transformations = [{"inputAxes": [0],
    "outputAxes": [0], "transformation": {"type": "identity"}}, {"inputAxes": [0, 1, 2, 3], "outputAxes": [0, 1, 2, 3],
    "transformation": {"type": "identity"}}]
TR-020 must=0.6,0.9
    A bijection has `forward` and `inverse`, which should not be invertible by themselves.
    why: It is there for what has no inverse that could be computed.
    mend: Add the direction that is missing, or write the simple transformation by itself.
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "bijection"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/forward = {"type": "identity"}
    bad: ome06 zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/type = "bijection"
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/forward = {"type": "identity"}
    and: zarr.json#/attributes/ome/multiscales/0/coordinateTransformations/0/inverse = {"type": "identity"}
TR-021 must=0.6,0.9 needs=nothing
    The centre of a voxel is its coordinate; transformations take points forward.
TR-022 must=0.6,0.9 needs=nothing
    Readers understand identity, scale, translation and sequence.
TR-023 should=0.6,0.9 needs=nothing
    Readers understand mapAxis, affine, rotation and byDimension, and warn of others.
TR-024 should=0.6,0.9 needs=nothing
    Writers prefer sequences of simple transformations; matrices lie in the group `coordinateTransformations`.
""")

_TOLERANCE: Final = 1e-6
_DEEPEST: Final = 32
_INVERTIBLE: Final = frozenset({"identity", "mapAxis", "translation", "scale", "affine", "rotation"})
_NAMED: Final = (Field("name", TEXT, "TR-002"),)


def check_transform(item: Place, depth: int = 0) -> None:
    """Check one transformation and those within it, but not the systems it joins."""
    if not isinstance(item.value, dict):
        item.report("TR-002", "is not an object", 'write {"type": …}')
        return
    check_fields(item, _NAMED)
    kind = item.text("type")
    checker = TYPES.get(kind or "")
    if depth > _DEEPEST:
        item.report("TR-017", "is nested too deeply to be checked", "flatten the sequence", basis="text")
    elif not item["type"].there:
        item.report("TR-002", "has no 'type'", f"use one of {', '.join(TYPES)}")
    elif checker is None:
        shown = f"is {short(kind)}" if kind is not None else "is not a text"
        item["type"].report("TR-002", shown, f"use one of {', '.join(TYPES)}")
    else:
        checker(item, depth)


# -- numbers
def _identity(item: Place, depth: int) -> None:
    pass


def _map_axis(item: Place, depth: int) -> None:
    limits = (2, 5) if item.version == "0.6" else (0, None)
    kind = list_of(whole(0, 4 if item.version == "0.6" else None), *limits)
    check_fields(item, (Field("mapAxis", kind, "TR-012", "must"),))
    numbers = item["mapAxis"]
    if not kind.holds(numbers.value):
        return
    if len({frozen(n) for n in numbers.value}) != len(numbers.value):
        numbers.report("TR-012", "names an axis twice", "name every input axis once")
    elif sorted(numbers.value) != list(range(len(numbers.value))):
        fix = f"list the numbers 0 to {len(numbers.value) - 1} in some order"
        numbers.report("TR-012", "does not name every input axis", fix, basis="text")


def _project_axis(item: Place, depth: int) -> None:
    keys = ("droppedInputs", "createdOutputs")
    limits, largest = ((1, 3), 4) if item.version == "0.6" else ((1, None), None)
    kind = list_of(whole(0, largest), *limits)
    check_fields(item, (Field(key, kind, "TR-013") for key in keys))
    if not any(item[key].there for key in keys):
        item.report("TR-013", "has neither droppedInputs nor createdOutputs", "say which axes go or come")
    for key in keys:
        numbers = item[key]
        if kind.holds(numbers.value) and len({frozen(n) for n in numbers.value}) != len(numbers.value):
            numbers.report("TR-013", "names an axis twice", "name every axis once")


def _positive(value: Any) -> bool:
    return NUMBERS.holds(value) and all(v > 0 for v in value)


_FACTORS: Final = Kind("a list of numbers above 0", _positive)


def _scale(item: Place, depth: int) -> None:
    _inline(item, "scale", _FACTORS)


def _translation(item: Place, depth: int) -> None:
    _inline(item, "translation", NUMBERS)


def _inline(item: Place, key: str, kind: Kind) -> None:
    check_fields(item, (Field(key, kind, "TR-014", "must"),))
    if item[key].there and item["path"].there:
        item["path"].report("TR-014", "is not used here", f"remove it; {key!r} has the numbers", basis="text")


# -- matrices
_MATRIX: Final = list_of(NUMBERS)


def _affine(item: Place, depth: int) -> None:
    if _one_source(item, "affine", _MATRIX, "TR-015") and len({len(row) for row in item["affine"].value}) != 1:
        item["affine"].report("TR-015", "has rows of different lengths", "give every row N + 1 numbers", basis="text")


def _rotation(item: Place, depth: int) -> None:
    if not _one_source(item, "rotation", Kind("a square matrix of 2 to 5 rows", _is_square), "TR-016"):
        return
    try:
        matrix = np.array(item["rotation"].value, dtype=np.float64)
    except OverflowError:
        matrix = np.full((2, 2), np.nan)
    with np.errstate(all="ignore"):
        turned = np.abs(matrix @ matrix.T - np.eye(len(matrix))).max() <= _TOLERANCE
        right = turned and np.linalg.det(matrix) > 0
    if not right:
        message = "mirrors" if turned else "is not orthonormal"
        item["rotation"].report("TR-016", message, "correct it, or write it as an affine", basis="text")


def _is_square(value: Any) -> bool:
    return _MATRIX.holds(value) and 2 <= len(value) <= 5 and all(len(row) == len(value) for row in value)


def _one_source(item: Place, key: str, kind: Kind, rule_id: str) -> bool:
    """Check that numbers stand in the document or at a path; tell whether they stand here and are of their kind."""
    inline, path = kind.holds(item[key].value), isinstance(item["path"].value, str)
    if inline and path:
        item.report(rule_id, f"has both {key!r} and 'path'", "keep one of them")
    elif not inline and not path:
        target = item[key] if item[key].there else item
        target.report(rule_id, f"has no usable {key!r}", f"write {key!r}: {kind.text}; or 'path', a text")
    return inline


# -- of other transformations
def _sequence(item: Place, depth: int) -> None:
    check_fields(item, (Field("transformations", LIST, "TR-017", "must"),))
    steps = item["transformations"]
    if steps.value == []:
        steps.report("TR-017", "is empty", "write an identity instead", basis="text")
    for step in steps.items():
        check_transform(step, depth + 1)


_BY_DIMENSION: Final = (
    Field("inputAxes", NUMBERS, "TR-019", "must"),
    Field("outputAxes", NUMBERS, "TR-019", "must"),
    Field("transformation", OBJECT, "TR-019", "must"),
)
_INDICES: Final = list_of(whole(0))


def _by_dimension(item: Place, depth: int) -> None:
    check_fields(item, (Field("transformations", LIST, "TR-019", "must"),))
    produced: list[Any] = []
    for part in objects(item["transformations"], "TR-019", least=0):
        check_fields(part, _BY_DIMENSION)
        if isinstance(part["transformation"].value, dict):
            check_transform(part["transformation"], depth + 1)
        for key in ("inputAxes", "outputAxes"):
            if NUMBERS.holds(part[key].value) and not _INDICES.holds(part[key].value):
                part[key].report("TR-019", "does not list numbers of axes", "count axes from 0", basis="text")
        produced += [frozen(n) for n in part["outputAxes"].value] if NUMBERS.holds(part["outputAxes"].value) else []
    if len(set(produced)) != len(produced):
        item.report("TR-019", "gives an output axis twice", "give every output axis once", basis="text")


def _bijection(item: Place, depth: int) -> None:
    for key in ("forward", "inverse"):
        side = item[key]
        if not side.there:
            item.report("TR-020", f"has no {key!r}", f"add the {key} transformation")
            continue
        check_transform(side, depth + 1)
        if side.text("type") in _INVERTIBLE:
            message = f"is a {side.text('type')}, whose inverse follows from it"
            side.report("TR-020", message, "write it without a bijection", basis="text", level="should")


def _field(item: Place, depth: int) -> None:
    check_fields(item, (Field("path", TEXT, "TR-018", "must"),))
    stated = item["interpolation"]
    if stated.value == "bspline-cubic":  # the text's word for what the schema calls cubic
        stated.report("TR-018", "is 'bspline-cubic'", "write 'cubic'", basis="schema")
    elif stated.there:
        check_fields(item, (Field("interpolation", one_of("nearest", "linear", "cubic"), "TR-018"),))


TYPES: Final[Mapping[str, Callable[[Place, int], None]]] = MappingProxyType(
    {
        "identity": _identity,
        "mapAxis": _map_axis,
        "projectAxis": _project_axis,
        "translation": _translation,
        "scale": _scale,
        "affine": _affine,
        "rotation": _rotation,
        "sequence": _sequence,
        "displacements": _field,
        "coordinates": _field,
        "bijection": _bijection,
        "byDimension": _by_dimension,
    }
)
