"""Where voxels of a layer lie: corners against centres, and transformations of whole layers.

WEBKNOSSOS counts in voxels of mag 1, whose index names a corner: voxel 3 reaches from 3 to 4, voxel *i* of mag *m* from
*i·m* to *(i+1)·m*. Its centre is at *(i + ½)·m*, times the size of a voxel.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import InputError
from voxarium.model.image import TransformEdge
from voxarium.model.transforms import Affine, Scale, Transform, Translation, scale_translation
from voxarium.model.transforms import Sequence as Chain
from voxarium.model.warps import Unresolved
from voxarium.spec.webknossos.names import mag_literal
from voxarium.spec.webknossos.properties import Layer

__all__ = ["ROLE", "LayerFrame", "centre_transform", "corner_of", "layer_frame", "mag_name", "native_corner"]

ROLE: Final = "webknossos:coordinateTransformations"
_FARTHEST: Final = 2**40
_MOST_FILES: Final = 16  # along an axis, when it is where the array begins that makes them small
Triple = tuple[float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerFrame:
    """How voxels of mag 1 of a layer map to those of the dataset, along z, y, x, at corners.

    Parameters
    ----------
    scale, shift : tuple of three floats
        dataset = layer × scale + shift.
    matrix : ndarray or None
        The transformation along z, y, x with the translation as last column, when it is more than that; scale is
        then 1 and shift 0.
    warped : bool
        True when there is a transformation that is not affine.
    note : str
        What could not be read.
    """

    scale: Triple = (1.0, 1.0, 1.0)
    shift: Triple = (0.0, 0.0, 0.0)
    matrix: NDArray[np.float64] | None = None
    warped: bool = False
    note: str = ""

    def edges(self, layer: Layer, voxel_size: Triple, others: int) -> tuple[TransformEdge, ...]:
        """Return the transform from the layer's world to the dataset's that levels do not contain.

        `others` is the number of axes in front of z, y, x, which stay as they are.
        """
        if self.matrix is None and not self.warped:
            return ()
        kind = "thin_plate_spline"
        transform: Transform = Unresolved(kind, reason="correspondences of points, as the entry of the layer has them")
        if self.matrix is not None:
            transform = _in_world(self.matrix, voxel_size, others)
        original = {"coordinateTransformations": [dict(t) for t in layer.transformations]}
        return (TransformEdge(source="physical", target="dataset", transform=transform, role=ROLE, original=original),)


def layer_frame(transformations: Sequence[Mapping[str, Any]]) -> LayerFrame:
    """Return what a layer's ``coordinateTransformations`` do, first to last.

    Examples
    --------
    >>> shift = [[1, 0, 0, 8], [0, 1, 0, 0], [0, 0, 1, -4], [0, 0, 0, 1]]
    >>> layer_frame([{"type": "affine", "matrix": shift}]).shift
    (-4.0, 0.0, 8.0)
    """
    total = np.eye(4)
    for found in transformations:
        if found.get("type") == "thin_plate_spline":
            return LayerFrame(warped=True)
        matrix = _matrix(found.get("matrix")) if found.get("type") == "affine" else None
        if matrix is None:
            return LayerFrame(warped=True, note="coordinateTransformations has an item that cannot be read")
        with np.errstate(all="ignore"):
            total = matrix @ total
    if not np.isfinite(total).all():
        return LayerFrame(warped=True, note="coordinateTransformations overflow")
    turned = total[2::-1][:, [2, 1, 0, 3]]  # rows and columns from x, y, z to z, y, x
    linear = turned[:, :3]
    diagonal = np.diagonal(linear)
    if np.count_nonzero(linear) == 3 and np.all(diagonal != 0):
        z, y, x = diagonal.tolist()
        dz, dy, dx = turned[:, 3].tolist()
        return LayerFrame(scale=(z, y, x), shift=(dz, dy, dx))
    return LayerFrame(matrix=turned)


def _matrix(found: object) -> NDArray[np.float64] | None:
    """Return a matrix of 4 × 4 (or 3 × 4) numbers whose last row is 0 0 0 1; None for anything else."""
    rows = found if isinstance(found, list) else []
    if len(rows) not in (3, 4) or not all(isinstance(r, list) and len(r) == 4 for r in rows):
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < 1e300 for r in rows for v in r):
        return None
    matrix = np.eye(4)
    matrix[: len(rows)] = rows
    return matrix if matrix[3].tolist() == [0, 0, 0, 1] else None


def _in_world(matrix: NDArray[np.float64], voxel_size: Triple, others: int) -> Transform:
    """Return a matrix over voxels (z, y, x) as one over physical positions of all axes."""
    full = np.eye(3 + others, 4 + others)
    size = np.asarray(voxel_size)
    full[others:, others:-1] = matrix[:, :3] * size[:, None] / size
    full[others:, -1] = matrix[:, 3] * size
    try:
        return Affine(tuple(map(tuple, full.tolist())))
    except InputError:  # numbers that overflow
        return Unresolved("affine", reason="its numbers overflow")


def centre_transform(
    origin: Sequence[int], factors: Sequence[int], voxel_size: Triple, frame: LayerFrame, others: Sequence[int] = ()
) -> Transform:
    """Return voxel centre → world of an array whose first voxel is voxel `origin` of a mag, along z, y, x.

    `others` are the first indices along axes in front of z, y, x.

    Examples
    --------
    >>> centre_transform((0, 0, 3), (1, 2, 2), (40.0, 8.0, 8.0), LayerFrame())
    Sequence(transforms=(Scale(scale=(40.0, 16.0, 16.0)), Translation(translation=(20.0, 8.0, 56.0))))
    """
    scale = [1.0] * len(others)
    translation = [float(n) for n in others]
    for o, f, size, a, b in zip(origin, factors, voxel_size, frame.scale, frame.shift, strict=True):
        scale.append(f * a * size)
        translation.append(((o + 0.5) * f * a + b) * size)
    return Chain((Scale(tuple(scale)), Translation(tuple(translation))))


def corner_of(scale: Sequence[float], translation: Sequence[float]) -> tuple[float, ...]:
    """Return where the first voxel's corner lies, in voxels of the level itself.

    Examples
    --------
    >>> corner_of((40.0, 16.0), (20.0, 56.0))
    (0.0, 3.0)
    """
    return tuple(_even(t / s - 0.5) for s, t in zip(scale, translation, strict=True))


def native_corner(transform: Transform | None, shape: Sequence[int]) -> tuple[int, int, int]:
    """Return the voxel, along z, y, x, at which an array to be written can begin in the dataset's own grid.

    Files of WKW begin at multiples of their side. An array that begins at such a place gets files there; for one that
    begins elsewhere, or where sides would have to be tiny, this is 0, and a transformation of the layer says where it
    is. The rule gives the same answer for all levels of an image whose corners lie at one place.

    Examples
    --------
    >>> native_corner(Chain((Scale((8.0,) * 3), Translation((260.0, 4.0, 516.0)))), (192, 192, 192))
    (32, 0, 64)
    >>> native_corner(Translation((0.0, 0.0, 0.0)), (192, 192, 192))
    (0, 0, 0)
    """
    found = None if transform is None else scale_translation(transform, len(shape))
    corners = () if found is None else corner_of(found[0][:3], found[1][:3])
    if not corners or not all(c.is_integer() and 0 <= c < _FARTHEST for c in corners):
        return 0, 0, 0
    z, y, x = (int(c) for c in corners)
    # Along each axis by itself: coarser levels need not be coarser along every axis, and must come out alike.
    if any(n and length // (n & -n) > _MOST_FILES for n, length in zip((z, y, x), shape, strict=False)):
        return 0, 0, 0
    return z, y, x


def mag_name(level: int, transform: Transform, finest: Transform | None) -> str:
    """Return the name of the folder of a level: that of its mag, as far as the transforms tell it.

    Without the finest level's transform, levels of cubic voxels are taken for isotropic steps of 2; others get a name
    that is no mag's, lest a mag of that name is added later.

    Examples
    --------
    >>> mag_name(1, Scale((40.0, 16.0, 16.0)), Scale((40.0, 8.0, 8.0)))
    '2-2-1'
    >>> mag_name(2, Scale((32.0, 32.0, 32.0)), None), mag_name(1, Scale((40.0, 16.0, 16.0)), None)
    ('4', 'level1')
    """
    size, unit = _space_scale(transform), None if finest is None else _space_scale(finest)
    if size is not None and unit is not None:
        ratio = [round(a / b) for a, b in zip(size, unit, strict=True)]
        if all(n >= 1 for n in ratio):
            return mag_literal(ratio)
    return str(2**level) if level == 0 or (size is not None and len(set(size)) == 1) else f"level{level}"


def _space_scale(transform: Transform) -> tuple[float, ...] | None:
    for ndim in (3, 4):
        found = scale_translation(transform, ndim)
        if found is not None:
            return found[0][:3]
    return None


def _even(value: float) -> float:
    """Return a value, or the whole number it is but for rounding (1e-9 relative)."""
    near = math.floor(value + 0.5)
    return float(near) if abs(value - near) <= 1e-9 * max(1.0, abs(value)) else value
