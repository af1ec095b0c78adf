"""One picture of an image: its three orthogonal slices with scale bar, axes, title and labels."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import unit_factor
from voxarium.model.image import ImageInfo
from voxarium.view.sampling import Frame, Picturable, best_level, frame_of, read_labels, read_plane
from voxarium.view.shading import (
    channel_colors,
    channel_windows,
    label_colors,
    label_edges,
    mix_channels,
    real,
)

if TYPE_CHECKING:
    from PIL.Image import Image as Picture
    from PIL.ImageDraw import ImageDraw
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

__all__ = ["ScaleBar", "preview", "preview_png", "scale_bar"]

_PAPER: Final = (18, 19, 22)
_INK: Final = (236, 238, 242)
_FAINT: Final = (150, 155, 165)
_GAP: Final = 8  # pixels between panels
_SYMBOLS: Final = {
    "nanometer": "nm", "micrometer": "µm", "millimeter": "mm", "centimeter": "cm", "meter": "m",
    "kilometer": "km", "picometer": "pm",
}  # fmt: skip
_LADDER: Final = ("picometer", "nanometer", "micrometer", "millimeter", "meter", "kilometer")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleBar:
    """A bar of a round physical length.

    Parameters
    ----------
    length : float
        In the unit of the image (voxels when it has none).
    pixels : int
        Length in the picture, rounded.
    text : str
        Length with a readable unit, such as ``2 µm``.
    """

    length: float
    pixels: int
    text: str


def scale_bar(per_pixel: float, unit: str | None, longest: int) -> ScaleBar:
    """Return the longest bar of 1, 2 or 5 times a power of ten that fits into `longest` pixels.

    Parameters
    ----------
    per_pixel : float
        Physical size of a pixel of the picture.
    unit : str or None
        Its unit (UDUNITS-2); None for voxels.
    longest : int
        Greatest length in pixels.

    Examples
    --------
    >>> scale_bar(8.0, "nanometer", 300)
    ScaleBar(length=2000.0, pixels=250, text='2 µm')
    """
    limit = max(per_pixel * longest, 1e-300)
    power = math.floor(math.log10(limit) + 1e-9)
    length = next(m * 10.0**power for m in (5, 2, 1, 0.5) if m * 10.0**power <= limit * (1 + 1e-9))
    length = float(f"{length:.12g}")
    return ScaleBar(length=length, pixels=max(1, round(length / per_pixel)), text=_measure(length, unit))


def _measure(length: float, unit: str | None) -> str:
    """Write a length with the unit that gives the shortest number."""
    if unit is None:
        return f"{length:g} voxels"
    best, shown = length, unit
    for candidate in _LADDER:
        try:
            value = length * unit_factor(unit, candidate)
        except InputError:
            break
        if value >= 1 - 1e-9:
            best, shown = value, candidate
    return f"{float(f'{best:.6g}'):g} {_SYMBOLS.get(shown, shown)}"


# ------------------------------------------------------------------------------------------------- layout
@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Where a slice goes: axes shown (positions in frame.space), place and size in pixels."""

    shown: tuple[int, int]
    left: int
    top: int
    width: int
    height: int


def _layout(frame: Frame, size: int, header: int) -> tuple[list[Panel], float]:
    """Return the panels and the pixels per unit. The slices share their edges: y beside y, x below x."""
    extent = [n * s for n, s in zip(frame.counts, frame.size, strict=True)]
    depth = extent[0] if len(extent) == 3 else 0.0
    room = size - 2 * _GAP - (_GAP if depth else 0)
    k = room / (max(extent[-1], extent[-2]) + depth)
    px = [max(1, round(e * k)) for e in extent]
    if len(extent) == 2:
        return [Panel(shown=(0, 1), left=_GAP, top=header, width=px[1], height=px[0])], k
    d, h, w = px
    return [
        Panel(shown=(1, 2), left=_GAP, top=header, width=w, height=h),
        Panel(shown=(1, 0), left=2 * _GAP + w, top=header, width=d, height=h),
        Panel(shown=(0, 2), left=_GAP, top=header + h + _GAP, width=w, height=d),
    ], k


def checked_size(size: int) -> int:
    if not 64 <= size <= 16384:
        raise InputError(
            f"a picture of {size} pixels is not possible",
            code=Code.ARGUMENT_INVALID,
            fix="give a size from 64 to 16384 pixels",
        )
    return size


def checked_position(frame: Frame, position: tuple[int, ...] | None) -> tuple[int, ...]:
    if position is None:
        return tuple(n // 2 for n in frame.counts)
    if len(position) != len(frame.counts) or not all(0 <= p < n for p, n in zip(position, frame.counts, strict=True)):
        raise InputError(
            f"position {position} is not a voxel of an image of {frame.counts} voxels",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix=f"give one index of level 0 for each of {', '.join(frame.names)}",
        )
    return tuple(position)


# ------------------------------------------------------------------------------------------------ painting
def _resized(plane: NDArray[np.float32], edges: tuple[float, float, float, float], panel: Panel) -> NDArray[np.float32]:
    from PIL import Image

    magnified = min(panel.width / (edges[2] - edges[0]), panel.height / (edges[3] - edges[1]))
    method = Image.Resampling.NEAREST if magnified > 4 else Image.Resampling.BICUBIC
    if magnified < 1:
        method = Image.Resampling.BOX
    out = np.empty((len(plane), panel.height, panel.width), np.float32)
    for c, p in enumerate(plane):
        out[c] = np.asarray(Image.fromarray(p).resize((panel.width, panel.height), method, box=edges))
    return out


def _overlaid(base: NDArray[np.float32], labels: NDArray[Any], info: ImageInfo, opacity: float) -> NDArray[np.float32]:
    stated = {c.label: c.rgba for c in info.display.label_colors}
    rgb, alpha = label_colors(labels, stated)
    strength = alpha * np.where(label_edges(labels), min(1.0, opacity + 0.45), opacity)
    out: NDArray[np.float32] = base * (1.0 - strength[..., None]) + rgb * strength[..., None]
    return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    image: Picturable
    labels: Picturable | None
    frame: Frame
    level: int
    at: tuple[int, ...]
    opacity: float


def _paint_intensity(scene: Scene, panels: list[Panel]) -> list[NDArray[np.float32]]:
    """Return red, green, blue (0–1) of every panel."""
    planes = []
    for panel in panels:
        plane, edges = read_plane(scene.image, scene.frame, scene.level, shown=panel.shown, at=scene.at, channels=3)
        planes.append(_resized(real(plane), edges, panel))
    windows = channel_windows(scene.image.info, planes)
    colors = channel_colors(scene.image.info, planes[0].shape[0])
    return [mix_channels(p, windows, colors) for p in planes]


def paint(scene: Scene, panels: list[Panel]) -> list[NDArray[np.uint8]]:
    if scene.image.role == "label":
        painted = [np.zeros((p.height, p.width, 3), np.float32) for p in panels]
        layers = [(scene.image, 1.0)]
    else:
        painted = _paint_intensity(scene, panels)
        layers = []
    if scene.labels is not None:
        layers.append((scene.labels, scene.opacity))
    for labels, opacity in layers:
        for i, panel in enumerate(panels):
            plane = read_labels(
                labels, scene.image, frame=scene.frame, shown=panel.shown, at=scene.at,
                pixels=(panel.height, panel.width),
            )  # fmt: skip
            painted[i] = _overlaid(painted[i], plane, labels.info, opacity)
    return [np.round(p * 255.0).astype(np.uint8) for p in painted]


# ------------------------------------------------------------------------------------------------- drawing
def _plain(text: str) -> str:
    """Return text in letters the built-in font has."""
    return text.replace("×", "x").replace("µ", "u").replace("μ", "u")


def _write(draw: ImageDraw, place: tuple[float, float], text: str, font: Font, fill: tuple[int, int, int]) -> None:
    """Write text from a point on its baseline. The built-in font lacks µ: it is a u with a stem."""
    plain = _plain(text)
    draw.text(place, plain, font=font, fill=fill, anchor="ls")
    left, top, _, _ = font.getbbox("u", anchor="ls")
    for i, letter in enumerate(text):
        if letter in "µμ":
            x = round(place[0] + font.getlength(plain[:i]) + left + 0.5)
            draw.line([(x, place[1] + top + 1), (x, place[1] - 0.45 * top)], fill=fill, width=1)


def _fitted(text: str, font: Font, width: int) -> str:
    if font.getlength(_plain(text)) <= width:
        return text
    while text and font.getlength(_plain(text) + "…") > width:
        text = text[:-1]
    return text + "…"


def _draw_axes(draw: ImageDraw, panel: Panel, names: tuple[str, str], font: Font) -> None:
    """Draw two arrows with the names of the axes in the upper left corner."""
    reach = min(26, panel.width // 3, panel.height // 3)
    if reach < 10:
        return
    x, y = panel.left + 7, panel.top + 7
    for width, color in ((3, _PAPER), (1, _INK)):
        draw.line([(x, y + reach), (x, y), (x + reach, y)], fill=color, width=width)
        draw.line([(x - 3, y + reach - 4), (x, y + reach), (x + 3, y + reach - 4)], fill=color, width=width)
        draw.line([(x + reach - 4, y - 3), (x + reach, y), (x + reach - 4, y + 3)], fill=color, width=width)
    style: dict[str, Any] = {
        "font": font,
        "fill": _INK,
        "stroke_width": 2,
        "stroke_fill": _PAPER,
    }  # Any: Pillow's
    draw.text((x + reach + 7, y), names[1], anchor="lm", **style)
    draw.text((x, y + reach + 7), names[0], anchor="mt", **style)


def _draw_bar(draw: ImageDraw, panel: Panel, bar: ScaleBar, font: Font) -> None:
    """Draw the bar with its text in the lower right corner of a panel."""
    pad, thick = 7, 5
    letters = font.getlength(_plain(bar.text))
    width = max(bar.pixels, math.ceil(letters))
    right, bottom = panel.left + panel.width - 8, panel.top + panel.height - 8
    top = bottom - 2 * pad - thick - 20
    draw.rectangle([right - width - 2 * pad, top, right, bottom], fill=(0, 0, 0, 170))
    middle = right - pad - width / 2
    left = round(middle - bar.pixels / 2)
    draw.rectangle([left, bottom - pad - thick + 1, left + bar.pixels - 1, bottom - pad], fill=(255, 255, 255, 255))
    _write(draw, (middle - letters / 2, bottom - pad - thick - 5), bar.text, font, _INK)


def _draw_cross(draw: ImageDraw, panel: Panel, frame: Frame, at: tuple[int, ...]) -> None:
    """Mark with faint lines where the other slices cut this one."""
    v, h = panel.shown
    x = panel.left + int((at[h] + 0.5) / frame.counts[h] * panel.width)
    y = panel.top + int((at[v] + 0.5) / frame.counts[v] * panel.height)
    faint = (255, 214, 90, 70)
    draw.line([(x, panel.top), (x, panel.top + panel.height - 1)], fill=faint)
    draw.line([(panel.left, y), (panel.left + panel.width - 1, y)], fill=faint)


def _caption(scene: Scene) -> str:
    frame = scene.frame
    shape = " × ".join(str(n) for n in scene.image.level(0).shape)
    axes = "".join(a.name for a in scene.image.axes)
    sizes = " × ".join(f"{float(f'{s:.6g}'):g}" for s in frame.size)
    unit = "" if frame.unit is None else f" {_SYMBOLS.get(frame.unit, frame.unit)}"
    place = ", ".join(f"{n} {p}" for n, p in zip(frame.names, scene.at, strict=True))
    parts = [f"{axes} {shape}", f"voxel {sizes}{unit}"]
    if len(frame.counts) == 3:
        parts.append(f"cut at {place}")
    if len(scene.image.levels) > 1:
        parts.append(f"level {scene.level} of {len(scene.image.levels)}")
    return "   ·   ".join(parts)


def no_pillow() -> UnsupportedError:
    return UnsupportedError(
        "pictures need Pillow, which is not installed",
        code=Code.EXTRA_NOT_INSTALLED,
        fix="pip install 'voxarium[images]'",
    )


def preview(
    image: Picturable,
    *,
    labels: Picturable | None = None,
    size: int = 1024,
    level: int | None = None,
    position: tuple[int, ...] | None = None,
    opacity: float = 0.35,
) -> Picture:
    """Draw the three orthogonal slices of an image as one picture.

    The xy slice is large, yz stands beside it and xz below, at one scale, so anisotropic voxels show their
    true shape. Time and other axes are cut at index 0; the first three channels are mixed.

    Parameters
    ----------
    image : Picturable
        An opened image. A label image is drawn in the colours of its labels.
    labels : Picturable or None
        Labels to lay over it, matched by world coordinates. 0 is transparent.
    size : int
        Pixels along the longer edge of the slices, about.
    level : int or None
        Level to read; None = the coarsest with a voxel per pixel.
    position : tuple of int or None
        Voxel of level 0 where the slices meet, one index per axis of space (z, y, x); None = the centre.
    opacity : float
        Of labels, 0–1.

    Raises
    ------
    InputError
        If the image has no two axes of space, or an argument is out of range.
    UnsupportedError
        If Pillow is not installed.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as e:
        raise no_pillow() from e
    frame = frame_of(image)
    header = 58
    panels, k = _layout(frame, checked_size(size), header)
    if level is None:
        pixels = (panels[0].height, panels[0].width)
        level = best_level(image, frame, pixels if len(panels) == 1 else (panels[1].width, *pixels))
    else:
        image.level(level)
    at = checked_position(frame, position)
    scene = Scene(image=image, labels=labels, frame=frame, level=level, at=at, opacity=opacity)
    width = max(max(p.left + p.width for p in panels) + _GAP, 320)
    height = max(p.top + p.height for p in panels) + _GAP
    sheet = Image.new("RGB", (width, height), _PAPER)
    for panel, pixels_rgb in zip(panels, paint(scene, panels), strict=True):
        sheet.paste(Image.fromarray(pixels_rgb), (panel.left, panel.top))
    draw = ImageDraw.Draw(sheet, "RGBA")
    title, small = ImageFont.load_default(20), ImageFont.load_default(14)
    for panel in panels:
        if len(panels) == 3:
            _draw_cross(draw, panel, frame, at)
        _draw_axes(draw, panel, (frame.names[panel.shown[0]], frame.names[panel.shown[1]]), small)
    _draw_bar(draw, panels[0], scale_bar(1.0 / k, frame.unit, max(1, panels[0].width // 3)), small)
    _write(draw, (_GAP + 2, 26), _fitted(image.name, title, width - 3 * _GAP), title, _INK)
    _write(draw, (_GAP + 2, 48), _fitted(_caption(scene), small, width - 3 * _GAP), small, _FAINT)
    return sheet


def preview_png(image: Picturable, **options: Any) -> bytes:  # Any: the options of `preview`
    """Return `preview` as the bytes of a PNG file; options as there."""
    out = io.BytesIO()
    preview(image, **options).save(out, "PNG", optimize=True)
    return out.getvalue()
