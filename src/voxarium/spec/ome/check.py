"""What 0.4–0.6 demand of an image before it is written.

Rules AX-002, AX-007 … AX-012, MS-005 … MS-007 and LB-005.
"""

from __future__ import annotations

from typing import Final, NoReturn

from voxarium.errors import Code, InputError, UnsupportedError
from voxarium.model.axes import Axis
from voxarium.model.image import ImageInfo
from voxarium.spec.ome.graph import dump_multiscale
from voxarium.spec.ome.v04 import scale_and_translation

__all__ = ["VERSIONS", "check_image", "check_version"]

VERSIONS: Final = ("0.5", "0.4", "0.6")  # those written; the first is the default
_GROUPS: Final = {"time": 0, "space": 2}  # everything else stands between time and space


def check_version(spec_version: str) -> None:
    """Raise UnsupportedError when this version is not written."""
    if spec_version not in VERSIONS:
        raise UnsupportedError(
            f"OME-Zarr {spec_version} cannot be written",
            code=Code.FEATURE_UNSUPPORTED,
            fix=f"use one of {', '.join(sorted(VERSIONS))}",
        )


def check_image(image: ImageInfo, spec_version: str) -> None:
    """Raise when the image cannot be written in this version.

    Raises
    ------
    InputError
        If its axes or levels are not as the specification demands.
    UnsupportedError
        If its data type or transforms cannot be held.
    """
    check_version(spec_version)
    _check_axes(image)
    _check_levels(image)
    if spec_version < "0.6":
        for level in range(len(image.levels)):
            scale_and_translation(image, level)
    else:
        dump_multiscale(image)


def _refuse(message: str, fix: str) -> NoReturn:
    raise InputError(message, code=Code.AXES_MISMATCH, fix=fix)


def _check_axes(image: ImageInfo) -> None:
    axes = image.axes
    names = [a.name for a in axes]
    text = ", ".join(names)
    mend = "name the axes in stored order, such as zyx or czyx" if not image.axes_stated else ""
    if not 2 <= len(axes) <= 5:
        _refuse(f"OME-Zarr holds 2 to 5 axes, this image has {len(axes)}: {text}", "write a part with fewer axes")
    if len(set(names)) != len(names):
        _refuse(f"axis names repeat: {text}", "give every axis a name of its own")
    space = [a.name for a in axes if a.type == "space"]
    if not 2 <= len(space) <= 3:
        _refuse(
            f"OME-Zarr needs 2 or 3 axes of type space, this image has {len(space)} among {text}",
            mend or "name the axes z, y, x, or set their type to space",
        )
    for kind, some in (("time", [a for a in axes if a.type == "time"]), ("channel or custom", _custom(axes))):
        if len(some) > 1:
            _refuse(
                f"OME-Zarr holds one {kind} axis, this image has {', '.join(a.name for a in some)}",
                mend or f"write one image per index of {some[0].name}, or join the axes",
            )
    order = sorted(axes, key=_place)
    if order != list(axes):
        _refuse(
            f"the axes {text} do not stand in the order time, channel, space",
            f"transpose the image to {', '.join(a.name for a in order)}",
        )


def _custom(axes: tuple[Axis, ...]) -> list[Axis]:
    return [a for a in axes if a.type not in _GROUPS]


def _place(axis: Axis) -> int:
    return _GROUPS.get(axis.type, 1)


def _check_levels(image: ImageInfo) -> None:
    if not image.levels:
        _refuse("the image has no level", "give at least the full resolution")
    first = image.levels[0].array
    paths = [level.path for level in image.levels]
    if len(set(paths)) != len(paths) or not all(paths):
        _refuse(f"the levels have the paths {paths}", "give every level a path of its own")
    for level in image.levels:
        array = level.array
        if array.ndim != len(image.axes):
            _refuse(
                f"level {level.path!r} has shape {array.shape}, which does not fit {len(image.axes)} axes",
                "give every level one length per axis",
            )
        if any(n > m for n, m in zip(array.shape, first.shape, strict=True)):
            _refuse(f"level {level.path!r} is larger than the first one", "order the levels from fine to coarse")
        if array.dtype != first.dtype:
            _refuse(
                f"level {level.path!r} has type {array.dtype}, the first one {first.dtype}",
                "write all levels with one data type",
            )
    if image.role == "label" and (first.dtype.kind not in "iu" or first.dtype.itemsize > 8):
        raise UnsupportedError(
            f"labels of type {first.dtype} cannot be written: label images hold integers",
            code=Code.DTYPE_UNSUPPORTED,
            fix="convert the labels to an integer type such as uint32, or give the image the role intensity",
        )
