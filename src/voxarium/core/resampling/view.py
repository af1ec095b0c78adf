"""`resampled`: an image on another grid, as a virtual image."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence as Values
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from voxarium.core.image import Image
from voxarium.core.resampling.array import Mapping, ResampledArray
from voxarium.core.resampling.grid import (
    Grid,
    grid_of_level,
    grid_of_voxels,
    mapped_bounds,
    same_place,
    space_axes,
    space_transform,
)
from voxarium.core.resampling.options import ResampleOptions, checked_interpolation
from voxarium.core.resampling.positions import Positions, Straight, positions_of
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.array_specs import checked_fill
from voxarium.model.axes import Axis
from voxarium.model.image import ArrayInfo, ArraySpec, LevelInfo
from voxarium.model.transforms import Affine, Identity, Transform

__all__ = ["like_image", "resampled"]

_CHUNK: Final = 64
_COARSE: Final = 2.0  # samples so many voxels apart miss detail that is worth a warning
_EVEN: Final = 1e-6


def resampled(image: Image, options: ResampleOptions) -> Image:
    """Return an image on another grid. Nothing is read; voxels are computed when they are.

    Parameters
    ----------
    image : Image
        The source. Its time and channel axes pass through.
    options : ResampleOptions
        The grid, the way to it, and how to interpolate.

    Raises
    ------
    InputError
        If the choices contradict each other or do not fit the image.
    UnsupportedError
        If a transform has no inverse and none was given.
    """
    space = space_axes(image)
    interpolation = checked_interpolation(options.interpolation, image.role)
    way = _way(image, options)
    level = _chosen_level(image, way, options.level)
    source = image.arrays[level]
    positions = way.positions(image, level)
    shape, axes, slots = _target_axes(image, space, way.grid)
    fill = checked_fill(_spec(shape, source.dtype, options.fill_value), source.dtype)
    transform = _whole_transform(image, space, way.grid, slots)
    info = ArrayInfo(
        format="resampled",
        shape=shape,
        dtype=source.dtype,
        chunk_shape=_chunk_shape(shape, slots, source.info, space),
        contiguous=True,
        fill_value=fill,
        axes=axes,
        transform=transform,
        remarks=(*source.info.remarks, *_remarks(image, level, interpolation, (way, positions))),
    )
    mapping = Mapping(
        source=source,
        source_space=space,
        target_space=slots,
        positions=positions,
        interpolation=interpolation,
        memory=options.memory,
    )
    digest = hashlib.sha256(
        repr([level, interpolation, fill.tobytes(), shape, transform, _told(positions, way)]).encode()
    ).hexdigest()[:16]
    path = "/".join(p for p in (source.path, f"resampled-{digest}") if p)
    array = ResampledArray(mapping, path, info)
    told = replace(
        image.info,
        axes=axes,
        levels=(LevelInfo(path=image.levels[level].path, array=info, transform=transform),),
        world=way.grid.world,
        axes_stated=True,
        systems=(),
        edges=(),
        labels=(),
        method=None,
    )
    return Image(image.store, image.path, told, (array,))


def like_image(like: Image | str | os.PathLike[str]) -> tuple[Image, int]:
    """Return an image to take the grid of, and which of its levels; an address may end with ``@level``."""
    if isinstance(like, Image):
        return like, 0
    from voxarium.core.opening import open_one

    text = os.fspath(like)
    address, mark, tail = text.rpartition("@")
    if mark and tail.isascii() and tail.isdigit() and len(tail) < 4:
        return open_one(address), int(tail)
    return open_one(text), 0


@dataclass(frozen=True, slots=True)
class _Way:
    """The grid of the target, and the way from its world to that of the source."""

    grid: Grid
    back: Transform

    def positions(self, image: Image, level: int) -> Positions:
        """Return where the target's voxels lie in a level of the source."""
        into = space_transform(image, level).inverse()
        chain = self.grid.transform.then(self.back).then(into)
        return positions_of(chain, self.grid.shape, len(space_axes(image)))


def _way(image: Image, options: ResampleOptions) -> _Way:
    source = grid_of_level(image)
    if (options.like is None) == (options.voxel_size is None):
        raise InputError(
            "the grid of the target is not known" if options.like is None else "the grid of the target is given twice",
            code=Code.ARGUMENT_INVALID,
            fix="give either an image whose grid to use (like) or a voxel size",
        )
    if options.like is not None:
        if options.box is not None:
            raise InputError(
                "a box and the grid of another image were given",
                code=Code.ARGUMENT_INVALID,
                fix="leave out the box, or give a voxel size instead of the image",
            )
        grid = grid_of_level(*like_image(options.like))
        stated = options.transform is not None or options.inverse is not None
        forward = options.transform if stated else same_place(source.axes, grid.axes)
        return _Way(grid, _backward(forward, options.inverse))
    back = _backward(options.transform or Identity(), options.inverse)
    sizes = _per_axis(options.voxel_size, source.axes)
    return _Way(_grid_around(source, sizes, (options, back)), back)


def _backward(forward: Transform | None, inverse: Transform | None) -> Transform:
    """Return the transform from the target's world to the source's."""
    if inverse is not None:
        return inverse
    if forward is None:  # the callers give one of them
        return Identity()
    try:
        return forward.inverse()
    except UnsupportedError as error:
        raise UnsupportedError(
            error.message,
            code=error.code,
            fix="give its inverse, from the target's world to the source's, as inverse (--inverse-transform); "
            "voxarium.model.approximate makes one by iteration",
        ) from error


def _grid_around(source: Grid, sizes: tuple[float, ...], way: tuple[ResampleOptions, Transform]) -> Grid:
    """Return the grid of voxels of a size over the given box, or over where the source comes to lie."""
    options, back = way
    names = [a.name for a in source.axes]
    box = {k: (float(v[0]), float(v[1])) for k, v in (options.box or {}).items()}
    unknown = sorted(set(box) - set(names))
    if unknown:
        raise InputError(
            f"the box names the axis {', '.join(unknown)}",
            code=Code.AXES_MISMATCH,
            fix=f"the space axes are {', '.join(names)}",
        )
    if len(box) < len(names):
        try:
            forward = back.inverse() if options.transform is None else options.transform
            low, high = mapped_bounds(source, forward)
        except UnsupportedError as error:
            raise InputError(
                "where the source comes to lie is not known: its transform was given in the other direction only",
                code=Code.ARGUMENT_INVALID,
                fix="give the region of the target as box, for every space axis",
            ) from error
        if len(low) != len(names):
            raise InputError(
                f"the transform leads from {len(names)} axes to {len(low)}",
                code=Code.AXES_MISMATCH,
                fix="take the grid of another image with like",
            )
        box = {n: box.get(n, (float(a), float(b))) for n, a, b in zip(names, low, high, strict=True)}
    return grid_of_voxels(source.axes, sizes, box, source.world)


def _per_axis(given: Values[float] | float | None, axes: tuple[Axis, ...]) -> tuple[float, ...]:
    values = (float(given),) if isinstance(given, (int, float)) else tuple(map(float, given or ()))
    if len(values) == 1:
        values *= len(axes)
    if len(values) != len(axes):
        raise InputError(
            f"the voxel size has {len(values)} values for {len(axes)} space axes",
            code=Code.AXES_MISMATCH,
            fix=f"give one value for all, or {len(axes)} in the order {','.join(a.name for a in axes)}",
        )
    return values


# ------------------------------------------------------------------------------------------------------------ level
def _chosen_level(image: Image, way: _Way, asked: int | None) -> int:
    """Return the coarsest level whose voxels are not larger than the target's, along every axis it reduces."""
    if asked is not None:
        image.level(asked)
        return asked
    finest = _sizes(image, 0)
    for level in range(len(image.arrays) - 1, 0, -1):
        reduced = _sizes(image, level) > finest * (1 + _EVEN)
        steps = way.positions(image, level).steps(way.grid.shape)[3 - len(finest) :]
        if (steps[reduced] >= 1 - _EVEN).all():
            return level
    return 0


def _sizes(image: Image, level: int) -> Any:  # Any: an array of floats
    return np.linalg.norm(space_transform(image, level).matrix(len(space_axes(image)))[:, :-1], axis=0)


def _remarks(image: Image, level: int, interpolation: str, way: tuple[_Way, Positions]) -> tuple[str, ...]:
    (chosen, positions), space = way, space_axes(image)
    sizes = " × ".join(f"{s:.6g}" for s in _sizes(image, level))
    unit = f" {image.unit}" if image.unit else ""
    lines = [f"resampled by {interpolation} interpolation from level {level} of the source (voxels of {sizes}{unit})"]
    steps = positions.steps(chosen.grid.shape)[3 - len(space) :]
    far = [f"{s:.3g} along {image.axes[i].name}" for s, i in zip(steps, space, strict=True) if s >= _COARSE - _EVEN]
    if far:
        lines.append(
            f"samples lie {', '.join(far)} voxels of level {level} apart: finer detail is skipped, not averaged; "
            "convert the source first, with levels"
        )
    return tuple(lines)


def _told(positions: Positions, way: _Way) -> str:
    """Return what decides the positions."""
    if isinstance(positions, Straight):
        return repr(positions.matrix.tolist())
    return repr((way.grid.transform, way.back))


# ------------------------------------------------------------------------------------------------------------- axes
def _spec(shape: tuple[int, ...], dtype: np.dtype[Any], fill: Any) -> ArraySpec:
    return ArraySpec(shape=shape, dtype=dtype, chunk_shape=(1,) * len(shape), fill_value=fill)


def _target_axes(
    image: Image, space: tuple[int, ...], grid: Grid
) -> tuple[tuple[int, ...], tuple[Axis, ...], tuple[int, ...]]:
    """Return shape and axes of the target, and which of them are space: they stand where the source has them."""
    shape: list[int] = []
    axes: list[Axis] = []
    for i, axis in enumerate(image.axes):
        if i not in space:
            shape.append(image.shape[i])
            axes.append(axis)
        elif i == space[-1] or len(grid.axes) == len(space):
            first = space.index(i) if len(grid.axes) == len(space) else 0
            last = first + 1 if len(grid.axes) == len(space) else len(grid.axes)
            shape.extend(grid.shape[first:last])
            axes.extend(grid.axes[first:last])
    slots = tuple(i for i, a in enumerate(axes) if a.type == "space")
    return tuple(shape), tuple(axes), slots


def _whole_transform(image: Image, space: tuple[int, ...], grid: Grid, slots: tuple[int, ...]) -> Transform:
    """Return the transform of the target: of the grid in space, of the source for the other axes."""
    outer_source = [i for i in range(image.ndim) if i not in space]
    ndim = len(outer_source) + len(slots)
    outer_target = [i for i in range(ndim) if i not in slots]
    matrix = np.zeros((ndim, ndim + 1))
    matrix[np.ix_(slots, (*slots, ndim))] = grid.transform.matrix(len(grid.shape))
    own = image.levels[0].transform.matrix(image.ndim)
    matrix[np.ix_(outer_target, (*outer_target, ndim))] = own[np.ix_(outer_source, (*outer_source, image.ndim))]
    return Affine(tuple(map(tuple, matrix.tolist())))


def _chunk_shape(
    shape: tuple[int, ...], slots: tuple[int, ...], source: ArrayInfo, space: tuple[int, ...]
) -> tuple[int, ...]:
    """Return how to read on: cubes in space, and as much of the other axes as the source stores together."""
    outer = [source.chunk_shape[i] for i in range(source.ndim) if i not in space]
    edge = _CHUNK if len(slots) > 2 else math.isqrt(_CHUNK**3)
    wanted = [edge if i in slots else outer.pop(0) for i in range(len(shape))]
    return tuple(max(1, min(n, w)) for n, w in zip(shape, wanted, strict=True))
