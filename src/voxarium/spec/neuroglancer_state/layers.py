"""Layers of a state and the nodes of a scene."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from voxarium.model.axes import CoordinateSystem
from voxarium.model.fields import Fields, Problems
from voxarium.model.scene import (
    STORED,
    UNITS,
    WORLD,
    NodeKind,
    Placement,
    Scene,
    SceneNode,
    SceneSource,
    SceneView,
    matrix_of,
)
from voxarium.model.scene_facts import effective_placements, effective_rendering, shown_nodes, unit_size, world_matrices
from voxarium.model.scene_fields import carried, own, tidy
from voxarium.model.transforms import Scale
from voxarium.spec.neuroglancer_state.rendering import dump_rendering, parse_rendering
from voxarium.spec.neuroglancer_state.sources import (
    NO_DIMENSIONS,
    Dimensions,
    P,
    dump_dimensions,
    dump_matrix,
    dump_url,
    parse_placement,
    parse_url,
)

__all__ = ["Layers", "dump_layers", "layer_ids", "parse_layer"]

_KINDS: Final[Mapping[str, NodeKind]] = {
    "image": "image",
    "segmentation": "labels",
    "annotation": "points",
    "mesh": "mesh",
}
_TYPES: Final = {
    "image": "image",
    "labels": "segmentation",
    "points": "annotation",
    "mesh": "segmentation",
    "skeleton": "segmentation",
}
_HINTS: Final[tuple[tuple[str, NodeKind], ...]] = (("mesh", "mesh"), ("skel", "skeleton"), ("propert", "table"))
_SINGLE_MESHES: Final = frozenset({"obj", "vtk"})
_MOST_SOURCES: Final = 1000


@dataclass(frozen=True, slots=True)
class Layers:
    """What a layer becomes: its nodes, and systems of its own."""

    nodes: tuple[SceneNode, ...]
    systems: tuple[CoordinateSystem, ...] = ()


def parse_layer(found: object, name: str, where: str, problems: Problems, world: Dimensions) -> Layers:
    """Return the nodes of one layer: the first source is the layer, further ones belong to it."""
    fields = Fields(found, problems, where)
    fields.raw("name", None)
    type = fields.text("type", "")
    kind = _KINDS.get(type, "other")
    sources = fields.raw("source", None)
    items = sources if isinstance(sources, list) else [] if sources is None else [sources]
    if len(items) > _MOST_SOURCES:
        problems.add(f"{where} has {len(items)} sources")
        return Layers(())
    rendering = parse_rendering(fields, problems, kind)
    extra = carried(fields, P)
    if kind == "other":
        extra[f"{P}:type"] = type
    parts = [_parse_source(s, f"{where}.source[{i}]", problems, world) for i, s in enumerate(items)]
    node = SceneNode(id=name, kind=kind, rendering=rendering, extra=extra)
    nodes: list[SceneNode] = []
    systems: list[CoordinateSystem] = []
    for i, part in enumerate(parts):
        base = node if i == 0 else SceneNode(id=f"{name}/{i}", kind=_kind_of(part.source.uri), parent=name)
        placed, system = _placed(base, part, world)
        nodes.append(placed)
        systems += system
    return Layers(tuple(nodes) or (node,), tuple(systems))


@dataclass(frozen=True, slots=True)
class _Part:
    source: SceneSource
    placement: Placement | None = None
    output: Dimensions = NO_DIMENSIONS
    own: Dimensions = NO_DIMENSIONS


def _parse_source(found: object, where: str, problems: Problems, world: Dimensions) -> _Part:
    if isinstance(found, str):
        return _Part(parse_url(found))
    fields = Fields(found, problems, where)
    source = parse_url(fields.text("url", ""))
    transform = fields.raw("transform", None)
    extra = dict(source.extra)
    part = _Part(source)
    if isinstance(transform, Mapping) and ("outputDimensions" in transform or world.axes):
        said = parse_placement(transform, f"{where}.transform", problems, world)
        part = _Part(source, said.placement, said.output, said.own)
    elif transform is not None:  # its units are those of a source nobody has opened
        extra[f"{P}:transform"] = transform
    return replace(part, source=replace(source, extra={**extra, **carried(fields, P)}))


def _kind_of(uri: str) -> NodeKind:
    """Return what a further source of a layer is, as far as the end of its address tells."""
    last = "/".join(uri.rstrip("/").split("/")[-2:]).lower()
    return next((kind for hint, kind in _HINTS if hint in last), "other")


def _placed(node: SceneNode, part: _Part, world: Dimensions) -> tuple[SceneNode, list[CoordinateSystem]]:
    """Return the node where its source is, and a system for dimensions that are not those of the world."""
    node = replace(node, sources=(part.source,), axes=part.own.axes, voxel_size=part.own.scales or None)
    if part.placement is None:
        return node, []
    same = not part.output.axes or _measured(part.output) == _measured(world)
    target = WORLD if same else f"{node.id}:layer"
    placed = replace(node, placements=(replace(part.placement, target=target),))
    return placed, [] if same else [CoordinateSystem(name=target, axes=part.output.axes)]


def _measured(dimensions: Dimensions) -> list[tuple[str, str | None]]:
    return [(a.name, a.unit) for a in dimensions.axes]


# -- writing
def layer_ids(scene: Scene) -> dict[str, str]:
    """Return ids of nodes as they are read again: further sources of a layer have no names, but numbers."""
    owned = _owned(scene)
    count = {n.id: 1 for n in scene.nodes}
    out = {}
    for node in scene.nodes:
        out[node.id] = node.id or "_"
        if node.id in owned and node.parent is not None and any(dump_url(s) is not None for s in node.sources):
            out[node.id] = f"{node.parent}/{count[node.parent]}"
            count[node.parent] += 1
    return out


def dump_layers(scene: Scene, view: SceneView | None, world: Dimensions) -> list[dict[str, Any]]:
    """Return the layers of a scene as a view shows it."""
    shown = set(shown_nodes(scene, view if view is not None else SceneView(name="")))
    owned = _owned(scene)
    children: dict[str, list[SceneNode]] = {}
    for node in scene.nodes:
        if node.id in owned and node.parent is not None:
            children.setdefault(node.parent, []).append(node)
    out = []
    for node in scene.nodes:
        type = str(node.extra.get(f"{P}:type", "")) or _layer_type(node)
        if (type == "" and node.kind != "other") or node.id in owned:
            continue
        items = _sources(scene, node, view, world)
        if not items and (node.sources or node.kind != "other"):
            continue  # nothing that the viewer could open
        items += [s for n in children.get(node.id, ()) for s in _sources(scene, n, view, world)]
        body: dict[str, Any] = {"type": type} if type else {}
        body["source"] = items[0] if len(items) == 1 else items
        rendering = node.rendering if view is None else effective_rendering(node, view, node.id)
        kind = "labels" if type == "segmentation" else type
        body |= dump_rendering(rendering, kind, node.id in shown)
        out.append(body | {k: v for k, v in own(node.extra, P).items() if k != "type"} | {"name": node.id})
    return out


def _layer_type(node: SceneNode) -> str:
    if node.kind == "mesh" and node.sources and node.sources[0].format in _SINGLE_MESHES:
        return "mesh"
    return _TYPES.get(node.kind, "")


def _owned(scene: Scene) -> set[str]:
    """Return the nodes that are further sources of their parent's layer."""
    holders = {n.id for n in scene.nodes if n.kind in ("labels", "image", "points", "other")}
    return {n.id for n in scene.nodes if n.parent in holders and n.kind != "collection"}


def _sources(scene: Scene, node: SceneNode, view: SceneView | None, world: Dimensions) -> list[Any]:
    """Return the one source of a node that the viewer can read, if there is any."""
    for source in node.sources:
        url = dump_url(source)
        if url is None:
            continue
        extra = {k: v for k, v in own(source.extra, P).items() if k != "url"}
        transform = _transform(scene, node, view, world)
        if transform is not None:
            extra["transform"] = transform
        return [{"url": url} | extra if extra else url]
    return []


def _transform(scene: Scene, node: SceneNode, view: SceneView | None, world: Dimensions) -> dict[str, Any] | None:
    """Return the transform that places a source; None when it is where its own metadata say, or cannot be said."""
    placements = effective_placements(scene, node, view)
    stated = bool(node.placements) or bool(placements[0].steps)
    system = next((s for s in scene.systems if s.name == placements[0].target), None)
    if not stated or len(placements) > 1 or system is None or (system.name == scene.world and not world.axes):
        return None
    known = world_matrices(scene, node, placements[0])
    matrix = known.get(UNITS)
    if matrix is None or len(matrix) != len(system.axes):
        return None
    if placements[0].source == STORED and np.allclose(known[STORED], np.eye(*known[STORED].shape), rtol=0, atol=1e-12):
        return None
    scales = _output_scales(placements[0], system, world)
    unscaled = matrix / np.asarray(scales)[:, None]
    out: dict[str, Any] = {}
    if unscaled.shape != (len(scales), len(scales) + 1) or not np.allclose(unscaled, np.eye(*unscaled.shape), 0, 1e-15):
        out["matrix"] = dump_matrix(unscaled)
    factors = [unit_size(a.unit) for a in system.axes]
    axes = tuple(_in_nanometres(a) for a in system.axes)
    out["outputDimensions"] = dump_dimensions(axes, [tidy(s * f) for s, f in zip(scales, factors, strict=True)])
    if node.axes and node.voxel_size is not None and placements[0].source == UNITS:
        sizes = [tidy(v * unit_size(a.unit)) for v, a in zip(node.voxel_size, node.axes, strict=False)]
        if len(sizes) == len(node.axes):
            out["inputDimensions"] = dump_dimensions(tuple(_in_nanometres(a) for a in node.axes), sizes)
    for step in placements[0].steps:
        out |= own(step.extra, P)
    return out


def _in_nanometres(axis: Any) -> Any:
    length = unit_size(axis.unit) != 1.0 or axis.unit == "nanometer"
    return replace(axis, unit="nanometer") if length and axis.type == "space" else axis


def _output_scales(placement: Placement, system: CoordinateSystem, world: Dimensions) -> tuple[float, ...]:
    """Return output scales in the units of the system: those of the last step, or those of the world."""
    last = placement.steps[-1].transform if placement.steps else None
    if isinstance(last, Scale) and min(last.scale) > 0 and matrix_of(placement.transform, len(last.scale)) is not None:
        return last.scale
    if system.name == WORLD or [a.name for a in system.axes] == [a.name for a in world.axes]:
        return tuple(
            s / unit_size(a.unit) * unit_size(b.unit)
            for s, a, b in zip(world.scales, system.axes, world.axes, strict=True)
        )
    return (1.0,) * len(system.axes)
