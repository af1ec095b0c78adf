"""``dataset.json``: what belongs to one specimen, how it is linked and aligned, and who may use it.

Specification: docs/reference/dataset-json.md.
"""

from voxarium.spec.dataset_document.dumping import dump_dataset, member_json
from voxarium.spec.dataset_document.parsing import is_dataset, parse_dataset
from voxarium.spec.dataset_document.parts import (
    FILE_NAME,
    MARKER,
    MEMBER_KINDS,
    MOST_BYTES,
    OWN_FOLDERS,
    SPEC_VERSION,
    Alignment,
    DatasetDocument,
    DatasetMember,
    DatasetView,
    Link,
    MemberKind,
    Person,
)

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
    "dump_dataset",
    "is_dataset",
    "member_json",
    "parse_dataset",
]
