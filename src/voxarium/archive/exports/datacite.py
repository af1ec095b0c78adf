"""Metadata for the DOI of a release, as DataCite wants it: built from dataset.json and the release, checked offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from voxarium.archive.exports.adapters import ExportOptions, ExportPlan
from voxarium.archive.exports.copying import Copier
from voxarium.archive.exports.source import ReleaseSource
from voxarium.archive.exports.targets import SINGLE
from voxarium.core.releases import stored_release, stored_tombstone
from voxarium.core.report import bytes_text
from voxarium.errors import Code, InputError
from voxarium.model.fields import dump_json
from voxarium.model.protocols import WritableStore
from voxarium.spec.datacite import DataciteFacts, Funding, Gap, Person, check_record, datacite_record

__all__ = ["DataciteExport"]

_FIXES: Final = {
    "doi": "give it with --identifier 10.…/…, or publish the next release with `voxarium release create … --doi`",
    "name": "`voxarium dataset describe DIR --name TEXT`",
    "authors": "`voxarium dataset describe DIR --author 'Lovelace, Ada <https://orcid.org/…>'`",
    "publisher": "`voxarium dataset describe DIR --publisher TEXT`",
}
_TAKEN: Final = ("description", "license", "authors", "contact", "funding", "identifiers", "publisher")


class DataciteExport:
    """Writes one JSON document."""

    name: ClassVar[str] = "datacite"
    spec_url: ClassVar[str] = "https://datacite-metadata-schema.readthedocs.io/en/4.6/"
    summary: ClassVar[str] = "metadata for a DOI: one JSON file of DataCite's schema 4.6"
    options: ClassVar[frozenset[str]] = frozenset({"url", "identifier"})
    single: ClassVar[bool] = True

    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written.

        Raises
        ------
        InputError
            If something is missing that a record must have; what, and the command that says it.
        """
        facts = _facts(source, options)
        gaps = facts.gaps()
        if gaps:
            raise _incomplete(source, gaps)
        record = datacite_record(facts)
        wrong = check_record(record)
        if wrong:
            raise InputError(
                f"release {source.release.name} gives a record that DataCite refuses: {'; '.join(wrong[:5])}",
                code=Code.ARGUMENT_INVALID,
                fix="correct dataset.json (voxarium dataset describe), then try again",
            )
        notes = [f"dataset.json of the release has no {n}: taken from the present one" for n in _later(source)]
        notes += [f"there is no {n}, which DataCite recommends" for n in _recommended(facts)]
        return ExportPlan(documents=("the record",), notes=tuple(notes), details=dump_json(record))

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Write the document."""
        target.put(SINGLE, plan.details)


def _incomplete(source: ReleaseSource, gaps: tuple[Gap, ...]) -> InputError:
    fixes = dict.fromkeys(_FIXES[gap.fact] for gap in gaps)
    return InputError(
        f"release {source.release.name} cannot be described for DataCite: {'; '.join(gap.text for gap in gaps)}",
        code=Code.METADATA_MISSING,
        fix=f"{'; '.join(fixes)}; what the release itself leaves empty is taken from the present dataset.json",
    )


def _later(source: ReleaseSource) -> list[str]:
    own, completed = source.document, source.completed
    return [n for n in _TAKEN if getattr(completed, n) and not getattr(own, n)]


def _recommended(facts: DataciteFacts) -> list[str]:
    return [n for n in ("description", "license") if not getattr(facts, n)]


def _facts(source: ReleaseSource, options: ExportOptions) -> DataciteFacts:
    document, release = source.completed, source.release
    before = stored_release(source.dataset, release.sequence - 1) if release.sequence > 1 else None
    tombstone = stored_tombstone(source.dataset, release.sequence)
    document_digest = f"sha256:{source.stored.digest}"
    return DataciteFacts(
        doi=_bare(options.identifier or release.doi),
        concept_doi=_bare(release.concept_doi),
        title=document.name,
        description=document.description,
        publisher=document.publisher,
        license=release.license or document.license,
        contact=document.contact,
        authors=tuple(
            Person(name=p.name, identifier=p.identifier, affiliation=p.affiliation) for p in document.authors
        ),
        funding=tuple(_funding(item) for item in document.funding),
        version=release.name,
        published=release.time,
        withdrawn="" if tombstone is None else tombstone.time,
        previous="" if before is None else _bare(before.release.doi),
        identifiers=tuple(_bare(i) for i in document.identifiers),
        digests={
            "digest of the release's document": document_digest,
            "root of the release's manifest": f"sha256:{release.manifest.sha256}",
        },
        sizes=(f"{release.manifest.nbytes} bytes ({bytes_text(release.manifest.nbytes)})", _count(source)),
        formats=tuple(dict.fromkeys(m.format for m in document.members if m.format)),
        url=options.url,
        technical=f"Release {release.name} of {source.label}, document {document_digest}. "
        f"`voxarium release verify` tells whether a copy is what was published.",
    )


def _count(source: ReleaseSource) -> str:
    return f"{source.release.manifest.objects} objects"


def _bare(text: str) -> str:
    """Return a DOI without the address around it; other texts as they are."""
    for start in ("https://doi.org/", "http://doi.org/", "https://dx.doi.org/", "http://dx.doi.org/", "doi:"):
        if text.lower().startswith(start):
            return text[len(start) :]
    return text


def _funding(item: Mapping[str, Any]) -> Funding:
    facts = {
        n: v.strip() for n in ("funder", "identifier", "award", "title", "uri") if isinstance(v := item.get(n), str)
    }
    return Funding(**({"funder": ""} | facts))
