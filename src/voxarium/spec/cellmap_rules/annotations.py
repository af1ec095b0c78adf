"""Annotations of crops, classes and arrays: rules CM-101 to CM-107."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from voxarium.model.checked_documents import is_integer
from voxarium.model.checked_values import NAME, NUMBER, TEXT, Kind, list_of, matching, one_of
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.rules import Finding
from voxarium.spec.cellmap_rules.tables import RULES

__all__ = [
    "annotation_kind",
    "annotation_of",
    "check_annotation",
    "check_class_arrays",
    "check_counts",
    "check_members",
    "counted",
]

_NAMESPACE: Final = ("cellmap", "annotation")
_SEMANTIC: Final = "semantic_segmentation"
_ENCODED: Final = {
    _SEMANTIC: ("unknown", "absent", "present"),
    "instance_segmentation": ("unknown", "absent"),
}
_DATE: Final = matching(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", "a date such as 2022-03-01")
_TEXTS: Final = list_of(TEXT)
_CROP: Final[Mapping[str, tuple[Kind, bool]]] = {  # what it is, and whether it may be null
    "version": (one_of("0.1.1"), False),
    "name": (TEXT, True),
    "description": (TEXT, True),
    "created_by": (_TEXTS, False),
    "created_with": (_TEXTS, False),
    "start_date": (_DATE, True),
    "end_date": (_DATE, True),
    "duration_days": (NUMBER, True),
    "protocol_uri": (TEXT, True),
    "class_names": (list_of(NAME), False),
}
_MOST: Final = 10_000
_LEAST, _LARGEST = -(2**63), 2**64
_LEVEL: Final = re.compile(r"[^\x00-\x1f]{1,255}\Z")


def annotation_of(root: Place) -> Place:
    """Return the place of ``cellmap.annotation`` in attributes."""
    for key in _NAMESPACE:
        root = root[key]
    return root


def annotation_kind(found: Place, *, is_array: bool) -> str:
    """Return what an annotation is for: ``crop``, ``class`` or ``array``; empty where there is none."""
    if not isinstance(found.value, dict):
        return ""
    if is_array:
        return "array"
    return "crop" if "class_names" in found.value and "class_name" not in found.value else "class"


def check_annotation(found: Place, kind: str, name: str) -> None:
    """Check an annotation by itself.

    Parameters
    ----------
    kind : str
        As `annotation_kind` says.
    name : str
        Of the folder; empty where it is not known.
    """
    if kind == "crop":
        _check_crop(found)
        return
    named = found["class_name"]
    if not NAME.holds(named.value):
        named.report("CM-107", f"is {short(named.value) if named.there else 'absent'}", "name the class")
    elif kind == "class" and name and named.value != name:
        named.report("CM-102", f"is {short(named.value)} in the group {short(name)}", "give both one name")
    encoding = _check_type(found["annotation_type"])
    counts = found["complement_counts"]
    if kind == "array" and counts.there and counts.value is not None:
        _check_stated(counts, encoding)


def _check_crop(found: Place) -> None:
    for key, (kind, may_lack) in _CROP.items():
        place = found[key]
        if not place.there:
            repair = (place.put(None),) if may_lack else ()
            found.report("CM-107", f"has no {key!r}", f"add it: {kind.text}", repair=repair)
        elif not (kind.holds(place.value) or (may_lack and place.value is None)):
            place.report("CM-107", f"is {short(place.value)}", f"make it {kind.text}" + " or null" * may_lack)


def _check_type(place: Place) -> Mapping[str, int] | None:
    """Check the type of an annotation; return its encoding where it is one."""
    kind, encoding = place.text("type"), place["encoding"]
    if kind not in _ENCODED:
        where = place["type"] if place["type"].there else place
        shown = short(where.value) if where.there else "absent"
        where.report("CM-105", f"is {shown}", f"make it one of {', '.join(_ENCODED)}")
        return None
    if not isinstance(encoding.value, dict):
        encoding.report("CM-105", "is no object", f"give the values of {', '.join(_ENCODED[kind])}")
        return None
    seen: set[int] = set()
    for key in list(encoding.value)[:_MOST]:
        value = encoding[key]
        if key not in _ENCODED[kind]:
            fix = f"remove it: there are {', '.join(_ENCODED[kind])}"
            value.report("CM-105", f"is no key of {kind}", fix)
        elif not is_integer(value.value) or not _LEAST <= value.value < _LARGEST:
            value.report("CM-105", f"is {short(value.value)}", "make it a whole number")
        elif value.value in seen:
            value.report("CM-105", f"is {value.value}, as for another key", "use each value once")
        else:
            seen.add(value.value)
    for key in place.value.keys() - {"type", "encoding"}:
        place[key].report("CM-105", "is no key of a type", "remove it")
    return {k: v for k, v in encoding.value.items() if is_integer(v)}


def _check_stated(counts: Place, encoding: Mapping[str, int] | None) -> None:
    if not isinstance(counts.value, dict):
        counts.report("CM-103", f"is {short(counts.value)}", "give a number per name, or null")
        return
    for key in list(counts.value)[:_MOST]:
        value = counts[key]
        if key == "present":
            value.report("CM-103", "counts the object, which is no complement", "remove it")
        elif encoding is not None and key not in encoding:
            value.report("CM-103", f"counts {short(key)}, which is not encoded", "remove it, or add it to the encoding")
        if not is_integer(value.value) or value.value < 0:
            value.report("CM-103", f"is {short(value.value)}", "make it a number of voxels")


# -------------------------------------------------------------------------------------------------------- hierarchy
def check_members(found: Place, folders: Collection[str]) -> None:
    """Check that the classes of a crop are among its groups."""
    for item in found["class_names"].items()[:_MOST]:
        if isinstance(item.value, str) and item.value not in folders:
            item.report("CM-101", f"is {short(item.value)}, and there is no such group", "remove it from the list")


def check_class_arrays(root: Place, found: Place, arrays: Mapping[str, Place]) -> None:
    """Check that a class is an image, and that its arrays are annotated like itself.

    Parameters
    ----------
    root : Place
        The attributes of the class; `found` is the annotation in them.
    arrays : mapping of str to Place
        Annotations of its arrays by their path, as far as they have some.
    """
    listed = root["multiscales"].value
    if not isinstance(listed, list) or not listed:
        root.report("CM-102", "has no 'multiscales'", "add metadata of OME-Zarr 0.4")
    for path, own in arrays.items():
        for key in ("class_name", "annotation_type"):
            if own[key].there and own[key].value != found[key].value:
                fix = "annotate the array like its group"
                own[key].report("CM-102", f"of {short(path)} differs from that of the class", fix)


# ----------------------------------------------------------------------------------------------------------- voxels
def counted(annotation: Any) -> bool:  # Any: JSON as found
    """Tell whether values could contradict the annotation of an array."""
    if not isinstance(annotation, dict):
        return False
    kind = annotation.get("annotation_type")
    semantic = isinstance(kind, dict) and kind.get("type") == _SEMANTIC
    return semantic or isinstance(annotation.get("complement_counts"), dict)


def check_counts(
    annotation: Any, histogram: Mapping[int, int], *, key: str = "", pointer: str = "/cellmap/annotation"
) -> tuple[Finding, ...]:  # Any: JSON as found
    """Return where the voxels of an array contradict its annotation: rules CM-104 and CM-106.

    Parameters
    ----------
    annotation : JSON
        ``cellmap.annotation`` of the array.
    histogram : mapping of int to int
        Number of voxels by value, of the whole array.
    key, pointer : str
        Where the annotation stands.

    Examples
    --------
    >>> kind = {"type": "semantic_segmentation", "encoding": {"absent": 0, "present": 1}}
    >>> stated = {"class_name": "mito", "annotation_type": kind, "complement_counts": {"absent": 3}}
    >>> [(f.rule, f.message) for f in check_counts(stated, {0: 2, 1: 2, 7: 1})]
    [('CM-104', 'is 3, and 2 voxels are absent'), ('CM-106', 'has no name for 1 values, such as 7')]
    """
    sheet = Sheet("", RULES, key)
    found = Place(annotation, pointer, sheet)
    kind, encoding, counts = found["annotation_type"], found["annotation_type"]["encoding"], found["complement_counts"]
    values = {
        k: v for k, v in encoding.value.items() if is_integer(v)
    } if isinstance(encoding.value, dict) else {}  # fmt: skip
    for name, value in values.items():
        stated, real = counts[name], histogram.get(value, 0)
        if name != "present" and is_integer(stated.value) and stated.value != real:
            message, repair = f"is {stated.value}, and {real} voxels are {name}", (stated.put(real),)
            stated.report("CM-104", message, f"write {real}", expected=real, repair=repair)
    if kind.text("type") == _SEMANTIC and isinstance(encoding.value, dict):
        foreign = sorted(v for v, count in histogram.items() if count and v not in values.values())
        if foreign:
            shown = ", ".join(map(str, foreign[:8]))
            message = f"has no name for {len(foreign)} values, such as {shown}"
            encoding.report("CM-106", message, "correct the encoding or the values")
    return tuple(sheet.findings)
