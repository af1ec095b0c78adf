"""Conversion: one read of the source feeds every level; each object is written once."""

from voxarium.conversion.engine import Progress
from voxarium.conversion.options import ConvertOptions
from voxarium.conversion.plan import Plan
from voxarium.conversion.planning import plan
from voxarium.conversion.presenting import PresentedStore, present
from voxarium.conversion.resampling import resample
from voxarium.conversion.running import Report, convert, run
from voxarium.conversion.target import Target, open_target
from voxarium.conversion.virtual import VirtualReport, virtualize

__all__ = [
    "ConvertOptions",
    "Plan",
    "PresentedStore",
    "Progress",
    "Report",
    "Target",
    "VirtualReport",
    "convert",
    "open_target",
    "plan",
    "present",
    "resample",
    "run",
    "virtualize",
]
