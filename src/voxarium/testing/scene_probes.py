"""What scene dialects hold, found out by trying: a small scene per thing, written and read back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.box import Box
from voxarium.model.image import LabelColor, TransformEdge
from voxarium.model.scene import (
    STORED,
    UNITS,
    VOXELS,
    Move,
    NodeKind,
    Placement,
    Rendering,
    Scene,
    SceneNode,
    SceneSource,
    SceneView,
    Step,
)
from voxarium.model.scene_dialect import SceneDialect
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Affine, Identity, Scale, Translation

__all__ = ["Probe", "holds", "probes"]

_SOURCES: Final = (
    ("ome-zarr", "https://example.org/em.zarr"),
    ("n5", "https://example.org/em.n5/em"),
    ("zarr3", "https://example.org/em.zarr"),
    ("wkw", "https://example.org/em"),
    ("bdv-n5", "em.n5"),
)
_ATTACHED: Final = {"mesh": "neuroglancer_multilod_draco", "skeleton": "precomputed", "points": "precomputed"}
_AXES: Final = tuple(Axis(name=n, type="space", unit="nanometer") for n in "zyx")
_WORLD: Final = CoordinateSystem(name="world", axes=_AXES)
_TURN: Final = Affine(((0.0, 2.0, 0.0, 5.0), (-3.0, 0.0, 0.0, 6.0), (0.0, 0.0, 4.0, 7.0)))
_SPLINE: Final = ThinPlateSpline(
    ((0.0, 0.0, 0.0), (0.0, 0.0, 9.0), (0.0, 9.0, 0.0), (9.0, 0.0, 0.0), (9.0, 9.0, 9.0)),
    ((0.0, 0.0, 0.0), (0.0, 0.0, 9.0), (0.0, 9.0, 0.0), (9.0, 0.0, 0.0), (8.0, 9.0, 9.0)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Scenes that say the same thing about different data, and where in them it is said."""

    group: str
    label: str
    where: tuple[str, ...]
    scenes: tuple[Scene, ...]


def holds(dialect: SceneDialect, probe: Probe) -> bool:
    """Tell whether a dialect keeps what a probe says, for some kind of data."""
    return any(_kept(dialect, scene, probe.where) for scene in probe.scenes)


def _kept(dialect: SceneDialect, scene: Scene, where: tuple[str, ...]) -> bool:
    _, losses = dialect.dump(scene)
    gone = {loss.where for loss in losses if loss.kind != "name"}  # under another name it is still there
    paths = [place.split("/") for place in where]
    return not any("/".join(parts[:i]) in gone for parts in paths for i in range(1, len(parts) + 1))


def probes() -> Iterator[Probe]:
    """Yield one probe per thing that a scene can say."""
    yield from _kinds()
    yield from _nodes()
    yield from _placements()
    yield from _renderings()
    yield from _views()
    yield Probe(
        group="everything else",
        label="keys the model does not know, of any dialect",
        where=("nodes/em/metadata/lab:note",),
        scenes=_scenes(extra={"lab:note": "stained"}),
    )


def _scenes(view: SceneView | None = None, kind: NodeKind = "image", **node: Any) -> tuple[Scene, ...]:
    """Return a scene of one node for every kind of data."""
    out = []
    for format, uri in _SOURCES:
        one = SceneNode(id="em", kind=kind, sources=(SceneSource(uri=uri, format=format),))
        one = replace(one, axes=_AXES, voxel_size=(4.0, 2.0, 2.0))
        views = () if view is None else (view,)
        out.append(Scene(name="s", nodes=(replace(one, **node),), systems=(_WORLD,), views=views))
    return tuple(out)


def _kinds() -> Iterator[Probe]:
    yield Probe(group="nodes", label="image", where=("nodes/em",), scenes=_scenes())
    yield Probe(group="nodes", label="labels", where=("nodes/em",), scenes=_scenes(kind="labels"))
    further: tuple[NodeKind, ...] = ("mesh", "skeleton", "points", "table")
    for kind in further:
        scenes: list[Scene] = []
        for scene in _scenes(kind="labels"):
            for format, uri in ((_ATTACHED.get(kind, "tsv"), f"https://example.org/{kind}"), ("tsv", "tables/x")):
                attached = kind != "points"
                node = SceneNode(
                    id=f"em/{kind}" if attached else kind,
                    kind=kind,
                    name=kind,
                    parent="em" if attached else None,
                    sources=(SceneSource(uri=uri, format=format),),
                )
                scenes.append(replace(scene, nodes=(*scene.nodes, node)))
        where = f"nodes/em~1{kind}" if kind != "points" else f"nodes/{kind}"
        yield Probe(group="nodes", label=kind, where=(where,), scenes=tuple(scenes))
    tops = (SceneNode(id="a", kind="collection"), SceneNode(id="b", kind="collection"))
    nested = tuple(replace(s, nodes=(*tops, replace(n, id="a/em", parent="a"))) for s in _scenes() for n in s.nodes)
    yield Probe(group="nodes", label="collection", where=("nodes/a",), scenes=nested)


def _nodes() -> Iterator[Probe]:
    said: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("name beside the id", "name", {"name": "EM of a cell"}),
        ("description", "description", {"description": "stained"}),
        ("what it shows (em, prediction …)", "content", {"content": "em"}),
        ("region that holds data", "box", {"box": Box((0, 0, 0), (5, 6, 7))}),
        ("type of a voxel", "dtype", {"dtype": "uint16"}),
        ("number of channels", "channels", {"channels": 2}),
        ("image that labels belong to", "label_of", {"kind": "labels", "label_of": ("raw",)}),
        ("several addresses of the same data", "sources/1", {}),
    )
    for label, key, node in said:
        scenes = _scenes(**node)
        if key == "sources/1":
            second = SceneSource(uri="images/em.xml", format="bdv.n5")
            scenes = tuple(
                replace(s, nodes=(replace(n, sources=(*n.sources, second)),)) for s in scenes for n in s.nodes
            )
        yield Probe(group="about a node", label=label, where=(f"nodes/em/{key}",), scenes=scenes)
    steps = (Step(transform=Scale((4.0, 2.0, 2.0))),)
    units = _scenes(view=SceneView(name="default"), placements=(Placement(source=VOXELS, steps=steps),))
    yield Probe(group="coordinates", label="unit of the world", where=("systems/world/axes/x/unit",), scenes=units)
    more = CoordinateSystem(name="atlas", axes=_AXES)
    edge = TransformEdge(source="world", target="atlas", transform=Scale((2.0, 2.0, 2.0)))
    joined = tuple(replace(s, systems=(_WORLD, more), edges=(edge,)) for s in _scenes())
    yield Probe(group="coordinates", label="several coordinate systems", where=("systems/atlas",), scenes=joined)
    yield Probe(group="coordinates", label="transforms between them", where=("edges/world → atlas",), scenes=joined)


def _placements() -> Iterator[Probe]:
    simple = (Step(transform=Scale((4.0, 2.0, 2.0))), Step(transform=Translation((8.0, 9.0, 10.0))))
    frames = (VOXELS, UNITS, STORED)

    def placed(steps: tuple[Step, ...], **more: Any) -> tuple[Scene, ...]:
        return tuple(s for f in frames for s in _scenes(placements=(Placement(source=f, steps=steps, **more),)))

    def placement(label: str, scenes: tuple[Scene, ...], key: str = "placement") -> Probe:
        return Probe(group="coordinates", label=label, where=(f"nodes/em/{key}",), scenes=scenes)

    yield placement("scale and translation of a node", placed(simple))
    yield placement("affine transform of a node", placed((Step(transform=_TURN),)))
    bent = tuple(
        s
        for s in _scenes(
            placements=(
                Placement(source=UNITS, steps=(Step(transform=_SPLINE), Step(transform=Scale((4.0, 2.0, 2.0))))),
            )
        )
    )
    yield placement("thin plate spline of a node", bent)
    yield placement("names of transforms", placed((Step(transform=_TURN, name="t"),)), "placement/steps/0/name")
    times = tuple(
        replace(s, timepoints=((0, 1),))
        for f in frames
        for s in _scenes(
            placements=tuple(Placement(source=f, timepoint=t, steps=(Step(transform=_TURN),) * (t + 1)) for t in (0, 1))
        )
    )
    yield placement("another place at every timepoint", times, "placement@1")


def _renderings() -> Iterator[Probe]:
    image: tuple[tuple[str, str, Any], ...] = (
        ("window", "window", (10.0, 200.0)),
        ("limits of the window", "limits", (0.0, 255.0)),
        ("colour", "color", "FF0000"),
        ("inversion", "invert", True),
        ("opacity", "opacity", 0.25),
        ("blending", "blend", "additive"),
        ("shader", "shader", "void main() {}"),
    )
    labels: tuple[tuple[str, str, Any], ...] = (
        ("table of colours", "lut", "viridis"),
        ("colours of labels", "label_colors", (LabelColor(label=3, rgba=(1, 2, 3, 255)),)),
        ("selected labels", "selected", (3, 4)),
    )
    window = (10.0, 200.0)
    kinds: tuple[tuple[NodeKind, Any], ...] = (("image", image), ("labels", labels))
    for kind, rows in kinds:
        for label, key, value in rows:
            rendering = Rendering(
                **({"window": window, "limits": (0.0, 255.0)} if kind == "image" else {}) | {key: value}
            )
            scenes = _scenes(kind=kind, rendering=rendering)
            yield Probe(group="rendering", label=label, where=(f"nodes/em/rendering/{key}",), scenes=scenes)


def _views() -> Iterator[Probe]:
    plain = SceneView(name="default", visible=("em",))
    turn = (0.5, 0.5, 0.5, 0.5)
    said: tuple[tuple[str, str, dict[str, Any]], ...] = (
        ("a view", "", {}),
        ("description", "description", {"description": "the nucleus"}),
        ("position", "position", {"position": (30.0, 20.0, 10.0)}),
        ("scale", "scale", {"scale": 8.0}),
        ("orientation", "orientation", {"orientation": turn}),
        ("position and scale in three dimensions", "projection_scale", {"projection_scale": 4000.0}),
        ("orientation in three dimensions", "projection_orientation", {"projection_orientation": turn}),
        ("arrangement of panels", "layout", {"layout": "4panel"}),
        ("timepoint", "time", {"time": 3}),
        ("views that add to what is shown", "exclusive", {"exclusive": False}),
    )
    for label, key, view in said:
        where = "views/default" + (f"/{key}" if key else "")
        yield Probe(group="views", label=label, where=(where,), scenes=_scenes(view=replace(plain, **view)))
    hidden = tuple(
        replace(s, nodes=(*s.nodes, replace(s.nodes[0], id="raw")))
        for s in _scenes(view=replace(plain, visible=("em",)))
    )
    yield Probe(group="views", label="which nodes are shown", where=("views/default/visible",), scenes=hidden)
    second = replace(plain, name="detail", renderings={"em": Rendering(window=(1.0, 2.0))})
    several = tuple(
        replace(s, views=(replace(plain, renderings={"em": Rendering(window=(5.0, 6.0))}), second)) for s in _scenes()
    )
    yield Probe(group="views", label="several views", where=("views/detail",), scenes=several)
    yield Probe(
        group="views",
        label="rendering of its own in each view",
        where=("views/detail", "nodes/em/rendering/window"),
        scenes=several,
    )
    cell = (("em",),)
    moves: tuple[tuple[str, str, Move], ...] = (
        ("crops", "moves/0", Move(kind="crop", nodes=cell, low=(0.0, 0.0, 0.0), high=(9.0, 9.0, 9.0))),
        ("grids", "moves/0", Move(kind="grid", nodes=(("em",), ("em",)), positions=((0, 0), (0, 1)))),
    )
    for label, key, move in moves:
        scenes = _scenes(view=replace(plain, moves=(move,)))
        yield Probe(group="views", label=label, where=(f"views/default/{key}",), scenes=scenes)
    unmoved = Identity()
    apart = tuple(
        replace(
            s,
            views=tuple(
                replace(plain, name=n, moves=(Move(kind="affine", nodes=cell, transform=t),))
                for n, t in (("default", _TURN), ("detail", unmoved))
            ),
        )
        for s in _scenes()
    )
    yield Probe(
        group="views", label="another place in each view", where=("views/detail", "nodes/em/placement"), scenes=apart
    )
