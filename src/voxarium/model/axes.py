"""Axes, their units, and coordinate systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from voxarium.errors import Code, InputError

__all__ = ["SPACE_UNITS", "TIME_UNITS", "Axis", "CoordinateSystem", "guess_axis_type", "unit_factor"]

_PREFIXES: Final = {
    "yotta": 24, "zetta": 21, "exa": 18, "peta": 15, "tera": 12, "giga": 9, "mega": 6, "kilo": 3, "hecto": 2,
    "deca": 1, "": 0, "deci": -1, "centi": -2, "milli": -3, "micro": -6, "nano": -9, "pico": -12, "femto": -15,
    "atto": -18, "zepto": -21, "yocto": -24,
}  # fmt: skip

# UDUNITS-2 names, as OME-Zarr recommends (rules AX-005, AX-006); the value is the size in metres or seconds.
SPACE_UNITS: Final[Mapping[str, float]] = MappingProxyType(
    {f"{p}meter": 10.0**e for p, e in _PREFIXES.items()}
    | {
        "angstrom": 1e-10,
        "foot": 0.3048,
        "inch": 0.0254,
        "mile": 1609.344,
        "yard": 0.9144,
        "parsec": 3.0856775814913673e16,
    }
)
TIME_UNITS: Final[Mapping[str, float]] = MappingProxyType(
    {f"{p}second": 10.0**e for p, e in _PREFIXES.items()} | {"minute": 60.0, "hour": 3600.0, "day": 86400.0}
)
_SHORT: Final = {
    "nm": "nanometer", "um": "micrometer", "µm": "micrometer", "μm": "micrometer", "micron": "micrometer",
    "microns": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter", "pm": "picometer", "å": "angstrom",
    "s": "second", "sec": "second", "ms": "millisecond", "us": "microsecond", "min": "minute", "h": "hour",
    "nanometers": "nanometer", "micrometers": "micrometer", "nanometre": "nanometer", "micrometre": "micrometer",
}  # fmt: skip


def canonical_unit(name: str) -> str:
    """Return the UDUNITS-2 name of a unit that people or files may abbreviate (``nm`` → ``nanometer``)."""
    return _SHORT.get(name, _SHORT.get(name.lower(), name))


def unit_factor(unit: str, into: str) -> float:
    """Return how many `into` one `unit` is.

    Raises
    ------
    InputError
        If either unit is unknown, or they measure different things.

    Examples
    --------
    >>> unit_factor("micrometer", "nanometer")
    1000.0
    """
    a, b = canonical_unit(unit), canonical_unit(into)
    if a == b:
        return 1.0
    for table in (SPACE_UNITS, TIME_UNITS):
        if a in table and b in table:
            return float(f"{table[a] / table[b]:.15g}")
    raise InputError(
        f"cannot express {unit!r} in {into!r}",
        code=Code.UNIT_UNKNOWN,
        fix="use UDUNITS-2 names of one kind, such as nanometer and micrometer",
    )


_TYPES: Final = {"z": "space", "y": "space", "x": "space", "t": "time", "c": "channel"}


def guess_axis_type(name: str) -> str:
    """Return the type the field associates with an axis name: x, y, z space; t time; c channel; else other."""
    return _TYPES.get(name.lower(), "other")


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One named axis of an array or a coordinate system.

    Parameters
    ----------
    name : str
        Name, unique within its image.
    type : str
        space, time, channel, coordinate, displacement, frequency, array, or other.
    unit : str or None
        UDUNITS-2 name; None when unknown.
    orientation : str or None
        Anatomical direction of increasing values (OME RFC-4), such as ``left-to-right``.
    labels : tuple of str
        A label per index, for example channel names; empty when there are none.
    extra : mapping
        Unknown keys of the source, carried along unchanged.
    """

    name: str
    type: str = "other"
    unit: str | None = None
    orientation: str | None = None
    labels: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    def __post_init__(self) -> None:
        if not self.name:
            raise InputError("an axis has no name", code=Code.AXES_MISMATCH, fix="name every axis, such as z, y, x")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinateSystem:
    """A named frame with ordered axes. Voxel indices are such a frame too."""

    name: str
    axes: tuple[Axis, ...]
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found

    def __post_init__(self) -> None:
        names = [a.name for a in self.axes]
        if len(set(names)) != len(names):
            raise InputError(
                f"coordinate system {self.name!r} repeats an axis name: {', '.join(names)}",
                code=Code.AXES_MISMATCH,
                fix="give every axis a name of its own",
            )

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.axes)
