"""Upgrades: stored metadata as that of a later version, over the same chunks, in place or beside."""

from voxarium.conversion.upgrading.report import Refusal, UpgradeProgress, UpgradeReport
from voxarium.conversion.upgrading.running import roll_back, upgrade

__all__ = ["Refusal", "UpgradeProgress", "UpgradeReport", "roll_back", "upgrade"]
