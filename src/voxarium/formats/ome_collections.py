"""Collections of OME-Zarr: plates and wells, bioformats2raw containers, scenes, lists of labels, RFC-8 collections.

Specification: https://ngff.openmicroscopy.org. Read: plates and wells of 0.1–0.6 and 0.9.dev1; layout 3 of
bioformats2raw with or without ``OME/series``; collections of RFC-8 in the words of the draft, of the examples beside
it and of the proposal of 2024, in ``zarr.json`` or in a JSON document of their own.
Nothing but the group's own documents is read: a plate opens with one, however many wells it has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Final

from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.model.collection import CollectionInfo, Member, MemberKind
from voxarium.model.image import Bag, SourceRecord
from voxarium.model.keys import checked_key, natural_key
from voxarium.model.protocols import ListableStore, ReadableStore
from voxarium.model.scene import NodeKind, Scene, SceneNode, SceneSource
from voxarium.spec import collections, ome, ome_xml

__all__ = ["OmeCollectionDriver"]

_MOST_PROBES: Final = 1000  # images 0, 1, 2 … asked for one by one where nothing can be listed
_OUTSIDE: Final = ("://", "file:", "/")

Attributes = Mapping[str, Any]  # Any: JSON as found


class OmeCollectionDriver:
    """Groups of OME-Zarr that hold several images."""

    name: ClassVar[str] = ome.FORMAT
    spec_url: ClassVar[str] = "https://ngff.openmicroscopy.org/0.5/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read", "write"})
    kinds: ClassVar[frozenset[str]] = frozenset({"plate", "series"})

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """Return what the group, or the JSON document, at `path` lists.

        Raises
        ------
        NotFoundError
            If there is no group, or one that is no collection.
        FormatError
            If its metadata cannot be read, or name no member that can be.
        """
        where = ome.join(store.uri, path)
        if "::" not in path and path.lower().endswith(".json"):
            raw = store.get(path)
            found = None if raw is None or not _is_object(raw) else _rfc8(raw, path, "../")
        else:
            found = _group(store, path)
        if found is not None:
            return found
        raise NotFoundError(
            f"no collection of OME-Zarr images at {where}",
            code=Code.FORMAT_UNRECOGNISED,
            fix="check the path; it should hold a plate, a well, a container of images or a collection",
        )

    def dump(self, info: CollectionInfo, spec_version: str, /) -> dict[str, bytes]:
        """Return the documents around images: those of a plate, its rows and wells; or of a container of series.

        With a version of the draft RFC-8, which is ``0.x``, any collection becomes a group whose nodes are its members.

        Raises
        ------
        InputError
            If a rule of the specification would be broken, or this kind of collection has no documents.
        """
        if spec_version in collections.VERSIONS:
            return _dump_rfc8(info, spec_version)
        if info.kind == "plate":
            return _dump_plate(info, spec_version)
        if info.kind == "series":
            return _dump_container(info, spec_version)
        raise InputError(
            f"a {info.kind} has no documents of its own in OME-Zarr {spec_version}",
            code=Code.ARGUMENT_INVALID,
            fix=f"write {' or '.join(sorted(self.kinds))}, or images in a folder",
        )


def _is_object(raw: bytes) -> bool:
    return raw[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def _group(store: ReadableStore, path: str) -> CollectionInfo | None:
    key = ome.join(path, "zarr.json")
    raw = None if "::" in path else store.get(key)
    attributes = None if raw is None else ome.parse_v3_attributes(raw, key)
    if attributes is None or not ("ome" in attributes or {*_KINDS} & attributes.keys()):
        found = None if raw is None or attributes is None else _rfc8(raw, key, "")
        key = ome.join(path, ".zattrs")
        older = store.get(key) if found is None and "::" not in path else None
        if older is None:
            return found
        raw, attributes = older, ome.parse_v2_attributes(older, key)
    keys = ome.namespace(attributes).keys() | attributes.keys()
    for kind, parse in _KINDS.items():
        if kind in keys:
            return parse(store, path, attributes)
    return _rfc8(raw, key, "") if raw is not None else None


def _record(attributes: Attributes) -> Bag:
    return Bag(records=(SourceRecord(format=ome.FORMAT, metadata={"attributes": dict(attributes)}),))


# -- plates and wells
def _plate(store: ReadableStore, path: str, attributes: Attributes) -> CollectionInfo:
    plate = ome.parse_plate(attributes)
    members = tuple(
        Member(
            path=well.path,
            name=f"{plate.rows[well.row]}{plate.columns[well.column]}",
            kind="collection",
            facts={"row": plate.rows[well.row], "column": plate.columns[well.column]},
        )
        for well in plate.wells
    )
    facts: dict[str, Any] = {"rows": list(plate.rows), "columns": list(plate.columns)}
    if plate.acquisitions:
        facts["acquisitions"] = [dict(a) for a in plate.acquisitions]
    if plate.field_count:
        facts["field_count"] = plate.field_count
    others = {k: v for k, v in plate.extra.items() if k not in facts}
    body = {k: v for k, v in ome.namespace(attributes).items() if k != "plate"}
    return CollectionInfo(
        format=ome.FORMAT,
        kind="plate",
        members=members,
        name=plate.name,
        spec_version=plate.spec_version,
        bag=_record({**body, "plate": others}),
        facts=facts,
        notes=plate.notes,
    )


def _well(store: ReadableStore, path: str, attributes: Attributes) -> CollectionInfo:
    well = ome.parse_well(attributes)
    members = tuple(
        Member(
            path=image.path,
            facts={"field": i} | ({} if image.acquisition is None else {"acquisition": image.acquisition}),
        )
        for i, image in enumerate(well.images)
    )
    parts = path.split("/")[-2:]
    facts = {"row": parts[0], "column": parts[1]} if len(parts) == 2 else {}
    return CollectionInfo(
        format=ome.FORMAT,
        kind="well",
        members=members,
        name="".join(parts) if facts else "",
        spec_version=well.spec_version,
        bag=_record(attributes),
        facts=facts,
        notes=well.notes,
    )


# -- containers
def _container(store: ReadableStore, path: str, attributes: Attributes) -> CollectionInfo | None:
    if not ome.is_container(attributes):
        return None
    group = ome.join(path, ome.SERIES_GROUP)
    inside = _read(store, group, "ome" in attributes)
    listed = None if inside is None else ome.parse_series(inside)
    paths, notes = (_consecutive(store, path), ()) if listed is None else listed
    raw = store.get(ome.join(path, ome.METADATA_XML))
    records = [*_record(attributes).records]
    names: tuple[str, ...] = ()
    carried = None
    if raw is not None:
        records.append(SourceRecord(format=ome_xml.RECORD, header=raw))
        try:
            names = ome.image_names(raw)
        except FormatError as error:
            notes += (error.message,)
        if names and len(names) != len(paths):
            notes += (f"{ome.METADATA_XML} describes {len(names)} images; {len(paths)} are listed",)
            names = ()
        carried = _carried(raw) if names else None
    members = tuple(
        Member(path=p, name=names[i] if i < len(names) else "", facts={"series": i}) for i, p in enumerate(paths)
    )
    version = ome.namespace(attributes).get("version") if "ome" in attributes else "0.4"
    return CollectionInfo(
        format=ome.FORMAT,
        kind="series",
        members=members,
        spec_version=version if isinstance(version, str) else None,
        bag=Bag(records=tuple(records)),
        carried=carried,
        notes=notes,
    )


def _carried(raw: bytes) -> Callable[[Member], Mapping[str, Any]]:
    """Return what gives each member its part of a container's OME-XML, which is parsed when it is first asked for."""
    document = functools.cache(partial(ome_xml.parse_ome_xml, raw, ome.METADATA_XML))

    def carried(member: Member) -> Mapping[str, Any]:
        try:
            found = document()
            return {ome_xml.OME_XML: ome_xml.only_image(found, member.facts["series"]).decode()}
        except FormatError:
            return {}  # its images open without it

    return carried


def _read(store: ReadableStore, path: str, newer: bool) -> Attributes | None:
    key = ome.join(path, "zarr.json" if newer else ".zattrs")
    raw = store.get(key)
    if raw is None:
        return None
    return ome.parse_v3_attributes(raw, key) if newer else ome.parse_v2_attributes(raw, key)


def _consecutive(store: ReadableStore, path: str) -> tuple[str, ...]:
    """Return 0, 1, 2 … as far as they are there (BF-005)."""
    if isinstance(store, ListableStore):
        names = {*store.list_dir(path)[1]}
        count = next((i for i in range(len(names) + 1) if str(i) not in names), 0)
        return tuple(map(str, range(count)))
    for i in range(_MOST_PROBES):
        documents = (ome.join(path, str(i), name) for name in ("zarr.json", ".zattrs"))
        if all(store.stat(key) is None for key in documents):
            return tuple(map(str, range(i)))
    return tuple(map(str, range(_MOST_PROBES)))


# -- writing
def _dump_plate(info: CollectionInfo, spec_version: str) -> dict[str, bytes]:
    wells: dict[str, list[ome.Field]] = {}
    for member in info.members:
        well, _, name = member.path.rpartition("/")
        number = member.facts.get("acquisition")
        wells.setdefault(well, []).append(ome.Field(name, number if type(number) is int else None))
    rows, columns = [list(map(str, info.facts.get(key, ()))) for key in ("rows", "columns")]
    places = []
    for path in wells:
        row, _, column = path.partition("/")
        for name, names in ((row, rows), (column, columns)):
            if name not in names:
                names.append(name)
        places.append(ome.WellPlace(path, rows.index(row), columns.index(column)))
    used = {f.acquisition for fields in wells.values() for f in fields} - {None}
    stated = [a for a in info.facts.get("acquisitions", ()) if isinstance(a, Mapping)]
    listed = stated + [{"id": i} for i in sorted(used - {a.get("id") for a in stated}, key=str)]
    most = max((len(f) for f in wells.values()), default=0)
    plate = ome.Plate(
        rows=tuple(rows),
        columns=tuple(columns),
        wells=tuple(places),
        acquisitions=tuple(listed),
        field_count=max(most, info.facts.get("field_count") or 0),
        name=info.name,
    )
    attributes = ome.dump_plate(plate, spec_version)  # refuses what cannot be before anything else is made
    documents: dict[str, bytes] = {}
    for path in wells:
        documents |= ome.dump_group(path.partition("/")[0], spec_version, {})
    for path, fields in wells.items():
        documents |= ome.dump_group(path, spec_version, ome.dump_well(fields, spec_version))
    return documents | ome.dump_group("", spec_version, attributes)


def _dump_container(info: CollectionInfo, spec_version: str) -> dict[str, bytes]:
    paths = [m.path for m in info.members]
    if not paths or len({*paths}) < len(paths):
        raise InputError(
            f"a container of {'images of the same path' if paths else 'no images'} cannot be written",
            code=Code.ARGUMENT_INVALID,
            fix="give each image a path of its own, such as 0, 1, 2",
        )
    documents = ome.dump_group(ome.SERIES_GROUP, spec_version, ome.dump_series(paths, spec_version))
    xml = next((r.header for r in info.bag.records if r.format == ome_xml.RECORD and r.header is not None), None)
    if xml is not None:
        documents = {ome.METADATA_XML: ome.metadata_only(xml)} | documents
    for path in paths:  # groups between carry no metadata
        parts = path.split("/")[:-1]
        for i in range(len(parts)):
            documents |= ome.dump_group("/".join(parts[: i + 1]), spec_version, {})
    return documents | ome.dump_group("", spec_version, ome.dump_layout(spec_version))


def _dump_rfc8(info: CollectionInfo, version: str) -> dict[str, bytes]:
    kinds: dict[str, NodeKind] = {"label": "labels", "collection": "collection"}
    nodes = tuple(
        SceneNode(
            id=f"node{i}",
            kind=kinds.get(member.kind, "image"),
            name=member.name or member.path,
            sources=(SceneSource(uri=f"./{member.path}", format=ome.FORMAT),),
        )
        for i, member in enumerate(info.members)
    )
    scene = Scene(format=collections.Collections.name, name=info.name, nodes=nodes)
    document, _ = collections.dump_collection(scene, version)
    return ome.dump_group("", "0.5", document)


# -- scenes and labels
def _listed(paths: Sequence[str], kind: MemberKind, attributes: Attributes, notes: tuple[str, ...]) -> CollectionInfo:
    version = ome.namespace(attributes).get("version")
    return CollectionInfo(
        format=ome.FORMAT,
        kind="collection",
        members=tuple(Member(path=p, name=p.rpartition("/")[2], kind=kind) for p in paths),
        spec_version=version if isinstance(version, str) else None,
        bag=_record(attributes),
        notes=notes,
    )


def _scene(store: ReadableStore, path: str, attributes: Attributes) -> CollectionInfo | None:
    paths = ome.scene_paths(attributes)
    return _listed(paths, "image", attributes, ()) if paths else None


def _labels(store: ReadableStore, path: str, attributes: Attributes) -> CollectionInfo | None:
    names: dict[str, None] = {}
    notes = []
    for name in ome.parse_labels(attributes):
        try:
            names[checked_key(name)] = None
        except InputError:
            notes.append(f"{name!r} is listed, which is no path below the list; ignored")
    return _listed(sorted(names, key=natural_key), "label", attributes, tuple(notes[:20]))


# The first of these keys that a group has says what it is: a plate wins over the container around it (BF-002).
_KINDS: Final[dict[str, Callable[[ReadableStore, str, Attributes], CollectionInfo | None]]] = {
    "plate": _plate,
    "well": _well,
    "bioformats2raw.layout": _container,
    "scene": _scene,
    "labels": _labels,
}


# -- RFC-8
def _rfc8(raw: bytes, key: str, up: str) -> CollectionInfo | None:
    """Return the collection in a document of its own or of a group; None when there is none."""
    if not collections.Collections().claims(key, raw):
        return None
    scene = collections.parse_collection(raw)
    known = {n.id: n for n in scene.nodes}
    members: dict[str, Member] = {}
    notes: list[str] = []
    for node in scene.nodes:
        if node.kind not in ("image", "labels", "collection") or (node.kind == "collection" and not node.sources):
            continue
        place = _place(node, up)
        if place is None or place in members:
            why = "is listed again" if place in members else "lies elsewhere, or is described here, and is not followed"
            notes.append(f"{node.name or node.id} {why}: {node.sources[0].uri[:200] if node.sources else 'no path'}")
            continue
        facts = {k: v for k in _FACTS if (v := node.extra.get(f"{collections.Collections.name}:{k}")) is not None}
        if node.parent is not None and node.parent in known:
            facts["collection"] = known[node.parent].name or node.parent
        kind: MemberKind = {"labels": "label", "collection": "collection"}.get(node.kind, "image")  # type: ignore[assignment]
        members[place] = Member(path=place, name=node.name or node.id, kind=kind, facts=facts)
    (record,) = scene.bag.records
    return CollectionInfo(
        format=ome.FORMAT,
        kind="collection",
        members=tuple(members.values()),
        name=scene.name,
        spec_version=f"RFC-8 {record.spec_version}",
        bag=Bag(records=(SourceRecord(format=ome.FORMAT, header=raw),)),
        notes=tuple(notes[:50]) + ((f"and {len(notes) - 50:,} more",) if len(notes) > 50 else ()),
    )


_FACTS: Final = ("plate", "well", "acquisition")


def _place(node: SceneNode, up: str) -> str | None:
    """Return the path of a node's data, seen from the collection; None when it is no relative one."""
    uri = node.sources[0].uri if node.sources else ""
    if not uri or any(mark in uri[:8] if mark == "://" else uri.startswith(mark) for mark in _OUTSIDE):
        return None
    path = uri.rstrip("/").removeprefix("./")
    path = path.removesuffix("/zarr.json")
    return f"{up}{path}" if path and "\\" not in path and "\0" not in path else None
