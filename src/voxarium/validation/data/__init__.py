"""Every voxel of an image: that it can be read, and that the levels follow from each other."""

from __future__ import annotations

from voxarium.validation.data.relations import check_alignment, level_shifts
from voxarium.validation.data.rules import RULES
from voxarium.validation.data.running import DataResult, check_data

__all__ = ["RULES", "DataResult", "check_alignment", "check_data", "level_shifts"]
