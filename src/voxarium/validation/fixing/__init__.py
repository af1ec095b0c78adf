"""Repairs of what a validation found: metadata only, shown before they are made, and undone by one file."""

from voxarium.validation.fixing.applying import FOLDER, apply_repairs, undo_repairs
from voxarium.validation.fixing.planning import Repair, RepairPlan, plan_repairs

__all__ = ["FOLDER", "Repair", "RepairPlan", "apply_repairs", "plan_repairs", "undo_repairs"]
