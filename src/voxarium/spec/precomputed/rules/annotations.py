"""Checking the ``info`` of a collection of annotations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import Final

from voxarium.model.checked_values import objects
from voxarium.model.checking import ABSENT, Place, short
from voxarium.spec.precomputed.rules.sharding import check_grid, check_sharding
from voxarium.spec.precomputed.rules.values import folder, number, several, whole, word

__all__ = ["check_annotations"]

_TYPES: Final = ("point", "line", "axis_aligned_bounding_box", "ellipsoid", "polyline")
_LIMITS: Final = {
    "int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1),
}  # fmt: skip
_SIZES: Final = {"rgb": 3, "rgba": 4, "float32": 4, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "int32": 4,
                 "uint32": 4, "bool": 1}  # fmt: skip
_ID: Final = re.compile("[a-z][a-zA-Z0-9_]*")
_UNIT: Final = re.compile("(?:(?:[YZEPTGMkhdcmuµμnpfazy]|da)?(?:m|s|Hz|rad/s))?")
_LONGEST: Final = 255
_MOST_DIMENSIONS: Final = 64
_TOLERANCE: Final = 1e-4  # of the extent: cells are often rounded to whole voxels, or to float32


def check_annotations(root: Place) -> str | None:
    """Check the ``info`` of a collection of annotations."""
    rank = _check_dimensions(root)
    bounds = _check_bounds(root, rank)
    kind = word(root["annotation_type"], "PC-124", _TYPES)
    keys: list[tuple[Place, str]] = []
    _check_relationships(root, keys)
    _check_by_id(root, keys)
    _check_spatial(root, rank, bounds, keys)
    size = _check_properties(root["properties"])
    if rank is not None and kind is not None:
        record = size + 4 * rank * (1 if kind in ("point", "polyline") else 2)
        if record > _LONGEST:
            root.report("PC-134", f"makes records of {record} bytes", "use fewer or smaller properties")
    seen: dict[str, str] = {}
    for place, key in keys:
        if key in seen:
            place.report("PC-136", f"is {short(place.value)}, as at {seen[key]}", "use a folder for each")
        seen.setdefault(key, place.pointer)
    return None


def _check_dimensions(root: Place) -> int | None:
    place = root["dimensions"]
    if not isinstance(place.value, dict) or not 0 < len(place.value) <= _MOST_DIMENSIONS:
        where, what = (place, "is no object of dimensions") if place.there else (root, "has no 'dimensions'")
        where.report("PC-121", what, 'write {"x": [8, "nm"], …}')
        return None
    for name in place.value:
        item = place[name]
        if not isinstance(item.value, list) or len(item.value) != 2:
            item.report("PC-121", f"is {short(item.value)}", 'write [scale, unit], such as [8, "nm"]')
            continue
        number(item[0], "PC-121", positive=True)
        unit = item[1].value
        if not isinstance(unit, str) or not _UNIT.fullmatch(unit):
            item[1].report("PC-121", f"is {short(unit)}, no unit", 'write m, s, Hz or rad/s with a prefix, or ""')
    return len(place.value)


def _check_bounds(root: Place, rank: int | None) -> tuple[Sequence[float], Sequence[float]] | None:
    if rank is None:
        return None
    take = partial(number, rule="PC-122")
    low, high = (several(root[key], "PC-122", take, rank) for key in ("lower_bound", "upper_bound"))
    if low is None or high is None:
        return None
    if any(a > b for a, b in zip(low, high, strict=True)):
        root["lower_bound"].report("PC-123", f"is {list(low)}, above {list(high)}", "compute both from all corners")
    return low, high


def _keyed(place: Place, rule: str, keys: list[tuple[Place, str]]) -> bool:
    """Check the folder and the shards of an index; tell whether it has usable shards."""
    key = folder(place["key"], rule)
    if key is not None:
        keys.append((place["key"], key))
    return check_sharding(place["sharding"]) is not None


def _listed(root: Place, name: str, rule: str) -> list[Place]:
    if root[name].value is ABSENT:
        root.report(rule, f"has no {name!r}", "add it: [] where there are none", repair=(root[name].put([]),))
    return objects(root[name], rule, least=0)


def _unique_ids(items: list[Place]) -> None:
    seen: dict[str, int] = {}
    for i, item in enumerate(items):
        name = item["id"].value
        if isinstance(name, str):
            if name in seen:
                item["id"].report("PC-126", f"is {short(name)}, as in item {seen[name]}", "rename one of them")
            seen.setdefault(name, i)


def _check_relationships(root: Place, keys: list[tuple[Place, str]]) -> None:
    items = _listed(root, "relationships", "PC-125")
    for item in items:
        if not isinstance(item["id"].value, str):
            item.report("PC-125", "has no 'id', a text", "name the relationship")
        _keyed(item, "PC-125", keys)
    _unique_ids(items)


def _check_by_id(root: Place, keys: list[tuple[Place, str]]) -> None:
    place = root["by_id"]
    if not isinstance(place.value, dict):
        where, what = (place, "is no object") if place.there else (root, "has no 'by_id'")
        where.report("PC-127", what, 'write {"key": "by_id"}')
        return
    _keyed(place, "PC-127", keys)


def _check_spatial(
    root: Place,
    rank: int | None,
    bounds: tuple[Sequence[float], Sequence[float]] | None,
    keys: list[tuple[Place, str]],
) -> None:
    before: Sequence[int] | None = None
    for level in _listed(root, "spatial", "PC-128"):
        sharded = _keyed(level, "PC-128", keys)
        whole(level["limit"], "PC-128", 1, 2**63)
        if rank is None:
            continue
        grid = several(level["grid_shape"], "PC-128", partial(whole, rule="PC-128", low=1, high=2**63), rank)
        cell = several(level["chunk_size"], "PC-128", partial(number, rule="PC-128", positive=True), rank)
        if grid is None:
            continue
        if sharded:
            check_grid(level["sharding"], "PC-135", grid)
        if cell is not None and bounds is not None:
            _check_cells(level, grid, cell, bounds)
        if before is not None and any(n < b for n, b in zip(grid, before, strict=True)):
            level["grid_shape"].report("PC-130", f"is {list(grid)}, after {list(before)}", "sort the levels")
        before = grid


def _check_cells(
    level: Place, grid: Sequence[int], cell: Sequence[float], bounds: tuple[Sequence[float], Sequence[float]]
) -> None:
    for n, size, low, high in zip(grid, cell, *bounds, strict=True):
        if abs(n * size - (high - low)) > max(_TOLERANCE * abs(high - low), _TOLERANCE):
            level["chunk_size"].report(
                "PC-129",
                f"is {list(cell)}: {n} cells of {size:.10g} are not the {high - low:.10g} between the bounds",
                "correct the cells, or the bounds",
            )
            return


def _check_properties(place: Place) -> int:
    """Check the properties of annotations; return how many bytes they take."""
    if not place.there:
        return 0
    items = objects(place, "PC-131", least=0)
    total = 0
    for item in items:
        name = item["id"].value
        if not isinstance(name, str) or not _ID.fullmatch(name):
            at, what = (item["id"], f"is {short(name)}") if item["id"].there else (item, "has no 'id'")
            at.report("PC-131", what, "use letters, digits and _, a lower-case letter first")
        kind = word(item["type"], "PC-131", _SIZES)
        total += _SIZES.get(kind or "", 0)
        _check_enum(item, kind)
    _unique_ids(items)
    return -(-total // 4) * 4


def _check_enum(item: Place, kind: str | None) -> None:
    values, labels = item["enum_values"], item["enum_labels"]
    if not values.there and not labels.there:
        return
    listed = [p.value if isinstance(p.value, list) else None for p in (values, labels)]
    if listed[0] is None or listed[1] is None or len(listed[0]) != len(listed[1]):
        item.report("PC-132", "needs enum_values and enum_labels, lists of one length", "give each value a label")
        return
    if kind in ("rgb", "rgba", "bool"):
        values.report("PC-132", f"is there for {kind}", "remove it, and enum_labels")
    for label in labels.items():
        if not isinstance(label.value, str):
            label.report("PC-132", f"is {short(label.value)}", "write a text")
    seen: set[float] = set()
    low, high = _LIMITS.get(kind or "", (-3.5e38, 3.5e38))
    for value in values.items():
        found = number(value, "PC-132")
        if found is None:
            continue
        if not low <= found <= high or (kind in _LIMITS and found != int(found)):
            value.report("PC-132", f"is {found}, none of {kind}", "correct it, or the type")
        if found in seen:
            value.report("PC-133", f"is {found}, which has another name already", "remove one")
        seen.add(found)
