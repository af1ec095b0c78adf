"""Objects of one level against those of the next finer one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from voxarium.validation.objects import ObjectMap, ObjectState

__all__ = ["orphans", "windows"]


def windows(
    fine: ObjectMap, fine_shape: tuple[int, ...], coarse: ObjectMap, coarse_shape: tuple[int, ...], margin: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return, per axis and coarse object, the first and the stop of the finer objects below it.

    Lengths alone tell how levels lie on each other, whatever the factors; `margin` finer objects are added on each
    side, for smoothing filters and for rounding.
    """
    out = []
    for n, m, object_f, object_c, count_f, count_c in zip(
        fine_shape, coarse_shape, fine.object_shape, coarse.object_shape, fine.counts, coarse.counts, strict=True
    ):
        at = np.arange(count_c, dtype=np.float64) * object_c
        ratio = n / max(m, 1)
        first = np.floor(at * ratio / object_f).astype(np.int64) - margin
        stop = np.ceil(np.minimum(at + object_c, m) * ratio / object_f).astype(np.int64) + margin
        first = np.clip(first, 0, count_f - 1)
        out.append((first, np.clip(stop, first + 1, count_f)))
    return out


def orphans(
    fine: ObjectMap, fine_shape: tuple[int, ...], coarse: ObjectMap, coarse_shape: tuple[int, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return grid indices of coarse objects without anything finer, and of absent coarse ones where all is finer.

    Each has shape (objects, axes).
    """
    there: NDArray[Any] = _there(fine)
    near = _any(there, windows(fine, fine_shape, coarse, coarse_shape, 1))
    missing = _any(~there, windows(fine, fine_shape, coarse, coarse_shape, 0))
    have = _there(coarse)
    return np.argwhere(have & ~near), np.argwhere(~have & ~missing)


def _there(objects: ObjectMap) -> NDArray[np.bool_]:
    states = objects.states
    none = np.zeros(objects.counts, bool)
    return none if states is None else states != ObjectState.ABSENT


def _any(mask: NDArray[np.bool_], spans: list[tuple[NDArray[np.int64], NDArray[np.int64]]]) -> NDArray[np.bool_]:
    """Return whether any of a window of objects is set, for each window."""
    for axis, (first, stop) in enumerate(spans):
        # `reduceat` takes pairs of indices below the length, so there is one more, which is not set.
        pad = [(0, int(i == axis)) for i in range(mask.ndim)]
        pairs = np.stack([first, stop], 1).reshape(-1)
        mask = np.logical_or.reduceat(np.pad(mask, pad), pairs, axis)[(slice(None),) * axis + (slice(None, None, 2),)]
    return mask
