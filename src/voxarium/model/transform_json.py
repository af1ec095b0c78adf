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
from voxarium.model.warps import Unresolved

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
    parser = _PARSERS.get(kind)
    if parser is None or "path" in found:
        path = found.get("path")
        return Unresolved(kind, path if isinstance(path, str) else None)
    return parser(found, where)


def _map_axis(found: Mapping[str, Any], where: str) -> Transform:
    order = found.get("mapAxis")
    if isinstance(order, list) and len(order) <= _MAX_ROW and all(type(n) is int for n in order):
        return MapAxis(tuple(order))
    raise refuse(where, "maps axes by something else than their numbers")


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
    _SPLINE: lambda found, where: ThinPlateSpline(_rows(found.get("source"), where), _rows(found.get("target"), where)),
}


def dump_transform_json(transform: Transform) -> dict[str, Any] | None:  # Any: JSON
    """Return the JSON of a transform; None when there are no words for it."""
    out: dict[str, Any] | None = None
    match transform:
        case Identity():
            out = {"type": "identity"}
        case Scale(scale):
            out = {"type": "scale", "scale": list(scale)}
        case Translation(translation):
            out = {"type": "translation", "translation": list(translation)}
        case Affine(rows):
            out = {"type": "affine", "affine": [list(row) for row in rows]}
        case Rotation(rows):
            out = {"type": "rotation", "rotation": [list(row) for row in rows]}
        case MapAxis(permutation):
            out = {"type": "mapAxis", "mapAxis": list(permutation)}
        case ThinPlateSpline(source, target):
            out = {"type": _SPLINE, "source": [list(p) for p in source], "target": [list(p) for p in target]}
        case Sequence(steps):
            inner = [dump_transform_json(s) for s in steps]
            out = None if None in inner else {"type": "sequence", "transformations": inner}
        case Unresolved(kind, str(path)):
            out = {"type": kind, "path": path}
        case _:
            pass
    return out
