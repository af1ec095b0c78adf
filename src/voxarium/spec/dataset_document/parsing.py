"""``dataset.json`` from bytes. It comes from outside: everything is checked, and what is not known is carried."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

from voxarium.errors import FormatError, InputError
from voxarium.model.axes import Axis, CoordinateSystem
from voxarium.model.fields import Fields, Problems, parse_json_object
from voxarium.model.keys import checked_key
from voxarium.model.scene_fields import refuse
from voxarium.model.transform_json import parse_transform_json
from voxarium.spec.dataset_document.parts import (
    FILE_NAME,
    MARKER,
    MEMBER_KINDS,
    MOST_BYTES,
    Alignment,
    DatasetDocument,
    DatasetMember,
    DatasetView,
    Link,
    MemberKind,
    Person,
)

__all__ = ["is_dataset", "parse_dataset"]

_MOST: Final = 100_000  # items of one list
_LONGEST: Final = 1000  # characters of a name or path
_DEEPEST: Final = 64
_VERSION: Final = re.compile(r"1\.[0-9]{1,4}")
_ROLES: Final = ("", "intensity", "label", "prediction")
_FIX: Final = "correct it by hand, or restore it from a copy"
_T = TypeVar("_T")


def is_dataset(data: bytes) -> bool:
    """Tell whether a document with the name ``dataset.json`` is one of these; other programs use the name, too."""
    return f'"{MARKER}"'.encode() in data[:MOST_BYTES]


def parse_dataset(data: bytes, where: str = FILE_NAME) -> DatasetDocument:
    """Return what ``dataset.json`` says.

    Raises
    ------
    FormatError
        If it breaks the specification. Links to members that are not there do not (`iter_dangling` names them).
    """
    if len(data) > MOST_BYTES:
        raise refuse(where, f"has {len(data):,} bytes, more than a dataset ever needs", _FIX)
    body = parse_json_object(data, where)
    if _is_deep(body):
        raise refuse(where, f"has values inside each other, more than {_DEEPEST} deep", _FIX)
    problems = Problems(where)
    fields = Fields(body, problems)
    version = fields.text(MARKER)
    if _VERSION.fullmatch(version) is None and fields.has(MARKER):
        raise refuse(
            where,
            f"follows version {version[:20]!r} of the specification of datasets, which is not known",
            "open it with a later Voxarium",
        )
    document = DatasetDocument(
        spec_version=version,
        name=_name(fields, "name", problems),
        description=fields.text("description", ""),
        license=fields.text("license", ""),
        authors=_items(fields, "authors", problems, _person),
        contact=fields.text("contact", ""),
        publisher=fields.text("publisher", ""),
        funding=_objects(fields, "funding", problems),
        identifiers=_texts(fields, "identifiers"),
        specimen=fields.mapping("specimen", {}),
        layout=fields.text("layout", "default"),
        thumbnail=_path(fields, "thumbnail", problems, ""),
        members=_items(fields, "members", problems, _member),
        systems=_items(fields, "systems", problems, _system),
        alignments=_items(fields, "alignments", problems, _alignment),
        views=_items(fields, "views", problems, _view),
        extra=fields.rest(),
    )
    _check_unique(document, problems)
    problems.check(_FIX)
    return document


def _check_unique(document: DatasetDocument, problems: Problems) -> None:
    for what, values in (
        ("members have the name", [m.name for m in document.members]),
        ("members have the path", [m.path for m in document.members]),
        ("systems have the name", [s.name for s in document.systems]),
    ):
        seen: set[str] = set()
        for value in values:
            if value in seen:
                problems.add(f"two {what} {value[:60]!r}")
            seen.add(value)


def _is_deep(value: Any) -> bool:  # Any: JSON
    layer = [value]
    for _ in range(_DEEPEST):
        inner: list[Any] = []
        for outer in layer:
            inner += (v for v in (outer.values() if isinstance(outer, dict) else outer) if isinstance(v, dict | list))
        if not inner:
            return False
        layer = inner
    return True


# -- parts
def _person(fields: Fields, problems: Problems) -> Person:
    return Person(
        name=_name(fields, "name", problems),
        identifier=fields.text("identifier", ""),
        affiliation=fields.text("affiliation", ""),
        extra=fields.rest(),
    )


def _member(fields: Fields, problems: Problems) -> DatasetMember:
    name, path = _path(fields, "name", problems), _path(fields, "path", problems)
    return DatasetMember(
        name=name,
        path=path,
        kind=cast("MemberKind", fields.choice("kind", MEMBER_KINDS)),
        role=fields.choice("role", _ROLES, ""),
        format=fields.text("format", ""),
        description=fields.text("description", ""),
        links=_items(fields, "links", problems, _link),
        system=fields.text("system", ""),
        rendering=fields.mapping("rendering", {}),
        thumbnail=_path(fields, "thumbnail", problems, ""),
        extra=fields.rest(),
    )


def _link(fields: Fields, problems: Problems) -> Link:
    return Link(
        member=_path(fields, "member", problems),
        relation=_name(fields, "relation", problems),
        release=fields.text("release", ""),
        digest=fields.text("digest", ""),
        extra=fields.rest(),
    )


def _system(fields: Fields, problems: Problems) -> CoordinateSystem:
    name = _name(fields, "name", problems)
    axes = []
    for axis in _objects(fields, "axes", problems):
        inner = Fields(axis, problems, f"an axis of {name[:60]}")
        try:
            axes.append(
                Axis(
                    name=_name(inner, "name", problems),
                    type=inner.text("type", "space"),
                    unit=inner.text("unit", "") or None,
                    orientation=inner.text("orientation", "") or None,
                    extra=inner.rest(),
                )
            )
        except InputError as error:
            problems.add(error.message)
    try:
        return CoordinateSystem(name=name, axes=tuple(axes), extra=fields.rest())
    except InputError as error:
        problems.add(error.message)
    return CoordinateSystem(name="invalid", axes=())


def _alignment(fields: Fields, problems: Problems) -> Alignment:
    transform = fields.mapping("transform")
    if fields.has("transform"):
        try:
            parse_transform_json(transform, "transform of an alignment")
        except (FormatError, InputError) as error:
            problems.add(error.message)
    return Alignment(
        name=fields.text("name", ""),
        source=_name(fields, "source", problems),
        target=_name(fields, "target", problems),
        transform=transform,
        extra=fields.rest(),
    )


def _view(fields: Fields, problems: Problems) -> DatasetView:
    return DatasetView(name=_name(fields, "name", problems), members=_texts(fields, "members"), extra=fields.rest())


# -- values
def _items(fields: Fields, key: str, problems: Problems, parse: Callable[[Fields, Problems], _T]) -> tuple[_T, ...]:
    return tuple(parse(Fields(item, problems, f"{key}[{i}]"), problems) for i, item in enumerate(_list(fields, key)))


def _objects(fields: Fields, key: str, problems: Problems) -> tuple[dict[str, Any], ...]:  # Any: JSON
    found = _list(fields, key)
    if not all(isinstance(item, dict) for item in found):
        problems.add(f"{key} is not a list of objects")
        return ()
    return tuple(found)


def _texts(fields: Fields, key: str) -> tuple[str, ...]:
    found = _list(fields, key)
    if not all(isinstance(item, str) for item in found):
        fields.wrong(key, "a list of texts")
        return ()
    return tuple(found)


def _list(fields: Fields, key: str) -> list[Any]:  # Any: JSON
    value = fields.raw(key, [])
    if isinstance(value, list) and len(value) <= _MOST:
        return value
    fields.wrong(key, f"a list of at most {_MOST:,} items")
    return []


def _name(fields: Fields, key: str, problems: Problems) -> str:
    value = fields.text(key)
    if fields.has(key) and not (value.strip() and len(value) <= _LONGEST and value.isprintable()):
        problems.add(f"{key} is {value[:60]!r}, expected a text of 1 to {_LONGEST} characters that can be printed")
    return value


def _path(fields: Fields, key: str, problems: Problems, default: str | None = None) -> str:
    value = fields.text(key) if default is None else fields.text(key, default)
    if value or (default is None and fields.has(key)):
        try:
            checked_key(value)
        except InputError as error:
            problems.add(f"{key}: {error.message[:200]}")
        if len(value) > _LONGEST or "::" in value:
            problems.add(f"{key} is {value[:60]!r}, expected a path in the dataset")
    return value
