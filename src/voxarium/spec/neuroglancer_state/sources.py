"""Addresses of Neuroglancer's data sources, dimensions with units, and source transforms."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit
from voxarium.model.fields import Fields, Problems
from voxarium.model.scene import UNITS, Placement, SceneSource, Step
from voxarium.model.scene_fields import LARGEST, SMALLEST, carried, tidy, xyz_from_matrix
from voxarium.model.transforms import Affine, Scale

__all__ = [
    "NO_DIMENSIONS",
    "Dimensions",
    "P",
    "dump_dimensions",
    "dump_matrix",
    "dump_url",
    "parse_dimensions",
    "parse_placement",
    "parse_url",
]

P: Final = "neuroglancer"
_MAX_RANK: Final = 32
_OLD: Final = re.compile(r"([a-z][a-z0-9+_-]*)://(.*)\Z", re.DOTALL)
_STORES: Final = frozenset({"http", "https", "s3", "gs", "gcs", "file", "middleauth+https", "s3+https", "s3+http"})
_READ: Final = {"neuroglancer-precomputed": "precomputed"}
_WRITE: Final = {"ome-zarr": "zarr", "obj": "obj", "vtk": "vtk", "nifti": "nifti"} | {
    f: f for f in ("precomputed", "n5", "zarr", "zarr2", "zarr3", "graphene", "dvid", "boss", "brainmaps", "deepzoom")
}
_MESHES: Final = {"neuroglancer_legacy_mesh": "precomputed", "neuroglancer_multilod_draco": "precomputed"}


def parse_url(url: str) -> SceneSource:
    """Return format and address of a source; a spelling that would be written otherwise is kept.

    Examples
    --------
    >>> parse_url("precomputed://gs://bucket/em")
    SceneSource(uri='gs://bucket/em', format='precomputed', extra={})
    >>> parse_url("s3://bucket/em.zarr/|zarr3:").format
    'zarr3'
    """
    steps = url.split("|")
    match = _OLD.match(url)
    if len(steps) > 1 and steps[-1].partition(":")[0]:
        word = steps[-1].partition(":")[0]
        format, uri = _READ.get(word, word), "|".join(steps[:-1])
        rest = steps[-1].partition(":")[2]
        if rest or len(steps) > 2:  # a place inside an archive: the address is all of it
            uri = url
    elif match is not None and match[1] not in _STORES:
        format, uri = match[1], match[2]
    else:
        format, uri = "", url
    source = SceneSource(uri=uri, format=format)
    return source if dump_url(source) == url else SceneSource(uri=uri, format=format, extra={f"{P}:url": url})


def dump_url(source: SceneSource) -> str | None:
    """Return the address Neuroglancer takes for a source; None when it cannot read the format or the place."""
    stated = source.extra.get(f"{P}:url")
    if isinstance(stated, str):
        return stated
    if not source.format:
        return source.uri
    word = _MESHES.get(source.format) or _WRITE.get(source.format)
    if word is None and _OLD.match(f"{source.format}://"):
        word = source.format if source.format == "local" else None
    if word is None:
        return None
    if word in ("precomputed", "n5", "zarr", "zarr2", "zarr3") and "://" not in source.uri:
        return None  # relative to a document that the viewer does not know
    return f"{word}://{source.uri}"


# -- dimensions
@dataclass(frozen=True, slots=True)
class Dimensions:
    """Dimensions as axes, in C order, and how much of the axis's unit one step along each is."""

    axes: tuple[Axis, ...]
    scales: tuple[float, ...]


NO_DIMENSIONS: Final = Dimensions((), ())
_UNITS: Final = {"m": ("space", "nanometer", 1e9), "s": ("time", "second", 1.0)}


def parse_dimensions(found: object, where: str, problems: Problems) -> Dimensions:
    """Return dimensions: ``{"x": [8e-9, "m"], …}``, or labels instead of a scale."""
    if not isinstance(found, Mapping) or len(found) > _MAX_RANK:
        problems.add(f"{where} is not an object with a few dimensions")
        return Dimensions((), ())
    axes: list[Axis] = []
    scales: list[float] = []
    for name, value in found.items():
        axis, scale = _parse_dimension(str(name), value, f"{where}.{name}", problems)
        axes.append(axis)
        scales.append(scale)
    return Dimensions(tuple(axes[::-1]), tuple(scales[::-1]))


def _parse_dimension(name: str, value: object, where: str, problems: Problems) -> tuple[Axis, float]:
    named = name or "_"
    if isinstance(value, Mapping):  # labels by coordinate
        return Axis(name=named, extra={f"{P}:coordinates": dict(value)}), 1.0
    if isinstance(value, list) and len(value) == 3 and isinstance(value[2], Mapping) and value[0] is None:
        return Axis(name=named, extra={f"{P}:coordinates": dict(value[2])}), 1.0
    ok = isinstance(value, list) and len(value) == 2 and isinstance(value[1], str)
    if not ok or not isinstance(value, list) or isinstance(value[0], bool) or not isinstance(value[0], (int, float)):
        problems.add(f"{where} is not a scale and a unit")
        return Axis(name=named), 1.0
    scale, unit = value
    if not SMALLEST <= scale <= LARGEST:
        problems.add(f"{where} has the scale {scale}")
        return Axis(name=named), 1.0
    word = canonical_unit(unit)
    if unit not in _UNITS and word in SPACE_UNITS:  # with a prefix, such as nm
        return Axis(name=named, type="space", unit="nanometer"), tidy(float(scale) * SPACE_UNITS[word] * 1e9)
    kind, inner, factor = _UNITS.get(unit, ("channel" if name in ("c", "c'", "c^") else "other", unit or None, 1.0))
    return Axis(name=named, type=kind, unit=inner), tidy(float(scale) * factor)


def dump_dimensions(axes: Sequence[Axis], scales: Sequence[float]) -> dict[str, Any]:
    """Return dimensions for axes in C order; `scales` are in the axes' units."""
    out: dict[str, Any] = {}
    for axis, scale in zip(reversed(axes), reversed(scales), strict=True):
        labels = axis.extra.get(f"{P}:coordinates")
        if labels is not None:
            out[axis.name] = labels
            continue
        unit = axis.unit or ""
        if unit in SPACE_UNITS:
            out[axis.name] = [tidy(scale * SPACE_UNITS[unit]), "m"]
        elif unit in TIME_UNITS:
            out[axis.name] = [tidy(scale * TIME_UNITS[unit]), "s"]
        else:
            out[axis.name] = [scale, unit if unit in ("Hz", "rad/s") else ""]
    return out


# -- transforms
@dataclass(frozen=True, slots=True)
class Placed:
    """What a source's transform says: the placement, the output dimensions, and the source's own dimensions."""

    placement: Placement | None
    output: Dimensions
    own: Dimensions


def parse_placement(found: object, where: str, problems: Problems, world: Dimensions) -> Placed:
    """Return what a transform object says; it leads to the world when it names the world's dimensions."""
    fields = Fields(found, problems, where)
    output, inner = Dimensions((), ()), Dimensions((), ())
    if fields.has("outputDimensions"):
        output = parse_dimensions(fields.raw("outputDimensions"), f"{where}.outputDimensions", problems)
    if fields.raw("inputDimensions", None) is not None:
        inner = parse_dimensions(fields.raw("inputDimensions"), f"{where}.inputDimensions", problems)
    target = output if output.axes else world
    steps: list[Step] = []
    rows = fields.raw("matrix", None)
    if rows is not None:
        matrix = _matrix(rows, len(target.axes))
        if matrix is None:
            fields.wrong("matrix", f"{len(target.axes)} rows of finite numbers", rows)
        else:
            steps.append(Step(transform=_affine(matrix)))
    inputs = len(target.axes) if not steps else steps[0].transform.ndim_in
    if inner.axes and len(inner.axes) != inputs:
        problems.add(f"{where}.inputDimensions has {len(inner.axes)} dimensions for a matrix of {inputs}")
    if target.scales:
        steps.append(Step(transform=Scale(target.scales), extra=carried(fields, P)))
    return Placed(Placement(source=UNITS, steps=tuple(steps)) if steps else None, output, inner)


def _matrix(rows: object, rank: int) -> np.ndarray[Any, np.dtype[np.float64]] | None:
    if not isinstance(rows, list) or len(rows) != rank or not all(isinstance(r, list) for r in rows):
        return None
    widths = {len(r) for r in rows}
    values = [v for r in rows for v in r]
    plain = all(isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= LARGEST for v in values)
    if len(widths) != 1 or not 2 <= widths.pop() <= _MAX_RANK + 1 or not plain:
        return None
    return np.asarray(rows, np.float64)


def _affine(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> Affine:
    turned = np.column_stack([matrix[::-1, -2::-1], matrix[::-1, -1]])
    return Affine(tuple(map(tuple, turned.tolist())))


def dump_matrix(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> list[list[float]]:
    """Return the rows of a matrix in the order of dimensions."""
    flat = [tidy(v) for v in xyz_from_matrix(matrix)]
    width = matrix.shape[1]
    return [flat[i : i + width] for i in range(0, len(flat), width)]
