"""Writing collections: the draft's ``type`` dialect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import CoordinateSystem
from voxarium.model.image import TransformEdge
from voxarium.model.scene import STORED, Rendering, Scene, SceneLoss, SceneNode
from voxarium.model.scene_facts import part
from voxarium.model.scene_fields import own, unique_ids
from voxarium.model.scene_losses import lost
from voxarium.model.transform_json import dump_transform_json
from voxarium.model.warps import Unresolved
from voxarium.spec.collections.reading import parse_collection
from voxarium.spec.collections.words import (
    OURS,
    P,
    dump_axes,
    dump_placement,
    dump_rendering,
    dump_view,
    fit_id,
    source_json,
)

__all__ = ["VERSIONS", "dump_collection"]

VERSIONS: Final = ("0.x",)
"""Versions that are written: the draft calls itself 0.x until it is accepted."""


def dump_collection(scene: Scene, version: str = "0.x") -> tuple[dict[str, Any], tuple[SceneLoss, ...]]:
    """Return the collection of a scene as a document of its own, and what it does not say as the scene does.

    Parameters
    ----------
    version : str
        One of `VERSIONS`. The earlier dialects are read, not written.

    Raises
    ------
    UnsupportedError
        For any other version.
    """
    if version not in VERSIONS:
        raise UnsupportedError(
            f"collections of version {version!r} are not written",
            code=Code.FEATURE_UNSUPPORTED,
            fix=f"write {' or '.join(VERSIONS)}",
        )
    stand_ins: list[SceneLoss] = []
    ids = dict(zip((n.id for n in scene.nodes), unique_ids(fit_id(n.id) for n in scene.nodes), strict=True))
    extra = own(scene.bag.extra, P)
    body: dict[str, Any] = {"version": version, "type": "collection", "name": scene.name or "scene"}
    if isinstance(extra.get("id"), str):
        body["id"] = extra.pop("id")
    body["nodes"] = _nodes(scene, None, ids, stand_ins)
    attributes = _attributes(scene)
    attributes |= {k: v for k, v in scene.bag.extra.items() if not k.startswith(f"{P}:")} | extra
    if attributes:
        body["attributes"] = attributes
    document = {"ome": body}
    return document, (*stand_ins, *lost(scene, parse_collection(document), P))


def _attributes(scene: Scene) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if not scene.name:
        out[f"{OURS}:unnamed"] = True
    if scene.description:
        out[f"{OURS}:description"] = scene.description
    if scene.timepoints:
        out[f"{OURS}:timepoints"] = [list(run) for run in scene.timepoints]
    systems = sorted(scene.systems, key=lambda s: s.name != scene.world)  # the first is what viewers show by default
    names = dict(zip((s.name for s in systems), unique_ids(fit_id(s.name) for s in systems), strict=True))
    transformations = [*_placed(scene, names), *_edges(scene.edges, names)]
    if systems or transformations:
        out["scene"] = {
            "coordinateSystems": [_system(s, names[s.name]) for s in systems],
            "coordinateTransformations": transformations,
        }
    if scene.views:
        out[f"{OURS}:views"] = [dump_view(v) for v in scene.views]
    return out


def _system(system: CoordinateSystem, id: str) -> dict[str, Any]:
    named = {f"{OURS}:name": system.name} if id != system.name else {}
    return {"id": id} | named | {"axes": dump_axes(system.axes)} | _unprefixed(system.extra)


def _unprefixed(extra: Mapping[str, Any]) -> dict[str, Any]:
    return {k.removeprefix(f"{P}:"): v for k, v in extra.items()}


def _placed(scene: Scene, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the transformations of nodes that were read as such: only they name the system within the node."""
    out = []
    for node in scene.nodes:
        for placement in node.placements:
            step = placement.steps[0] if len(placement.steps) == 1 else None
            reference = None if step is None else step.extra.get(f"{P}:input")
            if step is None or placement.source != STORED or not isinstance(reference, Mapping):
                continue
            original = step.extra.get(f"{P}:original")
            if isinstance(original, Mapping):  # a type of somebody's own
                out.append(dict(original))
                continue
            transform = dump_transform_json(step.transform)
            if transform is None:
                continue
            target = {"id": names.get(placement.target, placement.target)}
            rest = {k: v for k, v in _unprefixed(step.extra).items() if k != "input"}
            named = {"name": step.name} if step.name else {}
            out.append(transform | named | {"input": dict(reference), "output": target} | rest)
    return out


def _edges(edges: Sequence[TransformEdge], names: Mapping[str, str]) -> list[dict[str, Any]]:
    out = []
    for edge in edges:
        transform = dump_transform_json(edge.transform)
        if isinstance(edge.transform, Unresolved) and edge.original:
            out.append(dict(edge.original))
        elif transform is not None:
            ends = {k: {"id": names.get(n, n)} for k, n in (("input", edge.source), ("output", edge.target))}
            out.append(transform | ({"name": edge.name} if edge.name else {}) | ends)
    return out


# -- nodes
def _nodes(
    scene: Scene, parent: str | None, ids: Mapping[str, str], stand_ins: list[SceneLoss]
) -> list[dict[str, Any]]:
    """Return the nodes of a collection; what belongs to another node lies beside it."""
    known = {n.id: n for n in scene.nodes}
    by_home: dict[str | None, list[SceneNode]] = {}
    for node in scene.nodes:
        at = node.parent
        while at is not None and known[at].kind != "collection":
            at = known[at].parent
        by_home.setdefault(at, []).append(node)
    return _level(by_home, parent, ids, scene, stand_ins)


def _level(
    by_home: Mapping[str | None, list[SceneNode]],
    home: str | None,
    ids: Mapping[str, str],
    scene: Scene,
    stand_ins: list[SceneLoss],
) -> list[dict[str, Any]]:
    nodes = by_home.get(home, [])
    names = unique_ids((n.name or n.id) for n in nodes)
    out = []
    for node, name in zip(nodes, names, strict=True):
        item = _node(node, name or "_", ids, home, stand_ins)
        if node.kind == "collection" and not node.sources:
            item["nodes"] = _level(by_home, node.id, ids, scene, stand_ins)
        out.append(item)
    return out


def _type(node: SceneNode) -> str:
    stated = node.extra.get(f"{P}:type")
    if isinstance(stated, str) and stated:
        return stated
    return {"collection": "collection", "image": "multiscale", "labels": "multiscale"}.get(
        node.kind, f"{OURS}:{node.kind}"
    )


def _node(
    node: SceneNode, name: str, ids: Mapping[str, str], home: str | None, stand_ins: list[SceneLoss]
) -> dict[str, Any]:
    out: dict[str, Any] = {"type": _type(node), "id": ids[node.id], "name": name}
    extra = own(node.extra, P)
    inline = extra.pop("nodes", None)
    extra.pop("type", None)
    if isinstance(inline, list):
        out["nodes"] = inline
    elif node.sources:
        out["path"] = source_json(node.sources[0])
    elif node.kind != "collection" and "multiscales" not in extra:
        message = f"{P} must say where the data are, which the scene does not know; it is left out"
        stand_ins.append(SceneLoss(kind="required", where=f"nodes/{part(node.id)}/sources", message=message))
    attributes = _node_attributes(node, ids, inline is not None)
    if ids[node.id] != node.id:
        attributes[f"{OURS}:id"] = node.id
    if name != (node.name or node.id):
        attributes[f"{OURS}:name"] = node.name or node.id
    if node.parent is not None and node.parent != home:
        attributes[f"{OURS}:parent"] = node.parent
    outside = {k: extra.pop(k) for k in ("multiscales",) if k in extra}
    attributes |= {k: v for k, v in node.extra.items() if not k.startswith(f"{P}:")} | extra
    if attributes:
        out["attributes"] = attributes
    return out | outside


def _node_attributes(node: SceneNode, ids: Mapping[str, str], inline: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in (("description", node.description), ("content", node.content), ("dtype", node.dtype)):
        if value:
            out[f"{OURS}:{key}"] = value
    if node.channels is not None:
        out[f"{OURS}:channels"] = node.channels
    if node.axes:
        out[f"{OURS}:axes"] = dump_axes(node.axes)
    if node.voxel_size is not None:
        out[f"{OURS}:voxelSize"] = list(node.voxel_size)
    if node.box is not None:
        out[f"{OURS}:box"] = {"origin": list(node.box.origin), "shape": list(node.box.shape)}
    further = node.sources if inline else node.sources[1:]
    if further:
        out[f"{OURS}:sources"] = [source_json(s) for s in further]
    placements = [p for p in node.placements if not any(f"{P}:input" in s.extra for s in p.steps)]
    written = [d for p in placements if (d := dump_placement(p)) is not None]
    if written:
        out[f"{OURS}:placements"] = written
    out |= _labels(node, ids)
    rendering = dump_rendering(node.rendering, label_colors="labels" not in out)
    if node.rendering != Rendering() and rendering:
        out[f"{OURS}:rendering"] = rendering
    return out


def _labels(node: SceneNode, ids: Mapping[str, str]) -> dict[str, Any]:
    if node.kind != "labels":
        return {f"{OURS}:labelOf": list(node.label_of)} if node.label_of else {}
    stated = node.extra.get(f"{P}:labels")
    body: dict[str, Any] = dict(stated) if isinstance(stated, Mapping) else {}
    if node.label_of:
        body["source"] = [{"id": ids.get(id, id)} for id in node.label_of]
    colors = node.rendering.label_colors
    if colors:
        body["labelAttributes"] = [{"labelValue": c.label, "color": list(c.rgba)} for c in colors]
    return {"labels": body}
