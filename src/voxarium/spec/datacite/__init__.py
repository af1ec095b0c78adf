"""Metadata of DataCite, version 4.6, as JSON: what a DOI says about a release. Written, and checked without network.

https://datacite-metadata-schema.readthedocs.io/en/4.6/. The JSON is that of DataCite's REST interface (``attributes``
of a DOI) and of the Python package ``datacite``.
"""

from voxarium.spec.datacite.record import DataciteFacts, Funding, Gap, Person, datacite_record
from voxarium.spec.datacite.rules import check_record, is_doi, is_orcid

__all__ = [
    "DataciteFacts",
    "Funding",
    "Gap",
    "Person",
    "check_record",
    "datacite_record",
    "is_doi",
    "is_orcid",
]
