"""Ways to make a level from a finer one, and whether voxels were made so."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import VoxariumError
from voxarium.pyramid import Method, downsample, downsample_gaussian

__all__ = ["Trial", "differences", "disagreeing", "is_mode", "made_with_margin", "trials", "votes"]

Rounding = Literal["", "up", "down", "near"]
_EXACT_MEAN: Final = 4  # bytes of integers whose sums are exact in float64
_NEAR: Final = 2
_AT_ONCE: Final = 1 << 17


@dataclass(frozen=True, slots=True)
class Trial:
    """A way to make a level: a method, and how means are rounded.

    Rounding is that of this library (half to even), half ``up``, ``down``, or anything ``near`` it: what averaging
    along one axis after the other, and rounding each time, may do.
    """

    method: Method
    rounding: Rounding = ""
    ignore_zero: bool = False

    @property
    def text(self) -> str:
        """How to call it."""
        return f"{self.method} without zeros" if self.ignore_zero else str(self.method)


_LABELS: Final = (
    Trial(Method.MODE), Trial(Method.MODE, ignore_zero=True), Trial(Method.STRIDE), Trial(Method.MAX),
    Trial(Method.MIN), Trial(Method.MEDIAN), Trial(Method.MEAN), Trial(Method.MEAN, "down"), Trial(Method.MEAN, "up"),
    Trial(Method.GAUSSIAN), Trial(Method.MEAN, "near"),
)  # fmt: skip
_INTENSITIES: Final = (
    Trial(Method.MEAN), Trial(Method.MEAN, "down"), Trial(Method.MEAN, "up"), Trial(Method.STRIDE),
    Trial(Method.MEDIAN), Trial(Method.MAX), Trial(Method.MIN), Trial(Method.MODE), Trial(Method.GAUSSIAN),
    Trial(Method.MEAN, "near"),
)  # fmt: skip


def trials(role: str, stated: Method | None) -> list[Trial]:
    """Return the ways to try, in the order of preference."""
    every = _LABELS if role == "label" else _INTENSITIES
    return sorted(every, key=lambda t: t.method is not stated)


def made(trial: Trial, fine: NDArray[Any], factors: Sequence[int]) -> NDArray[Any] | None:
    """Return the level that a way makes of whole windows; None where it has no meaning for the voxels."""
    try:
        exact = trial.rounding in ("up", "down")
        if exact:
            if fine.dtype.kind not in "iu" or (fine.itemsize > _EXACT_MEAN and _is_large(fine)):
                return None
            mean = downsample(fine.astype(np.float64), factors, Method.MEAN)
            whole = np.floor(mean + 0.5) if trial.rounding == "up" else np.floor(mean)
            result: NDArray[Any] = whole.astype(fine.dtype)
            return result
        return downsample(fine, factors, trial.method, ignore_zero=trial.ignore_zero)
    except VoxariumError:
        return None


def _is_large(voxels: NDArray[Any]) -> bool:
    """Tell whether sums over windows may be no float64."""
    return bool(voxels.size) and max(abs(int(voxels.min())), abs(int(voxels.max()))) >= 1 << 40


def made_with_margin(
    trial: Trial, fine: NDArray[Any], factors: Sequence[int], lo: Sequence[int], hi: Sequence[int]
) -> NDArray[Any] | None:
    """Return the same, where margins are given for methods that look beyond their windows."""
    if trial.method is Method.GAUSSIAN:
        try:
            return downsample_gaussian(fine, factors, lo, hi)
        except VoxariumError:
            return None
    return made(trial, fine[tuple(slice(a, n - b) for a, b, n in zip(lo, hi, fine.shape, strict=True))], factors)


def disagreeing(
    trial: Trial, fine: NDArray[Any], coarse: NDArray[Any], expected: NDArray[Any], factors: Sequence[int]
) -> NDArray[np.bool_] | None:
    """Return where a level is not what a way makes; None where it is everywhere.

    `expected` has the shape of `coarse`. Several answers are right where windows have several modes or two medians,
    and where NaN is among the voxels.
    """
    if np.array_equal(expected, coarse):
        return None
    bad = _differs(trial, expected, coarse, _tolerance(trial, fine))
    if trial.method in (Method.MODE, Method.MEDIAN) and bad.any():
        where = np.argwhere(bad)
        for at in range(0, len(where), _AT_ONCE):
            some = where[at : at + _AT_ONCE]
            place = tuple(some.T)
            bad[place] = ~_is_tie(trial, (fine, factors, some), coarse[place], expected[place])
    return bad if bad.any() else None


def _tolerance(trial: Trial, fine: NDArray[Any]) -> float:
    if fine.dtype.kind not in "fc" or not fine.size or trial.method not in (Method.MEAN, Method.GAUSSIAN):
        return 0.0
    size = np.abs(fine)
    top = float(np.max(size, where=np.isfinite(size), initial=0))
    return 8 * float(np.finfo(fine.dtype).eps) * top


def _differs(trial: Trial, expected: NDArray[Any], coarse: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
    kind = expected.dtype.kind
    if kind in "fc":
        with np.errstate(invalid="ignore", over="ignore"):
            near: NDArray[np.bool_] = (np.abs(expected - coarse) <= tolerance) | (expected == coarse)
        accepted: NDArray[np.bool_] = near | np.isnan(expected)
        return ~accepted
    if kind in "iu" and trial.rounding == "near":
        far: NDArray[np.bool_] = differences(expected, coarse) > _NEAR
        return far
    unequal: NDArray[np.bool_] = expected != coarse
    return unequal


def differences(a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
    """Return how far apart numbers are; exact for integers of every size."""
    apart: NDArray[Any]
    if a.dtype.kind in "iu":
        unsigned = np.dtype(f"u{a.itemsize}")
        high, low = np.ascontiguousarray(np.maximum(a, b)), np.ascontiguousarray(np.minimum(a, b))
        apart = np.subtract(high.view(unsigned), low.view(unsigned))
    elif a.dtype.kind == "b":
        apart = a != b
    else:
        with np.errstate(invalid="ignore", over="ignore"):
            apart = np.abs(a - b)
    return apart


# ----------------------------------------------------------------------------------------------------------- ties
def _is_tie(
    trial: Trial,
    windows: tuple[NDArray[Any], Sequence[int], NDArray[np.int64]],
    found: NDArray[Any],
    expected: NDArray[Any],
) -> NDArray[np.bool_]:
    """Return which voxels are right although another answer was expected."""
    if trial.method is Method.MODE:
        as_many: NDArray[np.bool_] = votes(*windows, found) >= votes(*windows, expected)
        return as_many
    low, high = _middles(*windows)
    between: NDArray[np.bool_] = (found >= low) & (found <= high)
    return between


def _window_voxels(fine: NDArray[Any], factors: Sequence[int], where: NDArray[np.int64]) -> Any:
    """Yield, for each place of a window, its voxel in every window and whether there is one."""
    limits = np.array(fine.shape, np.int64)
    first = where * np.array(factors, np.int64)
    for offset in itertools.product(*(range(f) for f in factors)):
        at = first + np.array(offset, np.int64)
        inside = (at < limits).all(1)
        yield fine[tuple(np.minimum(at, limits - 1).T)], inside


def votes(fine: NDArray[Any], factors: Sequence[int], where: NDArray[np.int64], values: NDArray[Any]) -> NDArray[Any]:
    """Return how many voxels of each window have a value; `where` has shape (windows, axes)."""
    count = np.zeros(len(where), np.int64)
    for voxels, inside in _window_voxels(fine, factors, where):
        count += inside & (voxels == values)
    return count


def _middles(fine: NDArray[Any], factors: Sequence[int], where: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the two middle voxels of each window, which are one where their number is odd."""
    if math.prod(factors) > 512:
        none = np.zeros(len(where), fine.dtype)
        return none + 1, none
    columns, inside = zip(*_window_voxels(fine, factors, where), strict=True)
    values, real = np.stack(columns, 1), np.stack(inside, 1)
    count = real.sum(1)
    top = np.iinfo(fine.dtype).max if fine.dtype.kind in "iu" else True if fine.dtype.kind == "b" else np.inf
    ordered = np.sort(np.where(real, values, top), 1)
    rows = np.arange(len(where))
    return ordered[rows, (count - 1) // 2], ordered[rows, count // 2]


# ----------------------------------------------------------------------------------------------------------- modes
def is_mode(fine: NDArray[Any], coarse: NDArray[Any], factors: Sequence[int]) -> bool:
    """Tell whether every voxel is a mode of its window, where that is quickly seen; False says nothing."""
    size = math.prod(factors)
    whole = all(n == m * f for n, m, f in zip(fine.shape, coarse.shape, factors, strict=True))
    if not whole or fine.ndim != 3 or fine.dtype.kind not in "iu" or not 1 < size < 128 or not coarse.size:
        return False
    from voxarium.validation.data.kernels import are_modes

    a, b = (np.ascontiguousarray(v).view(f"u{fine.itemsize}") for v in (fine, coarse))
    return bool(are_modes(a, b, (factors[0], factors[1], factors[2]), np.empty((2, a.shape[2]), a.dtype)))
