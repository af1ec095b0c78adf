"""Writing multiscales of 0.6."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

import numpy as np

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.image import ImageInfo, TransformEdge
from voxarium.model.transforms import (
    Affine,
    Identity,
    Scale,
    Sequence,
    Transform,
    Translation,
    scale_translation,
)
from voxarium.spec.ome.axes import dump_axis
from voxarium.spec.ome.document import json_ready
from voxarium.spec.ome.multiscale import DATASET, WORLD, reference
from voxarium.spec.ome.transformations import canonical, dump_transform

__all__ = ["dump_multiscale"]

_TOLERANCE: Final = 1e-9  # of a transform's largest number: what inverting a matrix may leave where zeros belong
_INDEX: Final = "index"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Graph:
    """What to write: a transform per level, the system they lead to, and what lies beyond."""

    intrinsic: str
    levels: tuple[Transform, ...]
    systems: tuple[CoordinateSystem, ...]
    edges: tuple[TransformEdge, ...] = ()


def dump_multiscale(image: ImageInfo) -> dict[str, Any]:
    """Return coordinate systems, datasets and transformations in the form of 0.6.

    Levels that are only scaled and translated lead straight to the world. Others lead to a system of array
    indices, and one transform leads from there to the world. References to other groups are not written.

    Raises
    ------
    UnsupportedError
        If the levels do not share such a transform.
    """
    graph = _as_read(image) or _direct(image) or _by_index(image)
    moved = any(isinstance(t, Sequence) and any(_pair(t)[1]) for t in graph.levels)
    names = {e.source: e.name for e in image.edges if e.role == DATASET and e.target == graph.intrinsic}
    out: dict[str, Any] = {
        "coordinateSystems": [_dump_system(s) for s in graph.systems],
        "datasets": [
            {
                "path": level.path,
                "coordinateTransformations": [
                    _named(names.get(level.path))
                    | {"input": {"path": level.path}, "output": {"name": graph.intrinsic}}
                    | _dump_level(transform, moved)
                ],
            }
            for level, transform in zip(image.levels, graph.levels, strict=True)
        ],
    }
    if graph.edges:
        out["coordinateTransformations"] = [_dump_edge(e) for e in graph.edges]
    return out


def _named(name: str | None) -> dict[str, Any]:
    return {} if name is None else {"name": name}


def _pair(transform: Transform) -> tuple[tuple[float, ...], tuple[float, ...]]:
    match transform:
        case Sequence((Scale(scale), Translation(translation))):
            return scale, translation
        case Scale(scale):
            return scale, (0.0,) * len(scale)
        case _:
            return (), ()


def _dump_level(transform: Transform, moved: bool) -> dict[str, Any]:
    """Return one of the three forms a level may have (TR-004)."""
    if isinstance(transform, Identity):
        return {"type": "identity"}
    scale, translation = _pair(transform)
    if not moved:
        return dump_transform(Scale(scale))
    return dump_transform(Sequence((Scale(scale), Translation(translation))))


def _dump_system(system: CoordinateSystem) -> dict[str, Any]:
    extra = {k: v for k, v in json_ready(system.extra).items() if k not in ("name", "axes")}
    return {"name": system.name, "axes": [dump_axis(a) for a in system.axes]} | extra


def _dump_edge(edge: TransformEdge) -> dict[str, Any]:
    ends = [edge.original.get(k) for k in ("input", "output")]
    stated = [reference(end) for end in ends if isinstance(end, dict)]
    if stated == [(edge.source, None), (edge.target, None)]:  # as found in 0.6: nothing is re-worded
        return dict(edge.original)
    return (
        _named(edge.name)
        | {"input": {"name": edge.source}, "output": {"name": edge.target}}
        | dump_transform(_unmirrored(edge.transform))
    )


def _unmirrored(transform: Transform) -> Transform:
    """Return the transform without negative scales, which 0.6 leaves to affines."""
    match transform:
        case Scale(scale) if min(scale) < 0:
            return Affine(tuple(map(tuple, transform.matrix(len(scale)).tolist())))
        case Sequence(steps):
            return Sequence(tuple(_unmirrored(t) for t in steps))
        case _:
            return transform


def _writable(edge: TransformEdge, systems: Mapping[str, CoordinateSystem]) -> bool:
    """Tell whether an edge joins known systems by numbers of its own, not by arrays stored elsewhere."""
    if edge.role == DATASET or not {edge.source, edge.target} <= systems.keys():
        return False
    try:
        return not _has_path(dump_transform(edge.transform))
    except UnsupportedError:
        return False


def _has_path(found: Any) -> bool:
    if isinstance(found, dict):
        return "path" in found or any(_has_path(v) for v in found.values())
    return isinstance(found, list) and any(_has_path(v) for v in found)


def _plain(transform: Transform, ndim: int) -> bool:
    """Tell whether a level may have this transform: positive scale, then translation."""
    found = scale_translation(transform, ndim)
    return found is not None and all(s > 0 for s in found[0])


def _as_read(image: ImageInfo) -> _Graph | None:
    """Return the graph the image was read from, if its levels still follow from it."""
    systems = {s.name: s for s in image.systems}
    own = {e.source: e for e in image.edges if e.role == DATASET}
    edges = [own.get(level.path) for level in image.levels]
    targets = {e.target for e in edges if e is not None}
    if None in edges or len(targets) != 1 or image.world not in systems:
        return None
    intrinsic = targets.pop()
    ndim = len(image.axes)
    onward: Transform = Identity()
    if intrinsic != image.world:
        ends = (intrinsic, image.world)
        found = [e for e in image.edges if e.role != DATASET and (e.source, e.target) == ends]
        if intrinsic not in systems or not found:
            return None
        onward = found[0].transform
    transforms = []
    for edge, level in zip(edges, image.levels, strict=True):
        before = Identity() if edge is None else edge.transform
        if not _plain(before, ndim) or canonical(before.then(onward), ndim) != level.transform:
            return None
        transforms.append(before if isinstance(before, Identity) else canonical(before, ndim))
    if not _same_axes(image, systems[image.world]):
        return None
    kept, joined = _reachable(image, {intrinsic: systems[intrinsic]})
    return _Graph(intrinsic=intrinsic, levels=tuple(transforms), systems=joined, edges=kept)


def _same_axes(image: ImageInfo, world: CoordinateSystem) -> bool:
    """Tell whether the image's axes are still those of its world."""
    known = {a.name: a for a in world.axes}
    return all(known.get(a.name, a) == a for a in image.axes) and len(image.axes) == len(known)


def _world(image: ImageInfo, axes: Iterable[Axis]) -> CoordinateSystem:
    known = next((s for s in image.systems if s.name == image.world), None)
    return CoordinateSystem(name=image.world or WORLD, axes=tuple(axes), extra={} if known is None else known.extra)


def _direct(image: ImageInfo) -> _Graph | None:
    ndim = len(image.axes)
    if not all(_plain(level.transform, ndim) for level in image.levels):
        return None
    world = _world(image, image.axes)
    edges, systems = _reachable(image, {world.name: world})
    return _Graph(
        intrinsic=world.name,
        levels=tuple(canonical(level.transform, ndim) for level in image.levels),
        systems=systems,
        edges=edges,
    )


def _by_index(image: ImageInfo) -> _Graph:
    ndim = len(image.axes)
    onward = image.levels[0].transform
    try:
        back = onward.inverse()
        matrices = [level.transform.then(back).matrix(ndim) for level in image.levels]
    except UnsupportedError as error:
        _refuse(error.message)
    transforms = tuple(map(_rounded, matrices))
    stated = next((s.axes for s in image.systems if s.name == image.world), image.axes)
    world = _world(image, stated if len(stated) == ndim else image.axes)
    name = _free(_INDEX, {world.name, *(s.name for s in image.systems)})
    index = CoordinateSystem(
        name=name,
        axes=tuple(Axis(name=a.name, type="array", extra={"discrete": True}) for a in image.axes),
    )
    edges, systems = _reachable(image, {name: index, world.name: world})
    first = TransformEdge(source=name, target=world.name, transform=onward)
    further = (_from_index(e, first) for e in edges)
    return _Graph(intrinsic=name, levels=transforms, systems=systems, edges=(first, *further))


def _from_index(edge: TransformEdge, onward: TransformEdge) -> TransformEdge:
    """Return an edge from or to the world as one from or to the indices, which all are to touch (TR-007)."""
    if edge.source == onward.target:
        whole = onward.transform.then(edge.transform)
        return replace(edge, source=onward.source, transform=_joined(whole, onward), original={})
    if edge.target == onward.target:
        whole = edge.transform.then(onward.transform.inverse())
        return replace(edge, target=onward.source, transform=_joined(whole, onward), original={})
    return edge


def _joined(transform: Transform, onward: TransformEdge) -> Transform:
    """Return one matrix for a chain of them."""
    ndim = transform.ndim_in or onward.transform.ndim_in
    try:
        return transform if ndim is None else Affine(tuple(map(tuple, transform.matrix(ndim).tolist())))
    except UnsupportedError:
        return transform


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _rounded(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> Transform:
    """Return a level's scale and translation relative to level 0, freed from rounding errors."""
    linear = matrix[:, :-1]
    scale = np.diagonal(linear)
    if matrix.shape[0] != matrix.shape[1] - 1 or not (scale > 0).all():
        _refuse("a level is mirrored or turned against level 0")
    if np.abs(linear - np.diag(scale)).max() > _TOLERANCE * scale.max():
        _refuse("a level is turned or sheared against level 0")
    nearest = np.round(scale)
    even = np.where(np.abs(scale - nearest) < _TOLERANCE * scale, nearest, scale)
    halves = np.round(2 * matrix[:, -1]) / 2 + 0.0  # no negative zeros
    shift = np.where(np.abs(matrix[:, -1] - halves) < _TOLERANCE * scale.max(), halves, matrix[:, -1])
    return Sequence((Scale(tuple(even.tolist())), Translation(tuple(shift.tolist()))))


def _refuse(why: str) -> NoReturn:
    raise UnsupportedError(
        f"the levels share no transform that OME-Zarr could hold: {why}",
        code=Code.FEATURE_UNSUPPORTED,
        fix="resample the image onto the axes of the world, or make the pyramid anew from level 0",
    )


def _reachable(
    image: ImageInfo, start: Mapping[str, CoordinateSystem]
) -> tuple[tuple[TransformEdge, ...], tuple[CoordinateSystem, ...]]:
    """Return the edges that lead on from `start`, and the systems they join (TR-009, TR-010)."""
    known = {s.name: start.get(s.name, s) for s in image.systems}
    known |= {name: s for name, s in start.items() if name not in known}
    found, kept = set(start), set[int]()
    open_edges = {i: {e.source, e.target} for i, e in enumerate(image.edges) if _writable(e, known)}
    while joining := [i for i, ends in open_edges.items() if ends & found]:
        for i in joining:
            found |= open_edges.pop(i)
            kept.add(i)
    edges = tuple(e for i, e in enumerate(image.edges) if i in kept)
    return edges, tuple(s for name, s in known.items() if name in found)
