"""What a record must have and may have, and the controlled lists of version 4.6."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Protocol

__all__ = ["SCHEMA_VERSION", "check_record", "is_doi", "is_orcid"]

SCHEMA_VERSION: Final = "http://datacite.org/schema/kernel-4"


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


RESOURCE_TYPES: Final = _words(
    """Audiovisual Award Book BookChapter Collection ComputationalNotebook ConferencePaper ConferenceProceeding
    DataPaper Dataset Dissertation Event Image Instrument InteractiveResource Journal JournalArticle Model
    OutputManagementPlan PeerReview PhysicalObject Preprint Project Report Service Software Sound Standard
    StudyRegistration Text Workflow Other"""
)
IDENTIFIER_TYPES: Final = _words(
    """ARK arXiv bibcode CSTR DOI EAN13 EISSN Handle IGSN ISBN ISSN ISTC LISSN LSID PMID PURL RRID UPC URL URN
    w3id"""
)
RELATIONS: Final = _words(
    """IsCitedBy Cites IsCollectedBy Collects IsSupplementTo IsSupplementedBy IsContinuedBy Continues IsDescribedBy
    Describes HasMetadata IsMetadataFor HasVersion IsVersionOf IsNewVersionOf IsPreviousVersionOf IsPartOf HasPart
    IsPublishedIn IsReferencedBy References IsDocumentedBy Documents IsCompiledBy Compiles IsVariantFormOf
    IsOriginalFormOf IsIdenticalTo IsReviewedBy Reviews IsDerivedFrom IsSourceOf IsRequiredBy Requires IsObsoletedBy
    Obsoletes HasTranslation IsTranslationOf"""
)
CONTRIBUTORS: Final = _words(
    """ContactPerson DataCollector DataCurator DataManager Distributor Editor HostingInstitution Producer
    ProjectLeader ProjectManager ProjectMember RegistrationAgency RegistrationAuthority RelatedPerson Researcher
    ResearchGroup RightsHolder Sponsor Supervisor Translator WorkPackageLeader Other"""
)
DATES: Final = _words(
    "Accepted Available Collected Copyrighted Coverage Created Issued Submitted Updated Valid Withdrawn Other"
)
DESCRIPTIONS: Final = _words("Abstract Methods SeriesInformation TableOfContents TechnicalInfo Other")
TITLES: Final = _words("AlternativeTitle Subtitle TranslatedTitle Other")
NAMES: Final = frozenset(("Organizational", "Personal"))
FUNDER_IDENTIFIERS: Final = frozenset(("Crossref Funder ID", "GRID", "ISNI", "ROR", "Other"))

_DOI: Final = re.compile(r"10\.[0-9]{4,9}/[^\s\x00-\x1f]+")
_YEAR: Final = re.compile(r"[0-9]{4}")
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")
_ORCID: Final = re.compile(r"(?:https?://orcid\.org/)?(\d{4})-(\d{4})-(\d{4})-(\d{3}[\dX])")
_MONTH: Final = re.compile(r"[0-9]{4}(-(0[1-9]|1[0-2]))?")
_MOST: Final = 100
Report = Callable[[str], None]


def is_doi(text: str) -> bool:
    """Tell whether a text is a DOI, without any address around it."""
    return _DOI.fullmatch(text) is not None


def is_orcid(text: str) -> bool:
    """Tell whether a text is an ORCID, or its address, whose check digit is right.

    Examples
    --------
    >>> is_orcid("https://orcid.org/0000-0002-1825-0097"), is_orcid("0000-0002-1825-0098")
    (True, False)
    """
    found = _ORCID.fullmatch(text)
    if found is None:
        return False
    digits = "".join(found.groups())
    total = 0
    for digit in digits[:-1]:
        total = (total + int(digit)) * 2
    check = (12 - total % 11) % 11
    return digits[-1] == ("X" if check == 10 else str(check))


# --------------------------------------------------------------------------------------------------------------- rules
class _Rule(Protocol):
    def check(self, value: object, where: str, report: Report) -> None:
        """Report what is wrong with a value."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text that is not empty, of a certain form."""

    fits: Callable[[str], bool] = bool
    what: str = "a text"

    def check(self, value: object, where: str, report: Report) -> None:
        if not isinstance(value, str) or not value.strip() or not self.fits(value):
            report(f"{where} is {_shown(value)}, expected {self.what}")


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of a controlled list."""

    values: frozenset[str]

    def check(self, value: object, where: str, report: Report) -> None:
        if not isinstance(value, str) or value not in self.values:
            report(f"{where} is {_shown(value)}, which is not in the controlled list")


@dataclass(frozen=True, slots=True)
class _List:
    """Several of a kind, none twice."""

    item: _Rule
    least: int = 0

    def check(self, value: object, where: str, report: Report) -> None:
        if not isinstance(value, list) or len(value) < self.least:
            report(f"{where} is {_shown(value)}, expected a list of at least {self.least}")
            return
        for i, item in enumerate(value):
            self.item.check(item, f"{where}[{i}]", report)
            if item in value[:i][-_MOST:]:
                report(f"{where}[{i}] comes twice")


@dataclass(frozen=True, slots=True)
class _Object:
    """Named values: those that must be there, and others that may."""

    needed: Mapping[str, _Rule] = field(default_factory=dict)
    other: Mapping[str, _Rule] = field(default_factory=dict)

    def check(self, value: object, where: str, report: Report) -> None:
        if not isinstance(value, Mapping):
            report(f"{where or 'the record'} is {_shown(value)}, expected an object")
            return
        prefix = f"{where}." if where else ""
        for key in self.needed:
            if key not in value:
                report(f"{prefix}{key} is missing")
        for key, item in value.items():
            rule = self.needed.get(key) or self.other.get(key)
            if rule is None:
                report(f"{prefix}{str(key)[:60]} is no property of this schema")
            else:
                rule.check(item, f"{prefix}{key}", report)


def _is_date(text: str) -> bool:
    """Tell whether a text is a year, month, day, moment, or two of these with a slash between them."""
    parts = text.split("/")
    return len(parts) <= 2 and all(_is_moment(p) for p in parts)


def _is_moment(text: str) -> bool:
    if _MONTH.fullmatch(text):
        return True
    for parse in (date.fromisoformat, datetime.fromisoformat):
        try:
            parse(text)
        except ValueError:
            continue
        return True
    return False


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


_TEXT: Final = _Text()
_ADDRESS: Final = _Text(lambda t: _URI.fullmatch(t) is not None, "an address")
_IDENTIFIERS: Final = _List(_Object({"nameIdentifier": _TEXT, "nameIdentifierScheme": _TEXT}, {"schemeUri": _ADDRESS}))
_AFFILIATIONS: Final = _List(
    _Object(
        {"name": _TEXT},
        {"affiliationIdentifier": _TEXT, "affiliationIdentifierScheme": _TEXT, "schemeUri": _ADDRESS},
    )
)
_PERSON: Final[dict[str, _Rule]] = {
    "nameType": _Choice(NAMES),
    "givenName": _TEXT,
    "familyName": _TEXT,
    "nameIdentifiers": _IDENTIFIERS,
    "affiliation": _AFFILIATIONS,
    "lang": _TEXT,
}
_RELATED: Final = _Object(
    {
        "relatedIdentifier": _TEXT,
        "relatedIdentifierType": _Choice(IDENTIFIER_TYPES),
        "relationType": _Choice(RELATIONS),
    },
    {
        "resourceTypeGeneral": _Choice(RESOURCE_TYPES),
        "relatedMetadataScheme": _TEXT,
        "schemeUri": _ADDRESS,
        "schemeType": _TEXT,
    },
)
_FUNDING: Final = _Object(
    {"funderName": _TEXT},
    {
        "funderIdentifier": _TEXT,
        "funderIdentifierType": _Choice(FUNDER_IDENTIFIERS),
        "schemeUri": _ADDRESS,
        "awardNumber": _TEXT,
        "awardUri": _ADDRESS,
        "awardTitle": _TEXT,
    },
)
_RIGHTS: Final = _Object(
    {},
    {
        "rights": _TEXT,
        "rightsUri": _ADDRESS,
        "rightsIdentifier": _TEXT,
        "rightsIdentifierScheme": _TEXT,
        "schemeUri": _ADDRESS,
        "lang": _TEXT,
    },
)
_RECORD: Final = _Object(
    {
        "doi": _Text(is_doi, "a DOI such as 10.5072/abc"),
        "creators": _List(_Object({"name": _TEXT}, _PERSON), 1),
        "titles": _List(_Object({"title": _TEXT}, {"titleType": _Choice(TITLES), "lang": _TEXT}), 1),
        "publisher": _Object(
            {"name": _TEXT},
            {"publisherIdentifier": _TEXT, "publisherIdentifierScheme": _TEXT, "schemeUri": _ADDRESS, "lang": _TEXT},
        ),
        "publicationYear": _Text(lambda t: _YEAR.fullmatch(t) is not None, "a year of four digits"),
        "types": _Object({"resourceTypeGeneral": _Choice(RESOURCE_TYPES)}, {"resourceType": _TEXT}),
        "schemaVersion": _Choice(frozenset((SCHEMA_VERSION,))),
    },
    {
        "url": _ADDRESS,
        "subjects": _List(
            _Object(
                {"subject": _TEXT},
                {
                    "subjectScheme": _TEXT,
                    "schemeUri": _ADDRESS,
                    "valueUri": _ADDRESS,
                    "classificationCode": _TEXT,
                    "lang": _TEXT,
                },
            )
        ),
        "contributors": _List(_Object({"name": _TEXT, "contributorType": _Choice(CONTRIBUTORS)}, _PERSON)),
        "dates": _List(
            _Object({"date": _Text(_is_date, "a date"), "dateType": _Choice(DATES)}, {"dateInformation": _TEXT})
        ),
        "language": _TEXT,
        "alternateIdentifiers": _List(_Object({"alternateIdentifier": _TEXT, "alternateIdentifierType": _TEXT})),
        "relatedIdentifiers": _List(_RELATED),
        "sizes": _List(_TEXT),
        "formats": _List(_TEXT),
        "version": _TEXT,
        "rightsList": _List(_RIGHTS),
        "descriptions": _List(
            _Object({"description": _TEXT, "descriptionType": _Choice(DESCRIPTIONS)}, {"lang": _TEXT})
        ),
        "fundingReferences": _List(_FUNDING),
    },
)


def check_record(record: Any) -> tuple[str, ...]:  # Any: JSON as found
    """Return everything that is wrong with a record, up to a bound; nothing if it may be registered.

    Places on earth (``geoLocations``) and related items are not looked at: what has them is told that they are no
    properties known here.
    """
    found: list[str] = []

    def report(text: str) -> None:
        if len(found) < _MOST:
            found.append(text)

    _RECORD.check(record, "", report)
    if isinstance(record, Mapping):
        for text in (*_orcid_faults(record), *_relation_faults(record)):
            report(text)
    return tuple(found)


def _orcid_faults(record: Mapping[str, Any]) -> Iterator[str]:
    for kind in ("creators", "contributors"):
        for i, person in enumerate(_listed(record.get(kind))):
            for identifier in _listed(person.get("nameIdentifiers")):
                text = identifier.get("nameIdentifier")
                if identifier.get("nameIdentifierScheme") == "ORCID" and not (isinstance(text, str) and is_orcid(text)):
                    yield f"{kind}[{i}] has the ORCID {_shown(text)}, whose check digit is wrong"


def _relation_faults(record: Mapping[str, Any]) -> Iterator[str]:
    """Yield relations with properties that only relations to metadata have."""
    for i, related in enumerate(_listed(record.get("relatedIdentifiers"))):
        extra = {"relatedMetadataScheme", "schemeUri", "schemeType"} & set(related)
        if extra and related.get("relationType") not in ("HasMetadata", "IsMetadataFor"):
            yield f"relatedIdentifiers[{i}] has {' and '.join(sorted(extra))}, which this relation does not have"
        text = related.get("relatedIdentifier")
        if related.get("relatedIdentifierType") == "DOI" and not (isinstance(text, str) and is_doi(text)):
            yield f"relatedIdentifiers[{i}] is {_shown(text)}, expected a DOI"


def _listed(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, Mapping))
