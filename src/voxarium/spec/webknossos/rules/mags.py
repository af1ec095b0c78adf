"""Checking the mags of a layer: their numbers, paths and axes."""

from __future__ import annotations

import re
from typing import Any, Final

from voxarium.errors import InputError
from voxarium.model.checked_values import objects
from voxarium.model.checking import ABSENT, Place, short
from voxarium.model.edits import Edit
from voxarium.model.keys import resolved_key
from voxarium.spec.webknossos.rules.values import triple, whole

__all__ = ["check_axes", "check_mags", "check_path", "factors_of"]

_MAG: Final = re.compile(r"([0-9]{1,9})(?:-([0-9]{1,9})-([0-9]{1,9}))?", re.ASCII)
_MOST_MAGS: Final = 256
_LARGEST: Final = 2**31


def factors_of(value: Any) -> tuple[int, int, int] | None:
    """Return the numbers (x, y, z) of a mag in any dialect: a list, a number, a text; None for anything else."""
    if isinstance(value, str):
        found = _MAG.fullmatch(value)
        if found is None:
            return None
        value = [int(v) for v in found.groups() if v is not None]
        value = value * 3 if len(value) == 1 else value
    single = whole(value, 1, _LARGEST)
    return (single, single, single) if single is not None else triple(value, 1, _LARGEST)


def check_mags(layer: Place) -> None:
    """Check the list of mags, whatever its dialect."""
    mags = layer["mags"]
    if mags.value is ABSENT and isinstance(layer["wkwResolutions"].value, list):
        mags = layer["wkwResolutions"]
        mags.report("WK-018", "is the older name of 'mags'", "call it 'mags'", repair=_renamed(layer, mags))
    if not isinstance(mags.value, list) or not 0 < len(mags.value) <= _MOST_MAGS:
        at, what = (mags, f"is {short(mags.value)}") if mags.there else (layer, "has no 'mags'")
        at.report("WK-017", what, "list each mag")
        return
    seen: dict[tuple[int, int, int], int] = {}
    for i, item in enumerate(mags.items()):
        factors = _check_mag(item, older=mags.pointer.endswith("wkwResolutions"))
        if factors is None:
            continue
        if factors in seen:
            item.report("WK-019", f"is mag {list(factors)}, as item {seen[factors]}", "remove one of them")
        seen.setdefault(factors, i)
        if any(n & (n - 1) for n in factors):
            item.report("WK-020", f"is mag {list(factors)}, not made of powers of two", "make it in steps of 2")
    _check_orders(mags)


def _renamed(layer: Place, older: Place) -> tuple[Edit, ...]:
    """Return the edits that write a list of ``wkwResolutions`` as mags; none where an item is unsound."""
    out = []
    for item in older.items():
        members = item.value if isinstance(item.value, dict) else {"resolution": item.value}
        factors = factors_of(members.get("resolution"))
        if factors is None:
            return ()
        out.append({"mag": list(factors)} | {k: v for k, v in members.items() if k != "resolution"})
    return (layer["mags"].put(out), older.removed())


def _check_mag(item: Place, *, older: bool) -> tuple[int, int, int] | None:
    place = item if not isinstance(item.value, dict) else item["resolution"] if older else item["mag"]
    if place.value is ABSENT:
        item.report("WK-017", "has no 'mag'", "add it: three whole numbers")
        return None
    factors = factors_of(place.value)
    if factors is None:
        place.report("WK-017", f"is {short(place.value)}", "write three whole numbers from 1")
        return None
    if (place is item or not isinstance(place.value, list)) and not older:
        wanted: Any = {"mag": list(factors)} if place is item else list(factors)
        repair = (place.put(wanted),)
        place.report("WK-018", f"is {short(place.value)}", f"write {wanted}", expected=list(factors), repair=repair)
    if not isinstance(item.value, dict):
        return factors
    path = item["path"]
    if path.there and path.value is not None:
        check_path(path, "WK-021")
    for name, low in (("cubeLength", 1), ("channelIndex", 0)):
        value = item[name].value
        if value is not ABSENT and value is not None and whole(value, low, _LARGEST) is None:
            item[name].report("WK-025", f"is {short(value)}", f"write a whole number from {low}, or remove it")
    _check_order(item["axisOrder"])
    return factors


def check_path(place: Place, rule: str) -> str | None:
    """Check a path of the document; return its key, None where it is unsound or leads elsewhere."""
    value = place.value
    if not isinstance(value, str) or not value:
        at, what = (place, f"is {short(value)}")
        at.report(rule, what, "write a path seen from the dataset, or an address")
        return None
    if "://" in value or value.startswith("/"):
        place.report("WK-022", f"is {short(value)}, outside of this dataset", "validate that address by itself")
        return None
    path = value.rstrip("/")
    try:
        return resolved_key(place.sheet.key.rpartition("/")[0], path)
    except InputError:
        pass
    if ".." in path.split("/"):
        place.report("WK-022", f"is {short(value)}, outside of what is checked", "validate a folder around both")
    else:
        place.report(rule, f"is {short(value)}, which names nothing", "write a path such as ./color/1")
    return None


def _check_order(place: Place) -> None:
    value = place.value
    if value is ABSENT or value is None:
        return
    places = {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else {}
    numbers = [whole(v, 0, 31) for v in places.values()]
    sound = places.keys() >= {"x", "y", "z"} and None not in numbers and len(set(numbers)) == len(numbers)
    if not sound:
        place.report("WK-023", f"is {short(value)}", 'write {"c": 0, "x": 1, "y": 2, "z": 3} for these axes')


def _check_orders(mags: Place) -> None:
    first: Place | None = None
    for item in mags.items():
        place = item["axisOrder"]
        if not isinstance(place.value, dict):
            continue
        if first is None:
            first = place
        elif place.value != first.value:
            place.report("WK-024", f"is {short(place.value)}, not as in the first mag", "store the mags alike")


def check_axes(layer: Place) -> None:
    """Check additional axes: names, bounds, places."""
    axes = layer["additionalAxes"]
    if not axes.there or axes.value is None:
        return
    names = {"c", "x", "y", "z"}
    indexes = _places(layer)
    for axis in objects(axes, "WK-026", least=0):
        name, bounds, index = axis["name"].value, axis["bounds"].value, whole(axis["index"].value, 0, 31)
        if not isinstance(name, str) or not name or name in names:
            axis.report(
                "WK-026", f"is called {short(name) if axis['name'].there else 'nothing'}", "give it its own name"
            )
        else:
            names.add(name)
        low, high = (
            (whole(v, -(2**40)) for v in bounds) if isinstance(bounds, list) and len(bounds) == 2 else (None, None)
        )
        if low is None or high is None or high < low:
            axis.report("WK-026", "has no sound bounds", "write the first index, and the one behind the last")
        if index is None or index in indexes:
            axis.report("WK-026", "has no place of its own in the array", "write its index in the stored array")
        else:
            indexes.add(index)


def _places(layer: Place) -> set[int]:
    order = next((m["axisOrder"].value for m in layer["mags"].items() if isinstance(m["axisOrder"].value, dict)), {})
    return {found for v in order.values() if (found := whole(v, 0, 31)) is not None}
