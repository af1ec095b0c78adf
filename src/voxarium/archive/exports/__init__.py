"""Releases for other systems: bags, OCFL objects, RO-Crates, DataCite's metadata, git-annex, plain files.

An adapter is one file with a class, named by an entry point ``voxarium.release_exports``. It plans what it will write,
then writes it into an empty place that appears under its name when it is complete. Some also read: they check what
others wrote and take the objects out.
"""

from __future__ import annotations

from voxarium.archive.exports.adapters import (
    ExportOptions,
    ExportPlan,
    ExportReport,
    Package,
    PackageAdapter,
    PackageProblem,
    PackageReport,
    ReleaseExport,
)
from voxarium.archive.exports.running import check_package, export_release, import_package
from voxarium.archive.exports.source import ReleaseSource, open_release_source

__all__ = [
    "ExportOptions",
    "ExportPlan",
    "ExportReport",
    "Package",
    "PackageAdapter",
    "PackageProblem",
    "PackageReport",
    "ReleaseExport",
    "ReleaseSource",
    "check_package",
    "export_release",
    "import_package",
    "open_release_source",
]
