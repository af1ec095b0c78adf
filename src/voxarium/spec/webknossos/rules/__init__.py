"""The rules of ``datasource-properties.json``, and checks of documents and arrays against them.

Checks know nothing of stores: what has to be looked up is left to the caller, who reports it with the same rules.
"""

from __future__ import annotations

from voxarium.model.checking import Place, Sheet
from voxarium.model.json_documents import read_object
from voxarium.spec.webknossos.rules.arrays import StoredArray, check_array
from voxarium.spec.webknossos.rules.dataset import check_dataset, check_layer
from voxarium.spec.webknossos.rules.extras import attachments_of
from voxarium.spec.webknossos.rules.mags import check_path, factors_of
from voxarium.spec.webknossos.rules.tables import RULES

__all__ = [
    "RULES",
    "StoredArray",
    "attachments_of",
    "check_array",
    "check_dataset",
    "check_layer",
    "check_path",
    "factors_of",
    "read_document",
]


def read_document(raw: bytes, key: str) -> tuple[Sheet, Place | None]:
    """Return a sheet for findings about a document, and its object; None when it holds none."""
    sheet = Sheet("", RULES, key)
    return sheet, read_object(raw, sheet, "WK-001", "WK-002")
