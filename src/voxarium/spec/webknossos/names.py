"""Names of layers and mags, and where arrays of mags are."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from voxarium.errors import InputError
from voxarium.model.keys import checked_key

if TYPE_CHECKING:
    from voxarium.spec.webknossos.properties import Layer, Mag, Properties

__all__ = ["layer_names", "mag_literal", "mag_paths", "segmentation_names"]


def layer_names(properties: Properties) -> tuple[str, ...]:
    """Return the names of layers that can be those of folders."""
    names = []
    for name in properties.layers:
        with contextlib.suppress(InputError):
            if "/" not in checked_key(name):
                names.append(name)
    return tuple(names)


def segmentation_names(properties: Properties) -> frozenset[str]:
    """Return the names of layers that say they are segmentations."""
    return frozenset(
        name
        for name, entry in properties.layers.items()
        if isinstance(entry, Mapping) and entry.get("category") == "segmentation"
    )


def mag_literal(factors: Sequence[int]) -> str:
    """Return the name of a mag, given along z, y, x.

    Examples
    --------
    >>> mag_literal((2, 2, 2)), mag_literal((1, 4, 4))
    ('2', '4-4-1')
    """
    z, y, x = factors
    return str(z) if z == y == x else f"{x}-{y}-{z}"


def mag_paths(layer: Layer, mag: Mag) -> tuple[str, ...]:
    """Return where the array of a mag may be, seen from the dataset's folder: as stated, or by its usual names."""
    if mag.path is not None:
        return (mag.path,)
    z, y, x = mag.factors
    return tuple(dict.fromkeys((f"{layer.name}/{mag_literal(mag.factors)}", f"{layer.name}/{x}-{y}-{z}")))
