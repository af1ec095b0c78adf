"""``dataset.json`` as bytes: keys in one order, what is empty left out, so that equal documents are equal bytes."""

from __future__ import annotations

from typing import Any

from voxarium.model.axes import CoordinateSystem
from voxarium.model.fields import dump_json
from voxarium.spec.dataset_document.parts import (
    MARKER,
    Alignment,
    DatasetDocument,
    DatasetMember,
    DatasetView,
    Link,
    Person,
)

__all__ = ["dump_dataset", "member_json"]


def dump_dataset(document: DatasetDocument) -> bytes:
    """Return a document as indented JSON.

    Examples
    --------
    >>> dump_dataset(DatasetDocument(name="pinky", license="CC0-1.0")).decode().split()[:4]
    ['{', '"voxarium_dataset":', '"1.0",', '"name":']
    """
    d = document
    facts = {
        MARKER: d.spec_version,
        "name": d.name,
        "description": d.description,
        "license": d.license,
        "authors": [_person(p) for p in d.authors],
        "contact": d.contact,
        "publisher": d.publisher,
        "funding": list(d.funding),
        "identifiers": list(d.identifiers),
        "specimen": d.specimen,
        "layout": d.layout,
        "thumbnail": d.thumbnail,
        "members": [member_json(m) for m in d.members],
        "systems": [_system(s) for s in d.systems],
        "alignments": [_alignment(a) for a in d.alignments],
        "views": [_view(v) for v in d.views],
    }
    return dump_json(_filled(facts) | dict(sorted(d.extra.items())))


def _filled(facts: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    always = ("license", "authors", "members")
    return {k: v for k, v in facts.items() if v or k in always}


def _kept(facts: dict[str, Any], extra: Any) -> dict[str, Any]:  # Any: JSON
    return {k: v for k, v in facts.items() if v} | dict(sorted(extra.items()))


def _person(person: Person) -> dict[str, Any]:
    facts = {"name": person.name, "identifier": person.identifier, "affiliation": person.affiliation}
    return _kept(facts, person.extra)


def member_json(member: DatasetMember) -> dict[str, Any]:  # Any: JSON
    """Return one member as JSON."""
    m = member
    facts = {
        "name": m.name,
        "path": m.path,
        "kind": m.kind,
        "role": m.role,
        "format": m.format,
        "description": m.description,
        "links": [_link(link) for link in m.links],
        "system": m.system,
        "rendering": m.rendering,
        "thumbnail": m.thumbnail,
    }
    return _kept(facts, m.extra)


def _link(link: Link) -> dict[str, Any]:
    facts = {"member": link.member, "relation": link.relation, "release": link.release, "digest": link.digest}
    return _kept(facts, link.extra)


def _system(system: CoordinateSystem) -> dict[str, Any]:
    axes = [
        _kept({"name": a.name, "type": a.type, "unit": a.unit, "orientation": a.orientation}, a.extra)
        for a in system.axes
    ]
    return _kept({"name": system.name, "axes": axes}, system.extra)


def _alignment(alignment: Alignment) -> dict[str, Any]:
    facts = {
        "name": alignment.name,
        "source": alignment.source,
        "target": alignment.target,
        "transform": alignment.transform,
    }
    return _kept(facts, alignment.extra)


def _view(view: DatasetView) -> dict[str, Any]:
    return _kept({"name": view.name, "members": list(view.members)}, view.extra)
