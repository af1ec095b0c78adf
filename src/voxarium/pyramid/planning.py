"""Which factors the steps of a pyramid have, and how many steps there are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from voxarium.errors import Code, InputError
from voxarium.pyramid.geometry import checked_factors, level_shape

__all__ = ["STOP_SIZE", "plan_factors"]

STOP_SIZE: Final = 64
_ISOTROPY: Final = math.sqrt(2.0) * (1 + 1e-9)  # the tolerance keeps exact ratios on the near side of rounding
_MAX_LEVELS: Final = 64


def plan_factors(
    shape: Sequence[int],
    axis_types: Sequence[str],
    voxel_size: Sequence[float] | None = None,
    *,
    levels: int | None = None,
    factors: Sequence[int] | Sequence[Sequence[int]] | None = None,
    stop_size: int = STOP_SIZE,
) -> list[tuple[int, ...]]:
    """Return the factors of each step of a pyramid; one step fewer than levels.

    Without `factors`, each step halves those space axes whose voxel size is at most √2 times the smallest
    among the axes that can still be halved: anisotropic voxels become nearly cubic first, then all axes are
    halved together. Other axes, and axes of length 1, are left alone. Without `levels`, steps are added until
    the longest axis that they reduce fits into `stop_size` voxels.

    Parameters
    ----------
    shape : sequence of int
        Voxels along each axis of level 0.
    axis_types : sequence of str
        Type of each axis: space, time, channel …
    voxel_size : sequence of float or None
        Of each axis; those of space in one unit. None: cubic.
    levels : int or None
        How many levels to make, level 0 included.
    factors : sequence
        One factor per axis, or per space axis, for all steps; or a sequence of such, one per step.
    stop_size : int
        Length that needs no further level: that of a chunk.

    Raises
    ------
    InputError
        If the arguments contradict each other, or more levels are asked for than can differ.

    Examples
    --------
    >>> plan_factors((1000, 4000, 4000), ("space",) * 3, (40.0, 4.0, 4.0), levels=6)
    [(1, 2, 2), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2)]
    """
    sizes = _checked_sizes(shape, axis_types, voxel_size)
    if stop_size < 1 or (levels is not None and not 1 <= levels <= _MAX_LEVELS):
        raise InputError(
            f"levels={levels} and stop_size={stop_size} are out of range",
            code=Code.ARGUMENT_INVALID,
            fix=f"ask for 1 to {_MAX_LEVELS} levels and a stop size of at least 1",
        )
    space = [t == "space" for t in axis_types]
    if factors is not None and any(isinstance(f, Sequence) for f in factors):
        return _listed_steps(tuple(shape), [_full_step(f, axis_types) for f in factors], levels)
    repeated = None if factors is None else _repeated_step(factors, axis_types)
    watched = space if repeated is None else [f > 1 for f in repeated]
    current, steps = tuple(shape), list[tuple[int, ...]]()
    while levels is None or len(steps) < levels - 1:
        longest = max((n for n, ok in zip(current, watched, strict=True) if ok), default=0)
        if levels is None and longest <= stop_size:
            break
        if longest <= 1:
            raise InputError(
                f"an image of shape {tuple(shape)} has no more than {len(steps) + 1} levels, not {levels}",
                code=Code.ARGUMENT_INVALID,
                fix=f"ask for at most {len(steps) + 1} levels",
            )
        step = _next_step(current, sizes, space, repeated)
        steps.append(step)
        sizes = tuple(s * f for s, f in zip(sizes, step, strict=True))
        current = level_shape(current, step)
    return steps


def _checked_sizes(
    shape: Sequence[int], axis_types: Sequence[str], voxel_size: Sequence[float] | None
) -> tuple[float, ...]:
    sizes = tuple(float(s) for s in voxel_size) if voxel_size is not None else (1.0,) * len(shape)
    if not len(shape) == len(axis_types) == len(sizes):
        raise InputError(
            f"{len(shape)} lengths, {len(axis_types)} axis types and {len(sizes)} voxel sizes",
            code=Code.AXES_MISMATCH,
            fix="give one of each per axis",
        )
    if any(t == "space" and not (math.isfinite(s) and s > 0) for t, s in zip(axis_types, sizes, strict=True)):
        raise InputError(
            f"voxel size {sizes} is not a size",
            code=Code.VOXEL_SIZE_UNKNOWN,
            fix="give a positive size for every space axis, or none at all",
        )
    return sizes


def _repeated_step(factors: Sequence[Any], axis_types: Sequence[str]) -> tuple[int, ...]:
    step = _full_step(factors, axis_types)
    if all(f == 1 for f in step):
        raise InputError(
            "factors of 1 on every axis make no level smaller",
            code=Code.ARGUMENT_INVALID,
            fix="give a factor of at least 2 on one axis, or ask for levels=1",
        )
    return step


def _full_step(row: Any, axis_types: Sequence[str]) -> tuple[int, ...]:
    if not isinstance(row, Sequence):
        raise InputError(
            "factors mix numbers and rows of numbers",
            code=Code.ARGUMENT_INVALID,
            fix="give one row for all steps, or a list of rows, one per step",
        )
    space = [i for i, t in enumerate(axis_types) if t == "space"]
    if len(row) == len(space) != len(axis_types):
        values = checked_factors(row, len(space))
        return tuple(values[space.index(i)] if i in space else 1 for i in range(len(axis_types)))
    step = checked_factors(row, len(axis_types))
    if any(f > 1 and t == "channel" for f, t in zip(step, axis_types, strict=True)):
        raise InputError(
            f"factors {step} would mix channels",
            code=Code.ARGUMENT_INVALID,
            fix="use factor 1 on the channel axis",
        )
    return step


def _listed_steps(shape: tuple[int, ...], given: list[tuple[int, ...]], levels: int | None) -> list[tuple[int, ...]]:
    if levels is not None and levels - 1 != len(given):
        raise InputError(
            f"{len(given)} steps of factors make {len(given) + 1} levels, not {levels}",
            code=Code.ARGUMENT_INVALID,
            fix="leave out levels, or give one step fewer than levels",
        )
    steps = []
    for step in given:
        steps.append(tuple(f if n > 1 else 1 for f, n in zip(step, shape, strict=True)))
        shape = level_shape(shape, steps[-1])
    return steps


def _next_step(
    shape: tuple[int, ...], sizes: tuple[float, ...], space: list[bool], repeated: tuple[int, ...] | None
) -> tuple[int, ...]:
    if repeated is not None:
        return tuple(f if n > 1 else 1 for f, n in zip(repeated, shape, strict=True))
    candidates = [s for n, s, ok in zip(shape, sizes, space, strict=True) if ok and n > 1]
    limit = min(candidates, default=0.0) * _ISOTROPY
    return tuple(2 if ok and n > 1 and s <= limit else 1 for n, s, ok in zip(shape, sizes, space, strict=True))
