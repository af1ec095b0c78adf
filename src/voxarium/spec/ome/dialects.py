"""Which ``multiscales`` are those of OME: other conventions use the word too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["is_foreign", "is_unmarked"]

_OWN: Final = frozenset({"version", "axes", "coordinateSystems", "coordinateTransformations"})
_OTHERS: Final = frozenset({"transform", "crs", "pixels_per_tile"})  # of COSEM (and xarray-multiscale); of ndpyramid


def is_foreign(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a group's ``multiscales`` are evidently those of another convention.

    An object is that of zarr-conventions/multiscales. A list is foreign when its first item has nothing that only OME
    has, and its datasets have what only COSEM or ndpyramid have, or are no objects with a path.
    """
    found = attributes.get("multiscales")
    if "ome" in attributes or found is None:
        return False
    if isinstance(found, dict):
        return True
    if not is_unmarked(attributes):
        return False
    datasets = _datasets(found[0])
    described = datasets and len(datasets) == len(found[0]["datasets"]) and all("path" in d for d in datasets)
    return not described or any(_OTHERS & d.keys() for d in datasets)


def is_unmarked(attributes: Mapping[str, Any]) -> bool:
    """Tell whether a group's ``multiscales`` have nothing that only OME has: then they may be of 0.1, or foreign."""
    found = attributes.get("multiscales")
    first = found[0] if isinstance(found, list) and found else None
    if "ome" in attributes or not isinstance(first, dict) or _OWN & first.keys():
        return False
    return not any("coordinateTransformations" in d for d in _datasets(first))


def _datasets(multiscale: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = multiscale.get("datasets")
    return [d for d in found if isinstance(d, dict)] if isinstance(found, list) else []
