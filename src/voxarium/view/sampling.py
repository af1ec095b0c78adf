"""Slices of an image at the size of a picture: which level to read, and where its voxels fall."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.axes import Axis, unit_factor
from voxarium.model.box import Box
from voxarium.model.image import ImageInfo

__all__ = ["Frame", "Picturable", "best_level", "frame_of", "read_labels", "read_plane"]

_STRIP: Final = 1 << 24  # voxels held at once while a large plane is thinned


class Sized(Protocol):
    """Something with a shape."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis."""


class Picturable(Protocol):
    """What a picture needs of an image; `voxarium.core.image.Image` has it."""

    @property
    def info(self) -> ImageInfo:
        """Metadata."""

    @property
    def name(self) -> str:
        """Name for the title."""

    @property
    def role(self) -> str:
        """What the samples are: intensity, label or prediction."""

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Axes in stored order."""

    @property
    def levels(self) -> Sequence[object]:
        """The pyramid, finest first."""

    def level(self, index: int) -> Sized:
        """Return the array of one level."""

    def scale_translation(self, level: int = 0) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return (scale, translation): world = index × scale + translation, at voxel centres."""

    def read(self, box: Box | None = None, *, level: int = 0) -> NDArray[Any]:
        """Read a region of one level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The axes of an image that a picture shows.

    Parameters
    ----------
    space : tuple of int
        Stored positions of the axes drawn: (depth, vertical, horizontal), or the last two in two dimensions.
    channel : int or None
        Stored position of the channel axis.
    names : tuple of str
        Names of the axes of `space`.
    size : tuple of float
        Physical size of a voxel of level 0 along each axis of `space`, all in `unit`.
    unit : str or None
        Common unit; None when the axes have none, or none in common.
    counts : tuple of int
        Voxels of level 0 along each axis of `space`.
    """

    space: tuple[int, ...]
    channel: int | None
    names: tuple[str, ...]
    size: tuple[float, ...]
    unit: str | None
    counts: tuple[int, ...]


def frame_of(image: Picturable) -> Frame:
    """Return which axes of an image to draw, and their physical scale.

    Raises
    ------
    InputError
        If the image has fewer than two axes of space.
    """
    axes = image.axes
    space = [i for i, a in enumerate(axes) if a.type == "space"]
    channel = next((i for i, a in enumerate(axes) if a.type == "channel"), None)
    if len(space) < 2:  # nothing stated: the last axes are space by custom
        space = [i for i in range(len(axes)) if i != channel and axes[i].type != "time"]
    space = space[-3:]
    if len(space) < 2:
        raise InputError(
            f"{image.name} has axes {', '.join(a.name for a in axes)}: too few for a picture",
            code=Code.AXES_MISMATCH,
            fix="give an image with at least two axes of space",
        )
    names = [axes[i].name.lower() for i in space]
    if len(set(names)) == len(names) and set(names) <= set("zyx"):  # files may store x first
        space.sort(key=lambda i: "zyx".index(axes[i].name.lower()))
    scale, _ = image.scale_translation(0)
    unit = axes[space[-1]].unit
    factors = [1.0] * len(space)
    if unit is not None and all(axes[i].unit is not None for i in space):
        factors = [unit_factor(axes[i].unit or unit, unit) for i in space]
    elif any(axes[i].unit is not None for i in space):
        unit = None
    shape = image.level(0).shape
    if 0 in shape:
        raise InputError(
            f"{image.name} has no voxels: its shape is {shape}",
            code=Code.BOX_OUT_OF_BOUNDS,
            fix="give an image that holds something",
        )
    return Frame(
        space=tuple(space),
        channel=channel,
        names=tuple(axes[i].name for i in space),
        size=tuple(abs(scale[i]) * f or 1.0 for i, f in zip(space, factors, strict=True)),
        unit=unit,
        counts=tuple(shape[i] for i in space),
    )


def best_level(image: Picturable, frame: Frame, pixels: tuple[int, ...]) -> int:
    """Return the coarsest level that still has a voxel per pixel along every axis drawn (0 when none has)."""
    for level in range(len(image.levels) - 1, 0, -1):
        shape = image.level(level).shape
        counts = [shape[i] for i in frame.space]
        if all(n >= min(p, n0) for n, p, n0 in zip(counts, pixels, frame.counts, strict=True)):
            return level
    return 0


def _mapped(image: Picturable, axis: int, level: int, index: float) -> float:
    """Return the (fractional) index at `level` of a point given by its index at level 0."""
    s0, t0 = image.scale_translation(0)
    s, t = image.scale_translation(level)
    return (index * s0[axis] + t0[axis] - t[axis]) / s[axis]


def _clipped(index: float, n: int) -> int:
    return min(max(round(index), 0), n - 1)


def read_plane(
    image: Picturable,
    frame: Frame,
    level: int,
    *,
    shown: tuple[int, int],
    at: tuple[int, ...],
    channels: int = 1,
) -> tuple[NDArray[Any], tuple[float, float, float, float]]:
    """Read one slice of one level.

    Parameters
    ----------
    image, frame, level
        What to read.
    shown : tuple of two int
        Positions in `frame.space` of the vertical and the horizontal axis.
    at : tuple of int
        Index at level 0 along each axis of `frame.space`; only those not shown matter.
    channels : int
        Number of channels to read, from the first.

    Returns
    -------
    numpy.ndarray
        Samples of shape (channels, vertical, horizontal). Planes too large to hold are thinned.
    tuple of float
        Left, top, right, bottom of level 0's extent, in samples of the array.
    """
    shape = image.level(level).shape
    start, count = [0] * len(shape), [1] * len(shape)
    for k, axis in enumerate(frame.space):
        if k in shown:
            count[axis] = shape[axis]
        else:
            start[axis] = _clipped(_mapped(image, axis, level, at[k]), shape[axis])
    if frame.channel is not None:
        count[frame.channel] = min(channels, shape[frame.channel])
    v, h = frame.space[shown[0]], frame.space[shown[1]]
    step = max(1, -(-(max(count[v], count[h])) // 8192))
    order = [frame.channel, v, h] if frame.channel is not None else [v, h]
    plane = _thinned(image, level, Box(tuple(start), tuple(count)), order, step)
    edges = []
    for axis, n in ((h, plane.shape[2]), (v, plane.shape[1])):
        low = _mapped(image, axis, level, -0.5) + 0.5
        high = _mapped(image, axis, level, image.level(0).shape[axis] - 0.5) + 0.5
        edges.append((min(max(low / step, 0.0), n - 1e-3), min(max(high / step, 1e-3), float(n))))
    return plane, (edges[0][0], edges[1][0], edges[0][1], edges[1][1])


def _thinned(image: Picturable, level: int, box: Box, order: list[int], step: int) -> NDArray[Any]:
    """Read a box in strips along its vertical axis, keeping every `step`-th row and column."""
    v = order[-2]
    per_row = max(1, box.size // max(1, box.shape[v]))
    rows = max(1, _STRIP // per_row // step) * step
    strips = []
    for first in range(0, box.shape[v], rows):
        origin, shape = list(box.origin), list(box.shape)
        origin[v], shape[v] = first, min(rows, box.shape[v] - first)
        part = image.read(Box(tuple(origin), tuple(shape)), level=level)
        dropped = [i for i in range(part.ndim) if i not in order]
        part = part.transpose([*dropped, *order]).reshape((-1, *(part.shape[i] for i in order[-2:])))
        strips.append(part[:, ::step, ::step])
    return np.concatenate(strips, axis=1)


def read_labels(
    labels: Picturable,
    image: Picturable,
    *,
    frame: Frame,
    shown: tuple[int, int],
    at: tuple[int, ...],
    pixels: tuple[int, int],
) -> NDArray[Any]:
    """Return the label under the centre of every pixel of a panel of `image`; 0 where `labels` has no voxel.

    Points are matched by world coordinates, so labels may have their own voxel size, origin and levels.
    """
    own = frame_of(labels)
    if len(own.space) != len(frame.space):
        raise InputError(
            f"labels have {len(own.space)} axes of space, the image has {len(frame.space)}",
            code=Code.AXES_MISMATCH,
            fix="give labels of the same specimen, with the same axes",
        )
    shape = labels.level(0).shape
    index = [np.zeros(1, np.float64)] * len(shape)  # at level 0 of the labels
    wanted = []
    for k, axis in enumerate(own.space):
        n = pixels[shown.index(k)] if k in shown else 1
        cut = np.array([at[k]], np.float64)
        across = np.linspace(-0.5, frame.counts[k] - 0.5, 2 * n + 1, dtype=np.float64)[1::2]  # pixel centres
        where = across if k in shown else cut
        index[axis] = _label_index(labels, axis, _world(image, frame.space[k], where, labels.axes[axis]))
        spread = abs(float(index[axis][-1] - index[axis][0])) + 1.0
        wanted.append(math.ceil(n * shape[axis] / spread) if k in shown else 1)
    level = best_level(labels, own, tuple(wanted))
    picks = [_at_level(labels, axis, level, i) for axis, i in enumerate(index)]
    v, h = own.space[shown[0]], own.space[shown[1]]
    out = np.zeros(pixels, labels.read(Box((0,) * len(shape), (0,) * len(shape)), level=level).dtype)
    rows = _rows_per_strip(picks, v, h)
    for first in range(0, pixels[0], rows):
        part = [p[first : first + rows] if axis == v else p for axis, p in enumerate(picks)]
        _pick(labels, level, part, (v, h), out[first : first + rows])
    return out


def _rows_per_strip(picks: list[NDArray[np.int64]], v: int, h: int) -> int:
    """Return how many rows of pixels to look up at once, so that a bounded number of voxels is read."""
    width = int(np.ptp(picks[h])) + 1
    height = (int(np.ptp(picks[v])) + 1) / len(picks[v])
    return max(1, int(_STRIP / (width * max(height, 1e-9))))


def _pick(
    labels: Picturable, level: int, picks: list[NDArray[np.int64]], shown: tuple[int, int], out: NDArray[Any]
) -> None:
    """Write the labels at the given indices of every axis; those outside are left as they are."""
    shape = labels.level(level).shape
    valid = [(i >= 0) & (i < n) for i, n in zip(picks, shape, strict=True)]
    if not all(m.any() for m in valid):
        return
    kept = [i[m] for i, m in zip(picks, valid, strict=True)]
    low = tuple(int(i.min()) for i in kept)
    high = tuple(int(i.max()) + 1 for i in kept)
    block = labels.read(Box.from_bounds(low, high), level=level)
    picked = block[np.ix_(*(i - a for i, a in zip(kept, low, strict=True)))]
    v, h = shown
    rest = [i for i in range(picked.ndim) if i not in shown]
    out[np.ix_(valid[v], valid[h])] = picked.transpose([*rest, v, h]).reshape(len(kept[v]), len(kept[h]))


def _at_level(labels: Picturable, axis: int, level: int, index: NDArray[np.float64]) -> NDArray[np.int64]:
    s0, t0 = labels.scale_translation(0)
    s, t = labels.scale_translation(level)
    return np.floor((index * s0[axis] + t0[axis] - t[axis]) / s[axis] + 0.5).astype(np.int64)


def _world(image: Picturable, axis: int, index: NDArray[np.float64], into: Axis) -> NDArray[np.float64]:
    """Return world coordinates of indices at level 0, in the unit of another axis where both have one."""
    scale, translation = image.scale_translation(0)
    unit = image.axes[axis].unit
    factor = unit_factor(unit, into.unit) if unit is not None and into.unit is not None else 1.0
    return (index * scale[axis] + translation[axis]) * factor


def _label_index(labels: Picturable, axis: int, world: NDArray[np.float64]) -> NDArray[np.float64]:
    scale, translation = labels.scale_translation(0)
    return (world - translation[axis]) / scale[axis]
