"""Coordinate systems of a source beyond its world, carried over to a target with its axes in another order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from voxarium.errors import InputError, UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.image import ImageInfo, TransformEdge
from voxarium.model.scene import matrix_of
from voxarium.model.transforms import Affine, Transform

__all__ = ["NOTHING", "Carried", "carried", "further_edges", "order_of_world"]

_Order = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Carried:
    """Systems and edges of a target; `kept` numbers the edges of the source they were."""

    systems: tuple[CoordinateSystem, ...] = ()
    edges: tuple[TransformEdge, ...] = ()
    kept: frozenset[int] = frozenset()


NOTHING: Final = Carried()


def further_edges(info: ImageInfo) -> tuple[TransformEdge, ...]:
    """Return the transforms between systems that are no part of the levels' own.

    Levels may lead to the world by way of a system of indices. Transforms from or to that one are returned as such
    from or to the world: a crop and another order of the axes change what indices mean, the world stays.
    """
    levels = {level.path for level in info.levels}
    inner = {e.target for e in info.edges if e.source in levels} - {info.world}
    onward: dict[str, TransformEdge] = {}
    for edge in info.edges:
        if edge.source in inner and edge.target == info.world:
            onward.setdefault(edge.source, edge)
    return tuple(
        _from_world(edge, onward, info.world)
        for edge in info.edges
        if edge.source not in levels and edge is not onward.get(edge.source)
    )


def _from_world(edge: TransformEdge, onward: Mapping[str, TransformEdge], world: str) -> TransformEdge:
    try:
        if edge.source in onward:
            back = onward[edge.source].transform.inverse()
            edge = replace(edge, source=world, transform=back.then(edge.transform), original={})
        if edge.target in onward:
            whole = edge.transform.then(onward[edge.target].transform)
            edge = replace(edge, target=world, transform=whole, original={})
    except (InputError, UnsupportedError):
        pass  # it stays with a system that the target has not: it is lost, and told so
    return edge


def order_of_world(info: ImageInfo, permutation: _Order) -> _Order:
    """Return which coordinates of the world go with the axes of a target, by name; by place where names differ."""
    known = next((s.axes for s in info.systems if s.name == info.world), info.axes)
    names = [a.name for a in known]
    own = [a.name for a in info.axes]
    return tuple(names.index(own[p]) for p in permutation) if sorted(names) == sorted(own) else permutation


def carried(info: ImageInfo, edges: tuple[TransformEdge, ...], permutation: _Order, axes: tuple[Axis, ...]) -> Carried:
    """Return what of the graph of systems a target holds: affine transforms that lead from or to the world, or on.

    Parameters
    ----------
    info : ImageInfo
        Of the source.
    edges : tuple of TransformEdge
        Its further edges.
    permutation : tuple of int
        Which axis of the source becomes each axis of the target.
    axes : tuple of Axis
        Of the target, and of its world.
    """
    order = order_of_world(info, permutation)
    known = {s.name: s for s in info.systems}
    world = known.get(info.world, CoordinateSystem(name=info.world, axes=info.axes))
    known[world.name] = world
    if world.ndim != len(axes):
        return NOTHING
    orders = {s.name: _order(s, world, order) for s in known.values()}
    moved = {i: _permuted(e, known, orders) for i, e in enumerate(edges)}
    usable = {i: e for i, e in moved.items() if e is not None}
    reached, kept = {world.name}, set[int]()
    while joined := [i for i, e in usable.items() if i not in kept and reached & {e.source, e.target}]:
        kept.update(joined)
        reached.update(name for i in joined for name in (usable[i].source, usable[i].target))
    systems = tuple(
        replace(s, axes=axes if s is world else tuple(s.axes[i] for i in orders[s.name]))
        for s in known.values()
        if s.name in reached
    )
    return Carried(systems, tuple(e for i, e in usable.items() if i in kept), frozenset(kept))


def _order(system: CoordinateSystem, world: CoordinateSystem, order: _Order) -> _Order:
    """Return the order of a system's axes: as that of the world where it has the same."""
    names = [a.name for a in system.axes]
    there = [a.name for a in world.axes]
    if order == tuple(range(world.ndim)) or sorted(names) != sorted(there):
        return tuple(range(system.ndim))
    return tuple(names.index(there[i]) for i in order)


def _permuted(
    edge: TransformEdge, known: Mapping[str, CoordinateSystem], orders: Mapping[str, _Order]
) -> TransformEdge | None:
    """Return an edge between systems whose axes stand in these orders; None when that cannot be told."""
    if not {edge.source, edge.target} <= known.keys():
        return None
    source, target = orders[edge.source], orders[edge.target]
    matrix = matrix_of(edge.transform, len(source))
    if matrix is None or matrix.shape != (len(target), len(source) + 1):
        return None
    if source == tuple(range(len(source))) and target == tuple(range(len(target))):
        return edge
    rows = matrix[list(target)][:, [*source, len(source)]]
    transform: Transform = Affine(tuple(map(tuple, rows.tolist())))
    return replace(edge, transform=transform, original={})
