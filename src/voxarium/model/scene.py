"""Scenes: several images, labels, meshes and tables, where they are, and how they are shown.

The smallest model that the scene dialects of the field map to: OpenOrganelle manifests, MoBIE projects, Neuroglancer
states, BigDataViewer XML, WEBKNOSSOS datasets, OME-Zarr collections. A scene names data, it does not open them.

Coordinates are in C order (z, y, x). What a dialect says beyond the model is carried in `extra`, under keys with the
dialect's prefix (``mobie:uiSelectionGroup``), and goes back where it came from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.box import Box
from voxarium.model.image import Bag, LabelColor, TransformEdge
from voxarium.model.transforms import Identity, Transform

__all__ = [
    "STORED",
    "UNITS",
    "VOXELS",
    "WORLD",
    "Move",
    "NodeKind",
    "Placement",
    "Rendering",
    "Scene",
    "SceneLoss",
    "SceneNode",
    "SceneSource",
    "SceneView",
    "Step",
    "matrix_of",
]

NodeKind = Literal["image", "labels", "mesh", "skeleton", "points", "table", "collection", "other"]

WORLD: Final = "world"
"""Default name of the coordinate system that everything is placed in."""
VOXELS: Final = "voxels"
"""Frame of a node: indices of voxel centres of its finest level, counted from 0."""
UNITS: Final = "units"
"""Frame of a node: corner-based voxel coordinates as viewers count them; the first voxel of an array without offset
reaches from 0 to 1."""
STORED: Final = "stored"
"""Frame of a node: the physical coordinates which its own metadata give."""

Extra = Mapping[str, Any]  # JSON as found, under prefixed keys


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLoss:
    """Something that a document does not say as the scene did.

    Parameters
    ----------
    kind : str
        scene, node, source, system, transform, rendering, view, metadata: what is lost; name: something is called
        otherwise; required: the dialect demands a value that the scene does not have, and a stand-in was written.
    where : str
        Path in the scene, such as ``nodes/em/rendering/window``.
    message : str
        What happened to it.
    """

    kind: str
    where: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSource:
    """Where the data of a node are; several sources of one node hold the same data.

    `format` is ``n5``, ``zarr``, ``ome-zarr``, ``precomputed``, ``wkw`` … or the dialect's own word; empty if unstated.
    """

    uri: str
    format: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One of the transforms that place a node."""

    transform: Transform
    name: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The way from a frame of a node (`VOXELS`, `UNITS`, `STORED`) to a coordinate system of the scene.

    Steps are applied first to last. `timepoint` None means at all times.
    """

    source: str = STORED
    target: str = WORLD
    steps: tuple[Step, ...] = ()
    timepoint: int | None = None

    @property
    def transform(self) -> Transform:
        """All steps as one transform."""
        out: Transform = Identity()
        for step in self.steps:
            out = out.then(step.transform)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendering:
    """How a node is shown; None means that nothing is said.

    Parameters
    ----------
    window, limits : tuple of two floats or None
        Shown range, and the range a control offers.
    color : str or None
        Six hexadecimal digits.
    lut : str or None
        Name of a table of colours, such as ``glasbey``.
    invert, visible : bool or None
        Dark for large values; shown at all.
    opacity : float or None
        From 0 to 1.
    blend : str or None
        How it lies over others, in the dialect's word.
    shader : str or None
        Text of a Neuroglancer shader.
    label_colors, selected : tuple
        Colours of labels, and the labels that are shown.
    """

    window: tuple[float, float] | None = None
    limits: tuple[float, float] | None = None
    color: str | None = None
    lut: str | None = None
    invert: bool | None = None
    visible: bool | None = None
    opacity: float | None = None
    blend: str | None = None
    shader: str | None = None
    label_colors: tuple[LabelColor, ...] = ()
    selected: tuple[int, ...] = ()
    extra: Extra = field(default_factory=dict)

    def over(self, below: Self) -> Self:
        """Return this rendering, completed by what another one says beyond it."""
        gaps = {
            f.name: getattr(below, f.name)
            for f in fields(self)
            if f.name != "extra" and getattr(self, f.name) in (None, ())
        }
        return replace(self, **gaps, extra={**below.extra, **self.extra})


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A rearrangement of nodes that holds in one view only.

    Parameters
    ----------
    kind : str
        affine (`transform` is applied in the world), crop (to `low` … `high`, in the frame that `transform` places),
        grid (every cell of `nodes` at its position), merged-grid (the same, as one new image), or timepoints.
    nodes : tuple of tuple of str
        Cells of node ids; a single cell unless it is a grid.
    low, high : tuple of float or None
        Corners of the crop in world units.
    positions : tuple of tuple of int
        Row and column of each cell; empty for a square grid.
    results : tuple of tuple of str
        What the nodes are called after the move; empty when they keep their names.
    timepoints : tuple of int
        When it holds; empty for always.
    """

    kind: Literal["affine", "crop", "grid", "merged-grid", "timepoints"]
    nodes: tuple[tuple[str, ...], ...]
    transform: Transform | None = None
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    positions: tuple[tuple[int, ...], ...] = ()
    results: tuple[tuple[str, ...], ...] = ()
    timepoints: tuple[int, ...] = ()
    name: str = ""
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneView:
    """One way to look at a scene.

    Parameters
    ----------
    position : tuple of float or None
        Centre, in the world, in C order.
    scale, projection_scale : float or None
        World length per screen pixel of cross sections; and of the whole three-dimensional view's height.
    orientation, projection_orientation : tuple of four floats or None
        Quaternions (x, y, z, w).
    time : int or None
        Timepoint shown.
    layout : str or None
        Arrangement of panels, in the dialect's word.
    visible : tuple of str or None
        Ids of nodes that are shown; None = those whose rendering does not hide them.
    exclusive : bool or None
        False when the view adds to what is shown.
    renderings : mapping
        By node id: what is shown otherwise than the node's own rendering says.
    moves : tuple of Move
        In the order in which they are applied.
    """

    name: str
    description: str = ""
    position: tuple[float, ...] | None = None
    scale: float | None = None
    orientation: tuple[float, float, float, float] | None = None
    projection_scale: float | None = None
    projection_orientation: tuple[float, float, float, float] | None = None
    time: int | None = None
    layout: str | None = None
    visible: tuple[str, ...] | None = None
    exclusive: bool | None = None
    renderings: Mapping[str, Rendering] = field(default_factory=dict)
    moves: tuple[Move, ...] = ()
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneNode:
    """One thing in a scene.

    Parameters
    ----------
    id : str
        Unique in the scene.
    name : str
        For people; empty when it is the id.
    content : str
        What it shows, in the dialect's word: em, lm, prediction, segmentation, analysis …
    parent : str or None
        Collection it lies in, or node it belongs to (the labels of a mesh).
    axes : tuple of Axis
        Of the data, in C order; empty when unstated.
    voxel_size : tuple of float or None
        Of the finest level, in the units of `axes`.
    box : Box or None
        Region that holds data, in `UNITS` coordinates.
    dtype : str or None
        Type of a voxel.
    channels : int or None
        Number of channels.
    label_of : tuple of str
        Nodes whose contents the labels name.
    placements : tuple of Placement
        Empty: the node is where its own metadata say. More than one: it moves with time.
    """

    id: str
    kind: NodeKind
    name: str = ""
    description: str = ""
    content: str = ""
    parent: str | None = None
    sources: tuple[SceneSource, ...] = ()
    axes: tuple[Axis, ...] = ()
    voxel_size: tuple[float, ...] | None = None
    box: Box | None = None
    dtype: str | None = None
    channels: int | None = None
    label_of: tuple[str, ...] = ()
    placements: tuple[Placement, ...] = ()
    rendering: Rendering = field(default_factory=Rendering)
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Nodes, the coordinate systems they are placed in, and views of them.

    Parameters
    ----------
    format : str
        Dialect it was read from.
    nodes : tuple of SceneNode
        In drawing order; ids are unique, parents exist and lead to no circle.
    systems : tuple of CoordinateSystem
        `world` names the one that views are in.
    edges : tuple of TransformEdge
        Transforms between systems, beyond the nodes' own placements.
    timepoints : tuple of (int, int)
        First and last of each run of timepoints; empty when there is no time.
    bag : Bag
        Source record with notes about reading, and what the document said about the scene beyond the model.
    """

    format: str = ""
    name: str = ""
    description: str = ""
    nodes: tuple[SceneNode, ...] = ()
    systems: tuple[CoordinateSystem, ...] = ()
    world: str = WORLD
    edges: tuple[TransformEdge, ...] = ()
    views: tuple[SceneView, ...] = ()
    timepoints: tuple[tuple[int, int], ...] = ()
    bag: Bag = field(default_factory=Bag)

    def __post_init__(self) -> None:
        known = {n.id: n for n in self.nodes}
        _unique(len(known), [n.id for n in self.nodes], "node")
        _unique(len({v.name for v in self.views}), [v.name for v in self.views], "view")
        _unique(len({s.name for s in self.systems}), [s.name for s in self.systems], "coordinate system")
        for node in self.nodes:
            if node.parent is not None and node.parent not in known:
                _refuse(f"node {node.id!r} belongs to {node.parent!r}, which is not there", "name a node of the scene")
        _without_circles({n.id: n.parent for n in self.nodes})

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes of the world; empty when they are unknown."""
        return next((s.axes for s in self.systems if s.name == self.world), ())

    def node(self, id: str) -> SceneNode | None:
        """Return the node of this id."""
        return next((n for n in self.nodes if n.id == id), None)

    def children(self, id: str | None) -> tuple[SceneNode, ...]:
        """Return the nodes below a node, or those at the top."""
        return tuple(n for n in self.nodes if n.parent == id)


def _refuse(message: str, fix: str) -> None:
    raise InputError(message, code=Code.ARGUMENT_INVALID, fix=fix)


def _unique(distinct: int, names: list[str], what: str) -> None:
    if distinct != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})[:3] if len(names) < 1000 else []
        _refuse(f"a {what} name comes twice in a scene: {', '.join(map(repr, twice))}", f"give every {what} its own")


def _without_circles(parents: Mapping[str, str | None]) -> None:
    safe: set[str] = set()
    for start in parents:
        trail: set[str] = set()
        at: str | None = start
        while at is not None and at not in safe:
            if at in trail:
                _refuse(f"node {at!r} belongs to itself", "let parents lead to the top")
            trail.add(at)
            at = parents.get(at)
        safe |= trail


def matrix_of(transform: Transform, ndim: int) -> NDArray[np.float64] | None:
    """Return the matrix of a transform of `ndim` axes; None when it is not affine or takes other points."""
    try:
        with np.errstate(all="ignore"):
            found = transform.matrix(ndim)
    except (InputError, UnsupportedError):
        return None
    return found if np.isfinite(found).all() else None
