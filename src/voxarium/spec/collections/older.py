"""What the examples beside the draft and the proposal of 2024 say in their own words."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from voxarium.model.axes import Axis, canonical_unit
from voxarium.model.box import Box
from voxarium.model.fields import Fields, Problems
from voxarium.model.scene import Rendering, SceneNode, SceneView
from voxarium.model.scene_fields import LARGEST, SMALLEST, number, numbers, tidy
from voxarium.spec.collections.words import P

__all__ = ["older_attributes", "older_view"]

_WK: Final = "webknossos"
_VIEW: Final = "default"


def older_attributes(node: SceneNode, fields: Fields, problems: Problems) -> SceneNode:
    """Return the node with what WEBKNOSSOS's attributes and the slide's ``rendering`` say."""
    category = fields.raw(f"{_WK}:category", None)
    if category == "segmentation" and node.kind == "image":
        node = replace(node, kind="labels")
    elif category is not None and category != "color":
        fields.wrong(f"{_WK}:category", "color or segmentation", category)
    owner = fields.text(f"{_WK}:parent", "")
    if owner:
        node = replace(node, parent=owner)
    box = _old_box(fields, problems)
    if box is not None:
        node = replace(node, box=box)
    dtype = fields.text(f"{_WK}:data_type", "")
    if dtype:
        node = replace(node, dtype=dtype)
    for key in (f"{_WK}:rendering", "rendering"):
        if fields.has(key):
            body = Fields(fields.mapping(key), problems, key)
            node = replace(node, rendering=_old_rendering(body, key))
    return node


def _old_rendering(body: Fields, key: str) -> Rendering:
    hidden = body.boolean("is_disabled", False) or body.boolean("disabled", False)
    inverted = body.boolean("is_inverted", False) or body.boolean("inverted", False)
    low, high = number(body, "min"), number(body, "max")
    extra = {f"{P}:{key}": body.rest()} if body.rest() else {}
    return Rendering(
        window=None if low is None or high is None else (low, high),
        invert=inverted or None,
        visible=False if hidden else None,
        extra=extra,
    )


def _old_box(fields: Fields, problems: Problems) -> Box | None:
    key = f"{_WK}:bounding_box"
    if not fields.has(key):
        return None
    body = Fields(fields.mapping(key), problems, key)
    corners = []
    for part in ("topleft", "size"):
        found = body.mapping(part)
        values = [v for n in "zyx" if isinstance(v := found.get(n), int) and not isinstance(v, bool) and abs(v) < 2**62]
        if len(values) != 3 or (part == "size" and min(values) < 0):
            body.wrong(part, "whole numbers x, y and z", dict(found))
            return None
        corners.append(tuple(values))
    return Box(corners[0], corners[1])


def older_view(attributes: Fields, problems: Problems) -> tuple[tuple[Axis, ...], tuple[SceneView, ...]]:
    """Return the world and the view that the rendering of WEBKNOSSOS's examples states, in voxels."""
    key = f"{_WK}:rendering"
    if not attributes.has(key):
        return (), ()
    body = Fields(attributes.mapping(key), problems, key)
    size = Fields(body.mapping("voxel_size"), problems, f"{key}.voxel_size")
    factor, unit = numbers(size, "factor", 3), size.text("unit", "nanometer")
    place, zoom = body.mapping("position", {}), number(body, "zoom")
    spoken = [place.get(n) for n in "zyx"]
    values = [float(v) for v in spoken if isinstance(v, (int, float)) and not isinstance(v, bool) and abs(v) <= LARGEST]
    if factor is None or min(factor) < SMALLEST:
        problems.add(f"{key} does not give a voxel size")
        return (), ()
    step = factor[::-1]
    position = tuple(tidy(v * s) for v, s in zip(values, step, strict=True)) if len(values) == 3 else None
    axes = tuple(Axis(name=n, type="space", unit=canonical_unit(unit)) for n in "zyx")
    scale = None if zoom is None else tidy(zoom * min(step))
    extra = {f"{P}:{key}": body.rest()} if body.rest() else {}
    return axes, (SceneView(name=_VIEW, position=position, scale=scale, extra=extra),)
