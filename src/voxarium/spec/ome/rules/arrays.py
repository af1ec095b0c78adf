"""What can be told when the arrays of an image are known: their shapes, types and names of dimensions."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np

from voxarium.model.checking import Place, short
from voxarium.model.edits import Edit
from voxarium.spec.ome.rules.spacing import check_spacing

__all__ = ["ArrayFacts", "axes_of", "check_arrays"]

_LABEL_TYPES: Final = "iu"


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayFacts:
    """What an array's metadata say.

    Parameters
    ----------
    shape : tuple of int
    dtype : numpy.dtype
    zarr_format : int or None
        2 or 3, by the name of its document; None when it is not known.
    dimension_names : tuple of str or None, or None
        As stated; None when they are not, or not known.
    separator : str or None
        Between the numbers in the keys of chunks of Zarr 2; None when it is not known.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[np.generic]
    zarr_format: int | None = None
    dimension_names: tuple[str | None, ...] | None = None
    separator: str | None = None

    @property
    def name(self) -> str:
        """Name of the array's document."""
        return "zarr.json" if self.zarr_format == 3 else ".zarray"


_Around = tuple[str, Mapping[str, Any]]  # path of the group, and its consolidated metadata
Levels = list[tuple[Place, ArrayFacts]]  # places of paths, and the arrays they lead to


def check_arrays(
    ome: Place,
    arrays: Mapping[str, ArrayFacts],
    *,
    label: bool = False,
    folder: str = "",
    copies: Mapping[str, Any] | None = None,  # Any: JSON as found
) -> None:
    """Check images against their arrays.

    Parameters
    ----------
    ome : Place
        Where the OME keys are.
    arrays : mapping of str to ArrayFacts
        By path below the group; a path without one has no array.
    label : bool
        Whether the group is meant to be a label image, even if it does not say so.
    folder : str
        Path of the group in the store.
    copies : mapping or None
        Consolidated metadata: a repair of an array's document is one of its copy too.
    """
    for image in ome["multiscales"].items():
        axes = axes_of(image)
        levels = [(d["path"], arrays.get(d.text("path") or "")) for d in image["datasets"].items() if d.text("path")]
        for path, facts in levels:
            if facts is None:
                path.report(
                    "MS-004", "leads to no array", "copy the missing level, or remove it from the list", basis="text"
                )
            else:
                _check_array(path, facts, axes, (folder, copies or {}))
        known = [(path, facts) for path, facts in levels if facts is not None]
        _compare(known)
        check_spacing(image, {path.value: facts.shape for path, facts in known})
        if label or ome["image-label"].there:
            _check_label_types(known)
        _check_channels(ome["omero"], axes, known)


def axes_of(image: Place) -> list[Place]:
    """Return the axes of the arrays: since 0.6 those of the coordinate system that the first dataset leads to."""
    if image.version < "0.6":
        return image["axes"].items()
    first = image["datasets"][0]["coordinateTransformations"][0]
    name = first["output"].text("name")
    systems = image["coordinateSystems"].items()
    return next((s["axes"].items() for s in systems if s.text("name") == name), [])


def _check_array(path: Place, facts: ArrayFacts, axes: list[Place], around: _Around) -> None:
    wanted = 2 if path.version == "0.4" else 3
    if facts.zarr_format not in (None, wanted):
        rule = "ST-001" if wanted == 2 else "ST-002"
        path.report(rule, f"leads to an array of Zarr {facts.zarr_format}", f"write it as Zarr {wanted}", basis="text")
    if facts.separator not in (None, "/"):
        path.report("ST-007", f"has chunks separated by {short(facts.separator)}", "separate them by '/'", basis="text")
    if axes and len(facts.shape) != len(axes):
        message = f"leads to an array of {len(facts.shape)} dimensions, there are {len(axes)} axes"
        path.report("AX-007", message, "list an axis per dimension", basis="text")
    if facts.zarr_format == wanted and axes:
        _check_dimension_names(path, facts, tuple(axis.text("name") for axis in axes), around)


def _check_dimension_names(path: Place, facts: ArrayFacts, names: tuple[str | None, ...], around: _Around) -> None:
    found = facts.dimension_names
    if found == names:
        return
    stated = "no names" if found is None else f"the names {', '.join(short(n) for n in found)[:120]}"
    plain = path.value == path.value.strip("./") and ".." not in path.value
    certain = plain and len(names) == len(facts.shape) and None not in names and not any(found or ())
    path.report(
        "ST-010",
        f"has {stated} of dimensions",
        f"name them {', '.join(map(str, names))[:120]}",
        basis="text",
        expected=list(names),
        repair=_names_edits(path.value, list(names), around) if certain else (),
    )


def _names_edits(path: str, names: list[str | None], around: _Around) -> tuple[Edit, ...]:
    """Return the edits that name the dimensions of an array, and of its copy in consolidated metadata."""
    folder, copies = around
    prefix = f"{folder}/" if folder else ""
    own = Edit(key=f"{prefix}{path}/zarr.json", pointer="/dimension_names", value=names)
    if not isinstance(copies.get(path), Mapping):
        return (own,)
    pointer = f"/consolidated_metadata/metadata/{path.replace('~', '~0').replace('/', '~1')}/dimension_names"
    return (own, Edit(key=f"{prefix}zarr.json", pointer=pointer, value=names))


def _compare(levels: Levels) -> None:
    """Compare each level with the one before it."""
    for (_, finer), (path, facts) in pairwise(levels):
        if len(facts.shape) != len(levels[0][1].shape):
            path.report("MS-006", f"has {len(facts.shape)} dimensions", "give all levels as many", basis="text")
        if facts.dtype != levels[0][1].dtype:
            message = f"has the type {facts.dtype}, the first level {levels[0][1].dtype}"
            path.report("MS-007", message, "write all levels with one type", basis="text")
        if math.prod(facts.shape) > math.prod(finer.shape):
            path.report("MS-005", "is larger than the level before it", "list the largest first", basis="text")


def _check_label_types(levels: Levels) -> None:
    for path, facts in levels:
        if facts.dtype.kind not in _LABEL_TYPES:
            path.report("LB-005", f"has the type {facts.dtype}", "store labels as integers", basis="text")


def _check_channels(omero: Place, axes: list[Place], levels: Levels) -> None:
    channels = omero["channels"].value
    at = next((i for i, axis in enumerate(axes) if axis.text("type") == "channel"), None)
    if not isinstance(channels, list) or not levels or (at is not None and at >= len(levels[0][1].shape)):
        return
    count = 1 if at is None else levels[0][1].shape[at]
    if len(channels) != count:
        omero["channels"].report(
            "OM-002", f"lists {len(channels)} for {count}", "describe every channel once", basis="text"
        )
