"""``datasource-properties.json`` as objects: what a dataset says about its layers, in all dialects."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voxarium.errors import Code, FormatError
from voxarium.model.axes import SPACE_UNITS, canonical_unit
from voxarium.model.box import Box
from voxarium.model.fields import Problems, parse_json_object
from voxarium.spec.webknossos.names import mag_literal

__all__ = [
    "DOCUMENT",
    "FORMATS",
    "AdditionalAxis",
    "Layer",
    "Mag",
    "Properties",
    "parse_layer",
    "parse_properties",
]

DOCUMENT: Final = "datasource-properties.json"
FORMATS: Final = ("wkw", "zarr", "zarr3", "n5", "neuroglancerPrecomputed")
_MOST_BYTES: Final = 64 << 20
_MOST_MAGS: Final = 256
_MOST_VOXELS: Final = 2**40  # along an axis
_ELEMENT: Final = re.compile(r"(u?int|float)([0-9]{1,3})\Z", re.ASCII)
_MAG: Final = re.compile(r"[0-9]{1,9}(?:-[0-9]{1,9}-[0-9]{1,9})?\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mag:
    """One level of a layer.

    Parameters
    ----------
    factors : tuple of three int
        Mag-1 voxels per voxel along z, y, x.
    path : str or None
        Where its array is, as stated.
    axis_order : mapping of str to int, or None
        Name of an axis → its place in the stored array, as stated.
    channel : int or None
        Which channel of the stored array this layer is.
    """

    factors: tuple[int, int, int]
    path: str | None = None
    axis_order: Mapping[str, int] | None = None
    channel: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AdditionalAxis:
    """An axis besides x, y, z and channels: its first index, its length and its place in the stored array."""

    name: str
    origin: int
    length: int
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer.

    Parameters
    ----------
    name : str
        Name, which is also that of its folder.
    category : str
        ``color`` or ``segmentation``.
    box : Box
        Its voxels of mag 1, along z, y, x.
    element_class : str
        As stated, such as ``uint24``.
    channels : int
        Values per voxel.
    data_format : str
        ``wkw``, ``zarr``, ``zarr3``, ``n5`` or ``neuroglancerPrecomputed``.
    mags : tuple of Mag
        Finest first.
    additional_axes : tuple of AdditionalAxis
        In the order of the stored array.
    transformations : sequence of mapping
        ``coordinateTransformations``, as found.
    view : mapping
        ``defaultViewConfiguration``, as found.
    metadata : mapping
        The whole entry, as found.
    notes : tuple of str
        What was odd.
    """

    name: str
    category: str
    box: Box
    element_class: str
    channels: int
    data_format: str
    mags: tuple[Mag, ...]
    additional_axes: tuple[AdditionalAxis, ...] = ()
    transformations: Sequence[Mapping[str, Any]] = ()
    view: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype[Any] | None:
        """Type of one channel, as far as the element class tells."""
        return _element_dtype(self.element_class, self.channels)

    def level_box(self, factors: tuple[int, int, int]) -> Box:
        """Return the voxels of a mag that touch the layer, in the mag's own index space."""
        start = tuple(a // f for a, f in zip(self.box.origin, factors, strict=True))
        stop = tuple(-(-b // f) for b, f in zip(self.box.stop, factors, strict=True))
        return Box.from_bounds(start, stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Properties:
    """A dataset.

    Parameters
    ----------
    voxel_size : tuple of three floats
        Of mag 1, along z, y, x.
    unit : str or None
        UDUNITS-2 name; None when it is not one of length.
    layers : mapping of str to mapping
        Entries by name, as found, in their order.
    metadata : mapping
        The document without its layers, as found.
    notes : tuple of str
        What was odd.
    """

    voxel_size: tuple[float, float, float]
    unit: str | None
    layers: Mapping[str, Mapping[str, Any]]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def parse_properties(data: bytes, where: str) -> Properties:
    """Parse the document of a dataset; its layers are parsed one by one, so that one cannot spoil another.

    Raises
    ------
    FormatError
        If it is no JSON object, or lacks a voxel size or a list of layers.
    """
    if len(data) > _MOST_BYTES:
        raise FormatError(
            f"{where} has {len(data)} bytes, more than metadata ever needs",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the file is what its name says",
        )
    document = parse_json_object(data, where)
    problems = Problems(where)
    notes: list[str] = []
    voxel_size, unit = _scale(document.get("scale"), problems, notes)
    entries = document.get("dataLayers")
    if not isinstance(entries, list):
        problems.add("dataLayers is missing, or no list")
        entries = []
    layers: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        name = entry.get("name") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name:
            notes.append("an entry of dataLayers without a name is ignored")
        elif name in layers:
            notes.append(f"the second layer called {name!r} is ignored")
        else:
            layers[name] = entry
    problems.check()
    rest = {k: v for k, v in document.items() if k != "dataLayers"}
    return Properties(voxel_size=voxel_size, unit=unit, layers=layers, metadata=rest, notes=tuple(notes))


def _scale(found: object, problems: Problems, notes: list[str]) -> tuple[tuple[float, float, float], str | None]:
    """Return voxel size along z, y, x, and unit; a bare list is the older dialect, in nanometers."""
    factor: object = found
    unit: object = "nanometer"
    if isinstance(found, dict):
        factor, unit = found.get("factor"), found.get("unit", "nanometer")
    if not isinstance(factor, list) or len(factor) != 3 or not all(_is_size(v) for v in factor):
        problems.add(f"scale is {str(found)[:60]!r}, expected three positive numbers, or those as factor beside a unit")
        factor = [1.0, 1.0, 1.0]
    name = canonical_unit(unit) if isinstance(unit, str) else None
    if name not in SPACE_UNITS:
        notes.append(f"{str(unit)[:40]!r} is no unit of length; ignored")
        name = None
    x, y, z = map(float, factor)
    return (z, y, x), name


def _is_size(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value < 1e300 and math.isfinite(value)


def parse_layer(properties: Properties, name: str, where: str) -> Layer | None:
    """Parse one layer; None when the dataset has none of this name.

    Raises
    ------
    FormatError
        If its entry breaks the specification.
    """
    entry = properties.layers.get(name)
    if entry is None:
        return None
    problems = Problems(f"layer {name} of {where}")
    notes: list[str] = []
    category = entry.get("category")
    if category not in ("color", "segmentation"):
        problems.add(f"category is {str(category)[:40]!r}, expected color or segmentation")
    data_format = entry.get("dataFormat")
    if data_format not in FORMATS:
        problems.add(f"dataFormat is {str(data_format)[:40]!r}, expected one of {', '.join(FORMATS)}")
    channels = entry.get("numChannels")
    if channels is None:
        channels = 3 if entry.get("elementClass") == "uint24" else 1
    if type(channels) is not int or not 1 <= channels <= 2**16:
        problems.add(f"numChannels is {str(channels)[:40]!r}, expected a positive number")
        channels = 1
    element_class = entry.get("elementClass")
    if not isinstance(element_class, str):
        problems.add("elementClass is missing, or no text")
        element_class = ""
    layer = Layer(
        name=name,
        category=str(category),
        box=_box(entry.get("boundingBox"), problems),
        element_class=element_class,
        channels=channels,
        data_format=str(data_format),
        mags=_mags(entry, problems, notes),
        additional_axes=_additional(entry.get("additionalAxes"), problems),
        transformations=_objects(entry.get("coordinateTransformations"), "coordinateTransformations", notes),
        view=_object(entry.get("defaultViewConfiguration")),
        metadata=entry,
        notes=(*properties.notes, *notes),
    )
    problems.check()
    return layer


def _element_dtype(text: str, channels: int) -> np.dtype[Any] | None:
    match = _ELEMENT.match({"float": "float32", "double": "float64"}.get(text, text))
    if match is None:
        return None
    bits, rest = divmod(int(match[2]), channels)
    name = f"{match[1]}{bits}"
    allowed = {"float32", "float64"} | {f"{u}int{n}" for u in ("", "u") for n in (8, 16, 32, 64)}
    return np.dtype(name) if not rest and name in allowed else None


def _integer(value: object, low: int, high: int) -> int | None:
    """Return a whole number within bounds, written as 3 or 3.0; None for anything else."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        return None
    return value


def _triple(value: object, low: int, high: int) -> tuple[int, int, int] | None:
    """Return three whole numbers given as x, y, z in the order z, y, x."""
    if not isinstance(value, list) or len(value) != 3:
        return None
    x, y, z = (_integer(v, low, high) for v in value)
    return None if x is None or y is None or z is None else (z, y, x)


def _box(found: object, problems: Problems) -> Box:
    empty = Box((0, 0, 0), (0, 0, 0))
    if not isinstance(found, dict):
        problems.add("boundingBox is missing, or no object")
        return empty
    origin = _triple(found.get("topLeft"), -_MOST_VOXELS, _MOST_VOXELS)
    sides = [found.get(k) for k in ("width", "height", "depth")]
    shape = _triple(sides, 0, _MOST_VOXELS)
    if origin is None or shape is None:
        problems.add("boundingBox needs topLeft with three whole numbers, width, height and depth")
        return empty
    return Box(origin, shape)


def _factors(value: object) -> tuple[int, int, int] | None:
    """Return the factors (z, y, x) of a mag given as a list, a number or a text."""
    if isinstance(value, str) and _MAG.match(value):
        parts = [int(v) for v in value.split("-")]
        value = parts * 3 if len(parts) == 1 else parts
    single = _integer(value, 1, 2**31)
    return (single, single, single) if single is not None else _triple(value, 1, 2**31)


def _mags(entry: Mapping[str, Any], problems: Problems, notes: list[str]) -> tuple[Mag, ...]:
    """Return mags, finest first; ``wkwResolutions`` is the older name of the list."""
    key = "mags" if "mags" in entry else "wkwResolutions"
    found = entry.get(key)
    if not isinstance(found, list) or not found or len(found) > _MOST_MAGS:
        problems.add(f"{key} is no list of 1 to {_MOST_MAGS} mags")
        return ()
    mags: dict[tuple[int, int, int], Mag] = {}
    for item in found:
        given = item if isinstance(item, dict) else {"mag": item}
        factors = _factors(given.get("mag", given.get("resolution")))
        if factors is None:
            problems.add(f"{key} has {str(item)[:60]!r}, which names no mag")
            continue
        path, channel = given.get("path"), given.get("channelIndex")
        if path is not None and (not isinstance(path, str) or not path):
            problems.add(f"the path of mag {mag_literal(factors)} is no text")
            path = None
        if factors in mags:
            notes.append(f"the second mag {mag_literal(factors)} is ignored")
            continue
        mags[factors] = Mag(
            factors=factors,
            path=path,
            axis_order=_axis_order(given.get("axisOrder"), problems),
            channel=_integer(channel, 0, 2**16),
        )
    return tuple(sorted(mags.values(), key=lambda m: (math.prod(m.factors), m.factors)))


def _axis_order(found: object, problems: Problems) -> Mapping[str, int] | None:
    if found is None:
        return None
    if isinstance(found, dict):
        places = {k: _integer(v, 0, 31) for k, v in found.items() if v is not None}
        order = {k: v for k, v in places.items() if v is not None}
        if len(order) == len(places) and len(set(order.values())) == len(order):
            return order
    problems.add(f"axisOrder is {str(found)[:60]!r}, expected a place for each of c, x, y, z")
    return None


def _additional(found: object, problems: Problems) -> tuple[AdditionalAxis, ...]:
    if found is None:
        return ()
    axes: list[AdditionalAxis] = []
    for item in found if isinstance(found, list) and len(found) <= 16 else [None]:
        given = item if isinstance(item, dict) else {}
        name, bounds = given.get("name"), given.get("bounds")
        index = _integer(given.get("index"), 0, 31)
        numbers = [_integer(v, -_MOST_VOXELS, _MOST_VOXELS) for v in bounds] if isinstance(bounds, list) else []
        low, high = numbers if len(numbers) == 2 else (None, None)
        good = isinstance(name, str) and name not in ("", "c", "x", "y", "z", *(a.name for a in axes))
        if not good or index is None or low is None or high is None or high < low:
            problems.add(f"additionalAxes has {str(item)[:60]!r}, expected name, bounds and index")
            continue
        axes.append(AdditionalAxis(name=str(name), origin=low, length=high - low, index=index))
    return tuple(sorted(axes, key=lambda a: a.index))


def _object(found: object) -> Mapping[str, Any]:
    return found if isinstance(found, dict) else {}


def _objects(found: object, what: str, notes: list[str]) -> tuple[Mapping[str, Any], ...]:
    if found is None:
        return ()
    if isinstance(found, list) and all(isinstance(v, dict) for v in found):
        return tuple(found)
    notes.append(f"{what} is no list of objects; ignored")
    return ()
