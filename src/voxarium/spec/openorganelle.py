"""OpenOrganelle manifests: the JSON that describes a dataset of the OpenOrganelle site, with its images and views.

https://github.com/janelia-cellmap/fibsem-metadata (``manifest.schema.json``)

Sources are placed by scale and translation from voxel centres to nanometres; positions of views are (x, y, z).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

import numpy as np

from voxarium.errors import FormatError, InputError
from voxarium.model.axes import Axis, CoordinateSystem, canonical_unit, guess_axis_type
from voxarium.model.colors import WEB_COLORS, color_name
from voxarium.model.fields import Fields, Problems, dump_json
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.scene import (
    STORED,
    VOXELS,
    WORLD,
    NodeKind,
    Placement,
    Rendering,
    Scene,
    SceneLoss,
    SceneNode,
    SceneSource,
    SceneView,
    Step,
)
from voxarium.model.scene_facts import effective_placements, effective_rendering, part, shown_nodes, world_matrices
from voxarium.model.scene_fields import (
    SMALLEST,
    carried,
    color,
    guarded,
    listed,
    number,
    numbers,
    own,
    parse_document,
    refuse,
    short,
    texts,
    tidy,
    unique_ids,
)
from voxarium.model.scene_losses import lost, renamed
from voxarium.model.transforms import Scale, Translation

__all__ = ["OpenOrganelle", "dump_manifest", "parse_manifest"]

_P: Final = "openorganelle"
_FORMATS: Final = {"n5": "n5", "zarr": "ome-zarr", "precomputed": "precomputed"}
_MESHES: Final = ("neuroglancer_legacy_mesh", "neuroglancer_multilod_draco")
_CONTENTS: Final = ("em", "lm", "prediction", "segmentation", "analysis")
_UNITS: Final = {"nanometer": "nm", "micrometer": "um", "millimeter": "mm", "meter": "m", "angstrom": "angstrom"}
_WRITABLE: Final = {v: k for k, v in _FORMATS.items()} | {"zarr": "zarr", "zarr2": "zarr", "zarr3": "zarr"}


def parse_manifest(document: bytes | str | Mapping[str, Any]) -> Scene:
    """Return the scene of a manifest.

    Raises
    ------
    FormatError
        If it breaks the format.
    """
    problems = Problems("manifest")
    fields = Fields(parse_document(document, "the manifest"), problems)
    name = fields.text("name", "")
    nodes: list[SceneNode] = []
    systems: dict[_Key, str] = {}
    try:
        for key, found in fields.mapping("sources").items():
            nodes += _parse_source(str(key), Fields(found, problems, f"sources.{key}"), problems, systems)
        problems.check()
        ids = {n.id for n in nodes}
        parsed = [_parse_view(v, f"views[{i}]", problems) for i, v in enumerate(listed(fields, "views"))]
        problems.check()
        names = unique_ids(v.name for v in parsed)
        notes = tuple(
            f"view {v.name!r} names {s!r}, which is no source" for v in parsed for s in v.visible or () if s not in ids
        )
        return Scene(
            format=_P,
            name=name,
            nodes=tuple(nodes),
            systems=tuple(CoordinateSystem(name=n, axes=_axes(key)) for key, n in systems.items()),
            views=tuple(v if v.name == n else replace(v, name=n) for v, n in zip(parsed, names, strict=True)),
            bag=Bag(records=(SourceRecord(format=_P, notes=notes[:100]),), extra=carried(fields, _P)),
        )
    except InputError as error:
        raise guarded(error, "manifest") from error


_Key = tuple[tuple[str, str | None], ...]  # name and unit of each axis


def _axes(key: _Key) -> tuple[Axis, ...]:
    return tuple(Axis(name=name, type=guess_axis_type(name), unit=unit) for name, unit in key)


def _parse_transform(
    fields: Fields, problems: Problems, systems: dict[_Key, str], frame: str
) -> tuple[tuple[Axis, ...], tuple[float, ...] | None, tuple[Placement, ...]]:
    """Return axes, voxel size and placement of an object with axes, units, scale and translate."""
    if not fields.has("transform"):
        return (), None, ()
    body = Fields(fields.mapping("transform"), problems, "transform")
    names, units = texts(body, "axes") or (), texts(body, "units") or ()
    scale, shift = numbers(body, "scale", len(names)), numbers(body, "translate", len(names))
    if (
        not 0 < len(names) <= 32
        or len(units) != len(names)
        or not scale
        or shift is None
        or min(map(abs, scale)) < SMALLEST
    ):
        problems.add("a transform does not give name, unit, scale and translation of every axis")
        return (), None, ()
    key = tuple((n, canonical_unit(u) if u else None) for n, u in zip(names, units, strict=True))
    target = systems.setdefault(key, WORLD if not systems else f"{WORLD}-{len(systems) + 1}")
    steps = (Step(transform=Scale(scale)), Step(transform=Translation(shift), extra=carried(body, _P)))
    return _axes(key), tuple(map(abs, scale)), (Placement(source=frame, target=target, steps=steps),)


def _parse_source(key: str, fields: Fields, problems: Problems, systems: dict[_Key, str]) -> list[SceneNode]:
    axes, size, placements = _parse_transform(fields, problems, systems, VOXELS)
    kind: NodeKind = "labels" if fields.choice("sampleType", ("scalar", "label"), "scalar") == "label" else "image"
    format = fields.text("format", "")
    children = [
        _parse_mesh(key, Fields(found, problems, f"{key}.subsources[{i}]"), problems, systems)
        for i, found in enumerate(listed(fields, "subsources"))
    ]
    name = fields.text("name", key)
    node = SceneNode(
        id=key,
        kind=kind,
        name="" if name == key else name,
        description=fields.text("description", ""),
        content=fields.text("contentType", ""),
        sources=(SceneSource(uri=fields.text("url", ""), format=_FORMATS.get(format, format)),),
        axes=axes,
        voxel_size=size,
        placements=placements,
        rendering=_parse_display(
            Fields(fields.mapping("displaySettings", {}), problems, f"{key}.displaySettings"), problems
        ),
        extra=carried(fields, _P),
    )
    ids = unique_ids([key, *(c.id for c in children)])[1:]
    return [node, *(replace(c, id=id) for c, id in zip(children, ids, strict=True))]


def _parse_mesh(parent: str, fields: Fields, problems: Problems, systems: dict[_Key, str]) -> SceneNode:
    axes, _, placements = _parse_transform(fields, problems, systems, STORED)
    name, description = fields.text("name", ""), fields.text("description", "")
    source = SceneSource(uri=fields.text("url", ""), format=fields.text("format", ""))
    extra = carried(fields, _P)
    if extra.get(f"{_P}:ids") == []:
        del extra[f"{_P}:ids"]
    return SceneNode(
        id=f"{parent}/{name}",
        kind="mesh",
        name=name,
        description=description,
        parent=parent,
        sources=(source,),
        axes=axes,
        placements=placements,
        extra=extra,
    )


def _parse_display(fields: Fields, problems: Problems) -> Rendering:
    limits = Fields(fields.mapping("contrastLimits", {}), problems, "contrastLimits")
    start, end, low, high = (number(limits, k) for k in ("start", "end", "min", "max"))
    word = fields.raw("color", None)
    digits = color(word) or (WEB_COLORS.get(word) if isinstance(word, str) else None)
    invert = fields.boolean("invertLUT", False)
    extra = carried(fields, _P)
    if word is not None and digits is None:
        extra[f"{_P}:color"] = word
    return Rendering(
        window=None if start is None or end is None else (start, end),
        limits=None if low is None or high is None else (low, high),
        color=digits,
        invert=invert or None,
        extra=extra,
    )


def _parse_view(found: object, where: str, problems: Problems) -> SceneView:
    fields = Fields(found, problems, where)
    position = numbers(fields, "position")
    orientation = numbers(fields, "orientation", 4)
    return SceneView(
        name=fields.text("name", "") or where,
        description=fields.text("description", ""),
        position=None if position is None else position[::-1],
        scale=number(fields, "scale"),
        orientation=None if orientation is None else (orientation[0], orientation[1], orientation[2], orientation[3]),
        visible=texts(fields, "sources") or (),
        extra=carried(fields, _P),
    )


# -- writing
def dump_manifest(scene: Scene) -> tuple[dict[str, Any], tuple[SceneLoss, ...]]:
    """Return the manifest of a scene, and what it does not say as the scene does.

    Images and labels become sources, their meshes subsources; anything else is reported.
    """
    known = {n.id: n for n in scene.nodes}

    def fit(node: SceneNode) -> str:
        owner = known.get(node.parent or "")
        attached = node.kind == "mesh" and owner is not None and owner.kind in ("image", "labels")
        return f"{node.parent}/{node.name or node.id}" if attached else node.id

    scene, names = renamed(scene, fit, _P)
    stand_ins: list[SceneLoss] = []
    sources = {
        node.id: _dump_source(scene, node, stand_ins)
        for node in scene.nodes
        if node.kind in ("image", "labels") and _format(node) is not None
    }
    document: dict[str, Any] = {"name": scene.name}
    document |= {"metadata": {}} | own(scene.bag.extra, _P)
    document["sources"] = sources
    unwritten = {n.id for n in scene.nodes} - sources.keys()
    document["views"] = [_dump_view(scene, view, unwritten) for view in scene.views]
    return document, (*names, *stand_ins, *lost(scene, parse_manifest(document), _P))


def _format(node: SceneNode) -> str | None:
    """Return the word of the format for a node's data; None when there is none."""
    for source in node.sources:
        if source.format in _WRITABLE:
            return _WRITABLE[source.format]
    return None


def _dump_source(scene: Scene, node: SceneNode, stand_ins: list[SceneLoss]) -> dict[str, Any]:
    view = next((v for v in scene.views if node.id in shown_nodes(scene, v)), None)
    rendering = effective_rendering(node, view, node.id) if view is not None else node.rendering
    source = next(s for s in node.sources if s.format in _WRITABLE)
    kind = "label" if node.kind == "labels" else "scalar"
    content = node.content
    if content not in _CONTENTS:
        content = "segmentation" if kind == "label" else "em"
        stand_ins.append(
            SceneLoss(
                kind="required",
                where=f"nodes/{part(node.id)}/content",
                message=f"{_P} must say what it shows; {content} stands in",
            )
        )
    out: dict[str, Any] = {
        "name": node.name or node.id,
        "description": node.description,
        "url": source.uri,
        "format": _WRITABLE[source.format],
    }
    transform = _dump_transform(scene, node, VOXELS)
    if transform is None:
        stand_ins.append(
            SceneLoss(
                kind="required",
                where=f"nodes/{part(node.id)}/transform",
                message=f"{_P} must say scale and translation of voxels, which the scene does not know: it is left out",
            )
        )
    else:
        out["transform"] = transform
    out |= {"sampleType": kind, "contentType": content, "displaySettings": _dump_display(rendering)}
    out["subsources"] = [
        _dump_mesh(scene, child)
        for child in scene.children(node.id)
        if child.kind == "mesh" and child.sources and child.sources[0].format in _MESHES
    ]
    return out | own(node.extra, _P)


def _dump_transform(scene: Scene, node: SceneNode, frame: str) -> dict[str, Any] | None:
    view = next((v for v in scene.views if node.id in shown_nodes(scene, v)), None)
    places = effective_placements(scene, node, view)
    axes = next((s.axes for s in scene.systems if s.name == places[0].target), ())
    matrix = world_matrices(scene, node, places[0]).get(frame)
    if matrix is None or len(axes) != len(matrix) or matrix.shape != (len(axes), len(axes) + 1) or len(places) > 1:
        return None
    scale = np.diagonal(matrix)
    if np.count_nonzero(matrix[:, :-1]) != len(axes) or not np.all(scale):
        return None
    out: dict[str, Any] = {
        "axes": [a.name for a in axes],
        "units": [_UNITS.get(canonical_unit(a.unit or ""), a.unit or "") for a in axes],
        "translate": [tidy(v) for v in matrix[:, -1]],
        "scale": [tidy(v) for v in scale],
    }
    for step in places[0].steps:
        out |= own(step.extra, _P)
    return out


def _dump_mesh(scene: Scene, node: SceneNode) -> dict[str, Any]:
    out: dict[str, Any] = {
        "name": node.name or node.id,
        "description": node.description,
        "url": node.sources[0].uri,
        "format": node.sources[0].format,
    }
    transform = _dump_transform(scene, node, STORED)
    if transform is not None:
        out["transform"] = transform
    return out | {"ids": []} | own(node.extra, _P)


def _dump_display(rendering: Rendering) -> dict[str, Any]:
    window = rendering.window or rendering.limits
    limits = rendering.limits or rendering.window
    out: dict[str, Any] = {}
    if window is not None and limits is not None:
        values = zip(("start", "end", "min", "max"), (*window, *limits), strict=True)
        out["contrastLimits"] = {k: short(v) for k, v in values}
    out["color"] = None if rendering.color is None else color_name(rendering.color)
    out["invertLUT"] = rendering.invert is True
    return out | own(rendering.extra, _P)


def _dump_view(scene: Scene, view: SceneView, unwritten: set[str]) -> dict[str, Any]:
    position = None if view.position is None else [tidy(p) for p in view.position[::-1]]
    return {
        "name": view.name,
        "description": view.description,
        "sources": [id for id in shown_nodes(scene, view) if id not in unwritten],
        "position": position,
        "scale": view.scale,
        "orientation": None if view.orientation is None else list(view.orientation),
    } | own(view.extra, _P)


class OpenOrganelle:
    """The dialect of OpenOrganelle manifests."""

    name: ClassVar[str] = _P
    title: ClassVar[str] = "OpenOrganelle manifest"
    files: ClassVar[tuple[str, ...]] = ("manifest.json",)

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document has sources with sample types, or is called a manifest and has sources."""
        try:
            found = parse_document(document, name)
        except FormatError:
            return False
        sources = found.get("sources")
        if not isinstance(sources, dict) or "views" not in found or not isinstance(found["views"], list):
            return False
        return all(isinstance(s, dict) and "url" in s for s in sources.values())

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return nothing: a manifest is one document."""
        return ()

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; see `parse_manifest`."""
        if not documents:
            raise refuse("the manifest", "is not there")
        return parse_manifest(next(iter(documents.values())))

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return ``manifest.json``; see `dump_manifest`."""
        document, losses = dump_manifest(scene)
        return {"manifest.json": dump_json(document)}, losses
