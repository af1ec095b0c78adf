"""Records from what a dataset and a release say of themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from voxarium.spec.datacite.rules import SCHEMA_VERSION, is_doi, is_orcid

__all__ = ["DataciteFacts", "Funding", "Gap", "Person", "datacite_record"]

_SPDX: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]*")
_WEB: Final = re.compile(r"https?://\S+")
_MAIL: Final = re.compile(r"\s*<[^<>]*>\s*$")
_FUNDERS: Final = (("//ror.org/", "ROR"), ("//doi.org/10.13039/", "Crossref Funder ID"), ("//isni.org/", "ISNI"))
Json = dict[str, Any]  # Any: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who made the dataset; `identifier` is such as an ORCID's or ROR's address."""

    name: str
    identifier: str = ""
    affiliation: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Funding:
    """Who paid, and what for."""

    funder: str
    identifier: str = ""
    award: str = ""
    title: str = ""
    uri: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataciteFacts:
    """What a record is made of.

    Parameters
    ----------
    doi, concept_doi : str
        Of the release, and of all releases together.
    title, description, publisher, license, contact : str
        As the dataset states them.
    authors, funding : tuples
        The same.
    version, published : str
        Of the release: its name; UTC, such as ``2026-11-26T06:30:00.000Z``.
    withdrawn : str
        When it was withdrawn; empty if it was not.
    previous : str
        DOI of the release before; empty if it has none.
    identifiers : tuple of str
        Whatever else the dataset is known by.
    digests : mapping of str to str
        Digests of the state, by what they are.
    sizes, formats : tuple of str
        For people.
    url : str
        Page that the DOI leads to.
    technical : str
        How what is there can be checked.
    """

    doi: str
    concept_doi: str = ""
    title: str
    description: str = ""
    publisher: str
    license: str = ""
    contact: str = ""
    authors: tuple[Person, ...]
    funding: tuple[Funding, ...] = ()
    version: str
    published: str
    withdrawn: str = ""
    previous: str = ""
    identifiers: tuple[str, ...] = ()
    digests: Mapping[str, str]
    sizes: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    url: str = ""
    technical: str = ""

    def gaps(self) -> tuple[Gap, ...]:
        """Return what is missing, or wrong, that a record must have."""
        found = []
        if not is_doi(self.doi):
            found.append(Gap("doi", f"the DOI {self.doi!r} is none" if self.doi else "no DOI"))
        if not self.title.strip():
            found.append(Gap("name", "no name"))
        if not self.authors:
            found.append(Gap("authors", "no author"))
        if not self.publisher.strip():
            found.append(Gap("publisher", "no publisher"))
        found += [
            Gap("authors", f"{p.name}'s ORCID {p.identifier} is mistyped: its check digit is wrong")
            for p in self.authors
            if "orcid.org/" in p.identifier and not is_orcid(p.identifier)
        ]
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Gap:
    """Something that a record needs and nobody said: which fact of the dataset, and in words."""

    fact: str
    text: str


def datacite_record(facts: DataciteFacts) -> Json:
    """Return the record of a release. Facts with gaps give a record that `check_record` refuses."""
    record: Json = {
        "doi": facts.doi,
        "url": facts.url,
        "types": {"resourceTypeGeneral": "Dataset", "resourceType": "Volumetric images"},
        "creators": [_person(p) for p in facts.authors],
        "titles": [{"title": facts.title}],
        "publisher": {"name": facts.publisher},
        "publicationYear": facts.published[:4],
        "contributors": [{"name": _MAIL.sub("", facts.contact) or facts.contact, "contributorType": "ContactPerson"}]
        if facts.contact
        else [],
        "dates": _dates(facts),
        "alternateIdentifiers": _alternates(facts),
        "relatedIdentifiers": _related(facts),
        "sizes": list(facts.sizes),
        "formats": list(facts.formats),
        "version": facts.version,
        "rightsList": _rights(facts.license),
        "descriptions": _descriptions(facts),
        "fundingReferences": _unique([_funding(f) for f in facts.funding if f.funder]),
        "schemaVersion": SCHEMA_VERSION,
    }
    return {key: value for key, value in record.items() if value}


def _person(person: Person) -> Json:
    found: Json = {"name": person.name}
    family, comma, given = person.name.partition(", ")
    if "orcid.org/" in person.identifier:
        found["nameType"] = "Personal"
        if comma and family and given:
            found |= {"givenName": given, "familyName": family}
        found["nameIdentifiers"] = [_identifier(person.identifier, "ORCID", "https://orcid.org")]
    elif "//ror.org/" in person.identifier:
        found["nameType"] = "Organizational"
        found["nameIdentifiers"] = [_identifier(person.identifier, "ROR", "https://ror.org")]
    if person.affiliation:
        found["affiliation"] = [{"name": person.affiliation}]
    return found


def _identifier(text: str, scheme: str, uri: str) -> Json:
    return {"nameIdentifier": text, "nameIdentifierScheme": scheme, "schemeUri": uri}


def _dates(facts: DataciteFacts) -> list[Json]:
    dates = [{"date": facts.published, "dateType": "Issued"}]
    return dates + ([{"date": facts.withdrawn, "dateType": "Withdrawn"}] if facts.withdrawn else [])


def _alternates(facts: DataciteFacts) -> list[Json]:
    own = {facts.doi.lower(), facts.concept_doi.lower()}
    found = [
        {"alternateIdentifier": text, "alternateIdentifierType": kind}
        for text in facts.identifiers
        if text and text.lower() not in own
        for kind in ["DOI" if is_doi(text) else "URL" if _WEB.fullmatch(text) else "accession number"]
    ]
    digests = [{"alternateIdentifier": v, "alternateIdentifierType": k} for k, v in facts.digests.items()]
    return _unique(found + digests)


def _related(facts: DataciteFacts) -> list[Json]:
    pairs = (("IsVersionOf", facts.concept_doi), ("IsNewVersionOf", facts.previous))
    return [
        {"relatedIdentifier": doi, "relatedIdentifierType": "DOI", "relationType": relation}
        for relation, doi in pairs
        if doi and is_doi(doi)
    ]


def _rights(license: str) -> list[Json]:
    if not license:
        return []
    if _WEB.fullmatch(license):
        return [{"rights": license, "rightsUri": license}]
    if not _SPDX.fullmatch(license):
        return [{"rights": license}]
    return [
        {
            "rights": license,
            "rightsUri": f"https://spdx.org/licenses/{license}",
            "rightsIdentifier": license,
            "rightsIdentifierScheme": "SPDX",
            "schemeUri": "https://spdx.org/licenses/",
        }
    ]


def _descriptions(facts: DataciteFacts) -> list[Json]:
    pairs = (("Abstract", facts.description), ("TechnicalInfo", facts.technical))
    return [{"description": text, "descriptionType": kind} for kind, text in pairs if text.strip()]


def _funding(funding: Funding) -> Json:
    kind = next((k for part, k in _FUNDERS if part in funding.identifier), "Other" if funding.identifier else "")
    found = {
        "funderName": funding.funder,
        "funderIdentifier": funding.identifier,
        "funderIdentifierType": kind,
        "awardNumber": funding.award,
        "awardTitle": funding.title,
        "awardUri": funding.uri if _WEB.fullmatch(funding.uri) else "",
    }
    return {key: value for key, value in found.items() if value}


def _unique(items: list[Json]) -> list[Json]:
    found: list[Json] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found
