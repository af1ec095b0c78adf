"""Where voxels are: precomputed says where the corner of the first voxel lies, in whole voxels; we say voxel centres.

The physical corner is ``voxel_offset · resolution``. Nothing between two voxels can be expressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from voxarium.errors import Code, UnsupportedError
from voxarium.model.axes import unit_factor
from voxarium.model.transforms import Scale, Transform, Translation, scale_translation
from voxarium.model.transforms import Sequence as Steps

__all__ = ["MOST_VOXELS", "centre_transform", "in_nanometers", "scale_key", "voxel_offset"]

MOST_VOXELS: Final = 2**52  # so that an index and a half is exact
_ROUNDING: Final = 4e-10


def centre_transform(resolution: Sequence[float], offset: Sequence[int], *, channels: bool) -> Transform:
    """Return voxel centre → nanometers for axes (c,) z, y, x, from resolution and offset (x, y, z).

    Examples
    --------
    >>> centre_transform((4, 4, 40), (0, 10, -1), channels=False).apply((0, 0, 0)).tolist()
    [-20.0, 42.0, 2.0]
    """
    scale = tuple(float(r) for r in reversed(resolution))
    shift = tuple((o + 0.5) * r for o, r in zip(reversed(offset), scale, strict=True))
    if channels:
        scale, shift = (1.0, *scale), (0.0, *shift)
    return Steps((Scale(scale), Translation(shift)))


def voxel_offset(transform: Transform, axes: Sequence[str], *, nearest: bool = False) -> tuple[int, int, int]:
    """Return the first voxel (x, y, z) of an array whose voxel centres map to the world by `transform`.

    Parameters
    ----------
    transform : Transform
        Voxel centre → world.
    axes : sequence of str
        Names of the axes, in C order.
    nearest : bool
        Move an array that lies between voxels to the nearest position instead of refusing it.

    Raises
    ------
    UnsupportedError
        If it is more than scale and translation, mirrors, or lies between voxels.
    """
    found = scale_translation(transform, len(axes))
    if found is None:
        raise _inexpressible(
            "the image is rotated, sheared or warped", "write it unrotated, or to a format with affine transforms"
        )
    corners: dict[str, float] = {}
    for name, scale, shift in zip(axes, *found, strict=True):
        if name == "c":
            _check_channels(scale, shift)
            continue
        if scale <= 0:
            raise _inexpressible(f"axis {name} runs backwards (scale {scale})", f"flip the image along {name}")
        corner = corners[name] = shift / scale - 0.5
        if not abs(corner) <= MOST_VOXELS:
            raise _inexpressible(
                f"the image begins {corner:.6g} voxels from the origin along {name}", "move it nearer to the origin"
            )
    first = {name: round(corner) for name, corner in corners.items()}
    between = [n for n, c in corners.items() if abs(c - first[n]) > _ROUNDING + abs(c) * 2e-15]
    if between and not nearest:
        places = ", ".join(f"{n} {corners[n]:.6g}" for n in between)
        sizes = dict(zip(axes, found[0], strict=True))
        centres = ",".join(f"{(first[n] + 0.5) * sizes[n]:.12g}" for n in corners)
        raise _inexpressible(
            f"a level begins between voxels, counted in its own from the origin: {places}",
            f"centre its first voxel at {centres} for example ({', '.join(corners)}; --translation is level 0's); "
            "coarser levels begin at whole voxels when level 0 begins at a multiple of their factors",
        )
    return first["x"], first["y"], first["z"]


def _check_channels(scale: float, shift: float) -> None:
    if scale != 1 or shift:
        raise _inexpressible("the channel axis is scaled or shifted", "leave channels unscaled")


def _inexpressible(what: str, fix: str) -> UnsupportedError:
    return UnsupportedError(f"{what}: precomputed cannot express that", code=Code.TRANSFORM_INVALID, fix=fix)


def in_nanometers(length: float, unit: str) -> float:
    """Return a length in nanometers, as exact as its decimal notation: 0.0041 micrometers are 4.1 nanometers.

    Raises
    ------
    InputError
        If the unit is unknown, or none of length.

    Examples
    --------
    >>> in_nanometers(0.0041, "micrometer"), 0.0041 * 1000
    (4.1, 4.1000000000000005)
    """
    factor = unit_factor(unit, "nanometer")
    return length if factor == 1.0 else float(Decimal(repr(float(length))) * Decimal(repr(factor)))


def scale_key(resolution: Sequence[float]) -> str:
    """Return the usual key of a scale, from its resolution (x, y, z).

    Examples
    --------
    >>> scale_key((8.0, 8.5, 40.0))
    '8_8.5_40'
    """
    return "_".join(str(int(r)) if r.is_integer() and abs(r) < 1e15 else repr(r) for r in map(float, resolution))
