"""The pyramid that an image has, as steps that say where each level's voxels are; and the levels it lacks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from voxarium.conversion.options import ConvertOptions, described_axes, per_space_axis
from voxarium.core.image import Image
from voxarium.errors import InputError
from voxarium.model.image import Role
from voxarium.model.transforms import scale_translation
from voxarium.pyramid import Method, check_method, default_method, level_offset, level_shape, plan_factors

__all__ = ["OwnPyramid", "own_pyramid"]

_WHOLE = 1e-4  # how far a ratio of scales may be from a whole number: they are written with few digits
_PLACED = 1e-3  # voxels


@dataclass(frozen=True, slots=True)
class OwnPyramid:
    """What an image's levels are to each other.

    Parameters
    ----------
    steps : tuple of tuple of int
        Factors from each level to the next, in stored axis order: first those of stored levels, then further ones.
    stored : int
        How many levels can be read as they are; all others are made.
    method : Method
        How coarser levels were made, as far as their places tell, and how further ones are made.
    """

    steps: tuple[tuple[int, ...], ...]
    stored: int
    method: Method


def own_pyramid(image: Image, options: ConvertOptions, *, longest: int) -> OwnPyramid:
    """Return the pyramid of an image, continued until the coarsest level is no longer than `longest` along any axis.

    Stored levels count as far as each is exactly some steps of whole factors away from level 0, and lies where the
    method of the others puts it: a level that is elsewhere would be shown elsewhere.
    """
    role = options.role or image.info.role
    stated = _stated_method(options.method or image.info.method, role)
    method = stated or default_method(role)
    steps = _stored_steps(image, method)
    if not steps and stated is None and len(image.levels) > 1:
        strided = _stored_steps(image, Method.STRIDE)
        if strided:
            method, steps = Method.STRIDE, strided
    shape = image.arrays[len(steps)].shape
    further: list[tuple[int, ...]] = []
    if 0 not in shape:
        axes = described_axes(image.axes, image.info.axes_stated, options.axes, options.unit)
        found = scale_translation(image.levels[len(steps)].transform, image.ndim)
        own = tuple(abs(s) for s in found[0]) if found is not None else (1.0,) * image.ndim
        told = per_space_axis(options.voxel_size, axes, "voxel_size") if not steps else (None,) * image.ndim
        sizes = tuple(float(s if t is None else t) for s, t in zip(own, told, strict=True))
        usable = tuple(s if np.isfinite(s) and s > 0 else 1.0 for s in sizes)
        kinds = tuple(axis.type for axis in axes)
        if "space" in kinds:
            further = plan_factors(shape, kinds, usable, stop_size=longest)
    return OwnPyramid((*steps, *further), len(steps) + 1, method)


def _stated_method(name: str | None, role: Role) -> Method | None:
    """Return the method that is stated, where it is one of ours and fits the role."""
    try:
        return None if name is None else check_method(name, role)
    except InputError:
        return None


def _stored_steps(image: Image, method: Method) -> tuple[tuple[int, ...], ...]:
    """Return the factors from level to level, as far as stored levels follow a method's geometry."""
    steps: list[tuple[int, ...]] = []
    before = scale_translation(image.levels[0].transform, image.ndim)
    for level, finer, coarser in zip(image.levels[1:], image.arrays, image.arrays[1:], strict=False):
        after = scale_translation(level.transform, image.ndim)
        if before is None or after is None or coarser.dtype != finer.dtype:
            break
        ratio = np.array(after[0]) / np.array(before[0])
        factors = np.rint(ratio)
        if not np.all(np.isfinite(ratio)) or np.any(factors < 1) or np.any(abs(ratio - factors) > _WHOLE * factors):
            break
        step = tuple(int(f) for f in factors)
        offset = np.array(level_offset(step, method)) * np.array(before[0])
        placed = np.array(before[1]) + offset
        if np.any(abs(placed - np.array(after[1])) > _PLACED * abs(np.array(before[0]))):
            break
        if level_shape(finer.shape, step) != coarser.shape or max(step) == 1:
            break
        steps.append(step)
        before = after
    return tuple(steps)
