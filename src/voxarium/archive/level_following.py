"""Coarser levels of an image whose level 0 is edited: only voxels whose windows changed are made anew.

A level is made the way it was made before. What an image states of it is not always all (whether zeros vote, how means
are rounded), and some formats state nothing: so ways are compared with what is stored, before anything is changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.voxel_edits import Writes
from voxarium.core.array import Array
from voxarium.core.image import Image
from voxarium.errors import Code, ConflictError, UnsupportedError
from voxarium.model.box import Box
from voxarium.pyramid import Method, check_method, downsample, halo, source_box
from voxarium.validation.data.methods import Trial, disagreeing, made_with_margin, trials
from voxarium.validation.data.relations import level_factors, stated_method

__all__ = ["Following", "Step", "coarser_writes", "following"]

_TOUCHED: Final = 16  # chunks that are edited, and of those
_SAMPLED: Final = 16  # all over the level, with which ways of making it are compared


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How a level is made from the finer one.

    Parameters
    ----------
    finer, coarser : str
        Paths of the stored arrays in the dataset.
    factors : tuple of int
        Voxels of the finer level per voxel, along each axis.
    trials : tuple of Trial
        Ways that come into question, the likeliest first.
    chosen : bool
        Whether somebody chose the way; then it is not compared with what is stored.
    """

    finer: str
    coarser: str
    factors: tuple[int, ...]
    trials: tuple[Trial, ...]
    chosen: bool = False


@dataclass(frozen=True, slots=True)
class Following:
    """The coarser levels of an image, from fine to coarse."""

    steps: tuple[Step, ...]


def following(image: Image, *, method: str | None = None, ignore_zero: bool = False) -> Following:
    """Return how the coarser levels of an image follow its level 0.

    Parameters
    ----------
    image : Image
        The image.
    method : str or None
        How they are made; None = as they were.
    ignore_zero : bool
        For ``mode``: zeros do not vote.

    Raises
    ------
    InputError
        If there is no such method, or it would invent labels.
    UnsupportedError
        If a level is not a whole multiple of the finer one.
    """
    stated = stated_method(image)
    if method is not None:
        ways: tuple[Trial, ...] = (Trial(check_method(method, image.info.role), ignore_zero=ignore_zero),)
    else:
        every = [t for t in trials(image.role, stated) if t.rounding != "near"]
        ways = tuple(t for t in every if stated is None or t.method is stated)
    steps = []
    for level in range(1, len(image.arrays)):
        factors = level_factors(image, level - 1, level)
        if factors is None or image.levels[level].part is not None:
            raise UnsupportedError(
                f"level {level} of {image.path or image.name} is not made of whole windows of level {level - 1}",
                code=Code.FEATURE_UNSUPPORTED,
                fix=f'edit level 0 alone: draft.array("{image.arrays[0].path}", levels="keep")',
            )
        steps.append(
            Step(
                finer=image.arrays[level - 1].path,
                coarser=image.arrays[level].path,
                factors=factors,
                trials=ways,
                chosen=method is not None,
            )
        )
    return Following(tuple(steps))


def coarser_writes(step: Step, finer: Array, coarser: Array, writes: Writes) -> Writes:
    """Return what becomes of a level when the finer one is changed.

    Parameters
    ----------
    step : Step
        How the one is made of the other.
    finer, coarser : Array
        Both as stored.
    writes : Writes
        What is assigned to the finer one.

    Raises
    ------
    ConflictError
        If no way that comes into question makes of the finer level what is stored of the coarser one.
    """
    cells = list(_touched(step, finer, coarser, writes))
    if not cells:
        return Writes()
    way = _settled(step, finer, coarser, [box for box, _ in cells])
    found = Writes()
    for box, numbers in cells:
        made = _Windows(step, finer, coarser, box).remade(way, writes, numbers)
        if made is not None:
            found.boxes.append(box)
            found.values.append(made)
    return found


def _touched(step: Step, finer: Array, coarser: Array, writes: Writes) -> Iterator[tuple[Box, list[int]]]:
    """Yield regions of the coarser level, each within a chunk, and numbers of the assignments that change them."""
    reach = _reach(step)
    cells: dict[tuple[int, ...], list[tuple[int, Box]]] = {}
    whole = Box.whole(coarser.shape)
    for i, box in enumerate(writes.boxes):
        axes = zip(box.origin, box.stop, reach, step.factors, finer.shape, strict=True)
        bounds = [(max(0, a - h) // f, -(-min(n, e + h) // f)) for a, e, h, f, n in axes]
        moved = Box.from_bounds(tuple(a for a, _ in bounds), tuple(max(a, e) for a, e in bounds)).intersection(whole)
        for index in coarser.grid.indices(moved):
            cells.setdefault(index, []).append((i, moved.intersection(coarser.grid.clipped_box(index))))
    for index in sorted(cells):
        boxes = [box for _, box in cells[index]]
        start = tuple(map(min, zip(*(b.origin for b in boxes), strict=True)))
        stop = tuple(map(max, zip(*(b.stop for b in boxes), strict=True)))
        yield Box.from_bounds(start, stop), [i for i, _ in cells[index]]


def _reach(step: Step) -> tuple[int, ...]:
    """Return how far beyond windows any way looks."""
    reaches = [halo(t.method, step.factors) for t in step.trials]
    return tuple(max(axis) for axis in zip(*reaches, strict=True))


def _settled(step: Step, finer: Array, coarser: Array, boxes: Sequence[Box]) -> Trial:
    """Return the way a level was made: of edited regions, and, where these do not tell, of others."""
    left = list(step.trials)
    others = (coarser.grid.clipped_box(index) for index in _spread(coarser))
    for box in (*boxes[:_TOUCHED], *others):
        if len(left) < 2:
            break
        left = _Windows(step, finer, coarser, box).agreeing(left)
    if not left:
        raise _unknown(step)
    return left[0]


def _spread(array: Array) -> Iterator[tuple[int, ...]]:
    counts = array.grid.counts
    wanted = min(_SAMPLED, array.grid.size)
    for i in range(wanted):
        at = (2 * i + 1) * array.grid.size // (2 * wanted)
        yield tuple(int(n) for n in np.unravel_index(at, counts))


def _unknown(step: Step) -> ConflictError:
    ways = ", ".join(dict.fromkeys(t.text for t in step.trials))
    return ConflictError(
        f"{step.coarser} is not {step.finer} downsampled by {step.factors} with {ways}, so it cannot follow an edit",
        code=Code.PLAN_CHANGED,
        fix='name the method, as in draft.array(path, method="mean"), or leave levels alone: levels="keep"',
    )


class _Windows:
    """A region of a level, and the voxels of the finer one that it is made of."""

    def __init__(self, step: Step, finer: Array, coarser: Array, box: Box) -> None:
        self._step = step
        self._region, self._lo, self._hi = source_box(box, step.factors, finer.shape, halo=_reach(step))
        self._before = np.ascontiguousarray(finer.read(self._region, threads=1))
        self._stored = coarser.read(box, threads=1)

    def agreeing(self, ways: Sequence[Trial]) -> list[Trial]:
        """Return the ways that make what is stored."""
        return [way for way in ways if self._agrees(way, None)]

    def remade(self, way: Trial, writes: Writes, numbers: list[int]) -> NDArray[Any] | None:
        """Return the region after assignments; None where these change nothing."""
        after = self._before.copy()
        writes.paste(self._region, after, numbers)
        differs = _unequal(self._before, after)
        if not differs.any():
            return None
        changed = self._changed(way, differs)
        if not self._step.chosen and not self._agrees(way, changed):
            raise _unknown(self._step)
        made = self._made(way, after)
        if made is None:
            raise _unknown(self._step)
        return np.where(changed, made, self._stored)

    def _changed(self, way: Trial, differs: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return the voxels whose windows changed."""
        if way.method is Method.GAUSSIAN:  # windows overlap
            return np.ones(self._stored.shape, np.bool_)
        windows: NDArray[np.bool_] = downsample(self._core(differs), self._step.factors, Method.MAX)
        return windows

    def _core(self, voxels: NDArray[Any]) -> NDArray[Any]:
        lengths = zip(self._lo, self._hi, voxels.shape, strict=True)
        return np.ascontiguousarray(voxels[tuple(slice(a, n - b) for a, b, n in lengths)])

    def _made(self, way: Trial, voxels: NDArray[Any]) -> NDArray[Any] | None:
        reach = halo(way.method, self._step.factors)
        lo, hi = tuple(map(min, self._lo, reach)), tuple(map(min, self._hi, reach))
        rest = zip(self._lo, lo, self._hi, hi, voxels.shape, strict=True)
        own = voxels[tuple(slice(a - m, n - (b - k)) for a, m, b, k, n in rest)]
        return made_with_margin(way, np.ascontiguousarray(own), self._step.factors, lo, hi)

    def _agrees(self, way: Trial, where: NDArray[np.bool_] | None) -> bool:
        made = self._made(way, self._before)
        if made is None or made.shape != self._stored.shape:
            return False
        bad = disagreeing(way, self._core(self._before), self._stored, made, self._step.factors)
        return bad is None or not (bad if where is None else bad & where).any()


def _unequal(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.bool_]:
    """Tell which voxels differ in any bit: NaN is NaN, and -0 is not 0."""
    first, second = (np.ascontiguousarray(v).view(np.uint8).reshape(*a.shape, a.dtype.itemsize) for v in (a, b))
    differs: NDArray[np.bool_] = (first != second).any(axis=-1)
    return differs
