"""Writing ``datasource-properties.json``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from voxarium.model.axes import SPACE_UNITS, canonical_unit
from voxarium.model.box import Box
from voxarium.model.scene import (
    UNITS,
    Rendering,
    Scene,
    SceneLoss,
    SceneNode,
    SceneSource,
    SceneView,
    Step,
    matrix_of,
)
from voxarium.model.scene_facts import (
    effective_placements,
    effective_rendering,
    part,
    shown_nodes,
    unit_size,
    world_matrices,
)
from voxarium.model.scene_fields import (
    SMALLEST,
    own,
    reversed_matrix,
    short,
    tidy,
)
from voxarium.model.scene_losses import lost, renamed
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Scale
from voxarium.spec.webknossos_scene.reading import parse_datasource
from voxarium.spec.webknossos_scene.words import (
    LISTS,
    NAME,
    SINGLE,
    SIZE,
    VIEW,
    WRITABLE,
    P,
    element_class,
)

__all__ = ["dump_datasource"]

_FINEST: Final = {"n5": "s0", "zarr": "0", "zarr2": "0", "zarr3": "0"}
"""What the array of the finest level is mostly called."""


def dump_datasource(scene: Scene) -> tuple[dict[str, Any], tuple[SceneLoss, ...]]:
    """Return the dataset's properties, and what they do not say as the scene does.

    Images and labels become layers, their meshes and tables attachments. There is one view.
    """
    layer = {n.id: _fit(n) for n in scene.nodes if n.kind in ("image", "labels")}

    def fit(node: SceneNode) -> str:
        if node.parent in layer and _attachment(node):
            return f"{layer[node.parent]}/{node.name or node.id}"
        return layer.get(node.id, node.id)

    plain, names = renamed(scene, fit, P)
    stand_ins: list[SceneLoss] = []
    size, unit = _voxel_size(plain, stand_ins)
    view = plain.views[0] if plain.views else None
    extra = own(plain.bag.extra, P)
    document: dict[str, Any] = {"id": {"name": plain.name, "team": extra.pop("team", "")}}
    document["scale"] = {"factor": list(size[::-1]), "unit": unit}
    layers = [n for n in plain.nodes if n.kind in ("image", "labels") and _source(n) is not None]
    document["dataLayers"] = [_dump_layer(plain, n, view, (size, unit), stand_ins) for n in layers]
    if view is not None:
        config = _dump_view(plain, view, size, unit)
        if config:
            document["defaultViewConfiguration"] = config
    document |= {"version": 1} | extra
    after = parse_datasource(document)
    if view is not None and after.views:
        after = replace(after, views=(replace(after.views[0], name=view.name),))
    if view is not None and view.name != VIEW and after.views:
        stand_ins.append(
            SceneLoss(kind="name", where=f"views/{part(view.name)}", message=f"{P} has one view, without a name")
        )
    return document, (*names, *stand_ins, *lost(plain, after, P))


def _fit(node: SceneNode) -> str:
    return NAME.sub("_", node.id).lstrip(".") or "layer"


def _source(node: SceneNode) -> SceneSource | None:
    return next((s for s in node.sources if s.format in WRITABLE), None)


def _voxel_size(scene: Scene, stand_ins: list[SceneLoss]) -> tuple[tuple[float, ...], str]:
    """Return the dataset's voxel size: that of the first layer which has one in a known unit."""
    for node in scene.nodes:
        units = {canonical_unit(a.unit or "") for a in node.axes}
        size = node.voxel_size
        if size is not None and len(size) == len(node.axes) == 3 and len(units) == 1 and units <= SPACE_UNITS.keys():
            if min(map(abs, size)) < SMALLEST:
                continue
            return tuple(map(abs, size)), units.pop()
    stand_ins.append(
        SceneLoss(
            kind="required",
            where="scale",
            message=f"{P} must say a voxel size, which the scene does not know; 1 nanometer stands in",
        )
    )
    return (1.0, 1.0, 1.0), "nanometer"


def _dump_layer(
    scene: Scene,
    node: SceneNode,
    view: SceneView | None,
    scale: tuple[tuple[float, ...], str],
    stand_ins: list[SceneLoss],
) -> dict[str, Any]:
    size, unit = scale
    source = _source(node) or SceneSource(uri="")
    extra = own(node.extra, P)
    box = node.box if node.box is not None and node.box.ndim == 3 else None
    if box is None:
        box = Box((0, 0, 0), (0, 0, 0))
        stand_ins.append(
            SceneLoss(
                kind="required",
                where=f"nodes/{part(node.id)}/box",
                message=f"{P} must say a bounding box, which the scene does not know; an empty one stands in",
            )
        )
    out: dict[str, Any] = {"name": node.id, "category": "segmentation" if node.kind == "labels" else "color"}
    lengths = dict(zip(SIZE, box.shape[::-1], strict=True))
    out["boundingBox"] = {"topLeft": list(box.origin[::-1])} | lengths
    element = None if node.dtype is None else element_class(node.dtype, node.channels or 1)
    if element is not None:
        out["elementClass"] = element
    elif "elementClass" not in extra:
        message = f"{P} must say the type of voxels, which the scene does not know; it is left out"
        stand_ins.append(SceneLoss(kind="required", where=f"nodes/{part(node.id)}/dtype", message=message))
    out |= {"numChannels": node.channels or 1, "dataFormat": WRITABLE[source.format]}
    mags = extra.pop("mags", None)
    if mags is not None:
        out["mags"] = mags
    elif "wkwResolutions" not in extra:
        path = f"{source.uri.rstrip('/')}/{_FINEST.get(source.format, '1')}"
        out["mags"] = [{"mag": [1, 1, 1], "path": path}]
        stand_ins.append(
            SceneLoss(
                kind="required",
                where=f"nodes/{part(node.id)}/mags",
                message=f"{P} must list levels, which the scene does not know; {path} stands in",
            )
        )
    transforms = _dump_transforms(scene, node, view, size, unit)
    if transforms:
        out["coordinateTransformations"] = transforms
    attachments = _dump_attachments(scene, node)
    if attachments:
        out["attachments"] = attachments
    rendering = node.rendering if view is None else effective_rendering(node, view, node.id)
    hidden = view is not None and node.id not in shown_nodes(scene, view)
    config = _dump_rendering(rendering, hidden or (view is None and rendering.visible is False))
    if config:
        out["defaultViewConfiguration"] = config
    return out | extra


def _dump_transforms(
    scene: Scene, node: SceneNode, view: SceneView | None, size: tuple[float, ...], unit: str
) -> list[dict[str, Any]]:
    """Return the transforms between voxels as the dataset counts them; none when a layer is where it belongs."""
    placement = effective_placements(scene, node, view)[0]
    last = placement.steps[-1].transform if placement.steps else None
    native = placement.source == UNITS and isinstance(last, Scale) and last.scale == size
    if native and all(_dump_step(s) is not None for s in placement.steps[:-1]):
        return [step for s in placement.steps[:-1] if (step := _dump_step(s)) is not None]
    matrix = world_matrices(scene, node, placement).get(UNITS)
    if matrix is None or matrix.shape != (3, 4):
        return []
    units = [unit_size(a.unit) for a in scene.axes]
    world = np.asarray(size) * unit_size(unit) / (np.asarray(units) if len(units) == 3 else 1.0)
    inner = np.vectorize(tidy)(matrix / world[:, None])
    return [] if np.allclose(inner, np.eye(3, 4), rtol=0, atol=1e-12) else [_affine(inner)]


def _dump_step(step: Step) -> dict[str, Any] | None:
    if isinstance(step.transform, ThinPlateSpline):
        points = {"source": step.transform.source, "target": step.transform.target}
        rows = {k: [list(p[::-1]) for p in v] for k, v in points.items()}
        return {"type": "thin_plate_spline", "correspondences": rows} | own(step.extra, P)
    matrix = matrix_of(step.transform, 3)
    return None if matrix is None or matrix.shape != (3, 4) else _affine(matrix) | own(step.extra, P)


def _affine(matrix: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    return {"type": "affine", "matrix": [*reversed_matrix(matrix).tolist(), [0.0, 0.0, 0.0, 1.0]]}


def _attachment(node: SceneNode) -> str:
    """Return the list of attachments that a node goes into; empty when there is none."""
    if not node.sources:
        return ""
    return node.content if node.content in (*LISTS, *SINGLE) else "meshes" if node.kind == "mesh" else ""


def _dump_attachments(scene: Scene, node: SceneNode) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for child in scene.children(node.id):
        key = _attachment(child)
        if not key:
            continue
        item = {"name": child.name or child.id, "path": child.sources[0].uri}
        if child.sources[0].format:
            item["dataFormat"] = child.sources[0].format
        item |= own(child.extra, P)
        if key in SINGLE:
            out[key] = item
        else:
            out.setdefault(key, []).append(item)
    return out


def _dump_rendering(rendering: Rendering, hidden: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if rendering.color is not None:
        out["color"] = [int(rendering.color[i : i + 2], 16) for i in (0, 2, 4)]
    if rendering.opacity is not None:
        out["alpha"] = short(tidy(rendering.opacity * 100))
    if rendering.window is not None:
        out["intensityRange"] = [short(v) for v in rendering.window]
    if rendering.limits is not None:
        out |= {"min": short(rendering.limits[0]), "max": short(rendering.limits[1])}
    if hidden:
        out["isDisabled"] = True
    if rendering.invert:
        out["isInverted"] = True
    return out | own(rendering.extra, P)


def _dump_view(scene: Scene, view: SceneView, size: tuple[float, ...], unit: str) -> dict[str, Any]:
    out: dict[str, Any] = {}
    units = [unit_size(a.unit) / unit_size(unit) for a in scene.axes]
    known = [a.name for a in scene.axes] == ["z", "y", "x"] and all(a.unit for a in scene.axes)
    if known and view.position is not None and len(view.position) == 3:
        steps = zip(view.position, units, size, strict=True)
        out["position"] = [short(tidy(p * u / s)) for p, u, s in steps][::-1]
    if known and view.scale is not None:
        out["zoom"] = tidy(view.scale * units[-1] / min(size))
    return out | own(view.extra, P)
