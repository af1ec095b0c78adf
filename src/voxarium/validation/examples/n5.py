"""Trees of N5: an array of 5 × 4 × 3 numbers (x, y, z) in blocks of 4 × 3 × 2, a container, and pyramids."""

from __future__ import annotations

import gzip
import json
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["BASES", "array", "pyramid"]

_BLOCK: Final = (2, 3, 4)
_SCALE: Final = (30.0, 8.0, 8.0)  # nanometre, z y x


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=2).encode() + b"\n"


def array(data: NDArray[Any], more: Mapping[str, Any], path: str = "", *, packed: bool = False) -> dict[str, bytes]:
    """Return an array with all its blocks, those at the ends cut."""
    compression = {"type": "gzip", "level": 5, "useZlib": False} if packed else {"type": "raw"}
    document = {
        "dimensions": list(data.shape[::-1]),
        "blockSize": list(_BLOCK[::-1]),
        "dataType": data.dtype.name,
        "compression": compression,
    }
    prefix = f"{path}/" if path else ""
    tree = {f"{prefix}attributes.json": _json(document | dict(more))}
    for index in product(*(range(-(-n // c)) for n, c in zip(data.shape, _BLOCK, strict=True))):
        part = data[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, _BLOCK, strict=True))]
        body = part.astype(data.dtype.newbyteorder(">")).tobytes()
        head = struct.pack(f">HH{data.ndim}I", 0, data.ndim, *part.shape[::-1])
        raw = head + (gzip.compress(body, 5, mtime=0) if packed else body)
        tree[prefix + "/".join(str(i) for i in reversed(index))] = raw
    return tree


def pyramid(dtype: str = "uint8") -> tuple[NDArray[Any], NDArray[Any]]:
    """Return two levels, z y x, the second of means over windows of 1 × 2 × 2 equal numbers."""
    coarse = np.arange(1, 3 * 3 * 4 + 1, dtype=dtype).reshape(3, 3, 4)
    return coarse.repeat(2, axis=1).repeat(2, axis=2), coarse


def _n5() -> dict[str, bytes]:
    data = np.arange(1, 61, dtype=np.uint16).reshape(3, 4, 5) * 37
    return array(data, {"n5": "2.0.0"}, packed=True)


def _container() -> dict[str, bytes]:
    data = np.arange(1, 61, dtype=np.uint16).reshape(3, 4, 5) * 37
    tree = {"attributes.json": _json({"n5": "2.0.0"}), "raw/attributes.json": _json({"comment": "as scanned"})}
    return tree | array(data, {}, "em") | array(data, {}, "raw/em")


def _viewer() -> dict[str, bytes]:
    """Return a pyramid as n5-viewer and Neuroglancer read it."""
    sizes = list(_SCALE[::-1])
    group = {"n5": "2.0.0", "axes": ["x", "y", "z"], "units": ["nm"] * 3, "resolution": sizes}
    tree = {"attributes.json": _json(group | {"scales": [[1, 1, 1], [2, 2, 1]]})}
    resolution = {"pixelResolution": {"dimensions": sizes, "unit": "nm"}}
    fine, coarse = pyramid()
    tree |= array(fine, resolution | {"downsamplingFactors": [1, 1, 1]}, "s0")
    return tree | array(coarse, resolution | {"downsamplingFactors": [2, 2, 1]}, "s1")


# ------------------------------------------------------------------------------------------------------------- COSEM
def _transform(scale: Sequence[float], translate: Sequence[float]) -> dict[str, Any]:
    stated = {"scale": list(scale), "translate": list(translate), "units": ["nm"] * 3}
    return {"axes": ["z", "y", "x"], "order": "C", **stated}


def cosem(path: str = "", dtype: str = "uint8", name: str = "em", top: Mapping[str, Any] = {}) -> dict[str, bytes]:
    """Return a pyramid with the metadata of COSEM, in all their layers."""
    prefix = f"{path}/" if path else ""
    factors = ((1, 1, 1), (1, 2, 2))
    transforms = [
        _transform(
            [s * f for s, f in zip(_SCALE, fs, strict=True)], [s * (f - 1) / 2 for s, f in zip(_SCALE, fs, strict=True)]
        )
        for fs in factors
    ]
    resolutions = [{"dimensions": t["scale"][::-1], "unit": "nm"} for t in transforms]
    group = {
        "axes": ["x", "y", "z"],
        "units": ["nm"] * 3,
        "scales": [list(fs[::-1]) for fs in factors],
        "pixelResolution": resolutions[0],
        "multiscales": [
            {"name": name, "datasets": [{"path": f"s{i}", "transform": t} for i, t in enumerate(transforms)]}
        ],
    }
    tree = {f"{prefix}attributes.json": _json({**top, **group})}
    for i, data in enumerate(pyramid(dtype)):
        own = {"pixelResolution": resolutions[i], "transform": transforms[i]}
        tree |= array(data, own, f"{prefix}s{i}")
    return tree


BASES: Final[Mapping[str, Callable[[], dict[str, bytes]]]] = MappingProxyType(
    {
        "n5": _n5,
        "n5-container": _container,
        "n5-viewer": _viewer,
        "cosem": lambda: cosem(top={"n5": "2.0.0"}),
    }
)
