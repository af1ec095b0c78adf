"""Plates and wells of high-content screening (rules PL and WL), in and out, for every version."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voxarium.errors import Code, FormatError, InputError
from voxarium.model.keys import checked_key
from voxarium.spec.ome.document import as_mapping, json_ready, malformed
from voxarium.spec.ome.image import namespace

__all__ = ["Field", "Plate", "Well", "WellPlace", "dump_plate", "dump_well", "parse_plate", "parse_well"]

_MOST_WELLS: Final = 1_000_000
_SHOWN: Final = 3
_NAME: Final = re.compile(r"[A-Za-z0-9]+")
_FIELD: Final = re.compile(r"(?!\.+\Z)(?!__)[A-Za-z0-9_.-]+")
_PLATE: Final = frozenset({"name", "rows", "columns", "wells", "acquisitions", "field_count", "version"})


@dataclass(frozen=True, slots=True)
class WellPlace:
    """A well of a plate: its path, and which row and column of the plate's lists it lies in."""

    path: str
    row: int
    column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plate:
    """A plate as its document describes it.

    Parameters
    ----------
    rows, columns : tuple of str
        Names, in order; also of those without a well.
    acquisitions : tuple of mapping
        Each with an integer ``id``, and what else is known: name, maximumfieldcount, starttime …
    notes : tuple of str
        What was left out or guessed.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    wells: tuple[WellPlace, ...]
    acquisitions: tuple[Mapping[str, Any], ...] = ()  # Any: JSON as found
    field_count: int | None = None
    name: str = ""
    spec_version: str | None = None
    notes: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON as found


@dataclass(frozen=True, slots=True)
class Field:
    """An image of a well, and the acquisition it belongs to."""

    path: str
    acquisition: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Well:
    """A well as its document describes it."""

    images: tuple[Field, ...]
    spec_version: str | None = None
    notes: tuple[str, ...] = ()


class _LeftOut:
    """Collects what cannot be used; many alike become one note."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, what: str, example: object) -> None:
        self._found.setdefault(what, []).append(repr(example)[:60])

    def notes(self) -> tuple[str, ...]:
        out = []
        for what, examples in self._found.items():
            more = f" and {len(examples) - _SHOWN:,} more" if len(examples) > _SHOWN else ""
            out.append(f"{what}: {', '.join(examples[:_SHOWN])}{more}")
        return tuple(out)


def _items(body: Mapping[str, Any], key: str, where: str) -> list[Any]:
    found = body.get(key, [])
    if not isinstance(found, list):
        malformed(f"{where}.{key}", "is not a list", "write it as […]")
    if len(found) > _MOST_WELLS:
        raise FormatError(
            f"{where}.{key} has {len(found)} items; at most {_MOST_WELLS:,} are read",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="check that the document is not damaged",
        )
    return found


def _names(body: Mapping[str, Any], key: str, where: str, left: _LeftOut) -> list[str]:
    names = []
    for found in _items(body, key, where):
        name = found.get("name") if isinstance(found, Mapping) else None
        if isinstance(name, str) and name:
            names.append(name)
        else:
            left.add(f"{key} without a name", found)
            names.append("")
    return names


def _version(attributes: Mapping[str, Any], body: Mapping[str, Any]) -> str | None:
    version = namespace(attributes).get("version") if "ome" in attributes else body.get("version")
    return version if isinstance(version, str) and version else None


def parse_plate(attributes: Mapping[str, Any]) -> Plate:
    """Return the plate a group's attributes describe. Wells that cannot be are left out, with a note.

    Raises
    ------
    FormatError
        If the attributes are no plate, or name no well that can be.
    """
    body = as_mapping(namespace(attributes).get("plate"), "plate")
    left = _LeftOut()
    rows, columns = _names(body, "rows", "plate", left), _names(body, "columns", "plate", left)
    stated = _items(body, "wells", "plate")
    wells = _wells(stated, rows, columns, left)
    if stated and not wells:
        malformed("plate.wells", f"names no well that can be: {'; '.join(left.notes())}", "name wells as row/column")
    if not stated:
        left.add("the plate lists no wells", [])
    count = body.get("field_count")
    return Plate(
        rows=tuple(rows),
        columns=tuple(columns),
        wells=tuple(wells),
        acquisitions=tuple(_acquisitions(body, left)),
        field_count=count if type(count) is int and count > 0 else None,
        name=name if isinstance(name := body.get("name"), str) else "",
        spec_version=_version(attributes, body),
        notes=left.notes(),
        extra={k: v for k, v in body.items() if k not in _PLATE},
    )


def _wells(stated: list[Any], rows: list[str], columns: list[str], left: _LeftOut) -> list[WellPlace]:
    row_of = {name: i for i, name in reversed(list(enumerate(rows))) if name}
    column_of = {name: i for i, name in reversed(list(enumerate(columns))) if name}
    for key, names, known in (("rows", rows, row_of), ("columns", columns, column_of)):
        if len(known) < sum(map(bool, names)):
            left.add(f"{key} repeat names", next(n for i, n in enumerate(names) if n and known[n] != i))
    wells: dict[str, WellPlace] = {}
    for found in stated:
        path = found.get("path") if isinstance(found, Mapping) else None
        row, _, column = path.partition("/") if isinstance(path, str) else ("", "", "")
        if path is None or row not in row_of or column not in column_of:
            place = _unlisted(path, rows, columns, row_of, column_of)
            if place is None:
                left.add("wells left out, as their paths are not row/column", path if path is not None else found)
                continue
            left.add("wells in rows or columns that the plate does not list", path)
        else:
            place = WellPlace(path, row_of[row], column_of[column])
        if place.path in wells:
            left.add("wells listed again", place.path)
            continue
        wells[place.path] = place
        indices = found.get("rowIndex", place.row), found.get("columnIndex", place.column)
        if indices != (place.row, place.column):
            left.add("wells whose indices are not those of their path, which is taken", place.path)
    return list(wells.values())


def _unlisted(
    path: object, rows: list[str], columns: list[str], row_of: dict[str, int], column_of: dict[str, int]
) -> WellPlace | None:
    """Return a well whose row or column the plate forgot to list, which then is; None when the path is no well."""
    if not isinstance(path, str):
        return None
    path = path.removeprefix("./").rstrip("/")
    row, _, column = path.partition("/")
    try:
        checked_key(path)
    except InputError:
        return None
    if not row or not column or "/" in column or path.startswith("."):
        return None
    for name, names, known in ((row, rows, row_of), (column, columns, column_of)):
        if name not in known:
            known[name] = len(names)
            names.append(name)
    return WellPlace(path, row_of[row], column_of[column])


def _acquisitions(body: Mapping[str, Any], left: _LeftOut) -> list[Mapping[str, Any]]:
    out: list[Mapping[str, Any]] = []
    known: set[int] = set()
    for found in _items(body, "acquisitions", "plate"):
        id = found.get("id") if isinstance(found, Mapping) else None
        if type(id) is not int or id in known:
            left.add("acquisitions left out, as they have no id of their own", found)
            continue
        known.add(id)
        out.append(found)
    return out


def parse_well(attributes: Mapping[str, Any]) -> Well:
    """Return the well a group's attributes describe. Images that cannot be are left out, with a note.

    Raises
    ------
    FormatError
        If the attributes are no well, or name no image that can be.
    """
    body = as_mapping(namespace(attributes).get("well"), "well")
    left = _LeftOut()
    images: dict[str, Field] = {}
    stated = _items(body, "images", "well")
    for found in stated:
        path = found.get("path") if isinstance(found, Mapping) else None
        path = path.removeprefix("./").rstrip("/") if isinstance(path, str) else path
        try:
            key = checked_key(path) if isinstance(path, str) else None
        except InputError:
            key = None
        if key is None:
            left.add("images left out, as their paths are none below the well", path if path is not None else found)
        elif key in images:
            left.add("images listed again", key)
        else:
            number = found.get("acquisition")
            images[key] = Field(key, number if type(number) is int else None)
    if stated and not images:
        malformed("well.images", f"names no image that can be: {'; '.join(left.notes())}", "name folders of the well")
    return Well(images=tuple(images.values()), spec_version=_version(attributes, body), notes=left.notes())


# -- writing
def dump_plate(plate: Plate, spec_version: str) -> dict[str, Any]:
    """Return the attributes of a plate's group.

    Raises
    ------
    InputError
        If a rule of the specification is broken (PL-001 to PL-005).
    """
    _check_plate(plate)
    body: dict[str, Any] = {"name": plate.name} if plate.name else {}
    body["rows"] = [{"name": n} for n in plate.rows]
    body["columns"] = [{"name": n} for n in plate.columns]
    body["wells"] = [{"path": w.path, "rowIndex": w.row, "columnIndex": w.column} for w in plate.wells]
    if plate.field_count:
        body["field_count"] = plate.field_count
    if plate.acquisitions:
        body["acquisitions"] = [json_ready(a) for a in plate.acquisitions]
    return _placed({"plate": body | json_ready(plate.extra)}, spec_version)


def dump_well(images: Sequence[Field], spec_version: str) -> dict[str, Any]:
    """Return the attributes of a well's group.

    Raises
    ------
    InputError
        If a rule of the specification is broken (WL-001, WL-002).
    """
    paths = [f.path for f in images]
    wrong = next((p for p in paths if _FIELD.fullmatch(p) is None or paths.count(p) > 1), None)
    if wrong is not None or not paths:
        _refuse(
            "a well without images" if wrong is None else f"the image {wrong!r} of a well",
            "give each image of a well a name of its own, of letters and digits",
        )
    listed = [{"path": f.path} | ({} if f.acquisition is None else {"acquisition": f.acquisition}) for f in images]
    return _placed({"well": {"images": listed}}, spec_version)


def _placed(content: dict[str, Any], spec_version: str) -> dict[str, Any]:
    if spec_version >= "0.5":
        return {"ome": {"version": spec_version} | content}
    return {key: body | {"version": spec_version} for key, body in content.items()}


def _refuse(what: str, fix: str) -> None:
    raise InputError(f"{what} cannot be written", code=Code.ARGUMENT_INVALID, fix=fix)


def _check_plate(plate: Plate) -> None:
    for what, names in (("row", plate.rows), ("column", plate.columns)):
        if not names or len({*names}) < len(names):
            _refuse(f"a plate whose {what}s {'repeat names' if names else 'are none'}", f"name each {what} once")
        for name in names:
            if _NAME.fullmatch(name) is None:
                _refuse(f"the {what} {name!r}", f"name {what}s with letters and digits only")
    if not plate.wells:
        _refuse("a plate without wells", "convert at least one image")
    paths = {w.path for w in plate.wells}
    for well in plate.wells:
        inside = 0 <= well.row < len(plate.rows) and 0 <= well.column < len(plate.columns)
        if not inside or well.path != f"{plate.rows[well.row]}/{plate.columns[well.column]}":
            _refuse(f"the well {well.path!r}", "name wells as row/column, by names of the plate's rows and columns")
    if len(paths) < len(plate.wells):
        _refuse("a plate that lists a well twice", "list each well once")
    ids = [a.get("id") for a in plate.acquisitions]
    if any(type(i) is not int or i < 0 for i in ids) or len({*ids}) < len(ids):
        _refuse("acquisitions without numbers of their own", "give each an id of 0 or more")
