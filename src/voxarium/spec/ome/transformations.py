"""Transformations of 0.4–0.6: rules CT-001 … CT-006 and TR-002, TR-012 … TR-020."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError, InputError, UnsupportedError
from voxarium.model.transforms import (
    Affine,
    Identity,
    MapAxis,
    Rotation,
    Scale,
    Sequence,
    Transform,
    Translation,
    scale_translation,
)
from voxarium.model.warps import (
    AxisTransform,
    Bijection,
    ByDimension,
    Coordinates,
    Displacements,
    ProjectAxis,
    Unresolved,
)
from voxarium.spec.ome.document import (
    MAX_AXES,
    as_index,
    as_list,
    as_mapping,
    as_numbers,
    as_text,
    malformed,
)

__all__ = ["canonical", "dump_transform", "fits", "parse_transform"]

_MAX_DEPTH: Final = 16
_MAX_STEPS: Final = 256


def canonical(transform: Transform, ndim: int) -> Transform:
    """Return the transform as one scale followed by one translation where it is no more than that."""
    with np.errstate(all="ignore"):  # hostile numbers may overflow; Scale and Translation refuse them
        found = scale_translation(transform, ndim)
    return transform if found is None else Sequence((Scale(found[0]), Translation(found[1])))


def fits(transform: Transform, inputs: int, outputs: int) -> bool:
    """Tell whether a transform takes points of `inputs` coordinates to `outputs`, as far as is known."""
    if isinstance(transform, Identity):
        return inputs == outputs
    try:
        with np.errstate(all="ignore"):
            return len(transform.matrix(inputs)) == outputs
    except InputError:
        return False
    except UnsupportedError:
        return transform.ndim_in in (None, inputs) and transform.ndim_out in (None, outputs)


def parse_transform(found: Any, where: str, depth: int = 0) -> Transform:
    """Return the transform a JSON object describes.

    Raises
    ------
    FormatError
        If it is not one, or its parameters contradict each other.
    """
    body = as_mapping(found, where)
    kind = as_text(body.get("type"), f"{where}.type")
    parser = _PARSERS.get(kind)
    if parser is None:
        malformed(where, f"has the unknown type {kind!r}", f"use one of {', '.join(sorted(_PARSERS))}")
    if depth > _MAX_DEPTH:
        malformed(where, "is nested too deeply", "flatten the sequence")
    try:
        return parser(body, where, depth)
    except InputError as error:
        raise FormatError(f"{where}: {error.message}", code=Code.METADATA_INVALID, fix=error.fix) from error


_Parser = Callable[[Mapping[str, Any], str, int], Transform]


def _identity(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    return Identity()


def _scale(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    if "scale" not in body and isinstance(body.get("path"), str):
        return Unresolved("scale", body["path"])
    return Scale(as_numbers(body.get("scale"), f"{where}.scale"))


def _translation(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    if "translation" not in body and isinstance(body.get("path"), str):
        return Unresolved("translation", body["path"])
    return Translation(as_numbers(body.get("translation"), f"{where}.translation"))


def _matrix(value: Any, where: str) -> tuple[tuple[float, ...], ...]:
    return tuple(as_numbers(row, f"{where}[{i}]") for i, row in enumerate(as_list(value, where, MAX_AXES)))


def _affine(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    if "affine" not in body and isinstance(body.get("path"), str):
        return Unresolved("affine", body["path"])
    return Affine(_matrix(body.get("affine"), f"{where}.affine"))


def _rotation(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    if "rotation" not in body and isinstance(body.get("path"), str):
        return Unresolved("rotation", body["path"])
    return Rotation(_matrix(body.get("rotation"), f"{where}.rotation"))


def _indices(value: Any, where: str) -> tuple[int, ...]:
    return tuple(as_index(v, f"{where}[{i}]") for i, v in enumerate(as_list(value, where, MAX_AXES)))


def _map_axis(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    return MapAxis(_indices(body.get("mapAxis"), f"{where}.mapAxis"))


def _project_axis(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    dropped, created = (
        _indices(body[k], f"{where}.{k}") if k in body else () for k in ("droppedInputs", "createdOutputs")
    )
    return ProjectAxis(dropped, created)


def _sequence(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    here = f"{where}.transformations"
    items = as_list(body.get("transformations"), here, _MAX_STEPS)
    return Sequence(tuple(parse_transform(t, f"{here}[{i}]", depth + 1) for i, t in enumerate(items)))


def _by_dimension(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    here = f"{where}.transformations"
    items = []
    for i, found in enumerate(as_list(body.get("transformations"), here, MAX_AXES)):
        item = as_mapping(found, f"{here}[{i}]")
        inputs, outputs = (_indices(item.get(k), f"{here}[{i}].{k}") for k in ("inputAxes", "outputAxes"))
        inner = parse_transform(item.get("transformation"), f"{here}[{i}].transformation", depth + 1)
        items.append(AxisTransform(inputs, outputs, inner))
    return ByDimension(tuple(items))


def _bijection(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    both = (parse_transform(body.get(k), f"{where}.{k}", depth + 1) for k in ("forward", "inverse"))
    return Bijection(*both)


def _interpolation(body: Mapping[str, Any]) -> str:
    stated = body.get("interpolation")
    return stated if isinstance(stated, str) else "linear"  # the default of the specification


def _displacements(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    return Displacements(as_text(body.get("path"), f"{where}.path"), _interpolation(body))


def _coordinates(body: Mapping[str, Any], where: str, depth: int) -> Transform:
    return Coordinates(as_text(body.get("path"), f"{where}.path"), _interpolation(body))


_PARSERS: Final[Mapping[str, _Parser]] = {
    "identity": _identity,
    "scale": _scale,
    "translation": _translation,
    "affine": _affine,
    "rotation": _rotation,
    "mapAxis": _map_axis,
    "projectAxis": _project_axis,
    "sequence": _sequence,
    "byDimension": _by_dimension,
    "bijection": _bijection,
    "displacements": _displacements,
    "coordinates": _coordinates,
}


def dump_transform(transform: Transform) -> dict[str, Any]:
    """Return the JSON of a transform, as 0.6 writes it.

    Raises
    ------
    UnsupportedError
        If the transform is of a kind the specification has no word for, or was never readable.
    """
    match transform:
        case Sequence(steps):
            return {"type": "sequence", "transformations": [dump_transform(t) for t in steps]}
        case ByDimension(items):
            return {"type": "byDimension", "transformations": [_dump_item(item) for item in items]}
        case Bijection(forward, backward):
            both = dump_transform(forward), dump_transform(backward)
            return {"type": "bijection", "forward": both[0], "inverse": both[1]}
        case ProjectAxis(dropped, created):
            named = {"droppedInputs": list(dropped), "createdOutputs": list(created)}
            return {"type": "projectAxis"} | {k: v for k, v in named.items() if v}
        case Displacements(path, interpolation) if path:
            return {"type": "displacements", "path": path, "interpolation": interpolation}
        case Coordinates(path, interpolation) if path:
            return {"type": "coordinates", "path": path, "interpolation": interpolation}
        case _:
            return _dump_parameters(transform)


def _dump_parameters(transform: Transform) -> dict[str, Any]:
    match transform:
        case Identity():
            return {"type": "identity"}
        case Scale(scale):
            return {"type": "scale", "scale": list(scale)}
        case Translation(translation):
            return {"type": "translation", "translation": list(translation)}
        case Affine(rows):
            return {"type": "affine", "affine": [list(row) for row in rows]}
        case Rotation(rows):
            return {"type": "rotation", "rotation": [list(row) for row in rows]}
        case MapAxis(permutation):
            return {"type": "mapAxis", "mapAxis": list(permutation)}
        case Unresolved(kind, str(path)):
            return {"type": kind, "path": path}
        case _:
            raise UnsupportedError(
                f"OME-Zarr has no transformation for {transform}",
                code=Code.FEATURE_UNSUPPORTED,
                fix="express it as an affine or a sequence of simple transforms",
            )


def _dump_item(item: AxisTransform) -> dict[str, Any]:
    return {
        "inputAxes": list(item.input_axes),
        "outputAxes": list(item.output_axes),
        "transformation": dump_transform(item.transform),
    }
