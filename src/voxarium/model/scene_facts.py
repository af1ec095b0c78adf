"""What a scene says, as a list of facts; two scenes are compared fact by fact, so that no loss goes unnoticed.

Facts do not depend on how a dialect words them: lengths are in nanometres, placements are compared in any frame that
both scenes know, a view counts as it is shown after all defaults are applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit
from voxarium.model.scene import (
    STORED,
    UNITS,
    VOXELS,
    WORLD,
    Move,
    Placement,
    Rendering,
    Scene,
    SceneNode,
    SceneView,
    Step,
    matrix_of,
)
from voxarium.model.scene_fields import LARGEST, SMALLEST

__all__ = [
    "Fact",
    "Forms",
    "effective_placements",
    "effective_rendering",
    "frames",
    "look_facts",
    "part",
    "plain_move",
    "scene_facts",
    "shown_nodes",
    "unit_size",
    "world_matrices",
]

_INDEXED: Final = frozenset({"n5", "wkw"})
"""Formats without an offset of their own: `UNITS` are indices of voxel centres + ½."""
_SCALED: Final = frozenset({"precomputed", "wkw", "zarr", "zarr2", "zarr3", "ome-zarr", "nifti"})
"""Formats whose `STORED` coordinates are `UNITS` times the voxel size, as viewers read them."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement: what kind of thing it is about, and what it says."""

    kind: str
    value: Any  # Any: numbers, text, tuples of them, JSON, or Forms


@dataclass(frozen=True, slots=True)
class Forms:
    """A placement in every frame in which it can be given; two are the same when any common form is."""

    target: str
    matrices: Mapping[str, Any]  # by frame: matrix in nanometres, or the steps when they are no matrix


def unit_size(unit: str | None) -> float:
    """Return a unit in nanometres or seconds; 1 for anything else."""
    name = canonical_unit(unit or "")
    if name in SPACE_UNITS:
        return float(f"{SPACE_UNITS[name] * 1e9:.15g}")
    return TIME_UNITS.get(name, 1.0)


def _quantity(unit: str | None) -> str | None:
    name = canonical_unit(unit or "")
    return "length" if name in SPACE_UNITS else "time" if name in TIME_UNITS else unit


# -- placements
def frames(node: SceneNode, placement: Placement, ndim: int) -> dict[str, NDArray[np.float64]]:
    """Return the matrices, from each frame that is known, which place a node; empty when it is no matrix.

    Parameters
    ----------
    node : SceneNode
        Its format and voxel size tell how frames relate.
    placement : Placement
        What the scene says.
    ndim : int
        Number of axes of the node's data.
    """
    stated = matrix_of(placement.transform, ndim)
    if stated is None:
        return {}
    out = {placement.source: stated}
    format = node.sources[0].format if node.sources else ""
    half = np.eye(ndim + 1)
    half[:-1, -1] = 0.5
    if format in _INDEXED:
        _join(out, VOXELS, UNITS, half)
    if format in _SCALED and node.voxel_size is not None and len(node.voxel_size) == ndim and _usable(node.voxel_size):
        _join(out, UNITS, STORED, np.diag([*node.voxel_size, 1.0]))
    if format in _INDEXED:
        _join(out, VOXELS, UNITS, half)
    return {frame: matrix for frame, matrix in out.items() if np.isfinite(matrix).all()}


def _usable(voxel_size: tuple[float, ...]) -> bool:
    return all(SMALLEST <= abs(v) <= LARGEST for v in voxel_size)


def _join(known: dict[str, NDArray[np.float64]], inner: str, outer: str, step: NDArray[np.float64]) -> None:
    """Derive the matrix of one frame from that of the other; `step` maps inner coordinates to outer ones."""
    with np.errstate(all="ignore"):  # numbers that no longer fit are dropped by the caller
        if outer in known and inner not in known:
            known[inner] = known[outer] @ step
        elif inner in known and outer not in known:
            known[outer] = known[inner] @ np.linalg.inv(step)


def world_matrices(scene: Scene, node: SceneNode, placement: Placement) -> dict[str, NDArray[np.float64]]:
    """Return the matrices that place a node, by frame, in the units of the system they lead to.

    `STORED` coordinates are counted in those units, too.
    """
    axes = next((s.axes for s in scene.systems if s.name == placement.target), ())
    ndim = len(node.axes) or len(axes) or placement.transform.ndim_in or 3
    out = frames(node, placement, ndim)
    if STORED in out and len(node.axes) == len(axes) == ndim:
        inner = [unit_size(a.unit) / unit_size(b.unit) for a, b in zip(node.axes, axes, strict=True)]
        out[STORED] = np.column_stack([out[STORED][:, :-1] / np.asarray(inner), out[STORED][:, -1]])
    return out


def _placed(scene: Scene, node: SceneNode, placement: Placement) -> Forms | None:
    """Return the forms of a placement, in nanometres; None when the node simply is where its own metadata say."""
    axes = next((s.axes for s in scene.systems if s.name == placement.target), ())
    target = WORLD if placement.target == scene.world else placement.target
    found: dict[str, Any] = {}
    for frame, matrix in world_matrices(scene, node, placement).items():
        rows, columns = matrix.shape
        sizes = np.array([unit_size(a.unit) for a in axes] if len(axes) == rows else [1.0] * rows)
        with np.errstate(all="ignore"):
            linear = sizes[:, None] * matrix[:, :-1]
            if frame == STORED and rows == columns - 1:
                linear = linear / sizes
            found[frame] = np.column_stack([linear, sizes * matrix[:, -1]])
    if not found:
        return Forms(target, {placement.source: tuple(s.transform for s in placement.steps)})
    stored = found.get(STORED)
    if target == WORLD and stored is not None and _is_identity(stored):
        return None
    return Forms(target, found)


def _is_identity(matrix: NDArray[np.float64]) -> bool:
    rows, columns = matrix.shape
    return rows == columns - 1 and bool(np.abs(matrix - np.eye(rows, columns)).max() <= 1e-9)


def effective_placements(scene: Scene, node: SceneNode, view: SceneView | None) -> tuple[Placement, ...]:
    """Return where a node is in a view: its own placements, and then the affine moves of the view."""
    own = node.placements or (Placement(target=scene.world),)
    moves = () if view is None else view.moves
    steps = tuple(
        Step(transform=m.transform, name=m.name, extra=m.extra)
        for m in moves
        if m.transform is not None and plain_move(m) and any(node.id in cell for cell in m.nodes)
    )
    return tuple(replace(p, steps=(*p.steps, *steps)) for p in own)


def plain_move(move: Move) -> bool:
    """Tell whether a move does no more than place its nodes by a matrix, at all times and under their names."""
    return move.kind == "affine" and not move.timepoints and not move.results


# -- what is shown
def shown_nodes(scene: Scene, view: SceneView) -> tuple[str, ...]:
    """Return the ids of nodes that a view shows, defaults applied; what belongs to a node is shown with it."""
    nodes = {n.id: n for n in scene.nodes}
    owned = {n.id for n in scene.nodes if n.parent is not None and nodes[n.parent].kind != "collection"}
    listed = view.visible
    if listed is None:
        listed = tuple(n.id for n in scene.nodes if n.kind != "collection")
    listed = tuple(id for id in listed if id not in owned)

    def hidden(id: str) -> bool:
        if view.visible is not None:  # the view's list outranks what the node says by itself
            return view.renderings.get(id, Rendering()).visible is False
        return effective_rendering(nodes.get(id), view, id).visible is False

    return tuple(id for id in listed if not hidden(id))


def effective_rendering(node: SceneNode | None, view: SceneView, id: str) -> Rendering:
    """Return how a view shows a node: what the view says, completed by what the node says."""
    own = Rendering() if node is None else node.rendering
    return view.renderings.get(id, Rendering()).over(own)


# -- facts
def part(name: str) -> str:
    """Return a name as one part of a place; slashes in it are written ``~1``, as in JSON pointers."""
    return name.replace("~", "~0").replace("/", "~1")


_Facts = Iterator[tuple[str, str, Any]]


def scene_facts(scene: Scene) -> dict[str, Fact]:
    """Return what a scene says, by place; how nodes are placed and rendered is in `look_facts`."""
    return {where: Fact(kind, value) for where, kind, value in _scene(scene)}


def look_facts(scene: Scene, node: SceneNode, view: SceneView | None) -> dict[str, Fact]:
    """Return where a node is and how it is shown, in a view or by itself, by place within the node."""
    rendering = node.rendering if view is None else effective_rendering(node, view, node.id)
    places = effective_placements(scene, node, view)
    found = (*_placements(scene, node, places), *_rendering("rendering", rendering))
    return {where: Fact(kind, value) for where, kind, value in found}


def _scene(scene: Scene) -> _Facts:
    for key in ("name", "description", "timepoints"):
        if getattr(scene, key):
            yield key, "scene", getattr(scene, key)
    yield from _extra("", scene.bag.extra)
    for system in scene.systems:
        at = f"systems/{WORLD if system.name == scene.world else part(system.name)}"
        yield at, "system", tuple(a.name for a in system.axes)
        yield from _axes(at, system.axes)
        yield from _extra(f"{at}/", system.extra)
    for edge in scene.edges:
        ends = [WORLD if e == scene.world else part(e) for e in (edge.source, edge.target)]
        yield f"edges/{' → '.join(ends)}", "transform", edge.transform
    for node in scene.nodes:
        yield from _node(scene, node)
        if not scene.views and node.rendering.visible is False:
            yield f"nodes/{part(node.id)}/rendering/visible", "rendering", False
    for view in scene.views:
        yield from _view(scene, view)


def _named(axes: tuple[Axis, ...]) -> list[tuple[str, str | None]]:
    return [(a.name, canonical_unit(a.unit or "")) for a in axes]


def _axes(at: str, axes: tuple[Axis, ...]) -> _Facts:
    for axis in axes:
        for key, value in (
            ("type", axis.type if axis.type != "other" else None),
            ("unit", _quantity(axis.unit)),
            ("orientation", axis.orientation),
            ("labels", axis.labels),
        ):
            if value:
                yield f"{at}/axes/{part(axis.name)}/{key}", "system", value
        yield from _extra(f"{at}/axes/{part(axis.name)}/", axis.extra)


def _extra(at: str, extra: Mapping[str, Any]) -> _Facts:
    for key, value in extra.items():
        yield f"{at}metadata/{part(key)}", "metadata", value


def _node(scene: Scene, node: SceneNode) -> _Facts:
    at = f"nodes/{part(node.id)}"
    yield at, "node", node.kind
    for key in ("name", "description", "content", "parent", "dtype", "channels", "label_of", "box"):
        value = getattr(node, key)
        if value and not (key == "name" and value == node.id):
            yield f"{at}/{key}", "node", value
    if node.axes and _named(node.axes) != _named(scene.axes):
        yield f"{at}/axes", "node", tuple(a.name for a in node.axes)
        yield from _axes(at, node.axes)
    if node.voxel_size is not None and not any(p.source == VOXELS for p in node.placements):  # those imply it
        sizes = [unit_size(a.unit) for a in node.axes] or [1.0] * len(node.voxel_size)
        yield f"{at}/voxel_size", "node", tuple(v * s for v, s in zip(node.voxel_size, sizes, strict=False))
    for i, source in enumerate(node.sources):
        yield f"{at}/sources/{i}", "source", source.uri
        if source.format:
            yield f"{at}/sources/{i}/format", "source", source.format
        yield from _extra(f"{at}/sources/{i}/", source.extra)
    yield from _extra(f"{at}/", node.extra)


def _placements(scene: Scene, node: SceneNode, placements: tuple[Placement, ...]) -> _Facts:
    for placement in placements:
        at = "placement" if placement.timepoint is None else f"placement@{placement.timepoint}"
        forms = _placed(scene, node, placement)
        if forms is not None:
            yield at, "transform", forms
        for i, step in enumerate(placement.steps):
            if step.name:
                yield f"{at}/steps/{i}/name", "transform", step.name
            yield from _extra(f"{at}/steps/{i}/", step.extra)


def _rendering(at: str, rendering: Rendering) -> _Facts:
    for key in ("window", "limits", "color", "lut", "opacity", "blend", "shader", "label_colors", "selected"):
        value = getattr(rendering, key)
        if value is not None and value != ():
            yield f"{at}/{key}", "rendering", value
    if rendering.invert:
        yield f"{at}/invert", "rendering", True
    yield from _extra(f"{at}/", rendering.extra)


def _view(scene: Scene, view: SceneView) -> _Facts:
    at = f"views/{part(view.name)}"
    yield at, "view", view.name
    sizes = [unit_size(a.unit) for a in scene.axes]
    space = next((unit_size(a.unit) for a in reversed(scene.axes) if _quantity(a.unit) == "length"), 1.0)
    if view.position is not None:
        factors = sizes if len(sizes) == len(view.position) else [1.0] * len(view.position)
        yield f"{at}/position", "view", tuple(p * s for p, s in zip(view.position, factors, strict=True))
    for key in ("scale", "projection_scale"):
        if getattr(view, key) is not None:
            yield f"{at}/{key}", "view", getattr(view, key) * space
    for key in ("description", "orientation", "projection_orientation", "layout"):
        if getattr(view, key):
            yield f"{at}/{key}", "view", getattr(view, key)
    if view.time is not None:
        yield f"{at}/time", "view", view.time
    if view.exclusive is False:
        yield f"{at}/exclusive", "view", False
    yield f"{at}/visible", "view", tuple(sorted(shown_nodes(scene, view)))
    for i, move in enumerate(m for m in view.moves if not plain_move(m)):
        yield from _move(f"{at}/moves/{i}", move)
    yield from _extra(f"{at}/", view.extra)


def _move(at: str, move: Move) -> _Facts:
    yield at, "transform", (move.kind, move.nodes)
    for key in ("transform", "low", "high", "positions", "results", "timepoints", "name"):
        if getattr(move, key):
            yield f"{at}/{key}", "transform", getattr(move, key)
    yield from _extra(f"{at}/", move.extra)
