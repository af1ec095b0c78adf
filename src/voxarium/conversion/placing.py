"""Where a target lies: what source and user say, in the axes of the target, as far as its convention holds it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from voxarium.conversion.channels import time_step
from voxarium.conversion.losses import Geometry, fitting_units, snapped
from voxarium.conversion.options import ConvertOptions, per_space_axis
from voxarium.conversion.plan import Selection
from voxarium.conversion.systems import NOTHING, Carried, carried, further_edges, order_of_world
from voxarium.core.image import Image
from voxarium.errors import Code, InputError
from voxarium.model.abilities import Holds
from voxarium.model.axes import Axis
from voxarium.model.image import ImageInfo, TransformEdge
from voxarium.model.scene import matrix_of
from voxarium.model.transforms import Affine, Scale, Sequence, Transform, Translation, scale_translation

__all__ = ["Placement", "place"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where level 0 of the target lies.

    Parameters
    ----------
    axes : tuple of Axis
        Of the target, in units it can name.
    base : (scale, translation)
        Of level 0: in the world, or, where `onward` follows, in voxels of level 0.
    sizes : tuple of float
        Of a voxel in the world.
    onward : Affine or None
        From voxels of level 0 to the world, where that is more than scale and translation.
    further : Carried
        Systems beyond the world, and the transforms that lead there.
    left : tuple of TransformEdge
        Transforms between systems of the source that the target will not have.
    turned : bool
        True when the source is rotated or sheared, and the target will not be though nobody asked for that.
    """

    axes: tuple[Axis, ...]
    base: Geometry
    sizes: tuple[float, ...]
    onward: Affine | None = None
    further: Carried = NOTHING
    left: tuple[TransformEdge, ...] = ()
    turned: bool = False

    def transform(self, geometry: Geometry, holds: Holds) -> Transform:
        """Return the transform of a level whose scale and translation ought to be these."""
        scale, translation = geometry
        if self.onward is None:
            return Sequence((Scale(scale), Translation(snapped(self.axes, scale, translation, holds))))
        if geometry == self.base:
            return self.onward
        return Sequence((Scale(scale), Translation(translation), self.onward))


def place(
    source: Image,
    axes: tuple[Axis, ...],
    selection: Selection,
    options: ConvertOptions,
    *,
    holds: Holds,
    notes: list[str],
) -> Placement:
    """Return where the target lies.

    Parameters
    ----------
    axes : tuple of Axis
        Of the source, as the user described them.
    selection : Selection
        Crop and order of the axes.
    notes : list of str
        What the user should know is added.

    Raises
    ------
    InputError
        If the user's numbers are no sizes, or the source has no matrix and no voxel size is given.
    """
    placed_anew = options.voxel_size is not None or options.translation is not None
    edges = further_edges(source.info)
    matrix = _matrix(source.info)
    # The world may have the same axes in another order: that alone is no rotation.
    plain = None if matrix is None else scale_translation(Affine(tuple(map(tuple, matrix.tolist()))), source.ndim)
    if matrix is not None and plain is None and holds.affine and not placed_anew:
        found = _onward(matrix, axes, selection, options, holds)
    else:
        first = None if plain is not None else matrix
        stated = plain or _unrotated(source, matrix, options, notes)
        base = _base_geometry(stated, first, axes, selection, options=options)
        ordered = tuple(axes[p] for p in selection.permutation)
        fitted, base = fitting_units(ordered, _cornered(base, ordered, source, options, holds), holds)
        turned = first is not None and options.voxel_size is None
        found = Placement(axes=fitted, base=base, sizes=base[0], turned=turned)
    if options.voxel_size is None and not _place_stated(source):
        notes.append("the voxel size is not known: scale 1 without a unit is written; give --voxel-size and --unit")
    same_units = all(axes[p].unit == a.unit for p, a in zip(selection.permutation, found.axes, strict=True))
    further = NOTHING
    if holds.transforms and edges and not placed_anew and not found.turned and same_units:
        further = carried(source.info, edges, selection.permutation, found.axes)
    return Placement(
        axes=found.axes,
        base=found.base,
        sizes=found.sizes,
        onward=found.onward,
        further=further,
        left=tuple(e for i, e in enumerate(edges) if i not in further.kept),
        turned=found.turned,
    )


def _matrix(info: ImageInfo) -> NDArray[np.float64] | None:
    """Return the matrix of level 0, its rows in the order of the image's axes; None when there is none to go by."""
    ndim = len(info.axes)
    matrix = matrix_of(info.levels[0].transform, ndim)
    if matrix is None or matrix.shape != (ndim, ndim + 1) or not np.any(matrix[:, :-1], axis=0).all():
        return None
    return matrix[list(order_of_world(info, tuple(range(ndim))))]


def _onward(
    matrix: NDArray[np.float64], axes: tuple[Axis, ...], selection: Selection, options: ConvertOptions, holds: Holds
) -> Placement:
    """Carry a matrix, of the source's axes, over to the target."""
    p = list(selection.permutation)
    linear = matrix[:, :-1].copy()
    for i, step in enumerate(time_step(axes, options)):
        if step is not None:
            linear[:, i] *= step / np.linalg.norm(linear[:, i])
    moved = matrix[:, -1] + linear @ np.asarray(selection.crop.origin, np.float64)
    ones, zeros = (1.0,) * len(p), (0.0,) * len(p)
    fitted, (factors, _) = fitting_units(tuple(axes[i] for i in p), (ones, zeros), holds)
    whole = np.column_stack([linear[p][:, p], moved[p]]) * np.asarray(factors)[:, None]
    return Placement(
        axes=fitted,
        base=(ones, zeros),
        sizes=_norms(whole),
        onward=Affine(tuple(map(tuple, whole.tolist()))),
    )


def _norms(matrix: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(n) for n in np.linalg.norm(matrix[:, :-1], axis=0))


def _base_geometry(
    stated: Geometry,
    matrix: NDArray[np.float64] | None,
    axes: tuple[Axis, ...],
    selection: Selection,
    *,
    options: ConvertOptions,
) -> Geometry:
    """Return (scale, translation) of level 0 in target order, from the options or the source, shifted by the crop.

    A matrix, where it is more than what is stated, tells where the first voxel that is written lies.
    """
    origin = np.asarray(selection.crop.origin, np.float64)
    first = None if matrix is None or options.voxel_size is not None else matrix[:, -1] + matrix[:, :-1] @ origin
    given = per_space_axis(options.voxel_size, axes, "the voxel size")
    given = tuple(g if t is None else t for g, t in zip(given, time_step(axes, options), strict=True))
    moved = per_space_axis(options.translation, axes, "the translation")
    scale, translation = [], []
    for i, axis in enumerate(axes):
        size = given[i]
        if size is not None and not (math.isfinite(size) and size > 0):
            raise InputError(
                f"voxel size {size} along {axis.name} is not positive",
                code=Code.ARGUMENT_INVALID,
                fix="give physical sizes such as 8,8,8",
            )
        scale.append(stated[0][i] if size is None else float(size))
        shift = moved[i]
        base = stated[1][i] if shift is None else float(shift)
        if first is not None and shift is None:
            translation.append(float(first[i]))
        else:
            translation.append(base + selection.crop.origin[i] * scale[i])
    p = selection.permutation
    return tuple(scale[i] for i in p), tuple(translation[i] for i in p)


def _unrotated(
    source: Image, matrix: NDArray[np.float64] | None, options: ConvertOptions, notes: list[str]
) -> Geometry:
    """Return what is left without rotation: of a matrix the lengths of its columns, and its shift."""
    if options.voxel_size is not None:
        notes.append("the source is rotated, sheared or warped: the voxel size given places the target instead")
    elif matrix is None:
        raise InputError(
            f"no matrix takes the voxels of {source.name} to the world, as levels of an image need",
            code=Code.TRANSFORM_INVALID,
            fix="give --voxel-size to write it unrotated; its own transform is then not applied",
        )
    if matrix is None:
        return (1.0,) * source.ndim, (0.0,) * source.ndim
    return _norms(matrix), tuple(matrix[:, -1].tolist())


def _place_stated(source: Image) -> bool:
    """Tell whether the source says where its voxels are."""
    info = source.info
    return (info.axes_stated and info.levels[0].array.transform is not None) or info.spec_version is not None


def _cornered(base: Geometry, axes: tuple[Axis, ...], source: Image, options: ConvertOptions, holds: Holds) -> Geometry:
    """Put a corner at the origin, where nobody says where the image lies and the target counts from corners."""
    scale, translation = base
    free = options.translation is None and not _place_stated(source) and not any(translation)
    if holds.translation != "voxels" or not free:
        return base
    return scale, tuple(s / 2 if axis.type == "space" else 0.0 for s, axis in zip(scale, axes, strict=True))
