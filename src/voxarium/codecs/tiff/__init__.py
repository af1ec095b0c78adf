"""TIFF files as tifffile reads them, by tile and strip, without a lock and without keeping a file open."""

from __future__ import annotations

from voxarium.codecs.tiff.catalogue import TiffFile, TiffSeries, files_level, open_plane, open_series, open_tiff
from voxarium.codecs.tiff.regions import read_level
from voxarium.codecs.tiff.segments import TiffLevel
from voxarium.codecs.tiff.tiles import decode_tile, encode_tile

__all__ = [
    "TiffFile",
    "TiffLevel",
    "TiffSeries",
    "decode_tile",
    "encode_tile",
    "files_level",
    "open_plane",
    "open_series",
    "open_tiff",
    "read_level",
]
