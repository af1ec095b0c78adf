"""What is in a TIFF file: its images, the levels of each, and everything it says about itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from voxarium.codecs.tiff.originals import stated_by
from voxarium.codecs.tiff.segments import TiffLevel, assembled_level, series_level
from voxarium.codecs.tiff.source import opened_tiff
from voxarium.errors import Code, FormatError
from voxarium.model.protocols import ReadableStore
from voxarium.model.sources import place

__all__ = ["TiffFile", "TiffSeries", "files_level", "open_plane", "open_series", "open_tiff"]

_MOST_SERIES: Final = 1_000_000
_MOST_LEVELS: Final = 64

Check = Callable[[Callable[[int, int], bytes], int], object]
"""Looks at a file before tifffile does; raises when something is wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffSeries:
    """One image of a file, as it is listed.

    Parameters
    ----------
    name, kind : str
        As tifffile has them: ``Baseline``; ``ome``, ``imagej``, ``svs`` …
    shape, letters, dtype : tuple of int, str, numpy.dtype
        Of its finest level.
    level_shapes : tuple of tuple of int
        Of all levels.
    resolution : tuple
        Voxels per unit along x and y, and the unit: ``inch``, ``centimeter`` or empty.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    letters: str
    dtype: np.dtype[Any] | None
    level_shapes: tuple[tuple[int, ...], ...]
    resolution: tuple[float | None, float | None, str] = (None, None, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TiffFile:
    """A parsed file.

    Parameters
    ----------
    series : tuple of TiffSeries
        Its images.
    levels : mapping of int to tuple of TiffLevel
        Levels of the images that were asked for.
    ome_xml : str or None
        As found in the first page.
    stated : mapping
        Everything else it says, as JSON, by kind.
    pages : int
        Pages of the file.
    """

    series: tuple[TiffSeries, ...]
    levels: Mapping[int, tuple[TiffLevel, ...]] = field(default_factory=dict)
    ome_xml: str | None = None
    stated: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    pages: int = 0

    @property
    def nbytes(self) -> int:
        """Bytes its tables take."""
        levels = (level for several in self.levels.values() for level in several)
        return sum(0 if level.pages is None else level.pages.nbytes for level in levels)


def open_tiff(store: ReadableStore, path: str, check: Check, number: int | None = None) -> TiffFile:
    """List the images of a file, with the levels of one of them.

    Parameters
    ----------
    store : ReadableStore
        Where it is.
    path : str
        Its key.
    check : callable
        Looks at the file before tifffile does.
    number : int or None
        Which image; None = the only one, and of several none.

    Raises
    ------
    FormatError
        If the file is cut off or corrupt.
    UnsupportedError
        If a package or feature is lacking.
    """
    where = place(store, path)
    with opened_tiff(store, path, check) as (tiff, size):
        found = _series(tiff)
        if len(found) > _MOST_SERIES or not found:
            raise FormatError(f"{where} has {len(found)} images", code=Code.METADATA_INVALID, fix="copy the file again")
        number = 0 if number is None and len(found) == 1 else number
        levels: dict[int, tuple[TiffLevel, ...]] = {}
        if number is not None and 0 <= number < len(found):
            several = found[number].levels[:_MOST_LEVELS]
            levels[number] = tuple(series_level(level, path, size, where) for level in several)
        return TiffFile(
            series=tuple(_listed(s) for s in found),
            levels=levels,
            ome_xml=tiff.ome_metadata if tiff.is_ome else None,
            stated=stated_by(tiff, tiff.pages.first),
            pages=len(tiff.pages),
        )


def _series(tiff: Any) -> list[Any]:  # Any: tifffile is untyped here
    """Return the images of a file without the small copies that LSM files have of every plane."""
    found = list(tiff.series)
    kept = [s for s in found if s.kind != "lsm" or not getattr(s.keyframe, "is_reduced", False)]
    return kept or found


def _listed(series: Any) -> TiffSeries:  # Any: tifffile is untyped here
    page = series.keyframe
    return TiffSeries(
        name=str(series.name or ""),
        kind=str(series.kind),
        shape=tuple(int(n) for n in series.shape),
        letters=series.axes,
        dtype=None if series.dtype is None else series.dtype.newbyteorder("="),
        level_shapes=tuple(tuple(int(n) for n in level.shape) for level in series.levels[:_MOST_LEVELS]),
        resolution=_resolution(page) if page is not None else (None, None, ""),
    )


def _resolution(page: Any) -> tuple[float | None, float | None, str]:
    def per_unit(name: str) -> float | None:
        tag = page.tags.get(name)
        value = None if tag is None else tag.value
        if isinstance(value, tuple) and len(value) == 2 and value[0] > 0 and value[1] > 0:
            return float(value[0] / value[1])
        return None

    unit = page.tags.get("ResolutionUnit")
    names = {2: "inch", 3: "centimeter"}
    return (
        per_unit("XResolution"),
        per_unit("YResolution"),
        "" if unit is None else names.get(int(unit.value), ""),
    )


def open_plane(store: ReadableStore, path: str, check: Check) -> TiffLevel:
    """Describe the finest level of a file that has one image, such as one slice of a stack.

    Raises
    ------
    FormatError
        If the file is broken, or has several images.
    """
    found = open_tiff(store, path, check, 0)
    if len(found.series) != 1:
        raise FormatError(
            f"{place(store, path)} holds {len(found.series)} images instead of one",
            code=Code.SLICE_MISMATCH,
            fix="open such a file by itself, or save one image per file",
        )
    return found.levels[0][0]


def open_series(store: ReadableStore, path: str, check: Check, number: int) -> tuple[TiffLevel, ...]:
    """Describe the levels of one image of a file.

    Raises
    ------
    FormatError
        If the file is broken, or has no such image.
    """
    levels = open_tiff(store, path, check, number).levels.get(number)
    if levels is None:
        raise FormatError(f"{place(store, path)} changed", code=Code.METADATA_INVALID, fix="open it again")
    return levels


def files_level(
    store: ReadableStore,
    planes: list[tuple[str, int] | None],
    leading: Sequence[tuple[str, int]],
    *,
    check: Check,
    where: str,
) -> tuple[TiffLevel, ...]:
    """Describe the levels of an image whose planes are in several files.

    Parameters
    ----------
    store : ReadableStore
        Where the files are.
    planes : list of (str, int) or None
        Key of the file and number of the page of each plane, in C order of the leading axes; None = nowhere.
    leading : sequence of (str, int)
        Letter and length of the leading axes.
    check : callable
        Looks at each file before tifffile does.
    where : str
        Place of the image, for messages.

    Raises
    ------
    NotFoundError
        If a file is not there.
    FormatError
        If a file is broken, or pages do not fit together.
    """
    keys = list(dict.fromkeys(key for entry in planes if entry is not None for key in entry[:1]))
    wanted: dict[str, list[int]] = {key: [] for key in keys}
    for entry in planes:
        if entry is not None:
            wanted[entry[0]].append(entry[1])
    pages: dict[tuple[str, int], list[Any]] = {}
    files = []
    for key in keys:
        with opened_tiff(store, key, check) as (tiff, size):
            files.append((key, size))
            for number, levels in _levels_of(tiff, wanted[key], place(store, key)):
                pages[key, number] = levels
    letters, shape = "".join(a for a, _ in leading), tuple(n for _, n in leading)
    place_of = {key: i for i, key in enumerate(keys)}
    depth = min((len(p) for p in pages.values()), default=0)
    out = []
    for level in range(min(depth, _MOST_LEVELS)):
        entries = [None if e is None else (place_of[e[0]], pages[e][level]) for e in planes]
        out.append(assembled_level(entries, shape, letters, files, where))
    return tuple(out)


def _levels_of(tiff: Any, numbers: list[int], where: str) -> Any:  # Any: tifffile is untyped here
    """Yield (number of the page, the page and its smaller copies)."""
    count = len(tiff.pages)
    tiff.pages.useframes = False
    for number in dict.fromkeys(numbers):
        if not 0 <= number < count:
            raise FormatError(
                f"{where} has {count} pages, but the OME-XML names page {number + 1}",
                code=Code.METADATA_INVALID,
                fix="copy the files again from their source",
            )
        page = tiff.pages[number]
        smaller = page.pages if page.subifds else None
        levels = [page, *(smaller[i] for i in range(len(smaller)))] if smaller is not None else [page]
        for one in levels:
            one.decode  # noqa: B018  made while the file is open
        yield number, levels
