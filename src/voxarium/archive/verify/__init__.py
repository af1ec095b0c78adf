"""Audits: whether what is stored is what a manifest says."""

from __future__ import annotations

from voxarium.archive.verify.options import LEVELS, VerifyOptions, parse_sample
from voxarium.archive.verify.report import Problem, VerifyReport
from voxarium.archive.verify.running import verify

__all__ = ["LEVELS", "Problem", "VerifyOptions", "VerifyReport", "parse_sample", "verify"]
