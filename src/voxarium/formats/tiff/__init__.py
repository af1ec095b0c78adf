"""TIFF files as microscopes write them: OME-TIFF, BigTIFF, ImageJ, LSM, STK, SVS, NDPI, Micro-Manager and more.

Specs: TIFF 6.0, https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/. A file with one image opens as that image;
with several it is a collection, whose images are ``file.tif::/0``, ``file.tif::/1`` …
"""

from __future__ import annotations

from voxarium.formats.tiff.arrays import TiffArrayDriver, TiffRegionDriver
from voxarium.formats.tiff.collections import TiffCollectionDriver
from voxarium.formats.tiff.images import TiffDriver
from voxarium.formats.tiff.parts import TiffPartsDriver
from voxarium.formats.tiff.writing import OmeTiffDriver

__all__ = [
    "OmeTiffDriver",
    "TiffArrayDriver",
    "TiffCollectionDriver",
    "TiffDriver",
    "TiffPartsDriver",
    "TiffRegionDriver",
]
