"""Axes and voxel sizes that attributes of an array state, in the conventions of the field.

Understood: CREMI (``resolution``, ``offset`` in nanometres, z y x, below ``/volumes``), funlib and
gunpowder (``axis_names``, ``units``, ``voxel_size``, ``offset``), the HDF5 plugins of Fiji and PlantSeg
(``element_size_um``, z y x), HDF5 dimension scales (``DIMENSION_LABELS``), ilastik and vigra
(``axistags``), and plain ``axes`` with ``units``, ``scale``, ``translate`` (COSEM). What is incomplete or
contradicts itself is left unknown: a wrong voxel size is worse than none.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, Axis, canonical_unit, guess_axis_type
from voxarium.model.transforms import Scale, Transform, Translation
from voxarium.model.transforms import Sequence as TransformSequence

__all__ = ["json_value", "presented_type", "stated_axes"]

_MOST_VALUES: Final = 10_000

_ZYX: Final = ("z", "y", "x")
_SPACE: Final = frozenset("zyx")
_BDV_CELLS: Final = re.compile(r"/t[0-9]{5,9}/s[0-9]{2,9}/[0-9]{1,3}/cells\Z")


@dataclass(frozen=True, slots=True)
class _Claim:
    """What one convention says; None = nothing."""

    names: tuple[str, ...] | None = None
    units: tuple[str, ...] | None = None
    scale: tuple[float, ...] | None = None
    translation: tuple[float, ...] | None = None


def presented_type(path: str, stored: np.dtype[Any]) -> np.dtype[Any]:
    """Return what the numbers of an array mean, where a convention stores them as something else.

    HDF5 of BigDataViewer holds unsigned numbers of 16 bits as signed ones: the same bits.

    Examples
    --------
    >>> presented_type("/t00000/s00/0/cells", np.dtype("int16")), presented_type("/raw", np.dtype("int16"))
    (dtype('uint16'), dtype('int16'))
    """
    return np.dtype(np.uint16) if stored == np.int16 and _BDV_CELLS.match(path) else stored


def stated_axes(
    attributes: Mapping[str, Any], ndim: int, path: str = ""
) -> tuple[tuple[Axis, ...] | None, Transform | None]:
    """Return the axes and the voxel centre → world transform that attributes state; None where they do not.

    Parameters
    ----------
    attributes : mapping
        JSON attributes of the array, as found.
    ndim : int
        Number of axes of the array.
    path : str
        Where the array is in its file: some conventions go by it.

    Examples
    --------
    >>> axes, transform = stated_axes({"element_size_um": [0.04, 0.016, 0.016]}, 3)
    >>> [a.name for a in axes], axes[0].unit, transform
    (['z', 'y', 'x'], 'micrometer', Scale(scale=(0.04, 0.016, 0.016)))
    """
    claims = [c for read in _CONVENTIONS if (c := read(attributes, ndim, path)) is not None]
    names = _agreed([c.names for c in claims])
    if names is None:
        return None, None
    sized = [c for c in claims if c.scale is not None and c.units is not None and c.names in (None, names)]
    first = sized[0] if sized else None
    if first is None or first.units is None or any(not _same(first, c) for c in sized[1:]):
        return tuple(Axis(name=n, type=guess_axis_type(n)) for n in names), None
    axes = tuple(Axis(name=n, type=guess_axis_type(n), unit=u or None) for n, u in zip(names, first.units, strict=True))
    if any(a.type == "space" and a.unit not in SPACE_UNITS for a in axes) or first.scale is None:
        return axes, None
    if first.translation is None or not any(first.translation):
        return axes, Scale(first.scale)
    return axes, TransformSequence((Scale(first.scale), Translation(first.translation)))


def json_value(value: Any) -> Any:  # Any: whatever a library returns; JSON out
    """Return an attribute as JSON: arrays as lists, bytes as text, what has no JSON form as its description.

    Examples
    --------
    >>> json_value(np.array([b"z", b"y"])), json_value(np.float32(0.5)), json_value(float("nan"))
    (['z', 'y'], 0.5, 'nan')
    """
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        if value.size > _MOST_VALUES:
            return f"array of shape {value.shape}, {value.dtype}"
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [json_value(v) for v in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    return repr(value)[:1000]


def _agreed(claims: Sequence[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    found = {c for c in claims if c is not None}
    return found.pop() if len(found) == 1 else None


def _same(a: _Claim, b: _Claim) -> bool:
    if a.scale is None or b.scale is None or a.units is None or b.units is None:
        return False
    pairs = zip(a.scale, a.units, b.scale, b.units, strict=True)
    return (a.translation or None) == (b.translation or None) and all(
        math.isclose(p * SPACE_UNITS.get(u, 1.0), q * SPACE_UNITS.get(v, 1.0), rel_tol=1e-6) for p, u, q, v in pairs
    )


def _names(value: Any, ndim: int) -> tuple[str, ...] | None:  # Any: JSON as found
    if isinstance(value, str):
        parts = [p.strip() for p in value.split(",")] if "," in value else list(value)
    elif isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
        parts = [str(v).removesuffix("^") for v in value]  # funlib marks channel axes with ^
    else:
        return None
    names = tuple(p.lower() if len(p) == 1 else p for p in parts)
    return names if len(names) == ndim and all(names) and len(set(names)) == ndim else None


def _units(value: Any, ndim: int) -> tuple[str, ...] | None:  # Any: JSON as found
    if isinstance(value, str):
        value = [value] * ndim
    if not isinstance(value, (list, tuple)) or len(value) != ndim or not all(isinstance(v, str) for v in value):
        return None
    units = tuple(canonical_unit(v.strip()) for v in value)
    return units if all(not u or u in SPACE_UNITS or u in TIME_UNITS for u in units) else None


def _numbers(value: Any, ndim: int, *, positive: bool) -> tuple[float, ...] | None:  # Any: JSON as found
    if not isinstance(value, (list, tuple)) or len(value) != ndim:
        return None
    if not all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in value):
        return None
    try:
        numbers = tuple(float(v) for v in value)
    except OverflowError:
        return None
    sound = all(math.isfinite(n) and (n > 0 or not positive) for n in numbers)
    return numbers if sound else None


def _cremi(attributes: Mapping[str, Any], ndim: int, path: str) -> _Claim | None:
    scale = _numbers(attributes.get("resolution"), 3, positive=True)
    if ndim != 3 or scale is None or not path.strip("/").startswith("volumes/") or "units" in attributes:
        return None
    offset = _numbers(attributes.get("offset"), 3, positive=False)
    if offset is None and "offset" in attributes:
        return None
    return _Claim(_ZYX, ("nanometer",) * 3, scale, offset)


def _funlib(attributes: Mapping[str, Any], ndim: int, path: str) -> _Claim | None:
    names = _names(attributes.get("axis_names"), ndim)
    if names is None:
        return None
    space = [i for i, n in enumerate(names) if n in _SPACE]
    units = _spread(_units(attributes.get("units"), len(space)), space, ndim, "")
    if units is None:
        units = _units(attributes.get("units"), ndim)
    size = attributes.get("voxel_size", attributes.get("resolution"))
    scale = _spread(_numbers(size, len(space), positive=True), space, ndim, 1.0)
    if scale is None:
        scale = _numbers(size, ndim, positive=True)
    offset = _spread(_numbers(attributes.get("offset"), len(space), positive=False), space, ndim, 0.0)
    if offset is None and "offset" in attributes:
        scale = None
    return _Claim(names, units, scale, offset)


def _spread(values: tuple[Any, ...] | None, at: Sequence[int], ndim: int, rest: Any) -> tuple[Any, ...] | None:
    """Put values of the spatial axes where these axes are."""
    if values is None:
        return None
    out = [rest] * ndim
    for i, v in zip(at, values, strict=True):
        out[i] = v
    return tuple(out)


def _element_size(attributes: Mapping[str, Any], ndim: int, path: str) -> _Claim | None:
    scale = _numbers(attributes.get("element_size_um"), 3, positive=True)
    return None if ndim != 3 or scale is None else _Claim(_ZYX, ("micrometer",) * 3, scale)


def _dimension_labels(attributes: Mapping[str, Any], ndim: int, path: str) -> _Claim | None:
    names = _names(attributes.get("DIMENSION_LABELS"), ndim)
    return None if names is None else _Claim(names)


def _axistags(attributes: Mapping[str, Any], ndim: int, path: str) -> _Claim | None:
    text = attributes.get("axistags")
    try:
        tags = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return None
    listed = tags.get("axes") if isinstance(tags, dict) else None
    if not isinstance(listed, list) or not all(isinstance(a, dict) for a in listed):
        return None
    names = _names([a.get("key") for a in listed], ndim)
    return None if names is None else _Claim(names)


def _plain(attributes: Mapping[str, Any], ndim: int, path: str) -> _Claim | None:
    inner = attributes.get("transform")
    source = inner if isinstance(inner, dict) and "axes" in inner else attributes
    if isinstance(inner, str):
        try:
            parsed = json.loads(inner)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict) and "axes" in parsed:
            source = parsed
    names = _names(source.get("axes"), ndim)
    if names is None:
        return None
    scale = _numbers(source.get("scale", source.get("voxel_size")), ndim, positive=True)
    offset = _numbers(source.get("translate"), ndim, positive=False)
    if offset is None and "translate" in source:
        scale = None
    return _Claim(names, _units(source.get("units", source.get("unit")), ndim), scale, offset)


_CONVENTIONS: Final[tuple[Callable[[Mapping[str, Any], int, str], _Claim | None], ...]] = (
    _cremi,
    _funlib,
    _element_size,
    _dimension_labels,
    _axistags,
    _plain,
)
