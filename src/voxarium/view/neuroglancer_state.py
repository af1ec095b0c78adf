"""What Neuroglancer shows of images: layers, contrast, dimensions, and where to look; addresses come from outside."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.core.image import Image
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, CoordinateSystem, unit_factor
from voxarium.model.scene import WORLD, Rendering, Scene, SceneNode, SceneSource, SceneView
from voxarium.model.scene_fields import short, tidy, unique_ids
from voxarium.spec.neuroglancer_state import dump_state
from voxarium.view.contrast import windows_of
from voxarium.view.shading import channel_colors

__all__ = ["SHOWN_TYPES", "Layer", "moved", "neuroglancer_state", "shown_role"]

SHOWN_TYPES: Final = frozenset({
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "float32",
})  # fmt: skip
"""Types of voxels that the viewer knows."""

_MOST_CHANNELS: Final = 8  # with controls of their own
_WHOLE: Final = (1 << 53) - 1  # numbers of browsers are whole up to here
_PIXELS: Final = 500  # of a panel, about
_CHANNEL: Final = '#uicontrol invlerp contrast{i}(channel={i})\n#uicontrol vec3 color{i} color(default="#{color}")\n'
_DEFAULTS: Final = ("ffffff", "00ff00", "ff00ff", "00ffff", "ffff00", "ff0000", "0000ff", "ff8000")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """An image, and where the viewer finds it.

    Parameters
    ----------
    name : str
        Shown on its tab.
    image : Image
        For contrast, colours and coordinates.
    url : str
        Where it is served.
    format : str
        As what: precomputed, zarr2 or zarr3.
    axes : tuple of Axis
        Names and types under which it is served.
    voxel_offset : tuple of int or None
        Of a precomputed volume as it is served, in C order: it counts whole voxels from the corner of the first.
    """

    name: str
    image: Image
    url: str
    format: str
    axes: tuple[Axis, ...]
    voxel_offset: tuple[int, ...] | None = None


def shown_role(image: Image) -> str:
    """Return ``labels`` for labels that can be shown as segments, else ``image``."""
    return "labels" if image.role == "label" and image.dtype.kind in "iub" else "image"


def neuroglancer_state(layers: Sequence[Layer], *, title: str = "") -> dict[str, Any]:
    """Return the state that shows images over each other, all channels, at the middle of the first.

    Parameters
    ----------
    layers : sequence of Layer
        In the order in which they are drawn.
    title : str
        Of the page.

    Raises
    ------
    InputError
        If there is nothing to show.
    """
    if not layers:
        raise InputError("there is no image to show", code=Code.ARGUMENT_INVALID, fix="give the address of an image")
    names = unique_ids(layer.name or layer.image.name for layer in layers)
    nodes = [_node(layer, name) for layer, name in zip(layers, names, strict=True)]
    axes, sizes, position = _world(layers)
    system = CoordinateSystem(name=WORLD, axes=axes, extra={"neuroglancer:scales": sizes})
    view = SceneView(
        name="default",
        position=position,
        layout="4panel",
        extra=_scales(layers[0], axes, sizes),
    )
    scene = Scene(name=title or names[0], nodes=tuple(nodes), systems=(system,), views=(view,))
    state, _ = dump_state(scene)
    if nodes:
        state["selectedLayer"] = {"layer": names[0], "visible": False}
    return state


def moved(state: dict[str, Any], position: Sequence[float]) -> dict[str, Any]:
    """Return a state that looks at a position along z, y, x in nanometres, where it has these axes."""
    at = dict(zip("zyx", position, strict=True))
    dimensions, found = state.get("dimensions") or {}, state.get("position")
    if not isinstance(found, list) or not set(at) <= set(dimensions) or len(found) != len(dimensions):
        return state
    sizes = [(name, size) for name, (size, _) in dimensions.items()]
    new = [tidy(at[n] * 1e-9 / s) if n in at and s else v for (n, s), v in zip(sizes, found, strict=True)]
    return state | {"position": new}


def _node(layer: Layer, name: str) -> SceneNode:
    image = layer.image
    kind = shown_role(image)
    source = SceneSource(uri=layer.url, format=layer.format, extra=_transform(layer))
    if kind == "labels":
        colors = image.info.display.label_colors[:1000]
        return SceneNode(id=name, kind="labels", sources=(source,), rendering=Rendering(label_colors=tuple(colors)))
    return SceneNode(id=name, kind="image", sources=(source,), rendering=_rendering(layer))


# ------------------------------------------------------------------------------------------------------------ contrast
def _rendering(layer: Layer) -> Rendering:
    image = layer.image
    channel = next((i for i, axis in enumerate(layer.axes) if axis.type == "channel"), None)
    count = 1 if channel is None else image.shape[channel]
    # As Zarr, channels are a dimension to move along; as precomputed, a shader sees them all.
    mixed = count > 1 and layer.format == "precomputed"
    shown = min(count, _MOST_CHANNELS) if mixed else 1
    try:
        windows = windows_of(image, channels=shown)
    except (InputError, UnsupportedError):
        windows = [(0.0, 1.0)] * shown
    windows = [_fitted(w, image.dtype) for w in windows]
    if not mixed:
        return Rendering(window=windows[0], limits=_limits(windows[0], image.dtype))
    if count == 3 and image.info.value.components == "rgb":
        return Rendering(shader=_rgb(windows[0]))
    return Rendering(shader=_shader(image, shown), extra=_controls(windows, image.dtype))


def _fitted(window: tuple[float, float], dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return a range that the control of a type takes: whole numbers of the type for whole numbers."""
    if dtype.kind not in "iu" or dtype.name not in SHOWN_TYPES:
        return window
    known = np.iinfo(dtype)
    low = min(max(math.floor(window[0]), int(known.min)), min(int(known.max), _WHOLE) - 1)
    return low, min(max(math.ceil(window[1]), low + 1), int(known.max), _WHOLE)


def _limits(window: tuple[float, float], dtype: np.dtype[Any]) -> tuple[float, float]:
    """Return what the control reaches: a little more than what is shown."""
    low, high = window
    more = (high - low) * 0.5
    return _fitted((low if low == 0 else low - more, high + more), dtype)


def _rgb(window: tuple[float, float]) -> str:
    parts = ", ".join(f"float(toRaw(getDataValue({i})))" for i in range(3))
    return f"void main() {{\n  emitRGB(vec3({parts}) / float({window[1]:.9g}));\n}}\n"


def _shader(image: Image, count: int) -> str:
    known = channel_colors(image.info, count)
    stated = [c.color for c in image.info.display.channels] + [None] * count
    text, terms = "", []
    for i in range(count):
        digits = "".join(f"{round(v * 255):02x}" for v in known[i]) if stated[i] else _DEFAULTS[i]
        text += _CHANNEL.format(i=i, color=digits)
        terms.append(f"color{i} * contrast{i}()")
    return f"{text}void main() {{\n  emitRGB({' + '.join(terms)});\n}}\n"


def _controls(windows: Sequence[tuple[float, float]], dtype: np.dtype[Any]) -> dict[str, Any]:
    shown = {
        f"contrast{i}": {"range": [short(v) for v in w], "window": [short(v) for v in _limits(w, dtype)]}
        for i, w in enumerate(windows)
    }
    return {"neuroglancer:shaderControls": shown}


# --------------------------------------------------------------------------------------------------------------- space
def _world(layers: Sequence[Layer]) -> tuple[tuple[Axis, ...], list[float], tuple[float, ...]]:
    """Return axes of all layers, the step along each, and the middle of the first layer that has the axis."""
    axes: dict[str, Axis] = {}
    sizes: dict[str, float] = {}
    position: dict[str, float] = {}
    for layer in layers:
        for axis, length, (scale, first) in zip(layer.axes, layer.image.shape, _placed(layer.image), strict=True):
            if axis.type == "channel" or axis.name in axes:
                continue
            axes[axis.name], factor = _measured(axis)
            sizes[axis.name] = abs(scale) * factor or 1.0
            middle = length // 2 if axis.type == "space" else 0
            position[axis.name] = (first + middle * scale) * factor
    order = sorted(axes, key=lambda name: axes[name].type == "space")
    return tuple(axes[n] for n in order), [sizes[n] for n in order], tuple(position[n] for n in order)


def _placed(image: Image) -> list[tuple[float, float]]:
    try:
        scale, translation = image.scale_translation(0)
    except InputError:  # rotated: the viewer gets its voxels, and is told nothing false about their directions
        return [(1.0, 0.0)] * image.ndim
    return list(zip(scale, translation, strict=True))


def _measured(axis: Axis) -> tuple[Axis, float]:
    """Return an axis in the units of states, and what its numbers are multiplied with.

    Lengths without a unit are served as nanometres: a viewer has to show something.
    """
    unit = axis.unit
    if unit in TIME_UNITS:
        return Axis(name=axis.name, type="time", unit="second"), unit_factor(unit or "", "second")
    if axis.type == "space":
        known = unit in SPACE_UNITS
        return Axis(name=axis.name, type="space", unit="nanometer"), unit_factor(unit, "nanometer") if known else 1.0  # type: ignore[arg-type]
    return Axis(name=axis.name, type="other"), 1.0


def _transform(layer: Layer) -> dict[str, Any]:
    """Return what moves a precomputed volume, which begins at a whole voxel, to where its voxels are."""
    if layer.voxel_offset is None:
        return {}
    space = [i for i, axis in enumerate(layer.axes) if axis.type == "space"]
    placed = _placed(layer.image)
    moves = [placed[i][1] / placed[i][0] - 0.5 - o for i, o in zip(space, layer.voxel_offset, strict=True)]
    if all(abs(m) < 1e-6 for m in moves):
        return {}
    dimensions = {}
    for i in reversed(space):
        axis, factor = _measured(layer.axes[i])
        dimensions[axis.name] = [tidy(placed[i][0] * factor * 1e-9), "m"]
    rows = [[float(r == c) for c in range(len(space))] + [tidy(m)] for r, m in enumerate(reversed(moves))]
    if any(axis.type == "channel" for axis in layer.axes):
        dimensions["c^"] = [1, ""]
        rows = [[*row[:-1], 0.0, row[-1]] for row in rows] + [[0.0] * len(space) + [1.0, 0.0]]
    return {"neuroglancer:transform": {"matrix": rows, "outputDimensions": dimensions}}


def _scales(layer: Layer, axes: Sequence[Axis], sizes: Sequence[float]) -> dict[str, Any]:
    """Return scales with which the whole image is seen."""
    lengths = {axis.name: n for axis, n in zip(layer.axes, layer.image.shape, strict=True)}
    shown = [(lengths.get(a.name, 1) * s, s) for a, s in zip(axes, sizes, strict=True) if a.type == "space"]
    if not shown:
        return {}
    smallest = min(s for _, s in shown)
    longest = max(length for length, _ in shown) / smallest
    return {
        "neuroglancer:crossSectionScale": float(f"{longest / _PIXELS:.3g}"),
        "neuroglancer:projectionScale": float(f"{longest * 1.8:.3g}"),
    }
