"""How large a WKW array is, which only the dataset around it knows."""

from __future__ import annotations

from collections.abc import Sequence

from voxarium.errors import FormatError, InputError
from voxarium.model.keys import resolved_key
from voxarium.model.transforms import Transform
from voxarium.spec.webknossos.geometry import centre_transform, layer_frame
from voxarium.spec.webknossos.names import mag_paths
from voxarium.spec.webknossos.properties import parse_layer, parse_properties

__all__ = ["stored_extent"]


def stored_extent(
    raw: bytes, where: str, folder: str, path: str
) -> tuple[tuple[int, int, int], Transform, str | None] | None:
    """Return shape along z, y, x, voxel centre → world, and unit of the array at `path`; None for one not listed.

    Parameters
    ----------
    raw : bytes
        A dataset's document.
    where : str
        Its key, for messages.
    folder, path : str
        The dataset's folder, and the array's path in the same store.

    Raises
    ------
    FormatError
        If the document breaks the specification.
    """
    properties = parse_properties(raw, where)
    for name in properties.layers:
        try:
            layer = parse_layer(properties, name, where)
        except FormatError:  # whoever opens that layer is told
            continue
        if layer is None or layer.data_format != "wkw":
            continue
        for mag in layer.mags:
            if path not in _places(folder, mag_paths(layer, mag)):
                continue
            z, y, x = (max(n, 0) for n in layer.level_box(mag.factors).stop)
            frame = layer_frame(layer.transformations)
            return (z, y, x), centre_transform((0, 0, 0), mag.factors, properties.voxel_size, frame), properties.unit
    return None


def _places(folder: str, paths: Sequence[str]) -> set[str]:
    places = set()
    for path in paths:
        try:
            places.add(resolved_key(folder, path))
        except InputError:  # an address elsewhere
            continue
    return places
