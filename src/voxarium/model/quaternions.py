"""Orientations: quaternions (x, y, z, w) and rotation matrices."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["quaternion_of", "rotation_of"]

Quaternion = tuple[float, float, float, float]


def quaternion_of(matrix: NDArray[np.float64]) -> Quaternion | None:
    """Return the orientation of a rotation, of shape (3, 3) in x, y, z order; None when it is none.

    A uniform scale is allowed. Of the two quaternions the one with positive w is returned.

    Examples
    --------
    >>> quaternion_of(np.eye(3) * 4)
    (0.0, 0.0, 0.0, 1.0)
    """
    with np.errstate(all="ignore"):
        size = float(np.cbrt(np.linalg.det(matrix)))
        if not size > 0 or not math.isfinite(size):
            return None
        m = matrix / size
        if not np.abs(m @ m.T - np.eye(3)).max() < 1e-3:
            return None
    found = np.array(
        [
            [m[0, 0] - m[1, 1] - m[2, 2], 0, 0, 0],
            [m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], 0, 0],
            [m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1], 0],
            [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
        ]
    )
    values, vectors = np.linalg.eigh(found / 3.0)  # the eigenvector of the largest value, whatever the rounding errors
    x, y, z, w = (float(v) + 0.0 for v in vectors[:, np.argmax(values)])
    sign = -1.0 if w < 0 else 1.0
    return (sign * x + 0.0, sign * y + 0.0, sign * z + 0.0, sign * w + 0.0)


def rotation_of(quaternion: Quaternion) -> NDArray[np.float64]:
    """Return the rotation matrix, of shape (3, 3) in x, y, z order, of an orientation."""
    x, y, z, w = np.asarray(quaternion, np.float64) / max(float(np.linalg.norm(quaternion)), 1e-300)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )
