"""OME-Zarr metadata of one version as that of a later one: documents in, documents out, no I/O.

https://ngff.openmicroscopy.org. What nobody knows here is carried along unchanged. Rule ids (``MS-010``) are those
of `voxarium.spec.ome.rules`.
"""

from __future__ import annotations

from voxarium.spec.ome_upgrade.documents import Levels, Upgraded, ome_content
from voxarium.spec.ome_upgrade.v05 import level_axes, level_paths, upgrade_to_05
from voxarium.spec.ome_upgrade.v06 import upgrade_to_06

__all__ = [
    "Levels",
    "Upgraded",
    "level_axes",
    "level_paths",
    "ome_content",
    "upgrade_to_05",
    "upgrade_to_06",
]
