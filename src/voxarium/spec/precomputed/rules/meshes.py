"""Checking the ``info`` of meshes and of skeletons."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

import numpy as np

from voxarium.model.checked_values import objects
from voxarium.model.checking import Place, short
from voxarium.spec.precomputed.rules.sharding import check_sharding
from voxarium.spec.precomputed.rules.values import folder, number, several, whole, word

__all__ = ["check_legacy_meshes", "check_meshes", "check_skeletons"]

_ATTRIBUTES: Final = ("float32", "int8", "uint8", "int16", "uint16", "int32", "uint32")
_MEANINGS: Final[Mapping[str, tuple[str, int]]] = MappingProxyType(
    {"radius": ("float32", 1), "vertex_types": ("uint8", 1), "cross_sectional_area": ("float32", 1)}
)


def check_meshes(root: Place) -> str | None:
    """Check the ``info`` of multi-resolution meshes; return the key of the folder of segments it names."""
    bits = root["vertex_quantization_bits"]
    found = whole(bits, "PC-101", 0, 64)
    if found is not None and found not in (10, 16):
        bits.report("PC-101", f"is {found}", "write 10 or 16, which of them the vertices have")
    _check_transform(root["transform"])
    number(root["lod_scale_multiplier"], "PC-104", positive=True)
    check_sharding(root["sharding"])
    return _segments(root)


def check_legacy_meshes(root: Place) -> str | None:
    """Check the ``info`` of legacy meshes; return the key of the folder of segments it names."""
    if isinstance(root["sharding"].value, dict):
        root["sharding"].report("PC-106", "is there, though legacy meshes are single files", "remove it")
    return _segments(root)


def check_skeletons(root: Place) -> str | None:
    """Check the ``info`` of skeletons; return the key of the folder of segments it names."""
    if root["transform"].there:
        _check_transform(root["transform"])
    if root["vertex_attributes"].there:
        _check_attributes(root["vertex_attributes"])
    check_sharding(root["sharding"])
    return _segments(root)


def _segments(root: Place) -> str | None:
    place = root["segment_properties"]
    return folder(place, "PC-105") if place.there and place.value is not None else None


def _check_transform(place: Place) -> None:
    found = several(place, "PC-102", partial(number, rule="PC-102"), 12)
    if found is None:
        return
    matrix = np.array(found, np.float64).reshape(3, 4)[:, :3]
    largest = np.abs(matrix).max(axis=1)
    if not largest.all() or abs(np.linalg.det(matrix / largest[:, None])) < 1e-12:
        place.report("PC-103", "cannot be inverted", "write the sizes of voxels, or 1, on the diagonal")


def _check_attributes(place: Place) -> None:
    seen: dict[str, int] = {}
    for i, item in enumerate(objects(place, "PC-111", least=0)):
        name = item["id"].value
        if not isinstance(name, str) or not name:
            item.report("PC-111", "has no 'id', a text", "name the attribute")
            name = None
        dtype = word(item["data_type"], "PC-111", _ATTRIBUTES)
        count = whole(item["num_components"], "PC-111", 1, 1 << 16)
        if name is None:
            continue
        if name in seen:
            item["id"].report("PC-112", f"is {short(name)}, as in item {seen[name]}", "rename one of them")
        seen.setdefault(name, i)
        if name in _MEANINGS and None not in (dtype, count) and (dtype, count) != _MEANINGS[name]:
            wanted = f"{_MEANINGS[name][1]} {_MEANINGS[name][0]}"
            item.report("PC-113", f"is called {name!r}, and is {count} {dtype}", f"write {wanted}, or rename it")
