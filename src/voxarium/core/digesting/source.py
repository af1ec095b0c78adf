"""One level of an image as its digest sees it: canonical axes, those of length 1 left out, coordinates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from voxarium.core.array import Array
from voxarium.core.array_opening import as_image
from voxarium.core.image import Image
from voxarium.core.opening import open_one
from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import Axis, guess_axis_type
from voxarium.model.box import Box
from voxarium.spec.logical_digest import Coordinates, LogicalDigest, canonical_order, coordinates_of, type_name

__all__ = ["DigestSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestSource:
    """What is digested.

    Parameters
    ----------
    image : Image
        The image.
    level : int
        Level of its pyramid.
    named : tuple of Axis or None
        Axes in stored order; None when nobody names them.
    order : tuple of int
        Which stored axis stands where in canonical order.
    """

    image: Image
    level: int
    named: tuple[Axis, ...] | None
    order: tuple[int, ...]

    @classmethod
    def of(
        cls,
        source: str | os.PathLike[str] | Image | Array,
        level: int,
        axes: str | Sequence[str] | None = None,
        options: dict[str, Any] | None = None,  # Any: options of a driver
    ) -> Self:
        """Open an image.

        Raises
        ------
        InputError
            If `axes` do not fit, or several images are there.
        NotFoundError
            If it has no such level, or nothing is there.
        """
        if isinstance(source, Image):
            image = source
        elif isinstance(source, Array):
            image = as_image(source)
        else:
            image = open_one(source, **(options or {}))
        image.level(level)
        named = _named(image, axes)
        order = tuple(range(image.ndim)) if named is None else canonical_order(named)
        return cls(image=image, level=level, named=named, order=order)

    @property
    def array(self) -> Array:
        """The voxels."""
        return self.image.level(self.level)

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels along each axis, in canonical order."""
        return tuple(self.array.shape[i] for i in self.order)

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the axes in canonical order."""
        return tuple((self.named or self.image.axes)[i].name for i in self.order)

    @property
    def counting(self) -> tuple[int, ...]:
        """Stored axes that are longer than 1, in canonical order."""
        return tuple(i for i in self.order if self.array.shape[i] != 1)

    def coordinates(self) -> Coordinates | None:
        """Return what to bind; None where the file states no axes, or coordinates that are not affine."""
        if self.named is None:
            return None
        shape = self.array.shape
        try:
            matrix = self.image.levels[self.level].transform.matrix(len(shape))
        except (InputError, UnsupportedError):
            return None
        if matrix.shape != (len(shape), len(shape) + 1) or not np.isfinite(matrix).all():
            return None
        return coordinates_of(self.named, shape, matrix.tolist(), self.order)

    def check(self, known: LogicalDigest) -> None:
        """Raise InputError when a digest is that of another shape or type."""
        name = type_name(self.array.dtype)
        if (known.shape, known.dtype) != (self.shape, name):
            raise InputError(
                f"the digest is that of {known.dtype} {known.shape}, the image is {name} {self.shape}",
                code=Code.ARGUMENT_INVALID,
                fix="pass the digest of this image, or none",
            )

    def stored_box(self, box: Box) -> Box:
        """Return where in the array a box is that has only the axes that count, in canonical order."""
        origin, lengths = [0] * self.array.ndim, [1] * self.array.ndim
        for axis, start, length in zip(self.counting, box.origin, box.shape, strict=True):
            origin[axis], lengths[axis] = start, length
        return Box(tuple(origin), tuple(lengths))

    def read(self, box: Box) -> NDArray[Any]:
        """Return voxels; `box` and result have only the axes that count, in canonical order."""
        found = self.array.read(self.stored_box(box), threads=1)
        view: NDArray[Any] = found.transpose(self.order).reshape(box.shape)
        return view


def _named(image: Image, names: str | Sequence[str] | None) -> tuple[Axis, ...] | None:
    """Return the axes as the file or the user names them; None when nobody does."""
    if names is None:
        return image.axes if image.info.axes_stated else None
    if len(names) != image.ndim or len(set(names)) != len(names):
        raise InputError(
            f"axes {','.join(names)} do not fit an image with {image.ndim} axes",
            code=Code.AXES_MISMATCH,
            fix=f"give {image.ndim} different names in stored order",
        )
    pairs = zip(image.axes, names, strict=True)
    return tuple(a if a.name == n else replace(a, name=n, type=guess_axis_type(n)) for a, n in pairs)
