"""What every version says about a pyramid, before its arrays are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.image import TransformEdge
from voxarium.model.transforms import Transform
from voxarium.spec.ome.document import as_list, as_mapping, as_path

__all__ = [
    "DATASET",
    "MULTISCALE",
    "WORLD",
    "Multiscale",
    "parse_datasets",
    "reference",
]

WORLD: Final = "physical"
DATASET: Final = "ome:dataset"  # roles of edges
MULTISCALE: Final = "ome:multiscale"
_MAX_LEVELS: Final = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiscale:
    """A pyramid as stated.

    Parameters
    ----------
    axes : tuple of Axis
        In stored order.
    paths : tuple of str
        Of the levels, below the group.
    transforms : tuple of Transform or None
        Voxel centre → world; None for a level that states none.
    notes : list of str
        What was guessed, mapped or in conflict.
    """

    axes: tuple[Axis, ...]
    paths: tuple[str, ...]
    transforms: tuple[Transform | None, ...]
    world: str = WORLD
    systems: tuple[CoordinateSystem, ...] = ()
    edges: tuple[TransformEdge, ...] = ()
    notes: list[str] = field(default_factory=list)


def parse_datasets(multiscale: Mapping[str, Any], where: str) -> list[tuple[str, Mapping[str, Any], str]]:
    """Return (path, the dataset's object, where it stands) of every level."""
    out = []
    for i, found in enumerate(as_list(multiscale.get("datasets"), f"{where}.datasets", _MAX_LEVELS)):
        here = f"{where}.datasets[{i}]"
        body = as_mapping(found, here)
        out.append((as_path(body.get("path"), f"{here}.path"), body, here))
    return out


def reference(found: Any) -> tuple[str | None, str | None]:
    """Return (name, path) of an `input` or `output`; texts are those of the drafts 0.6.dev1–dev3."""
    if isinstance(found, str):
        return found or None, None
    if not isinstance(found, dict):
        return None, None
    name, path = found.get("name"), found.get("path")
    return name if isinstance(name, str) and name else None, path if isinstance(path, str) and path else None
