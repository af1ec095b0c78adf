"""Microscope files that hold several images ("series") and are read through a library of others.

A driver says how to open a file, what each series is, and how to read one plane; everything else is here: the addresses
``file``, ``file::/3``, ``file::/name``, several series as a collection, pictures as images with their metadata. The
libraries are asked by one thread at a time, and whatever they raise about a file is a FormatError.
"""

from __future__ import annotations

import itertools
import math
import re
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, BinaryIO, ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from voxarium.errors import Code, FormatError, NotFoundError, UnsupportedError, VoxariumError
from voxarium.model.acquisition import Acquisition
from voxarium.model.axes import Axis
from voxarium.model.box import Box
from voxarium.model.collection import CollectionInfo, Member
from voxarium.model.image import ArrayInfo, Bag, Display, ImageInfo, LevelInfo, SourceRecord
from voxarium.model.protocols import FileStore, ReadableStore
from voxarium.model.ranged import open_ranged
from voxarium.model.sources import declined, gone, place, read_head
from voxarium.model.transforms import Identity, Transform

__all__ = [
    "Series",
    "SeriesArrayDriver",
    "SeriesCollectionDriver",
    "SeriesFormat",
    "SeriesImageDriver",
    "SeriesReader",
    "binary_file",
    "local_file",
]

_LARGEST_PLANE: Final = 1 << 36
_MOST: Final = 1 << 48
_HEAD: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One image of a file.

    The last `plane_axes` axes of `shape`, in C order, are one plane, as `SeriesReader.read_plane` gives it;
    `chunk_shape` is a piece of it that is cheap to read. `metadata` are what the file says, as JSON.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    axes: tuple[Axis, ...]
    plane_axes: int = 2
    chunk_shape: tuple[int, ...] | None = None
    transform: Transform | None = None
    acquisition: Acquisition = field(default_factory=Acquisition)
    metadata: Mapping[str, Any] = field(default_factory=dict)  # Any: JSON
    remarks: tuple[str, ...] = ()


class SeriesReader(Protocol):
    """An open file."""

    def series(self) -> Sequence[Series]:
        """Describe every image."""

    def read_plane(self, number: int, index: tuple[int, ...], box: Box, /) -> NDArray[Any]:
        """Return part of a plane of a series; `index` is where it is along the axes before."""

    def close(self) -> None:
        """Let go of the file."""


class SeriesFormat(Protocol):
    """What drivers of one format share."""

    name: str
    spec_url: str
    suffixes: tuple[str, ...]
    extra: str

    def accepts(self, head: bytes) -> bool:
        """Tell by the first 64 bytes whether a file is of this format."""

    def begin(self, store: ReadableStore, path: str) -> SeriesReader:
        """Open a file; UnsupportedError when a package is not installed."""


def local_file(store: ReadableStore, path: str, package: str) -> str:
    """Return the path of a file on this machine.

    Raises
    ------
    UnsupportedError
        If it is elsewhere: the library reads files only.
    """
    local = store.local_path(path) if isinstance(store, FileStore) else None
    if local is None:
        raise UnsupportedError(
            f"{place(store, path)} is read by {package}, which reads files of this machine only",
            code=Code.FEATURE_UNSUPPORTED,
            fix="copy the file to this machine first",
        )
    return local


@contextmanager
def _translated(where: str) -> Iterator[None]:
    """Turn whatever a library says about a broken file into FormatError."""
    try:
        yield
    except VoxariumError:
        raise
    except (MemoryError, RecursionError) as error:
        raise FormatError(
            f"{where} asks for more memory than there is", code=Code.SIZE_IMPLAUSIBLE, fix="copy the file again"
        ) from error
    except Exception as error:  # libraries raise anything at all about files that are broken
        raise FormatError(
            f"{where} cannot be read: {type(error).__name__}: {str(error)[:200]}",
            code=Code.METADATA_INVALID,
            fix="copy the file again from its source; if others can open it, report it",
        ) from error


class _Open:
    """A file and one of its series. Pickled without what is open."""

    __slots__ = ("__weakref__", "_format", "_reader", "_turn", "found", "key", "number")

    def __init__(self, format: SeriesFormat, key: str, number: int, reader: SeriesReader | None, found: Series) -> None:
        self._format, self._reader = format, reader
        self._close_at_end()
        self.key, self.number, self.found = key, number, found
        self._turn: SimpleQueue[None] = SimpleQueue()  # holds one entry, which whoever reads takes out
        self._turn.put(None)

    def __reduce__(self) -> tuple[object, ...]:
        return (_Open, (self._format, self.key, self.number, None, self.found))

    def _close_at_end(self) -> None:
        if self._reader is not None:
            weakref.finalize(self, _close, self._reader)

    def read(self, store: ReadableStore, index: tuple[int, ...], box: Box) -> NDArray[Any]:
        """Return part of a plane."""
        self._turn.get()
        try:
            with _translated(place(store, self.key)):
                if self._reader is None:
                    self._reader = self._format.begin(store, self.key)
                    self._close_at_end()
                got = np.asarray(self._reader.read_plane(self.number, index, box))
        finally:
            self._turn.put(None)
        if got.shape != box.shape or got.dtype.newbyteorder("=") != self.found.dtype:
            raise FormatError(
                f"{place(store, self.key)}, series {self.number}: plane {index} is {got.dtype} {got.shape}, "
                f"expected {self.found.dtype} {box.shape}",
                code=Code.CHUNK_CORRUPT,
                fix="copy the file again from its source",
            )
        return got


def _all_series(format: SeriesFormat, store: ReadableStore, key: str) -> tuple[SeriesReader, Sequence[Series]]:
    """Open a file of this format, whatever it holds."""
    if not key.lower().endswith(format.suffixes):
        raise declined(format.name, store, key)
    found = read_head(store, key, _HEAD)
    if found is None or not format.accepts(found[0]):
        raise declined(format.name, store, key)
    with _translated(place(store, key)):
        reader = format.begin(store, key)
    try:
        with _translated(place(store, key)):
            series = reader.series()
        for number, one in enumerate(series):
            _check(one, f"{place(store, key)}, series {number}")
        if not series:
            where = place(store, key)
            raise FormatError(f"{where} holds no image", code=Code.METADATA_INVALID, fix="save the file again")
    except VoxariumError:
        _close(reader)  # the first error is the one to tell
        raise
    return reader, series


def _word(format: SeriesFormat) -> str:
    return getattr(format, "word", "series")  # in addresses of arrays; of its own where others read such files too


def _close(reader: SeriesReader) -> None:
    with suppress(Exception):  # nobody could be told
        reader.close()


def _listed(format: SeriesFormat, store: ReadableStore, key: str) -> Sequence[Series]:
    """Describe what is in a file, and let go of it."""
    reader, series = _all_series(format, store, key)
    _close(reader)
    return series


def binary_file(store: ReadableStore, path: str) -> BinaryIO:
    """Return a file, wherever it is, for a library that takes open ones."""
    if isinstance(store, FileStore) and store.local_path(path) is not None:
        return store.open_file(path)
    stat = store.stat(path)
    if stat is None:
        raise gone(store, path)
    return open_ranged(store, path, stat.size)


def _check(series: Series, where: str) -> None:
    size = math.prod(series.shape[len(series.shape) - series.plane_axes :]) * series.dtype.itemsize
    whole = math.prod(series.shape) * series.dtype.itemsize
    if min(series.shape, default=0) < 1 or size > _LARGEST_PLANE or whole > _MOST:
        raise FormatError(
            f"{where} claims {' x '.join(map(str, series.shape))} voxels",
            code=Code.SIZE_IMPLAUSIBLE,
            fix="copy the file again from its source",
        )
    if series.dtype.kind not in "buifc":
        raise UnsupportedError(
            f"{where} holds voxels of type {series.dtype}",
            code=Code.DTYPE_UNSUPPORTED,
            fix="save it again with plain numbers",
        )


def _number(store: ReadableStore, path: str, text: str, series: Sequence[Series]) -> int:
    """Return which series an address means: a number, or a name that only one has."""
    if re.fullmatch(r"[0-9]{1,9}", text) and int(text) < len(series):
        return int(text)
    named = [i for i, s in enumerate(series) if s.name == text]
    if len(named) == 1:
        return named[0]
    raise NotFoundError(
        f"{place(store, path)} has no image {text!r}" + (", or several of this name" if named else ""),
        code=Code.PATH_MISSING,
        fix=f"choose a number from 0 to {len(series) - 1}, as in {path}::/0",
    )


class _OfFormat:
    """A driver that takes from its format what all its drivers have in common: ``class XDriver(…, of=X())``."""

    format: ClassVar[SeriesFormat]
    name: ClassVar[str]
    spec_url: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    precedence: ClassVar[int]
    capabilities: ClassVar[frozenset[str]] = frozenset({"read"})

    def __init_subclass__(cls, *, of: SeriesFormat | None = None) -> None:
        if of is not None:
            cls.format, cls.name, cls.spec_url, cls.suffixes = of, of.name, of.spec_url, of.suffixes
            cls.precedence = getattr(of, "precedence", 0)


class SeriesArrayDriver(_OfFormat):
    """Reads one series as one array, plane by plane."""

    def open(self, store: ReadableStore, path: str, /) -> ArrayInfo:
        """Open a series; the image driver names it ``file/series 3``.

        Raises
        ------
        NotFoundError
            If this is no such file or series.
        FormatError
            If the file is broken.
        UnsupportedError
            If a package is not installed.
        """
        match = re.fullmatch(rf"(?P<key>.+?)(?:::)?/{_word(self.format)} (?P<number>[0-9]{{1,9}})", path)
        if match is None:
            raise declined(self.format.name, store, path)
        key, number = match["key"].partition("::")[0], int(match["number"])
        reader, series = _all_series(self.format, store, key)
        if number >= len(series):
            _close(reader)
            raise declined(self.format.name, store, path)
        found = series[number]
        lead = len(found.shape) - found.plane_axes
        return ArrayInfo(
            format=self.format.name,
            shape=found.shape,
            dtype=found.dtype,
            chunk_shape=(*(1,) * lead, *(found.chunk_shape or found.shape[lead:])),
            codecs=(self.format.name,),
            axes=found.axes,
            transform=found.transform,
            remarks=found.remarks,
            details=_Open(self.format, key, number, reader, found),
        )

    def read_chunk(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, /) -> NDArray[Any]:
        """Return the voxels of `box`."""
        out = np.empty(box.shape, info.dtype)
        self.read_region(store, path, info, box, out)
        return out

    def read_region(self, store: ReadableStore, path: str, info: ArrayInfo, box: Box, out: NDArray[Any], /) -> None:
        """Fill `out` with the voxels of `box`."""
        opened: _Open = info.details
        if box.size == 0:
            return
        lead = info.ndim - opened.found.plane_axes
        plane = Box(box.origin[lead:], box.shape[lead:])
        for index in itertools.product(*(range(n) for n in box.shape[:lead])):
            at = tuple(o + i for o, i in zip(box.origin, index, strict=False))
            target: Any = (*index, ...)  # Any: an index expression
            out[target] = opened.read(store, at, plane)


class SeriesImageDriver(_OfFormat):
    """A file with one image, or one image of several."""

    def open(self, store: ReadableStore, path: str, open_array: Callable[[str], ArrayInfo], /) -> ImageInfo:
        """Open ``file`` that holds one image, or ``file::/3``, or ``file::/name``.

        Raises
        ------
        NotFoundError
            If this is no such file, or it holds several images.
        FormatError
            If it is broken.
        UnsupportedError
            If a package is not installed.
        """
        key, several, inner = path.partition("::")
        series = _listed(self.format, store, key)
        if not several and len(series) > 1:
            raise NotFoundError(
                f"{place(store, key)} holds {len(series)} images",
                code=Code.FORMAT_UNRECOGNISED,
                fix=f"name one of them, such as {key}::/0",
            )
        inner = inner.strip("/")
        if several and not inner:
            raise declined(self.format.name, store, path)
        number = _number(store, key, inner, series) if inner else 0
        return _image(self.format, number, series[number], open_array, path)


def _image(
    format: SeriesFormat, number: int, found: Series, open_array: Callable[[str], ArrayInfo], path: str
) -> ImageInfo:
    key, several, inner = path.partition("::/")
    level = f"{_word(format)} {number}"
    array = open_array(f"{key}::/{level}" if several else f"{key}/{level}")
    up = "../" * (inner.strip("/").count("/") + 1) if several else ""
    acquisition = found.acquisition
    record = SourceRecord(format=format.name, metadata=found.metadata)
    return ImageInfo(
        format=format.name,
        name=found.name,
        axes=found.axes,
        levels=(LevelInfo(path=f"{up}{level}", array=array, transform=found.transform or Identity()),),
        display=Display(channels=acquisition.displays()),
        bag=Bag(records=(record,), extra=acquisition.carried()),
    )


class SeriesCollectionDriver(_OfFormat):
    """The images of a file that holds several."""

    def open(self, store: ReadableStore, path: str, /) -> CollectionInfo:
        """List the images of a file.

        Raises
        ------
        NotFoundError
            If this is no such file, or it holds one image.
        FormatError
            If it is broken.
        UnsupportedError
            If a package is not installed.
        """
        key, _, inner = path.partition("::")
        if inner.strip("/"):
            raise declined(self.format.name, store, path)
        series = _listed(self.format, store, key)
        members = tuple(
            Member(
                path=f"::/{i}",
                name=s.name,
                facts={"series": i} | ({"position": list(p)} if (p := s.acquisition.position) else {}),
            )
            for i, s in enumerate(series)
        )
        return CollectionInfo(format=self.format.name, kind="series", name=key.rpartition("/")[2], members=members)
