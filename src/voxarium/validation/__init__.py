"""Validation: everything that is wrong with what is stored, by rule, with the mend."""

from voxarium.validation.report import Report
from voxarium.validation.running import validate

__all__ = ["Report", "validate"]
