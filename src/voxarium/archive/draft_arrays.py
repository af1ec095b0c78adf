"""Arrays of a draft: read like any other, and assigned to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from voxarium.archive.voxel_edits import fitting
from voxarium.core.array import Array, Selector, parse_selection
from voxarium.errors import Code, InputError
from voxarium.model.box import Box

if TYPE_CHECKING:
    from voxarium.archive.draft_editing import Draft

__all__ = ["DraftArray"]


class DraftArray:
    """One stored grid in a draft: read it like any array, assign regions of it.

    Parameters
    ----------
    draft : Draft
        The draft.
    path : str
        Path of the array in the dataset.
    """

    def __init__(self, draft: Draft, path: str) -> None:
        self._draft = draft
        self.path = path

    @property
    def array(self) -> Array:
        """The array as stored, without what was not flushed yet."""
        return self._draft.opened(self.path)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, in stored (C) order."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a voxel."""
        return self.array.dtype

    def read(self, box: Box | None = None) -> NDArray[Any]:
        """Return a region, with everything that was assigned."""
        box = Box.whole(self.shape) if box is None else box
        out = self.array.read(box)
        self._draft.waiting(self.path).paste(box, out)
        return out

    def write(self, box: Box, values: Any) -> None:  # Any: whatever becomes an array
        """Assign a region.

        Parameters
        ----------
        box : Box
            Region, in stored axis order.
        values : array_like
            Its voxels, or one value for all.

        Raises
        ------
        InputError
            If the box leaves the array, or the values do not fit in shape, or cannot be held by its type.
        """
        if box.ndim != len(self.shape) or not Box.whole(self.shape).contains(box):
            raise InputError(
                f"box {box.origin}–{box.stop} is not inside the array of shape {self.shape}",
                code=Code.BOX_OUT_OF_BOUNDS,
                fix=f"stay within 0 and {self.shape}",
            )
        self._draft.add(self.path, box, fitting(values, box.shape, self.dtype))

    def __getitem__(self, selection: Selector | tuple[Selector, ...]) -> NDArray[Any]:
        box, post = parse_selection(selection, self.shape)
        selected: NDArray[Any] = self.read(box)[post]
        return selected

    def __setitem__(self, selection: Selector | tuple[Selector, ...], values: Any) -> None:  # Any: as in `write`
        box, post = parse_selection(selection, self.shape)
        if any(p is None or (isinstance(p, slice) and p.step not in (None, 1)) for p in post):
            raise InputError(
                f"{selection!r} leaves voxels out, or adds axes",
                code=Code.ARGUMENT_INVALID,
                fix="assign whole regions: integers, and slices without a step",
            )
        shape = tuple(n for n, p in zip(box.shape, post, strict=True) if isinstance(p, slice))
        self.write(box, fitting(values, shape, self.dtype).reshape(box.shape))
