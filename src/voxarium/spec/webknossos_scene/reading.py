"""Reading ``datasource-properties.json``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from voxarium.errors import InputError
from voxarium.model.axes import Axis, CoordinateSystem, canonical_unit
from voxarium.model.box import Box
from voxarium.model.fields import Fields, Problems
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.scene import (
    UNITS,
    WORLD,
    Placement,
    Rendering,
    Scene,
    SceneNode,
    SceneSource,
    SceneView,
    Step,
)
from voxarium.model.scene_fields import (
    LARGEST,
    SMALLEST,
    affine_from_xyz,
    carried,
    guarded,
    listed,
    number,
    numbers,
    pair,
    parse_document,
    tidy,
    unique_ids,
)
from voxarium.model.thin_plate import ThinPlateSpline
from voxarium.model.transforms import Scale, Transform
from voxarium.spec.webknossos_scene.words import (
    ELEMENT,
    FORMATS,
    LISTS,
    SINGLE,
    SIZE,
    VIEW,
    P,
)

__all__ = ["parse_datasource"]


def parse_datasource(document: bytes | str | Mapping[str, Any]) -> Scene:
    """Return the scene of a dataset.

    Raises
    ------
    FormatError
        If it breaks the format.
    """
    problems = Problems("datasource-properties.json")
    fields = Fields(parse_document(document, "datasource-properties.json"), problems)
    id = Fields(fields.mapping("id", {}), problems, "id")
    size, unit = _parse_scale(fields, problems)
    axes = tuple(Axis(name=n, type="space", unit=unit) for n in "zyx")
    nodes: list[SceneNode] = []
    layers = listed(fields, "dataLayers")
    try:
        for i, found in enumerate(layers):
            nodes += _parse_layer(Fields(found, problems, f"dataLayers[{i}]"), problems, axes, size)
        views = _parse_view(fields, problems, size)
        problems.check()
        names = unique_ids(n.id for n in nodes)
        extra = carried(fields, P)
        if extra.get(f"{P}:version") == 1:
            del extra[f"{P}:version"]
        if id.raw("team", "") != "":
            extra[f"{P}:team"] = id.raw("team")
        return Scene(
            format=P,
            name=id.text("name", ""),
            nodes=tuple(replace(n, id=name) for n, name in zip(nodes, names, strict=True)),
            systems=(CoordinateSystem(name=WORLD, axes=axes),),
            views=views,
            bag=Bag(records=(SourceRecord(format=P),), extra=extra),
        )
    except InputError as error:
        raise guarded(error, "datasource-properties.json") from error


def _parse_scale(fields: Fields, problems: Problems) -> tuple[tuple[float, ...], str]:
    """Return voxel size, in C order, and unit; datasets of old have a list of nanometres."""
    found = fields.raw("scale", None)
    if isinstance(found, list):
        size, unit = numbers(fields, "scale", 3), "nanometer"
    else:
        body = Fields(fields.mapping("scale"), problems, "scale")
        size, unit = numbers(body, "factor", 3), canonical_unit(body.text("unit", "nanometer"))
    if size is None or min(size) < SMALLEST:
        problems.add("scale does not give three positive lengths of a voxel")
        return (1.0, 1.0, 1.0), unit
    return size[::-1], unit


def _parse_layer(
    fields: Fields, problems: Problems, axes: tuple[Axis, ...], size: tuple[float, ...]
) -> list[SceneNode]:
    name = fields.text("name")
    labels = fields.choice("category", ("color", "segmentation")) == "segmentation"
    format = fields.text("dataFormat", "")
    channels = fields.integer("numChannels", 1, 2**16, 1)
    element = fields.text("elementClass", "")
    dtype = _dtype(element, channels)
    steps = [*_parse_transforms(fields, problems), Step(transform=Scale(size))]
    view = fields.mapping("defaultViewConfiguration", {}) if fields.raw("defaultViewConfiguration", None) else {}
    children = _parse_attachments(name, fields, problems) if fields.raw("attachments", None) else []
    mags = fields.raw("mags", None)
    box = _parse_box(fields, problems)
    rendering = _parse_rendering(Fields(view, problems, f"{name}.defaultViewConfiguration"))
    extra = carried(fields, P) | ({f"{P}:mags": mags} if mags is not None else {})
    if dtype is None and element:
        extra[f"{P}:elementClass"] = element
    node = SceneNode(
        id=name,
        kind="labels" if labels else "image",
        sources=(SceneSource(uri=_folder(name, mags), format=FORMATS.get(format, format)),),
        axes=axes,
        voxel_size=size,
        box=box,
        dtype=dtype,
        channels=channels,
        placements=(Placement(source=UNITS, steps=tuple(steps)),),
        rendering=rendering,
        extra=extra,
    )
    return [node, *children]


def _folder(name: str, mags: object) -> str:
    """Return the folder that holds the arrays of a layer: the one its magnifications share, or that of its name."""
    paths = [m.get("path") for m in mags if isinstance(m, Mapping)] if isinstance(mags, list) else []
    folders = {p.rpartition("/")[0] for p in paths if isinstance(p, str)}
    return folders.pop() if len(folders) == 1 and "" not in folders else f"./{name}"


def _dtype(element: str, channels: int) -> str | None:
    """Return the type of one channel: bits are those of all channels together.

    Examples
    --------
    >>> _dtype("uint24", 3), _dtype("double", 1)
    ('uint8', 'float64')
    """
    word = {"float": "float32", "double": "float64"}.get(element, element)
    match = ELEMENT.match(word)
    if match is None:
        return None
    bits = int(match[2])
    if word == element and bits % channels == 0 and bits // channels in (8, 16, 32, 64):
        return f"{match[1]}{bits // channels}"
    return word if channels == 1 and bits in (8, 16, 32, 64) else None


def _parse_box(fields: Fields, problems: Problems) -> Box | None:
    if not fields.has("boundingBox"):
        return None
    body = Fields(fields.mapping("boundingBox"), problems, "boundingBox")
    corner = body.raw("topLeft", None)
    ok = isinstance(corner, list) and len(corner) == 3 and all(type(v) is int and abs(v) < 2**62 for v in corner)
    lengths = [body.integer(key, 0) for key in SIZE]
    if not ok or not isinstance(corner, list):
        body.wrong("topLeft", "three integers", corner)
        return None
    return Box(tuple(corner[::-1]), tuple(lengths[::-1]))


def _parse_transforms(fields: Fields, problems: Problems) -> list[Step]:
    steps = []
    for i, found in enumerate(listed(fields, "coordinateTransformations", 1000)):
        body = Fields(found, problems, f"coordinateTransformations[{i}]")
        kind = body.choice("type", ("affine", "thin_plate_spline"))
        transform = _parse_affine(body) if kind == "affine" else _parse_spline(body, problems)
        if transform is not None:
            steps.append(Step(transform=transform, extra=carried(body, P)))
    return steps


def _parse_affine(body: Fields) -> Transform | None:
    rows = body.raw("matrix")
    ok = isinstance(rows, list) and len(rows) == 4 and all(isinstance(r, list) and len(r) == 4 for r in rows)
    values = [v for r in rows for v in r] if ok and isinstance(rows, list) else []
    if not ok or not all(type(v) in (int, float) and abs(v) <= LARGEST for v in values) or values[12:] != [0, 0, 0, 1]:
        body.wrong("matrix", "four rows of four numbers, the last 0, 0, 0, 1")
        return None
    return affine_from_xyz(values[:12])


def _parse_spline(body: Fields, problems: Problems) -> Transform | None:
    pairs = Fields(body.mapping("correspondences"), problems, "correspondences")
    points = {}
    for key in ("source", "target"):
        rows = listed(pairs, key)
        plain = [r for r in rows if isinstance(r, list) and len(r) == 3 and all(type(v) in (int, float) for v in r)]
        if len(plain) != len(rows) or not plain or not all(abs(v) <= LARGEST for r in plain for v in r):
            pairs.wrong(key, "a list of points")
            return None
        points[key] = tuple(tuple(float(v) for v in r[::-1]) for r in plain)
    return ThinPlateSpline(points["source"], points["target"])


def _parse_attachments(layer: str, fields: Fields, problems: Problems) -> list[SceneNode]:
    body = Fields(fields.mapping("attachments"), problems, "attachments")
    out = []
    for key, kind in (*LISTS.items(), *((k, "table") for k in SINGLE)):
        found = body.raw(key, None)
        single = key in SINGLE
        items = [found] if single and found is not None else listed(body, key) if found is not None else []
        for i, item in enumerate(items):
            said = Fields(item, problems, f"attachments.{key}[{i}]")
            name = said.text("name", key)
            source = SceneSource(uri=said.text("path", ""), format=said.text("dataFormat", ""))
            out.append(
                SceneNode(
                    id=f"{layer}/{name}",
                    kind="mesh" if kind == "mesh" else "table",
                    name=name,
                    content=key,
                    parent=layer,
                    sources=(source,),
                    extra=carried(said, P),
                )
            )
    for key in body.rest():
        problems.add(f"attachments has {key!r}, which is not known")
    return out


def _parse_rendering(fields: Fields) -> Rendering:
    rgb = numbers(fields, "color", 3)
    alpha = number(fields, "alpha")
    low, high = number(fields, "min"), number(fields, "max")
    bytes_ = rgb is not None and all(v.is_integer() and 0 <= v <= 255 for v in rgb)
    hidden, inverted = fields.boolean("isDisabled", False), fields.boolean("isInverted", False)
    found = Rendering(
        window=pair(fields, "intensityRange"),
        limits=None if low is None or high is None else (low, high),
        color="".join(f"{int(v):02X}" for v in rgb) if rgb is not None and bytes_ else None,
        opacity=None if alpha is None else tidy(alpha / 100),
        invert=inverted or None,
        visible=False if hidden else None,
    )
    extra = carried(fields, P)
    if rgb is not None and not bytes_:
        extra[f"{P}:color"] = list(rgb)
    for key, value in (("min", low), ("max", high)):
        if found.limits is None and value is not None:
            extra[f"{P}:{key}"] = value
    return replace(found, extra=extra)


def _parse_view(fields: Fields, problems: Problems, size: tuple[float, ...]) -> tuple[SceneView, ...]:
    if not fields.raw("defaultViewConfiguration", None):
        return ()
    body = Fields(fields.mapping("defaultViewConfiguration"), problems, "defaultViewConfiguration")
    found = body.raw("position", None)
    if isinstance(found, Mapping):
        body = Fields(
            dict(fields.mapping("defaultViewConfiguration")) | {"position": [found.get(n) for n in "xyz"]}, problems
        )
    position, zoom = numbers(body, "position", 3), number(body, "zoom")
    return (
        SceneView(
            name=VIEW,
            position=None
            if position is None
            else tuple(tidy(p * s) for p, s in zip(position[::-1], size, strict=True)),
            scale=None if zoom is None else tidy(zoom * min(size)),
            extra=carried(body, P),
        ),
    )
