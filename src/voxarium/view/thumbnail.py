"""A small picture of an image, for lists of many."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import ClassVar

from voxarium.errors import Code, InputError, VoxariumError
from voxarium.view.picture import Panel, Scene, checked_position, checked_size, no_pillow, paint
from voxarium.view.sampling import Frame, Picturable, best_level, frame_of

__all__ = ["ThumbnailDrawer", "thumbnail_png"]


class ThumbnailDrawer:
    """Draws pictures of members of datasets, which lie below this layer and find it by its entry point."""

    name: ClassVar[str] = "thumbnail"

    def draw(self, image: Picturable) -> bytes:
        """Return a picture as the bytes of a PNG file.

        Raises
        ------
        InputError, UnsupportedError
            As `thumbnail_png`.
        """
        return thumbnail_png(image)


def thumbnail_png(
    image: Picturable,
    *,
    size: int = 256,
    most: int = 256 << 20,
    labels: Picturable | None = None,
    opacity: float = 0.4,
) -> bytes:
    """Return the middle slice of an image, without any writing on it, as the bytes of a PNG file.

    Parameters
    ----------
    image : Picturable
        An opened image. A label image is drawn in the colours of its labels.
    size : int
        Pixels along the longer edge.
    most : int
        Bytes of chunks that may be decoded for it.
    labels : Picturable or None
        Labels to draw over it, where they lie in the world; left out where they cannot be drawn.
    opacity : float
        Of the labels.

    Raises
    ------
    InputError
        If the image has no two axes of space, an argument is out of range, or more would have to be decoded.
    UnsupportedError
        If Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as e:
        raise no_pillow() from e
    frame = frame_of(image)
    shown = (0, 1) if len(frame.counts) == 2 else (1, 2)
    height, width = (frame.counts[i] * frame.size[i] for i in shown)
    k = checked_size(size) / max(height, width)
    panel = Panel(shown=shown, left=0, top=0, width=max(1, round(width * k)), height=max(1, round(height * k)))
    level = best_level(
        image, frame, (panel.height, panel.width) if len(frame.counts) == 2 else (1, panel.height, panel.width)
    )
    cost = _decoded_for(image, frame, level, shown)
    if cost > most:
        raise InputError(
            f"a picture of {image.name} needs {cost:,} bytes of its chunks",
            code=Code.ARGUMENT_INVALID,
            fix="give the image smaller levels: voxarium convert makes them",
        )
    at = checked_position(frame, None)
    over = labels if labels is not None and _fits(labels, frame, shown, (panel.height, panel.width), most) else None
    scene = Scene(image=image, labels=over, frame=frame, level=level, at=at, opacity=opacity if over else 1.0)
    try:
        painted = paint(scene, [panel])[0]
    except VoxariumError:
        if over is None:
            raise
        painted = paint(replace(scene, labels=None), [panel])[0]
    out = io.BytesIO()
    Image.fromarray(painted).save(out, "PNG")
    return out.getvalue()


def _fits(labels: Picturable, frame: Frame, shown: tuple[int, int], pixels: tuple[int, int], most: int) -> bool:
    """Tell whether labels can be drawn over an image, and do not take too much."""
    try:
        own = frame_of(labels)
        if len(own.space) != len(frame.space):
            return False
        level = best_level(labels, own, pixels if len(own.space) == 2 else (1, *pixels))
        return _decoded_for(labels, own, level, shown) <= most
    except VoxariumError:
        return False


def _decoded_for(image: Picturable, frame: Frame, level: int, shown: tuple[int, int]) -> int:
    """Return the bytes of the chunks that a slice touches, of up to three channels."""
    array = image.info.levels[level].array
    size = array.dtype.itemsize
    for axis, (n, chunk) in enumerate(zip(array.shape, array.chunk_shape, strict=True)):
        wanted = n if axis in (frame.space[shown[0]], frame.space[shown[1]]) else 1
        if axis == frame.channel:
            wanted = min(3, n)
        size *= -(-wanted // max(1, chunk)) * chunk
    return size
