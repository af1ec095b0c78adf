"""What a user may choose about resampling."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from voxarium.errors import Code, InputError
from voxarium.model.transforms import Transform

if TYPE_CHECKING:
    from voxarium.core.image import Image

__all__ = ["INTERPOLATIONS", "ResampleOptions", "checked_interpolation"]

INTERPOLATIONS: Final = ("nearest", "linear", "cubic")


@dataclass(frozen=True, slots=True, kw_only=True)
class ResampleOptions:
    """Choices; the target's grid is that of `like`, or made from `voxel_size` and `box`.

    Parameters
    ----------
    like : Image, str or path, or None
        Image on whose grid the result lies; an address may end with ``@level``.
    voxel_size : tuple of float or None
        Per space axis of the target; one number stands for all.
    box : mapping of str to (float, float), or None
        Region of the target's world by axis name, in the unit of `voxel_size`: from the outer face of the first voxel
        to that of the last. Axes not named, and None: the bounding box of the mapped source.
    transform : Transform or None
        World of the source → world of the target, space axes only, each in its own unit; None = the same place, units
        converted.
    inverse : Transform or None
        World of the target → world of the source, as registration tools write it: given instead of `transform`, or
        beside it where that has no inverse.
    interpolation : str or None
        nearest, linear or cubic; None = nearest for labels, linear otherwise.
    fill_value : float or int
        Value where there is no source.
    level : int or None
        Level of the source to read; None = the coarsest whose voxels are not larger than the target's.
    memory : int
        Bytes that all regions of the source in memory may take together.
    """

    like: Image | str | os.PathLike[str] | None = None
    voxel_size: tuple[float, ...] | float | None = None
    box: Mapping[str, tuple[float, float]] | None = None
    transform: Transform | None = None
    inverse: Transform | None = None
    interpolation: str | None = None
    fill_value: float = 0
    level: int | None = None
    memory: int = 512 << 20


def checked_interpolation(name: str | None, role: str) -> str:
    """Return the interpolation for an image of this role.

    Raises
    ------
    InputError
        If there is none of that name, or it would invent labels.
    """
    chosen = ("nearest" if role == "label" else "linear") if name is None else name
    if chosen not in INTERPOLATIONS:
        raise InputError(
            f"there is no interpolation {chosen!r}",
            code=Code.ARGUMENT_INVALID,
            fix=f"use one of {', '.join(INTERPOLATIONS)}",
        )
    if role == "label" and chosen != "nearest":
        raise InputError(
            f"{chosen} interpolation would invent labels that no voxel has",
            code=Code.ARGUMENT_INVALID,
            fix="use nearest, or declare the image to be intensity",
        )
    return chosen
