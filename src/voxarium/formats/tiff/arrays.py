"""Levels of images in TIFF files as arrays: by strip and tile, and by region where nothing needs decoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from voxarium.codecs.tiff import TiffLevel, read_level
from voxarium.errors import Code, FormatError, InputError, NotFoundError
from voxarium.formats.tiff.describing import array_info
from voxarium.formats.tiff.files import SUFFIXES, Opened, levels_of, number_of, open_any, split
from voxarium.formats.tiff.references import referable, stored_chunks
from voxarium.model.box import Box
from voxarium.model.image import ArrayInfo
from voxarium.model.native import Span
from voxarium.model.protocols import ReadableStore
from voxarium.model.references import Referable
from voxarium.model.sources import declined, place

__all__ = ["TiffArrayDriver", "TiffRegionDriver"]

_SPEC: Final = "https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf"


class _Levels:
    """What both drivers share."""

    name: ClassVar[str] = "tiff"
    flat: ClassVar[bool] = False

    def open(self, store: ReadableStore, path: str, /, *, series: int | None = None) -> ArrayInfo:
        """Open one level of one image: ``file.tif``, ``file.tif::/3``, ``file.tif::/3/1``.

        Parameters
        ----------
        store : ReadableStore
            Where the file is.
        path : str
            Its key, and what is named inside it.
        series : int or None
            Which image, where the path does not say.

        Raises
        ------
        NotFoundError
            If this is no TIFF file, or it holds several images and none is named.
        InputError
            If there is no image of this number.
        FormatError
            If a file is cut off or corrupt.
        UnsupportedError
            If a package is not installed, or voxels would not be exact.
        """
        key, inner = split(path)
        opened = open_any(self.name, store, key)
        number, level = _chosen(self.name, store, opened, (path, inner), series)
        levels = levels_of(store, opened, number)
        if level >= len(levels):
            raise NotFoundError(
                f"{place(store, path)}: the image has {len(levels)} levels",
                code=Code.LEVEL_MISSING,
                fix=f"choose a level from 0 to {len(levels) - 1}",
            )
        if levels[level].flat != self.flat:
            raise declined(self.name, store, path)
        return array_info(self.name, opened, number, level, levels)

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self._read(store, path, info, box, out)
        return out

    def referable(self, info: ArrayInfo, /) -> Referable:
        """Return how others decode strips and tiles."""
        return referable(cast(TiffLevel, info.details))

    def stored_chunks(
        self, _store: ReadableStore, _path: str, info: ArrayInfo, /
    ) -> Iterator[tuple[tuple[int, ...], Span | None]]:
        """Yield where strips and tiles are."""
        return stored_chunks(cast(TiffLevel, info.details))

    def _read(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any]) -> None:
        level = cast(TiffLevel, info.details)
        if level.layout is None and level.pages is None:  # came from another process
            level = self._again(store, path, info)
        read_level(level, store, box, out)

    def _again(self, store: ReadableStore, path: str, info: ArrayInfo) -> TiffLevel:
        key, inner = split(path)
        opened = open_any(self.name, store, key)
        number, level = number_of(store, opened, inner) if inner else (0, 0)
        found = levels_of(store, opened, number)[level]
        if found.shape != info.shape or found.dtype != info.dtype:
            raise FormatError(
                f"{place(store, path)} changed since it was opened", code=Code.METADATA_INVALID, fix="open it again"
            )
        return found


def _chosen(
    driver: str, store: ReadableStore, opened: Opened, path: tuple[str, str], series: int | None
) -> tuple[int, int]:
    whole, inner = path
    if inner:
        return number_of(store, opened, inner)
    if series is None and len(opened.images) > 1:
        raise declined(driver, store, whole)
    if not 0 <= (series or 0) < len(opened.images):
        listed = "; ".join(f"{i}: {s.name} {s.shape} {s.dtype}" for i, s in enumerate(opened.images[:20]))
        raise InputError(
            f"{place(store, whole)} holds {len(opened.images)} images: {listed}",
            code=Code.ARGUMENT_INVALID,
            fix="choose one with series=0, series=1, …",
        )
    return series or 0, 0


class TiffArrayDriver(_Levels):
    """Reads images of TIFF files by strip and tile."""

    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    options: ClassVar[frozenset[str]] = frozenset({"series"})


class TiffRegionDriver(_Levels):
    """Reads images of TIFF files that are not compressed: any region, without decoding."""

    listed: ClassVar[bool] = False  # the same format, read in another way
    name: ClassVar[str] = "tiff-flat"
    flat: ClassVar[bool] = True
    spec_url: ClassVar[str] = _SPEC
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    options: ClassVar[frozenset[str]] = frozenset({"series"})

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        self._read(store, path, info, box, out)
