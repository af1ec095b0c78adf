"""BigDataViewer's views in N5 and HDF5: folders, factors per level, and what stands in for a missing XML.

N5: ``setup{s}/attributes.json`` has ``downsamplingFactors``, all levels at once, and ``dataType``;
``setup{s}/timepoint{t}`` holds the levels ``s0``, ``s1``, … and may state ``resolution``. HDF5: ``/s{ss}/resolutions``
and the levels ``/t{ttttt}/s{ss}/{level}/cells``. Lists are (x, y, z). Levels are means of windows, shifted by half a
voxel without saying so. No I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, InputError
from voxarium.model.attribute_documents import kept_attributes, numbers
from voxarium.model.axes import Axis
from voxarium.model.image import ImageInfo, TransformEdge
from voxarium.model.stated_images import (
    StatedImage,
    StatedLevel,
    affine_transform,
    check_levels,
    half_pixel,
    malformed,
    plain_transform,
    short_unit,
    stated_unit,
    window_factors,
)

__all__ = [
    "FORMAT",
    "Placement",
    "check_image",
    "checked_factors",
    "dump_level",
    "hdf5_level",
    "hdf5_view",
    "n5_factors",
    "own_placement",
    "parse_view_path",
    "stated_image",
    "voxel_size",
    "world_matrix",
]

FORMAT: Final = "bdv"
_N5_VIEW: Final = re.compile(r"(?:(?P<container>.*)/)?setup(?P<setup>[0-9]{1,9})/timepoint(?P<timepoint>[0-9]{1,9})\Z")
_HDF5_VIEW: Final = re.compile(r"(?P<container>)t(?P<timepoint>[0-9]{5,9})/s(?P<setup>[0-9]{2,9})\Z")
_SAME: Final = 0.05  # stitched tiles deviate by a few per cent; a missing calibration by much more
_KEYS: Final = frozenset({"downsamplingFactors", "pixelResolution", "affineTransform"})
_MAX_LEVELS: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a view lies.

    Parameters
    ----------
    matrix : ndarray of shape (3, 4) or None
        Voxel centre of level 0 → world, (x, y, z).
    voxel_size, unit :
        As the view's setup states them.
    original : mapping
        The numbers this came from.
    """

    matrix: NDArray[np.float64] | None = None
    voxel_size: tuple[float, ...] | None = None
    unit: str | None = None
    name: str = ""
    original: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found
    notes: tuple[str, ...] = ()


def parse_view_path(path: str) -> tuple[str, int, int] | None:
    """Return (container, time point, setup) of the path of a view; None when it is none.

    Examples
    --------
    >>> parse_view_path("a.n5/setup2/timepoint10"), parse_view_path("t00010/s02"), parse_view_path("em/s0")
    (('a.n5', 10, 2), ('', 10, 2), None)
    """
    match = _N5_VIEW.match(path) or _HDF5_VIEW.match(path)
    if match is None:
        return None
    return match["container"] or "", int(match["timepoint"]), int(match["setup"])


def hdf5_level(timepoint: int, setup: int, level: int) -> str:
    """Return the name of a level's dataset in HDF5.

    Examples
    --------
    >>> hdf5_level(0, 1, 2)
    't00000/s01/2/cells'
    """
    return f"t{timepoint:05d}/s{setup:02d}/{level}/cells"


def hdf5_view(timepoint: int, setup: int) -> str:
    """Return the name of a view's group in HDF5."""
    return f"t{timepoint:05d}/s{setup:02d}"


def n5_factors(
    setup: Mapping[str, Any] | None, levels: Mapping[str, Mapping[str, Any]]
) -> tuple[tuple[float, ...], ...] | None:
    """Return the factors of the levels, (x, y, z): the setup's, else each level's own; None when there are none.

    Raises
    ------
    FormatError
        If they are no factors of three axes.
    """
    listed = None if setup is None else setup.get("downsamplingFactors")
    if not isinstance(listed, list) or not listed or not isinstance(listed[0], list):
        listed = [a.get("downsamplingFactors") for a in levels.values()]
        if None in listed or setup is None or "dataType" not in setup:
            return None
    if len(listed) < len(levels):
        malformed("downsamplingFactors", f"has {len(listed)} entries for {len(levels)} levels", "list all levels")
    return checked_factors(listed[: max(1, len(levels))])


def checked_factors(listed: Sequence[Any]) -> tuple[tuple[float, ...], ...]:
    """Return factors (x, y, z) per level, or raise FormatError."""
    if not 1 <= len(listed) <= _MAX_LEVELS:
        malformed("the list of factors", f"has {len(listed)} entries", "check the metadata of the setup")
    out = []
    for row in listed:
        factors = numbers(row, 3, positive=True)
        if factors is None or max(factors) > 1e9:
            malformed("downsamplingFactors", f"holds {str(row)[:60]}", "give three factors, (x, y, z), per level")
        out.append(factors)
    return tuple(out)


def own_placement(timepoint: Mapping[str, Any] | None, level_0: Mapping[str, Any]) -> Placement:
    """Return what the container itself says where the XML is not there."""
    notes = ("the XML of the dataset was not found; registrations are not known",)
    found = level_0.get("pixelResolution")
    sizes = numbers(found.get("dimensions"), 3, positive=True) if isinstance(found, Mapping) else None
    if sizes is not None and isinstance(found, Mapping):
        matrix = np.column_stack([np.diag(sizes), np.zeros(3)])
        values = numbers(level_0.get("affineTransform"), 12)
        if values is not None:
            affine = np.reshape(values, (3, 4))
            matrix = np.column_stack([affine[:, :3] @ matrix[:, :3], affine[:, 3]])
        original = {k: v for k, v in level_0.items() if k in _KEYS}
        unit = stated_unit(found.get("unit"))
        return Placement(matrix=matrix, voxel_size=_norms(matrix), unit=unit, original=original, notes=notes)
    sizes = numbers((timepoint or {}).get("resolution"), 3, positive=True)
    if sizes is None:
        return Placement(notes=notes)
    matrix = np.column_stack([np.diag(sizes), np.zeros(3)])
    return Placement(matrix=matrix, original={"resolution": list(sizes)}, notes=(*notes, "no unit is stated"))


def _norms(matrix: NDArray[np.float64]) -> tuple[float, ...]:
    return tuple(float(n) for n in np.linalg.norm(matrix[:, :3], axis=0))


def stated_image(
    levels: Sequence[tuple[str, tuple[float, ...]]], placement: Placement, metadata: Mapping[str, Any]
) -> StatedImage:
    """Return a view as an image.

    Parameters
    ----------
    levels : sequence of (str, tuple of float)
        Path and factors, (x, y, z), of each level.

    Raises
    ------
    FormatError
        If the numbers make no transform.
    """
    notes = list(placement.notes)
    matrix = np.eye(3, 4) if placement.matrix is None else placement.matrix
    world = affine_transform(matrix[::-1, [2, 1, 0, 3]], "the registration")
    unit, edges = _unit(matrix, placement, notes)
    out = []
    for path, factors in levels:
        whole = half_pixel(factors[::-1]).then(world)
        transform = affine_transform(whole.matrix(3), f"the transform of {path!r}")
        original = {**placement.original, "downsamplingFactors": list(factors)}
        out.append(StatedLevel(path=path, transform=transform, original=original))
    return StatedImage(
        format=FORMAT,
        axes=tuple(Axis(name=n, type="space", unit=unit) for n in "zyx"),
        levels=tuple(out),
        metadata=metadata,
        name=placement.name,
        edges=edges,
        notes=tuple(notes),
    )


def _unit(
    matrix: NDArray[np.float64], placement: Placement, notes: list[str]
) -> tuple[str | None, tuple[TransformEdge, ...]]:
    """Return the unit of the world, and the voxel size as an edge of its own where the world does not have it.

    Registrations need not be in the unit of the voxel size: many programs register in multiples of a voxel.
    """
    unit = stated_unit(placement.unit)
    sizes = placement.voxel_size
    if sizes is None:
        return unit, ()
    if all(math.isclose(a, b, rel_tol=_SAME) for a, b in zip(_norms(matrix), sizes, strict=True)):
        return unit, ()
    found, stated = (", ".join(f"{n:g}" for n in values) for values in (_norms(matrix), sizes))
    notes.append(
        f"the registration is not in {placement.unit or 'the unit of the voxel size'}: it gives voxels a size of "
        f"{found} (x, y, z), the setup one of {stated}"
    )
    edge = TransformEdge(
        source="voxels",
        target="voxel size",
        transform=plain_transform(sizes[::-1], (0.0,) * 3, "the voxel size"),
        role="bdv:voxelSize",
        original={"size": list(sizes), "unit": placement.unit},
    )
    return None, (edge,)


# -------------------------------------------------------------------------------------------------------- writing
def check_image(image: ImageInfo) -> None:
    """Raise unless the image can be written as one view.

    Raises
    ------
    InputError
        If its axes are not z, y, x of one unit, or a level is not where means of windows are.
    UnsupportedError
        If a transform is no matrix.
    """
    check_levels(image, "BigDataViewer")
    names = [a.name for a in image.axes]
    if names != ["z", "y", "x"] or len({a.unit for a in image.axes}) != 1:
        raise InputError(
            f"BigDataViewer holds views with the axes z, y, x in one unit, this image has {', '.join(names)}",
            code=Code.AXES_MISMATCH,
            fix="write one channel and time point at a time, and give one unit with --unit",
        )
    for level in range(len(image.levels)):
        window_factors(image, level, "BigDataViewer's metadata")


def world_matrix(image: ImageInfo) -> NDArray[np.float64]:
    """Return voxel centre of level 0 → world, of shape (3, 4), (x, y, z)."""
    return image.levels[0].transform.matrix(3)[::-1, [2, 1, 0, 3]]


def voxel_size(image: ImageInfo) -> tuple[float, ...]:
    """Return the size of a voxel of level 0, (x, y, z)."""
    return _norms(world_matrix(image))


def dump_level(image: ImageInfo, level: int) -> dict[str, Any]:
    """Return the attributes of a level besides the array's own: they tell its place to readers without the XML."""
    sizes, matrix = voxel_size(image), world_matrix(image)
    own: dict[str, Any] = {
        "downsamplingFactors": list(reversed(window_factors(image, level, FORMAT))),
        "pixelResolution": {"dimensions": list(sizes), "unit": short_unit(image.axes[0].unit)},
    }
    affine = np.column_stack([matrix[:, :3] / np.asarray(sizes), matrix[:, 3]])
    if not np.array_equal(affine, np.eye(3, 4)):
        own["affineTransform"] = affine.ravel().tolist()
    return kept_attributes(image, image.levels[level].path, _KEYS) | own
