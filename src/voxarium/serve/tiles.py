"""``/tile/ADDRESS/LEVEL/INDEX/ROW/COLUMN.png``: pieces of planes as pictures, for maps and for a quick look."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.errors import InputError
from voxarium.model.box import Box
from voxarium.serve.answers import Answer
from voxarium.serve.arguments import Arguments, RefusedError, arguments_of, image_at, too_large
from voxarium.serve.site import Site
from voxarium.view.contrast import windows_of
from voxarium.view.sampling import Frame, frame_of
from voxarium.view.shading import channel_colors, label_colors, mix_channels, real

if TYPE_CHECKING:
    from starlette.types import Scope

__all__ = ["tile"]

_NAME: Final = re.compile(r"([0-9]{1,9})\.(png|jpg|jpeg|webp)")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_TYPES: Final = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
_PLANES: Final = {"xy": (1, 2), "xz": (0, 2), "yz": (0, 1)}
_SIZES: Final = (64, 1024)
_CHANNELS: Final = 3


@dataclass(frozen=True, slots=True)
class _Wanted:
    level: int
    index: int
    row: int
    column: int
    kind: str


def tile(site: Site, scope: Scope, raw: bytes) -> Answer:
    """Return one tile.

    Raises `RefusedError` if there is none, or it is asked for wrongly.
    """
    arguments = arguments_of(scope, ("size", "plane", "window", "channel", "t"))
    image, _, parts = image_at(site, raw, 4)
    try:
        frame = frame_of(image)
    except InputError as error:
        raise RefusedError(400, "the image has no planes") from error
    wanted = _wanted(parts, image)
    size = arguments.number("size", 256, low=_SIZES[0], high=_SIZES[1])
    box, order = _region(image, frame, wanted, arguments, size)
    too_large(image, wanted.level, box, site.settings.most_cutout)
    data = image.read(box, level=wanted.level)
    data = data.transpose([i for i in range(data.ndim) if i not in order] + order)
    plane = data.reshape((-1, *data.shape[-2:]))
    body = _drawn(image, plane, wanted.kind, arguments)
    media_type = f"image/{'jpeg' if wanted.kind.startswith('j') else wanted.kind}".encode()
    age = max(60, site.settings.max_age)
    headers = [(b"content-type", media_type), (b"content-length", b"%d" % len(body))]
    return Answer(200, [*headers, (b"cache-control", b"max-age=%d" % age)], body)


def _wanted(parts: list[str], image: Image) -> _Wanted:
    name = _NAME.fullmatch(parts[3])
    if name is None or not all(_NUMBER.fullmatch(p) for p in parts[:3]):
        raise RefusedError(400, "a tile is LEVEL/INDEX/ROW/COLUMN.png, .jpg or .webp behind the address of an image")
    level, index, row = (int(p) for p in parts[:3])
    if level >= len(image.levels):
        raise RefusedError(404, f"the image has levels 0 to {len(image.levels) - 1}")
    return _Wanted(level, index, row, int(name[1]), name[2])


def _region(image: Image, frame: Frame, wanted: _Wanted, arguments: Arguments, size: int) -> tuple[Box, list[int]]:
    """Return the voxels of a tile, and the axes in the order of channel, rows, columns."""
    shape = image.level(wanted.level).shape
    plane = arguments.text("plane", "xy", among=tuple(_PLANES))
    if len(frame.space) == 2 and plane != "xy":
        raise RefusedError(400, "an image of two dimensions has one plane: xy")
    down, across = _PLANES[plane] if len(frame.space) == 3 else (0, 1)
    start, stop = [0] * len(shape), [1] * len(shape)
    place = {frame.space[down]: wanted.row, frame.space[across]: wanted.column}
    for axis in frame.space:
        low, high = (wanted.index, wanted.index + 1)
        if axis in place:
            low, high = place[axis] * size, min(shape[axis], (place[axis] + 1) * size)
        if low >= high or high > shape[axis]:
            raise RefusedError(404, "the image ends before this tile")
        start[axis], stop[axis] = low, high
    if len(frame.space) == 2 and wanted.index:
        raise RefusedError(404, "an image of two dimensions has one plane: 0")
    _choose(image, frame, arguments, start, stop)
    order = [frame.space[down], frame.space[across]]
    return Box.from_bounds(tuple(start), tuple(stop)), [frame.channel, *order] if frame.channel is not None else order


def _choose(image: Image, frame: Frame, arguments: Arguments, start: list[int], stop: list[int]) -> None:
    """Choose channels and a point of time."""
    time = next((i for i, axis in enumerate(image.axes) if axis.type == "time"), None)
    if "t" in arguments.given and time is None:
        raise RefusedError(400, "the image has no time")
    if time is not None:
        start[time] = arguments.number("t", 0, high=image.shape[time] - 1)
        stop[time] = start[time] + 1
    if "channel" in arguments.given and frame.channel is None:
        raise RefusedError(400, "the image has no channels")
    if frame.channel is not None:
        count = image.shape[frame.channel]
        stop[frame.channel] = min(_CHANNELS, count)
        if "channel" in arguments.given:
            start[frame.channel] = arguments.number("channel", 0, high=count - 1)
            stop[frame.channel] = start[frame.channel] + 1


def _drawn(image: Image, plane: NDArray[Any], kind: str, arguments: Arguments) -> bytes:
    try:
        from PIL import Image as Pictures
    except ImportError as error:
        raise RefusedError(501, "tiles need Pillow on the server: pip install 'voxarium[images]'") from error
    if image.role == "label" and plane.dtype.kind in "iub":
        stated = {c.label: c.rgba for c in image.info.display.label_colors}
        labels = plane[0].astype(np.uint8) if plane.dtype == bool else plane[0]
        colors, alpha = label_colors(labels, stated)
        rgb = colors * alpha[..., None]
    else:
        rgb = _mixed(image, plane, arguments)
    pixels = np.round(rgb * 255.0).astype(np.uint8)
    if np.array_equal(pixels[..., 0], pixels[..., 1]) and np.array_equal(pixels[..., 0], pixels[..., 2]):
        pixels = pixels[..., 0]
    out = io.BytesIO()
    options: dict[str, Any] = {"compress_level": 1} if kind == "png" else {"quality": 85}  # Any: Pillow's
    Pictures.fromarray(np.ascontiguousarray(pixels)).save(out, _TYPES[kind], **options)
    return out.getvalue()


def _mixed(image: Image, plane: NDArray[Any], arguments: Arguments) -> NDArray[np.float32]:
    """Return red, green, blue (0–1): the same contrast in all tiles of an image."""
    first = arguments.number("channel", 0)
    stated = _window(arguments)
    windows = [stated] * len(plane) if stated else windows_of(image, channels=first + len(plane))[first:]
    colors = channel_colors(image.info, first + len(plane))[first:] if len(plane) > 1 else [(1.0, 1.0, 1.0)]
    return mix_channels(real(plane), windows, colors)


def _window(arguments: Arguments) -> tuple[float, float] | None:
    text = arguments.given.get("window")
    if text is None:
        return None
    try:
        low, high = (float(p) for p in text.split(","))
    except ValueError as error:
        raise RefusedError(400, "window is two numbers, such as 0,255") from error
    if not (math.isfinite(low) and math.isfinite(high)) or not 1e-30 < high - low < 1e37 or max(-low, high) > 1e37:
        raise RefusedError(400, "window is two numbers, the smaller first, such as 0,255")
    return low, high
