"""States as a whole: dimensions, layers, and the one view they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, CoordinateSystem, canonical_unit
from voxarium.model.fields import Fields, Problems, dump_json
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.scene import WORLD, Scene, SceneLoss, SceneNode, SceneView
from voxarium.model.scene_facts import unit_size
from voxarium.model.scene_fields import (
    LARGEST,
    SMALLEST,
    carried,
    guarded,
    number,
    numbers,
    own,
    parse_document,
    refuse,
    texts,
    tidy,
    unique_ids,
)
from voxarium.model.scene_losses import lost, renamed
from voxarium.spec.neuroglancer_state.layers import dump_layers, layer_ids, parse_layer
from voxarium.spec.neuroglancer_state.link import dump_link, parse_link
from voxarium.spec.neuroglancer_state.sources import Dimensions, P, dump_dimensions, parse_dimensions

__all__ = ["Neuroglancer", "dump_state", "parse_state"]

_DEFAULT: Final = "default"
_MOST_LAYERS: Final = 10_000
_SCALES: Final = f"{P}:scales"


def parse_state(document: bytes | str | Mapping[str, Any]) -> Scene:
    """Return the scene of a state, or of a link that carries one.

    Raises
    ------
    FormatError
        If it breaks the format.
    UnsupportedError
        If a link names another document instead of carrying a state.
    """
    if isinstance(document, str) and "#" in document and not document.lstrip().startswith("{"):
        document = parse_link(document)
    problems = Problems("state")
    body = _modern(parse_document(document, "the state"))
    fields = Fields(body, problems)
    try:
        scene = _scene(fields, problems)
        problems.check()
        return scene
    except InputError as error:
        raise guarded(error, "state") from error


def _scene(fields: Fields, problems: Problems) -> Scene:
    world = Dimensions((), ())
    if fields.raw("dimensions", None):
        world = parse_dimensions(fields.raw("dimensions"), "dimensions", problems)
    nodes: list[SceneNode] = []
    systems: list[CoordinateSystem] = []
    if world.axes:
        systems.append(CoordinateSystem(name=WORLD, axes=world.axes, extra={_SCALES: list(world.scales)}))
    found = _named_layers(fields, problems)
    for name, layer in zip(unique_ids(n for n, _ in found), (item for _, item in found), strict=True):
        said = parse_layer(layer, name, f"layers.{name}", problems, world)
        nodes += said.nodes
        systems += said.systems
    problems.check()  # before names are compared: those of a broken layer mean nothing
    title = fields.text("title", "")
    name, _, view_name = title.partition(": ")
    return Scene(
        format=P,
        name=name,
        nodes=_distinct(nodes),
        systems=tuple(systems),
        views=(_parse_view(fields, view_name or _DEFAULT, world),),
        bag=Bag(records=(SourceRecord(format=P),)),
    )


def _named_layers(fields: Fields, problems: Problems) -> list[tuple[str, Any]]:
    """Return layers with their names; states of old have them as an object."""
    found = fields.raw("layers", None)
    if isinstance(found, Mapping):
        found = [{"name": k} | dict(v) if isinstance(v, Mapping) else v for k, v in found.items()]
    if found is None:
        return []
    if not isinstance(found, list) or len(found) > _MOST_LAYERS:
        problems.add(f"layers is not a list of at most {_MOST_LAYERS}")
        return []
    out = []
    for i, item in enumerate(found):
        name = item.get("name") if isinstance(item, Mapping) else None
        out.append((name if isinstance(name, str) and name else f"layer{i}", item))
    return out


def _distinct(nodes: list[SceneNode]) -> tuple[SceneNode, ...]:
    """Return nodes with ids of their own: a layer may be called as a source of another one is counted."""
    ids = unique_ids(n.id for n in nodes)
    return tuple(n if n.id == id else replace(n, id=id) for n, id in zip(nodes, ids, strict=True))


def _modern(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a state of before 2019, with its ``navigation``, in today's words."""
    navigation = body.get("navigation")
    if not isinstance(navigation, Mapping) or "dimensions" in body:
        return body
    out = {k: v for k, v in body.items() if k != "navigation"}
    pose = navigation.get("pose")
    pose = pose if isinstance(pose, Mapping) else {}
    place = pose.get("position")
    place = place if isinstance(place, Mapping) else {}
    size = place.get("voxelSize")
    if (
        not isinstance(size, list)
        or len(size) != 3
        or not all(type(v) in (int, float) and SMALLEST <= v <= LARGEST for v in size)
    ):
        return body
    out["dimensions"] = {n: [tidy(v * 1e-9), "m"] for n, v in zip("xyz", size, strict=True)}
    zoom = navigation.get("zoomFactor")
    found = {
        "position": place.get("voxelCoordinates"),
        "crossSectionOrientation": pose.get("orientation"),
        "crossSectionScale": zoom / min(size) if isinstance(zoom, (int, float)) and abs(zoom) <= LARGEST else None,
        "projectionOrientation": out.pop("perspectiveOrientation", None),
    }
    return out | {k: v for k, v in found.items() if v is not None}


def _parse_view(fields: Fields, name: str, world: Dimensions) -> SceneView:
    extra: dict[str, Any] = {}
    position = scale = projection = None
    if world.axes:
        display = texts(fields, "displayDimensions")
        step = _canonical(world, display)
        found = numbers(fields, "position")
        if found is not None and len(found) == len(world.axes):
            position = tuple(tidy(p * s) for p, s in zip(found[::-1], world.scales, strict=True))
        elif found is not None:
            extra[f"{P}:position"] = list(found)
        scale, projection = number(fields, "crossSectionScale"), number(fields, "projectionScale")
        scale = None if scale is None else tidy(scale * step)
        projection = None if projection is None else tidy(projection * step)
        if display is not None:
            extra[f"{P}:displayDimensions"] = list(display)
    turned = numbers(fields, "crossSectionOrientation", 4)
    projected = numbers(fields, "projectionOrientation", 4)
    layout = fields.raw("layout", None)
    if isinstance(layout, Mapping):
        extra[f"{P}:layout"] = dict(layout)
        layout = layout.get("type")
    return SceneView(
        name=name,
        position=position,
        scale=scale,
        projection_scale=projection,
        orientation=None if turned is None else (turned[0], turned[1], turned[2], turned[3]),
        projection_orientation=None if projected is None else (projected[0], projected[1], projected[2], projected[3]),
        layout=layout if isinstance(layout, str) and layout else None,
        extra=extra | carried(fields, P),
    )


def _canonical(world: Dimensions, display: tuple[str, ...] | None) -> float:
    """Return the size of one canonical voxel: the smallest step of the dimensions that are displayed."""
    names = display if display else tuple(a.name for a in world.axes[::-1][:3])
    steps = [s for a, s in zip(world.axes, world.scales, strict=True) if a.name in names and a.type == "space"]
    return min(steps or world.scales)


# -- writing
def dump_state(scene: Scene, view: str | None = None) -> tuple[dict[str, Any], tuple[SceneLoss, ...]]:
    """Return the state that shows a scene, and what it does not say as the scene does.

    Parameters
    ----------
    view : str or None
        Name of the view to show: a state is one view. None = the first.

    Raises
    ------
    InputError
        If the scene has no such view.
    """
    ids = layer_ids(scene)
    plain, losses = renamed(scene, lambda node: ids[node.id], P)
    chosen = plain.views[0] if plain.views else None
    if view is not None:
        chosen = next((v for v in plain.views if v.name == view), None)
        if chosen is None:
            raise InputError(
                f"the scene has no view {view!r}",
                code=Code.ARGUMENT_INVALID,
                fix=f"choose one of {', '.join(repr(v.name) for v in plain.views[:20]) or 'none: it has no views'}",
            )
    world = _dimensions(plain)
    document: dict[str, Any] = {}
    name = _DEFAULT if chosen is None else chosen.name
    title = plain.name if name == _DEFAULT else f"{plain.name}: {name}"
    if title:
        document["title"] = title
    if world.axes:
        document["dimensions"] = dump_dimensions(world.axes, world.scales)
    if chosen is not None:
        document |= _dump_view(plain, chosen, world)
    document["layers"] = dump_layers(plain, chosen, world)
    return document, (*losses, *lost(plain, parse_state(document), P))


def _dimensions(scene: Scene) -> Dimensions:
    """Return the world in nanometres and seconds; without axes when its units are unknown."""
    axes: list[Axis] = []
    system = next((s for s in scene.systems if s.name == scene.world), None)
    if system is None:
        return Dimensions((), ())
    for axis in system.axes:
        unit = canonical_unit(axis.unit or "")
        if axis.type == "space" and unit not in SPACE_UNITS:
            return Dimensions((), ())
        known = "nanometer" if unit in SPACE_UNITS else "second" if unit in TIME_UNITS else axis.unit
        axes.append(replace(axis, unit=known))
    stated = system.extra.get(_SCALES)
    if isinstance(stated, list) and len(stated) == len(axes):
        return Dimensions(tuple(axes), tuple(stated))
    return Dimensions(tuple(axes), _voxel_size(scene, axes))


def _voxel_size(scene: Scene, axes: list[Axis]) -> tuple[float, ...]:
    """Return steps for dimensions: the voxel size of the first node that has one, else 1."""
    for node in scene.nodes:
        if node.voxel_size is None or not node.axes:
            continue
        known = {a.name: abs(v) * unit_size(a.unit) for a, v in zip(node.axes, node.voxel_size, strict=False)}
        if all(SMALLEST <= v <= LARGEST for v in known.values()):
            return tuple(tidy(known.get(a.name, 1.0)) for a in axes)
    return (1.0,) * len(axes)


def _dump_view(scene: Scene, view: SceneView, world: Dimensions) -> dict[str, Any]:
    extra = own(view.extra, P)
    out: dict[str, Any] = {}
    sizes = [unit_size(a.unit) for a in scene.axes]
    if world.axes:
        if view.position is not None and len(view.position) == len(world.axes):
            steps = zip(view.position, sizes, world.scales, strict=True)
            out["position"] = [tidy(p * u / s) for p, u, s in steps][::-1]
        display = extra.get("displayDimensions")
        step = _canonical(world, tuple(display) if isinstance(display, list) else None)
        space = next((s for a, s in zip(reversed(scene.axes), reversed(sizes), strict=True) if a.type == "space"), 1.0)
        if view.scale is not None:
            out["crossSectionScale"] = tidy(view.scale * space / step)
        if view.projection_scale is not None:
            out["projectionScale"] = tidy(view.projection_scale * space / step)
    if view.orientation is not None:
        out["crossSectionOrientation"] = list(view.orientation)
    if view.projection_orientation is not None:
        out["projectionOrientation"] = list(view.projection_orientation)
    stated = extra.get("layout")
    if view.layout and not (isinstance(stated, Mapping) and stated.get("type") == view.layout):
        extra.pop("layout", None)
        out["layout"] = view.layout
    return out | extra


class Neuroglancer:
    """The dialect of Neuroglancer states and links."""

    name: ClassVar[str] = P
    title: ClassVar[str] = "Neuroglancer state or link"
    files: ClassVar[tuple[str, ...]] = ("state.json",)

    def claims(self, name: str, document: bytes, /) -> bool:
        """Tell whether a document has layers, with dimensions, a navigation or a layout; or is a link with ``#!``."""
        if b"#!" in document[:4096] and document.lstrip()[:1] != b"{":
            return True
        try:
            found = parse_document(document, name)
        except FormatError:
            return False
        layers = found.get("layers")
        if isinstance(layers, list):
            return (
                all(isinstance(v, dict) and ("source" in v or "type" in v) for v in layers)
                and "dataLayers" not in found
            )
        return isinstance(layers, dict) and "navigation" in found

    def more(self, name: str, document: bytes, /) -> tuple[str, ...]:
        """Return nothing: a state is one document."""
        return ()

    def parse(self, documents: Mapping[str, bytes], /) -> Scene:
        """Return the scene; see `parse_state`."""
        if not documents:
            raise refuse("the state", "is not there")
        raw = next(iter(documents.values()))
        return parse_state(raw if raw.lstrip()[:1] == b"{" else raw.decode("utf-8", "replace").strip())

    def dump(self, scene: Scene, /) -> tuple[Mapping[str, bytes], tuple[SceneLoss, ...]]:
        """Return ``state.json``; see `dump_state`."""
        document, losses = dump_state(scene)
        return {"state.json": dump_json(document)}, losses

    def link(self, document: bytes, viewer: str | None = None, /) -> str:
        """Return a link that carries a state; see `dump_link`."""
        state = parse_document(document, "the state")
        return dump_link(state) if viewer is None else dump_link(state, viewer)
