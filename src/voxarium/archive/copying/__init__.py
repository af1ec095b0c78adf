"""Copying archives between stores, object by object, with a look at what arrives."""

from __future__ import annotations

from voxarium.archive.copying.options import CopyOptions
from voxarium.archive.copying.registering import copy, plan_copy
from voxarium.archive.copying.report import CopyPlan, CopyReport

__all__ = ["CopyOptions", "CopyPlan", "CopyReport", "copy", "plan_copy"]
