"""From a matrix of directions, as volumes of scanners and maps have one, to named axes and the simplest transform."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from voxarium.model.transforms import Affine, Scale, Transform, Translation

__all__ = ["ORIENTATIONS", "named_after_world", "placed", "simplest"]

ORIENTATIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "R": "left-to-right",
        "L": "right-to-left",
        "A": "posterior-to-anterior",
        "P": "anterior-to-posterior",
        "S": "inferior-to-superior",
        "I": "superior-to-inferior",
    }
)
"""Direction of increasing values by the letter of where it leads (OME RFC-4)."""

_NEGLIGIBLE: Final = 1e-9  # of an axis' step: what rounding leaves of a zero


def simplest(matrix: ArrayLike) -> Transform | None:
    """Return the transform of an affine matrix, shape (axes, axes + 1); None when it cannot be undone.

    Examples
    --------
    >>> simplest([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0]])
    Scale(scale=(2.0, 3.0))
    """
    m = np.array(matrix, np.float64)
    ndim = len(m)
    if not np.isfinite(m).all() or np.abs(m).max() > 1e100:
        return None
    linear = m[:, :ndim]
    with np.errstate(all="ignore"):
        lengths = np.sqrt((linear * linear).sum(axis=0))
        linear[np.abs(linear) <= _NEGLIGIBLE * lengths] = 0.0
        if not (lengths > 1e-100).all() or np.linalg.matrix_rank(linear / lengths) < ndim:
            return None
    shift = Translation(tuple(m[:, ndim].tolist()))
    if np.count_nonzero(linear) == ndim and np.diagonal(linear).all():
        scale = Scale(tuple(np.diagonal(linear).tolist()))
        return scale.then(shift) if m[:, ndim].any() else scale
    return Affine(tuple(map(tuple, m.tolist())))


def named_after_world(directions: NDArray[np.float64]) -> tuple[int, ...]:
    """Return, for each axis of the array (a row of `directions`), which axis of the world it runs along most.

    Examples
    --------
    >>> named_after_world(np.array([[0.0, 2.0], [-1.0, 0.1]]))
    (1, 0)
    """
    n = len(directions)
    with np.errstate(all="ignore"):
        lengths = np.sqrt((directions * directions).sum(axis=1, keepdims=True))
        share = np.nan_to_num(np.abs(directions / np.where(lengths > 0, lengths, 1)))
    if n > 3:
        return tuple(range(n))
    best: Any = max(  # Any: numpy's number as a key; ties keep the stored order
        itertools.permutations(range(n)), key=lambda p: (float(sum(share[i, j] for i, j in enumerate(p))), -p[0])
    )
    return tuple(best)


def placed(ndim: int, spatial: Sequence[int], directions: ArrayLike, origin: ArrayLike) -> NDArray[np.float64]:
    """Return the affine matrix of an array of which some axes are spatial; the others stay as they are.

    Parameters
    ----------
    ndim : int
        Axes of the array.
    spatial : sequence of int
        Where its spatial axes are.
    directions : array, shape (axes, axes)
        A row per spatial axis in this order: the step of one voxel, along the worlds of the same order.
    origin : array, shape (axes,)
        Place of the first voxel's centre.
    """
    matrix = np.eye(ndim, ndim + 1)
    for i, row in enumerate(spatial):
        matrix[row, ndim] = np.asarray(origin, np.float64)[i]
        for j, column in enumerate(spatial):
            matrix[row, column] = np.asarray(directions, np.float64)[j, i]
    return matrix
