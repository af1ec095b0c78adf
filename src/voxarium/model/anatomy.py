"""Anatomical coordinates: LPS and RAS millimetres, and matrices that others write in the order x, y, z."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.transforms import Affine, Scale, Transform

__all__ = ["ANATOMICAL", "anatomical_change", "anatomical_name", "from_xyz", "to_xyz"]

_Floats = NDArray[np.float64]


def _system(name: str, x: str, y: str) -> CoordinateSystem:
    directions = {"z": "inferior-to-superior", "y": y, "x": x}
    axes = tuple(Axis(name=n, type="space", unit="millimeter", orientation=d) for n, d in directions.items())
    return CoordinateSystem(name=name, axes=axes)


ANATOMICAL: Final[Mapping[str, CoordinateSystem]] = {
    "LPS": _system("LPS", "right-to-left", "anterior-to-posterior"),
    "RAS": _system("RAS", "left-to-right", "posterior-to-anterior"),
}
"""World coordinates (z, y, x) in millimetres. x grows to the left and y to the back in LPS (ITK, DICOM), to the right
and to the front in RAS (NIfTI); z grows upwards in both."""


def anatomical_name(system: CoordinateSystem) -> str | None:
    """Return LPS or RAS if a coordinate system is called so."""
    return system.name if system.name in ANATOMICAL else None


def anatomical_change(transform: Transform, source: str, target: str) -> Transform:
    """Return a transform between LPS points as one between RAS points, or the other way.

    Raises
    ------
    InputError
        If there is no such orientation.
    """
    for name in (source, target):
        if name not in ANATOMICAL:
            raise InputError(f"there is no orientation {name!r} here", code=Code.ARGUMENT_INVALID, fix="use LPS or RAS")
    if source == target:
        return transform
    ndim = transform.ndim_in or 3
    flip = Scale((1.0,) * (ndim - 2) + (-1.0, -1.0))
    return flip.then(transform).then(flip)


def from_xyz(matrix: _Floats) -> Affine:
    """Return the transform of a matrix (n, n + 1) whose rows and columns stand in the order x, y, z.

    Examples
    --------
    >>> from_xyz(np.array([[1.0, 2.0, 5.0], [3.0, 4.0, 6.0]])).rows
    ((4.0, 3.0, 6.0), (2.0, 1.0, 5.0))
    """
    turned = np.column_stack([matrix[::-1, -2::-1], matrix[::-1, -1]])
    return Affine(tuple(map(tuple, turned.tolist())))


def to_xyz(matrix: _Floats) -> _Floats:
    """Return a matrix (n, n + 1) in the order x, y, z."""
    return np.column_stack([matrix[::-1, -2::-1], matrix[::-1, -1]])
