"""WEBKNOSSOS datasets: layers as images, the dataset as a collection."""

from __future__ import annotations

from voxarium.formats.webknossos.image import WebknossosDatasetDriver, WebknossosDriver

__all__ = ["WebknossosDatasetDriver", "WebknossosDriver"]
