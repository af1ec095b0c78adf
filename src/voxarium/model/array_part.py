"""A part of a stored array, perhaps with its axes in another order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from voxarium.errors import Code, InputError
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo

__all__ = ["ArrayPart"]


@dataclass(frozen=True, slots=True)
class ArrayPart:
    """What a level shows of a stored array that is padded, shares its file with others, or has axes out of order.

    Parameters
    ----------
    box : Box
        In voxels of the stored array. It may reach beyond the array, also in front: there is fill value.
    order : tuple of int
        The stored axis of each axis shown. A stored axis that is not named has length 1 in `box` and is dropped.

    Examples
    --------
    >>> part = ArrayPart(Box((0, 5, 0), (1, 10, 20)), (2, 1))
    >>> part.shape
    (20, 10)
    """

    box: Box
    order: tuple[int, ...]

    def __post_init__(self) -> None:
        known = set(range(self.box.ndim))
        dropped = known - set(self.order)
        fits = len(set(self.order)) == len(self.order) and set(self.order) <= known
        if not fits or any(self.box.shape[i] != 1 for i in dropped):
            raise InputError(
                f"axes {self.order} do not show a box of shape {self.box.shape}",
                code=Code.AXES_MISMATCH,
                fix="name every stored axis once; only axes of length 1 may be left out",
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis shown."""
        return tuple(self.box.shape[i] for i in self.order)

    def stored_box(self, box: Box) -> Box:
        """Return a box of the part, along the axes shown, in voxels and axes of the stored array."""
        origin, shape = list(self.box.origin), list(self.box.shape)
        for i, o, n in zip(self.order, box.origin, box.shape, strict=True):
            origin[i], shape[i] = self.box.origin[i] + o, n
        return Box(tuple(origin), tuple(shape))

    def in_stored_axes(self, array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Return a view of an array along the axes shown with the axes of the stored array."""
        ndim = self.box.ndim
        wide = array[(..., *(np.newaxis,) * (ndim - len(self.order)))]
        places = (*self.order, *(i for i in range(ndim) if i not in self.order))
        return wide.transpose(np.argsort(np.asarray(places, np.int64)).tolist())

    def shown(self, info: ArrayInfo, axes: tuple[Axis, ...]) -> ArrayInfo:
        """Return what readers need to know of the part. Its chunks need not begin where the part begins."""
        if len(info.shape) != self.box.ndim:
            raise InputError(
                f"a part with {self.box.ndim} axes does not fit an array of shape {info.shape}",
                code=Code.AXES_MISMATCH,
                fix="give one origin and one length for each stored axis",
            )
        shard = info.shard_shape
        return replace(
            info,
            shape=self.shape,
            chunk_shape=tuple(info.chunk_shape[i] for i in self.order),
            shard_shape=None if shard is None else tuple(shard[i] for i in self.order),
            axes=axes,
            transform=None,
            details=None,
        )
