"""Plates: rules PL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from voxarium.model.checked_values import TEXT, Field, check_fields, check_unique, matching, objects, whole
from voxarium.model.checking import Place, short
from voxarium.spec.ome.rules.tables import rules
from voxarium.spec.ome.rules.versions import check_own_version

__all__ = ["RULES", "check_plate"]

RULES: Final = rules("""
PL-001 must=all
    `rows` and `columns` list objects with a `name` of letters and digits, which no other one has (nor should
    but for case).
    why: Names are folders: what differs by case alone is one folder on some systems, and other characters mean
    something to a store.
    mend: Rename the row or column, and its folder.
    bad: ome05-plate zarr.json#/attributes/ome/plate/rows/0/name = "A-1"
    bad: ome05-plate zarr.json#/attributes/ome/plate/rows/- = {"name": "a"}
    bad: ome05-plate zarr.json#/attributes/ome/plate/columns remove
PL-002 must=all
    `wells` lists objects whose `path` is the name of a row, a slash, and the name of a column; none comes
    twice.
    why: The path is where the well's images are.
    mend: Write paths such as A/1.
    bad: ome05-plate zarr.json#/attributes/ome/plate/wells/0/path = "2/A"
    bad: ome05-plate zarr.json#/attributes/ome/plate/wells/0/path = "A"
PL-003 must=all
    `rowIndex` and `columnIndex` count rows and columns from 0, and agree with the path.
    why: Some viewers place wells by the index, others by the path: they show them at different places.
    mend: Correct the index.
    bad: ome05-plate zarr.json#/attributes/ome/plate/wells/0/rowIndex = 1
    bad: ome05-plate zarr.json#/attributes/ome/plate/wells/0/columnIndex = "2"
PL-004 must=all
    Acquisitions have an `id`, an integer from 0 that no other one has; they should have `name` and
    `maximumfieldcount`, above 0; `description` is a text, `starttime` and `endtime` are integers.
    why: Fields of wells refer to acquisitions by id.
    mend: Give each an id of its own.
    bad: ome05-plate zarr.json#/attributes/ome/plate/acquisitions/0/id = 1
    bad: ome05-plate zarr.json#/attributes/ome/plate/acquisitions/0/name remove
PL-005 should=all
    A plate states `field_count`, above 0, and `name`, a text.
    why: Viewers lay out the plate before they have read its wells.
    mend: Add the largest number of fields of a well.
    bad: ome05-plate zarr.json#/attributes/ome/plate/field_count remove
PL-006 should=0.4,0.5
    A plate states `version` (0.5: a demand of the text that its own examples and most files do not meet).
    why: Readers of 0.4 choose by it.
    mend: Add it. This is repaired.
    bad: ome05-plate zarr.json#/attributes/ome/plate/version remove
PL-007 must=all needs=hierarchy
    Rows and wells are groups; those of listed wells exist, and have images; those that exist are listed.
    why: Viewers stop at the first well that is not there; nobody finds wells that are not listed.
    mend: Copy what is missing, or remove it from the list. A missing group of a row is repaired.
    bad: ome05-plate zarr.json#/attributes/ome/plate/wells/- = {"path": "A/3", "rowIndex": 0, "columnIndex": 2}
    bad: ome05-plate zarr.json#/attributes/ome/plate/wells/0 remove
    bad: ome05-plate A/zarr.json remove
""")

_NAME: Final = matching("[A-Za-z0-9]+", "a text of letters and digits")
_PATH: Final = matching("[A-Za-z0-9]+/[A-Za-z0-9]+", "a row and a column, such as A/1")
_NAMED: Final = (Field("name", _NAME, "PL-001", "must"),)
_WELL: Final = (
    Field("path", _PATH, "PL-002", "must"),
    Field("rowIndex", whole(0), "PL-003", "must"),
    Field("columnIndex", whole(0), "PL-003", "must"),
)
_ACQUISITION: Final = (
    Field("id", whole(0), "PL-004", "must"),
    Field("name", TEXT, "PL-004", "should"),
    Field("maximumfieldcount", whole(1), "PL-004", "should"),
    Field("description", TEXT, "PL-004"),
    Field("starttime", whole(0), "PL-004"),
    Field("endtime", whole(0), "PL-004"),
)
_PLATE: Final = (
    Field("name", TEXT, "PL-005", "should"),
    Field("field_count", whole(1), "PL-005", "should", text="0.4 0.5 0.6 0.9"),
)
# The suite of 0.5 refuses wells that name the column first; those of 0.4 and 0.6 have them among what is valid.
_LENIENT: Final = "0.4 0.6 0.9"


def check_plate(place: Place) -> None:
    """Check a plate."""
    if not isinstance(place.value, dict):
        place.report("PL-002", "is not an object", "write {…}")
        return
    for key, rule_id in (("rows", "PL-001"), ("columns", "PL-001"), ("wells", "PL-002")):
        if not place[key].there:
            place.report(rule_id, f"has no {key!r}", "list at least one")
    check_fields(place, _PLATE)
    check_own_version(place, "PL-006")
    _check_acquisitions(place["acquisitions"])
    rows, columns = (_names(place[key]) for key in ("rows", "columns"))
    wells = objects(place["wells"], "PL-002")
    for well in wells:
        check_fields(well, _WELL)
        _check_place(well, rows, columns)
    check_unique(wells, "PL-002", "path")


def _check_acquisitions(place: Place) -> None:
    acquisitions = objects(place, "PL-004", least=0)
    for acquisition in acquisitions:
        check_fields(acquisition, _ACQUISITION)
    ids: dict[object, int] = {}
    for i, acquisition in enumerate(acquisitions):
        number = acquisition["id"]
        if whole(0).holds(number.value) and ids.setdefault(number.value, i) != i:
            number.report(
                "PL-004", f"is {short(number.value)}, as of another one", "give each an id of its own", basis="text"
            )


def _names(place: Place) -> Mapping[str, int]:
    """Check rows or columns; return the index of each name."""
    items = objects(place, "PL-001")
    for item in items:
        check_fields(item, _NAMED)
    check_unique(items, "PL-001", "name")
    found: dict[str, int] = {}
    lower: dict[str, str] = {}
    for i, item in enumerate(items):
        name = item.text("name")
        if name is None:
            continue
        found.setdefault(name, i)
        other = lower.setdefault(name.lower(), name)
        if other != name:
            message = f"is {short(name)}, which differs from {short(other)} by case alone"
            item["name"].report("PL-001", message, "give it another name", basis="text", level="should")
    return found


def _check_place(well: Place, rows: Mapping[str, int], columns: Mapping[str, int]) -> None:
    """Check that path and indices of a well say the same."""
    path = well.value.get("path")
    if not _PATH.holds(path):
        return
    row, column = path.split("/")
    for name, names, what in ((row, rows, "row"), (column, columns, "column")):
        index = well[f"{what}Index"]
        if names and name not in names:
            message = f"is {short(path)}; {short(name)} is no {what}"
            well["path"].report("PL-002", message, "name the row first, then the column", text=_LENIENT)
        elif names and whole(0).holds(index.value) and index.value != names[name]:
            message = f"is {short(index.value)}, but the {what} {short(name)} has the index {names[name]}"
            index.report("PL-003", message, "correct the index, or the path", basis="text")
