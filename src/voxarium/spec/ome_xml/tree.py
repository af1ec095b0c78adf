"""Walking through OME-XML whatever prefix its names have, and the units its attributes are in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from voxarium.model.axes import SPACE_UNITS, TIME_UNITS, canonical_unit, unit_factor
from voxarium.model.xml_tree import Element

__all__ = [
    "UNITS",
    "children",
    "converted",
    "copied",
    "first",
    "float_attribute",
    "int_attribute",
    "local",
    "short_unit",
    "unit_name",
]

_PREFIXES: Final = {
    "Y": "yotta", "Z": "zetta", "E": "exa", "P": "peta", "T": "tera", "G": "giga", "M": "mega", "k": "kilo",
    "h": "hecto", "da": "deca", "": "", "d": "deci", "c": "centi", "m": "milli", "µ": "micro", "n": "nano",
    "p": "pico", "f": "femto", "a": "atto", "z": "zepto", "y": "yocto",
}  # fmt: skip
_UNITS: Final[Mapping[str, str]] = MappingProxyType(
    {f"{short}m": f"{name}meter" for short, name in _PREFIXES.items()}
    | {f"{short}s": f"{name}second" for short, name in _PREFIXES.items()}
    | {"Å": "angstrom", "in": "inch", "ft": "foot", "yd": "yard", "mi": "mile", "pc": "parsec"}
    | {"min": "minute", "h": "hour", "d": "day"}
)
_SHORT: Final[Mapping[str, str]] = MappingProxyType({name: short for short, name in _UNITS.items()})
UNITS: Final = tuple(_SHORT)
"""UDUNITS-2 names of the units that OME can name."""


def local(element: Element) -> str:
    """Return the name of an element without its prefix.

    Examples
    --------
    >>> local(Element("ome:Image"))
    'Image'
    """
    return element.tag.rpartition(":")[2]


def children(element: Element | None, name: str) -> Iterator[Element]:
    """Yield the children of a name; none of None."""
    return iter(()) if element is None else (c for c in element.children if local(c) == name)


def first(element: Element | None, *path: str) -> Element | None:
    """Return the first element at a path of names; None when there is none."""
    for name in path:
        element = next(children(element, name), None)
    return element


def copied(element: Element) -> Element:
    """Return a copy that can be changed without changing the original. Depth is bounded where XML is read."""
    return replace(element, attributes=dict(element.attributes), children=[copied(c) for c in element.children])


def float_attribute(element: Element | None, name: str) -> float | None:
    """Return a finite number; None for anything else."""
    try:
        value = float(element.attributes.get(name, "")) if element is not None else math.nan
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def int_attribute(element: Element, name: str, default: int | None = None) -> int | None:
    """Return an integer of fewer than 19 digits; `default` when it is not there; None for anything else."""
    text = element.attributes.get(name)
    if text is None:
        return default
    text = text.strip()
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 19 else None


def unit_name(symbol: str) -> str | None:
    """Return the UDUNITS-2 name of a unit as OME writes it; None for ``pixel``, ``reference frame`` and others.

    Examples
    --------
    >>> unit_name("µm"), unit_name("min"), unit_name("pixel")
    ('micrometer', 'minute', None)
    """
    name = _UNITS.get(symbol.strip().replace("μ", "µ")) or canonical_unit(symbol.strip())
    return name if name in SPACE_UNITS or name in TIME_UNITS else None


def short_unit(name: str | None) -> str | None:
    """Return how OME writes a unit; None when it has none."""
    return None if name is None else _SHORT.get(canonical_unit(name))


def converted(element: Element | None, name: str, default: str, into: str) -> float | None:
    """Return an attribute that has a unit beside it (``DeltaT``, ``DeltaTUnit``) in another unit of the same kind.

    Examples
    --------
    >>> converted(Element("Plane", {"DeltaT": "1500", "DeltaTUnit": "ms"}), "DeltaT", "s", "second")
    1.5
    """
    value = float_attribute(element, name)
    if value is None or element is None:
        return None
    unit = unit_name(element.attributes.get(f"{name}Unit", default))
    if unit is None or (unit in TIME_UNITS) != (into in TIME_UNITS):
        return None
    factor = unit_factor(unit, into)
    # Powers of ten divide exactly where multiplying by their inverse would not.
    found = value / round(1 / factor) if factor < 1 and abs(1 / factor - round(1 / factor)) < 1e-9 else value * factor
    return found if math.isfinite(found) else None
