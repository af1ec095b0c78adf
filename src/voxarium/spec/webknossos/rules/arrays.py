"""Checking the arrays of mags against what the document says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from voxarium.errors import FormatError
from voxarium.model.checking import Place, short
from voxarium.model.edits import Edit
from voxarium.model.image import ArrayInfo
from voxarium.spec.webknossos.image import StoredMag, stored_names
from voxarium.spec.webknossos.properties import Layer, Mag

__all__ = ["CONTAINERS", "StoredArray", "check_array"]

CONTAINERS: Final = {
    "wkw": "wkw", "zarr": "zarr2", "zarr3": "zarr3", "n5": "n5", "neuroglancerPrecomputed": "precomputed-scale",
}  # fmt: skip
"""Drivers of arrays by ``dataFormat``."""
_OWN_ORDER: Final = ("wkw", "n5", "precomputed-scale")  # arrays that stand here in another order than the document says
_SHAPES: Final = {"zarr2": (".zarray", "shape"), "zarr3": ("zarr.json", "shape")}


@dataclass(frozen=True, slots=True)
class StoredArray:
    """The array of a mag: the entry in the document, its key in the store, itself."""

    mag: Mag
    place: Place
    key: str
    array: ArrayInfo


def check_array(layer: Layer, entry: Place, stored: StoredArray) -> None:
    """Check one array; `entry` is that of the layer."""
    array = stored.array
    wanted = CONTAINERS.get(layer.data_format)
    if wanted is not None and array.format != wanted:
        known = next((k for k, v in CONTAINERS.items() if v == array.format), array.format)
        entry["dataFormat"].report(
            "WK-041",
            f"is {layer.data_format!r}; the array at {short(stored.key)} is {known}",
            "correct it",
            expected=known,
        )
    axes = _axes(layer, stored)
    if axes is None:
        return
    _check_values(layer, entry, stored, axes)
    if array.format not in _OWN_ORDER:
        _check_names(stored, axes)
    if array.format != "wkw":  # its shape is taken from the document
        _check_extent(layer, stored, axes)


def _axes(layer: Layer, stored: StoredArray) -> dict[str, int] | None:
    """Return the place of each axis in the array; None, and a finding, where they do not fit."""
    array, mag = stored.array, stored.mag
    if array.format in _OWN_ORDER:
        try:
            names = stored_names(layer, StoredMag(mag, stored.key, array))
        except FormatError as error:
            stored.place.report("WK-045", f"names an array that cannot be placed: {error.message}", error.fix)
            return None
        return {name: i for i, name in enumerate(names)}
    order = dict(mag.axis_order) if mag.axis_order else {"c": 0, "x": 1, "y": 2, "z": 3}
    order |= {axis.name: axis.index for axis in layer.additional_axes}
    if sorted(order.values()) != list(range(array.ndim)):
        at = stored.place["axisOrder"] if stored.place["axisOrder"].there else stored.place
        stated = ", ".join(sorted(order, key=order.__getitem__))
        at.report(
            "WK-045", f"tells the axes {stated} of an array with {array.ndim}", "write the order of the stored array"
        )
        return None
    return order


def _check_values(layer: Layer, entry: Place, stored: StoredArray, axes: dict[str, int]) -> None:
    array = stored.array
    if layer.dtype is not None and layer.dtype != array.dtype:
        entry["elementClass"].report(
            "WK-042",
            f"is {layer.element_class!r}, {layer.dtype.name} per channel; {short(stored.key)} holds {array.dtype.name}",
            "write what the array holds",
            expected=_element_class(array.dtype, layer.channels),
        )
    found = array.shape[axes["c"]] if "c" in axes else 1
    if found != layer.channels and stored.mag.channel is None:
        at = entry["numChannels"] if entry["numChannels"].there else entry
        at.report(
            "WK-042",
            f"says {layer.channels} channels; {short(stored.key)} has {found}",
            "write as many as the array has",
            expected=found,
        )


def _element_class(dtype: np.dtype[np.generic], channels: int) -> str:
    name = dtype.name.rstrip("0123456789")
    bits = dtype.itemsize * 8 * channels
    return {"float32": "float", "float64": "double"}.get(f"{name}{bits}", f"{name}{bits}")


def _check_names(stored: StoredArray, axes: dict[str, int]) -> None:
    names = [a.name for a in stored.array.axes or ()]
    known = {n: i for i, n in enumerate(names) if n in axes}
    wrong = {n for n, i in known.items() if axes[n] != i}
    if wrong:
        at = stored.place["axisOrder"] if stored.place["axisOrder"].there else stored.place
        at.report(
            "WK-046",
            f"places {', '.join(sorted(wrong))} otherwise than the names of the array's dimensions, {', '.join(names)}",
            "correct the one that is wrong",
        )


def _check_extent(layer: Layer, stored: StoredArray, axes: dict[str, int]) -> None:
    """Check that an array ends where the bounding box does."""
    array = stored.array
    wanted = dict(zip("zyx", layer.level_box(stored.mag.factors).stop, strict=True))
    if array.format == "precomputed-scale":
        return  # it begins where its own offset says
    short_of = {n: wanted[n] for n in "xyz" if array.shape[axes[n]] < wanted[n]}
    if short_of:
        said = ", ".join(f"{n} {array.shape[axes[n]]} of {length}" for n, length in short_of.items())
        stored.place.report(
            "WK-043", f"names {short(stored.key)}, which ends before the bounding box: {said}", "correct the box"
        )
    longer = {n: wanted[n] for n in "xyz" if array.shape[axes[n]] > max(wanted[n], 1)}
    if not longer:
        return
    shape = list(array.shape)
    for n, length in longer.items():
        shape[axes[n]] = max(length, 1)
    said = ", ".join(f"{n} {array.shape[axes[n]]} for {length}" for n, length in longer.items())
    stored.place.report(
        "WK-044",
        f"names {short(stored.key)}, which is longer than the bounding box: {said}",
        f"write the shape {shape}",
        expected=shape,
        repair=_reshaped(stored, shape),
    )


def _reshaped(stored: StoredArray, shape: list[int]) -> tuple[Edit, ...]:
    """Return the edit that corrects a shape, where no stored object falls out of the grid by it."""
    array = stored.array
    known = _SHAPES.get(array.format)
    counts = [
        [-(-n // s) for n, s in zip(lengths, array.object_shape, strict=True)] for lengths in (array.shape, shape)
    ]
    if known is None or counts[0] != counts[1]:
        return ()
    return (Edit(key=f"{stored.key}/{known[0]}", pointer=f"/{known[1]}", value=shape),)
