"""Words of collections, and our own for what they have none for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, TypeGuard, cast, get_args

from voxarium.model.axes import Axis, canonical_unit, guess_axis_type
from voxarium.model.box import Box
from voxarium.model.fields import Fields, Problems
from voxarium.model.image import LabelColor
from voxarium.model.scene import Move, NodeKind, Placement, Rendering, SceneSource, SceneView, Step
from voxarium.model.scene_fields import listed, number, numbers, pair, texts
from voxarium.model.transform_json import dump_transform_json, parse_transform_json

__all__ = [
    "KINDS",
    "OURS",
    "P",
    "dump_axes",
    "dump_placement",
    "dump_rendering",
    "dump_view",
    "fit_id",
    "kind_of",
    "parse_axes",
    "parse_box",
    "parse_placement",
    "parse_rendering",
    "parse_view",
    "path_type",
    "source_format",
    "source_json",
]

P: Final = "collections"
OURS: Final = "voxarium"
KINDS: Final = frozenset(get_args(NodeKind))
_BAD: Final = re.compile(r"[^a-zA-Z0-9\-_.]+")
_HINTS: Final[tuple[tuple[str, NodeKind], ...]] = (
    ("mesh", "mesh"),
    ("skeleton", "skeleton"),
    ("table", "table"),
    ("agglomerat", "table"),
    ("index", "table"),
    ("connectome", "table"),
    ("point", "points"),
    ("annotation", "points"),
    ("spot", "points"),
)


def fit_id(id: str) -> str:
    """Return an id in the letters that ids may have."""
    return _BAD.sub("_", id) or "_"


def kind_of(type: str) -> NodeKind:
    """Return what a node of a prefixed type is.

    Examples
    --------
    >>> kind_of("webknossos:mesh"), kind_of("voxarium:points"), kind_of("lab:notes")
    ('mesh', 'points', 'other')
    """
    prefix, _, word = type.rpartition(":")
    if prefix == OURS and word in KINDS:
        return cast("NodeKind", word)
    return next((kind for hint, kind in _HINTS if hint in word.lower()), "other")


_PATHS: Final = {"zarr": "ome-zarr", "json": "json"}


def source_format(type: str) -> str:
    """Return the format of data behind a path of a type."""
    return _PATHS.get(type, type.removeprefix(f"{OURS}:"))


def path_type(format: str) -> str:
    """Return the type of a path to data of a format: ``zarr`` and ``json`` are the draft's own."""
    own = next((t for t, f in _PATHS.items() if f == format), None)
    return own or (format if ":" in format else f"{OURS}:{format or 'data'}")


# -- axes
def parse_axes(found: object, where: str, problems: Problems) -> tuple[Axis, ...]:
    """Return axes as coordinate systems list them."""
    if not isinstance(found, list) or len(found) > 32:
        problems.add(f"{where} is not a list of axes")
        return ()
    out = []
    for i, item in enumerate(found):
        fields = Fields({"name": item} if isinstance(item, str) else item, problems, f"{where}[{i}]")
        name = fields.text("name") or "_"
        type, unit = fields.text("type", guess_axis_type(name)), fields.text("unit", "")
        labels = texts(fields, f"{OURS}:labels") or ()
        turn = fields.raw("orientation", None)
        known = isinstance(turn, Mapping) and turn.keys() == {"type", "value"} and isinstance(turn["value"], str)
        extra = fields.rest() | ({} if known or turn is None else {"orientation": turn})
        orientation = str(turn["value"]) if known and isinstance(turn, Mapping) and turn["value"] else None
        out.append(
            Axis(
                name=name,
                type=type or "other",
                unit=canonical_unit(unit) if unit else None,
                orientation=orientation,
                labels=labels,
                extra={k: v for k, v in extra.items() if isinstance(k, str)},
            )
        )
    return tuple(out)


def dump_axes(axes: tuple[Axis, ...]) -> list[dict[str, Any]]:
    """Return axes as coordinate systems list them."""
    out = []
    for axis in axes:
        item: dict[str, Any] = {"name": axis.name, "type": axis.type}
        if axis.unit:
            item["unit"] = axis.unit
        if axis.orientation:
            item["orientation"] = {"type": "anatomical", "value": axis.orientation}
        if axis.labels:
            item[f"{OURS}:labels"] = list(axis.labels)
        out.append(item | {k: v for k, v in axis.extra.items() if k not in item})
    return out


def parse_box(fields: Fields, problems: Problems) -> Box | None:
    """Return the region of a node, in C order."""
    found = fields.raw(f"{OURS}:box", None)
    if found is None:
        return None
    origin, shape = (found.get(k) for k in ("origin", "shape")) if isinstance(found, Mapping) else (None, None)
    if _whole(origin, -(2**62)) and _whole(shape, 0) and len(origin) == len(shape):
        return Box(tuple(origin), tuple(shape))
    problems.add(f"{OURS}:box is not an origin and a shape")
    return None


def _whole(found: object, low: int) -> TypeGuard[list[int]]:
    return isinstance(found, list) and len(found) <= 32 and all(type(v) is int and low <= v <= 2**62 for v in found)


# -- rendering
_WORDS: Final = ("color", "lut", "blend", "shader")


def parse_rendering(found: object, where: str, problems: Problems) -> Rendering:
    """Return a rendering from our own JSON."""
    fields = Fields(found, problems, where)
    colors = []
    for row in listed(fields, "labelColors"):
        if isinstance(row, list) and len(row) == 5 and all(type(v) is int for v in row) and 0 <= row[0] < 2**64:
            colors.append(LabelColor(label=row[0], rgba=(row[1], row[2], row[3], row[4])))
        else:
            problems.add(f"{where}.labelColors has {row!r:.60}")
    selected = [v for v in listed(fields, "selected") if type(v) is int and 0 <= v < 2**64]
    words: dict[str, Any] = {k: fields.text(k, "") or None for k in _WORDS}
    flags: dict[str, Any] = {k: fields.boolean(k, False) if fields.has(k) else None for k in ("invert", "visible")}
    return Rendering(
        window=pair(fields, "window"),
        limits=pair(fields, "limits"),
        opacity=number(fields, "opacity"),
        label_colors=tuple(colors),
        selected=tuple(selected),
        **words,
        **flags,
        extra=fields.rest(),
    )


def dump_rendering(rendering: Rendering, *, label_colors: bool = True) -> dict[str, Any]:
    """Return our own JSON of a rendering."""
    out: dict[str, Any] = {}
    for key in ("window", "limits"):
        if getattr(rendering, key) is not None:
            out[key] = list(getattr(rendering, key))
    for key in (*_WORDS, "opacity", "invert", "visible"):
        if getattr(rendering, key) is not None:
            out[key] = getattr(rendering, key)
    if rendering.label_colors and label_colors:
        out["labelColors"] = [[c.label, *c.rgba] for c in rendering.label_colors]
    if rendering.selected:
        out["selected"] = list(rendering.selected)
    return out | dict(rendering.extra)


# -- placements
def parse_placement(found: object, where: str, problems: Problems) -> Placement:
    """Return a placement from our own JSON."""
    fields = Fields(found, problems, where)
    steps = []
    for i, item in enumerate(listed(fields, "steps", 10_000)):
        body = Fields(item, problems, f"{where}.steps[{i}]")
        transform = parse_transform_json(body.raw("transform"), f"{where}.steps[{i}]")
        steps.append(Step(transform=transform, name=body.text("name", ""), extra=body.rest()))
    time = number(fields, "timepoint")
    return Placement(
        source=fields.text("source", "stored"),
        target=fields.text("target", "world"),
        steps=tuple(steps),
        timepoint=int(time) if time is not None and time.is_integer() else None,
    )


def dump_placement(placement: Placement) -> dict[str, Any] | None:
    """Return our own JSON of a placement; None when there are no words for a transform."""
    steps = []
    for step in placement.steps:
        transform = dump_transform_json(step.transform)
        if transform is None:
            return None
        steps.append({"transform": transform} | ({"name": step.name} if step.name else {}) | dict(step.extra))
    out: dict[str, Any] = {"source": placement.source, "target": placement.target, "steps": steps}
    return out if placement.timepoint is None else out | {"timepoint": placement.timepoint}


# -- views
def parse_view(found: object, where: str, problems: Problems) -> SceneView:
    """Return a view from our own JSON."""
    fields = Fields(found, problems, where)
    turns = {k: numbers(fields, key, 4) for k, key in _TURNS.items()}
    renderings = {
        id: parse_rendering(item, f"{where}.renderings.{id}", problems)
        for id, item in fields.mapping("renderings", {}).items()
    }
    time = number(fields, "time")
    exclusive = fields.boolean("exclusive", True)
    return SceneView(
        name=fields.text("name") or "_",
        description=fields.text("description", ""),
        position=numbers(fields, "position"),
        scale=number(fields, "scale"),
        projection_scale=number(fields, "projectionScale"),
        time=int(time) if time is not None and time.is_integer() else None,
        layout=fields.text("layout", "") or None,
        visible=texts(fields, "visible"),
        exclusive=None if exclusive else False,
        renderings=renderings,
        moves=tuple(_parse_move(m, f"{where}.moves[{i}]", problems) for i, m in enumerate(listed(fields, "moves"))),
        **{k: None if v is None else (v[0], v[1], v[2], v[3]) for k, v in turns.items()},
        extra=fields.rest(),
    )


_TURNS: Final = {"orientation": "orientation", "projection_orientation": "projectionOrientation"}
_MOVES: Final = ("affine", "crop", "grid", "merged-grid", "timepoints")


def _parse_move(found: object, where: str, problems: Problems) -> Move:
    fields = Fields(found, problems, where)
    kind = fields.choice("kind", _MOVES)
    transform = fields.raw("transform", None)

    def cells(key: str) -> tuple[tuple[str, ...], ...]:
        rows = listed(fields, key)
        if all(isinstance(r, list) and all(isinstance(v, str) for v in r) for r in rows):
            return tuple(map(tuple, rows))
        fields.wrong(key, "a list of lists of ids", rows)
        return ()

    places = [p for p in listed(fields, "positions") if isinstance(p, list) and all(type(v) is int for v in p)]
    return Move(
        kind=next((k for k in ("crop", "grid", "merged-grid", "timepoints") if k == kind), "affine"),
        nodes=cells("nodes"),
        results=cells("results"),
        transform=None if transform is None else parse_transform_json(transform, where),
        low=numbers(fields, "low"),
        high=numbers(fields, "high"),
        positions=tuple(map(tuple, places)),
        timepoints=tuple(int(t) for t in numbers(fields, "timepoints") or ()),
        name=fields.text("name", ""),
        extra=fields.rest(),
    )


def dump_view(view: SceneView) -> dict[str, Any]:
    """Return our own JSON of a view."""
    out: dict[str, Any] = {"name": view.name}
    said = {
        "description": view.description or None,
        "position": None if view.position is None else list(view.position),
        "scale": view.scale,
        "orientation": None if view.orientation is None else list(view.orientation),
        "projectionScale": view.projection_scale,
        "projectionOrientation": None if view.projection_orientation is None else list(view.projection_orientation),
        "time": view.time,
        "layout": view.layout,
        "visible": None if view.visible is None else list(view.visible),
        "exclusive": view.exclusive,
        "renderings": {id: dump_rendering(r) for id, r in view.renderings.items()} or None,
        "moves": [_dump_move(m) for m in view.moves] or None,
    }
    return out | {k: v for k, v in said.items() if v is not None} | dict(view.extra)


def _dump_move(move: Move) -> dict[str, Any]:
    said = {
        "transform": None if move.transform is None else dump_transform_json(move.transform),
        "low": None if move.low is None else list(move.low),
        "high": None if move.high is None else list(move.high),
        "positions": [list(p) for p in move.positions] or None,
        "results": [list(c) for c in move.results] or None,
        "timepoints": list(move.timepoints) or None,
        "name": move.name or None,
    }
    out: dict[str, Any] = {"kind": move.kind, "nodes": [list(c) for c in move.nodes]}
    return out | {k: v for k, v in said.items() if v is not None} | dict(move.extra)


def source_json(source: SceneSource) -> dict[str, Any]:
    """Return a path object for a source."""
    return {"type": path_type(source.format), "path": source.uri} | dict(source.extra)
