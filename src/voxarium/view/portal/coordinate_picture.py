"""The coordinate picture: boxes of all layers in the world, seen along three axes, to one scale, as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

import numpy as np

from voxarium.view.portal.coordinates import Coordinates, PlacedLayer, extent_of
from voxarium.view.portal.facts import LayerFacts
from voxarium.view.portal.words import length_text, lengths_text, times

__all__ = ["coordinate_picture", "kind_class"]

_ROOM: Final = 560.0  # pixels for both panels of a row, without what stands between
_GAP: Final = 34.0
_EDGE: Final = 30.0
_PAD: Final = 10.0  # around the boxes in a panel
_THIN: Final = 14.0  # pixels that a panel has at least
_TINY: Final = 5.0  # boxes smaller than that are marked by a ring
_NICE: Final = (1, 2, 5)


def kind_class(layer: LayerFacts) -> str:
    """Return the class that gives a layer its colour: image, label, prediction or other."""
    if layer.kind == "label" or layer.role == "label":
        return "label"
    if layer.role == "prediction":
        return "prediction"
    return "image" if layer.kind == "image" else "other"


@dataclass(frozen=True, slots=True)
class _Panel:
    """A view along one axis: `across` and `down` are positions in z, y, x."""

    title: str
    across: int
    down: int
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class _Frame:
    """How coordinates become pixels."""

    low: tuple[float, ...]
    scale: float  # pixels per nanometre
    sizes: tuple[float, ...]  # pixels along z, y, x, with what is left around

    def at(self, axis: int, value: float, extent: float) -> float:
        """Return pixels from the edge of a panel; what is thin stands in its middle."""
        return (value - self.low[axis]) * self.scale + (self.sizes[axis] - extent * self.scale) / 2


def coordinate_picture(coordinates: Coordinates, title: str) -> str:
    """Return the picture; empty where nothing could be placed.

    Parameters
    ----------
    coordinates : Coordinates
        What lies where.
    title : str
        Of the dataset.
    """
    layers = coordinates.layers
    if not layers:
        return ""
    low, high = extent_of(layers)
    extents = [h - a for a, h in zip(low, high, strict=True)]
    scale = _ROOM / ((extents[2] + extents[0]) or 1.0)
    tallest = _ROOM * 1.1 / ((extents[1] + extents[0]) or 1.0)
    scale = min(scale, tallest)
    sizes = tuple(max(_THIN, e * scale) + 2 * _PAD for e in extents)
    frame = _Frame(low, scale, sizes)
    z, y, x = sizes
    panels = (
        _Panel("xy", 2, 1, _EDGE, _EDGE, x, y),
        _Panel("zy", 0, 1, _EDGE + x + _GAP, _EDGE, z, y),
        _Panel("xz", 2, 0, _EDGE, _EDGE + y + _GAP, x, z),
    )
    width, height = _EDGE + x + _GAP + max(z, 96.0) + 12, _EDGE + y + _GAP + max(z, 44.0) + 12
    order = sorted(range(len(layers)), key=lambda i: -_area(layers[i]))
    parts = [
        f'<svg class="coordinates" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" role="img"'
        f' aria-label="{escape(_words(layers, title, coordinates.measured))}">'
    ]
    for panel in panels:
        parts.extend(_drawn(panel, frame, extents, layers, order))
    unit = "" if coordinates.measured else " voxels"
    parts.append(_scale_bar(scale, max(extents), _EDGE + x + _GAP, _EDGE + y + _GAP, unit))
    return "".join([*parts, "</svg>"])


def _area(placed: PlacedLayer) -> float:
    return float(np.prod([h - a + 1e-9 for a, h in zip(placed.low, placed.high, strict=True)]))


def _words(layers: Sequence[PlacedLayer], title: str, measured: bool) -> str:
    low, high = extent_of(layers)
    sizes = [h - a for a, h in zip(low, high, strict=True)]
    together = lengths_text(sizes) if measured else f"{times([round(s) for s in sizes])} voxels"
    count = f"{len(layers):,} layer{'' if len(layers) == 1 else 's'}"
    return f"Boxes of {count} of {title} in three planes; together {together} along z, y, x"


def _drawn(
    panel: _Panel, frame: _Frame, extents: Sequence[float], layers: Sequence[PlacedLayer], order: Sequence[int]
) -> Iterator[str]:
    names = "zyx"
    yield (
        f'<g><rect class="panel" x="{panel.left:.1f}" y="{panel.top:.1f}" width="{panel.width:.1f}" '
        f'height="{panel.height:.1f}" rx="4"/>'
    )
    for i in order:
        yield _box(panel, frame, extents, layers[i], i)
    yield (
        f'<text class="axis" x="{panel.left:.1f}" y="{panel.top - 8:.1f}">{names[panel.across]} →</text>'
        f'<text class="axis" x="{panel.left - 8:.1f}" y="{panel.top + 10:.1f}" text-anchor="end">'
        f"{names[panel.down]}</text>"
        f'<text class="axis" x="{panel.left - 8:.1f}" y="{panel.top + 24:.1f}" text-anchor="end">↓</text></g>'
    )


def _box(panel: _Panel, frame: _Frame, extents: Sequence[float], placed: PlacedLayer, number: int) -> str:
    ends = ((panel.across, panel.left), (panel.down, panel.top))
    points = np.stack(
        [edge + frame.at(axis, 0, extents[axis]) + placed.corners[:, axis] * frame.scale for axis, edge in ends],
        axis=1,
    )
    low, high = points.min(axis=0), points.max(axis=0)
    layer = placed.layer
    title = f"<title>{escape(layer.name or 'the image')}</title>"
    head = f'<g class="box {kind_class(layer)}" data-layer="{number}">{title}'
    ring = ""
    if max(high - low) < _TINY:
        middle = (low + high) / 2
        ring = f'<circle class="ring" cx="{middle[0]:.1f}" cy="{middle[1]:.1f}" r="6"/>'
    outline = _hull(points)
    shape = (
        f'<polygon points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in outline)}"/>'
        if len(outline) > 2
        else f'<line x1="{low[0]:.1f}" y1="{low[1]:.1f}" x2="{high[0]:.1f}" y2="{high[1]:.1f}"/>'
    )
    return f"{head}{shape}{ring}</g>"


def _hull(points: np.ndarray) -> list[tuple[float, float]]:
    """Return the corners of the smallest convex shape around some points, in order."""
    rest = sorted({(round(float(a), 3), round(float(b), 3)) for a, b in points})
    if len(rest) < 3:
        return rest

    def half(sequence: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        out: list[tuple[float, float]] = []
        for p in sequence:
            while len(out) > 1 and _turn(out[-2], out[-1], p) <= 0:
                out.pop()
            out.append(p)
        return out[:-1]

    return half(rest) + half(rest[::-1])


def _turn(o: tuple[float, float], a: tuple[float, float], b: tuple[float, float]) -> float:
    return (a[0] - o[0]) * (b[1] - o[1]) - (a[1] - o[1]) * (b[0] - o[0])


def _scale_bar(scale: float, longest: float, left: float, top: float, unit: str) -> str:
    """Return a bar of a round length, of about 70 pixels."""
    wanted = min(72.0 / scale, longest or 1.0)
    power = 10.0 ** math.floor(math.log10(wanted)) if wanted > 0 else 1.0
    length = max((n * power for n in _NICE if n * power <= wanted * 1.0001), default=power)
    text = f"{length:g}{unit}" if unit else length_text(length)
    y = top + 12
    return (
        f'<g class="scale"><line x1="{left:.1f}" y1="{y:.1f}" x2="{left + length * scale:.1f}" y2="{y:.1f}"/>'
        f'<text x="{left:.1f}" y="{y + 17:.1f}">{escape(text)}</text></g>'
    )
