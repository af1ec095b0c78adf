"""Axes and place of a single array, as the conventions on top of N5 state them in its own attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from voxarium.errors import FormatError
from voxarium.model.axes import Axis
from voxarium.model.stated_images import StatedImage
from voxarium.model.transforms import Transform
from voxarium.spec import cosem, n5_canonical, n5_viewer
from voxarium.spec.array_attributes import stated_axes
from voxarium.spec.n5_generic import stated_transform

__all__ = ["stated_place"]

_Levels = Mapping[str, Mapping[str, Any]]
# The order of detection: who states every position comes before who leaves half a voxel unsaid.
_CONVENTIONS: Final[tuple[Callable[[Mapping[str, Any], _Levels], StatedImage | None], ...]] = (
    cosem.parse_image,
    n5_viewer.parse_image,
    n5_canonical.parse_image,
)


def stated_place(
    attributes: Mapping[str, Any], ndim: int
) -> tuple[tuple[Axis, ...] | None, Transform | None, tuple[str, ...]]:
    """Return the axes in C order, voxel centre → world, and remarks; None for what is not stated.

    Parameters
    ----------
    attributes : mapping
        All of ``attributes.json``, as found.
    ndim : int
        Number of axes of the array.
    """
    for parse in _CONVENTIONS:
        try:
            found = parse({}, {"": attributes})
        except FormatError as error:  # voxels can be read whatever is wrong with the rest
            return None, None, (f"axes and position are not known: {error.message}",)
        if found is None:
            continue
        if len(found.axes) != ndim:
            names = ", ".join(a.name for a in found.axes)
            return None, None, (f"axes and position are not known: {names} are stated for {ndim} axes",)
        # Notes are not passed on: of a level of a pyramid they would miss what its group says.
        return (found.axes if found.axes_stated else None), found.levels[0].transform, ()
    if "axis_names" in attributes:  # funlib, in the order of numpy
        axes, transform = stated_axes(attributes, ndim)
        return axes, transform, ()
    transform, remarks = stated_transform(attributes, ndim)
    return None, transform, remarks
