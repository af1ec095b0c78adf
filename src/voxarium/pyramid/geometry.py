"""Geometry of pyramids: sizes, factors, and where the voxels of each level are. Pure arithmetic, exact."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from voxarium.errors import Code, InputError
from voxarium.model.box import Box

__all__ = [
    "LevelGeometry",
    "checked_factors",
    "downsampled_box",
    "level_offset",
    "level_shape",
    "level_transform",
    "plan_levels",
    "source_box",
    "split_boxes",
]


def checked_factors(factors: Sequence[int], ndim: int) -> tuple[int, ...]:
    """Return factors as a tuple of integers, one per axis, each at least 1.

    Raises
    ------
    InputError
        If they are not.
    """
    try:
        steps = tuple(operator.index(f) for f in factors)
    except TypeError:
        steps = ()
    if len(steps) != ndim or len(steps) != len(factors) or any(f < 1 for f in steps):
        raise InputError(
            f"factors {factors!r} do not fit an array with {ndim} axes",
            code=Code.ARGUMENT_INVALID,
            fix="give one whole number of at least 1 per axis",
        )
    return steps


def level_shape(shape: Sequence[int], factors: Sequence[int]) -> tuple[int, ...]:
    """Return the shape after one downsampling step: ``ceil(n / f)``, so that no voxel is dropped.

    Examples
    --------
    >>> level_shape((5, 67, 64), (1, 2, 2))
    (5, 34, 32)
    """
    return tuple(-(-n // f) for n, f in zip(shape, checked_factors(factors, len(shape)), strict=True))


def level_offset(factors: Sequence[int], method: str) -> tuple[float, ...]:
    """Return where a step puts the centre of result voxel 0, in source voxels from the centre of source voxel
    0.

    Examples
    --------
    >>> level_offset((1, 2, 4), "mean"), level_offset((1, 2, 4), "stride")
    ((0.0, 0.5, 1.5), (0.0, 0.0, 0.0))
    """
    return tuple(0.0 if method == "stride" else (f - 1) / 2 for f in factors)


def level_transform(
    base_scale: Sequence[float],
    base_translation: Sequence[float],
    steps: Sequence[Sequence[int]],
    method: str,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return scale and translation of the level that these steps lead to.

    Each step of factor f multiplies the scale by f and moves voxel 0 by ``(f - 1) / 2`` voxels of the level
    before (stride: by none). The steps are summed as fractions and rounded once.

    Parameters
    ----------
    base_scale, base_translation : sequence of float
        Of level 0: the world position of voxel centre i is ``scale * i + translation``.
    steps : sequence of sequences of int
        Factors from each level to the next, from level 0 on.
    method : str
        Downsampling method.

    Examples
    --------
    >>> level_transform((40.0, 4.0), (0.0, 10.0), [(1, 2), (2, 2)], "mean")
    ((80.0, 16.0), (20.0, 16.0))
    """
    scales, translations = [], []
    for axis, (scale, translation) in enumerate(zip(base_scale, base_translation, strict=True)):
        total = math.prod(step[axis] for step in steps)
        # The sum of (f_l - 1) / 2 · f_1 · … · f_(l-1) over all steps telescopes to (f_1 · … · f_n - 1) / 2.
        moved = Fraction(0) if method == "stride" else Fraction(total - 1, 2)
        scales.append(float(Fraction(scale) * total))
        translations.append(float(Fraction(translation) + Fraction(scale) * moved))
    return tuple(scales), tuple(translations)


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelGeometry:
    """One level of a planned pyramid.

    Parameters
    ----------
    shape : tuple of int
        Voxels along each axis.
    step : tuple of int
        Factors from the level before; all 1 for level 0.
    factors : tuple of int
        Factors from level 0.
    scale, translation : tuple of float
        World position of voxel centre i: ``scale * i + translation``.
    """

    shape: tuple[int, ...]
    step: tuple[int, ...]
    factors: tuple[int, ...]
    scale: tuple[float, ...]
    translation: tuple[float, ...]


def plan_levels(
    shape: Sequence[int],
    steps: Sequence[Sequence[int]],
    *,
    base_scale: Sequence[float] | None = None,
    base_translation: Sequence[float] | None = None,
    method: str = "mean",
) -> tuple[LevelGeometry, ...]:
    """Return the geometry of every level, level 0 included.

    Examples
    --------
    >>> [(g.shape, g.scale, g.translation) for g in plan_levels((5, 67), [(1, 2), (2, 2)])]
    [((5, 67), (1.0, 1.0), (0.0, 0.0)), ((5, 34), (1.0, 2.0), (0.0, 0.5)), ((3, 17), (2.0, 4.0), (0.5, 1.5))]
    """
    ndim = len(shape)
    scale0 = tuple(base_scale) if base_scale is not None else (1.0,) * ndim
    translation0 = tuple(base_translation) if base_translation is not None else (0.0,) * ndim
    levels: list[LevelGeometry] = []
    current, factors = tuple(shape), (1,) * ndim
    done: list[tuple[int, ...]] = []
    for raw in [(1,) * ndim, *steps]:
        step = checked_factors(raw, ndim)
        done.append(step)
        current = level_shape(current, step)
        factors = tuple(a * b for a, b in zip(factors, step, strict=True))
        scale, translation = level_transform(scale0, translation0, done, method)
        levels.append(LevelGeometry(shape=current, step=step, factors=factors, scale=scale, translation=translation))
    return tuple(levels)


# ----------------------------------------------------------------------------------------------------- blocks
def downsampled_box(box: Box, factors: Sequence[int]) -> Box:
    """Return the result voxels whose windows begin in `box`, which must begin at multiples of the factors.

    Raises
    ------
    InputError
        If it does not.

    Examples
    --------
    >>> downsampled_box(Box((4, 64), (3, 65)), (2, 2))
    Box(origin=(2, 32), shape=(2, 33))
    """
    steps = checked_factors(factors, box.ndim)
    if any(o % f for o, f in zip(box.origin, steps, strict=True)):
        raise InputError(
            f"a box that begins at {box.origin} cuts windows of {steps}",
            code=Code.CHUNK_MISALIGNED,
            fix="begin boxes at multiples of the factors",
        )
    return Box(tuple(o // f for o, f in zip(box.origin, steps, strict=True)), level_shape(box.shape, steps))


def source_box(
    box: Box, factors: Sequence[int], shape: Sequence[int], halo: Sequence[int] | None = None
) -> tuple[Box, tuple[int, ...], tuple[int, ...]]:
    """Return the source voxels needed for a box of result voxels, and how many of them are margin on each
    side.

    Parameters
    ----------
    box : Box
        Result voxels.
    factors : sequence of int
        Of the step.
    shape : sequence of int
        Of the source level.
    halo : sequence of int or None
        Voxels the method reads beyond its windows.

    Examples
    --------
    >>> source_box(Box((0, 8), (4, 8)), (2, 2), (8, 31), halo=(2, 2))
    (Box(origin=(0, 14), shape=(8, 17)), (0, 2), (0, 0))
    """
    steps = checked_factors(factors, box.ndim)
    reach = tuple(halo) if halo is not None else (0,) * box.ndim
    core = Box(
        tuple(o * f for o, f in zip(box.origin, steps, strict=True)),
        tuple(n * f for n, f in zip(box.shape, steps, strict=True)),
    ).intersection(Box.whole(tuple(shape)))
    start = tuple(max(0, o - h) for o, h in zip(core.origin, reach, strict=True))
    stop = tuple(min(n, e + h) for n, e, h in zip(shape, core.stop, reach, strict=True))
    lo = tuple(o - s for o, s in zip(core.origin, start, strict=True))
    hi = tuple(e - c for e, c in zip(stop, core.stop, strict=True))
    return Box.from_bounds(start, stop), lo, hi


def split_boxes(shape: Sequence[int], factors: Sequence[int], parts: int) -> list[Box]:
    """Return at most `parts` boxes of about equal size that cover a block and cut no window, for as many
    threads.

    The block is cut along the first axis that has enough windows, or else along the one that has most.

    Examples
    --------
    >>> split_boxes((7, 64), (2, 2), 2)
    [Box(origin=(0, 0), shape=(4, 64)), Box(origin=(4, 0), shape=(3, 64))]
    """
    steps = checked_factors(factors, len(shape))
    whole = Box.whole(tuple(shape))
    windows = level_shape(shape, steps)
    if parts <= 1 or whole.size == 0 or not windows:
        return [whole]
    axis = next((i for i, n in enumerate(windows) if n >= parts), max(range(len(windows)), key=windows.__getitem__))
    count, step = min(parts, windows[axis]), steps[axis]
    cuts = [min(shape[axis], windows[axis] * i // count * step) for i in range(count)] + [shape[axis]]
    boxes = []
    for a, b in itertools.pairwise(cuts):
        origin = tuple(a if i == axis else 0 for i in range(len(shape)))
        boxes.append(Box(origin, tuple(b - a if i == axis else n for i, n in enumerate(shape))))
    return boxes
