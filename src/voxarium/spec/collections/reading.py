"""Reading collections of all three dialects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from voxarium.errors import InputError
from voxarium.model.axes import CoordinateSystem
from voxarium.model.fields import Fields, Problems
from voxarium.model.image import Bag, LabelColor, SourceRecord, TransformEdge
from voxarium.model.scene import (
    STORED,
    WORLD,
    NodeKind,
    Placement,
    Rendering,
    Scene,
    SceneNode,
    SceneSource,
    Step,
)
from voxarium.model.scene_fields import (
    guarded,
    listed,
    numbers,
    parse_document,
    refuse,
    texts,
    unique_ids,
)
from voxarium.model.transform_json import parse_transform_json
from voxarium.model.warps import Unresolved
from voxarium.spec.collections.older import older_attributes, older_view
from voxarium.spec.collections.words import (
    OURS,
    P,
    kind_of,
    parse_axes,
    parse_box,
    parse_placement,
    parse_rendering,
    parse_view,
    source_format,
)

__all__ = ["find_collection", "parse_collection"]

_SLIDE: Final = "https://ngff.openmicroscopy.org/0.6"
_MAX_DEPTH: Final = 32


def find_collection(document: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Return the word by which a dialect tells types, and the collection; None when there is none."""
    for holder in (document.get("attributes"), document):
        if not isinstance(holder, Mapping):
            continue
        ome, slide = holder.get("ome"), holder.get(_SLIDE)
        for key in ("type", "node_type"):
            if isinstance(ome, Mapping) and ome.get(key) == "collection":
                return key, ome
        if isinstance(slide, Mapping) and isinstance(slide.get("collection"), Mapping):
            return "members", slide["collection"]
    return None


@dataclass(slots=True)
class _State:
    """What is collected on the way down."""

    key: str
    problems: Problems
    nodes: list[SceneNode] = field(default_factory=list)
    wanted: list[str] = field(default_factory=list)
    stated: dict[str, int] = field(default_factory=dict)  # position of the node with a stated id


def parse_collection(document: bytes | str | Mapping[str, Any]) -> Scene:
    """Return the scene of a collection.

    Raises
    ------
    FormatError
        If the document holds no collection, or breaks the format.
    """
    found = find_collection(parse_document(document, "the collection"))
    if found is None:
        raise refuse("the document", "holds no collection", "name a zarr.json or a JSON file with a collection")
    key, body = found
    problems = Problems("collection")
    fields = Fields(body, problems)
    fields.raw(key, None)
    try:
        return _scene(key, fields, problems)
    except InputError as error:
        raise guarded(error, "collection") from error


def _scene(key: str, fields: Fields, problems: Problems) -> Scene:
    state = _State(key, problems)
    version, name = fields.text("version", ""), fields.text("name", "")
    id = fields.text("id", "")
    attributes = Fields(fields.mapping("attributes", {}), problems, "attributes")
    members = fields.raw("members" if key == "members" else "nodes", None)
    _walk(members if isinstance(members, list) else [], None, state, 0)
    problems.check()
    placing = _Placing(state)
    if attributes.has("scene"):
        placing.read(Fields(attributes.mapping("scene"), problems, "attributes.scene"), problems)
    nodes = _finished(placing.nodes(), state)
    axes, view = ((), ()) if key == "type" else older_view(attributes, problems)
    views = [parse_view(v, f"views[{i}]", problems) for i, v in enumerate(listed(attributes, f"{OURS}:views"))]
    systems = placing.systems or ([CoordinateSystem(name=WORLD, axes=axes)] if axes else [])
    runs = [tuple(r) for r in listed(attributes, f"{OURS}:timepoints") if isinstance(r, list) and len(r) == 2]
    description = attributes.text(f"{OURS}:description", "")
    unnamed = attributes.boolean(f"{OURS}:unnamed", False)
    problems.check()
    extra = _extra(attributes.rest()) | {f"{P}:{k}": v for k, v in fields.rest().items()}
    if id:
        extra[f"{P}:id"] = id
    dialect = {"type": version or "0.x", "node_type": version or "0.7", "members": "0.6-2024"}[key]
    return Scene(
        format=P,
        name="" if unnamed else name,
        description=description,
        nodes=tuple(nodes),
        systems=tuple(systems),
        world=systems[0].name if systems else WORLD,
        edges=tuple(placing.edges),
        views=tuple(views) if views else view,
        timepoints=tuple((r[0], r[1]) for r in runs if all(type(v) is int for v in r)),
        bag=Bag(records=(SourceRecord(format=P, spec_version=dialect),), extra=extra),
    )


def _extra(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes nobody asked for; those without a prefix belong to the draft itself."""
    return {k if ":" in k else f"{P}:{k}": v for k, v in found.items()}


# -- nodes
def _walk(members: list[Any], parent: str | None, state: _State, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise refuse("the collection", "is nested too deeply")
    for found in members:
        fields = Fields(found, state.problems, f"node {len(state.nodes)}")
        node = _node(fields, state)
        place = len(state.nodes)
        state.nodes.append(replace(node, parent=parent))
        inner = fields.raw("nodes", None)
        if node.kind == "collection" and isinstance(inner, list):
            _walk(inner, f"#{place}", state, depth + 1)


def _node(fields: Fields, state: _State) -> SceneNode:
    type = fields.text("type" if state.key == "members" else state.key, "image" if state.key == "members" else "")
    id, name, nodes = fields.text("id", ""), fields.text("name", ""), fields.raw("nodes", None)
    attributes = Fields(fields.mapping("attributes", {}), state.problems, f"{name}.attributes")
    kind: NodeKind = {"collection": "collection", "multiscale": "image", "singlescale": "image", "image": "image"}.get(
        type
    ) or kind_of(type)  # type: ignore[assignment]
    place = len(state.nodes)
    wanted = attributes.text(f"{OURS}:id", "") or id or name or f"node{place}"
    if id:
        state.stated[id] = place
    state.wanted.append(wanted)
    node = SceneNode(
        id=f"#{place}",
        kind=kind,
        name=attributes.text(f"{OURS}:name", "") or name,
        sources=_sources(fields, attributes, state.problems),
    )
    node = _attributes(node, attributes, state.problems, older=state.key != "type")
    extra = dict(node.extra) | {f"{P}:{k}": v for k, v in fields.rest().items()}
    if type not in ("collection", "multiscale", "image", f"{OURS}:{node.kind}"):
        extra[f"{P}:type"] = type
    if isinstance(nodes, list) and kind != "collection":
        extra[f"{P}:nodes"] = nodes
    return replace(node, extra=extra)


def _sources(fields: Fields, attributes: Fields, problems: Problems) -> tuple[SceneSource, ...]:
    first = fields.raw("path", None)
    items = [] if first is None else [first]
    return tuple(_source(p, problems) for p in (*items, *listed(attributes, f"{OURS}:sources", 1000)))


def _source(found: object, problems: Problems) -> SceneSource:
    if isinstance(found, str):
        return SceneSource(uri=found)
    fields = Fields(found, problems, "path")
    type, path = fields.text("type", ""), fields.text("path", "")
    return SceneSource(uri=path, format="" if type == f"{OURS}:data" else source_format(type), extra=fields.rest())


def _attributes(node: SceneNode, fields: Fields, problems: Problems, *, older: bool) -> SceneNode:
    labels = None
    colors: tuple[LabelColor, ...] = ()
    of: tuple[str, ...] = ()
    if fields.has("labels"):
        labels = Fields(fields.mapping("labels"), problems, "labels")
        colors, of = _label_colors(labels), _references(labels)
    rendering = Rendering()
    if fields.has(f"{OURS}:rendering"):
        rendering = parse_rendering(fields.raw(f"{OURS}:rendering"), f"{OURS}:rendering", problems)
    axes = fields.raw(f"{OURS}:axes", None)
    channels = fields.raw(f"{OURS}:channels", None)
    node = replace(
        node,
        kind="labels" if labels is not None and node.kind == "image" else node.kind,
        description=fields.text(f"{OURS}:description", ""),
        content=fields.text(f"{OURS}:content", ""),
        dtype=fields.text(f"{OURS}:dtype", "") or None,
        channels=channels if type(channels) is int and channels > 0 else None,
        axes=() if axes is None else parse_axes(axes, f"{OURS}:axes", problems),
        voxel_size=numbers(fields, f"{OURS}:voxelSize"),
        box=parse_box(fields, problems),
        label_of=of or (texts(fields, f"{OURS}:labelOf") or ()),
        placements=tuple(
            parse_placement(p, f"placements[{i}]", problems) for i, p in enumerate(listed(fields, f"{OURS}:placements"))
        ),
        rendering=rendering if rendering.label_colors else replace(rendering, label_colors=colors),
        parent=fields.text(f"{OURS}:parent", "") or None,
    )
    if older:
        node = older_attributes(node, fields, problems)
    extra = _extra(fields.rest())
    if labels is not None and labels.rest():
        extra[f"{P}:labels"] = labels.rest()
    if node.parent is not None:
        extra["#parent"] = node.parent
    return replace(node, extra=extra)


def _label_colors(labels: Fields) -> tuple[LabelColor, ...]:
    out = []
    rows = listed(labels, "labelAttributes")
    for row in rows:
        value, rgba = (row.get("labelValue"), row.get("color")) if isinstance(row, Mapping) else (None, None)
        whole = isinstance(rgba, list) and len(rgba) == 4 and all(type(v) is int and 0 <= v <= 255 for v in rgba)
        if type(value) is int and whole and isinstance(rgba, list) and len(row) == 2:
            out.append(LabelColor(label=value, rgba=(rgba[0], rgba[1], rgba[2], rgba[3])))
        else:
            labels.wrong("labelAttributes", "labels with a colour of four bytes", row)
    return tuple(out)


def _references(labels: Fields) -> tuple[str, ...]:
    """Return the ids that labels refer to; the draft writes them as objects and, in places, as texts."""
    out = []
    for item in listed(labels, "source"):
        id = item.get("id") if isinstance(item, Mapping) else item
        if isinstance(id, str):
            out.append(id)
        else:
            labels.wrong("source", "references to nodes", item)
    return tuple(out)


def _finished(nodes: list[SceneNode], state: _State) -> list[SceneNode]:
    """Return nodes under their final ids, unique in the scene, with parents and references to them."""
    ids = unique_ids(state.wanted)
    final = {f"#{i}": id for i, id in enumerate(ids)}
    named = {id: ids[place] for id, place in state.stated.items()}
    named |= {id: id for id in ids}
    out = []
    for node in nodes:
        extra = dict(node.extra)
        owner = named.get(str(extra.pop("#parent", "")))
        id = final[node.id]
        out.append(
            replace(
                node,
                id=id,
                name="" if node.name == id else node.name,
                parent=owner
                if owner is not None and owner != id
                else None
                if node.parent is None
                else final[node.parent],
                label_of=tuple(named.get(r, r) for r in node.label_of),
                extra=extra,
            )
        )
    return out


# -- the scene's coordinate systems and transformations
class _Placing:
    """Coordinate systems of a collection, and what its transformations say about nodes."""

    def __init__(self, state: _State) -> None:
        self._nodes = list(state.nodes)
        self._by_path = {s.uri: i for i, n in reversed(list(enumerate(state.nodes))) for s in n.sources[:1]}
        self._by_id = state.stated
        self.systems: list[CoordinateSystem] = []
        self.edges: list[TransformEdge] = []

    def nodes(self) -> list[SceneNode]:
        return self._nodes

    def read(self, fields: Fields, problems: Problems) -> None:
        for i, found in enumerate(listed(fields, "coordinateSystems", 10_000)):
            body = Fields(found, problems, f"coordinateSystems[{i}]")
            id, name = body.text("id", ""), body.text("name", "")
            axes = parse_axes(body.raw("axes"), f"coordinateSystems[{i}].axes", problems)
            system = CoordinateSystem(name=body.text(f"{OURS}:name", "") or id or name or f"system{i}", axes=axes)
            extra = _extra(body.rest())
            if name and name != system.name:
                extra[f"{P}:name"] = name
            self.systems.append(replace(system, extra=extra))
        problems.check()
        for i, found in enumerate(listed(fields, "coordinateTransformations")):
            self._transformation(found, f"coordinateTransformations[{i}]", problems)

    def _transformation(self, found: object, where: str, problems: Problems) -> None:
        fields = Fields(found, problems, where)
        source, target = _Reference.parse(fields, "input"), _Reference.parse(fields, "output")
        kind = fields.text("type", "")
        transform = parse_transform_json(found, where)
        for key in (kind, "transformations", "path"):
            fields.raw(key, None)
        name, extra = fields.text("name", ""), _extra(fields.rest())
        place = self._by_path.get(source.path) if source.path else self._by_id.get(source.id)
        if place is not None and (source.path or source.id not in {s.name for s in self.systems}):
            extra[f"{P}:input"] = source.original
            if isinstance(transform, Unresolved) and isinstance(found, Mapping):
                extra[f"{P}:original"] = dict(found)
            step = Step(transform=transform, name=name, extra=extra)
            node = self._nodes[place]
            placed = Placement(source=STORED, target=target.id, steps=(step,))
            self._nodes[place] = replace(node, placements=(*node.placements, placed)[:1])
            return
        original = dict(found) if isinstance(found, Mapping) else {}
        self.edges.append(
            TransformEdge(source=source.id, target=target.id, transform=transform, name=name or None, original=original)
        )


@dataclass(frozen=True, slots=True)
class _Reference:
    id: str
    path: str
    original: Any

    @classmethod
    def parse(cls, fields: Fields, key: str) -> _Reference:
        found = fields.mapping(key, {})
        id, path = found.get("id"), found.get("path")
        place = path.get("path") if isinstance(path, Mapping) else path
        return cls(id if isinstance(id, str) else "", place if isinstance(place, str) else "", dict(found))
