"""Words of WEBKNOSSOS: formats, attachments, element classes."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ELEMENT", "FORMATS", "LISTS", "NAME", "SINGLE", "SIZE", "VIEW", "WRITABLE", "P", "element_class"]

P: Final = "webknossos"
FORMATS: Final = {"wkw": "wkw", "zarr": "zarr", "zarr3": "zarr3", "n5": "n5", "neuroglancerPrecomputed": "precomputed"}
WRITABLE: Final = {v: k for k, v in FORMATS.items()} | {"zarr2": "zarr"}
ELEMENT: Final = re.compile(r"(u?int|float)([0-9]{1,4})\Z")
NAME: Final = re.compile(r"[^A-Za-z0-9_$@.\-]+")
VIEW: Final = "default"
LISTS: Final = {"meshes": "mesh", "agglomerates": "table", "connectomes": "table"}
SINGLE: Final = ("segmentIndex", "segmentStatistics", "cumsum")
SIZE: Final = ("width", "height", "depth")


def element_class(dtype: str, channels: int) -> str | None:
    """Return the word for so many channels of a type; None when there is none."""
    match = ELEMENT.match(dtype)
    if match is None:
        return None
    word = f"{match[1]}{int(match[2]) * channels}"
    return {"float32": "float", "float64": "double"}.get(word, word) if channels == 1 else word
