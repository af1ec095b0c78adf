"""A release as plain files: its objects, each under its own key, and nothing else."""

from __future__ import annotations

from typing import ClassVar

from voxarium.archive.exports.adapters import ExportOptions, ExportPlan
from voxarium.archive.exports.copying import Copier
from voxarium.archive.exports.source import ReleaseSource
from voxarium.model.protocols import WritableStore

__all__ = ["FilesExport"]


class FilesExport:
    """Copies the objects of a release."""

    name: ClassVar[str] = "files"
    spec_url: ClassVar[str] = "https://voxarium.readthedocs.io/how-to/export-releases"
    summary: ClassVar[str] = "the objects as they are"
    options: ClassVar[frozenset[str]] = frozenset()
    single: ClassVar[bool] = False

    def plan(self, source: ReleaseSource, options: ExportOptions, /) -> ExportPlan:
        """Return what will be written."""
        return ExportPlan(objects=len(source.manifest), nbytes=source.manifest.nbytes)

    def write(
        self, source: ReleaseSource, options: ExportOptions, plan: ExportPlan, target: WritableStore, copier: Copier, /
    ) -> None:
        """Copy everything."""
        copier.copy_release(source.objects, range(len(source.manifest)), lambda key: key)
