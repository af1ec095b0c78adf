"""All rules by id."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from voxarium.model.rules import Rule
from voxarium.spec.ome.rules import (
    axes,
    bioformats2raw,
    dimensions,
    labels,
    multiscales,
    omero,
    plate,
    storage,
    systems,
    transforms,
    well,
)

__all__ = ["RULES"]

_AREAS: Final = (
    storage, axes, multiscales, systems, transforms, dimensions, labels, omero, plate, well, bioformats2raw,
)  # fmt: skip
_ORDER: Final = ("ST", "AX", "OR", "MS", "CT", "TR", "SC", "LB", "OM", "PL", "WL", "BF")

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in sorted((r for area in _AREAS for r in area.RULES), key=lambda r: (_ORDER.index(r.id[:2]), r.id))
    }
)
