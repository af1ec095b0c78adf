"""What ``dataset.json`` says, as plain data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, TypeAlias, get_args

from voxarium.errors import Code, InputError, NotFoundError
from voxarium.model.axes import CoordinateSystem

__all__ = [
    "FILE_NAME",
    "MARKER",
    "MEMBER_KINDS",
    "MOST_BYTES",
    "OWN_FOLDERS",
    "SPEC_VERSION",
    "Alignment",
    "DatasetDocument",
    "DatasetMember",
    "DatasetView",
    "Link",
    "MemberKind",
    "Person",
]

FILE_NAME: Final = "dataset.json"
OWN_FOLDERS: Final = ("provenance-log", "releases", "thumbnails")
"""Folders of a dataset that hold no members."""
MARKER: Final = "voxarium_dataset"
"""Key whose value is the version of the specification; others' ``dataset.json`` lack it."""
SPEC_VERSION: Final = "1.0"
MOST_BYTES: Final = 64 << 20

MemberKind: TypeAlias = Literal["image", "label", "collection", "mesh", "skeleton", "annotation", "table", "graph"]
MEMBER_KINDS: Final[tuple[str, ...]] = get_args(MemberKind)
Json: TypeAlias = Mapping[str, Any]  # Any: JSON as found, carried along


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who made the dataset; `identifier` is such as an ORCID's address."""

    name: str
    identifier: str = ""
    affiliation: str = ""
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """How a member belongs to another one.

    Parameters
    ----------
    member : str
        Name of the other one.
    relation : str
        What that is to it: ``label`` (a mesh was made from these labels), ``image`` (they were drawn on it) …
    release : str
        Which release of the dataset had it in the state that counts; empty: the present state.
    digest : str
        Of that state, such as its logical digest.
    """

    member: str
    relation: str
    release: str = ""
    digest: str = ""
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetMember:
    """One thing in the dataset.

    Parameters
    ----------
    name : str
        Names it in the dataset; parts may be joined by slashes.
    path : str
        Where it lies, seen from the dataset.
    kind : str
        One of `MEMBER_KINDS`.
    role : str
        intensity, label or prediction, for images.
    format : str
        Of its files, such as ``ome-zarr``.
    links : tuple of Link
        To what it belongs.
    system : str
        Coordinate system of the dataset in which its world coordinates are; empty: the first.
    rendering : mapping
        How viewers should show it.
    thumbnail : str
        Path of a picture.
    """

    name: str
    path: str
    kind: MemberKind
    role: str = ""
    format: str = ""
    description: str = ""
    links: tuple[Link, ...] = ()
    system: str = ""
    rendering: Json = field(default_factory=dict)
    thumbnail: str = ""
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alignment:
    """How coordinates of a system, or of a member, are found in another system.

    `transform` is JSON in the words of OME-Zarr: ``{"type": "affine", …}``; it maps `source` to `target`.
    """

    source: str
    target: str
    transform: Json
    name: str = ""
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetView:
    """A place worth looking at, and the members to show there; position, zoom and whatever else are in `extra`."""

    name: str
    members: tuple[str, ...] = ()
    extra: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetDocument:
    """All of ``dataset.json``.

    Parameters
    ----------
    license : str
        SPDX identifier, such as ``CC-BY-4.0``.
    contact : str
        Name or address of who can be asked.
    publisher : str
        Who makes it available: an archive, an institute.
    funding, specimen : tuple of mappings, mapping
        For people; not looked into.
    identifiers : tuple of str
        DOIs, accession numbers.
    layout : str
        Rules about names and places.
    thumbnail : str
        Path of a picture of the whole.
    extra : mapping
        Whatever else the document says.
    """

    name: str
    spec_version: str = SPEC_VERSION
    description: str = ""
    license: str = ""
    authors: tuple[Person, ...] = ()
    contact: str = ""
    publisher: str = ""
    funding: tuple[Json, ...] = ()
    identifiers: tuple[str, ...] = ()
    specimen: Json = field(default_factory=dict)
    layout: str = "default"
    thumbnail: str = ""
    members: tuple[DatasetMember, ...] = ()
    systems: tuple[CoordinateSystem, ...] = ()
    alignments: tuple[Alignment, ...] = ()
    views: tuple[DatasetView, ...] = ()
    extra: Json = field(default_factory=dict)

    def __getitem__(self, name: str) -> DatasetMember:
        """Return a member by name or path.

        Raises
        ------
        NotFoundError
            If there is none.
        """
        found = self.find(name)
        if found is not None:
            return found
        shown = ", ".join(m.name for m in self.members[:10])
        raise NotFoundError(
            f"{self.name} has no member {name!r}",
            code=Code.PATH_MISSING,
            fix=f"choose one of {shown}" if shown else "add it first: voxarium dataset add",
        )

    def find(self, name: str) -> DatasetMember | None:
        """Return a member by name or path; None if there is none."""
        named = next((m for m in self.members if m.name == name), None)
        return named or next((m for m in self.members if m.path == name), None)

    def with_member(self, member: DatasetMember) -> DatasetDocument:
        """Return the document with a member added, or replaced where its name is there."""
        for other in self.members:
            if other.name != member.name and other.path == member.path:
                raise InputError(
                    f"{member.path} is the member {other.name} already",
                    code=Code.ARGUMENT_INVALID,
                    fix=f"rename it: voxarium dataset rename DIR {other.name} {member.name}",
                )
        known = any(m.name == member.name for m in self.members)
        members = tuple(member if m.name == member.name else m for m in self.members)
        return replace(self, members=members if known else (*members, member))

    def without_member(self, name: str) -> DatasetDocument:
        """Return the document without a member, and without what names it."""
        kept = tuple(
            replace(m, links=tuple(k for k in m.links if k.member != name)) for m in self.members if m.name != name
        )
        views = tuple(replace(v, members=tuple(n for n in v.members if n != name)) for v in self.views)
        alignments = tuple(a for a in self.alignments if name not in (a.source, a.target))
        return replace(self, members=kept, views=views, alignments=alignments)

    def renamed(self, names: Mapping[str, str], paths: Mapping[str, str]) -> DatasetDocument:
        """Return the document with new names and paths, wherever the old ones stand."""

        def name(old: str) -> str:
            return names.get(old, old)

        members = tuple(
            replace(
                m,
                name=name(m.name),
                path=paths.get(m.path, m.path),
                thumbnail=paths.get(m.thumbnail, m.thumbnail),
                links=tuple(replace(k, member=name(k.member)) for k in m.links),
            )
            for m in self.members
        )
        views = tuple(replace(v, members=tuple(map(name, v.members))) for v in self.views)
        alignments = tuple(replace(a, source=name(a.source), target=name(a.target)) for a in self.alignments)
        return replace(self, members=members, views=views, alignments=alignments)

    def iter_dangling(self) -> Iterator[str]:
        """Yield what names members or systems that are not there, in words."""
        names, systems = {m.name for m in self.members}, {s.name for s in self.systems}
        for member in self.members:
            lost = [k.member for k in member.links if k.member not in names]
            yield from (f"{member.name} is linked to {name}, which is no member" for name in lost)
            if member.system and member.system not in systems:
                yield f"{member.name} lies in the system {member.system}, which is not described"
        shown = ((v.name, name) for v in self.views for name in v.members)
        yield from (f"the view {view} shows {name}, which is no member" for view, name in shown if name not in names)
        ends = (name for a in self.alignments for name in (a.source, a.target))
        yield from (
            f"an alignment names {name}, which is neither a system nor a member"
            for name in ends
            if name not in systems | names
        )
