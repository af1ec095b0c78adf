"""Checking a ``zarr.json``, and copies of others in it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from voxarium.model.array_specs import NUMERIC
from voxarium.model.checked_documents import is_integer, lengths_problem, special_text, specials
from voxarium.model.checking import Place, Sheet, short
from voxarium.model.edits import Edit
from voxarium.model.fill import dump_fill, parse_fill
from voxarium.spec.zarr3_rules.codecs import Held, check_chain, named
from voxarium.spec.zarr3_rules.tables import RULES

__all__ = ["check_consolidated", "check_name", "check_node", "report_gap"]

_ARRAY: Final = ("shape", "data_type", "chunk_grid", "chunk_key_encoding", "fill_value", "codecs")
_ANY: Final = frozenset({"zarr_format", "node_type", "attributes", "consolidated_metadata"})
_OPTIONAL: Final = frozenset({"dimension_names", "storage_transformers"})
_RAW: Final = re.compile(r"r([0-9]{1,9})\Z")
_TYPE: Final = re.compile(r"(?:[a-z][a-zA-Z0-9_.-]*|[a-z][a-z0-9+.-]*://\S+)\Z")
_NO_TYPES: Final = frozenset({"float", "double", "int", "uint", "str", "object", "complex", "bool8", "byte"})
_NODE_NAME: Final = re.compile(r"[A-Za-z0-9_.-]+\Z")
_MOST: Final = 10_000


def check_node(root: Place) -> None:
    """Check a ``zarr.json``."""
    if root.value is None:
        return
    _check_header(root)
    attributes, transformers = root["attributes"], root["storage_transformers"]
    if attributes.there and not isinstance(attributes.value, dict):
        attributes.report("Z3-018", f"is {short(attributes.value)}", "make it an object")
    is_array = root.text("node_type") == "array"
    if is_array:
        if transformers.there and not isinstance(transformers.value, list):
            transformers.report("Z3-018", f"is {short(transformers.value)}", "make it a list, or remove it")
        _check_array(root)
    if root.text("node_type") in ("array", "group"):
        _check_unknown(root, _ANY | _OPTIONAL | {*_ARRAY} if is_array else _ANY)
    for place in specials(root):
        text = special_text(place.value)
        repair = (place.put(text),) if place.pointer == "/fill_value" else ()
        place.report("Z3-012", f"is a bare {text}", f'write "{text}"', expected=text, repair=repair)


def _check_header(root: Place) -> None:
    form, kind = root["zarr_format"], root["node_type"]
    if not form.there:
        root.report("Z3-001", "has no 'zarr_format'", "add it: 3", repair=(form.put(3),))
    elif not (is_integer(form.value) and form.value == 3):
        meant = form.value in ("3", 3) and not isinstance(form.value, bool)
        message = f"is {short(form.value)}"
        form.report("Z3-013", message, "make it 3", expected=3, repair=(form.put(3),) if meant else ())
    if kind.value not in ("array", "group"):
        shown = short(kind.value) if kind.there else "absent"
        kind.report("Z3-001", f"is {shown}", 'make it "array" or "group"')
    if kind.value == "array":
        for key in _ARRAY:
            if not root[key].there:
                root.report("Z3-001", f"has no {key!r}", "add it")


def _check_unknown(root: Place, known: frozenset[str]) -> None:
    for key in sorted(root.value.keys() - known)[:_MOST]:
        place = root[key]
        if place["must_understand"].value is not False:
            fix = "move it into the attributes, or mark it with must_understand: false"
            place.report("Z3-002", "is no field of the specification", fix)


# ----------------------------------------------------------------------------------------------------------- arrays
def _check_array(root: Place) -> None:
    shape = root["shape"]
    problem = lengths_problem(shape.value, 0)
    if shape.there and problem:
        shape.report("Z3-014", problem, "list the size along each axis, none negative")
    ndim = None if problem else len(shape.value)
    chunk = _check_grid(root["chunk_grid"], ndim)
    _check_keys(root["chunk_key_encoding"])
    _check_names(root["dimension_names"], ndim)
    dtype = _check_type(root["data_type"])
    if dtype is not None and root["fill_value"].there:
        _check_fill(root["fill_value"], dtype)
    check_chain(root["codecs"], Held(shape=chunk, ndim=ndim, itemsize=_itemsize(dtype)))


def _itemsize(dtype: np.dtype[Any] | int | None) -> int | None:
    return dtype.itemsize if isinstance(dtype, np.dtype) else None


def _check_grid(place: Place, ndim: int | None) -> tuple[int, ...] | None:
    name = named(place, "Z3-004")
    if name != "regular":
        return None
    chunk = place["configuration"]["chunk_shape"]
    problem = lengths_problem(chunk.value, 1, ndim)
    if not problem:
        return tuple(chunk.value)
    fix = "list the size of a chunk along each axis" + ("" if ndim is None else f": {ndim} positive numbers")
    chunk.report("Z3-004", problem if chunk.there else "is absent", fix)
    return None


def _check_keys(place: Place) -> None:
    name = named(place, "Z3-005")
    separator = place["configuration"]["separator"]
    if name in ("default", "v2") and separator.there and separator.value not in ("/", "."):
        separator.report("Z3-005", f"is {short(separator.value)}", "make it '/' or '.'")


def _check_names(place: Place, ndim: int | None) -> None:
    value = place.value
    if not place.there or value is None:
        return
    if not isinstance(value, list) or not all(v is None or isinstance(v, str) for v in value):
        place.report("Z3-006", f"is {short(value)}", "list a text or null for each axis")
    elif ndim is not None and len(value) != ndim:
        place.report("Z3-006", f"names {len(value)} of {ndim} dimensions", "name every dimension")
    else:
        names = [v for v in value if v]
        if len(set(names)) != len(names):
            place.report("Z3-006", f"is {short(value)}: some are alike", "give each its own name", level="should")


def _check_type(place: Place) -> np.dtype[Any] | int | None:
    """Check a data type; return it where the core has it: bytes per element for raw bits."""
    name = place.value if isinstance(place.value, str) else place.text("name")
    raw = _RAW.match(name) if name else None
    settings = place["configuration"]
    well = name is not None and _TYPE.match(name) is not None and name not in _NO_TYPES
    if place.there and (not well or (settings.there and not isinstance(settings.value, dict))):
        place.report("Z3-015", f"is {short(place.value)}", "write a name such as uint16 or float32")
    elif raw and (int(raw[1]) % 8 or int(raw[1]) == 0):
        place.report("Z3-015", f"has {raw[1]} bits", "use a multiple of 8")
    elif raw:
        return int(raw[1]) // 8
    return np.dtype(name) if name in NUMERIC else None


def _check_fill(place: Place, dtype: np.dtype[Any] | int) -> None:
    value = place.value
    if isinstance(dtype, int):
        well = isinstance(value, list) and len(value) == dtype and all(is_integer(v) and 0 <= v < 256 for v in value)
        if not well:
            place.report("Z3-016", f"is {short(value)}", f"list {dtype} bytes")
        return
    if isinstance(value, float) and not math.isfinite(value):
        return  # said already: it is no JSON
    try:
        right = dump_fill(parse_fill(value, dtype))
    except ValueError as error:
        place.report("Z3-016", f"is {short(value)}", f"make it {error}")
        return
    fine = type(value) is type(right) or (is_integer(value) and dtype.kind == "f") or isinstance(value, str)
    if not fine or (
        dtype.kind == "c" and not isinstance(value, list)
    ):  # early writers had them, most readers take them
        message, fix, repair = f"is {short(value)}", f"write {short(right)}", (place.put(right),)
        place.report("Z3-016", message, fix, basis="text", expected=right, repair=repair)


# -------------------------------------------------------------------------------------------------------- hierarchy
def check_name(sheet: Sheet, name: str) -> None:
    """Check the name of a node, whose document is the sheet's."""
    if name.startswith("__") or not name.strip("."):
        sheet.report("Z3-007", f"is the node {short(name)}", "rename the folder")
    elif not _NODE_NAME.match(name):
        message, fix = f"is the node {short(name)}", "name it with letters, digits, '-', '_' and '.' only"
        sheet.report("Z3-007", message, fix, said=(None, "should"))


def report_gap(sheet: Sheet, below: str) -> None:
    """Report that there is no ``zarr.json``, the key of the sheet, in a folder that has a node below it."""
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    sheet.report("Z3-009", f"is missing, and {below} is below", "add it", repair=(Edit(key=sheet.key, value=group),))


def check_consolidated(root: Place, stored: Callable[[str], Any] | None) -> None:
    """Check copies of documents in a ``zarr.json``.

    Parameters
    ----------
    stored : callable or None
        Returns the JSON value of a document by the path of its node; None when there is none. Without it only the form
        is checked.
    """
    found = root["consolidated_metadata"] if root.value is not None else root
    if not found.there or found.value is None:
        return
    if not isinstance(found.value, dict):
        found.report(
            "Z3-019", f"is {short(found.value)}", "write them again, or remove them", repair=(found.removed(),)
        )
        return
    for key, right in (("kind", "inline"), ("must_understand", False)):
        place = found[key]
        if place.value is not right and place.value != right:
            shown = short(place.value) if place.there else "absent"
            place.report("Z3-019", f"is {shown}", f"make it {right!r}", expected=right, repair=(place.put(right),))
    listed = found["metadata"]
    if not isinstance(listed.value, dict):
        listed.report("Z3-019", "is no object", "write them again from the documents, or remove them")
        return
    for path in list(listed.value)[:_MOST]:
        entry = listed[path]
        if not isinstance(entry.value, dict):
            entry.report("Z3-019", f"is {short(entry.value)}", "write the copy again", repair=(entry.removed(),))
        elif stored is not None:
            _compare(entry, path, stored(path))


def _compare(entry: Place, path: str, own: Any) -> None:  # Any: JSON as found
    if own is None:
        entry.report("Z3-020", "copies a document that does not exist", "write the copies again, or restore it")
        return
    mine, copy = _in_full(own), _in_full(entry.value)
    differ = sorted(k for k in mine.keys() | copy.keys() if mine.get(k, ...) != copy.get(k, ...))
    if differ and not list(specials(Place(own, "", Sheet("", RULES)))):
        message = f"differs from {path}/zarr.json in {', '.join(differ)[:120]}"
        entry.report("Z3-020", message, "write the copies again from the documents", repair=(entry.put(own),))


def _in_full(document: dict[str, Any]) -> dict[str, Any]:  # Any: JSON as found
    """Return a document with what is meant where nothing is said; copies in copies repeat what stands above."""
    full = {k: v for k, v in {"attributes": {}, **document}.items() if k != "consolidated_metadata"}
    if full.get("storage_transformers") == []:
        del full["storage_transformers"]
    if full.get("dimension_names", ...) is None:
        del full["dimension_names"]
    keys = full.get("chunk_key_encoding")
    if isinstance(keys, dict) and keys.get("name") in ("default", "v2") and not keys.get("configuration"):
        full["chunk_key_encoding"] = keys | {"configuration": {"separator": "/" if keys["name"] == "default" else "."}}
    return full
