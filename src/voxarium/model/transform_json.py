"""Transforms as JSON in the words of OME-Zarr: for documents that name transforms beside images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from voxarium.model.scene_fields import LARGEST, refuse
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import (
    Affine,
    Identity,
    MapAxis,
    Rotation,
    Scale,
    Sequence,
    Transform,
    Translation,
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

__all__ = ["dump_transform_json", "parse_transform_json"]

_MAX_DEPTH: Final = 8
_MAX_ITEMS: Final = 4096
_MAX_ROW: Final = 33
_SPLINE: Final = "voxarium:thinPlateSpline"


def parse_transform_json(found: object, where: str, depth: int = 0) -> Transform:
    """Return the transform of a JSON object; one of an unknown type stays `Unresolved`.

    Raises
    ------
    FormatError
        If its parameters are no numbers, or steps are nested too deeply.
    InputError
        If the numbers contradict each other.
    """
    if not isinstance(found, Mapping) or depth > _MAX_DEPTH:
        raise refuse(where, "is no transformation")
    kind = found.get("type")
    if not isinstance(kind, str) or not kind:
        raise refuse(where, "does not say its type")
    if kind == "sequence":
        steps = found.get("transformations")
        if not isinstance(steps, list) or not 0 < len(steps) <= _MAX_ITEMS:
            raise refuse(where, "is a sequence without transformations")
        return Sequence(tuple(parse_transform_json(s, f"{where}[{i}]", depth + 1) for i, s in enumerate(steps)))
    nested = _NESTED.get(kind)
    if nested is not None:
        return nested(found, where, depth)
    parser = _PARSERS.get(kind)
    if parser is None or "path" in found:
        path = found.get("path")
        return Unresolved(kind, path if isinstance(path, str) else None)
    return parser(found, where)


def _by_dimension(found: Mapping[str, Any], where: str, depth: int) -> Transform:
    items = found.get("transformations")
    if not isinstance(items, list) or not 0 < len(items) <= _MAX_ROW:
        raise refuse(where, "is a transform by dimension without transformations")
    out = []
    for i, item in enumerate(items):
        here = f"{where}[{i}]"
        if not isinstance(item, Mapping):
            raise refuse(here, "is no part of a transform by dimension")
        inner = parse_transform_json(item.get("transformation"), here, depth + 1)
        axes_in, axes_out = _indices(item.get("inputAxes"), here), _indices(item.get("outputAxes"), here)
        out.append(AxisTransform(axes_in, axes_out, inner))
    return ByDimension(tuple(out))


def _bijection(found: Mapping[str, Any], where: str, depth: int) -> Transform:
    forward, inverse = (parse_transform_json(found.get(k), where, depth + 1) for k in ("forward", "inverse"))
    return Bijection(forward, inverse)


_NESTED: Final[Mapping[str, Callable[[Mapping[str, Any], str, int], Transform]]] = {
    "byDimension": _by_dimension,
    "bijection": _bijection,
}


def _indices(found: object, where: str) -> tuple[int, ...]:
    if isinstance(found, list) and 0 < len(found) <= _MAX_ROW and all(type(n) is int for n in found):
        return tuple(found)
    raise refuse(where, "names axes by something else than their numbers")


def _map_axis(found: Mapping[str, Any], where: str) -> Transform:
    return MapAxis(_indices(found.get("mapAxis"), where))


def _project_axis(found: Mapping[str, Any], where: str) -> Transform:
    return ProjectAxis(*(_indices(found[k], where) if k in found else () for k in ("droppedInputs", "createdOutputs")))


def _row(found: object, where: str) -> tuple[float, ...]:
    ok = isinstance(found, list) and 0 < len(found) <= _MAX_ROW
    if ok and all(type(v) in (int, float) and abs(v) <= LARGEST for v in cast("list[float]", found)):
        return tuple(map(float, cast("list[float]", found)))
    raise refuse(where, "is not a list of numbers")


def _rows(found: object, where: str) -> tuple[tuple[float, ...], ...]:
    if not isinstance(found, list) or not 0 < len(found) <= _MAX_ITEMS:
        raise refuse(where, "is not a list of rows")
    return tuple(_row(row, where) for row in found)


_PARSERS: Final[Mapping[str, Callable[[Mapping[str, Any], str], Transform]]] = {
    "identity": lambda found, where: Identity(),
    "scale": lambda found, where: Scale(_row(found.get("scale"), where)),
    "translation": lambda found, where: Translation(_row(found.get("translation"), where)),
    "affine": lambda found, where: Affine(_rows(found.get("affine"), where)),
    "rotation": lambda found, where: Rotation(_rows(found.get("rotation"), where)),
    "mapAxis": _map_axis,
    "projectAxis": _project_axis,
    _SPLINE: lambda found, where: ThinPlateSpline(_rows(found.get("source"), where), _rows(found.get("target"), where)),
}


def dump_transform_json(transform: Transform) -> dict[str, Any] | None:  # Any: JSON
    """Return the JSON of a transform; None when there are no words for it."""
    out: dict[str, Any] | None = None
    match transform:
        case Sequence(steps):
            inner = [dump_transform_json(s) for s in steps]
            out = None if None in inner else {"type": "sequence", "transformations": inner}
        case ByDimension(items):
            parts = [dump_transform_json(i.transform) for i in items]
            axes = [{"inputAxes": list(i.input_axes), "outputAxes": list(i.output_axes)} for i in items]
            whole = [a | {"transformation": t} for a, t in zip(axes, parts, strict=True)]
            out = None if None in parts else {"type": "byDimension", "transformations": whole}
        case Bijection(forward, backward):
            both = dump_transform_json(forward), dump_transform_json(backward)
            out = None if None in both else {"type": "bijection", "forward": both[0], "inverse": both[1]}
        case ProjectAxis(dropped, created):
            named = {"droppedInputs": list(dropped), "createdOutputs": list(created)}
            out = {"type": "projectAxis"} | {k: v for k, v in named.items() if v}
        case Displacements(path, interpolation) if path:
            out = {"type": "displacements", "path": path, "interpolation": interpolation}
        case Coordinates(path, interpolation) if path:
            out = {"type": "coordinates", "path": path, "interpolation": interpolation}
        case Unresolved(kind, str(path)):
            out = {"type": kind, "path": path}
        case _:
            out = _dump_parameters(transform)
    return out


def _dump_parameters(transform: Transform) -> dict[str, Any] | None:
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
        case ThinPlateSpline(source, target):
            return {"type": _SPLINE, "source": [list(p) for p in source], "target": [list(p) for p in target]}
        case _:
            return None
