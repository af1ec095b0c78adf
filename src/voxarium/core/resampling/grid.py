"""The grid of the target, and the chain of transforms from its voxels to the world of the source."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.core.image import Image
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import Axis, unit_factor
from voxarium.model.transforms import Affine, Identity, MapAxis, Scale, Sequence, Transform, Translation

__all__ = ["Grid", "grid_of_level", "grid_of_voxels", "same_place", "space_axes", "space_transform"]

_LONGEST: Final = 2**40
_LATTICE: Final = 17
_ROUNDING: Final = 1e-6
MOST_SPACE: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """Where the voxels of the target lie.

    Parameters
    ----------
    axes : tuple of Axis
        Space axes only.
    shape : tuple of int
        Voxels along each.
    transform : Transform
        Voxel centre → world of the target.
    world : str
        Name of that world.
    """

    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    transform: Transform
    world: str = "physical"


def space_axes(image: Image) -> tuple[int, ...]:
    """Return which axes of an image are space.

    Raises
    ------
    InputError
        If nobody says what the axes are, or none is space.
    UnsupportedError
        If there are more than three.
    """
    if not image.info.axes_stated:
        raise InputError(
            f"{image.name} does not say what its {image.ndim} axes are",
            code=Code.AXES_UNKNOWN,
            fix="name them in stored order, such as axes='zyx' (--axes zyx)",
        )
    found = tuple(i for i, a in enumerate(image.axes) if a.type == "space")
    if not found:
        raise InputError(
            f"{image.name} has no space axis", code=Code.AXES_MISMATCH, fix="name its axes, such as axes='zyx'"
        )
    if len(found) > MOST_SPACE:
        raise UnsupportedError(
            f"{image.name} has {len(found)} space axes",
            code=Code.FEATURE_UNSUPPORTED,
            fix="resampling takes up to three",
        )
    return found


def space_transform(image: Image, level: int) -> Transform:
    """Return the transform of a level, voxel centre → world, for its space axes alone.

    Raises
    ------
    UnsupportedError
        If it is not affine, or space depends on time or channel.
    """
    image.level(level)
    axes = space_axes(image)
    matrix = image.levels[level].transform.matrix(image.ndim)
    others = [i for i in range(image.ndim) if i not in axes]
    if matrix.shape[0] != image.ndim or matrix[np.ix_(axes, others)].any():
        raise UnsupportedError(
            f"the place of {image.name} in space depends on its other axes",
            code=Code.FEATURE_UNSUPPORTED,
            fix="resample one time point or channel at a time",
        )
    part = matrix[np.ix_(axes, (*axes, image.ndim))]
    return Affine(tuple(map(tuple, part.tolist())))


def grid_of_level(image: Image, level: int = 0) -> Grid:
    """Return the grid of a level of an image."""
    axes = space_axes(image)
    return Grid(
        axes=tuple(image.axes[i] for i in axes),
        shape=tuple(image.level(level).shape[i] for i in axes),
        transform=space_transform(image, level),
        world=image.info.world,
    )


def same_place(source: tuple[Axis, ...], target: tuple[Axis, ...]) -> Transform:
    """Return the transform between two worlds that are the same place: axes by name, units converted.

    Raises
    ------
    InputError
        If the axes have different names, or units cannot be compared.
    """
    names = [a.name for a in source]
    if sorted(names) != sorted(a.name for a in target):
        raise InputError(
            f"the axes {', '.join(names)} of the source are not {', '.join(a.name for a in target)}",
            code=Code.AXES_MISMATCH,
            fix="give a transform from the source's axes to those of the target",
        )
    order = tuple(names.index(a.name) for a in target)
    factors = []
    for axis, i in zip(target, order, strict=True):
        unit = source[i].unit
        if (unit is None) != (axis.unit is None):
            raise InputError(
                f"the unit of {axis.name} is {unit} in the source and {axis.unit} in the target",
                code=Code.UNIT_UNKNOWN,
                fix="state the source's unit, or give a transform",
            )
        factors.append(1.0 if unit is None or axis.unit is None else unit_factor(unit, axis.unit))
    steps: list[Transform] = []
    if order != tuple(range(len(order))):
        steps.append(MapAxis(order))
    if set(factors) != {1.0}:
        steps.append(Scale(tuple(factors)))
    return Sequence(tuple(steps)) if steps else Identity()


def mapped_bounds(grid: Grid, transform: Transform) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the bounding box of a grid's voxels, faces included, after a transform; a lattice stands for all points.

    Raises
    ------
    InputError
        If the transform maps a point to nowhere.
    """
    whole = grid.transform.then(transform)
    try:
        whole.matrix(len(grid.shape))
        ticks = [np.array([-0.5, n - 0.5]) for n in grid.shape]
    except UnsupportedError:
        ticks = [np.linspace(-0.5, n - 0.5, _LATTICE) for n in grid.shape]
    points = whole.apply(np.array(list(itertools.product(*ticks))))
    if not np.isfinite(points).all():
        raise InputError(
            "the transform leads some of the source nowhere",
            code=Code.TRANSFORM_INVALID,
            fix="give the region of the target as box, or a grid to lie on with like",
        )
    return points.min(axis=0), points.max(axis=0)


def grid_of_voxels(
    axes: tuple[Axis, ...],
    voxel_size: tuple[float, ...],
    bounds: Mapping[str, tuple[float, float]],
    world: str = "physical",
) -> Grid:
    """Return the grid of voxels of a size that covers a region of the world.

    Parameters
    ----------
    axes : tuple of Axis
        Space axes.
    voxel_size : tuple of float
        One per axis.
    bounds : mapping of str to (float, float)
        Region by axis name: from the face of the first voxel; the last one reaches the end or beyond it.

    Raises
    ------
    InputError
        If sizes or bounds make no grid.

    Examples
    --------
    >>> grid_of_voxels((Axis(name="x", type="space"),), (2.0,), {"x": (-0.5, 9.5)}).shape
    (5,)
    """
    shape, first = [], []
    for axis, size in zip(axes, voxel_size, strict=True):
        low, high = bounds[axis.name]
        if not (math.isfinite(size) and size > 0):
            raise InputError(
                f"voxel size {size} along {axis.name} is not positive",
                code=Code.ARGUMENT_INVALID,
                fix="give physical sizes such as 8,8,8",
            )
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise InputError(
                f"the box from {low:g} to {high:g} along {axis.name} is empty",
                code=Code.ARGUMENT_INVALID,
                fix="give the smaller bound first",
            )
        count = max(math.ceil((high - low) / size - _ROUNDING), 1) if (high - low) / size <= _LONGEST else _LONGEST + 1
        if count > _LONGEST:
            raise InputError(
                f"voxels of {size:g} along {axis.name} make {(high - low) / size:.3g} of them",
                code=Code.SIZE_IMPLAUSIBLE,
                fix="check the voxel size and its unit",
            )
        shape.append(count)
        first.append(_rounded(low + size / 2))
    transform = Sequence((Scale(voxel_size), Translation(tuple(first))))
    return Grid(axes=axes, shape=tuple(shape), transform=transform, world=world)


def _rounded(value: float) -> float:
    """Return a number without the noise of its last digits, if that is all the difference."""
    short = float(f"{value:.14g}")
    return short if abs(short - value) <= 1e-14 * abs(value) else value
