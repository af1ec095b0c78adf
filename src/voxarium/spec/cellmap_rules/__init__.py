"""Rules of CellMap: the layout of published datasets, and annotations of crops (``cellmap.annotation``).

Rules CM-001 to CM-011 are L1 to L11 of our table of the conventions, CM-101 to CM-106 are A1 to A6. There is no formal
specification; sources are OpenOrganelle's overview of its bucket, and the models of cellmap-schemas.
"""

from __future__ import annotations

from voxarium.spec.cellmap_rules.annotations import (
    annotation_kind,
    annotation_of,
    check_annotation,
    check_class_arrays,
    check_counts,
    check_members,
    counted,
)
from voxarium.spec.cellmap_rules.layout import (
    CROP,
    LEVEL,
    Stored,
    check_container,
    check_dataset,
    check_em,
    check_label,
    check_levels,
    check_meshes,
    check_spaces,
    check_twins,
    is_dataset_name,
    placed,
    stem,
)
from voxarium.spec.cellmap_rules.tables import RULES

__all__ = [
    "CROP", "LEVEL", "RULES", "Stored", "annotation_kind", "annotation_of", "check_annotation", "check_class_arrays",
    "check_container", "check_counts", "check_dataset", "check_em", "check_label", "check_levels", "check_members",
    "check_meshes", "check_spaces", "check_twins", "counted", "is_dataset_name", "placed", "stem",
]  # fmt: skip
