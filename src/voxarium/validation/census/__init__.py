"""Every stored object of an image, counted by its key and size: nothing is read."""

from __future__ import annotations

from voxarium.validation.census.rules import RULES
from voxarium.validation.census.running import CensusResult, CheckedArray, checked_levels, take_census

__all__ = ["RULES", "CensusResult", "CheckedArray", "checked_levels", "take_census"]
