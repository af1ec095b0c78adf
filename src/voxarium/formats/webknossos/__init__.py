"""WEBKNOSSOS datasets: layers as images, the dataset as a collection."""

from __future__ import annotations

from voxarium.formats.webknossos.image import WebknossosDatasetDriver, WebknossosDriver
from voxarium.formats.webknossos.zarr3_mags import Zarr3MagDriver

__all__ = ["WebknossosDatasetDriver", "WebknossosDriver", "Zarr3MagDriver"]
