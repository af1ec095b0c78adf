"""Rules of N5: ``attributes.json`` of arrays and groups, and what viewers expect in it.

https://github.com/saalfeldlab/n5#file-system-specification

All dialects that readers take are accepted: versions 1 to 4, any keys beside those of the specification, also within
``compression``. What only some readers take is said at a lower level. Rules of viewers (N5-014 and behind it) are in no
specification but in their code.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from voxarium.model.checked_documents import is_integer, lengths_problem, special_text, specials
from voxarium.model.checked_values import FLAG, NUMBER, TEXT, Kind, list_of, one_of, whole
from voxarium.model.checking import Place, short
from voxarium.model.rules import Rule, rules

__all__ = ["LEVELS", "RULES", "check_array", "check_group", "check_levels", "check_root", "check_version", "is_array"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in rules("""
N5-001 must needs=document
    `attributes.json` is a JSON object.
    why: Readers stop, or take the folder for a group without attributes.
    mend: Restore the document from a copy; remove it where a group has no attributes.
    bad: n5 attributes.json = "{ cut off"
    bad: n5 attributes.json = [1]
N5-002 must needs=document
    `n5` is a version of the specification as a text, of version 4 at most.
    why: Readers refuse a container of a later version, and take what is no version for the oldest.
    mend: Write "2.0.0", or "4.0.0" where blocks of strings or objects need it.
    bad: n5 attributes.json#/n5 = "5.0.0"
    bad: n5 attributes.json#/n5 = 2
    bad: n5 attributes.json#/n5 = "latest"
N5-003 should needs=document
    The root of a container states the version.
    why: Some readers find the root of a container by it, and readers built on zarr 2 know a group by it.
    mend: Add "n5": "2.0.0".
    bad: n5-container attributes.json#/n5 remove
N5-004 must needs=document
    `dimensions` is a list of whole numbers, none negative, with at least one.
    why: Nothing can be read without it.
    mend: Write the size along each axis, x first.
    bad: n5 attributes.json#/dimensions = [5, -4, 3]
    bad: n5 attributes.json#/dimensions = []
N5-005 must needs=document
    `blockSize` is a list of positive whole numbers, one per dimension.
    why: The names and sizes of all blocks follow from it.
    mend: Write the size of a block along each axis, x first.
    bad: n5 attributes.json#/blockSize = [4, 3]
    bad: n5 attributes.json#/blockSize = [4, 0, 2]
    bad: n5 attributes.json#/blockSize remove
N5-006 must needs=document
    `dataType` is uint8 to uint64, int8 to int64, float32, float64, string or object.
    why: Names of other formats mean nothing to readers of N5.
    mend: Write uint16 for <u2; elements are big-endian always.
    bad: n5 attributes.json#/dataType = "<u2"
    bad: n5 attributes.json#/dataType remove
N5-007 must needs=document
    `compression` is an object with a type: raw, gzip, bzip2, lz4, xz, blosc or zstd. Further keys are ignored.
    why: Blocks cannot be unpacked.
    mend: Write {"type": "gzip"} or what the blocks were packed with.
    bad: n5 attributes.json#/compression = "gzip"
    bad: n5 attributes.json#/compression/type = "deflate"
    bad: n5 attributes.json#/compression remove
N5-008 should needs=document
    `compression` stands in place of `compressionType`, which version 1 had, and of a list of codecs.
    why: TensorStore and zarr refuse arrays with compressionType; only the newest Java library reads codecs.
    mend: Write {"type": …} of the same compression.
    bad: n5 attributes.json#/compressionType = "gzip"
    and: attributes.json#/compression remove
    bad: n5 attributes.json#/codecs = [{"name": "n5bytes"}]
N5-009 must needs=document
    Settings of compressions have the kind they should: levels are whole numbers, `useZlib` is true or false.
    why: Readers refuse the array, or unpack gzip where zlib was meant.
    mend: Write the settings the blocks were packed with.
    bad: n5 attributes.json#/compression/level = "fast"
    bad: n5 attributes.json#/compression/useZlib = "yes"
    bad: n5 attributes.json#/compression = {"type": "blosc", "cname": "lz5", "clevel": 5, "shuffle": 1}
N5-010 quality needs=document basis=house
    Compressions have no settings but those of their description.
    why: TensorStore refuses an array for a key it does not know, such as nthreads (z5py), id and checksum (zarr 2).
    mend: Remove them: they say nothing about the blocks.
    bad: n5 attributes.json#/compression/id = "gzip"
N5-011 must needs=document
    A block has at most 2^31 bytes.
    why: The Java library cannot hold it.
    mend: Write the array again with smaller blocks.
    bad: n5 attributes.json#/blockSize = [4096, 4096, 4096]
N5-012 should needs=document
    Documents are strict JSON: no bare NaN, no infinities.
    why: Readers outside Python refuse the whole document.
    mend: Write a text or null.
    bad: n5 attributes.json = "{\\"dimensions\\": [5], \\"blockSize\\": [4], \\"dataType\\": \\"uint8\\",
      \\"compression\\": {\\"type\\": \\"raw\\"}, \\"offset\\": NaN}"
N5-013 must needs=hierarchy basis=house
    An array is not inside another array.
    why: Its folder has the name of a block, or is taken for one.
    mend: Move it out, beside the other array.
    bad: n5-container em/inner/attributes.json = {"dimensions": [1], "blockSize": [1], "dataType": "uint8",
      "compression": {"type": "raw"}}
N5-014 must needs=document basis=house
    `downsamplingFactors` and `scales` are positive numbers: of a level a list of one per dimension, of a group a list
    of such lists.
    why: n5-viewer and Neuroglancer place levels by them.
    mend: Write how many times coarser each level is than s0, x first.
    bad: n5-viewer s1/attributes.json#/downsamplingFactors = [2, 0, 1]
    bad: n5-viewer s1/attributes.json#/downsamplingFactors = [2, 2]
    bad: n5-viewer attributes.json#/scales = [[1, 1, 1], 2]
N5-015 must needs=document basis=house
    `resolution` and `pixelResolution` are positive numbers, in a list or as {dimensions, unit}.
    why: Viewers scale by them; what they cannot read becomes 1.
    mend: Write the size of a voxel of s0, x first, and its unit.
    bad: n5-viewer attributes.json#/resolution = [8, 0, 30]
    bad: n5-viewer s0/attributes.json#/pixelResolution = {"dimensions": [8, 8, 30], "unit": 5}
    bad: n5-viewer s0/attributes.json#/pixelResolution = "8 nm"
N5-016 must needs=document basis=house
    `axes` and `units` of a group are texts, as many as there are numbers in `resolution`; no two axes alike.
    why: Neuroglancer refuses the volume.
    mend: Name every dimension once, x first, and give each a unit.
    bad: n5-viewer attributes.json#/axes = ["x", "y", "x"]
    bad: n5-viewer attributes.json#/units = ["nm", "nm"]
N5-017 should needs=document basis=house
    Factors are given for the levels there are, s0 first and with factors of 1, and fit their shapes.
    why: Viewers look for levels that do not exist, or stretch them.
    mend: List one set of factors for each of s0, s1 and so on.
    bad: n5-viewer attributes.json#/scales/2 = [4, 4, 1]
    bad: n5-viewer attributes.json#/scales/0 = [2, 1, 1]
    bad: n5-viewer attributes.json#/scales/1 = [4, 4, 1]
    bad: n5-viewer s1/attributes.json#/downsamplingFactors = [5, 2, 1]
N5-018 should needs=document basis=house
    `painteraData` has the type raw, label or channel; `maxId` is a whole number.
    why: Paintera does not open the source, or gives new labels the numbers of others.
    mend: Write {"type": "label"} for labels, and the largest label as maxId.
    bad: n5-viewer attributes.json#/painteraData = {"type": "image"}
    bad: n5-viewer attributes.json#/maxId = "9"
""")
    }
)

LEVELS: Final = re.compile(r"s(0|[1-9][0-9]{0,2})\Z")
"""Names of levels."""

_TYPES: Final = {
    **{f"{sign}int{bits}": bits // 8 for sign in ("u", "") for bits in (8, 16, 32, 64)},
    **{"float32": 4, "float64": 8, "string": 1, "object": 1},
}
_COMPRESSIONS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "raw": {},
    "gzip": {"level": whole(-1, 9), "useZlib": FLAG},
    "bzip2": {"blockSize": whole(1, 9), "level": whole(1, 9)},
    "lz4": {"blockSize": whole(1), "level": whole()},
    "xz": {"preset": whole(), "level": whole()},
    "zstd": {"level": whole(), "nbWorkers": whole(0)},
    "blosc": {
        "cname": one_of("blosclz", "lz4", "lz4hc", "snappy", "zlib", "zstd"),
        "clevel": whole(0, 9),
        "shuffle": whole(-1, 2),
        "blocksize": whole(0),
        "nthreads": whole(1),
    },
}
# What our table of settings knows and TensorStore or the Java library do not.
_STRANGE: Final = frozenset({"nthreads", "nbWorkers"}) | frozenset({"id", "checksum"})
_ARRAY: Final = ("blockSize", "dataType", "compression", "compressionType", "codecs")
_VERSION: Final = re.compile(r"\s*([0-9]{1,9})(?:\.[0-9]{1,9}){0,2}")
_NEWEST: Final = 4
_MAX_BYTES: Final = 2**31
_POSITIVE: Final = Kind("a positive number", lambda v: NUMBER.holds(v) and 0 < v < math.inf)
_FACTORS: Final = list_of(_POSITIVE, 1, 32)
_MOST: Final = 1000


def is_array(attributes: Mapping[str, Any]) -> bool:  # Any: JSON as found
    """Tell whether attributes are meant for an array."""
    return "dimensions" in attributes and any(key in attributes for key in _ARRAY)


# --------------------------------------------------------------------------------------------------------- documents
def check_version(root: Place) -> None:
    """Check what any ``attributes.json`` may hold."""
    version = root["n5"]
    if version.there:
        match = _VERSION.match(version.value) if isinstance(version.value, str) else None
        if match is None:
            version.report("N5-002", f"is {short(version.value)}", 'write a version such as "2.0.0"')
        elif int(match[1]) > _NEWEST:
            version.report("N5-002", f"is {short(version.value)}", f"write version {_NEWEST} at most")
    for place in specials(root):
        place.report("N5-012", f"is a bare {special_text(place.value)}", "write a text or null")


def check_root(root: Place) -> None:
    """Check the ``attributes.json`` of the root of a container."""
    if not root["n5"].there:
        repair = (root["n5"].put("2.0.0"),)
        root.report("N5-003", "does not state the version", 'add "n5": "2.0.0"', repair=repair)


def check_array(root: Place) -> None:
    """Check the ``attributes.json`` of an array."""
    dimensions, block = root["dimensions"], root["blockSize"]
    problem = lengths_problem(dimensions.value, 0) or ("" if dimensions.value else "is empty")
    if problem:
        dimensions.report("N5-004", problem, "list the size along each axis, x first")
    ndim = None if problem else len(dimensions.value)
    problem = lengths_problem(block.value, 1, ndim)
    if problem:
        place, message = (block, problem) if block.there else (root, "has no 'blockSize'")
        place.report("N5-005", message, "list the size of a block along each axis, x first")
    kind = root["dataType"]
    if not isinstance(kind.value, str) or kind.value not in _TYPES:
        place, message = (kind, f"is {short(kind.value)}") if kind.there else (root, "has no 'dataType'")
        place.report("N5-006", message, f"make it one of {', '.join(_TYPES)}")
    elif not problem:
        nbytes = math.prod(block.value) * _TYPES[kind.value]
        if nbytes > _MAX_BYTES:
            block.report("N5-011", f"makes blocks of {nbytes} bytes", "write the array again with smaller blocks")
    _check_compression(root)
    _check_placed(root, ndim)


def _check_compression(root: Place) -> None:
    place, older, codecs = root["compression"], root["compressionType"], root["codecs"]
    if codecs.there:
        codecs.report("N5-008", "is read by the newest Java library only", "write the array again with 'compression'")
        return
    if older.there and not place.there:
        known = isinstance(older.value, str) and older.value in _COMPRESSIONS
        if not known:
            older.report("N5-007", f"is {short(older.value)}", f"make it one of {', '.join(_COMPRESSIONS)}")
        else:
            repair = (place.put({"type": older.value}), older.removed())
            message, fix = "is of version 1", f'write "compression": {{"type": "{older.value}"}} instead'
            older.report("N5-008", message, fix, expected={"type": older.value}, repair=repair)
        return
    kind = place.text("type")
    if kind is None or kind not in _COMPRESSIONS:
        shown = short(place.value if kind is None else kind) if place.there else "absent"
        fix = f'make it an object with a "type" out of {", ".join(_COMPRESSIONS)}'
        place.report("N5-007", f"is {shown}", fix)
        return
    _check_settings(place, _COMPRESSIONS[kind])


def _check_settings(place: Place, known: Mapping[str, Kind]) -> None:
    for key in sorted(place.value.keys() - {"type"})[:_MOST]:
        member = place[key]
        if key in known and not known[key].holds(member.value):
            member.report("N5-009", f"is {short(member.value)}", f"make it {known[key].text}")
        elif key not in known or key in _STRANGE:
            repair = (member.removed(),)
            member.report("N5-010", "is no setting of this compression", "remove it", repair=repair)


def _check_placed(root: Place, ndim: int | None) -> None:
    """Check what viewers read at an array."""
    factors = root["downsamplingFactors"]
    if factors.there and not (_FACTORS.holds(factors.value) and ndim in (None, len(factors.value))):
        fix = "list one positive number per dimension, x first"
        factors.report("N5-014", f"is {short(factors.value)}", fix)
    _check_resolution(root["pixelResolution"])
    _check_counts(root)


def _check_resolution(place: Place) -> None:
    if not place.there:
        return
    sizes = place["dimensions"] if isinstance(place.value, dict) else place
    if not _FACTORS.holds(sizes.value):
        shown = short(sizes.value) if sizes.there else "absent"
        sizes.report("N5-015", f"is {shown}", "list the size of a voxel along each axis, x first")
    unit = place["unit"]
    if unit.there and not TEXT.holds(unit.value):
        unit.report("N5-015", f"is {short(unit.value)}", "write a text such as nm")


def _check_counts(root: Place) -> None:
    kind, largest = root["painteraData"], root["maxId"]
    if kind.there and kind.text("type") not in ("raw", "label", "channel"):
        shown = short(kind["type"].value) if kind["type"].there else "absent"
        kind.report("N5-018", f"has a type that is {shown}", "make it raw, label or channel")
    if largest.there and not (is_integer(largest.value) and largest.value >= 0):
        largest.report("N5-018", f"is {short(largest.value)}", "make it the largest label")


# ------------------------------------------------------------------------------------------------------------ groups
def check_group(root: Place) -> None:
    """Check what viewers read at a group."""
    for key in ("scales", "downsamplingFactors"):
        place = root[key]
        if not place.there or (key == "downsamplingFactors" and _FACTORS.holds(place.value)):
            continue  # a single list: of a level that is no array, as BigDataViewer has none
        items = place.value if isinstance(place.value, list) else None
        if not items or not all(_FACTORS.holds(v) and len(v) == len(items[0]) for v in items):
            fix = "list one set of factors for each level, x first"
            place.report("N5-014", f"is {short(place.value)}", fix)
    for key in ("resolution", "pixelResolution"):
        _check_resolution(root[key])
    sizes = root["resolution"].value
    count = len(sizes) if isinstance(sizes, list) and isinstance(root["scales"].value, list | None) else None
    for key in ("axes", "units"):
        _check_names(root[key], count)
    _check_counts(root)


def _check_names(place: Place, count: int | None) -> None:
    value = place.value
    if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
        if place.there and not (isinstance(value, list) and value and all(isinstance(v, dict) for v in value)):
            place.report("N5-016", f"is {short(value)}", "list one text for each dimension, x first")
        return
    if count is not None and len(value) != count:
        place.report("N5-016", f"has {len(value)} for {count} dimensions", "list one for each dimension")
    elif place.pointer == "/axes" and len(set(value)) != len(value):
        place.report("N5-016", f"is {short(value)}: some are alike", "name every dimension differently")


def check_levels(root: Place, levels: Mapping[str, Place]) -> None:
    """Check factors against the levels there are.

    Parameters
    ----------
    root : Place
        The document of the group.
    levels : mapping of str to Place
        Documents of arrays right below it by their names s0, s1 and so on, in this order.
    """
    stated = root["scales"] if root["scales"].there else root["downsamplingFactors"]
    listed = stated.value if isinstance(stated.value, list) and all(map(_FACTORS.holds, stated.value)) else None
    if listed and levels and len(listed) != len(levels):
        stated.report("N5-017", f"is for {len(listed)} levels, there are {len(levels)}", "list one set for each level")
    if listed and any(f != 1 for f in listed[0]):
        stated[0].report("N5-017", f"is {short(listed[0])}", "make all factors of s0 1")
    finest = next(iter(levels.values()), None)
    if finest is None:
        return
    for i, (name, level) in enumerate(levels.items()):
        own = level["downsamplingFactors"]
        if _FACTORS.holds(own.value):
            _check_factors(own, own.value, finest, level, name)
        if listed and i < len(listed):
            _check_factors(stated[i], listed[i], finest, level, name)


def _check_factors(place: Place, factors: list[Any], finest: Place, level: Place, name: str) -> None:
    sizes, least = level["dimensions"].value, finest["dimensions"].value
    if lengths_problem(sizes, 0, len(factors)) or lengths_problem(least, 0, len(factors)):
        return
    if any(not n / f - 1 < m < n / f + 1 for n, m, f in zip(least, sizes, factors, strict=True)):
        message = f"is {short(factors)}, while {name} has {short(sizes)} of {short(least)} voxels"
        place.report("N5-017", message, "write how many times coarser the level is")
