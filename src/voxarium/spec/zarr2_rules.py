"""Rules of Zarr v2: ``.zarray``, ``.zgroup``, ``.zattrs``, and consolidated ``.zmetadata``.

https://zarr-specs.readthedocs.io/en/latest/v2/v2.0.html

Consolidated metadata and a ``zarr.json`` beside a ``.zarray`` are in no specification of version 2. That copies
agree is our own demand: readers differ in which of them they look at.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from voxarium.model.checked_documents import is_integer, lengths_problem, special_text, specials
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.edits import Edit
from voxarium.model.fill import dump_fill, parse_fill
from voxarium.model.rules import Rule, rules

__all__ = ["RULES", "check_array", "check_attributes", "check_consolidated", "check_group", "check_twin", "report_gap"]

RULES: Final[Mapping[str, Rule]] = MappingProxyType(
    {
        rule.id: rule
        for rule in rules("""
Z2-001 must needs=document
    A `.zarray` has zarr_format, shape, chunks, dtype, compressor, fill_value, order and filters.
    why: zarr-python refuses the array when one of them lacks; other readers guess.
    mend: Add the key. Where nothing packs or filters the chunks, `compressor` and `filters` are null.
    bad: zarr2 .zarray#/order remove
    bad: zarr2 .zarray#/compressor remove
Z2-002 must needs=document
    Documents are JSON objects.
    why: Readers take the node for absent or stop.
    mend: Restore the document from a copy.
    bad: zarr2 .zarray = "{ cut off"
    bad: zarr2-group .zgroup = []
Z2-003 must needs=document
    Documents are strict JSON: NaN and infinities are texts.
    why: Readers outside Python refuse the whole document for a bare NaN.
    mend: Write "NaN", "Infinity" or "-Infinity" as fill value; in attributes null or a text.
    bad: zarr2 .zarray = "{\\"zarr_format\\": 2, \\"shape\\": [3], \\"chunks\\": [3], \\"dtype\\": \\"<f4\\",
      \\"compressor\\": null, \\"fill_value\\": NaN, \\"order\\": \\"C\\", \\"filters\\": null}"
    bad: zarr2 .zattrs = "{\\"offset\\": -Infinity}"
Z2-004 must needs=document
    `zarr_format` is the number 2.
    why: Readers compare it with the number; a text makes them refuse the node.
    mend: Write 2 without quotation marks.
    bad: zarr2 .zarray#/zarr_format = "2"
    bad: zarr2-group .zgroup#/zarr_format = 3
Z2-005 must needs=document
    `shape` is a list of whole numbers, none negative.
    why: Nothing can be read without it.
    mend: Write the size along each axis.
    bad: zarr2 .zarray#/shape = [3, -4, 5]
    bad: zarr2 .zarray#/shape = "3,4,5"
Z2-006 must needs=document
    `chunks` is a list of positive whole numbers, one per axis of the shape.
    why: The names and sizes of all chunks follow from it.
    mend: Write the size of a chunk along each axis.
    bad: zarr2 .zarray#/chunks = [2, 3]
    bad: zarr2 .zarray#/chunks = [2, 0, 4]
Z2-007 must needs=document
    `dtype` is a type string of numpy with its byte order, or a list of named fields.
    why: Without the byte order the numbers mean something else on another machine.
    mend: Write it as `<u2`, `|u1`, `>f4`; `|` is for types without a byte order only.
    bad: zarr2 .zarray#/dtype = "uint16"
    bad: zarr2 .zarray#/dtype = "|u2"
    bad: zarr2 .zarray#/dtype = [["a", "<i4"], ["b"]]
Z2-008 must needs=document
    `compressor` is null or an object with the `id` of a codec.
    why: Readers do not know how to unpack the chunks.
    mend: Name the codec the chunks were packed with, such as {"id": "zstd", "level": 3}.
    bad: zarr2 .zarray#/compressor = "zlib"
    bad: zarr2 .zarray#/compressor = {"level": 3}
Z2-009 must needs=document
    `filters` is null, or a list of objects with the `id` of a codec that is not empty.
    why: Several readers stop at an empty list.
    mend: Write null where there are none.
    bad: zarr2 .zarray#/filters = []
    bad: zarr2 .zarray#/filters = [{"id": "delta"}, 5]
Z2-010 must needs=document
    `order` is "C" or "F".
    why: It says which axis is fastest within a chunk; a wrong guess transposes every chunk.
    mend: Write the order the chunks have.
    bad: zarr2 .zarray#/order = "c"
Z2-011 must needs=document
    `fill_value` is null or a value of the type: a number for numbers, "NaN" and infinities as texts, base64 for bytes.
    why: Absent chunks read as something else, or the array does not open.
    mend: Write a value the type holds.
    bad: zarr2 .zarray#/fill_value = 70000
    bad: zarr2 .zarray#/fill_value = "none"
    bad: zarr2 .zarray#/fill_value = "0"
Z2-012 must needs=document
    `dimension_separator` is "." or "/".
    why: It stands in the names of all chunks: with another, none is found and the array reads as empty.
    mend: Write the one the names of the chunks have.
    bad: zarr2 .zarray#/dimension_separator = "-"
Z2-013 should needs=document
    Documents of arrays and groups have no other keys.
    why: Readers ignore them, so what they say is lost; attributes belong into `.zattrs`.
    mend: Move them into `.zattrs`.
    bad: zarr2 .zarray#/unit = "nm"
    bad: zarr2-group .zgroup#/name = "em"
Z2-014 must needs=document
    A node is an array or a group, not both.
    why: Which of the two it is depends on the reader.
    mend: Remove the document that is wrong.
    bad: zarr2 .zgroup = {"zarr_format": 2}
Z2-015 must needs=document basis=house
    `.zmetadata` has zarr_consolidated_format 1 and an object of documents by their keys.
    why: Readers that use it cannot open the hierarchy.
    mend: Write it again from the documents, or remove it: it is only a copy.
    bad: zarr2-consolidated .zmetadata#/zarr_consolidated_format = 2
    bad: zarr2-consolidated .zmetadata#/metadata = []
    bad: zarr2-consolidated .zmetadata#/metadata/em~1readme = {}
Z2-016 must needs=hierarchy basis=house
    `.zmetadata` says what the documents say, about all of them.
    why: Some readers look at the copy and some at the documents: they show different images.
    mend: Write it again from the documents, or remove it.
    bad: zarr2-consolidated em/.zarray#/fill_value = 9
    bad: zarr2-consolidated .zmetadata#/metadata/em~1.zarray remove
    bad: zarr2-consolidated em/.zattrs remove
Z2-017 must needs=hierarchy
    Every folder above an array or group is a group of its own, up to the root.
    why: Readers that walk from group to group do not find what is below.
    mend: Add a `.zgroup` that holds {"zarr_format": 2}.
    bad: zarr2-group raw/.zgroup remove
Z2-018 must needs=document basis=house
    Where an array has a `zarr.json` too, both describe the same chunks.
    why: Readers of version 2 and of version 3 show different voxels, or none.
    mend: Correct the one that is wrong, or remove it.
    bad: zarr2-dual zarr.json#/shape = [3, 4, 6]
    bad: zarr2-dual zarr.json#/chunk_key_encoding = {"name": "default"}
    bad: zarr2-dual zarr.json#/data_type = "int16"
    bad: zarr2-dual zarr.json#/node_type = "group"
""")
    }
)

_KEYS: Final = ("zarr_format", "shape", "chunks", "dtype", "compressor", "fill_value", "order", "filters")
_USUAL: Final[Mapping[str, Any]] = {"zarr_format": 2, "fill_value": None, "order": "C", "filters": None}
_DOCUMENTS: Final = (".zarray", ".zgroup", ".zattrs")
_SIMPLE: Final = re.compile(
    r"(?:[|<>](?:b1|[iu]1|S[0-9]{1,9}|V[0-9]{1,9}|O[0-9]{0,2})"
    r"|[<>](?:[iuf][248]|f16|c8|c16|c32|U[0-9]{1,9}|[mM]8(?:\[[0-9]{0,9}[a-zA-Zμ]{1,7}\])?))\Z"
)
_NUMERIC: Final = re.compile(r"[|<>](?:b1|[iu][1248]|f[248]|c8|c16)\Z")
_NUMBER: Final = re.compile(r"-?[0-9]{1,25}(?:\.[0-9]{0,25})?(?:[eE][+-]?[0-9]{1,3})?\Z")
_NESTED: Final = "consolidated_metadata"  # zarr-python 3 puts it into copies of groups
_DEEPEST: Final = 8
_MOST: Final = 10_000


# ------------------------------------------------------------------------------------------------------- documents
def check_array(root: Place) -> None:
    """Check a ``.zarray``."""
    if root.value is None:
        return
    for key in _KEYS:
        if not root[key].there:
            repair = (root[key].put(_USUAL[key]),) if key in _USUAL else ()
            root.report("Z2-001", f"has no {key!r}", "add it", repair=repair)
    _check_format(root)
    _check_lengths(root)
    _check_codecs(root)
    for key, rule, allowed in (("order", "Z2-010", ("C", "F")), ("dimension_separator", "Z2-012", (".", "/"))):
        place = root[key]
        if place.there and place.value not in allowed:
            place.report(rule, f"is {short(place.value)}", f"make it {allowed[0]!r} or {allowed[1]!r}")
    dtype = root["dtype"]
    if dtype.there and not _is_dtype(dtype.value):
        dtype.report("Z2-007", f"is {short(dtype.value)}", "write a type string such as '<u2'")
    elif dtype.there:
        _check_fill(root["fill_value"], dtype.value)
    _check_strict(root, "must")
    _check_keys(root, {*_KEYS, "dimension_separator"})


def check_group(root: Place) -> None:
    """Check a ``.zgroup``."""
    if root.value is None:
        return
    _check_format(root)
    _check_strict(root, "must")
    _check_keys(root, {"zarr_format"})


def check_attributes(root: Place) -> None:
    """Check a ``.zattrs``."""
    _check_strict(root, "should")


def _check_format(root: Place) -> None:
    place = root["zarr_format"]
    if place.there and not (is_integer(place.value) and place.value == 2):
        meant = place.value in ("2", 2) and not isinstance(place.value, bool)
        repair = (place.put(2),) if meant else ()
        place.report("Z2-004", f"is {short(place.value)}", "make it 2", expected=2, repair=repair)
    elif not place.there and root.sheet.key.endswith(".zgroup"):
        root.report("Z2-004", "has no 'zarr_format'", "add it: 2", expected=2, repair=(place.put(2),))


def _check_lengths(root: Place) -> None:
    shape, chunks = root["shape"], root["chunks"]
    problem = lengths_problem(shape.value, 0)
    if shape.there and problem:
        shape.report("Z2-005", problem, "list the size along each axis, none negative")
    count = None if problem else len(shape.value)
    problem = lengths_problem(chunks.value, 1, count)
    if chunks.there and problem:
        fix = "list the size of a chunk along each axis" + ("" if count is None else f": {count} positive numbers")
        chunks.report("Z2-006", problem, fix)


def _check_codecs(root: Place) -> None:
    compressor, filters = root["compressor"], root["filters"]
    if compressor.there and compressor.value is not None and not _is_codec(compressor.value):
        compressor.report("Z2-008", f"is {short(compressor.value)}", 'write null or {"id": …}')
    if not filters.there or filters.value is None:
        return
    if filters.value == []:
        filters.report("Z2-009", "is an empty list", "make it null", level="should", repair=(filters.put(None),))
    elif not isinstance(filters.value, list):
        filters.report("Z2-009", f"is {short(filters.value)}", "make it null or a list of codecs")
    for item in filters.items()[:_MOST]:
        if not _is_codec(item.value):
            item.report("Z2-009", f"is {short(item.value)}", 'make it an object with an "id"')


def _is_codec(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), str) and value["id"] != ""


def _check_keys(root: Place, known: set[str]) -> None:
    for key in sorted(root.value.keys() - known)[:_MOST]:
        root[key].report("Z2-013", "is no key of this document", "move it into .zattrs")


def _check_strict(root: Place, level: Any) -> None:  # Any: a Level
    for place in specials(root):
        text = special_text(place.value)
        repair = (place.put(text),) if place.pointer == "/fill_value" else ()
        place.report("Z2-003", f"is a bare {text}", f'write "{text}"', level=level, expected=text, repair=repair)


def _is_dtype(value: object, depth: int = 0) -> bool:
    if isinstance(value, str):
        return _SIMPLE.match(value) is not None
    if not isinstance(value, list) or not value or depth > _DEEPEST:
        return False
    return all(
        isinstance(f, list)
        and len(f) in (2, 3)
        and isinstance(f[0], str)
        and _is_dtype(f[1], depth + 1)
        and (len(f) == 2 or not lengths_problem(f[2], 1))
        for f in value
    )


# ------------------------------------------------------------------------------------------------------ fill values
def _check_fill(place: Place, dtype: Any) -> None:  # Any: JSON as found
    value = place.value
    if not place.there or value is None:
        return
    if isinstance(dtype, str) and _NUMERIC.match(dtype):
        _check_number(place, np.dtype(dtype))
    elif isinstance(dtype, list) or dtype[1] in "SV":
        if not _is_base64(value):
            place.report("Z2-011", f"is {short(value)}", "write the bytes as base64 text, or null")
    elif dtype[1] == "U" and not isinstance(value, str):
        place.report("Z2-011", f"is {short(value)}", "make it a text, or null", level="should")


def _check_number(place: Place, dtype: np.dtype[Any]) -> None:
    value = place.value
    quoted = isinstance(value, str) and _NUMBER.match(value) is not None
    if quoted:  # n5-zarr writes them so, and all readers we know take them
        value = int(value) if value.lstrip("-").isdigit() and dtype.kind in "iub" else float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return  # said already: it is no JSON
    try:
        right = dump_fill(parse_fill(value, dtype), exact_nan=False)
    except ValueError as error:
        place.report("Z2-011", f"is {short(place.value)}", f"make it {error}, or null")
        return
    if quoted or type(value) is not type(right):
        if isinstance(value, int) and isinstance(right, float) and not isinstance(value, bool) and not quoted:
            return  # 0 for 0.0
        if isinstance(right, list) and not quoted and isinstance(value, int | float):
            return  # a real number for a complex one, as numpy takes it
        message, fix = f"is {short(place.value)}", f"write {short(right)}"
        place.report("Z2-011", message, fix, level="should", expected=right, repair=(place.put(right),))


def _is_base64(value: object) -> bool:
    try:
        return isinstance(value, str) and base64.b64decode(value, validate=True) is not None
    except (binascii.Error, ValueError):
        return False


# -------------------------------------------------------------------------------------------------------- hierarchy
def check_consolidated(root: Place, stored: Callable[[str], Any], among: Callable[[str], bool]) -> None:
    """Check a ``.zmetadata`` against the documents.

    Parameters
    ----------
    stored : callable
        Returns the JSON value of a document by its key; None when there is none.
    among : callable
        Tells whether a key is to be compared: at little depth only those of the node itself.
    """
    if root.value is None:
        return
    form, listed = root["zarr_consolidated_format"], root["metadata"]
    if not (is_integer(form.value) and form.value == 1):
        root.report("Z2-015", "does not state the format 1", "write zarr_consolidated_format: 1", repair=(form.put(1),))
    if not isinstance(listed.value, dict):
        root.report("Z2-015", "has no object 'metadata'", "write the file again from the documents, or remove it")
        return
    for key in list(listed.value)[:_MOST]:
        entry = listed[key]
        if key.rpartition("/")[2] not in _DOCUMENTS or not isinstance(entry.value, dict):
            entry.report("Z2-015", "is no document of Zarr", "remove it", repair=(entry.removed(),))
        elif among(key):
            _compare_entry(entry, key, stored(key))


def _compare_entry(entry: Place, key: str, own: Any) -> None:  # Any: JSON as found
    copy = {k: v for k, v in entry.value.items() if k != _NESTED}
    if own is None and not (key.endswith(".zattrs") and copy == {}):  # zarr-python 3 copies what nobody wrote
        fix = "write the copy again, or restore the document"
        entry.report("Z2-016", f"copies {key}, which does not exist", fix)
    elif isinstance(own, dict) and own != copy and not list(specials(Place(own, "", Sheet("", RULES)))):
        differ = sorted(k for k in own.keys() | copy.keys() if own.get(k, ...) != copy.get(k, ...))
        message = f"differs from {key} in {', '.join(differ)[:120]}"
        entry.report("Z2-016", message, "write the copy again from the documents", repair=(entry.put(own),))


def report_gap(sheet: Sheet, below: str) -> None:
    """Report that there is no ``.zgroup``, the key of the sheet, in a folder that has a node below it."""
    repair = (Edit(key=sheet.key, value={"zarr_format": 2}),)
    sheet.report("Z2-017", f"is missing, and {below} is below", "add it", repair=repair)


def check_twin(array: Place, twin: Mapping[str, Any]) -> None:  # Any: JSON as found
    """Check that a ``.zarray`` and the ``zarr.json`` beside it describe the same chunks."""
    if array.value is None:
        return
    if twin.get("node_type") != "array":
        array.report("Z2-018", "stands beside a zarr.json of no array", "remove the document that is wrong")
        return
    grid, keys = _part(twin.get("chunk_grid"), "chunk_shape"), twin.get("chunk_key_encoding")
    separator = _part(keys, "separator") or "."
    encoded = keys.get("name") == "v2" if isinstance(keys, Mapping) else keys == "v2"
    said = {
        "shape": (twin.get("shape"), array["shape"].value),
        "chunks": (grid, array["chunks"].value),
        "dtype": (twin.get("data_type"), _name(array.text("dtype"))),
        "dimension_separator": (separator if encoded else "other names of chunks", _separator(array)),
        "sharding": (_is_sharded(twin), False),
    }
    for key, (newer, older) in said.items():
        if newer != older:
            message = f"{key}: zarr.json has {short(newer)}, .zarray {short(older)}"
            array[key].report("Z2-018", message, "correct or remove the one that is wrong")


def _separator(array: Place) -> Any:  # Any: JSON as found
    place = array["dimension_separator"]
    return place.value if place.there else "."


def _part(value: object, key: str) -> Any:  # Any: JSON as found
    settings = value.get("configuration") if isinstance(value, Mapping) else None
    return settings.get(key) if isinstance(settings, Mapping) else None


def _name(dtype: str | None) -> str | None:
    return np.dtype(dtype).name if dtype is not None and _NUMERIC.match(dtype) and _SIMPLE.match(dtype) else None


def _is_sharded(twin: Mapping[str, Any]) -> bool:
    codecs = twin.get("codecs")
    listed = codecs if isinstance(codecs, list) else []
    return any(isinstance(c, Mapping) and c.get("name") == "sharding_indexed" for c in listed)
