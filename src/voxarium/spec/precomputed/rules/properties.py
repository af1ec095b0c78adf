"""Checking the ``info`` that names and describes segments."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any, Final

from voxarium.model.checked_values import objects
from voxarium.model.checking import ABSENT, Place, short
from voxarium.spec.precomputed.rules.values import word

__all__ = ["check_segment_properties"]

_TYPES: Final = ("label", "description", "tags", "string", "number")
_ONCE: Final = ("label", "description", "tags")
_LIMITS: Final = {
    "int8": (-128, 127), "uint8": (0, 255), "int16": (-(2**15), 2**15 - 1), "uint16": (0, 2**16 - 1),
    "int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "float32": (-3.5e38, 3.5e38),
}  # fmt: skip
_ID: Final = re.compile("[0-9]{1,20}", re.ASCII)
_MOST_TAGS: Final = 65_535
_SPACE: Final = re.compile(r"\s")


def check_segment_properties(root: Place) -> str | None:
    """Check the ``info`` of properties of segments."""
    inline = root["inline"]
    if not isinstance(inline.value, dict):
        where, what = (inline, "is no object") if inline.there else (root, "has no 'inline'")
        where.report("PC-141", what, 'write {"ids": […], "properties": […]}')
        return None
    count = _check_ids(inline)
    if inline["properties"].value is ABSENT:
        inline.report("PC-141", "has no 'properties'", "add it: [] where there are none")
    seen: dict[Any, int] = {}
    kinds: dict[str, int] = {}
    for i, item in enumerate(objects(inline["properties"], "PC-143", least=0)):
        _check_property(item, count)
        name, kind = item["id"].value, item["type"].value
        if isinstance(name, str) and name:
            if name in seen:
                item["id"].report("PC-143", f"is {short(name)}, as in item {seen[name]}", "rename one of them")
            seen.setdefault(name, i)
        else:
            item.report("PC-143", "has no 'id', a text", "name the property")
        if kind in _ONCE:
            if kind in kinds:
                item["type"].report("PC-143", f"is a second {kind}, after item {kinds[kind]}", "make it a string")
            kinds.setdefault(kind, i)
    return None


def _check_ids(inline: Place) -> int | None:
    ids = inline["ids"].value
    if not isinstance(ids, list):
        where, what = (inline["ids"], "is no list") if inline["ids"].there else (inline, "has no 'ids'")
        where.report("PC-141", what, "list the ids of segments, as texts")
        return None
    seen: dict[str, int] = {}
    for i, value in enumerate(ids):
        if not isinstance(value, str) or not _ID.fullmatch(value) or int(value) >= 2**64:
            sound = type(value) is int and 0 <= value <= 2**53
            repair = (inline["ids"][i].put(str(value)),) if sound else ()
            inline["ids"][i].report("PC-141", f"is {short(value)}", "write a decimal number as text", repair=repair)
            continue
        plain = value.lstrip("0") or "0"
        if plain in seen:
            inline["ids"][i].report("PC-142", f"is {value}, as item {seen[plain]}", "merge the entries")
        seen.setdefault(plain, i)
    return len(ids)


def _check_property(item: Place, count: int | None) -> None:
    kind = word(item["type"], "PC-143", _TYPES)
    place = item["values"]
    if not isinstance(place.value, list):
        where, what = (place, "is no list") if place.there else (item, "has no 'values'")
        where.report("PC-143", what, "list a value for each id")
        return
    if count is not None and len(place.value) != count:
        place.report("PC-144", f"has {len(place.value)} items for {count} ids", "write one for each id")
    if kind == "tags":
        _check_tags(item)
    elif kind == "number":
        _check_numbers(item)
    elif kind is not None:
        for i, value in enumerate(place.value):
            if not isinstance(value, str):
                place[i].report("PC-145", f"is {short(value)}", "write a text")


def _check_numbers(item: Place) -> None:
    dtype = word(item["data_type"], "PC-145", _LIMITS)
    if dtype is None:
        return
    low, high = _LIMITS[dtype]
    place = item["values"]
    for i, value in enumerate(place.value):
        sound = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        if not sound or (dtype != "float32" and value != int(value)):
            place[i].report("PC-145", f"is {short(value)}, none of {dtype}", "correct it, or data_type")


def _check_tags(item: Place) -> None:
    tags = item["tags"].value
    if not isinstance(tags, list) or len(tags) > _MOST_TAGS:
        where = item["tags"] if item["tags"].there else item
        where.report("PC-146", "has no list of tags, of at most 65,535", "list the tags that values number")
        return
    seen: set[str] = set()
    for place in item["tags"].items():
        tag = place.value
        if not isinstance(tag, str) or not tag or _SPACE.search(tag):
            place.report("PC-146", f"is {short(tag)}", "write a text without white space")
        elif tag.startswith("#"):
            place.report("PC-146", f"is {short(tag)}", "leave out the #, which viewers add", level="should")
        elif tag in seen:
            place.report("PC-146", f"is {short(tag)} again", "list each tag once")
        if isinstance(tag, str):
            seen.add(tag)
    described = item["tag_descriptions"].value
    if described is not ABSENT and (
        not isinstance(described, list) or len(described) != len(tags) or not all(isinstance(d, str) for d in described)
    ):
        item["tag_descriptions"].report("PC-146", "is no list of a text for each tag", "describe each, with '' perhaps")
    place = item["values"]
    for i, value in enumerate(place.value):
        if not _is_ascending(value, len(tags)):
            place[i].report("PC-146", f"is {short(value)}", "list numbers of tags, ascending")


def _is_ascending(value: Any, count: int) -> bool:
    if not isinstance(value, list) or not all(type(v) is int and 0 <= v < count for v in value):
        return False
    return all(a < b for a, b in pairwise(value))
