"""The sets of rules of OME-Zarr, and how its tables are read."""

from __future__ import annotations

from functools import partial
from typing import Final

from voxarium.model.rules import rules as _rules

__all__ = ["VERSIONS", "rules"]

VERSIONS: Final = ("0.4", "0.5", "0.6", "0.9")  # the sets of rules; 0.9 are the drafts on the way to 1.0

rules: Final = partial(_rules, family="OZ", versions=VERSIONS)
