"""RO-Crate 1.2 metadata: the dataset, its parts, people and money, and what was done as actions. Written only.

Actions follow the Process Run Crate: inputs and parameters are ``object``, outputs ``result``, programs ``instrument``.
https://www.researchobject.org/ro-crate/specification/1.2/ and https://w3id.org/ro/wfrun/process/0.5
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from voxarium.model.canonical_json import dump_canonical
from voxarium.model.provenance import Agent, Artifact, RecordedActivity

__all__ = ["FILE_NAME", "CrateFacts", "CratePart", "CratePerson", "PartKind", "dump_ro_crate"]

FILE_NAME: Final = "ro-crate-metadata.json"

_CONTEXT: Final = "https://w3id.org/ro/crate/1.2/context"
_SPECIFICATION: Final = "https://w3id.org/ro/crate/1.2"
_PROFILE: Final = "https://w3id.org/ro/wfrun/process/0.5"
_OUTSIDE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_WEB: Final = re.compile(r"https?://")
_DOI: Final = re.compile(r"10\.[0-9]{4,9}/\S+")
_EMAIL: Final = re.compile(r"[^\s<>@]+@[^\s<>@]+\.[^\s<>@]+")
_AGENT_TYPES: Final = {"person": "Person", "organization": "Organization", "software": "SoftwareApplication"}
_ACTIONS: Final = {"fix": "UpdateAction", "edit": "UpdateAction", "upgrade": "UpdateAction", "delete": "DeleteAction"}
_PAGES: Final = {
    "voxarium": "https://voxarium.readthedocs.io", "python": "https://www.python.org", "numpy": "https://numpy.org",
    "zarr": "https://zarr.dev", "numcodecs": "https://numcodecs.readthedocs.io", "numba": "https://numba.pydata.org",
    "pyarrow": "https://arrow.apache.org", "h5py": "https://www.h5py.org", "tifffile": "https://www.cgohlke.com",
    "tensorstore": "https://google.github.io/tensorstore", "dask": "https://www.dask.org",
}  # fmt: skip
"""Pages of programs, which a crate should name; of others none is made up."""
Json: TypeAlias = dict[str, Any]  # Any: JSON
PartKind: TypeAlias = Literal["file", "folder", ""]
"""What lies at a key of the dataset: one object, a folder of them, or nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CratePerson:
    """Somebody; `identifier` is an address such as an ORCID's (a person) or a ROR's (an organization)."""

    name: str
    identifier: str = ""
    affiliation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CratePart:
    """A file or folder of the dataset.

    Parameters
    ----------
    key : str
        Where it lies.
    kind : str
        ``file`` or ``folder``.
    format : str
        Media type or name of a format.
    size, sha256 : int or None, str
        Of a file.
    keywords : tuple of str
        What it is, in words.
    based_on : tuple of str
        Keys of parts that it belongs to.
    thumbnail : str
        Key of a picture, which is a part too.
    """

    key: str
    kind: PartKind
    name: str = ""
    description: str = ""
    format: str = ""
    size: int | None = None
    sha256: str = ""
    keywords: tuple[str, ...] = ()
    based_on: tuple[str, ...] = ()
    thumbnail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrateFacts:
    """What a crate says of the whole dataset; it must have a name, a description and a licence.

    Parameters
    ----------
    license : str
        An address, or an SPDX identifier.
    published : str
        When; empty: when the last operation ended.
    identifiers : tuple of str
        DOIs and whatever else.
    properties : mapping of str to str
        Other identifiers of the state, by what they are.
    funding : tuple of mappings
        With ``funder``, ``award`` and ``title``, as far as known.
    parts : tuple of CratePart
        Files and folders.
    """

    name: str
    description: str
    license: str = ""
    version: str = ""
    published: str = ""
    identifiers: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    authors: tuple[CratePerson, ...] = ()
    contact: str = ""
    publisher: str = ""
    funding: tuple[Mapping[str, Any], ...] = ()  # Any: JSON as found
    parts: tuple[CratePart, ...] = ()


def dump_ro_crate(
    activities: Iterable[RecordedActivity],
    facts: CrateFacts,
    kind_of: Callable[[str], PartKind],
    address: Callable[[str, PartKind], str] | None = None,
) -> Json:
    """Return the metadata document of a crate.

    Parameters
    ----------
    activities : iterable of RecordedActivity
        What the log says.
    facts : CrateFacts
        What the dataset is.
    kind_of : callable
        Tells what lies at a key of the dataset.
    address : callable or None
        Returns where on the web a part is, by its key; None: parts lie beside the document.
    """
    crate = _Crate(kind_of, address)
    actions = [{"@id": crate.add(recorded)} for recorded in activities]
    for part in facts.parts:
        crate.add_part(part)
    crate.nest(facts.parts)
    root: Json = {
        "@id": "./",
        "@type": "Dataset",
        "name": facts.name,
        "description": facts.description,
        "conformsTo": {"@id": _PROFILE},
    }
    root |= crate.people(facts)
    root |= {"hasPart": [{"@id": name} for name in sorted(crate.parts)], "mentions": actions}
    published = facts.published or crate.last_time
    if published:
        root["datePublished"] = published
    if facts.version:
        root["version"] = facts.version
    if facts.license:
        root["license"] = crate.license(facts.license)
    identifiers = crate.identifiers(facts)
    if identifiers:
        root["identifier"] = identifiers
    crate.entities[_PROFILE] = {"@type": ["CreativeWork", "Profile"], "name": "Process Run Crate", "version": "0.5"}
    descriptor = {
        "@id": FILE_NAME,
        "@type": "CreativeWork",
        "about": {"@id": "./"},
        "conformsTo": {"@id": _SPECIFICATION},
    }
    others = [{"@id": name, **entity} for name, entity in crate.entities.items()]
    return {"@context": _CONTEXT, "@graph": [descriptor, *map(_compact, (root, *others))]}


def _compact(entity: Json) -> Json:
    """Return an entity with single values instead of lists of one, as the specification recommends."""
    return {k: v[0] if isinstance(v, list) and len(v) == 1 else v for k, v in entity.items()}


class _Crate:
    """Collects entities by their id."""

    def __init__(self, kind_of: Callable[[str], PartKind], address: Callable[[str, PartKind], str] | None) -> None:
        self._kind_of = kind_of
        self._address = address
        self.entities: dict[str, Json] = {}
        self.parts: set[str] = set()
        self.last_time = ""

    def add(self, recorded: RecordedActivity) -> str:
        """Add an action and return its id."""
        activity = recorded.activity
        self.last_time = recorded.time
        name = f"#entry-{recorded.sequence}"
        parameters = [self._parameter(name, key, value) for key, value in activity.parameters.items()]
        action: Json = {
            "@type": _ACTIONS.get(activity.operation, "CreateAction"),
            "name": activity.operation,
            "endTime": recorded.time,
            "object": [self._artifact(a) for a in activity.inputs] + parameters,
            "result": [self._artifact(a) for a in activity.outputs],
            "instrument": [self._program(*item) for item in activity.software.items()],
        }
        if activity.agent is not None:
            action["agent"] = self._agent(activity.agent)
        if activity.note:
            action["description"] = activity.note
        self.entities[name] = {key: value for key, value in action.items() if value}
        return name

    def _artifact(self, artifact: Artifact) -> dict[str, str]:
        outside = _OUTSIDE.match(artifact.address) is not None
        where: PartKind = "" if outside else self._kind_of(artifact.address)
        if where:
            name = self._name(artifact.address, where)
            kind = "File" if where == "file" else "Dataset"
            self.parts.add(name)
        else:  # elsewhere, or gone since
            kind = "CreativeWork"
            name = artifact.address if outside else f"#artifact-{quote(artifact.address, safe='')}"
        entity: Json = {"@type": kind, "name": artifact.address}
        if artifact.digest:
            entity["identifier"] = artifact.digest
        if artifact.size is not None and kind == "File":
            entity["contentSize"] = str(artifact.size)
        self.entities[name] = self.entities.get(name, {}) | entity
        return {"@id": name}

    def _name(self, key: str, kind: PartKind) -> str:
        """Return the id of a part."""
        if self._address is not None:
            return self._address(key.rstrip("/"), kind)
        return quote(key) if kind == "file" else f"{quote(key.rstrip('/'))}/"

    # ----------------------------------------------------------------------------------------------------------- facts
    def add_part(self, part: CratePart) -> None:
        """Add a file or folder."""
        name = self._name(part.key, part.kind)
        self.parts.add(name)
        picture = part.kind == "file" and part.format.startswith("image/")
        entity: Json = {
            "@type": ["File", "ImageObject"] if picture else "File" if part.kind == "file" else "Dataset",
            "name": part.name or part.key,
            "description": part.description,
            "encodingFormat": part.format,
            "contentSize": str(part.size) if part.size is not None and part.kind == "file" else "",
            "sha256": part.sha256,
            "keywords": list(part.keywords),
            "isBasedOn": [{"@id": self._name(key, self._kind_of(key))} for key in part.based_on],
            "thumbnail": {"@id": self._name(part.thumbnail, "file")} if part.thumbnail else "",
        }
        known = self.entities.get(name, {})
        self.entities[name] = known | {key: value for key, value in entity.items() if value}

    def nest(self, parts: Sequence[CratePart]) -> None:
        """Say which parts lie in which folders."""
        folders = {p.key: p for p in parts if p.kind == "folder"}
        inside: dict[str, list[str]] = {}
        for part in parts:
            above = part.key.rpartition("/")[0]
            while above and above not in folders:
                above = above.rpartition("/")[0]
            if above:
                inside.setdefault(above, []).append(self._name(part.key, part.kind))
        for key, names in inside.items():
            self.entities[self._name(key, "folder")]["hasPart"] = [{"@id": n} for n in sorted(names)]

    def people(self, facts: CrateFacts) -> Json:
        """Return who made, paid for and publishes the dataset, as properties of it."""
        found: Json = {}
        authors = [self._person(p) for p in facts.authors]
        if authors:
            found["author"] = authors
        publisher = self._organization(facts.publisher) if facts.publisher else None
        if publisher is not None:
            found["publisher"] = publisher
        if facts.contact:
            self._contact(facts.contact, publisher or (authors[0] if authors else None))
        funders, grants = [], []
        for i, item in enumerate(facts.funding):
            funder, grant = self._funding(i, item)
            funders += [funder] if funder is not None and funder not in funders else []
            grants += [grant] if grant is not None else []
        return found | ({"funder": funders} if funders else {}) | ({"funding": grants} if grants else {})

    def _person(self, person: CratePerson) -> dict[str, str]:
        web = _OUTSIDE.match(person.identifier) is not None
        organization = "//ror.org/" in person.identifier
        name = person.identifier if web else f"#person-{quote(person.name, safe='')}"
        entity: Json = {"@type": "Organization" if organization else "Person", "name": person.name}
        if web:
            entity["url"] = person.identifier
        if person.affiliation:
            entity["affiliation"] = self._organization(person.affiliation)
        if person.identifier and not web:
            entity["identifier"] = person.identifier
        self.entities[name] = self.entities.get(name, {}) | entity
        return {"@id": name}

    def _organization(self, text: str) -> dict[str, str]:
        name = f"#organization-{quote(text, safe='')}"
        self.entities.setdefault(name, {"@type": "Organization", "name": text})
        return {"@id": name}

    def _contact(self, text: str, whose: dict[str, str] | None) -> None:
        email = _EMAIL.search(text)
        entity: Json = {"@type": "ContactPoint", "name": text, "contactType": "who can be asked about the data"}
        if email:
            entity["email"] = email[0]
        self.entities["#contact"] = entity
        if whose is not None:
            self.entities[whose["@id"]]["contactPoint"] = {"@id": "#contact"}

    def _funding(self, number: int, item: Mapping[str, Any]) -> tuple[dict[str, str] | None, dict[str, str] | None]:
        funder, award, title = (_plain(item.get(n)) for n in ("funder", "award", "title"))
        payer = self._organization(funder) if funder else None
        if not award and not title:
            return payer, None
        name = f"#grant-{number + 1}"
        grant: Json = {"@type": "Grant", "name": title or award, "identifier": award, "funder": payer}
        self.entities[name] = {key: value for key, value in grant.items() if value}
        return payer, {"@id": name}

    def license(self, text: str) -> Any:
        """Return a licence as a property."""
        web = _OUTSIDE.match(text) is not None
        if not web and _SPDX.fullmatch(text) is None:
            return text
        name = text if web else f"https://spdx.org/licenses/{text}"
        more = {} if web else {"identifier": text, "description": f"{text} in SPDX's list of licences"}
        self.entities[name] = {"@type": "CreativeWork", "name": text} | more
        return {"@id": name}

    def identifiers(self, facts: CrateFacts) -> list[Any]:
        """Return identifiers as a property: values that say what they are."""
        found: list[Any] = []
        for text in facts.identifiers:
            doi = _DOI.fullmatch(text) is not None
            name = (
                f"https://doi.org/{text}"
                if doi
                else text
                if _WEB.match(text)
                else f"#identifier-{quote(text, safe='')}"
            )
            entity: Json = {"@type": "PropertyValue", "name": text, "value": f"doi:{text}" if doi else text}
            if doi:
                entity |= {"propertyID": "https://registry.identifiers.org/registry/doi", "url": name}
            self.entities[name] = entity
            found.append({"@id": name})
        for what, value in facts.properties.items():
            name = f"#{quote(what, safe='')}"
            self.entities[name] = {"@type": "PropertyValue", "name": what, "propertyID": what, "value": value}
            found.append({"@id": name})
        return found

    # --------------------------------------------------------------------------------------------------------- actions
    def _parameter(self, action: str, key: str, value: Any) -> dict[str, str]:  # Any: JSON
        name = f"{action}/{quote(key, safe='')}"
        text = value if isinstance(value, str) else dump_canonical(value).decode()
        self.entities[name] = {"@type": "PropertyValue", "name": key, "value": text}
        return {"@id": name}

    def _program(self, program: str, version: str) -> dict[str, str]:
        name = f"#program-{quote(program, safe='')}-{quote(version, safe='')}"
        entity: Json = {"@type": "SoftwareApplication", "name": program, "softwareVersion": version}
        page = _PAGES.get(program.lower())
        self.entities[name] = entity | {"version": version} | ({"url": page} if page else {})
        return {"@id": name}

    def _agent(self, agent: Agent) -> dict[str, str]:
        web = _OUTSIDE.match(agent.identifier) is not None
        name = agent.identifier if web else f"#agent-{quote(agent.name, safe='')}"
        entity: Json = {"@type": _AGENT_TYPES[agent.kind], "name": agent.name}
        self.entities[name] = self.entities.get(name, {}) | entity
        return {"@id": name}


def _plain(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
