"""Writing MoBIE: datasets, sources, views."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from voxarium.model.fields import Fields, Problems
from voxarium.model.scene import Rendering, Scene, SceneLoss, SceneNode, SceneView
from voxarium.model.scene_facts import effective_rendering, part
from voxarium.model.scene_fields import own, short, tidy, unique_ids
from voxarium.model.scene_losses import renamed, with_ids
from voxarium.spec.mobie.placing import dump_transforms
from voxarium.spec.mobie.views import viewer
from voxarium.spec.mobie.words import BLENDS, DISPLAYS, VERSION, P, dump_data, fit_name, word_of

__all__ = ["fitted", "write_datasets"]

_BLENDS: Final = {v: k for k, v in reversed(BLENDS.items())} | {"default": "alpha"}
_KIND_OF: Final = {v: k for k, v in DISPLAYS.items()}
_SOURCE_KINDS: Final = {"image": "image", "labels": "segmentation", "points": "spots", "table": "regions"}


def fitted(scene: Scene) -> tuple[Scene, tuple[SceneLoss, ...]]:
    """Return the scene with names that MoBIE accepts, and what they were."""
    datasets, written = _collections(scene), _sources(scene)
    owners = {n.id: n for n in scene.nodes if n.kind == "labels" and n.id in written}

    def fit(node: SceneNode) -> str:
        owner = owners.get(node.parent or "")
        if node.kind == "table" and owner is not None:
            return f"{fit(owner)}/table"
        if node.id not in written and node.kind != "collection":
            return node.id  # it is not written at all
        head, _, tail = node.id.partition("/")
        if datasets and head in datasets and tail:
            return f"{fit_name(head)}/{fit_name(tail)}"
        return fit_name(node.id)

    plain, losses = renamed(scene, fit, P)
    names = unique_ids(_fit_view(v.name, datasets) for v in plain.views)
    lost_names = tuple(
        SceneLoss(kind="name", where=f"views/{part(v.name)}", message=f"{P} calls it {new!r}")
        for v, new in zip(plain.views, names, strict=True)
        if v.name != new
    )
    views = tuple(replace(v, name=n) for v, n in zip(plain.views, names, strict=True))
    name = fit_name(scene.name) if scene.name else ""
    if name != scene.name:
        lost_names += (SceneLoss(kind="name", where="name", message=f"{P} calls it {name!r}"),)
    return replace(plain, views=views, name=name), (*losses, *lost_names)


def _fit_view(name: str, datasets: Mapping[str, SceneNode]) -> str:
    head, _, tail = name.partition("/")
    return f"{fit_name(head)}/{fit_name(tail)}" if head in datasets and tail else fit_name(name)


def _collections(scene: Scene) -> dict[str, SceneNode]:
    """Return collections at the top when everything else lies in one of them and is named after it."""
    tops = {n.id: n for n in scene.nodes if n.kind == "collection" and n.parent is None}
    inner = [n for n in scene.nodes if n.id not in tops]
    ids = [n.id for n in inner] + [v.name for v in scene.views]
    return tops if len(tops) > 1 and all(id.partition("/")[0] in tops for id in ids) else {}


def write_datasets(scene: Scene) -> tuple[dict[str, dict[str, Any]], tuple[SceneLoss, ...]]:
    """Return the documents by key, and the values that stand in for what MoBIE demands."""
    stand_ins: dict[str, SceneLoss] = {}
    extra = own(scene.bag.extra, P)
    stated = str(extra.pop("specVersion", VERSION))
    project: dict[str, Any] = {"specVersion": stated if stated.startswith("0.3") else VERSION}
    datasets = _collections(scene)
    parts = {id: _part(scene, id) for id in datasets} or {scene.name or "dataset": scene}
    project |= {"datasets": list(parts), "defaultDataset": extra.pop("defaultDataset", next(iter(parts)))}
    inner = {k: extra.pop(k) for k in ("is2D",) if k in extra}
    own_words = extra.pop("datasetDescription", "")
    if scene.description:
        project["description"] = scene.description
    project |= extra
    documents: dict[str, dict[str, Any]] = {"project.json": project}
    for name, inside in parts.items():
        node = datasets.get(name)
        said = inner if node is None else own(node.extra, P)
        document: dict[str, Any] = {"is2D": False}
        description = own_words if node is None else node.description
        if description:
            document["description"] = description
        document |= said
        document["sources"] = _sources(inside)
        if not document["sources"]:
            message = f"{P} must have a source; none of the scene's can be written"
            stand_ins[""] = SceneLoss(kind="required", where="nodes", message=message)
        document["views"] = _views(inside, stand_ins)
        documents[f"{name}/dataset.json"] = document
    return documents, tuple(stand_ins.values())


def _part(scene: Scene, dataset: str) -> Scene:
    """Return what lies in one dataset, without the dataset's name before every other."""
    start = f"{dataset}/"

    def bare(name: str) -> str:
        return name.removeprefix(start)

    inner = tuple(
        replace(n, parent=None if n.parent == dataset else n.parent) for n in scene.nodes if n.id.startswith(start)
    )
    views = tuple(
        replace(
            v,
            name=bare(v.name),
            moves=tuple(replace(m, results=tuple(tuple(map(bare, c)) for c in m.results)) for m in v.moves),
        )
        for v in scene.views
        if v.name.startswith(start)
    )
    known = {n.id for n in inner} | {s for v in views for s in v.visible or ()}
    known |= {s for v in views for m in v.moves for cell in m.nodes for s in cell}
    return with_ids(replace(scene, nodes=inner, views=views), {id: bare(id) for id in known})


# -- sources
def _sources(scene: Scene) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for node in scene.nodes:
        owned = node.kind == "table" and node.parent is not None
        if node.kind not in _SOURCE_KINDS or owned:
            continue
        body: dict[str, Any] = {}
        data = {}
        for source in node.sources:
            found = dump_data(source)
            if found is not None:
                data[found[0]] = {found[1]: found[2]} | own(source.extra, P)
        table = _table(scene, node)
        if not (data if node.kind in ("image", "labels") else table):
            continue  # a source without data cannot be
        if data:
            body["imageData"] = data
        if table is not None:
            body["tableData"] = table
        out[node.id] = {_SOURCE_KINDS[node.kind]: body | {k: v for k, v in own(node.extra, P).items() if k != "view"}}
    return out


def _table(scene: Scene, node: SceneNode) -> dict[str, Any] | None:
    candidates: Iterable[SceneNode] = scene.children(node.id) if node.kind == "labels" else (node,)
    for child in candidates:
        for source in child.sources if child.kind in ("table", "points") else ():
            if source.format == "tsv":
                return {"tsv": {"relativePath": source.uri} | own(source.extra, P)}
    return None


# -- views
def _views(scene: Scene, stand_ins: dict[str, SceneLoss]) -> dict[str, Any]:
    out = {view.name: _view(scene, view, stand_ins) for view in scene.views}
    shown = {id for view in scene.views for id in view.visible or ()}
    written = _sources(scene)
    for node in scene.nodes:
        about = node.extra.get(f"{P}:view")
        speaks = (
            node.rendering != Rendering(visible=node.rendering.visible)
            or about is not None
            or bool(node.content or node.description)
        )
        speaks = speaks or (bool(node.placements) and node.id not in shown)
        if node.kind in _KIND_OF and speaks and node.id in written and node.id not in out:
            said = dict(about) if isinstance(about, Mapping) else {}
            alone = SceneView(
                name=node.id,
                description=str(said.pop("description", node.description)),
                exclusive=said.pop("isExclusive", False),
                visible=(node.id,),
                renderings={node.id: replace(node.rendering, visible=None)} if about is None else {},
                extra={f"{P}:{k}": v for k, v in said.items()},
            )
            group = fit_name(node.content or node.kind)
            alone = replace(alone, extra={f"{P}:uiSelectionGroup": group, **alone.extra})
            out[node.id] = _view(scene, alone, stand_ins)
    if "default" not in out:
        first = scene.views[0] if scene.views else SceneView(name="default")
        out["default"] = _view(scene, first, stand_ins)
    return out


def _view(scene: Scene, view: SceneView, stand_ins: dict[str, SceneLoss]) -> dict[str, Any]:
    extra = own(view.extra, P)
    special, odd, raw = (extra.pop(k, []) for k in ("displays", "transforms", "viewerTransform"))
    out: dict[str, Any] = {
        "uiSelectionGroup": extra.pop("uiSelectionGroup", "bookmark"),
        "isExclusive": view.exclusive is not False,
    }
    if view.description:
        out["description"] = view.description
    out |= extra
    displays = _inserted(_displays(scene, view, stand_ins), special)
    transforms = _inserted(dump_transforms(scene, view), odd)
    if displays:
        out["sourceDisplays"] = displays
    if transforms:
        out["sourceTransforms"] = transforms
    viewer_transform = _viewer(view, raw if isinstance(raw, Mapping) else {})
    if viewer_transform:
        out["viewerTransform"] = viewer_transform
    return out


def _inserted(items: list[Any], special: Any) -> list[Any]:
    """Put carried items back to their places."""
    for place in special if isinstance(special, list) else ():
        if isinstance(place, list) and len(place) == 2 and isinstance(place[0], int):
            items.insert(max(0, place[0]), place[1])
    return items


def _displays(scene: Scene, view: SceneView, stand_ins: dict[str, SceneLoss]) -> list[Any]:
    nodes = {n.id: n for n in scene.nodes}
    listed = view.visible
    if listed is None:
        listed = tuple(n.id for n in scene.nodes if n.kind in _KIND_OF)
    written = _sources(scene)
    out: list[Any] = []
    for id in listed:
        node = nodes.get(id)
        rendering = effective_rendering(node, view, id)
        if view.visible is not None:  # the view's list outranks what the node says by itself
            rendering = replace(rendering, visible=view.renderings.get(id, Rendering()).visible)
        if node is not None and (node.kind not in _KIND_OF or id not in written):
            continue
        kind = rendering.extra.get(f"{P}:display") or ("imageDisplay" if node is None else _KIND_OF[node.kind])
        body = _display(kind, id, rendering, stand_ins)
        last = out[-1].get(kind) if out else None
        shared = f"{P}:name" in rendering.extra and last is not None and _alike(last, body)
        if shared and last is not None:
            last["sources"].append(id)
            last.setdefault("selectedSegmentIds", []).extend(body.get("selectedSegmentIds", []))
            if not last["selectedSegmentIds"]:
                del last["selectedSegmentIds"]
        else:
            out.append({kind: body})
    return out


def _alike(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    apart = ("sources", "selectedSegmentIds")
    return {k: v for k, v in a.items() if k not in apart} == {k: v for k, v in b.items() if k not in apart}


def _display(kind: str, id: str, rendering: Rendering, stand_ins: dict[str, SceneLoss]) -> dict[str, Any]:
    extra = own(rendering.extra, P)
    extra.pop("display", None)
    others = extra.pop("selectedSegmentIds", [])
    out: dict[str, Any] = {"name": extra.pop("name", id), "sources": [id]}
    opacity = rendering.opacity
    out["opacity"] = (1.0 if kind == "imageDisplay" else 0.5) if opacity is None else opacity
    if kind == "imageDisplay":
        window = rendering.window or rendering.limits
        if window is None and "contrastLimits" not in extra:
            window = (0.0, 255.0)
            stand_ins[id] = SceneLoss(
                kind="required",
                where=f"nodes/{part(id)}/rendering/window",
                message=f"{P} must say contrast limits, which the scene does not know; 0 to 255 stand in",
            )
        if window is not None:
            out["contrastLimits"] = [short(v) for v in window]
        named = rendering.lut if rendering.color is None else None
        out["color"] = extra.pop("color", None) or named or word_of(rendering.color or "FFFFFF")
        if rendering.invert:
            out["invert"] = True
    else:
        out["lut"] = rendering.lut or "glasbey"
        chosen = [f"{id};0;{label}" for label in rendering.selected] + list(others)
        if chosen:
            out["selectedSegmentIds"] = chosen
    if rendering.blend:
        out["blendingMode"] = _BLENDS.get(rendering.blend, rendering.blend)
    if rendering.visible is False:
        out["visible"] = False
    return out | extra


# -- the viewer
def _viewer(view: SceneView, raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return the viewer's transform: as it was, if it still says where the view is; else the position alone."""
    out: dict[str, Any] = dict(raw)
    said = viewer(Fields(raw, Problems("viewerTransform")))
    if (said.get("position"), said.get("orientation")) != (view.position, view.orientation):
        out = {}
        if view.position is not None and len(view.position) == 3:
            out["position"] = [tidy(v) for v in view.position[::-1]]
    if view.time is not None:
        out["timepoint"] = view.time
    return out
