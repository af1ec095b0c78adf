"""Rules of Zarr v3, core 3.0 and 3.1: ``zarr.json`` of arrays and groups, and consolidated metadata in it.

https://zarr-specs.readthedocs.io/en/latest/v3/core/index.html

Extensions (data types, codecs, grids, encodings of keys) that are not those of the core are not judged, but for their
form. Consolidated metadata are in no specification: that copies agree is our own demand.
"""

from __future__ import annotations

from voxarium.spec.zarr3_rules.check import check_consolidated, check_name, check_node, report_gap
from voxarium.spec.zarr3_rules.tables import RULES

__all__ = ["RULES", "check_consolidated", "check_name", "check_node", "report_gap"]
