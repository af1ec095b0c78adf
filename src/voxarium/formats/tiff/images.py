"""Images in TIFF files, with their levels, channels and everything their microscope said."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Final

from voxarium.formats.tiff.describing import image_info
from voxarium.formats.tiff.files import SUFFIXES, levels_of, number_of, open_any, split
from voxarium.model.image import ArrayInfo, ImageInfo
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import declined

__all__ = ["TiffDriver"]

_OME: Final = "ome-tiff"  # such files can be written too


class TiffDriver:
    """Images of TIFF files: OME-TIFF, ImageJ, LSM, STK, SVS, NDPI, Micro-Manager and others."""

    name: ClassVar[str] = "tiff"
    spec_url: ClassVar[str] = "https://docs.openmicroscopy.org/ome-model/latest/ome-tiff/"
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open the only image of a file, or the one that is named: ``file.tif::/3``, ``file.tif::/name``.

        Raises
        ------
        NotFoundError
            If this is no TIFF file, holds several images and none is named, or has none of that name.
        FormatError
            If a file is cut off or corrupt.
        UnsupportedError
            If a package is not installed, or voxels would not be exact.
        """
        key, inner = split(path)
        if not key.lower().endswith(SUFFIXES):
            raise declined(self.name, store, path)
        opened = open_any(self.name, store, key)
        if not inner and len(opened.images) != 1:
            raise declined(self.name, store, path)  # a collection
        number, level = number_of(store, opened, inner) if inner else (0, 0)
        if inner.count("/") and level:
            raise declined(self.name, store, path)  # one level: an array
        levels = levels_of(store, opened, number)
        base = f"{key}::/{number}"
        arrays = [open_array(f"{base}/{i}") for i in range(len(levels))]
        up = "../" * (path.count("/") - key.count("/") + 1)
        inside = f"{up}{base.rpartition('::')[0].rpartition('/')[2]}::/{number}"
        paths = [f"{inside}/{i}" for i in range(len(levels))]
        name = _OME if opened.document is not None else self.name
        return image_info(name, opened, number, list(zip(paths, arrays, strict=True)), levels)
