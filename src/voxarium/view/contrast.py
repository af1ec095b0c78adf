"""The range of values to show, from few voxels of a coarse level."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import VoxariumError
from voxarium.model.box import Box
from voxarium.view.sampling import Frame, Picturable, frame_of
from voxarium.view.shading import channel_windows, real

__all__ = ["windows_of"]

_EDGE: Final = 512  # voxels along the edges of what is looked at
_PLANES: Final = 3
_MOST_DECODED: Final = 256 << 20  # bytes of chunks


def windows_of(image: Picturable, *, channels: int) -> list[tuple[float, float]]:
    """Return the range to show for each of the first channels: as stated, else the middle 99 % of the voxels looked at.

    Those are parts of a few planes of the coarsest level, around its centre. Where that would take too much, the whole
    range of the type stands in.

    Raises
    ------
    InputError
        If the image has fewer than two axes of space.
    """
    planes = _planes(image, frame_of(image), channels)
    if planes:
        windows = channel_windows(image.info, planes)
        return (windows + windows[-1:] * channels)[:channels]
    stated = [c.window for c in image.info.display.channels[:channels]]
    stated += [None] * (channels - len(stated))
    whole = _whole(image.info.levels[0].array.dtype)
    return [w if w is not None and w[1] > w[0] else whole for w in stated]


def _planes(image: Picturable, frame: Frame, channels: int) -> list[NDArray[np.float32]]:
    level = len(image.levels) - 1
    array = image.info.levels[level].array
    shape, chunk = array.shape, array.chunk_shape
    start, stop = [0] * len(shape), [1] * len(shape)
    for axis in frame.space[-2:]:
        # Whole chunks in the middle: voxels beside them would take as long.
        n, c = shape[axis], max(1, chunk[axis])
        low = max(0, (n - _EDGE) // 2) // c * c
        start[axis], stop[axis] = low, min(n, max(low + min(c, _EDGE), low + _EDGE))
    if frame.channel is not None:
        stop[frame.channel] = min(channels, shape[frame.channel])
    cuts = [0]
    if len(frame.space) == 3:
        depth = shape[frame.space[0]]
        cuts = sorted({min(depth - 1, depth * (2 * i + 1) // (2 * _PLANES)) for i in range(_PLANES)})
    if not array.contiguous and _decoded(array.dtype, start, stop, chunk) * len(cuts) > _MOST_DECODED:
        return []
    out = []
    for cut in cuts:
        if len(frame.space) == 3:
            start[frame.space[0]], stop[frame.space[0]] = cut, cut + 1
        try:
            part = image.read(Box.from_bounds(tuple(start), tuple(stop)), level=level)
        except VoxariumError:
            continue  # a damaged chunk must not hide the others
        order = [*([] if frame.channel is None else [frame.channel]), *frame.space[-2:]]
        part = part.transpose([i for i in range(part.ndim) if i not in order] + order)
        out.append(real(part.reshape((-1, *part.shape[-2:]))))
    return out


def _decoded(dtype: np.dtype[Any], start: list[int], stop: list[int], chunk: tuple[int, ...]) -> int:
    size = dtype.itemsize
    for a, b, c in zip(start, stop, chunk, strict=True):
        size *= (-(-b // max(1, c)) - a // max(1, c)) * max(1, c)
    return size


def _whole(dtype: np.dtype[Any]) -> tuple[float, float]:
    if dtype.kind in "iu":
        return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    return 0.0, 1.0
